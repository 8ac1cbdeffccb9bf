"""Serves the files of workers that do not see the artifact store, beside the manager's own thread."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from hpo.execution.messages import Fetch, Put, Reply
from trackers.errors import ArtifactError

if TYPE_CHECKING:
    from trackers.artifacts import ArtifactStore


class Files:
    """Stores and reads bytes for workers. A big file does not hold up the manager's loop: a thread of its own has it."""

    def __init__(self, artifacts: ArtifactStore) -> None:
        self._artifacts = artifacts
        self._thread = ThreadPoolExecutor(1, "hpo-files")

    def serve(self, message: Put | Fetch, reply: Reply) -> None:
        """Do what *message* asks; *reply* is called on the thread, with the error where there is one."""
        self._thread.submit(self._serve, message, reply)

    def _serve(self, message: Put | Fetch, reply: Reply) -> None:
        try:
            if isinstance(message, Put):
                reply(self._artifacts.put_bytes(message.data))
            else:
                reply(self._artifacts.read(message.digest))
        except ArtifactError as exc:
            reply(exc)
        except Exception as exc:  # noqa: BLE001 - whatever it is: a worker waits for its answer
            reply(ArtifactError(f"{type(exc).__name__}: {exc}"))

    def close(self) -> None:
        """End the thread. Idempotent."""
        self._thread.shutdown(wait=True)
