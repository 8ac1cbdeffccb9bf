"""Synthetic studies for reports: an ordinary one, and the odd ones that people have."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from hpo.reports import StudyView
from trackers.states import RunState
from trackers.values import Attempt, ModelVersion, StudyRow, Trial

START = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
HOSTILE = "<script>alert('x')</script>"
OUTCOMES = {RunState.COMPLETE: "complete", RunState.PRUNED: "pruned", RunState.FAIL: "fail"}


def distribution(
    low: float, high: float, *, kind: str = "Float", log: bool = False, step: Any = None
) -> dict[str, Any]:
    attributes = {"low": low, "high": high, "log": log, "step": step if kind == "Float" else 1}
    return {"name": f"{kind}Distribution", "attributes": attributes}


def choices(*values: Any) -> dict[str, Any]:
    return {"name": "CategoricalDistribution", "attributes": {"choices": list(values)}}


SPACE: dict[str, dict[str, Any]] = {
    "lr": distribution(1e-5, 1e-1, log=True),
    "layers": distribution(1, 6, kind="Int"),
    "width": distribution(16, 512, kind="Int", log=True),
    "dropout": distribution(0.0, 0.6),
    "optimizer": choices("adam", "sgd", None),
    "momentum": {**distribution(0.0, 0.99), "when": {"optimizer": ["sgd"]}},
    "batch_norm": choices(True, False),
}


def params(rng: random.Random, extra: int = 0) -> dict[str, Any]:
    drawn: dict[str, Any] = {
        "lr": 10 ** rng.uniform(-5, -1),
        "layers": rng.randint(1, 6),
        "width": int(2 ** rng.uniform(4, 9)),
        "dropout": rng.uniform(0, 0.6),
        "optimizer": rng.choice(["adam", "sgd", None]),
        "batch_norm": rng.random() < 0.5,
    }
    if drawn["optimizer"] == "sgd":
        drawn["momentum"] = rng.uniform(0.0, 0.99)
    return drawn | {f"a_rather_long_param_name_{index}": rng.random() for index in range(extra)}


def view(
    count: int,
    directions: tuple[str, ...] = ("maximize",),
    *,
    reports: int = 8,
    workers: int = 4,
    extra: int = 0,
    seed: int = 0,
    pruned: float = 0.5,
    failed: float = 0.04,
    **row: Any,
) -> StudyView:
    """Make a study of *count* trials; the same seed makes the same study."""
    rng = random.Random(seed)
    busy = [0.0] * workers
    space = SPACE | {f"a_rather_long_param_name_{index}": distribution(0.0, 1.0) for index in range(extra)}
    trials = []
    for number in range(count):
        drawn = params(rng, extra)
        worker = min(range(workers), key=busy.__getitem__)
        quality = 0.98 - 0.03 * (math.log10(drawn["lr"]) + 2.7) ** 2 - 0.05 * drawn["dropout"] + rng.gauss(0.0, 0.005)
        chance = rng.random()
        state = RunState.FAIL if chance < failed else RunState.PRUNED if chance < failed + pruned else RunState.COMPLETE
        steps = reports if state is RunState.COMPLETE else rng.randint(1, max(1, reports // 2))
        curve = {step: quality * (1 - 0.7 * math.exp(-step / 2)) for step in range(min(steps, reports))}
        begin = busy[worker] + 0.05
        busy[worker] = begin + 0.2 * (1 + steps)
        values = (quality, drawn["width"] / 100 + rng.random(), drawn["layers"] * 7.0)[: len(directions)]
        attempt = Attempt(
            0,
            f"worker-{worker}",
            "node",
            100 + worker,
            START + timedelta(seconds=begin),
            START + timedelta(seconds=busy[worker]),
            OUTCOMES[state],
        )
        broken = state is RunState.FAIL
        trials.append(
            Trial(
                number,
                state,
                drawn,
                values=values if state is RunState.COMPLETE else None,
                intermediate_values=curve if len(directions) == 1 else {},
                distribution_specs={name: space[name] for name in drawn},
                attempts=(attempt,),
                started_at=attempt.started_at,
                ended_at=attempt.ended_at,
                error=f"Input contains NaN at row {number}" if broken else None,
                error_type="ValueError" if broken else None,
                traceback="Traceback (most recent call last):\n  ...\nValueError: Input contains NaN"
                if broken
                else None,
                run_id=1000 + number,
                study="digits",
            )
        )
    names = ("accuracy", "latency", "size")[: len(directions)]
    study = StudyRow(1, "0" * 32, "digits", directions, names, START, distributions=space, **({"space": space} | row))
    return StudyView(study, tuple(trials), storage="sqlite:///hpo.db", made_at=START + timedelta(hours=1))


def changed(base: StudyView, change: Callable[[Trial], Trial], diff: str = "", **row: Any) -> StudyView:
    return replace(base, diff=diff, row=replace(base.row, **row), trials=tuple(change(trial) for trial in base.trials))


def few_params(base: StudyView) -> StudyView:
    """Keep a number, a choice and what depends on it: each param is a panel, and panels are what a report waits for."""
    kept = ("lr", "optimizer", "momentum")
    space = {name: SPACE[name] for name in kept}

    def less(trial: Trial) -> Trial:
        drawn = {name: trial.params[name] for name in kept if name in trial.params}
        return replace(trial, params=drawn, distribution_specs={name: SPACE[name] for name in drawn})

    return changed(base, less, space=space, distributions=space)


def _odd_value(trial: Trial) -> Trial:
    odd = {1: math.nan, 2: math.inf, 3: -math.inf, 4: 1e300, 5: -1e308, 6: 0.0}
    curve = {**trial.intermediate_values, 2: math.nan, 3: math.inf}
    values = (odd[trial.number],) if trial.values and trial.number in odd else trial.values
    return replace(trial, values=values, intermediate_values=curve)


def _hostile(trial: Trial) -> Trial:
    drawn = {
        HOSTILE: trial.params["lr"],
        "$x_1$ \\frac": f"{HOSTILE} & $y^$ 'quoted' \"double\"",
        "学习率\u202e": "ü\x00\n🚀",
    }
    error = f"{HOSTILE}\x00 {trial.number}" if trial.error else None
    specs = {HOSTILE: SPACE["lr"]}
    return replace(
        trial,
        params=drawn,
        distribution_specs=specs,
        error=error,
        error_type=HOSTILE if error else None,
        traceback=f"</pre>{HOSTILE}\ud800" if error else None,
        model_error=HOSTILE,
    )


def odd_views() -> dict[str, StudyView]:
    """Return every odd study by name."""
    ordinary = view(120)
    winner = ordinary.ranking.best
    assert winner is not None
    version = ModelVersion("digits-model", 3, "m", winner.run_id, "", START, "ada", aliases=("production",))
    none_complete = [replace(t, state=RunState.RUNNING, values=None, ended_at=None) for t in view(3, pruned=0).trials]
    return {
        "ordinary": replace(
            changed(ordinary, lambda t: replace(t, model="m") if t is winner else t),
            versions=(version,),
        ),
        "empty": view(0, space=None),
        "one_trial": few_params(view(1, pruned=0.0, failed=0.0)),
        "none_complete": view(30, pruned=0.8, failed=0.2),
        "only_running": replace(ordinary, trials=tuple(none_complete)),
        "all_failed": view(12, pruned=0.0, failed=1.0),
        "two_objectives": few_params(view(80, ("maximize", "minimize"), pruned=0.0)),
        "three_objectives": few_params(view(80, ("maximize", "minimize", "minimize"), pruned=0.0)),
        "one_of_three_objectives": few_params(view(1, ("maximize", "minimize", "minimize"), pruned=0.0, failed=0.0)),
        "nan_and_inf": changed(few_params(view(60, pruned=0.2)), _odd_value),
        "all_nan": changed(view(6, pruned=0.0), lambda t: replace(t, values=(math.nan,) if t.values else None)),
        "all_equal": changed(few_params(view(30)), lambda t: replace(t, values=(0.5,) if t.values else None)),
        "huge_range": changed(
            few_params(view(60, ("minimize",), pruned=0)),
            lambda t: replace(t, values=(10.0 ** (t.number % 9),) if t.values else None),
        ),
        "sixty_params": view(60, extra=54, pruned=0.2),
        "no_params": changed(
            view(20), lambda t: replace(t, params={}, distribution_specs={}), space=None, distributions={}
        ),
        "all_infeasible": changed(few_params(view(10, pruned=0)), lambda t: replace(t, constraints={"memory": 1.0})),
        "hostile": changed(
            view(40),
            _hostile,
            name=f"{HOSTILE} 学习 $a",
            metric_names=(f"{HOSTILE}$",),
            description=f"</p>{HOSTILE}",
            space=None,
            distributions={HOSTILE: SPACE["lr"]},
            settings={HOSTILE: HOSTILE},
            diff=f"</pre>{HOSTILE}",
            code={"commit": HOSTILE, "dirty": True, "source": {"text": HOSTILE}},
            environment={"python": HOSTILE, "packages": {HOSTILE: HOSTILE}},
        ),
        "unknown_distributions": changed(
            few_params(view(60)), lambda t: replace(t, distribution_specs={}, attempts=()), space=None, distributions={}
        ),
        "many_workers": changed(
            few_params(view(300, workers=90)), lambda t: replace(t, constraints={"memory": t.number - 200.0})
        ),
        "long_choices": changed(
            view(60),
            lambda t: replace(
                t,
                params={"kernel": f"a very long choice of words number {t.number % 15}", "shape": [t.number % 3, 2]},
                distribution_specs={},
            ),
            space=None,
            distributions={},
        ),
    }
