"""Where blobs lie: the port between ``ArtifactStore`` and a disk or an object store."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO, Protocol


class Place(Protocol):
    """A root that holds blobs under their digests.

    Every method may be called from any thread and process at once. Storing the same bytes twice is harmless. Methods
    let ``OSError`` through; ``FileNotFoundError`` means that there is no such blob. A blob that `put` has reported
    is whole and durable: no reader ever sees half of one.
    """

    def put(self, source: BinaryIO) -> tuple[str, int]:
        """Store what is left in *source* and return its sha-256 digest (hex) and its size in bytes."""
        ...

    def open(self, digest: str) -> BinaryIO:
        """Open a blob for reading."""
        ...

    def exists(self, digest: str) -> bool: ...

    def size(self, digest: str) -> int:
        """Return the size in bytes."""
        ...

    def delete(self, digest: str, grace: float, unused_grace: float) -> bool:
        """Delete a blob and tell whether it is gone.

        One that several writers have stored (another may be about to refer to it) stays for *grace* seconds after the
        last of them; one that a single writer has stored stays for *unused_grace* seconds.
        """
        ...

    def sizes(self) -> Iterator[tuple[str, int]]:
        """Yield the digest and the size of every blob, by digest, as a listing tells them."""
        ...

    def leftovers(self, older: float, remove: bool) -> tuple[int, int]:
        """Count what writers that were killed left half written, and its bytes; *remove* deletes it.

        Counted is what nobody wrote to for *older* seconds. What a deleter that was killed had moved aside is put back.
        """
        ...

    def quarantine(self, digest: str) -> str:
        """Move a blob to where no reader looks, and return where that is."""
        ...

    def write_mark(self, name: str, text: str) -> None:
        """Write a small file beside the blobs."""
        ...

    def read_marks(self) -> dict[str, str]:
        """Return all of them: name -> text."""
        ...

    def remove_mark(self, name: str) -> None: ...
