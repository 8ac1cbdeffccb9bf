"""What a trial prints and logs is in its log: its own, and that of threads that it starts; nobody else's."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

import hpo
from hpo.execution.capture import capturing
from hpo.study import Study

LOGGER = logging.getLogger("mine")


@contextmanager
def unconfigured() -> Iterator[None]:
    """Have logging as in a program that has set nothing up: pytest has."""
    root = logging.root
    handlers, level = root.handlers[:], root.level
    root.handlers = []
    root.setLevel(logging.WARNING)
    try:
        yield
    finally:
        root.handlers = handlers
        root.setLevel(level)


@pytest.fixture
def study(sqlite_store_url: str) -> Iterator[Study]:
    study = hpo.create_study(storage=sqlite_store_url, sampler="random", pruner="none")
    with study.store:
        yield study


def log_of(study: Study, number: int) -> str:
    return study.store.trial_log(study.trials[number].run_id)


def test_threads_of_a_trial_print_into_its_log_and_others_do_not(study: Study) -> None:
    ask, answered, over = threading.Event(), threading.Event(), threading.Event()

    def other() -> None:
        while ask.wait() and not over.is_set():
            ask.clear()
            print("from elsewhere")
            answered.set()

    stranger = threading.Thread(target=other)
    stranger.start()

    def objective(trial: Any) -> float:
        print("own", trial.number)
        threads = [threading.Thread(target=print, args=(f"thread {i} of {trial.number}",)) for i in range(3)]
        for thread in threads:  # print writes the end of a line on its own
            thread.start()
            thread.join()
        ask.set()
        assert answered.wait(30)
        answered.clear()
        return 0.0

    try:
        study.optimize(objective, n_trials=2)
    finally:
        over.set()
        ask.set()
        stranger.join()
    for number in range(2):
        lines = sorted(log_of(study, number).splitlines())
        assert lines == [f"own {number}", *(f"thread {i} of {number}" for i in range(3))]


def test_threads_beside_trials_of_other_threads_are_nobodys(study: Study) -> None:
    both = threading.Barrier(2)

    def objective(trial: Any) -> float:
        both.wait(30)
        print("own", trial.number)
        thread = threading.Thread(target=print, args=("whose?",))
        thread.start()
        thread.join()
        both.wait(30)
        return 0.0

    with capturing(show=True):
        studies = [study, hpo.create_study(storage=study.store.url, sampler="random", pruner="none")]
        with studies[1].store:
            running = [threading.Thread(target=each.optimize, args=(objective, 1)) for each in studies]
            for thread in running:
                thread.start()
            for thread in running:
                thread.join()
            assert [log_of(each, 0) for each in studies] == ["own 0\n", "own 0\n"]


def test_log_records_are_kept_from_info_and_warnings_shown_where_nobody_set_logging_up(
    study: Study, capsys: pytest.CaptureFixture[str]
) -> None:
    def objective(trial: Any) -> float:
        LOGGER.debug("too fine")
        LOGGER.info("kept")
        LOGGER.warning("kept and shown")
        return 0.0

    with unconfigured():
        study.optimize(objective, n_trials=1)
        assert logging.root.handlers == []
        assert logging.root.level == logging.WARNING
    lines = [line.partition("mine: ")[2] for line in log_of(study, 0).splitlines()]
    assert lines == ["kept", "kept and shown"]
    assert capsys.readouterr().err == "kept and shown\n"


def test_logging_that_was_set_up_stays_as_it_is(study: Study, capsys: pytest.CaptureFixture[str]) -> None:
    def objective(trial: Any) -> float:
        LOGGER.warning("not wanted")
        LOGGER.error("wanted")
        return 0.0

    with unconfigured():
        logging.basicConfig(level=logging.ERROR, stream=sys.stderr, format="%(message)s")
        study.optimize(objective, n_trials=1)
        assert logging.root.level == logging.ERROR
    assert [line.partition("mine: ")[2] for line in log_of(study, 0).splitlines()] == ["wanted"]
    assert capsys.readouterr().err == "wanted\n"
