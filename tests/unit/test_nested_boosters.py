"""Boosted estimators inside pipelines and ensembles: saved in their own formats, loaded without trust, and checked."""

import copy
import json
import shutil
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_iris
from sklearn.ensemble import StackingClassifier, VotingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from trackers.errors import DigestError, ModelError, UntrustedError
from trackers.models import load, save
from trackers.models.sklearn import read_skops
from trackers.models.trust import Trust

lgb = pytest.importorskip("lightgbm", reason="lightgbm is not installed: pip install lightgbm")
xgb = pytest.importorskip("xgboost", reason="xgboost is not installed: pip install xgboost-cpu")

X, y = load_iris(return_X_y=True)


def light(**params: Any) -> Any:
    return lgb.LGBMClassifier(n_estimators=3, verbose=-1, **params)


def extreme(**params: Any) -> Any:
    return xgb.XGBClassifier(n_estimators=3, **params)


MODELS = {
    "a pipeline": lambda: make_pipeline(StandardScaler(), light()),
    "another": lambda: make_pipeline(StandardScaler(), extreme(early_stopping_rounds=None)),
    "votes": lambda: VotingClassifier([("a", light()), ("b", extreme())], voting="soft"),
    "a stack": lambda: StackingClassifier([("a", light()), ("b", extreme())], final_estimator=LogisticRegression()),
    "calibrated": lambda: CalibratedClassifierCV(light(), cv=2),
    "a search": lambda: GridSearchCV(light(), {"num_leaves": [3, 7]}, cv=2),
    "a search of pipelines": lambda: GridSearchCV(
        make_pipeline(StandardScaler(), extreme()), {"xgbclassifier__max_depth": [1, 2]}, cv=2
    ),
}


@pytest.fixture
def pipeline(tmp_path: Path) -> Path:
    save(make_pipeline(StandardScaler(), light()).fit(X, y), tmp_path / "model")
    return tmp_path / "model"


@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
def test_what_holds_a_booster_needs_no_trust_and_predicts_the_same(make: Any, tmp_path: Path) -> None:
    model = make().fit(X, y)
    before = copy.deepcopy(model)
    manifest = save(model, tmp_path / "model", input_example=X, trusted=())
    assert manifest["details"]["unknown_types"] == []
    assert set(manifest["libraries"]) & {"lightgbm", "xgboost", "xgboost-cpu"}
    shutil.move(tmp_path / "model", tmp_path / "elsewhere")
    found = load(tmp_path / "elsewhere")
    np.testing.assert_array_equal(found.predict(X), model.predict(X))
    np.testing.assert_array_equal(found.predict_proba(X), model.predict_proba(X))
    np.testing.assert_array_equal(model.predict_proba(X), before.predict_proba(X))
    found.unwrap().fit(X, y)  # what is not fitted, inside a search or a stack, came back too
    assert "__getstate__" not in vars(lgb.LGBMClassifier)


def test_an_estimator_that_no_format_holds_is_left_to_skops_and_has_to_be_trusted(tmp_path: Path) -> None:
    model = make_pipeline(StandardScaler(), lgb.LGBMRegressor(objective=squared, n_estimators=2, verbose=-1))
    model.fit(X, y.astype(float))
    with pytest.raises(UntrustedError, match=r"lightgbm\.sklearn\.LGBMRegressor"):
        save(model, tmp_path / "refused", trusted=())
    manifest = save(model, tmp_path / "model")
    with pytest.raises(UntrustedError, match=r"lightgbm\.basic\.Booster"):
        load(tmp_path / "model")
    found = load(tmp_path / "model", trust=manifest["details"]["unknown_types"])
    np.testing.assert_array_equal(found.predict(X), model.predict(X))


class Mine(xgb.XGBRegressor):
    """A class of the user's own, which no format of the library's holds."""


@pytest.mark.parametrize("fitted", [True, False])
def test_a_subclass_of_the_user_is_left_to_skops(fitted: bool, tmp_path: Path) -> None:
    model = make_pipeline(StandardScaler(), Mine(n_estimators=2))
    manifest = save(model.fit(X, y) if fitted else model, tmp_path / "model")
    assert any(name.endswith(".Mine") for name in manifest["details"]["unknown_types"])
    found = load(tmp_path / "model", trust=True).unwrap()
    assert type(found[-1]) is Mine
    if fitted:
        np.testing.assert_array_equal(found.predict(X), model.predict(X))


def squared(truth: Any, found: Any) -> Any:
    return found - truth, np.ones_like(truth)


def test_a_changed_booster_is_found_by_its_digest(pipeline: Path) -> None:
    path = pipeline / "nested" / "0" / "model.txt"
    path.write_text(path.read_text().replace("left_child=", "left_child=9", 1))
    with pytest.raises(DigestError):
        load(pipeline)


def details_of(folder: Path) -> Any:
    return json.loads((folder / "model.json").read_text())["details"]["nested"]


def test_what_a_forger_writes_is_checked_as_the_library_s_own_files_are(pipeline: Path) -> None:
    path, details = pipeline / "nested" / "0" / "model.txt", details_of(pipeline)
    text = path.read_text()
    path.write_text(text.replace("left_child=", "left_child=9", 1))
    with pytest.raises(ModelError, match="damaged"):
        read_skops(pipeline / "model.skops", Trust(), apart=details)
    path.write_text(text)
    for wrong in (
        [],
        [details[0] | {"kind": "LGBMRegressor"}],
        [details[0] | {"library": "xgboost"}],
        [details[0] | {"details": details[0]["details"] | {"kind": "Booster"}}],
    ):
        with pytest.raises(ModelError):
            read_skops(pipeline / "model.skops", Trust(), apart=wrong)
    assert read_skops(pipeline / "model.skops", Trust(), apart=details).predict(X).shape == y.shape


@pytest.mark.parametrize("make", [light, extreme])
def test_a_booster_inside_the_skops_file_itself_is_not_read_unseen(make: Any, pipeline: Path, tmp_path: Path) -> None:
    from skops import io

    model = make_pipeline(StandardScaler(), make()).fit(X, y)
    io.dump(model, tmp_path / "own.skops")
    types = io.get_untrusted_types(file=tmp_path / "own.skops")
    with pytest.raises(UntrustedError):
        read_skops(tmp_path / "own.skops", Trust())
    boosters = Trust.of([name for name in types if name.endswith("Booster")])
    with pytest.raises(UntrustedError, match="cannot be checked"):
        read_skops(tmp_path / "own.skops", boosters, apart=details_of(pipeline))
    found = read_skops(tmp_path / "own.skops", Trust.of(types))
    np.testing.assert_array_equal(found.predict(X), model.predict(X))


def test_what_other_threads_copy_meanwhile_stays_whole(tmp_path: Path) -> None:
    model = make_pipeline(StandardScaler(), light()).fit(X, y)
    own, over, wrong = light().fit(X, y), threading.Event(), []

    def copying() -> None:
        while not over.is_set():
            if not np.array_equal(copy.deepcopy(own).predict(X), own.predict(X)):
                wrong.append(1)

    thread = threading.Thread(target=copying)
    thread.start()
    try:
        for number in range(5):
            save(model, tmp_path / str(number))
            load(tmp_path / str(number))
    finally:
        over.set()
        thread.join()
    assert wrong == []
