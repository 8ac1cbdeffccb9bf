"""The front door: a store of runs, studies and models in one database.

Long for its docstrings: runs are in ``trackers.tracking``, keeping house in ``trackers.keeping``, and the work in
``trackers.sql``.
"""

from __future__ import annotations

import os
import threading
import time
import uuid
import weakref
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trackers.clock import now_us
from trackers.errors import ArtifactError, InvalidValueError, NotFoundError, StoreAwayError, StoreError
from trackers.journal import Journal, journal_folder
from trackers.keeping.door import Keeping
from trackers.processes import host_name, user_name
from trackers.recorder import clean_tags
from trackers.sql import blobs, commands, events, holding, leases, lifecycle, logged_models, studies, trials
from trackers.sql.address import Address, read_address
from trackers.sql.commit import Commit
from trackers.sql.engine import Away, Database
from trackers.sql.guard import Guard
from trackers.sql.ids import Ids, new_uid, take_block
from trackers.sql.leases import PATIENCE as PATIENCE  # with the next line: part of the front door
from trackers.sql.leases import StudyLease as StudyLease  # what acquire_study returns
from trackers.sql.schema import Identity, check_not_lost, open_database, read_revision
from trackers.sql.shared import SharedStudy as SharedStudy  # what share_study returns: part of the front door
from trackers.sql.spill import Spill
from trackers.sql.writer import Writer
from trackers.states import RunState
from trackers.tracking import Tracking
from trackers.values import Command, Event, LoggedModel, Owner, StudyRow, Trial

if TYPE_CHECKING:
    from trackers.artifacts import ArtifactStore
    from trackers.intake import Intake
    from trackers.models import LoadedModel
    from trackers.registry import Registry
    from trackers.sql.apply import SqlApplier

LEASE_SECONDS = 10.0


def connect(
    url: str | os.PathLike[str] | Store,
    artifacts: str | os.PathLike[str] | None = None,
    *,
    create: bool = True,
    strict: bool = False,
    offline: bool | None = None,
) -> Store:
    """Connect to a store and return it.

    *url* is ``sqlite:///FILE``, a ``Path`` of a SQLite file, ``postgresql+psycopg://USER@HOST/DATABASE``,
    ``mariadb+pymysql://USER@HOST/DATABASE`` (or ``mysql+pymysql://``), or a store
    (returned as it is). *artifacts* says, for a store that does not exist yet, where its files go: a folder or a
    URL such as ``s3://BUCKET/FOLDER``; the default lies beside a SQLite file. With *create* an empty database gets
    its schema, and a SQLite file that is missing is made.

    What runs log never waits for the database: while that is away it goes to a journal, which is drained when it is
    back (see ``trackers.sync``). With *strict* it raises instead. With *offline* (default: ``HPO_OFFLINE=1``, for a
    store that may be made) the journal takes everything from the start, and the database is not looked at.

    Raises InvalidValueError for a URL that cannot be read, NotFoundError when there is no store and *create* is
    false, SchemaError for one of another release, StoreAwayError for a server that cannot be reached, and StoreError for
    a database that cannot be used.
    """
    if isinstance(url, Store):
        return url
    if offline is None:
        offline = create and is_offline()
    try:
        return Store(url, artifacts=artifacts, create=create, strict=strict, offline=offline)
    except StoreAwayError as exc:
        if create:
            exc.add_note(
                "Runs can be logged all the same: connect with offline=True (or HPO_OFFLINE=1), and call `trackers sync` later."
            )
        raise


def is_offline() -> bool:
    """Tell whether ``HPO_OFFLINE`` asks for it that the journal takes everything."""
    return os.environ.get("HPO_OFFLINE", "").strip().lower() in {"1", "true", "yes", "on"}


def upgrade_store(url: str | os.PathLike[str]) -> tuple[str | None, str]:
    """Bring the schema of a store up to date; return the revision that was there and the one that is.

    A copy of a SQLite file is kept beside it. Raises SchemaError while others use the store, or when it is newer.
    """
    from trackers.sql.migrations.upgrade import upgrade

    address = read_address(url)
    if address.path is not None and not address.path.exists():
        raise NotFoundError(f"there is no store at {address.path}: name another with --storage or HPO_STORAGE")
    database = Database(address)
    try:
        if read_revision(database) is None:
            check_not_lost(database)
            raise NotFoundError(f"there is no store in {address.safe} yet: the first run makes it")
        return upgrade(database)
    finally:
        database.close()


class Store(Tracking, Keeping):
    """A store, connected: thread-safe, a context manager, and picklable (the copy connects again).

    Reading sees what is committed; every write goes through one writer thread. ``close`` flushes.
    """

    def __init__(
        self,
        url: str | os.PathLike[str],
        *,
        artifacts: str | os.PathLike[str] | None = None,
        create: bool = True,
        strict: bool = False,
        offline: bool = False,
    ) -> None:
        super().__init__()
        if strict and offline:
            raise InvalidValueError("a store is strict or offline, not both: offline everything goes to the journal")
        address = read_address(url)
        self.strict, self.offline = strict, offline
        if offline:
            self.database, self.identity = Away(address), Identity("", now_us(), "")
        else:
            self.database, self.identity = open_database(
                address, artifacts=None if artifacts is None else os.fspath(artifacts), create=create
            )
        head = {"store": self.identity.uid, "url": address.safe}
        spill = None if strict else Spill(uid := new_uid(), partial(_make_journal, address, uid, head), offline=offline)
        if offline and spill is not None:
            spill.prepare()
        self.writer = Writer(self.database, partial(_make_applier, self.database.dialect), spill)
        self.ids = Ids(partial(_ask_for_ids, self.writer))
        self._artifacts: ArtifactStore | None = None
        self._claims = create
        self._lock = threading.Lock()
        self._closing = weakref.finalize(self, _close, self.writer, self.database)

    @property
    def url(self) -> str:
        """The URL with its password: to connect with, never to show."""
        return self.database.address.full

    @property
    def safe_url(self) -> str:
        """The URL to show: its password is hidden."""
        return self.database.address.safe

    @property
    def artifact_root(self) -> str:
        """Where the files of this store lie: an absolute path or a URL."""
        return self.identity.artifact_root

    @cached_property
    def own_files(self) -> tuple[Path, ...]:
        """The files and folders of this store, which are nobody's code."""
        address = self.database.address
        path, root = address.path, self.artifact_root
        ends = ("", "-wal", "-shm", "-journal")
        files = () if path is None else tuple(path.with_name(path.name + end) for end in ends)
        files = (*files, journal_folder(path, address.safe))
        if not root and path is not None:  # offline the store cannot say where its files lie
            root = str(path.with_name(f"{path.stem}-artifacts"))
        # a folder of another name may be where the code lies: the store's files in it are known by theirs
        return (*files, Path(root)) if "://" not in root and root.endswith("-artifacts") else files

    @property
    def artifacts(self) -> ArtifactStore:
        """The files of this store."""
        with self._lock:
            if self._artifacts is None:
                self._artifacts = self._open_artifacts()
            return self._artifacts

    def _open_artifacts(self) -> ArtifactStore:
        from trackers.artifacts import ArtifactStore

        if self.offline:
            artifacts = self.writer.journal_files()
            artifacts.own = self.own_files
            return artifacts
        artifacts = ArtifactStore(self.artifact_root, uid=self.identity.uid)
        artifacts.own = self.own_files
        if self._claims:
            # Workers look for this note to tell whether they see the same root. Who only reads writes nothing.
            try:
                artifacts.claim(self.identity.uid, self.safe_url)
            except ArtifactError:
                pass  # a root that cannot be written is told to whoever stores a file
        return artifacts

    def close(self) -> None:
        """Write everything that was submitted and close every connection. A second call changes nothing."""
        self._closing()

    @property
    def closed(self) -> bool:
        """Whether ``close`` was called."""
        return not self._closing.alive

    def flush(self) -> None:
        """Wait until everything submitted so far is committed or has failed, or is in the journal of a store that is away."""
        if not self.writer.spilling:
            try:
                self.writer.flush()
            except StoreError:
                if not self.writer.spilling:
                    raise
        self.keep()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Store {self.safe_url}{', offline' if self.offline else ''}>"

    def __reduce__(self) -> tuple[Any, ...]:
        if not self._closing.alive:
            raise StoreError("the store is closed: connect again")
        self.flush()
        return partial(Store, create=False, strict=self.strict, offline=self.offline), (self.url,)

    # --- ids ---------------------------------------------------------------------------------------------------

    def allocate_ids(self, n: int) -> range:
        """Return *n* ids that nobody else gets, rising and without a gap."""
        return self.ids.allocate(n)

    def new_uid(self) -> str:
        """Return 32 hex digits that nobody else has (a UUIDv7)."""
        return new_uid()

    # --- studies -----------------------------------------------------------------------------------------------

    def create_study(
        self,
        name: str,
        *,
        directions: Sequence[str],
        metric_names: Sequence[str],
        space: Mapping[str, Any] | None = None,
        settings: Mapping[str, Any] | None = None,
        seed: int = 0,
        total_trials: int | None = None,
        description: str = "",
        tags: Mapping[str, str] | None = None,
        user_attrs: Mapping[str, Any] | None = None,
        code: Mapping[str, Any] | None = None,
        mode: str = "managed",
    ) -> StudyRow:
        """Create a study and return it.

        *directions* are ``"minimize"`` or ``"maximize"`` and *metric_names* as many names, one per objective; *code* is
        what is known of the objective before its first manager records it in full. *mode* is ``"managed"`` (written
        under a lease) or ``"shared"`` (by any number of processes at once: see ``share_study``). Raises
        AlreadyExistsError when the name is taken, and InvalidValueError for what makes no study.
        """
        name = studies.check_study(name, directions, metric_names, seed, total_trials, mode)
        study_id = self.allocate_ids(1)[0]
        make = partial(
            studies.create_study,
            study_id=study_id,
            name=name,
            directions=directions,
            metric_names=metric_names,
            space=space,
            settings=settings,
            seed=seed,
            total_trials=total_trials,
            description=description,
            tags=clean_tags(tags or {}),
            user_attrs=user_attrs,
            code=code,
            mode=mode,
        )
        self.writer.call(make)
        return self.get_study(study_id)

    def get_study(self, ref: str | int) -> StudyRow:
        """Return the study with this name or id; raises NotFoundError, which names the close matches."""
        return self.database.read(
            lambda connection: studies.read_studies(connection, studies.find_study(connection, ref))[0]
        )

    def list_studies(self, view: str | None = None) -> list[StudyRow]:
        """Return every study that was not deleted, newest first (without ``code`` and ``environment``: they may be long).

        *view*: ``"active"`` (neither archived nor deleted), ``"archived"``, ``"deleted"`` or ``"all"`` instead.
        """
        where = None if view is None else lifecycle.experiments_in_view(lifecycle.check_view(view))
        return self.database.read(lambda connection: studies.read_studies(connection, where=where))

    def delete_study(self, ref: str | int) -> None:
        """Mark a study as deleted and free its name; its rows and files go when the grace period is over.

        Raises NotFoundError, and StudyBusyError while a living manager runs it.
        """
        study_id = self.database.read(lambda connection: studies.find_study(connection, ref))
        found = holding.await_free(self.database, study_id, LEASE_SECONDS, take_over=False)
        self.writer.call(partial(studies.delete_study, study_id=study_id, epoch=found.epoch))

    def get_trials(
        self,
        study_id: int,
        *,
        states: Collection[RunState] | None = None,
        points: bool = True,
        numbers: Collection[int] | None = None,
        with_attrs: bool = True,
    ) -> list[Trial]:
        """Return the trials of a study by number.

        *states* and *numbers* narrow them; without *points* their ``intermediate_values`` are empty, and without
        *with_attrs* their attributes, constraints and tags.
        """
        return self.database.read(
            lambda connection: trials.read_trials(
                connection, study_id, states=states, numbers=numbers, points=points, with_attrs=with_attrs
            )
        )

    def outline_trials(self, study_id: int) -> list[Trial]:
        """Return the trials of a study by number, with what ranks them and no more: a quarter of the time.

        State, values, constraints, times, whether they are archived; of what a pruned one reported the last step.
        """
        return self.database.read(lambda connection: trials.read_outlines(connection, study_id))

    def get_trial(self, study_id: int, number: int) -> Trial:
        """Return one trial; raises NotFoundError, which says how many there are."""
        return self.database.read(lambda connection: trials.read_trial(connection, study_id, number))

    def find_trial(self, run_id: int) -> tuple[int, int]:
        """Return the study and the number of the trial with this run id; raises NotFoundError."""
        return self.database.read(lambda connection: trials.find_trial(connection, run_id))

    def count_trials(self, study_id: int) -> dict[RunState, int]:
        """Return the number of trials in each state that has any."""
        return self.database.read(lambda connection: studies.count_runs(connection, study_id).get(study_id, {}))

    def events(self, study_id: int, since: int = 0, limit: int = 1000) -> list[Event]:
        """Return at most *limit* events of a study with a sequence number over *since*, in order."""
        return self.database.read(lambda connection: events.read(connection, study_id, since, limit))

    def trial_log(self, run_id: int) -> str:
        """Return what a run printed and logged, over all its attempts."""
        return self.database.read(lambda connection: trials.read_log(connection, run_id))

    # --- managers ----------------------------------------------------------------------------------------------

    def acquire_study(
        self,
        study_id: int,
        *,
        lease_seconds: float = LEASE_SECONDS,
        take_over: bool = False,
        on_previous: Callable[[Owner], None] | None = None,
    ) -> StudyLease:
        """Take the lease of a study: from now on only its holder writes the study's trials.

        A manager on this host whose process is gone is replaced at once; any other one is watched, and replaced when
        nothing was heard of it for *lease_seconds* (time in which the store took no writes does not count against one
        of this host that goes on). Before that *on_previous* is called with its record: it ends what is left of its
        processes. *take_over* replaces a living one.

        Raises StudyBusyError, with the owner, when a living manager holds it, and NotFoundError.
        """
        return leases.acquire(
            self.database,
            self.writer,
            study_id,
            lease_seconds=lease_seconds,
            take_over=take_over,
            on_previous=on_previous,
        )

    def await_study(self, study_id: int, *, lease_seconds: float = LEASE_SECONDS) -> Owner | None:
        """Wait until nobody alive holds a study, as ``acquire_study`` does, and return who left it without a word.

        It only reads: who means to write before it has the lease may have to end a manager first that was frozen with
        the lock of a SQLite file. Raises StudyBusyError, with the owner, when a living manager holds the study, and
        NotFoundError.
        """
        return holding.await_free(self.database, study_id, lease_seconds, take_over=False).owner

    def share_study(self, study_id: int) -> SharedStudy:
        """Return what one of several processes writes a ``shared`` study with; any number of them may, at once."""
        guard = Guard(study_id, None, user_name(), host_name())
        return SharedStudy(study_id, self.database, self.writer, guard)

    def send_command(self, study_id: int, kind: str, args: Mapping[str, Any], *, token: str | None = None) -> Command:
        """Send a command to the manager of a study; sent again with the same *token* it is the same command.

        Raises NotFoundError when there is no such study, and ConflictError when the token was another command's.
        """
        send = partial(
            commands.send,
            command_id=self.allocate_ids(1)[0],
            study_id=study_id,
            kind=kind,
            args=args,
            token=token or uuid.uuid4().hex,
            author=f"{user_name()}@{host_name()}",
        )
        return self.writer.call(send)

    def get_command(self, command_id: int) -> Command:
        """Return a command, with its answer once there is one; raises NotFoundError."""
        return self.database.read(lambda connection: commands.read(connection, command_id))

    def await_command(self, command: Command, seconds: float) -> Command:
        """Return a command once it has an answer, or as it is after *seconds*: its manager reads once a second."""
        until = time.monotonic() + seconds
        while command.answer is None and time.monotonic() < until:
            time.sleep(0.05)  # the answer is a row in the store: there is nothing to wait on but the clock
            command = self.get_command(command.id)
        return command

    # --- models and their files --------------------------------------------------------------------------------

    @property
    def registry(self) -> Registry:
        """The model registry of this store."""
        from trackers.adoption import adopt
        from trackers.models.reference import find_logged
        from trackers.registry import Registry

        finding = partial(find_logged, self), partial(adopt, self)
        return Registry(self.database, self.writer, lambda: self.artifacts, *finding, self.settle)

    @property
    def intake(self) -> Intake:
        """The door for what another tracker recorded: runs that started in the past."""
        from trackers.intake import Intake

        return Intake(self)

    def get_logged_model(self, run: Any, name: str = "model", *, dropped: bool = False) -> LoggedModel | None:
        """Return the model that a run (a value, an id, a uid or ``STUDY/17``) keeps under *name*, None without one.

        With *dropped* also one that was beaten: its files are gone, its ``deleted_why`` says why.
        """
        run_id = self._run_id(run)
        return self.database.read(
            lambda connection: next(
                iter(logged_models.list_models(connection, [run_id], name=name, dropped=dropped)), None
            )
        )

    def list_logged_models(self, run_ids: Sequence[int], *, dropped: bool = False) -> list[LoggedModel]:
        """Return the models that these runs keep, by run and name."""
        self.settle()
        return self.database.read(lambda connection: logged_models.list_models(connection, run_ids, dropped=dropped))

    def find_logged_model(self, uid: str) -> LoggedModel | None:
        """Return the model with this uid, also one that was replaced or dropped."""
        self.settle()
        return self.database.read(lambda connection: logged_models.find_model(connection, uid))

    def load_model(self, ref: str, *, trust: bool | str | Sequence[str] = False) -> LoadedModel:
        """Load a model of this store by name, alias or run; see ``trackers.load_model``, which loads folders too."""
        from trackers.models.reference import load_logged

        return load_logged(self, ref, trust)

    def drop_unreferenced(self, digests: Collection[str], *, grace: float | None = None) -> set[str]:
        """Delete those of *digests* that nothing in the store refers to any more, and return what was deleted.

        For files that were referred to until now: call it once, after the commit that dropped the last reference. A
        file that somebody stored again stays for *grace* seconds (default: an hour) after that, since its reference
        may be on its way. Where another store keeps its files in the same root, nothing is deleted.
        """
        from trackers.artifacts.store import GRACE_SECONDS

        artifacts = self.artifacts
        if not digests or artifacts.owners().keys() - {self.identity.uid}:
            return set()
        with self.database.reading() as connection:
            free = blobs.unreferenced(connection, digests)
        wait = GRACE_SECONDS if grace is None else grace
        gone = {digest for digest in sorted(free) if artifacts.delete(digest, grace=wait)}
        if gone:
            self.writer.call(lambda connection: blobs.forget(connection, gone))
        return gone


def _close(writer: Writer, database: Database) -> None:
    if os.getpid() != writer.pid:
        return  # a forked child: the connections are its parent's
    try:
        writer.end()
    finally:
        database.close()


def _make_journal(address: Address, uid: str, head: Mapping[str, Any]) -> Journal:
    about = {"uid": uid, **head, "user": user_name(), "host": host_name(), "pid": os.getpid(), "created": now_us()}
    return Journal.create(journal_folder(address.path, address.safe), about)


def _make_applier(dialect: str) -> SqlApplier:
    from trackers.sql.apply import SqlApplier  # who only reads does without it

    return SqlApplier(dialect)


def _ask_for_ids(writer: Writer, n: int) -> Commit:
    return writer.defer(partial(take_block, name="ids", size=n), urgent=True)
