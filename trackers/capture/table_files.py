"""What a table in files says of itself, without reading it: Parquet's footers have the rows and the columns."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

_MOST_FILES = 1000


def table_facts(path: Path) -> tuple[int | None, list[dict[str, Any]] | None]:
    """Return the rows and the columns of a Parquet file, or of a folder of them alone; None for what is another thing.

    None, too, where pyarrow is missing or cannot read one: the digest is made of bytes, whatever they are.
    """
    files = _parquet_files(path)
    if not files:
        return None, None
    try:
        from pyarrow import parquet

        rows = sum(parquet.read_metadata(file).num_rows for file in files)
        schema = parquet.read_schema(files[0])
    except Exception:  # noqa: BLE001 - a damaged file has a digest, too
        return None, None
    return rows, [{"name": field.name, "dtype": str(field.type)} for field in schema]


def _parquet_files(path: Path) -> Sequence[Path]:
    if path.is_file():
        return [path] if path.suffix == ".parquet" else []
    files = [file for file in sorted(path.rglob("*")) if file.is_file() and not file.name.startswith(("_", "."))]
    return files if len(files) <= _MOST_FILES and all(file.suffix == ".parquet" for file in files) else []
