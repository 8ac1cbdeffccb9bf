"""Tables that runs log: columns of plain values, as bytes of JSON or Parquet and back."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from trackers.errors import InvalidValueError, StoreError
from trackers.wording import counted

if TYPE_CHECKING:
    import pandas
    import pyarrow

FORMATS = ("json", "parquet")


class Table(Sequence[dict[str, Any]]):
    """A table: its *columns*, all of one length, and its rows as a sequence of mappings."""

    def __init__(self, columns: Mapping[str, Sequence[Any]]) -> None:
        self.columns: dict[str, list[Any]] = {name: list(values) for name, values in columns.items()}

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), ()))

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        return {name: values[index] for name, values in self.columns.items()}

    def __repr__(self) -> str:
        return f"<Table of {counted(len(self), 'row')}: {', '.join(self.columns)}>"

    def to_pandas(self) -> pandas.DataFrame:
        """Return it as a DataFrame (needs pandas)."""
        import pandas

        return pandas.DataFrame(self.columns)

    def to_arrow(self) -> pyarrow.Table:
        """Return it as an Arrow table (needs pyarrow)."""
        return _pyarrow().table(self.columns)


def as_table(data: Any) -> Table:
    """Read columns (a mapping of lists), rows (mappings), a DataFrame or an Arrow table.

    Raises InvalidValueError for anything else, and for columns of different lengths.
    """
    if isinstance(data, Table):
        return data
    if hasattr(data, "to_pydict"):
        columns = data.to_pydict()
    elif hasattr(data, "columns") and hasattr(data, "to_dict"):
        columns = data.to_dict(orient="list")
    elif isinstance(data, Mapping):
        columns = {name: list(values) if _is_many(values) else [values] for name, values in data.items()}
    elif isinstance(data, Iterable) and not isinstance(data, str | bytes):
        columns = _columns_of(list(data))
    else:
        raise InvalidValueError(f"a table is made of columns, rows, a DataFrame or an Arrow table, not {type(data)!r}")
    lengths = {len(values) for values in columns.values()}
    if len(lengths) > 1:
        shown = ", ".join(f"{name}: {len(values)}" for name, values in list(columns.items())[:5])
        raise InvalidValueError(f"the columns of a table are of one length, not {shown}")
    return Table({str(name): [_plain(value) for value in values] for name, values in columns.items()})


def _is_many(values: Any) -> bool:
    return isinstance(values, Iterable) and not isinstance(values, str | bytes | Mapping)


def _columns_of(rows: list[Any]) -> dict[str, list[Any]]:
    for row in rows:
        if not isinstance(row, Mapping):
            raise InvalidValueError(f"a row of a table is a mapping of names to values, not {type(row).__name__}")
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: [row.get(name) for row in rows] for name in names}


def _plain(value: Any) -> Any:
    if hasattr(value, "tolist"):  # NumPy's scalars and arrays
        return value.tolist()
    return value.isoformat() if isinstance(value, datetime | date) else value


def pack_table(table: Table, form: str) -> bytes:
    """Return *table* as the bytes of a file; *form* is ``"json"`` (columns, and rows as lists) or ``"parquet"``."""
    if form == "parquet":
        import io

        import pyarrow.parquet

        sink = io.BytesIO()
        pyarrow.parquet.write_table(table.to_arrow(), sink)
        return sink.getvalue()
    rows = [list(row) for row in zip(*table.columns.values(), strict=True)]
    try:
        text = json.dumps({"columns": list(table.columns), "data": rows}, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError) as exc:
        raise InvalidValueError(f"the table holds what JSON cannot: {exc}; name it NAME.parquet, or log text") from exc
    return text.encode("utf-8", "backslashreplace")


def unpack_table(content: bytes, form: str) -> Table:
    """Return the table that was stored as *content*."""
    if form == "parquet":
        import io

        _pyarrow()
        import pyarrow.parquet

        return Table(pyarrow.parquet.read_table(io.BytesIO(content)).to_pydict())
    read = json.loads(content)
    columns = list(zip(*read["data"], strict=True)) if read["data"] else [()] * len(read["columns"])
    return Table(dict(zip(read["columns"], columns, strict=True)))


def join_tables(parts: Iterable[tuple[Mapping[str, Any], Table]]) -> Table:
    """Put tables under each other; the constants of each come before its columns, and what one lacks is None."""
    found = [(constants, table) for constants, table in parts]
    names = dict.fromkeys(name for constants, table in found for name in (*constants, *table.columns))
    columns: dict[str, list[Any]] = {name: [] for name in names}
    for constants, table in found:
        rows = len(table)
        for name, values in columns.items():
            values += table.columns.get(name, [constants.get(name)] * rows)
    return Table(columns)


def _pyarrow() -> Any:
    try:
        import pyarrow
    except ImportError as exc:
        raise StoreError("a Parquet table needs pyarrow: pip install 'hpo[parquet]', or log it as JSON") from exc
    return pyarrow


def table_place(name: str) -> tuple[str, str]:
    """Return the folder of a table's parts, and their form, by its name: ``preds``, ``preds.json``, ``preds.parquet``.

    Raises InvalidValueError for another suffix.
    """
    stem, dot, suffix = name.rpartition(".")
    if dot and suffix.lower() in FORMATS and stem:
        return f"tables/{stem}", suffix.lower()
    if dot and suffix.lower() in {"csv", "xlsx", "feather", "arrow"}:
        raise InvalidValueError(f"a table is kept as JSON or Parquet: name it {stem}.json or {stem}.parquet")
    return f"tables/{name}", "json"
