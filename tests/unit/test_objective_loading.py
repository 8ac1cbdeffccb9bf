from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import hpo.objectives
from hpo.errors import ObjectiveError, SettingsError, SpaceError
from hpo.objective_file import load_objective
from hpo.objectives import spec_of
from hpo.space import Float

MARKED = """
import hpo.objectives as hpo_objectives
from hpo.space import Float

@hpo_objectives.objective(space={"x": Float(0, 1)}, direction="maximize", metric="accuracy", n_trials=7)
def digits(trial):
    return trial.params["x"]
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty current folder; modules and paths that a test adds are taken away again."""
    modules, path = set(sys.modules), list(sys.path)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    for name in set(sys.modules) - modules:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]
    sys.path[:] = path


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return path


def test_the_decorator_returns_the_function_and_keeps_what_it_was_told() -> None:
    def square(trial: object) -> float:
        return 1.0

    marked = hpo.objectives.objective(space={"x": Float(0, 1)}, directions=["minimize", "maximize"], pruner="asha")(
        square
    )
    assert marked is square
    spec = spec_of(square)
    assert (spec.name, spec.directions, spec.metrics) == ("square", ("minimize", "maximize"), ("value_0", "value_1"))
    assert spec.space is not None
    assert list(spec.space) == ["x"]
    assert spec.settings.pruner == "asha"


def test_the_decorator_may_be_used_bare() -> None:
    @hpo.objectives.objective
    def square(trial: object) -> float:
        return 1.0

    assert spec_of(square).space is None
    assert spec_of(square).directions == ("minimize",)


def test_the_decorator_refuses_what_makes_no_sense() -> None:
    with pytest.raises(SettingsError, match=r"no setting prunner in @hpo\.objective; did you mean pruner\?"):
        hpo.objectives.objective(prunner="asha")
    with pytest.raises(SpaceError):
        hpo.objectives.objective(space={"x": 3})  # type: ignore[dict-item]
    with pytest.raises(ObjectiveError, match="marks a function, not 3"):
        hpo.objectives.objective()(3)  # type: ignore[type-var]


def test_a_file_with_one_marked_function_needs_no_name(folder: Path) -> None:
    path = write(folder, "sweep_one.py", MARKED + "\ndef helper(x):\n    return x\n")
    loaded = load_objective("sweep_one.py")
    assert (loaded.name, loaded.file, loaded.spec.metrics) == ("digits", str(path), ("accuracy",))
    assert loaded.source == path.read_text()
    assert loaded.function.__module__ == "sweep_one"
    assert sys.modules["sweep_one"].digits is loaded.function
    assert load_objective(loaded.reference).function is loaded.function


def test_a_plain_optuna_objective_serves_by_name_or_when_it_is_called_objective(folder: Path) -> None:
    write(folder, "plain_one.py", "def objective(trial):\n    return 1.0\n\ndef other(trial):\n    return 2.0\n")
    assert load_objective("plain_one.py").name == "objective"
    assert load_objective("plain_one.py:other").function(None) == 2.0
    assert load_objective("plain_one.py").spec.space is None


def test_a_file_imports_what_lies_beside_it(folder: Path) -> None:
    write(folder, "sub/neighbour_data.py", "N = 3\n")
    write(folder, "sub/with_neighbour.py", "from neighbour_data import N\n\ndef objective(trial):\n    return N\n")
    assert load_objective("sub/with_neighbour.py").function(None) == 3


def test_a_changed_file_is_imported_again(folder: Path) -> None:
    write(folder, "changing.py", "def objective(trial):\n    return 1.0\n")
    assert load_objective("changing.py").function(None) == 1.0
    write(folder, "changing.py", "def objective(trial):\n    return 2.0\n")
    assert load_objective("changing.py").function(None) == 2.0


def test_files_of_one_name_in_two_folders_are_two_modules(folder: Path) -> None:
    write(folder, "a/study_twin.py", "def objective(trial):\n    return 1.0\n")
    write(folder, "b/study_twin.py", "def objective(trial):\n    return 2.0\n")
    assert load_objective("a/study_twin.py").function(None) == 1.0
    assert load_objective("b/study_twin.py").function(None) == 2.0
    assert load_objective("a/study_twin.py").function(None) == 1.0


def test_comments_settings_and_other_objectives_do_not_change_the_digest(folder: Path) -> None:
    body = "@hpo.objective({settings})\ndef one(trial):\n    {doc}\n    return {value}\n"
    other = "@hpo.objective\ndef two(trial):\n    return {other}\n"
    texts = [
        "import hpo.objectives\nobjective = hpo.objectives.objective\n"
        + (body + other).replace("@hpo.objective", "@objective").format(settings=s, doc=d, value=v, other=o)
        for s, d, v, o in [
            ("", "pass", 1, 1),
            ("total_trials=9", "pass  # a comment", 1, 2),
            ("", "pass", 2, 1),
        ]
    ]
    loaded = [load_objective(f"{write(folder, f'digest_{i}.py', text)}:one") for i, text in enumerate(texts)]
    assert loaded[0].digest == loaded[1].digest != loaded[2].digest
    assert loaded[1].difference(loaded[0].record()) == ""
    difference = loaded[2].difference(loaded[0].record())
    assert difference == "the code of digest_2.py (1 line new, 1 gone: return 1)"


@pytest.mark.parametrize(
    ("reference", "files", "sentence"),
    [
        ("none.py", {"nine.py": ""}, "There is no file none.py; did you mean nine.py?"),
        ("notes.txt", {"notes.txt": ""}, "notes.txt is not a .py file: an objective is a Python function in one."),
        (".", {}, ". is a folder: name the .py file in it that holds the objective."),
        ("random.py", {"random.py": ""}, "random.py cannot be imported as a module called random: rename the file."),
        (
            "empty_one.py",
            {"empty_one.py": ""},
            "empty_one.py holds no objective: mark one with @hpo.objective or name it, empty_one.py:NAME.",
        ),
        (
            "unmarked.py",
            {"unmarked.py": "def train(trial): ...\ndef test(trial): ...\n"},
            "unmarked.py holds no objective: mark one with @hpo.objective or name it, unmarked.py:NAME; its functions: train, test.",
        ),
        (
            "double.py",
            {"double.py": MARKED + MARKED.replace("digits", "letters")},
            "double.py holds 2 objectives: say which, double.py:digits or double.py:letters.",
        ),
        (
            "named.py:digit",
            {"named.py": MARKED},
            "named.py has no function digit (it has digits); did you mean digits?",
        ),
        (
            "failing.py",
            {"failing.py": "a = 1\nb = a / 0\n"},
            "failing.py cannot be imported: line 2: ZeroDivisionError: division by zero.",
        ),
        (
            "broken.py",
            {"broken.py": "a = 1\ndef f(:\n"},
            "broken.py cannot be imported: line 2: SyntaxError: invalid syntax.",
        ),
        (
            "missing.py",
            {"missing.py": "import no_such_thing\n"},
            "missing.py cannot be imported: line 1: ModuleNotFoundError: No module named 'no_such_thing' "
            "(install no_such_thing, or start where it can be imported).",
        ),
        ("exits.py", {"exits.py": "raise SystemExit(3)\n"}, "exits.py cannot be imported: line 1: SystemExit: 3."),
        (
            "badspace.py",
            {"badspace.py": "from hpo.settings import Settings\n\nSettings.of({'workers': -1})\n"},
            "badspace.py cannot be imported: line 3: workers must be at least 0, not -1.",
        ),
    ],
)
def test_a_file_without_a_usable_objective_is_answered_with_one_sentence(
    folder: Path, reference: str, files: dict[str, str], sentence: str
) -> None:
    for name, text in files.items():
        write(folder, name, text)
    before = set(sys.modules)
    with pytest.raises(ObjectiveError) as caught:
        load_objective(reference)
    assert str(caught.value) == sentence
    if "cannot be imported" in sentence:
        assert Path(reference).stem not in set(sys.modules) - before
