"""Milliseconds of one suggestion after 100 to 100,000 finished trials, with 16 trials running.

Run ``python -m benchmarks.suggest [--quick]``. The space has ten params of all kinds, one of them conditional; the
history is the same for all systems and in memory. With ``--quick`` the peer is measured up to 1,000 trials only, and
without it up to 10,000: its time is proportional to the number of trials.
"""

from __future__ import annotations

from collections.abc import Iterator

import click

from benchmarks.measure import MeasurementFailed, measure
from benchmarks.result import Figure, console, show, write
from benchmarks.suggesting import RUNNING

SIZES = (100, 1_000, 10_000, 100_000)
PEER_SIZES = {True: SIZES[:2], False: SIZES[:3]}
KINDS = (("random", 1), ("tpe", 1), ("tpe", 2))
MODULES = {"hpo": "benchmarks.suggesting", "optuna": "benchmarks.peers.optuna_suggest"}
LIMIT = 900.0


def percentile(spent: list[float], share: float) -> float:
    """Return the smallest of *spent* that at least *share* of them do not exceed."""
    ranked = sorted(spent)
    return ranked[max(0, -int(-share * len(ranked) // 1) - 1)]


def plan(quick: bool, systems: tuple[str, ...]) -> Iterator[tuple[str, str, int, int, int, float]]:
    """Yield system, sampler, objectives, history, suggestions and the seconds they may take."""
    for sampler, objectives in KINDS:
        for system in systems or MODULES:
            for history in SIZES if system == "hpo" else PEER_SIZES[quick]:
                suggestions = (100 if quick else 500) if system == "hpo" else (30 if quick else 100)
                yield system, sampler, objectives, history, suggestions, 6.0 if quick else 60.0


@click.command(help=__doc__)
@click.option("--quick", is_flag=True, help="Fewer suggestions: under three minutes.")
@click.option("--system", "systems", multiple=True, type=click.Choice(list(MODULES)), help="Measure only these.")
def main(quick: bool, systems: tuple[str, ...]) -> None:
    page, figures, failed = console(), [], []
    for system, sampler, objectives, history, suggestions, seconds in plan(quick, systems):
        told = f"{system} {sampler}, {objectives} objectives, {history} trials"
        page.print(f"  {told} ...", highlight=False)
        question = {"sampler": sampler, "objectives": objectives, "history": history}
        try:
            found = measure(
                MODULES[system], {**question, "suggestions": suggestions, "seconds": seconds}, timeout=LIMIT
            )
        except MeasurementFailed as failure:
            failed.append(f"{told}: {failure}")
            continue
        spent = [float(ms) for ms in found["ms"]]
        conditions = {**question, "running": RUNNING, "suggestions": len(spent)}
        for statistic, share in (("median", 0.5), ("p99", 0.99)):
            value = round(percentile(spent, share), 3)
            figures.append(Figure(system, "suggest_ms", value, "ms", {**conditions, "statistic": statistic}))
    show("suggest", figures, page)
    page.print(f"written to {write('suggest-part' if systems else 'suggest', figures)}", highlight=False)
    for failure in failed:
        page.print(f"not measured: {failure}", style="red", highlight=False, markup=False)
    raise SystemExit(1 if failed else 0)


if __name__ == "__main__":
    main()
