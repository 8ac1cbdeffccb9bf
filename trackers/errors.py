"""The errors of ``trackers``, one tree.

    TrackersError
    ├── NotFoundError(KeyError)            an experiment, run, study, model, version, alias or artifact
    ├── AlreadyExistsError(ValueError)     a name is taken
    ├── InvalidValueError(ValueError)      a name, value, filter or setting that cannot be stored or read
    │   └── FilterError                    a search filter; its message carries a caret under the wrong word
    ├── StateError(RuntimeError)           an illegal move between states
    ├── ConflictError(RuntimeError)        what was expected to be replaced is not there any more
    ├── PolicyError(RuntimeError)          a policy of the registry that does not hold
    ├── FencedError(RuntimeError)          a newer epoch owns the study: this writer must stop
    ├── StudyBusyError(RuntimeError)       a living manager owns the study
    ├── StoreError(RuntimeError)           the database: unreachable, not one, full, read-only, locked
    │   ├── SchemaError                    an older or newer schema than this release reads
    │   ├── StoreBusyError                 another process has what one alone may have
    │   ├── StoreAwayError                 its server cannot be reached now, or another process holds the database
    │   └── DamagedError                   a value that was not written by us, or was changed since
    ├── ArtifactError(RuntimeError)        a file that cannot be stored or read
    │   └── DigestError                    a file whose bytes are not those that were stored
    └── ModelError(RuntimeError)           a model that cannot be saved or loaded
        └── UntrustedError                 loading would run or unpickle what the caller did not choose to trust

The docstring of an error is its message where none is given. Every message names what is wrong and what to do.
"""

from typing import Any


class TrackersError(Exception):
    """Something went wrong in the tracking store."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message if message is not None else " ".join((type(self).__doc__ or "").split()))


class NotFoundError(TrackersError, KeyError):
    """There is no such thing in this store."""

    def __str__(self) -> str:
        return str(self.args[0])  # a KeyError would show it in quotes


class AlreadyExistsError(TrackersError, ValueError):
    """The name is taken: choose another."""


class InvalidValueError(TrackersError, ValueError):
    """The value cannot be used here."""


class FilterError(InvalidValueError):
    """The filter cannot be read.

    *filter* is the text as given, *position* the 0-based offset of the wrong word and *length* how long it is; the
    message shows a caret under it.
    """

    def __init__(self, message: str, filter: str = "", position: int = 0, length: int = 1) -> None:
        self.filter, self.position, self.length = filter, position, length
        super().__init__(f"{message}\n{_underline(filter, position, length)}" if filter else message)


def _underline(text: str, position: int, length: int) -> str:
    """Show the line of *text* that holds *position*, at most 100 characters of it, with carets under the word."""
    start = text.rfind("\n", 0, position) + 1
    end = text.find("\n", position)
    line = text[start : end if end >= 0 else len(text)]
    at = position - start
    first = max(0, at - 60) if len(line) > 100 else 0
    shown = line[first : first + 100]
    printed = "".join(char if char.isprintable() else " " for char in shown)
    before = "... " * (first > 0)
    carets = "^" * max(1, min(length, len(shown) - (at - first)))
    wide = sum(_is_wide(char) for char in shown[: at - first])
    return (
        f"  {before}{printed}{' ...' * (first + 100 < len(line))}\n  {' ' * (len(before) + at - first + wide)}{carets}"
    )


def _is_wide(char: str) -> bool:
    if char < "\u1100":
        return False
    import unicodedata

    return unicodedata.east_asian_width(char) in {"W", "F"}


class StateError(TrackersError, RuntimeError):
    """The run is not in a state that allows this."""


class ConflictError(TrackersError, RuntimeError):
    """Somebody else changed it first: read it again and decide again."""


class PolicyError(TrackersError, RuntimeError):
    """A policy does not hold: the alias was not moved. *results* is what each policy says."""

    def __init__(self, message: str | None = None, results: tuple[Any, ...] = ()) -> None:
        self.results = results
        super().__init__(message)


class FencedError(TrackersError, RuntimeError):
    """A newer manager owns this study: this one stops, nothing of its write was kept."""


class StudyBusyError(TrackersError, RuntimeError):
    """A living manager runs this study. *owner* is who."""

    def __init__(self, message: str | None = None, owner: Any = None) -> None:
        self.owner = owner
        super().__init__(message)


class StoreError(TrackersError, RuntimeError):
    """The store cannot be used."""


class SchemaError(StoreError):
    """The store was written by another release: upgrade it with `trackers db upgrade`, or use the newer release."""


class StoreAwayError(StoreError):
    """The database cannot be reached now: its server is gone, or another process holds it."""


class StoreBusyError(StoreError):
    """Another process is at it: wait until it is done."""


class DamagedError(StoreError):
    """A value in the store cannot be read: run `trackers fsck`, which names it, and restore a backup."""


class ArtifactError(TrackersError, RuntimeError):
    """The file cannot be stored or read."""


class DigestError(ArtifactError):
    """The file is damaged: its bytes are not those that were stored."""


class ModelError(TrackersError, RuntimeError):
    """The model cannot be saved or loaded."""


class UntrustedError(ModelError):
    """Loading this model would run code or unpickle types that were not named as trusted."""
