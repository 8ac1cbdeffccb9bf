"""Write the README's table of figures from what the benchmarks found: ``python docs/measured.py``.

``tests/docs/test_measured.py`` compares the two.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "README.md"
BEGIN, END = "<!-- measured -->\n", "<!-- /measured -->\n"

Conditions = Mapping[str, object]
NAMES = {"optuna": "Optuna", "ray": "Ray Tune", "mlflow": "MLflow"}


@dataclass(frozen=True)
class Row:
    """One line: a *measure* of the benchmark *name*; *ours* and *theirs* say under which conditions it was taken."""

    label: str
    name: str
    measure: str
    ours: Conditions
    theirs: Conditions
    form: str = ",.0f"
    lower: bool = False


ROWS = (
    Row(
        "trials a second, random, five reports each answered by a pruning decision; on PostgreSQL",
        "throughput",
        "trials_per_second",
        {"database": "postgresql", "sampler": "random"},
        {"sampler": "random"},
    ),
    Row(
        "the same with TPE",
        "throughput",
        "trials_per_second",
        {"database": "postgresql", "sampler": "tpe"},
        {"sampler": "tpe"},
    ),
    Row(
        "share of 32 slots' time that is spent in two-second trials",
        "utilisation",
        "utilisation",
        {"start": "warm"},
        {"start": "warm"},
        form=".2f",
    ),
    Row(
        "milliseconds for a suggestion of TPE after 1,000 trials",
        "suggest",
        "suggest_ms",
        {"sampler": "tpe", "objectives": 1, "history": 1000, "statistic": "median"},
        {"sampler": "tpe", "objectives": 1, "history": 1000, "statistic": "median"},
        form=".1f",
        lower=True,
    ),
    Row(
        "tracked runs a second, each logged by ten calls; on PostgreSQL",
        "tracking",
        "runs_per_second",
        {"form": "plain", "database": "postgresql"},
        {"form": "plain", "database": "postgresql"},
    ),
    Row(
        "the same, each logged as one batch",
        "tracking",
        "runs_per_second",
        {"form": "batched", "database": "postgresql"},
        {"form": "batched", "database": "postgresql"},
    ),
    Row(
        "points of metrics a second, by the thousand; on PostgreSQL",
        "tracking",
        "points_per_second",
        {"form": "batched", "database": "postgresql"},
        {"form": "batched", "database": "postgresql"},
    ),
    Row(
        "bytes on disk for a point; on PostgreSQL",
        "tracking",
        "bytes_per_point",
        {"database": "postgresql"},
        {"database": "postgresql"},
        lower=True,
    ),
)


def table() -> str:
    """Return the table: each measure of ours beside the best of each peer."""
    lines = ["| | here | peers |", "|---|---|---|"]
    for row in ROWS:
        figures = json.loads((ROOT / "benchmarks" / "results" / f"{row.name}.json").read_text(encoding="utf-8"))[
            "figures"
        ]
        taken = [figure for figure in figures if figure["measure"] == row.measure]
        own = [f for f in taken if f["system"] in ("hpo", "trackers") and _fits(f, row.ours)]
        theirs = [f for f in taken if f["system"] in NAMES and _fits(f, row.theirs)]
        (here,) = own
        pick = min if row.lower else max
        best = {
            NAMES[system]: pick(f["value"] for f in theirs if f["system"] == system)
            for system in sorted({f["system"] for f in theirs})
        }
        shown = ", ".join(f"{name} {value:{row.form}}" for name, value in best.items())
        lines.append(f"| {row.label} | {here['value']:{row.form}} | {shown} |")
    return "\n".join(lines) + "\n"


def _fits(figure: Mapping[str, Any], conditions: Conditions) -> bool:
    return all(figure["conditions"].get(key) == value for key, value in conditions.items())


def page() -> str:
    """Return the README with the table as it is now."""
    text = PAGE.read_text(encoding="utf-8")
    head, rest = text.split(BEGIN)
    _, tail = rest.split(END)
    return f"{head}{BEGIN}{table()}{END}{tail}"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
