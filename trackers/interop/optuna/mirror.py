"""What a process knows of the trials of one study: finished ones for good, others as of the last look."""

from __future__ import annotations

import threading
from collections.abc import Container, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from trackers.interop.optuna.values import to_frozen_trial
from trackers.values import Trial

if TYPE_CHECKING:
    from trackers.sql.shared import SharedStudy, Standing


class Mirror:
    """The trials of a study, in number order. Thread-safe; a trial that was handed out never changes.

    *own* trials, which this process runs, are kept as it wrote them: the store may be a commit behind. *metrics* names
    the objectives; the first is that of the reports.
    """

    def __init__(self, study: SharedStudy, directions: list[StudyDirection], metrics: Sequence[str]) -> None:
        self.study = study
        self.directions = directions
        self.metrics = tuple(metrics)
        self.own: dict[int, FrozenTrial] = {}
        self.attempts: dict[int, int] = {}
        self.specs: dict[str, Mapping[str, Any]] = {}
        self._lock = threading.RLock()
        self._trials: list[FrozenTrial] = []
        self._open: set[int] = set()
        self._standing: Standing | None = None
        self._best: FrozenTrial | None = None

    def look(self) -> Standing:
        """Read what is new. Raises NotFoundError where the study is gone."""
        with self._lock:
            standing = self.study.standing()
            # A manager writes attributes between two events, and counts no writes: its running trials are read anew.
            if standing.mode == "shared" and standing == self._standing:
                return standing
            standing, trials = self.study.read_since(len(self._trials), sorted(self._open))
            for trial in trials:
                self._take(trial)
            self._standing = standing
            return standing

    def _take(self, trial: Trial) -> None:
        frozen = to_frozen_trial(trial)
        self.attempts[frozen._trial_id] = len(trial.attempts)
        if trial.number == len(self._trials):
            self._trials.append(frozen)
            self._open.add(trial.number)
        self._keep(frozen)

    def _keep(self, frozen: FrozenTrial) -> None:
        self._trials[frozen.number] = frozen
        if frozen.state.is_finished() and frozen.number in self._open:
            self._open.discard(frozen.number)
            self.own.pop(frozen._trial_id, None)
            if frozen.state is TrialState.COMPLETE and len(self.directions) == 1:
                self._contend(frozen)

    def _contend(self, frozen: FrozenTrial) -> None:
        best, value = self._best, frozen.values[0]
        larger = self.directions[0] is StudyDirection.MAXIMIZE
        if best is None or (value > best.values[0] if larger else value < best.values[0]):
            self._best = frozen

    def trials(self, states: Container[TrialState] | None) -> list[FrozenTrial]:
        """Return a fresh list of the trials in these *states* (None: all), as of the last look."""
        with self._lock:
            if states == (TrialState.WAITING,):  # asked at every ask: only open trials can be waiting
                found = [self._trials[number] for number in sorted(self._open)]
            else:
                found = list(self._trials)
                if self.own and states is None:
                    for frozen in self.own.values():
                        if frozen.number < len(found):
                            found[frozen.number] = frozen
                    return found
        seen = (self.own.get(frozen._trial_id, frozen) for frozen in found)
        return [frozen for frozen in seen if states is None or frozen.state in states]

    def find(self, number: int) -> FrozenTrial | None:
        """Return the trial *number* as of the last look."""
        with self._lock:
            if not 0 <= number < len(self._trials):
                return None
            frozen = self._trials[number]
            return self.own.get(frozen._trial_id, frozen)

    def best(self) -> FrozenTrial | None:
        """Return the complete trial with the best value, the first of equals; None while there is none."""
        with self._lock:
            return self._best
