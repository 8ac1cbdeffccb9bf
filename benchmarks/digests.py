"""Gigabytes a second that a digest of data takes, beside SHA-256 of the same bytes in one call.

Run ``python -m benchmarks.digests [--quick]``. A gigabyte of each kind of data (an eighth with ``--quick``): a file and a
folder of files that the system has in memory, arrays of NumPy, a frame of pandas and a table of Arrow. The median of five.
"""

from __future__ import annotations

import hashlib
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import click
import numpy as np
import pandas as pd
import pyarrow as pa

from benchmarks.result import Figure, console, show, write
from trackers.capture import data_digest

FILES = 1000
COLUMNS = 16


@contextmanager
def each(size: int) -> Iterator[dict[str, Any]]:
    """Yield data of *size* bytes of each kind, by its name."""
    numbers = np.random.default_rng(7).random(size // 8)
    table = numbers.reshape(-1, COLUMNS)
    frame = pd.DataFrame({f"c{column}": table[:, column].copy() for column in range(COLUMNS)})
    with tempfile.TemporaryDirectory(prefix="hpo-bench-") as place:
        file, folder = Path(place, "one.bin"), Path(place, "many")
        file.write_bytes(numbers.tobytes())
        folder.mkdir()
        for number, part in enumerate(np.array_split(numbers, FILES)):
            (folder / f"{number}.bin").write_bytes(part.tobytes())
        yield {
            "a file": file,
            f"a folder of {FILES:,} files": folder,
            "an array": table,
            "an array by columns": np.asfortranarray(table),
            "a frame of pandas": frame,
            "a table of Arrow": pa.Table.from_pandas(frame),
        }


def seconds(work: Callable[[], object]) -> float:
    """Return the median of five calls, after one that nobody counts."""
    spent = []
    for _ in range(6):
        begun = time.perf_counter()
        work()
        spent.append(time.perf_counter() - begun)
    return statistics.median(spent[1:])


@click.command(help=__doc__)
@click.option("--quick", is_flag=True, help="An eighth of the data: half a minute.")
def main(quick: bool) -> None:
    size, page, figures = 1 << (27 if quick else 30), console(), []

    def add(system: str, data: str, work: Callable[[], object]) -> None:
        page.print(f"  {system} {data} ...", highlight=False)
        rate = round(size / seconds(work) / 1e9, 3)
        figures.append(Figure(system, "digest_gb_per_second", rate, "GB/s", {"data": data, "bytes": size}))

    with each(size) as kinds:
        add("hashlib", "bytes", partial(hashlib.sha256, kinds["an array"].tobytes()))
        for data, given in kinds.items():
            add("trackers", data, partial(data_digest, given))
    show("digests", figures, page)
    page.print(f"written to {write('digests', figures)}", highlight=False)


if __name__ == "__main__":
    main()
