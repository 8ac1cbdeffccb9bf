"""How busy 32 one-CPU slots are kept: sleeping trials of two seconds with ten reports, 120 s of work a slot.

Run ``python -m benchmarks.utilisation [--quick]`` (40 s of work a slot; peers less). ``start=cold`` counts from the
call that makes the study (or the tuner) to the last result: a Ray cluster of 32 logical CPUs is there, workers are not.
``start=cold, Ray too`` counts from before Ray is started; ``start=warm`` from when every slot had work once until the
last trial began. Busy time is sleeping time alone.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from benchmarks import database, sleeping
from benchmarks.measure import MeasurementFailed, measure
from benchmarks.result import Figure, console, show, write

SLOTS = 32
SYSTEMS = ("hpo", "ray")
LIMIT = 1200.0


class Utilisation:
    """One run of the benchmark on *slots* slots."""

    def __init__(self, console: Console, slots: int) -> None:
        self.console, self.slots = console, slots
        self.figures: list[Figure] = []
        self.failed: list[str] = []

    def take(self, system: str, module: str, seconds: int, question: dict[str, Any], **conditions: object) -> None:
        """Run *seconds* of work a slot and keep how much of the time was work, cold and warm."""
        trials = round(seconds / sleeping.SECONDS) * self.slots
        shown: dict[str, object] = {**conditions, "sampler": "random", "trials": trials, "slots": self.slots}
        told = " ".join(f"{key}={value}" for key, value in shown.items())
        self.console.print(f"  {system} {told} ...", highlight=False)
        with tempfile.TemporaryDirectory(prefix="hpo-bench-") as folder:
            diary = str(Path(folder) / "diary")
            ask = {"measure": "utilisation", "trials": trials, "slots": self.slots, "diary": diary, **question}
            try:
                answer = measure(module, ask, timeout=LIMIT)
                spans = sleeping.read(diary)
            except (MeasurementFailed, FileNotFoundError) as failure:
                self.failed.append(f"{system} {told}: {failure}")
                return
        if not len(spans) == answer["trials"] == trials:
            self.failed.append(f"{system} {told}: {len(spans)} trials were slept, {answer['trials']} kept")
            return
        for start, value in (
            ("cold, Ray too", sleeping.cold(spans, float(answer["begun"]), self.slots)),
            ("cold", sleeping.cold(spans, float(answer["called"]), self.slots)),
            ("warm", sleeping.warm(spans, self.slots)),
        ):
            self.figures.append(
                Figure(system, "utilisation", round(value, 4), "busy / slot-seconds", {"start": start, **shown})
            )


@click.command(help=__doc__)
@click.option("--quick", is_flag=True, help="40 s of work a slot: under three minutes.")
@click.option("--seconds", type=click.IntRange(min=4), help="Seconds of work a slot for us.")
@click.option("--peer-seconds", type=click.IntRange(min=4), help="Seconds of work a slot for the peers.")
@click.option("--slots", type=click.IntRange(min=1), default=SLOTS, show_default=True)
@click.option("--system", "systems", multiple=True, type=click.Choice(SYSTEMS), help="Measure only these.")
@click.option("--database", "kind", type=click.Choice(("sqlite", "postgresql")), default="sqlite", show_default=True)
def main(
    quick: bool, seconds: int | None, peer_seconds: int | None, slots: int, systems: tuple[str, ...], kind: str
) -> None:
    page = console()
    run = Utilisation(page, slots)
    work = seconds or (40 if quick else 120)
    peer_work = peer_seconds or (4 if quick else 10)
    if "hpo" in (systems or SYSTEMS):
        with database.fresh(kind) as url:
            run.take("hpo", "benchmarks.ours", work, {"url": url}, database=kind, mode="workers")
    if "ray" in (systems or SYSTEMS):
        for reuse in (True,) if quick else (False, True):
            mode = "reuse_actors" if reuse else "as shipped"
            run.take("ray", "benchmarks.peers.ray_tune", peer_work, {"reuse": reuse}, database="files", mode=mode)
    show("utilisation", run.figures, page)
    part = "-part" if systems else ""
    page.print(f"written to {write(f'utilisation{part}', run.figures)}", highlight=False)
    for failure in run.failed:
        page.print(f"not measured: {failure}", style="red", highlight=False, markup=False)
    raise SystemExit(1 if run.failed else 0)


if __name__ == "__main__":
    main()
