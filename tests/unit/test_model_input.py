"""The one front of every model: what may be given to predict, and what a signature says."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trackers.errors import InvalidValueError, ModelError
from trackers.models import Signature, load, save
from trackers.models.conform import conform
from trackers.models.schema import check_schema, in_words

pytest.importorskip("skops")
pd = pytest.importorskip("pandas")

from sklearn.linear_model import LinearRegression, LogisticRegression  # noqa: E402 - it is there once skops is

FRAME = pd.DataFrame(
    {
        "n": np.array([1, 2, 3], dtype="int64"),
        "x": [0.5, 1.5, np.nan],
        "ok": [True, False, True],
        "kind": ["a", "b", None],
        "level": pd.Categorical(["low", "high", "low"], categories=["low", "high"], ordered=True),
        "when": pd.to_datetime(["2026-01-01", "2026-01-02", "2026-01-03"]),
    }
)
SCHEMA = Signature.infer(FRAME).input


def test_a_signature_has_names_dtypes_what_may_be_missing_and_categories() -> None:
    assert SCHEMA is not None
    assert SCHEMA["kind"] == "frame"
    by_name = {column["name"]: column for column in SCHEMA["columns"]}
    assert by_name["n"] == {"name": "n", "dtype": "int64", "nullable": False}
    assert by_name["x"] == {"name": "x", "dtype": "float64", "nullable": True}
    assert by_name["ok"]["nullable"] is False
    assert by_name["level"]["categories"] == ["low", "high"]
    assert by_name["level"]["ordered"] is True
    assert by_name["when"]["dtype"].startswith("datetime64")
    assert Signature.infer([{"a": 1}], [0.5]) == Signature(
        {"kind": "frame", "columns": [{"name": "a", "dtype": "int64", "nullable": False}]},
        {"kind": "array", "shape": [None], "dtype": "float64"},
    )
    assert str(Signature.infer(np.zeros((2, 4), "float32"), np.zeros(2))) == "(rows, 4) float32 -> (rows) float64"
    assert str(Signature()) == "unknown -> unknown"
    assert in_words(Signature.infer({"a": np.zeros((2, 3))}).input) == "a: (rows, 3) float64"


def test_whatever_holds_the_same_rows_becomes_the_same_frame() -> None:
    expected = conform(FRAME, SCHEMA)
    assert expected is FRAME or expected.equals(FRAME)
    shuffled = FRAME[["when", "level", "kind", "ok", "x", "n"]].assign(more=1)
    records = [{**row, "level": str(row["level"])} for row in FRAME.to_dict("records")]
    as_text = FRAME.assign(when=FRAME["when"].dt.strftime("%Y-%m-%d"), level=FRAME["level"].astype(str))
    given = [shuffled, records, as_text, FRAME.assign(n=[1.0, 2.0, 3.0]), FRAME.assign(n=FRAME["n"].astype("int8"))]
    if arrow := pytest.importorskip("pyarrow") if _has("pyarrow") else None:
        given.append(arrow.Table.from_pandas(FRAME))
    for rows in given:
        pd.testing.assert_frame_equal(conform(rows, SCHEMA), FRAME, check_dtype=False)
        assert conform(rows, SCHEMA)["n"].dtype == "int64"
        assert list(conform(rows, SCHEMA)["level"].cat.categories) == ["low", "high"]
    pd.testing.assert_frame_equal(conform(FRAME.convert_dtypes(), SCHEMA), FRAME, check_dtype=False)


def _has(name: str) -> bool:
    import importlib.util

    return importlib.util.find_spec(name) is not None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n": [1.5, 2.0, 3.0]}, "column n holds fractions, where the model takes whole numbers"),
        ({"n": [1.0, np.nan, 3.0]}, "column n has missing values, which the model does not take"),
        ({"n": ["1", "2", "3"]}, "column n holds .*, where the model takes (numbers|int64)"),
        ({"n": np.array([2**63, 1, 2], dtype="uint64")}, "column n holds numbers outside of"),
        ({"x": ["a", "b", "c"]}, "column x holds .*, where the model takes (numbers|float64)"),
        ({"x": pd.to_datetime(["2026-01-01"] * 3)}, "column x holds .*datetime64.*, where the model takes"),
        ({"ok": [0, 1, 2]}, "column ok holds numbers outside of 0 to 1"),
        ({"kind": [1, 2, 3]}, "column kind holds integer values, where the model takes text"),
        ({"level": ["low", "medium", "low"]}, "column level holds medium, .* its categories are low, high"),
        ({"when": ["a", "b", "c"]}, "column when holds what is no time"),
        ({"when": [1, 2, 3]}, "column when holds int64, where the model takes times"),
    ],
)
def test_what_does_not_fit_is_named_with_its_column(change: Any, message: str) -> None:
    with pytest.raises(InvalidValueError, match=message):
        conform(FRAME.assign(**change), SCHEMA)


def test_missing_double_and_too_few_columns_are_named() -> None:
    with pytest.raises(InvalidValueError, match="lacks the columns n, ok "):
        conform(FRAME.drop(columns=["n", "ok"]), SCHEMA)
    with pytest.raises(InvalidValueError, match="has the columns x more than once"):
        conform(pd.concat([FRAME, FRAME[["x"]]], axis=1), SCHEMA)
    with pytest.raises(InvalidValueError, match=r"takes 6 columns \(n, x, ok, kind, level and 1 more\), not 2"):
        conform([[1, 2]], SCHEMA)


ARRAY = {"kind": "array", "shape": [None, 2], "dtype": "float32"}


def test_arrays_are_cast_where_nothing_is_lost() -> None:
    for rows in ([[1, 2]], np.array([[1, 2]], "uint8"), [[1.0, 2.0]], np.array([[1, 2.0]], object), [{"a": 1, "b": 2}]):
        made = conform(rows, ARRAY)
        assert made.dtype == "float32"
        assert made.tolist() == [[1.0, 2.0]]
    assert conform(np.array([[1, None]], object), ARRAY).dtype == "float32"
    whole = {"kind": "array", "shape": [None], "dtype": "int32"}
    assert conform([1.0, 2.0], whole).dtype == "int32"
    images = {"kind": "array", "shape": [None, None, 3], "dtype": "uint8"}
    assert conform(np.zeros((2, 7, 3), int), images).dtype == "uint8"
    sparse = pytest.importorskip("scipy.sparse").csr_matrix([[1, 0]])
    assert conform(sparse, ARRAY).dtype == "float32"


@pytest.mark.parametrize(
    ("rows", "dtype", "message"),
    [
        ([["a", "b"]], "float32", "The input holds text, where the model takes numbers"),
        (np.array([["1", 2]], object), "float32", "The input holds '1', where the model takes numbers"),
        ([[1e300, 0.0]], "float32", "too large for float32"),
        ([[1.5, 0.0]], "int64", "holds fractions"),
        ([[np.nan, 0.0]], "int64", "has missing values, which int64 cannot hold"),
        ([[300, 0]], "uint8", "outside of 0 to 255"),
        ([[1j, 0]], "float64", "complex128, where the model takes numbers"),
        ([[1, 2], [3]], "float64", "rows of different lengths"),
        ([[1, 2, 3]], "float64", r"takes an array of shape \(rows, 2\), not \(1, 3\)"),
        ([1, 2], "float64", r"for one row use X\.reshape"),
    ],
)
def test_arrays_that_do_not_fit_are_refused_with_what_is_wrong(rows: Any, dtype: str, message: str) -> None:
    with pytest.raises(InvalidValueError, match=message):
        conform(rows, {**ARRAY, "dtype": dtype})


def test_arrays_by_name_are_checked_each() -> None:
    schema = Signature.infer({"a": np.zeros((2, 3)), "b": np.zeros(2, "int64")}).input
    made = conform({"b": [1.0, 2.0], "a": np.ones((2, 3), "float32"), "c": 1}, schema)
    assert (made["a"].dtype, made["b"].dtype, list(made)) == ("float64", "int64", ["a", "b"])
    with pytest.raises(InvalidValueError, match="lacks b: the model takes arrays named a, b"):
        conform({"a": np.zeros((2, 3))}, schema)
    with pytest.raises(InvalidValueError, match="arrays by name"):
        conform(np.zeros((2, 3)), schema)
    with pytest.raises(InvalidValueError, match=r"\(rows, 3\), not \(2, 4\)"):
        conform({"a": np.zeros((2, 4)), "b": [1, 2]}, schema)


def test_an_explicit_signature_wins_over_the_example(tmp_path: Path) -> None:
    model = LinearRegression().fit(np.zeros((3, 2)), [1, 2, 3])
    given = {"input": {"kind": "array", "shape": [None, 2], "dtype": "float32"}, "output": None}
    manifest = save(model, tmp_path / "model", signature=given, input_example=[[1, 2]])
    assert manifest["input"]["dtype"] == "float32"
    assert manifest["output"] == {"kind": "array", "shape": [None], "dtype": "float64"}
    assert load(tmp_path / "model").signature.input == given["input"]
    strict = Signature({"kind": "frame", "columns": [{"name": "x", "dtype": "float64", "nullable": False}]})
    with pytest.raises(InvalidValueError, match="column x has missing values"):
        conform(pd.DataFrame({"x": [None, 1.0]}), strict.input)
    with pytest.raises(InvalidValueError, match="signature must be"):
        save(model, tmp_path / "other", signature="float64")  # type: ignore[arg-type]
    assert not (tmp_path / "other" / "model.skops").exists()


@pytest.mark.parametrize(
    "schema",
    [
        {},
        {"kind": "array"},
        {"kind": "array", "shape": [5, 2], "dtype": "float64"},
        {"kind": "array", "shape": [None, -2], "dtype": None},
        {"kind": "frame", "columns": ["a"]},
        {"kind": "frame", "columns": [{"name": 3}]},
        {"kind": "tensors", "tensors": [{"shape": [None], "dtype": "f4"}]},
        "array",
    ],
)
def test_a_schema_of_another_form_is_refused(schema: Any) -> None:
    with pytest.raises(InvalidValueError, match="is no schema"):
        check_schema(schema)


def test_probabilities_come_by_the_same_front(tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": [0.0, 1.0, 2.0], "b": [1.0, 0.0, 1.0]})
    model = LogisticRegression().fit(frame, [0, 1, 1])
    save(model, tmp_path / "model", input_example=frame)
    loaded = load(tmp_path / "model")
    np.testing.assert_array_equal(
        loaded.predict_proba(frame[["b", "a"]].to_dict("records")), model.predict_proba(frame)
    )
    save(LinearRegression().fit(frame, [0, 1, 1]), tmp_path / "linear")
    with pytest.raises(Exception, match="LinearRegression gives no probabilities: use predict"):
        load(tmp_path / "linear").predict_proba(frame)


TEXTS = ["good film", "bad film", "good", "bad", "so bad", "so good"]


@pytest.mark.parametrize(
    "example", [TEXTS, np.array(TEXTS, dtype=object), pd.Series(TEXTS)], ids=["list", "array", "series"]
)
def test_a_model_of_texts_takes_a_table_of_one_column(example: Any, tmp_path: Path) -> None:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import make_pipeline

    model = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(TEXTS, [1, 0] * 3)
    save(model, tmp_path / "model", input_example=example)
    loaded = load(tmp_path / "model")
    wanted = model.predict(TEXTS).tolist()
    for rows in (TEXTS, np.array(TEXTS, dtype=object), pd.DataFrame({"text": TEXTS})):
        assert loaded.predict(rows).tolist() == wanted
    with pytest.raises(InvalidValueError, match="2"):
        loaded.predict(pd.DataFrame({"text": TEXTS, "more": TEXTS}))


@pytest.mark.parametrize("library", ["lightgbm", "xgboost"])
def test_categories_are_those_of_the_model_and_not_of_its_example(library: str, tmp_path: Path) -> None:
    module = pytest.importorskip(library)
    frame = pd.DataFrame({"n": np.arange(40.0), "c": pd.Categorical(list("abcd") * 10)})
    target = frame["c"].isin(["b", "d"]).astype(int)
    model = (
        module.LGBMClassifier(n_estimators=5, min_child_samples=1, verbose=-1)
        if library == "lightgbm"
        else module.XGBClassifier(n_estimators=5, enable_categorical=True)
    ).fit(frame, target)
    few = frame.head(2).assign(c=frame["c"].head(2).cat.remove_unused_categories())
    save(model, tmp_path / "model", input_example=few)
    loaded = load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.predict(frame), model.predict(frame))
    np.testing.assert_array_equal(loaded.predict(frame.assign(c=frame["c"].astype(str))), model.predict(frame))
    with pytest.raises(InvalidValueError, match="its categories are a, b, c, d"):
        loaded.predict(frame.assign(c="e"))


def test_a_column_with_a_space_is_found_under_the_name_that_lightgbm_gives_it(tmp_path: Path) -> None:
    lgb = pytest.importorskip("lightgbm")
    frame = pd.DataFrame({"annual income": np.arange(40.0), "b": np.arange(40.0)[::-1]})
    model = lgb.LGBMRegressor(n_estimators=3, min_child_samples=1, verbose=-1).fit(frame, frame["b"])
    save(model, tmp_path / "model")
    np.testing.assert_array_equal(load(tmp_path / "model").predict(frame), model.predict(frame))


def test_a_helper_that_does_not_travel_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "own_helper.py").write_text("FACTOR = 3\n")
    (tmp_path / "own_lines.py").write_text(
        "import json\nimport numpy\nimport own_helper\n\n"
        "class Line:\n"
        "    def save(self, folder): open(f'{folder}/x', 'w').close()\n"
        "    @classmethod\n    def load(cls, folder): return cls()\n"
        "    def predict(self, rows): return [own_helper.FACTOR * row for row in rows]\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    import own_lines

    save(own_lines.Line(), tmp_path / "model")
    (told,) = [record.getMessage() for record in caplog.records if "does not travel" in record.getMessage()]
    assert "imports own_helper" in told
    caplog.clear()
    save(own_lines.Line(), tmp_path / "whole", code=[tmp_path / "own_helper.py"])
    assert "does not travel" not in caplog.text


def test_what_a_mask_hides_is_missing_and_not_what_lies_under_it() -> None:
    schema = {"kind": "array", "shape": [None, 2], "dtype": "float64"}
    rows = np.ma.array([[1, 2], [3, 99]], mask=[[False, False], [False, True]])
    np.testing.assert_array_equal(conform(rows, schema), [[1.0, 2.0], [3.0, np.nan]])
    np.testing.assert_array_equal(conform(np.ma.array([[1, 2]]), schema), [[1.0, 2.0]])
    with pytest.raises(InvalidValueError, match="hides values of bool by a mask"):
        conform(np.ma.array([[True, False]], mask=[[True, False]]), {**schema, "dtype": "bool"})


AB = pd.DataFrame({"a": [0.0, 1.0, 2.0, 3.0], "b": [1.0, 0.0, 1.0, 0.0]})
Y = [0, 0, 1, 1]


def _some(columns: str, *, remainder: str = "drop") -> Any:
    from sklearn.compose import ColumnTransformer
    from sklearn.preprocessing import StandardScaler

    return ColumnTransformer([("scaled", StandardScaler(), list(columns))], remainder=remainder)


def _boosted(name: str, kind: str) -> Any:
    library = pytest.importorskip(name)
    few = {"n_estimators": 1, "n_jobs": 1}
    if name == "lightgbm":
        unchecked = {"predict_disable_shape_check": True} if kind == "unchecked" else {}
        return library.LGBMClassifier(min_child_samples=1, verbose=-1, **few, **unchecked).fit(AB, Y)
    if kind == "booster":
        return library.train({"nthread": 1}, library.DMatrix(AB.to_numpy(), Y), 1)
    rows = AB if kind == "" else AB.to_numpy()
    return library.XGBClassifier(**few, booster="gblinear" if kind == "linear" else "gbtree").fit(rows, Y)


def _fitted(kind: str) -> Any:
    from sklearn.dummy import DummyClassifier
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.model_selection import GridSearchCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer, StandardScaler

    plain = LogisticRegression()
    if kind.startswith(("lightgbm", "xgboost")):
        return _boosted(*kind.partition(" ")[::2])
    made = {
        "plain": plain,
        "pipeline": make_pipeline(StandardScaler(), plain),
        "some": make_pipeline(_some("a"), plain),
        "all": make_pipeline(_some("a", remainder="passthrough"), plain),
        "search": GridSearchCV(make_pipeline(_some("a"), plain), {}, cv=2),
        "anything": make_pipeline(FunctionTransformer(np.asarray), plain),
        "dummy": DummyClassifier(),
        "categories": HistGradientBoostingClassifier(max_iter=1, categorical_features=["b"]),
    }
    return plain.fit(AB.to_numpy(), Y) if kind == "array" else made[kind].fit(AB, Y)


def _predict(model: Any, rows: Any) -> None:
    if type(model).__name__ == "Booster":
        import xgboost

        rows = xgboost.DMatrix(rows)
    model.predict(rows)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("kind", "columns", "says"),
    [
        ("plain", "ab", None),
        ("plain", "z", "which takes the columns a, b, not z: give Signature.infer"),
        ("plain", "ba", "which takes the columns a, b in that order, not b, a"),
        ("plain", 2, None),
        ("plain", 3, "which takes 2 columns, not 3"),
        ("array", "xy", None),
        ("array", "x", "which takes 2 columns, not 1"),
        ("pipeline", "abc", "which takes the columns a, b, not a, b, c"),
        ("some", "a", None),
        ("some", "cba", None),
        ("some", "bz", "which needs the columns a as well"),
        ("all", "ab", None),
        ("search", "ca", None),
        ("search", "z", "which was fitted to the columns a, b, and none of z is one of them"),
        ("anything", "yz", None),
        ("dummy", "z", None),
        ("categories", "cba", None),
        ("categories", "ac", "which needs the columns b as well"),
        ("categories", 3, "which takes 2 columns, not 3"),
        ("lightgbm", "yz", None),
        ("lightgbm", "z", "which takes 2 columns, not 1"),
        ("lightgbm unchecked", "xyz", None),
        ("lightgbm unchecked", 3, "which takes 2 columns, not 3"),
        ("xgboost", "ab", None),
        ("xgboost", "yz", "which takes the columns a, b, not y, z"),
        ("xgboost", 3, "which takes 2 columns, not 3"),
        ("xgboost booster", 1, None),
        ("xgboost booster", "x", None),
        ("xgboost booster", 3, "which takes at most 2 columns, not 3"),
        ("xgboost linear", 1, None),
        ("xgboost array", 1, "which takes 2 columns, not 1"),
    ],
)
def test_a_signature_on_which_the_model_must_fail_is_refused(
    tmp_path: Path, kind: str, columns: str | int, says: str | None
) -> None:
    rows = np.zeros((2, columns)) if isinstance(columns, int) else pd.DataFrame({name: [0.0, 1.0] for name in columns})
    model = _fitted(kind)
    if says is None:
        _predict(model, rows)
        save(model, tmp_path / "model", signature=Signature.infer(rows))
        return
    with pytest.raises(Exception):  # noqa: B017 - whatever its library raises
        _predict(model, rows)
    with pytest.raises(ModelError, match=f"not that of the {type(model).__name__}, {says}"):
        save(model, tmp_path / "model", signature=Signature.infer(rows))
    assert list((tmp_path / "model").iterdir()) == []
