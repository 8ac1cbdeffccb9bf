"""Flavours of PyTorch and Keras, with the real packages where they are installed: each takes a gigabyte with its kin."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.unit.test_model_formats import reseal
from trackers.errors import InvalidValueError, ModelError, UntrustedError
from trackers.models import load, save

torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install 'hpo[torch]'")
pytest.importorskip("safetensors")

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Keras' own, of NumPy and PyTorch

ROWS = np.random.default_rng(0).normal(size=(6, 4))


class Net(torch.nn.Module):
    def __init__(self, width: int = 3) -> None:
        super().__init__()
        self.first = torch.nn.Linear(4, width)
        self.drop = torch.nn.Dropout(0.5)
        self.last = torch.nn.Linear(width, 2)

    def forward(self, rows: Any) -> Any:
        return self.last(self.drop(torch.relu(self.first(rows))))


def make_net(width: int) -> Net:
    return Net(width)


def expected(module: Any, rows: Any) -> Any:
    module.eval()
    with torch.no_grad():
        return module(torch.from_numpy(rows).float()).numpy()


FACTORY = f"{__name__}:make_net"


def test_a_module_comes_back_from_its_factory_and_its_weights(tmp_path: Path) -> None:
    module = make_net(5)
    manifest = save(module, tmp_path / "model", factory=FACTORY, factory_kwargs={"width": 5}, input_example=ROWS)
    assert module.training, "saving leaves the module as it was"
    assert manifest["flavor"] == "pytorch"
    assert manifest["output"] == {"kind": "array", "shape": [None, 2], "dtype": "float32"}
    assert manifest["libraries"].keys() >= {"torch", "safetensors", "numpy"}
    assert "+" not in (tmp_path / "model" / "requirements.txt").read_text()
    with pytest.raises(UntrustedError, match=r"calls .*:make_net: if you trust it, load it with trust="):
        load(tmp_path / "model")
    loaded = load(tmp_path / "model", trust=[FACTORY])
    np.testing.assert_array_equal(loaded.predict(ROWS), expected(module, ROWS))
    np.testing.assert_array_equal(loaded.predict(ROWS.tolist()), expected(module, ROWS))
    assert not loaded.unwrap().training
    with pytest.raises(InvalidValueError, match=r"shape \(rows, 4\)"):
        loaded.predict(ROWS[:, :3])
    with pytest.raises(ModelError, match="gives no probabilities by itself"):
        loaded.predict_proba(ROWS)


def test_a_class_is_its_own_factory_and_a_layer_of_pytorch_needs_no_trust(tmp_path: Path) -> None:
    save(Net(), tmp_path / "net")
    assert load(tmp_path / "net", trust=True).unwrap().first.out_features == 3
    layer = torch.nn.Linear(4, 2)
    save(layer, tmp_path / "layer", factory="torch.nn:Linear", factory_kwargs={"in_features": 4, "out_features": 2})
    np.testing.assert_array_equal(load(tmp_path / "layer").predict(ROWS), expected(layer, ROWS))


def test_tied_weights_are_kept_tied(tmp_path: Path) -> None:
    save(Tied(), tmp_path / "tied")
    loaded = load(tmp_path / "tied", trust=True).unwrap()
    assert loaded.one.weight is loaded.two.weight


class Tied(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = torch.nn.Linear(4, 4), torch.nn.Linear(4, 4)
        self.two.weight = self.one.weight

    def forward(self, rows: Any) -> Any:
        return self.two(self.one(rows))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"factory": "nonsense"}, "must be module:callable"),
        ({"factory": "os:nosuch"}, "cannot be imported here"),
        ({"factory": FACTORY}, r"does not make a module that holds these weights: .*width"),
        ({"factory": FACTORY, "factory_kwargs": {"width": 4}}, "does not make a module that holds these weights"),
        ({"factory": FACTORY, "factory_kwargs": {"width": object()}}, "must be what JSON can hold"),
    ],
)
def test_a_factory_that_does_not_fit_is_told_when_saving(options: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=message):
        save(make_net(5), tmp_path / "model", **options)


@pytest.mark.parametrize(
    "factory", ["os:system", "torch:load", "torch.nn:os", "torch.nn.modules.linear:init", "builtins:exec"]
)
def test_an_artifact_cannot_have_any_function_called(factory: str, tmp_path: Path) -> None:
    save(
        torch.nn.Linear(4, 2),
        tmp_path / "model",
        factory="torch.nn:Linear",
        factory_kwargs={"in_features": 4, "out_features": 2},
    )
    path = tmp_path / "model" / "model.json"
    manifest = json.loads(path.read_text())
    manifest["details"] |= {"factory": factory, "kwargs": {"command": f"touch {tmp_path}/ran"}}
    path.write_text(json.dumps(manifest))
    reseal(tmp_path / "model")
    with pytest.raises(UntrustedError, match=f"calls {factory}"):
        load(tmp_path / "model")
    assert not (tmp_path / "ran").exists()


def test_a_pickle_in_the_place_of_the_weights_is_not_opened_as_one(tmp_path: Path) -> None:
    save(
        torch.nn.Linear(4, 2),
        tmp_path / "model",
        factory="torch.nn:Linear",
        factory_kwargs={"in_features": 4, "out_features": 2},
    )
    torch.save({"weight": torch.zeros(2, 4)}, tmp_path / "model" / "model.safetensors")
    reseal(tmp_path / "model")
    with pytest.raises(ModelError, match=r"cannot be loaded: SafetensorError"):
        load(tmp_path / "model")


def test_the_file_of_a_study_brings_its_network_along(tmp_path: Path) -> None:
    (tmp_path / "netfile.py").write_text(
        "import torch\nclass Tiny(torch.nn.Module):\n    def __init__(self):\n        super().__init__()\n"
        "        self.layer = torch.nn.Linear(4, 1)\n    def forward(self, rows):\n        return self.layer(rows)\n"
    )
    make = "import netfile, trackers.models as m; m.save(netfile.Tiny(), 'model')"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    subprocess.run([sys.executable, "-c", make], check=True, cwd=tmp_path, env=environment)
    (tmp_path / "netfile.py").unlink()
    with pytest.raises(UntrustedError, match="use trust=True"):
        load(tmp_path / "model", trust=["netfile:Tiny"])
    assert load(tmp_path / "model", trust=True).predict(ROWS).shape == (6, 1)
    sys.modules.pop("netfile", None)


def test_a_program_loads_only_when_it_is_trusted(tmp_path: Path) -> None:
    module = Net().eval()
    save(torch.jit.trace(module, torch.zeros(1, 4)), tmp_path / "script")
    rows = torch.export.Dim("rows", min=1)
    program = torch.export.export(module, (torch.zeros(2, 4),), dynamic_shapes=({0: rows},))
    save(program, tmp_path / "program")
    for folder, kind in (("script", "torch.jit.ScriptModule"), ("program", "torch.export.ExportedProgram")):
        with pytest.raises(UntrustedError, match=f"{kind}, a program of its own"):
            load(tmp_path / folder)
        loaded = load(tmp_path / folder, trust=[kind])
        np.testing.assert_allclose(loaded.predict(ROWS), expected(module, ROWS), atol=1e-6)


# --- Keras -------------------------------------------------------------------------------------------------------


@pytest.fixture
def keras(monkeypatch: pytest.MonkeyPatch) -> Any:
    if "keras" not in sys.modules:
        os.environ.setdefault("KERAS_BACKEND", "torch")
    return pytest.importorskip("keras", reason="Keras is not installed: pip install keras")


def network(keras: Any, *layers: Any) -> Any:
    return keras.Sequential([keras.Input([4]), *layers, keras.layers.Dense(2)])


def test_a_keras_model_comes_back_without_trust(keras: Any, tmp_path: Path) -> None:
    model = network(keras, keras.layers.BatchNormalization(), keras.layers.Dense(3, activation="relu"))
    model.compile("adam", "mse")
    model.fit(ROWS, ROWS[:, :2], epochs=1, verbose=0)
    manifest = save(model, tmp_path / "model")
    assert manifest["flavor"] == "keras"
    assert manifest["input"] == {"kind": "array", "shape": [None, 4], "dtype": "float32"}
    loaded = load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.predict(ROWS), model.predict(ROWS, verbose=0))
    code = "import sys; from trackers.models import load; print(load(sys.argv[1]).predict([[1, 2, 3, 4]]).shape)"
    environment = {key: value for key, value in os.environ.items() if key != "KERAS_BACKEND"}
    command = [sys.executable, "-c", code, str(tmp_path / "model")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.strip() == "(1, 2)", "the backend is that of the model where none was chosen"


def test_a_keras_model_that_holds_code_is_refused(keras: Any, tmp_path: Path) -> None:
    save(network(keras, keras.layers.Lambda(lambda x: x * 2)), tmp_path / "model", input_example=ROWS)
    with pytest.raises(UntrustedError, match=r"holds a (Lambda|__lambda__), which runs code"):
        load(tmp_path / "model")
    assert load(tmp_path / "model", trust=True).predict(ROWS).shape == (6, 2)


def rewrite(path: Path, change: Any, **options: Any) -> None:
    """Write a ``.keras`` file anew; *change* gets and gives its members by name."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", **options) as archive:
        for name, content in change(members).items():
            archive.writestr(name, content)
    reseal(path.parent)


def _config(old: str, new: str) -> Any:
    def change(members: Any) -> Any:
        assert old.encode() in members["config.json"]
        return members | {"config.json": members["config.json"].replace(old.encode(), new.encode(), 1)}

    return change


def _weights(write: Any) -> Any:
    def change(members: Any) -> Any:
        import io

        import h5py

        content = io.BytesIO(members["model.weights.h5"])
        with h5py.File(content, "r+") as file:
            write(file, h5py)
        return members | {"model.weights.h5": content.getvalue()}

    return change


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (
            _config('"module": "keras.layers", "class_name": "Dense"', '"module": "os", "class_name": "system"'),
            {},
            r"holds the class os\.system",
        ),
        (_config('"class_name": "Dense"', '"class_name": "TFSMLayer"'), {}, "holds a TFSMLayer"),
        (_config('"class_name": "Dense"', '"class_name": "TorchModuleWrapper"'), {}, "holds a TorchModuleWrapper"),
        (_config('"registered_name": null', '"registered_name": "other>Dense"'), {}, "holds the class keras"),
        (_config('{"module"', '{"module": "os", "module"'), {}, "key stands twice"),
        (lambda members: members, {"compression": zipfile.ZIP_DEFLATED}, "compressed members"),
        (lambda members: members | {"../outside": b"x"}, {}, r"a member with the name '\.\./outside'"),
        (lambda members: members | {"extra.py": b"x"}, {}, r"'extra\.py', which Keras does not write"),
        (lambda members: {"metadata.json": b"{}"}, {}, "holds no config"),
        (_weights(lambda f, h: f.__setitem__("evil", h.ExternalLink("/etc/passwd", "/"))), {}, "a link to elsewhere"),
        (_weights(lambda f, h: f.__setitem__("evil", h.SoftLink("/layers"))), {}, "a link to elsewhere"),
        (
            _weights(lambda f, h: f.create_dataset("bomb", (2**34,), "f4", chunks=(2**20,))),
            {},
            "not in the file at their size",
        ),
        (
            _weights(lambda f, h: f.create_dataset("out", (4,), "u1", external=[("/etc/passwd", 0, 4)])),
            {},
            "not in the file at their size",
        ),
    ],
)
def test_a_keras_file_of_a_hostile_hand_is_refused(
    change: Any, options: Any, message: str, keras: Any, tmp_path: Path
) -> None:
    save(network(keras), tmp_path / "model")
    rewrite(tmp_path / "model" / "model.keras", change, **options)
    with pytest.raises(ModelError, match=message):
        load(tmp_path / "model")


def test_a_layer_of_ones_own_is_trusted_by_name(keras: Any, tmp_path: Path) -> None:
    (tmp_path / "ownlayers.py").write_text(
        "import keras\n@keras.saving.register_keras_serializable('own')\nclass Double(keras.layers.Layer):\n"
        "    def call(self, x):\n        return x * 2\n"
    )
    sys.path.insert(0, str(tmp_path))
    try:
        import ownlayers  # type: ignore[import-not-found]

        save(network(keras, ownlayers.Double()), tmp_path / "model", code=[tmp_path / "ownlayers.py"])
        with pytest.raises(UntrustedError, match=r"trust=\['ownlayers\.Double'\]"):
            load(tmp_path / "model")
        assert load(tmp_path / "model", trust=["ownlayers.Double"]).predict(ROWS).shape == (6, 2)
    finally:
        sys.path.remove(str(tmp_path))
        sys.modules.pop("ownlayers", None)


def test_factories_in_packages_that_travel_are_those_of_their_models(tmp_path: Path) -> None:
    rows = np.ones((1, 1), dtype="float32")
    for factor in (2, 3):
        package = tmp_path / str(factor) / "travelling"
        package.mkdir(parents=True)
        (package / "__init__.py").write_text("")
        (package / "base.py").write_text(f"def factor(): return {factor}\n")
        (package / "nets.py").write_text(
            "import torch\nfrom .base import factor\n"
            "class Net(torch.nn.Linear):\n"
            "    def __init__(self): super().__init__(1, 1)\n"
            "    def forward(self, rows): return super().forward(rows) * 0 + factor()\n"
        )
        run = "import travelling.nets as n, trackers.models as m; m.save(n.Net(), 'model', code=['travelling'])"
        subprocess.run([sys.executable, "-c", run], check=True, cwd=package.parent)
    models = {factor: load(tmp_path / str(factor) / "model", trust=True) for factor in (2, 3)}
    assert {factor: model.predict(rows).tolist() for factor, model in models.items()} == {2: [[2.0]], 3: [[3.0]]}
    again = save(models[3].unwrap(), tmp_path / "again", code=[tmp_path / "3" / "travelling"])
    assert again["details"]["factory"] == "travelling.nets:Net"
    assert load(tmp_path / "again", trust=True).predict(rows).tolist() == [[3.0]]
