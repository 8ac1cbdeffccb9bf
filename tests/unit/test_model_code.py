"""The code that models bring runs apart: from that of other models, and from what this process has by its names."""

from __future__ import annotations

import importlib
import json
import os
import pickle
import queue
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from trackers.errors import ModelError, UntrustedError
from trackers.models import LoadedModel, load, save
from trackers.models.carried import carried_module
from trackers.models.flavor import APART_NAME

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


def keep(folder: Path, code: str, files: dict[str, str], brought: list[str], name: str = "carriednet.Net") -> Path:
    """Save an instance of a class, in a process of its own, with *files* beside it; return the model's folder."""
    folder.mkdir()
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    module, _, kind = name.rpartition(".")
    place = folder / f"{module.replace('.', '/')}.py"
    place.write_text(NET.format(**{"above": "", "loading": "pass", "within": "pass", "call": "2"} | {"above": code}))
    run = f"import {module}, trackers.models as m; m.save({module}.{kind}(), 'model', code={brought!r})"
    subprocess.run([sys.executable, "-c", run], check=True, cwd=folder)
    return folder / "model"


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A module that the code of models finds in the process: two events, by which threads wait for each other."""
    module: Any = ModuleType("gate_of_test")
    module.entered, module.leave = threading.Event(), threading.Event()
    monkeypatch.setitem(sys.modules, "gate_of_test", module)
    yield module
    module.leave.set()


WAITS = "import sys\ngate = sys.modules.get('gate_of_test')\nif gate: gate.entered.set(); assert gate.leave.wait(30)\n"
"""Waits in the process of the test, and not where the model is saved."""


@pytest.mark.parametrize("here", [False, True], ids=["alone", "with a project's own"])
def test_a_class_in_a_package_that_travels_is_that_of_its_model(
    here: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = {}
    for factor in (2, 3, 77):
        files = {"carriedpkg/__init__.py": "READY = True\n", "carriedpkg/base.py": f"def factor(): return {factor}\n"}
        code = "from . import READY\nfrom .base import factor\nfrom carriedpkg.base import factor as same\n"
        folder = tmp_path / str(factor)
        folders[factor] = keep(folder, code, files, ["carriedpkg"], "carriedpkg.nets.Net")
    if here:
        monkeypatch.syspath_prepend(str(tmp_path / "77"))
        import carriedpkg.nets  # type: ignore[import-not-found]
    models = {factor: load(folders[factor], trust=True).unwrap() for factor in (2, 3)}
    for factor, model in models.items():
        assert sys.modules[type(model).__module__].factor() == factor
        assert sys.modules[type(model).__module__].same() == factor
        assert type(pickle.loads(pickle.dumps(model))) is type(model)
    if here:
        assert carriedpkg.nets.factor() == 77


def test_other_threads_have_what_they_had_while_a_model_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gate: Any
) -> None:
    helper = "class Kept: pass\ndef factor(): return 2\n"
    files = {"carriedhelp.py": helper, "carriedlate.py": "def factor(): return 2\n"}
    looks = "import importlib, pickle, carriedhelp, carriedlate\n" + WAITS
    looks += "FOUND = [importlib.import_module(n).factor() for n in ('carriedhelp', 'carriedlate')]\n"
    looks += "assert type(pickle.loads(pickle.dumps(carriedhelp.Kept()))) is carriedhelp.Kept\n"
    model = keep(tmp_path / "model", looks, files, list(files))
    (tmp_path / "carriedhelp.py").write_text("class Kept: pass\ndef factor(): return 77\n")
    (tmp_path / "carriedlate.py").write_text("def factor(): return 78\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    import carriedhelp

    with ThreadPoolExecutor(1) as pool:
        loading = pool.submit(load, model, trust=True)
        assert gate.entered.wait(30)
        from carriedhelp import factor

        assert (factor(), carriedhelp.factor()) == (77, 77)
        assert type(pickle.loads(pickle.dumps(carriedhelp.Kept()))) is carriedhelp.Kept
        assert carried_module("carriedhelp").factor() == 77
        child = os.fork()
        if not child:
            names = sys.modules["carriedhelp"], importlib.import_module("carriedlate")
            os._exit(0 if [type(one) for one in names] == [ModuleType] * 2 and names[0].factor() == 77 else 1)
        assert os.waitpid(child, 0)[1] == 0
        import carriedlate  # type: ignore[import-not-found]

        assert carriedlate.factor() == 78
        gate.leave.set()
        assert sys.modules[type(loading.result().unwrap()).__module__].FOUND == [2, 2]
    assert [type(sys.modules[name]) for name in ("carriedhelp", "carriedlate")] == [ModuleType] * 2
    assert sys.modules["carriedlate"].factor() == 78


OWN = {
    "pickle": "import pickle\nT = pickle.loads(pickle.dumps(carriedhelp.deep.Thing()))",
    "pickle in Python": "import io, pickle\nT = pickle._Unpickler(io.BytesIO(pickle.dumps(carriedhelp.deep.Thing()))).load()",
    "importlib": "import importlib\nT = importlib.import_module('carriedhelp.deep').Thing()",
    "from importlib": "from importlib import import_module, resources\nT = import_module('.deep', 'carriedhelp').Thing()",
    "__import__": "T = __import__('carriedhelp.deep', fromlist=['Thing']).Thing()",
    "sys.modules": "import sys, importlib\nimportlib.import_module('carriedhelp')\nT = carriedhelp.deep.Thing()",
    "resources": "from importlib import resources\n"
    "assert (resources.files(carriedhelp) / 'deep.py').is_file()\nT = carriedhelp.deep.Thing()",
    "star": "from carriedhelp.deep import *\nT = Thing()",
}


@pytest.mark.parametrize("way", OWN)
def test_code_finds_what_travels_with_it_in_every_way(
    way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {"carriedhelp/__init__.py": "", "carriedhelp/deep.py": "class Thing: value = 2\n"}
    code = f"import carriedhelp.deep\n{OWN[way]}\nassert type(T) is carriedhelp.deep.Thing\n"
    model = keep(tmp_path / "model", code, files, ["carriedhelp"])
    alone = load(model, trust=True).unwrap()
    assert sys.modules[type(alone).__module__].T.value == 2
    assert "carriedhelp" not in sys.modules
    for name in [name for name in sys.modules if name.startswith(APART_NAME)]:
        del sys.modules[name]  # so that it runs once more
    (tmp_path / "carriedhelp").mkdir()
    (tmp_path / "carriedhelp" / "__init__.py").write_text("")
    (tmp_path / "carriedhelp" / "deep.py").write_text("class Thing: value = 77\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    project = importlib.import_module("carriedhelp.deep")
    beside = load(model, trust=True).unwrap()
    assert type(beside) is not type(alone)
    assert sys.modules[type(beside).__module__].T.value == 2
    assert sys.modules["carriedhelp.deep"] is project
    assert project.Thing.value == 77


def test_modules_are_kept_from_a_pickle_and_imported_by_name_within_predict(tmp_path: Path) -> None:
    files = {"carriedhelp.py": "def factor(): return 2\n", "carriedlate.py": "def factor(): return 3\n"}
    code = (
        "import cloudpickle, importlib, carriedhelp\n"
        "KEPT = cloudpickle.loads(cloudpickle.dumps(lambda: carriedhelp.factor()))\n"
        "def late(): return importlib.import_module('carriedlate').factor() + KEPT()\n"
    )
    loaded = load(keep(tmp_path / "model", code, files, list(files)), trust=True).unwrap()
    assert sys.modules[type(loaded).__module__].late() == 5


def test_the_code_of_a_model_may_import_in_threads_of_its_own(tmp_path: Path) -> None:
    code = (
        "from concurrent.futures import ThreadPoolExecutor\nimport carriedhelp\n"
        "def part(at):\n    from carriedhelp import factor\n    import carriedhelp as again\n    return factor()\n"
        "with ThreadPoolExecutor(2) as pool: PARTS = list(pool.map(part, range(4)))\n"
    )
    model = keep(tmp_path / "model", code, {"carriedhelp.py": "def factor(): return 5\n"}, ["carriedhelp.py"])
    assert sys.modules[type(load(model, trust=True).unwrap()).__module__].PARTS == [5] * 4


def test_a_load_within_an_import_and_an_import_within_a_load_do_not_wait_for_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gate: Any
) -> None:
    slow = keep(
        tmp_path / "slow", WAITS + "if gate: import project_of_test\n", {"carriedhelp.py": ""}, ["carriedhelp.py"]
    )
    quick = keep(tmp_path / "quick", "", {"carriedhelp.py": "X = 1\n"}, ["carriedhelp.py"])
    (tmp_path / "project_of_test.py").write_text(
        "import gate_of_test, trackers.models\ngate_of_test.leave.set()\n"
        f"CHAMPION = trackers.models.load({str(quick)!r}, trust=True)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    with ThreadPoolExecutor(1) as pool:
        loading = pool.submit(load, slow, trust=True)
        assert gate.entered.wait(30)
        monkeypatch.delitem(sys.modules, "project_of_test", raising=False)
        assert gives(importlib.import_module("project_of_test").CHAMPION) == 2
        assert gives(loading.result(30)) == 2
    del sys.modules["project_of_test"]


def test_code_that_changed_beneath_the_process_is_not_taken_for_the_models(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = tmp_path / "project"
    model = keep(tmp_path / "new", "import carriedhelp\n", {"carriedhelp.py": "RATE = 3\n"}, ["carriedhelp.py"])
    shutil.copytree(tmp_path / "new", project, ignore=shutil.ignore_patterns("__pycache__"))
    (project / "carriedhelp.py").write_text("RATE = 2\n")
    monkeypatch.syspath_prepend(str(project))
    import carriedhelp
    import carriednet

    assert carriedhelp.RATE == 2
    (project / "carriedhelp.py").write_text("RATE = 3\n")
    loaded = load(model, trust=True).unwrap()
    assert type(loaded) is not carriednet.Net
    assert sys.modules[type(loaded).__module__].carriedhelp.RATE == 3
    with pytest.raises(UntrustedError, match=r"carriedhelp\.py was changed after this process had imported it"):
        load(model, trust=["carriednet.Net"])


def test_a_helper_by_the_name_of_a_module_of_pythons_own_is_the_models_alone(tmp_path: Path) -> None:
    code = "import queue\nassert queue.factor() == 5\nimport concurrent.futures.thread\n"
    model = keep(tmp_path / "model", code, {"queue.py": "def factor(): return 5\n"}, ["queue.py"])
    assert gives(load(model, trust=True)) == 2
    assert queue.Queue


def test_a_model_that_was_loaded_is_saved_again_by_the_names_of_its_code(tmp_path: Path) -> None:
    model = load(make(tmp_path / "a", 2, "above", package=False), trust=True)
    save(model.unwrap(), tmp_path / "again", code=[tmp_path / "a" / "carriedhelp.py"])
    details = json.loads((tmp_path / "again" / "model.json").read_text())
    assert (details["class"], details["details"]["source"]) == ("carriednet.Net", "code/carriednet.py")
    run = "import trackers.models as m; assert m.load('again', trust=True).predict([[1]]) == [2]"
    subprocess.run([sys.executable, "-c", run], check=True, cwd=tmp_path)


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


def test_a_class_in_a_package_that_came_with_a_model_is_not_saved_by_a_name_that_nobody_finds(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    (folder / "carriedpkg").mkdir(parents=True)
    (folder / "carriedpkg" / "__init__.py").write_text("")
    (folder / "carriedpkg" / "steps.py").write_text(
        "from sklearn.base import BaseEstimator\n"
        "class Step(BaseEstimator):\n"
        "    def fit(self, X, y=None): return self\n"
        "    def predict(self, X): return [2 for _ in X]\n"
    )
    run = "import carriedpkg.steps as s, trackers.models as m; m.save(s.Step(), 'model', code=['carriedpkg'])"
    subprocess.run([sys.executable, "-c", run], check=True, cwd=folder)
    model = load(folder / "model", trust=True)
    assert gives(model) == 2
    with pytest.raises(ModelError, match=r"carriedpkg\.steps\.Step came in a package with a model that was loaded"):
        save(model.unwrap(), tmp_path / "again", code=[folder / "carriedpkg"])
