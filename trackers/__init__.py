"""The tracking store and model registry: runs, params, metrics, files and models in one database.

store = trackers.connect("sqlite:///hpo.db")
with store.start_run(experiment="fraud", params={"depth": 3}) as run:
    run.log_metrics({"auc": 0.91}, step=1)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trackers.active import ActiveRun, active_run
    from trackers.default import start_run
    from trackers.models import load_model
    from trackers.store import Store, connect, upgrade_store

_HOMES = {
    "ActiveRun": "trackers.active",
    "Store": "trackers.store",
    "active_run": "trackers.active",
    "connect": "trackers.store",
    "load_model": "trackers.models",
    "start_run": "trackers.default",
    "upgrade_store": "trackers.store",
}
"""Public names and the module of each, which is imported when the name is first used."""

__all__ = ["ActiveRun", "Store", "active_run", "connect", "load_model", "start_run", "upgrade_store"]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'trackers' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(home), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
