"""Commands from other processes: carried out once, answered in the transaction that writes their effect."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hpo.errors import UserError
from hpo.manager.scribe import Scribe, now_us
from trackers.changes import CommandAnswered

if TYPE_CHECKING:
    from trackers.values import Command


class Commands:
    """Carries out commands of the store's table. Called on the manager's thread.

    *stale* are the ids of those that were sent before this manager owned the study.
    ``stop`` (``grace`` seconds), ``enqueue`` (``params``, ``user_attrs``) and ``budget`` (``total``, None: no limit).
    """

    def __init__(
        self,
        scribe: Scribe,
        enqueue: Callable[[Mapping[str, Any], Mapping[str, Any]], int],
        stop: Callable[[str, float], None],
        budget: Callable[[int | None], None],
        stale: Collection[int] = (),
    ) -> None:
        self._scribe = scribe
        self._enqueue, self._stop, self._budget = enqueue, stop, budget
        self._stale = frozenset(stale)

    def carry(self, commands: Sequence[Command]) -> None:
        """Carry out *commands* in their order."""
        for command in sorted(commands, key=lambda c: c.id):
            answer = self._one(command)
            self._scribe.event("command", command=command.kind, author=command.author, answer=answer)
            self._scribe.write(CommandAnswered(command.id, now_us(), answer))

    def _one(self, command: Command) -> Mapping[str, Any]:
        if command.kind == "stop":
            if command.id in self._stale:  # it was meant for a manager that is gone
                return {"done": False, "reason": "it was sent before this run began"}
            self._stop(f"stopped by {command.author}", float(command.args.get("grace", 10.0)))
            return {"done": True}
        if command.kind == "enqueue":
            try:
                number = self._enqueue(command.args.get("params", {}), command.args.get("user_attrs", {}))
            except UserError as exc:
                return {"done": False, "reason": str(exc)}
            return {"done": True, "number": number}
        if command.kind == "budget":
            self._budget(command.args.get("total"))
            return {"done": True}
        return {"done": False, "reason": f"this release knows no command {command.kind!r}"}
