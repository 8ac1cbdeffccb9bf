"""Runs and points a second, searches, and bytes a point, of our tracking store and of MLflow's.

Run ``python -m benchmarks.tracking [--quick]``. Both write through their own client straight into the database, no
server between. MLflow lives in ``.venv-peers`` (``make install-bench``). Our searches are timed at 100,000 runs in any
case; MLflow's at fewer, with what twice as many runs cost it.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import sqlalchemy as sa
from rich.console import Console

from benchmarks import database
from benchmarks.measure import Answer, MeasurementFailed, measure
from benchmarks.result import Figure, console, show, write

DATABASES = ("sqlite", "postgresql")
SYSTEMS = ("trackers", "mlflow")
MODULES = {"trackers": "benchmarks.ours_tracking", "mlflow": "benchmarks.peers.mlflow_tracking"}
PEERS = Path(__file__).parent.parent / ".venv-peers" / "bin" / "python"
PROCESSES = 20
TIMES = 5
"""How often what takes a fraction of a second is measured."""
LIMIT = 1800.0

MLFLOW_SEARCHES = {
    "common filter, order by another metric": ["metrics.accuracy > 0.5", "metrics.loss asc"],
    "rare filter, common order": ["metrics.accuracy > 0.99 and params.optimizer = 'lion'", "metrics.loss desc"],
    "order by a metric": ["", "metrics.accuracy desc"],
    "newest": ["", "attributes.start_time desc"],
}


class Tracking:
    """One run of the benchmark: *figures* fills as things are measured, *failed* says which could not be."""

    def __init__(self, page: Console, quick: bool) -> None:
        self.page = page
        self.quick = quick
        self.figures: list[Figure] = []
        self.failed: list[str] = []

    def ask(self, system: str, **question: Any) -> Answer | None:
        """Ask one system in a process of its own; None where that failed, which is noted."""
        told = f"{system} {question['measure']} {question['url'].partition(':')[0]}"
        self.page.print(f"  {told} ...", highlight=False)
        python = str(PEERS) if system == "mlflow" else sys.executable
        try:
            return measure(MODULES[system], question, timeout=LIMIT, python=python)
        except MeasurementFailed as failure:
            self.failed.append(f"{told}: {failure}")
            return None

    def add(self, system: str, name: str, value: float, unit: str, **conditions: object) -> None:
        self.figures.append(Figure(system, name, round(value, 3), unit, conditions))

    def runs(self, system: str, kind: str) -> None:
        """Measure runs a second, from start to finish, one after the other: the median of some processes."""
        with database.fresh(kind) as url:  # one for both forms: MLflow takes seconds to make its tables
            for form, theirs in (("plain", 20), ("batched", 60)):
                count = (200 if self.quick else 1000) if system == "trackers" else (theirs if self.quick else 100)
                answers = [self.ask(system, measure=form, url=url, count=count) for _ in range(TIMES)]
                rates = [count / answer["seconds"] for answer in answers if answer]
                if rates:
                    rate = statistics.median(rates)
                    self.add(system, "runs_per_second", rate, "1/s", form=form, database=kind, runs=count)

    def points(self, system: str, kind: str) -> None:
        """Measure points a second in batches of a thousand, and what a point takes in the database."""
        count = (100_000 if self.quick else 500_000) if system == "trackers" else (20_000 if self.quick else 100_000)
        with database.fresh(kind) as url:
            if self.ask(system, measure="points", url=url, count=0) is None:
                return
            before = _size(url)
            answer = self.ask(system, measure="points", url=url, count=count)
            if answer:
                rate = count / answer["seconds"]
                self.add(system, "points_per_second", rate, "1/s", form="batched", database=kind, points=count)
                grown = (_size(url) - before) / (count + 1000)
                self.add(system, "bytes_per_point", grown, "B", database=kind, points=count)

    def together(self, system: str, kind: str) -> None:
        """Measure 20 processes that write at once, and count those that failed."""
        if system == "mlflow" and self.quick:
            return  # to start 20 of it takes minutes
        count = 20 if system == "trackers" else 5
        with database.fresh(kind) as url:
            self.ask(system, measure="plain", url=url, count=1)
            python = str(PEERS) if system == "mlflow" else sys.executable
            start = time.perf_counter()
            question = json.dumps({"measure": "plain", "url": url, "count": count})
            processes = [
                subprocess.Popen(
                    [python, "-m", MODULES[system], question, "/dev/null"],
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                )
                for _ in range(PROCESSES)
            ]
            errors = sum(process.wait(LIMIT) != 0 for process in processes)
            seconds = time.perf_counter() - start
        form = f"{PROCESSES} processes, their start included"
        self.add(system, "runs_per_second", PROCESSES * (count + 1) / seconds, "1/s", form=form, database=kind)
        self.add(system, "failed_processes", errors, "", form=form, database=kind)

    def search(self, system: str, kind: str) -> None:
        """Measure searches: ours at 100,000 runs, MLflow's at some and at twice as many."""
        if system == "trackers":
            with database.fresh(kind) as url:
                answer = self.ask(system, measure="search", url=url, count=100_000)
            for query, times in (answer or {"milliseconds": {}})["milliseconds"].items():
                self.add(system, "search_ms", times["wall"], "ms", query=query, runs=100_000, database=kind)
                self.add(system, "search_cpu_ms", times["cpu"], "ms", query=query, runs=100_000, database=kind)
            return
        there = 0
        with database.fresh(kind) as url:
            for count in (1000, 2000) if self.quick else (2000, 4000, 8000):
                question = {"queries": MLFLOW_SEARCHES, "repeat": 2}
                answer = self.ask(system, measure="search", url=url, count=count - there, **question)
                there = count
                for query, milliseconds in (answer or {"milliseconds": {}})["milliseconds"].items():
                    self.add(system, "search_ms", milliseconds, "ms", query=query, runs=count, database=kind)

    def long(self, kind: str) -> None:
        """Measure millions of points in one experiment: written, searched, and a million read as a thousand."""
        count = 1_000_000 if self.quick else 10_000_000
        with database.fresh(kind) as url:
            answer = self.ask("trackers", measure="long", url=url, count=count)
        if answer:
            for part in ("first", "last"):
                form = f"long series, {part} tenth of {count:,}"
                self.add("trackers", "points_per_second", answer[part], "1/s", form=form, database=kind)
            self.add("trackers", "history_ms", answer["history"], "ms", points="1,000,000 as 1,000", database=kind)
            query = f"common filter, its own order, among {count:,} points"
            self.add("trackers", "search_ms", answer["search"], "ms", query=query, runs=11, database=kind)

    def ratios(self) -> None:
        """Say how many times MLflow each of our rates is, and what part of its bytes a point takes."""
        for ours in (figure for figure in self.figures if figure.system == "trackers"):
            theirs = [f for f in self.figures if f.system == "mlflow" and _same(f, ours)]
            if theirs and ours.measure in {"runs_per_second", "points_per_second", "bytes_per_point"}:
                told = ", ".join(str(ours.conditions[key]) for key in ("form", "database") if key in ours.conditions)
                self.page.print(f"{ours.measure} ({told}): {ours.value / theirs[0].value:.2f}x mlflow", highlight=False)
        for kind in DATABASES:
            for query in MLFLOW_SEARCHES:
                times = [f.value for f in self.figures if f.system == "mlflow" and _is_search(f, kind, query)]
                if len(times) > 1:
                    self.page.print(
                        f"mlflow, {kind}, {query}: {times[-1] / times[-2]:.1f}x for twice the runs", highlight=False
                    )


def _is_search(figure: Figure, kind: str, query: str) -> bool:
    conditions: Mapping[str, object] = figure.conditions
    return figure.measure == "search_ms" and conditions["database"] == kind and conditions["query"] == query


def _same(one: Figure, other: Figure) -> bool:
    keys = ("form", "database")
    return one.measure == other.measure and all(one.conditions.get(key) == other.conditions.get(key) for key in keys)


def _size(url: str) -> int:
    """Return the bytes of a database once what is dead in it is gone."""
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            if engine.dialect.name == "sqlite":
                connection.exec_driver_sql("VACUUM")
                connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
                return Path(str(engine.url.database)).stat().st_size
            connection.exec_driver_sql("VACUUM FULL")
            return int(connection.exec_driver_sql("SELECT pg_database_size(current_database())").scalar_one())
    finally:
        engine.dispose()


@click.command(help=__doc__)
@click.option("--quick", is_flag=True, help="Fewer repetitions: under five minutes.")
@click.option("--system", "systems", multiple=True, type=click.Choice(SYSTEMS), help="Measure only these.")
@click.option("--database", "databases", multiple=True, type=click.Choice(DATABASES), help="Only on these.")
@click.option("--part", "parts", multiple=True, type=click.Choice(("runs", "points", "together", "search", "long")))
def main(quick: bool, systems: tuple[str, ...], databases: tuple[str, ...], parts: tuple[str, ...]) -> None:
    page = console()
    run = Tracking(page, quick)
    kinds, measured = list(databases or DATABASES), list(systems or SYSTEMS)
    if "postgresql" in kinds and not database.reachable():
        page.print(f"No PostgreSQL at {database.server()}: left out (HPO_BENCH_POSTGRES names another server).")
        kinds.remove("postgresql")
    if "mlflow" in measured and not PEERS.exists():
        page.print("No MLflow: left out (make install-bench installs it into .venv-peers).")
        measured.remove("mlflow")
    for kind in kinds:
        for part in parts or ("runs", "points", "together", "search"):
            for system in measured:
                if part != "long":
                    getattr(run, part)(system, kind)
        if "trackers" in measured and (not parts or "long" in parts):
            run.long(kind)
    show("tracking", run.figures, page)
    run.ratios()
    suffix = "-part" if systems or databases or parts else ""
    page.print(f"written to {write(f'tracking{suffix}', run.figures)}", highlight=False)
    for failure in run.failed:
        page.print(f"not measured: {failure}", style="red", highlight=False, markup=False)
    raise SystemExit(1 if run.failed else 0)


if __name__ == "__main__":
    main()
