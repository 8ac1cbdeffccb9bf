"""What a manager runs a study with, and how its run ended."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hpo import engine as eng
from hpo.trial import StudyFacts
from trackers.changes import StudyChanged

Done = Callable[[int], None]
"""Called with the number of a finished trial, on the manager's thread, after its commit."""


Ask = Callable[[str, tuple[Any, ...], Mapping[str, Any]], Any]
"""Answers what an objective asks of its study: the name of an attribute or method, and the method's arguments."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a manager runs a study with.

    *workers* is how many slots are wanted (0: inline). *done* are called after each commit of a finished trial; *ask*
    answers objectives; *keeper* says which models to drop; *launch* is the id of code and environment, *changes* are
    written to the study's row.
    """

    facts: StudyFacts
    limits: eng.Limits
    workers: int = 0
    cpus: float = 1.0
    gpus: float = 0.0
    done: Sequence[Done] = ()
    ask: Ask | None = None
    keeper: Any = None
    launch: int | None = None
    changes: StudyChanged = field(default_factory=StudyChanged)


@dataclass(frozen=True, slots=True)
class Summary:
    """How a run of a manager ended. *status* is ``"complete"``, ``"stopped"`` or ``"failed"``.

    *error* is what a callback raised: whoever called for the run gets it.
    """

    status: str
    reason: str
    notes: tuple[str, ...] = ()
    error: BaseException | None = None
