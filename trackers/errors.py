"""The errors of ``trackers``, one tree.

    TrackersError
    ├── NotFoundError(LookupError)         an experiment, run, study, model, version, alias or artifact
    ├── AlreadyExistsError(ValueError)     a name is taken
    ├── InvalidValueError(ValueError)      a name, value, filter or setting that cannot be stored or read
    │   └── FilterError                    a search filter; its message carries a caret under the wrong word
    ├── StateError(RuntimeError)           an illegal move between states
    ├── ConflictError(RuntimeError)        what was expected to be replaced is not there any more
    ├── FencedError(RuntimeError)          a newer epoch owns the study: this writer must stop
    ├── StudyBusyError(RuntimeError)       a living manager owns the study
    ├── StoreError(RuntimeError)           the database: unreachable, not one, full, read-only, locked
    │   └── SchemaError                    an older or newer schema than this release reads
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


class NotFoundError(TrackersError, LookupError):
    """There is no such thing in this store."""


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
        caret = " " * position + "^" * max(1, length)
        super().__init__(f"{message}\n  {filter}\n  {caret}" if filter else message)


class StateError(TrackersError, RuntimeError):
    """The run is not in a state that allows this."""


class ConflictError(TrackersError, RuntimeError):
    """Somebody else changed it first: read it again and decide again."""


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
    """The store was written by another release: upgrade it with `hpo db upgrade`, or use the newer release."""


class ArtifactError(TrackersError, RuntimeError):
    """The file cannot be stored or read."""


class DigestError(ArtifactError):
    """The file is damaged: its bytes are not those that were stored."""


class ModelError(TrackersError, RuntimeError):
    """The model cannot be saved or loaded."""


class UntrustedError(ModelError):
    """Loading this model would run code or unpickle types that were not named as trusted."""
