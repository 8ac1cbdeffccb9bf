"""``hpo list`` and ``hpo status``: which studies there are, and how far one is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from hpo.cli.command import Command
from hpo.cli.options import json_option, open_store, storage_options, stored_url, study_argument, where
from trackers.cli.storage import view_option

if TYPE_CHECKING:
    from trackers.values import StudyRow


@click.command(
    "list", cls=Command, example="hpo list\nhpo list --view archived\nhpo list --storage sqlite:///team.db --json"
)
@view_option
@storage_options
@json_option
def list_studies(view: str, storage: str | None, profile: str | None, as_json: bool) -> None:
    """List the studies of the store, newest first."""
    from hpo.cli import facts, text

    with open_store(storage, profile) as store:
        rows = store.list_studies(view)
        others = not rows and bool(store.list_studies())
    if as_json:
        text.print_json([facts.study_facts(row) for row in rows])
    elif not rows and (others or view in ("archived", "deleted")):
        click.echo(f"No studies are {view}: `hpo list --view all` lists every one.")
    elif not rows:
        click.echo("No studies yet: `hpo run FILE` starts one.")
    else:
        heads = ["study", "status", "trials", "goal", "created"]
        body = [[r.name, _status(r), facts.tried(r), facts.goal(r), text.when(r.created_at)] for r in rows]
        click.echo(text.table(heads, body, right=["trials", "created"]))


def _status(row: StudyRow) -> str:
    from hpo.cli.life import life_of, standing

    if row.status == "running" and life_of(row).alive is False:
        return "interrupted"
    return standing(row)


@click.command(cls=Command, example="hpo status digits")
@study_argument
@storage_options
@json_option
def status(study: str, storage: str | None, profile: str | None, as_json: bool) -> None:
    """Say how far a study is and who runs it."""
    from hpo.cli import facts, text
    from hpo.cli.life import life_of
    from hpo.ranking import Ranking

    with open_store(storage, profile) as store:
        row = store.get_study(study)
        finished = [] if not row.counts else store.outline_trials(row.id)
    ranking = Ranking(row, finished)
    best = ranking.best
    runs = life_of(row, where(stored_url(storage, profile)))
    if as_json:
        found = None if best is None else {"number": best.number, "values": facts.named_values(best, row.metric_names)}
        text.print_json({**facts.study_facts(row), "alive": runs.alive, "best": found})
        return
    pairs = [
        ("study", row.name),
        ("status", runs.words),
        ("goal", facts.goal(row)),
        ("trials", f"{facts.tried(row)}: {facts.state_line(row.counts)}"),
        ("best", "" if best is None else f"{facts.result(ranking[0], row.metric_names)} (trial {best.number})"),
        ("next", runs.advice),
    ]
    click.echo(text.fields(pairs))
