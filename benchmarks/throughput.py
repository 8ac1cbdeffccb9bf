"""Trials per second of an empty objective with five reports, each answered by a pruning decision, on 4 workers.

Run ``python -m benchmarks.throughput [--quick]``. Every system prunes by successive halving from the first report
on (ASHA here and in Ray Tune, ``SuccessiveHalvingPruner`` in Optuna) and keeps what it did on disk. ``--trials`` sets how many of ours; peers run fewer, since they are slower and
their rate does not rise with the number.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import click
from rich.console import Console

from benchmarks import curve, database
from benchmarks.measure import Answer, MeasurementFailed, measure
from benchmarks.result import Figure, console, show, write

WORKERS = 4
SAMPLERS = ("random", "tpe")
DATABASES = ("sqlite", "postgresql")
SYSTEMS = ("hpo", "ray", "optuna")
LIMIT = 900.0


class Throughput:
    """One run of the benchmark: *figures* fills as systems are measured, *failed* says which could not be."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.figures: list[Figure] = []
        self.failed: list[str] = []

    def take(self, system: str, ask: Callable[[], Answer], **conditions: object) -> None:
        """Measure once and keep trials per second, and what the reports say of the work done."""
        told = " ".join(f"{key}={value}" for key, value in conditions.items())
        self.console.print(f"  {system} {told} ...", highlight=False)
        try:
            answer = ask()
        except MeasurementFailed as failure:
            self.failed.append(f"{system} {told}: {failure}")
            return
        trials, reports = int(answer["trials"]), int(answer["reports"])
        if trials != conditions["trials"] or reports != trials * curve.REPORTS:
            self.failed.append(f"{system} {told}: {trials} trials with {reports} reports is not the work asked for")
            return
        rate = trials / float(answer["seconds"])
        self.figures.append(Figure(system, "trials_per_second", round(rate, 2), "1/s", conditions))

    def hpo(self, kind: str, sampler: str, trials: int) -> None:
        with database.fresh(kind) as url:
            question = {"measure": "throughput", "url": url, "trials": trials, "workers": WORKERS, "sampler": sampler}
            self.take(
                "hpo",
                lambda: measure("benchmarks.ours", question, timeout=LIMIT),
                **_conditions(kind, sampler, trials, mode="4 workers"),
            )

    def optuna(self, kind: str, sampler: str, trials: int) -> None:
        with database.fresh(kind) as url:
            question = {"measure": "throughput", "url": url, "trials": trials, "workers": WORKERS, "sampler": sampler}
            self.take(
                "optuna",
                lambda: measure("benchmarks.peers.optuna_processes", question, timeout=LIMIT),
                **_conditions(kind, sampler, trials, mode="4 processes"),
            )

    def ray(self, sampler: str, trials: int, reuse: bool) -> None:
        question = {"measure": "throughput", "trials": trials, "workers": WORKERS, "sampler": sampler, "reuse": reuse}
        self.take(
            "ray",
            lambda: measure("benchmarks.peers.ray_tune", question, timeout=LIMIT),
            **_conditions("files", sampler, trials, mode="reuse_actors" if reuse else "as shipped"),
        )

    def ratios(self) -> None:
        """Say, for each of our conditions, how many times the best of each peer it is (same sampler)."""
        for ours in [figure for figure in self.figures if figure.system == "hpo"]:
            for peer in ("ray", "optuna"):
                best = max((f.value for f in self.figures if f.system == peer and _same_sampler(f, ours)), default=None)
                if best:
                    where = f"{ours.conditions['database']}, {ours.conditions['sampler']}"
                    self.console.print(f"hpo ({where}) is {ours.value / best:.1f}x {peer}'s best", highlight=False)


def _conditions(database: str, sampler: str, trials: int, mode: str) -> dict[str, object]:
    return {"database": database, "sampler": sampler, "trials": trials, "mode": mode}


def _peer_trials(quick: bool, sampler: str) -> dict[str, int]:
    """Say how many trials the peers run: enough that their start is a small part."""
    if not quick:
        return {"optuna": 600, "reuse_actors": 600, "as shipped": 100}
    return {
        "optuna": 160 if sampler == "random" else 80,
        "reuse_actors": 120 if sampler == "random" else 60,
        "as shipped": 12,
    }


def _same_sampler(one: Figure, other: Figure) -> bool:
    return one.conditions["sampler"] == other.conditions["sampler"]


@click.command(help=__doc__)
@click.option("--quick", is_flag=True, help="Fewer trials: under three minutes.")
@click.option("--trials", type=click.IntRange(min=1), help="How many trials we run with the random sampler.")
@click.option("--system", "systems", multiple=True, type=click.Choice(SYSTEMS), help="Measure only these.")
@click.option("--sampler", "samplers", multiple=True, type=click.Choice(SAMPLERS), help="Only with these.")
@click.option("--database", "databases", multiple=True, type=click.Choice(DATABASES), help="Only on these.")
def main(
    quick: bool,
    trials: int | None,
    systems: tuple[str, ...],
    samplers: tuple[str, ...],
    databases: tuple[str, ...],
) -> None:
    page = console()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    run = Throughput(page)
    kinds = list(databases or DATABASES)
    if "postgresql" in kinds and not database.reachable():
        page.print(f"No PostgreSQL at {database.server()}: left out (HPO_BENCH_POSTGRES names another server).")
        kinds.remove("postgresql")
    ours = {"random": trials or (2000 if quick else 10_000), "tpe": 400 if quick else 1000}
    for sampler in samplers or SAMPLERS:
        theirs = _peer_trials(quick, sampler)
        if "hpo" in (systems or SYSTEMS):
            for kind in kinds:
                run.hpo(kind, sampler, ours[sampler])
        if "optuna" in (systems or SYSTEMS):
            for kind in kinds:
                run.optuna(kind, sampler, theirs["optuna"])
        if "ray" in (systems or SYSTEMS):
            run.ray(sampler, theirs["reuse_actors"], reuse=True)
            if sampler == "random" or not quick:
                run.ray(sampler, theirs["as shipped"], reuse=False)
    show("throughput", run.figures, page)
    run.ratios()
    part = "-part" if systems or samplers or databases else ""
    page.print(f"written to {write(f'throughput{part}', run.figures)}", highlight=False)
    for failure in run.failed:
        page.print(f"not measured: {failure}", style="red", highlight=False, markup=False)
    raise SystemExit(1 if run.failed else 0)


if __name__ == "__main__":
    main()
