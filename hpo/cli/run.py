"""``hpo run`` and ``hpo resume``: bring a study to its number of trials."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING, Any

import click

from hpo.cli.command import Command
from hpo.cli.exit import DONE, FAILED, INTERRUPTED, WRONG
from hpo.cli.options import (
    connect,
    given_options,
    outcome_json_option,
    profile_option,
    read_settings,
    settings_options,
    stored_url,
    study_argument,
    where,
)
from hpo.errors import UserError
from hpo.wording import quoted
from trackers.cli.exit import reader_left
from trackers.states import RunState
from trackers.wording import counted

if TYPE_CHECKING:
    from hpo.cli.progress import View
    from hpo.objective_file import LoadedObjective
    from hpo.progress import Progress
    from hpo.ranking import Ranking
    from hpo.runner import Mode, RunResult
    from hpo.settings import Settings

SHOWN = 5
"""Trials of the ranking that are shown at the end."""
WIDEST = 160
"""Characters of its lines, also in a file or a pipe: this is a summary, and `hpo rank` has all."""

detach_option = click.option(
    "--detach", is_flag=True, help="Leave the study running on the cluster of --address and return."
)
continue_option = click.option("--continue", "go_on", is_flag=True, help="Go on although code or space changed.")


@click.command(
    cls=Command,
    example="""
    hpo run study.py --trials 200 --workers 8
    hpo run train.py:objective --direction maximize --timeout 3600
    hpo run study.py --address auto --storage postgresql+psycopg://me@db/hpo""",
)
@click.argument("objective", metavar="FILE[:NAME]")
@settings_options()
@profile_option
@click.option("--new", "fresh", is_flag=True, help="Start a new study (NAME-2) where the name is taken.")
@continue_option
@detach_option
@outcome_json_option
def run(
    objective: str, profile: str | None, fresh: bool, go_on: bool, detach: bool, as_json: bool, **options: Any
) -> int:
    """Bring the study of an objective to its --trials.

    The study is named after the objective; running the same command again goes on where it stopped. Every option below
    may also be given as a variable (HPO_TRIALS), in hpo.toml, or in @hpo.objective(...), in this order.
    """
    from hpo.objective_file import load_objective

    if fresh and go_on:
        raise UserError("--new and --continue exclude each other: give one of them.")
    given = given_options(options)
    read_settings(given, profile)  # a wrong option is told before a file is imported
    loaded = load_objective(objective)
    settings = read_settings(given, profile, decorator=loaded.spec.settings)
    return _drive(settings, loaded, "new" if fresh else "continue" if go_on else "auto", detach, as_json)


@click.command(cls=Command, example="hpo resume digits\nhpo resume digits moved/study.py:digits --workers 4")
@study_argument
@click.argument("objective", metavar="[FILE[:NAME]]", required=False)
@settings_options(without=("study_name", "directions", "metrics", "seed", "artifacts"))
@profile_option
@continue_option
@detach_option
@outcome_json_option
def resume(
    study: str,
    objective: str | None,
    profile: str | None,
    go_on: bool,
    detach: bool,
    as_json: bool,
    **options: Any,
) -> int:
    """Go on with an interrupted or stopped study.

    It has the settings it had, and its objective is imported from the file it came from, or from FILE. Options change a
    setting from here on.
    """
    from hpo.objective_file import load_objective
    from hpo.runner import recorded_objective
    from hpo.settings import Settings

    given = given_options(options)
    with connect(stored_url(given.get("storage"), profile)) as store:
        row = store.get_study(study)
    loaded = load_objective(objective) if objective else recorded_objective(row, f"resume {row.name} FILE:NAME")
    recorded = Settings.from_json(row.settings).merge(Settings.of({"study_name": row.name}))
    if "total_trials" not in recorded.given and row.total_trials:
        recorded = recorded.merge(Settings.of({"total_trials": row.total_trials}))
    settings = read_settings(given, profile, decorator=loaded.spec.settings, recorded=recorded)
    return _drive(settings, loaded, "continue" if go_on else "resume", detach, as_json)


def _drive(settings: Settings, loaded: LoadedObjective, mode: Mode, detach: bool, as_json: bool) -> int:
    from hpo.cli.progress import view
    from hpo.errors import HpoError, NodeGoneError
    from hpo.runner import run
    from trackers.errors import StoreError, StudyBusyError
    from trackers.termination import terminable

    told = _Told(view())
    # What trials print with --workers 0 would stand in the middle of the JSON.
    aside = contextlib.redirect_stdout(sys.stderr) if as_json else contextlib.nullcontext()
    try:
        with aside, terminable(), told.view as shown:
            result = run(settings, loaded, on_progress=told.update, on_study=told.begins, mode=mode, detach=detach)
            shown.note(result.notes)  # those of the last moment, too
    except KeyboardInterrupt:
        if told.study:
            _say_resume(told.study, settings)
        return INTERRUPTED
    except NodeGoneError:
        if told.study:
            _say_resume(told.study, settings)
        raise
    except StoreError as exc:
        if not told.study:
            raise
        _say_resume(told.study, settings)
        raise HpoError(str(exc)) from exc  # the call was right: what failed is the work
    except StudyBusyError as exc:
        from hpo.cli.life import busy

        raise busy(told.study or settings.study_name or loaded.spec.name, exc, where(settings.storage)) from exc
    try:
        return _conclude_json(result) if as_json else _conclude(result, settings)
    except BrokenPipeError:
        if not reader_left():
            raise
        return _exit_code(result)


class _Told:
    """Remembers the study's name for a line that must be printed however it ends; says it when its work begins."""

    def __init__(self, view: View) -> None:
        self.view = view
        self.study = ""
        self._said = False

    def begins(self, name: str) -> None:
        self.study = name

    def update(self, progress: Progress) -> None:
        if not self._said:
            self._said = True
            self.view.say(f"Study {self.study}")
        self.view.update(progress)


def _conclude(result: RunResult, settings: Settings) -> int:
    """Print how it ended, the top of the ranking and what to do next; return the exit code."""
    name = result.study.name
    if result.status == "running":
        called, place = quoted(name), where(settings.storage)
        click.echo(f"{name} goes on without this terminal: {result.reason}.")
        click.echo(f"Follow it: hpo status {called}{place}\nStop it:   hpo stop {called}{place}")
        return DONE
    from hpo.ranking import board

    ranking = board(result.study.store, result.study.row, SHOWN)
    if not result.ran:
        done = _done(result, settings, len(ranking))
        more = "--trials raises the number"
        if "exhausted" in done:
            more = "more trials need a wider space, or more levels of its floats (then --continue)"
        click.echo(f"{name} is complete and unchanged ({done}): {more}, --new starts a new study.")
    elif result.status != "complete":
        click.echo(f"{name} {_ended(result.status, result.reason.rstrip('.'))}.")
    elif result.reason:
        click.echo(f"{name} is complete: {result.reason}.")
    from hpo.cli import text

    if len(ranking):
        click.echo(ranking.to_text(SHOWN, min(text.width(), WIDEST)))
    if result.status == "interrupted":
        _say_resume(name, settings)
        return INTERRUPTED
    _say_next(result, settings, ranking)
    return _exit_code(result)


def _done(result: RunResult, settings: Settings, there: int) -> str:
    """Return why a complete study is that, in words."""
    asked = settings.trials
    if asked is not None and asked < there:
        return f"it has {counted(there, 'trial')}, and {asked} were asked for"
    return result.reason or f"{counted(there, 'trial')}, as many as asked for"


def _conclude_json(result: RunResult) -> int:
    """Print the study as it is now, and its best trial; return the exit code."""
    from hpo.cli import facts, text
    from hpo.ranking import board

    row = result.study.row
    best = board(result.study.store, row, 1).best
    found = None if best is None else facts.trial_facts(best, row.metric_names)
    text.print_json({**facts.study_facts(row), "outcome": result.status, "ran": result.ran, "best": found})
    return _exit_code(result)


def _exit_code(result: RunResult) -> int:
    if result.status == "interrupted":
        return INTERRUPTED
    from hpo.ranking import Ranking

    ranking = Ranking(result.study.row, result.study.store.outline_trials(result.study.row.id))
    fruitless = result.status == "complete" and len(ranking) and not ranking.ranked
    if result.status != "failed" and not fruitless:
        return DONE
    # What an objective returns is a matter of how it is written, and so is a study all of whose trials fail by that.
    trials = result.study.store.get_trials(result.study.row.id, points=False)
    ends = {(trial.state, trial.error_type) for trial in trials if trial.state is not RunState.WAITING}
    return WRONG if ends == {(RunState.FAIL, "ResultError")} else FAILED


def _ended(status: str, reason: str) -> str:
    """Return ``was stopped by me@here``, ``was given up: the first 10 trials all failed``."""
    verb = {"stopped": "was stopped", "failed": "was given up", "interrupted": "was interrupted"}.get(status, status)
    if reason in ("", status):
        return verb
    return f"was {reason}" if reason.startswith(status) else f"{verb}: {reason}"


def _say_resume(name: str, settings: Settings) -> None:
    place = where(settings.storage)
    click.echo(f"Everything that finished is kept; go on with: hpo resume {quoted(name)}{place}", err=True)


def _say_next(result: RunResult, settings: Settings, ranking: Ranking) -> None:
    name, place = quoted(result.study.name), where(settings.storage)
    if result.status == "stopped":
        click.echo(f"Go on:     hpo resume {name}{place}")
    counts = result.study.row.counts
    if counts.get(RunState.FAIL):
        click.echo(f"See why:   hpo show {name} --failed{place}")
    elif counts and not ranking.ranked:
        click.echo(f"See why:   hpo show {name}{place}")
    if not ranking.ranked:
        return
    click.echo(f"Report:    hpo report {name}{place}")
    if any(trial.model for trial in ranking.ranked):
        click.echo(f"Register:  hpo register {name} MODEL-NAME{place}")
