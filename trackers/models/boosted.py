"""What the flavours of the boosting libraries share: estimators as JSON, and checks of trees read from a file.

The compiled trees of both libraries follow the indices of a file without looking at them, as scikit-learn's do (see
``sklearn_trees``): a child that is not there reads foreign memory, a cycle never ends.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from trackers.errors import ModelError


def json_params(model: Any) -> tuple[dict[str, Any], list[str]]:
    """Return the params of an estimator as JSON can hold them, and the names of those that it cannot."""
    kept, dropped = {}, []
    for name, value in model.get_params().items():
        try:
            kept[name] = _encode(value)
        except TypeError:
            dropped.append(name)
    if "objective" in dropped:
        raise ModelError(
            f"The objective of the {type(model).__name__} is a function, which no file can hold: save the booster "
            "itself, whose predictions are raw scores."
        )
    return kept, sorted(dropped)


def read_params(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return params as they were before ``json_params``."""
    return {name: _decode(value) for name, value in params.items()}


def _encode(value: Any) -> Any:
    """Write what JSON has no word for: NaN and the infinities, and mappings whose keys are no text."""
    value = value.item() if hasattr(value, "item") else value
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": str(value)}
    if isinstance(value, Mapping):
        return {"items": [[_encode(key), _encode(item)] for key, item in value.items()]}
    if isinstance(value, list | tuple):
        return [_encode(item) for item in value]
    if value is None or isinstance(value, str | int | float):
        return value
    raise TypeError(type(value).__name__)


def _decode(value: Any) -> Any:
    if isinstance(value, Mapping):
        if "float" in value:
            return float(value["float"])
        return {_decode(key): _decode(item) for key, item in value["items"]}
    return [_decode(item) for item in value] if isinstance(value, list) else value


def names_or_width(names: Any, width: int) -> dict[str, Any]:
    """Return the input schema of a model with these feature *names* (None: none of its own)."""
    if names:
        return {"kind": "frame", "columns": [{"name": str(name), "dtype": None} for name in names]}
    return {"kind": "array", "shape": [None, width], "dtype": None}


def demand(holds: Any, what: str) -> None:
    """Raise ModelError about *what* in the file unless it *holds*."""
    if not bool(holds):
        raise ModelError(f"The model is damaged: a tree in it has {what}.")


def check_children(left: Any, right: Any, count: int, inner: Any) -> None:
    """Every child of an *inner* node is there, and nobody else's: then no path from the root is a circle."""
    import numpy as np

    children = np.concatenate([left[inner], right[inner]])
    children = children[children >= 0]
    demand(((children > 0) & (children < count)).all(), "a child that does not exist")
    demand(len(np.unique(children)) == len(children), "a child of two parents")


def read_json(text: str) -> Any:
    """Read JSON in which no key stands twice: another reader might take the other value."""

    def once(pairs: list[tuple[str, Any]]) -> Mapping[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            raise ModelError("The model is damaged: a key stands twice in its JSON.")
        return found

    try:
        return json.loads(text, object_pairs_hook=once)
    except (ValueError, RecursionError) as exc:
        raise ModelError(f"The model is damaged: it is not JSON ({exc}).") from exc
