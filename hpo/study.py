"""A person's handle on a study: what it is, what came out, and the calls that go on from there."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpo.direction import Direction
from hpo.driver import OnProgress, Order, RunSummary
from hpo.driver.takeover import clear
from hpo.enqueue import adopt, enqueue, set_user_attrs
from hpo.errors import StudyInterrupted, UserError
from hpo.figures import Figures
from hpo.handles import AskedHandle, CallbackHandle
from hpo.jobs import check_gpus, check_travels, code_of, job_of
from hpo.manager.here import here
from hpo.objective_file import LoadedObjective
from hpo.optimizing import agreed, captured, threads, total_of
from hpo.settings import read_call
from hpo.space import Space
from trackers.states import RunState
from trackers.values import ModelVersion, Several, StudyRow, Trial

if TYPE_CHECKING:
    import pandas as pd

    from hpo.ranking import Ranking
    from hpo.reports import StudyView
    from trackers.store import Store

_ASK = (
    "ask and tell are for studies that your own loop runs: optuna.load_study(study_name=..., "
    "storage=trackers.interop.optuna.OptunaStorage(URL)) keeps them in the same store (docs/how-to/optuna.md); a study of "
    "hpo.create_study is run by optimize"
)


class Study(Figures):
    """A study in a store, by ``hpo.create_study`` or ``hpo.load_study``. Thread-safe.

    Reads are fresh: each attribute asks the store. *name* is what it is called, *store* the store that has it.
    """

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
    def directions(self) -> Several[Direction]:
        """``"minimize"`` or ``"maximize"``, one per objective; equal to Optuna's enumeration, too."""
        return Several(map(Direction, self.row.directions))

    @property
    def direction(self) -> Direction:
        """The direction, where there is one objective. Raises: RuntimeError for several."""
        return Direction(self.row.direction)

    @property
    def metric_names(self) -> Several[str]:
        """The names of the objectives."""
        return Several(self.row.metric_names)

    @property
    def space(self) -> Space | None:
        """The declared space; None: define-by-run."""
        space = self.row.space
        return None if space is None else Space.from_json(space)

    @property
    def user_attrs(self) -> Mapping[str, Any]:
        """The study's own attributes."""
        return self.row.user_attrs

    @property
    def system_attrs(self) -> Mapping[str, Any]:
        """What samplers and Optuna's tools keep with the study."""
        return self.row.system_attrs

    @property
    def sampler(self) -> Any:
        """What suggests params: a name, or the object that was given; another one counts from the next ``optimize``."""
        return self._chosen(self._sampler, self.row, "sampler")

    @sampler.setter
    def sampler(self, value: Any) -> None:
        self._sampler = read_call(sampler=value)["sampler"]

    @property
    def pruner(self) -> Any:
        """What stops hopeless trials: a name, or the object that was given; as ``sampler``."""
        return self._chosen(self._pruner, self.row, "pruner")

    @pruner.setter
    def pruner(self, value: Any) -> None:
        self._pruner = read_call(pruner=value)["pruner"]

    def _is_multi_objective(self) -> bool:  # called by optuna-integration's callbacks
        return len(self.row.directions) > 1

    # ---- what came out

    @property
    def trials(self) -> list[Trial]:
        """All trials, by number."""
        return self.store.get_trials(self._id)

    def get_trials(self, deepcopy: bool = True, states: Iterable[RunState] | None = None) -> list[Trial]:
        """Return the trials in *states* (None: all), by number.

        *states* may be Optuna's. Each call reads anew, whatever *deepcopy* says.
        """
        return self.store.get_trials(self._id, states=None if states is None else [RunState(int(s)) for s in states])

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

    def trials_dataframe(self, attrs: Sequence[str] | None = None, multi_index: bool = False) -> pd.DataFrame:
        """Return Optuna's frame: one row a trial, by number, with the columns *attrs* (None: those that Optuna has).

        ``params_NAME``, ``user_attrs_NAME``, ...; with *multi_index* the names are a second level. For a table that is
        ordered by merit: ``study.ranking().to_pandas()``.
        """
        from hpo.frame import ATTRS, trials_frame

        return trials_frame(self.trials, self.row.metric_names, attrs or ATTRS, multi_index=multi_index)

    # ---- what goes on

    def optimize(
        self,
        objective: Callable[..., Any] | LoadedObjective,
        n_trials: int | None = None,
        timeout: float | None = None,
        n_jobs: int = 1,
        catch: Iterable[type[Exception]] | type[Exception] = (),
        callbacks: Sequence[Callable[[Study, Trial], None]] | None = None,
        gc_after_trial: bool = False,
        show_progress_bar: bool = False,
        *,
        total_trials: int | None = None,
        workers: int = 0,
        cpus_per_trial: float = 1.0,
        gpus_per_trial: float = 0.0,
        resources: Mapping[str, float] | None = None,
        trial_timeout: float | None = None,
        report_timeout: float | None = None,
        max_retries: int = 2,
        retry_on: Sequence[type[BaseException] | str] | type[BaseException] | str = (),
        keep_models: int | str = 3,
        system_metrics: float = 0.0,
        slots_per_worker: int = 1,
        lease_seconds: float = 10.0,
        address: str | None = None,
        args: Mapping[str, Any] | None = None,
        on_progress: OnProgress | None = None,
        detach: bool = False,
        settings: Mapping[str, Any] | None = None,
    ) -> RunSummary:
        """Run trials of *objective* until there are enough, and return how it ended.

        *n_trials* is how many more (exact, over all workers); *total_trials* the study's sum; neither: what an
        interrupted study has left, else until *timeout* (seconds since the manager began: starting Ray comes before) or
        a stop. *workers* 0 runs them here, one after another; more are Ray worker processes, each with
        *cpus_per_trial*, *gpus_per_trial* (fractions) and *resources*, on the cluster at *address* (None: one of our
        own). *args* are passed to the objective by name and travel once. *callbacks* run after each trial's commit, in
        the manager's process; what one raises ends the study, and is raised here. *system_metrics*: what the machine
        does is logged on each trial every so many seconds (0: not at all). Times are in seconds.

        *trial_timeout*, *report_timeout*, *max_retries*, *retry_on*, *keep_models* and *slots_per_worker* are the
        settings of those names. Another process may take the study over when this one has shown no sign of life for
        *lease_seconds*. *on_progress* is called with a ``Progress`` again and again. With *detach* it returns as soon
        as the manager runs, on a cluster that lives on its own. *settings* is what the study's row says it ran with.

        Optuna's other arguments: *n_jobs* N is N threads, in one worker process (-1: one per CPU); *catch* changes
        nothing, since whatever an objective raises costs one trial; *gc_after_trial* collects garbage after each
        trial; *show_progress_bar* shows one on the terminal.

        Raises: UserError, ClusterError, StudyBusyError, StoreError, what a callback raises, and StudyInterrupted (a
        KeyboardInterrupt) after Ctrl-C or SIGTERM: all that finished is kept.
        """
        # Long, since it names each setting three times: what is given, what is checked, what is ordered.
        read = read_call(
            n_trials=n_trials,
            total_trials=total_trials,
            timeout=timeout,
            n_jobs=n_jobs,
            catch=catch,
            callbacks=callbacks,
            gc_after_trial=gc_after_trial,
            show_progress_bar=show_progress_bar,
            workers=workers,
            cpus_per_trial=cpus_per_trial,
            gpus_per_trial=gpus_per_trial,
            resources=resources,
            trial_timeout=trial_timeout,
            report_timeout=report_timeout,
            max_retries=max_retries,
            retry_on=retry_on,
            keep_models=keep_models,
            system_metrics=system_metrics,
            slots_per_worker=slots_per_worker,
            lease_seconds=lease_seconds,
            address=address,
            args=args,
            on_progress=on_progress,
            detach=detach,
        )
        count, slots = threads(read)
        if count == 0 and read["gpus_per_trial"]:
            check_gpus()
        if detach and (count == 0 or address in (None, "local")):
            raise UserError(
                "--detach needs a Ray cluster that lives on its own, and workers there: start one (ray start --head), "
                "and give --address auto; in Python: optimize(..., detach=True, address='auto', workers=8)"
            )
        job = job_of(
            objective,
            read["args"] or {},
            retry_on or (),
            system_metrics=read["system_metrics"],
            collect=read["gc_after_trial"],
        )
        calls = read["callbacks"] or ()
        if count:
            check_travels(job, calls)
        clear(self.store, self._id, read["lease_seconds"])
        row = agreed(self.store, objective, self.row)
        code = code_of(objective)
        need = {"cpus": cpus_per_trial, "gpus": gpus_per_trial, **(resources or {})} if count else {}
        order = Order(
            storage=self.store.url,
            study_id=self._id,
            load=job,
            total=total_of(row, read["n_trials"], read["total_trials"]),
            workers=count,
            slots=slots,
            address=read["address"],
            timeout=read["timeout"],
            trial_timeout=read["trial_timeout"],
            report_timeout=read["report_timeout"],
            max_retries=read["max_retries"],
            keep_models=read["keep_models"],
            lease_seconds=read["lease_seconds"],
            sampler=self._chosen(self._sampler, row, "sampler"),
            pruner=self._chosen(self._pruner, row, "pruner"),
            callbacks=[CallbackHandle(c, self) for c in calls],
            ask=AskedHandle(self),
            settings=settings,
            code=code,
            launch=self.store.keep_launch(captured(self.store, code, need)),
            detach=detach,
        )
        return self._run(order, read)

    def _run(self, order: Order, read: Mapping[str, Any]) -> RunSummary:
        from hpo.driver.cluster import run_on_ray
        from hpo.driver.inline import run_inline
        from hpo.progress import on_terminal

        told = on_terminal(read["on_progress"]) if read["show_progress_bar"] else read["on_progress"]
        if order.workers == 0:
            summary = run_inline(order, told)
        else:
            from hpo.execution.ray.session import Need

            need = Need(read["cpus_per_trial"], read["gpus_per_trial"], read["resources"])
            summary = run_on_ray(replace(order, need=need), read["args"] or {}, told)
        if summary.error is not None:
            raise summary.error
        if summary.status == "interrupted":
            raise StudyInterrupted(self.name, summary)
        return summary

    @staticmethod
    def _chosen(given: Any, row: StudyRow, kind: str) -> Any:
        return given if given is not None else row.settings.get(kind, "auto")

    def enqueue_trial(
        self, params: Mapping[str, Any], user_attrs: Mapping[str, Any] | None = None, skip_if_exists: bool = False
    ) -> int | None:
        """Have a trial with *params* run next; return its number.

        A declared space refuses params that do not lie in it; those left out are sampled. Where another process runs
        the study it is told so, and the number is None while it has not answered. *skip_if_exists* enqueues nothing,
        and returns None, where a trial has exactly these params, or was enqueued with them.
        """
        return enqueue(self.store, self.row, params, user_attrs or {}, skip_if_exists=skip_if_exists)

    def add_trial(self, trial: Any) -> None:
        """Add a trial that ran elsewhere: Optuna's ``FrozenTrial`` or one of ours, finished or WAITING.

        Raises: StudyBusyError while somebody runs the study, UserError for a trial that does not fit it.
        """
        self.add_trials([trial])

    def add_trials(self, trials: Iterable[Any]) -> None:
        """Add trials that ran elsewhere, all or none; see ``add_trial``."""
        adopt(self.store, self.row, list(trials))

    def ask(self, fixed_distributions: Any = None) -> Any:
        """Raise UserError: the trials of a managed study are handed out by its manager alone."""
        raise UserError(_ASK)

    def tell(self, trial: Any, values: Any = None, state: Any = None, skip_if_finished: bool = False) -> Any:
        """Raise UserError: the trials of a managed study are ended by its manager alone."""
        raise UserError(_ASK)

    def set_metric_names(self, metric_names: Sequence[str]) -> None:
        """Check that the objectives are called *metric_names*. Raises: UserError: names are given at the creation."""
        if tuple(metric_names) != self.row.metric_names:
            raise UserError(
                f"the objectives of {self.name!r} are called {', '.join(self.row.metric_names)}, and their series are "
                "stored so: name them with create_study(metrics=[...])"
            )

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
