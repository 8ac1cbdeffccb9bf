"""What a trial logs besides its reports: kept as the store's own records until the next message takes them along."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpo.errors import ResultError, UserError
from trackers.changes import (
    ArtifactsLogged,
    AttrsSet,
    Change,
    CheckpointSaved,
    ModelLogged,
    PointsLogged,
    TagsSet,
    clean_name,
)
from trackers.errors import ArtifactError

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


class Logbook:
    """The logging half of a trial. Not thread-safe: one objective, one thread.

    *open_artifacts* opens the artifact store when the first file comes; None: nothing is recorded.
    """

    def __init__(self, run_id: int, attempt: int, open_artifacts: Callable[[], ArtifactStore] | None) -> None:
        self.run_id = run_id
        self.records: list[Change] = []
        self._attempt = attempt
        self._open = open_artifacts
        self._store: ArtifactStore | None = None
        self._steps_of: dict[tuple[str, str], int] = {}
        self._constraints: dict[str, float] = {}

    def take_records(self) -> tuple[Change, ...]:
        """Return what was logged since the last time, for the message that takes it along."""
        records, self.records = self.records, []
        return tuple(records)

    @staticmethod
    def now() -> int:
        """Microseconds since the epoch, UTC."""
        return time.time_ns() // 1000

    def metric_logged(self, key: str, value: float, step: int | None) -> bool:
        """Tell whether the metric was taken otherwise; a trial takes its objective's series as reports."""
        return False

    # ---- metrics, attributes, tags

    def log_metric(self, key: str, value: float, step: int | None = None, context: str = "") -> None:
        """Log one value of a metric; *step* None continues the series."""
        self.log_metrics({key: value}, step=step, context=context)

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None, context: str = "") -> None:
        """Log values of several metrics at one *step* (None continues each series); *context* such as ``"train"``."""
        now = self.now()
        context = context and clean_name(context, "context")
        for key, value in metrics.items():
            key = clean_name(key, "metric")
            try:
                number = float(value)
            except (TypeError, ValueError):
                raise ResultError(f"metric {key!r} takes a float, not {type(value).__name__}") from None
            if not context and self.metric_logged(key, number, step):
                continue
            at = self._steps_of.get((key, context), -1) + 1 if step is None else as_step(step)
            self._steps_of[key, context] = at
            self.records.append(PointsLogged(self.run_id, key, ((at, self._attempt, now, number),), context))

    def log_param(self, key: str, value: Any) -> None:
        """Log a param that was not searched over; it is kept as a tag named ``param.KEY``."""
        self.log_params({key: value})

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Log params that were not searched over; they are kept as tags named ``param.KEY``."""
        self.set_tags({f"param.{k}": v for k, v in params.items()})

    def set_attr(self, scope: str, key: str, value: Any) -> None:
        """Set an attribute; *value* must be JSON."""
        key = clean_name(key, "attribute")
        try:
            as_it_is_now = json.loads(json.dumps(value))
        except (TypeError, ValueError) as exc:
            raise UserError(f"attribute {key!r} is not JSON ({exc}): use numbers, text, lists and mappings") from None
        self.records.append(AttrsSet(self.run_id, scope, {key: as_it_is_now}))

    def set_tag(self, key: str, value: Any) -> None:
        """Set a tag."""
        self.set_tags({key: value})

    def set_tags(self, tags: Mapping[str, Any]) -> None:
        """Set several tags."""
        self.records.append(TagsSet(self.run_id, {clean_name(str(k), "tag"): str(v) for k, v in tags.items()}))

    # ---- files

    @property
    def artifacts(self) -> ArtifactStore:
        """The artifact store; UserError in a trial that is not recorded."""
        if self._store is None:
            if self._open is None:
                raise UserError("this trial is not recorded: it has no artifact store")
            self._store = self._open()
        return self._store

    def log_artifact(self, path: str | os.PathLike[str], name: str | None = None) -> None:
        """Keep the file at *path* under *name* (default: the file's own)."""
        if self._open is None:
            return
        file = Path(path)
        if not file.is_file():
            raise UserError(f"there is no file at {file}")
        self._file_logged(name or file.name, self.artifacts.put_file(file))

    def log_artifacts(self, folder: str | os.PathLike[str], name: str | None = None) -> None:
        """Keep every file below *folder*, under *name* (default: none) and its path in the folder."""
        root = Path(folder)
        if not root.is_dir():
            raise UserError(f"there is no folder at {root}")
        for file in sorted(p for p in root.rglob("*") if p.is_file()):
            below = file.relative_to(root).as_posix()
            self.log_artifact(file, f"{name}/{below}" if name else below)

    def log_text(self, text: str, name: str) -> None:
        """Keep *text* as the file *name*."""
        if self._open is not None:
            self._file_logged(name, self.artifacts.put_bytes(text.encode()))

    def log_dict(self, value: Mapping[str, Any], name: str) -> None:
        """Keep a mapping as the JSON file *name*."""
        self.log_text(json.dumps(value, indent=2, default=str), name)

    def _file_logged(self, name: str, stored: tuple[str, int]) -> None:
        from trackers.artifacts import check_name

        self.records.append(ArtifactsLogged(self.run_id, self.now(), {check_name(name): stored}))

    def log_input(self, data: Any, name: str | None = None, role: str = "train", source: str | None = None) -> None:
        """Record which *data* (arrays, data frames, files, lists) the trial read, by its content's digest.

        *name* is that of the file, or ``"data"``; *source* where it came from, by default the path.
        """
        from trackers.active import describe_input

        self.records.append(describe_input(self.run_id, data, name, role, source))

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
            self.records.append(ModelLogged(self.run_id, self.now(), name=kept, step=step, value=value, why_not=why))
            return False
        self.records.append(
            ModelLogged(self.run_id, self.now(), os.urandom(16).hex(), kept, manifest, files, step, value)
        )
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
        self.records.append(CheckpointSaved(self.run_id, self.now(), digest, size, step))
        return True

    def unpack_checkpoint(self, digest: str) -> Any:
        """Load a checkpoint: the study's own file, named by the service and verified by its digest."""
        import cloudpickle

        return cloudpickle.loads(self.artifacts.read(digest))
