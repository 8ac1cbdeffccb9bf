"""A study's handle where its manager runs: what callbacks are given, and what an objective asks."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from hpo.errors import UserError
from hpo.trial_study import ASKED
from trackers.values import Trial

if TYPE_CHECKING:
    from hpo.study import Study
    from trackers.store import Store


class _Handle:
    """A study's handle in the manager's process: the caller's own, in another process one on the manager's store."""

    def __init__(self, study: Study) -> None:
        # Not the study itself: what is left of a manager would keep it, and its store open, until the next collection.
        self._caller: weakref.ref[Study] | None = weakref.ref(study)
        self._made: Study | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_caller": None, "_made": None}

    def study(self, store: Store, study_id: int) -> Study:
        found = self._made or (None if self._caller is None else self._caller())
        if found is None:
            from hpo.study import Study

            found = self._made = Study(store, store.get_study(study_id))
        return found


class CallbackHandle(_Handle):
    """Hands a callback its study and trial."""

    def __init__(self, function: Callable[[Study, Trial], None], study: Study) -> None:
        super().__init__(study)
        self._function = function
        self.__name__ = getattr(function, "__name__", type(function).__name__)

    def __call__(self, store: Store, study_id: int, number: int) -> None:
        self._function(self.study(store, study_id), store.get_trial(study_id, number))


class AskedHandle(_Handle):
    """Answers what an objective asks of its study."""

    def __call__(self, store: Store, study_id: int, name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        if name not in ASKED:  # a worker's word is not trusted with more
            raise UserError(f"an objective may not ask its study for {name!r}")
        found = getattr(self.study(store, study_id), name)
        return found(*args, **kwargs) if callable(found) else found
