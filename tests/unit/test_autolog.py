"""``trackers.autolog``: what libraries train is logged, and the training never breaks by it."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hpo
import trackers
from trackers.autologging import patch
from trackers.default import default_store
from trackers.errors import InvalidValueError
from trackers.states import RunState
from trackers.store import Store

X = np.random.default_rng(0).normal(size=(60, 3))
Y = (X[:, 0] > 0).astype(int)


@pytest.fixture
def watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """Return the default store; nothing is watched any more when the test is over."""
    monkeypatch.setenv("HPO_STORAGE", f"sqlite:///{tmp_path}/auto.db")
    monkeypatch.setattr(patch, "_warned", set())
    store = default_store()
    yield store
    trackers.autolog(disable=True)
    store.close()


def test_scikit_learn_at_the_outermost_fit_only(watched: Store) -> None:
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    assert "sklearn" in trackers.autolog(models=True)
    pipeline = make_pipeline(StandardScaler(), LogisticRegression(C=0.5))
    pipeline.fit(X, Y)
    (run,) = watched.search_runs()
    assert (run.name, run.state) == ("Pipeline", RunState.COMPLETE)
    assert run.params["estimator"] == "Pipeline"
    assert run.params["logisticregression__C"] == 0.5
    assert run.metrics["training_score"] == pipeline.score(X, Y)
    assert watched.get_logged_model(run) is not None
    search = GridSearchCV(LogisticRegression(), {"C": [0.1, 1.0]}).fit(X, Y)
    (run, _) = watched.search_runs()
    assert run.metrics["best_cv_score"] == search.best_score_
    assert run.tags["best_params.C"] == str(search.best_params_["C"])


def test_what_is_trained_on_is_an_input_of_the_run(watched: Store, tmp_path: Path) -> None:
    from sklearn.linear_model import Ridge

    lightgbm = pytest.importorskip("lightgbm")
    xgboost = pytest.importorskip("xgboost")
    digest = trackers.capture.data_digest((X, Y)).digest
    trackers.autolog()
    Ridge().fit(X, y=Y)
    lightgbm.LGBMClassifier(n_estimators=2, verbose=-1).fit(X, Y)
    lightgbm.train({"verbose": -1}, lightgbm.Dataset(X, Y), 2)
    xgboost.XGBClassifier(n_estimators=2).fit(X, Y)
    with trackers.start_run("folds"):
        for part in (slice(0, 30), slice(30, 60)):
            Ridge().fit(X[part], Y[part])
    folds, *runs = watched.search_runs()
    assert [watched.inputs(run)[0].digest for run in runs] == [digest] * 4
    assert {(one.name, one.role, one.rows) for run in runs for one in watched.inputs(run)} == {("train", "train", 60)}
    assert [one.rows for one in watched.inputs(folds)] == [30], "the second is another part of the same"
    trackers.autolog("sklearn", data=False)
    Ridge().fit(X, Y)
    assert not watched.inputs(watched.search_runs()[0])


def test_what_a_dmatrix_was_made_of_is_an_input_of_its_training(
    watched: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    xgboost = pytest.importorskip("xgboost")
    pd = pytest.importorskip("pandas")
    before, unknown = xgboost.DMatrix.__init__, xgboost.DMatrix(X, Y)
    trackers.autolog("xgboost")
    frame, changed = pd.DataFrame(X, columns=["a", "b", "c"]), X.copy()
    made = [
        xgboost.DMatrix(changed, Y),
        xgboost.DMatrix(data=X.copy(), label=Y, nthread=1),
        xgboost.DMatrix(X.tolist(), Y.tolist()),
        xgboost.QuantileDMatrix(X, label=Y),
        xgboost.DMatrix(frame.copy(), pd.Series(Y)),
    ]
    changed[:] = 0
    digest = trackers.capture.data_digest
    expected = [digest((X, Y)).digest] * 4 + [digest((frame, pd.Series(Y))).digest]
    hashed: list[Any] = []
    monkeypatch.setattr("trackers.capture.data_digest", lambda data: hashed.append(data) or digest(data))
    for data in made:
        booster = xgboost.train({"nthread": 1}, data, 1, evals=[(data, "eval")], verbose_eval=False)
        (run, *_) = watched.search_runs()
        (found,) = watched.inputs(run)
        assert (found.digest, found.name, found.role, found.rows) == (expected.pop(0), "train", "train", 60)
    hashed.clear()
    booster.predict(xgboost.DMatrix(frame))
    xgboost.XGBRegressor(n_estimators=1).fit(X, Y).predict(X)
    assert len(watched.inputs(watched.search_runs()[0])) == 1
    xgboost.cv({}, made[0], 1, nfold=2)
    assert len(hashed) == 1, "what was made to predict, and what the library makes itself, costs nothing"
    later = xgboost.DMatrix(X)
    later.set_label(Y)
    others = [xgboost.DMatrix(X, Y) for _ in range(4)]
    others[0].set_label(label=1 - Y)
    others[1].set_info(label=1 - Y)
    others[2].set_float_info("label", 1 - Y)
    others[3].set_float_info_npy2d(field="label", data=1 - Y)
    for data in (unknown, later, *others):
        xgboost.train({}, data, 1)
        assert not watched.inputs(watched.search_runs()[0])
    others[0] = xgboost.DMatrix(X, Y)
    others[0].set_weight(Y + 1)
    xgboost.train({}, others[0], 1)
    assert watched.inputs(watched.search_runs()[0]), "weights are neither"
    trackers.autolog("xgboost", data=False)
    assert xgboost.DMatrix.__init__ is before
    xgboost.train({}, xgboost.DMatrix(X, Y), 1)
    assert not watched.inputs(watched.search_runs()[0])


def test_the_file_of_a_dmatrix_is_an_input_of_its_training(watched: Store, tmp_path: Path) -> None:
    xgboost = pytest.importorskip("xgboost")
    (tmp_path / "train.txt").write_text("1 0:1 1:2\n0 0:2 1:1\n")
    trackers.autolog("xgboost")
    with pytest.warns(UserWarning, match="Text file input"):
        data = xgboost.DMatrix(f"{tmp_path}/train.txt?format=libsvm")
    xgboost.train({}, data, 1)
    (found,) = watched.inputs(watched.search_runs()[0])
    assert (found.name, found.digest) == ("train.txt", trackers.capture.data_digest(tmp_path / "train.txt").digest)


def test_a_cross_validation_is_one_training_on_all_of_the_data(watched: Store) -> None:
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import cross_val_score

    trackers.autolog("sklearn")
    with trackers.start_run("folds") as run:
        model = LogisticRegression(C=0.5)
        scores = cross_val_score(model, X.tolist(), Y.tolist(), cv=4, n_jobs=2)
        model.fit(X, Y)
    found = watched.get_run(run.uid)
    (data,) = watched.inputs(found)
    assert (data.rows, data.digest) == (60, trackers.capture.data_digest((X, Y)).digest), "lists are its arrays"
    assert (found.params["estimator"], found.params["C"]) == ("LogisticRegression", 0.5)
    assert found.metrics["test_score"] == pytest.approx(scores.mean())
    folds = [watched.metric_history(found, "test_score", {"fold": fold})[0].value for fold in range(4)]
    assert folds == list(scores)
    assert found.metrics["training_score"] == model.score(X, Y)


def test_what_has_no_digest_is_left_out_without_a_word(watched: Store) -> None:
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    trackers.autolog("sklearn")
    texts = ["a b", "c d", "a c"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pipeline = make_pipeline(CountVectorizer(token_pattern="[a-z]"), LogisticRegression())
        pipeline.fit(texts, [0, 1, 0])
        pipeline.fit((text for text in texts), [0, 1, 0])
    generator, listed = watched.search_runs()
    assert [one.rows for one in watched.inputs(listed)] == [3]
    assert watched.inputs(generator) == []


def test_it_is_undone(watched: Store) -> None:
    from sklearn.linear_model import LinearRegression

    before = LinearRegression.fit
    trackers.autolog("sklearn")
    assert LinearRegression.fit is not before
    trackers.autolog("sklearn")
    assert trackers.autolog(disable=True) == ()
    assert LinearRegression.fit is before
    LinearRegression().fit(X, Y)
    assert len(watched.search_runs()) == 0


def test_it_logs_to_the_active_run_and_tells_its_trainings_apart(watched: Store) -> None:
    from sklearn.linear_model import Lasso, Ridge
    from sklearn.preprocessing import StandardScaler

    trackers.autolog("sklearn", models=True)
    with trackers.start_run("mine", params={"alpha": 7.0}) as run:
        scaled = StandardScaler().fit_transform(X)  # prepares data: no training
        first = Ridge(alpha=2.0)
        first.fit(scaled, y=Y)
        second = Lasso(alpha=0.001).fit(scaled, Y)
        first.fit(scaled, Y)  # once more: it goes on
    found = watched.get_run(run.uid)
    assert (found.params["alpha"], found.params["estimator"]) == (7.0, "Ridge")
    assert (found.params["fit2.alpha"], found.params["fit2.estimator"]) == (0.001, "Lasso")
    assert "fit2.fit_intercept" not in found.params, "it is the same"
    assert len(watched.metric_history(found, "training_score")) == 2
    (point,) = watched.metric_history(found, "training_score", {"fit": 2})
    assert point.value == second.score(scaled, Y)
    assert sorted(model.name for model in watched.list_logged_models([found.id])) == ["model", "model-2"]
    assert len(watched.search_runs()) == 1


def test_the_training_inside_an_estimator_is_its_own(watched: Store) -> None:
    xgboost = pytest.importorskip("xgboost")

    trackers.autolog("xgboost")
    with trackers.start_run("mine") as run:
        for depth in (1, 2):
            xgboost.XGBClassifier(n_estimators=2, max_depth=depth).fit(X, Y, eval_set=[(X, Y)], verbose=False)
    found = watched.get_run(run.uid)
    assert (found.params["max_depth"], found.params["fit2.max_depth"]) == (1, 2)
    contexts = [(one.key, one.context, one.count) for one in watched.metrics(found)]
    assert contexts == [("logloss", "data=validation_0", 2), ("logloss", "data=validation_0,fit=2", 2)]


def test_a_training_that_fails_fails_as_ever_and_so_does_its_run(watched: Store) -> None:
    from sklearn.linear_model import Ridge

    trackers.autolog("sklearn")
    with pytest.raises(ValueError, match="NaN"):
        Ridge().fit(np.full((3, 1), np.nan), [1, 2, 3])
    (run,) = watched.search_runs()
    assert run.state is RunState.FAIL


def test_a_failure_of_the_watching_breaks_no_training(watched: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    from sklearn.linear_model import Ridge

    trackers.autolog("sklearn")

    def broken(*args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("the log is broken")

    monkeypatch.setattr("trackers.active.ActiveRun.log_metric", broken)
    monkeypatch.setattr("trackers.active.ActiveRun.log_param", broken)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        for _ in range(3):
            assert Ridge().fit(X, Y).coef_.shape == (3,)
    told = [str(one.message) for one in said if "autolog" in str(one.message)]
    assert told == ["autolog of sklearn failed and goes on without: RuntimeError: the log is broken"]


def test_lightgbm_round_by_round(watched: Store) -> None:
    lightgbm = pytest.importorskip("lightgbm")
    trackers.autolog(["lightgbm", "sklearn"])
    data = lightgbm.Dataset(X, Y)
    curves: dict[str, Any] = {}
    lightgbm.train(
        {"objective": "binary", "metric": ["auc", "binary_logloss"], "verbose": -1, "num_leaves": 4},
        data,
        5,
        valid_sets=[data],
        valid_names=["train"],
        callbacks=[lightgbm.record_evaluation(curves)],
    )
    (run,) = watched.search_runs()
    assert (run.params["num_leaves"], run.params["objective"], run.params["num_boost_round"]) == (4, "binary", 5)
    points = watched.metric_history(run, "binary_logloss", {"data": "train"})
    assert [point.value for point in points] == curves["train"]["binary_logloss"]
    assert [point.step for point in points] == list(range(5))
    lightgbm.LGBMClassifier(n_estimators=3, verbose=-1).fit(X, Y, eval_X=(X,), eval_y=(Y,))
    (run, _) = watched.search_runs()
    assert len(watched.metric_history(run, "binary_logloss", {"data": "valid_0"})) == 3
    assert run.params["n_estimators"] == 3
    found = lightgbm.cv({"objective": "binary", "metric": "auc", "verbose": -1}, lightgbm.Dataset(X, Y), 4, nfold=2)
    (run, *_) = watched.search_runs()
    assert run.params["num_boost_round"] == 4
    means = watched.metric_history(run, "auc-mean", {"data": "valid"})
    assert [point.value for point in means] == list(found["valid auc-mean"])
    assert trackers.autolog(disable=True) == ()
    lightgbm.train({"verbose": -1}, lightgbm.Dataset(X, Y), 1)
    assert len(watched.search_runs()) == 3


def test_xgboost_round_by_round(watched: Store) -> None:
    xgboost = pytest.importorskip("xgboost")
    trackers.autolog("xgboost")
    data = xgboost.DMatrix(X, Y)
    curves: dict[str, Any] = {}
    xgboost.train({"objective": "binary:logistic", "eta": 0.5}, data, 4, evals=[(data, "train")], evals_result=curves)
    (run,) = watched.search_runs()
    assert (run.params["eta"], run.params["num_boost_round"]) == (0.5, 4)
    points = watched.metric_history(run, "logloss", {"data": "train"})
    assert [point.value for point in points] == curves["train"]["logloss"]
    xgboost.XGBClassifier(n_estimators=3).fit(X, Y, eval_set=[(X, Y)])
    (run, _) = watched.search_runs()
    assert len(watched.metric_history(run, "logloss", {"data": "validation_0"})) == 3
    assert run.params["n_estimators"] == 3
    xgboost.XGBClassifier(n_estimators=2).fit([[0.0], [1.0], [2.0], [0.0], [1.0], [2.0]], [0, 1, 2, 0, 1, 2])
    (run, *_) = watched.search_runs()
    assert run.params["objective"] == "multi:softprob", "what fit made of it"
    found = xgboost.cv({"objective": "binary:logistic"}, data, num_boost_round=4, nfold=2)
    (run, *_) = watched.search_runs()
    assert run.params["num_boost_round"] == 4
    points = watched.metric_history(run, "logloss-mean", {"data": "test"})
    assert [point.value for point in points] == list(found["test-logloss-mean"])


def test_the_loop_of_pytorch(watched: Store) -> None:
    torch = pytest.importorskip("torch")
    trackers.autolog("torch")
    from trackers.autologging.torch import watch

    model = torch.nn.Linear(3, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 2)
    loss = watch(torch.nn.functional.mse_loss)
    with trackers.start_run("loop") as run:
        for _ in range(4):
            optimizer.zero_grad()
            loss(model(torch.tensor(X, dtype=torch.float32))[:, 0], torch.tensor(Y, dtype=torch.float32)).backward()
            optimizer.step()
            schedule.step()
        second = torch.optim.Adam(model.parameters(), lr=0.5)
        second.step()
    params = watched.get_run(run.uid).params
    assert (params["torch.optimizer"], params["torch.lr"]) == ("SGD", 0.1)
    assert (params["torch.2.optimizer"], params["torch.2.lr"]) == ("Adam", 0.5)
    assert [point.step for point in watched.metric_history(run.uid, "loss")] == [0, 1, 2, 3]
    rates = watched.metric_history(run.uid, "learning_rate")
    assert [(point.step, round(point.value, 3)) for point in rates] == [(0, 0.1), (2, 0.01)]


def test_inside_an_objective_it_lands_on_the_trial(watched: Store) -> None:
    from sklearn.linear_model import Ridge

    study = hpo.create_study(study_name="s", storage=watched.url, sampler="random", pruner="none")
    trackers.autolog("sklearn")

    def objective(trial: Any) -> float:
        return float(Ridge(alpha=trial.suggest_float("alpha", 0.1, 1.0)).fit(X, Y).score(X, Y))

    study.optimize(objective, n_trials=2)
    runs = watched.search_runs()
    assert sorted(run.path for run in runs) == ["s/0", "s/1"]
    for run in runs:
        assert run.params["estimator"] == "Ridge"
        assert run.values is not None
        assert run.metrics["training_score"] == pytest.approx(run.values[0])


def test_what_is_not_known_is_told() -> None:
    with pytest.raises(InvalidValueError, match="autolog knows sklearn, lightgbm, xgboost, torch, not 'keras'"):
        trackers.autolog("keras")
    with pytest.raises(InvalidValueError, match="every is 1 or more"):
        trackers.autolog("sklearn", every=0)
