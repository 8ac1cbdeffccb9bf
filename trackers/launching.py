"""The part of a store's front door that knows what code ran, in which environment and by which call."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trackers.errors import ArtifactError, StoreError
from trackers.sql import launches
from trackers.values import CodeVersion, Launch

if TYPE_CHECKING:
    from trackers.artifacts import ArtifactStore
    from trackers.capture import Capture
    from trackers.sql.commit import Commit
    from trackers.sql.engine import Database
    from trackers.sql.writer import Writer

PATIENCE = 2.0
"""Seconds that the start of a run waits for a database that is slow to answer, where a journal can stand in for it."""


class Launching(ABC):
    """How processes were launched. *run* is what other methods take."""

    database: Database
    writer: Writer

    def __init__(self) -> None:
        self._stated: Capture | None = None
        self._launched: tuple[Capture, int] | None = None
        self._packed_launch: tuple[Capture, dict[str, Any]] | None = None
        self._launch_waits = False

    @property
    @abstractmethod
    def artifacts(self) -> ArtifactStore:
        """The files of this store."""

    @property
    @abstractmethod
    def own_files(self) -> tuple[Path, ...]:
        """The files and folders of this store, which are nobody's code."""

    @abstractmethod
    def _run_id(self, ref: Any) -> int:
        """Return the id of a run."""

    def launch(self, run: Any) -> Launch | None:
        """Return which code a run ran last, in which environment and by which call; None where it is not known."""
        run_id = self._run_id(run)
        return self.database.read(
            lambda connection: launches.read_launch(connection, launches.last_launch(connection, run_id))
        )

    def get_launch(self, launch_id: int | None) -> Launch | None:
        """Return what ``keep_launch`` kept under this id, as an attempt names it; None where there is none."""
        return self.database.read(lambda connection: launches.read_launch(connection, launch_id))

    def keep_launch(self, captured: Capture) -> int:
        """Keep how a process was launched, once for all that are alike, and return its id.

        Files that cannot be stored are left away, and the record says so.
        """
        return int(self._ask_to_keep(captured).result())

    def _ask_to_keep(self, captured: Capture) -> Commit:
        return self.writer.defer(partial(launches.keep, new=self._packed(captured)), urgent=True)

    def read_bundle(self, code: CodeVersion) -> bytes | None:
        """Return the file with the changes and the new files of a code version; None where it has none.

        Raises ArtifactError where it is gone, and DigestError where it is damaged.
        """
        return None if code.bundle is None else self.artifacts.read(code.bundle)

    def read_commits(self, code: CodeVersion) -> bytes | None:
        """Return git's bundle of the commits that no remote had when the code ran; None where none was kept.

        Raises ArtifactError where it is gone, and DigestError where it is damaged.
        """
        return None if code.commits is None else self.artifacts.read(code.commits)

    def code_diff(self, code: CodeVersion) -> str:
        """Return what was changed since the commit, as text; raises ArtifactError where its file is gone."""
        from trackers.capture.state import DIFF, read_bundle

        old = code.content.get("diff")
        if isinstance(old, str):  # kept by a release that kept it in the record
            return old
        data = self.read_bundle(code)
        return "" if data is None else read_bundle(data).get(DIFF, b"").decode("utf-8", "replace")

    def _packed(self, captured: Capture) -> launches.NewLaunch:
        from trackers.capture.process import content_digest

        record, bundle, size = captured.record, None, 0
        commits, commits_size = None, 0
        unpushed = captured.code.commits
        try:
            data = captured.code.bundle()
            if data is not None:
                bundle, size = self.artifacts.put_bytes(data)
            if unpushed is not None and unpushed.bundle:
                commits, commits_size = self.artifacts.put_bytes(unpushed.bundle)
        except ArtifactError as exc:
            record["notes"] = [*record.get("notes", ()), f"the changes and new files could not be stored: {exc}"]
        environment = dict(captured.environment)
        environment_digest = content_digest(environment)
        call = [captured.code.branch, captured.code.remote, captured.entry_point, list(captured.arguments)]
        return launches.NewLaunch(
            digest=content_digest([captured.digest, environment_digest, *call]),
            code_digest=captured.digest if captured.has_code else None,
            version=captured.version,
            content=record,
            bundle=bundle,
            size=size,
            environment_digest=environment_digest,
            environment=environment,
            branch=captured.code.branch,
            remote=captured.code.remote,
            entry_point=captured.entry_point,
            arguments=captured.arguments,
            commits=commits,
            commits_size=commits_size,
        )

    # --- for the handle of a run -------------------------------------------------------------------------------

    def launch_from(self, captured: Capture) -> None:
        """Take *captured* for how this process was launched: it logs what another one computed."""
        self._stated = captured

    def _captured(self) -> Capture:
        from trackers.capture.process import launch

        return self._stated or launch(self.own_files)

    def own_launch(self) -> int | None:
        """Return the id of how this process was launched; None where that cannot be told. Kept once a process."""
        if self.writer.spilling:
            return None  # it would wait for the database that is away
        try:
            captured = self._captured()
            known = self._launched
            if known is None or known[0] is not captured:
                kept = self._ask_to_keep(captured).result(PATIENCE if self.writer.may_spill else None)
                self._launched = known = (captured, kept)
            self._launch_waits = False
            return known[1]
        except (StoreError, TimeoutError):
            self._launch_waits = True  # the database went away, or is slow: the run's own entry takes it along
            return None
        except Exception:  # noqa: BLE001 - a run is worth more than what is known of its code
            return None

    def follow_launch(self, run_id: int | None, attempt: int) -> None:
        """Note what an attempt ran in the end, where this process ran more than was known when it began."""
        known = self._launched
        if run_id is None or known is None or self.writer.spilling:
            return
        from trackers.capture.process import has_grown

        if has_grown(known[0]) and (launch := self.own_launch()) not in (None, known[1]):
            follow = partial(launches.follow_launch, run_id=run_id, attempt=attempt, launch=launch)
            self.writer.defer(follow, lazy=True)

    def waiting_launch(self) -> dict[str, Any] | None:
        """Return how this process was launched, as fields of a ``NewLaunch``, to be kept with a run that waits.

        None where ``own_launch`` keeps it, since the database is there, or where it cannot be told. Its file lies where
        this store keeps files now: offline that is the journal.
        """
        if not self.writer.spilling and not self._launch_waits:
            return None
        try:
            captured = self._captured()
            known = self._packed_launch
            if known is None or known[0] is not captured:
                self._packed_launch = known = (captured, asdict(self._packed(captured)))
            return known[1]
        except Exception:  # noqa: BLE001 - a run is worth more than what is known of its code
            return None
