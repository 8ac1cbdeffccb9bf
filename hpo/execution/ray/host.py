"""The manager's actor: hosts whatever manager its factory makes, in a thread of its own."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from typing import Any, Protocol

from hpo.execution.messages import Message
from hpo.execution.portable import portable
from hpo.progress import Progress


class Hosted(Protocol):
    """What a host needs of a manager; see ``hpo.manager.Manager``."""

    summary: Any

    def post(self, message: Message, reply: Callable[[Any], None]) -> None: ...
    def stop(self, reason: str, grace: float) -> None: ...
    def progress(self) -> Progress: ...
    def run(self) -> Any: ...


Factory = Callable[[Any], Hosted]
"""Makes the manager, given the handle of the actor that hosts it."""


class ManagerHost:
    """An async actor: calls of workers go to the manager's inbox and are answered when it says so."""

    def __init__(self) -> None:
        self._manager: Hosted | None = None
        self._thread: threading.Thread | None = None
        self._result: asyncio.Future[Any] | None = None

    async def begin(self, factory: Factory, handle: Any, alone: bool = False) -> int:
        """Make the manager and start it; return this process's id. Raises what the factory raises.

        *alone*: no driver waits for the end, so that this actor, *handle*, ends itself.
        """
        loop = asyncio.get_running_loop()
        self._result = loop.create_future()
        manager = await loop.run_in_executor(None, factory, handle)
        self._manager = manager
        last = handle if alone else None
        self._thread = threading.Thread(target=self._run, args=(loop, last), name="hpo-manager", daemon=True)
        self._thread.start()
        return os.getpid()

    def _run(self, loop: asyncio.AbstractEventLoop, last: Any) -> None:
        assert self._manager is not None
        assert self._result is not None
        try:
            outcome: Any = self._manager.run()
        except BaseException as exc:  # noqa: BLE001 - the driver raises it
            outcome = portable(exc)
        loop.call_soon_threadsafe(self._result.set_result, outcome)
        if last is not None:
            import ray

            ray.kill(last, no_restart=True)

    async def send(self, message: Message) -> Any:
        """Take a worker's message; return the manager's answer."""
        assert self._manager is not None
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()

        def reply(answer: Any) -> None:
            loop.call_soon_threadsafe(_answer, future, answer)

        self._manager.post(message, reply)
        return await future

    async def alive(self) -> bool:
        """Give a sign."""
        return True

    async def stop(self, reason: str, grace: float) -> None:
        """Stop the study."""
        if self._manager is not None:
            self._manager.stop(reason, grace)

    async def progress(self) -> Progress | None:
        """Return where the study is."""
        return None if self._manager is None else self._manager.progress()

    async def result(self, timeout: float) -> tuple[bool, Any]:
        """Wait up to *timeout* seconds for the end; return whether it came, and the summary or the exception."""
        assert self._result is not None
        done, _ = await asyncio.wait([self._result], timeout=timeout)
        return (True, self._result.result()) if done else (False, None)


def _answer(future: asyncio.Future[Any], answer: Any) -> None:
    if not future.done():
        future.set_result(answer)
