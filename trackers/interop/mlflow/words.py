"""What MLflow calls things, and what we call them: pure, both ways.

MLflow keeps params as text. One becomes a number or a boolean here only where writing that again gives the same text.
"""

from __future__ import annotations

import hashlib
import json
import math
import posixpath
import re
from collections.abc import Mapping
from typing import Any

from trackers.interop.names import fit as fit
from trackers.names import LONGEST
from trackers.states import RunState

ORIGIN = "imported:from"
"""The system attribute of a run that was imported: where from."""

UID = "trackers.uid"
"""The tag in MLflow by which what was exported is known again."""

ATTRIBUTE = "trackers.attr."
"""Begins the tag in MLflow that holds a user attribute, as JSON."""

RUN_NAME, USER, PARENT, NOTE = "mlflow.runName", "mlflow.user", "mlflow.parentRunId", "mlflow.note.content"
KILLED = ("Killed", "it was killed, as MLflow says")
"""Type and message of the error of a run that was KILLED in MLflow."""

LONGEST_PARAM, LONGEST_TAG, LONGEST_EXPERIMENT_TAG = 6000, 8000, 5000
"""In characters: what MLflow takes."""

LARGEST = 1.7976931348623157e308
_HEX = re.compile(r"[0-9a-f]{32}")
_STATES = {"RUNNING": RunState.RUNNING, "SCHEDULED": RunState.WAITING, "FINISHED": RunState.COMPLETE}
_STATUSES = {RunState.RUNNING: "RUNNING", RunState.WAITING: "SCHEDULED", RunState.COMPLETE: "FINISHED"}
STATE = "trackers.state"
_NOT_IN_KEYS = re.compile(r"[^/\w.\- :]")


def to_state(status: str, tags: Mapping[str, str]) -> RunState:
    """Return our state for MLflow's *status*; a trial of ours that was pruned says so in a tag."""
    if tags.get(STATE) == "PRUNED":
        return RunState.PRUNED
    return _STATES.get(status, RunState.FAIL)


def to_status(state: RunState, error: str | None = None) -> str:
    """Return MLflow's status: pruned runs are KILLED there."""
    if state is RunState.PRUNED or error == KILLED[1]:
        return "KILLED"
    return _STATUSES.get(state, "FAILED")


def to_param(text: str) -> bool | int | float | str:
    """Return the param that MLflow keeps as *text*, typed where ``to_text`` gives that text again."""
    if text in ("True", "False"):
        return text == "True"
    if 0 < len(text) <= 40 and text.isascii():
        for kind in (int, float):
            try:
                value = kind(text)
            except ValueError:
                continue
            if to_text(value) == text:
                return value
    return text


def to_text(value: Any) -> str:
    """Return a param as MLflow keeps it; lists and mappings as JSON."""
    if isinstance(value, str):
        return value
    return json.dumps(value) if isinstance(value, list | dict) else str(value)


def to_attribute_tags(attrs: Mapping[str, Any]) -> dict[str, str]:
    """Return user attributes as tags of MLflow."""
    names = to_keys([ATTRIBUTE + name for name in attrs])
    return {names[ATTRIBUTE + name]: json.dumps(value) for name, value in attrs.items()}


def to_value(value: float) -> float:
    """Return the number that was logged: MLflow's databases keep the largest double for an infinity."""
    return math.copysign(math.inf, value) if abs(value) == LARGEST else value


def to_uid(mlflow_id: str) -> str:
    """Return 32 hex digits for one of MLflow's ids: the same where it is such, else of its digest."""
    bare = mlflow_id.removeprefix("m-")
    return bare if _HEX.fullmatch(bare) else hashlib.sha256(mlflow_id.encode()).hexdigest()[:32]


def derived_uid(*parts: object) -> str:
    """Return 32 hex digits that are always the same for these *parts*."""
    return hashlib.sha256(json.dumps([str(part) for part in parts]).encode()).hexdigest()[:32]


def to_key(name: str) -> str:
    """Return the key that MLflow takes for one of our names: the same, or one with what it refuses taken out.

    ``loss{split=val}``, a metric with a context, becomes ``loss.split_val``.
    """
    key = name
    if key.endswith("}") and "{" in key:
        key = key[:-1].replace("{", ".", 1)
    plain = _NOT_IN_KEYS.sub("_", key)
    if posixpath.normpath(plain) != plain or plain == "." or plain.startswith(("..", "/")):
        plain = plain.replace("/", "_").strip(".") or "_"
    if len(plain) > LONGEST:
        plain = f"{plain[: LONGEST - 9]}.{hashlib.sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"
    return plain


def to_keys(names: list[str]) -> dict[str, str]:
    """Return the key of each of *names*, no two the same: of those that would be, the later ones get a digest."""
    keys: dict[str, str] = {}
    used = {name for name in names if to_key(name) == name}
    for name in names:
        key = to_key(name)
        if key != name:
            if key in used:
                key = f"{key[: LONGEST - 9]}.{hashlib.sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"
            used.add(key)
        keys[name] = key
    return keys
