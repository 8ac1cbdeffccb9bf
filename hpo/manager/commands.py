"""Commands from other processes: carried out once, answered in the transaction that writes their effect."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hpo.errors import UserError
from hpo.manager.scribe import Scribe
from trackers.changes import CommandAnswered, StudyChanged, clean_name
from trackers.clock import now_us
from trackers.errors import TrackersError

if TYPE_CHECKING:
    from trackers.values import Command


class Commands:
    """Carries out commands of the store's table. Called on the manager's thread.

    *stale* are the ids of those that were sent before this manager owned the study.
    ``stop`` (``grace`` seconds), ``enqueue`` (``params``, ``user_attrs``), ``budget`` (``total``, None: no limit) and
    ``attrs`` (``user_attrs`` of the study).
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
        if command.kind == "stop" and command.id in self._stale:  # it was meant for a manager that is gone
            return {"done": False, "reason": "it was sent before this run began"}
        try:
            return {"done": True, **self._do(command)}
        except (UserError, TrackersError) as exc:
            return {"done": False, "reason": str(exc)}
        except (TypeError, ValueError, AttributeError) as exc:
            return {"done": False, "reason": f"a command {command.kind!r} cannot have {dict(command.args)} ({exc})"}

    def _do(self, command: Command) -> Mapping[str, Any]:
        kind, args = command.kind, command.args
        if kind == "stop":
            self._stop(f"stopped by {command.author}", float(args.get("grace", 10.0)))
            return {}
        if kind == "enqueue":
            params = {clean_name(name, "param"): value for name, value in dict(args.get("params", {})).items()}
            attrs = {clean_name(name, "attribute"): v for name, v in dict(args.get("user_attrs", {})).items()}
            return {"number": self._enqueue(params, attrs)}
        if kind == "attrs":
            attrs = {clean_name(name, "attribute"): v for name, v in dict(args.get("user_attrs", {})).items()}
            self._scribe.write(StudyChanged(user_attrs=attrs))
            return {}
        if kind == "budget":
            total = args.get("total")
            self._budget(None if total is None else int(total))
            return {}
        raise UserError(f"this release knows no command {kind!r}")
