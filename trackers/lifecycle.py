"""The part of a store's front door that renames, tags, archives, deletes and restores."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from trackers.errors import InvalidValueError
from trackers.names import clean_name
from trackers.recorder import check_mapping, clean_tags
from trackers.sql import experiments, lifecycle, notes
from trackers.sql.lifecycle import GRACE_DAYS, Expired

if TYPE_CHECKING:
    from trackers.sql.engine import Database
    from trackers.sql.writer import Writer


class Lifecycle(ABC):
    """What becomes of runs and experiments besides their states. *run* and *ref* are what other methods take."""

    database: Database
    writer: Writer

    @abstractmethod
    def _run_id(self, ref: Any) -> int:
        """Return the id of a run."""

    @abstractmethod
    def delete_study(self, ref: str | int) -> None:
        """Delete a study that no living manager runs."""

    @abstractmethod
    def settle(self) -> None:
        """Wait until what was logged so far is committed."""

    def _experiment_id(self, ref: str | int) -> int:
        self.settle()  # a run that waits in the journal names its experiment
        return self.database.read(lambda connection: experiments.find_experiments(connection, [ref])[0])

    def rename_run(self, run: Any, name: str) -> None:
        """Give a run another name, which need not be unique. Raises NotFoundError."""
        name = clean_name(name, "run")
        self.writer.call(partial(lifecycle.rename_run, run_id=self._run_id(run), name=name))

    def rename_experiment(self, ref: str | int, name: str) -> None:
        """Give an experiment or study another name; raises AlreadyExistsError where it is taken."""
        name, found = experiments.check_experiment(name), self._experiment_id(ref)
        self.writer.call(partial(lifecycle.rename_experiment, experiment_id=found, name=name))

    def tag_run(self, run: Any, tags: Mapping[str, object]) -> None:
        """Set tags of a run or trial, also of one that has ended; None as a value removes a tag.

        Raises NotFoundError for a tag to remove that is not there, StateError for a deleted run.
        """
        self.writer.call(partial(notes.tag_run, run_id=self._run_id(run), tags=_clean(tags)))

    def tag_experiment(self, ref: str | int, tags: Mapping[str, object]) -> None:
        """Set tags of an experiment or study; see ``tag_run``."""
        found = self._experiment_id(ref)
        self.writer.call(partial(notes.tag_experiment, experiment_id=found, tags=_clean(tags)))

    def describe_experiment(self, ref: str | int, description: str) -> None:
        """Set the description of an experiment or study. Raises NotFoundError, InvalidValueError for no text."""
        if not isinstance(description, str):
            raise InvalidValueError(f"A description is text, not {type(description).__name__}.")
        found = self._experiment_id(ref)
        self.writer.call(partial(notes.describe_experiment, experiment_id=found, description=description))

    def archive_run(self, run: Any, archived: bool = True) -> None:
        """Hide a run or trial from searches and counts, or with *archived* False show it again. Raises NotFoundError.

        It stays as it is, and is found by ``search_runs`` with ``view="archived"``.
        """
        self.writer.call(partial(lifecycle.archive_run, run_id=self._run_id(run), archived=archived))

    def archive_experiment(self, ref: str | int, archived: bool = True) -> None:
        """Hide an experiment with its runs, or with *archived* False show it again; its name stays taken.

        Raises NotFoundError.
        """
        found = self._experiment_id(ref)
        self.writer.call(partial(lifecycle.archive_experiment, experiment_id=found, archived=archived))

    def delete_run(self, run: Any) -> int:
        """Mark a run and its children as deleted and return how many: hidden, refusing what is logged, restorable.

        Their rows and files go when the grace period is over (30 days, see ``Store.gc``). Raises NotFoundError, and
        StateError for a trial.
        """
        return self.writer.call(partial(lifecycle.delete_run, run_id=self._run_id(run)))

    def restore_run(self, run: Any) -> int:
        """Take back ``delete_run`` and return how many runs came back; raises StateError where it was not deleted."""
        return self.writer.call(partial(lifecycle.restore_run, run_id=self._run_id(run)))

    def delete_experiment(self, ref: str | int) -> None:
        """Mark an experiment or study as deleted with its runs and free its name.

        Raises NotFoundError, and StudyBusyError for a study that a living manager runs.
        """
        found = self._experiment_id(ref)
        kinds = self.database.read(lambda connection: {e.kind for e in experiments.read_experiments(connection, found)})
        if "study" in kinds:  # none: it went at this moment, as the next call says
            self.delete_study(found)
        else:
            self.writer.call(partial(lifecycle.delete_experiment, experiment_id=found))

    def restore_experiment(self, ref: str | int, name: str | None = None) -> None:
        """Take back ``delete_experiment``; *ref* is its id, its 32 hex digits or its name (of several the newest).

        With *name* it is called that from now on. Raises AlreadyExistsError where its name is taken by now, and
        StateError where it was not deleted.
        """
        name = None if name is None else experiments.check_experiment(name)
        found = self.database.read(lambda connection: lifecycle.find_any_experiment(connection, ref))
        self.writer.call(partial(lifecycle.restore_experiment, experiment_id=found, name=name))

    def list_expired(self, grace_days: float = GRACE_DAYS) -> list[Expired]:
        """Return the runs and experiments that were deleted more than *grace_days* ago: what may go for good."""
        return self.database.read(lambda connection: lifecycle.list_expired(connection, grace_days))


def _clean(tags: Mapping[str, object]) -> dict[str, str | None]:
    gone = [key for key, value in check_mapping(tags, "tags").items() if value is None]
    set_now = clean_tags({key: value for key, value in tags.items() if value is not None})
    return {**dict.fromkeys(clean_name(key, "tag") for key in gone), **set_now}
