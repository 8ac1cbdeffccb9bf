"""Recorded code, restored into a new folder, and checked against what was recorded.

What a store says is not trusted: names that would leave the folder, links, and anything of git's own are refused
before the first byte is written, and nothing that is there is ever written over.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trackers.artifacts.names import check_name
from trackers.capture import commits, patch
from trackers.capture.git import Git, GitError
from trackers.capture.state import CELLS, DIFF, FILES, read_bundle
from trackers.errors import AlreadyExistsError, ArtifactError, DigestError, InvalidValueError, NotFoundError
from trackers.wording import counted

_SECONDS = 600.0


@dataclass(frozen=True)
class Restored:
    """What was restored to *folder*: *missing* says what of the code is not there, *exact* that nothing is."""

    folder: Path
    commit: str | None
    files: tuple[str, ...]
    changed: tuple[str, ...]
    exact: bool
    missing: tuple[str, ...]


def restore(
    record: Mapping[str, Any],
    bundle: bytes | None,
    to: Path,
    repo: Path | None = None,
    unpushed: Callable[[], bytes | None] = lambda: None,
    remote: str | None = None,
) -> Restored:
    """Restore the code of *record* into the new folder *to*; *repo*, or this folder, lies in the repository of its commit.

    Where it does not have that, *unpushed* returns git's bundle of the commits that no remote had, if there is one;
    where that holds the whole history no repository is needed, and *to* becomes one of its own. Errors name *remote*.
    Raises AlreadyExistsError where *to* is in use, NotFoundError where the repository or the commit is not there,
    InvalidValueError for what is refused, and DigestError where what was restored is not what was recorded.
    """
    to = Path(os.path.abspath(to))
    if to.is_symlink() or (to.exists() and (not to.is_dir() or any(to.iterdir()))):
        raise AlreadyExistsError(f"{to} is there already: name a new folder with --to")
    parts = read_bundle(bundle) if bundle is not None else {}
    diff, files = _checked(record, parts)
    sections = _sections(diff)
    commit = record.get("commit")
    git, whole = _repository(record, str(commit), repo, unpushed, remote) if commit else (None, None)
    try:
        if whole is not None:
            git = _make_repository(record, whole, str(commit), to)
        elif git is not None:
            _make_worktree(git, str(commit), to)
        if git is not None:
            _apply(git, to, str(commit), sections)
        to.mkdir(parents=True, exist_ok=True)
        for name, data in files.items():
            _write(to, name, data, bool(_listed(record).get(name, {}).get("executable")))
        if CELLS in parts and CELLS not in files:
            _write(to, CELLS, parts[CELLS], False)
        _verify(record, to, git, diff)
    except BaseException:
        _remove(git, to)
        raise
    changed = tuple(section.name for section in sections)
    missing = tuple(_missing(record, bundle))
    return Restored(to, commit, tuple(sorted(files)), changed, not missing, missing)


def _listed(record: Mapping[str, Any]) -> Mapping[str, Any]:
    files = record.get("files") or {}
    return files if isinstance(files, Mapping) else {}


def _checked(record: Mapping[str, Any], parts: Mapping[str, bytes]) -> tuple[bytes, dict[str, bytes]]:
    """Return the diff and the files of a bundle; every name is harmless and every digest as recorded."""
    files = {check_path(name.removeprefix(FILES)): data for name, data in parts.items() if name.startswith(FILES)}
    strangers = [name for name in parts if name not in (DIFF, CELLS) and not name.startswith(FILES)]
    if strangers or set(files) - set(_listed(record)):
        raise InvalidValueError("the stored code holds files that its record does not name: nothing was restored")
    folders = {parent for name in files for parent in _parents(name)}
    both = sorted(folders & set(files))
    if both:
        raise InvalidValueError(f"{both[0]!r} would be a file and a folder: nothing was restored")
    for name, data in files.items():
        _check_digest(name, data, _listed(record)[name])
    for name, part in ((DIFF, record.get("diff")), (CELLS, record.get("cells"))):
        if isinstance(part, Mapping) and name in parts:
            _check_digest(name, parts[name], part)
        elif name in parts:
            raise InvalidValueError(f"the stored code holds a {name} that its record does not name")
    text = record.get("diff")
    if isinstance(text, str):  # the record of an old release
        return text.encode("utf-8", "replace"), files
    return parts.get(DIFF, b""), files


def _check_digest(name: str, data: bytes, facts: Mapping[str, Any]) -> None:
    if hashlib.sha256(data).hexdigest() != facts.get("digest"):
        raise DigestError(f"{name!r} of the stored code is not what was recorded: nothing was restored")


def check_path(name: str) -> str:
    """Return *name* where it is safe to write below a folder; raises InvalidValueError."""
    if check_name(name) != name:
        raise InvalidValueError(f"the stored code holds a file with an unusual name, {name[:80]!r}: it is refused")
    for part in name.split("/"):
        bare = part.casefold().rstrip(". ")
        if bare in (".git", "git~1") or bare.startswith(".git:"):
            raise InvalidValueError(f"the stored code would write into git's own folder, {name[:80]!r}: it is refused")
    return name


def _parents(name: str) -> list[str]:
    parts = name.split("/")
    return ["/".join(parts[:end]) for end in range(1, len(parts))]


def _sections(diff: bytes) -> list[patch.Section]:
    try:
        sections = patch.split(diff)
    except ValueError as exc:
        raise InvalidValueError(f"the stored diff is none of git's: {exc}") from exc
    for section in sections:
        check_path(section.name)
        if section.is_link:
            raise InvalidValueError(f"the stored diff would make a link of {section.name!r}: it is refused")
        for line in section.head.split(b"\n"):
            if line.startswith((b"rename ", b"copy ")):
                raise InvalidValueError(f"the stored diff renames {section.name!r}, which none of ours does")
            if line.startswith((b"--- ", b"+++ ")):
                path = line[4:].split(b"\t")[0]
                if path != b"/dev/null" and patch.unquoted(path)[2:] != section.name:
                    raise InvalidValueError(f"the stored diff of {section.name!r} writes another file: it is refused")
    return sections


def _repository(
    record: Mapping[str, Any],
    commit: str,
    named: Path | None,
    unpushed: Callable[[], bytes | None],
    remote: str | None,
) -> tuple[Git | None, bytes | None]:
    """Return the repository at *named* (else here), with *commit*; or a bundle that holds the whole history.

    The latter where there is no repository, or one that was not named and does not have the commit.
    """
    if len(commit) not in (40, 64) or not all(char in "0123456789abcdef" for char in commit):
        raise InvalidValueError(f"the recorded commit {commit[:80]!r} is none")
    repo = Path() if named is None else named
    git = Git(repo, _SECONDS)
    where = f"; it was cloned from {remote}" if remote else ""
    facts = record.get("commits")
    kept = isinstance(facts, Mapping) and bool(facts.get("digest"))
    try:
        git("rev-parse", "--git-dir")
    except GitError as exc:
        if kept and (data := unpushed()) is not None and commits.is_whole(data):
            return None, data
        raise NotFoundError(
            f"there is no git repository at {repo} to restore commit {commit[:12]} from: go there, or name it with --repo{where}"
        ) from exc
    if _has(git, commit):
        return git, None
    if kept and (data := unpushed()) is not None:
        if named is None and commits.is_whole(data):
            return None, data  # this folder lies in some repository, which nobody named
        _fetch(git, data, record, commit)
        return git, None
    told = f" ({said})" if (said := commits.told(record)) else ""
    raise NotFoundError(
        f"the repository at {repo} does not have commit {commit[:12]}{told}: fetch it, or name another with --repo{where}"
    )


def _fetch(git: Git, bundle: bytes, record: Mapping[str, Any], commit: str) -> None:
    commits.fetch(git, bundle, record["commits"], commit)
    if not _has(git, commit):
        raise DigestError(f"the stored commits do not hold commit {commit[:12]}: nothing was restored")


def _has(git: Git, commit: str) -> bool:
    try:
        git("cat-file", "-e", commit + "^{commit}")
    except GitError:
        return False
    return True


def _make_worktree(git: Git, commit: str, to: Path) -> None:
    to.parent.mkdir(parents=True, exist_ok=True)
    try:
        git("worktree", "add", "--detach", "--force", str(to), commit, stdin=b"")
    except GitError as exc:
        raise ArtifactError(f"git cannot make a worktree at {to}: {exc}") from exc


def _make_repository(record: Mapping[str, Any], bundle: bytes, commit: str, to: Path) -> Git:
    """Make the folder *to* a repository of its own, at *commit*, from a bundle that holds all that leads there."""
    to.mkdir(parents=True, exist_ok=True)
    git = Git(to, _SECONDS)
    kind = "sha1" if len(commit) == 40 else "sha256"
    try:
        # No template: it may bring hooks and settings, and what is restored is to be what was recorded.
        git("init", "--quiet", "--template=", f"--object-format={kind}", stdin=b"")
        _fetch(git, bundle, record, commit)
        git("checkout", "--quiet", "--detach", commit, stdin=b"")
    except GitError as exc:
        raise ArtifactError(f"git cannot make a repository at {to}: {exc}") from exc
    return git


def _apply(git: Git, to: Path, commit: str, sections: list[patch.Section]) -> None:
    if not sections:
        return

    def old_text(name: str) -> bytes:
        return git("cat-file", "blob", f"{commit}:{name}", limit=1 << 26)

    whole = b"".join(patch.fill(section, old_text).data for section in sections)
    try:
        Git(to, _SECONDS)("apply", "--binary", "--whitespace=nowarn", "-", stdin=whole)
    except GitError as exc:
        raise ArtifactError(f"the recorded changes do not fit commit {commit[:12]}: {exc}") from exc


def _write(top: Path, name: str, data: bytes, executable: bool) -> None:
    """Write a new file below *top*, never through a link and never over another."""
    folder = top
    for part in name.split("/")[:-1]:
        folder = folder / part
        if folder.is_symlink():
            raise InvalidValueError(f"{name!r} would be written through a link: it is refused")
        folder.mkdir(exist_ok=True)
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
        with os.fdopen(os.open(top / name, flags, 0o777 if executable else 0o666), "wb") as sink:
            sink.write(data)
    except FileExistsError as exc:
        raise InvalidValueError(f"{name!r} is in the commit already: it is not written over") from exc


def _verify(record: Mapping[str, Any], to: Path, git: Git | None, diff: bytes) -> None:
    """Raise DigestError unless what lies in *to* is what was recorded."""
    for name, facts in _listed(record).items():
        path = to / check_path(name)
        if path.is_file():
            _check_digest(name, path.read_bytes(), facts)
    if git is None:
        return
    here = Git(to, _SECONDS)
    if here.text("rev-parse", "HEAD") != record["commit"]:
        raise DigestError(f"{to} is not at commit {record['commit']}")
    if isinstance(record.get("diff"), str):
        return
    # What is new is not in a diff before git is told of it; nor is it gone, where an untracked file has its name.
    gone = [section.name for section in patch.split(diff) if section.is_deletion]
    there = [section.name for section in patch.split(diff) if not section.is_deletion]
    if gone:
        here("rm", "--cached", "--quiet", "--", *gone, stdin=b"")
    if there:
        here("add", "--intent-to-add", "--force", "--", *there, stdin=b"")
    partly = {name for name, exact in (record.get("hidden") or {}).items() if not exact}
    sections = [patch.hide(s)[0] for s in patch.split(here("diff", *patch.DIFF_OPTIONS, "HEAD", limit=1 << 27))]
    now = b"".join((patch.anonymous(s) if s.name in partly else s).data for s in sections)
    if hashlib.sha256(now).digest() != hashlib.sha256(diff).digest():
        raise DigestError(f"the changes restored to {to} are not those that were recorded")


def _missing(record: Mapping[str, Any], bundle: bytes | None) -> list[str]:
    """Say what was never recorded, or cannot be restored, one sentence each."""
    found = list(record.get("notes") or ())
    if record.get("commit") and record.get("dirty") is None and not found:
        found.append("whether anything was changed since the commit was not recorded")
    if bundle is None and (_listed(record) or record.get("diff")):
        found.append("the changes and new files were not kept: only the commit is restored")
    if not record.get("commit") and not _listed(record) and not record.get("cells"):
        found.append("no code was recorded")
    for name, exact in (record.get("hidden") or {}).items():
        if not exact:
            found.append(f"{name}: a secret was hidden in what was changed, *** stands for it")
    found += [f"{name}: {why}" for name, why in (record.get("left_out") or {}).items()]
    more = int(record.get("left_out_count") or 0) - len(record.get("left_out") or {})
    if more > 0:
        found.append(f"{counted(more, 'more file')} {'was' if more == 1 else 'were'} left out")
    for path, commit in (record.get("submodules") or {}).items():
        at = f" (it was at {commit[:12]})" if commit else ""
        found.append(f"{path}: a submodule{at}: git submodule update --init")
    return found


def _remove(git: Git | None, to: Path) -> None:
    """Take away what was half restored."""
    shutil.rmtree(to, ignore_errors=True)
    if git is not None:
        try:
            git("worktree", "prune", stdin=b"")
        except GitError:
            pass  # the folder is gone: the entry goes with git's next own look
