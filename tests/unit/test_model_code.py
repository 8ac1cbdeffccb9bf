"""The code that models bring runs apart: from that of other models, and from what this process has by its names."""

from __future__ import annotations

import pickle
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import pytest

from trackers.errors import ModelError, UntrustedError
from trackers.models import LoadedModel, load
from trackers.models.carried import carried_module, carrying
from trackers.models.trust import Trust

NET = """\
import json, os
{above}
class Net:
    def save(self, folder): open(os.path.join(folder, "x"), "w").close()
    @classmethod
    def load(cls, folder): {loading}; return cls()
    def predict(self, rows):
        {within}
        return [{call} * row[0] for row in rows]
"""
FORMS = {
    "above": {"above": "import carriedhelp", "call": "carriedhelp.factor()"},
    "within": {"within": "import carriedhelp", "call": "carriedhelp.factor()"},
    "from within": {"within": "from carriedhelp import factor", "call": "factor()"},
    "below, within": {"within": "import carriedhelp.deep.deeper", "call": "carriedhelp.deep.deeper.factor()"},
    "as, within": {"within": "import carriedhelp.deep.deeper as deepest", "call": "deepest.factor()"},
    "when it is loaded": {"loading": "import carriedhelp; cls.help = carriedhelp", "call": "self.help.factor()"},
}
HELP = "def factor():\n    from . import deep\n    from .deep.deeper import factor\n    return factor()\n"


def make(folder: Path, factor: int, form: str = "above", package: bool = True) -> Path:
    """Save a model that multiplies by *factor*, which a module that it brings knows, in a process of its own."""
    parts = {"above": "", "loading": "pass", "within": "pass"} | FORMS[form]
    folder.mkdir()
    (folder / "carriednet.py").write_text(NET.format(**parts))
    if package:
        (folder / "carriedhelp" / "deep").mkdir(parents=True)
        (folder / "carriedhelp" / "__init__.py").write_text(HELP)
        (folder / "carriedhelp" / "deep" / "__init__.py").write_text("")
        (folder / "carriedhelp" / "deep" / "deeper.py").write_text(f"def factor():\n    return {factor}\n")
    else:
        (folder / "carriedhelp.py").write_text(f"class Kept: pass\ndef factor():\n    return {factor}\n")
    code = "carriedhelp" if package else "carriedhelp.py"
    run = f"import carriednet, trackers.models as m; m.save(carriednet.Net(), 'model', code=[{code!r}])"
    subprocess.run([sys.executable, "-c", run], check=True, cwd=folder)
    return folder / "model"


def forget() -> None:
    for name in [name for name in sys.modules if name.startswith("carried")]:
        del sys.modules[name]


@pytest.fixture(autouse=True)
def unknown() -> Iterator[None]:
    forget()
    yield
    forget()


def gives(model: LoadedModel) -> int:
    (given,) = model.predict([[1]])
    return int(given)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("here", [False, True], ids=["alone", "with a project's own"])
def test_models_that_differ_in_a_helper_alone_predict_by_their_own(
    form: str, here: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = {factor: make(tmp_path / str(factor), factor, form) for factor in (2, 3)}
    if here:
        (tmp_path / "carriedhelp.py").write_text("def factor():\n    return 77\n")
        monkeypatch.syspath_prepend(str(tmp_path))
    models = {factor: load(folder, trust=True) for factor, folder in folders.items()}
    for _ in range(2):
        assert {factor: gives(model) for factor, model in models.items()} == {2: 2, 3: 3}
    if here:
        import carriedhelp  # type: ignore[import-not-found]

        assert carriedhelp.factor() == 77
    assert {factor: gives(model) for factor, model in models.items()} == {2: 2, 3: 3}
    assert gives(load(folders[2], trust=True)) == 2
    assert [type(load(folders[3], trust=True).unwrap()) is type(models[3].unwrap()) for _ in "ab"] == [True, True]


def test_what_predict_imports_is_there_when_the_folder_is_gone(tmp_path: Path) -> None:
    folder = make(tmp_path / "a", 5, "below, within")
    model = load(folder, trust=True)
    shutil.rmtree(folder)
    assert gives(model) == 5


def test_threads_load_and_predict_at_once_each_by_its_own(tmp_path: Path) -> None:
    folders = {factor: make(tmp_path / str(factor), factor, "within", package=False) for factor in (2, 3)}
    together = threading.Barrier(8)

    def work(at: int) -> bool:
        factor = 2 + at % 2
        together.wait()
        return all(gives(load(folders[factor], trust=True)) == factor for _ in range(20))

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(8)))


def test_a_model_without_code_gets_the_module_of_the_process_while_another_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = make(tmp_path / "model", 2, package=False)
    (tmp_path / "carriedhelp.py").write_text("def factor():\n    return 7\n")
    monkeypatch.syspath_prepend(tmp_path)
    code = sorted(f"code/{path.name}" for path in (model / "code").iterdir())
    with ThreadPoolExecutor(1) as other:
        with carrying(model, code, {}, Trust(True)):
            assert carried_module("carriedhelp").factor() == 2
            found = other.submit(carried_module, "carriedhelp")
            wait([found], timeout=0.5)
        assert found.result().factor() == 7


def test_instances_of_both_are_pickled_in_the_process(tmp_path: Path) -> None:
    for factor in (2, 3):
        model = load(make(tmp_path / str(factor), factor, "above", package=False), trust=True)
        again: Any = pickle.loads(pickle.dumps(model.unwrap()))
        assert again.predict([[1]]) == [factor]


def test_a_project_that_has_the_same_code_is_used_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make(tmp_path / "a", 2, "within", package=False)
    monkeypatch.syspath_prepend(str(tmp_path / "a"))
    import carriednet  # type: ignore[import-not-found]

    assert type(load(folder, trust=True).unwrap()) is carriednet.Net


def test_a_trusted_name_means_the_helpers_that_it_was_saved_with_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, trust = make(tmp_path / "a", 2, "within"), ["carriednet.Net"]
    monkeypatch.syspath_prepend(str(tmp_path / "a"))
    assert gives(load(folder, trust=trust)) == 2
    deep = tmp_path / "a" / "carriedhelp" / "deep" / "deeper.py"
    deep.write_text("def factor():\n    return 77\n")
    with pytest.raises(
        UntrustedError, match=r"deeper\.py is not the code .* its code/carriedhelp/deep/deeper\.py: use"
    ):
        load(folder, trust=trust)
    deep.unlink()
    with pytest.raises(UntrustedError, match=r"carriedhelp\.deep\.deeper cannot be imported here; the model brings"):
        load(folder, trust=trust)


def test_code_that_fails_says_so_and_leaves_nothing_behind(tmp_path: Path) -> None:
    folder = make(tmp_path / "a", 2, "above", package=False)
    with pytest.raises(ModelError, match=r"code that came with the model fails: ZeroDivisionError"):
        load(broken(folder), trust=True)
    assert not [name for name in sys.modules if name.startswith("carried")]


def broken(folder: Path) -> Path:
    """Save the model in *folder* again with a helper that fails."""
    parent = folder.parent
    (parent / "carriedhelp.py").write_text("import os\nif 'FAILS' not in os.environ: 1 / 0\n")
    run = (
        "import os; os.environ['FAILS'] = '1'\n"
        "import carriednet, trackers.models as m; m.save(carriednet.Net(), 'broken', code=['carriedhelp.py'])"
    )
    subprocess.run([sys.executable, "-c", run], check=True, cwd=parent)
    return parent / "broken"


def test_two_files_of_one_name_cannot_both_travel(tmp_path: Path) -> None:
    make(tmp_path / "a", 2, package=False)
    (tmp_path / "a" / "other").mkdir()
    (tmp_path / "a" / "other" / "carriednet.py").write_text("X = 1\n")
    run = (
        "import carriednet, trackers.models as m\n"
        "m.save(carriednet.Net(), 'again', code=['carriednet.py'])\n"
        "m.save(carriednet.Net(), 'two', code=['carriedhelp.py', 'other/carriednet.py'])"
    )
    done = subprocess.run([sys.executable, "-c", run], cwd=tmp_path / "a", capture_output=True, text=True)
    assert (tmp_path / "a" / "again" / "model.json").exists()
    assert "InvalidValueError" in done.stderr
    assert "the model brings another carriednet.py already" in done.stderr
