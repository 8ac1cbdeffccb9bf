"""Where a store is: its URL read, checked, and shown without its password."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from trackers.errors import InvalidValueError, StoreError
from trackers.wording import without_credentials, without_password

_NETWORK = frozenset(
    {
        *("nfs", "nfs4", "cifs", "smb2", "smb3", "smbfs", "ncpfs", "afs", "coda", "9p", "virtiofs", "vboxsf", "vmhgfs"),
        *(
            "ceph",
            "lustre",
            "gpfs",
            "glusterfs",
            "beegfs",
            "pvfs2",
            "orangefs",
            "ocfs2",
            "gfs2",
            "panfs",
            "weka",
            "wekafs",
        ),
    }
)
"""File systems that other machines write too, or that a virtual machine has from its host: locks and WAL fail there."""

_NETWORK_FUSE = frozenset(
    {
        *(
            "sshfs",
            "glusterfs",
            "ceph",
            "ceph-fuse",
            "juicefs",
            "JuiceFS",
            "moosefs",
            "mfs",
            "lizardfs",
            "saunafs",
            "curlftpfs",
        ),
        *(
            "s3fs",
            "gcsfuse",
            "goofys",
            "rclone",
            "blobfuse",
            "blobfuse2",
            "mountpoint-s3",
            "geesefs",
            "davfs",
            "davfs2",
        ),
        *("vmhgfs-fuse", "cvmfs2", "seaweedfs", "alluxio-fuse", "beegfs", "gvfsd-fuse", "smbnetfs"),
    }
)
"""Programs behind ``fuse.NAME``; other ones (encrypting, merging, NTFS) keep their files on this machine."""

_SECRET = re.compile(r"passw|pwd", re.IGNORECASE)
"""Options of a URL that hold a password: ``password``, and ``passwd`` for MariaDB's driver."""

_OTHER = re.compile(r"(https?|file|sqlite|(?:postgres(?:ql)?|mysql|mariadb)(?:\+\w+)?):", re.IGNORECASE)
MOUNTS = Path("/proc/self/mountinfo")
_INSTEAD = "use a PostgreSQL server instead: postgresql+psycopg://USER@HOST/DATABASE"


@dataclass(frozen=True)
class Address:
    """A checked URL. *path* is the SQLite file, absolute, or None for a server."""

    url: URL
    path: Path | None

    @property
    def dialect(self) -> str:
        """``sqlite``, ``postgresql`` or ``mysql`` (which MariaDB is too)."""
        if self.path is not None:
            return "sqlite"
        return "postgresql" if self.url.drivername.startswith("postgresql") else "mysql"

    @property
    def full(self) -> str:
        """The URL with its password, to connect with."""
        return self.url.render_as_string(hide_password=False)

    @cached_property
    def safe(self) -> str:
        """The URL to show: its password is hidden."""
        query = {key: "***" if _SECRET.search(key) else value for key, value in self.url.query.items()}
        return self.url.set(query=query).render_as_string(hide_password=True).replace("%2A%2A%2A", "***")


def read_address(url: str | os.PathLike[str]) -> Address:
    """Read a store's URL, or the path of a SQLite file.

    Raises InvalidValueError for one that cannot be read and StoreError for a database that does not serve.
    """
    if isinstance(url, os.PathLike):
        return _file_address(Path(url))
    if not isinstance(url, str):
        raise InvalidValueError(
            f"a store is named by its URL or the path of its SQLite file, not by a {type(url).__name__}: "
            "write sqlite:///hpo.db"
        )
    if scheme := _OTHER.match(url):
        _refuse_other(scheme[1].lower(), url[scheme.end() :], url)
    if "://" not in url:
        raise InvalidValueError(f"{url!r} is not the URL of a store: write sqlite:///{url or 'hpo.db'} for a file")
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError) as exc:
        raise InvalidValueError(
            "the URL of the store cannot be read: write sqlite:///hpo.db, postgresql+psycopg://USER@HOST/DATABASE or "
            "mariadb+pymysql://USER@HOST/DATABASE "
            "(with special characters of a password percent-encoded)"
        ) from exc
    if "@" in (parsed.host or ""):
        raise InvalidValueError(
            f"a password with @ cannot be told from the host after it: write %40 for it in {without_password(url)}"
        )
    backend = parsed.drivername.partition("+")[0]
    if backend == "sqlite":
        if not parsed.database or parsed.database == ":memory:" or parsed.query:
            raise InvalidValueError(
                "a store in memory is seen by one connection only: name a file, as in sqlite:///hpo.db (no ?options)"
            )
        return _file_address(Path(parsed.database))
    if backend in {"postgresql", "postgres"}:
        if parsed.drivername.partition("+")[2] not in {"", "psycopg"}:
            raise InvalidValueError(
                f"the driver of {parsed.drivername!r} is not used here: write postgresql+psycopg://"
            )
        return Address(parsed.set(drivername="postgresql+psycopg"), None)
    if backend in {"mariadb", "mysql"}:
        if parsed.drivername.partition("+")[2] not in {"", "pymysql"}:
            raise InvalidValueError(f"the driver of {parsed.drivername!r} is not used here: write {backend}+pymysql://")
        if not parsed.database:
            raise InvalidValueError(
                f"the URL of the store names no database: write {backend}+pymysql://USER@HOST/DATABASE"
            )
        return Address(parsed.set(drivername=f"{backend}+pymysql"), None)
    raise StoreError(
        f"a store cannot be kept in {backend!r}: use sqlite:///, postgresql+psycopg:// or mariadb+pymysql://"
    )


def _refuse_other(scheme: str, rest: str, url: str) -> None:
    """Raise for what MLflow takes and no store is, and for a database with too few slashes: say what to write."""
    shown = without_credentials(url).partition("?")[0]
    if scheme in {"http", "https"}:
        raise StoreError(
            f"{shown} is a server, perhaps a tracking server of MLflow's, and a store is a database: "
            f"`trackers import mlflow {shown}` copies what it has into one"
        )
    if scheme == "file":
        raise StoreError(
            f"{shown} is a folder, perhaps one of MLflow's, and a store is a database: `trackers import mlflow {shown}` "
            "copies what it has into one; write sqlite:///hpo.db for a file"
        )
    if scheme == "sqlite" and not rest.startswith("///") and (path := rest.lstrip("/")):
        raise InvalidValueError(
            f"the URL of a SQLite file has three slashes: write sqlite:///{path}, or sqlite:////{path} for a path from /"
        )
    if scheme != "sqlite" and not rest.startswith("//"):
        raise InvalidValueError(f"the URL of a server has two slashes: write {scheme}://USER@HOST/DATABASE")


def _file_address(path: Path) -> Address:
    path = Path(os.path.abspath(path.expanduser()))
    return Address(URL.create("sqlite", database=str(path)), path)


def check_file(path: Path, create: bool) -> None:
    """Check that a SQLite file can be used where it is, and make it (mode 0600) when *create* and it is missing.

    Raises StoreError where it cannot be, naming the alternative for a network file system.
    """
    if path.is_dir():
        raise StoreError(f"the store {path} is a folder: name a file in it")
    if not path.parent.is_dir():
        raise StoreError(f"the folder {path.parent} of the store does not exist: create it, or name another file")
    kind = file_system(path.parent)
    if is_network(kind):
        raise StoreError(
            f"SQLite cannot keep a store safe on a network file system ({kind}, {path.parent}): {_INSTEAD}"
        )
    if lies_read_only(path):
        _check_still(path)
    _check_size(path)
    if create and not path.exists():
        try:
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        except OSError as exc:
            raise StoreError(f"the store {path} cannot be created: {exc.strerror}") from exc


def _check_size(path: Path) -> None:
    """Raise StoreError for a file that is shorter than a page: SQLite takes what is shorter than its head for empty.

    It is not opened to look: to close it again would take away the locks that another connection of ours has on it.
    """
    try:
        size = path.stat().st_size
    except OSError:
        return  # it is not there: who opens it says so
    if 0 < size < _SMALLEST_PAGE:
        raise StoreError(f"the file {path} is not a database: name another file")


_SMALLEST_PAGE = 512


def is_network(kind: str) -> bool:
    """Tell whether a file system of this type is shared over a network (or with the host of a virtual machine)."""
    return kind in _NETWORK or (kind.startswith("fuse.") and kind.removeprefix("fuse.") in _NETWORK_FUSE)


def _check_still(path: Path) -> None:
    """Raise StoreError where a read-only file system holds changes of a store that nobody can fold into its file."""
    pending = path.with_name(f"{path.name}-wal")
    if pending.exists() and pending.stat().st_size:
        raise StoreError(
            f"the store {path} lies on a read-only file system, and {pending.name} holds changes that are not in it yet: "
            "copy the files to a folder that can be written, and open the copy"
        )


def lies_read_only(path: Path) -> bool:
    """Tell whether *path* lies on a file system that is mounted read-only: nobody here can write to it, not even root."""
    try:
        return bool(os.statvfs(path.parent).f_flag & os.ST_RDONLY)
    except OSError:
        return False


def file_system(folder: Path, table: Path | None = None) -> str:
    """Return the type of the file system that holds *folder* by the *table* of mounts (of /proc), ``""`` where that is not known."""
    try:
        lines = (table or MOUNTS).read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return ""
    real = os.path.realpath(folder)
    best, kind = "", ""
    for line in lines:
        left, _, right = line.partition(" - ")
        mount = re.sub(r"\\(\d{3})", lambda m: chr(int(m[1], 8)), left.split(" ")[4])
        inside = mount == "/" or real == mount or real.startswith(mount + "/")
        if inside and len(mount) >= len(best):
            best, kind = mount, right.split(" ")[0]
    return kind
