"""Files of a worker that does not see the artifact store: they go through its manager."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import BinaryIO

from hpo.execution.messages import Fetch, Link, Put, StudyFacts
from trackers.artifacts import ArtifactStore
from trackers.errors import ArtifactError


class ManagerPlace:
    """The manager's artifact store, as a place for blobs (``trackers.artifacts.place.Place``).

    A blob travels as one message, through Ray's object store: enough for models and checkpoints, not for data sets.
    """

    def __init__(self, link: Link) -> None:
        self._link = link

    def put(self, source: BinaryIO) -> tuple[str, int]:
        """Send the bytes; return their digest and size once the manager has stored them."""
        answer = self._link.send(Put(source.read()))
        if isinstance(answer, ArtifactError):
            raise answer
        digest, size = answer
        return digest, size

    def open(self, digest: str) -> BinaryIO:
        """Fetch the bytes."""
        answer = self._link.send(Fetch(digest))
        if isinstance(answer, ArtifactError):
            raise answer
        return io.BytesIO(answer)

    def exists(self, digest: str) -> bool:
        """Tell whether the manager can read it."""
        return not isinstance(self._link.send(Fetch(digest)), ArtifactError)

    def size(self, digest: str) -> int:
        """Return its size in bytes."""
        return len(self.open(digest).read())

    def delete(self, digest: str, grace: float, unused_grace: float) -> bool:
        """Delete nothing: that is the manager's."""
        return False

    def sizes(self) -> Iterator[tuple[str, int]]:
        """Yield nothing: a worker has no business with other files."""
        return iter(())

    def leftovers(self, older: float, remove: bool) -> tuple[int, int]:
        """Count nothing, likewise."""
        return 0, 0

    def quarantine(self, digest: str) -> str:
        """Move nothing, likewise."""
        return ""

    def write_mark(self, name: str, text: str) -> None:
        """Write nothing."""

    def read_marks(self) -> dict[str, str]:
        """Return nothing."""
        return {}

    def remove_mark(self, name: str) -> None:
        """Remove nothing."""


def artifacts_of(facts: StudyFacts, link: Link) -> ArtifactStore:
    """Return the study's artifact store: the root itself where this process sees it, else by way of the manager."""
    assert facts.artifacts is not None
    direct = ArtifactStore(facts.artifacts, facts.store_uid)
    if direct.reachable():
        return direct
    return ArtifactStore.over(ManagerPlace(link), facts.artifacts, facts.store_uid)
