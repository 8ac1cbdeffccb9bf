"""``doctor``: what this store is, whether it is healthy, and what to do."""

from __future__ import annotations

import os
import shlex
import shutil
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from trackers.artifacts import ArtifactStore
from trackers.errors import ArtifactError, TrackersError
from trackers.journal import journal_folder, list_journals, other_journals
from trackers.processes import host_name, is_alive, start_time
from trackers.sql import settings, statistics
from trackers.sql.address import Address, file_system, is_network, read_address
from trackers.sql.dump import reachable_files
from trackers.sql.engine import Database
from trackers.sql.failures import why_not_written
from trackers.sql.postgresql import pooler_mode
from trackers.sql.schema import HEAD, LOST, REVISIONS, how_to_put_back, open_database, read_revision
from trackers.wording import counted

OK, WARNING, PROBLEM = "ok", "warning", "problem"

_PACKAGES = ("hpo", "sqlalchemy", "alembic", "psycopg", "fsspec", "numpy", "optuna", "ray")
_LARGE_WAL = 256 << 20
_LITTLE_ROOM = 1 << 30
_NO_ROOM = 100 << 20
_SKEW_SECONDS = 2.0
_SMALL_PACKET = 16 * 2**20
_HERE = frozenset({"", "localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True)
class Diagnosis:
    """One thing that was looked at: *level* is ``"ok"``, ``"warning"`` or ``"problem"``, *advice* what to do about it."""

    level: str
    topic: str
    told: str
    advice: str = ""


def examine(url: str | os.PathLike[str]) -> list[Diagnosis]:
    """Look at everything about the store *url* that may be wrong with it; nothing is changed.

    A store that cannot be opened is a problem like another. Raises InvalidValueError for what is no URL of a store.
    """
    address = read_address(url)
    return list(_examine(address))


def _examine(address: Address) -> Iterator[Diagnosis]:
    yield _packages()
    if address.path is not None:
        yield from _file(address.path)
    elif address.dialect == "postgresql":
        yield from _pooler(address)
    try:
        database = Database(address)
    except TrackersError as exc:
        yield Diagnosis(PROBLEM, "store", str(exc))
        return
    try:
        revision = read_revision(database) if address.path is None or address.path.exists() else None
        if revision is None:
            yield _no_revision(database, address)
            return
        yield _schema(revision)
        yield from _OF_DATABASE[address.dialect](database)
        yield from _rights(database)
        if revision == HEAD:
            yield from _rows(database)
            yield from _artifacts(address)
            yield from _journals(address)
    except TrackersError as exc:
        yield Diagnosis(PROBLEM, "store", str(exc))
    finally:
        database.close()


def _packages() -> Diagnosis:
    found = []
    for name in _PACKAGES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            pass
    return Diagnosis(OK, "packages", ", ".join(found))


def _no_revision(database: Database, address: Address) -> Diagnosis:
    if address.path is None or address.path.exists():
        with database.reading() as connection:
            if settings.has_tables(connection):
                return Diagnosis(PROBLEM, "schema", LOST, how_to_put_back(connection))
    return Diagnosis(PROBLEM, "schema", "there is no store here", "name another, or let the first run make it")


def _rights(database: Database) -> Iterator[Diagnosis]:
    """Try to write a row as it is, and take that back: a server's role may only read."""
    if database.address.path is not None:
        return  # see _file
    try:
        with database.writing() as connection:
            settings.try_to_write(connection)
    except TrackersError as exc:
        why = why_not_written(exc)
        if why == "read-only" and database.read(settings.is_standby):
            told = "this is a standby: the store can be read here"
            yield Diagnosis(WARNING, "rights", told, "to write, connect to the primary")
            return
        advice = {
            "read-only": "connect to the primary, or let the server or this user write",
            "denied": "give the role INSERT, UPDATE and DELETE, or connect as another",
        }
        yield Diagnosis(PROBLEM, "rights", f"it can be read here, and not written: {exc}", advice.get(why, ""))


def _schema(revision: str) -> Diagnosis:
    if revision == HEAD:
        return Diagnosis(OK, "schema", f"revision {revision}, the newest that this release knows")
    if revision in REVISIONS:
        return Diagnosis(PROBLEM, "schema", f"revision {revision} is older than {HEAD}", "run `trackers db upgrade`")
    return Diagnosis(PROBLEM, "schema", f"revision {revision} is of a newer release", "install that release")


# --- SQLite ------------------------------------------------------------------------------------------------------


def _file(path: Path) -> Iterator[Diagnosis]:
    kind = file_system(path.parent)
    if is_network(kind):
        told = f"{path.parent} is on a network file system ({kind}), where SQLite's locks fail"
        yield Diagnosis(PROBLEM, "file system", told, "use PostgreSQL, or a disk of this machine")
    else:
        yield Diagnosis(OK, "file system", f"{path.parent} is on this machine{f' ({kind})' if kind else ''}")
    yield from _room("disk of the database", path.parent)
    if not path.exists():
        return
    if not os.access(path, os.W_OK) or not os.access(path.parent, os.W_OK):
        yield Diagnosis(WARNING, "rights", f"{path} can only be read", "make the file and its folder writable")
    if path.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        yield Diagnosis(WARNING, "rights", f"others may write {path}", f"chmod 600 {path}")
    log = path.with_name(path.name + "-wal")
    if log.exists() and log.stat().st_size > _LARGE_WAL:
        told = f"{log.name} has grown to {log.stat().st_size >> 20} MB: a reader has kept a transaction open for long"
        yield Diagnosis(WARNING, "write-ahead log", told, "end long readers; the next writer then shrinks it")


def _sqlite(database: Database) -> Iterator[Diagnosis]:
    with database.reading() as connection:
        facts = settings.sqlite_facts(connection)
    size = facts["page_count"] * facts["page_size"]
    yield Diagnosis(OK, "database", f"SQLite {facts['version']}, {size >> 10} kB, foreign keys and full sync by us")
    if facts["journal_mode"] != "wal":
        told = f"the journal mode is {facts['journal_mode']}: readers and writers wait for each other"
        yield Diagnosis(WARNING, "journal mode", told, "open it for writing once: we set it to WAL")
    free = facts["freelist_count"] * facts["page_size"]
    if free > _NO_ROOM and free > size // 4:
        told = f"{free >> 20} MB of the file are free pages, since much was removed"
        yield Diagnosis(WARNING, "free pages", told, "sqlite3 FILE VACUUM, while nobody uses the store, makes it small")


# --- PostgreSQL --------------------------------------------------------------------------------------------------


def _pooler(address: Address) -> Iterator[Diagnosis]:
    try:
        mode = pooler_mode(address)
    except Exception as exc:  # noqa: BLE001 - whatever the driver says; that it fails is told by whoever connects next
        yield Diagnosis(WARNING, "pooler", f"it could not be found out whether there is one ({type(exc).__name__})")
        return
    if mode == "statement":
        told = "a pooler in statement mode is in between: no transaction gets through"
        yield Diagnosis(
            PROBLEM, "pooler", told, "use pool_mode = transaction or session, or connect to the server itself"
        )
    elif mode:
        told = (
            f"one in {mode} mode is in between: our settings go with each transaction, and statements are not prepared"
        )
        yield Diagnosis(OK, "pooler", told)
    else:
        yield Diagnosis(OK, "pooler", "none is in between")


def _postgresql(database: Database) -> Iterator[Diagnosis]:
    with database.reading() as connection:
        facts = settings.postgresql_facts(connection)
        unknown = statistics.never_gathered(connection)
    yield Diagnosis(OK, "database", f"PostgreSQL {facts['server_version']}")
    if (encoding := facts["server_encoding"]) != "UTF8":
        told = f"is {encoding}, which cannot hold every text"
        yield Diagnosis(PROBLEM, "encoding", told, "restore a backup into a database with ENCODING 'UTF8'")
    for name in ("fsync", "full_page_writes"):
        if facts[name] == "off":
            yield Diagnosis(PROBLEM, name, "is off: a crash of the server damages the database", f"set {name} = on")
    if facts["synchronous_commit"] == "off":
        told = "is off for us: a crash of the server loses what was acknowledged"
        yield Diagnosis(PROBLEM, "synchronous_commit", told, "let our `options` through, or set it to on")
    if unknown:
        told = f"the server never looked at how {', '.join(unknown)} {'is' if len(unknown) == 1 else 'are'} filled"
        advice = f"ANALYZE {', '.join(unknown)}; and see that autovacuum is on: queries may take very long without"
        yield Diagnosis(WARNING, "statistics", told, advice)
    yield from _network(database.address, bool(facts["encrypted"]), "add ?sslmode=require (or verify-full) to the URL")
    yield from _clock(facts["ahead"])
    yield from _connections(int(facts["connections"]), int(facts["max_connections"]))


def _mariadb(database: Database) -> Iterator[Diagnosis]:
    with database.reading() as connection:
        facts = settings.mariadb_facts(connection)
    version = str(facts["version"])
    yield Diagnosis(OK, "database", version if "MariaDB" in version else f"MySQL {version}")
    if int(facts["innodb_flush_log_at_trx_commit"]) != 1:
        told = "is not 1: a crash of the server loses what was acknowledged"
        yield Diagnosis(PROBLEM, "innodb_flush_log_at_trx_commit", told, "set innodb_flush_log_at_trx_commit = 1")
    if str(facts["innodb_doublewrite"]) in {"0", "OFF"}:
        told = "is off: a crash of the server damages the database"
        yield Diagnosis(PROBLEM, "innodb_doublewrite", told, "set innodb_doublewrite = ON")
    packet = int(facts["max_allowed_packet"])
    if packet < _SMALL_PACKET:
        told = f"is {packet:,} bytes: longer texts are refused"
        yield Diagnosis(WARNING, "max_allowed_packet", told, "set max_allowed_packet = 64M")
    yield from _network(database.address, bool(facts["ssl_cipher"]), "add ?ssl_ca=FILE to the URL")
    yield from _clock(facts["ahead"])
    yield from _connections(int(facts["threads_connected"]), int(facts["max_connections"]))


def _network(address: Address, encrypted: bool, advice: str) -> Iterator[Diagnosis]:
    host = str(address.url.host or address.url.query.get("host") or "")
    if host in _HERE or host.startswith("/") or host == os.uname().nodename:
        return
    if not encrypted:
        yield Diagnosis(
            WARNING, "encryption", f"what goes to {host} is not encrypted, passwords and data alike", advice
        )
    else:
        yield Diagnosis(OK, "encryption", f"what goes to {host} is encrypted")


def _clock(ahead: float) -> Iterator[Diagnosis]:
    if abs(ahead) > _SKEW_SECONDS:
        told = f"the server's clock is {abs(ahead):.1f} s {'ahead of' if ahead > 0 else 'behind'} this host's"
        yield Diagnosis(WARNING, "clock", told, "run NTP on both; no safety rests on it, but times will look wrong")
    else:
        yield Diagnosis(OK, "clock", f"the server's is within {_SKEW_SECONDS:.0f} s of this host's")


def _connections(used: int, most: int) -> Iterator[Diagnosis]:
    if used > 0.8 * most:
        told = f"{used} of {most} are in use"
        yield Diagnosis(WARNING, "connections", told, "raise max_connections, or close idle clients")


_OF_DATABASE = {"sqlite": _sqlite, "postgresql": _postgresql, "mysql": _mariadb}

# --- what is in it -----------------------------------------------------------------------------------------------


def _rows(database: Database) -> Iterator[Diagnosis]:
    here = host_name()
    with database.reading() as connection:
        differing = settings.schema_differences(connection)
        held = settings.held_studies(connection)
        running = settings.open_attempts(connection, here)
    for sentence in differing:
        advice = "restore a backup: somebody changed the tables by hand"
        if sentence.startswith(settings.MADE_AGAIN):
            advice = "run `trackers fsck --repair`"
        elif sentence.endswith(settings.NOT_OURS):
            advice = "somebody made it by hand: take it away with the database's own tools, if nobody needs it"
        yield Diagnosis(PROBLEM, "schema", sentence, advice)
    for name, user, host, pid, started in held:
        if host == here and not is_alive(pid, started):
            told = f"the manager of study {name} (process {pid}) is gone without an end"
            yield Diagnosis(WARNING, "lease", told, f"go on with `hpo resume {name}`")
        else:
            yield Diagnosis(OK, "lease", f"study {name} is run by {user}@{host}, process {pid}")
    lost = [(uid, experiment) for uid, experiment, pid in running if start_time(pid) is None]
    if lost:
        shown = ", ".join(f"{experiment}/{uid[:12]}" for uid, experiment in lost[:3])
        gone = "is not ended, and its process is" if len(lost) == 1 else "are not ended, and their processes are"
        told = f"{counted(len(lost), 'run')} of this host {gone} gone ({shown})"
        yield Diagnosis(WARNING, "runs", told, "go on with store.resume_run(UID), and end() it")


def _journals(address: Address) -> Iterator[Diagnosis]:
    folder = journal_folder(address.path, address.safe)
    waiting = list_journals(folder)
    if address.path is None:
        database, identity = open_database(address, artifacts=None, create=False)
        database.close()
        waiting += other_journals(folder, identity.uid)
    if waiting:
        held = "holds what is not in the store yet, or belongs to a running process"
        if len(waiting) > 1:
            held = "hold what is not in the store yet, or belong to running processes"
        told = f"{counted(len(waiting), 'journal')} of this host {held}"
        yield Diagnosis(WARNING, "journals", told, "run `trackers sync`: it leaves those of running processes alone")


def _artifacts(address: Address) -> Iterator[Diagnosis]:
    database, identity = open_database(address, artifacts=None, create=False)
    with database.reading() as connection:
        needed = len(reachable_files(connection))
    database.close()
    root = identity.artifact_root
    artifacts = ArtifactStore(root, identity.uid)
    shown = artifacts.safe_root
    try:
        owners = artifacts.owners()
    except ArtifactError as exc:
        yield Diagnosis(PROBLEM, "artifacts", str(exc), "mount the folder, or give this process the credentials")
        return
    if needed and next(iter(artifacts.digests()), None) is None:
        told = f"there is no file in {shown}, which {counted(needed, 'file')} should be in"
        yield Diagnosis(PROBLEM, "artifacts", told, "mount the folder, or `trackers fsck --repair --from BACKUP`")
    if owners and identity.uid not in owners:
        told = f"{shown} is not the folder of this store: another one of the same name"
        yield Diagnosis(PROBLEM, "artifacts", told, "mount the right folder on this machine")
    elif len(owners) > 1:
        yield from _others(artifacts, {uid: label for uid, label in sorted(owners.items()) if uid != identity.uid})
    if not artifacts.is_local:
        yield Diagnosis(OK, "artifacts", f"{shown} can be reached")
        return
    folder = Path(root)
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    if not os.access(folder, os.W_OK | os.X_OK):
        yield Diagnosis(PROBLEM, "artifacts", f"{folder} cannot be written", "give this user the right to write there")
    else:
        kind = file_system(folder)
        where = f"on a network file system ({kind})" if is_network(kind) else "on this machine"
        yield Diagnosis(OK, "artifacts", f"{shown} can be written, {where}")
    yield from _room("disk of the artifacts", folder)


def _others(artifacts: ArtifactStore, owners: Mapping[str, str]) -> Iterator[Diagnosis]:
    """Tell of the other stores that have a mark in the root: while one is there, gc touches no file."""
    root = artifacts.safe_root
    for uid, label in owners.items():
        mark = f"{root}/stores/{uid}"
        gone = _is_gone(uid, label)
        if gone:
            told = f"{mark} says that {label or 'a store'} keeps files here too, and {gone}: gc touches no file"
            advice = f"if it is not on another machine either, remove the mark: {_removal(artifacts, mark)}"
        else:
            told = f"{label or 'another store'} keeps files in {root} too: gc touches no file"
            advice = f"one root a store; if that one is gone for good, remove its mark: {_removal(artifacts, mark)}"
        yield Diagnosis(WARNING, "artifacts", told, advice)


def _is_gone(uid: str, label: str) -> str:
    """Say why the SQLite store *label* is not there any more as far as this machine sees; '' where it may be.

    Of a server nothing can be said: its database is not asked, since the password of another store is not known.
    """
    try:
        address = read_address(label)
    except TrackersError:
        return ""
    if address.path is None:
        return ""
    if not address.path.exists():
        return f"there is no file {address.path}"
    try:
        database = Database(address)
        revision = read_revision(database)
        database.close()
        if revision is None:
            return f"{address.path} holds no store"
        if revision != HEAD:
            return ""  # opening it might upgrade it
        database, identity = open_database(address, artifacts=None, create=False)
    except TrackersError:
        return ""
    database.close()
    return "" if identity.uid == uid else f"{address.path} is another store by now"


def _removal(artifacts: ArtifactStore, mark: str) -> str:
    return f"rm {shlex.quote(mark)}" if artifacts.is_local else f"delete the object {mark}"


def _room(topic: str, folder: Path) -> Iterator[Diagnosis]:
    try:
        free = shutil.disk_usage(folder).free
    except OSError:
        return
    told = f"{free >> 20} MB are free in {folder}"
    if free < _NO_ROOM:
        yield Diagnosis(PROBLEM, topic, told, "free some space now: writing fails when it is full")
    elif free < _LITTLE_ROOM:
        yield Diagnosis(WARNING, topic, told, "free some space: `trackers du` and `trackers gc` help")
    else:
        yield Diagnosis(OK, topic, told)
