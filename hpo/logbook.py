"""What a trial logs besides its reports: kept as the store's own records until the next message takes them along."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from hpo.errors import ResultError, UserError
from trackers.changes import AttrsSet, Change, CheckpointSaved, ModelLogged, ParamsLogged, clean_name
from trackers.clock import now_us
from trackers.errors import ArtifactError, InvalidValueError
from trackers.recorder import Recorder, clean_params

if TYPE_CHECKING:
    from trackers.artifacts import ArtifactStore


def as_step(step: Any) -> int:
    """Return a step as an integer of 64 bits. Raises: ResultError."""
    try:
        at = int(step)
    except (TypeError, ValueError, OverflowError):
        raise ResultError(f"a step is an integer, not {step!r:.40}") from None
    if not -(2**63) <= at < 2**63:
        raise ResultError(f"a step is an integer of 64 bits, not {at}")
    return at


class Logbook(Recorder):
    """The logging half of a trial.

    *open_artifacts* opens the artifact store when the first file comes; None: nothing is recorded.
    """

    def __init__(self, run_id: int, attempt: int, open_artifacts: Callable[[], ArtifactStore] | None) -> None:
        super().__init__(run_id, attempt)
        self.run_id = run_id
        self.records: list[Change] = []
        self._open = open_artifacts
        self._store: ArtifactStore | None = None
        self._constraints: dict[str, float] = {}
        self._written: dict[str, Any] = {}
        self.searched: Mapping[str, Any] = {}
        """The params that were suggested."""

    def take_records(self) -> tuple[Change, ...]:
        """Return what was logged since the last time, for the message that takes it along."""
        with self._lock:
            records, self.records = self.records, []
        return tuple(records)

    def _record(self, records: list[Change]) -> None:
        self.records.extend(records)

    def _check_open(self) -> None:
        """Allow everything: a trial that has ended is out of its objective's hands."""

    # ---- params

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Log params that were not searched over: they are found as those of runs, and no sampler knows them.

        A param is written once: InvalidValueError, which names both values, where it has another one, or was suggested
        with another one. One that was suggested with this value is not kept twice.
        """
        new: dict[str, Any] = {}
        for name, value in clean_params(params, known=self.searched).items():
            known = self.searched if name in self.searched else self._written
            if name not in known:
                new[name] = value
            elif known[name] != value and not (known[name] != known[name] and value != value):
                raise InvalidValueError(
                    f"param {name!r} is {known[name]!r:.80} and cannot become {value!r:.80}: a param is written once; "
                    "log what changes as a metric or a tag"
                )
        self._written |= new
        if new:
            self._log(ParamsLogged(self.run_id, new))

    # ---- for the trial

    def unlogged(self, name: str) -> str:
        """Return the name of a param that may be searched over; raises UserError for one that was logged."""
        if name in self._written:
            raise UserError(
                f"param {name!r} was logged before it was suggested: log what is not searched over under another name"
            )
        return name

    def set_attr(self, scope: str, key: str, value: Any) -> None:
        """Set an attribute; *value* must be JSON."""
        key = clean_name(key, "attribute")
        try:
            as_it_is_now = json.loads(json.dumps(value))
        except (TypeError, ValueError) as exc:
            raise UserError(f"attribute {key!r} is not JSON ({exc}): use numbers, text, lists and mappings") from None
        self._log(AttrsSet(self.run_id, scope, {key: as_it_is_now}))

    # ---- files

    @property
    def artifacts(self) -> ArtifactStore:
        """The artifact store; UserError in a trial that is not recorded."""
        if self._store is None:
            if self._open is None:
                raise UserError("this trial is not recorded: it has no artifact store")
            self._store = self._open()
        return self._store

    def _files(self) -> ArtifactStore | None:
        return None if self._open is None else self.artifacts

    # ---- models and checkpoints

    def pack_model(
        self, model: Any, name: str, last: tuple[int, float, int] | None, options: Mapping[str, Any]
    ) -> bool:
        """Save a model's files and record it, or record why not."""
        if self._open is None:
            return False
        from trackers.models import pack

        step, value = (None, None) if last is None else (last[0], last[1])
        kept = "model"  # where the name is what is wrong
        try:
            kept = clean_name(name, "model")
            manifest, files = pack(model, self.artifacts, **options)
        except Exception as exc:  # noqa: BLE001 - an hour's training is worth more than its model's file
            why = f"{type(exc).__name__}: {exc}"
            self._log(ModelLogged(self.run_id, now_us(), name=kept, step=step, value=value, why_not=why))
            return False
        self._log(ModelLogged(self.run_id, now_us(), os.urandom(16).hex(), kept, manifest, files, step, value))
        return True

    def pack_checkpoint(self, state: Any, step: int | None) -> bool:
        """Save a checkpoint's file and record it, or say in the trial's log why not; return whether it was stored."""
        if self._open is None:
            return False
        import cloudpickle

        content = cloudpickle.dumps(state)
        try:
            digest, size = self.artifacts.put_bytes(content)
        except (ArtifactError, OSError) as exc:  # a full disk: the trial is worth more than a way back into it
            sys.stderr.write(f"no checkpoint of this trial was kept: {exc}\n")  # a warning is shown once a process
            return False
        self._log(CheckpointSaved(self.run_id, now_us(), digest, size, step))
        return True

    def unpack_checkpoint(self, digest: str) -> Any:
        """Load a checkpoint: the study's own file, named by the service and verified by its digest."""
        import cloudpickle

        return cloudpickle.loads(self.artifacts.read(digest))
