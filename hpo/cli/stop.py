"""``hpo stop``: end a running study the gentle way, from anywhere."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from hpo.cli.command import Command
from hpo.cli.exit import DONE, FAILED
from hpo.cli.options import open_store, outcome_json_option, storage_options, stored_url, study_argument, where
from hpo.wording import quoted
from trackers.wording import counted

if TYPE_CHECKING:
    from trackers.store import Store
    from trackers.values import StudyRow

ANSWERED = 5.0
"""Seconds to wait for an answer: a manager reads its commands at every lease tick, a second at most."""
GRACE = 10.0
"""Seconds that running trials have to reach their next report."""


@click.command(cls=Command, example="hpo stop digits")
@study_argument
@click.option(
    "--grace",
    type=click.FloatRange(0),
    default=GRACE,
    show_default=True,
    metavar="SEC",
    help="How long running trials have to reach their next report.",
)
@storage_options
@outcome_json_option
def stop(study: str, grace: float, storage: str | None, profile: str | None, as_json: bool) -> int:
    """Stop a running study, from anywhere.

    Nothing new starts, running trials go back to the queue, everything else is kept.
    """
    from hpo.cli.life import life_of

    with open_store(storage, profile) as store:
        row = store.get_study(study)
        life = life_of(row)
        if life.alive is False:
            return _told(row, f"{row.name} is not running ({life.words}).", as_json)
        sent = store.await_command(store.send_command(row.id, "stop", {"grace": grace}), ANSWERED)
        if sent.answer is None:
            click.echo(
                f"{row.name} did not answer within {ANSWERED:.0f} s; whoever runs it ({row.owner}) will find the request.",
                err=True,
            )
            return FAILED
        if not sent.answer.get("done"):
            click.echo(f"{row.name} was not stopped: {sent.answer.get('reason')}", err=True)
            return FAILED
        place = where(stored_url(storage, profile))
        row, sentence = _await_end(store, row.name, grace, place)
        return _told(row, sentence, as_json)


def _told(row: StudyRow, sentence: str, as_json: bool) -> int:
    """Print the study as it is now, as JSON or in a sentence."""
    if as_json:
        from hpo.cli import facts, text

        text.print_json(facts.study_facts(row))
    else:
        click.echo(sentence)
    return DONE


def _await_end(store: Store, name: str, grace: float, place: str) -> tuple[StudyRow, str]:
    click.echo(f"{name} is stopping: running trials have {grace:g} s to reach their next report.", err=True)

    until = time.monotonic() + grace + ANSWERED
    while (row := store.get_study(name)).status == "running":
        if time.monotonic() > until:
            return row, f"{name} is still stopping; see `hpo status {quoted(name)}{place}`."
        time.sleep(0.1)  # the end is a row in the store: there is nothing to wait on but the clock
    count = sum(row.counts.values())
    return (
        row,
        f"{name} is {row.status} with {counted(count, 'trial')}; go on with: hpo resume {quoted(name)}{place}",
    )
