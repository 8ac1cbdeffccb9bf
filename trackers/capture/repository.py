"""The state of a git repository: its commit, what was changed since, and which files are new."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from trackers.capture import patch
from trackers.capture.commits import read_commits
from trackers.capture.files import is_clean, read_files
from trackers.capture.git import Git, GitError
from trackers.capture.imports import ELSEWHERE, imports
from trackers.capture.secret import clean_url, is_secret_name
from trackers.capture.state import CodeState

MAX_DIFF_BYTES = 4 << 20


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
    commit, author, committed = _head(git).split("\0")
    found = CodeState(commit=commit, author=author, committed=committed, remote=_remote(git))
    try:
        status = _status(git)
        diff, hidden, left_out = _diff(git, status) if status.changed else (b"", {}, {})
        below, outside = imports(top)
        own = _name_of(top, place)
        ran = {*below, *([own] if own is not None else [])}
        outside |= {
            f"{ELSEWHERE}/{top.name}/{name}": path for name, path in below.items() if not path.is_relative_to(top)
        }  # a link that leads out is in the repository, and what it leads to is not
        ignored = _ignored(git, top, ran - set(status.untracked))
        paths = {name: top / name for name in (*status.untracked, *ignored)} | outside
        files, more = read_files(paths, git.deadline, beside, first=ran)
        submodules, changed = _submodules(git, top)
    except GitError as exc:
        return _with(found, notes=(f"{exc}: what was changed since the commit is not known",))
    return _with(
        found,
        branch=status.branch,
        dirty=bool(status.changed or changed or ran & set(status.untracked) or own in ignored),
        diff=diff,
        files=files,
        hidden=hidden,
        left_out={**left_out, **more},
        submodules=submodules,
        commits=read_commits(git),
        notes=tuple(f"the submodule {path} has changes that are not kept" for path in changed),
    )


def _head(git: Git) -> str:
    try:
        return git.text("log", "-1", "--no-show-signature", "--format=%H%x00%an <%ae>%x00%cI")
    except GitError:
        git.text("rev-parse", "--git-dir")  # raises what is wrong, where it is more than that
        raise GitError("the repository has no commit yet") from None


def _name_of(top: Path, place: Path) -> str | None:
    own = place.resolve()
    return own.relative_to(top).as_posix() if place.is_file() and own.is_relative_to(top) else None


def _ignored(git: Git, top: Path, names: Iterable[str]) -> list[str]:
    """Return which of the files *names* git ignores: they are in no commit, and in no list of what is new."""
    asked = [name for name in sorted(names) if "\0" not in name and not _is_nested(top, name)]
    if not asked:
        return []
    given = "\0".join(str(top / name) for name in asked).encode("utf-8", "surrogateescape")
    try:
        said = git("check-ignore", "-z", "--stdin", stdin=given, fine=(0, 1)).decode("utf-8", "surrogateescape")
    except GitError:
        return []  # all else that is known of the code is worth more
    found = set(said.split("\0"))
    return [name for name in asked if str(top / name) in found]


def _is_nested(top: Path, name: str) -> bool:
    """Tell whether a file lies in a repository within the repository, which git does not look into."""
    return any((top / folder / ".git").exists() for folder in list(Path(name).parents)[:-1])


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
        elif len(section.data) > room or not is_clean(section.name):
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


def _submodules(git: Git, top: Path) -> tuple[dict[str, str], list[str]]:
    """Return the commits of the submodules by their paths, and those in which something was changed since."""
    if not (top / ".gitmodules").is_file():
        return {}, []
    listed = git.text("config", "-f", str(top / ".gitmodules"), "--get-regexp", r"\.path$")
    paths = [line.split(" ", 1)[1] for line in listed.splitlines() if " " in line]
    found: dict[str, str] = {}
    changed: list[str] = []
    for path in paths[:100]:
        found[path] = ""  # not checked out
        if not (top / path / ".git").exists():
            continue  # without a .git of its own, git answers for the repository around it
        inside = Git(top / path, max(0.0, git.deadline - time.monotonic()))
        try:
            found[path] = inside.text("rev-parse", "HEAD")
            if inside("status", "--porcelain", "-z", "--untracked-files=no"):
                changed.append(path)
        except GitError:
            pass
    return found, changed
