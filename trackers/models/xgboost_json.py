"""Check XGBoost's JSON before XGBoost predicts with it: it trusts every index of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trackers.errors import ModelError
from trackers.models.boosted import check_children, demand, read_json

_NO_PARENT = 2**31 - 1
_MAX_FEATURES = 1 << 24


def check_json(text: str) -> None:
    """Raise ModelError with what is wrong with the trees of *text*, or what of it cannot be checked."""
    try:
        learner = read_json(text)["learner"]
        params, booster = learner["learner_model_param"], learner["gradient_booster"]
        width, classes = int(params["num_feature"]), max(1, int(params["num_class"]))
        groups = max(classes, int(params.get("num_target", "1")))
        for part in learner["objective"].values():
            asked = int(part.get("num_class", classes)) if isinstance(part, Mapping) else classes
            demand(asked in (0, classes), "an objective of other classes")
        if booster["name"] == "gblinear":
            demand(len(booster["model"]["weights"]) == (width + 1) * groups, "a wrong number of weights")
            return
        model = booster["gbtree"]["model"] if booster["name"] == "dart" else booster["model"]
        if booster["name"] == "dart":
            demand(len(booster["weight_drop"]) == len(model["trees"]), "a wrong number of weights")
        _check_model(model, width, groups)
    except (AttributeError, KeyError, TypeError, ValueError, IndexError, OverflowError) as exc:
        raise ModelError(f"The model is damaged: a part of it is missing or wrong ({exc}).") from exc


def _check_model(model: Mapping[str, Any], width: int, groups: int) -> None:
    import numpy as np

    trees = model["trees"]
    demand(width <= _MAX_FEATURES and groups <= max(1, len(trees)), "a size that would take all memory")
    demand(len(trees) == int(model["gbtree_model_param"]["num_trees"]) == len(model["tree_info"]), "a wrong count")
    demand(all(0 <= group < groups for group in model["tree_info"]), "a class that does not exist")
    steps = np.asarray(model.get("iteration_indptr", [0, len(trees)]), dtype=np.int64)
    demand(steps[0] == 0 and steps[-1] == len(trees) and (np.diff(steps) >= 0).all(), "iterations in disorder")
    categories = model.get("cats", {})
    order = np.asarray(categories.get("sorted_idx", []), dtype=np.int64)
    demand(((order >= 0) & (order < max(1, len(order)))).all(), "a category that does not exist")
    segments = np.asarray(categories.get("feature_segments", []), dtype=np.int64)
    if len(segments):
        demand(len(segments) == width + 1 and segments[0] == 0, "categories of other features")
        demand((np.diff(segments) >= 0).all() and segments[-1] <= len(order), "categories in disorder")
    for at, tree in enumerate(trees):
        demand(tree["id"] == at, "the number of another")
        _check_tree(tree, width)


def _check_parents(parts: Mapping[str, Any], inner: Any) -> None:
    """Each child names its parent, and the root none: XGBoost looks for the root by them."""
    import numpy as np

    parents, own = parts["parents"], np.arange(len(parts["parents"]))
    demand(parents[0] == _NO_PARENT, "a root with a parent")
    demand(((parents == _NO_PARENT) | ((parents >= 0) & (parents < len(own)))).all(), "a parent that does not exist")
    for side in ("left_children", "right_children"):
        demand((parents[parts[side][inner]] == own[inner]).all(), "a child of another parent")


def _check_tree(tree: Mapping[str, Any], width: int) -> None:
    import numpy as np

    params = tree["tree_param"]
    count = int(params["num_nodes"])
    if int(params["size_leaf_vector"]) > 1:
        raise ModelError("A tree with several outputs a leaf cannot be checked: if you trust it, use trust=True.")
    parts = {}
    for name in ("left_children", "right_children", "split_indices", "split_conditions", "default_left", "parents"):
        kind = np.float64 if name == "split_conditions" else np.int64
        parts[name] = np.asarray(tree[name], dtype=kind)
        demand(parts[name].shape == (count,), f"a wrong number of {name}")
    demand(count > 0 and int(params["num_feature"]) <= width, "an impossible size")
    inner = parts["left_children"] != -1
    demand((parts["right_children"][inner] != -1).all(), "a child that does not exist")
    demand(
        (parts["left_children"][inner] >= 0).all() and (parts["right_children"][inner] >= 0).all(), "a negative child"
    )
    check_children(parts["left_children"], parts["right_children"], count, inner)
    _check_parents(parts, inner)
    features = parts["split_indices"][inner]
    demand(((features >= 0) & (features < width)).all(), "a feature that does not exist")
    nodes = np.asarray(tree.get("categories_nodes", []), dtype=np.int64)
    starts = np.asarray(tree.get("categories_segments", []), dtype=np.int64)
    sizes = np.asarray(tree.get("categories_sizes", []), dtype=np.int64)
    demand(len(nodes) == len(starts) == len(sizes), "categories in disorder")
    demand(((nodes >= 0) & (nodes < count)).all() and (starts >= 0).all() and (sizes >= 0).all(), "a wrong category")
    demand((starts + sizes <= len(tree.get("categories", []))).all(), "categories that do not exist")
    chosen = np.flatnonzero(inner & (np.asarray(tree.get("split_type", np.zeros(count))) == 1))
    demand(np.isin(chosen, nodes).all(), "a categorical split without categories")
