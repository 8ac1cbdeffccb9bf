"""``hpo try``: one trial here, recorded nowhere."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from hpo.cli.command import Command
from hpo.cli.exit import DONE, FAILED, INTERRUPTED
from hpo.cli.options import (
    connect,
    given_options,
    outcome_json_option,
    profile_option,
    read_settings,
    settings_options,
    stored_url,
)
from hpo.settings import SETTINGS
from trackers.states import RunState

if TYPE_CHECKING:
    from hpo.objective_file import LoadedObjective
    from hpo.settings import Settings
    from hpo.tryout import Tryout

KEPT = ("storage", "study_name", "directions", "metrics", "seed")


@click.command("try", cls=Command, example="hpo try study.py --param lr=0.01 --param optimizer=sgd\nhpo try digits/17")
@click.argument("what", metavar="FILE[:NAME] | STUDY/TRIAL")
@click.option("--param", "params", metavar="NAME=VALUE", multiple=True, help="A param to set; others are sampled.")
@settings_options(without=tuple(name for name in SETTINGS if name not in KEPT))
@profile_option
@outcome_json_option
def attempt(what: str, params: tuple[str, ...], profile: str | None, as_json: bool, **options: Any) -> int:
    """Run one trial here, recorded nowhere.

    It runs in this process: a quick look, or a debugger's place.
    STUDY/17 repeats a trial with its params, from the file that the study ran.
    """
    from hpo.objective_file import load_objective
    from hpo.tryout import read_params, try_once

    given = given_options(options)
    number, recorded = _stored(what, given, profile)
    if recorded is None:
        loaded = load_objective(what)
        stored: Mapping[str, Any] = {}
        settings = read_settings(given, profile, decorator=loaded.spec.settings)
    else:
        loaded, stored, study_settings = recorded
        settings = read_settings(given, profile, decorator=loaded.spec.settings, recorded=study_settings)
    chosen = {**stored, **read_params(params, loaded.spec.space)}
    view = _Silent() if as_json else _View()
    # What the objective prints would stand in the middle of the JSON.
    with contextlib.redirect_stdout(sys.stderr) if as_json else contextlib.nullcontext():
        tried = try_once(loaded, settings, chosen, number=number, on_params=view.params, on_report=view.report)
    if as_json:
        _print_json(tried, settings, view.reports)
    else:
        _conclude(tried, settings, view.shown)
    if tried.state is None:
        return INTERRUPTED
    return FAILED if tried.state is RunState.FAIL else DONE


def _stored(
    what: str, given: dict[str, Any], profile: str | None
) -> tuple[int, tuple[LoadedObjective, Mapping[str, Any], Settings] | None]:
    """Read the trial that *what* names, or say that it names a file."""
    from pathlib import Path

    from hpo.cli import reference
    from hpo.runner import recorded_objective
    from hpo.settings import Settings

    if not what.rpartition("/")[2].isdecimal() or Path(what).exists():
        return 0, None  # a file in a folder has a slash, too
    study, number = reference.split(what)
    if number is None:
        return 0, None
    with connect(stored_url(given.get("storage"), profile)) as store:
        row = store.get_study(study)
        trial = reference.find_trial(store, row, number)
    goal = {"study_name": row.name, "directions": row.directions, "metrics": row.metric_names, "seed": row.seed}
    return number, (recorded_objective(row, "try FILE:NAME"), dict(trial.params), Settings.of(goal))


class _Silent:
    """Remembers what was reported."""

    def __init__(self) -> None:
        self.shown: dict[str, Any] = {}
        self.reports: dict[int, float] = {}

    def params(self, params: Mapping[str, Any]) -> None:
        """Take the params that are known before the trial begins."""
        self.shown = dict(params)

    def report(self, step: int, value: float) -> None:
        """Take a report."""
        self.reports[step] = value


class _View(_Silent):
    """Shows it too."""

    def params(self, params: Mapping[str, Any]) -> None:
        """Show the params."""
        from hpo.ranking import wording

        super().params(params)
        if params:
            click.echo(f"params  {wording.params(params)}")

    def report(self, step: int, value: float) -> None:
        """Show a report."""
        from hpo.ranking import wording

        click.echo(f"step {step}  {wording.number(value)}")


def _print_json(tried: Tryout, settings: Settings, reports: Mapping[int, float]) -> None:
    from hpo.cli import text

    text.print_json(
        {
            "state": tried.state,
            "params": dict(tried.params),
            "values": dict(zip(settings.metrics, tried.values or (), strict=False)),
            "reports": {str(step): value for step, value in reports.items()},
            "seconds": tried.seconds,
            "error": tried.error,
            "traceback": tried.traceback,
            "unused": list(tried.unused),
        }
    )


def _conclude(tried: Tryout, settings: Settings, shown: Mapping[str, Any]) -> None:
    """Print how it ended, and the params where they are not *shown* yet."""
    from hpo.ranking import wording
    from trackers.cli.text import plain_lines

    took = wording.seconds(tried.seconds)
    if tried.unused:
        click.echo(f"Never asked for: {', '.join(tried.unused)}.", err=True)
    if dict(tried.params) != dict(shown):
        click.echo(f"used    {wording.params(tried.params) or 'no params'}")
    if tried.values is not None:
        pairs = zip(settings.metrics, tried.values, strict=False)
        click.echo("result  " + ", ".join(f"{name} {wording.number(value)}" for name, value in pairs))
        click.echo(f"Took {took}; nothing was recorded.")
    elif tried.state is None:
        click.echo(f"Interrupted after {took}; nothing was recorded.", err=True)
    elif tried.state is RunState.PRUNED:
        click.echo(f"The objective pruned itself after {took}; nothing was recorded.")
    else:
        if tried.traceback:
            click.echo(plain_lines(tried.traceback.rstrip()), err=True)
        click.echo(plain_lines(f"The trial failed after {took}: {tried.error}"), err=True)
