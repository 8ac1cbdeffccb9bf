"""A person's handle on a study: what it is, what came out, and the calls that go on from there."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import trackers
from hpo.driver import OnProgress, Order, RunSummary
from hpo.enqueue import enqueue, set_user_attrs
from hpo.errors import ObjectiveError, SettingsError, UserError
from hpo.exception import exception_names
from hpo.figures import Figures
from hpo.jobs import FileJob, ValueJob, source_of, warn_of_size
from hpo.manager.here import here
from hpo.objective_file import LoadedObjective
from hpo.objectives import spec_of
from hpo.space import Param, Space
from hpo.trial import ASKED
from trackers.errors import AlreadyExistsError, NotFoundError, StudyBusyError
from trackers.states import RunState
from trackers.values import ModelVersion, StudyRow, Trial

if TYPE_CHECKING:
    import pandas as pd

    from hpo.ranking import Ranking
    from hpo.reports import StudyView
    from trackers.capture import Capture
    from trackers.store import Store

DEFAULT_STORAGE = "sqlite:///hpo.db"
Storage = Any
"""A URL, a path, a ``trackers.Store``, or None: ``HPO_STORAGE``, then ``sqlite:///hpo.db``."""


def open_store(storage: Storage = None, *, create: bool = True) -> Store:
    """Connect to *storage*."""
    if storage is None:
        storage = os.environ.get("HPO_STORAGE") or DEFAULT_STORAGE
    return trackers.connect(storage, artifacts=os.environ.get("HPO_ARTIFACTS") or None, create=create)


def create_study(
    *,
    study_name: str | None = None,
    storage: Storage = None,
    space: Mapping[str, Param] | Space | None = None,
    direction: str | None = None,
    directions: Sequence[str] | None = None,
    metric: str | None = None,
    metrics: Sequence[str] | None = None,
    sampler: Any = "auto",
    pruner: Any = "auto",
    seed: int = 0,
    load_if_exists: bool = False,
    settings: Mapping[str, Any] | None = None,
    total_trials: int | None = None,
) -> Study:
    """Create a study and return its handle.

    *direction* is ``"minimize"`` (default) or ``"maximize"``, *directions* one per objective; *metric* or *metrics*
    name the results. *space* None is define-by-run. Raises: AlreadyExistsError unless *load_if_exists*, SettingsError,
    SpaceError.
    """
    ways = _ways(direction, directions)
    names = _names(metric, metrics, len(ways))
    declared = None if space is None else Space.of(space)
    store = open_store(storage)
    name = study_name if study_name is not None else f"study-{store.new_uid()[:12]}"
    chosen = {"sampler": sampler, "pruner": pruner}
    if load_if_exists and study_name is not None:
        try:
            return _existing(store, store.get_study(study_name), ways, sampler, pruner)
        except NotFoundError:
            pass
    try:
        row = store.create_study(
            name,
            directions=ways,
            metric_names=names,
            space=None if declared is None else declared.to_json(),
            settings={**{k: v for k, v in chosen.items() if isinstance(v, str)}, **(settings or {})},
            seed=seed,
            total_trials=total_trials,
        )
    except AlreadyExistsError:
        if not load_if_exists:
            raise
        return _existing(store, store.get_study(name), ways, sampler, pruner)
    return Study(store, row, sampler=sampler, pruner=pruner)


def _existing(store: Store, row: StudyRow, ways: tuple[str, ...], sampler: Any, pruner: Any) -> Study:
    if row.directions != ways:
        raise SettingsError(
            f"study {row.name!r} exists with the direction {', '.join(row.directions)}, not {', '.join(ways)}: "
            "choose another name"
        )
    return Study(store, row, sampler=sampler, pruner=pruner)


def _ways(direction: Any, directions: Sequence[Any] | None) -> tuple[str, ...]:
    if direction is not None and directions is not None:
        raise SettingsError("give direction or directions, not both")
    ways = tuple(directions) if directions is not None else (direction if direction is not None else "minimize",)
    # Optuna's enumeration is taken too: its members are called MINIMIZE and MAXIMIZE.
    texts = tuple(str(getattr(w, "name", w)).lower() for w in ways)
    wrong = [t for t in texts if t not in ("minimize", "maximize")]
    if wrong or not texts:
        raise SettingsError(f"a direction is 'minimize' or 'maximize', not {wrong[0] if wrong else 'nothing'!r}")
    return texts


def _names(metric: str | None, metrics: Sequence[str] | None, count: int) -> tuple[str, ...]:
    if metrics is None:
        metrics = (metric,) if metric is not None else ()
    if not metrics:
        return ("value",) if count == 1 else tuple(f"value_{i}" for i in range(count))
    if len(metrics) != count or len(set(metrics)) != count:
        raise SettingsError(f"{count} objective{'s' * (count > 1)} need as many different names, not {list(metrics)}")
    return tuple(metrics)


def load_study(*, study_name: str, storage: Storage = None, sampler: Any = None, pruner: Any = None) -> Study:
    """Return the handle of a stored study; *sampler* and *pruner* None are those it was made with.

    Raises: NotFoundError, which names the nearest.
    """
    store = open_store(storage, create=False)
    return Study(store, store.get_study(study_name), sampler=sampler, pruner=pruner)


def delete_study(*, study_name: str, storage: Storage = None) -> None:
    """Mark a study as deleted; its name is free again. Raises: NotFoundError, StudyBusyError."""
    open_store(storage, create=False).delete_study(study_name)


class Study(Figures):
    """A study in a store. Reads are fresh: each attribute asks the store. Thread-safe."""

    def __init__(self, store: Store, row: StudyRow, *, sampler: Any = None, pruner: Any = None) -> None:
        self.store = store
        self._id = row.id
        self.name = row.name
        self._sampler, self._pruner = sampler, pruner

    def __repr__(self) -> str:
        row = self.row
        counts = ", ".join(f"{n} {s.name}" for s, n in row.counts.items() if n)
        return f"Study({self.name!r}, {row.status}, {counts or 'no trials'})"

    def _repr_html_(self) -> str:
        from hpo.reports import summary_html

        return summary_html(self._view())

    # ---- what it is

    @property
    def row(self) -> StudyRow:
        """The study as stored now."""
        return self.store.get_study(self._id)

    @property
    def study_name(self) -> str:
        """Optuna's word for ``name``."""
        return self.name

    @property
    def storage(self) -> str:
        """The store's URL, without its password."""
        return self.store.safe_url

    @property
    def directions(self) -> tuple[str, ...]:
        """``"minimize"`` or ``"maximize"``, one per objective."""
        return self.row.directions

    @property
    def direction(self) -> str:
        """The direction, where there is one objective."""
        return self.row.direction

    @property
    def metric_names(self) -> tuple[str, ...]:
        """The names of the objectives."""
        return self.row.metric_names

    @property
    def space(self) -> Space | None:
        """The declared space; None: define-by-run."""
        space = self.row.space
        return None if space is None else Space.from_json(space)

    @property
    def user_attrs(self) -> Mapping[str, Any]:
        """The study's own attributes."""
        return self.row.user_attrs

    # ---- what came out

    @property
    def trials(self) -> list[Trial]:
        """All trials, by number."""
        return self.store.get_trials(self._id)

    def get_trials(self, states: Sequence[RunState] | None = None) -> list[Trial]:
        """Return the trials in *states* (None: all), by number."""
        return self.store.get_trials(self._id, states=states)

    @property
    def best_trial(self) -> Trial:
        """The best complete, feasible trial. Raises: ValueError while there is none, RuntimeError for several objectives."""
        row = self.row
        if len(row.directions) > 1:
            raise RuntimeError("a study with several objectives has no best trial: use best_trials")
        best = self.ranking().best
        if best is None or best.state is not RunState.COMPLETE:
            raise ValueError(f"no trial of {self.name!r} is complete yet")
        return best

    @property
    def best_trials(self) -> list[Trial]:
        """The Pareto front, by number."""
        return list(self.ranking().front)

    @property
    def best_params(self) -> Mapping[str, Any]:
        """The params of the best trial."""
        return self.best_trial.params

    @property
    def best_value(self) -> float:
        """The value of the best trial."""
        value = self.best_trial.value
        assert value is not None
        return value

    def ranking(self) -> Ranking:
        """Return the leaderboard; see ``hpo.ranking`` for how ties, NaN, pruned and infeasible trials stand."""
        from hpo.ranking import Ranking

        return Ranking(self.row, self.trials)

    def trials_dataframe(self) -> pd.DataFrame:
        """Return one row a trial: number, state, values, params, times, attributes."""
        return self.ranking().to_pandas()

    # ---- what goes on

    def optimize(
        self,
        objective: Callable[..., Any] | LoadedObjective,
        n_trials: int | None = None,
        *,
        total_trials: int | None = None,
        workers: int = 0,
        timeout: float | None = None,
        cpus_per_trial: float = 1.0,
        gpus_per_trial: float = 0.0,
        resources: Mapping[str, float] | None = None,
        trial_timeout: float | None = None,
        report_timeout: float | None = None,
        max_retries: int = 2,
        retry_on: Sequence[type[BaseException] | str] = (),
        keep_models: int | str = 3,
        system_metrics: float = 0.0,
        slots_per_worker: int = 1,
        lease_seconds: float = 10.0,
        address: str | None = None,
        args: Mapping[str, Any] | None = None,
        callbacks: Sequence[Callable[[Study, Trial], None]] | None = None,
        on_progress: OnProgress | None = None,
        detach: bool = False,
        settings: Mapping[str, Any] | None = None,
    ) -> RunSummary:
        """Run trials of *objective* until there are enough, and return how it ended.

        *n_trials* is how many more (exact, over all workers); *total_trials* the study's sum; neither: what an
        interrupted study has left, else until *timeout* (seconds) or a stop. *workers* 0 runs them here, one after another; more are Ray worker processes, each with
        *cpus_per_trial*, *gpus_per_trial* (fractions) and *resources*, on the cluster at *address* (None: one of our
        own). *args* are passed to the objective by name and travel once. *callbacks* run after each trial's commit, in
        the manager's process. *system_metrics*: what the machine does is logged on each trial every so many seconds (0:
        not at all). Times are in seconds. Raises: UserError, ClusterError, StudyBusyError, StoreError.
        """
        from hpo.driver.cluster import run_on_ray
        from hpo.driver.inline import run_inline

        if detach and (workers == 0 or address in (None, "local")):
            raise UserError(
                "--detach needs a Ray cluster that lives on its own, and workers there: start one (ray start --head), "
                "and give --address auto"
            )
        row = self.row
        job = _job(objective, args or {}, retry_on, system_metrics)
        _check_space(objective, row)
        code = _code(objective)
        need = {"cpus": cpus_per_trial, "gpus": gpus_per_trial, **(resources or {})} if workers else {}
        order = Order(
            storage=self.store.url,
            study_id=self._id,
            load=job,
            total=_total(row, n_trials, total_trials, timeout),
            workers=_whole("workers", workers, 0),
            slots=_whole("slots_per_worker", slots_per_worker, 1),
            address=address,
            timeout=timeout,
            trial_timeout=trial_timeout,
            report_timeout=report_timeout,
            max_retries=_whole("max_retries", max_retries, 0),
            keep_models=keep_models,
            lease_seconds=lease_seconds,
            sampler=self._chosen(self._sampler, row, "sampler"),
            pruner=self._chosen(self._pruner, row, "pruner"),
            callbacks=[_Callback(c, self) for c in callbacks or ()],
            ask=_Asked(self),
            settings=settings,
            code=code,
            launch=self.store.keep_launch(_captured(self.store, code, need)),
            detach=detach,
        )
        if workers == 0:
            return run_inline(order, on_progress)
        from hpo.execution.ray.session import Need

        if isinstance(job, ValueJob):
            warn_of_size(job.objective)
        order = replace(order, need=Need(cpus_per_trial, gpus_per_trial, resources))
        return run_on_ray(order, args or {}, on_progress)

    @staticmethod
    def _chosen(given: Any, row: StudyRow, kind: str) -> Any:
        return given if given is not None else row.settings.get(kind, "auto")

    def enqueue_trial(self, params: Mapping[str, Any], user_attrs: Mapping[str, Any] | None = None) -> int | None:
        """Have a trial with *params* run next; return its number.

        A declared space refuses params that do not lie in it; those left out are sampled. Where another process runs
        the study it is told so, and the number is None while it has not answered.
        """
        return enqueue(self.store, self.row, params, user_attrs or {})

    def set_user_attr(self, key: str, value: Any) -> None:
        """Set an attribute of the study; *value* must be JSON. Whoever runs the study writes it."""
        set_user_attrs(self.store, self.row, {key: value})

    def stop(self, grace: float = 10.0) -> None:
        """Ask whoever runs the study to stop: nothing new starts, running trials have *grace* seconds.

        In a callback of this study it stops at once, and running trials go on to their end.
        """
        manager = here(self.row.uid)
        if manager is not None:
            manager.stop()
        else:
            self.store.send_command(self._id, "stop", {"grace": grace})

    def report(self, path: str | os.PathLike[str] = "report.html") -> Path:
        """Write the report, one HTML file that opens offline; return its path."""
        from hpo.reports import write

        return Path(write(self._view(), path))

    def _view(self) -> StudyView:
        from hpo.reports import view_of

        return view_of(self.store, self.row)

    def refit(
        self, train: Callable[..., Any], *, trial: int | None = None, args: Mapping[str, Any] | None = None
    ) -> str:
        """Train once more with the best params (or those of *trial*), as a child run; return its 32-digit id.

        *train* is called with a trial whose ``params`` are set; what it logs lands on the child run, its model too.
        """
        from hpo.refit import refit

        return refit(self, train, trial=trial, args=args or {})

    def register(
        self, name: str, *, trial: int | None = None, run: str | None = None, description: str = "", reason: str = ""
    ) -> ModelVersion:
        """Register the best model (or that of *trial*, or of a refit's *run*) under *name*, with its lineage.

        Raises: NotFoundError: no model.
        """
        from hpo.registration import register

        return register(self, name, trial=trial, run=run, description=description, reason=reason)


class _Handle:
    """A study's handle in the manager's process: the caller's own, in another process one on the manager's store."""

    def __init__(self, study: Study | None) -> None:
        self._study = study

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_study": None}

    def study(self, store: Store, study_id: int) -> Study:
        if self._study is None:
            self._study = Study(store, store.get_study(study_id))
        return self._study


class _Callback(_Handle):
    """Hands a callback its study and trial."""

    def __init__(self, function: Callable[[Study, Trial], None], study: Study) -> None:
        super().__init__(study)
        self._function = function
        self.__name__ = getattr(function, "__name__", type(function).__name__)

    def __call__(self, store: Store, study_id: int, number: int) -> None:
        self._function(self.study(store, study_id), store.get_trial(study_id, number))


class _Asked(_Handle):
    """Answers what an objective asks of its study."""

    def __call__(self, store: Store, study_id: int, name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        if name not in ASKED:  # a worker's word is not trusted with more
            raise UserError(f"an objective may not ask its study for {name!r}")
        found = getattr(self.study(store, study_id), name)
        return found(*args, **kwargs) if callable(found) else found


def _job(objective: Any, args: Mapping[str, Any], retry_on: Sequence[Any], system_metrics: float) -> FileJob | ValueJob:
    if isinstance(objective, LoadedObjective):
        names = exception_names(retry_on, objective.function)
        return FileJob(objective.file, objective.name, objective.source, args, names, system_metrics)
    if not callable(objective):
        raise ObjectiveError(f"an objective is a function of a trial, not {objective!r:.60}")
    return ValueJob(objective, args, exception_names(retry_on, objective), system_metrics)


def _check_space(objective: Any, row: StudyRow) -> None:
    spec = objective.spec if isinstance(objective, LoadedObjective) else spec_of(objective)
    if spec.space is not None and row.space is None:
        raise UserError(
            f"objective {spec.name!r} declares a space, and study {row.name!r} has none: create it with space="
        )


def _total(row: StudyRow, n_trials: int | None, total: int | None, timeout: float | None) -> int | None:
    if n_trials is not None and total is not None:
        raise SettingsError("give n_trials (that many more) or total_trials (the study's sum), not both")
    if timeout is not None and not timeout > 0:
        raise SettingsError(f"timeout is {timeout}: give a number of seconds above 0")
    if n_trials is not None:
        # Those that wait were counted when they were created: this call runs them first, as many as it may.
        return _finished(row) + _whole("n_trials", n_trials, 1)
    if total is not None:
        return _whole("total_trials", total, 1)
    # An interrupted study is brought to the end that it was given; one that reached it goes on without an end.
    unfinished = row.total_trials is not None and row.status != "complete" and _finished(row) < row.total_trials
    return row.total_trials if unfinished else None


def _finished(row: StudyRow) -> int:
    return sum(n for state, n in row.counts.items() if state.is_finished())


def _whole(name: str, value: Any, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise SettingsError(f"{name} is {value!r}: give a whole number from {least} up")
    return value


def _code(objective: Any) -> dict[str, Any]:
    """Return what a study records of its objective: file, name, source and digest."""
    if isinstance(objective, LoadedObjective):
        return objective.record()
    name = getattr(objective, "__name__", type(objective).__name__)
    from trackers.capture.secret import redact

    source = source_of(objective)
    digest = hashlib.sha256(source.encode()).hexdigest()
    return {"file": None, "name": name, "source": redact(source), "digest": digest}


def _captured(store: Store, code: Mapping[str, Any], need: Mapping[str, Any]) -> Capture:
    """Return the code around the objective, and the environment; *need* is what Ray is asked for a trial."""
    from trackers import capture

    place = code.get("file") or "."
    # The source of a file is in the code around it, that of a function in a notebook nowhere else.
    kept = ("file", "name", "digest") if code.get("file") else ("name", "digest", "source")
    objective = {name: code.get(name) for name in kept}
    found = capture.capture(place, beside=store.own_files(), objective=objective)
    if not need:
        return found
    from importlib.metadata import version

    return replace(found, environment={**found.environment, "ray": {"version": version("ray"), **need}})


__all__ = ["Study", "StudyBusyError", "create_study", "delete_study", "load_study", "open_store"]
