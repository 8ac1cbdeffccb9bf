"""What ``trial.study`` and ``trial.storage`` are in an objective: as much of Optuna's as a worker can answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from hpo.errors import UserError

if TYPE_CHECKING:
    import optuna

    from hpo.trial import Channel, StudyFacts, Trial

ASKED = frozenset(
    {
        "best_params",
        "best_trial",
        "best_trials",
        "best_value",
        "enqueue_trial",
        "get_trials",
        "set_user_attr",
        "trials",
        "trials_dataframe",
        "user_attrs",
    }
)
"""What a trial's study has of ``hpo.Study``'s attributes and methods besides what the worker knows by itself: the
manager answers, from the store."""


class TrialStudy:
    """An objective's study: what the worker knows of it, and what its manager answers (`ASKED`), as ``hpo.Study`` does.

    ``best_value``, ``trials`` and their kin are read from the store, so that they have what is committed: each costs
    a message, and ``trials`` grows with the study.
    """

    def __init__(self, facts: StudyFacts, channel: Channel | None, storage: TrialStorage) -> None:
        self._facts, self._channel, self._storage = facts, channel, storage

    def __getattr__(self, name: str) -> Any:
        if name not in ASKED:
            if name.startswith("__"):
                raise AttributeError(name)
            raise AttributeError(
                f"trial.study has no {name!r}: a worker has {', '.join(sorted(ASKED))}, study_name, direction, "
                "directions, metric_names and stop; the rest is hpo.load_study(...)'s"
            )
        if name in ("enqueue_trial", "get_trials", "set_user_attr", "trials_dataframe"):
            return lambda *args, **kwargs: self._ask(name, args, kwargs)
        return self._ask(name, (), {})

    def _ask(self, name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        if self._channel is None:
            raise UserError(f"trial.study.{name} asks a study, and a FixedTrial has none")
        return self._channel.ask_study(name, args, kwargs)

    @property
    def study_name(self) -> str:
        """The study's name."""
        return self._facts.name

    @property
    def direction(self) -> optuna.study.StudyDirection:
        """Optuna's enumeration of the direction, where there is one objective."""
        if len(self._facts.directions) > 1:
            raise RuntimeError("direction is undefined for a study with several objectives: use directions")
        return self.directions[0]

    @property
    def directions(self) -> list[optuna.study.StudyDirection]:
        """Optuna's enumeration of each direction."""
        from trackers.interop.optuna import to_direction

        return [to_direction(d) for d in self._facts.directions]

    @property
    def metric_names(self) -> list[str]:
        """The names of the objectives."""
        return list(self._facts.metric_names)

    def _is_multi_objective(self) -> bool:  # called by optuna-integration's callbacks
        return len(self._facts.directions) > 1

    def stop(self) -> None:
        """Start no more trials; running ones end as they do."""
        if self._channel is not None:
            self._channel.stop_study()


class TrialStorage:
    """The one thing that integrations written for Optuna want of ``trial.storage``: to keep an attribute of the trial."""

    def __init__(self, trial: Trial) -> None:
        self._trial = trial

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Keep a system attribute of the trial that runs here."""
        self._own(trial_id).set_attr("system", key, value)

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Keep a user attribute of the trial that runs here."""
        self._own(trial_id).set_user_attr(key, value)

    def _own(self, trial_id: int) -> Trial:
        if trial_id != self._trial.run_id:
            raise UserError(f"a worker writes to its own trial ({self._trial.run_id}), not to {trial_id}")
        return self._trial
