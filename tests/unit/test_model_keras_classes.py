"""Keras models with classes and functions of the user's: what is found again, and what is refused when it is saved."""

import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trackers.errors import ModelError, UntrustedError
from trackers.models import load, save

pytest.importorskip("torch", reason="PyTorch is not installed: pip install 'hpo[torch]'")
if "keras" not in sys.modules:
    os.environ.setdefault("KERAS_BACKEND", "torch")
keras = pytest.importorskip("keras", reason="Keras is not installed: pip install keras")

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Keras' own, of NumPy and PyTorch

ROWS = np.random.default_rng(0).normal(size=(6, 4))
OWN = """
import keras

register = keras.saving.register_keras_serializable("own")

@register
class Double(keras.layers.Layer):
    def call(self, x):
        return x * 2

class Derived(Double):
    pass

class Times(keras.layers.Layer):
    def __init__(self, factor, **options):
        super().__init__(**options)
        self.factor = factor
    def get_config(self):
        return super().get_config() | {"factor": self.factor}
    def call(self, x):
        return x * self.factor

class Forgets(Times):
    def get_config(self):
        return keras.layers.Layer.get_config(self)

class Slope(keras.layers.Layer):
    def __init__(self, factor=1.0, noise=0.0, **options):
        super().__init__(**options)
        self.factor, self.noise = factor, noise
    def get_config(self):
        return keras.layers.Layer.get_config(self) | {"noise": self.noise}
    def call(self, x):
        return x * self.factor + keras.random.normal(keras.ops.shape(x)) * self.noise

@register
def triple(x):
    return x * 3

def plain(x):
    return x * 3
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    (tmp_path / "ownkeras.py").write_text(OWN)
    monkeypatch.syspath_prepend(str(tmp_path))
    import ownkeras  # type: ignore[import-not-found]

    yield ownkeras
    sys.modules.pop("ownkeras", None)


def network(*layers: Any) -> Any:
    return keras.Sequential([keras.Input([4]), *layers, keras.layers.Dense(2)])


def elsewhere(code: str, folder: Path) -> Any:
    """Run *code* in a process where no backend is chosen and nothing is imported."""
    environment = {key: value for key, value in os.environ.items() if key != "KERAS_BACKEND"}
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, cwd=folder)


def test_own_classes_and_functions_load_by_name_registered_or_not(own: Any, tmp_path: Path) -> None:
    layers = [own.Double(), own.Derived(), own.Times(3), keras.layers.Dense(3, activation=own.triple)]
    model = network(*layers)
    before = random.getstate()
    save(model, tmp_path / "model", input_example=ROWS)
    assert random.getstate() == before
    names = ["ownkeras.Double", "ownkeras.Derived", "ownkeras.Times", "ownkeras.triple"]
    for missing in names:
        with pytest.raises(UntrustedError, match=rf"trust=\['{missing}'\]"):
            load(tmp_path / "model", trust=[name for name in names if name != missing])
    for trust in (names, True):
        np.testing.assert_array_equal(
            load(tmp_path / "model", trust=trust).predict(ROWS), model.predict(ROWS, verbose=0)
        )


@pytest.mark.parametrize("trust", ["True", "['ownkeras.Double', 'ownkeras.Times']"])
@pytest.mark.parametrize("where", ["importable", "brought"])
def test_they_load_in_a_process_that_imported_nothing(trust: str, where: str, own: Any, tmp_path: Path) -> None:
    code = [tmp_path / "ownkeras.py"] if where == "brought" else []
    save(network(own.Double(), own.Times(2)), tmp_path / "model", code=code)
    if where == "brought":
        (tmp_path / "ownkeras.py").unlink()
    done = elsewhere(
        f"from trackers.models import load; print(load('model', trust={trust}).predict([[1, 2, 3, 4]]).shape)", tmp_path
    )
    if where == "brought" and trust != "True":
        assert "the model brings its file: use trust=True" in done.stderr
    else:
        assert done.stdout.strip() == "(1, 2)", done.stderr


def test_what_comes_back_otherwise_is_refused_when_saving(own: Any, tmp_path: Path) -> None:
    save(network(own.Slope()), tmp_path / "whole", input_example=ROWS)
    save(network(own.Slope(2.0)), tmp_path / "unseen")
    with pytest.raises(ModelError, match=r"does not predict input_example.*get_config"):
        save(network(own.Slope(2.0)), tmp_path / "lost", input_example=ROWS)
    save(network(own.Slope(noise=1.0)), tmp_path / "restless", input_example=ROWS)  # it differs from itself


def test_code_that_is_nowhere_is_named(own: Any, tmp_path: Path) -> None:
    save(network(own.Double()), tmp_path / "model")
    (tmp_path / "ownkeras.py").unlink()
    done = elsewhere("from trackers.models import load; load('model', trust=True)", tmp_path)
    said = done.stderr.splitlines()[-1]
    assert "needs ownkeras, which cannot be imported here: install it, or put its file where Python finds it" in said
    assert len(said) < 300


def test_what_no_loader_could_find_is_refused_when_saving(own: Any, tmp_path: Path) -> None:
    class Inner(keras.layers.Layer):  # type: ignore[misc]
        def call(self, x: Any) -> Any:
            return x

    with pytest.raises(ModelError, match="Inner is not found by its name: define it at the top"):
        save(network(Inner()), tmp_path / "inner")
    with pytest.raises(
        ModelError, match=r"the function plain, of which its file has only the name: put @keras\.saving"
    ):
        save(network(keras.layers.Dense(3, activation=own.plain)), tmp_path / "function")
    with pytest.raises(ModelError, match="missing 1 required positional argument: 'factor'") as raised:
        save(network(own.Forgets(2)), tmp_path / "forgets")
    assert len(str(raised.value)) < 300
    other = type("Times", (own.Double,), {"__module__": "ownother"})
    sys.modules["ownother"] = type(sys)("ownother")
    sys.modules["ownother"].Times = other  # type: ignore[attr-defined]
    try:
        with pytest.raises(ModelError, match=r"holds both .* which Keras calls Times: register each"):
            save(network(own.Times(2), other()), tmp_path / "two")
    finally:
        del sys.modules["ownother"]


def test_a_class_of_a_script_is_refused(tmp_path: Path) -> None:
    code = (
        f"{OWN}\nfrom trackers.models import save\n"
        "save(keras.Sequential([keras.Input([4]), Times(2), keras.layers.Dense(1)]), 'model')\n"
    )
    (tmp_path / "train.py").write_text(code)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "train.py"], capture_output=True, text=True, env=environment, cwd=tmp_path)
    assert "__main__.Times is defined in the script itself" in done.stderr


def test_a_loss_of_ones_own_is_no_part_of_what_is_loaded(tmp_path: Path) -> None:
    model = network()
    model.compile("sgd", loss=lambda real, guess: (real - guess) ** 2)
    with pytest.warns(UserWarning, match="lambda"):
        save(model, tmp_path / "model")
    np.testing.assert_array_equal(load(tmp_path / "model").predict(ROWS), model.predict(ROWS, verbose=0))
