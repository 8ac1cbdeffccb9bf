"""The code that ran is what is kept: also where git ignores it, does not track it, or where it lies elsewhere."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.git import git, make_repository
from trackers import capture
from trackers.capture import checkout
from trackers.capture.compare import compare
from trackers.capture.state import state_digest

LOOK = """
import json, sys
from pathlib import Path
from trackers import capture
print(json.dumps(capture.code_state(Path(sys.argv[0]).resolve(), seconds=60.0).record()))
"""


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    return make_repository(tmp_path / "repo")


def run(script: Path, *folders: Path) -> dict[str, Any]:
    """Run a script that looks at its own code, with *folders* on the path; return the record."""
    path = os.pathsep.join(map(str, [*folders, Path(__file__).resolve().parents[2]]))
    done = subprocess.run(
        [sys.executable, str(script)], env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True, check=True
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_a_script_that_git_ignores_is_kept_and_is_no_clean_tree(repository: Path, tmp_path: Path) -> None:
    (repository / ".gitignore").write_text("notes_*.py\n")
    git(repository, "add", ".gitignore")
    git(repository, "commit", "-q", "-m", "ignore notes")
    (repository / "notes_exp.py").write_text("print(1)\n")
    state = capture.code_state(repository / "notes_exp.py")
    assert (state.dirty, list(state.files)) == (True, ["notes_exp.py"])
    other = capture.code_state(repository / "study.py")
    assert (other.dirty, list(other.files)) == (False, [])
    done = checkout.restore(state.record(), state.bundle(), tmp_path / "again", repository)
    assert done.exact
    assert (tmp_path / "again" / "notes_exp.py").read_text() == "print(1)\n"


def test_an_imported_module_that_git_does_not_know_is_no_clean_tree(repository: Path) -> None:
    (repository / ".gitignore").write_text("_version.py\n")
    (repository / "helper.py").write_text("depth = 3\n")
    (repository / "_version.py").write_text("version = '1'\n")
    (repository / "look.py").write_text("import helper, _version\n" + LOOK)
    git(repository, "add", ".gitignore", "look.py")
    git(repository, "commit", "-q", "-m", "look")
    record = run(repository / "look.py")
    assert (record["dirty"], sorted(record["files"])) == (True, ["_version.py", "helper.py"])
    git(repository, "add", "helper.py")
    git(repository, "commit", "-q", "-m", "help")
    record = run(repository / "look.py")
    assert record["dirty"] is False, "what a build writes, and git ignores, is no change"
    assert sorted(record["files"]) == ["_version.py"]


def test_a_submodule_that_was_changed_is_no_clean_tree(repository: Path, tmp_path: Path) -> None:
    other = make_repository(tmp_path / "other")
    git(repository, "-c", "protocol.file.allow=always", "submodule", "add", str(other), "lib")
    git(repository, "commit", "-q", "-m", "lib")
    first = capture.code_state(repository)
    assert (first.dirty, first.notes) == (False, ())
    (repository / "lib" / "study.py").write_text("x = 7\n")
    state = capture.code_state(repository)
    assert state.dirty
    assert state.left_out == {"lib": "a submodule with changes that are not kept"}
    (repository / "lib" / "study.py").write_text("x = 8\n")
    other_state = capture.code_state(repository)
    assert len({state_digest(one.record()) for one in (first, state, other_state)}) == 3
    git(repository / "lib", "commit", "-q", "-am", "seven")
    git(repository, "commit", "-q", "-am", "lib is at seven")
    second = capture.code_state(repository)
    found = compare((first.record(), first.bundle()), (second.record(), second.bundle()), repository)
    assert found.files["lib"] == (f"(submodule, {first.submodules['lib'][:12]} -> {second.submodules['lib'][:12]})",)


@pytest.mark.parametrize("inside", [False, True])
def test_modules_from_elsewhere_are_kept(tmp_path: Path, repository: Path, inside: bool) -> None:
    script = repository / "app" / "look.py" if inside else tmp_path / "app" / "look.py"
    script.parent.mkdir()
    (tmp_path / "lib" / "mylib").mkdir(parents=True)
    (tmp_path / "lib" / "mylib" / "__init__.py").write_text("from mylib import layers\n")
    (tmp_path / "lib" / "mylib" / "layers.py").write_text("depth = 3\n")
    script.write_text("import mylib\n" + LOOK)
    if inside:
        git(repository, "add", ".")
        git(repository, "commit", "-q", "-m", "look")
    record = run(script, tmp_path / "lib")
    kept = sorted(record["files"])
    below = [f"imported-from-elsewhere/lib/mylib/{name}.py" for name in ("__init__", "layers")]
    assert kept == (below if inside else sorted([*below, "look.py"]))
    assert record["notes"] == []
    assert record["dirty"] is (False if inside else None)
    (tmp_path / "lib" / "mylib" / "layers.py").write_text("depth = 4\n")
    assert run(script, tmp_path / "lib")["files"] != record["files"], "it is another code"


def test_a_module_that_is_imported_by_a_link_is_kept_by_its_name(tmp_path: Path) -> None:
    folder = tmp_path / "app"
    (folder / "package").mkdir(parents=True)
    (folder / "package" / "model.py").write_text("depth = 3\n")
    (folder / "link.py").symlink_to("package/model.py")
    (folder / "look.py").write_text("import link\n" + LOOK)
    assert sorted(run(folder / "look.py")["files"]) == ["link.py", "look.py"]


def test_a_module_of_a_submodule_takes_nothing_else_away(repository: Path, tmp_path: Path) -> None:
    other = make_repository(tmp_path / "other")
    (other / "inner.py").write_text("depth = 3\n")
    git(other, "add", ".")
    git(other, "commit", "-q", "-m", "inner")
    git(repository, "-c", "protocol.file.allow=always", "submodule", "add", str(other), "lib")
    (repository / "look.py").write_text("import sys; sys.path.insert(0, 'lib')\nimport inner\n" + LOOK)
    git(repository, "add", ".")
    git(repository, "commit", "-q", "-m", "lib")
    (repository / "study.py").write_text("x = 8\n")
    record = run(repository / "look.py", repository / "lib")
    assert (record["dirty"], record["notes"]) == (True, [])
    assert record["diff"]


def test_modules_that_are_odd_or_many_take_nothing_away(tmp_path: Path) -> None:
    folder, lib = tmp_path / "app", tmp_path / "lib"
    folder.mkdir()
    lib.mkdir()
    (lib / "lazy.py").write_text("TABLE = {}\ndef __getattr__(name): return TABLE[name]\n")
    for number in range(520):
        (lib / f"tiny_{number}.py").write_text("")
    names = ", ".join(f"tiny_{number}" for number in range(520))
    (folder / "look.py").write_text(f"import lazy, {names}\n" + LOOK)
    record = run(folder / "look.py", lib)
    assert "look.py" in record["files"]
    assert (len(record["files"]), record["notes"]) == (500, [])
    assert record["left_out_count"] == 22


def test_folders_of_one_name_are_told_apart(tmp_path: Path) -> None:
    for name, depth in (("first", 1), ("second", 2)):
        (tmp_path / name / "src").mkdir(parents=True)
        (tmp_path / name / "src" / f"of_{name}.py").write_text(f"depth = {depth}\n")
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "look.py").write_text("import of_first, of_second\n" + LOOK)
    record = run(tmp_path / "app" / "look.py", tmp_path / "first" / "src", tmp_path / "second" / "src")
    below = ["imported-from-elsewhere/src-2/of_second.py", "imported-from-elsewhere/src/of_first.py"]
    assert sorted(record["files"]) == [*below, "look.py"]


def test_what_a_link_leads_to_outside_the_repository_is_kept(repository: Path, tmp_path: Path) -> None:
    (tmp_path / "shared.py").write_text("depth = 3\n")
    (repository / "shared.py").symlink_to("../shared.py")
    (repository / "look.py").write_text("import shared\n" + LOOK)
    git(repository, "add", ".")
    git(repository, "commit", "-q", "-m", "link")
    record = run(repository / "look.py")
    assert (record["dirty"], list(record["files"])) == (False, ["imported-from-elsewhere/repo/shared.py"])
