"""Stop a trial only after it has gone some steps without an improvement."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from hpo.errors import SettingsError
from hpo.sampling.curve import Curve
from hpo.sampling.pruner import CurvePruner, Pruner, TrialAttrs
from hpo.sampling.rules import AlwaysRule, PatientRule, Rule
from trackers.states import RunState
from trackers.values import Trial


class AlwaysPruner(CurvePruner):
    """Stop whatever it is asked about: what patience alone waits for."""

    name = "always"

    def _decide(self, number: int, curve: Curve) -> bool:
        return True

    def _freeze(self) -> Rule:
        return AlwaysRule(self.version)


class PatientPruner(Pruner):
    """Decide exactly as Optuna's ``PatientPruner`` over one of Optuna's pruners, or over ``asha``.

    *wrapped* is asked only once the best of the last *patience* + 1 steps is worse than the best before them by more
    than *min_delta*; None stops the trial then.
    """

    name = "patient"

    def __init__(
        self, wrapped: Pruner | None = None, patience: int = 5, min_delta: float = 0.0, *, maximize: bool = False
    ) -> None:
        if patience < 0:
            raise SettingsError(f"the patient pruner needs a patience of 0 or more, not {patience}")
        if not min_delta >= 0.0:
            raise SettingsError(f"the patient pruner needs a min_delta of 0 or more, not {min_delta}")
        self._inner = AlwaysPruner(maximize=maximize) if wrapped is None else wrapped
        self._rule = PatientRule(maximize=maximize, patience=patience, min_delta=min_delta)
        self._snapshot: PatientRule | None = None
        if isinstance(self._inner, CurvePruner | PatientPruner):
            self._inner.restrict(self._rule.opens)
        self.note = self._inner.note

    def restrict(self, gate: Callable[[Curve], bool]) -> None:
        """Let trials be judged only while *gate* is open for their curve as well."""
        if isinstance(self._inner, CurvePruner | PatientPruner):
            self._inner.restrict(gate)

    def report(self, number: int, step: int, value: float) -> bool:
        return self._inner.report(number, step, value)

    def observe(self, number: int, step: int, value: float) -> None:
        self._inner.observe(number, step, value)

    def finish(self, number: int, state: RunState, value: float | None) -> None:
        self._inner.finish(number, state, value)

    def forget(self, number: int) -> None:
        self._inner.forget(number)

    def add(self, trial: Trial) -> None:
        self._inner.add(trial)

    def drain(self) -> tuple[TrialAttrs, dict[str, Any]]:
        return self._inner.drain()

    def load_study_attrs(self, attrs: Mapping[str, Any]) -> None:
        self._inner.load_study_attrs(attrs)

    def rule(self) -> Rule | None:
        inner = self._inner.rule()
        if inner is None:
            return None
        if self._snapshot is None or self._snapshot.inner is not inner:
            self._snapshot = replace(self._rule, version=inner.version, inner=inner)
        return self._snapshot
