"""Optuna's samplers that work in generations, with the generations at hand.

Optuna's own look through all trials for those of the newest generation at every suggestion. Here a trial is put with
its generation when it finishes. What is done with them is Optuna's code, and the suggestions are the same, bit for bit.
"""

from __future__ import annotations

from typing import cast

import optuna
from optuna.samplers import CmaEsSampler, NSGAIIISampler, NSGAIISampler
from optuna.samplers._ga import BaseGASampler
from optuna.trial import FrozenTrial, TrialState

from hpo.sampling.mirror import MirrorStorage


class Generations:
    """Complete trials by generation; those before the last but one are forgotten, since nobody asks for them again."""

    def __init__(self, key: str) -> None:
        self._key, self._seen = key, 0
        self._members: dict[int, list[int]] = {}
        self.newest = 0
        self.last: int | None = None

    def catch_up(self, storage: MirrorStorage) -> None:
        """Take what finished since the last call."""
        for number in storage.finished[self._seen :]:
            record = storage.records[number]
            if record.state is TrialState.COMPLETE:
                self.last = number if self.last is None else max(number, self.last)
                generation = record.system_attrs.get(self._key)
                if generation is not None and generation >= self.newest - 1:
                    self._members.setdefault(generation, []).append(number)
                    self.newest = max(self.newest, generation)
        self._seen = len(storage.finished)
        for old in [g for g in self._members if g < self.newest - 1]:
            del self._members[old]

    def of(self, generation: int) -> list[int]:
        """Return the numbers of its trials, in ascending order."""
        return sorted(self._members.get(generation, ()))


class _Genetic(BaseGASampler):
    """Knows its generations, where Optuna's own looks for them; for a study whose storage is a ``MirrorStorage``."""

    _known: Generations | None = None

    def _generations(self, study: optuna.Study) -> Generations:
        if self._known is None:
            self._known = Generations(self._get_generation_key())
        self._known.catch_up(cast("MirrorStorage", study._storage))
        return self._known

    def get_trial_generation(self, study: optuna.Study, trial: FrozenTrial) -> int:
        key = self._get_generation_key()
        if key not in trial.system_attrs:
            known = self._generations(study)
            assert self._population_size is not None
            full = len(known.of(known.newest)) >= self._population_size
            study._storage.set_trial_system_attr(trial._trial_id, key, known.newest + full)
        return int(trial.system_attrs[key])

    def get_population(self, study: optuna.Study, generation: int) -> list[FrozenTrial]:
        records = cast("MirrorStorage", study._storage).records
        return [records[number] for number in self._generations(study).of(generation)]

    def get_parent_population(self, study: optuna.Study, generation: int) -> list[FrozenTrial]:
        if generation == 0:
            return []
        storage, prefix = cast("MirrorStorage", study._storage), self._get_parent_cache_key_prefix()
        chosen = storage.get_study_system_attrs(study._study_id).get(f"{prefix}{generation}")
        if chosen is not None:
            return [storage.records[number] for number in sorted(chosen)]
        parents = self.select_parent(study, generation)
        storage.set_study_system_attr(study._study_id, f"{prefix}{generation}", [trial.number for trial in parents])
        storage.drop_study_attr(f"{prefix}{generation - 2}")
        return parents


class GenerationNSGAIISampler(_Genetic, NSGAIISampler):
    """Suggests as Optuna's ``NSGAIISampler`` does, and keeps the same attributes."""

    @classmethod
    def _get_generation_key(cls) -> str:
        return NSGAIISampler._get_generation_key()

    @classmethod
    def _get_parent_cache_key_prefix(cls) -> str:
        return NSGAIISampler._get_parent_cache_key_prefix()


class GenerationNSGAIIISampler(_Genetic, NSGAIIISampler):
    """Suggests as Optuna's ``NSGAIIISampler`` does, and keeps the same attributes."""

    @classmethod
    def _get_generation_key(cls) -> str:
        return NSGAIIISampler._get_generation_key()

    @classmethod
    def _get_parent_cache_key_prefix(cls) -> str:
        return NSGAIIISampler._get_parent_cache_key_prefix()


class GenerationCmaEsSampler(CmaEsSampler):
    """Suggests as Optuna's ``CmaEsSampler`` does, for a study whose storage is a ``MirrorStorage``."""

    _known: Generations | None = None

    def _get_trials(self, study: optuna.Study) -> list[FrozenTrial]:
        """Return the complete trials that count: the newest with an optimizer, and those of its generation."""
        storage = cast("MirrorStorage", study._storage)
        if self._known is None:
            self._known = Generations(self._attr_key_generation)
        self._known.catch_up(storage)
        holder = storage.newest_holder()
        generation = 0 if holder is None else storage.records[holder].system_attrs[self._attr_key_generation]
        counted = {*self._known.of(generation), *(n for n in (holder, self._known.last) if n is not None)}
        return [storage.records[number] for number in sorted(counted)]
