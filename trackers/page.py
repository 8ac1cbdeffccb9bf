"""A page of runs, as a search returns it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, overload

from trackers.values import Run
from trackers.wording import counted

if TYPE_CHECKING:
    import pandas
    import pyarrow


class RunPage(Sequence[Run]):
    """The runs of one page; *next_token* asks for the page after it (None: this is the last)."""

    def __init__(self, runs: Sequence[Run], next_token: str | None = None) -> None:
        self._runs = tuple(runs)
        self.next_token = next_token

    @overload
    def __getitem__(self, index: int) -> Run: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Run]: ...

    def __getitem__(self, index: int | slice) -> Run | Sequence[Run]:
        return self._runs[index]

    def __len__(self) -> int:
        return len(self._runs)

    def __iter__(self) -> Iterator[Run]:
        return iter(self._runs)

    def __repr__(self) -> str:
        more = ", more follow" if self.next_token else ""
        return f"<RunPage of {counted(len(self), 'run')}{more}>"

    def _repr_html_(self) -> str | None:
        """Show the runs as a table in a notebook, where there is pandas."""
        import importlib.util

        if not self._runs or importlib.util.find_spec("pandas") is None:
            return None
        html: str = self.to_pandas()._repr_html_()
        return html

    def to_rows(self) -> list[dict[str, Any]]:
        """Return a flat dict a run: its attributes, then ``params.NAME``, ``metrics.NAME``, ``tags.NAME``.

        A run without a param, metric or tag that another one has holds None there.
        """
        columns = {
            f"{kind}.{name}": None
            for kind in ("params", "metrics", "tags")
            for run in self._runs
            for name in getattr(run, kind)
        }
        return [_row(run, columns) for run in self._runs]

    def to_pandas(self) -> pandas.DataFrame:
        """Return the same rows as a DataFrame (needs pandas)."""
        import pandas

        rows = [{name: whole(value) for name, value in row.items()} for row in self.to_rows()]
        return pandas.DataFrame(rows) if rows else pandas.DataFrame(columns=list(_ATTRIBUTES))

    def to_arrow(self) -> pyarrow.Table:
        """Return the same rows as an Arrow table (needs pyarrow); a column of several types becomes text."""
        import pyarrow

        rows = self.to_rows()
        columns = {name: [row[name] for row in rows] for name in (rows[0] if rows else _ATTRIBUTES)}
        return pyarrow.table({name: _column(values) for name, values in columns.items()})


def whole(value: Any) -> Any:
    """Return *value*; half a character in a text, which UTF-8 does not have, as an escape."""
    if isinstance(value, str) and not value.isascii():
        return value.encode("utf-8", "backslashreplace").decode()
    return value


def _column(values: list[Any]) -> list[Any]:
    values = [whole(value) for value in values]
    kinds = {type(value) for value in values if value is not None}
    if int in kinds and any(isinstance(value, int) and not -(2**63) <= value < 2**63 for value in values):
        return [None if value is None else str(value) for value in values]  # larger than Arrow's integers
    if kinds <= {int, float}:
        return [None if value is None else float(value) for value in values] if len(kinds) > 1 else values
    if len(kinds) > 1 or kinds & {list, dict, tuple}:
        return [value if value is None or isinstance(value, str) else json.dumps(value) for value in values]
    return values


_ATTRIBUTES = (
    *("run_id", "experiment", "number", "name", "state", "value"),
    *("created", "started", "ended", "duration", "parent", "user", "host"),
)


def _row(run: Run, columns: dict[str, Any]) -> dict[str, Any]:
    ended, started = run.ended_at, run.started_at
    row: dict[str, Any] = {
        "run_id": run.uid,
        "experiment": run.experiment,
        "number": run.number,
        "name": run.name,
        "state": run.state.name,
        "value": run.values[0] if run.values else None,
        "created": run.created_at,
        "started": started,
        "ended": ended,
        "duration": (ended - started).total_seconds() if ended is not None and started is not None else None,
        "parent": run.parent or None,
        "user": run.user,
        "host": run.host,
        **columns,
    }
    for kind in ("params", "metrics", "tags"):
        row.update((f"{kind}.{name}", value) for name, value in getattr(run, kind).items())
    return row
