"""The state of a git repository: its commit, what was changed since, and which files are new."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from trackers.capture import patch
from trackers.capture.commits import read_commits
from trackers.capture.files import SECRET_NAME, is_clean, is_source, read_files, traces
from trackers.capture.git import Git, GitError
from trackers.capture.imports import ELSEWHERE, imports
from trackers.capture.secret import clean_url, is_secret_name
from trackers.capture.state import CodeState

MAX_DIFF_BYTES = 4 << 20
_MOST_LISTED = 256 << 20
_MOST_DIFFED = MAX_DIFF_BYTES * 8
_MOST_LARGE = 4


@dataclass
class _Status:
    branch: str | None = None
    changed: list[str] = field(default_factory=list)
    untracked: list[str] = field(default_factory=list)


@dataclass
class _Changes:
    """What was changed since the commit; *ids* tell the new content of large files by what git calls it."""

    diff: bytes = b""
    hidden: dict[str, bool] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    ids: dict[str, str] = field(default_factory=dict)


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
        with _seeing_all(git, top) as seeing:
            status = _status(seeing)
            changes = _changes(seeing, status) if status.changed else _Changes()
        below, outside = imports(top)
        own = _name_of(top, place)
        ran = {*below, *([own] if own is not None else [])}
        outside |= {
            f"{ELSEWHERE}/{top.name}/{name}": path for name, path in below.items() if not path.is_relative_to(top)
        }  # a link that leads out is in the repository, and what it leads to is not
        ignored = _ignored(git, top, ran - set(status.untracked))
        paths = {name: top / name for name in (*status.untracked, *ignored)} | outside
        files, more = read_files(paths, git.deadline, beside, first=ran)
        submodules, inside = _submodules(git, top)
    except (GitError, OSError) as exc:
        return _with(found, notes=(f"{exc}: what was changed since the commit is not known",))
    left_out = {**changes.left_out, **more, **dict.fromkeys(inside, "a submodule with changes that are not kept")}
    known = inside | changes.ids
    paths |= {name: top / name for name in changes.left_out}
    code = {
        name: why for name, why in more.items() if name in ran or is_source(name, why)
    }  # other new files may be results
    return _with(
        found,
        branch=status.branch,
        dirty=bool(status.changed or inside or ran & set(status.untracked) or own in ignored),
        diff=changes.diff,
        files=files,
        hidden=changes.hidden,
        left_out=left_out,
        traces=traces({**changes.left_out, **code}, paths, git.deadline) | known,
        submodules=submodules,
        commits=read_commits(git),
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


@contextmanager
def _seeing_all(git: Git, top: Path) -> Iterator[Git]:
    """Give git as it sees every file, also those that it was told to take for unchanged or to leave alone.

    It was told so in its index (``update-index --assume-unchanged``, ``--skip-worktree``): it looks at a copy of that
    which says nothing of the kind. What a sparse checkout lacks is still lacking, and no change; elsewhere a file that
    is not there was removed.
    """
    listed = git("ls-files", "-v", "-z", "--full-name", ":/", limit=_MOST_LISTED).split(b"\0")
    unseen = [entry[2:] for entry in listed if entry[:1] == b"h"]
    skipped = [entry[2:] for entry in listed if entry[:1] in (b"S", b"s")]
    if skipped and git.text("config", "--bool", "--default", "false", "--get", "core.sparseCheckout") == "true":
        skipped = _those_there(top, skipped)
    unseen += skipped
    if not unseen:
        yield git
        return
    with tempfile.TemporaryDirectory(prefix="trackers-index-") as folder:
        index = Path(folder, "index")
        shutil.copy2(git.folder / git.text("rev-parse", "--git-path", "index"), index)
        seeing = Git(top, git.deadline - time.monotonic(), index)
        for told in ("--no-assume-unchanged", "--no-skip-worktree"):
            seeing("update-index", told, "-z", "--stdin", stdin=b"\0".join(unseen))
        yield seeing


def _those_there(top: Path, names: list[bytes]) -> list[bytes]:
    """Return which files are there; a sparse checkout lacks whole folders of them, so folders are asked for first."""
    place = os.fsencode(top)
    folders = {
        folder: os.path.isdir(os.path.join(place, folder)) for folder in {os.path.dirname(name) for name in names}
    }
    return [name for name in names if folders[os.path.dirname(name)] and os.path.lexists(os.path.join(place, name))]


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


def _changes(git: Git, status: _Status) -> _Changes:
    """Return the changes since the commit, what was hidden in them, and which files' are left out."""
    found = _Changes(left_out={name: SECRET_NAME for name in status.changed if is_secret_name(name)})
    sections, large, is_all = _sections(git, found.left_out)
    room = MAX_DIFF_BYTES
    kept: list[patch.Section] = []
    for section in sorted(sections, key=lambda one: len(one.data)):
        if section.is_link:
            found.left_out[section.name] = "it is a link or a submodule"
        elif len(section.data) > room:
            large.append(section)
        elif not is_clean(section.name):
            found.left_out[section.name] = "its name is unusual"
        elif time.monotonic() > git.deadline:
            found.left_out[section.name] = "there was no time to look through it"
        else:
            shown, exact = patch.hide(section)
            if shown is not section:
                found.hidden[section.name] = exact
            kept.append(shown)
            room -= len(section.data)
    found.left_out |= {section.name: "its changes are too large" for section in large}
    found.ids |= {section.name: hashlib.sha256(section.head).hexdigest() for section in large}
    if not is_all:
        others = set(status.changed) - found.left_out.keys() - {section.name for section in kept}
        found.left_out |= dict.fromkeys(others, "changes before it are too large")
    order = {section.name: place for place, section in enumerate(sections)}
    found.diff = b"".join(section.data for section in sorted(kept, key=lambda one: order[one.name]))
    return found


def _sections(git: Git, without: Collection[str]) -> tuple[list[patch.Section], list[patch.Section], bool]:
    """Return the changes by file, those that are too large to be read as a whole, and whether these are all.

    Git writes one file after another: what comes behind a large one is asked for once more, without it.
    """
    sections: list[patch.Section] = []
    large: list[patch.Section] = []
    while len(large) < _MOST_LARGE:
        left_away = [f":(exclude,top,literal){name}" for name in (*without, *(one.name for one in large))]
        try:
            data = git("diff", *patch.DIFF_OPTIONS, "HEAD", "--", ":/", *left_away, limit=_MOST_DIFFED)
            sections = patch.split(data)
        except (GitError, ValueError):  # no time for another look, or cut within a name
            if not large:
                raise
            break
        if len(data) < _MOST_DIFFED:
            return sections, large, True
        large.append(sections.pop())
    return sections, large, False


def _submodules(git: Git, top: Path) -> tuple[dict[str, str], dict[str, str]]:
    """Return the commits of the submodules by their paths, and digests of what was changed in them since."""
    if not (top / ".gitmodules").is_file():
        return {}, {}
    listed = git.text("config", "-f", str(top / ".gitmodules"), "--get-regexp", r"\.path$")
    paths = [line.split(" ", 1)[1] for line in listed.splitlines() if " " in line]
    found: dict[str, str] = {}
    changed: dict[str, str] = {}
    for path in paths[:100]:
        found[path] = ""  # not checked out
        if not (top / path / ".git").exists():
            continue  # without a .git of its own, git answers for the repository around it
        inside = Git(top / path, max(0.0, git.deadline - time.monotonic()))
        try:
            found[path] = inside.text("rev-parse", "HEAD")
            if inside("status", "--porcelain", "-z", "--untracked-files=no"):
                changed[path] = ""
                changed[path] = hashlib.sha256(inside("diff", *patch.DIFF_OPTIONS, "HEAD")).hexdigest()
        except GitError:
            pass
    return found, changed
