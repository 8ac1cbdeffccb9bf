"""The port of samplers: where the params of the next trial come from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any

from trackers.states import RunState
from trackers.values import Trial

Spec = Mapping[str, Any]
"""A distribution in Optuna's JSON form."""


class Sampler(ABC):
    """Suggests the params of trials and learns from their results.

    One thread calls it (ask and suggest included). A sampler belongs to one study: it is made with the study's
    directions, seed and declared space. Trials are known by their number; numbers may come in any order, each is asked
    for once, and told once in the end. A resumed study makes a new sampler: ``load_study_attrs``, then ``add`` for
    every stored trial in the order of numbers, then it goes on. The same seed and the same calls give the same
    suggestions, bit for bit, also when the calls of before were replaced by ``add``. *name* is what users call it,
    *note* a sentence on what was chosen and why, empty where the user named it.
    """

    name: str = ""
    note: str = ""

    @abstractmethod
    def ask(self, number: int, fixed: Mapping[str, Any] | None = None, *, attempt: int = 0) -> dict[str, Any]:
        """Return the params of trial *number* and take it as running.

        With a declared space: a complete point. Without: a value for every param that all finished trials had, so
        that a worker need not ask for them. *fixed* params (of an enqueued trial) win. An *attempt* above 0 throws the
        last answer for this number away and draws again, from another stream.

        Raises: SpaceExhausted where nothing is left to suggest; the trial is then not taken as running.
        """

    @abstractmethod
    def suggest(self, number: int, name: str, distribution: Spec) -> Any:
        """Return the value of a param that the running trial *number* asks for by name (define-by-run).

        Asking again gives the same value, unless it lies outside *distribution*.

        Raises: SpaceError if the study has the name with another class of distribution, or other choices.
        """

    def discard(self, number: int, names: Iterable[str]) -> None:  # noqa: B027 - most samplers need not
        """Take params back that ``ask`` named for the running trial and its objective never used."""

    def report(self, number: int, step: int, value: float) -> None:  # noqa: B027 - most samplers need not
        """Take notice of an intermediate value; a later one for the same step counts."""

    @abstractmethod
    def tell(
        self,
        number: int,
        state: RunState,
        values: tuple[float, ...] | None,
        constraints: Mapping[str, float] | None = None,
    ) -> None:
        """Take the result of a trial that was asked for or added.

        *values* has one float per objective where *state* is COMPLETE. PRUNED counts with the last reported value.
        WAITING: the trial was released and will run again with the params it has; until then they stay taken.
        """

    @abstractmethod
    def add(self, trial: Trial) -> None:
        """Take a stored trial of any state, as if it had been asked for, reported and told here."""

    def drain(self) -> tuple[dict[int, dict[str, Any]], dict[str, Any]]:
        """Return the system attributes to persist since the last call: ({number: {key: value}}, {key: value}).

        The second are the study's. None as a value means that the key is not needed any more.
        """
        return {}, {}

    def load_study_attrs(self, attrs: Mapping[str, Any]) -> None:  # noqa: B027 - most samplers need not
        """Take the study's system attributes as ``drain`` gave them, before the first ``add``."""
