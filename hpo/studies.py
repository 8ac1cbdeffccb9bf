"""Studies by their names: made, loaded, deleted."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import trackers
from hpo.errors import SettingsError
from hpo.settings import Settings, read_call
from hpo.space import Param, Space
from trackers.errors import AlreadyExistsError, NotFoundError
from trackers.values import StudyRow

if TYPE_CHECKING:
    from trackers.store import Store

from hpo.study import Study

DEFAULT_STORAGE = "sqlite:///hpo.db"
Storage = Any
"""A URL, a path, a ``trackers.Store``, or None: ``HPO_STORAGE``, then ``sqlite:///hpo.db``."""


def open_store(storage: Storage = None, *, create: bool = True) -> Store:
    """Connect to *storage*. Raises: SettingsError for what is no storage."""
    storage = read_call(storage=storage)["storage"]
    if storage is None:
        storage = os.environ.get("HPO_STORAGE") or DEFAULT_STORAGE
    return trackers.connect(storage, artifacts=os.environ.get("HPO_ARTIFACTS") or None, create=create)


def create_study(
    *,
    study_name: str | None = None,
    storage: Storage = None,
    space: Mapping[str, Param] | Space | None = None,
    direction: Any = None,
    directions: Sequence[Any] | None = None,
    metric: str | None = None,
    metrics: Sequence[str] | None = None,
    sampler: Any = "auto",
    pruner: Any = "auto",
    seed: int | None = 0,
    load_if_exists: bool = False,
    settings: Mapping[str, Any] | None = None,
    total_trials: int | None = None,
) -> Study:
    """Create a study and return its handle.

    *study_name* None makes one up. *storage* is where it is kept. *direction* is ``"minimize"`` (default) or
    ``"maximize"``, *directions* one per objective; *metric* or *metrics* name the results. *space* None is
    define-by-run, or the space that the objective declares. *sampler* and *pruner* are names, also with arguments, or
    objects (see ``hpo.sampling.make_sampler`` and ``hpo.sampling.make_pruner``). *seed* is that of every random choice.
    *total_trials* is the sum to which ``optimize`` without a number brings it. *settings* is what else its row keeps.

    Everything is checked before anything is created. Raises: AlreadyExistsError unless *load_if_exists*, which returns
    the study that is there; SettingsError, also where that has other directions; SpaceError.
    """
    words = {"direction": direction, "directions": directions, "metric": metric, "metrics": metrics}
    goal = Settings.of(words, called=None).checked()
    read_call(study_name=study_name, load_if_exists=load_if_exists)
    read = read_call(storage=storage, sampler=sampler, pruner=pruner, seed=seed, total_trials=total_trials)
    declared = None if space is None else Space.of(space)
    _check_methods(read["sampler"], read["pruner"], declared, goal.directions, total_trials)
    store = open_store(storage)
    name = study_name if study_name is not None else f"study-{store.new_uid()[:12]}"
    if load_if_exists and study_name is not None:
        try:
            return _existing(store, store.get_study(study_name), goal, sampler, pruner)
        except NotFoundError:
            pass
    chosen = {"sampler": sampler, "pruner": pruner}
    try:
        row = store.create_study(
            name,
            directions=goal.directions,
            metric_names=goal.metrics,
            space=None if declared is None else declared.to_json(),
            settings={
                **{k: v for k, v in chosen.items() if isinstance(v, str)},
                **{k: list(getattr(goal, k)) for k in ("directions", "metrics") if k in goal.given},
                **(settings or {}),
            },
            seed=read["seed"] or 0,
            total_trials=read["total_trials"],
        )
    except AlreadyExistsError as exc:
        if not load_if_exists:
            raise
        try:
            made = store.get_study(name)
        except NotFoundError:
            raise exc from None  # an experiment has the name
        return _existing(store, made, goal, sampler, pruner)
    return Study(store, row, sampler=sampler, pruner=pruner)


def _existing(store: Store, row: StudyRow, goal: Settings, sampler: Any, pruner: Any) -> Study:
    """Return a study that is there: what nobody chose is as it has it."""
    ways = goal.directions
    if "directions" in goal.given and row.directions != ways:
        raise SettingsError(
            f"study {row.name!r} exists with the direction {', '.join(row.directions)}, not {', '.join(ways)}: "
            "choose another name"
        )
    return Study(store, row, sampler=sampler, pruner=pruner)


def _check_methods(
    sampler: Any, pruner: Any, space: Space | None, directions: Sequence[str], total: int | None
) -> None:
    """Make the sampler and the pruner that were named with all they are given. Raises: SettingsError."""
    if isinstance(sampler, str) and sampler != "auto" and space is not None:
        from hpo.sampling import make_sampler

        make_sampler(sampler, space=space, directions=directions, total_trials=total)
    if isinstance(pruner, str | Mapping) and pruner != "auto":
        from hpo.sampling import make_pruner

        make_pruner(pruner, directions=directions, total_trials=total)


def load_study(*, study_name: str, storage: Storage = None, sampler: Any = None, pruner: Any = None) -> Study:
    """Return the handle of a stored study; *sampler* and *pruner* None are those it was made with.

    Raises: NotFoundError (a KeyError, too), which names the nearest; SettingsError.
    """
    read_call(study_name=study_name, sampler=sampler, pruner=pruner)
    store = open_store(storage, create=False)
    return Study(store, store.get_study(study_name), sampler=sampler, pruner=pruner)


def delete_study(*, study_name: str, storage: Storage = None) -> None:
    """Mark a study as deleted; its name is free again. Raises: NotFoundError, StudyBusyError."""
    open_store(storage, create=False).delete_study(study_name)
