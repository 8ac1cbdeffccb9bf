"""What a Keras model takes: sizes that may be any, an input for each column, rows that do not match."""

import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from trackers.cli.predict import predict
from trackers.errors import InvalidValueError
from trackers.models import load, save

pytest.importorskip("torch", reason="PyTorch is not installed: pip install 'hpo[torch]'")
if "keras" not in sys.modules:
    os.environ.setdefault("KERAS_BACKEND", "torch")
keras = pytest.importorskip("keras", reason="Keras is not installed: pip install keras")
pd = pytest.importorskip("pandas")

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Keras' own, of NumPy and PyTorch

COLUMNS = {"age": [20, 30, 40], "income": [1.0, 2.5, 2.0]}


def columns_model(outputs: int = 1) -> Any:
    """Have an input for each column."""
    age, income = keras.Input((1,), name="age"), keras.Input((1,), name="income")
    both = keras.layers.Concatenate()([age, income * 10])
    return keras.Model([age, income], [keras.layers.Dense(n + 1)(both) for n in range(outputs)])


def test_sizes_that_may_be_any_are_not_bound_by_the_example(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input([None, 3]), keras.layers.GlobalAveragePooling1D(), keras.layers.Dense(2)])
    manifest = save(model, tmp_path / "model", input_example=np.zeros((4, 7, 3)))
    assert manifest["input"] == {"kind": "array", "shape": [None, None, 3], "dtype": "float64"}
    assert load(tmp_path / "model").predict(np.zeros((2, 5, 3))).shape == (2, 2)
    with pytest.raises(InvalidValueError, match=r"of shape \(rows, any, 3\), not \(2, 5, 4\)"):
        load(tmp_path / "model").predict(np.zeros((2, 5, 4)))


def test_an_example_of_whole_numbers_does_not_bind_a_model_of_floats(tmp_path: Path) -> None:
    one = keras.Input((4,), name="x")
    manifest = save(keras.Model(one, keras.layers.Dense(1)(one)), tmp_path / "model", input_example=[[1, 2, 3, 4]])
    assert manifest["input"]["dtype"] == "float32"
    loaded = load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.predict({"x": [[1.5, 2, 3, 4]]}), loaded.predict([[1.5, 2, 3, 4]]))
    with pytest.raises(InvalidValueError, match=r"takes one array, not several by name \(x, y\)"):
        loaded.predict({"x": [[1]], "y": [[1]]})
    ids = keras.Sequential([keras.Input((None,), dtype="int32"), keras.layers.Embedding(10, 3)])
    assert save(ids, tmp_path / "ids", input_example=[[1, 2]])["input"]["dtype"] == "int64"


@pytest.mark.parametrize("example", ["none", "frame", "arrays", "flat"])
def test_inputs_of_a_column_each_take_whatever_holds_columns(example: str, tmp_path: Path) -> None:
    flat = {name: np.array(values) for name, values in COLUMNS.items()}
    wide = {name: values.reshape(-1, 1) for name, values in flat.items()}
    frame = pd.DataFrame(COLUMNS)
    model = columns_model()
    shown = {"none": None, "frame": frame, "arrays": wide, "flat": flat}[example]
    manifest = save(model, tmp_path / "model", input_example=shown)
    assert "error" not in (manifest["output"] or {})
    loaded, expected = load(tmp_path / "model"), model.predict(wide, verbose=0)
    given = [frame, frame[["income", "age"]], frame.to_dict("records"), COLUMNS, flat, frame.convert_dtypes()]
    for rows in given if example == "frame" else [*given, wide]:
        np.testing.assert_allclose(loaded.predict(rows), expected, rtol=1e-6)
    (tmp_path / "in.csv").write_text("income,age\n1.0,20\n2.5,30\n2.0,40\n")
    done = CliRunner().invoke(predict, [f"{tmp_path}/model", f"{tmp_path}/in.csv", "--json"])
    np.testing.assert_allclose([r["prediction"] for r in json.loads(done.output)], expected[:, 0], rtol=1e-5)


def test_rows_that_do_not_match_and_no_rows_are_told_in_a_sentence(tmp_path: Path) -> None:
    save(columns_model(), tmp_path / "model")
    loaded = load(tmp_path / "model")
    with pytest.raises(InvalidValueError, match="different numbers of rows: age 3, income 1"):
        loaded.predict({"age": [1, 2, 3], "income": [1]})
    for rows in ({"age": [], "income": []}, pd.DataFrame(COLUMNS)[:0]):
        with pytest.raises(InvalidValueError, match="The input has no rows"):
            loaded.predict(rows)
    with pytest.raises(InvalidValueError, match="lacks income: the model takes arrays named age, income"):
        loaded.predict([{"age": 1, "income": 2}, {"age": 1}])
    (tmp_path / "in.csv").write_text("income,age\n")
    done = CliRunner().invoke(predict, [f"{tmp_path}/model", f"{tmp_path}/in.csv"])
    assert "no row" in str(done.exception)
    save(keras.Sequential([keras.Input([4]), keras.layers.Dense(1)]), tmp_path / "one")
    with pytest.raises(InvalidValueError, match="The input has no rows"):
        load(tmp_path / "one").predict(np.zeros((0, 4)))


def test_several_outputs_are_columns_in_files(tmp_path: Path) -> None:
    model = columns_model(outputs=2)
    manifest = save(model, tmp_path / "model", input_example=pd.DataFrame(COLUMNS))
    assert [(t["name"], t["shape"]) for t in manifest["output"]["tensors"]] == [
        ("output_0", [None, 1]),
        ("output_1", [None, 2]),
    ]
    first, second = load(tmp_path / "model").predict(COLUMNS)
    (tmp_path / "in.csv").write_text("income,age\n1.0,20\n2.5,30\n2.0,40\n")
    runner, call = CliRunner(), [f"{tmp_path}/model", f"{tmp_path}/in.csv"]
    records = json.loads(runner.invoke(predict, [*call, "--json"]).output)
    np.testing.assert_allclose([r["output_0"] for r in records], first[:, 0], rtol=1e-5)
    np.testing.assert_allclose([r["output_1"] for r in records], second, rtol=1e-5)
    assert runner.invoke(predict, call).output.startswith("output_0,output_1\n")
    done = runner.invoke(predict, [*call, "-o", f"{tmp_path}/out.jsonl"])
    assert "3 rows written" in done.output
    assert len((tmp_path / "out.jsonl").read_text().splitlines()) == 3
    assert "npy holds one array" in str(runner.invoke(predict, [*call, "-o", f"{tmp_path}/out.npy"]).exception)
