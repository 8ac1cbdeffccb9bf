"""What a store refused of a journal: kept beside its entries, so that ``trackers sync`` tries it again."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

AGAIN = "again"
"""The file of a journal that says which of its entries the store refused."""

REFUSED = "refused"
"""The file of a journal that says why, for people."""


@dataclass(frozen=True, slots=True)
class Again:
    """Entries that the store refused, by their numbers, and the name under which it knows how far they are this time.

    Under another name each time: how far the last one came says nothing of what is left now.
    """

    uid: str = ""
    seqs: frozenset[int] = frozenset()

    @classmethod
    def of(cls, seqs: Iterable[int]) -> Again:
        """Return what is to be tried again, under a new name."""
        return cls(uuid4().hex, frozenset(seqs))

    @classmethod
    def read(cls, journal: Path) -> Again:
        """Return what is kept in the folder *journal*, nothing where that is nothing, or cannot be read."""
        try:
            uid, *seqs = (journal / AGAIN).read_text(encoding="ascii").split()
            return cls(uid, frozenset(map(int, seqs)))
        except (OSError, ValueError):
            return cls.of(())

    def write(self, journal: Path) -> None:
        """Keep it there, in one step: the name, and a line for each number."""
        draft = journal / f"{AGAIN}.new"
        draft.write_text("".join(f"{word}\n" for word in (self.uid, *sorted(self.seqs))), encoding="ascii")
        draft.replace(journal / AGAIN)


def add_refused(journal: Path, seq: int, why: str) -> None:
    """Note one more entry that is to be tried again, and why, behind those that are noted."""
    if not (journal / AGAIN).exists():
        Again.of(()).write(journal)
    for name, line in ((REFUSED, why), (AGAIN, str(seq))):
        with (journal / name).open("a", encoding="utf-8") as sink:
            sink.write(f"{line}\n")


def write_refused(journal: Path, why: Iterable[str]) -> None:
    """Write down, for people, what the store had against its entries."""
    (journal / REFUSED).write_text("".join(f"{one}\n" for one in why), encoding="utf-8")
