"""Real processes, killed, frozen and racing: what was acknowledged is there, and one manager writes."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import trackers
from tests.conformance.managed import Manager, new_study
from tests.processes import Process, start
from trackers.errors import FencedError
from trackers.states import RunState
from trackers.values import Owner

ROOT = Path(__file__).parents[2]

WRITE_FOR_EVER = """
import os, sys, trackers
from tests.conformance.managed import Manager
store = trackers.connect(sys.argv[1])
manager = Manager(store, store.acquire_study(int(sys.argv[2])))
def tell(number):
    return lambda commit: os.write(1, b"%d\\n" % number) if commit.exception() is None else os._exit(3)
while True:
    commits = []
    for _ in range(5):
        number = manager.number
        commit = manager.lease.submit(manager.whole(number / 8, points=number % 4))
        commit.add_done_callback(tell(number))
    commit.wait(30)
"""

HOLD = """
import sys, threading, trackers
from tests.conformance.managed import Manager
from trackers.errors import FencedError, StudyBusyError
store = trackers.connect(sys.argv[1])
try:
    lease = store.acquire_study(int(sys.argv[2]), lease_seconds=float(sys.argv[3]))
except StudyBusyError as exc:
    print("busy", exc.owner.pid, flush=True)
    sys.exit()
print("won", lease.epoch, flush=True)
over = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), over.set()), daemon=True).start()
manager = Manager(store, lease)
try:
    while not over.wait(0.05):
        lease.renew()
        lease.submit(manager.whole()).wait(30)
except FencedError:
    print("fenced", flush=True)
"""

CREATE = """
import sys, trackers
sys.stdin.readline()
with trackers.connect(sys.argv[1], artifacts=sys.argv[2]) as store:
    study = store.create_study(sys.argv[3], directions=["minimize"], metric_names=["loss"])
    print(store.identity.uid, study.id, flush=True)
"""


def finish(process: Process) -> str:
    return process.communicate(timeout=60)[0]


def test_every_acknowledged_trial_is_there_after_a_kill_at_any_moment(store_url: str) -> None:
    rng = random.Random(0)
    with trackers.connect(store_url) as store:
        study = new_study(store)
        acknowledged: set[int] = set()
        for _ in range(3):
            writer = start(WRITE_FOR_EVER, store_url, str(study.id))
            acknowledged.add(int(writer.line()))
            time.sleep(rng.uniform(0.0, 0.15))
            writer.send_signal(signal.SIGKILL)
            acknowledged |= {int(word) for word in finish(writer).split("\n")[:-1]}
            # A server may still be committing what the dead process sent last: a new epoch waits for that, or ends it.
            store.acquire_study(study.id).release("stopped", "looked at")
            trials = {trial.number: trial for trial in store.get_trials(study.id)}
            assert list(trials) == list(range(len(trials)))
            assert acknowledged <= set(trials)
            for number, trial in trials.items():
                assert (trial.state, trial.values) == (RunState.COMPLETE, (number / 8,))
                assert trial.params == {"lr": 0.1, "layers": 3, "optimizer": "adam"}
                assert trial.intermediate_values == {step: number / 8 + step for step in range(number % 4)}
                assert [attempt.outcome for attempt in trial.attempts] == ["complete"]
            seqs = [event.seq for event in store.events(study.id, limit=100_000)]
            assert seqs == list(range(1, 2 * len(trials) + 1))
        assert len(acknowledged) > 3


def test_processes_that_connect_to_an_empty_database_at_once_all_work(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    for name in ("sqlite_url", "postgresql_url", "mariadb_url"):
        url = request.getfixturevalue(name)
        racers = [start(CREATE, url, str(tmp_path / "artifacts"), f"study-{n}") for n in range(4)]
        for racer in racers:
            racer.tell("go")
        said = [finish(racer).split() for racer in racers]
        assert [racer.returncode for racer in racers] == [0] * 4
        assert len({uid for uid, _ in said}) == 1
        assert len({study_id for _, study_id in said}) == 4
        with trackers.connect(url) as store:
            assert {study.name for study in store.list_studies()} == {f"study-{n}" for n in range(4)}


def test_one_of_several_processes_that_race_for_a_study_gets_it(store_url: str) -> None:
    with trackers.connect(store_url) as store:
        study = new_study(store)
        racers = [start(HOLD, store_url, str(study.id), "30") for _ in range(3)]
        said = [racer.line().split() for racer in racers]
        winners = [racer for racer, words in zip(racers, said, strict=True) if words[0] == "won"]
        assert len(winners) == 1
        assert {words[1] for words in said if words[0] == "busy"} == {str(winners[0].pid)}
        for racer in racers:
            finish(racer)
        assert store.get_study(study.id).epoch == 1


def test_a_frozen_manager_is_replaced_and_writes_nothing_when_it_wakes(store_url: str) -> None:
    with trackers.connect(store_url) as store:
        study = new_study(store)
        frozen = start(HOLD, store_url, str(study.id), "10")
        assert frozen.line() == "won 1"
        while not store.count_trials(study.id):
            time.sleep(0.01)
        os.kill(frozen.pid, signal.SIGSTOP)
        previous: list[Owner] = []
        try:
            lease = store.acquire_study(study.id, lease_seconds=1.0, on_previous=previous.append)
            manager = Manager(store, lease)
            assert [owner.pid for owner in previous] == [frozen.pid]
            manager.lease.submit(manager.whole(77.0)).wait(10)
            before = store.get_trials(study.id)
        finally:
            os.kill(frozen.pid, signal.SIGCONT)
        assert frozen.line() == "fenced"
        finish(frozen)
        assert store.get_trials(study.id) == before
        lease.renew()


def test_a_newer_epoch_of_another_process_fences_this_one(store_url: str) -> None:
    with trackers.connect(store_url) as store:
        study = new_study(store)
        manager = Manager(store, store.acquire_study(study.id))
        manager.lease.submit(manager.whole()).wait(10)
        other = start(HOLD, store_url, str(study.id), "0.5")
        assert other.line() == "won 2"
        with pytest.raises(FencedError):
            manager.lease.submit(manager.whole()).wait(10)
        finish(other)


FORGET = """
import os, sys, trackers
from tests.conformance.managed import manage
store = trackers.connect(sys.argv[1])
manager = manage(store)
if os.fork() == 0:
    try:
        store.list_studies()
    except trackers.errors.StoreError as exc:
        print(exc, flush=True)
    try:
        manager.lease.submit(manager.whole())
    except trackers.errors.StoreError as exc:
        print(exc, flush=True)
    sys.exit()
os.wait()
for _ in range(50):
    manager.lease.submit(manager.whole())
"""


def test_a_process_that_forgets_to_close_loses_nothing_and_its_forked_child_changes_nothing(store_url: str) -> None:
    command = [sys.executable, "-c", FORGET, store_url]  # the interpreter itself must end
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment)
    said = done.stdout
    assert done.returncode == 0, done.stderr
    assert said.count("connect again in the child") == 2
    with trackers.connect(store_url) as store:
        assert store.get_study("s").counts == {RunState.COMPLETE: 50}
