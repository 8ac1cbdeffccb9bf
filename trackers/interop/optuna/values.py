"""Trials as Optuna has them: a conversion of values, without a store."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.trial import FrozenTrial, TrialState

from trackers.errors import InvalidValueError
from trackers.names import clean_name
from trackers.values import Trial

CONSTRAINT_PREFIX = "constraints:"
"""Optuna keeps each constraint of a trial in a system attribute of this name."""


def to_distribution(spec: Mapping[str, Any]) -> BaseDistribution:
    """Return the distribution that Optuna's JSON form describes; equal forms share one object.

    Raises: InvalidValueError if it is not such a form.
    """
    try:
        return _distribution(json.dumps(spec, sort_keys=True))
    except (ValueError, TypeError, KeyError) as exc:
        raise InvalidValueError(f"{spec!r} is not a distribution in Optuna's JSON form ({exc})") from exc


@lru_cache(maxsize=4096)
def _distribution(text: str) -> BaseDistribution:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a range that its step does not divide is shortened, as at the first suggest
        return optuna.distributions.json_to_distribution(text)


def from_distribution(distribution: BaseDistribution) -> Mapping[str, Any]:
    """Return Optuna's JSON form of a distribution."""
    spec: Mapping[str, Any] = json.loads(optuna.distributions.distribution_to_json(distribution))
    return spec


def to_distributions(specs: Mapping[str, Mapping[str, Any]]) -> dict[str, BaseDistribution]:
    """Return Optuna's distribution of each param."""
    return {name: to_distribution(spec) for name, spec in specs.items()}


def to_frozen_trial(trial: Trial) -> FrozenTrial:
    """Return *trial* as Optuna's ``FrozenTrial``.

    Times become naive local ones, as Optuna has them; constraints become system attributes, where Optuna looks for
    them; a param whose distribution is not known gets one with its value as the only choice.
    """
    specs = {name: trial.distribution_specs.get(name) or _only(value) for name, value in trial.params.items()}
    constraints = {CONSTRAINT_PREFIX + key: value for key, value in trial.constraints.items()}
    return FrozenTrial(
        number=trial.number,
        state=TrialState(int(trial.state)),
        value=None,
        values=None if trial.values is None else list(trial.values),
        datetime_start=_local(trial.datetime_start),
        datetime_complete=_local(trial.datetime_complete),
        params=dict(trial.params),
        distributions={
            name: spec if isinstance(spec, BaseDistribution) else to_distribution(spec) for name, spec in specs.items()
        },
        user_attrs=dict(trial.user_attrs),
        system_attrs={**trial.system_attrs, **constraints},
        intermediate_values=dict(trial.intermediate_values),
        trial_id=trial.run_id if trial.run_id >= 0 else trial.number,
    )


def _only(value: Any) -> CategoricalDistribution:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a list or mapping is no choice of Optuna's, and is kept all the same
        return CategoricalDistribution((value,))


def _local(time: datetime | None) -> datetime | None:
    return None if time is None else time.astimezone().replace(tzinfo=None)


def to_direction(direction: str) -> optuna.study.StudyDirection:
    """Return Optuna's enumeration of ``"minimize"`` or ``"maximize"``."""
    return optuna.study.StudyDirection[direction.upper()]


def check_json(key: str, value: Any) -> None:
    """Refuse a value at the call that gives it, as Optuna's own storages do: what is written later fails later."""
    try:
        json.dumps(value)
    except (TypeError, ValueError, RecursionError) as exc:
        raise TypeError(f"the attribute {key!r} is no JSON ({exc}): use numbers, text, lists and mappings") from exc
    check_key(key, "attribute")


def check_key(key: str, what: str) -> None:
    """Refuse a name that would come back otherwise: who then asks for it by what he wrote finds nothing.

    Optuna's samplers would, too, and never learn. Raises InvalidValueError.
    """
    if clean_name(key, what) != key:
        raise InvalidValueError(
            f"the name of the {what} {key!r} has its accents as separate characters: write it in NFC form "
            "(unicodedata.normalize)"
        )
