"""Optuna's own studies on a store: several processes at once, killed ones, and a study that hpo manages."""

from __future__ import annotations

import math
import pickle
import signal
from collections.abc import Iterator
from pathlib import Path

import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.trial import TrialState, create_trial

import hpo
import trackers
from tests.conformance.managed import manage
from tests.processes import start
from trackers.errors import StudyBusyError
from trackers.interop.optuna import OptunaStorage
from trackers.states import RunState

ROOT = Path(__file__).parents[2]

CLAIM = """
import sys
from optuna.trial import TrialState
from trackers.interop.optuna import OptunaStorage
storage = OptunaStorage(sys.argv[1])
ids = [t._trial_id for t in storage.get_all_trials(int(sys.argv[2]), states=(TrialState.WAITING,))]
print("ready", flush=True)
sys.stdin.readline()
print(*[i for i in ids if storage.set_trial_state_values(i, TrialState.RUNNING)], flush=True)
"""

OPTIMIZE = """
import sys, optuna
from trackers.interop.optuna import OptunaStorage
optuna.logging.set_verbosity(optuna.logging.WARNING)
def objective(trial):
    x = trial.suggest_float("x", -5, 5)
    kind = trial.suggest_categorical("kind", ["a", "b", None])
    for step in range(3):
        trial.report(x * x + step, step)
    trial.set_user_attr("kind", kind)
    return x * x
study = optuna.load_study(study_name="s", storage=OptunaStorage(sys.argv[1]),
                          sampler=optuna.samplers.RandomSampler())
study.optimize(objective, n_trials=int(sys.argv[2]))
"""

FOR_EVER = """
import sys, optuna
from trackers.interop.optuna import OptunaStorage
optuna.logging.set_verbosity(optuna.logging.WARNING)
study = optuna.load_study(study_name="s", storage=OptunaStorage(sys.argv[1]))
while True:
    trial = study.ask()
    x = trial.suggest_float("x", 0, 1)
    for step in range(5):
        trial.report(x + step, step)
    study.tell(trial, x)
    print(trial.number, repr(x), flush=True)
"""


@pytest.fixture
def storage(store_url: str) -> Iterator[OptunaStorage]:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    made = OptunaStorage(store_url)
    yield made
    made.store.close()


def new_study(storage: OptunaStorage) -> optuna.Study:
    return optuna.create_study(study_name="s", storage=storage, sampler=optuna.samplers.RandomSampler(seed=0))


def test_a_waiting_trial_is_claimed_by_one_of_several_processes(storage: OptunaStorage) -> None:
    study = new_study(storage)
    for i in range(20):
        study.enqueue_trial({"x": i})
    racers = [start(CLAIM, storage.store.url, str(study._study_id)) for _ in range(3)]
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdout.readline() == "ready\n"
    won = [[int(word) for word in racer.communicate("go\n", timeout=60)[0].split()] for racer in racers]
    claimed = sorted(trial_id for ids in won for trial_id in ids)
    assert claimed == sorted(trial._trial_id for trial in study.trials)
    assert {trial.state for trial in study.trials} == {TrialState.RUNNING}


def test_processes_that_optimize_one_study_give_dense_numbers_and_lose_nothing(storage: OptunaStorage) -> None:
    study = new_study(storage)
    workers = [start(OPTIMIZE, storage.store.url, "8") for _ in range(3)]
    assert [worker.wait(timeout=90) for worker in workers] == [0, 0, 0]
    for worker in workers:
        worker.communicate()
    trials = study.trials
    assert [trial.number for trial in trials] == list(range(24))
    for trial in trials:
        x = trial.params["x"]
        assert trial.state is TrialState.COMPLETE
        assert trial.values == [x * x]
        assert trial.intermediate_values == {step: x * x + step for step in range(3)}
        assert trial.user_attrs == {"kind": trial.params["kind"]}
    assert study.best_value == min(trial.values[0] for trial in trials)
    # The same rows are runs of the store, and its order of events is dense.
    page = storage.store.search_runs("params.x > -6", experiments="s", limit=100)
    assert len(page) == 24
    seqs = [event.seq for event in storage.store.events(study._study_id, limit=1000)]
    assert seqs == list(range(1, len(seqs) + 1))


def test_what_tell_returned_from_is_there_after_a_kill_at_any_moment(storage: OptunaStorage) -> None:
    study = new_study(storage)
    told: dict[int, float] = {}
    for _ in range(3):
        worker = start(FOR_EVER, storage.store.url)
        assert worker.stdout is not None
        lines = [worker.stdout.readline()]
        lines += [worker.stdout.readline() for _ in range(3)]
        worker.send_signal(signal.SIGKILL)
        lines += worker.communicate(timeout=60)[0].splitlines()
        told |= {int(number): float(value) for number, value in map(str.split, filter(None, lines))}
    trials = study.trials
    assert [trial.number for trial in trials] == list(range(len(trials)))
    for number, value in told.items():
        assert trials[number].state is TrialState.COMPLETE
        assert trials[number].values == [value]
        assert trials[number].intermediate_values == {step: value + step for step in range(5)}
    assert sum(trial.state is TrialState.RUNNING for trial in trials) <= 3


def test_odd_values_are_the_same_after_opening_again_and_in_a_pickled_copy(storage: OptunaStorage) -> None:
    study = new_study(storage)
    odd = {
        "nul": "a\x00b",
        "wide": "\U0001f600",
        "nan": math.nan,
        "inf": math.inf,
        "deep": {"a": [1, None]},
        "no": None,
    }
    trial = create_trial(
        state=TrialState.FAIL,
        params={"x": 0.5, "c": "\x00", "n": None},
        distributions={
            "x": FloatDistribution(0, 1),
            "c": optuna.distributions.CategoricalDistribution(["\x00", "\U0001f600"]),
            "n": optuna.distributions.CategoricalDistribution([None, True, 1.5]),
        },
        user_attrs=odd,
        intermediate_values={0: math.nan, 1: math.inf, 2: -math.inf},
    )
    study.add_trial(trial)
    study.add_trial(create_trial(value=1.0, params={"x": 1.5}, distributions={"x": FloatDistribution(0, 2)}))
    for copy in (OptunaStorage(storage.store.url), pickle.loads(pickle.dumps(storage))):
        first, second = copy.get_all_trials(study._study_id)
        assert repr(sorted(first.user_attrs.items())) == repr(sorted(odd.items()))
        assert (first.params, first.distributions) == (trial.params, trial.distributions)
        assert repr(first.intermediate_values) == repr(trial.intermediate_values)
        assert second.distributions == {"x": FloatDistribution(0, 2)}, "each trial has its own range"
        copy.store.close()


def test_a_managed_study_can_be_read_and_is_not_written(storage: OptunaStorage) -> None:
    manager = manage(storage.store, "managed")
    manager.lease.submit(manager.whole(0.25)).wait(10)
    name = manager.lease.study.name
    study = optuna.load_study(study_name=name, storage=storage)
    assert study.best_value == 0.25
    assert study.trials[0].params == {"lr": 0.1, "layers": 3, "optimizer": "adam"}
    with pytest.raises(StudyBusyError, match="managed by hpo"):
        study.ask()
    with pytest.raises(StudyBusyError, match="managed by hpo"):
        study.add_trial(create_trial(value=1.0))
    study.set_user_attr("note", "read by a person")
    assert storage.store.get_study(name).user_attrs == {"note": "read by a person"}
    assert storage.store.count_trials(study._study_id) == {RunState.COMPLETE: 1}
    manager.lease.release("stopped", "")


def test_a_trial_enqueued_through_optuna_runs_in_the_managed_study(storage: OptunaStorage) -> None:
    study = hpo.create_study(study_name="m", storage=storage.store.url, space={"x": hpo.Float(0, 1)})
    theirs = optuna.load_study(study_name="m", storage=storage)
    numbers: list[int] = []

    def objective(trial: hpo.Trial) -> float:
        if trial.number == 0:  # the manager takes turns while its trial reports: here the command is read
            import threading

            asking = threading.Thread(target=lambda: theirs.enqueue_trial({"x": 0.75}))
            asking.start()
            step = 0
            while asking.is_alive():
                trial.report(0.0, step=step)
                asking.join(0.05)
                step += 1
        numbers.append(trial.number)
        return float(trial.params["x"])

    study.optimize(objective, n_trials=2, workers=0)
    assert numbers == [0, 1]
    assert theirs.trials[1].params == {"x": 0.75}


def test_hpo_goes_on_with_a_study_that_optuna_left_and_not_with_one_it_runs(storage: OptunaStorage) -> None:
    theirs = new_study(storage)
    theirs.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=3)
    running = theirs.ask()
    ours = hpo.load_study(study_name="s", storage=storage.store.url)
    with pytest.raises(StudyBusyError, match="1 trial of it runs"):
        ours.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=1, workers=0)
    theirs.tell(running, state=TrialState.FAIL)
    ours.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=2, workers=0)
    assert [trial.state.name for trial in ours.trials] == ["COMPLETE"] * 3 + ["FAIL"] + ["COMPLETE"] * 2
    with pytest.raises(StudyBusyError, match="managed by hpo"):
        theirs.ask()
    assert len(theirs.trials) == 6


def test_a_study_with_names_of_metrics_reports_under_them(storage: OptunaStorage) -> None:
    study = new_study(storage)
    study.set_metric_names(["accuracy"])
    trial = study.ask()
    trial.report(0.5, 0)
    study.tell(trial, 0.5)
    storage.store.flush()
    run = storage.store.search_runs("metrics.accuracy = 0.5")[0]
    assert run.path == "s/0"
    assert trackers.connect(storage.store).get_study("s").metric_names == ("accuracy",)


def test_the_dashboard_shows_shared_and_managed_studies_and_writes_no_managed_one(storage: OptunaStorage) -> None:
    from wsgiref.util import setup_testing_defaults

    from optuna_dashboard import wsgi

    theirs = new_study(storage)
    theirs.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=2)
    manager = manage(storage.store, "managed")
    manager.lease.submit(manager.whole(0.25)).wait(10)
    app = wsgi(storage)

    def ask(method: str, path: str, body: str = "") -> tuple[str, str]:
        import io

        said: list[str] = []
        environ: dict[str, object] = {}
        setup_testing_defaults(environ)
        data = body.encode()
        environ |= {"REQUEST_METHOD": method, "PATH_INFO": path, "wsgi.input": io.BytesIO(data)}
        environ |= {"CONTENT_LENGTH": str(len(data)), "CONTENT_TYPE": "application/json"}
        parts = app(environ, lambda status, headers, *rest: said.append(status))
        return said[0], b"".join(parts).decode()

    status, text = ask("GET", "/api/studies")
    assert status.startswith("200")
    assert '"s"' in text
    assert manager.lease.study.name in text
    for study_id in (theirs._study_id, manager.lease.study.id):
        status, text = ask("GET", f"/api/studies/{study_id}")
        assert status.startswith("200")
        assert '"Complete"' in text
    trial_id = storage.get_all_trials(manager.lease.study.id)[0]._trial_id
    status, text = ask("POST", f"/api/trials/{trial_id}/tell", '{"state": "Complete", "values": [9.0]}')
    assert not status.startswith("2")
    assert storage.get_all_trials(manager.lease.study.id)[0].values == [0.25]
    manager.lease.release("stopped", "")
