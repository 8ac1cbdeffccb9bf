"""Which columns an estimator of scikit-learn takes, as far as it says so itself."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import Any

from trackers.models.fit import columns_of, missing_names, strangers, wrong_names, wrong_width

_TAKE_ANYTHING = ("sklearn.dummy", "sklearn.preprocessing._function_transformer", "sklearn.frozen")
"""Modules whose estimators look at no column before they work."""


def attribute(model: Any, name: str) -> Any:
    """Return an attribute of an estimator, None where it has none."""
    try:
        return getattr(model, name, None)
    except Exception:  # noqa: BLE001 - a property of an estimator that is not fitted raises what it likes
        return None


def misfit(model: Any, schema: Mapping[str, Any]) -> str | None:
    """Say why *model* must fail on input of this *schema*; None where it need not.

    An estimator alone checks the names of its columns, their order and their number. One that is made of others (a
    search, a ColumnTransformer) may leave columns alone: it fails where a column is missing that it works on, or where
    it knows none. HistGradientBoosting with categories takes its columns out of a frame by their names. Nothing is
    said of estimators that are not scikit-learn's own.
    """
    first = _first(model)
    parts = [first, *_parts(first)]
    if any(not type(part).__module__.startswith("sklearn.") for part in parts):
        return None
    if any(type(part).__module__.startswith(_TAKE_ANYTHING) for part in parts):
        return None
    names = attribute(first, "feature_names_in_")
    named = None if names is None else [str(name) for name in names]
    if len(parts) > 1 or hasattr(first, "transformers_"):
        return (missing_names(schema, _worked_on(first)) or strangers(schema, named)) if named else None
    if named and columns_of(schema) is not None and attribute(first, "_preprocessor") is not None:
        return missing_names(schema, named)
    return (wrong_names(schema, named) if named else None) or wrong_width(schema, attribute(first, "n_features_in_"))


def _first(model: Any) -> Any:
    """Return what takes the input: the first step of a pipeline, else *model* itself."""
    pipeline = sys.modules.get("sklearn.pipeline")
    while pipeline is not None and type(model) is pipeline.Pipeline and hasattr(model.steps[0][1], "get_params"):
        model = model.steps[0][1]
    return model


def _parts(model: Any) -> Iterator[Any]:
    """Yield the estimators that one is made of."""
    for value in model.get_params(deep=True).values():
        if hasattr(value, "get_params") and not isinstance(value, type):
            yield value


def _worked_on(model: Any) -> list[str]:
    """Return the columns that a ColumnTransformer works on by their names; none of another estimator."""
    found: list[str] = []
    for _, transformer, columns in attribute(model, "transformers_") or ():
        if isinstance(transformer, str) and transformer == "drop":
            continue
        given = [columns] if isinstance(columns, str) else columns
        found += [name for name in given if isinstance(name, str)] if isinstance(given, list | tuple) else []
    return list(dict.fromkeys(found))
