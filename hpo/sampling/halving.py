"""Stop a trial at a rung unless it is among the best there: successive halving, as Optuna decides it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from hpo.errors import SettingsError
from hpo.sampling.bracket import Bracket, Entry
from hpo.sampling.curve import Curve
from hpo.sampling.pruner import CurvePruner, TrialAttrs
from hpo.sampling.rules import Rule
from trackers.states import RunState
from trackers.values import Trial

RUNG_ATTR = "completed_rung_{}"
"""Optuna's own name: its pruners and ours read each other's rungs."""
MIN_RESOURCE_ATTR = "pruner:successive_halving:min_resource"


def check_halving(name: str, reduction_factor: int, bootstrap_count: int) -> None:
    """Raise SettingsError unless the settings shared by the halving pruners make sense."""
    if reduction_factor < 2:
        raise SettingsError(f"the {name} pruner needs a reduction_factor of 2 or more, not {reduction_factor}")
    if bootstrap_count < 0:
        raise SettingsError(f"the {name} pruner needs a bootstrap_count of 0 or more, not {bootstrap_count}")


def check_resource(name: str, key: str, value: int | str | None) -> int | None:
    """Return *value* as a number of steps, None for ``"auto"``; SettingsError if it is neither."""
    if value is None or value == "auto":
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise SettingsError(f'the {name} pruner needs {key} of 1 or more, or "auto", not {value!r}')
    return value


def stored_entries(trial: Trial) -> list[Entry]:
    """Read the rungs a stored trial has passed."""
    entries: list[Entry] = []
    while (value := trial.system_attrs.get(RUNG_ATTR.format(len(entries)))) is not None:
        entries.append((len(entries), float(value)))
    return entries


class RungAttrs:
    """The rungs to be stored with the trials, since they cannot be told from the values alone."""

    def __init__(self) -> None:
        self._attrs: TrialAttrs = {}

    def entered(self, number: int, entries: list[Entry]) -> None:
        for rung, value in entries:
            self._attrs.setdefault(number, {})[RUNG_ATTR.format(rung)] = value

    def left(self, number: int, rungs: list[int]) -> None:
        for rung in rungs:
            self._attrs.setdefault(number, {})[RUNG_ATTR.format(rung)] = None

    def requeued(self, trial: Trial) -> None:
        self.left(trial.number, [rung for rung, _ in stored_entries(trial)])

    def drain(self) -> TrialAttrs:
        drained, self._attrs = self._attrs, {}
        return drained


class SuccessiveHalvingPruner(CurvePruner):
    """Decide exactly as Optuna's ``SuccessiveHalvingPruner`` (ASHA in stopping form; Li et al., MLSys 2020).

    Rung k is at step ``min_resource * reduction_factor ** (min_early_stopping_rate + k)``. With ``"auto"`` the
    resource is a hundredth of the longest completed trial's last step, at least 1, as it is at the first decision
    after a trial completed; it is stored with the study. A report costs O(log n), and constant time between rungs.
    """

    name = "successive_halving"

    def __init__(
        self,
        min_resource: int | str = "auto",
        reduction_factor: int = 4,
        min_early_stopping_rate: int = 0,
        bootstrap_count: int = 0,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(maximize=maximize)
        check_halving(self.name, reduction_factor, bootstrap_count)
        resource = check_resource(self.name, "min_resource", min_resource)
        if min_early_stopping_rate < 0:
            raise SettingsError(
                f"the {self.name} pruner needs min_early_stopping_rate of 0 or more, not {min_early_stopping_rate}"
            )
        if bootstrap_count > 0 and resource is None:
            raise SettingsError(f'the {self.name} pruner needs a number for min_resource, not "auto", to bootstrap')
        self._scale = reduction_factor**min_early_stopping_rate
        self._resource = resource
        self._longest: int | None = None
        self._bracket = Bracket(
            maximize=maximize, first=self._first(resource), factor=reduction_factor, bootstrap=bootstrap_count
        )
        self._attrs = RungAttrs()
        self._study_attrs: dict[str, Any] = {}

    def load_study_attrs(self, attrs: Mapping[str, Any]) -> None:
        stored = attrs.get(MIN_RESOURCE_ATTR)
        if self._resource is None and stored is not None:
            self._start(int(stored))

    def drain(self) -> tuple[TrialAttrs, dict[str, Any]]:
        study, self._study_attrs = self._study_attrs, {}
        return self._attrs.drain(), study

    def _first(self, resource: int | None) -> int | None:
        return None if resource is None else resource * self._scale

    def _estimate(self) -> int | None:
        return self._resource if self._longest is None else self._resource or max(self._longest // 100, 1)

    def _start(self, resource: int) -> None:
        self._resource = resource
        self._bracket.start(resource * self._scale)
        self._note_changes()

    def _settle(self) -> None:
        """Fix the resource at a decision, if it is not yet and can be."""
        if self._resource is None and (resource := self._estimate()) is not None:
            self._start(resource)
            self._study_attrs[MIN_RESOURCE_ATTR] = resource

    def _decide(self, number: int, curve: Curve) -> bool:
        self._settle()
        stop, entries = self._bracket.judge(number, curve)
        self._attrs.entered(number, entries)
        self._note_changes()
        return stop

    def _follow(self, number: int, curve: Curve) -> None:
        self._settle()
        self._attrs.entered(number, self._bracket.follow(number, curve))
        self._note_changes()

    def _learn(self, number: int, state: RunState, curve: Curve) -> None:
        self._attrs.left(number, self._bracket.finish(number, curve, pruned=state == RunState.PRUNED))
        if state == RunState.COMPLETE and curve.steps and curve.last_step > (self._longest or -1):
            self._longest = curve.last_step
            if self._resource is None:
                self._changed()
        self._note_changes()

    def _withdraw(self, number: int) -> None:
        self._attrs.left(number, self._bracket.withdraw(number))
        self._note_changes()

    def _requeue(self, trial: Trial) -> None:
        self._attrs.requeued(trial)

    def _restore(self, trial: Trial, curve: Curve) -> None:
        entries = stored_entries(trial)
        curve.rung = len(entries)
        self._bracket.restore(trial.number, entries)
        self._note_changes()

    def _note_changes(self) -> None:
        if self._bracket.changes:
            self._bracket.changes = 0
            self._changed()

    def _freeze(self) -> Rule:
        live = self._bracket.rule
        return replace(live, version=self.version, first=self._first(self._estimate()), cuts=tuple(live.cuts))
