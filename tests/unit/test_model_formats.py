"""Flavours of LightGBM, XGBoost and ONNX, with the real packages."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.unit.test_model_flavours import edit_manifest
from trackers.errors import ModelError
from trackers.models import load, save
from trackers.models.manifest import describe_model, seal

RNG = np.random.default_rng(0)
X = RNG.normal(size=(200, 4))
X[:, 3] = RNG.integers(0, 5, 200)
TWO = (X[:, 0] + X[:, 3] > 2).astype(int)
THREE = np.digitize(X[:, 0], [-0.5, 0.5])
NAMES = np.array(["low", "middle", "high"])[THREE]


def frame_of(rows: Any) -> Any:
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(rows, columns=["a", "b", "c", "d"])
    frame["d"] = pd.Categorical(np.array(["u", "v", "w", "x", "y"])[rows[:, 3].astype(int)])
    return frame


def reseal(folder: Path) -> None:
    """Give the folder's files the digests that they have now, as a hostile hand would."""
    manifest = json.loads((folder / "model.json").read_text())
    kept = {key: value for key, value in manifest.items() if key not in ("files", "digest")}
    (folder / "model.json").unlink()
    seal(folder, kept)


def in_another_process(folder: Path, rows: Any, method: str = "predict") -> Any:
    """Predict where nothing is imported yet."""
    np.save(folder.parent / "rows.npy", rows)
    code = (
        "import json, sys, numpy as np; from trackers.models import load; "
        "print(json.dumps(getattr(load(sys.argv[1]), sys.argv[3])(np.load(sys.argv[2])).tolist()))"
    )
    command = [sys.executable, "-c", code, str(folder), str(folder.parent / "rows.npy"), method]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


# --- LightGBM ----------------------------------------------------------------------------------------------------


def lightgbm_models() -> list[tuple[str, Any, Any]]:
    lgb = pytest.importorskip("lightgbm")
    small = {"n_estimators": 5, "num_leaves": 7, "verbose": -1}
    frame = frame_of(X)
    ranker = lgb.LGBMRanker(**small).fit(X, THREE, group=[50] * 4)
    booster = lgb.train({"objective": "multiclass", "num_class": 3, "verbose": -1}, lgb.Dataset(X, THREE), 4)
    early = lgb.LGBMClassifier(**{**small, "n_estimators": 50, "learning_rate": 0.9})
    early.fit(X[:100], TWO[:100], eval_X=X[100:], eval_y=TWO[100:], callbacks=[lgb.early_stopping(2, verbose=False)])
    return [
        ("binary", lgb.LGBMClassifier(**small, random_state=1).fit(X, TWO, categorical_feature=[3]), X),
        ("names", lgb.LGBMClassifier(**small).fit(X, NAMES), X),
        ("three", lgb.LGBMClassifier(**small, class_weight={0: 1.0, 1: 2.0, 2: 1.0}).fit(X, THREE), X),
        ("frame", lgb.LGBMRegressor(**small).fit(frame, X[:, 0]), frame),
        ("linear", lgb.LGBMRegressor(**small, linear_tree=True).fit(X, X[:, 0]), X),
        ("dart", lgb.LGBMRegressor(**small, boosting_type="dart").fit(X, X[:, 0]), X),
        ("ranker", ranker, X),
        ("booster", booster, X),
        ("early", early, X),
        ("constant", lgb.LGBMRegressor(**small).fit(X, np.ones(200)), X),
    ]


@pytest.mark.parametrize("at", range(10))
def test_a_lightgbm_model_comes_back_as_what_it_was_without_trust(at: int, tmp_path: Path) -> None:
    name, model, rows = lightgbm_models()[at]
    manifest = save(model, tmp_path / name, input_example=rows)
    loaded = load(tmp_path / name)
    assert type(loaded.unwrap()) is type(model)
    np.testing.assert_array_equal(loaded.predict(rows), model.predict(rows))
    assert manifest["flavor"] == "lightgbm"
    assert "error" not in manifest["output"]
    if hasattr(model, "get_params"):
        assert loaded.unwrap().get_params() == model.get_params()
        assert loaded.unwrap().best_iteration_ == model.best_iteration_
        np.testing.assert_array_equal(loaded.unwrap().feature_importances_, model.feature_importances_)
    if hasattr(model, "classes_"):
        np.testing.assert_array_equal(loaded.unwrap().classes_, model.classes_)
        assert loaded.unwrap().classes_.dtype == model.classes_.dtype
        np.testing.assert_array_equal(loaded.predict_proba(rows), model.predict_proba(rows))


def test_a_lightgbm_classifier_is_saved_again_and_clones_as_itself(tmp_path: Path) -> None:
    from sklearn.base import clone

    lgb = pytest.importorskip("lightgbm")
    model = lgb.LGBMClassifier(n_estimators=3, verbose=-1).fit(X, NAMES)
    save(model, tmp_path / "one")
    save(load(tmp_path / "one").unwrap(), tmp_path / "two")
    assert in_another_process(tmp_path / "two", X[:5], "predict_proba") == model.predict_proba(X[:5]).tolist()
    clone(load(tmp_path / "two").unwrap()).fit(X, TWO)


def test_an_objective_that_is_a_function_is_named_before_anything_is_lost(tmp_path: Path) -> None:
    lgb = pytest.importorskip("lightgbm")

    def squared(y: Any, p: Any) -> Any:
        return p - y, np.ones_like(y)

    model = lgb.LGBMRegressor(n_estimators=2, verbose=-1, objective=squared).fit(X, X[:, 0])
    with pytest.raises(ModelError, match=r"objective of the LGBMRegressor is a function.*save the booster"):
        save(model, tmp_path / "model")
    save(model.booster_, tmp_path / "booster")
    np.testing.assert_array_equal(load(tmp_path / "booster").predict(X), model.predict(X))


def _first(key: str, value: str) -> Any:
    def change(text: str) -> str:
        head, _, tail = text.partition(f"\n{key}=")
        return f"{head}\n{key}={value}{tail[len(tail.split(' ')[0]) :]}"

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_first("left_child", "100000000"), "child that does not exist"),
        (_first("left_child", "0"), "child that does not exist|two parents"),
        (_first("right_child", "-100000000"), "leaf that does not exist"),
        (_first("split_feature", "100000000"), "feature that does not exist"),
        (_first("split_feature", "x"), "wrong one"),
        (lambda text: text.replace("num_cat=1", "num_cat=0", 1), "category that does not exist"),
        (lambda text: text.replace("cat_boundaries=0 1", "cat_boundaries=0 900000000", 1), "categories that do not"),
        (lambda text: text.replace("num_leaves=", "num_leaves=1", 1), "values of leaf_value"),
        (lambda text: text.replace("num_class=1", "num_class=1000000", 1), "number of classes"),
        (lambda text: text.replace("max_feature_idx=3", "max_feature_idx=300000", 1), "number of features"),
        (lambda text: text.replace("\nleft_child", "\nleft_child=0 0\nleft_child", 1), "twice"),
        (lambda text: text.replace("Tree=0", "\rTree=0"), "characters"),
        (lambda text: text.replace("end of trees", "end"), "no beginning or no end"),
    ],
)
def test_a_lightgbm_tree_that_would_read_foreign_memory_is_refused(change: Any, message: str, tmp_path: Path) -> None:
    lgb = pytest.importorskip("lightgbm")
    small = {"n_estimators": 2, "num_leaves": 5, "verbose": -1, "min_data_per_group": 5, "cat_smooth": 1.0}
    model = lgb.LGBMClassifier(**small).fit(X, X[:, 3] % 2 == 1, categorical_feature=[3])
    save(model, tmp_path / "model")
    path = tmp_path / "model" / "model.txt"
    assert change(path.read_text()) != path.read_text()
    path.write_text(change(path.read_text()), newline="")
    reseal(tmp_path / "model")
    with pytest.raises(ModelError, match=message):
        load(tmp_path / "model")


# --- XGBoost -----------------------------------------------------------------------------------------------------


def xgboost_models() -> list[tuple[str, Any, Any]]:
    xgb = pytest.importorskip("xgboost")
    small = {"n_estimators": 4, "max_depth": 3}
    frame = frame_of(X)
    booster = xgb.train({"objective": "multi:softprob", "num_class": 3, "max_depth": 2}, xgb.DMatrix(X, THREE), 3)
    early = xgb.XGBClassifier(n_estimators=40, early_stopping_rounds=2, learning_rate=0.9)
    early.fit(X[:100], TWO[:100], eval_set=[(X[100:], TWO[100:])], verbose=False)
    return [
        ("binary", xgb.XGBClassifier(**small, random_state=1).fit(X, TWO), X),
        ("three", xgb.XGBClassifier(**small, booster="dart").fit(X, THREE), X),
        ("frame", xgb.XGBRegressor(**small, enable_categorical=True, gamma=0.1).fit(frame, X[:, 0]), frame),
        ("linear", xgb.XGBRegressor(booster="gblinear", n_estimators=3).fit(X, X[:, 0]), X),
        ("forest", xgb.XGBRFClassifier(n_estimators=4).fit(X, TWO), X),
        ("ranker", xgb.XGBRanker(**small).fit(X, THREE, qid=np.repeat(range(4), 50)), X),
        ("booster", booster, X),
        ("early", early, X),
    ]


def predicted(model: Any, rows: Any) -> Any:
    if type(model).__module__ != "xgboost.core":
        return model.predict(rows)
    import xgboost

    return model.predict(xgboost.DMatrix(rows))


@pytest.mark.parametrize("at", range(8))
def test_an_xgboost_model_comes_back_as_what_it_was_without_trust(at: int, tmp_path: Path) -> None:
    name, model, rows = xgboost_models()[at]
    manifest = save(model, tmp_path / name, input_example=rows)
    loaded = load(tmp_path / name)
    assert type(loaded.unwrap()) is type(model)
    np.testing.assert_array_equal(loaded.predict(rows), predicted(model, rows))
    assert manifest["flavor"] == "xgboost"
    assert "error" not in manifest["output"]
    if hasattr(model, "get_params"):
        ours, theirs = loaded.unwrap().get_params(), model.get_params()
        assert {k: v for k, v in ours.items() if v == v} == {k: v for k, v in theirs.items() if v == v}
    if hasattr(model, "classes_"):
        np.testing.assert_array_equal(loaded.unwrap().classes_, model.classes_)
        np.testing.assert_array_equal(loaded.predict_proba(rows), model.predict_proba(rows))


def test_an_xgboost_model_loads_where_nothing_is_imported_yet(tmp_path: Path) -> None:
    xgb = pytest.importorskip("xgboost")
    model = xgb.XGBClassifier(n_estimators=2).fit(X, TWO)
    save(model, tmp_path / "model")
    assert in_another_process(tmp_path / "model", X[:5]) == model.predict(X[:5]).tolist()


def _tree(**changes: Any) -> Any:
    def change(content: Any) -> None:
        tree = content["learner"]["gradient_booster"]["model"]["trees"][0]
        for name, value in changes.items():
            tree[name][0] = value

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_tree(left_children=10**8), "child that does not exist"),
        (_tree(left_children=0), "child that does not exist"),
        (_tree(left_children=2), "two parents"),
        (_tree(left_children=-7), "negative child"),
        (_tree(right_children=-1), "child that does not exist"),
        (_tree(parents=10**10), "root with a parent"),
        (lambda c: c["learner"]["gradient_booster"]["model"]["trees"][1].update(id=0), "number of another"),
        (_tree(split_indices=10**8), "feature that does not exist"),
        (_tree(split_type=1), "split without categories"),
        (_tree(left_children="x"), "missing or wrong"),
        (lambda c: c["learner"]["gradient_booster"]["model"].update(tree_info=[10**8] * 2), "class that does not"),
        (lambda c: c["learner"]["gradient_booster"]["model"].update(iteration_indptr=[0, 10**8]), "in disorder"),
        (lambda c: c["learner"]["learner_model_param"].update(num_feature="1"), "impossible size"),
        (lambda c: c["learner"]["learner_model_param"].update(num_class="2147483647"), "all memory"),
        (lambda c: c["learner"].pop("objective"), "missing or wrong"),
    ],
)
def test_an_xgboost_tree_that_would_read_foreign_memory_is_refused(change: Any, message: str, tmp_path: Path) -> None:
    xgb = pytest.importorskip("xgboost")
    save(xgb.XGBClassifier(n_estimators=2, max_depth=3).fit(X, TWO), tmp_path / "model")
    path = tmp_path / "model" / "booster.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    reseal(tmp_path / "model")
    with pytest.raises(ModelError, match=message):
        load(tmp_path / "model")


def test_a_key_that_stands_twice_is_refused_since_readers_differ_on_it(tmp_path: Path) -> None:
    xgb = pytest.importorskip("xgboost")
    save(xgb.XGBClassifier(n_estimators=2).fit(X, TWO), tmp_path / "model")
    path = tmp_path / "model" / "booster.json"
    path.write_text(path.read_text().replace('"left_children"', '"left_children":[100000000],"left_children"', 1))
    reseal(tmp_path / "model")
    with pytest.raises(ModelError, match="a key stands twice"):
        load(tmp_path / "model")


# --- ONNX --------------------------------------------------------------------------------------------------------


def onnx_of(model: Any, rows: Any, **options: Any) -> Any:
    pytest.importorskip("onnxruntime")
    skl2onnx = pytest.importorskip("skl2onnx")
    return skl2onnx.to_onnx(model, rows[:1].astype(np.float32), **options)


@pytest.mark.parametrize("zipmap", [True, False])
def test_an_onnx_classifier_gives_labels_and_probabilities(zipmap: bool, tmp_path: Path) -> None:
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression().fit(X, NAMES)
    save(onnx_of(model, X, options={"zipmap": zipmap}), tmp_path / "model")
    loaded = load(tmp_path / "model")
    assert loaded.manifest["input"] == {"kind": "array", "shape": [None, 4], "dtype": "float32"}
    assert loaded.predict(X).tolist() == model.predict(X).tolist()
    np.testing.assert_allclose(loaded.predict_proba(X), model.predict_proba(X), atol=1e-5)
    assert loaded.predict(X[:3].tolist()).tolist() == model.predict(X[:3]).tolist()
    save(loaded.unwrap(), tmp_path / "again")
    assert in_another_process(tmp_path / "again", X[:5]) == model.predict(X[:5]).tolist()


def test_an_onnx_graph_with_an_input_a_column_takes_a_frame(tmp_path: Path) -> None:
    pd = pytest.importorskip("pandas")
    skl2onnx = pytest.importorskip("skl2onnx")
    pytest.importorskip("onnxruntime")
    from skl2onnx.common.data_types import FloatTensorType, StringTensorType
    from sklearn.compose import make_column_transformer
    from sklearn.linear_model import LinearRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    frame = pd.DataFrame({"age": [1.0, 2.0, 5.0, 9.0], "kind": ["a", "b", "a", "c"]})
    model = make_pipeline(
        make_column_transformer((OneHotEncoder(), ["kind"]), ("passthrough", ["age"])), LinearRegression()
    )
    model.fit(frame, [1.0, 2.0, 3.0, 4.0])
    types = [("age", FloatTensorType([None, 1])), ("kind", StringTensorType([None, 1]))]
    save(skl2onnx.to_onnx(model, initial_types=types), tmp_path / "model", input_example=frame)
    np.testing.assert_allclose(
        load(tmp_path / "model").predict(frame[["kind", "age"]]).ravel(), model.predict(frame), rtol=1e-4
    )
    with pytest.raises(ModelError, match="gives no probabilities, only variable"):
        load(tmp_path / "model").predict_proba(frame)


def test_a_graph_that_reads_another_file_is_refused(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    from sklearn.linear_model import LinearRegression

    proto = onnx_of(LinearRegression().fit(X, X[:, 0]), X)
    save(proto, tmp_path / "model")
    tensor = onnx.TensorProto(name="weights", dims=[4], data_type=1, data_location=onnx.TensorProto.EXTERNAL)
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "../../../../etc/passwd"
    hidden = onnx.helper.make_node("Constant", [], ["c"], value=tensor)
    proto.graph.node.append(hidden)
    with pytest.raises(ModelError, match="'weights' in another file"):
        save(proto, tmp_path / "second")
    (tmp_path / "model" / "model.onnx").write_bytes(proto.SerializeToString())
    reseal(tmp_path / "model")
    with pytest.raises(ModelError, match="'weights' in another file"):
        load(tmp_path / "model")
    (tmp_path / "model" / "model.onnx").write_bytes(b"\xff" * 100)
    reseal(tmp_path / "model")
    with pytest.raises(ModelError, match="not an ONNX model"):
        load(tmp_path / "model")


# --- what is missing, what differs -------------------------------------------------------------------------------


@pytest.mark.parametrize("within", [False, True])
def test_a_package_that_is_missing_is_named_with_its_version_and_how_to_install_it(
    tmp_path: Path, within: bool
) -> None:
    pytest.importorskip("lightgbm")
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = lightgbm_models()[0][1]
    save(
        make_pipeline(StandardScaler().fit(np.zeros((2, model.n_features_in_))), model) if within else model,
        tmp_path / "model",
    )
    kind = "sklearn.pipeline.Pipeline" if within else "lightgbm.sklearn.LGBMClassifier"
    code = (
        "import sys, importlib.metadata as m; real = m.version; sys.modules['lightgbm'] = None\n"
        "def version(name):\n    if name == 'lightgbm': raise m.PackageNotFoundError(name)\n    return real(name)\n"
        "m.version = version\nfrom trackers.models import load; load(sys.argv[1])"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "model")], capture_output=True, text=True)
    assert f"Loading a {kind} needs lightgbm: pip install lightgbm==" in done.stderr


def test_another_version_is_a_note_and_no_error(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    from sklearn.linear_model import LogisticRegression

    save(LogisticRegression().fit(X, TWO), tmp_path / "model")
    libraries = json.loads((tmp_path / "model" / "model.json").read_text())["libraries"]
    edit_manifest(tmp_path / "model", libraries=libraries | {"numpy": "1.0", "nosuch": "3.2"}, python="3.1.4")
    loaded = load(tmp_path / "model")
    assert loaded.notes[0].startswith("numpy is ")
    assert loaded.notes[0].endswith("here and was 1.0 when the model was saved.")
    assert loaded.notes[1] == "nosuch 3.2 was there when the model was saved and is not installed here."
    assert "was 3.1 when the model was saved" in loaded.notes[2]
    assert list(loaded.notes) == [record.message for record in caplog.records]


def test_an_unknown_kind_of_a_known_flavour_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("lightgbm")
    save(lightgbm_models()[0][1], tmp_path / "model")
    details = json.loads((tmp_path / "model" / "model.json").read_text())["details"]
    edit_manifest(tmp_path / "model", details=details | {"kind": "_safe_call"})
    with pytest.raises(ModelError, match="'_safe_call' is none of LightGBM's models"):
        load(tmp_path / "model")


def test_a_manifest_describes_a_model_before_its_files_are_there() -> None:
    assert describe_model(flavor="onnx", kind="x.Y", details={})["format"] == 1
