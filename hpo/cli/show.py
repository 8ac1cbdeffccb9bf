"""``hpo show``: everything about one study, or one trial."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any

import click

from hpo.cli.command import Command
from hpo.cli.options import complete_trial, json_option, open_store, storage_options, stored_url, where
from hpo.errors import UserError
from trackers.cli.launch import launch_facts, launch_lines
from trackers.cli.text import printed
from trackers.errors import NotFoundError

if TYPE_CHECKING:
    from trackers.store import Store
    from trackers.values import Launch, StudyRow, Trial


@click.command(cls=Command, example="hpo show digits\nhpo show digits --failed\nhpo show digits/17 --log")
@click.argument("reference", metavar="STUDY[/TRIAL]", shell_complete=complete_trial)
@click.option("--failed", is_flag=True, help="Show the failed trials of the study, one line each.")
@click.option("--log", "with_log", is_flag=True, help="Show what the trial printed and logged.")
@storage_options
@json_option
def show(reference: str, failed: bool, with_log: bool, storage: str | None, profile: str | None, as_json: bool) -> None:
    """Show all of a study, or of one trial.

    Of a trial: params, results, attempts, errors, files, and with --log what it printed.
    """
    from hpo.cli import reference as references

    study, number = references.split(reference)
    with open_store(storage, profile) as store:
        try:
            row = store.get_study(study)
        except NotFoundError:
            if not re.fullmatch("[0-9a-f]{32}", reference):
                raise
            raise UserError(f"{reference} is a run, and no study or trial: use trackers show {reference}") from None
        if failed and number is not None:
            raise UserError(f"--failed shows trials of a study: name the study, {row.name}.")
        if failed:
            _show_failed(store, row, as_json)
        elif number is None:
            if with_log:
                raise UserError(f"A study has no log of its own: name a trial, {row.name}/0.")
            _show_study(store, row, as_json, where(stored_url(storage, profile)))
        else:
            _show_trial(store, row, references.find_trial(store, row, number), with_log, as_json)


def _show_study(store: Store, row: StudyRow, as_json: bool, place: str) -> None:
    from hpo.cli import facts, text
    from hpo.cli.life import life_of
    from hpo.refitted import newest_refit
    from hpo.settings import CHOSEN
    from hpo.wording import quoted

    objective, refit = objective_of(row), newest_refit(store, row.name)
    if as_json:
        text.print_json(
            {
                **facts.study_facts(row),
                "space": row.space,
                "settings": dict(row.settings),
                "seed": row.seed,
                "refit": refit,
                "chosen": row.system_attrs.get(CHOSEN) or {},
                "objective": {key: objective.get(key) for key in ("file", "name", "digest")} if objective else None,
                **launch_facts(_launch(store, row)),
                "user_attrs": dict(row.user_attrs),
            }
        )
        return
    life = life_of(row, place)
    settings = {k: v for k, v in row.settings.items() if k not in ("metrics", "directions", "objective")}
    pairs = [
        ("study", row.name),
        ("about", row.description),
        ("status", life.words),
        ("goal", facts.goal(row)),
        ("trials", f"{facts.tried(row)}: {facts.state_line(row.counts)}"),
        ("params", _listed(row.distributions) or "found as the objective asks"),
        ("settings", _params(settings)),
        ("auto", "; ".join((row.system_attrs.get(CHOSEN) or {}).values())),
        ("objective", f"{objective['file']}:{objective.get('name', '')}" if objective.get("file") else ""),
        *launch_lines(_launch(store, row)),
        ("seed", str(row.seed)),
        (
            "refit",
            f"run {refit} has a model: hpo register {quoted(row.name)} NAME --run {refit}{place}" if refit else "",
        ),
        ("tags", _params(row.tags)),
        ("created", text.when(row.created_at)),
        ("ended", text.when(row.ended_at) if row.ended_at else ""),
        ("next", life.advice),
    ]
    click.echo(text.fields(pairs))


def _show_failed(store: Store, row: StudyRow, as_json: bool) -> None:
    from hpo.cli import facts, text
    from hpo.ranking import wording
    from trackers.states import RunState

    trials = store.get_trials(row.id, states=[RunState.FAIL], points=False)
    if as_json:
        text.print_json([facts.trial_facts(trial, row.metric_names) for trial in trials])
    elif not trials:
        click.echo(f"No trial of {row.name} failed.")
    else:
        took = [wording.seconds(t.duration.total_seconds()) if t.duration else wording.NONE for t in trials]
        body = [[t.path, length, wording.short(t.error or "", 120)] for t, length in zip(trials, took, strict=True)]
        click.echo(text.table(["trial", "took", "why"], body, right=["took"]))


def objective_of(row: StudyRow) -> dict[str, str]:
    """Return where the study's objective came from: file, name, digest, source; empty where it had no file."""
    code = row.code or {}
    return {key: str(code[key]) for key in ("file", "name", "digest", "source") if code.get(key)}


def _launch(store: Store, row: StudyRow) -> Launch | None:
    return store.get_launch(row.launch)


def _show_trial(store: Store, row: StudyRow, trial: Trial, with_log: bool, as_json: bool) -> None:
    from hpo.cli import facts, text
    from trackers.cli.text import plain_lines

    log = store.trial_log(trial.run_id) if with_log else ""
    if as_json:
        shown = facts.trial_facts(trial, row.metric_names)
        shown |= launch_facts(store.launch(trial), store.inputs(trial))
        text.print_json({**shown, "log": log} if with_log else shown)
    elif with_log:
        click.echo(printed(log) or f"{trial.path} printed nothing.", nl=not log.endswith("\n"))
    else:
        click.echo(text.fields(_pairs(store, row, trial)))
        _show_attempts(trial)
        if trial.traceback:
            click.echo(f"\n{plain_lines(trial.traceback.rstrip())}")


def _pairs(store: Store, row: StudyRow, trial: Trial) -> list[tuple[str, str]]:
    from hpo.cli import facts, text
    from hpo.ranking import wording
    from trackers.cli.text import shortened

    files = store.list_artifacts(store.get_run(trial.run_id))
    values = facts.named_values(trial, row.metric_names)
    reports = trial.intermediate_values
    last = f"{len(reports)}, last {wording.number(list(reports.values())[-1])} at {trial.last_step}" if reports else ""
    model = trial.model or (f"no model: {trial.model_error}" if trial.model_error else "")
    return [
        ("trial", trial.path),
        ("state", trial.state.name),
        ("error", shortened(trial.error or "")),
        ("result", ", ".join(f"{name} {wording.number(value)}" for name, value in values.items())),
        ("params", _params(trial.params)),
        ("logged params", _params(trial.logged_params)),
        ("reports", last),
        ("metrics", _listed(f"{wording.plain(k)} {wording.number(v)}" for k, v in trial.metrics.items())),
        ("constraints", _params(trial.constraints)),
        ("attributes", _params(trial.user_attrs)),
        ("tags", _params(trial.tags)),
        ("started", text.when(trial.started_at) if trial.started_at else ""),
        ("took", wording.seconds(trial.duration.total_seconds()) if trial.duration else ""),
        ("cost", f"{wording.number(trial.cost, 4)} core-seconds" if trial.attempts else ""),
        ("model", model),
        ("files", _listed(file.name for file in files)),
        *launch_lines(store.launch(trial), store.inputs(trial)),
        ("run", trial.uid),
    ]


def _params(values: Mapping[str, Any]) -> str:
    from hpo.ranking import wording

    return _listed(wording.params({name: value}) for name, value in values.items())


def _listed(texts: Iterable[str]) -> str:
    """Return the first of many on one line, each cut where it is long, and how many are left out."""
    from trackers.cli.text import MOST, more, shortened

    rest = iter(texts)
    shown = [shortened(text) for text in islice(rest, MOST)]
    return ", ".join([*shown, *([more(left_out)] if (left_out := sum(1 for _ in rest)) else [])])


def _show_attempts(trial: Trial) -> None:
    from hpo.cli import text
    from hpo.ranking import wording

    if len(trial.attempts) < 2 and not any(attempt.reason for attempt in trial.attempts):
        return
    heads = ["attempt", "where", "started", "took", "outcome", "why"]
    body = [
        [
            str(a.number),
            f"{a.host}, process {a.pid}" if a.host else a.worker,
            text.when(a.started_at),
            wording.seconds(a.seconds),
            a.outcome or "running",
            a.reason,
        ]
        for a in trial.attempts
    ]
    click.echo("\n" + text.table(heads, body, right=["attempt", "started", "took"]))
