"""The tracking store and model registry: runs, params, metrics, files and models in one database.

store = trackers.connect("sqlite:///hpo.db")
with store.start_run(experiment="fraud", params={"depth": 3}) as run:
    run.log_metrics({"auc": 0.91}, step=1)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from trackers.collector import held_collector

if TYPE_CHECKING:
    from trackers.active import ActiveRun, active_run
    from trackers.autologging import autolog
    from trackers.default import start_run
    from trackers.drain import Synced, sync
    from trackers.fluent import (
        end_run,
        log_artifact,
        log_artifacts,
        log_dict,
        log_figure,
        log_image,
        log_input,
        log_metric,
        log_metrics,
        log_model,
        log_param,
        log_params,
        log_points,
        log_table,
        log_text,
        set_tag,
        set_tags,
    )
    from trackers.keeping.restore import restore
    from trackers.models import download_model, load_model
    from trackers.store import Store, connect, upgrade_store

_FLUENT = (
    *("log_param", "log_params", "log_metric", "log_metrics", "log_points", "set_tag", "set_tags"),
    *("log_artifact", "log_artifacts", "log_text", "log_dict", "log_table", "log_figure", "log_image"),
    *("log_input", "log_model", "end_run"),
)
"""Functions that act on the active run."""

_HOMES = {
    "ActiveRun": "trackers.active",
    "Store": "trackers.store",
    "Synced": "trackers.drain",
    "active_run": "trackers.active",
    "autolog": "trackers.autologging",
    "connect": "trackers.store",
    "download_model": "trackers.models",
    "load_model": "trackers.models",
    "restore": "trackers.keeping.restore",
    "start_run": "trackers.default",
    "sync": "trackers.drain",
    "upgrade_store": "trackers.store",
    **dict.fromkeys(_FLUENT, "trackers.fluent"),
}
"""Public names and the module of each, which is imported when the name is first used."""

_OF_MLFLOW = {
    "MlflowClient": "its calls are those of the store, trackers.connect(URL), and of its registry",
    "create_experiment": "an experiment is made where it is new, trackers.start_run('fraud')",
    "get_run": "call store.get_run(ID) of store = trackers.connect(URL)",
    "get_tracking_uri": "it is the variable HPO_STORAGE, or sqlite:///hpo.db",
    "log_inputs": "call trackers.log_input for each of them",
    "pyfunc": "call trackers.load_model(URI)",
    "register_model": "call store.registry.register(NAME, 'runs:/ID/model') of store = trackers.connect(URL)",
    "search_experiments": "call store.list_experiments() of store = trackers.connect(URL)",
    "search_registered_models": "call store.registry.list() of store = trackers.connect(URL)",
    "search_runs": "call store.search_runs(...) of store = trackers.connect(URL); .to_pandas() of that is a frame",
    "set_experiment": "name the experiment at each start, trackers.start_run('fraud')",
    "set_registry_uri": "the registry is in the store: set the variable HPO_STORAGE, or call trackers.connect(URL)",
    "set_tracking_uri": "set the variable HPO_STORAGE, or call trackers.connect(URL)",
}
"""Names that people know from MLflow, and what is called here."""

__all__ = [
    "ActiveRun",
    "Store",
    "Synced",
    "active_run",
    "autolog",
    "connect",
    "download_model",
    "end_run",
    "load_model",
    "log_artifact",
    "log_artifacts",
    "log_dict",
    "log_figure",
    "log_image",
    "log_input",
    "log_metric",
    "log_metrics",
    "log_model",
    "log_param",
    "log_params",
    "log_points",
    "log_table",
    "log_text",
    "restore",
    "set_tag",
    "set_tags",
    "start_run",
    "sync",
    "upgrade_store",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        hint = f": {_OF_MLFLOW[name]}" if name in _OF_MLFLOW else ""
        raise AttributeError(f"module 'trackers' has no attribute {name!r}{hint}", name=name)
    with held_collector():  # what imports make stays: a tenth of the time goes into looking through it
        value = globals()[name] = getattr(import_module(home), name)
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
