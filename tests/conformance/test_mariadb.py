"""What MariaDB does otherwise than the others, and must not show: its own suite beside the one that all share."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import Connection, create_engine, make_url, text, update

import trackers
from tests import mariadb
from trackers.errors import InvalidValueError, StoreError
from trackers.keeping.doctor import PROBLEM, examine
from trackers.sql import tables as t
from trackers.sql.address import read_address
from trackers.sql.mariadb import _connection_class
from trackers.store import Store


@pytest.fixture
def store(mariadb_store_url: str) -> Store:
    return trackers.connect(mariadb_store_url)


@pytest.fixture(autouse=True)
def _closed(store: Store) -> object:
    yield
    store.close()


def test_names_differ_by_case_accents_and_spaces_at_their_end(store: Store) -> None:
    names = ["loss", "Loss", "löss", "loss‿", "ﬁ", "fi", "ss", "ß", "i", "ı", "𝔏oss", "𝔏Oss"]
    with store.start_run("e", params=dict.fromkeys(names, 1), tags={name: name for name in names}) as run:
        for place, name in enumerate(names):
            run.log_metric(name, place)
    assert set(store.get_run(run.id).metrics) == set(names)
    values = {"a": "x", "b": "x ", "c": "X", "d": "x\t"}
    for name, value in values.items():
        store.start_run("values", name=name, tags={"t": value}).end()
    for name, value in values.items():
        assert [found.name for found in store.search_runs(f"tags.t = '{value}'")] == [name]


def test_doubles_come_back_as_they_were(store: Store) -> None:
    values = [0.1, -0.0, 5e-324, -2.2250738585072014e-308, 1.7976931348623157e308, 1 / 3, 1e22, 123456789.123456789]
    with store.start_run("e", params={f"p{place}": value for place, value in enumerate(values)}) as run:
        for step, value in enumerate(values):
            run.log_metric("m", value, step=step)
    read = [point.value for point in store.metric_history(run, "m")]
    assert read == values  # the sign of a zero is the one thing that a DOUBLE of MariaDB has not
    assert list(store.get_run(run.id).params.values()) == values


def test_a_file_name_of_a_thousand_bytes_is_kept_whole(store: Store, tmp_path: object) -> None:
    part = "é" * 123
    name = "/".join([part] * 4) + "/a"
    assert len(name.encode()) > 980
    with store.start_run("e") as run:
        run.log_text("one", name + "1.txt")
        run.log_text("two", name + "2.txt")
    assert [file.name for file in store.list_artifacts(run)] == [name + "1.txt", name + "2.txt"]


def test_a_text_that_no_packet_holds_is_refused_and_harms_nothing(mariadb_store_url: str, store: Store) -> None:
    ((packet,),) = mariadb.execute(mariadb_store_url, "SELECT @@max_allowed_packet")
    run = store.start_run("e")
    run.set_tag("large", "x" * (packet // 2))
    with pytest.raises(InvalidValueError, match="max_allowed_packet"):
        store.writer.call(lambda connection: _set_tag(connection, run.id, "x" * packet))
    run.set_tag("after", "it")
    run.end()
    tags = store.get_run(run.id).tags
    assert (len(tags["large"]), tags["after"]) == (packet // 2, "it")


def _set_tag(connection: Connection, run_id: int, value: str) -> None:
    connection.execute(update(t.tags).where(t.tags.c.run_id == run_id).values(value=value))


def test_all_that_one_reader_sees_is_of_one_moment_and_it_cannot_write(store: Store) -> None:
    store.create_experiment("first")
    query = text("SELECT count(*) FROM trackers_experiments")
    with store.database.reading() as connection:
        assert connection.execute(query).scalar() == 1
        store.create_experiment("second")
        assert connection.execute(query).scalar() == 1
    with pytest.raises(StoreError, match="for reading only"), store.database.reading() as connection:
        connection.execute(text("DELETE FROM trackers_experiments"))
    with store.database.reading() as connection:
        assert connection.execute(query).scalar() == 2


def test_a_value_that_changes_nothing_counts_as_written(store: Store) -> None:
    experiment = store.create_experiment("same").id

    def again(connection: Connection) -> int:
        change = update(t.experiments).where(t.experiments.c.id == experiment).values(description="")
        return connection.execute(change).rowcount

    assert store.writer.call(again) == 1


def test_writers_that_meet_in_other_orders_all_get_through(mariadb_store_url: str) -> None:
    """Each deadlocks with the other now and then; the server refuses one, which tries again."""
    stores = [trackers.connect(mariadb_store_url) for _ in range(4)]
    runs = [stores[0].start_run("e", name=str(n)) for n in range(8)]
    failures: list[BaseException] = []

    def write(place: int, store: Store) -> None:
        try:
            for turn in range(25):
                order = runs if (place + turn) % 2 else runs[::-1]

                def task(connection: Connection, order: list[object] = order, turn: int = turn) -> None:
                    for run in order:
                        change = update(t.runs).where(t.runs.c.id == run.id)  # type: ignore[attr-defined]
                        connection.execute(change.values(host=f"{place}-{turn}"))

                store.writer.call(task)
        except BaseException as exc:
            failures.append(exc)

    threads = [threading.Thread(target=write, args=one) for one in enumerate(stores)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    for store in stores:
        store.close()
    assert failures == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda url: url.rpartition("/")[0] + "/no_such_database_here", "no such database"),
        (lambda url: url.replace("root@", "nobody_here:s3cret@"), "refuses the user"),
        (lambda url: make_url(url).set(port=1).render_as_string(False), "cannot be reached"),
        (lambda url: url.rpartition("/")[0], "names no database"),
    ],
)
def test_a_server_that_refuses_is_told_in_a_sentence(mariadb_server: str, change: object, message: str) -> None:
    url = change(mariadb_server)  # type: ignore[operator]
    with pytest.raises((StoreError, InvalidValueError), match=message) as caught:
        trackers.connect(url)
    assert "s3cret" not in str(caught.value)


def test_the_same_database_is_the_same_store_by_the_name_of_mysql(mariadb_store_url: str, store: Store) -> None:
    store.create_experiment("there")
    with trackers.connect(f"mysql:{mariadb_store_url.partition(':')[2]}") as other:
        assert [one.name for one in other.list_experiments()] == ["there"]
        assert other.url.startswith("mysql+pymysql://")


def test_without_the_driver_the_extra_is_named() -> None:
    code = (
        "import sys; sys.modules['pymysql'] = None\n"
        "import trackers\n"
        "try: trackers.connect('mariadb://host/db')\n"
        "except trackers.errors.StoreError as exc: print(exc)\n"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "hpo[mysql]" in said.stdout


@contextmanager
def with_global(server: str, name: str, value: int) -> Iterator[None]:
    """Let connections that are opened meanwhile find another setting; ours set what they rely on."""
    engine = create_engine(read_address(server).url)
    with engine.connect() as admin:
        before = admin.execute(text(f"SELECT @@GLOBAL.{name}")).scalar_one()
        admin.execute(text(f"SET GLOBAL {name} = {value}"))
        try:
            yield
        finally:
            admin.execute(text(f"SET GLOBAL {name} = {before}"))
    engine.dispose()


def test_a_server_that_cuts_lists_short_cuts_no_search(mariadb_server: str, mariadb_url: str) -> None:
    with (
        with_global(mariadb_server, "group_concat_max_len", 1024),
        trackers.connect(mariadb_url, artifacts="/nowhere") as store,
    ):
        for number in range(400):
            store.start_run("e", params={"x": 1, "y": number}).end()
        found = store.search_runs("params.x = 1", order_by="params.y desc", limit=3)
    assert [run.params["y"] for run in found] == [399, 398, 397]


def test_many_params_that_no_packet_holds_together_are_kept(
    mariadb_store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = _connection_class(pytest.importorskip("pymysql", reason="pymysql is not installed"))
    small = property(lambda self: 65536, lambda self, value: None)  # the server's own is everybody's here
    monkeypatch.setattr(connection, "largest_packet", small, raising=False)
    with trackers.connect(mariadb_store_url) as store:
        run = store.start_run("e")
        run.log_params({f"p{number}": "y" * 1000 for number in range(200)})
        run.end()
        assert len(store.get_run(run.uid).params) == 200


def test_a_user_who_may_only_read_hears_of_no_missing_triggers(mariadb_server: str, mariadb_url: str) -> None:
    trackers.connect(mariadb_url, artifacts="/nowhere").close()
    url = read_address(mariadb_url).url
    name = f"ro_{url.database}"[:32]
    engine = create_engine(read_address(mariadb_server).url)
    with engine.connect() as admin:
        admin.execute(text(f"CREATE USER '{name}'@'%' IDENTIFIED BY 'secret'"))
        try:
            admin.execute(text(f"GRANT SELECT ON `{url.database}`.* TO '{name}'@'%'"))
            found = examine(url.set(username=name, password="secret").render_as_string(hide_password=False))
        finally:
            admin.execute(text(f"DROP USER '{name}'@'%'"))
    engine.dispose()
    problems = {one.topic: one.advice for one in found if one.level == PROBLEM}
    assert problems["rights"] == "give the role INSERT, UPDATE and DELETE, or connect as another"
    assert "schema" not in problems
