"""Which commit the code was at, and what had been changed since."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from trackers.capture.secret import SECRET_FILES, clean_url, redact, redact_arguments

MAX_DIFF_BYTES = 1 << 20
MAX_UNTRACKED = 200
_SECONDS = 10.0
_NOTHING: dict[str, Any] = {
    "commit": None,
    "branch": None,
    "author": None,
    "remote": None,
    "dirty": None,
    "diff": "",
    "diff_truncated": False,
    "untracked": [],
}


def code(path: str | os.PathLike[str] | None = None) -> dict[str, Any]:
    """Say which code runs: the state of the git repository around *path* (default: the current folder).

    *commit*, *branch* (None when detached), *author*, *remote* (without credentials), *dirty* (tracked files were
    changed, or *path* itself is not committed), *diff* against HEAD (secrets hidden, at most 1 MiB), *untracked*
    names (at most 200; a whole new folder is one), *entry_point* and *arguments* of the process. Outside a repository, or without git, the
    first ones are None. Never raises.
    """
    place = Path(path) if path is not None else Path.cwd()
    facts = {**_NOTHING, "entry_point": os.path.basename(sys.argv[0]) if sys.argv else ""}
    facts["arguments"] = redact_arguments(sys.argv[1:])
    folder = place if place.is_dir() else place.parent
    head = _git(folder, "log", "-1", "--no-show-signature", "--format=%H%x00%an <%ae>%x00%cI%x00%D")
    if not head:
        return facts
    commit, author, committed, _ = head.split("\0", 3)
    changed, untracked = _status(folder)
    own_file = place.resolve() if place.is_file() else None
    is_new = own_file is not None and any(own_file.is_relative_to(_top(folder) / name) for name in untracked)
    diff, truncated = _diff(folder) if changed else ("", False)
    return facts | {
        "commit": commit,
        "committed": committed,
        "branch": _git(folder, "symbolic-ref", "--short", "-q", "HEAD") or None,
        "author": author,
        "remote": _remote(folder),
        "dirty": changed or is_new,
        "diff": diff,
        "diff_truncated": truncated,
        "untracked": untracked[:MAX_UNTRACKED],
    }


def _top(folder: Path) -> Path:
    return Path(_git(folder, "rev-parse", "--show-toplevel") or folder).resolve()


def _remote(folder: Path) -> str | None:
    listed = _git(folder, "config", "--get-regexp", r"^remote\..*\.url$") or ""
    urls = dict(line.split(" ", 1) for line in listed.splitlines() if " " in line)
    url = urls.get("remote.origin.url") or next(iter(urls.values()), None)
    return clean_url(url) if url else None


def _status(folder: Path) -> tuple[bool, list[str]]:
    """Tell whether tracked files were changed, and name the untracked ones, relative to the repository."""
    listed = (
        _git(folder, "status", "--porcelain=v1", "-z", "--untracked-files=normal", "--ignore-submodules=dirty") or ""
    )
    changed, untracked = False, []
    entries = iter(listed.split("\0"))
    for entry in entries:
        if entry.startswith("?? "):
            untracked.append(entry[3:])
        elif entry:
            changed = True
            if entry[0] in "RC":
                next(entries, None)  # the name it had before
    return changed, untracked


def _diff(folder: Path) -> tuple[str, bool]:
    hidden = [f":(exclude,top,glob)**/{pattern}" for pattern in SECRET_FILES]
    options = ("--no-ext-diff", "--no-textconv", "--no-color", "--ignore-submodules=dirty")
    text = _git(folder, "diff", *options, "HEAD", "--", ":/", *hidden, limit=MAX_DIFF_BYTES + 1) or ""
    return redact(text[:MAX_DIFF_BYTES]), len(text) > MAX_DIFF_BYTES


def _git(folder: Path, *arguments: str, limit: int = 1 << 22) -> str | None:
    """Run git and return what it prints, at most *limit* bytes; None when it fails or there is none.

    It asks nothing, takes no lock, runs no hook, no pager and no program that a repository's settings name.
    """
    environment = {
        **os.environ,
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_PAGER": "cat",
        "LC_ALL": "C",
    }
    command = ["git", "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", "-C", str(folder), *arguments]
    try:
        with subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        ) as process:
            assert process.stdout is not None
            return _read(process, limit)
    except (OSError, ValueError):
        return None


def _read(process: subprocess.Popen[bytes], limit: int) -> str | None:
    watchdog = threading.Timer(_SECONDS, process.kill)
    watchdog.daemon = True
    watchdog.start()
    try:
        assert process.stdout is not None
        data = process.stdout.read(limit)
        more = len(data) == limit
        if more:
            process.kill()
        failed = process.wait() != 0 and not more
    finally:
        watchdog.cancel()
    return None if failed else data.decode("utf-8", "replace").rstrip("\n")
