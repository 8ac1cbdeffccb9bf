"""Files addressed by the sha-256 digest of their bytes, under one root."""

from __future__ import annotations

import errno
import hashlib
import io
import logging
import os
import re
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, TypeVar, cast

from trackers.artifacts.local import LocalPlace
from trackers.artifacts.names import check_name
from trackers.artifacts.place import Place
from trackers.destination import is_plain, whole_file
from trackers.errors import ArtifactError, DigestError
from trackers.wording import without_credentials

T = TypeVar("T")
CHUNK = 1 << 20
GRACE_SECONDS = 3600.0
_REMOTE = {"s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "az": "adlfs", "abfs": "adlfs", "memory": ""}
_log = logging.getLogger("trackers")
_IN_A_ROOT = ("incoming", "stores", "quarantine", *(f"{first:02x}" for first in range(256)))
_DIGEST = re.compile(r"[0-9a-f]{64}")


class ArtifactStore:
    """The files below one root: a folder, ``file://...``, ``s3://bucket/prefix``, ``gs://...`` or ``az://...``.

    Thread-safe, safe between processes and machines, picklable, and light: it knows no database. *uid* is the store
    it belongs to; see `claim` and `reachable`. Nothing is created before the first `put_*` or `claim`.
    Bytes are checked against their digest whenever they are read: ``DigestError`` says that they are damaged. All
    other failures are ``ArtifactError``.
    """

    def __init__(self, root: str | os.PathLike[str], uid: str = "") -> None:
        self.root = _normal_root(os.fspath(root))
        self.uid = uid
        self.own: tuple[Path, ...] = ()
        """The files and folders of the store beside this root; where they are not told, those of a new store's names."""
        self._cached_place: Place | None = None

    @classmethod
    def over(cls, place: Place, root: str, uid: str = "") -> ArtifactStore:
        """Return the store whose blobs are reached by way of *place*; it does not pickle."""
        store = cls(root, uid)
        store._cached_place = place
        return store

    def __reduce__(self) -> tuple[Any, ...]:
        return ArtifactStore, (self.root, self.uid)

    def __repr__(self) -> str:
        return f"ArtifactStore({self.safe_root!r})"

    @property
    def safe_root(self) -> str:
        """The root without credentials."""
        return without_credentials(self.root)

    @property
    def is_local(self) -> bool:
        """Whether the root is a folder."""
        return "://" not in self.root

    def put_file(self, path: str | os.PathLike[str]) -> tuple[str, int]:
        """Store a file and return its digest and size; a link, a device or a pipe is refused."""
        with _open_regular(Path(path)) as source:
            return self._put(source)

    def put_bytes(self, data: bytes | bytearray | memoryview) -> tuple[str, int]:
        """Store *data* and return its digest and size."""
        return self._put(io.BytesIO(data))

    def put_folder(self, folder: str | os.PathLike[str]) -> dict[str, tuple[str, int]]:
        """Store every file below *folder*: its name relative to it, with ``/`` -> (digest, size).

        A link or anything else that is not a plain file or folder is refused before the first file is stored. The
        store's own files are left out, where they lie in there; a folder of the store itself is refused.
        """
        top = Path(folder)
        self.refuse_own(top)
        place = top.resolve()
        own = {top / path.relative_to(place) for path in self._own_places() if path.is_relative_to(place)}
        found = walk_files(top)
        paths = [path for path in found if own.isdisjoint({path, *path.parents})]
        if found and not paths:
            raise ArtifactError(f"{top} holds the store's own files alone: `trackers backup` copies a store.")
        if len(paths) < len(found):
            _log.warning("%s holds the store's own files, which are left out", top)
        files = {check_name(path.relative_to(top).as_posix()): path for path in paths}
        return {name: self.put_file(path) for name, path in files.items()}

    def refuse_own(self, path: Path) -> None:
        """Raise ArtifactError where *path* is a file or folder of the store itself, or lies in one."""
        place = path.resolve()
        if not self._own_places().isdisjoint({place, *place.parents}):
            raise ArtifactError(
                f"{path} is the store's own and cannot be stored in it: `trackers backup` copies a store."
            )

    def _own_places(self) -> set[Path]:
        """Return where the files of this store lie: its root, and `own`, or the names of a SQLite file beside the root.

        A root of another name than a new store gives it may have other files in it: there it is what we make in it.
        """
        if not self.is_local:
            return {path.resolve() for path in self.own}
        root = Path(self.root).resolve()
        stem = Path(self.root).name.removesuffix("-artifacts")
        ends = [f"{kind}{more}" for kind in (".db", ".sqlite", ".sqlite3") for more in ("", "-wal", "-shm", "-journal")]
        beside = self.own or [Path(self.root).with_name(f"{stem}{end}") for end in (*ends, "-journals")]
        ours = [root] if root.name.endswith("-artifacts") else [root / name for name in _IN_A_ROOT]
        return {*ours, *(path.resolve() for path in beside)}

    def get(self, digest: str, to: str | os.PathLike[str]) -> Path:
        """Copy a file to the path *to*, replacing what is there once the bytes are whole and verified.

        A link is written through, to what it leads to; a device, a pipe or a socket is refused.
        """
        target = Path(to)
        try:
            if not is_plain(target):
                raise ArtifactError(f"{target} is a {_kind(target.stat().st_mode)}: give the path of a file.")
            target.parent.mkdir(parents=True, exist_ok=True)
            with self.open(digest) as source, whole_file(target) as sink:
                while chunk := source.read(CHUNK):
                    sink.write(chunk)
        except OSError as exc:
            raise ArtifactError(f"The file cannot be written to {target}: {exc.strerror or exc}.") from exc
        return target

    def get_files(self, files: Mapping[str, str], folder: str | os.PathLike[str]) -> Path:
        """Copy files (name -> digest) into *folder*; a name that would leave it is refused before anything is written."""
        names = {check_name(name): digest for name, digest in files.items()}
        top = Path(folder)
        for name, digest in names.items():
            self.get(digest, top.joinpath(*name.split("/")))
        return top

    def read(self, digest: str) -> bytes:
        """Return the bytes of a file."""
        with self.open(digest) as source:
            return source.read()

    def open(self, digest: str) -> BinaryIO:
        """Open a file for reading from its start to its end.

        The read that reaches the end raises ``DigestError`` if the bytes are not those that were stored.
        """
        place, name = self._place, _check_digest(digest)
        source = self._doing("read", lambda: place.open(name), digest)
        return io.BufferedReader(_VerifyingReader(source, digest, self.safe_root), CHUNK)

    def exists(self, digest: str) -> bool:
        """Tell whether a file is here; its bytes are not looked at."""
        place, name = self._place, _check_digest(digest)
        return self._doing("read", lambda: place.exists(name))

    def size(self, digest: str) -> int:
        """Return the size of a file in bytes."""
        place, name = self._place, _check_digest(digest)
        return self._doing("read", lambda: place.size(name), digest)

    def delete(self, digest: str, *, grace: float = 0.0, unused_grace: float = 0.0) -> bool:
        """Delete a file and tell whether it is gone; one that is not here is.

        With *grace* (seconds) a file that more than one writer has stored stays that long after the last of them did;
        with *unused_grace* any file stays that long after it was stored. Whether something refers to it is for the
        caller to know: ``Store.drop_unreferenced``.
        """
        place, name = self._place, _check_digest(digest)
        return self._doing("delete", lambda: place.delete(name, grace, unused_grace))

    def digests(self) -> Iterator[str]:
        """Yield the digest of every file here."""
        for digest, _ in self.sizes():
            yield digest

    def sizes(self) -> Iterator[tuple[str, int]]:
        """Yield the digest and the size (bytes) of every file here, by digest: few requests on an object store."""
        listed = iter(self._place.sizes())
        while (found := self._doing("read", lambda: next(listed, None))) is not None:
            yield found

    def path(self, digest: str) -> Path | None:
        """Return where the bytes of a file lie on this machine, None where they do not; never write there."""
        return Path(self.root, digest[:2], _check_digest(digest)) if self.is_local else None

    def verify(self, digest: str) -> int:
        """Read a file to its end and return its size; raises DigestError where its bytes are not those stored."""
        size = 0
        with self.open(digest) as source:
            while chunk := source.read(CHUNK):
                size += len(chunk)
        return size

    def leftovers(self, older: float, *, remove: bool = False) -> tuple[int, int]:
        """Count the files that killed writers left half written at least *older* seconds ago, and their bytes.

        With *remove* they are deleted. A file that a killed deleter had moved aside is put back.
        """
        return self._doing("delete", lambda: self._place.leftovers(older, remove))

    def quarantine(self, digest: str) -> str:
        """Move a damaged file to where nobody reads it, and return where that is; whole bytes can be stored again."""
        place, name = self._place, _check_digest(digest)
        return self._doing("delete", lambda: place.quarantine(name), digest)

    def claim(self, uid: str, label: str = "") -> None:
        """Note in the root that the store *uid* keeps its files here; idempotent.

        *label* says which store that is (its URL without a password). A note of the same label and another uid is
        replaced: that store was deleted and made anew.
        """
        if not re.fullmatch(r"[0-9A-Za-z-]{1,64}", uid):
            raise ArtifactError(f"A store's uid must be 1 to 64 letters, digits or dashes, not {uid[:80]!r}.")
        place = self._place
        marks = self._doing("read", place.read_marks)
        for other, text in marks.items():
            if other != uid and label and text == label:
                self._doing("write", lambda other=other: place.remove_mark(other))  # type: ignore[misc]
        if marks.get(uid) != label:
            self._doing("write", lambda: place.write_mark(uid, label))
        self.uid = uid

    def owners(self) -> dict[str, str]:
        """Return the stores that keep their files here: uid -> label."""
        return self._doing("read", self._place.read_marks)

    def reachable(self) -> bool:
        """Tell whether this process sees the root of the store.

        A worker on another node may have a folder of the same name that is another one. False too where the root
        cannot be read.
        """
        try:
            owners = self.owners()
        except ArtifactError:
            return False
        return self.uid in owners if self.uid else bool(owners)

    @property
    def _place(self) -> Place:
        if self._cached_place is None:
            self._cached_place = LocalPlace(self.root) if self.is_local else _open_remote(self.root)
        return self._cached_place

    def _put(self, source: BinaryIO) -> tuple[str, int]:
        place = self._place
        return self._doing("write", lambda: place.put(source))

    def _doing(self, verb: str, action: Callable[[], T], digest: str = "") -> T:
        try:
            return action()
        except FileNotFoundError as exc:
            if digest:
                raise ArtifactError(
                    f"There is no file {digest[:12]}... in {self.safe_root}: it was deleted, or this is not the "
                    "folder of this store."
                ) from exc
            raise self._error(verb, exc) from exc
        except ArtifactError:
            raise
        except OSError as exc:
            raise self._error(verb, exc) from exc
        except Exception as exc:
            if self.is_local:
                raise
            raise ArtifactError(f"{self.safe_root} cannot be used: {type(exc).__name__}: {exc}.") from exc

    def _error(self, verb: str, exc: OSError) -> ArtifactError:
        if exc.errno in (errno.ENOSPC, errno.EDQUOT):
            return ArtifactError(f"The disk of {self.safe_root} is full: free some space; the file was not stored.")
        return ArtifactError(f"Cannot {verb} files in {self.safe_root}: {exc.strerror or exc}.")


class _VerifyingReader(io.RawIOBase):
    """Reads a file once, from start to end, and checks its digest at the end."""

    def __init__(self, source: BinaryIO, digest: str, root: str) -> None:
        self._source, self._digest, self._root = source, digest, root
        self._hasher = hashlib.sha256()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            chunk = self._source.read(len(buffer))
        except OSError as exc:
            raise ArtifactError(f"Cannot read {self._digest[:12]}... in {self._root}: {exc.strerror or exc}.") from exc
        if not chunk and self._hasher.hexdigest() != self._digest:
            raise DigestError(
                f"The file {self._digest[:12]}... in {self._root} is damaged: its bytes are not those that were "
                "stored; restore it from a backup."
            )
        self._hasher.update(chunk)
        buffer[: len(chunk)] = chunk
        return len(chunk)

    def close(self) -> None:
        self._source.close()
        super().close()


def walk_files(top: Path) -> list[Path]:
    """Return every plain file below *top*, sorted; a link, device or pipe raises ``ArtifactError``."""
    if top.is_symlink() and top.is_dir():
        raise ArtifactError(f"{top} is a link: give the folder that it points to.")
    if not top.is_dir():
        raise ArtifactError(f"{top} is not a folder: give the folder whose files are meant.")
    found: list[Path] = []
    for entry in sorted(top.iterdir()):
        mode = entry.lstat().st_mode
        if stat.S_ISDIR(mode):
            found += walk_files(entry)
        elif stat.S_ISREG(mode):
            found.append(entry)
        else:
            raise ArtifactError(f"{entry} is a {_kind(mode)}: only plain files and folders can be stored.")
    return found


def check_regular(path: Path) -> None:
    """Raise ArtifactError unless *path* is a plain file that can be read now."""
    with _open_regular(path):
        pass


@contextmanager
def _open_regular(path: Path) -> Iterator[BinaryIO]:
    try:
        # Opened without following a link and without waiting for a pipe's other end, then looked at: the file that
        # is checked is the file that is read.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    except OSError as exc:
        if exc.errno == errno.ELOOP:
            raise ArtifactError(f"{path} is a link: give the file that it points to.") from exc
        raise ArtifactError(f"Cannot read {str(path)[:200]}: {exc.strerror or exc}.") from exc
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        raise ArtifactError(f"{path} is a {_kind(mode)}: only plain files can be stored.")
    with os.fdopen(descriptor, "rb", buffering=0) as source:
        yield cast(BinaryIO, _Reader(source, path))


class _Reader(io.RawIOBase):
    """Reads the file at *path*; says so where that fails: what fails elsewhere is the store."""

    def __init__(self, source: BinaryIO, path: Path) -> None:
        self._source, self._path = source, path

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            return self._source.readinto(buffer)  # type: ignore[attr-defined,no-any-return]  # it is unbuffered
        except OSError as exc:
            raise ArtifactError(f"Cannot read {self._path}: {exc.strerror or exc}.") from exc


def _kind(mode: int) -> str:
    if stat.S_ISDIR(mode):
        return "folder"
    if stat.S_ISLNK(mode):
        return "link"
    return "pipe" if stat.S_ISFIFO(mode) else "socket" if stat.S_ISSOCK(mode) else "device"


def _check_digest(digest: str) -> str:
    if not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
        raise ArtifactError(f"{str(digest)[:80]!r} is not a digest: 64 hex digits are needed.")
    return digest


def _normal_root(root: str) -> str:
    scheme, separator, rest = root.partition("://")
    if not separator:
        if not root.strip() or "\0" in root:
            raise ArtifactError("The root of the artifacts is empty: give a folder, or s3://BUCKET/PREFIX.")
        return os.path.abspath(os.path.expanduser(root))
    if scheme == "file":
        return os.path.abspath("/" + rest.lstrip("/"))
    if scheme not in _REMOTE or "::" in rest:
        known = ", ".join(f"{name}://" for name in _REMOTE if name != "memory")
        raise ArtifactError(f"Artifacts cannot be kept in {scheme[:40]}://...: use a folder, or one of {known}.")
    return root.rstrip("/")


def _open_remote(root: str) -> Place:
    from trackers.artifacts.remote import RemotePlace

    scheme = root.partition("://")[0]
    try:
        import fsspec

        # What another process stored a moment ago has to be seen, so nothing is answered from an earlier listing.
        filesystem, prefix = fsspec.core.url_to_fs(root, use_listings_cache=False)
    except ImportError as exc:
        package = _REMOTE[scheme]
        raise ArtifactError(f"{scheme}:// needs the package {package}: pip install {package}.") from exc
    return RemotePlace(filesystem, prefix)
