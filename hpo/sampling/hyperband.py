"""Several brackets of successive halving side by side: Hyperband, as Optuna decides it."""

from __future__ import annotations

import math
from binascii import crc32
from collections.abc import Mapping
from typing import Any

from hpo.errors import SettingsError
from hpo.sampling.bracket import Bracket, Entry
from hpo.sampling.curve import Curve
from hpo.sampling.halving import RungAttrs, check_halving, check_resource, stored_entries
from hpo.sampling.pruner import CurvePruner, TrialAttrs
from hpo.sampling.rules import Rule
from trackers.states import RunState
from trackers.values import Trial

MAX_RESOURCE_ATTR = "pruner:hyperband:max_resource"


class HyperbandPruner(CurvePruner):
    """Decide exactly as Optuna's ``HyperbandPruner`` (Li et al., JMLR 18, 2018, algorithm 1, over ASHA's rungs).

    A trial's bracket comes from its number and *study_name*, as Optuna draws it. With ``"auto"`` the *max_resource* is
    one more than the longest completed trial's last step, as it is at the first decision after a trial completed; it
    is stored with the study. Workers ask the manager: a rule does not know the trial's number.
    """

    name = "hyperband"

    def __init__(
        self,
        min_resource: int = 1,
        max_resource: int | str = "auto",
        reduction_factor: int = 3,
        bootstrap_count: int = 0,
        *,
        study_name: str = "",
        maximize: bool = False,
    ) -> None:
        super().__init__(maximize=maximize)
        check_halving(self.name, reduction_factor, bootstrap_count)
        resource = check_resource(self.name, "min_resource", min_resource)
        if resource is None:
            raise SettingsError(f"the {self.name} pruner needs a number for min_resource, not {min_resource!r}")
        self._max_resource = check_resource(self.name, "max_resource", max_resource)
        if bootstrap_count > 0 and self._max_resource is None:
            raise SettingsError(f'the {self.name} pruner needs a number for max_resource, not "auto", to bootstrap')
        self._min_resource = resource
        self._factor = reduction_factor
        self._bootstrap = bootstrap_count
        self._study_name = study_name
        self._longest: int | None = None
        self._brackets: list[Bracket] = []
        self._budgets: list[int] = []
        self._unplaced: list[tuple[int, list[Entry]]] = []  # restored before the brackets are known
        self._attrs = RungAttrs()
        self._study_attrs: dict[str, Any] = {}
        if self._max_resource is not None:
            self._start(self._max_resource)

    def load_study_attrs(self, attrs: Mapping[str, Any]) -> None:
        stored = attrs.get(MAX_RESOURCE_ATTR)
        if self._max_resource is None and stored is not None:
            self._start(int(stored))

    def drain(self) -> tuple[TrialAttrs, dict[str, Any]]:
        study, self._study_attrs = self._study_attrs, {}
        return self._attrs.drain(), study

    def bracket_of(self, number: int) -> int:
        """Return the bracket of trial *number*, 0 being the one that stops first."""
        place = crc32(f"{self._study_name}_{number}".encode()) % sum(self._budgets)
        for bracket, budget in enumerate(self._budgets):
            place -= budget
            if place < 0:
                return bracket
        raise AssertionError("the budgets add up to more than the place")

    def _start(self, max_resource: int) -> None:
        """Make the brackets: each begins one rung higher than the one before, with fewer trials."""
        self._max_resource = max_resource
        count = math.floor(math.log(max_resource / self._min_resource, self._factor)) + 1
        for bracket in range(count):
            left = count - 1 - bracket
            self._budgets.append(math.ceil(count * self._factor**left / (left + 1)))
            first = self._min_resource * self._factor**bracket
            self._brackets.append(
                Bracket(maximize=self.maximize, first=first, factor=self._factor, bootstrap=self._bootstrap)
            )
        for number, entries in self._unplaced:
            self._place(number, entries)
        self._unplaced.clear()

    def _place(self, number: int, entries: list[Entry]) -> None:
        if self._brackets:
            self._bracket(number).restore(number, entries)
            self._bracket(number).finish(number, Curve(), pruned=False)
        elif self._max_resource is None:
            self._unplaced.append((number, entries))

    def _bracket(self, number: int) -> Bracket:
        return self._brackets[self.bracket_of(number)]

    def _settle(self) -> bool:
        """Make the brackets at a decision, if they can be made; tell whether there are any."""
        if self._max_resource is None and self._longest is not None:
            self._start(self._longest + 1)
            self._study_attrs[MAX_RESOURCE_ATTR] = self._max_resource
        return bool(self._brackets)

    def _decide(self, number: int, curve: Curve) -> bool:
        if not self._settle():
            return False
        stop, entries = self._bracket(number).judge(number, curve)
        self._attrs.entered(number, entries)
        return stop

    def _follow(self, number: int, curve: Curve) -> None:
        if self._settle():
            self._attrs.entered(number, self._bracket(number).follow(number, curve))

    def _learn(self, number: int, state: RunState, curve: Curve) -> None:
        if self._brackets:
            gone = self._bracket(number).finish(number, curve, pruned=state == RunState.PRUNED)
            self._attrs.left(number, gone)
        if state == RunState.COMPLETE and curve.steps:
            self._longest = max(curve.last_step, self._longest or 0)

    def _withdraw(self, number: int) -> None:
        if self._brackets:
            self._attrs.left(number, self._bracket(number).withdraw(number))

    def _requeue(self, trial: Trial) -> None:
        self._attrs.requeued(trial)

    def _restore(self, trial: Trial, curve: Curve) -> None:
        entries = stored_entries(trial)
        curve.rung = len(entries)
        if entries:
            self._place(trial.number, entries)

    def _freeze(self) -> Rule | None:
        return None
