"""Git, asked: it reads, waits for nobody, and is stopped when the time is over."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Collection, Sequence
from pathlib import Path

QUIET = {"GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "GIT_PAGER": "cat", "LC_ALL": "C"}
_OVERRIDING = (
    *("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_EXTERNAL_DIFF", "GIT_DIFF_OPTS"),
    *(f"GIT_{how}_PATHSPECS" for how in ("LITERAL", "ICASE", "GLOB", "NOGLOB")),
)
"""Set while a hook of git runs, or by an editor: they would name another repository than the one around the folder, or
say otherwise how paths are meant."""


class GitError(Exception):
    """Git is not there, failed, or took too long; the message says which."""


class Git:
    """Git in *folder*, with *seconds* for all calls together.

    It asks nothing, takes no lock, and runs no hook, pager, external diff or monitor that a repository's settings
    name; only the filters that they name for the content of files. *index* stands for that of the repository.
    """

    def __init__(self, folder: Path, seconds: float, index: Path | None = None) -> None:
        self.folder = folder
        self._index = index
        self.deadline = time.monotonic() + seconds

    def __call__(
        self, *arguments: str, limit: int = 1 << 22, stdin: bytes | None = None, fine: Collection[int] = (0,)
    ) -> bytes:
        """Return what git prints, at most *limit* bytes; raises GitError.

        With *stdin* all of it is returned, and *fine* are the codes with which git ends well.
        """
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise GitError("git took too long")
        settings = ("core.fsmonitor=false", f"core.hooksPath={os.devnull}", "core.quotePath=true", "gc.auto=0")
        options = [word for setting in settings for word in ("-c", setting)]
        environment = {name: value for name, value in os.environ.items() if name not in _OVERRIDING} | QUIET
        if self._index is not None:
            environment["GIT_INDEX_FILE"] = str(self._index)
        try:
            process = subprocess.Popen(
                ["git", *options, "-C", str(self.folder), *arguments],
                env=environment,
                stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
            )
        except (OSError, ValueError) as exc:
            raise GitError("git is not installed" if isinstance(exc, FileNotFoundError) else f"git: {exc}") from exc
        with process:
            if stdin is not None:
                return _talk(process, stdin, left, arguments, fine)
            return _read(process, limit, left, arguments)

    def text(self, *arguments: str) -> str:
        """Return what git prints as text, without the last line's end; raises GitError."""
        return self(*arguments).decode("utf-8", "replace").rstrip("\n")


def _read(process: subprocess.Popen[bytes], limit: int, seconds: float, arguments: Sequence[str]) -> bytes:
    late = threading.Event()

    def stop() -> None:
        late.set()
        process.kill()

    watchdog = threading.Timer(seconds, stop)
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
        watchdog.join()
    if late.is_set():
        raise GitError(f"git {arguments[0]} took too long")
    if failed:
        raise GitError(f"git {arguments[0]} failed")
    return data


def _talk(
    process: subprocess.Popen[bytes], stdin: bytes, seconds: float, arguments: Sequence[str], fine: Collection[int]
) -> bytes:
    try:
        out, err = process.communicate(stdin, timeout=seconds)
    except subprocess.TimeoutExpired as exc:
        process.kill()
        process.communicate()
        raise GitError(f"git {arguments[0]} took too long") from exc
    if process.returncode not in fine:
        raise GitError(err.decode("utf-8", "replace").strip()[:500] or f"git {arguments[0]} failed")
    return out
