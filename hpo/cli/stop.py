"""``hpo stop``: end a running study the gentle way, from anywhere."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from hpo.cli.command import Command
from hpo.cli.exit import DONE, FAILED
from hpo.cli.options import open_store, storage_options, study_argument

if TYPE_CHECKING:
    from trackers.store import Store
    from trackers.values import Command as SentCommand

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
def stop(study: str, grace: float, storage: str | None, profile: str | None) -> int:
    """Stop a running study, from anywhere.

    Nothing new starts, running trials go back to the queue, everything else is kept.
    """
    from hpo.cli.life import life_of

    with open_store(storage, profile) as store:
        row = store.get_study(study)
        life = life_of(row)
        if life.alive is False:
            click.echo(f"{row.name} is not running ({life.words}).")
            return DONE
        sent = _answered(store, store.send_command(row.id, "stop", {"grace": grace}))
        if sent.answer is None:
            click.echo(
                f"{row.name} did not answer within {ANSWERED:.0f} s; whoever runs it ({row.owner}) will find the request.",
                err=True,
            )
            return FAILED
        if not sent.answer.get("done"):
            click.echo(f"{row.name} was not stopped: {sent.answer.get('reason')}", err=True)
            return FAILED
        return _await_end(store, row.name, grace)


def _answered(store: Store, command: SentCommand) -> SentCommand:
    until = time.monotonic() + ANSWERED
    while command.answer is None and time.monotonic() < until:
        time.sleep(0.05)  # the answer is a row in the store: there is nothing to wait on but the clock
        command = store.get_command(command.id)
    return command


def _await_end(store: Store, name: str, grace: float) -> int:
    click.echo(f"{name} is stopping: running trials have {grace:g} s to reach their next report.", err=True)
    until = time.monotonic() + grace + ANSWERED
    while (row := store.get_study(name)).status == "running":
        if time.monotonic() > until:
            click.echo(f"{name} is still stopping; see `hpo status {name}`.")
            return DONE
        time.sleep(0.1)  # likewise
    count = sum(row.counts.values())
    click.echo(f"{name} is {row.status} with {count:,} trials; go on with: hpo resume {name}")
    return DONE
