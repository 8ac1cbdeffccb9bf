"""Files of source, read: small ones, no secrets, no databases, within bounds; and traces of those that are not kept."""

from __future__ import annotations

import hashlib
import os
import re
import stat
import time
from collections.abc import Collection, Mapping
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from trackers.artifacts.names import check_name
from trackers.capture.imports import ELSEWHERE
from trackers.capture.secret import is_secret_name, is_settings_name, looks_secret, redact
from trackers.capture.state import SourceFile
from trackers.errors import InvalidValueError

MAX_FILE_BYTES = 1 << 20
MAX_FILES_BYTES = 8 << 20
MAX_FILES = 500
_MOST_NAMES = 100_000
_MARK = re.compile(r"[0-9a-f-]{32,36}")
"""A store's uid: the name of its note where it keeps files, and of a journal's folder."""
_FILES = re.compile(
    r"stores/\.?[0-9a-f-]{32,36}|incoming/[0-9a-f]{32}|(incoming|quarantine)/[0-9a-f]{64}.*"
    r"|(?P<first>[0-9a-f]{2})/(?P=first)[0-9a-f]{62}(\.reused)?",
    re.DOTALL,
)
"""What a store writes where it keeps files, see ``trackers.artifacts.local``: whose root may hold code as well."""
_JOURNAL = re.compile(r".+", re.DOTALL)
_LONGEST_NOTE = 4096
_DATABASE = b"SQLite format 3\0"
_TRACED_BYTES = 64 << 20
_MOST_TRACED = 8 << 20
_MOST_FILES_TRACED = 1000
_SOURCES = frozenset(
    [
        ".py",
        ".pyi",
        ".pyx",
        ".ipynb",
        ".r",
        ".jl",
        ".sql",
        ".sh",
        ".c",
        ".cc",
        ".cpp",
        ".cu",
        ".h",
        ".hpp",
        ".rs",
        ".go",
        ".java",
        ".js",
        ".ts",
        ".yaml",
        ".yml",
        ".toml",
        ".ini",
        ".cfg",
        ".conf",
        ".cuh",
        ".kt",
        ".properties",
        ".pxd",
        ".scala",
    ]
)
_OUTPUTS = frozenset([".log", ".out", ".err", ".txt", ".csv", ".tsv", ".jsonl", ".html", ".md"])
SECRET_NAME = "its name says that it holds secrets"
_LOOKS_SECRET = "there is something in it that looks like a secret"
_IS_DATABASE = "it is a database"


def is_clean(name: str) -> bool:
    """Tell whether a name may be one of a kept file."""
    try:
        return check_name(name) == name
    except InvalidValueError:
        return False


def read_files(
    paths: Mapping[str, Path], deadline: float, beside: Collection[Path] = (), first: Collection[str] = ()
) -> tuple[dict[str, SourceFile], dict[str, str]]:
    """Read files by their names; return them, and why some are left out.

    Those in *first* come before others, what is from elsewhere comes last, and among them the small ones come first.
    """
    apart = {path.resolve() for path in beside}
    stores: dict[Path, re.Pattern[str] | None] = {}
    files: dict[str, SourceFile] = {}
    left_out: dict[str, str] = {}
    sizes: list[tuple[int, int, str]] = []
    for name, path in list(paths.items())[:_MOST_NAMES]:
        if apart & {path, *path.parents} or _is_kept_by_a_store(path, stores):
            continue
        size, why = _size(path, name)
        if why:
            left_out[name] = why
        else:
            sizes.append((0 if name in first else 2 if name.startswith(f"{ELSEWHERE}/") else 1, size, name))
    room = MAX_FILES_BYTES
    for _, size, name in sorted(sizes):
        if size > room or len(files) >= MAX_FILES:
            left_out[name] = "there is no room for more new files"
        elif time.monotonic() > deadline:
            left_out[name] = "there was no time to read it"
        else:
            found = _read(paths[name])
            if isinstance(found, str):
                left_out[name] = found
            else:
                files[name] = found
                room -= size
    return files, left_out


def _is_kept_by_a_store(path: Path, known: dict[Path, re.Pattern[str] | None]) -> bool:
    """Tell whether *path* is one of the files or journals that some store keeps, which are nobody's code either."""
    for folder in path.parents:
        if folder not in known:
            known[folder] = _kept_in(folder)
        kept = known[folder]
        if kept is not None and kept.fullmatch(path.relative_to(folder).as_posix()):
            return True
    return False


def _kept_in(folder: Path) -> re.Pattern[str] | None:
    """Return the names below *folder* that are those of a store; None where no store keeps anything in it."""
    if any(_is_note(folder / "stores" / name) for name in _names_in(folder / "stores") if _MARK.fullmatch(name)):
        return _FILES
    return _JOURNAL if _MARK.fullmatch(folder.name) and (folder / "records").is_file() else None


def _is_note(path: Path) -> bool:
    """Tell whether a file is what a store writes where it keeps its files: its own URL."""
    try:
        return path.is_file() and path.stat().st_size < _LONGEST_NOTE and "://" in path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return False


def _names_in(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def is_source(name: str, why: str) -> bool:
    """Tell whether a new file that was left out is code, or settings of a program, by its name and *why* it was.

    Others may be what runs leave behind. What holds a secret is settings, unless a program writes such files.
    """
    suffix = PurePosixPath(name).suffix.lower()
    return suffix in _SOURCES or why == SECRET_NAME or (why == _LOOKS_SECRET and suffix not in _OUTPUTS)


def _size(path: Path, name: str) -> tuple[int, str]:
    """Return the size of a file, and why it cannot be kept."""
    if name.endswith("/"):
        return 0, "it is a repository of its own"
    if is_secret_name(name):
        return 0, SECRET_NAME
    if not is_clean(name):
        return 0, "its name is unusual"
    try:
        found = path.lstat()
    except OSError as exc:
        return 0, exc.strerror or "it cannot be read"
    if not stat.S_ISREG(found.st_mode):
        return 0, "it is no plain file"
    if found.st_size > MAX_FILE_BYTES:
        return 0, f"it is larger than {MAX_FILE_BYTES >> 20} MiB"
    return found.st_size, ""


def _read(path: Path) -> SourceFile | str:
    try:
        with _open(path) as source:
            mode = os.fstat(source.fileno()).st_mode
            data = source.read(MAX_FILE_BYTES + 1)
    except OSError as exc:
        return exc.strerror or "it cannot be read"
    if not stat.S_ISREG(mode) or len(data) > MAX_FILE_BYTES:
        return "it changed while it was read"
    if data.startswith(_DATABASE):
        return _IS_DATABASE
    if looks_secret(data.decode("latin-1"), settings=is_settings_name(path.name)):
        return _LOOKS_SECRET
    return SourceFile(data, bool(mode & stat.S_IXUSR))


def traces(left_out: Mapping[str, str], paths: Mapping[str, Path], deadline: float) -> dict[str, str]:
    """Return what tells the content of files that are *left_out* from another one, by their names.

    Of a large file only both ends are read, and bounded amounts of all together; the size of all others is told. Of a
    database nothing is: it is another one with every run, and no code.
    """
    found = dict.fromkeys(left_out, "")
    room = _TRACED_BYTES
    for name in sorted(left_out.keys() & paths.keys()):
        why = left_out[name]
        if time.monotonic() > deadline:
            break
        try:
            found[name], read = _trace(paths[name], why, min(room, _MOST_TRACED))
        except OSError:
            continue
        room -= max(read, _TRACED_BYTES // _MOST_FILES_TRACED)
    return found


def _trace(path: Path, why: str, most: int) -> tuple[str, int]:
    """Return the trace of a file of which *most* bytes are read, and how many were.

    A short secret could be guessed by a digest: nothing is read where the file's name tells of one, and where its look
    does, the digest is of all but the secret.
    """
    found = path.lstat()
    if stat.S_ISLNK(found.st_mode):
        return hashlib.sha256(os.fsencode(path.readlink())).hexdigest(), 0
    if not stat.S_ISREG(found.st_mode):
        return "", 0
    if why == SECRET_NAME or most <= 0:
        return str(found.st_size), 0
    data = _ends(path, found.st_size, most)
    if data.startswith(_DATABASE):
        return "", len(data)
    shown = data
    if why == _LOOKS_SECRET:
        shown = redact(data.decode("latin-1"), settings=is_settings_name(path.name)).encode("latin-1")
    return f"{found.st_size} {hashlib.sha256(shown).hexdigest()}", len(data)


def _ends(path: Path, size: int, most: int) -> bytes:
    """Return a file of *size* bytes, or where that are more than *most*, the first and the last of them."""
    with _open(path) as source:
        if size <= most:
            return source.read(most)
        first = source.read(most // 2)
        source.seek(size - most // 2)
        return first + source.read(most // 2)


def _open(path: Path) -> BinaryIO:
    """Open a file to read, none at the end of a link, and without waiting where a pipe has taken its place."""
    return os.fdopen(os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)), "rb")
