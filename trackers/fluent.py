"""Functions that log to the active run: ``trackers.log_metric("loss", 0.1)``, for who comes from MLflow."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from trackers.active import ActiveRun, active_run
from trackers.errors import StateError
from trackers.recorder import Recorder


def _needed(what: str) -> Any:
    run = active_run()
    if run is None:
        raise StateError(
            f"trackers.{what} logs to the active run, and there is none: call trackers.start_run() first, or log inside "
            "`with trackers.start_run():`"
        )
    return run


def _function(name: str) -> Callable[..., Any]:
    method = getattr(Recorder, name, None) or getattr(ActiveRun, name)

    @wraps(method)
    def call(*args: Any, **kwargs: Any) -> Any:
        return getattr(_needed(name), name)(*args, **kwargs)

    call.__qualname__ = name
    call.__module__ = "trackers"
    call.__doc__ = f"Call `{name}` of the active run (the trial, inside an objective).\n\n    {method.__doc__ or ''}"
    return call


log_artifact = _function("log_artifact")
log_artifacts = _function("log_artifacts")
log_dict = _function("log_dict")
log_figure = _function("log_figure")
log_image = _function("log_image")
log_input = _function("log_input")
log_metric = _function("log_metric")
log_metrics = _function("log_metrics")
log_model = _function("log_model")
log_param = _function("log_param")
log_params = _function("log_params")
log_points = _function("log_points")
log_table = _function("log_table")
log_text = _function("log_text")
set_tag = _function("set_tag")
set_tags = _function("set_tags")


def end_run(state: Any = None) -> None:
    """End the active run, as COMPLETE unless *state* says otherwise; a trial ends with its objective instead.

    Raises StateError where there is no active run.
    """
    run = _needed("end_run")
    if isinstance(run, ActiveRun):
        run.end() if state is None else run.end(state)
