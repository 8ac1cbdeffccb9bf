"""What a store does with experiments and runs: the half of the front door that a tracker has."""

from __future__ import annotations

import hashlib
import os
import threading
from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trackers.active import STARTING, ActiveRun, active_run
from trackers.artifacts.names import check_name
from trackers.clock import now_us
from trackers.errors import AlreadyExistsError, InvalidValueError, NotFoundError, SchemaError, StoreError
from trackers.journal import Entry
from trackers.launching import PATIENCE
from trackers.lifecycle import Lifecycle
from trackers.names import LONGEST, clean_name
from trackers.processes import user_name
from trackers.query import parse_flat, parse_order
from trackers.recorder import clean_params, clean_tags, context_label
from trackers.resuming import Resuming
from trackers.resuming import RunRef as RunRef
from trackers.sql import attempts, datasets, experiments, history, lifecycle, metrics, runs, search
from trackers.sql.columns import check_param
from trackers.sql.ids import Ids, new_uid
from trackers.sql.run_pages import read_runs
from trackers.sql.schema import Identity
from trackers.table import Table, join_tables, table_place, unpack_table
from trackers.values import (
    ArtifactRow,
    Attempt,
    DataSet,
    Experiment,
    MetricPoint,
    MetricSummary,
    ParamValue,
    Run,
    RunError,
    RunInput,
    Trial,
)
from trackers.wording import hinting

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from trackers.page import RunPage
    from trackers.sql.commit import Commit
    from trackers.sql.engine import Database
    from trackers.sql.writer import Writer


class Tracking(Lifecycle, Resuming):
    """Experiments and runs of a store. Thread-safe; reading sees everything that this store was given to log."""

    database: Database
    writer: Writer
    identity: Identity
    ids: Ids
    offline: bool
    strict: bool
    """Whether what the database does not take is raised, where a journal would take it."""

    def __init__(self) -> None:
        super().__init__()
        self._log_lock = threading.Lock()
        self._user = user_name()[:LONGEST]
        self._latest: Commit | None = None

    @abstractmethod
    def allocate_ids(self, n: int) -> range:
        """Return *n* ids that nobody else gets, rising and without a gap."""

    @abstractmethod
    def new_uid(self) -> str:
        """Return 32 hex digits that nobody else has (a UUIDv7)."""

    # --- experiments -------------------------------------------------------------------------------------------

    def create_experiment(
        self, name: str, *, description: str = "", tags: Mapping[str, str] | None = None
    ) -> Experiment:
        """Create an experiment and return it; raises AlreadyExistsError when the name is taken."""
        name = experiments.check_experiment(name)
        make = partial(experiments.create_experiment, name=name, description=description, tags=clean_tags(tags or {}))
        return self.get_experiment(self.writer.call(make))

    def get_experiment(self, ref: str | int) -> Experiment:
        """Return the experiment or study with this name or id; raises NotFoundError, which names the close matches."""

        def read(connection: Connection) -> Experiment:
            found = experiments.find_experiments(connection, [ref])[0]
            return experiments.read_experiments(connection, found)[0]

        self.settle()
        return self.database.read(read)

    def list_experiments(self, view: str = "active") -> list[Experiment]:
        """Return every experiment and study in *view*, newest first; see ``search_runs``."""
        where = lifecycle.experiments_in_view(lifecycle.check_view(view))
        self.settle()
        return self.database.read(lambda connection: experiments.read_experiments(connection, where=where))

    def count_runs(self) -> dict[int, int]:
        """Return the number of runs of each experiment that has any, by its id; archived and deleted ones are not counted."""
        self.settle()
        return self.database.read(lambda connection: runs.count_runs(connection))

    # --- runs --------------------------------------------------------------------------------------------------

    @hinting(**STARTING)
    def start_run(
        self,
        experiment: str | None = None,
        *,
        name: str = "",
        params: Mapping[str, ParamValue] | None = None,
        tags: Mapping[str, str] | None = None,
        parent: RunRef | None = None,
        nested: bool = False,
        system_metrics: bool | float = False,
    ) -> ActiveRun:
        """Start a run; use it in a ``with`` block, or call its ``end``.

        *experiment* is made where it is new; the default is that of the parent, else ``"default"``. *parent* is the
        run that this one belongs to; with *nested* it is the active one. *system_metrics* logs what the machine does
        until the run ends, every 10 seconds or as many as are given. It does not wait for the commit: what goes wrong
        there is raised by ``flush`` or ``end``. Raises NotFoundError for an unknown parent.
        """
        if system_metrics:
            from trackers.system import SystemMetrics, check_seconds

            check_seconds(system_metrics)
        if parent is None and nested:
            active = active_run()
            parent = active if active is None or isinstance(active, ActiveRun | Run) else self._trial_id(active)
        parent_id, parent_uid = self._parent(parent)
        start = runs.Start(
            run_id=-1,
            uid=new_uid(),
            experiment=None if experiment is None else experiments.check_experiment(experiment),
            name=clean_name(name, "run") if name else "",
            params=clean_params(params or {}),
            tags=clean_tags(tags or {}),
            parent_id=parent_id,
            user=self._user,
            host=self._host,
            pid=os.getpid(),
            time=now_us(),
            parent=parent_uid,
            launch=self.own_launch(),
        )
        start, begun = self._insert(start)
        if parent is not None or not self.writer.may_spill:
            self.writer.hurry()
            # The parent may be gone, or the database be away where no journal stands in for it.
            with suppress(TimeoutError):
                begun.wait(PATIENCE if self.writer.may_spill else None)
        run = self._handle(start.run_id, start.uid)
        self.note(run)
        run.known(start.params)
        run.begun(begun)
        if system_metrics:
            run.system_metrics = SystemMetrics.begin(run, system_metrics)
        return run

    def _handle(self, run_id: int, uid: str, attempt: int = 0) -> ActiveRun:
        return ActiveRun(self, run_id, uid, attempt)

    def _parent(self, ref: RunRef | None) -> tuple[int | None, str | None]:
        """Return the id of a parent, or its uid where it has no id yet or none can be looked up."""
        if ref is None:
            return None, None
        if isinstance(ref, ActiveRun) and ref.is_of(self):
            return ref.known_id, ref.uid if ref.known_id is None else None
        if not self.writer.spilling or not isinstance(ref, str):
            return self._run_id(ref), None
        if len(ref) != 32:
            raise InvalidValueError(f"while the store is away a parent is named by its 32 hex digits, not {ref[:80]!r}")
        return None, ref.lower()

    def _trial_id(self, trial: Any) -> int:
        """Return the id of the trial that runs here; raises NotFoundError where its study is in another store."""
        if self.identity.uid and trial.facts.store_uid not in ("", self.identity.uid):
            raise NotFoundError(
                "the trial that runs here is in another store: name a parent= of this one, or leave nested=True out"
            )
        return int(trial.run_id)

    def _insert(self, start: runs.Start) -> tuple[runs.Start, Commit]:
        """Queue a new run; while the database is away its journal takes it, and it has no id yet (-1)."""
        if not self.writer.spilling:
            try:
                start = replace(start, run_id=self._next_id())
            except SchemaError:
                raise
            except StoreError as exc:
                self.writer.spill(exc)
                if not self.writer.spilling:  # it is strict
                    raise
        if start.launch is None:
            start = replace(start, captured=self.waiting_launch())
        return start, self._submit(Entry("start", start.uid, start.fields(), start.run_id))

    def _next_id(self) -> int:
        """Return an id; -1 where the database is slow to give one and need not be waited for: another process has it."""
        if not self.writer.may_spill:
            return self.allocate_ids(1)[0]
        if self._launch_waits:
            return -1  # what was asked just before took too long already
        found = self.ids.allocate_soon(PATIENCE)
        return -1 if found is None else found

    def get_run(self, ref: RunRef) -> Run:
        """Return a run by its id, its uid (or the first 16 digits of it) or ``STUDY/17``; raises NotFoundError."""
        run_id = self._run_id(ref)
        return self.database.read(lambda connection: read_runs(connection, [run_id])[0])

    def children(self, run: RunRef, *, limit: int = 100) -> tuple[int, list[Run]]:
        """Return how many children a run has, and the first *limit* of them; deleted ones are left out."""
        run_id = self._run_id(run)

        def read(connection: Connection) -> tuple[int, list[Run]]:
            count, found = runs.find_children(connection, run_id, limit)
            return count, read_runs(connection, found)

        return self.database.read(read)

    def attempts(self, run: RunRef) -> list[Attempt]:
        """Return every start of a run, the first one first: where, when, and how it ended. Raises NotFoundError."""
        run_id = self._run_id(run)
        return self.database.read(lambda connection: attempts.read_attempts(connection, run_id))

    def error(self, run: RunRef) -> RunError | None:
        """Return why a run failed, with the traceback; None where it did not. Raises NotFoundError."""
        run_id = self._run_id(run)
        return self.database.read(lambda connection: runs.read_error(connection, run_id))

    @hinting(
        filter_string="it is called filter",
        max_results="it is called limit",
        experiment_names="it is called experiments",
        experiment_ids="give the names of the experiments as experiments=",
        run_view_type="it is called view",
        output_format="call .to_pandas() of what it returns",
        search_all_experiments="all are searched where experiments= is not given",
    )
    def search_runs(
        self,
        filter: str = "",
        *,
        experiments: Sequence[str] | str | None = None,
        order_by: str | Sequence[str] | None = None,
        limit: int = 100,
        page_token: str | None = None,
        view: str = "active",
    ) -> RunPage:
        """Return the runs that match *filter*, at most *limit*; the next page by its ``next_token``.

        The language is that of ``trackers.query``. *experiments* are names, None means all; the order is newest
        first unless *order_by* says otherwise, such as ``"metrics.auc desc, attributes.started"``: runs with NaN come
        after the others and runs without the field last, whatever the direction. *view* is ``"active"``,
        ``"archived"``, ``"deleted"`` or ``"all"``.

        Raises FilterError, NotFoundError for an unknown experiment, InvalidValueError for a limit or a token that
        does not serve.
        """
        names = (experiments,) if isinstance(experiments, str) else experiments
        wanted = search.Search(parse_flat(filter), None if names is None else tuple(names), parse_order(order_by))
        wanted = replace(wanted, view=lifecycle.check_view(view))
        self.settle()
        return self.database.read(lambda connection: search.search_runs(connection, wanted, limit, page_token))

    # --- data --------------------------------------------------------------------------------------------------

    def datasets(self, ref: str | None = None) -> list[DataSet]:
        """Return the data sets that runs read, the newest first: all, or those of this name or digest.

        A digest may be cut, to 8 digits at least.
        """
        self.settle()
        return self.database.read(lambda connection: datasets.read_datasets(connection, ref))

    def runs_with_data(self, digest: str, *, limit: int = 100) -> list[Run]:
        """Return the runs that read the data with this digest, under whatever name, the newest first."""
        self.settle()
        return self.database.read(
            lambda connection: read_runs(connection, datasets.runs_with(connection, digest, limit))
        )

    # --- what a run holds --------------------------------------------------------------------------------------

    def metrics(self, run: RunRef) -> list[MetricSummary]:
        """Return what is kept of each metric series of a run: its count, last value, extremes."""
        run_id = self._run_id(run)
        return self.database.read(lambda connection: metrics.read_summaries(connection, run_id))

    def metric_history(
        self,
        run: RunRef,
        key: str,
        context: Mapping[str, object] | str | None = "",
        *,
        max_points: int | None = None,
    ) -> list[MetricPoint]:
        """Return the points of a series by step; raises NotFoundError, which names close keys.

        With *max_points* (4 or more) a longer series is thinned: its first and last point and the smallest and largest
        of each part between them are kept, so that a picture of it looks the same.
        """
        if max_points is not None and (type(max_points) is not int or max_points < 4):
            raise InvalidValueError(f"max_points must be 4 or more, not {max_points!r}: leave it away for every point")
        key, label = clean_name(key, "metric"), context_label(context)
        run_id = self._run_id(run)

        def read(connection: Connection) -> list[MetricPoint]:
            # as ``metrics`` shows it: from before contexts had one form
            old = isinstance(context, str) and context != label and history.has_series(connection, run_id, key, context)
            return history.read_history(connection, run_id, key, str(context) if old else label, max_points)

        return self.database.read(read)

    def inputs(self, run: RunRef) -> list[RunInput]:
        """Return the data sets that a run read, by role and name."""
        run_id = self._run_id(run)
        return self.database.read(lambda connection: metrics.read_inputs(connection, run_id))

    def list_artifacts(self, run: RunRef) -> list[ArtifactRow]:
        """Return the files of a run, by name."""
        run_id = self._run_id(run)
        return self.database.read(lambda connection: metrics.read_artifacts(connection, run_id))

    def load_table(
        self, name: str, runs: RunRef | Sequence[RunRef] | None = None, *, filter: str = "", **search: Any
    ) -> Table:
        """Return the table *name* of one run, or of several under each other with the column ``run`` before them.

        *runs* are runs, or what names them; without them those that ``search_runs`` finds for *filter* and *search*,
        newest first. Runs without the table are left away; raises NotFoundError where none has it.
        """
        if runs is None:
            runs = list(self.search_runs(filter, **{"limit": 1000, **search}))
        one = isinstance(runs, RunRef)
        if not one and not isinstance(runs, Iterable):
            raise InvalidValueError(f"runs are named by their ids or uids, or are a list of them, not {runs!r:.60}")
        parts: list[tuple[Mapping[str, Any], Table]] = []
        folder, form = table_place(check_name(name))
        for run in [runs] if isinstance(runs, RunRef) else runs:
            names = [file.name for file in self.list_artifacts(run) if file.name.startswith(f"{folder}/")]
            own = sorted(name for name in names if name.count("/") == folder.count("/") + 1)
            label: Mapping[str, Any] = {} if one or not own else {"run": self.get_run(run).path}
            parts += [(label, unpack_table(self.read_artifact(run, x), x.rpartition(".")[2] or form)) for x in own]
        if not parts:
            raise NotFoundError(f"none of these runs has a table {name!r}: log it with log_table")
        return join_tables(parts)

    def read_artifact(self, run: RunRef, name: str) -> bytes:
        """Return the bytes of a run's file; raises NotFoundError, and DigestError for one that is damaged."""
        return self.artifacts.read(self._digest(run, name))

    def download_artifact(self, run: RunRef, name: str, to: str | os.PathLike[str]) -> Path:
        """Copy a run's file to the path *to*, or into it where that is a folder, and return where it lies.

        Raises AlreadyExistsError where a file of other bytes is there already.
        """
        digest = self._digest(run, name)
        target = Path(to) / name.rpartition("/")[2] if Path(to).is_dir() else Path(to)
        if not target.is_file():
            return self.artifacts.get(digest, target)
        with target.open("rb") as there:
            if hashlib.file_digest(there, "sha256").hexdigest() == digest:
                return target
        raise AlreadyExistsError(
            f"{target} is there already, and is another file: give a new path, or remove it first."
        )

    def _digest(self, run: RunRef, name: str) -> str:
        name = check_name(name)
        run_id = self._run_id(run)
        return self.database.read(lambda connection: metrics.find_artifact(connection, run_id, name))

    # --- for the handle of a run -------------------------------------------------------------------------------

    def submit(self, run: ActiveRun, kind: str, content: Any) -> Commit:
        """Hand what a run logs to the writer; *kind* and *content* are those of a journal's entry."""
        return self._submit(Entry(kind, run.uid, content, -1 if run.known_id is None else run.known_id))

    def _submit(self, entry: Entry) -> Commit:
        with self._log_lock:  # so that the latest commit is the last one in the queue
            self._latest = self.writer.log(entry)
            return self._latest

    def keep(self) -> None:
        """Make what waits in the journal outlive a power cut."""
        self.writer.keep()

    def run_id_of(self, uid: str) -> int:
        """Return the id of a run that was started while the store was away; raises StoreError while it has none."""
        try:
            return self._run_id(uid)
        except NotFoundError as exc:
            raise StoreError(f"run {uid} has no id yet: it waits in the journal until the store is back") from exc

    def check_param(self, name: str, old: Any, new: Any) -> None:
        """Raise InvalidValueError unless both are the same param."""
        check_param(name, old, new)

    def settle(self) -> None:
        """Wait until what was logged so far is committed; a failure reaches the handle of its run."""
        latest = self._latest
        if latest is not None and not latest.done():
            self.writer.hurry()
            try:
                latest.wait()
            except Exception:  # noqa: BLE001 - the run it belongs to reports it
                pass
        for _ in range(2):  # a connection that was lost is opened again by the second
            try:
                self.writer.drain()
            except Exception:  # noqa: BLE001 - the database is away: who reads it is told so
                continue
            break

    def _run_id(self, ref: RunRef) -> int:
        self.settle()
        if isinstance(ref, ActiveRun):
            if ref.known_id is not None and ref.is_of(self):
                return ref.known_id
            ref = ref.uid
        if isinstance(ref, Run | Trial):
            ref = ref.uid or (ref.id if isinstance(ref, Run) else ref.run_id)  # another store has the id, too
        return self.database.read(lambda connection: runs.find_run(connection, ref))
