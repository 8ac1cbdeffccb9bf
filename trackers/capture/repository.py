"""The state of a git repository: its commit, what was changed since, and which files are new."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from trackers.artifacts.names import check_name
from trackers.capture import patch
from trackers.capture.commits import read_commits
from trackers.capture.git import Git, GitError
from trackers.capture.secret import clean_url, is_secret_name, looks_secret
from trackers.capture.state import CodeState, SourceFile
from trackers.errors import InvalidValueError

MAX_DIFF_BYTES = 4 << 20
MAX_FILE_BYTES = 1 << 20
MAX_FILES_BYTES = 8 << 20
MAX_FILES = 500
_MOST_NAMES = 100_000
_DATABASE = b"SQLite format 3\0"


@dataclass
class _Status:
    branch: str | None = None
    changed: list[str] = field(default_factory=list)
    untracked: list[str] = field(default_factory=list)


def read_repository(place: Path, seconds: float, beside: Collection[Path] = ()) -> CodeState | None:
    """Return the state of the repository around *place*, None where there is none that has a commit.

    It takes *seconds* at most; what could not be read in that time is said in the notes. *beside* are files and
    folders that are no code, such as the store's own. Raises GitError where git cannot read the repository at all.
    """
    folder = place if place.is_dir() else place.parent
    top = _top(folder)
    if top is None:
        return None
    git = Git(folder, seconds)
    head = git.text("log", "-1", "--no-show-signature", "--format=%H%x00%an <%ae>%x00%cI")
    commit, author, committed = head.split("\0")
    found = CodeState(commit=commit, author=author, committed=committed, remote=_remote(git))
    try:
        status = _status(git)
        diff, hidden, left_out = _diff(git, status) if status.changed else (b"", {}, {})
        files, more = read_files(top, status.untracked, git.deadline, beside)
        submodules = _submodules(git, top)
    except GitError as exc:
        return _with(found, notes=(f"{exc}: what was changed since the commit is not known",))
    own = place.resolve() if place.is_file() else None
    is_new = own is not None and own in {top / name for name in status.untracked}
    return _with(
        found,
        branch=status.branch,
        dirty=bool(status.changed) or is_new,
        diff=diff,
        files=files,
        hidden=hidden,
        left_out={**left_out, **more},
        submodules=submodules,
        commits=read_commits(git),
    )


def _with(state: CodeState, **changes: object) -> CodeState:
    from dataclasses import replace

    return replace(state, **changes)  # type: ignore[arg-type]  # the names are those of its fields


def _top(folder: Path) -> Path | None:
    """Return the folder of the repository around *folder*, without asking git: most scripts are in none."""
    folder = folder.resolve()
    return next((above for above in (folder, *folder.parents) if (above / ".git").exists()), None)


def _remote(git: Git) -> str | None:
    try:
        listed = git.text("config", "--get-regexp", r"^remote\..*\.url$")
    except GitError:
        return None
    urls = dict(line.split(" ", 1) for line in listed.splitlines() if " " in line)
    url = urls.get("remote.origin.url") or next(iter(urls.values()), None)
    return clean_url(url) if url else None


def _status(git: Git) -> _Status:
    options = ("--porcelain=v2", "--branch", "-z", "--untracked-files=all", "--no-renames", "--ignore-submodules=dirty")
    found = _Status()
    entries = iter(git("status", *options).decode("utf-8", "surrogateescape").split("\0"))
    for entry in entries:
        if entry.startswith("# branch.head "):
            name = entry.removeprefix("# branch.head ")
            found.branch = None if name == "(detached)" else name
        elif entry.startswith("? "):
            if "__pycache__/" not in entry:  # bytecode is made again
                found.untracked.append(entry[2:])
        elif entry.startswith("1 "):
            found.changed.append(entry.split(" ", 8)[8])
        elif entry.startswith("u "):
            found.changed.append(entry.split(" ", 10)[10])
        elif entry.startswith("2 "):
            found.changed.append(entry.split(" ", 9)[9])
            next(entries, None)  # the name it had before
    return found


def _diff(git: Git, status: _Status) -> tuple[bytes, dict[str, bool], dict[str, str]]:
    """Return the changes since the commit, what was hidden in them, and which files' are left out."""
    left_out = {name: "its name says that it holds secrets" for name in status.changed if is_secret_name(name)}
    without = [f":(exclude,top,literal){name}" for name in left_out]
    limit = MAX_DIFF_BYTES * 8
    data = git("diff", *patch.DIFF_OPTIONS, "HEAD", "--", ":/", *without, limit=limit)
    sections = patch.split(data)
    if len(data) == limit and sections:
        left_out[sections.pop().name] = "the changes are too large"
    kept: list[patch.Section] = []
    hidden: dict[str, bool] = {}
    room = MAX_DIFF_BYTES
    for section in sorted(sections, key=lambda one: len(one.data)):
        if section.is_link:
            left_out[section.name] = "it is a link or a submodule"
        elif len(section.data) > room or not _is_clean(section.name):
            left_out[section.name] = "its changes are too large" if len(section.data) > room else "its name is unusual"
        elif time.monotonic() > git.deadline:
            left_out[section.name] = "there was no time to look through it"
        else:
            shown, exact = patch.hide(section)
            if shown is not section:
                hidden[section.name] = exact
            kept.append(shown)
            room -= len(section.data)
    order = {section.name: place for place, section in enumerate(sections)}
    return b"".join(s.data for s in sorted(kept, key=lambda one: order[one.name])), hidden, left_out


def _is_clean(name: str) -> bool:
    try:
        return check_name(name) == name
    except InvalidValueError:
        return False


def _submodules(git: Git, top: Path) -> dict[str, str]:
    if not (top / ".gitmodules").is_file():
        return {}
    listed = git.text("config", "-f", str(top / ".gitmodules"), "--get-regexp", r"\.path$")
    paths = [line.split(" ", 1)[1] for line in listed.splitlines() if " " in line]
    found: dict[str, str] = {}
    for path in paths[:100]:
        try:
            found[path] = Git(top / path, max(0.0, git.deadline - time.monotonic())).text("rev-parse", "HEAD")
        except GitError:
            found[path] = ""  # not checked out
        if (top / path).is_dir() and not (top / path / ".git").exists():
            found[path] = ""  # without a .git of its own, git answers for the repository around it
    return found


def read_files(
    top: Path, names: Iterable[str], deadline: float, beside: Collection[Path] = ()
) -> tuple[dict[str, SourceFile], dict[str, str]]:
    """Read files below *top*, the small ones first; return them, and why others are left out."""
    apart = {path.resolve() for path in beside}
    files: dict[str, SourceFile] = {}
    left_out: dict[str, str] = {}
    sizes: list[tuple[int, str]] = []
    for name in list(names)[:_MOST_NAMES]:
        path = top / name
        if apart & {path, *path.parents}:
            continue
        size, why = _size(path, name)
        if why:
            left_out[name] = why
        else:
            sizes.append((size, name))
    room = MAX_FILES_BYTES
    for size, name in sorted(sizes):
        if size > room or len(files) >= MAX_FILES:
            left_out[name] = "there is no room for more new files"
        elif time.monotonic() > deadline:
            left_out[name] = "there was no time to read it"
        else:
            found = _read(top / name)
            if isinstance(found, str):
                left_out[name] = found
            else:
                files[name] = found
                room -= size
    return files, left_out


def _size(path: Path, name: str) -> tuple[int, str]:
    """Return the size of a file, and why it cannot be kept."""
    if name.endswith("/"):
        return 0, "it is a repository of its own"
    if is_secret_name(name):
        return 0, "its name says that it holds secrets"
    if not _is_clean(name):
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
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
        with os.fdopen(descriptor, "rb") as source:
            mode = os.fstat(source.fileno()).st_mode
            data = source.read(MAX_FILE_BYTES + 1)
    except OSError as exc:
        return exc.strerror or "it cannot be read"
    if not stat.S_ISREG(mode) or len(data) > MAX_FILE_BYTES:
        return "it changed while it was read"
    if data.startswith(_DATABASE):
        return "it is a database"
    if looks_secret(data.decode("latin-1")):
        return "there is something in it that looks like a secret"
    return SourceFile(data, bool(mode & stat.S_IXUSR))
