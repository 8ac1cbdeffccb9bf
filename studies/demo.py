"""The demo behind ``make demo``: from an empty folder to a model in production, by the command line.

Every step prints the command that it runs, so that the output can be read as a first lesson.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DEMO = ROOT / "demo"
STORAGE = "sqlite:///demo/hpo.db"
MODEL = "models:/digits@production"


class StepFailed(SystemExit):
    """A step of the demo ended with an error; what it said is on the terminal."""


def main() -> None:
    started = time.monotonic()
    shutil.rmtree(DEMO, ignore_errors=True)
    DEMO.mkdir()
    step("Search: 64 trials over two Ray workers; hopeless ones are stopped early.")
    hpo("run", "studies/digits/study.py", "--workers", "2", "--trials", "64")
    step("Rank: what the trials found.")
    hpo("rank", "digits", "--limit", "8")
    step("Register the best trial's model, and promote it.")
    hpo("register", "digits", "digits")
    hpo("promote", "digits", "1", "--to", "production")
    step("Predict in a new process, which knows the model's name and nothing of the study.")
    hold_out()
    run([sys.executable, "studies/digits/predict.py", STORAGE, MODEL, "demo/held_out.npz"], shown="python")
    step("Report: everything about the sweep in one file.")
    hpo("report", "digits", "--output", "demo/report.html")
    print(f"\nDone in {time.monotonic() - started:.0f} s. Open demo/report.html in a browser.")


def step(what: str) -> None:
    print(f"\n== {what}", flush=True)


def hpo(*arguments: str) -> None:
    """Run one command of ``hpo`` on the demo's store."""
    program = Path(sys.executable).parent / "hpo"
    run([str(program), *arguments, "--storage", STORAGE], shown="hpo")


def run(command: list[str], shown: str) -> None:
    """Print *command* as a person would type it, run it in the project's folder, and end the demo if it fails."""
    print(f"\n$ {shlex.join([shown, *command[1:]])}", flush=True)
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("HPO_")}
    code = subprocess.run(command, cwd=ROOT, env=inherited).returncode
    if code != 0:
        raise StepFailed(code)


def hold_out() -> None:
    """Write the images that no trial has seen to a file."""
    import numpy as np

    from studies.digits.study import parts

    held_out = parts().held_out
    np.savez(DEMO / "held_out.npz", images=held_out.images, digits=held_out.digits)


if __name__ == "__main__":
    main()
