"""What differs between two states of code: the commits between them, and the lines of each file."""

from __future__ import annotations

import difflib
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from trackers.capture import patch
from trackers.capture.git import Git, GitError
from trackers.capture.state import CELLS, DIFF, FILES, read_bundle
from trackers.errors import InvalidValueError
from trackers.wording import counted

_SECONDS = 20.0
_MOST_COMMITS = 50
_MOST_LINES = 20_000
_LARGEST = 1 << 20
_MOST_LEFT_OUT = 20


@dataclass(frozen=True)
class CodeDifference:
    """What differs: *commits* from the first state to the second, one line each (*back* of them lead the other way).

    *files* maps names to the lines of a unified diff; *notes* say what could not be compared.
    """

    commits: tuple[str, ...] = ()
    back: int = 0
    files: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


class _State:
    """One of the two: its files are read when they are asked for."""

    def __init__(self, record: Mapping[str, Any], bundle: bytes | None, git: Git | None) -> None:
        self.record, self.git = record, git
        parts = {} if bundle is None else read_bundle(bundle)
        old = record.get("diff")
        diff = old.encode() if isinstance(old, str) else parts.get(DIFF, b"")
        try:
            self.sections = {section.name: section for section in patch.split(diff)}
        except ValueError:
            self.sections = {}
        self.files = {name.removeprefix(FILES): data for name, data in parts.items() if name.startswith(FILES)}
        if CELLS in parts:
            self.files[f"{CELLS} (notebook)"] = parts[CELLS]
        source = (record.get("objective") or {}).get("source")
        if isinstance(source, str):
            self.files[f"{record['objective'].get('name')} (objective)"] = source.encode("utf-8", "replace")

    @property
    def commit(self) -> str | None:
        return self.record.get("commit")

    @property
    def names(self) -> set[str]:
        return {*self.sections, *self.files}

    def read(self, name: str) -> bytes | None:
        """Return a file as it was, or its changes alone where the repository is not there."""
        if name in self.files:
            return self.files[name]
        section = self.sections.get(name)
        if self.git is None or self.commit is None:
            return None if section is None else section.body
        try:
            old: bytes | None = self.git("cat-file", "blob", f"{self.commit}:{name}", limit=_LARGEST + 1)
        except GitError:
            old = None
        if section is None:
            return old
        try:
            return patch.patched(patch.fill(section, lambda _: old or b""), old)
        except ValueError:
            return section.data


def compare(
    first: tuple[Mapping[str, Any], bytes | None], second: tuple[Mapping[str, Any], bytes | None], repo: Path | None
) -> CodeDifference:
    """Compare two recorded states; *repo* lies in a repository with their commits, where there is one."""
    notes: list[str] = []
    try:
        git = _repository(repo, [record.get("commit") for record, _ in (first, second)])
    except GitError as exc:
        git = None
        notes.append(f"{exc}: what was changed since the commits is shown, not what lies between them")
    try:
        a, b = (_State(record, bundle, git) for record, bundle in (first, second))
    except InvalidValueError as exc:
        return CodeDifference(notes=(str(exc),))
    commits, back = _commits(git, a.commit, b.commit)
    names = a.names | b.names
    if git is not None and a.commit and b.commit and a.commit != b.commit:
        names |= _between(git, a.commit, b.commit)
    files = _submodules(a.record, b.record)
    room = _MOST_LINES
    for name in sorted(names):
        if room <= 0 or (git is not None and time.monotonic() > git.deadline):
            notes.append(f"{name} and what follows is not shown: there is too much")
            break
        lines = _lines(name, a.read(name), b.read(name))
        if lines:
            files[name] = lines
            room -= len(lines)
    return CodeDifference(tuple(commits), back, files, (*notes, *_left_out(a.record, b.record)))


def _repository(repo: Path | None, commits: list[str | None]) -> Git | None:
    """Return git where the repository has every commit that is named; None where none is."""
    wanted = [commit for commit in commits if commit]
    if not wanted:
        return None
    if repo is None:
        raise GitError("no repository was named")
    git = Git(repo, _SECONDS)
    for commit in wanted:
        try:
            if not commit.isalnum():
                raise GitError("the commit is none")
            git("cat-file", "-e", commit + "^{commit}")
        except GitError as exc:
            raise GitError(f"{repo} has no commit {commit[:12]} (--repo names another repository)") from exc
    return git


def _commits(git: Git | None, a: str | None, b: str | None) -> tuple[list[str], int]:
    if git is None or not a or not b or a == b:
        return [], 0
    try:
        listed = git.text("log", "--no-show-signature", f"--max-count={_MOST_COMMITS}", "--format=%h %s", f"{a}..{b}")
        back = int(git.text("rev-list", "--count", f"{b}..{a}"))
    except (GitError, ValueError):
        return [], 0
    return listed.splitlines(), back


def _submodules(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """Return a line for each submodule whose commit is another."""
    a, b = (one.get("submodules") or {} for one in (first, second))
    return {
        path: (f"(submodule, {str(a.get(path) or 'none')[:12]} -> {str(b.get(path) or 'none')[:12]})",)
        for path in sorted({*a, *b})
        if a.get(path) != b.get(path)
    }


def _left_out(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[str]:
    """Say which files are not compared since their content was kept of neither, or of one state only."""
    if first.get("unkept") == second.get("unkept") and first.get("left_out") == second.get("left_out"):
        return []
    a, b = (one.get("left_out") or {} for one in (first, second))
    names = sorted({*a, *b})
    found = [f"{name} is left out {_WHERE[name in a, name in b]}: {b.get(name) or a[name]}" for name in names]
    more = len(found) - _MOST_LEFT_OUT
    return [*found[:_MOST_LEFT_OUT], *([f"and {counted(more, 'more file')}"] if more > 0 else [])]


_WHERE = {(True, True): "of both", (True, False): "of the first one", (False, True): "of the second one"}


def _between(git: Git, a: str, b: str) -> set[str]:
    try:
        listed = git("diff", "--no-renames", "--ignore-submodules=all", "--name-only", "-z", a, b)
    except GitError:
        return set()
    return {name for name in listed.decode("utf-8", "surrogateescape").split("\0") if name}


def _lines(name: str, first: bytes | None, second: bytes | None) -> tuple[str, ...]:
    """Return the lines of a unified diff of one file, without their ends; empty where it is the same."""
    if first == second:
        return ()
    sides = [side for side in (first, second) if side is not None]
    if any(b"\0" in side[:8192] or len(side) > _LARGEST or b"\nGIT binary patch\n" in side[:4096] for side in sides):
        what = "added" if first is None else "removed" if second is None else "changed"
        return (f"(binary or large, {what})",)
    a, b = ((side or b"").decode("utf-8", "replace").splitlines() for side in (first, second))
    old = "/dev/null" if first is None else f"a/{name}"
    new = "/dev/null" if second is None else f"b/{name}"
    return tuple(difflib.unified_diff(a, b, old, new, lineterm="", n=3))
