"""What came of a copy: counts by experiment and registered model, and what has to be said about it."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Counted:
    """One experiment: what is there after the copy, and what of it is new.

    *unlike* counts what was read back and is not the same as on the other side.
    """

    name: str
    runs: int = 0
    added: int = 0
    points: int = 0
    files: int = 0
    models: int = 0
    unlike: int = 0


@dataclass(slots=True)
class CountedModel:
    """One registered model: its versions, those that are new, and the aliases that moved."""

    name: str
    versions: int = 0
    added: int = 0
    moved: int = 0
    unlike: int = 0


@dataclass(slots=True)
class Outcome:
    """A whole copy.

    *notes* tell what is another here than there (renamed, left out on purpose), *problems* what could not be copied or
    is not equal afterwards: with any of those the copy is not whole. *digests* counts the files whose sha-256 was made of
    the bytes on the other side and compared with that of the file here, *digest_bytes* those bytes; *sizes* the files of
    which only name and size were compared, since the other side would have to send them once more.
    """

    experiments: list[Counted] = field(default_factory=list)
    models: list[CountedModel] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    digests: int = 0
    digest_bytes: int = 0
    sizes: int = 0

    @property
    def equal(self) -> bool:
        """Whether everything was read back and is the same on both sides."""
        return not self.problems

    def note(self, text: str) -> None:
        """Add a note, once."""
        if text not in self.notes:
            self.notes.append(text)

    def compared(self, size: int, *, by_digest: bool = True) -> None:
        """Count a file of *size* bytes that was compared."""
        if by_digest:
            self.digests, self.digest_bytes = self.digests + 1, self.digest_bytes + size
        else:
            self.sizes += 1

    def problem(self, text: str, counted: Counted | CountedModel | None = None) -> None:
        """Add a problem, of one experiment or model where it is known."""
        self.problems.append(text)
        if counted is not None:
            counted.unlike += 1


class Imported(Outcome):
    """What came of an import."""


class Exported(Outcome):
    """What came of an export."""
