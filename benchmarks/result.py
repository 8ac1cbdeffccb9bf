"""What a benchmark found: figures, the machine they were taken on, the table and the JSON file."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

RESULTS = Path(__file__).parent / "results"
PACKAGES = ("hpo", "numpy", "optuna", "psycopg", "ray", "scikit-learn", "sqlalchemy")


@dataclass(frozen=True)
class Figure:
    """One measured number. *system* is ``hpo``, ``trackers`` or the peer's package name."""

    system: str
    measure: str
    value: float
    unit: str
    conditions: Mapping[str, object] = field(default_factory=dict)


def machine() -> dict[str, object]:
    """Describe this machine: processor, cores, memory in GB, Python and the versions of what was measured."""
    return {
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "python": platform.python_version(),
        "versions": _versions(),
    }


def commit() -> str:
    """Return the commit of the working tree, with ``+changes`` where files differ from it; "" outside of git."""
    here = Path(__file__).parent
    try:
        head = _git("rev-parse", "--short=12", "HEAD", cwd=here)
        changed = _git("status", "--porcelain", "--untracked-files=no", "--", "..", ":!results", cwd=here)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return f"{head}+changes" if changed else head


def write(name: str, figures: Sequence[Figure]) -> Path:
    """Write *figures* to ``results/NAME.json`` and return its path."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    record = {
        "name": name,
        "commit": commit(),
        "machine": machine(),
        "figures": [asdict(figure) for figure in figures],
    }
    path.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    return path


def console() -> Console:
    """Return the terminal, or a page wide enough for every column where there is none."""
    found = Console()
    return found if found.is_terminal else Console(width=140)


def show(name: str, figures: Sequence[Figure], page: Console) -> None:
    """Print *figures* as a table: a column for each condition that differs, the others in the title."""
    keys = list(dict.fromkeys(key for figure in figures for key in figure.conditions))
    seen = {key: {str(figure.conditions.get(key, "")) for figure in figures} for key in keys}
    fixed = [f"{key} {seen[key].copy().pop()}" for key in keys if len(seen[key]) == 1]
    shown = [key for key in keys if len(seen[key]) > 1]
    table = Table(title=", ".join([name, *fixed]), title_justify="left", box=SIMPLE)
    for column in ("system", *shown, "measure"):
        table.add_column(column)
    table.add_column("value", justify="right", no_wrap=True)
    table.add_column("unit")
    for figure in figures:
        cells = [str(figure.conditions.get(key, "")) for key in shown]
        table.add_row(figure.system, *cells, figure.measure, f"{figure.value:.3g}", figure.unit)
    page.print(table)


def _git(*arguments: str, cwd: Path) -> str:
    done = subprocess.run(["git", *arguments], cwd=cwd, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _versions() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found
