"""PyTorch modules: weights in safetensors, and the name of what makes the module that they belong in.

``torch.save`` pickles, and so do TorchScript and ``torch.export`` in part; weights in safetensors are numbers only.
What they belong in is made by a factory, ``module:callable``, with arguments that JSON can hold. A layer of
``torch.nn`` itself needs no trust; any other factory is somebody's code, and its name has to be trusted.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from types import FunctionType
from typing import Any

from trackers.errors import ModelError, UntrustedError
from trackers.models.flavor import Flavor, Saving, full_name
from trackers.models.schema import is_frame
from trackers.models.source import bring, imported_packages, needed_packages, run_source, source_of
from trackers.models.trust import Trust

WEIGHTS, SCRIPT, PROGRAM = "model.safetensors", "model.pt", "model.pt2"
_SCRIPT_KIND, _PROGRAM_KIND = "torch.jit.ScriptModule", "torch.export.ExportedProgram"


class PyTorchFlavor(Flavor):
    """``torch.nn.Module``, TorchScript modules and exported programs."""

    name = "pytorch"
    distributions = ("torch", "safetensors", "numpy")

    def accepts(self, model: object) -> bool:
        torch = sys.modules.get("torch")
        return torch is not None and (isinstance(model, torch.nn.Module) or _is_program(model))

    def save(self, model: Any, folder: Path, how: Saving) -> dict[str, Any]:
        import torch

        if _is_program(model):
            torch.export.save(model, folder / PROGRAM)
            return {"file": PROGRAM, "form": "program", "packages": []}
        if isinstance(model, torch.jit.ScriptModule):
            torch.jit.save(model, folder / SCRIPT)
            return {"file": SCRIPT, "form": "script", "packages": []}
        factory, kwargs = _factory(model, how)
        details: dict[str, Any] = {"file": WEIGHTS, "form": "weights", "factory": factory, "kwargs": kwargs}
        make = _find(factory)
        plain = isinstance(make, type | FunctionType)
        source = source_of(make) if plain else None
        details |= {"source": None, "packages": needed_packages(make) if plain and source is None else []}
        if source is not None:
            details |= {"source": bring(source, folder), "packages": imported_packages(source)}
        self._write(model, folder / WEIGHTS, factory, kwargs)
        return details

    def load(self, folder: Path, details: Mapping[str, Any], trust: Trust) -> Any:
        if details["form"] != "weights":
            return _load_program(folder, str(details["form"]), trust)
        from safetensors.torch import load_model

        factory = str(details["factory"])
        if not trust.allows(factory) and not _is_layer(factory):
            how = "trust=True" if details.get("source") else f"trust=[{factory!r}]"
            raise UntrustedError(f"Loading this model calls {factory}: if you trust it, load it with {how}.")
        make = _loaded_factory(folder, factory, details.get("source"), trust)
        module = make(**details["kwargs"])
        load_model(module, folder / WEIGHTS)
        return module.eval()

    def predict(self, model: Any, data: Any, **kwargs: Any) -> Any:
        """Return what the module gives for *data* as an array; ``no_grad``, in evaluation mode."""
        import torch

        target = model.module() if _is_program(model) else model
        first = next(iter(model.parameters()), None) if not _is_program(model) else None
        was_training = bool(getattr(target, "training", False)) and not _is_program(model)
        if was_training:
            target.eval()
        try:
            with torch.no_grad():
                return _to_numpy(target(*_tensors(data, first), **kwargs))
        finally:
            if was_training:
                target.train()

    def predict_proba(self, model: Any, data: Any, **kwargs: Any) -> Any:
        raise ModelError(f"A {full_name(type(model))} gives no probabilities by itself: use predict.")

    def _write(self, model: Any, path: Path, factory: str, kwargs: Mapping[str, Any]) -> None:
        """Write the weights, and see that what the factory makes can hold them."""
        from safetensors.torch import load_model, save_model

        save_model(model, str(path))
        try:
            load_model(_find(factory)(**kwargs), path)
        except Exception as exc:
            raise ModelError(
                f"{factory}({', '.join(kwargs)}) does not make a module that holds these weights: give "
                f'factory="module:callable" and its factory_kwargs. ({type(exc).__name__}: {str(exc)[:200]})'
            ) from exc


def _is_program(model: object) -> bool:
    export = sys.modules.get("torch.export")
    return export is not None and isinstance(model, export.ExportedProgram)


def _factory(model: Any, how: Saving) -> tuple[str, dict[str, Any]]:
    kind = type(model)
    factory = how.factory or f"{kind.__module__}:{kind.__qualname__}"
    module, colon, name = factory.partition(":")
    if not colon or not name or not all(part.isidentifier() for part in (*module.split("."), *name.split("."))):
        raise ModelError(f"The factory {factory[:80]!r} must be module:callable, such as mypkg.nets:make_net.")
    kwargs = dict(how.factory_kwargs)
    try:
        if json.loads(json.dumps(kwargs, allow_nan=False)) != kwargs:
            raise TypeError("it would come back as something else")
    except (TypeError, ValueError) as exc:
        raise ModelError(f"The factory_kwargs must be what JSON can hold: {exc}.") from exc
    return factory, kwargs


def _find(factory: str) -> Any:
    module, _, name = factory.partition(":")
    try:
        found: Any = importlib.import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as exc:
        raise ModelError(f"The factory {factory} cannot be imported here: install or name it. ({exc})") from exc
    if not callable(found):
        raise ModelError(f"The factory {factory} is not callable.")
    return found


def _is_layer(factory: str) -> bool:
    """Tell whether *factory* is a layer of PyTorch itself, which only makes numbers."""
    import torch

    module, _, name = factory.partition(":")
    if not (module == "torch.nn" or module.startswith("torch.nn.modules.")) or not name.isidentifier():
        return False
    found = getattr(sys.modules.get(module), name, None)
    return isinstance(found, type) and issubclass(found, torch.nn.Module) and found.__module__.startswith("torch.nn.")


def _loaded_factory(folder: Path, factory: str, source: Any, trust: Trust) -> Any:
    module, _, name = factory.partition(":")
    if not source:
        return _find(factory)
    if not trust.everything:
        if module != "__main__" and importlib.util.find_spec(module.partition(".")[0]):
            return _find(factory)
        raise UntrustedError(f"{module} cannot be imported here; the model brings its file: use trust=True to run it.")
    found: Any = run_source(folder, str(source), module)
    for part in name.split("."):
        found = getattr(found, part)
    return found


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


def _tensors(data: Any, parameter: Any) -> tuple[Any, ...]:
    """Return *data* as the module's arguments; floats take the dtype and all take the device of its parameters."""
    import numpy as np
    import torch

    if is_frame(data):
        data = data.to_numpy()
    values = list(data.values()) if isinstance(data, Mapping) else [data]
    found = []
    for value in values:
        tensor = value if isinstance(value, torch.Tensor) else torch.from_numpy(np.ascontiguousarray(value))
        if parameter is not None:
            dtype = parameter.dtype if tensor.is_floating_point() and parameter.is_floating_point() else tensor.dtype
            tensor = tensor.to(parameter.device, dtype)
        elif tensor.dtype == torch.float64:
            tensor = tensor.float()
        found.append(tensor)
    return tuple(found)


def _to_numpy(value: Any) -> Any:
    import torch

    if isinstance(value, torch.Tensor):
        return value.detach().cpu().numpy()
    if isinstance(value, Mapping):
        return {name: _to_numpy(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_to_numpy(item) for item in value]
    return value
