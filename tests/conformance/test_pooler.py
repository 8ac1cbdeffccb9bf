"""A pooler between the store and PostgreSQL: what is logged arrives, settings hold, and the doctor says what is there."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pytest

import trackers
from tests.faults.proxy import Proxy, proxied
from trackers.errors import InvalidValueError, StoreError
from trackers.keeping.doctor import OK, PROBLEM, examine
from trackers.sql.address import read_address
from trackers.sql.postgresql import pooler_mode

POOL = """
[databases]
* = user={user} host=127.0.0.1 port={server}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
auth_type = any
pool_mode = {mode}
default_pool_size = {size}
ignore_startup_parameters = extra_float_digits{ignored}
unix_socket_dir =
logfile = {folder}/log
"""


class Pool(NamedTuple):
    url: str
    mode: str


@pytest.fixture
def proxy(postgresql_store_url: str) -> Iterator[Proxy]:
    """What lies between the pooler and the server."""
    with proxied(postgresql_store_url) as found:
        yield found


@pytest.fixture
def pool(request: pytest.FixtureRequest, postgresql_store_url: str, proxy: Proxy) -> Iterator[Pool]:
    """A pooler of the mode, the size and with the other refusals that the test asks for."""
    mode, size, ignored = request.param
    program = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
    if program is None:
        pytest.skip("pgbouncer is not installed")
    url = read_address(postgresql_store_url).url
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder = Path(tempfile.mkdtemp(prefix="hpo-pool-"))  # another user must get there
    facts = {"user": url.username, "server": proxy.port, "port": port, "folder": folder}
    (folder / "pool.ini").write_text(POOL.format(mode=mode, size=size, ignored=ignored, **facts))
    user = "nobody" if os.geteuid() == 0 else None
    if user is not None:
        shutil.chown(folder, user)
    process = subprocess.Popen([program, str(folder / "pool.ini")], user=user, stderr=subprocess.DEVNULL, cwd="/")
    try:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert process.poll() is None, (folder / "log").read_text()
        yield Pool(url.set(port=port).render_as_string(hide_password=False), mode)
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(folder)


USABLE = [("transaction", 2, ",options"), ("transaction", 2, ""), ("session", 20, ",options"), ("session", 20, "")]
NAMES = [f"{mode}, {'drops' if ignored else 'refuses'} settings" for mode, _, ignored in USABLE]


@pytest.mark.parametrize("pool", USABLE, ids=NAMES, indirect=True)
def test_what_several_clients_log_arrives_and_nothing_else(pool: Pool, postgresql_store_url: str) -> None:
    def log(number: int) -> str:
        with trackers.connect(pool.url) as store:
            run = store.start_run("night", name=str(number), params={"n": number})
            for step in range(60):
                run.log_metrics({"loss": number * 1000.0 + step}, step=step)
                if step % 5 == 0:
                    run.flush()
                    assert len(store.search_runs(f"params.n = {number}")) == 1
            run.end()
            return run.uid

    with ThreadPoolExecutor(4) as threads:
        uids = list(threads.map(log, range(4)))
    with trackers.connect(postgresql_store_url) as store:
        for number, uid in enumerate(uids):
            points = [point.value for point in store.metric_history(uid, "loss")]
            assert points == [number * 1000.0 + step for step in range(60)]
            assert store.get_run(uid).state.name == "COMPLETE"


@pytest.mark.parametrize("pool", USABLE, ids=NAMES, indirect=True)
def test_our_settings_hold_within_each_transaction_and_in_no_other(pool: Pool) -> None:
    wanted = {"lock_timeout": "30s", "jit": "off", "timezone": "UTC", "synchronous_commit": "on"}
    with trackers.connect(pool.url) as store:
        for _ in range(3):
            with store.database.reading() as connection:
                read = {name: connection.exec_driver_sql(f"SHOW {name}").scalar_one() for name in wanted}
                assert connection.exec_driver_sql("SHOW transaction_isolation").scalar_one() == "repeatable read"
            written = store.writer.call(
                lambda connection: {name: connection.exec_driver_sql(f"SHOW {name}").scalar_one() for name in wanted}
            )
            assert read == written == wanted


@pytest.mark.parametrize("pool", USABLE, ids=NAMES, indirect=True)
def test_a_setting_that_only_holds_from_the_start_on_is_left_to_the_pooler(pool: Pool) -> None:
    schema = str(read_address(pool.url).url.query["options"])
    options = f"{schema} -c Log_disconnections=on -c my.tenant=blue"
    url = read_address(pool.url).url.update_query_dict({"options": options})
    with trackers.connect(url.render_as_string(hide_password=False)) as store:
        store.start_run("there").end()
        with store.database.reading() as connection:
            assert connection.exec_driver_sql("SHOW my.tenant").scalar_one() == "blue"


@pytest.mark.parametrize("pool", USABLE, ids=NAMES, indirect=True)
def test_a_pooler_is_found_and_is_no_problem(pool: Pool) -> None:
    assert pooler_mode(read_address(pool.url)) == pool.mode
    found = {one.topic: one for one in examine(pool.url)}
    assert found["pooler"].level == OK
    assert pool.mode in found["pooler"].told
    assert not [one for one in found.values() if one.level == PROBLEM]


@pytest.mark.parametrize("pool", [("session", 1, ",options")], ids=["session of one"], indirect=True)
def test_a_pool_of_one_is_told_from_one_in_transaction_mode(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trackers.sql.postgresql._SECONDS", 0.5)
    assert pooler_mode(read_address(pool.url)) == "session"


@pytest.mark.parametrize(
    "pool", [("transaction", 2, ",options"), ("session", 5, "")], ids=["transaction", "session"], indirect=True
)
def test_a_server_that_stands_still_behind_a_pooler_holds_no_run(
    pool: Pool, proxy: Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setattr("trackers.sql.watch.SECONDS", 0.4)
    monkeypatch.setattr("trackers.sql.watch.POOLED_SECONDS", 0.8)
    monkeypatch.setattr("trackers.sql.postgresql._ANSWER_SECONDS", 1.0)
    with trackers.connect(pool.url) as store:
        run = store.start_run("night")
        run.flush()
        proxy.freeze(new_ones=True)
        run.log_metrics({"loss": 0.5}, step=1)
        run.end()  # it would never return
        assert "its connection is given up" in caplog.text
        assert store.writer.spilling
        proxy.thaw()
        store.writer.drain()
        assert store.get_run(run.uid).state.name == "COMPLETE"


@pytest.mark.parametrize("pool", [("statement", 2, ",options")], ids=["statement"], indirect=True)
def test_a_pooler_that_lets_no_transaction_through_is_told(pool: Pool) -> None:
    assert pooler_mode(read_address(pool.url)) == "statement"
    found = {one.topic: one for one in examine(pool.url)}
    assert found["pooler"].level == PROBLEM
    with pytest.raises(StoreError, match="statement mode lets no transaction through"):
        trackers.connect(pool.url)


def test_the_hosts_of_a_url_may_be_written_as_sqlalchemy_has_them(postgresql_store_url: str) -> None:
    url = read_address(postgresql_store_url).url
    hosts = [f"{url.host}:1", f"{url.host}:{url.port or 5432}"]
    several = url.set(host=None, port=None).update_query_dict({"host": hosts, "connect_timeout": "5"})
    with trackers.connect(several.render_as_string(hide_password=False)) as store:
        store.start_run("there").end()
    assert pooler_mode(read_address(several.render_as_string(hide_password=False))) == ""
    one = url.set(host=None, port=None).update_query_dict({"host": str(url.host), "port": str(url.port or 5432)})
    assert pooler_mode(read_address(one.render_as_string(hide_password=False))) == ""


def test_options_with_spaces_are_handed_on_as_they_were_written(postgresql_store_url: str) -> None:
    url = read_address(postgresql_store_url).url
    schema = str(url.query["options"]).partition("=")[2]
    for given in (f"-c search_path={schema},\\ public", ["-c search_path=" + schema, "-c work_mem=8MB"]):
        several = url.set(query={"options": given})
        text = several.render_as_string(hide_password=False)
        with trackers.connect(text) as store, store.database.reading() as connection:
            assert schema in connection.exec_driver_sql("SHOW search_path").scalar_one()
            assert connection.exec_driver_sql("SHOW jit").scalar_one() == "off"


def test_an_option_of_the_url_that_is_wrong_is_named(postgresql_store_url: str) -> None:
    for option in ("nonsense=1", "sslmode=nonsense", "keepalives=nonsense"):
        with pytest.raises(InvalidValueError, match="nonsense"):
            trackers.connect(f"{postgresql_store_url}&{option}")
    with trackers.connect(f"{postgresql_store_url}&prepare_threshold=3") as store:
        store.start_run("there").end()


@pytest.mark.parametrize("pool", [("transaction", 1, ",options")], ids=["transaction of one"], indirect=True)
def test_a_pool_that_is_full_is_told_and_costs_no_transaction_that_is_long(
    pool: Pool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("trackers.sql.watch.SECONDS", 0.2)
    monkeypatch.setattr("trackers.sql.postgresql._ANSWER_SECONDS", 0.5)
    with trackers.connect(pool.url) as store, store.database.reading() as connection:
        for _ in range(3):
            connection.exec_driver_sql("SELECT pg_sleep(0.4)")
        with pytest.raises(StoreError, match="a pool may have no connection free"):
            trackers.connect(pool.url)  # it would wait for ever
        assert connection.exec_driver_sql("SELECT 7").scalar_one() == 7
    assert "given up" not in caplog.text


@pytest.mark.parametrize("pool", [("session", 1, ",options\nquery_wait_timeout = 1")], ids=["impatient"], indirect=True)
def test_what_a_pooler_says_of_a_full_pool_is_told(pool: Pool) -> None:
    said = pytest.raises(StoreError, match="or the pool in front of it, has no connection left")
    with trackers.connect(pool.url) as store, store.database.reading(), said:
        trackers.connect(pool.url)
