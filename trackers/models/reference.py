"""Load a model by what people call it: its name in the registry, its run, its trial."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from trackers.errors import DigestError, InvalidValueError, ModelError, NotFoundError
from trackers.models.folder import load
from trackers.models.loaded import LoadedModel
from trackers.models.manifest import NAME as MANIFEST
from trackers.models.manifest import manifest_digest
from trackers.values import LoggedModel, ModelVersion

if TYPE_CHECKING:
    from trackers.artifacts import ArtifactStore
    from trackers.store import Store
    from trackers.values import Run

DEFAULT_STORE = "sqlite:///hpo.db"
_FORMS = (
    "models:/NAME@ALIAS, models:/NAME/VERSION, models:/NAME, runs:/RUN/MODEL, STUDY/17, the uid of a run (its first 16 "
    "digits), or a folder as ./FOLDER"
)
_UID = re.compile(r"[0-9a-f]{32}")
_BEGINNING = re.compile(r"[0-9a-f]{8,31}")
_OF_A_RUN = re.compile(
    r"(?P<run>[0-9a-f]{32}|[0-9a-f]{8,31}(?!/\d+(?:/|$))|.+?/(?:\d+|[0-9a-f]{16}|[0-9a-f]{32}))"
    r"(?:/(?P<model>.+))?"
)
"""``runs:/DIGITS/17`` is a trial of a study with such a name."""
_OF_A_TRIAL = re.compile(r".+/(?:\d+|[0-9a-f]{16}|[0-9a-f]{32})")
_PLACES = ("/", "./", "../", "~")
DEFAULT_MODEL = "model"
_NAMED = 4


@dataclass(frozen=True, slots=True)
class Reference:
    """A model by name (*version*: a number, an alias, or None for the newest), by its *run*, or by its *folder*.

    *model* is the name under which the run logged it.
    """

    name: str | None = None
    version: int | str | None = None
    run: str | None = None
    model: str = DEFAULT_MODEL
    folder: Path | None = None

    @classmethod
    def parse(cls, text: str | os.PathLike[str]) -> Reference:
        """Read a reference in one of the forms of ``load_model``.

        A path object is a folder, and so is text that begins as one, or that is no other form and names one.
        """
        if isinstance(text, os.PathLike):
            return cls(folder=Path(text))
        if not isinstance(text, str):
            raise InvalidValueError(f"A model is named by text such as {_FORMS}, not by {text!r:.80}.")
        if text.startswith("models:/"):
            return cls._parse_name(text.removeprefix("models:/").lstrip("/"), text)
        if text.startswith("runs:/"):
            if match := _OF_A_RUN.fullmatch(text.removeprefix("runs:/").strip("/")):
                return cls(run=match["run"], model=match["model"] or DEFAULT_MODEL)
        elif text.startswith(_PLACES):
            return cls(folder=Path(text).expanduser())
        elif _UID.fullmatch(text) or _OF_A_TRIAL.fullmatch(text):
            return cls(run=text)
        elif "\0" not in text and "://" not in text and os.path.isdir(text):
            return cls(folder=Path(text))
        elif _BEGINNING.fullmatch(text):
            return cls(run=text)
        elif ("@" in text or text.endswith("/latest")) and "://" not in text:
            return cls._parse_name(text, text)
        raise InvalidValueError(f"{text[:200]!r} names no model: use {_FORMS}.")

    @classmethod
    def _parse_name(cls, rest: str, text: str) -> Reference:
        name, at, alias = rest.rpartition("@")
        if at and name and alias:
            return cls(name=name, version=alias)
        name, slash, version = rest.rpartition("/")
        if slash and name and version.isascii() and version.isdigit():
            return cls(name=name, version=int(version))
        if slash and name and version == "latest":  # as MLflow writes it
            return cls(name=name, version=version)
        if slash and name and version:
            raise InvalidValueError(
                f"{text[:200]!r} names no version: an alias is written models:/{name}@{version}"
                f"{', its capitals as they were given' if version != version.lower() else ''}"
            )
        if rest and not at and not rest.endswith("/"):
            return cls(name=rest)
        raise InvalidValueError(f"{text[:200]!r} names no model: use {_FORMS}.")


def load_model(
    ref: str | os.PathLike[str],
    *,
    store: str | os.PathLike[str] | Store | None = None,
    trust: bool | str | Sequence[str] = False,
) -> LoadedModel:
    """Load the model that *ref* names, in any process: what made it need not be imported.

    *ref*: ``models:/NAME@ALIAS``, ``models:/NAME/VERSION``, ``models:/NAME`` (the newest version); ``STUDY/17``,
    ``runs:/STUDY/17`` or ``runs:/UID/MODEL`` (logged under another name than ``model``); the uid of a run (or its first
    16 digits, also as listings write it: ``EXPERIMENT/DIGITS``) or of a model; a folder, ours or one that MLflow
    wrote, as a path or as text that begins with ``./`` or ``/``. *store*: a ``Store`` or its URL; by default
    ``HPO_STORAGE``, then ``sqlite:///hpo.db``. *trust*: True runs the code that the model brings; full names of types
    trust only those.

    Raises NotFoundError with close matches, DigestError for a damaged file, UntrustedError, ModelError.
    """
    reference = Reference.parse(ref)
    if reference.folder is not None:
        return load(reference.folder, trust=trust)
    with opened(store) as there:
        return fetch(there.artifacts, *find(there, reference), trust=trust)


@contextmanager
def opened(store: str | os.PathLike[str] | Store | None) -> Iterator[Store]:
    """Open the store that is named, or that of ``HPO_STORAGE`` or of this folder, for a while; one given stays open."""
    from trackers.store import Store, connect

    if isinstance(store, Store):
        yield store
        return
    with connect(store if store is not None else os.environ.get("HPO_STORAGE") or DEFAULT_STORE, create=False) as own:
        yield own


def load_logged(store: Store, ref: str, trust: bool | str | Sequence[str] = False) -> LoadedModel:
    """Load a model of *store*; a folder, which is elsewhere, is refused. See ``load_model``."""
    return fetch(store.artifacts, *find_here(store, ref), trust=trust)


def find_logged(store: Store, ref: str) -> LoggedModel:
    """Return the logged model of *store* that *ref* names; a folder, which is elsewhere, is refused."""
    return find_here(store, ref)[0]


def find_here(store: Store, ref: str) -> tuple[LoggedModel, ModelVersion | None]:
    """Return the logged model of *store* that *ref* names, and the registered version; a folder is refused."""
    reference = Reference.parse(ref)
    if reference.folder is not None:
        raise InvalidValueError(
            f"{str(ref)[:200]!r} names no model: use {_FORMS} (by trackers.load_model, log_model and registry.register)."
        )
    return find(store, reference)


def find(store: Store, reference: Reference) -> tuple[LoggedModel, ModelVersion | None]:
    """Return the logged model that *reference* names, and the registered version, where it names one."""
    if reference.name is not None:
        registry = store.registry
        wanted = reference.version if reference.version is not None else registry.get(reference.name).latest
        if wanted == 0 and reference.version is None:
            raise NotFoundError(f"The model {reference.name!r} has no version yet: register one.")
        version = registry.version(reference.name, wanted)
        return registry.model_of(version), version
    assert reference.run is not None
    if _UID.fullmatch(reference.run) and (model := store.find_logged_model(reference.run)) is not None:
        return model, None
    try:
        run = store.get_run(reference.run)
    except NotFoundError:
        name, slash, number = reference.run.rpartition("/")
        if not slash or name not in {model.name for model in store.registry.list()}:
            raise
        version = store.registry.version(name, number)  # no study, but a model has the name
        return store.registry.model_of(version), version
    found = store.get_logged_model(run, reference.model)
    if found is None:
        raise _no_model(store, run, reference.model)
    return found, None


def _no_model(store: Store, run: Run, name: str) -> NotFoundError:
    """Return the error for a run that has no model called *name*: it says under which names it logged others."""
    others = [model.name for model in store.list_logged_models([run.id]) if model.deleted_at is None]
    if others:
        *most, last = [*map(repr, others[:_NAMED]), *(["others"] if len(others) > _NAMED else [])]
        logged = f"{', '.join(most)} and {last}, the first of which" if most else f"{last}, which"
        return NotFoundError(
            f"{run.path} has no model named {name[:80]!r}: it logged {logged} is runs:/{run.uid}/{others[0]}."
        )
    named = "" if name == DEFAULT_MODEL else f" named {name[:80]!r}"
    return NotFoundError(f"{run.path} has no model{named}: it logged none, or it was dropped for a better one.")


def fetch(
    artifacts: ArtifactStore,
    model: LoggedModel,
    version: ModelVersion | None = None,
    *,
    trust: bool | str | Sequence[str] = False,
) -> LoadedModel:
    """Copy the files of *model* into a folder that only this user can read, verify them, and load it.

    The folder lives as long as the loaded model, which may read from it later.
    """
    check_kept(artifacts, model)
    temporary = _Folder()
    try:
        folder = artifacts.get_files(model.files, Path(temporary.path, "model"))
        loaded = load(folder, trust=trust, digest=known_digest(model))
    except BaseException:
        temporary.remove()
        raise
    name, number = (None, None) if version is None else (version.name, version.version)
    return loaded.came_from(temporary, model.uid, name, number)


def check_kept(artifacts: ArtifactStore, model: LoggedModel) -> None:
    """Raise ModelError where the model was dropped and its files with it."""
    # of a model that was dropped the files are forgotten, once they are deleted: all that no other model has
    whole = MANIFEST in model.files and all(artifacts.exists(digest) for digest in model.files.values())
    if model.deleted_at is not None and not whole:
        raise ModelError(f"The files of this model are gone: {model.deleted_why or 'it was deleted'}.")


def find_lost(artifacts: ArtifactStore, model: LoggedModel) -> str:
    """Say which file of a model is gone or damaged; ``""``: none is.

    Files on this machine are read for that; of others it is only looked whether they are there.
    """
    for file, digest in sorted(model.files.items()):
        if not artifacts.exists(digest):
            return f"{file!r} is gone"
        try:
            if artifacts.is_local:
                artifacts.verify(digest)
        except DigestError:
            return f"{file!r} is damaged"
    return ""


def known_digest(model: LoggedModel) -> str | None:
    """Return the digest that the manifest among the files must have; None where the store has another manifest."""
    # The manifest of a model of another tool is that of its files, our own from before among them.
    ours = MANIFEST in model.files and MANIFEST not in (model.manifest.get("files") or {})
    return manifest_digest(model.manifest) if ours else None


class _Folder:
    """A folder that goes with the last reference to it, or with the process, and warns of neither."""

    def __init__(self) -> None:
        self.path = tempfile.mkdtemp(prefix="trackers-model-")
        self.remove = weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)
