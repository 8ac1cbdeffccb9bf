"""Any of Optuna's pruners behind our port, on a private study in memory."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import optuna
from optuna.pruners import BasePruner
from optuna.samplers import RandomSampler
from optuna.trial import FrozenTrial, TrialState

from hpo.errors import SettingsError
from hpo.sampling.mirror import MirrorStorage, new_record
from hpo.sampling.optuna_sampler import MirrorStudy
from hpo.sampling.pruner import Pruner, TrialAttrs, gone_on_from
from trackers.states import RunState
from trackers.values import Trial


class PrunerStorage(MirrorStorage):
    """A mirror under the study's own name, whose trials stay as they were listed when a pruner writes to one.

    Optuna's successive halving lists the trials, writes its value to one of them, and adds the value to those of the
    list: changed in place, it would count twice.
    """

    def __init__(self, directions: Sequence[str], study_name: str) -> None:
        super().__init__(directions)
        self._study_name = study_name

    def get_study_name_from_id(self, study_id: int) -> str:
        return self._study_name

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        record = copy.copy(self.get_trial(trial_id))
        record.system_attrs = dict(record.system_attrs)
        self.put(record)
        super().set_trial_system_attr(trial_id, key, value)

    def forget_attrs(self, number: int, keys: Sequence[str]) -> None:
        """Say that these attributes of a trial are to be taken away."""
        for key in keys:
            self._dirty.setdefault(number, {})[key] = None


class OptunaPruner(Pruner):
    """Asks *pruner* (an instance of one of Optuna's, or of the user's own) at each report.

    The pruner is shown the study's direction and name, and of each trial its number, state, reports, result and what
    the pruner itself wrote to it; no params, and no constraints. It takes the time that Optuna's own takes, which grows
    with the number of trials, and workers ask the manager.
    """

    def __init__(
        self,
        pruner: BasePruner,
        *,
        directions: Sequence[str] = ("minimize",),
        study_name: str = "study",
        name: str = "",
    ) -> None:
        self.name = name or type(pruner).__name__
        self._pruner = pruner
        self._earlier: dict[int, dict[int, float]] = {}  # reports of attempts that went back to the queue
        self._mirror = PrunerStorage(directions, study_name)
        self._study = MirrorStudy(study_name, self._mirror, RandomSampler(seed=0), pruner)

    def report(self, number: int, step: int, value: float) -> bool:
        self.observe(number, step, value)
        # a copy: the pruner sees the trial as it was, whatever is written meanwhile
        trial = copy.copy(self._mirror.get_trial(number))
        try:
            return bool(self._pruner.prune(self._study, trial))
        except Exception as error:
            raise SettingsError(
                f"pruner {self.name} failed at step {step} of trial {number} ({type(error).__name__}: {error}): "
                "correct it, or choose another one"
            ) from error

    def observe(self, number: int, step: int, value: float) -> None:
        self._running(number).intermediate_values.setdefault(step, value)

    def finish(self, number: int, state: RunState, value: float | None) -> None:
        reports = self._running(number).intermediate_values
        reports.update(gone_on_from(reports, self._earlier.pop(number, {})))
        values = [value] if state == RunState.COMPLETE and value is not None else None
        self._mirror.finish(number, TrialState(int(state)), values)

    def forget(self, number: int) -> None:
        record = self._running(number)
        self._keep_earlier(number, dict(record.intermediate_values))
        written = list(record.system_attrs)
        self._mirror.withdraw(number)
        self._mirror.forget_attrs(number, written)

    def add(self, trial: Trial) -> None:
        if not trial.state.is_finished():
            self._keep_earlier(trial.number, dict(trial.intermediate_values))
            rungs = [key for key, value in trial.system_attrs.items() if _is_rung(key) and value is not None]
            self._mirror.forget_attrs(trial.number, rungs)
            return
        record = new_record(trial.number, TrialState(int(trial.state)))
        record.intermediate_values.update(trial.intermediate_values)
        record.system_attrs.update({key: value for key, value in trial.system_attrs.items() if value is not None})
        if trial.state == RunState.COMPLETE and trial.values is not None:
            record.values = list(trial.values)
        self._mirror.put(record)

    def drain(self) -> tuple[TrialAttrs, dict[str, Any]]:
        return self._mirror.drain()

    def load_study_attrs(self, attrs: Mapping[str, Any]) -> None:
        self._mirror.load_study_attrs(attrs)

    def _keep_earlier(self, number: int, reports: dict[int, float]) -> None:
        self._earlier[number] = {**gone_on_from(reports, self._earlier.get(number, {})), **reports}

    def _running(self, number: int) -> FrozenTrial:
        if number >= len(self._mirror.records) or self._mirror.records[number].state == TrialState.WAITING:
            return self._mirror.start(number)
        return self._mirror.records[number]


def wilcoxon(p_threshold: float, n_startup_steps: int) -> BasePruner:
    """Make Optuna's ``WilcoxonPruner``."""
    return optuna.pruners.WilcoxonPruner(p_threshold=p_threshold, n_startup_steps=n_startup_steps)


def patient(wrapped: OptunaPruner, patience: int, min_delta: float) -> BasePruner:
    """Make Optuna's ``PatientPruner`` over another of its pruners."""
    return optuna.pruners.PatientPruner(wrapped._pruner, patience, min_delta)


def _is_rung(key: str) -> bool:
    return key.startswith("completed_rung_")
