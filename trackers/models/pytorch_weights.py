"""Weights of a PyTorch module in safetensors: written, filled into a module made anew, and tried on the example."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from trackers.errors import ModelError

_CLOSE = {"float64": 1e-12, "complex128": 1e-12, "float32": 1e-6, "complex64": 1e-6}
"""How far two outputs of the same module may be apart, relative to the largest: the order of sums may differ."""
_LITTLE = 1e-2
"""The same for dtypes of half the size."""
_log = logging.getLogger("trackers.models")


def bare_module(model: Any) -> Any:
    """Return what ``torch.compile``, data parallelism or an average of weights has wrapped."""
    import torch
    from torch.optim.swa_utils import AveragedModel

    wrappers = (torch.nn.DataParallel, torch.nn.parallel.DistributedDataParallel, AveragedModel)
    while isinstance(model, torch.nn.Module):
        if "_orig_mod" in model._modules:
            model = model._orig_mod
        elif isinstance(model, wrappers):
            model = model.module
        else:
            break
    return model


def write_weights(model: Any, path: Path) -> None:
    """Write the weights of *model*; what is shared stands there once. Raises ModelError for what is no plain tensor."""
    import torch
    from safetensors.torch import save_model

    for name, value in model.state_dict().items():
        if torch.nn.parameter.is_lazy(value):
            raise ModelError(f"{name} has no size yet: run the module once on an example, and save it then.")
        if not isinstance(value, torch.Tensor) or value.is_quantized:
            raise ModelError(
                f"{name} of the module is no plain tensor (a quantized layer, or what get_extra_state gives), which "
                "the format of weights cannot hold: keep it in a buffer, or save torch.export.export(model, example)."
            )
    save_model(model, str(path))


def fill(module: Any, path: Path) -> Any:
    """Give *module* the weights in *path* with their dtypes, and return it in evaluation mode."""
    import torch
    from safetensors.torch import load_file, load_model

    if any(torch.nn.parameter.is_lazy(parameter) for parameter in module.parameters()):
        module.load_state_dict(load_file(path), strict=False)  # which gives them their sizes
    _take_dtypes(module, path)
    load_model(module, path)
    return module.eval()


def _take_dtypes(module: Any, path: Path) -> None:
    """Give what *module* holds the dtypes in *path*, since filling it would cast: ``model.double()`` stays double.

    A buffer that is in no file goes with the weights of its dtype, as it did then.
    """
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        kept = {name: file.get_tensor(name).dtype for name in file.keys()}  # noqa: SIM118 - it is no mapping
    moved: dict[Any, Any] = {}
    for name, tensor in (*module.named_parameters(remove_duplicate=False), *module.named_buffers()):
        if name in kept and tensor.dtype != kept[name]:
            moved[tensor.dtype] = kept[name]
            tensor.data = tensor.data.to(kept[name])
    for name, buffer in module.named_buffers():
        if name not in kept:
            buffer.data = buffer.data.to(moved.get(buffer.dtype, buffer.dtype))


def check_same(model: Any, made: Any, predict: Callable[[Any], Any], factory: str) -> None:
    """Raise ModelError where *made* predicts otherwise than *model*, whose weights it has: something was lost.

    *predict* is called with each. Where *model* itself cannot predict, there is nothing to compare.
    """
    _lay_alike(model, made)
    try:
        expected = _predicted(predict, model)
    except Exception:  # noqa: BLE001 - whatever the user's module raises; who describes the model says so
        return
    try:
        found = _predicted(predict, made)
    except Exception as exc:
        raise ModelError(f"{_lost(factory)} The new one fails: {type(exc).__name__}: {str(exc)[:200]}") from exc
    # A module that differs from itself, by random numbers of its own, cannot be compared.
    if not _same(expected, found) and _same(expected, _predicted(predict, model)):
        raise ModelError(_lost(factory))


def _lay_alike(model: Any, made: Any) -> None:
    """Put the weights of *made* on the devices and in the memory layout of the others, for the same sums."""
    import torch

    theirs = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    for name, tensor in (*made.named_parameters(), *made.named_buffers()):
        if name in theirs and theirs[name].shape == tensor.shape:
            tensor.data = torch.empty_like(theirs[name].data, dtype=tensor.dtype).copy_(tensor.data)


def _lost(factory: str) -> str:
    return (
        f"What {factory} makes holds these weights but does not predict input_example as the model does: what is no "
        "weight is not saved, such as an activation, a slope, an attribute that was set later, or a buffer that is "
        "not persistent. Give it by factory_kwargs=, or keep it in a buffer of the module."
    )


def _predicted(predict: Callable[[Any], Any], module: Any) -> Any:
    """Predict with the same random numbers for each module, and leave those of the caller as they were."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)  # this one alone: no accelerator's
        return predict(module)


def _same(one: Any, other: Any) -> bool:
    """Tell whether two outputs are equal but for rounding; NaN equals NaN. What holds no tensors is not compared."""
    import torch

    if isinstance(one, torch.Tensor):
        return isinstance(other, torch.Tensor) and _same_tensors(one, other)
    if isinstance(one, Mapping):
        return isinstance(other, Mapping) and one.keys() == other.keys() and all(_same(one[k], other[k]) for k in one)
    if isinstance(one, list | tuple):
        return isinstance(other, list | tuple) and len(one) == len(other) and all(map(_same, one, other))
    if is_dataclass(one):
        return type(one) is type(other) and _same(_fields(one), _fields(other))
    return True


def _fields(value: Any) -> dict[str, Any]:
    return {field.name: getattr(value, field.name) for field in fields(value)}


def _same_tensors(one: Any, other: Any) -> bool:
    import torch

    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    if not (one.is_floating_point() or one.is_complex()):
        return bool(torch.equal(one, other))
    tolerance = _CLOSE.get(str(one.dtype).removeprefix("torch."), _LITTLE)
    wide = torch.complex128 if one.is_complex() else torch.float64
    one, other = one.to_dense().to(wide), other.to_dense().to(wide)
    size = one.abs()[one.isfinite()]
    near = tolerance * float(size.max()) if size.numel() else 0.0
    return bool(torch.allclose(one, other, rtol=0.0, atol=near, equal_nan=True))


@lru_cache(maxsize=1000)
def say_nothing_compared(factory: str) -> None:
    """Warn, once for each factory, that nobody knows whether the weights are all of the model."""
    _log.warning(
        "%s was saved without input_example=: nothing was compared, and what is no weight (an activation, a slope, an "
        "attribute) is lost unless factory_kwargs= has it",
        factory,
    )
