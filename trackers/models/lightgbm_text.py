"""Check LightGBM's text before LightGBM reads it: it trusts every index of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trackers.errors import ModelError
from trackers.models.boosted import check_children, demand

_END = "end of trees"


def check_text(text: str) -> str:
    """Return *text* as it can be read safely, or raise ModelError with what is wrong with its trees.

    The line ``tree_sizes`` is left out: it says where to cut the text, and a wrong one has other trees read than those
    that were checked.
    """
    demand("\r" not in text and "\0" not in text, "characters that LightGBM does not write")
    lines = text.split("\n")
    demand(lines[0] == "tree" and _END in lines, "no beginning or no end")
    body = [line for line in lines[: lines.index(_END)] if not line.startswith("tree_sizes=")]
    starts = [at for at, line in enumerate(body) if line.startswith("Tree=")]
    header = _fields(body[1 : starts[0] if starts else len(body)])
    try:
        width = int(header["max_feature_idx"]) + 1
        _check_header(header, width, len(starts))
        for start, end in zip(starts, [*starts[1:], len(body)], strict=True):
            _check_tree(_fields(body[start + 1 : end]), width)
    except (KeyError, ValueError, IndexError, OverflowError) as exc:
        raise ModelError(f"The model is damaged: a tree in it lacks a part or has a wrong one ({exc}).") from exc
    return "\n".join([*body, *lines[lines.index(_END) :]])


def _fields(lines: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in lines:
        key, _, value = line.partition("=")
        demand(key == key.strip() and (key not in found or not key), f"the line {key[:40]!r} twice")
        found[key] = value
    return found


def _check_header(header: Mapping[str, str], width: int, trees: int) -> None:
    classes = int(header["num_class"])
    demand(0 < width < 2**31 and len(header["feature_names"].split(" ")) == width, "a wrong number of features")
    demand(0 < classes == int(header["num_tree_per_iteration"]), "a wrong number of classes")
    demand(trees % classes == 0 and classes <= max(trees, 1), f"{trees} trees for {classes} classes")
    for word in header.get("objective", "").split():
        name, _, value = word.partition(":")
        demand(name != "num_class" or int(value) == classes, "an objective of other classes")


def _check_tree(tree: Mapping[str, str], width: int) -> None:
    import numpy as np

    def numbers(key: str, count: int, kind: Any = np.int64) -> Any:
        values = np.array(tree[key].split(), dtype=kind)
        demand(len(values) == count, f"{len(values)} values of {key} instead of {count}")
        return values

    leaves, categorical = int(tree["num_leaves"]), int(tree["num_cat"])
    demand(leaves > 0 and categorical >= 0, "an impossible size")
    numbers("leaf_value", leaves, np.float64)
    if int(tree.get("is_linear", "0")):
        _check_linear(numbers, leaves, width)
    if leaves == 1:
        return
    nodes = leaves - 1
    left, right = numbers("left_child", nodes), numbers("right_child", nodes)
    check_children(left, right, nodes, np.ones(nodes, dtype=bool))
    ends = np.concatenate([left, right])
    demand((~ends[ends < 0] < leaves).all(), "a leaf that does not exist")
    features = numbers("split_feature", nodes)
    demand(((features >= 0) & (features < width)).all(), "a feature that does not exist")
    thresholds, kinds = numbers("threshold", nodes, np.float64), numbers("decision_type", nodes)
    chosen = thresholds[(kinds & 1).astype(bool)]
    demand(((chosen >= 0) & (chosen < categorical)).all(), "a category that does not exist")
    if categorical:
        bounds = numbers("cat_boundaries", categorical + 1)
        demand(bounds[0] >= 0 and (np.diff(bounds) >= 0).all(), "categories in disorder")
        demand(bounds[-1] <= len(tree["cat_threshold"].split()), "categories that do not exist")


def _check_linear(numbers: Any, leaves: int, width: int) -> None:
    numbers("leaf_const", leaves, float)
    counts = numbers("num_features", leaves)
    demand((counts >= 0).all(), "a negative count")
    features = numbers("leaf_features", int(counts.sum()))
    numbers("leaf_coeff", int(counts.sum()), float)
    demand(((features >= 0) & (features < width)).all(), "a feature that does not exist")
