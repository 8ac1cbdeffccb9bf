"""A sweep whose database goes away for a while waits for it and goes on; what a COMMIT refused leaves nothing behind."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from sqlalchemy import Connection, text

import hpo
import trackers
from tests import processes
from tests.faults.outage import Outage
from tests.faults.proxy import proxied
from trackers.changes import StudyChanged
from trackers.errors import FencedError, StoreAwayError
from trackers.sql import tables as t
from trackers.sql.commit import Commit
from trackers.states import RunState
from trackers.store import Store


def numbers_of(url: str, name: str) -> list[int]:
    """Return the trials of a study, which must all be complete with every report, once."""
    with trackers.connect(url) as store:
        trials = store.get_trials(store.get_study(name).id)
        assert {trial.state for trial in trials} == {RunState.COMPLETE}
        assert all(trial.intermediate_values == {0: 1.0, 1: trial.params["x"]} for trial in trials)
        assert {len(trial.attempts) for trial in trials} == {1}
        for trial in trials:
            assert [s.count for s in store.metrics(trial.run_id)] == [2]
        return [trial.number for trial in trials]


def objective(on_trial: Callable[[int], None]) -> Callable[[hpo.Trial], float]:
    def run(trial: hpo.Trial) -> float:
        x = trial.suggest_float("x", 0, 1)
        on_trial(trial.number)
        trial.report(1.0, step=0)
        trial.report(x, step=1)
        return x

    return run


def test_a_sweep_waits_for_its_store_and_goes_on(outage: Outage, caplog: pytest.LogCaptureFixture) -> None:
    timers = []

    def away(number: int) -> None:
        if number in (3, 7):
            outage.away()
            timers.append(threading.Timer(2.0, outage.back))
            timers[-1].start()

    study = hpo.create_study(study_name="night", storage=outage.url, sampler="random", pruner="none")
    summary = study.optimize(objective(away), n_trials=12)
    for timer in timers:
        timer.join()
    assert summary.status == "complete"
    assert numbers_of(outage.direct, "night") == list(range(12))
    told = [record.getMessage() for record in caplog.records]
    assert sum("what the study did waits until it is back" in one for one in told) == 2
    assert sum("the store is back" in one for one in told) == 2
    with trackers.connect(outage.direct) as store, store.database.reading() as connection:
        assert connection.execute(t.journals.select()).all() == [], "the notes of how far it came are gone"


def test_what_was_committed_though_nobody_heard_of_it_is_not_written_again(postgresql_store_url: str) -> None:
    trackers.connect(postgresql_store_url).close()
    with proxied(postgresql_store_url) as proxy:

        def lose(number: int) -> None:
            proxy.commits_to_lose = number % 2

        study = hpo.create_study(study_name="lost", storage=proxy.url, sampler="random", pruner="none")
        assert study.optimize(objective(lose), n_trials=12).status == "complete"
        assert proxy.lost >= 4
        study.store.close()
    assert numbers_of(postgresql_store_url, "lost") == list(range(12))


def test_a_store_that_stays_away_ends_the_study_when_its_patience_is_over(
    outage: Outage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trackers.sql.leases.PATIENCE", 1.0)
    study = hpo.create_study(study_name="given up", storage=outage.url, sampler="random", pruner="none")

    def away(number: int) -> None:
        if number == 2:
            outage.away()

    with pytest.raises(StoreAwayError):
        study.optimize(objective(away), n_trials=9)
    outage.back()
    study.store.close()
    with trackers.connect(outage.direct) as store:
        states = [trial.state for trial in store.get_trials(store.get_study("given up").id)]
        assert states[:2] == [RunState.COMPLETE] * 2
        assert RunState.COMPLETE not in states[2:]


def test_a_manager_that_was_overtaken_meanwhile_writes_nothing(outage: Outage) -> None:
    with trackers.connect(outage.url) as store, trackers.connect(outage.direct) as other:
        study = store.create_study("taken", directions=["minimize"], metric_names=["loss"])
        lease = store.acquire_study(study.id, lease_seconds=0.2)
        lease.submit([StudyChanged(user_attrs={"a": 1})]).wait(20)
        outage.away()
        waiting = [lease.submit([StudyChanged(user_attrs={"b": n})]) for n in range(3)]
        with pytest.raises(StoreAwayError):
            lease.renew()
        assert not any(commit.done() for commit in waiting)
        if outage.url == outage.direct:  # SQLite is locked for everybody
            outage.back()
            waiting[-1].wait(20)
            return
        other.acquire_study(study.id, lease_seconds=0.2, on_previous=lambda owner: None)
        outage.back()
        for commit in waiting:
            with pytest.raises(FencedError):
                commit.wait(20)
        assert other.get_study(study.id).user_attrs == {"a": 1}


def test_a_read_whose_connection_is_lost_on_the_way_is_done_again_once(server_store_url: str) -> None:
    trackers.connect(server_store_url).close()
    with proxied(server_store_url) as proxy, trackers.connect(proxy.url) as store:
        calls: list[int] = []

        def work(connection: Connection) -> int:
            calls.append(1)
            if len(calls) in (1, 3, 4):
                proxy.cut()
                proxy.mend()
            return int(connection.execute(text("SELECT 7")).scalar_one())

        assert (store.database.read(work), len(calls)) == (7, 2)
        with pytest.raises(StoreAwayError):
            store.database.read(work)
        assert len(calls) == 4, "once"
        assert len(store.search_runs()) == 0
        proxy.cut()
        with pytest.raises(StoreAwayError):
            store.database.read(work)
        assert len(calls) == 4, "it was never there"


def test_who_submits_more_than_the_queue_holds_waits_with_it(outage: Outage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trackers.sql.queue.LARGEST_QUEUE", 50)
    monkeypatch.setattr("trackers.sql.waiting.FIRST_WAIT", 0.05)
    monkeypatch.setattr("trackers.sql.waiting.LONGEST_PAUSE", 0.05)
    with trackers.connect(outage.url) as store:
        study = store.create_study("full", directions=["minimize"], metric_names=["loss"])
        lease = store.acquire_study(study.id, lease_seconds=10.0)
        outage.away()
        submitted: list[Commit] = []

        def submit() -> None:
            submitted.extend(lease.submit([StudyChanged(user_attrs={"n": number})]) for number in range(400))

        thread = threading.Thread(target=submit)
        thread.start()
        thread.join(2.0)  # many tries of the writer's
        assert thread.is_alive()
        assert len(submitted) < 200
        outage.back()
        thread.join(60)
        submitted[-1].wait(60)
        assert all(commit.exception() is None for commit in submitted)
        assert store.get_study(study.id).user_attrs == {"n": 399}


def test_commits_that_are_refused_leave_the_writer_whole(postgresql_store_url: str) -> None:
    """PostgreSQL refuses a serializable transaction at its COMMIT: it is tried again, and the next ones are written."""
    trackers.connect(postgresql_store_url).close()
    with trackers.connect(postgresql_store_url, strict=True) as store:
        name = store.database.address.url.database
    with trackers.connect(postgresql_store_url) as admin, admin.database.writing() as connection:
        connection.execute(text(f'ALTER DATABASE "{name}" SET default_transaction_isolation = serializable'))
    stores = [trackers.connect(postgresql_store_url, strict=True) for _ in range(3)]
    failures: list[BaseException] = []

    def log(store: Store, place: int) -> None:
        try:
            for number in range(15):
                with store.start_run("e", name=f"{place}-{number}") as run:
                    run.log_metric("m", 1.0)
        except BaseException as exc:
            failures.append(exc)

    try:
        threads = [threading.Thread(target=log, args=(store, place)) for place, store in enumerate(stores)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []
        assert len(stores[0].search_runs()) == 45
    finally:
        for store in stores:
            store.close()
        with trackers.connect(postgresql_store_url) as admin, admin.database.writing() as connection:
            connection.execute(text(f'ALTER DATABASE "{name}" RESET default_transaction_isolation'))


FULL = """
import os, resource, signal, sys, trackers
from trackers.errors import StoreError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
path, mode = sys.argv[1], sys.argv[2]
store = trackers.connect(f"sqlite:///{path}", strict=mode == "strict")
with store.start_run("e") as run:
    run.log_metric("m", 0.0)
have = max(os.path.getsize(f"{path}{end}") for end in ("", "-wal"))
soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (have + 20_000, hard))
full = 0
for number in range(50):
    try:
        store.create_experiment(f"x{number}", description="y" * 3000)
    except StoreError:
        full += 1
        break
resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
store.create_experiment("after")
with store.start_run("e") as run:
    run.log_metric("m", 1.0)
store.close()
print("full", full)
"""


@pytest.mark.parametrize("mode", ["strict", "journal"])
def test_a_disk_that_was_full_is_written_again_when_it_has_room(mode: str, sqlite_url: str) -> None:
    process = processes.start(FULL, sqlite_url.removeprefix("sqlite:///"), mode)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out.split()) == (0, ["full", "1"]), err
    with trackers.connect(sqlite_url) as store:
        assert len(store.search_runs()) == 2
        assert "after" in {one.name for one in store.list_experiments()}
