"""What a PyTorch module is called with: tensors of its dtype and device, each under its name where it has one."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from trackers.errors import InvalidValueError
from trackers.models.casting import to_numbers
from trackers.models.schema import some

_GATHERS = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def call_module(module: Any, data: Any, like: Any, kwargs: Mapping[str, Any]) -> Any:
    """Return what *module* gives for *data*. *like*: a parameter whose dtype and device it takes (None: it has none).

    Whole numbers and truth go as they are, since they may be ids or a mask, and as floats where the module cannot
    take them so.
    """
    args, named = _arguments(module, data, like, kwargs)
    try:
        return module(*args, **named)
    except (RuntimeError, TypeError) as exc:
        said = f"{type(exc).__name__}: {str(exc).strip().partition(chr(10))[0][:200]}"
        dtypes = _dtypes(data)
        if _embeds(module) and not dtypes <= {"int32", "int64"}:
            takes = "The first layer of the module is an embedding, which takes whole numbers (int64)"
            raise InvalidValueError(f"{takes}, and it fails: {said}") from exc
        if _embeds(module) or all(dtype.startswith(("float", "complex")) for dtype in dtypes):
            raise
        args, named = _arguments(module, data, like, kwargs, whole=False)
        try:
            return module(*args, **named)
        except (RuntimeError, TypeError):
            raise InvalidValueError(f"The module fails with whole numbers as with the same as floats: {said}") from exc


def takes_whole(module: Any, data: Any, like: Any) -> bool:
    """Tell whether *module* predicts from whole numbers as they are."""
    try:
        args, named = _arguments(module, data, like, {})
        module(*args, **named)
    except Exception:  # noqa: BLE001 - whatever the user's module raises
        return False
    return True


def _embeds(module: Any) -> bool:
    """Tell whether the first layer that has weights is an embedding."""
    import torch

    leaves = (part for part in module.modules() if next(part.children(), None) is None)
    layers = (part for part in leaves if next(part.parameters(), None) is not None)
    return isinstance(next(layers, None), torch.nn.Embedding | torch.nn.EmbeddingBag)


def _dtypes(data: Any) -> set[str]:
    values = data.values() if isinstance(data, Mapping) else [data]
    return {str(to_numbers(value).dtype) for value in values}


def _arguments(
    module: Any, data: Any, like: Any, kwargs: Mapping[str, Any], whole: bool = True
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return *data* as the arguments of *module*, and *kwargs* beside them; without *whole*, all of it as floats.

    Arrays of a dict go by name where all names are parameters of ``forward``, and in their order where none is.
    """
    named = data if isinstance(data, Mapping) else {"": data}
    tensors = {str(name): _tensor(value, like, whole) for name, value in named.items()}
    if not any(tensor.ndim == 0 or len(tensor) for tensor in tensors.values()):
        raise InvalidValueError("The input has no rows: give at least one.")
    if not isinstance(data, Mapping):
        return tuple(tensors.values()), dict(kwargs)
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


def _tensor(value: Any, like: Any, whole: bool) -> Any:
    """Return *value* as a tensor; floats (without *whole*, all numbers) have the dtype of *like*."""
    import torch

    tensor = torch.from_numpy(to_numbers(value))
    floats = like.dtype if like is not None and like.is_floating_point() else torch.float32
    if tensor.is_floating_point() or not (whole or tensor.is_complex()):
        tensor = tensor.to(floats if like is None or like.is_floating_point() else tensor.dtype)
    return tensor if like is None else tensor.to(like.device)
