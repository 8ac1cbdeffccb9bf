"""Run one measurement in a process of its own, so that no system inherits another's threads, caches or Ray."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

Answer = dict[str, Any]


class MeasurementFailed(RuntimeError):
    """The measured process ended with an error; the message has the end of what it said."""


def measure(module: str, question: Mapping[str, Any], *, timeout: float, python: str = sys.executable) -> Answer:
    """Ask *module* (run as ``python -m``) the *question* and return its answer; *timeout* in seconds.

    *python* is the interpreter, where the module needs an environment of its own.

    Raises:
        MeasurementFailed: the process failed or took longer than *timeout*.
    """
    with tempfile.TemporaryDirectory(prefix="hpo-bench-") as folder:
        answer, log = Path(folder) / "answer.json", Path(folder) / "log"
        command = [python, "-m", module, json.dumps(dict(question)), str(answer)]
        with log.open("wb") as out:
            try:
                code = subprocess.run(command, stdout=out, stderr=subprocess.STDOUT, timeout=timeout).returncode
            except subprocess.TimeoutExpired:
                code = -1
        if code != 0 or not answer.exists():
            why = "took longer than it may" if code == -1 else f"ended with {code}"
            raise MeasurementFailed(f"{module} {why}: {_end(log)}")
        return dict(json.loads(answer.read_text(encoding="utf-8")))


def answer(ask: Callable[..., Answer]) -> None:
    """Be the measured process: call *ask* with the question of the command line and write what it returns."""
    question, path = sys.argv[1:3]
    Path(path).write_text(json.dumps(ask(**json.loads(question))), encoding="utf-8")


def _end(log: Path) -> str:
    return log.read_text(encoding="utf-8", errors="replace")[-2000:].strip()
