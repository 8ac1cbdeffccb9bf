"""What of a PyTorch module comes back, and what is said of what cannot, with the real package where it is installed."""

import functools
import json
import logging
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from trackers.cli.predict import predict
from trackers.errors import InvalidValueError, ModelError, UntrustedError
from trackers.models import load, save

torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install 'hpo[torch]'")
pytest.importorskip("safetensors")

from torch import nn  # noqa: E402 - it is there once PyTorch is

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

ROWS = np.random.default_rng(0).normal(size=(6, 4))


class Net(nn.Module):
    """Has every kind of thing that is no weight."""

    def __init__(self, slope: float = 0.01, eps: float = 1e-5) -> None:
        super().__init__()
        self.first, self.norm = nn.Linear(4, 3), nn.LayerNorm(3, eps=eps)
        self.act = nn.LeakyReLU(slope)
        self.scale = 1.0
        self.register_buffer("shift", torch.zeros(3), persistent=False)

    def forward(self, rows: Any) -> Any:
        return self.act(self.norm(self.first(rows))) * self.scale + self.shift


def same(folder: Path, module: Any, rows: Any = ROWS, **trust: Any) -> Any:
    """Load *folder*, and see that it predicts as *module* does."""
    loaded = load(folder, **({"trust": True} | trust))
    with torch.no_grad():
        np.testing.assert_array_equal(loaded.predict(rows), module.eval()(torch.from_numpy(rows).float()).numpy())
    return loaded


def with_attribute(name: str, value: Any) -> Net:
    module = Net()
    setattr(module, name, value)
    return module


@pytest.mark.parametrize(
    "module",
    [
        Net(slope=0.2),
        Net(eps=0.1),
        Net(eps=1e-6),
        with_attribute("scale", 2.0),
        with_attribute("shift", torch.ones(3)),
        with_attribute("act", nn.Tanh()),
    ],
    ids=["slope", "eps", "small eps", "attribute", "buffer", "activation"],
)
def test_what_is_no_weight_and_would_be_lost_is_told_when_saving(module: Any, tmp_path: Path) -> None:
    with pytest.raises(
        ModelError, match=r"test_model_modules:Net makes holds .* not predict input_example .*factory_kwargs="
    ):
        save(module, tmp_path / "model", input_example=ROWS)


def test_what_the_arguments_of_the_factory_say_is_not_lost(tmp_path: Path) -> None:
    module = Net(slope=0.2, eps=0.1)
    save(module, tmp_path / "model", factory_kwargs={"slope": 0.2, "eps": 0.1}, input_example=ROWS)
    same(tmp_path / "model", module)


def test_without_an_example_it_is_said_once_that_nothing_was_compared(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "trackers.models"):
        save(Net(slope=0.2), tmp_path / "one")
        save(Net(slope=0.2), tmp_path / "two")
    assert len([r for r in caplog.records if "Net was saved without input_example=" in r.getMessage()]) == 1


@dataclass(slots=True)
class Found:
    rows: Any


class Many(nn.Module):
    """Gives whatever *what* names of its rows."""

    def __init__(self, what: str = "dict") -> None:
        super().__init__()
        self.layer, self.what = nn.Linear(4, 2), what

    def forward(self, rows: Any) -> Any:
        found = self.layer(rows)
        if self.what == "dict":
            return {"a": found, "nan": found / 0 * 0, "label": found.argmax(1), "none": None}
        if self.what == "dataclass":
            return Found(found)
        if self.what == "tuple":
            return found, [found.bool(), found.to(torch.complex64)]
        return nn.functional.dropout(found, 0.5, training=True)  # random whatever the mode


@pytest.mark.parametrize("what", ["dict", "tuple", "dataclass", "random"])
def test_outputs_of_every_form_are_compared(what: str, tmp_path: Path) -> None:
    module = Many(what)
    save(module, tmp_path / "model", factory_kwargs={"what": what}, input_example=ROWS.astype("float32"))
    with pytest.raises(ModelError, match="does not predict input_example"):
        save(
            module, tmp_path / "other", factory_kwargs={"what": {"dict": "tuple"}.get(what, "dict")}, input_example=ROWS
        )


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16], ids=str)
def test_every_weight_and_buffer_keeps_its_dtype(dtype: Any, tmp_path: Path) -> None:
    module = Net().to(dtype)
    save(module, tmp_path / "model")
    made = load(tmp_path / "model", trust=True).unwrap()
    assert {t.dtype for t in (*made.parameters(), *made.buffers())} == {dtype}
    mixed = Net()
    mixed.norm.to(dtype)
    save(mixed, tmp_path / "mixed")
    made = load(tmp_path / "mixed", trust=True).unwrap()
    assert (made.norm.weight.dtype, made.first.weight.dtype) == (dtype, torch.float32)


def test_a_double_module_predicts_the_same_to_the_last_digit(tmp_path: Path) -> None:
    module = Net().double()
    save(module, tmp_path / "model", input_example=ROWS)
    with torch.no_grad():
        expected = module.eval()(torch.from_numpy(ROWS)).numpy()
    np.testing.assert_array_equal(load(tmp_path / "model", trust=True).predict(ROWS), expected)


def test_predicting_and_saving_leave_each_part_in_its_mode(tmp_path: Path) -> None:
    module = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Dropout(0.5))
    module[1].eval()
    save(module, tmp_path / "model", factory=f"{__name__}:three", input_example=ROWS)
    assert [part.training for part in module.modules()] == [True, True, False, True]
    assert not any(part.training for part in load(tmp_path / "model", trust=True).unwrap().modules())


def three() -> Any:
    return nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Dropout(0.5))


@pytest.mark.parametrize("example", [None, ROWS], ids=["plain", "example"])
def test_saving_and_loading_change_no_random_number_that_comes_after(example: Any, tmp_path: Path) -> None:
    module, before = Net(), torch.get_rng_state()
    save(module, tmp_path / "model", input_example=example)
    load(tmp_path / "model", trust=True).predict(ROWS)
    assert torch.equal(torch.get_rng_state(), before)


class Difference(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 2, bias=False)

    def forward(self, new: Any, old: Any, scale: Any = 1.0) -> Any:
        return (self.layer(new) - self.layer(old)) * scale


class Batch(Difference):
    def forward(self, batch: Any) -> Any:  # type: ignore[override]
        return self.layer(batch["new"])


def test_several_inputs_go_by_their_names(tmp_path: Path) -> None:
    module, old = Difference(), np.zeros((6, 4))
    save(module, tmp_path / "model", input_example={"old": old, "new": ROWS})
    loaded = load(tmp_path / "model", trust=True)
    wanted = ROWS.astype("float32") @ module.layer.weight.detach().numpy().T
    np.testing.assert_allclose(loaded.predict({"old": old, "new": ROWS}), wanted, atol=1e-6)
    np.testing.assert_allclose(loaded.predict({"old": old, "new": ROWS}, scale=2.0), 2 * wanted, atol=1e-6)
    save(module, tmp_path / "plain")
    plain = load(tmp_path / "plain", trust=True)
    np.testing.assert_allclose(plain.predict({"old": old, "new": ROWS}), wanted, atol=1e-6)
    np.testing.assert_allclose(plain.predict({"a": ROWS, "b": old}), wanted, atol=1e-6, err_msg="by order")
    with pytest.raises(InvalidValueError, match="forward takes new, old, scale, and the input also has b: leave it"):
        plain.predict({"new": ROWS, "b": old})
    with pytest.raises(InvalidValueError, match="the input lacks old"):
        plain.predict({"new": ROWS, "scale": np.ones((6, 1))})
    with pytest.raises(InvalidValueError, match="both have scale"):
        plain.predict({"new": ROWS, "old": old, "scale": np.ones((6, 1))}, scale=2.0)


def test_a_forward_that_takes_a_dict_is_told_to_take_its_parts(tmp_path: Path) -> None:
    save(Batch(), tmp_path / "model")
    with pytest.raises(InvalidValueError, match="forward takes batch: give it a parameter for each"):
        load(tmp_path / "model", trust=True).predict({"new": ROWS, "old": ROWS})


def test_programs_take_several_inputs_by_name_too(tmp_path: Path) -> None:
    module, pair = Difference().eval(), (torch.zeros(2, 4), torch.ones(2, 4))
    rows = torch.export.Dim("rows", min=1)
    save(torch.jit.trace(module, pair), tmp_path / "script")
    save(torch.export.export(module, pair, dynamic_shapes=({0: rows}, {0: rows})), tmp_path / "program")
    wanted = ROWS.astype("float32") @ module.layer.weight.detach().numpy().T
    for name in ("script", "program"):
        found = load(tmp_path / name, trust=True).predict({"old": np.zeros((6, 4)), "new": ROWS})
        np.testing.assert_allclose(found, wanted, atol=1e-6)


SCRIPT = """
import sys
import torch
from trackers.models import save

class Tiny(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(4, 1)
    def forward(self, rows):
        return self.layer(rows)
"""


@pytest.mark.parametrize("guarded", [True, False])
def test_a_module_of_a_script_is_saved_only_where_loading_does_not_run_it(guarded: bool, tmp_path: Path) -> None:
    work = "    print('working')\n    save(Tiny(), sys.argv[1])\n"
    (tmp_path / "train.py").write_text(SCRIPT + ('if __name__ == "__main__":\n' if guarded else "if True:\n") + work)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "train.py", "model"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    if guarded:
        assert load(tmp_path / "model", trust=True).predict(ROWS).shape == (6, 1)
    else:
        assert "loading the model would run the script again (from its line 12)" in done.stderr


def test_a_file_of_the_same_name_is_not_taken_for_the_code_of_the_module(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ownnets.py").write_text(SCRIPT)
    monkeypatch.syspath_prepend(str(tmp_path))
    import ownnets  # type: ignore[import-not-found]

    save(ownnets.Tiny(), tmp_path / "model")
    expected = load(tmp_path / "model", trust=["ownnets:Tiny"]).predict(ROWS)
    del sys.modules["ownnets"]
    (tmp_path / "ownnets.py").write_text(SCRIPT.replace("return self.layer(rows)", "return 0 * self.layer(rows)"))
    with pytest.raises(UntrustedError, match=r"ownnets\.py is not the code .* which is its code/ownnets\.py"):
        load(tmp_path / "model", trust=["ownnets:Tiny"])
    np.testing.assert_array_equal(load(tmp_path / "model", trust=True).predict(ROWS), expected)


def test_tensors_are_arrays_in_signatures_and_in_what_is_predicted(tmp_path: Path) -> None:
    module, rows = Net(), torch.from_numpy(ROWS).float().requires_grad_()
    manifest = save(module, tmp_path / "model", input_example=rows)
    assert manifest["input"] == {"kind": "array", "shape": [None, 4], "dtype": "float32"}
    assert manifest["output"] == {"kind": "array", "shape": [None, 3], "dtype": "float32"}
    expected = same(tmp_path / "model", module).predict(ROWS)
    loaded = load(tmp_path / "model", trust=True)
    for given in (rows, rows.double(), list(rows), rows.to_sparse()):
        np.testing.assert_array_equal(loaded.predict(given), expected)
    assert loaded.predict(rows.bfloat16()).dtype == "float32"
    save(Difference(), tmp_path / "two", input_example={"old": rows, "new": torch.zeros(6, 4)})
    assert load(tmp_path / "two", trust=True).predict({"new": rows, "old": rows}).tolist() == [[0.0, 0.0]] * 6


def test_outputs_that_numpy_has_no_dtype_for_come_as_float32(tmp_path: Path) -> None:
    module = Net().bfloat16()
    manifest = save(module, tmp_path / "model", input_example=ROWS)
    assert manifest["output"]["dtype"] == "float32"
    assert load(tmp_path / "model", trust=True).predict(ROWS).dtype == "float32"


class Ids(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table, self.layer = nn.Embedding(10, 3), nn.Linear(3, 2)

    def forward(self, ids: Any) -> Any:
        return self.layer(self.table(ids).mean(1))


class OneHot(nn.Module):
    """Its first layer takes floats, and its input is whole numbers all the same."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(5, 2)

    def forward(self, classes: Any) -> Any:
        return self.layer(nn.functional.one_hot(classes, 5).float())


LINEAR = {"factory": "torch.nn:Linear", "factory_kwargs": {"in_features": 4, "out_features": 2}}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("example", [None, ROWS], ids=["plain", "signature"])
def test_whole_numbers_and_truth_are_floats_to_a_module_of_floats(dtype: Any, example: Any, tmp_path: Path) -> None:
    pd = pytest.importorskip("pandas")
    module = nn.Linear(4, 2).to(dtype)
    save(module, tmp_path / "model", input_example=example, **LINEAR)
    loaded, whole = load(tmp_path / "model"), np.array([[1, 0, 1, 1]])
    expected = loaded.predict(whole.astype("float64"))
    frame = pd.DataFrame(whole, columns=list("abcd"))
    mixed = frame.astype({"a": bool, "b": "float32"})
    given = [whole.tolist(), whole, whole.astype("uint8"), whole.astype(bool), frame, mixed, frame.astype("Int64")]
    for rows in given:
        np.testing.assert_array_equal(loaded.predict(rows), expected)
    for rows in (frame.assign(a="x"), [["x", 1, 1, 1]], np.array([["x", 1, 1, 1]], object)):
        with pytest.raises(InvalidValueError, match=r"The input holds ('x'|text), where the model takes numbers"):
            loaded.predict(rows)


def test_ids_and_classes_stay_whole_numbers(tmp_path: Path) -> None:
    save(Ids(), tmp_path / "ids", input_example=np.array([[1, 2]]))
    save(Ids(), tmp_path / "plain")
    save(OneHot(), tmp_path / "classes", input_example=[1, 2])
    assert load(tmp_path / "ids", trust=True).predict(
        [
            [
                1,
                2,
            ]
        ]
    ).shape == (1, 2)
    assert load(tmp_path / "plain", trust=True).predict([[1, 2, 3]]).shape == (1, 2)
    with pytest.raises(
        InvalidValueError, match=r"is an embedding, which takes whole numbers .* RuntimeError: Expected"
    ):
        load(tmp_path / "plain", trust=True).predict([[1.5, 2.0]])
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):  # which is no matter of dtypes
        load(tmp_path / "plain", trust=True).predict([1, 2])
    assert load(tmp_path / "classes", trust=True).predict([1, 2]).shape == (2, 2)


def test_whole_numbers_that_do_not_fit_are_told_in_a_sentence(tmp_path: Path) -> None:
    save(nn.Linear(4, 2), tmp_path / "model", **LINEAR)
    loaded = load(tmp_path / "model")
    with pytest.raises(
        InvalidValueError, match="fails with whole numbers as with the same as floats: RuntimeError: mat1"
    ):
        loaded.predict([[1, 2]])
    with pytest.raises(InvalidValueError, match="rows of different lengths"):
        loaded.predict([[1, 2, 3, 4], [1]])
    with pytest.raises(InvalidValueError, match="The input has no rows"):
        loaded.predict(np.zeros((0, 4)))


def test_wrappers_are_taken_off(tmp_path: Path) -> None:
    from torch.optim.swa_utils import AveragedModel

    for number, wrap in enumerate(
        (torch.compile, nn.DataParallel, AveragedModel, lambda m: nn.DataParallel(torch.compile(m)))
    ):
        module = Net()
        manifest = save(wrap(module), tmp_path / str(number), input_example=ROWS)
        assert manifest["class"] == f"{__name__}.Net"
        same(tmp_path / str(number), module, trust=[f"{__name__}:Net"])


def make_sloped(slope: float) -> Net:
    return Net(slope)


class Sized(nn.Module):
    def __init__(self, sizes: Any) -> None:
        super().__init__()
        self.layer = nn.Linear(*sizes)

    @classmethod
    def small(cls) -> "Sized":
        return cls([4, 2])

    def forward(self, rows: Any) -> Any:
        return self.layer(rows)


def test_a_factory_may_be_given_itself(tmp_path: Path) -> None:
    module = Net(slope=0.3)
    save(module, tmp_path / "model", factory=make_sloped, factory_kwargs={"slope": 0.3}, input_example=ROWS)
    same(tmp_path / "model", module, trust=[f"{__name__}:make_sloped"])
    save(Sized([4, 2]), tmp_path / "small", factory=Sized.small, input_example=ROWS)
    assert load(tmp_path / "small", trust=[f"{__name__}:Sized.small"]).predict(ROWS).shape == (6, 2)
    for factory in (lambda: Net(), functools.partial(make_sloped, 0.3)):
        with pytest.raises(ModelError, match="cannot be found by its name"):
            save(Net(), tmp_path / "other", factory=factory)


def test_what_cannot_be_kept_says_why_in_a_sentence(tmp_path: Path) -> None:
    class Inner(Net):
        pass

    class Extra(Sized):
        def get_extra_state(self) -> Any:
            return {"seen": 3}

    with pytest.raises(ModelError, match="Inner is defined inside a function: define it at the top"):
        save(Inner(), tmp_path / "inner")
    with pytest.raises(ModelError, match=r"sizes in factory_kwargs holds a tuple, .* give a list"):
        save(Sized((4, 2)), tmp_path / "tuple", factory_kwargs={"sizes": (4, 2)})
    with pytest.raises(ModelError, match="_extra_state of the module is no plain tensor"):
        save(Extra([4, 2]), tmp_path / "extra", factory=Sized, factory_kwargs={"sizes": [4, 2]})
    with pytest.raises(ModelError, match=r"0\.weight has no size yet: run the module once"):
        save(lazy(), tmp_path / "lazy", factory=lazy)


def lazy() -> Any:
    return nn.Sequential(nn.LazyLinear(3))


def test_lazy_layers_that_have_run_come_back(tmp_path: Path) -> None:
    module = lazy()
    module(torch.zeros(1, 4))
    module.double()
    save(module, tmp_path / "model", factory=lazy, input_example=ROWS)
    assert load(tmp_path / "model", trust=True).predict(ROWS).dtype == "float64"


def test_a_program_of_doubles_is_given_doubles(tmp_path: Path) -> None:
    module = nn.Linear(4, 2).double()
    rows = torch.export.Dim("rows", min=1)
    save(torch.export.export(module, (torch.from_numpy(ROWS),), dynamic_shapes=({0: rows},)), tmp_path / "model")
    loaded = load(tmp_path / "model", trust=True)
    expected = module(torch.from_numpy(ROWS)).detach().numpy()
    for given in (ROWS, torch.from_numpy(ROWS), ROWS.tolist()):
        np.testing.assert_allclose(loaded.predict(given), expected, rtol=1e-12)
    assert loaded.predict([[1, 2, 3, 4]]).dtype == "float64"


class Graph(nn.Module):
    """Takes nodes and edges, of which there are not as many."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 2)

    def forward(self, nodes: Any, edges: Any) -> Any:
        return self.layer(nodes).index_add(0, edges[1], self.layer(nodes)[edges[0]])


def test_rows_must_match_where_those_of_the_example_do(tmp_path: Path) -> None:
    save(Difference(), tmp_path / "pair", input_example={"new": ROWS, "old": ROWS})
    with pytest.raises(InvalidValueError, match="The inputs have different numbers of rows: new 6, old 1"):
        load(tmp_path / "pair", trust=True).predict({"new": ROWS, "old": ROWS[:1]})
    edges = np.array([[0, 1, 2], [1, 2, 3]])
    manifest = save(Graph(), tmp_path / "graph", input_example={"nodes": ROWS, "edges": edges})
    assert manifest["input"]["ragged"] is True
    assert load(tmp_path / "graph", trust=True).predict({"nodes": ROWS, "edges": edges}).shape == (6, 2)


def test_an_example_of_whole_numbers_does_not_bind_a_module_of_floats(tmp_path: Path) -> None:
    manifest = save(nn.Linear(4, 2), tmp_path / "model", input_example=[[1, 2, 3, 4]], **LINEAR)
    assert manifest["input"] == {"kind": "array", "shape": [None, 4], "dtype": "float32"}
    assert load(tmp_path / "model").predict([[1.5, 2, 3, 4]]).shape == (1, 2)
    assert save(Ids(), tmp_path / "ids", input_example=[[1, 2]])["input"]["dtype"] == "int64"
    nothing = save(nn.Linear(4, 2), tmp_path / "nothing", input_example=np.zeros((0, 4), int), **LINEAR)
    assert "The input has no rows" in nothing["output"]["error"]


class Images(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(*[nn.Sequential(nn.Conv2d(3, 3, 3, padding=1), nn.ReLU()) for _ in range(12)])

    def forward(self, images: Any) -> Any:
        return self.layers(images).mean((2, 3))


def test_another_layout_in_memory_is_no_difference(tmp_path: Path) -> None:
    images = np.random.default_rng(0).normal(size=(2, 3, 16, 16))
    save(Images().to(memory_format=torch.channels_last), tmp_path / "model", input_example=images)
    assert load(tmp_path / "model", trust=True).predict(images).shape == (2, 3)


class Several(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(4, 2)

    def forward(self, rows: Any) -> Any:
        found = self.head(rows)
        return found[:, 0], [found[:, 1:], found], {"label": found.argmax(1)}


def test_outputs_without_names_are_columns_in_files(tmp_path: Path) -> None:
    manifest = save(Several(), tmp_path / "model", input_example=ROWS)
    names = ["output_0", "output_1_0", "output_1_1", "output_2_label"]
    assert [tensor["name"] for tensor in manifest["output"]["tensors"]] == names
    np.savetxt(tmp_path / "in.csv", ROWS, delimiter=",")
    call = [f"{tmp_path}/model", f"{tmp_path}/in.csv", "--trust", "all"]
    records = json.loads(CliRunner().invoke(predict, [*call, "--json"]).output)
    assert len(records) == 6
    assert list(records[0]) == names
    assert records[0]["output_1_1"] == pytest.approx([records[0]["output_0"], records[0]["output_1_0"]])
