"""A server that keeps its connections and says nothing more: what is logged is not held by it, and nothing is lost."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest
import sqlalchemy as sa

import trackers
from tests.faults.proxy import Proxy, proxied
from trackers.changes import StudyChanged
from trackers.errors import StoreAwayError
from trackers.sql import watch

pytestmark = pytest.mark.usefixtures("state")


@pytest.fixture
def proxy(server_store_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    trackers.connect(server_store_url).close()
    monkeypatch.setattr(watch, "SECONDS", 0.4)
    monkeypatch.setattr("trackers.sql.mariadb._GREETING_SECONDS", 2)
    with proxied(server_store_url) as found:
        if found.url.startswith("postgresql"):
            found.url += "&connect_timeout=2"
        yield found


@pytest.mark.parametrize("new_ones", [False, True], ids=["one connection", "the server"])
def test_a_run_ends_though_the_server_stands_still(
    proxy: Proxy, server_store_url: str, new_ones: bool, caplog: pytest.LogCaptureFixture
) -> None:
    with trackers.connect(proxy.url) as store:
        run = store.start_run("night")
        run.flush()
        proxy.freeze(new_ones=new_ones)
        for step in range(20):
            run.log_metrics({"loss": step}, step=step)
        run.end()  # it would never return
        assert "its connection is given up" in caplog.text
        assert store.writer.spilling is new_ones
        proxy.thaw()
        store.writer.drain()
        with trackers.connect(server_store_url) as other:
            assert [point.value for point in other.metric_history(run.uid, "loss")] == list(range(20))
            assert other.get_run(run.uid).state.name == "COMPLETE"


def test_a_transaction_that_is_long_is_left_alone(proxy: Proxy) -> None:
    asked = []
    with trackers.connect(proxy.url) as store:
        is_dead = store.database.watch._is_dead

        def ask(raw: object, seconds: float) -> bool:
            asked.append(is_dead(raw, seconds))
            return asked[-1]

        store.database.watch._is_dead = ask  # type: ignore[method-assign]
        seconds = "pg_sleep(1.5)" if store.database.dialect == "postgresql" else "SLEEP(1.5)"
        store.writer.call(lambda connection: connection.execute(sa.text(f"SELECT {seconds}")).all())
        assert len(asked) > 1
        answered = len(asked)

        def slow(connection: sa.Connection) -> int:
            end = time.monotonic() + 20
            while len(asked) < answered + 3 and time.monotonic() < end:
                time.sleep(0.05)  # it is we who take so long: the server waits for us
            return int(connection.execute(sa.text("SELECT 7")).scalar_one())

        assert store.writer.call(slow) == 7
        assert len(asked) >= answered + 3
    assert not any(asked)


def test_a_commit_that_nobody_waits_for_ends_too(proxy: Proxy) -> None:
    """As those of a manager do, which is told when they are done."""
    with trackers.connect(proxy.url) as store:
        lease = store.acquire_study(store.create_study("night", directions=["maximize"], metric_names=["value"]).id)
        proxy.freeze(new_ones=False)
        ended = threading.Event()
        commit = lease.submit([StudyChanged(user_attrs={"mood": "good"})])
        commit.add_done_callback(lambda commit: ended.set())
        assert ended.wait(30.0), "it waits for ever"
        commit.result()
        lease.release("stopped", "the test is over")


def test_no_thread_is_left_of_the_watch(proxy: Proxy) -> None:
    before = set(threading.enumerate())
    with trackers.connect(proxy.url) as store:
        store.start_run("one").end()
        (watching,) = [one for one in set(threading.enumerate()) - before if one.name == "trackers-watch"]
    watching.join(10.0)
    assert not watching.is_alive()


@pytest.mark.parametrize("new_ones", [False, True], ids=["one connection", "the server"])
def test_who_reads_is_answered_or_told(proxy: Proxy, new_ones: bool) -> None:
    with trackers.connect(proxy.url) as store:
        run = store.start_run("night", params={"x": 1})
        run.end()
        assert len(store.search_runs("params.x = 1")) == 1
        proxy.freeze(new_ones=new_ones)
        if new_ones:
            with pytest.raises(StoreAwayError):
                store.search_runs("params.x = 1")
            proxy.thaw()
        assert len(store.search_runs("params.x = 1")) == 1
        looks = []

        def look(connection: sa.Connection) -> int:
            if not looks:
                proxy.freeze(new_ones=False)  # in the middle of a transaction
            looks.append(1)
            return int(connection.execute(sa.text("SELECT 7")).scalar_one())

        assert store.database.read(look) == 7
        assert len(looks) == 2
        proxy.thaw()


def test_ctrl_c_while_a_server_stands_still_loses_nothing(
    proxy: Proxy, server_store_url: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.setattr(watch, "SECONDS", 3600.0)
    monkeypatch.setattr("trackers.active._LONG", 0.2)
    store = trackers.connect(proxy.url)
    run = store.start_run("night")
    run.flush()
    proxy.freeze(new_ones=True)
    for step in range(20):
        run.log_metrics({"loss": step}, step=step)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background has it ignored
    request.addfinalizer(lambda: signal.signal(signal.SIGINT, before))
    interrupt = threading.Timer(1.0, signal.pthread_kill, [threading.main_thread().ident, signal.SIGINT])
    interrupt.start()
    with pytest.raises(KeyboardInterrupt):
        run.flush()
    interrupt.join()
    run.flush()  # all of it is in the journal
    assert store.writer.spilling
    proxy.thaw()
    store.writer.drain()
    run.end()
    store.close()
    with trackers.connect(server_store_url) as other:
        assert [point.value for point in other.metric_history(run.uid, "loss")] == list(range(20))


def test_a_session_that_the_server_has_ended_is_given_up(proxy: Proxy, server_store_url: str) -> None:
    """Between them lies what answers for a server that is not heard any more."""
    with trackers.connect(proxy.url) as store, trackers.connect(server_store_url) as other:
        run = store.start_run("night")
        run.flush()
        postgresql = store.database.dialect == "postgresql"
        ask = "SELECT pg_backend_pid()" if postgresql else "SELECT CONNECTION_ID()"
        number = store.writer.call(lambda connection: connection.execute(sa.text(ask)).scalar_one())
        proxy.freeze(new_ones=False)
        run.log_metrics({"loss": 0.5}, step=1)
        end = f"SELECT pg_terminate_backend({number})" if postgresql else f"KILL {number}"
        other.writer.call(lambda connection: connection.execute(sa.text(end)) and None)
        run.end()  # it would never return
        assert other.get_run(run.uid).state.name == "COMPLETE"


def test_a_long_answer_that_stops_on_its_way_is_given_up(
    postgresql_store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    trackers.connect(postgresql_store_url).close()
    monkeypatch.setattr(watch, "SECONDS", 0.4)
    with proxied(postgresql_store_url) as proxy, trackers.connect(proxy.url) as store:
        query = sa.text("SELECT repeat('x', 1000) FROM generate_series(1, 50000)")
        proxy.freeze_after = 1_000_000
        assert len(store.database.read(lambda connection: connection.execute(query).all())) == 50_000
        assert proxy.freeze_after is None, "nothing was frozen"


def test_the_watch_goes_on_after_a_connection_that_is_closed_under_it(proxy: Proxy) -> None:
    with trackers.connect(proxy.url) as store:
        watching = store.database.watch
        looked, look = threading.Event(), watching._look
        with suppress(Exception), store.database.reading() as connection:
            raw = connection.connection.dbapi_connection
            assert raw is not None
            time.sleep(0.5)  # by the clock of the watch the transaction is old
            raw.close()

            def look_once_more() -> None:
                look()
                looked.set()

            watching._look = look_once_more  # type: ignore[method-assign]
            assert looked.wait(10.0)
        assert looked.is_set()
        assert watching._thread is not None
        assert watching._thread.is_alive()


def test_a_connection_that_went_on_to_another_thread_stays_watched(proxy: Proxy) -> None:
    with trackers.connect(proxy.url) as store, store.database.reading() as connection:
        raw, watching = connection.connection.dbapi_connection, store.database.watch
        with watching.over(raw):  # as another thread does, which got it from the pool
            mine = watching._busy[id(raw)]
        assert id(raw) not in watching._busy
        with watching.over(raw):
            later = watching._busy[id(raw)] = (mine[0] + 1.0, raw)
        assert watching._busy[id(raw)] is later, "that of another thread is not ended with mine"
        del watching._busy[id(raw)]
