"""Ctrl-C and SIGTERM at every moment: exit 130 within 15 s, the way on named, nothing of Ray's printed, nothing left."""

from __future__ import annotations

import os
import pty
import select
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest

import hpo
import trackers
from tests.faults.command import STUDY, Hpo, called, command_line, processes, running, until
from trackers.states import RunState
from trackers.store import Store

RAYS_OWN = ("raylet", "(pid=", "gcs_", "WARNING", "INFO ", "Ray instance", "dashboard", "core_worker", "Traceback")
"""Words that only Ray prints."""

UNASKED = ("dashboard/dashboard.py", "log_monitor.py", "monitor.py")
"""Processes of Ray's that a Ray of our own does without; each costs most of a second of the processor."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "study.py").write_text(STUDY)
    return tmp_path


def finished(store: Store, name: str = "sweep") -> int:
    """Count the finished trials (0 while there is no study)."""
    try:
        row = store.get_study(name)
    except LookupError:
        return 0
    return sum(n for state, n in row.counts.items() if state.is_finished())


def started(store: Store, name: str) -> bool:
    """Tell whether a trial runs."""
    try:
        return bool(store.get_study(name).counts.get(RunState.RUNNING))
    except LookupError:
        return False


def check_interrupted(process: Hpo, name: str, begun: float) -> str:
    """Check how an interrupted run ended; return what it printed."""
    code, output = process.ended(20.0)
    assert code == 130, output
    assert time.monotonic() - begun < 45.0
    assert f"hpo resume {name}" in output
    check_quiet(output)
    left: list[str] = []

    def gone() -> bool:
        left[:] = process.left()
        return not left

    try:
        until(gone, 10.0)
    except AssertionError:
        assert left == [], "what outlived it"
        raise
    return output


def check_quiet(output: str) -> None:
    assert [line for line in output.splitlines() if any(word in line for word in RAYS_OWN)] == []


def test_sigterm_is_like_ctrl_c_and_eight_workers_and_a_dead_one_are_not_noisy(folder: Path) -> None:
    url = f"sqlite:///{folder}/hpo.db"
    args = ("run", "study.py:sweep", "--workers", "8", "--trials", "500")
    with trackers.connect(url) as store, running(folder, *args) as process:
        until(lambda: finished(store) >= 20)
        victim = next(t for t in store.get_trials(store.get_study("sweep").id) if t.state is RunState.RUNNING)
        os.kill(victim.attempts[-1].pid, signal.SIGKILL)
        until(lambda: finished(store) >= 60)
        begun = time.monotonic()
        process.send_signal(signal.SIGTERM)
        output = check_interrupted(process, "sweep", begun)
        assert "sweep was interrupted" in output
        trials = store.get_trials(store.get_study("sweep").id)
    assert not any(t.state is RunState.RUNNING for t in trials)
    assert sum(a.outcome == "lost" for t in trials for a in t.attempts) == 1
    assert not any(a.counts for t in trials for a in t.attempts if a.outcome == "released")


def test_a_second_ctrl_c_ends_deaf_trials_at_once(folder: Path) -> None:
    with trackers.connect(f"sqlite:///{folder}/hpo.db") as store:
        with running(folder, "run", "study.py:deaf", "--workers", "2") as process:
            until(lambda: started(store, "deaf"))
            assert not [line for line in process.left() if any(name in line for name in UNASKED)]
            process.send_signal(signal.SIGINT)
            until(lambda: [e for e in store.events(store.get_study("deaf").id) if e.kind == "stop"])
            begun = time.monotonic()
            process.send_signal(signal.SIGINT)
            check_interrupted(process, "deaf", begun)
            assert time.monotonic() - begun < 9.5, "the first one leaves running trials 10 s"
        states = store.get_study("deaf").counts
    assert set(states) == {RunState.WAITING}


def test_a_second_ctrl_c_ends_a_deaf_trial_in_this_process(folder: Path) -> None:
    with trackers.connect(f"sqlite:///{folder}/hpo.db") as store:
        with running(folder, "run", "study.py:deaf", "--workers", "0") as process:
            until(lambda: started(store, "deaf"))
            process.send_signal(signal.SIGTERM)
            time.sleep(0.5)  # two signals at the same moment are one
            begun = time.monotonic()
            process.send_signal(signal.SIGINT)
            check_interrupted(process, "deaf", begun)
        assert set(store.get_study("deaf").counts) == {RunState.WAITING}


@pytest.mark.parametrize("workers", ["0", "2"])
def test_a_terminal_that_is_closed_interrupts_gently(folder: Path, workers: str) -> None:
    args = ("run", "study.py:sweep", "--workers", workers, "--trials", "500")
    screen, terminal = pty.openpty()
    take = (
        "import fcntl, os, signal, termios; signal.signal(signal.SIGHUP, signal.SIG_DFL); "  # this may run under nohup
        f"[os.dup2({terminal}, n) for n in range(3)]; fcntl.ioctl(0, termios.TIOCSCTTY)"
    )
    with (
        trackers.connect(f"sqlite:///{folder}/hpo.db") as store,
        running(folder, *args, before=take, pass_fds=[terminal]) as process,
    ):
        os.close(terminal)
        drain = threading.Thread(target=read_to_the_end, args=(screen, shut := threading.Event()))
        drain.start()
        until(lambda: finished(store) >= 6)
        shut.set()  # the window is closed
        drain.join()
        code, _ = process.ended(30.0)
        assert code == 130
        until(lambda: not process.left(), 10.0)
        trials = store.get_trials(store.get_study("sweep").id)
        assert store.get_study("sweep").status == "stopped"
    assert not any(t.state is RunState.RUNNING for t in trials)
    assert not any(a.counts for t in trials for a in t.attempts if a.outcome == "released")


def read_to_the_end(screen: int, shut: threading.Event) -> None:
    """Be a terminal that is looked at until *shut*."""
    while not shut.is_set():
        if select.select([screen], [], [], 0.05)[0]:
            os.read(screen, 65536)
    os.close(screen)


def test_nohup_is_respected(folder: Path) -> None:
    ignore = "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)"
    args = ("run", "study.py:sweep", "--workers", "0", "--trials", "12")
    with (
        trackers.connect(f"sqlite:///{folder}/hpo.db") as store,
        running(folder, *args, before=ignore) as process,
    ):
        until(lambda: finished(store) >= 2)
        process.send_signal(signal.SIGHUP)
        code, output = process.ended()
    assert (code, "sweep is complete" in output or "12/12" in output) == (0, True), output


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_ray_starts_leaves_nothing_behind(folder: Path, number: signal.Signals) -> None:
    with running(folder, "run", "study.py:sweep", "--workers", "2") as process:
        until(lambda: any("gcs_server" in line for line in process.left()))
        begun = time.monotonic()
        process.send_signal(number)
        check_interrupted(process, "sweep", begun)
    code, output = called(folder, "resume", "sweep", "--workers", "0", "--trials", "1")
    assert (code, "sweep is complete" in output) == (0, True), output


def test_interrupting_a_notebooks_cell_keeps_what_finished(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/hpo.db"
    with hpo.create_study(
        study_name="cell", storage=url, space={"x": hpo.Float(0, 1)}, sampler="random"
    ).store as store:
        study = hpo.load_study(study_name="cell", storage=url)

        def objective(trial: Any) -> float:
            if trial.number == 3 and trial.attempt == 0:
                threading.Timer(0.2, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
                for step in range(200):
                    time.sleep(0.05)  # the work
                    trial.report(1.0, step=step)
            return 1.0

        before = signal.getsignal(signal.SIGINT)
        begun = time.monotonic()
        with pytest.raises(KeyboardInterrupt, match="everything that finished is kept"):  # the cells below do not run
            study.optimize(objective, n_trials=8)
        assert time.monotonic() - begun < 5.0
        assert signal.getsignal(signal.SIGINT) is before, "the next cell is interrupted as ever"
        assert store.count_trials(study.row.id) == {RunState.COMPLETE: 3, RunState.WAITING: 1}
        assert study.optimize(objective, total_trials=8).status == "complete"
        assert store.count_trials(study.row.id) == {RunState.COMPLETE: 8}
        study.store.close()


def test_two_runs_of_one_new_study_at_once_are_one_run_and_after_a_kill_resume_finishes(folder: Path) -> None:
    args = ("run", "study.py:sweep", "--workers", "0", "--trials", "15")
    with running(folder, *args) as first, running(folder, *args) as second:
        until(lambda: first.poll() is not None or second.poll() is not None)
        refused, runs = (first, second) if first.poll() is not None else (second, first)
        code, output = refused.ended()
        assert code == 2, output
        assert f"process {runs.pid}, since" in output
        assert "Traceback" not in output
        assert runs.poll() is None
        with trackers.connect(f"sqlite:///{folder}/hpo.db") as store:
            until(lambda: finished(store) >= 3)
        runs.kill_all()
        runs.communicate()
    code, output = called(folder, "resume", "sweep")
    assert code == 0, output
    with trackers.connect(f"sqlite:///{folder}/hpo.db") as store:
        trials = store.get_trials(store.get_study("sweep").id)
    assert [t.number for t in trials] == list(range(15))
    assert all([a.outcome for a in t.attempts].count("complete") == 1 for t in trials)


def test_a_sweep_whose_ray_dies_under_it_ends_with_a_sentence(folder: Path) -> None:
    with running(folder, "run", "study.py:deaf", "--workers", "2") as process:
        until((folder / "hpo.db").exists)
        with trackers.connect(f"sqlite:///{folder}/hpo.db") as store:
            until(lambda: started(store, "deaf"))
        for pid, session, _ in processes():
            if session == process.pid and "/raylet/raylet" in command_line(pid):
                os.kill(pid, signal.SIGKILL)
        code, output = process.ended(90)
    assert code == 1, output
    assert "Ray on this machine died" in output
    assert "hpo resume deaf" in output


def test_what_comes_after_an_interrupted_study_does_not_run(tmp_path: Path) -> None:
    study = hpo.create_study(study_name="s", storage=f"sqlite:///{tmp_path}/hpo.db", space={"x": hpo.Float(0, 1)})

    def objective(trial: Any) -> float:
        if trial.number == 2:
            signal.raise_signal(signal.SIGINT)
        return float(trial.params["x"])

    with study.store:
        with pytest.raises(
            KeyboardInterrupt, match="study 's' was interrupted; everything that finished is kept"
        ) as told:
            study.optimize(objective, n_trials=6)
        assert told.value.summary.status == "interrupted"  # type: ignore[attr-defined]
        assert [trial.state for trial in study.trials] == [RunState.COMPLETE] * 3
        study.optimize(lambda trial: 1.0)
        assert len(study.trials) == 6


def test_an_interrupted_study_inside_a_trial_stops_the_study_around_it(tmp_path: Path) -> None:
    def study(name: str) -> hpo.Study:
        return hpo.create_study(
            study_name=name, storage=f"sqlite:///{tmp_path}/{name}.db", space={"x": hpo.Float(0, 1)}
        )

    def inner(trial: Any) -> float:
        signal.raise_signal(signal.SIGINT)
        return 0.0

    def outer(trial: Any) -> float:
        nested = study(f"inner{trial.number}")
        with nested.store:
            nested.optimize(inner, n_trials=2)
        return 1.0

    whole = study("outer")
    with whole.store:
        with pytest.raises(KeyboardInterrupt):
            whole.optimize(outer, n_trials=3)
        assert [trial.state for trial in whole.trials] == [RunState.WAITING]


def test_an_interrupted_study_is_brought_to_the_end_that_it_was_given(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/hpo.db"
    study = hpo.create_study(study_name="s", storage=url, space={"x": hpo.Float(0, 1)})

    def objective(trial: Any) -> float:
        if trial.number == 2:
            trial.study.stop()
        return float(trial.params["x"])

    study.optimize(objective, n_trials=6)
    assert len(study.trials) == 3
    again = hpo.load_study(study_name="s", storage=url)
    again.optimize(objective)
    assert [t.number for t in again.trials] == list(range(6))
    for handle in (study, again):
        handle.store.close()
