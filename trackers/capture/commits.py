"""Commits that no remote has: a bundle of git's keeps them, so that the code outlives the machine that it ran on."""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trackers.capture.git import Git, GitError
from trackers.capture.secret import is_secret_name, is_settings_name, looks_secret
from trackers.errors import DigestError, InvalidValueError, NotFoundError
from trackers.wording import counted

MOST = 500
MAX_BYTES = 8 << 20
_UNPUSHED = ("HEAD", "--not", "--remotes")


@dataclass(frozen=True, slots=True)
class Commits:
    """*count* commits (`MOST` and one: more) that no remote has; *bundle* is git's, empty with *why* it was not kept."""

    count: int
    bundle: bytes = b""
    why: str = ""


def read_commits(git: Git) -> Commits | None:
    """Return the commits that lead to HEAD and are on no branch of a remote, as far as is known here; None for none."""
    count = 0
    try:
        count = int(git.text("rev-list", "--count", f"--max-count={MOST + 1}", *_UNPUSHED))
        if count == 0:
            return None
        if count > MOST:
            return Commits(count, why=f"they are more than {MOST}")
        if git.text("rev-parse", "--is-shallow-repository") == "true":
            return Commits(count, why="the repository is a shallow clone")
        if why := _refused(git):
            return Commits(count, why=why)
        bundle = _bundled(git)
    except (GitError, ValueError, OSError) as exc:
        return Commits(count, why=str(exc))
    return Commits(count, bundle) if bundle else Commits(count, why=_large())


def _bundled(git: Git) -> bytes:
    """Return git's bundle of the commits, empty where it is too large.

    It is made in a file: for git "-" is standard output only in the topmost folder of a repository.
    """
    with tempfile.TemporaryDirectory(prefix="trackers-commits-") as folder:
        path = Path(folder, "commits.bundle")
        git("-c", "pack.threads=1", "bundle", "create", "--quiet", str(path), *_UNPUSHED)
        return path.read_bytes() if path.stat().st_size < MAX_BYTES else b""


def _refused(git: Git) -> str:
    """Say why the content of the commits is not kept."""
    # What a merge changed is told beside each of its parents: a combined diff is written in another way.
    settings = ("-c", "log.showRoot=true", "-c", "log.diffMerges=separate")
    log = (*settings, "log", "-m", "--no-show-signature")
    names = git(*log, "--name-only", "--no-renames", "-z", "--format=", *_UNPUSHED)
    secret = next((name for name in names.decode("utf-8", "replace").split("\0") if is_secret_name(name.strip())), None)
    if secret is not None:
        return f"the name of {secret.strip()!r} in them says that it holds secrets"
    plain = (
        "--no-color",
        "--no-ext-diff",
        "--no-textconv",
        "--text",
        "--format=%w(0,1,1)%B",
    )  # else a list in a message would look like lines that were removed
    text = git(*log, "-p", *plain, *_UNPUSHED, limit=MAX_BYTES)
    if len(text) == MAX_BYTES:
        return _large()
    for section in _SECTION.split(text.decode("latin-1")):
        if _holds_secret(section):
            return "there is something in them that looks like a secret"
        if time.monotonic() > git.deadline:
            return "to look through them for secrets takes too long"
    return ""


_SECTION = re.compile(r"^diff --git ", re.MULTILINE)


def _holds_secret(section: str) -> bool:
    """Tell whether what is added to one file, or a message, looks like a secret."""
    lines = section.split("\n")
    # Below the head, what was added may begin with "++ " itself.
    start = next((number for number, line in enumerate(lines) if line.startswith("@@ ")), len(lines))
    head = [line for line in lines[:start] if not line.startswith("index ")]
    name = next((line.removeprefix("+++ ").rstrip("\r\t").strip('"') for line in head if line.startswith("+++ ")), "")
    added = [line for line in head if not line.startswith("+++ ")] + lines[start:]
    added = [line for line in added if not line.startswith("-")]
    return looks_secret("\n".join(added), settings=is_settings_name(name))


def _large() -> str:
    return f"they are larger than {MAX_BYTES >> 20} MiB"


def told(record: Mapping[str, Any]) -> str:
    """Say of the *record* of a state of code what became of commits that no remote had; empty where there were none."""
    commits = record.get("commits")
    if not isinstance(commits, Mapping):
        return ""
    count = int(commits.get("count") or 0)
    number = f"more than {MOST} commits" if count > MOST else counted(count, "commit")
    why = commits.get("why")
    return f"{number} that no remote had{f', not kept: {why}' if why else ', kept'}"


def is_whole(bundle: bytes) -> bool:
    """Tell whether a bundle of git's needs no commit that it does not hold."""
    head, _, _ = bundle.partition(b"\n\n")
    first, *lines = head.split(b"\n")
    return first.startswith(b"# v") and first.endswith(b" git bundle") and not any(line[:1] == b"-" for line in lines)


def fetch(git: Git, bundle: bytes, facts: Mapping[str, Any], commit: str) -> None:
    """Bring *commit* from a *bundle* into a repository; none of its branches and tags is touched.

    Raises NotFoundError where the repository lacks what the bundle is based on, DigestError and InvalidValueError for
    a bundle that is not what was recorded.
    """
    import hashlib

    if hashlib.sha256(bundle).hexdigest() != facts.get("digest"):
        raise DigestError("the stored commits are not what was recorded: nothing was restored")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "commits.bundle")
        path.write_bytes(bundle)
        checked = ("-c", "fetch.fsckObjects=true", "-c", "maintenance.auto=false")
        quiet = ("--quiet", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules")
        try:
            git(*checked, "fetch", *quiet, str(path), "HEAD", stdin=b"")
        except GitError as exc:
            said = str(exc)
            if "prerequisite" in said:
                raise NotFoundError(
                    f"the repository at {git.folder} lacks what commit {commit[:12]} is based on: fetch it, or name "
                    "another repository with --repo"
                ) from exc
            raise InvalidValueError(f"the stored commits cannot be read: {said.splitlines()[0]}") from exc
