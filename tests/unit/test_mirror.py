"""The mirror finds the best trial as Optuna does, looking at each finished trial once."""

import math

import optuna
import pytest
from optuna.trial import TrialState

from hpo.sampling.mirror import MirrorStorage, new_record
from hpo.sampling.optuna_sampler import MirrorStudy


@pytest.mark.parametrize("direction", ["minimize", "maximize"])
@pytest.mark.parametrize("constrained", [False, True])
def test_the_best_trial_is_optunas(direction, constrained):
    mirror, theirs = MirrorStorage([direction]), optuna.create_study(direction=direction)
    ours = MirrorStudy("mirror", mirror, optuna.samplers.RandomSampler(), optuna.pruners.NopPruner())
    for study in (ours, theirs):
        with pytest.raises(ValueError, match="No trials are completed"):
            _ = study.best_trial
    found = []
    for number in range(60):
        state = [TrialState.COMPLETE, TrialState.COMPLETE, TrialState.FAIL, TrialState.PRUNED][number % 4]
        record = new_record(number, state)
        if state is TrialState.COMPLETE:
            record.values = [math.inf if number == 8 else ((number * 37 + 11) % 23 - 11) * (1 + number / 20)]
        if constrained:
            record.system_attrs["constraints:c"] = float((number * 7) % 5 - 2)
        mirror.put(record)
        theirs._storage.create_new_trial(theirs._study_id, template_trial=record)
        found.append((_best(ours), _best(theirs)))
    assert [ours for ours, _ in found] == [theirs for _, theirs in found]
    assert len({ours for ours, _ in found}) > 2


def _best(study):
    try:
        return study.best_trial.number
    except ValueError:
        return None
