"""What may be logged, and how: the one implementation behind a run's handle and an objective's trial.

It imports neither a database nor a tuner: workers use it.
"""

from __future__ import annotations

import json
import logging
import math
import operator
import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Mapping
from enum import Enum
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trackers import changes as c
from trackers.capture.secret import HIDDEN, redact_value
from trackers.clock import now_us
from trackers.errors import InvalidValueError
from trackers.names import clean_metric, clean_name, tidy_context
from trackers.plain import plain
from trackers.values import ParamValue
from trackers.wording import hinting

if TYPE_CHECKING:
    from trackers.artifacts import ArtifactStore

_log = logging.getLogger("trackers")

DEEPEST = 100
"""Lists and mappings in one another that a param may be: every reader of JSON has a bound."""

LARGEST_ARRAY = 1000
"""So many numbers of an array are kept as a param."""

_NAME = "it is called name"
"""What MLflow calls ``artifact_file``."""

_LAST_STEP = 2**63 - 1

Put = Callable[["ArtifactStore"], dict[str, tuple[str, int]]]


class Recorder(ABC):
    """The logging methods that runs and trials share. Thread-safe.

    A subclass says where records go (`_record`, called with the lock held, in order) and where files lie
    (`_files`; None: they are not kept at all).
    """

    def __init__(self, run_id: int, attempt: int) -> None:
        self._run_id = run_id
        self._attempt = attempt
        self._parts_of = f"{attempt:03d}" if attempt >= 0 else f"001-{-attempt:x}"
        """How the names of an attempt's parts of tables begin: they follow those of the attempts before."""

        self._lock = threading.RLock()
        self._steps_of: dict[tuple[str, str], int] = {}
        self._steps_before: Mapping[tuple[str, str], int] = {}  # those of older attempts
        self._parts: dict[str, int] = {}
        self._file_names: set[str] = set()
        self._folders: set[str] = set()

    @abstractmethod
    def _record(self, records: list[c.Change]) -> None:
        """Take *records* along; the lock is held. Raises StateError where nothing more may be logged."""

    @abstractmethod
    def _check_open(self) -> None:
        """Raise StateError where nothing more may be logged."""

    @abstractmethod
    def _files(self) -> ArtifactStore | None:
        """Return where files go, None where none are kept."""

    @abstractmethod
    def log_params(self, params: Mapping[str, ParamValue]) -> None:
        """Log params."""

    def _is_reported(self, key: str) -> bool:
        """Tell whether this series is kept otherwise; a trial takes its objective's own as reports."""
        return False

    def _report(self, value: float, step: int | None) -> None:
        """Take one point of it; never called with the lock held, since a report may wait for an answer."""
        raise NotImplementedError

    # --- params, metrics, tags ---------------------------------------------------------------------------------

    def log_param(self, key: str, value: ParamValue) -> None:
        """Log one param; see ``log_params``."""
        self.log_params({key: value})

    def log_metric(
        self, key: str, value: float, step: int | None = None, context: Mapping[str, object] | str | None = None
    ) -> None:
        """Log one point of a metric; see ``log_metrics``."""
        self.log_metrics({key: value}, step, context)

    def log_metrics(
        self,
        metrics: Mapping[str, float],
        step: int | None = None,
        context: Mapping[str, object] | str | None = None,
    ) -> None:
        """Log a point of each of these metrics; NaN and the infinities are kept.

        *step* counts on from the largest one of the series where it is not given; after a resume from the largest of this
        attempt, once it logged one. *context*, such as
        ``{"split": "val"}``, tells series of the same key apart. Raises InvalidValueError for what is no number.
        """
        label = context_label(context)
        given = None if step is None else check_step(step)
        pairs = check_mapping(metrics, "metrics").items()
        values = {clean_metric(key): check_number(key, value) for key, value in pairs}
        reported = [values.pop(key) for key in list(values) if not label and self._is_reported(key)]
        now = now_us()
        with self._lock:
            self._check_open()
            records: list[c.Change] = []
            for key, value in values.items():
                last = self._last_step(key, label)
                at = last + 1 if given is None else given
                if at > _LAST_STEP:
                    check_step(at)
                self._count_steps(key, label, at)
                records.append(c.PointsLogged(self._run_id, key, ((at, self._attempt, now, value),), label))
            if records:
                self._record(records)
        for value in reported:  # last: it takes the others along
            self._report(value, given)

    def log_points(
        self,
        key: str,
        values: Iterable[float],
        steps: Iterable[int] | None = None,
        context: Mapping[str, object] | str | None = None,
    ) -> None:
        """Log many points of one metric at once, in the order of *values*.

        *steps* has as many whole numbers; without it they count on from the largest step of the series. Raises
        InvalidValueError where the two are of different lengths.
        """
        key, label = clean_metric(key), context_label(context)
        numbers = [check_number(key, value) for value in _plain_items(values)]
        places = None if steps is None else [check_step(step) for step in _plain_items(steps)]
        if places is not None and len(places) != len(numbers):
            raise InvalidValueError(f"the metric {key!r} was given {len(numbers)} values and {len(places)} steps")
        if not label and self._is_reported(key):
            for index, value in enumerate(numbers):
                self._report(value, None if places is None else places[index])
            return
        now = now_us()
        with self._lock:
            self._check_open()
            last = self._last_step(key, label)
            if places is None and numbers:
                check_step(last + len(numbers))
            at = places if places is not None else range(last + 1, last + 1 + len(numbers))
            points = tuple((step, self._attempt, now, value) for step, value in zip(at, numbers, strict=True))
            if points:
                self._count_steps(key, label, max(point[0] for point in points))
                self._record([c.PointsLogged(self._run_id, key, points, label)])

    def _last_step(self, key: str, label: str) -> int:
        """Return the largest step of a series; once this attempt logged to it, what it took the place of counts no more."""
        last = self._steps_of.get((key, label))
        return self._steps_before.get((key, label), -1) if last is None else last

    def _count_steps(self, key: str, label: str, step: int) -> None:
        self._steps_of[key, label] = max(self._steps_of.get((key, label), -1), step)

    def set_tag(self, key: str, value: object) -> None:
        """Set one tag; see ``set_tags``."""
        self.set_tags({key: value})

    def set_tags(self, tags: Mapping[str, object]) -> None:
        """Set tags, over those of the same names; a value that is no text is kept as its text.

        What is a secret, by its name or its look, is kept as ``***``.
        """
        self._log(c.TagsSet(self._run_id, clean_tags(tags)))

    # --- files -------------------------------------------------------------------------------------------------

    @hinting(local_path="it is called path", artifact_path="give name=, with the folder in it: plots/roc.png")
    def log_artifact(self, path: str | os.PathLike[str], name: str | None = None) -> None:
        """Store the file at *path*, or the folder with its tree, as *name* (default: its own name).

        *name* is the whole name; one that ends with a slash is the folder that a file lies in. A warning says so where a
        file with a suffix gets a name without one, since MLflow has a folder there.

        Raises ArtifactError for what cannot be read, for a link or a device, and for the store's own files.
        """
        path = check_path(path)
        if _is_folder(path):
            self.log_artifacts(path, path.resolve().name if name is None else name)
            return
        if name is None or (isinstance(name, str) and name.endswith("/")):
            name = f"{name or ''}{path.name}"
        kept = check_file_name(name)
        if path.suffix and not Path(kept).suffix:
            words = "%s is stored as a file called %s, which is its whole name: for a folder write %s/"
            _log.warning(words, path.name, kept, kept)

        def put(files: ArtifactStore) -> dict[str, tuple[str, int]]:
            files.refuse_own(path)
            return {kept: files.put_file(path)}

        self._put(put)

    @hinting(local_dir="it is called folder", artifact_path="it is called name")
    def log_artifacts(self, folder: str | os.PathLike[str], name: str | None = None) -> None:
        """Store every file below *folder*, with names relative to it, below *name* where that is given.

        Raises ArtifactError as ``log_artifact`` does.
        """
        prefix = "" if name is None else name.rstrip("/") + "/"
        folder = check_path(folder)
        self._put(
            lambda files: {check_file_name(prefix + key): put for key, put in files.put_folder(folder).items()},
        )

    @hinting(artifact_file=_NAME)
    def log_text(self, text: str, name: str) -> None:
        """Store *text* as the file *name* (UTF-8)."""
        if not isinstance(text, str):
            raise InvalidValueError(f"log_text takes text, not {type(text).__name__}: log_artifact takes a file")
        self._put_bytes(name, text.encode("utf-8", "backslashreplace"))

    @hinting(dictionary="it is called content", artifact_file=_NAME)
    def log_dict(self, content: Mapping[str, Any] | list[Any], name: str) -> None:
        """Store *content* as the file *name*: YAML where that ends in ``.yaml`` or ``.yml``, JSON otherwise.

        Raises InvalidValueError for what the format cannot hold.
        """
        yaml = check_file_name(name).lower().endswith((".yaml", ".yml"))
        self.log_text(_as_yaml(content, name) if yaml else _as_json(content, name), name)

    @hinting(artifact_file=_NAME)
    def log_table(self, data: Any, name: str) -> None:
        """Store a table: columns (a mapping of lists), rows (mappings), a DataFrame or an Arrow table.

        *name* ends in ``.json`` (default) or ``.parquet``, which needs pyarrow. Logged again under the same name its
        rows come after those that are there; ``Store.load_table`` reads it back, over one run or many.
        """
        from trackers.table import as_table, pack_table, table_place

        folder, form = table_place(check_file_name(name))
        content = pack_table(as_table(data), form)
        with self._lock:
            index = self._parts[folder] = self._parts.get(folder, -1) + 1
        self._put_bytes(f"{folder}/{self._parts_of}-{index:06d}.{form}", content)

    @hinting(artifact_file=_NAME, save_kwargs="draw the figure as it shall be saved")
    def log_figure(self, figure: Any, name: str) -> None:
        """Store a figure of matplotlib or plotly; the suffix of *name* says the format (``.png``, ``.html``).

        Without a suffix a figure of matplotlib is a ``.png``, one of plotly a page. Raises InvalidValueError for
        another object, or a format that cannot be written.
        """
        from trackers.picture import pack_figure

        self._put_bytes(*pack_figure(figure, name))

    @hinting(artifact_file=_NAME, key="it is called name", timestamp="give step=")
    def log_image(self, image: Any, name: str, step: int | None = None) -> None:
        """Store an image: PIL's, a file's path, or an array of H x W, H x W x 1, 3 or 4, of 0..255 or of floats 0..1.

        With *step* it is one of a series: ``NAME/step-00000012.png``. Raises InvalidValueError for another shape, and
        for numbers out of range.
        """
        from trackers.picture import pack_image

        name, content = pack_image(image, name)
        if step is not None:
            stem, _, suffix = name.rpartition(".")
            name = f"{stem}/step-{check_step(step):08d}.{suffix}"
        self._put_bytes(name, content)

    def _put_bytes(self, name: str, content: bytes) -> None:
        name = check_file_name(name)
        self._put(lambda files: {name: files.put_bytes(content)})

    def _put(self, put: Put) -> None:
        """Store files and record their names; nothing is stored for what has ended."""
        with self._lock:
            self._check_open()
        files = self._files()
        if files is not None:
            stored = put(files)
            with self._lock:
                self._check_tree(stored)
            self._log(c.ArtifactsLogged(self._run_id, now_us(), stored))

    def _check_tree(self, names: Iterable[str]) -> None:
        """Raise InvalidValueError where a file would be a folder too, which no disk can hold; the lock is held."""
        files = set(names) - self._file_names
        folders = {name[:place] for name in files for place, char in enumerate(name) if char == "/"}
        if both := (files & self._folders) | (folders & self._file_names) | (files & folders):
            raise InvalidValueError(f"{min(both)!r} would be both a file and a folder of the run: give another name")
        self._file_names |= files
        self._folders |= folders

    # --- data --------------------------------------------------------------------------------------------------

    def log_input(self, data: Any, name: str | None = None, role: str = "train", source: str | None = None) -> None:
        """Note a data set that this run reads: its digest, rows and schema, not its content.

        *data* is what ``trackers.capture.data_digest`` takes: arrays, tables, tensors, bytes, paths. *name* is that of
        the file, or ``"data"``; *role* what it is for; *source* where it came from, by default the path; credentials in
        it are hidden. Equal data has an equal digest, however it lies in memory. Raises InvalidValueError for what has
        no digest.
        """
        self._log(input_of(self._run_id, data, name, role, source))

    def _log(self, record: c.Change) -> None:
        with self._lock:
            self._check_open()
            self._record([record])


# --- what may be logged -----------------------------------------------------------------------------------------


def input_of(
    run_id: int, data: Any, name: str | None = None, role: str = "train", source: str | None = None
) -> c.InputLogged:
    """Return the record of a data set that a run reads; see ``Recorder.log_input``. Raises InvalidValueError."""
    from trackers.capture import data_digest
    from trackers.capture.secret import redact

    place = str(data) if isinstance(data, str | os.PathLike) else ""
    name = clean_name(name if name is not None else (Path(place).name or "data"), "data set")
    role = clean_name(role, "role")
    digest, rows, schema = data_digest(data)
    shown = redact(str(place if source is None else source))
    return c.InputLogged(run_id, name, digest, role, rows, schema, shown)


def clean_params(params: Mapping[str, ParamValue], known: Collection[str] = ()) -> dict[str, ParamValue]:
    """Return params with clean names and values as they are kept; raises InvalidValueError, which names the one that cannot be.

    See ``trackers.plain`` for what a path, a time or a set becomes. What is a secret is hidden, but for the params of
    names that are *known* to be none.
    """
    pairs = ((clean_name(key, "param"), value) for key, value in check_mapping(params, "params").items())
    clean = {name: _param(name, value) for name, value in pairs}
    return {name: value if name in known else _shown("param", name, value) for name, value in clean.items()}


def _shown(what: str, name: str, value: Any) -> Any:
    """Return *value* with what is a secret by its name or its look hidden, and say so once."""
    shown = redact_value(name, value)
    if shown is not value and shown != value:
        _tell_hidden(what, name)
    return shown


@lru_cache(maxsize=1000)
def _tell_hidden(what: str, name: str) -> None:
    _log.warning("the %s %r holds a secret, as its name or its look says: %s is kept in its place", what, name, HIDDEN)


def _param(name: str, value: Any) -> ParamValue:
    kept: ParamValue = value
    if isinstance(value, str | int | float | None) or getattr(value, "ndim", None) == 0:
        return kept
    size = math.prod(value.shape) if hasattr(value, "ndim") and hasattr(value, "shape") else 0
    if size > LARGEST_ARRAY:
        raise InvalidValueError(
            f"the param {name!r} is an array of {size} numbers: log it as a file, or its data with log_input"
        )
    try:
        kept = json.loads(json.dumps(value, default=plain))
    except (TypeError, ValueError, RecursionError) as exc:
        raise InvalidValueError(
            f"the param {name!r} must be a number, text, a boolean, None, or a list or mapping of them, "
            f"not {type(value).__name__} ({exc})"
        ) from exc
    if (deep := _depth(kept)) > DEEPEST:
        raise InvalidValueError(f"the param {name!r} is nested {deep} deep, {DEEPEST} is the most: log it as a file")
    return kept


def _depth(value: Any) -> int:
    """Return how many lists and mappings lie in one another, without recursion, whose bound is another's to set."""
    deep, level = 0, [value]
    while level := [one for one in level if isinstance(one, list | dict)]:
        deep += 1
        level = [item for one in level for item in (one.values() if isinstance(one, dict) else one)]
    return deep


def clean_tags(tags: Mapping[str, object]) -> dict[str, str]:
    """Return tags with clean names and text as values, secrets hidden; raises InvalidValueError."""
    pairs = ((clean_name(key, "tag"), str(value)) for key, value in check_mapping(tags, "tags").items())
    return {name: _shown("tag", name, value) for name, value in pairs}


def check_mapping(given: Any, what: str) -> Mapping[Any, Any]:
    """Return *given* where it maps names to values; raises InvalidValueError."""
    if not isinstance(given, Mapping):
        raise InvalidValueError(f"{what} are given as a mapping, {{name: value}}, not as {type(given).__name__}")
    return given


def context_label(context: Mapping[str, object] | str | None) -> str:
    """Return a metric's context as it is stored: ``"fold=1,split=val"`` (see ``trackers.names.tidy_context``)."""
    if not context:
        return ""
    if isinstance(context, Mapping):
        context = ",".join(f"{key}={value}" for key, value in context.items())
    if not isinstance(context, str):
        raise InvalidValueError(f"a metric's context is a mapping or text, not {type(context).__name__}")
    if "{" in context or "}" in context:
        raise InvalidValueError(f"a metric's context may not hold braces: {context!r}")
    return clean_name(tidy_context(context), "context")


def check_number(key: str, value: object) -> float:
    """Return a metric's value as a float; raises InvalidValueError for what is no number."""
    if not isinstance(value, str | bytes):
        value = value.detach() if hasattr(value, "detach") else value  # PyTorch warns of a tensor with its graph
        try:
            return float(value)  # type: ignore[arg-type]  # whatever has a __float__: NumPy's and PyTorch's scalars
        except OverflowError:
            raise InvalidValueError(f"the metric {key!r} is too large for a float: {repr(value)[:40]}...") from None
        except (TypeError, ValueError):
            pass
    raise InvalidValueError(f"the metric {key!r} must be a number, not {type(value).__name__} {repr(value)[:60]}")


def check_step(step: object) -> int:
    """Return a step as a whole number of 64 bits; raises InvalidValueError."""
    try:
        if isinstance(step, bool):
            raise TypeError
        number = operator.index(step)  # type: ignore[arg-type]  # anything else is refused below
    except TypeError:
        raise InvalidValueError(f"a step is a whole number, not {step!r:.60}") from None
    if not -(2**63) <= number <= _LAST_STEP:
        shown = number if number.bit_length() < 100 else f"a number of {number.bit_length()} bits"
        raise InvalidValueError(f"a step has 64 bits: {shown} is out of range")
    return number


def check_path(path: object) -> Path:
    """Return a path; raises InvalidValueError for what is none."""
    if not isinstance(path, str | os.PathLike):
        raise InvalidValueError(f"a file is named by its path, not given as {type(path).__name__}")
    if not os.fspath(path):
        raise InvalidValueError("a file is named by its path, and this one is empty: '.' is the current folder")
    return Path(path)


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir() and not path.is_symlink()
    except OSError:  # a name that no file system takes: it is told where it is read
        return False


def check_file_name(name: str) -> str:
    """Return the clean name of a file of a run; raises InvalidValueError."""
    from trackers.artifacts.names import check_name

    return check_name(name)


def _plain_items(items: Iterable[Any]) -> Iterable[Any]:
    """Return the items of an array as Python's own numbers: much faster than one by one."""
    return items.tolist() if hasattr(items, "tolist") and getattr(items, "ndim", 0) == 1 else items


def _as_json(content: Any, name: str) -> str:
    try:
        return json.dumps(content, indent=2, ensure_ascii=False, default=plain)
    except (TypeError, ValueError, RecursionError) as exc:
        raise InvalidValueError(f"the content of {name!r} cannot be written as JSON: {exc}") from exc


def _as_yaml(content: Any, name: str) -> str:
    try:
        import yaml
    except ImportError as exc:
        raise InvalidValueError(f"{name!r} needs PyYAML: pip install pyyaml, or name it .json") from exc
    try:

        class Dumper(yaml.SafeDumper):  # type: ignore[misc]  # a class of its own: what it learns stays here
            pass

        Dumper.add_multi_representer(object, lambda dumper, value: dumper.represent_data(_base(value)))
        text: str = yaml.dump(content, Dumper=Dumper, sort_keys=False, allow_unicode=True)
    except (yaml.YAMLError, TypeError, RecursionError) as exc:
        raise InvalidValueError(f"the content of {name!r} cannot be written as YAML: {exc}") from exc
    return text


def _base(value: Any) -> Any:
    """Return a value that YAML has no word for as one that it has: what JSON takes, and ``plain``."""
    if isinstance(value, Enum):
        return value.value
    kind = next((kind for kind in (int, float, str, list, tuple) if isinstance(value, kind)), plain)
    return kind(value)
