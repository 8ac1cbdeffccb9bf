"""Models by every name that people give them, and ``predict`` in the terminal."""

import gzip
import io
import json
import os
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import trackers
from tests.extras import needs
from trackers.artifacts import ArtifactStore
from trackers.cli.app import trackers as command
from trackers.cli.exit import run_command
from trackers.errors import (
    AlreadyExistsError,
    DigestError,
    InvalidValueError,
    ModelError,
    NotFoundError,
    UntrustedError,
)
from trackers.models import archives, rows, save
from trackers.models.conform import conform
from trackers.models.reference import Reference
from trackers.models.rows import read_rows, write_rows
from trackers.store import Store

pytest.importorskip("skops")
pd = pytest.importorskip("pandas")

from sklearn.linear_model import LogisticRegression  # noqa: E402 - it is there once skops is

FRAME = pd.DataFrame({"a": [0.0, 1.0, 2.0, 3.0], "b": [1, 0, 1, 5]})
MODEL = LogisticRegression().fit(FRAME, ["no", "yes", "yes", "no"])
CSV = "b,a,more\n1,0.0,x\n0,1.0,x\n1,2.0,x\n5,3.0,x\n"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with trackers.connect(f"sqlite:///{tmp_path}/hpo.db") as opened:
        yield opened


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a store with the model ``fraud@production``, and a second of its run."""
    folder = tmp_path_factory.mktemp("made")
    with trackers.connect(f"sqlite:///{folder}/hpo.db") as store:
        with store.start_run(experiment="fraud") as run:
            model = run.log_model(MODEL, input_example=FRAME)
            run.log_model(MODEL, "second", input_example=FRAME, pip_requirements=["scikit-learn", "numpy>=2"])
        store.registry.register("fraud", model)
        store.registry.promote("fraud", 1, to="production")
    return folder


@pytest.fixture
def logged(made: Path, tmp_path: Path) -> Iterator[Store]:
    """A store of the test's own, as ``made`` is."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    with trackers.connect(f"sqlite:///{tmp_path}/hpo.db") as opened:
        yield opened


def test_a_model_is_found_by_every_name_that_it_has(logged: Store, tmp_path: Path) -> None:
    run = logged.search_runs()[0]
    folder = logged.artifacts.get_files(logged.get_logged_model(run).files, tmp_path / "copy")  # type: ignore[union-attr]
    names = [
        "models:/fraud@production",
        "models:/fraud/1",
        "models:/fraud",
        f"runs:/{run.uid}",
        f"runs:/{run.uid}/second",
    ]
    for name in (*names, run.uid, folder, str(folder)):
        loaded = trackers.load_model(name, store=logged)
        assert loaded.predict(FRAME.to_dict("records")).tolist() == MODEL.predict(FRAME).tolist()
    with pytest.raises(
        NotFoundError,
        match=f"no model named 'third': it logged 'model' and 'second', the first of which is runs:/{run.uid}/model",
    ):
        trackers.load_model(f"runs:/{run.uid}/third", store=logged)
    assert "scikit-learn\nnumpy>=2\n" in (
        logged.artifacts.read(logged.get_logged_model(run, "second").files["requirements.txt"]).decode()  # type: ignore[union-attr]
    )


def test_a_run_without_the_model_that_was_asked_for_names_the_one_that_it_has(store: Store) -> None:
    with store.start_run("exp") as run:
        run.log_model(MODEL, "other")
    for ref in (f"runs:/{run.uid}", f"runs:/{run.uid}/model"):
        with pytest.raises(NotFoundError, match=f"'model': it logged 'other', which is runs:/{run.uid}/other"):
            store.load_model(ref)


def test_a_run_with_many_models_names_the_first_ones(store: Store) -> None:
    with store.start_run("exp") as run:
        for number in range(5):
            run.log_model(MODEL, f"m{number}")
    said = f"it logged 'm0', 'm1', 'm2', 'm3' and others, the first of which is runs:/{run.uid}/m0."
    with pytest.raises(NotFoundError, match=said):
        store.load_model(run.uid)


def test_each_model_of_a_run_is_downloaded_into_a_folder_of_its_own(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with store.start_run("exp") as run:
        for name in ("model", "my", "my-model"):
            run.log_model(MODEL, name)
    own = store.get_run(run.uid).path.replace("/", "-")
    for name, end in (("model", ""), ("my", "-my"), ("my-model", "-my-model")):
        assert run_command(["download", f"runs:/{run.uid}/{name}", "--storage", store.url]) == 0
        assert (tmp_path / f"{own}{end}" / "MLmodel").exists()


def test_the_folder_of_a_model_is_brought_here_whole_or_not_at_all(
    logged: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HPO_STORAGE", logged.url)
    run = logged.search_runs()[0]
    (tmp_path / "there").mkdir()
    for ref, to, folder in (
        ("fraud/1", None, "fraud-1"),
        ("fraud@production", "there", "there"),
        ("models:/fraud/1", "new/place", "new/place"),
        (f"runs:/{run.uid}/second", None, f"{run.path.replace('/', '-')}-second"),
        (run.uid, None, run.path.replace("/", "-")),
    ):
        assert run_command(["download", ref, *(["--to", to] if to else [])]) == 0
        said = " ".join(capsys.readouterr().out.split())
        assert f"lies in {folder}, which is an MLflow model too (" in said
        assert "files, digests checked)." in said
        assert trackers.load_model(f"./{folder}").predict(FRAME).tolist() == MODEL.predict(FRAME).tolist()
        assert (tmp_path / folder / "MLmodel").exists()
    assert json.loads(_out(capsys, "download", "fraud/1", "--to", "json", "--json"))["version"] == 1
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    _out(capsys, "download", "fraud/1", "--to", ".")
    assert (tmp_path / "empty" / "MLmodel").exists()
    monkeypatch.chdir(tmp_path)
    assert run_command(["download", "fraud/1"]) == 2
    assert "Error: fraud-1 is there already, and is no empty folder: give a new one." in capsys.readouterr().err
    version = logged.registry.model_of(logged.registry.version("fraud", 1))
    logged.artifacts.get_files(version.files, tmp_path / "copy")
    stored = next(path for path in Path(logged.artifact_root).rglob(f"*{version.files['model.skops'][8:]}"))
    stored.chmod(0o600)
    stored.write_bytes(stored.read_bytes()[:-1])
    with pytest.raises(DigestError):
        trackers.download_model("models:/fraud@production", tmp_path / "damaged", store=logged)
    assert not [path for path in tmp_path.iterdir() if path.name.startswith((".model", "damaged"))]
    with pytest.raises(InvalidValueError, match="names no model"):
        trackers.download_model("./copy", tmp_path / "other")


@pytest.mark.parametrize("folder", ["there", "new"])
def test_a_folder_in_which_something_appears_meanwhile_is_left_as_it_is(
    logged: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    (tmp_path / "top" / "there").mkdir(parents=True)
    before = sorted((tmp_path / "top").iterdir())
    get_files = ArtifactStore.get_files

    def slowly(self: ArtifactStore, files: Any, to: Any) -> Path:
        if folder == "there":
            assert sorted((tmp_path / "top").iterdir()) == before, "what lies above may be another disk, or not ours"
        (tmp_path / "top" / folder).mkdir(exist_ok=True)
        (tmp_path / "top" / folder / "requirements.txt").write_text("mine")
        return get_files(self, files, to)

    monkeypatch.setattr(ArtifactStore, "get_files", slowly)
    with pytest.raises(AlreadyExistsError, match="is no empty folder"):
        trackers.download_model("models:/fraud/1", tmp_path / "top" / folder, store=logged)
    assert [path.name for path in (tmp_path / "top" / folder).iterdir()] == ["requirements.txt"]
    assert (tmp_path / "top" / folder / "requirements.txt").read_text() == "mine"


def _out(capsys: Any, *arguments: str) -> str:
    assert run_command(list(arguments)) == 0
    return str(capsys.readouterr().out)


def test_a_reference_says_which_of_its_forms_it_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uid = "0" * 32
    assert Reference.parse("digits/17") == Reference.parse("runs:/digits/17") == Reference(run="digits/17")
    assert Reference.parse("runs:/a/b/17/best") == Reference(run="a/b/17", model="best")
    assert Reference.parse(f"runs:/{uid}/a/b") == Reference(run=uid, model="a/b")
    assert Reference.parse("./digits/17") == Reference(folder=Path("digits/17"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    assert Reference.parse("folder") == Reference(folder=Path("folder"))
    assert (
        Reference.parse("fraud/latest")
        == Reference.parse("models:/fraud/latest")
        == Reference(name="fraud", version="latest")
    )
    with pytest.raises(InvalidValueError, match="not by 3"):
        Reference.parse(3)  # type: ignore[arg-type]
    for wrong in ("", "nothing", "runs:/", "http://host/x", "a\0b", 3):
        with pytest.raises(InvalidValueError, match="model"):
            Reference.parse(wrong)  # type: ignore[arg-type]


def predict(logged: Store, *words: str, stdin: bytes | None = None) -> Any:
    done = CliRunner().invoke(command, ["predict", *words, "--storage", logged.url], input=stdin)
    assert done.exit_code == 0, done.exception
    return done.stdout


def test_predict_reads_and_writes_every_format(logged: Store, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text(CSV)
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in FRAME.to_dict("records")))
    (tmp_path / "in.json").write_text(FRAME.to_json(orient="records"))
    np.save(tmp_path / "in.npy", FRAME.to_numpy())
    np.savez_compressed(tmp_path / "in.npz", X=FRAME.to_numpy())
    expected = "prediction\nno\nyes\nyes\nno\n"
    expected = "prediction\n" + "".join(f"{label}\n" for label in MODEL.predict(FRAME))
    for name in ("in.csv", "in.jsonl", "in.json", "in.npy", "in.npz"):
        assert predict(logged, "models:/fraud@production", str(tmp_path / name)) == expected, name
    assert predict(logged, "models:/fraud", stdin=CSV.encode()) == expected
    assert predict(logged, "models:/fraud", "-", "--format", "csv", stdin=b"0,1\n1,0\n2,1\n3,5\n") == expected
    for name in ("out.csv", "out.json", "out.jsonl", "out.npy"):
        predict(logged, "models:/fraud", str(tmp_path / "in.csv"), "-o", str(tmp_path / name))
    assert (tmp_path / "out.csv").read_text() == expected
    rows = json.loads((tmp_path / "out.json").read_text())
    assert rows == [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert (
        [row["prediction"] for row in rows] == np.load(tmp_path / "out.npy").tolist() == MODEL.predict(FRAME).tolist()
    )
    table = predict(logged, "models:/fraud", str(tmp_path / "in.csv"), "--proba", "--json")
    np.testing.assert_allclose([list(row.values()) for row in json.loads(table)], MODEL.predict_proba(FRAME))
    assert list(json.loads(table)[0]) == ["probability_no", "probability_yes"]


def test_probabilities_of_several_outputs_stand_side_by_side(store: Store, tmp_path: Path) -> None:
    from sklearn.multioutput import MultiOutputClassifier

    targets = [["no", 0], ["yes", 1], ["yes", 0], ["no", 1]]
    model = MultiOutputClassifier(LogisticRegression()).fit(FRAME, np.array(targets, dtype=object)[:, :1])
    with store.start_run("e") as run:
        run.log_model(model, input_example=FRAME)
    (tmp_path / "in.csv").write_text(CSV)
    table = json.loads(predict(store, run.uid, str(tmp_path / "in.csv"), "--proba", "--json"))
    assert list(table[0]) == ["probability_0_no", "probability_0_yes"]
    np.testing.assert_allclose([list(row.values()) for row in table], model.predict_proba(FRAME)[0])


def test_a_loaded_model_says_which_one_it_is(logged: Store) -> None:
    found = logged.load_model("models:/fraud@production")
    (run,) = logged.search_runs()
    model = logged.get_logged_model(run)
    assert model is not None
    assert (found.name, found.version, found.uid) == ("fraud", 1, model.uid)
    assert "models:/fraud/1" in repr(found)
    assert logged.load_model("models:/fraud/latest").version == logged.registry.get("fraud").latest
    by_run = logged.load_model(run.uid)
    assert (by_run.name, by_run.version, by_run.uid) == (None, None, found.uid)
    second = logged.get_logged_model(run, "second")
    assert second is not None
    for short in (run.uid[:8], run.uid[:16], f"{run.experiment}/{run.uid[:16]}", f"runs:/{run.uid[:16]}"):
        assert logged.load_model(short).uid == found.uid
    for short in (f"runs:/{run.uid[:12]}/second", f"runs:/{run.experiment}/{run.uid[:16]}/second"):
        assert logged.load_model(short).uid == second.uid


def test_predict_reads_and_writes_parquet(logged: Store, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow", reason="pyarrow is not installed: pip install 'hpo[parquet]'")
    FRAME.to_parquet(tmp_path / "in.parquet")
    predict(logged, "models:/fraud", str(tmp_path / "in.parquet"), "-o", str(tmp_path / "out.parquet"))
    assert pd.read_parquet(tmp_path / "out.parquet")["prediction"].tolist() == MODEL.predict(FRAME).tolist()


def test_predict_reads_and_writes_tabs_and_reads_what_gzip_packed(logged: Store, tmp_path: Path) -> None:
    FRAME.to_csv(tmp_path / "in.tsv", sep="\t", index=False)
    predict(logged, "models:/fraud", str(tmp_path / "in.tsv"), "-o", str(tmp_path / "out.tsv"), "--proba")
    told = pd.read_csv(tmp_path / "out.tsv", sep="\t")
    np.testing.assert_allclose(told.to_numpy(), MODEL.predict_proba(FRAME))
    FRAME.to_csv(tmp_path / "in.csv.gz", index=False)
    FRAME.to_json(tmp_path / "in.jsonl.gz", orient="records", lines=True)
    for name in ("in.csv.gz", "in.jsonl.gz"):
        predict(logged, "models:/fraud", str(tmp_path / name), "-o", str(tmp_path / "out.csv"))
        assert pd.read_csv(tmp_path / "out.csv")["prediction"].tolist() == MODEL.predict(FRAME).tolist()


def test_what_gzip_packed_is_no_bomb_and_no_ruin(monkeypatch: pytest.MonkeyPatch) -> None:
    packed = gzip.compress(b"a\n" + b"1\n" * 1_000_000)
    monkeypatch.setattr(rows, "_MOST_UNPACKED", 1 << 20)
    with pytest.raises(InvalidValueError, match="unpacks to more than"):
        read_rows(io.BytesIO(packed), "csv", None)
    monkeypatch.setattr(rows, "_MOST_UNPACKED", 1 << 30)
    with pytest.raises(InvalidValueError, match="cannot be read as csv"):
        read_rows(io.BytesIO(packed[:-20]), "csv", None)


def test_rows_with_what_python_reads_not_are_told_in_a_sentence() -> None:
    digits = b"1" * 5000
    assert read_rows(io.BytesIO(b"a\n" + digits + b"\n"), "csv", None)["a"].tolist() == [float("inf")]
    for form, content in {"json": b"[" + digits + b"]", "jsonl": b"[1]\n[" + digits + b"]"}.items():
        with pytest.raises(InvalidValueError, match="is not JSON: Exceeds the limit"):
            read_rows(io.BytesIO(content), form, None)
    with pytest.raises(InvalidValueError, match="cannot be read as csv: field larger than field limit"):
        read_rows(io.BytesIO(b"a,b\n1," + b"x" * 200_000 + b"\n"), "csv", None)


def test_text_that_looks_like_numbers_stays_text_where_the_model_takes_text() -> None:
    schema = {"kind": "frame", "columns": [{"name": "zip", "dtype": "str"}, {"name": "n", "dtype": "int64"}]}
    read = read_rows(io.BytesIO(b"zip,n\n00123,1\n,2\n"), "csv", schema)
    assert read["zip"].tolist()[0] == "00123"
    assert read["zip"].isna().tolist() == [False, True]
    assert read["n"].tolist() == [1, 2]
    assert read_rows(io.BytesIO(b"t\ntrue\nFalse\n"), "csv", None)["t"].tolist() == [True, False]
    for sign in ";\t":
        read = read_rows(io.BytesIO(f"zip{sign}n\n00123{sign}1\n".encode()), "csv", schema)
        assert (read["zip"].tolist(), read["n"].tolist()) == (["00123"], [1])
    assert list(read_rows(io.BytesIO(b"a;b\nx\n"), "csv", None)) == ["a;b"]


_TWO = {"kind": "array", "shape": [None, 2], "dtype": "float64"}
_NUMBERS = {"kind": "frame", "columns": [{"name": "a", "dtype": "float64"}, {"name": "b", "dtype": "float64"}]}
_WORDS = {"kind": "frame", "columns": [{"name": "a", "dtype": "str"}, {"name": "b", "dtype": "float64"}]}
_ONE = {"kind": "frame", "columns": [{"name": "a", "dtype": "float64"}]}


@pytest.mark.parametrize(
    ("content", "schema", "rows"),
    [
        ("1;2\n3;4\n", _TWO, [[1, 2], [3, 4]]),
        ("1\t2,5\n", _TWO, [[1, 2.5]]),
        ("a;b\n1;2,5\n", _TWO, [[1, 2.5]]),
        ("1,5\n2,0\n", _TWO, [[1, 5], [2, 0]]),
        ("1,5;2,5\n3;-,25\n", _TWO, [[1.5, 2.5], [3, -0.25]]),
        ("1.5;2,5\n", _TWO, [[1.5, 2.5]]),
        ("a;b\n1,5;2,5\n;1e3\n", _NUMBERS, [[1.5, 2.5], [None, 1000]]),
        ("1,5;2,5\n", _NUMBERS, [[1.5, 2.5]]),
        ("b;a;c, d\n1,5;2;x, y\n", _NUMBERS, [[2, 1.5]]),
        ("a;b\n1,5;2,5\n", _WORDS, [["1,5", 2.5]]),
        ('"a";"b"\nred, dark;2,5\n', _WORDS, [["red, dark", 2.5]]),
        ("more;a\nx;1,5\n", _ONE, [[1.5]]),
    ],
)
def test_a_spreadsheet_of_another_country_is_read(content: str, schema: Any, rows: list[list[Any]]) -> None:
    read = conform(read_rows(io.BytesIO(content.encode()), "csv", schema), schema)
    if schema is not _TWO:
        read = read.astype(object).where(read.notna(), None).to_numpy()
    assert read.tolist() == rows


def test_a_column_with_both_decimal_signs_is_not_guessed() -> None:
    read = read_rows(io.BytesIO(b"a;b\n1.234;1\n2,5;1\n"), "csv", _NUMBERS)
    with pytest.raises(InvalidValueError, match="The column a holds text"):
        conform(read, _NUMBERS)


@pytest.mark.parametrize(
    ("content", "form", "message"),
    [
        (b"", "csv", "is empty"),
        (b"a,b\n1\n", "csv", "Line 2 of the CSV has 1 values where the first has 2"),
        (b"a,a\n1,2\n", "csv", "the same name"),
        (b"\xff\xfe", "csv", "is not text in UTF-8"),
        (b'{"a": 1}\n{', "jsonl", "Line 2 of the input is not JSON"),
        (b"{", "json", "The input is not JSON"),
        (b"[" * 100_000, "json", "not JSON|nested too deeply"),
        (b"no array", "npy", "cannot be read as npy"),
        (b"", "npz", "is empty"),
        (b"PK", "npz", "from a file, not from a pipe"),
    ],
)
def test_input_that_cannot_be_read_is_told_in_a_sentence(content: bytes, form: str, message: str) -> None:
    with pytest.raises(InvalidValueError, match=message):
        read_rows(io.BytesIO(content), form, None)


def test_arrays_of_a_hostile_hand_are_refused_before_they_take_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "MAX_NPZ_BYTES", 100 << 20)
    good = io.BytesIO()
    np.save(good, np.zeros((1, 2)))
    bomb = good.getvalue().replace(b"(1, 2)", b"(9**9, 2)").replace(b"(9**9, 2)", b"(999999999999, 2)")
    with pytest.raises(InvalidValueError, match=r"another size than|cannot be read as npy"):
        read_rows(io.BytesIO(bomb), "npy", None)
    pickled = io.BytesIO()
    np.save(pickled, np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(InvalidValueError, match="Python objects, which are pickled"):
        read_rows(io.BytesIO(pickled.getvalue()), "npy", None)
    np.savez(tmp_path / "objects.npz", x=np.array([{}], dtype=object))
    with pytest.raises(InvalidValueError, match="cannot be read as npz"):
        read_rows(tmp_path / "objects.npz", "npz", None)
    with (
        zipfile.ZipFile(tmp_path / "bomb.npz", "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("x.npy", "w", force_zip64=True) as member,
    ):
        for _ in range(101):
            member.write(bytes(1 << 20))
    assert (tmp_path / "bomb.npz").stat().st_size < 1 << 22
    with pytest.raises(InvalidValueError, match="unpacks to 105906176 bytes"):
        read_rows(tmp_path / "bomb.npz", "npz", None)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["models:/frud"], "did you mean 'fraud'?"),
        (["models:/fraud", "in.xyz"], "ends with none of .csv"),
        (["models:/fraud", "nosuch.csv"], "There is no file nosuch.csv"),
        (["models:/fraud", "."], ". is a folder: name a file with rows."),
        (
            ["models:/fraud", "in.csv", "-o", "out.xlsx"],
            "not written as 'out.xlsx': end its name in .csv, .tsv, .jsonl, .json, .parquet or .npy.",
        ),
        (["models:/fraud", "few.csv"], "lacks the columns b "),
        (["models:/fraud", "in.csv", "-o", "no/folder/out.csv"], "No such file"),
        (["./nowhere", "in.csv"], "There is no folder nowhere: give the path of a model's folder."),
        ([".", "in.csv"], "is not a model folder"),
    ],
)
def test_a_mistake_in_the_call_is_one_sentence_and_exit_code_2(
    logged: Store, words: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("in.csv").write_text(CSV)
    Path("few.csv").write_text("a\n1\n")
    assert run_command(["predict", *words, "--storage", logged.url]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert len(error.splitlines()) == 1


def test_models_shows_flavour_size_and_signature(logged: Store) -> None:
    shown = CliRunner().invoke(command, ["models", "fraud", "--storage", logged.url]).output
    assert "sklearn" in shown
    assert "a: float64, b: int64 -> (rows) str" in shown
    version = json.loads(CliRunner().invoke(command, ["models", "fraud", "--json", "--storage", logged.url]).output)[
        "versions"
    ][0]
    assert version["flavor"] == "sklearn"
    assert version["size"] > 1000
    assert version["signature"]["input"]["columns"][1]["name"] == "b"


def test_a_manifest_that_is_not_the_one_in_the_store_is_refused(logged: Store, tmp_path: Path) -> None:
    from trackers.errors import DigestError
    from trackers.models import load
    from trackers.models.manifest import manifest_digest

    model = logged.get_logged_model(logged.search_runs()[0])
    assert model is not None
    folder = logged.artifacts.get_files(model.files, tmp_path / "copy")
    load(folder, digest=manifest_digest(model.manifest))
    with pytest.raises(DigestError, match=r"model\.json of the model .* was changed"):
        load(folder, digest="0" * 64)


def _edit(name: str, content: bytes) -> Any:
    return lambda folder: (folder / name).write_bytes(content)


def _link(folder: Path) -> None:
    (folder / "model.skops").rename(folder.parent / "elsewhere")
    (folder / "model.skops").symlink_to(folder.parent / "elsewhere")


@pytest.mark.parametrize(
    "change",
    [
        _edit("model.skops", b"x"),
        _edit("MLmodel", b"flavors: {sklearn: {pickled_model: evil.pkl}}"),
        _edit("requirements.txt", b"evil"),
        _edit("evil.pkl", b"cos\nsystem\n(S'true'\ntR."),
        lambda folder: (folder / "conda.yaml").unlink(),
        lambda folder: (folder / "model.json").unlink(),
        lambda folder: (folder / "model.json").write_text(
            (folder / "model.json").read_text().replace("sklearn", "onnx", 1)
        ),
        lambda folder: (folder / "model.json").write_text(
            (folder / "model.json").read_text().replace('"format": 1', '"format": 1.0')
        ),
        _link,
        lambda folder: (folder / "link").symlink_to("/etc"),
        lambda folder: os.mkfifo(folder / "pipe"),
        lambda folder: ((folder / "model.json").rename(folder / "m"), (folder / "model.json").symlink_to(folder / "m")),
    ],
)
def test_a_folder_that_was_edited_after_logging_is_refused(change: Any, logged: Store, tmp_path: Path) -> None:
    from trackers.errors import ArtifactError
    from trackers.models import load

    model = logged.get_logged_model(logged.search_runs()[0])
    assert model is not None
    folder = logged.artifacts.get_files(model.files, tmp_path / "copy")
    load(folder)
    change(folder)
    for trust in (False, True):
        with pytest.raises((ArtifactError, ModelError)) as caught:
            load(folder, trust=trust)
        assert str(caught.value).endswith((".", "again."))


def test_several_columns_are_written_with_their_names() -> None:
    out = io.BytesIO()
    write_rows(np.array([[1.0, np.nan], [2.0, 3.0]]), "jsonl", out)
    assert (
        out.getvalue() == b'{"prediction_0": 1.0, "prediction_1": null}\n{"prediction_0": 2.0, "prediction_1": 3.0}\n'
    )


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ("a,b\n,1\n", "row 1 has nothing in the column 'a'"),
        ("a,b\n1,1\n1e400,1\n", "row 2 has inf in the column 'a'"),
        ("a,b\n", "There is no row in in.csv"),
        ("A,B\n1,2\n", "lacks the columns a, b that the model was made with; it has A, B."),
        ("a|b\n1|2\n", "it has a|b."),
        ("a,b\n1,99999999999999999999\n", "99999999999999999999"),
    ],
)
def test_rows_that_cannot_be_predicted_are_told_in_a_sentence(
    logged: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any, rows: str, words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("in.csv").write_text(rows)
    assert run_command(["predict", "fraud@production", "in.csv", "--storage", logged.url]) in (1, 2)
    said = capsys.readouterr().err
    assert words in said
    assert "should not happen" not in said
    assert said.count("\n") == 1


def test_a_model_behind_the_file_is_told_the_order(logged: Store, tmp_path: Path, capsys: Any) -> None:
    (tmp_path / "in.csv").write_text(CSV)
    for model in ("models:/fraud@production", "fraud@production"):
        assert run_command(["predict", str(tmp_path / "in.csv"), model, "--storage", logged.url]) == 2
        told = capsys.readouterr().err
        assert told == f"Error: The model stands before the file: trackers predict {model} {tmp_path}/in.csv.\n"


def test_predictions_are_not_written_over_their_rows(logged: Store, tmp_path: Path, capsys: Any) -> None:
    rows = tmp_path / "in.csv"
    rows.write_text(CSV)
    assert run_command(["predict", "fraud/1", str(rows), "-o", str(rows), "--storage", logged.url]) == 2
    assert "holds the rows themselves" in capsys.readouterr().err
    assert rows.read_text() == CSV


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (None, "not NoneType"),
        (3, "not int"),
        ((row for row in ()), "not generator"),
        (np.zeros((2, 2, 2)), r"not an array of shape \(2, 2, 2\)"),
        (np.zeros(2), r"not an array of shape \(2,\); for one row use X.reshape\(1, -1\)"),
        ([1.0, 2.0], r"not 0: a list of one row is \[\[...\]\]"),
        ([[1.0, 2.0], [3.0]], "the rows have different lengths: 1, 2"),
        ({"a": 1.0, "b": 2.0}, "A dict holds columns"),
        ({"a": [1.0], "b": [2.0, 3.0]}, "The input is no table"),
        (pd.DataFrame([[1, 2]], columns=pd.MultiIndex.from_tuples([("a", "x"), ("b", "y")])), "several levels"),
    ],
)
def test_what_is_no_table_is_told_in_a_sentence(logged: Store, rows: Any, words: str) -> None:
    model = trackers.load_model("models:/fraud", store=logged)
    with pytest.raises(InvalidValueError, match=words):
        model.predict(rows)


def test_an_example_that_the_model_cannot_predict_is_told_and_does_not_close_the_model(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from trackers.models import load, save

    wide = LogisticRegression().fit(np.arange(12.0).reshape(4, 3), [0, 0, 1, 1])
    with caplog.at_level("WARNING", "trackers.models"):
        save(wide, tmp_path / "model", input_example=np.zeros((2, 2)))
    assert "does not predict its input_example (ValueError: X has 2 features" in caplog.text
    assert len(load(tmp_path / "model").predict(np.zeros((2, 3)))) == 2


@needs("mlflow", reason="pip install 'hpo[mlflow]'")
@pytest.mark.filterwarnings("ignore")
def test_the_terminal_says_how_to_trust(tmp_path: Path, capsys: Any) -> None:
    import mlflow

    mlflow.sklearn.save_model(MODEL, tmp_path / "pickled", serialization_format="cloudpickle")
    (tmp_path / "in.csv").write_text(CSV)
    assert run_command(["predict", str(tmp_path / "pickled"), str(tmp_path / "in.csv")]) == 2
    said = capsys.readouterr().err
    assert "--trust all" in said
    assert "trust=True" not in said


def test_the_terminal_names_its_own_option_for_types(monkeypatch: Any, tmp_path: Path, capsys: Any) -> None:
    def refuse(*_: Any, **options: Any) -> None:
        raise UntrustedError(f"The model holds these types: if you trust them, use trust=['a.B', 'c.<D>'] ({options}).")

    monkeypatch.setattr("trackers.models.load_model", refuse)
    (tmp_path / "in.csv").write_text(CSV)
    assert run_command(["predict", "models:/fraud", str(tmp_path / "in.csv"), "--trust", "x.Y"]) == 2
    assert "if you trust them, use --trust a.B --trust 'c.<D>' (" in capsys.readouterr().err


def test_a_lineage_is_written_in_the_form_that_its_file_is_named_after(
    logged: Store, tmp_path: Path, capsys: Any
) -> None:
    call = ["lineage", "fraud/1", "--storage", logged.url]
    assert run_command([*call, "-o", str(tmp_path / "l.svg")]) == 0
    assert (tmp_path / "l.svg").read_text().startswith("<svg")
    assert run_command([*call, "-o", str(tmp_path / "l.json"), "--json"]) == 0
    assert json.loads((tmp_path / "l.json").read_text())
    assert run_command([*call, "--json", "--format", "svg"]) == 2
    assert "exclude each other" in capsys.readouterr().err


def test_an_alias_behind_a_slash_is_told_how_it_is_written(logged: Store) -> None:
    with pytest.raises(InvalidValueError, match=r"an alias is written models:/fraud@production$"):
        logged.load_model("models:/fraud/production")
    with pytest.raises(InvalidValueError, match=r"models:/fraud@Production, its capitals as they were given"):
        logged.load_model("models:/fraud/Production")


def test_a_model_of_texts_that_nobody_described_does_not_answer_for_the_names_of_columns(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import make_pipeline

    model = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(["good film", "bad film"], [1, 0])
    save(model, tmp_path / "model")
    (tmp_path / "in.csv").write_text("text\ngood film\nbad film\nnice\n")
    assert run_command(["predict", str(tmp_path / "model"), str(tmp_path / "in.csv")]) != 0
    assert "The model gives 1 answer for 3 rows" in capsys.readouterr().err
    save(model, tmp_path / "told", input_example=["good film", "bad film"])
    assert run_command(["predict", str(tmp_path / "told"), str(tmp_path / "in.csv")]) == 0
    assert capsys.readouterr().out.split() == [
        "prediction",
        *map(str, model.predict(["good film", "bad film", "nice"])),
    ]


def test_an_argument_that_log_model_has_not_is_named_with_what_there_is(tmp_path: Path) -> None:
    with trackers.connect(f"sqlite:///{tmp_path}/hpo.db") as store, store.start_run("e") as run:
        for name, hint in (
            ("artifact_path", "give the name"),
            ("input_exemple", "did you mean input_example?"),
            ("nonsense", "there are"),
        ):
            with pytest.raises(TypeError, match=f"log_model has no argument {name}.*{hint}"):
                run.log_model(MODEL, **{name: "x"})
