"""``hpo best`` and ``hpo rank``: who won."""

from __future__ import annotations

import click

from hpo.cli.command import Command
from hpo.cli.options import json_option, open_store, storage_options, study_argument
from hpo.errors import UserError
from trackers.wording import counted


@click.command(cls=Command, example="hpo rank digits --limit 10\nhpo rank digits --json")
@study_argument
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="How many trials to show.")
@click.option("--all", "everything", is_flag=True, help="Show every trial.")
@click.option("--archived", is_flag=True, help="Show archived trials too.")
@storage_options
@json_option
def rank(
    study: str,
    limit: int,
    everything: bool,
    archived: bool,
    storage: str | None,
    profile: str | None,
    as_json: bool,
) -> None:
    """Rank the trials of a study, best first.

    Pruned and failed ones come last; a value in parentheses is a last report, not a result. Archived ones are hidden;
    ranks are those among all.
    """
    from hpo.cli import text
    from hpo.ranking import board

    shown = None if everything else limit
    with open_store(storage, profile) as store:
        ranking = board(store, store.get_study(study), shown, archived=archived)
    if as_json:
        text.print_json(ranking.to_rows(shown))
    else:
        click.echo(ranking.to_text(shown, text.width()))
        if ranking.hidden:
            click.echo(f"{counted(ranking.hidden, 'archived trial')} hidden: --archived shows them.")


@click.command(cls=Command, example="hpo best digits\nhpo best digits --json | jq .params")
@study_argument
@storage_options
@json_option
def best(study: str, storage: str | None, profile: str | None, as_json: bool) -> None:
    """Show the best trial and its params.

    With several objectives it is the Pareto front.
    """
    from hpo.cli import facts, text
    from hpo.ranking import Ranking, wording

    with open_store(storage, profile) as store:
        row = store.get_study(study)
        several = len(row.directions) > 1
        outlines = Ranking(row, store.outline_trials(row.id))
        if outlines.best is None:
            raise UserError(f"{row.name} has no best trial yet: {facts.state_line(row.counts)}.")
        numbers = [trial.number for trial in (outlines.front if several else [outlines.best])]
        ranking = outlines.detailed(store.get_trials(row.id, numbers=numbers))
    first = ranking.best
    assert first is not None
    if as_json:
        shown = [facts.trial_facts(trial, row.metric_names) for trial in (ranking.front if several else [first])]
        text.print_json(shown if several else shown[0])
    elif several:
        heads = ["trial", *row.metric_names, "params"]
        body = [[str(t.number), *map(wording.number, t.values or ()), wording.params(t.params)] for t in ranking.front]
        click.echo(f"{row.name}: the Pareto front, most balanced first")
        click.echo(text.table(heads, body, right=["trial", *row.metric_names]))
    else:
        click.echo(f"{first.path}: {facts.result(ranking[0], row.metric_names)}")
        click.echo(text.fields([(f"  {wording.plain(name)}", wording.param(v)) for name, v in first.params.items()]))
