"""A model folder is one of MLflow's, and MLflow's folders load: with the real package, where it is installed."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import trackers
from tests.unit.test_model_flavours import Threshold
from tests.unit.test_model_formats import TWO, X, frame_of, lightgbm_models, onnx_of, predicted, xgboost_models
from trackers.errors import ArtifactError, InvalidValueError, ModelError, UntrustedError
from trackers.models import load, load_model, save
from trackers.models.mlmodel import read_mlmodel

pytest.importorskip("skops")
from sklearn.linear_model import LogisticRegression


@pytest.fixture(scope="module")
def mlflow() -> Any:
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    return pytest.importorskip("mlflow", reason="MLflow is not installed: pip install 'hpo[mlflow]'")


pytestmark = [pytest.mark.filterwarnings("ignore")]  # MLflow's own, and those of what it imports


def folders(tmp_path: Path) -> dict[str, tuple[Any, Any]]:
    onnx = onnx_of(LogisticRegression().fit(X, TWO), X)
    return {
        "sklearn": (LogisticRegression().fit(X, TWO), X),
        **{f"lightgbm-{name}": (model, rows) for name, model, rows in lightgbm_models()[:4] + lightgbm_models()[7:8]},
        **{f"xgboost-{name}": (model, rows) for name, model, rows in xgboost_models()[:3] + xgboost_models()[6:7]},
        "onnx": (onnx, X.astype(np.float32)),
    }


def test_mlflow_predicts_the_same_from_our_folders(mlflow: Any, tmp_path: Path) -> None:
    for name, (model, rows) in folders(tmp_path).items():
        save(model, tmp_path / name, input_example=rows[:20])
        ours = load(tmp_path / name).predict(rows)
        theirs = mlflow.pyfunc.load_model(str(tmp_path / name)).predict(rows)
        np.testing.assert_array_equal(np.asarray(theirs), ours, err_msg=name)


def test_networks_predict_the_same_by_mlflow_and_keras_goes_both_ways(mlflow: Any, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install 'hpo[torch]'")
    os.environ.setdefault("KERAS_BACKEND", "torch")
    keras = pytest.importorskip("keras", reason="Keras is not installed: pip install 'hpo[keras]'")
    import mlflow.keras

    rows = X.astype("float32")
    layer = torch.nn.Linear(4, 2)
    sizes = {"in_features": 4, "out_features": 2}
    save(layer, tmp_path / "torch", factory="torch.nn:Linear", factory_kwargs=sizes, input_example=rows)
    network = keras.Sequential([keras.Input([4]), keras.layers.Dense(2)])
    save(network, tmp_path / "keras", input_example=rows)
    for name in ("torch", "keras"):
        theirs = mlflow.pyfunc.load_model(str(tmp_path / name)).predict(rows)
        np.testing.assert_array_equal(np.asarray(theirs), load(tmp_path / name).predict(rows), err_msg=name)
    native = mlflow.keras.load_model(str(tmp_path / "keras"))
    np.testing.assert_array_equal(native.predict(rows, verbose=0), network.predict(rows, verbose=0))
    mlflow.keras.save_model(network, str(tmp_path / "theirs"))
    np.testing.assert_array_equal(load(tmp_path / "theirs").predict(rows), network.predict(rows, verbose=0))


def test_mlflow_enforces_the_signature_that_was_inferred(mlflow: Any, tmp_path: Path) -> None:
    frame = frame_of(X)[["a", "b"]].assign(n=np.arange(200))
    save(LogisticRegression().fit(frame, TWO), tmp_path / "model", input_example=frame)
    model = mlflow.pyfunc.load_model(str(tmp_path / "model"))
    assert model.metadata.get_input_schema().to_dict() == [
        {"name": "a", "type": "double", "required": True},
        {"name": "b", "type": "double", "required": True},
        {"name": "n", "type": "long", "required": True},
    ]
    assert model.input_example is not None
    with pytest.raises(mlflow.exceptions.MlflowException, match="missing inputs"):
        model.predict(frame[["a", "b"]])


def test_mlflows_own_flavours_read_the_files_too(mlflow: Any, tmp_path: Path) -> None:
    import mlflow.lightgbm
    import mlflow.onnx
    import mlflow.sklearn
    import mlflow.xgboost

    models = folders(tmp_path)
    for name, reader in (
        ("sklearn", mlflow.sklearn),
        ("xgboost-binary", mlflow.xgboost),
        ("lightgbm-booster", mlflow.lightgbm),
    ):
        model, rows = models[name]
        save(model, tmp_path / name)
        np.testing.assert_array_equal(predicted(reader.load_model(str(tmp_path / name)), rows), predicted(model, rows))
    save(models["onnx"][0], tmp_path / "onnx")
    assert mlflow.onnx.load_model(str(tmp_path / "onnx")) == models["onnx"][0]


def test_a_class_with_code_needs_the_word_of_the_process_that_loads(
    mlflow: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(Threshold(0.5), tmp_path / "model", input_example=X)
    with pytest.raises(UntrustedError):
        mlflow.pyfunc.load_model(str(tmp_path / "model"))
    with pytest.raises(UntrustedError):
        mlflow.pyfunc.load_model(str(tmp_path / "model"), model_config={"trust": True})
    monkeypatch.setenv("TRACKERS_TRUST", "1")
    model = mlflow.pyfunc.load_model(str(tmp_path / "model"))
    np.testing.assert_array_equal(model.predict(X), X[:, 0] > 0.5)


def test_a_folder_that_mlflow_logged_and_registered_is_ours_again(mlflow: Any, tmp_path: Path) -> None:
    model = LogisticRegression().fit(X, TWO)
    save(model, tmp_path / "model", input_example=X)
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/mlflow.db")
    mlflow.set_experiment(experiment_id=mlflow.create_experiment("x", artifact_location=str(tmp_path / "files")))
    with mlflow.start_run() as run:
        mlflow.log_artifacts(str(tmp_path / "model"), "model")
    version = mlflow.register_model(f"runs:/{run.info.run_id}/model", "fraud")
    found = mlflow.pyfunc.load_model(f"models:/fraud/{version.version}")
    np.testing.assert_array_equal(found.predict(X), model.predict(X))
    mlflow.set_tracking_uri(None)


# --- the other direction -----------------------------------------------------------------------------------------


def test_folders_that_mlflow_wrote_load_without_unpickling_where_their_format_allows(
    mlflow: Any, tmp_path: Path
) -> None:
    import lightgbm
    import mlflow.lightgbm
    import mlflow.onnx
    import mlflow.sklearn
    import mlflow.xgboost
    import xgboost

    booster = lightgbm.train({"objective": "binary", "verbose": -1}, lightgbm.Dataset(X, TWO), 3)
    forest = xgboost.XGBClassifier(n_estimators=3).fit(X, TWO)
    plain = LogisticRegression().fit(X, TWO)
    proto = onnx_of(plain, X)
    signature = mlflow.models.infer_signature(X, TWO)
    given: Any = {"pip_requirements": []}  # MLflow would find them by loading each model in a new process
    mlflow.lightgbm.save_model(booster, str(tmp_path / "lightgbm"), signature=signature, **given)
    mlflow.xgboost.save_model(forest, str(tmp_path / "xgboost"), signature=signature, **given)
    mlflow.xgboost.save_model(forest, str(tmp_path / "xgboost-json"), model_format="json", **given)
    mlflow.onnx.save_model(proto, str(tmp_path / "onnx"), **given)
    mlflow.sklearn.save_model(plain, str(tmp_path / "skops"), serialization_format="skops", **given)
    mlflow.sklearn.save_model(plain, str(tmp_path / "pickle"), serialization_format="cloudpickle", **given)
    expected = {
        "lightgbm": booster.predict(X),
        "onnx": plain.predict(X),
        "skops": plain.predict(X),
        "pickle": plain.predict(X),
    }
    for name in ("lightgbm", "xgboost", "xgboost-json", "onnx", "skops"):
        loaded = load_model(tmp_path / name)
        np.testing.assert_array_equal(loaded.predict(X), expected.get(name, forest.predict(X)), err_msg=name)
    assert load(tmp_path / "xgboost").signature.input == {"kind": "array", "shape": [None, 4], "dtype": "float64"}
    assert type(load(tmp_path / "xgboost").unwrap()) is xgboost.XGBClassifier
    with pytest.raises(UntrustedError, match=r"is a pickle, .*trust=True"):
        load(tmp_path / "pickle")
    np.testing.assert_array_equal(load(tmp_path / "pickle", trust=True).predict(X), expected["pickle"])


def test_a_folder_that_mlflow_wrote_is_logged_and_predicts_the_same_as_trusted_as_before(
    mlflow: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow.sklearn
    import mlflow.xgboost
    import xgboost

    monkeypatch.chdir(tmp_path)
    forest, plain = xgboost.XGBClassifier(n_estimators=3).fit(X, TWO), LogisticRegression().fit(X, TWO)
    signature = mlflow.models.infer_signature(X, TWO)
    mlflow.xgboost.save_model(forest, "forest", model_format="json", signature=signature, pip_requirements=[])
    mlflow.sklearn.save_model(plain, "pickle", serialization_format="cloudpickle", pip_requirements=[])
    with trackers.connect(f"sqlite:///{tmp_path}/hpo.db") as store:
        with store.start_run() as run:
            for name, given in (("forest", "./forest"), ("loaded", load("forest")), ("pickle", Path("pickle"))):
                assert run.log_model(given, name).flavor == "mlflow"
        ref = f"runs:/{run.uid}"
        for name in ("forest", "loaded"):
            loaded = store.load_model(f"{ref}/{name}")
            assert loaded.signature.input == load("forest").signature.input
            np.testing.assert_array_equal(loaded.predict(X), forest.predict(X))
        with pytest.raises(UntrustedError, match=r"is a pickle, .*trust=True"):
            store.load_model(f"{ref}/pickle")
        np.testing.assert_array_equal(store.load_model(f"{ref}/pickle", trust=True).predict(X), plain.predict(X))
        first = store.registry.register("bought", "./pickle")
        assert store.registry.register("bought", load("pickle", trust=True)).version == first.version
        assert list(store.load_model("models:/bought", trust=True).predict(X)) == list(plain.predict(X))
        folder = trackers.download_model("models:/bought", tmp_path / "back", store=store)
        assert {path.name for path in folder.iterdir()} == {path.name for path in Path("pickle").iterdir()}


def test_an_estimator_of_lightgbm_that_mlflow_saved_loads_when_its_types_are_trusted(
    mlflow: Any, tmp_path: Path
) -> None:
    import lightgbm
    import mlflow.lightgbm

    model = lightgbm.LGBMClassifier(n_estimators=3, verbose=-1).fit(X, TWO)
    mlflow.lightgbm.save_model(model, str(tmp_path / "model"), pip_requirements=[])
    with pytest.raises(UntrustedError, match=r"types that are not trusted: .*lightgbm.basic.Booster"):
        load(tmp_path / "model")
    for trust in (True, ["lightgbm.basic.Booster", "lightgbm.sklearn.LGBMClassifier"]):
        np.testing.assert_array_equal(load(tmp_path / "model", trust=trust).predict(X), model.predict(X))


def test_a_python_function_of_mlflow_loads_by_mlflow_when_it_is_trusted(mlflow: Any, tmp_path: Path) -> None:
    class Doubling(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
        def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
            return model_input * 2

    mlflow.pyfunc.save_model(str(tmp_path / "model"), python_model=Doubling(), pip_requirements=[])
    with pytest.raises(UntrustedError, match="python_function model of MLflow is unpickled"):
        load(tmp_path / "model")
    np.testing.assert_array_equal(load(tmp_path / "model", trust=True).predict(X), X * 2)


# --- without MLflow ----------------------------------------------------------------------------------------------


def test_the_folder_says_what_mlflow_needs_to_know(tmp_path: Path) -> None:
    save(LogisticRegression().fit(X, TWO), tmp_path / "model", input_example=X)
    content = read_mlmodel(tmp_path / "model")
    assert content["flavors"]["python_function"]["loader_module"] == "trackers.models.pyfunc"
    assert content["flavors"]["sklearn"]["serialization_format"] == "skops"
    assert json.loads(content["signature"]["inputs"]) == [
        {"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [-1, 4]}}
    ]
    assert "scikit-learn==" in (tmp_path / "model" / "conda.yaml").read_text()
    assert "-r requirements.txt" in (tmp_path / "model" / "python_env.yaml").read_text()


MLMODEL = "flavors:\n  lightgbm: {data: model.lgb}\n"


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("flavors:\n  lightgbm: {data: ../../model.lgb}\n", InvalidValueError, r"has the part '\.\.'"),
        ("flavors:\n  lightgbm: {data: /etc/passwd}\n", InvalidValueError, "is absolute"),
        ("flavors:\n  lightgbm: {}\n", ModelError, "does not say where"),
        (MLMODEL, ModelError, "lacks 'model.lgb'"),
        ("flavors:\n  sklearn: {pickled_model: MLmodel}\n", UntrustedError, "is a pickle"),
        ("flavors:\n  xgboost: {data: MLmodel, model_class: os.system}\n", ModelError, "'system' is none of"),
        ("flavors:\n  python_function: {loader_module: os}\n", ModelError, "mlflow|is unpickled"),
        ("flavors: [1]\n", ModelError, "names no flavours"),
        ("!!python/object/apply:os.system ['true']\n", ModelError, "cannot be read as YAML"),
        ("flavors: {a: &a {}, b: *a}\n", ModelError, "refers from one place"),
        ("flavors:\n\t-", ModelError, "cannot be read as YAML"),
    ],
)
def test_an_mlmodel_of_a_hostile_hand_is_refused(text: str, error: Any, message: str, tmp_path: Path) -> None:
    pytest.importorskip("lightgbm")
    pytest.importorskip("xgboost")
    (tmp_path / "MLmodel").write_text(text)
    with pytest.raises(error, match=message):
        load(tmp_path)


def test_a_link_in_a_folder_of_mlflows_is_refused(tmp_path: Path) -> None:
    (tmp_path / "MLmodel").write_text(MLMODEL)
    (tmp_path / "model.lgb").symlink_to("/etc/passwd")
    with pytest.raises(ArtifactError, match="is a link"):
        load(tmp_path)
