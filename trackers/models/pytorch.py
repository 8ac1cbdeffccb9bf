"""PyTorch modules: weights in safetensors, and the name of what makes the module that they belong in.

``torch.save`` pickles, and so do TorchScript and ``torch.export`` in part; weights in safetensors are numbers only.
What they belong in is made by a factory, ``module:callable``, with arguments that JSON can hold. A layer of
``torch.nn`` itself needs no trust; any other factory is somebody's code, and its name has to be trusted.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FunctionType
from typing import Any

from trackers.errors import ModelError, UntrustedError
from trackers.models.flavor import Flavor, Saving, full_name, own_name
from trackers.models.local_code import check_local
from trackers.models.pytorch_factory import call_factory, find_factory, is_layer, name_factory, sources_of
from trackers.models.pytorch_input import call_module, takes_whole
from trackers.models.pytorch_weights import bare_module, check_same, fill, say_nothing_compared, write_weights
from trackers.models.schema import head
from trackers.models.source import bring, check_script, imported_packages, needed_packages, source_of
from trackers.models.tensors import to_array
from trackers.models.trust import Trust

WEIGHTS, SCRIPT, PROGRAM = "model.safetensors", "model.pt", "model.pt2"
_SCRIPT_KIND, _PROGRAM_KIND = "torch.jit.ScriptModule", "torch.export.ExportedProgram"


class PyTorchFlavor(Flavor):
    """``torch.nn.Module``, TorchScript modules and exported programs."""

    name = "pytorch"
    distributions = ("torch", "safetensors", "numpy")
    lists_outputs = True

    def accepts(self, model: object) -> bool:
        torch = sys.modules.get("torch")
        return torch is not None and (isinstance(model, torch.nn.Module) or _is_program(model))

    def bare(self, model: Any) -> Any:
        return bare_module(model)

    def save(self, model: Any, folder: Path, how: Saving) -> dict[str, Any]:
        import torch

        if _is_program(model):
            torch.export.save(model, folder / PROGRAM)
            return {"file": PROGRAM, "form": "program", "packages": []}
        if isinstance(model, torch.jit.ScriptModule):
            torch.jit.save(model, folder / SCRIPT)
            return {"file": SCRIPT, "form": "script", "packages": []}
        factory, kwargs = name_factory(model, how)
        details: dict[str, Any] = {"file": WEIGHTS, "form": "weights", "factory": own_name(factory), "kwargs": kwargs}
        details |= _code_of(factory, folder)
        write_weights(model, folder / WEIGHTS)
        made = _made_again(factory, kwargs, folder / WEIGHTS)
        if how.example is None:
            say_nothing_compared(factory)
        else:
            check_same(model, made, lambda module: _outputs(module, how.example), factory)
        return details

    def sources(self, details: Mapping[str, Any]) -> Mapping[str, str]:
        return sources_of(str(details.get("factory")), details.get("source"))

    def load(self, folder: Path, details: Mapping[str, Any], trust: Trust) -> Any:
        if details["form"] != "weights":
            return _load_program(folder, str(details["form"]), trust)
        factory = str(details["factory"])
        if not trust.allows(factory) and not is_layer(factory):
            how = "trust=True" if details.get("source") else f"trust=[{factory!r}]"
            raise UntrustedError(f"Loading this model calls {factory}: if you trust it, load it with {how}.")
        if not is_layer(factory):
            check_local(folder, self.sources(details), trust)
        return fill(call_factory(find_factory(factory), details["kwargs"]), folder / WEIGHTS)

    def describe_rows(self, model: Any, rows: Any) -> dict[str, Any]:
        """Describe whole numbers that the module only takes as floats as such: not all that comes will be whole."""
        schema = super().describe_rows(model, rows)
        first = None if _is_program(model) else next(iter(model.parameters()), None)
        if schema["kind"] != "array" or first is None or rows.dtype.kind not in "biu":
            return schema
        import torch

        with _evaluating(model), torch.no_grad():
            if not takes_whole(model, head(rows), first):
                schema["dtype"] = "float64" if first.dtype == torch.float64 else "float32"
        return schema

    def predict(self, model: Any, data: Any, **kwargs: Any) -> Any:
        """Return what the module gives for *data* as an array; ``no_grad``, in evaluation mode."""
        return _to_numpy(_outputs(model, data, **kwargs))

    def predict_proba(self, model: Any, data: Any, **kwargs: Any) -> Any:
        raise ModelError(f"A {full_name(type(model))} gives no probabilities by itself: use predict.")


def _code_of(factory: str, folder: Path) -> dict[str, Any]:
    """Bring the file of the factory, or name the packages that have it."""
    found = find_factory(factory)
    make = getattr(found, "__func__", found)  # a classmethod
    if not isinstance(make, type | FunctionType):
        if factory.startswith("__main__:"):
            raise ModelError(f"The factory {factory} is in the script itself: move it into a file and import it.")
        return {"source": None, "packages": []}
    source = source_of(make)
    check_script(make, source)
    if source is None:
        return {"source": None, "packages": needed_packages(make)}
    return {"source": bring(source, folder), "packages": imported_packages(source)}


def _made_again(factory: str, kwargs: Mapping[str, Any], weights: Path) -> Any:
    """Return a module of *factory* that holds *weights*, or raise ModelError where it cannot."""
    try:
        return fill(call_factory(find_factory(factory), kwargs), weights)
    except Exception as exc:
        raise ModelError(
            f"{factory}({', '.join(kwargs)}) does not make a module that holds these weights: give "
            f'factory="module:callable" and its factory_kwargs. ({type(exc).__name__}: {str(exc)[:200]})'
        ) from exc


def _is_program(model: object) -> bool:
    export = sys.modules.get("torch.export")
    return export is not None and isinstance(model, export.ExportedProgram)


def _load_program(folder: Path, form: str, trust: Trust) -> Any:
    import torch

    kind = {"script": _SCRIPT_KIND, "program": _PROGRAM_KIND}.get(form)
    if kind is None:
        raise ModelError(f"{form[:40]!r} is no form of a PyTorch model: the model is damaged.")
    if not trust.allows(kind):
        raise UntrustedError(f"The model is a {kind}, a program of its own: if you trust it, use trust=[{kind!r}].")
    if form == "script":
        return torch.jit.load(folder / SCRIPT, map_location="cpu").eval()
    return torch.export.load(folder / PROGRAM)


def _outputs(model: Any, data: Any, **kwargs: Any) -> Any:
    """Return what *model* gives for *data*, in evaluation mode."""
    import torch

    if _is_program(model):
        with torch.no_grad():
            return call_module(model.module(), data, _input_of(model), kwargs)
    with _evaluating(model), torch.no_grad():
        return call_module(model, data, next(iter(model.parameters()), None), kwargs)


def _input_of(program: Any) -> Any:
    """Return the first input of an exported program that is of floats, as it was when it was exported."""
    names = program.graph_signature.user_inputs
    inputs = (node.meta.get("val") for node in program.graph.nodes if node.op == "placeholder" and node.name in names)
    return next((value for value in inputs if hasattr(value, "dtype") and value.is_floating_point()), None)


@contextmanager
def _evaluating(model: Any) -> Iterator[None]:
    """Put *model* in evaluation mode; afterwards each part of it is as it was, since some may be frozen in theirs."""
    before = [(part, part.training) for part in model.modules()]
    if any(training for _, training in before):
        model.eval()
    try:
        yield
    finally:
        for part, training in before:
            if part.training != training:
                part.training = training


def _to_numpy(value: Any) -> Any:
    import torch

    if isinstance(value, torch.Tensor):
        return to_array(value)
    if isinstance(value, Mapping):
        return {name: _to_numpy(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_to_numpy(item) for item in value]
    return value
