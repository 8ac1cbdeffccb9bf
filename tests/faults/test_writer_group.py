"""The writer's promises when something goes wrong inside it: everyone who waits is told, and only culprits fail."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, text

import trackers
from tests import mariadb
from tests.conformance.managed import manage
from trackers.changes import PointsLogged, TagsSet, TrialFinished
from trackers.clock import now_us
from trackers.errors import InvalidValueError, NotFoundError, StoreAwayError, StoreError
from trackers.sql.apply import SqlApplier
from trackers.sql.commit import Commit
from trackers.sql.committer import Work
from trackers.sql.writer import Writer
from trackers.states import RunState
from trackers.store import Store


class Gate(SqlApplier):
    """Holds the writer's thread until it is let through, so that a test can fill one group."""

    def __init__(self, dialect: str) -> None:
        super().__init__(dialect)
        self.open, self.entered = threading.Event(), threading.Event()
        self.groups: list[int] = []

    def apply(self, connection: Connection, group: Sequence[Work]) -> None:
        self.groups.append(len(group))
        self.entered.set()
        assert self.open.wait(20)
        super().apply(connection, group)


class Dying(SqlApplier):
    """Ends the writer's thread in a way that it does not expect."""

    class Death(BaseException):
        pass

    def apply(self, connection: Connection, group: Sequence[Work]) -> None:
        time.sleep(0.05)  # time for the rest of the test's submissions to arrive
        raise Dying.Death("out of the blue")


def gated(store: Store) -> Gate:
    """Put a gate before the store's writer; the first submission after it fills a group of its own."""
    gate = Gate(store.database.dialect)
    store.writer._committer._applier = gate
    return gate


def test_what_arrives_together_is_one_transaction_and_only_the_culprit_fails(store: Store) -> None:
    manager = manage(store)
    gate = gated(store)
    first = manager.lease.submit(manager.whole())
    assert gate.entered.wait(10)
    good = [manager.lease.submit(manager.whole()) for _ in range(3)]
    bad = manager.lease.submit([TagsSet(2**40, {"a": "b"})])
    more = [manager.lease.submit(manager.whole()) for _ in range(3)]
    gate.open.set()
    for commit in [first, *good, *more]:
        commit.wait(10)
    with pytest.raises(NotFoundError):
        bad.wait(10)
    assert gate.groups[:2] == [1, 7]
    assert gate.groups[2:] == [1] * 7
    assert len(store.get_trials(manager.lease.study.id)) == 7


def test_a_submission_is_kept_whole_or_not_at_all(store: Store) -> None:
    manager = manage(store)
    trial = manager.created()
    bad = [trial, TrialFinished(trial.run_id, now_us(), RunState.COMPLETE, (1.0,)), TagsSet(2**40, {"a": "b"})]
    with pytest.raises(NotFoundError):
        manager.lease.submit(bad).wait(10)
    assert store.get_trials(manager.lease.study.id) == []


def test_a_full_disk_reaches_everyone_who_waited_and_passes_when_there_is_room(sqlite_url: str) -> None:
    with trackers.connect(sqlite_url) as store:
        manager = manage(store)
        pages = store.writer.call(lambda connection: connection.execute(text("PRAGMA page_count")).scalar())
        store.writer.call(lambda connection: connection.execute(text(f"PRAGMA max_page_count = {pages + 2}")).scalar())
        gate = gated(store)
        ahead = manager.lease.submit([manager.event("one")])
        assert gate.entered.wait(10)
        commits = [manager.lease.submit(manager.whole(points=3000)) for _ in range(5)]
        gate.open.set()
        ahead.wait(10)
        for commit in commits:
            with pytest.raises(StoreError, match="is full: free some space"):
                commit.wait(10)
        assert store.get_trials(manager.lease.study.id) == []
        store.writer.call(lambda connection: connection.execute(text("PRAGMA max_page_count = 1000000")).scalar())
        manager.number, manager.seq = 0, 2
        manager.lease.submit(manager.whole(points=3000)).wait(10)
        assert len(store.get_trial(manager.lease.study.id, 0).intermediate_values) == 3000


def _end_connection(connection: Connection) -> None:
    """Let another connection end this one's session on the server, as a restart would."""
    import psycopg

    raw: Any = connection.connection.dbapi_connection
    if connection.dialect.name == "mysql":
        url, thread = str(connection.engine.url), raw.thread_id()
        mariadb.execute(url, f"KILL CONNECTION {thread}")
        while mariadb.execute(url, f"SELECT 1 FROM information_schema.processlist WHERE id = {thread}"):
            time.sleep(0.001)
        return
    with psycopg.connect(raw.info.dsn, password=raw.info.password, autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s, 5000)", [raw.info.backend_pid])


def test_a_connection_that_was_lost_before_a_commit_is_opened_again(server_store_url: str) -> None:
    with trackers.connect(server_store_url) as store:
        manager = manage(store)
        assert store.writer._committer._connection is not None
        _end_connection(store.writer._committer._connection)
        manager.lease.submit(manager.whole()).wait(10)
        tries = []

        def lost_once(connection: Connection) -> None:
            tries.append(1)
            if len(tries) == 1:
                _end_connection(connection)
            connection.execute(text("SELECT 1"))

        store.writer.call(lost_once)
        assert len(tries) == 2
        assert len(store.get_trials(manager.lease.study.id)) == 1


def test_a_server_that_stays_away_reaches_everyone_who_waited(server_store_url: str) -> None:
    with trackers.connect(server_store_url) as store:
        manager = manage(store)
        gate = gated(store)
        store.database.open_writer = lambda: (_ for _ in ()).throw(StoreError("the server is away"))  # type: ignore[method-assign]
        first = manager.lease.submit(manager.whole())
        commits = [manager.lease.submit(manager.whole()) for _ in range(3)]
        assert store.writer._committer._connection is not None
        _end_connection(store.writer._committer._connection)
        gate.open.set()
        for commit in [first, *commits]:
            with pytest.raises(StoreError):
                commit.wait(10)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_dead_writer_leaves_nobody_waiting(sqlite_url: str) -> None:
    with trackers.connect(sqlite_url) as store:
        writer = Writer(store.database, lambda: Dying("sqlite"))
        commits = []
        for _ in range(50):
            try:
                commits.append(writer.submit([TagsSet(1, {"a": "b"})]))
            except StoreError:
                break
        for commit in commits:
            with pytest.raises(StoreError, match="out of the blue"):
                commit.wait(10)
        with pytest.raises(StoreError, match="connect again"):
            writer.submit([TagsSet(1, {"a": "b"})])
        with pytest.raises(StoreError, match="connect again"):
            writer.call(lambda connection: None)
        writer.close()


def test_a_full_queue_makes_submitters_wait_for_room(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trackers.sql.queue.LARGEST_QUEUE", 20)
    with trackers.connect(sqlite_url) as store:
        manager = manage(store)
        gate = gated(store)
        batches = [manager.whole() for _ in range(12)]
        commits: list[Commit] = []

        def submit_all() -> None:
            for batch in batches:
                commits.append(manager.lease.submit(batch))  # noqa: PERF401 - the test looks at it in between

        thread = threading.Thread(target=submit_all)
        thread.start()
        thread.join(0.3)
        assert thread.is_alive()
        assert 2 <= len(commits) < 12
        gate.open.set()
        thread.join(10)
        assert not thread.is_alive()
        for commit in commits:
            commit.wait(10)
        assert len(store.get_trials(manager.lease.study.id)) == 12


def test_callbacks_run_once_on_the_writers_thread_and_may_fail_or_submit(sqlite_url: str) -> None:
    with trackers.connect(sqlite_url) as store:
        manager = manage(store)
        seen: list[str] = []
        later: list[Commit] = []
        done = threading.Event()

        def fail(commit: Commit) -> None:
            seen.append(threading.current_thread().name)
            raise RuntimeError("a saboteur")

        def submit(commit: Commit) -> None:
            later.append(manager.lease.submit([manager.event("later")]))
            with pytest.raises(StoreError, match="not wait"):
                store.create_study("x", directions=["minimize"], metric_names=["a"])
            done.set()

        commit = manager.lease.submit(manager.whole())
        commit.add_done_callback(fail)
        commit.add_done_callback(submit)
        assert done.wait(10)
        later[0].wait(10)
        commit.add_done_callback(lambda c: seen.append("at once"))
        assert seen[-1] == "at once"
        assert len(seen) == 2
        assert store.get_study("s").last_seq == 3


def test_a_wait_with_a_limit_ends_at_it(sqlite_url: str) -> None:
    with trackers.connect(sqlite_url) as store:
        manager = manage(store)
        gate = gated(store)
        commit = manager.lease.submit(manager.whole())
        with pytest.raises(TimeoutError):
            commit.wait(0.05)
        assert not commit.done()
        assert commit.exception() is None
        gate.open.set()
        commit.wait(10)
        assert commit.done()


def test_a_closed_store_refuses_to_write_and_says_so(sqlite_url: str) -> None:
    store = trackers.connect(sqlite_url)
    manager = manage(store)
    store.close()
    store.close()
    with pytest.raises(StoreError, match="connect again"):
        manager.lease.submit(manager.whole())
    with pytest.raises(StoreError, match="connect again"):
        manager.lease.renew()


def test_a_commit_whose_answer_is_lost_is_not_tried_again_unseen(server_store_url: str) -> None:
    class Losing(Gate):
        lose = False

        def apply(self, connection: Connection, group: Sequence[Work]) -> None:
            super().apply(connection, group)
            if self.lose:
                _end_connection(connection)

    with trackers.connect(server_store_url) as store:
        manager = manage(store)
        losing = store.writer._committer._applier = Losing(store.database.dialect)
        losing.open.set()
        losing.lose = True
        guard = manager.lease._guard
        commits = [store.writer.submit([manager.created()], guard) for _ in range(3)]  # without patience
        for commit in commits:
            with pytest.raises(StoreError, match="lost during a commit: connect again and look"):
                commit.wait(10)
        assert sum(losing.groups) == 3
        losing.lose = False
        assert store.get_trials(manager.lease.study.id) == []
        manager.number, manager.seq = 0, 1
        manager.lease.submit(manager.whole()).wait(10)


class Rival:
    """Another client, which changes a row, and then in a thread of its own the one that the writer has changed."""

    def __init__(self, store: Store, url: str) -> None:
        import psycopg

        self.url = url
        self.is_mariadb = store.database.dialect == "mysql"
        if self.is_mariadb:
            self.connection = mariadb.connect(url)
            self.connection.begin()
        else:
            self.connection = psycopg.connect(url.replace("+psycopg", ""))
        self.cursor = self.connection.cursor()
        self.thread = threading.Thread(target=self._end)

    def change(self, name: str) -> None:
        # the writer shall be the one that is refused: the first to look on one, the one with less to undo on the other
        if self.is_mariadb:
            rows = [(f"r{number}",) for number in range(500)]
            self.cursor.executemany("INSERT INTO trackers_counters (name, next) VALUES (%s, 0)", rows)
        else:
            self.cursor.execute("SET deadlock_timeout = '30s'")
        self.cursor.execute("UPDATE trackers_experiments SET description = 'rival' WHERE live_name = %s", [name])

    def wait_for(self, name: str) -> None:
        self.name = name
        self.thread.start()
        end = time.monotonic() + 40.0
        while not self._waits():
            assert self.thread.is_alive(), "the rival did not have to wait"
            assert time.monotonic() < end, "the server never said that the rival waits"
            # InnoDB shows who waits from a copy that it renews when nobody has looked for a tenth of a second
            time.sleep(0.15 if self.is_mariadb else 0.01)

    def _waits(self) -> bool:
        if self.is_mariadb:
            query = (
                "SELECT 1 FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT' AND trx_mysql_thread_id = "
            )
            return bool(mariadb.execute(self.url, f"{query}{self.connection.thread_id()}"))
        import psycopg

        pid = self.connection.info.backend_pid
        with psycopg.connect(self.url.replace("+psycopg", "")) as other:
            query = "SELECT 1 FROM pg_stat_activity WHERE pid = %s AND wait_event_type = 'Lock'"
            return other.execute(query, [pid]).fetchone() is not None

    def _end(self) -> None:
        self.cursor.execute("UPDATE trackers_experiments SET description = 'rival' WHERE live_name = %s", [self.name])
        self.cursor.execute("DELETE FROM trackers_counters WHERE name LIKE 'r%%' AND next = %s", [0])
        self.connection.commit()
        self.connection.close()


def test_a_deadlock_is_tried_again(server_store_url: str) -> None:
    with trackers.connect(server_store_url) as store:
        for name in ("a", "b"):
            store.create_experiment(name)
        rival = Rival(store, server_store_url)
        tries = []

        def task(connection: Connection) -> None:
            tries.append(1)
            rename = text("UPDATE trackers_experiments SET description = :new WHERE live_name = :name")
            connection.execute(rename, {"new": "writer", "name": "a"})
            if len(tries) == 1:
                rival.change("b")
                rival.wait_for("a")
            connection.execute(rename, {"new": "writer", "name": "b"})

        store.writer.call(task)
        rival.thread.join(20)
        assert not rival.thread.is_alive()
        assert len(tries) > 1, "the writer was not the one that the server refused"
        assert {one.description for one in store.list_experiments()} == {"writer"}


@pytest.mark.parametrize("step", [2**63, -(2**70)])
def test_a_value_that_fits_no_column_fails_alone_with_a_sentence(store: Store, step: int) -> None:
    manager = manage(store)
    trial = manager.created()
    bad = PointsLogged(trial.run_id, "accuracy", ((step, 0, now_us(), 1.0),))
    with pytest.raises(InvalidValueError, match="does not fit"):
        manager.lease.submit([trial, bad]).wait(10)
    assert store.get_trials(manager.lease.study.id) == []


def test_a_group_that_takes_too_long_together_is_written_one_by_one(postgresql_store_url: str, state: Path) -> None:
    url = f"{postgresql_store_url}%20-cstatement_timeout%3D300"
    with trackers.connect(postgresql_store_url) as owner:

        def make(statement: str) -> None:
            owner.writer.call(lambda connection: connection.execute(text(statement)))

        make(
            "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.02); RETURN NEW; END'"
        )
        make("CREATE TRIGGER slow BEFORE INSERT ON trackers_tags FOR EACH ROW EXECUTE FUNCTION slow()")
        try:
            with trackers.connect(url) as store:
                run = store.start_run("e")
                run.flush()
                store.writer.spill(StoreAwayError("it is said to be away"))
                for number in range(40):
                    run.set_tags({f"t{number}": "x"})
                store.writer.drain()
                assert not store.writer.spilling
                run.end()
        finally:
            make("DROP TRIGGER slow ON trackers_tags")
            make("DROP FUNCTION slow()")
        assert len(owner.get_run(run.uid).tags) == 40
