import importlib
import json
import os
import subprocess
import sys
import textwrap
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trackers.artifacts import ArtifactStore
from trackers.errors import ArtifactError, DigestError, InvalidValueError, ModelError, UntrustedError
from trackers.models import LoadedModel, load, pack, save
from trackers.models.archives import check_stored
from trackers.models.manifest import manifest_digest

pytest.importorskip("skops")

from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import make_column_transformer
from sklearn.datasets import make_classification
from sklearn.ensemble import (
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    IsolationForest,
    RandomForestClassifier,
    StackingClassifier,
)
from sklearn.gaussian_process import GaussianProcessClassifier
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

X, y = make_classification(120, 6, n_informative=4, random_state=0)

PLAIN = [
    LogisticRegression(),
    make_pipeline(StandardScaler(), SVC()),
    DecisionTreeClassifier(random_state=0),
    RandomForestClassifier(5, random_state=0),
    GradientBoostingClassifier(n_estimators=5, random_state=0),
    HistGradientBoostingClassifier(max_iter=5, categorical_features=[5], random_state=0),
    MLPClassifier(max_iter=400, tol=1e-2, random_state=np.random.RandomState(0)),
    KNeighborsClassifier(),
    KNeighborsClassifier(algorithm="ball_tree", metric="manhattan"),
    IsolationForest(n_estimators=5, random_state=0),
    CalibratedClassifierCV(LogisticRegression(), cv=2),
    GaussianProcessClassifier(),
    GridSearchCV(RandomForestClassifier(3, random_state=0), {"max_depth": [1, 2]}, cv=2, scoring="roc_auc"),
    StackingClassifier([("a", LogisticRegression()), ("b", RandomForestClassifier(3, random_state=0))], cv=2),
]


def columns_of(rows: Any) -> Any:
    return np.column_stack([rows[:, :5], np.abs(rows[:, 5]).astype(int) % 4])


class Opaque:
    """No estimator and no files: nobody knows how to save it."""

    def predict(self, rows: Any) -> Any:
        return rows


class Secret:
    def __init__(self) -> None:
        self.text = "hidden"


class WithSecret(ClassifierMixin, BaseEstimator):
    def fit(self, rows: Any, target: Any) -> "WithSecret":
        self.secret_ = Secret()
        return self

    def predict(self, rows: Any) -> Any:
        return np.zeros(len(rows))


class Threshold:
    """A user's own class, with files."""

    def __init__(self, limit: float) -> None:
        self.limit = limit

    def save(self, folder: str) -> None:
        Path(folder, "limit.json").write_text(json.dumps(self.limit))

    @classmethod
    def load(cls, folder: str) -> "Threshold":
        return cls(json.loads(Path(folder, "limit.json").read_text()))

    def predict(self, rows: Any) -> Any:
        return np.asarray(rows)[:, 0] > self.limit


@pytest.mark.parametrize("model", PLAIN, ids=lambda m: type(m).__name__)
def test_a_plain_estimator_needs_no_trust_and_predicts_the_same(model: Any, tmp_path: Path) -> None:
    rows = columns_of(X)
    model.fit(rows, y)
    manifest = save(model, tmp_path / "model", input_example=rows)
    loaded = load(tmp_path / "model")
    assert isinstance(loaded, LoadedModel)
    np.testing.assert_array_equal(loaded.predict(rows), model.predict(rows))
    np.testing.assert_array_equal(loaded.predict(rows.tolist()), model.predict(rows))
    assert type(loaded.unwrap()) is type(model)
    assert manifest["flavor"] == "sklearn"
    assert manifest["input"] == {"kind": "array", "shape": [None, 6], "dtype": "float64"}
    assert manifest["output"]["shape"] == [None]


def test_the_manifest_says_what_is_needed_to_load_the_model(tmp_path: Path) -> None:
    import sklearn

    manifest = save(LogisticRegression().fit(X, y), tmp_path / "model", input_example=X)
    assert manifest == json.loads((tmp_path / "model" / "model.json").read_text())
    assert manifest["libraries"]["scikit-learn"] == sklearn.__version__
    assert manifest["class"] == "sklearn.linear_model._logistic.LogisticRegression"
    assert f"scikit-learn=={sklearn.__version__}\n" in (tmp_path / "model" / "requirements.txt").read_text()
    assert sorted(manifest["files"]) == [
        *("MLmodel", "conda.yaml", "input_example.json", "model.skops", "python_env.yaml", "requirements.txt")
    ]
    assert len(json.loads((tmp_path / "model" / "input_example.json").read_text())) == 5


def test_without_an_example_the_estimator_tells_its_input(tmp_path: Path) -> None:
    manifest = save(LogisticRegression().fit(X, y), tmp_path / "model")
    assert manifest["input"]["shape"] == [None, 6]
    assert manifest["output"] is None
    with pytest.raises(InvalidValueError, match=r"shape \(rows, 6\), not \(6,\); for one row use X.reshape"):
        load(tmp_path / "model").predict(X[0])
    with pytest.raises(InvalidValueError, match=r"\(rows, 6\), not \(120, 5\)"):
        load(tmp_path / "model").predict(X[:, :5])


def test_a_model_made_with_a_frame_takes_frames_arrays_and_records(tmp_path: Path) -> None:
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame({"age": [1.0, 2.0, 3.0, 9.0], "kind": ["a", "b", "a", "b"]})
    model = make_pipeline(make_column_transformer((OneHotEncoder(), ["kind"]), (StandardScaler(), ["age"])), SVC())
    model.fit(frame, [0, 1, 0, 1])
    save(model, tmp_path / "model", input_example=frame)
    loaded = load(tmp_path / "model")
    expected = model.predict(frame).tolist()
    assert loaded.predict(frame[["kind", "age"]].assign(more=1)).tolist() == expected
    assert loaded.predict(frame.to_numpy(dtype=object)).tolist() == expected
    assert loaded.predict(frame.to_dict("records")).tolist() == expected
    with pytest.raises(InvalidValueError, match="lacks the columns kind"):
        loaded.predict(frame[["age"]])
    with pytest.raises(InvalidValueError, match=r"takes 2 columns \(age, kind\), not 3"):
        loaded.predict([[1, 2, 3]])


def test_a_model_made_with_an_array_takes_a_frame(tmp_path: Path) -> None:
    pd = pytest.importorskip("pandas")
    model = LogisticRegression().fit(X, y)
    save(model, tmp_path / "model")
    np.testing.assert_array_equal(load(tmp_path / "model").predict(pd.DataFrame(X)), model.predict(X))


def test_a_type_that_is_not_known_is_refused_by_name_unless_the_caller_trusts_it(tmp_path: Path) -> None:
    save(WithSecret().fit(X, y), tmp_path / "model")
    names = [f"{__name__}.Secret", f"{__name__}.WithSecret"]
    with pytest.raises(UntrustedError, match="Secret") as caught:
        load(tmp_path / "model")
    assert f"trust={names}" in str(caught.value)
    with pytest.raises(UntrustedError, match=r"not trusted: .*Secret; "):
        load(tmp_path / "model", trust=names[1:])
    assert load(tmp_path / "model", trust=names).unwrap().secret_.text == "hidden"
    assert load(tmp_path / "model", trust=True).unwrap().secret_.text == "hidden"


def test_it_is_said_when_a_loader_has_to_trust(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    save(LogisticRegression().fit(X, y), tmp_path / "plain")
    assert caplog.messages == []
    save(WithSecret().fit(X, y), tmp_path / "model")
    names = [f"{__name__}.Secret", f"{__name__}.WithSecret"]
    assert caplog.messages == [f"a loader of this model has to trust these types by name: trust={names}"]


def edit_manifest(folder: Path, **changes: Any) -> None:
    """Change ``model.json`` and its digest, as somebody does who knows how it is made."""
    path = folder / "model.json"
    manifest = {**json.loads(path.read_text()), **changes}
    del manifest["digest"]
    path.write_text(json.dumps({**manifest, "digest": manifest_digest(manifest)}))


NAMING = """
short = lambda rows: rows

def outer():
    def inner(rows):
        return rows
    return inner

made = outer()

class Outer:
    class Inner:
        def __call__(self, rows):
            return rows
"""
STUDY = """
from sklearn.base import BaseEstimator, TransformerMixin

def negated(rows):
    return -rows

class Doubler(TransformerMixin, BaseEstimator):
    def fit(self, rows, target=None):
        self.n_features_in_ = rows.shape[1]
        return self
    def transform(self, rows):
        return rows * 2
"""


def test_an_estimator_of_a_study_file_brings_the_file_along(tmp_path: Path) -> None:
    (tmp_path / "doubling.py").write_text(STUDY)
    make = (
        "import doubling, numpy as np, trackers.models as m\n"
        "from sklearn.pipeline import make_pipeline\n"
        "from sklearn.linear_model import LinearRegression\n"
        "from sklearn.preprocessing import FunctionTransformer\n"
        "X = np.arange(6.0).reshape(-1, 1)\n"
        "m.save(make_pipeline(FunctionTransformer(doubling.negated), doubling.Doubler(), LinearRegression()).fit(X, X[:, 0]), 'model')\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    subprocess.run([sys.executable, "-c", make], check=True, cwd=tmp_path, env=environment)
    (tmp_path / "doubling.py").unlink()
    with pytest.raises(UntrustedError, match=r"doubling\.Doubler, doubling\.negated"):
        load(tmp_path / "model")
    with pytest.raises(UntrustedError, match=r"doubling cannot be imported here; the model brings its file: use trust"):
        load(tmp_path / "model", trust=["doubling.Doubler", "doubling.negated"])
    assert load(tmp_path / "model", trust=True).predict([[3.0]]).round(6).tolist() == [3.0]
    sys.modules.pop("doubling", None)


def test_an_estimator_runs_the_code_that_it_was_saved_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = np.arange(6.0).reshape(-1, 1)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # what is written within a second is the same file to Python
    monkeypatch.syspath_prepend(str(tmp_path))
    for factor in (2, 3):
        (tmp_path / "doubling.py").write_text(STUDY.replace("rows * 2", f"rows * {factor}"))
        sys.modules.pop("doubling", None)
        importlib.invalidate_caches()
        import doubling  # type: ignore[import-not-found]

        save(make_pipeline(doubling.Doubler(), Ridge(alpha=1e-9)).fit(rows, rows[:, 0]), tmp_path / f"model{factor}")
        save(doubling.Doubler().fit(rows), tmp_path / f"alone{factor}")
    (tmp_path / "doubling.py").write_text(STUDY.replace("rows * 2", "rows * 77"))  # the project went on
    for is_imported in (True, False):
        for factor in (2, 3, 2):
            if not is_imported:
                sys.modules.pop("doubling", None)
            before = sys.modules.get("doubling")
            assert load(tmp_path / f"model{factor}", trust=True).predict([[3.0]]).round(5).tolist() == [3.0]
            own = load(tmp_path / f"alone{factor}", trust=True).unwrap()
            assert own.transform(np.array([[1.0]])).tolist() == [[factor]]
            assert sys.modules.get("doubling") is before
    with pytest.raises(UntrustedError, match=r"doubling\.py is not the code .* which is its code/doubling\.py"):
        load(tmp_path / "model2", trust=["doubling.Doubler"])
    (tmp_path / "doubling.py").write_text(STUDY)
    assert load(tmp_path / "model2", trust=["doubling.Doubler"]).predict([[3.0]]).round(5).tolist() == [3.0]
    sys.modules.pop("doubling", None)


def test_an_estimator_of_a_script_says_where_it_has_to_go(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(
        STUDY + "import trackers.models as m, numpy as np\nm.save(Doubler().fit(np.zeros((2, 1))), 'model')\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "script.py"], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert "__main__.Doubler is defined in the script itself" in done.stderr


def test_a_function_that_no_loader_could_find_is_refused_when_it_is_saved_and_nothing_else_is_said(
    tmp_path: Path,
) -> None:
    (tmp_path / "naming.py").write_text(NAMING)
    messages = {
        "naming.short": "naming.<lambda> by its name: in place of the lambda write a def in the file of naming.",
        "functools.partial(naming.short)": "naming.<lambda> by its name: in place of the lambda write a def",
        "naming.made": "naming.inner, since nothing has that name there: define it with def",
        "naming.Outer.Inner()": "naming.Inner, since nothing has that name there: define it with def or class",
        "lambda rows: rows": "__main__.<lambda> by its name: in place of the lambda write a def in a file of its own",
    }
    (tmp_path / "script.py").write_text(
        "import functools, naming, numpy as np, trackers.models as m\n"
        "from sklearn.preprocessing import FunctionTransformer\n"
        f"for number, function in enumerate([{', '.join(messages)}]):\n"
        "    try:\n"
        "        m.save(FunctionTransformer(function).fit(np.zeros((2, 1))), f'model-{number}')\n"
        "    except Exception as exc:\n"
        "        print(exc)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "script.py"], cwd=tmp_path, env=environment, capture_output=True, text=True)
    for sentence, message in zip(done.stdout.splitlines(), messages.values(), strict=True):
        assert sentence.startswith(f"No loader can find {message}")
    assert done.stderr == ""


def test_saving_may_be_strict_about_types(tmp_path: Path) -> None:
    with pytest.raises(UntrustedError, match="Secret"):
        save(WithSecret().fit(X, y), tmp_path / "strict", trusted=[])
    save(WithSecret().fit(X, y), tmp_path / "named", trusted=[f"{__name__}.Secret", f"{__name__}.WithSecret"])


def test_an_artifact_cannot_widen_what_is_trusted(tmp_path: Path) -> None:
    save(WithSecret().fit(X, y), tmp_path / "model")
    details = json.loads((tmp_path / "model" / "model.json").read_text())["details"]
    widened = {"unknown_types": [], "trusted": [f"{__name__}.Secret"], "skops_trusted_types": True}
    edit_manifest(tmp_path / "model", details=details | widened)
    with pytest.raises(UntrustedError):
        load(tmp_path / "model")


@pytest.mark.parametrize("thing", [Opaque(), {"a": 1}, "text", None, len, BaseEstimator])
def test_what_no_flavour_can_save_is_named(thing: Any, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no flavour can save a .*: save a scikit-learn estimator"):
        save(thing, tmp_path / "model")


def test_a_model_folder_is_stored_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    manifest = save(LogisticRegression().fit(X, y), "model", input_example=X, pip_requirements=["scikit-learn"])
    artifacts = ArtifactStore(tmp_path / "artifacts")
    Path("model", "registered_model_meta").write_text("MLflow's")
    loaded = load("model")
    for taken in ("./model", "model", Path("model"), loaded):
        found, files = pack(taken, artifacts)
        assert found == manifest
        assert files.keys() == {*manifest["files"], "model.json"}
    copy = artifacts.get_files({name: digest for name, (digest, _) in files.items()}, tmp_path / "copy")
    assert list(load(copy, digest=manifest_digest(manifest)).predict(X)) == list(loaded.predict(X))
    with pytest.raises(ModelError, match=r"taken as it is: give input_example where the model is saved"):
        pack("model", artifacts, input_example=X)


def test_what_is_no_whole_model_folder_is_not_stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    save(LogisticRegression().fit(X, y), "model")
    artifacts, loaded = ArtifactStore(tmp_path / "artifacts"), load("model")
    save(LogisticRegression(C=2).fit(X, y), "other")
    Path("text.txt").write_text("hello")
    for thing in ("nope", "no\0path", "x" * 5000, Path("nope")):
        with pytest.raises(ModelError, match="There is no folder"):
            pack(thing, artifacts)
    for thing in ("text.txt", "."):
        with pytest.raises(ModelError, match=r"is not a model folder: it has neither model\.json nor MLmodel\."):
            pack(thing, artifacts)
    with pytest.raises(ModelError, match=r"names a model and is none: log trackers.load_model\('models:/fraud@best'\)"):
        pack("models:/fraud@best", artifacts)
    edit_manifest(Path("other"), flavor="strange")
    with pytest.raises(ModelError, match="The flavour 'strange' is not known"):
        pack("other", artifacts)
    Path("model").rename("gone")
    with pytest.raises(ModelError, match="There is no folder"):
        pack(loaded, artifacts)
    save(LogisticRegression(C=3).fit(X, y), "model")
    with pytest.raises(DigestError, match="was changed after the model was saved"):
        pack(loaded, artifacts)
    Path("gone", "model.skops").write_bytes(b"x")
    with pytest.raises(DigestError, match="was changed after the model was saved"):
        pack("gone", artifacts)
    Path("gone", "model.json").unlink()
    with pytest.raises(DigestError, match=r"lacks its model\.json"):
        pack("gone", artifacts)
    assert not list(artifacts.digests())


def test_a_changed_missing_or_added_file_is_found_before_anything_is_opened(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    save(LogisticRegression().fit(X, y), folder)
    good = (folder / "model.skops").read_bytes()
    (folder / "model.skops").write_bytes(good[:-1] + b"x")
    with pytest.raises(DigestError, match=r"'model\.skops' .* was changed"):
        load(folder)
    (folder / "model.skops").unlink()
    with pytest.raises(DigestError, match=r"lacks the file 'model\.skops'"):
        load(folder)
    (folder / "model.skops").write_bytes(good)
    (folder / "extra.py").write_text("")
    with pytest.raises(DigestError, match=r"'extra.py', which was not saved"):
        load(folder)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "cannot be read as JSON"),
        ("[]", "not a manifest that we wrote"),
        ('{"format": 2}', "newer release"),
        ('{"format": 1, "flavor": "sklearn"}', "not a manifest that we wrote"),
        (
            '{"format": 1, "flavor": "pickle", "class": "x", "libraries": {}, "details": {}, "files": {}}',
            "flavour 'pickle' is not known",
        ),
    ],
)
def test_a_manifest_that_we_did_not_write_is_refused(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "model.json").write_text(text)
    with pytest.raises(ModelError, match=message):
        load(tmp_path)


@pytest.mark.parametrize("name", ["model.json", "MLmodel"])
def test_a_pipe_in_the_place_of_a_manifest_is_refused_and_not_waited_for(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)
    with pytest.raises((ModelError, ArtifactError), match=r"no plain file|is a pipe"):
        load(tmp_path)


@pytest.mark.parametrize(
    "changes",
    [
        {"input": 5},
        {"input": {"kind": "frame"}},
        {"details": None},
        {"code": 5},
        {"libraries": []},
        {"files": {"model.skops": 5}},
    ],
    ids=str,
)
def test_a_sealed_manifest_of_another_shape_is_refused_in_a_sentence(tmp_path: Path, changes: Any) -> None:
    save(LogisticRegression().fit(X, y), tmp_path / "model")
    edit_manifest(tmp_path / "model", **changes)
    with pytest.raises(ModelError, match=r"damaged|cannot be loaded"):
        load(tmp_path / "model")


def test_a_manifest_with_a_name_outside_its_folder_is_refused(tmp_path: Path) -> None:
    save(LogisticRegression().fit(X, y), tmp_path / "model")
    edit_manifest(tmp_path / "model", files={"../outside": {"sha256": "0" * 64, "size": 1}})
    with pytest.raises(ModelError, match=r"model\.json names a file that no model has, .* has the part '\.\.'"):
        load(tmp_path / "model")


def test_a_folder_without_a_manifest_and_a_folder_with_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ModelError, match=r"it has neither model\.json nor MLmodel\."):
        load(tmp_path)
    with pytest.raises(ModelError, match="not empty"):
        save(LogisticRegression().fit(X, y), tmp_path)


def test_a_compressed_file_is_refused_before_it_can_grow(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "bomb", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("schema.json", bytes(10_000_000))
    with pytest.raises(ModelError, match="compressed"):
        check_stored(tmp_path / "bomb", "skops")
    (tmp_path / "text").write_text("no archive")
    with pytest.raises(ModelError, match="not a file that skops wrote"):
        check_stored(tmp_path / "text", "skops")


def _with_nodes(tree: Any, **changes: Any) -> None:
    state = tree.__getstate__()
    for name, (index, value) in changes.items():
        state["nodes"][name][index] = value
    tree.__setstate__(state)


@pytest.mark.parametrize("changes", [{"left_child": (0, 10**9)}, {"right_child": (0, 0)}, {"feature": (0, 10**6)}])
def test_a_decision_tree_that_would_read_foreign_memory_is_refused(changes: Any, tmp_path: Path) -> None:
    model = RandomForestClassifier(3, random_state=0).fit(X, y)
    _with_nodes(model.estimators_[1].tree_, **changes)
    save(model, tmp_path / "model")
    with pytest.raises(ModelError, match="does not exist"):
        load(tmp_path / "model")


def test_a_tree_wider_than_its_estimator_is_refused(tmp_path: Path) -> None:
    model = DecisionTreeClassifier().fit(X, y)
    model.n_features_in_ = 2
    save(model, tmp_path / "model")
    with pytest.raises(ModelError, match="6 features where the estimator takes 2"):
        load(tmp_path / "model")
    boosting = GradientBoostingClassifier(n_estimators=2).fit(X, y)
    boosting.n_features_in_ = 2
    save(boosting, tmp_path / "boosting")
    with pytest.raises(ModelError, match="other features"):
        load(tmp_path / "boosting")


def test_a_histogram_tree_that_would_read_foreign_memory_is_refused(tmp_path: Path) -> None:
    model = HistGradientBoostingClassifier(max_iter=2).fit(X, y)
    model._predictors[0][0].nodes["feature_idx"][0] = 10**6
    save(model, tmp_path / "model")
    with pytest.raises(ModelError, match="a feature that does not exist"):
        load(tmp_path / "model")


def test_a_neighbour_tree_that_would_read_foreign_memory_is_refused(tmp_path: Path) -> None:
    model = KNeighborsClassifier(algorithm="kd_tree").fit(X, y)
    state = list(model._tree.__getstate__())
    state[1] = np.full_like(state[1], 10**9)
    model._tree.__setstate__(tuple(state))
    save(model, tmp_path / "model")
    with pytest.raises(ModelError, match="its order of rows"):
        load(tmp_path / "model")


def test_a_model_goes_into_the_artifact_store_and_back(tmp_path: Path) -> None:
    artifacts = ArtifactStore(tmp_path / "root")
    model = LogisticRegression().fit(X, y)
    manifest, files = pack(model, artifacts, input_example=X)
    assert set(files) == {*manifest["files"], "model.json"}
    artifacts.get_files({name: digest for name, (digest, _) in files.items()}, tmp_path / "back")
    np.testing.assert_array_equal(load(tmp_path / "back").predict(X), model.predict(X))


def test_a_class_with_files_needs_trust_since_its_code_runs(tmp_path: Path) -> None:
    manifest = save(Threshold(0.5), tmp_path / "model", input_example=X)
    assert manifest["flavor"] == "python"
    assert manifest["output"] == {"kind": "array", "shape": [None], "dtype": "bool"}
    with pytest.raises(UntrustedError, match=r"runs the code of .*Threshold: if you trust it, load it with trust="):
        load(tmp_path / "model")
    by_name = load(tmp_path / "model", trust=[f"{__name__}.Threshold"])
    assert by_name.unwrap().limit == 0.5
    loaded = load(tmp_path / "model", trust=True)
    assert isinstance(loaded.unwrap(), Threshold), "the module that is imported already is used"
    np.testing.assert_array_equal(loaded.predict(X), X[:, 0] > 0.5)


SCRIPT = """
import json, sys
from dataclasses import dataclass
from pathlib import Path
import numpy as np
from trackers.models import save

@dataclass
class Scale:
    factor: float
    def save(self, folder):
        Path(folder, "factor.json").write_text(json.dumps(self.factor))
    @classmethod
    def load(cls, folder):
        return cls(json.loads(Path(folder, "factor.json").read_text()))
    def predict(self, rows):
        return np.asarray(rows) * self.factor

if __name__ == "__main__":
    save(Scale(3.0), sys.argv[1], input_example=[[1.0]])
"""


@pytest.mark.parametrize(
    "work",
    [
        "save(Scale(3.0), sys.argv[1])",
        "for _ in range(1):\n    save(Scale(3.0), sys.argv[1])",
        "done = save(Scale(3.0), sys.argv[1])",
        "try:\n    import numpy\nexcept ImportError:\n    pass\nelse:\n    save(Scale(3.0), sys.argv[1])",
        "with open('log', 'w'):\n    save(Scale(3.0), sys.argv[1])",
    ],
)
def test_a_class_of_a_script_that_would_run_again_is_not_saved(work: str, tmp_path: Path) -> None:
    definitions = SCRIPT.partition("if __name__")[0]
    (tmp_path / "train.py").write_text(f'"""A script."""\nWIDTH: int = 3\n{definitions}\n{work}\n')
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "train.py", "model"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert "__main__.Scale is defined in the script train.py" in done.stderr
    assert "move it into a file of its own and import it" in done.stderr


def test_a_class_of_a_module_that_runs_as_a_script_is_not_saved(tmp_path: Path) -> None:
    (tmp_path / "pack").mkdir()
    (tmp_path / "pack" / "__init__.py").touch()
    (tmp_path / "pack" / "train.py").write_text(SCRIPT)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-m", "pack.train", "model"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert "runs as a script (python -m), where no loader finds it" in done.stderr


@pytest.mark.parametrize("as_module", [False, True], ids=["script", "module"])
def test_the_file_of_a_study_travels_with_the_model_and_runs_only_when_trusted(as_module: bool, tmp_path: Path) -> None:
    script = tmp_path / "mystudy.py"
    script.write_text(textwrap.dedent(SCRIPT))
    folder = tmp_path / "model"
    run = f"import mystudy, trackers.models as m; m.save(mystudy.Scale(3.0), {str(folder)!r})"
    command = [sys.executable, "-c", run] if as_module else [sys.executable, str(script), str(folder)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    subprocess.run(command, check=True, cwd=tmp_path, env=environment)
    script.unlink()
    with pytest.raises(UntrustedError, match=r"Scale: if you trust it, load it with trust=True"):
        load(folder)
    with pytest.raises(UntrustedError, match="use trust=True"):
        load(folder, trust=[f"{'mystudy' if as_module else '__main__'}.Scale"])
    assert load(folder, trust=True).predict([[2.0]]).tolist() == [[6.0]]
    assert load(folder, trust=True).unwrap().factor == 3.0
    assert "numpy" in json.loads((folder / "model.json").read_text())["libraries"]
    sys.modules.pop("mystudy", None)


def test_a_file_of_the_same_name_is_not_taken_for_the_code_of_the_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "scaling.py").write_text(SCRIPT)
    monkeypatch.syspath_prepend(str(tmp_path))
    import scaling  # type: ignore[import-not-found]

    save(scaling.Scale(3.0), tmp_path / "model")
    for forget in (True, False):
        if forget:
            del sys.modules["scaling"]
        assert load(tmp_path / "model", trust=["scaling.Scale"]).predict([[2.0]]).tolist() == [[6.0]]
    (tmp_path / "scaling.py").write_text(SCRIPT.replace("* self.factor", "* 0"))
    for forget in (False, True):
        if forget:
            del sys.modules["scaling"]
        with pytest.raises(UntrustedError, match=r"scaling\.py is not the code .* which is its code/scaling\.py"):
            load(tmp_path / "model", trust=["scaling.Scale"])
    assert load(tmp_path / "model", trust=True).predict([[2.0]]).tolist() == [[6.0]]


def test_a_class_that_came_by_value_brings_the_file_that_it_was_written_in(tmp_path: Path) -> None:
    (tmp_path / "byvalue.py").write_text(SCRIPT)
    send = (
        "import cloudpickle, sys, runpy\n"
        "names = runpy.run_path('byvalue.py'); kind = names['Scale']; kind.__module__ = '__main__'\n"
        "sys.stdout.buffer.write(cloudpickle.dumps(kind(3.0)))\n"
    )
    receive = "import pickle, sys, trackers.models as m; m.save(pickle.load(sys.stdin.buffer), 'model')"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    sent = subprocess.run([sys.executable, "-c", send], check=True, cwd=tmp_path, env=environment, capture_output=True)
    other = tmp_path / "worker.py"
    other.write_text(receive)
    subprocess.run([sys.executable, str(other)], input=sent.stdout, check=True, cwd=tmp_path, env=environment)
    assert (tmp_path / "model" / "code" / "byvalue.py").is_file()
    assert load(tmp_path / "model", trust=True).predict([[2.0]]).tolist() == [[6.0]]


def test_a_class_inside_a_function_and_a_class_in_no_file_say_why_they_cannot_be_saved(tmp_path: Path) -> None:
    class Inner(Threshold):
        pass

    with pytest.raises(ModelError, match="inside a function"):
        save(Inner(1), tmp_path / "inner")
    namespace: dict[str, Any] = {"__name__": "notebook", "Threshold": Threshold}
    exec("class Cell(Threshold): pass", namespace)
    with pytest.raises(ModelError, match="defined in no file"):
        save(namespace["Cell"](1), tmp_path / "cell")


def test_a_model_that_fails_to_save_itself_says_so(tmp_path: Path) -> None:
    broken = Threshold(0.5)
    broken.limit = object()  # type: ignore[assignment]
    with pytest.raises(ModelError, match=r"Threshold cannot be saved: TypeError: Object of type object"):
        save(broken, tmp_path / "model")


def test_an_example_that_the_model_cannot_predict_does_not_lose_the_model(tmp_path: Path) -> None:
    manifest = save(LogisticRegression(), tmp_path / "model", input_example=X)
    assert manifest["output"]["error"].startswith("NotFittedError")


def test_importing_models_loads_nothing_heavy() -> None:
    code = (
        "import sys, trackers.models; "
        "print([m for m in ('sklearn', 'skops', 'numpy', 'sqlalchemy', 'pandas', 'ray', 'yaml', 'lightgbm', 'torch') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_trust_takes_names_or_a_yes() -> None:
    from trackers.models.trust import Trust

    assert Trust.of("a.B").names == {"a.B"}
    with pytest.raises(InvalidValueError, match="full names of types"):
        Trust.of([1])  # type: ignore[list-item]
