"""The table of trials that Optuna's ``Study.trials_dataframe`` returns, of ours."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from hpo.errors import UserError
from hpo.wording import suggestion
from trackers.states import RunState
from trackers.values import Trial

if TYPE_CHECKING:
    import pandas as pd

ATTRS = (
    "number",
    "value",
    "datetime_start",
    "datetime_complete",
    "duration",
    "params",
    "user_attrs",
    "system_attrs",
    "state",
)
"""The columns, as Optuna has them; *value* becomes *values* with several objectives."""

_NESTED = (
    "params",
    "user_attrs",
    "system_attrs",
    "intermediate_values",
    "constraints",
    "metrics",
    "tags",
    "logged_params",
)
_OTHERS = ("values", "run_id", "uid", "error", "error_type", "model", "last_step", "cost", "feasible", *_NESTED[3:])

Column = tuple[str, str]


def trials_frame(
    trials: Iterable[Trial], metric_names: Sequence[str], attrs: Sequence[str] = ATTRS, *, multi_index: bool = False
) -> pd.DataFrame:
    """Return one row a trial, by number, with the columns *attrs*; the names of nested ones are joined by ``_``.

    Times are naive local ones, as Optuna's are. *multi_index* keeps nested names as a second level. A study without
    trials has the columns that are not nested. Raises: UserError for a column that there is not.
    """
    import pandas as pd

    if "value" in attrs and len(metric_names) > 1:
        attrs = ["values" if attr == "value" else attr for attr in attrs]
    for attr in attrs:
        if attr not in ATTRS and attr not in _OTHERS:
            raise UserError(f"trials_dataframe has no column {attr!r}{suggestion(attr, [*ATTRS, *_OTHERS]) or '.'}")
    records = [_record(trial, attrs, metric_names) for trial in sorted(trials, key=lambda trial: trial.number)]
    columns = _columns(records, attrs, metric_names)
    frame = pd.DataFrame(
        {column: [record.get(column) for record in records] for column in columns},
        columns=pd.MultiIndex.from_tuples(columns),
    )
    if not multi_index:
        frame.columns = pd.Index(["_".join(filter(None, column)) for column in columns])
    return frame


def _record(trial: Trial, attrs: Sequence[str], names: Sequence[str]) -> dict[Column, Any]:
    record: dict[Column, Any] = {}
    for attr in attrs:
        value = getattr(trial, attr)
        if attr == "values":
            record.update({(attr, name): None if value is None else value[i] for i, name in enumerate(_labels(names))})
        elif isinstance(value, Mapping):
            record.update({(attr, str(name)): inner for name, inner in value.items()})
        elif isinstance(value, RunState):
            record[attr, ""] = value.name
        elif isinstance(value, datetime):
            record[attr, ""] = value.astimezone().replace(tzinfo=None)
        else:
            record[attr, ""] = value
    return record


def _labels(names: Sequence[str]) -> list[str]:
    """Return what the columns of several values are called: their positions, where nobody gave them names."""
    return [str(i) if name == f"value_{i}" else name for i, name in enumerate(names)]


def _columns(records: Sequence[Mapping[Column, Any]], attrs: Sequence[str], names: Sequence[str]) -> list[Column]:
    there = {column for record in records for column in record}
    columns: list[Column] = []
    for attr in attrs:
        if attr == "values":
            columns += [(attr, name) for name in _labels(names)]
        elif attr in _NESTED:
            columns += sorted(column for column in there if column[0] == attr)
        else:
            columns.append((attr, ""))
    return columns
