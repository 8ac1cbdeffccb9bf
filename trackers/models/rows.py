"""Rows in files: what ``trackers predict`` reads and writes."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from trackers.errors import InvalidValueError
from trackers.models.archives import check_npz
from trackers.models.schema import is_frame, plain, some

READS = ("csv", "tsv", "jsonl", "json", "parquet", "npy", "npz")
WRITES = ("csv", "tsv", "jsonl", "json", "parquet", "npy")
_NAMES = {".ndjson": "jsonl", ".pq": "parquet", ".tab": "tsv"}
_PACKED = b"\x1f\x8b"
_MOST_UNPACKED = 256 << 20
"""Bytes that packed text may have: a few of them make gigabytes of values, which a bomb of some hundred kB would be."""
_MOST_DIGITS = 4000
"""Digits of a whole number that Python reads as one."""


def form_of(path: Path, known: tuple[str, ...]) -> str:
    """Return the format that the end of a file's name says; what is read may be text packed by gzip, as ``.csv.gz``."""
    end = path.with_suffix("").suffix if path.suffix.lower() == ".gz" and known is READS else path.suffix
    form = _NAMES.get(end.lower(), end.lower().lstrip("."))
    if form not in known:
        raise InvalidValueError(
            f"{path.name} ends with none of {', '.join('.' + name for name in known)}: say --format."
        )
    return form


def read_rows(source: Path | BinaryIO, form: str, schema: Mapping[str, Any] | None) -> Any:
    """Read rows from a file or a stream; *schema* says which columns of a CSV are text although they look like numbers.

    Raises InvalidValueError with the line that cannot be read, or the package that is missing.
    """
    content = source.read_bytes() if isinstance(source, Path) else source.read()
    if not content:
        raise InvalidValueError("The input is empty: give at least a line of it.")
    try:
        if form in ("npy", "npz"):
            return _read_numpy(content, form, source if isinstance(source, Path) else None)
        if form == "parquet":
            return _pandas("Parquet", "pyarrow").read_parquet(io.BytesIO(content))
        text = (_unpacked(content) if content.startswith(_PACKED) else content).decode("utf-8-sig")
    except InvalidValueError:
        raise
    except UnicodeDecodeError as exc:
        raise InvalidValueError(f"The input is not text in UTF-8 ({exc}): say --format if it is no {form}.") from exc
    except Exception as exc:
        raise InvalidValueError(f"The input cannot be read as {form}: {exc}") from exc
    try:
        return _read_csv(text, form, schema) if form in ("csv", "tsv") else _read_json(text, form)
    except csv.Error as exc:
        raise InvalidValueError(f"The input cannot be read as {form}: {exc}") from exc


def _unpacked(content: bytes) -> bytes:
    with gzip.open(io.BytesIO(content)) as source:
        unpacked = source.read(_MOST_UNPACKED + 1)
    if len(unpacked) > _MOST_UNPACKED:
        raise InvalidValueError(f"The input unpacks to more than {_MOST_UNPACKED >> 20} MiB: unpack it, or give parts.")
    return unpacked


def _read_numpy(content: bytes, form: str, path: Path | None) -> Any:
    import numpy as np

    if form == "npz":
        if path is None:
            raise InvalidValueError("An .npz is read from a file, not from a pipe: give its name.")
        check_npz(path)
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        return next(iter(arrays.values())) if len(arrays) == 1 else arrays
    stream = io.BytesIO(content)
    version = np.lib.format.read_magic(stream)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(stream)
    if dtype.hasobject:
        raise InvalidValueError("The array holds Python objects, which are pickled: save numbers or text.")
    count = dtype.itemsize
    for size in shape:
        count *= size
    if count != len(content) - stream.tell():
        raise InvalidValueError("The array says to be of another size than the file holds: it is damaged.")
    return np.load(io.BytesIO(content), allow_pickle=False)


def _read_csv(text: str, form: str, schema: Mapping[str, Any] | None) -> Any:
    sign = "\t" if form == "tsv" else _delimiter(text, schema)
    lines = [line for line in csv.reader(io.StringIO(text), delimiter=sign) if line]
    if not lines:
        raise InvalidValueError("The input holds no line: give at least one.")
    width = len(lines[0])
    for at, line in enumerate(lines, 1):
        if len(line) != width:
            raise InvalidValueError(f"Line {at} of the CSV has {len(line)} values where the first has {width}.")
    pointed: Callable[[Sequence[str]], list[str]] = list if sign == "," else _pointed
    if _are_numbers(lines[0], sign):  # no line of names
        numbers = [pointed(column) for column in zip(*lines, strict=True)]
        return [[_value(cell) for cell in row] for row in zip(*numbers, strict=True)]
    names, rows = [name.strip() for name in lines[0]], lines[1:]
    if len(set(names)) < len(names):
        raise InvalidValueError("Two columns of the CSV have the same name: rename one.")
    text_columns = {c["name"] for c in (schema or {}).get("columns", ()) if _is_text(c)}
    columns: dict[str, list[Any]] = {}
    for at, name in enumerate(names):
        cells = [row[at].strip() for row in rows]
        columns[name] = [cell or None for cell in cells] if name in text_columns else _column(pointed(cells))
    return _as_table(columns, schema)


def _delimiter(text: str, schema: Mapping[str, Any] | None) -> str:
    """Return what stands between the values: a comma, or what spreadsheets write where the comma is the decimal sign.

    It is the one by which the first line has the most of the model's columns, else as many values as the model takes,
    else numbers alone.
    """
    names, width = _columns_of(schema or {})

    def fit(sign: str) -> tuple[int, bool, bool]:
        first = next((line for line in csv.reader(io.StringIO(text), delimiter=sign) if line), [])
        known = names & {cell.strip() for cell in first}
        return len(known), len(first) == width, _are_numbers(first, sign)

    return max(",;\t", key=fit)


def _columns_of(schema: Mapping[str, Any]) -> tuple[set[str], int | None]:
    """Return the names of the columns that a model takes, and how many they are (None: not known)."""
    shape: Sequence[int | None] = schema.get("shape") or ()
    if schema.get("kind") == "array":
        return set(), shape[1] if len(shape) == 2 else None
    columns = schema.get("columns") or schema.get("tensors") or ()
    return {str(column["name"]) for column in columns}, len(columns) or None


def _are_numbers(cells: Sequence[str], sign: str) -> bool:
    """Tell whether all cells are numbers, with a decimal comma where the delimiter *sign* is another."""
    return all(_is_number(cell if sign == "," else cell.replace(",", ".", 1)) for cell in cells)


def _pointed(cells: Sequence[str]) -> list[str]:
    """Return numbers with a point for their decimal comma; the cells as they are where one is none, or has a point."""
    pointed = [cell.replace(",", ".", 1) for cell in cells]
    numbers = all(not cell.strip() or _is_number(cell) for cell in pointed)
    return pointed if numbers and not any("." in cell for cell in cells) else list(cells)


def _is_text(column: Mapping[str, Any]) -> bool:
    categories = column.get("categories")
    if categories is not None:
        return any(isinstance(value, str) for value in categories)
    return str(column.get("dtype")).startswith(("str", "object", "datetime"))


def _column(cells: list[str]) -> list[Any]:
    """Return the cells of a column as numbers, or as truth, where all of them are; an empty one is missing."""
    if any(cells) and all(not cell or _is_number(cell) for cell in cells):
        return [_value(cell) for cell in cells]
    if any(cells) and all(cell.lower() in ("true", "false") for cell in cells):
        return [cell.lower() == "true" for cell in cells]
    return [cell or None for cell in cells]


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return "_" not in cell


def _value(cell: str) -> Any:
    if not cell.strip():
        return float("nan")
    if not _is_number(cell):
        return cell
    digits = cell.strip().lstrip("+-")
    return int(cell) if digits.isascii() and digits.isdigit() and len(digits) <= _MOST_DIGITS else float(cell)


def _as_table(columns: dict[str, list[Any]], schema: Mapping[str, Any] | None) -> Any:
    """Return columns as a frame; as rows in their order, or by name, for a model of arrays, which needs no pandas."""
    if (schema or {}).get("kind") == "array":
        return [list(row) for row in zip(*columns.values(), strict=True)]
    if (schema or {}).get("kind") == "tensors":
        return columns
    return _pandas("A CSV with columns").DataFrame(columns)


def _read_json(text: str, form: str) -> Any:
    try:
        if form == "json":
            content = json.loads(text)
            if isinstance(content, dict) and content.keys() == {"columns", "data"}:
                return _pandas("JSON with columns").DataFrame(content["data"], columns=content["columns"])
            return content
        rows = []
        for at, line in enumerate(text.splitlines(), 1):
            if line.strip():
                try:
                    rows.append(json.loads(line))
                except ValueError as exc:
                    raise InvalidValueError(f"Line {at} of the input is not JSON: {exc}") from exc
    except RecursionError as exc:
        raise InvalidValueError("The JSON of the input is nested too deeply.") from exc
    except InvalidValueError:
        raise
    except ValueError as exc:  # a number with too many digits, too
        raise InvalidValueError(f"The input is not JSON: {exc}") from exc
    return rows


def write_rows(predictions: Any, form: str, target: BinaryIO, names: list[str] | None = None) -> int:
    """Write predictions: a column ``prediction``, or several with their *names* or numbers. Return how many rows."""
    columns = _columns(predictions, names)
    counts = {name: len(column) for name, column in columns.items()}
    if len(set(counts.values())) > 1:
        each = some([f"{name} {count}" for name, count in counts.items()])
        raise InvalidValueError(f"The outputs have different numbers of rows, which no table holds: {each}.")
    _write(predictions, columns, form, target)
    return next(iter(counts.values()), 0)


def _write(predictions: Any, columns: dict[str, list[Any]], form: str, target: BinaryIO) -> None:
    if form == "npy":
        import numpy as np

        if isinstance(predictions, Mapping):
            raise InvalidValueError("The model has several outputs, and .npy holds one array: write .json or .parquet.")
        np.save(target, np.asarray(predictions), allow_pickle=False)
        return
    if form == "parquet":
        _pandas("Parquet", "pyarrow").DataFrame(columns).to_parquet(target, index=False)
        return
    rows = list(zip(*columns.values(), strict=True))
    if form in ("csv", "tsv"):
        text = io.StringIO()
        writer = csv.writer(text, delimiter="," if form == "csv" else "\t", lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(["" if value is None else value for value in row] for row in rows)
        target.write(text.getvalue().encode())
        return
    records = [dict(zip(columns, (_finite(value) for value in row), strict=True)) for row in rows]
    if form == "json":
        target.write((json.dumps(records, ensure_ascii=False) + "\n").encode())
        return
    target.write("".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records).encode())


def _finite(value: Any) -> Any:
    """Return *value* as JSON can hold it: NaN and the infinities as null."""
    if isinstance(value, float) and value - value != 0:
        return None
    return [_finite(item) for item in value] if isinstance(value, list) else value


def _columns(predictions: Any, names: list[str] | None) -> dict[str, list[Any]]:
    import numpy as np

    if is_frame(predictions):
        return {str(name): [plain(v) for v in predictions[name]] for name in predictions.columns}
    if isinstance(predictions, Mapping):
        return {str(name): _cells(value) for name, value in predictions.items() if value is not None}
    array = np.asarray(predictions)
    if array.ndim == 2 and array.shape[1] > 1:
        named = names or [f"prediction_{at}" for at in range(array.shape[1])]
        return {name: array[:, at].tolist() for at, name in enumerate(named)}
    return {"prediction": _cells(array)}


def _cells(values: Any) -> list[Any]:
    """Return an output as the cells of one column: a value a row, or a list of them."""
    import numpy as np

    array = np.asarray(values)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    return array.tolist() if array.ndim else [array.item()]


def _pandas(what: str, *others: str) -> Any:
    import importlib.util

    missing = [name for name in ("pandas", *others) if importlib.util.find_spec(name) is None]
    if missing:
        raise InvalidValueError(f"{what} needs {' and '.join(missing)}: pip install {' '.join(missing)}")
    import pandas

    return pandas
