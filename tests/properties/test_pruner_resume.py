"""A pruner made anew from the store goes on as the one before it would have."""

from __future__ import annotations

import json
from typing import Any

import pytest
from optuna.pruners import WilcoxonPruner

from hpo.sampling.pruner import Pruner
from hpo.sampling.pruners import make_pruner
from tests.properties.trace import Trace
from trackers.states import RunState
from trackers.values import Trial

SPECS: dict[str, Any] = {
    "none": "none",
    "median": "median(n_startup_trials=2)",
    "halving": "successive_halving(min_resource=1, reduction_factor=2)",
    "halving, auto": "successive_halving(reduction_factor=2)",
    "hyperband": "hyperband",
    "hyperband to 30": "hyperband(max_resource=30, reduction_factor=2)",
    "asha": "asha(n_startup_trials=2)",
    "asha from 1": "asha(min_resource=1, n_startup_trials=2)",
    "threshold": "threshold(upper=0.7)",
    "patient asha": "patient(asha(n_startup_trials=2), patience=1)",
    "patient halving": "patient(successive_halving(reduction_factor=2), patience=1)",
    "wilcoxon": "wilcoxon",
    "an object": WilcoxonPruner,
}


class Shelf:
    """What a store keeps of a study's trials: reports, states, system attrs as JSON."""

    def __init__(self) -> None:
        self.trials: dict[int, dict[str, Any]] = {}
        self.attrs: dict[str, Any] = {}

    def note(self, event: tuple, pruner: Pruner) -> None:
        row = self.trials.setdefault(
            event[1], {"state": RunState.RUNNING, "earlier": {}, "now": {}, "value": None, "attrs": {}}
        )
        if event[0] == "report":
            row["now"].setdefault(event[2], event[3])
        elif event[0] == "finish":
            row["state"], row["value"] = event[2:]
        else:
            row["earlier"], row["now"] = self._merged(row), {}
        trial_attrs, study_attrs = pruner.drain()
        for number, attrs in trial_attrs.items():
            stored = self.trials[number]["attrs"]
            stored.update(json.loads(json.dumps(attrs)))
        self.attrs.update(json.loads(json.dumps(study_attrs)))

    def rows(self) -> list[Trial]:
        return [self._row(number, row) for number, row in sorted(self.trials.items())]

    @staticmethod
    def _merged(row: dict[str, Any]) -> dict[int, float]:
        """As the store does: what older attempts reported from a newer one's first step on is left away."""
        first = min(row["now"], default=float("inf"))
        return {**{step: value for step, value in row["earlier"].items() if step < first}, **row["now"]}

    def _row(self, number: int, row: dict[str, Any]) -> Trial:
        return Trial(
            number=number,
            state=row["state"],
            values=(row["value"],) if row["value"] is not None else None,
            intermediate_values=dict(sorted(self._merged(row).items())),
            system_attrs=row["attrs"],
        )


def requeue(trace: Trace, pruner: Pruner, shelf: Shelf, at: RunState) -> None:
    """Do what a resume does with the trials that were running: all start again."""
    for trial in list(trace.running):
        trace.running.remove(trial)
        trace.running.append(trace._start(trial.number))
        if trial.number in shelf.trials:
            shelf.trials[trial.number]["state"] = at
            pruner.forget(trial.number)
            shelf.note(("forget", trial.number), pruner)


@pytest.mark.filterwarnings(
    "ignore:The intermediate values", "ignore:WilcoxonPruner finds", "ignore:The best trial has"
)
@pytest.mark.parametrize("stored_as", [RunState.RUNNING, RunState.WAITING])
@pytest.mark.parametrize("name", SPECS)
def test_a_resumed_pruner_decides_as_an_uninterrupted_one(name: str, stored_as: RunState) -> None:
    for seed in range(4 if "wilcoxon" in name or "object" in name else 12):
        spec = SPECS[name] if isinstance(SPECS[name], str) else SPECS[name]()
        directions = ["minimize" if seed % 2 else "maximize"]
        pruner = make_pruner(spec, directions=directions, study_name="s")
        trace, shelf = Trace(seed, 30, restarts=True), Shelf()
        other: Pruner | None = None
        for count, event in enumerate(trace.events()):
            others = [pruner] if other is None else [pruner, other]
            if event[0] == "report":
                verdicts = [p.report(*event[1:]) for p in others]
                assert len(set(verdicts)) == 1, f"seed {seed}, event {count}: {event}"
                shelf.note(event, pruner)
                event = trace.stop(event[1]) if verdicts[0] else None
            if event is not None:
                for p in others:
                    getattr(p, event[0])(*event[1:])
                shelf.note(event, pruner)
            if count in (40, 150):
                spec = SPECS[name] if isinstance(SPECS[name], str) else SPECS[name]()
                other = make_pruner(spec, directions=directions, study_name="s")
                before = shelf.rows()
                requeue(trace, pruner, shelf, stored_as)
                other.load_study_attrs(shelf.attrs)
                for row in before if stored_as == RunState.RUNNING else shelf.rows():
                    other.add(row)
