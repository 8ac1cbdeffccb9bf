"""Real git repositories for tests, whatever the settings of the person who runs them."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path


def git(folder: Path, *arguments: str) -> str:
    """Run git in *folder* and return what it prints."""
    names = ("AUTHOR_NAME", "AUTHOR_EMAIL", "COMMITTER_NAME", "COMMITTER_EMAIL")
    environment = {
        **os.environ,
        **{f"GIT_{name}": "ann@example.org" for name in names},
        "GIT_CONFIG_GLOBAL": os.devnull,
    }
    command = ["git", "-c", "protocol.file.allow=always", *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def make_repository(folder: Path) -> Path:
    """Make a repository with one commit: ``study.py``, ``sub/a.txt`` and a remote with a password."""
    folder.mkdir(exist_ok=True)
    git(folder, "init", "-b", "main")
    git(folder, "remote", "add", "origin", "https://ann:hunter2@example.org/team/repo.git?token=abc")
    (folder / "study.py").write_text("x = 1\n")
    (folder / "sub").mkdir()
    (folder / "sub" / "a.txt").write_text("a\n")
    git(folder, "add", ".")
    git(folder, "commit", "-m", "first")
    return folder
