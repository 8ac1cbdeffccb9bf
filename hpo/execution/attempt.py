"""One attempt of one trial: call the objective, and turn whatever comes out of it into an outcome."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable, Mapping
from typing import Any

from hpo.errors import TrialPruned, TrialStopped
from hpo.execution.alarm import WorkerEnded
from hpo.execution.capture import recording
from hpo.execution.messages import News, Outcome
from hpo.trial import Trial
from trackers.active import reset_active, set_active
from trackers.clock import now_us
from trackers.states import RunState

Objective = Callable[..., Any]


def run_attempt(
    trial: Trial,
    objective: Objective,
    args: Mapping[str, Any],
    news: Callable[[Trial], News],
    retry_on: tuple[str, ...] = (),
    *,
    interruptible: bool = True,
) -> Outcome:
    """Run *objective* on *trial*; *news* collects what is unsent when it ends. Raises nothing but WorkerEnded.

    Where it is *interruptible*, KeyboardInterrupt is Ctrl-C, and the trial goes back; elsewhere the objective raised
    it.
    """
    started = now_us()
    token = set_active(trial)
    try:
        with recording() as tail:
            trial.output = tail
            verdict = _call(trial, objective, args, retry_on, interruptible)
    finally:
        reset_active(token)
    ended = now_us()
    return Outcome(news=news(trial), started=started, ended=ended, log=tail.text(), **verdict)


def _call(
    trial: Trial, objective: Objective, args: Mapping[str, Any], retry_on: tuple[str, ...], interruptible: bool
) -> dict[str, Any]:
    try:
        result = objective(trial, **args)
    except TrialStopped:
        return {"state": None}
    except WorkerEnded:
        raise
    except BaseException as exc:  # noqa: BLE001 - the objective's failure costs one trial, SystemExit and all
        if interruptible and isinstance(exc, KeyboardInterrupt):
            return {"state": None}
        return {"state": RunState.PRUNED} if is_pruned(exc) else _failure(exc, retry_on)
    return check_result(result, trial.facts.metric_names)


def is_pruned(exc: BaseException) -> bool:
    """Tell whether *exc* means "this trial is hopeless": ours, or Optuna's where Optuna is loaded."""
    if isinstance(exc, TrialPruned):
        return True
    optuna = sys.modules.get("optuna")
    foreign = getattr(optuna, "TrialPruned", None)
    return foreign is not None and isinstance(exc, foreign)


def _failure(exc: BaseException, retry_on: tuple[str, ...]) -> dict[str, Any]:
    names = {f"{c.__module__}.{c.__qualname__}" for c in type(exc).__mro__}
    return {
        "state": RunState.FAIL,
        "error_type": type(exc).__name__,
        "error": f"{type(exc).__name__}: {exc}",
        "traceback": _own_traceback(exc),
        "retryable": not names.isdisjoint(retry_on),
    }


def _own_traceback(exc: BaseException) -> str:
    """Format the traceback without the frames of this file: a person looks for their own."""
    tb = exc.__traceback__
    while tb is not None and os.path.dirname(tb.tb_frame.f_code.co_filename) == os.path.dirname(__file__):
        tb = tb.tb_next
    return "".join(traceback.format_exception(type(exc), exc, tb))


def check_result(result: Any, metric_names: tuple[str, ...]) -> dict[str, Any]:
    """Turn what an objective returned into a state, values, or a sentence that says what is wrong with it."""
    wanted = len(metric_names)
    several = isinstance(result, list | tuple)
    given = list(result) if several else [result]
    if result is None:
        return _wrong("the objective returned None: return a float" + _each(wanted))
    if len(given) != wanted:
        has = f"{len(given)} values" if several else "one value"
        do = f"return {wanted}" if wanted > 1 else "return one, or give a direction for each"
        return _wrong(f"the objective returned {has}, and the study has {wanted} objective{'s' * (wanted > 1)}: {do}")
    values = []
    for name, value in zip(metric_names, given, strict=True):
        if isinstance(value, str | bytes):
            return _wrong(f"the objective returned text ({value!r:.60}) for {name!r}: return a float")
        try:
            values.append(float(value))
        except (TypeError, ValueError):
            return _wrong(f"the objective returned a {type(value).__name__} for {name!r}: return a float")
        except OverflowError:
            return _wrong(f"the objective returned a number for {name!r} that is too large for a float")
    nan = [n for n, v in zip(metric_names, values, strict=True) if v != v]
    if nan:
        sentence = f"the objective returned NaN for {', '.join(map(repr, nan))}: the trial has no result"
        return _wrong(sentence, "FloatingPointError")  # it came of the numbers, not of how the objective is written
    return {"state": RunState.COMPLETE, "values": tuple(values)}


def _each(wanted: int) -> str:
    return f" for each of the {wanted} objectives" if wanted > 1 else ""


def _wrong(sentence: str, kind: str = "ResultError") -> dict[str, Any]:
    return {"state": RunState.FAIL, "error_type": kind, "error": sentence}
