"""A store with something of every kind, and all of it as JSON."""

from __future__ import annotations

import dataclasses
import math
from datetime import datetime
from typing import Any

import trackers
from tests.unit.filled_store import _digits, _pareto
from trackers.changes import ModelLogged
from trackers.states import RunState

AWKWARD = {
    "nan": math.nan,
    "inf": math.inf,
    "text": "a\x00b \U0001f600 \x1a",
    "big": 2**70,
    "none": None,
    "list": [1, "a"],
}


def fill(store: trackers.Store) -> None:
    """Write studies, runs, series, files, a registered model and its history."""
    _pareto(store)
    _digits(store)
    with store.start_run("fraud", name="first", params=AWKWARD, tags={"team": "ünïcode"}) as run:
        for step in range(5):
            run.log_metrics({"auc": step / 5, "loss": math.nan if step == 2 else 1.0 / (step + 1)}, step=step)
        run.log_metrics({"auc": 0.5}, step=1, context={"split": "val"})
    try:
        with store.start_run("fraud", name="second"):
            raise ValueError("it broke")
    except ValueError:
        pass
    manifest = {"flavor": "python", "version": 1}
    model = ModelLogged(run.id, 1, "0" * 31 + "1", manifest=manifest, files={"model.json": ("a" * 64, 7)}, value=0.5)
    store.writer.submit([model]).wait()
    logged = store.get_logged_model(run.id)
    assert logged is not None
    version = store.registry.register("fraud-model", logged, metrics={"auc": 0.8}, tags={"stage": "test"})
    store.registry.promote("fraud-model", version.version, to="production", reason="the first")
    store.registry.describe("fraud-model", "finds fraud")


def describe(store: trackers.Store) -> Any:
    """Return everything in *store* that its front door reads."""
    studies = [store.get_study(row.id) for row in store.list_studies()]
    runs = list(store.search_runs(limit=1000, order_by="attributes.created"))
    return plain(
        {
            "experiments": store.list_experiments(),
            "studies": studies,
            "trials": {row.name: store.get_trials(row.id) for row in studies},
            "events": {row.name: store.events(row.id) for row in studies},
            "runs": runs,
            "series": {run.uid: store.metrics(run) for run in runs},
            "points": {
                f"{run.uid} {one.key} {one.context}": store.metric_history(run, one.key, one.context)
                for run in runs
                for one in store.metrics(run)
            },
            "models": store.registry.list(),
            "versions": store.registry.versions("fraud-model"),
            "history": store.registry.history("fraud-model"),
        }
    )


def plain(value: Any) -> Any:
    """Return *value* as JSON can hold it, its fields by name."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, RunState):
        return value.name
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, dict) or hasattr(value, "items"):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value
