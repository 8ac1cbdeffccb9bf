"""``predict``: what a model says about the rows of a file."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from trackers.cli.completing import complete_reference
from trackers.cli.exit import naming
from trackers.cli.storage import DEFAULT
from trackers.errors import InvalidValueError, ModelError, TrackersError, UntrustedError
from trackers.wording import counted

if TYPE_CHECKING:
    from trackers.models.loaded import LoadedModel

_TRUSTED = re.compile(r"trust=\[([^\]]+)\]")
_READS = click.Choice(["csv", "tsv", "jsonl", "json", "parquet", "npy", "npz"])


@click.command(
    epilog="\b\nExamples:\n  trackers predict models:/fraud@production in.csv -o out.csv\n"
    "  cat rows.jsonl | trackers predict digits/17 --format jsonl --proba",
    short_help="Predict the rows of a file with a model.",
)
@click.argument("model", metavar="MODEL", shell_complete=complete_reference)
@click.argument("rows", metavar="[FILE]", default="-")
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    help="Where to write: .csv, .tsv, .jsonl, .json, .parquet, .npy (default: CSV on stdout).",
)
@click.option("--format", "form", type=_READS, help="What FILE holds (default: by the end of its name, CSV for stdin).")
@click.option("--proba", is_flag=True, help="Write the probability of each class.")
@click.option(
    "--trust", multiple=True, metavar="TYPE", help="Trust a type by its full name; 'all' runs the model's code."
)
@click.option(
    "--storage", metavar="URL", envvar="HPO_STORAGE", help=f"The store (default: HPO_STORAGE, then {DEFAULT})."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def predict(
    model: str,
    rows: str,
    output: str | None,
    form: str | None,
    proba: bool,
    trust: tuple[str, ...],
    storage: str | None,
    as_json: bool,
) -> None:
    """Predict the rows of FILE (or of stdin) with MODEL.

    MODEL is models:/NAME@ALIAS, models:/NAME/VERSION, STUDY/17, runs:/RUN/MODEL or a folder, as ./FOLDER. FILE is CSV
    or TSV (with a line of names, or numbers alone), JSON lines, JSON (all also as .gz), Parquet, or an array of NumPy.
    Columns go by their names, whatever their order.
    """
    from trackers.models import load_model
    from trackers.models.rows import READS, form_of, read_rows, write_rows

    _check_order(model, rows)
    source = None if rows == "-" else Path(rows)
    if source is not None and source.is_dir():
        raise click.UsageError(f"{rows} is a folder: name a file with rows.")
    kind = form or ("csv" if source is None else form_of(source, READS))
    target = _form_written(output, as_json)
    if source is not None and not source.is_file():
        raise click.UsageError(f"There is no file {rows}.")
    if source is not None and output is not None and Path(output).exists() and Path(output).samefile(source):
        raise click.UsageError(f"{output} holds the rows themselves: give another file for the predictions.")
    try:
        loaded = load_model(model, store=storage or None, trust=True if "all" in trust else trust)
    except UntrustedError as exc:
        raise UntrustedError(_as_options(str(exc))) from exc
    data = read_rows(source or sys.stdin.buffer, kind, loaded.manifest.get("input"))
    if _count_rows(data) == 0:
        raise InvalidValueError(f"There is no row in {rows if source is not None else 'what came in'}.")
    found = _predicted(loaded, data, proba)
    found, names = _columns(loaded.unwrap(), found) if proba else (found, None)
    if output is None:
        write_rows(found, target, sys.stdout.buffer, names)
        return
    with naming(Path(output)), Path(output).open("wb") as sink:
        count = write_rows(found, target, sink, names)
    click.echo(f"{counted(count, 'row')} written to {output}.", err=True)


def _check_order(model: str, rows: str) -> None:
    """Raise UsageError where the model stands in the place of the file."""
    if rows.startswith(("models:/", "runs:/")) or (Path(model).is_file() and "@" in rows and not Path(rows).exists()):
        call = shlex.join(["trackers", "predict", rows, model])
        raise click.UsageError(f"The model stands before the file: {call}.")


def _form_written(output: str | None, as_json: bool) -> str:
    """Return the format of the predictions: by the end of the name of *output*, else that of stdout."""
    from trackers.models.rows import WRITES, form_of

    if output is None:
        return "json" if as_json else "csv"
    try:
        return form_of(Path(output), WRITES)
    except InvalidValueError as exc:
        *most, last = (f".{name}" for name in WRITES)
        raise InvalidValueError(
            f"Predictions are not written as {Path(output).name!r}: end its name in {', '.join(most)} or {last}."
        ) from exc


def _as_options(sentence: str) -> str:
    """Return *sentence*, which names what to trust as Python has it, with the options of this command instead."""

    def options(found: re.Match[str]) -> str:
        return " ".join(f"--trust {shlex.quote(name)}" for name in re.findall(r"['\"]([^'\"]+)['\"]", found[1]))

    return _TRUSTED.sub(options, sentence.replace("trust=True", "--trust all"))


def _predicted(loaded: LoadedModel, data: Any, proba: bool) -> Any:
    """Predict; what a model of anybody's raises is said in a sentence, with the first cell that may be why."""
    from trackers.models.flavor import find_flavor
    from trackers.models.schema import named_outputs

    try:
        found = loaded.predict_proba(data) if proba else loaded.predict(data)
        rows = _count_rows(data)
        if rows is not None and getattr(found, "ndim", 0) > 0 and len(found) != rows:
            raise ModelError(
                f"The model gives {counted(len(found), 'answer')} for {counted(rows, 'row')}: it takes another form "
                "of input, which input_example= would have told when it was logged."
            )
    except TrackersError:
        raise
    except Exception as exc:
        said = next((line for line in str(exc).splitlines() if line.strip()), "")
        raise ModelError(
            f"The model cannot predict these rows ({type(exc).__name__}: {said}){_odd_cell(data)}"
        ) from exc
    return named_outputs(found) if not proba and find_flavor(loaded.flavor).lists_outputs else found


def _count_rows(data: Any) -> int | None:
    """Return how many rows there are; of arrays by name, None where they do not agree."""
    if not isinstance(data, Mapping):
        return len(data)
    counts = {len(value) if hasattr(value, "__len__") else None for value in data.values()}
    return counts.pop() if len(counts) == 1 else None


def _odd_cell(data: Any) -> str:
    import numpy as np

    columns = getattr(data, "columns", None)
    if columns is None:
        return ""
    for name in columns:
        cells = data[name]
        huge = [isinstance(cell, int) and abs(cell) >= 2**63 for cell in cells] if cells.dtype == object else []
        if any(huge):
            return f": row {huge.index(True) + 1} has {cells.iloc[huge.index(True)]} in the column {name!r}"
        empty = np.asarray(cells.isna())
        if empty.any():
            return f": row {int(empty.argmax()) + 1} has nothing in the column {name!r}"
        if cells.dtype.kind == "f" and not (finite := np.isfinite(cells.to_numpy())).all():
            return (
                f": row {int((~finite).argmax()) + 1} has {cells.iloc[int((~finite).argmax())]} in the column {name!r}"
            )
    return ""


def _columns(model: Any, found: Any) -> tuple[Any, list[str]]:
    """Return probabilities as one table with names of its columns; a model of several outputs gives a table each."""
    classes = getattr(model, "classes_", None)
    if not isinstance(found, list):
        return found, _class_names("probability", classes, found)
    import numpy as np

    each = classes if isinstance(classes, list) and len(classes) == len(found) else [None] * len(found)
    names = [
        _class_names(f"probability_{i}", one, table) for i, (one, table) in enumerate(zip(each, found, strict=True))
    ]
    return np.hstack(found), [name for part in names for name in part]


def _class_names(prefix: str, classes: Any, found: Any) -> list[str]:
    if classes is None or len(classes) != found.shape[1]:
        classes = range(found.shape[1])
    return [f"{prefix}_{name}" for name in classes]
