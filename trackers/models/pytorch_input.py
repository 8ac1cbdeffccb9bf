"""What a PyTorch module is called with: tensors of its dtype and device, each under its name where it has one."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from trackers.errors import InvalidValueError
from trackers.models.schema import is_frame, some

_GATHERS = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def arguments(module: Any, data: Any, like: Any, kwargs: Mapping[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return *data* as the arguments of *module*, and *kwargs* beside them.

    Arrays of a dict go by name where all names are parameters of ``forward``, and in their order where none is. Floats
    take the dtype and all take the device of *like*, a parameter of the module (None: it has none).
    """
    if is_frame(data):
        data = data.to_numpy()
    if not isinstance(data, Mapping):
        return (_tensor(data, like),), dict(kwargs)
    tensors = {str(name): _tensor(value, like) for name, value in data.items()}
    signature = _signature(module)
    if signature is None:
        return tuple(tensors.values()), dict(kwargs)
    known = [name for name in tensors if _takes(signature, name)]
    if not known:
        _check_count(signature, tensors)
        return tuple(tensors.values()), dict(kwargs)
    _check_names(signature, tensors, kwargs)
    bound = signature.bind_partial(**tensors, **kwargs)  # by position where that says the same: some programs need it
    return bound.args, bound.kwargs


def _signature(module: Any) -> inspect.Signature | None:
    """Return the signature of ``forward``, None where it takes any number of anything."""
    try:
        schema = getattr(module.forward, "schema", None)
        found = inspect.signature(module.forward) if schema is None else _script_signature(schema)
    except (TypeError, ValueError):  # a function of C has none
        return None
    return None if any(p.kind is p.VAR_POSITIONAL for p in found.parameters.values()) else found


def _script_signature(schema: Any) -> inspect.Signature:
    """Return what TorchScript says of a ``forward`` as Python would."""
    return inspect.Signature(
        [
            inspect.Parameter(
                argument.name,
                inspect.Parameter.POSITIONAL_OR_KEYWORD,
                default=argument.default_value if argument.has_default_value() else inspect.Parameter.empty,
            )
            for argument in schema.arguments[1:]  # the first is the module
        ]
    )


def _takes(signature: inspect.Signature, name: str) -> bool:
    if any(p.kind is p.VAR_KEYWORD for p in signature.parameters.values()):
        return True
    return name in signature.parameters and signature.parameters[name].kind is not inspect.Parameter.POSITIONAL_ONLY


def _check_names(signature: inspect.Signature, tensors: Mapping[str, Any], kwargs: Mapping[str, Any]) -> None:
    takes = some([name for name, p in signature.parameters.items() if p.kind not in _GATHERS])
    if strange := [name for name in tensors if not _takes(signature, name)]:
        raise InvalidValueError(f"forward takes {takes}, and the input also has {some(strange)}: leave it out.")
    if twice := [name for name in tensors if name in kwargs]:
        raise InvalidValueError(f"The input and the arguments of predict both have {some(twice)}: give it once.")
    needed = [n for n, p in signature.parameters.items() if p.default is p.empty and p.kind not in _GATHERS]
    if missing := [name for name in needed if name not in tensors and name not in kwargs]:
        raise InvalidValueError(f"forward takes {takes}, and the input lacks {some(missing)}.")


def _check_count(signature: inspect.Signature, tensors: Mapping[str, Any]) -> None:
    """Raise InvalidValueError where ``forward`` takes fewer: one that takes a dict, say."""
    places = [
        name for name, p in signature.parameters.items() if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
    ]
    if len(places) < len(tensors):
        raise InvalidValueError(
            f"The input has {some(list(tensors))}, and forward takes {some(places) or 'nothing'}: give it a parameter "
            "for each, of the same name (a dict is not handed on as one)."
        )


def _tensor(value: Any, like: Any) -> Any:
    import numpy as np
    import torch

    tensor = value if isinstance(value, torch.Tensor) else torch.from_numpy(np.ascontiguousarray(value))
    if like is None:
        return tensor.float() if tensor.dtype == torch.float64 else tensor
    dtype = like.dtype if tensor.is_floating_point() and like.is_floating_point() else tensor.dtype
    return tensor.to(like.device, dtype)
