"""Check the trees inside a loaded estimator before anyone predicts with it.

scikit-learn's compiled trees follow the indices that they hold without looking at them, since it fitted them itself.
Read from a file they may say anything: a child beyond the last node, a feature beyond the last column, a cycle. What
is checked: every decision tree, every tree of the histogram-based ensembles, every k-d and ball tree, and that the
estimator that will hand it rows checks their width. A model that passes may still predict nonsense.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from trackers.errors import ModelError


def check_trees(model: Any) -> None:
    """Raise ``ModelError`` when a tree inside *model* would read outside of its own memory."""
    try:
        for owner, value in _walk(model):
            kind = type(value).__name__
            if kind == "Tree":
                _check_tree(value, _width(owner))
            elif kind == "TreePredictor":
                _check_predictor(value, owner)
            elif kind in ("KDTree", "BallTree"):
                _check_neighbors(value, _width(owner))
            elif type(value).__module__ == "sklearn.ensemble._gb":
                _check_boosting(value)
    except (AttributeError, KeyError, TypeError, ValueError, IndexError) as exc:
        raise ModelError(f"The model is damaged: a tree in it has an impossible form ({exc}).") from exc


def _walk(model: Any) -> Iterator[tuple[Any, Any]]:
    """Yield every object that *model* holds, with the nearest estimator above it that knows its features."""
    import numpy as np

    seen: set[int] = set()
    stack: list[tuple[Any, Any]] = [(None, model)]
    while stack:
        owner, value = stack.pop()
        if id(value) in seen or isinstance(value, str | bytes | int | float | type(None)):
            continue
        seen.add(id(value))
        yield owner, value
        inner = value if hasattr(value, "__dict__") and "n_features_in_" in vars(value) else owner
        if isinstance(value, np.ndarray):
            children = list(value.flat) if value.dtype == object else []
        elif isinstance(value, dict):
            children = list(value.values())
        elif isinstance(value, list | tuple | set | frozenset):
            children = list(value)
        else:
            children = list(getattr(value, "__dict__", {}).values())
        stack.extend((inner, child) for child in children)


def _width(owner: Any) -> int:
    if owner is None:
        raise ValueError("no estimator above it knows the number of features")
    return int(owner.n_features_in_)


def _demand(holds: Any, what: str) -> None:
    if not bool(holds):
        raise ValueError(what)


def _check_tree(tree: Any, width: int) -> None:
    # The arrays are views of *node_count* nodes: first see that there are that many.
    _demand(0 < tree.node_count <= tree.capacity, "its count of nodes")
    _demand(tree.n_features == width, f"{tree.n_features} features where the estimator takes {width}")
    nodes = tree.__getstate__()["nodes"]
    _check_children(nodes["left_child"], nodes["right_child"], nodes["left_child"] == -1)
    inner = nodes["left_child"] != -1
    _demand(((nodes["feature"] >= 0) & (nodes["feature"] < width))[inner].all(), "a feature that does not exist")


def _check_children(left: Any, right: Any, leaf: Any) -> None:
    """Every child comes after its parent, so that there is no cycle, and exists."""
    import numpy as np

    own = np.arange(len(left))
    for child in (left.astype(np.int64), right.astype(np.int64)):
        _demand(((child > own) & (child < len(left)))[~leaf].all(), "a child that does not exist")


def _check_predictor(predictor: Any, owner: Any) -> None:
    import numpy as np

    width, nodes = _width(owner), predictor.nodes
    _demand(nodes.ndim == 1 and len(nodes), "its nodes")
    leaf = nodes["is_leaf"].astype(bool)
    _check_children(nodes["left"], nodes["right"], leaf)
    _demand(
        ((nodes["feature_idx"] >= 0) & (nodes["feature_idx"] < width))[~leaf].all(), "a feature that does not exist"
    )
    categorical = nodes[~leaf & nodes["is_categorical"].astype(bool)]
    if len(categorical):
        bitsets = predictor.raw_left_cat_bitsets
        _demand(bitsets.ndim == 2 and bitsets.shape[1] == 8, "its categories")
        _demand((categorical["bitset_idx"] < len(bitsets)).all(), "a category that does not exist")
        known = np.asarray(owner._bin_mapper.is_categorical_)
        _demand(len(known) == width, "its categorical features")
        _demand(known[categorical["feature_idx"]].all(), "a category of a number")


def _check_boosting(model: Any) -> None:
    trees = vars(model).get("estimators_")
    if trees is None:
        return
    classes = vars(model).get("n_classes_", 1)
    outputs = classes if classes > 2 else 1
    _demand(trees.ndim == 2 and trees.shape[1] == outputs == model.n_trees_per_iteration_, "its number of outputs")
    for tree in trees.flat:
        _demand(tree.tree_.n_features == model.n_features_in_, "a tree of other features")
        _demand(tree.tree_.n_outputs == 1 and tree.tree_.value.shape[2] == 1, "a tree of several outputs")


def _check_neighbors(tree: Any, width: int) -> None:
    import numpy as np

    data, indices, nodes, bounds, _, levels, count, *_, metric, weights = tree.__getstate__()
    rows = len(data)
    _demand(data.ndim == 2 and data.shape[1] == width, f"{data.shape} rows where the estimator takes {width} features")
    _demand(count == len(nodes) == 2**levels - 1, "its count of nodes")
    _demand(indices.shape == (rows,) and np.array_equal(np.sort(indices), np.arange(rows)), "its order of rows")
    start, end = nodes["idx_start"], nodes["idx_end"]
    _demand(((start >= 0) & (start <= end) & (end <= rows)).all(), "a node of rows that do not exist")
    beyond = 2 * np.arange(count) + 2 >= count
    _demand((nodes["is_leaf"].astype(bool) == beyond)[beyond].all(), "a child that does not exist")
    _demand(bounds.ndim == 3 and bounds.shape[1:] == (count, width), "its bounds")
    _demand(len(bounds) == (2 if type(tree).__name__ == "KDTree" else 1), "its bounds")
    _demand(weights is None or np.shape(weights) == (rows,), "its weights")
    _demand(type(metric).__module__ == "sklearn.metrics._dist_metrics", "its distance")
