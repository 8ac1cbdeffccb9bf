"""A study's trials as Optuna's samplers want to see them: in memory, without copies, each by its own number.

A trial's id is its number, so that ids which samplers write into attributes mean the same after a resume.
"""

from __future__ import annotations

import copy
from bisect import bisect_left, insort
from collections.abc import Container, Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.storages import BaseStorage
from optuna.study import StudyDirection
from optuna.study._frozen import FrozenStudy
from optuna.trial import FrozenTrial, TrialState

STUDY_ID = 0
STUDY_NAME = "mirror"

VOLATILE = ("tpe:relative_params", "gp:relative_params", "fixed_params")
"""Attributes that matter while a trial runs, and that nobody reads from a store."""

NEWEST_ONLY = ("cma:optimizer", "sepcma:optimizer", "cmawm:optimizer")
"""Attributes of which only those of the newest complete trial, and of trials after it, are ever read again."""

_NOTHING: dict[Any, Any] = {}
_number = attrgetter("_number")


def new_record(number: int, state: TrialState) -> FrozenTrial:
    """Return a trial without params."""
    return FrozenTrial(
        number=number,
        trial_id=number,
        state=state,
        value=None,
        datetime_start=None,
        datetime_complete=None,
        params={},
        distributions={},
        user_attrs={},
        system_attrs={},
        intermediate_values={},
    )


class MirrorStorage(BaseStorage):
    """One study, one thread, nothing persisted; trials are changed in place.

    The contract of ``BaseStorage`` asks for a copy at each write, against readers in other threads: there are none.
    What a sampler wants to persist is collected for ``drain``.
    """

    def __init__(self, directions: Sequence[str]) -> None:
        self._directions = [StudyDirection[d.upper()] for d in directions]
        self.records: list[FrozenTrial] = []
        self.finished: list[int] = []  # the numbers of finished trials in the order in which they got here
        self._by_states: dict[tuple[TrialState, ...], list[FrozenTrial]] = {}
        self._study_attrs: dict[str, Any] = {}
        self._user_attrs: dict[str, Any] = {}
        self._dirty: dict[int, dict[str, Any]] = {}
        self._dirty_study: dict[str, Any] = {}
        self._judged = 0
        self._best: tuple[float, int] | None = None
        self._holders: list[int] = []  # the trials that hold attributes of which only the newest count

    # -- what the sampler port does with it ------------------------------------------------------------------------

    def put(self, record: FrozenTrial) -> None:
        """Place *record* at its number; numbers in between that are not known yet wait."""
        number = record.number
        while len(self.records) <= number:
            self._append(new_record(len(self.records), TrialState.WAITING))
        self._unlist(self.records[number])
        self.records[number] = record
        self._list(record)
        if record.state.is_finished():
            self.finished.append(number)
        if any(key.startswith(NEWEST_ONLY) for key in record.system_attrs) and number not in self._holders:
            insort(self._holders, number)

    def start(self, number: int, fixed: Mapping[str, Any] | None = None) -> FrozenTrial:
        """Begin trial *number* without params; whatever it had is forgotten."""
        record = new_record(number, TrialState.RUNNING)
        if fixed:
            record.system_attrs["fixed_params"] = dict(fixed)
        self._dirty.pop(number, None)
        self.put(record)
        return record

    def withdraw(self, number: int) -> None:
        """Forget that trial *number* began: no sampler counts it."""
        self._dirty.pop(number, None)
        self.put(new_record(number, TrialState.WAITING))

    def finish(self, number: int, state: TrialState, values: Sequence[float] | None) -> None:
        """Give trial *number* its final state."""
        record = self.records[number]
        self._unlist(record)
        record.state = state
        if values is not None:
            record.values = list(values)
        for key in [key for key in record.system_attrs if key.startswith(VOLATILE)]:
            del record.system_attrs[key]
        self._list(record)
        self.finished.append(number)
        if state is TrialState.COMPLETE and number in self._holders:
            self._drop_older(number)

    def slim(self, number: int) -> None:
        """Keep of a finished trial its number, state and values: the sampler has learned all else that it needs."""
        record = self.records[number]
        record.params, record.distributions = _NOTHING, _NOTHING
        record.user_attrs, record.system_attrs, record.intermediate_values = _NOTHING, _NOTHING, _NOTHING

    def _drop_older(self, number: int) -> None:
        """Take the newest-only attributes from the trials before *number* (they finish before it is read again)."""
        for old in self._holders[: self._holders.index(number)]:
            attrs = self.records[old].system_attrs
            for key in [key for key in attrs if key.startswith(NEWEST_ONLY)]:
                del attrs[key]
                self._dirty.setdefault(old, {})[key] = None
        self._holders = self._holders[self._holders.index(number) :]

    def newest_holder(self) -> int | None:
        """Return the newest complete trial that holds attributes of which only the newest count."""
        return next((n for n in reversed(self._holders) if self.records[n].state is TrialState.COMPLETE), None)

    def drain(self) -> tuple[dict[int, dict[str, Any]], dict[str, Any]]:
        """Return what samplers wrote since the last call, of trials and of the study; None: not needed any more."""
        trials, study = self._dirty, self._dirty_study
        self._dirty, self._dirty_study = {}, {}
        return trials, study

    def load_study_attrs(self, attrs: Mapping[str, Any]) -> None:
        """Take attributes of the study as they were stored."""
        self._study_attrs.update(attrs)

    # -- lists by state --------------------------------------------------------------------------------------------

    def _append(self, record: FrozenTrial) -> None:
        self.records.append(record)
        self._list(record)

    def _list(self, record: FrozenTrial) -> None:
        for states, records in self._by_states.items():
            if record.state in states:
                if not records or records[-1]._number < record._number:
                    records.append(record)
                else:
                    insort(records, record, key=_number)

    def _unlist(self, record: FrozenTrial) -> None:
        for states, records in self._by_states.items():
            if record.state in states:
                del records[bisect_left(records, record._number, key=_number)]

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        """Return the trials in the order of numbers; the list is the caller's own."""
        if states is None:
            records = self.records
        else:
            wanted = tuple(state for state in TrialState if state in states)
            if wanted not in self._by_states:
                self._by_states[wanted] = [record for record in self.records if record.state in wanted]
            records = self._by_states[wanted]
        return copy.deepcopy(records) if deepcopy else list(records)

    def best_trial(self) -> FrozenTrial | None:
        """Return the best complete trial that breaks no constraint, the first of equals; None if there is none.

        None with several objectives, too. Only what finished since the last call is looked at.
        """
        if len(self._directions) > 1:
            return None
        sign = -1.0 if self._directions[0] is StudyDirection.MAXIMIZE else 1.0
        for number in self.finished[self._judged :]:
            record = self.records[number]
            if (
                record.state is TrialState.COMPLETE
                and record.values is not None
                and not any(c > 0.0 for c in record.constraints.values())
            ):
                rank = sign * record.values[0], number
                self._best = rank if self._best is None else min(self._best, rank)
        self._judged = len(self.finished)
        return None if self._best is None else self.records[self._best[1]]

    # -- reads -----------------------------------------------------------------------------------------------------

    def get_trial(self, trial_id: int) -> FrozenTrial:
        """Return the trial itself."""
        try:
            return self.records[trial_id]
        except IndexError:
            raise KeyError(f"there is no trial {trial_id}") from None

    def get_trial_id_from_study_id_trial_number(self, study_id: int, trial_number: int) -> int:
        return int(self.get_trial(trial_number)._trial_id)

    def get_trial_number_from_id(self, trial_id: int) -> int:
        return int(self.get_trial(trial_id).number)

    def get_trial_system_attrs(self, trial_id: int) -> dict[str, Any]:
        return dict(self.get_trial(trial_id).system_attrs)

    def get_n_trials(self, study_id: int, state: Container[TrialState] | TrialState | None = None) -> int:
        states = (state,) if isinstance(state, TrialState) else state
        return len(self.records) if states is None else len(self.get_all_trials(study_id, False, states))

    def get_study_id_from_name(self, study_name: str) -> int:
        return STUDY_ID

    def get_study_name_from_id(self, study_id: int) -> str:
        return STUDY_NAME

    def get_study_directions(self, study_id: int) -> list[StudyDirection]:
        return list(self._directions)

    def get_study_user_attrs(self, study_id: int) -> dict[str, Any]:
        return dict(self._user_attrs)

    def get_study_system_attrs(self, study_id: int) -> dict[str, Any]:
        return dict(self._study_attrs)

    def get_all_studies(self) -> list[FrozenStudy]:
        study = FrozenStudy(
            STUDY_NAME, None, self._user_attrs, self._study_attrs, STUDY_ID, directions=self._directions
        )
        return [study]

    # -- writes: what samplers do ----------------------------------------------------------------------------------

    def set_trial_param(
        self, trial_id: int, param_name: str, param_value_internal: float, distribution: BaseDistribution
    ) -> None:
        record = self.get_trial(trial_id)
        record.params[param_name] = distribution.to_external_repr(param_value_internal)
        record.distributions[param_name] = distribution

    def drop_params(self, number: int, names: Iterable[str]) -> None:
        """Take params from a running trial."""
        for name in names:
            self.records[number].params.pop(name, None)
            self.records[number].distributions.pop(name, None)

    def set_trial_intermediate_value(self, trial_id: int, step: int, intermediate_value: float) -> None:
        self.get_trial(trial_id).intermediate_values[step] = intermediate_value

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:
        self.get_trial(trial_id).user_attrs[key] = value

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        record = self.get_trial(trial_id)
        record.system_attrs[key] = value
        if key.startswith(NEWEST_ONLY) and trial_id not in self._holders:
            insort(self._holders, trial_id)
        if not key.startswith(VOLATILE):
            self._dirty.setdefault(trial_id, {})[key] = value

    def set_study_user_attr(self, study_id: int, key: str, value: Any) -> None:
        self._user_attrs[key] = value

    def set_study_system_attr(self, study_id: int, key: str, value: Any) -> None:
        self._study_attrs[key] = value
        self._dirty_study[key] = value

    def drop_study_attr(self, key: str) -> None:
        """Forget an attribute of the study that nobody reads any more."""
        if self._study_attrs.pop(key, None) is not None:
            self._dirty_study[key] = None

    # -- what only a store of many studies has ---------------------------------------------------------------------

    def set_trial_state_values(self, trial_id: int, state: TrialState, values: Sequence[float] | None = None) -> bool:
        """Refuse: states change by what the engine decided, through ``start`` and ``finish``."""
        raise RuntimeError("a sampler cannot change the state of a trial: the study's manager does")

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        """Refuse: numbers are given by the engine."""
        raise RuntimeError("a sampler cannot create trials: enqueue them through the study")

    def create_new_study(self, directions: Sequence[StudyDirection], study_name: str | None = None) -> int:
        """Refuse: there is one study in a mirror."""
        raise RuntimeError("a sampler cannot create studies: use hpo.create_study")

    def delete_study(self, study_id: int) -> None:
        """Refuse: there is one study in a mirror."""
        raise RuntimeError("a sampler cannot delete its study: use hpo.delete_study")
