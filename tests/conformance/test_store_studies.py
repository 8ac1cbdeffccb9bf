"""Studies, their leases and commands, on every database."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import trackers
from tests.conformance.managed import Manager, manage, new_study
from tests.processes import start
from trackers.changes import CommandAnswered
from trackers.clock import now_us
from trackers.errors import (
    AlreadyExistsError,
    ConflictError,
    FencedError,
    InvalidValueError,
    NotFoundError,
    StateError,
    StoreError,
    StudyBusyError,
)
from trackers.processes import host_name, is_alive, start_time, user_name
from trackers.states import RunState
from trackers.store import Store
from trackers.values import Owner


def test_a_study_is_read_back_as_it_was_made(store: Store) -> None:
    space = {"lr": {"name": "FloatDistribution"}}
    made = store.create_study(
        "digits é",
        directions=["maximize", "minimize"],
        metric_names=["accuracy", "seconds"],
        space=space,
        settings={"workers": 2},
        seed=2**63 - 1,
        total_trials=10,
        description="what\x00ever",
        tags={"team": "a"},
        user_attrs={"x": [1]},
    )
    found = store.get_study("digits é")
    assert found == made == store.get_study(made.id)
    assert (found.directions, found.metric_names) == (("maximize", "minimize"), ("accuracy", "seconds"))
    assert (found.space, found.settings, found.seed, found.total_trials) == (space, {"workers": 2}, 2**63 - 1, 10)
    assert (found.description, found.tags, found.user_attrs) == ("what\x00ever", {"team": "a"}, {"x": [1]})
    assert (found.status, found.epoch, found.owner, found.counts) == ("new", 0, None, {})
    assert len(found.uid) == 32


def test_a_name_is_taken_until_its_study_is_deleted(store: Store) -> None:
    first = new_study(store)
    with pytest.raises(AlreadyExistsError, match="'s'"):
        new_study(store)
    store.delete_study("s")
    second = new_study(store)
    assert second.id != first.id
    assert store.get_study("s").id == second.id
    assert [study.id for study in store.list_studies()] == [second.id]
    with pytest.raises(NotFoundError):
        store.get_study(first.id)
    with pytest.raises(NotFoundError):
        store.acquire_study(first.id)
    assert store.get_study("s").epoch == 0


def test_an_unknown_study_is_answered_with_the_close_names(store: Store) -> None:
    with pytest.raises(NotFoundError, match="none yet"):
        store.get_study("digits")
    new_study(store, "digits")
    new_study(store, "tabular")
    with pytest.raises(NotFoundError, match="did you mean 'digits'"):
        store.get_study("digit")
    with pytest.raises(NotFoundError, match="it has 'digits', 'tabular'"):
        store.get_study("zzz")


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"name": "a/b"}, "slash"),
        ({"name": ""}, "empty"),
        ({"directions": ["up"]}, "minimize"),
        ({"directions": []}, "minimize"),
        ({"metric_names": ["a", "b"]}, "metric names"),
        ({"seed": 2**64}, "64 bits"),
        ({"total_trials": 0}, "total_trials"),
    ],
)
def test_what_makes_no_study_is_refused(sqlite_url: str, change: dict, word: str) -> None:
    with trackers.connect(sqlite_url) as store:
        with pytest.raises(InvalidValueError, match=word):
            new_study(store, **change)
        assert store.list_studies() == []


def test_studies_are_listed_newest_first_with_their_counts(store: Store) -> None:
    for name in "abc":
        manager = manage(store, name)
        for _ in range(2):
            manager.lease.submit(manager.whole())
        manager.lease.release("complete", "all done")
    rows = store.list_studies()
    assert [row.name for row in rows] == ["c", "b", "a"]
    assert all(row.counts == {RunState.COMPLETE: 2} for row in rows)
    assert {(row.status, row.reason) for row in rows} == {("complete", "all done")}


def test_a_lease_says_where_the_study_stands_and_who_holds_it(store: Store) -> None:
    manager = manage(store)
    assert (manager.lease.epoch, manager.lease.next_number, manager.lease.next_seq) == (1, 0, 1)
    for _ in range(3):
        manager.lease.submit(manager.whole())
    row = store.get_study("s")
    assert row.status == "running"
    assert row.owner is not None
    assert (row.owner.host, row.owner.pid, row.owner.user) == (host_name(), os.getpid(), user_name())
    assert is_alive(row.owner.pid, row.owner.started)
    manager.lease.release("stopped", "by hand")
    again = store.acquire_study(row.id)
    assert (again.epoch, again.next_number, again.next_seq) == (2, 3, 7)


def test_a_released_lease_writes_no_more(store: Store) -> None:
    manager = manage(store)
    manager.lease.release("stopped", "")
    manager.lease.release("stopped", "twice is harmless")
    with pytest.raises(FencedError, match="released"):
        manager.lease.submit(manager.whole())
    assert store.get_study("s").reason == ""


def test_a_manager_that_renews_keeps_its_study(store: Store, tmp_path: Path) -> None:
    manager = manage(store)

    def meanwhile(owner: Owner) -> None:
        raise AssertionError("a living manager was replaced")

    import threading

    stop = threading.Event()

    def renew() -> None:
        while not stop.wait(0.05):
            manager.lease.renew()

    thread = threading.Thread(target=renew)
    thread.start()
    try:
        with pytest.raises(StudyBusyError, match=str(os.getpid())) as caught:
            store.acquire_study(manager.lease.study.id, lease_seconds=5.0, on_previous=meanwhile)
        with pytest.raises(StudyBusyError):
            store.delete_study("s")
        with pytest.raises(StudyBusyError):
            store.archive("s", tmp_path / "archive", remove=True)
    finally:
        stop.set()
        thread.join()
    assert caught.value.owner.pid == os.getpid()
    assert not (tmp_path / "archive").exists(), "nothing is written that cannot be removed"


def test_a_manager_that_stands_still_is_ended_before_its_study_is_taken(store: Store) -> None:
    old = manage(store)
    old.lease.submit(old.whole()).wait(10)
    epochs = []
    new = Manager(
        store,
        store.acquire_study(
            old.lease.study.id, lease_seconds=0.3, on_previous=lambda _: epochs.append(store.get_study("s").epoch)
        ),
    )
    assert epochs == [1], "a process that is frozen inside a transaction may hold the lock that the epoch needs"
    with pytest.raises(FencedError):
        old.lease.renew()
    before = store.get_trials(new.lease.study.id)
    with pytest.raises(FencedError, match="newer manager"):
        old.lease.submit(old.whole()).wait(10)
    with pytest.raises(FencedError):
        old.lease.release("stopped", "")
    assert store.get_trials(new.lease.study.id) == before
    assert store.get_study("s").last_seq == 2
    new.lease.submit(new.whole()).wait(10)
    assert [t.number for t in store.get_trials(new.lease.study.id)] == [0, 1]


def test_a_fenced_write_does_not_take_its_group_with_it(store: Store) -> None:
    old = manage(store)
    other = manage(store, "other")
    new = Manager(store, store.acquire_study(old.lease.study.id, take_over=True))
    commits = [m.lease.submit(m.whole()) for m in (new, old, other, new, old, other)]
    failures = []
    for commit in commits:
        try:
            commit.wait(10)
            failures.append(None)
        except FencedError:
            failures.append(FencedError)
    assert failures == [None, FencedError, None, None, FencedError, None]
    assert len(store.get_trials(new.lease.study.id)) == 2


def test_a_manager_whose_process_is_gone_is_replaced_at_once(store: Store, store_url: str, tmp_path: Path) -> None:
    study = new_study(store)
    code = (
        "import os, sys, trackers\n"
        "store = trackers.connect(sys.argv[1])\n"
        "lease = store.acquire_study(int(sys.argv[2]))\n"
        "os.kill(os.getpid(), 9)\n"
    )
    assert start(code, store_url, study.id).wait() == -9
    previous: list[Owner] = []
    lease = store.acquire_study(study.id, lease_seconds=60.0, on_previous=previous.append)
    assert lease.epoch == 2
    assert [owner.pid == os.getpid() for owner in previous] == [False]


def test_a_process_id_that_was_used_again_is_told_apart() -> None:
    started = start_time(os.getpid())
    assert started is not None
    assert is_alive(os.getpid(), started)
    assert not is_alive(os.getpid(), started - 5.0)
    assert not is_alive(2**22 + 1, started)


def test_commands_reach_the_manager_once_and_are_answered_once(store: Store) -> None:
    manager = manage(store)
    study_id = manager.lease.study.id
    sent = store.send_command(study_id, "stop", {"why": "enough"}, token="t1")
    assert store.send_command(study_id, "stop", {"why": "enough"}, token="t1") == sent
    with pytest.raises(ConflictError, match="t1"):
        store.send_command(study_id, "enqueue", {}, token="t1")
    later = store.send_command(study_id, "enqueue", {"params": {"lr": float("inf")}})
    assert manager.lease.renew() == [sent, later]
    manager.lease.submit([CommandAnswered(sent.id, now_us(), {"ok": True})]).wait(10)
    assert manager.lease.renew() == [later]
    answered = store.get_command(sent.id)
    assert answered.answer == {"ok": True}
    assert answered.answered_at is not None
    with pytest.raises(StateError, match="answered already"):
        manager.lease.submit([CommandAnswered(sent.id, now_us(), {"ok": False})]).wait(10)
    assert store.get_command(sent.id) == answered
    with pytest.raises(NotFoundError):
        store.send_command(10**9, "stop", {})
    with pytest.raises(NotFoundError):
        store.get_command(10**9)


def test_ids_are_given_once_over_stores_and_threads(store: Store, store_url: str) -> None:
    from concurrent.futures import ThreadPoolExecutor

    with trackers.connect(store_url) as other, ThreadPoolExecutor(8) as pool:
        ranges = list(pool.map(lambda n: (store, other)[n % 2].allocate_ids(7 + n), range(200)))
    ids = [number for block in ranges for number in block]
    assert len(ids) == len(set(ids)) == sum(7 + n for n in range(200))
    uids = [store.new_uid() for _ in range(1000)]
    assert uids == sorted(set(uids))
    assert all(len(uid) == 32 and uid[12] == "7" for uid in uids)


def test_a_password_is_never_shown(sqlite_url: str) -> None:
    url = "postgresql+psycopg://someone:s3cret@127.0.0.1:1/nothing?sslpassword=s3cret"
    with pytest.raises(StoreError) as caught:
        trackers.connect(url)
    assert "s3cret" not in str(caught.value)
    assert "127.0.0.1:1" in str(caught.value)
    with trackers.connect(sqlite_url) as store:
        assert "hpo.db" in repr(store)
