"""A Markdown page: its links and its blocks of code, and a folder in which the blocks run as a reader runs them.

A block whose fence says ``no-run`` is only compiled (Python) or left alone (shell). A Python block that begins with
``# file: NAME`` is a file that the reader saves; others are run. All blocks of a page share one folder, in order.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FENCE = re.compile(r"^```(?P<info>[^\n]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\((?P<target>[^)\s]+)\)")
HEADING = re.compile(r"^#{1,6} +(?P<title>.+)$", re.MULTILINE)
SAVED = re.compile(r"# file: (?P<name>\S+)\n")


@dataclass(frozen=True)
class Block:
    """One fenced block. *line* is where its fence stands."""

    page: str
    line: int
    language: str
    runs: bool
    text: str

    @property
    def saved_as(self) -> str | None:
        """The name of the file that the block is, None where it is to be run."""
        match = SAVED.match(self.text) if self.language == "python" else None
        return match["name"] if match else None

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def pages() -> list[Path]:
    """List every page of the project's documentation."""
    folders = ("docs", "studies", "benchmarks")
    return [*sorted(ROOT.glob("*.md")), *(p for f in folders for p in sorted((ROOT / f).rglob("*.md")))]


def blocks(page: Path) -> list[Block]:
    """List the blocks of *page*, in order."""
    text = page.read_text(encoding="utf-8")
    found = []
    for match in FENCE.finditer(text):
        language, *words = match["info"].split() or [""]
        line = text.count("\n", 0, match.start()) + 1
        name = page.relative_to(ROOT).as_posix()
        found.append(Block(name, line, language, "no-run" not in words, match["text"]))
    return found


def links(page: Path) -> list[str]:
    """List the targets of the links of *page*, those in blocks left out."""
    return [match["target"] for match in LINK.finditer(FENCE.sub("", page.read_text(encoding="utf-8")))]


def anchors(page: Path) -> set[str]:
    """List the anchors of the headings of *page*, as they are made from their titles."""
    titles = (match["title"] for match in HEADING.finditer(FENCE.sub("", page.read_text(encoding="utf-8"))))
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def environment(*, commands: Path | None = None, **extra: str) -> dict[str, str]:
    """Return a reader's environment: our commands on the path, no settings of ours, and what is *extra*.

    *commands* is a folder with others of these names (``tests.copies``).
    """
    kept = {key: value for key, value in os.environ.items() if not key.startswith("HPO_")}
    folders = [commands, Path(sys.executable).parent] if commands else [Path(sys.executable).parent]
    path = os.pathsep.join([*map(str, folders), kept.get("PATH", "")])
    return {**kept, "PATH": path, "OMP_NUM_THREADS": "1", "PYTHONPATH": "", **extra}


def follow(page: Path, folder: Path, env: Mapping[str, str]) -> str:
    """Do what *page* says in *folder* and return what was printed; the first block that fails is named."""
    printed = []
    for block in blocks(page):
        if block.saved_as is not None:
            (folder / block.saved_as).write_text(block.text, encoding="utf-8")
        elif block.runs and block.language == "python":
            printed.append(_run(block, [_found("python", env), "-c", block.text], folder, env))
        elif block.runs and block.language == "sh" and not _is_make(block):
            printed.append(_run(block, ["bash", "-euo", "pipefail", "-c", block.text], folder, env))
    return "".join(printed)


def _found(name: str, env: Mapping[str, str]) -> str:
    found = shutil.which(name, path=env["PATH"])
    assert found is not None
    return found


def _is_make(block: Block) -> bool:
    return all(line.startswith("make ") for line in block.text.splitlines() if line.strip())


def _run(block: Block, command: list[str], folder: Path, env: Mapping[str, str]) -> str:
    done = subprocess.run(command, cwd=folder, env=dict(env), capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, f"{block} ended with {done.returncode}:\n{block.text}\n{done.stdout}\n{done.stderr}"
    return done.stdout
