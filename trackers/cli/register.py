"""``register`` and ``unregister``: the model of a run becomes a version, or is none any more."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from shlex import quote
from typing import TYPE_CHECKING

import click

from trackers.cli.completing import complete_model, complete_reference
from trackers.cli.given import read_pairs
from trackers.cli.storage import open_store, reading_options
from trackers.cli.target import read_target
from trackers.states import RunState
from trackers.wording import counted

if TYPE_CHECKING:
    from trackers.registry import Registry
    from trackers.store import Store
    from trackers.values import ModelVersion, Run

_WITH_IT = "figures, approvals and tags"


@click.command(
    epilog="\b\nExamples:\n  trackers register 01a228cc6048463a99c5e1c5b7d0c0de fraud --reason 'the May data'\n"
    "  trackers register digits/17 digits --tag team=vision\n"
    "  trackers register ./folder fraud --experiment bought",
    short_help="Make the model of a run or a folder a version in the registry.",
)
@click.argument("model", metavar="RUN|MODEL|FOLDER")
@click.argument("name", shell_complete=complete_model)
@click.option("--description", default="", help="What it is.")
@click.option("--reason", default="", help="Why; kept in the history.")
@click.option("--tag", "tags", multiple=True, metavar="KEY=VALUE", help="A tag of the version; repeatable.")
@click.option("--experiment", metavar="NAME", help="For a folder: where the run made for it goes (default: default).")
@reading_options
def register(
    model: str,
    name: str,
    description: str,
    reason: str,
    tags: tuple[str, ...],
    experiment: str | None,
    storage: str | None,
    as_json: bool,
) -> None:
    """Make a model the next version of NAME, which is made where it is new.

    RUN is the uid of a run (its first 16 digits), or STUDY/17; runs:/RUN/MODEL where it was logged under another
    name than model. FOLDER is that of a model of ours or of MLflow's, as ./FOLDER: its files are kept with a run made for
    it. The same model again is the version that it is, with the description and tags that are given now.
    """
    from trackers.cli import text
    from trackers.cli.models import facts
    from trackers.errors import NotFoundError
    from trackers.models.reference import Reference

    pairs = read_pairs(tags, "--tag")
    is_folder = Reference.parse(model).folder is not None
    if experiment is not None and not is_folder:
        raise click.UsageError(f"--experiment goes with a folder: {model} has a run, and that an experiment.")
    with _store(storage) as store:
        try:
            before = store.registry.get(name).latest
        except NotFoundError:
            before = 0
        version = store.registry.register(
            name, model, description=description, reason=reason, tags=pairs, experiment=experiment
        )
        run = _run(store, version)
    if as_json:
        text.print_json(facts(version))
        return
    called = text.plain(f"{version.name} version {version.version}")
    if version.version <= before:
        written = " and ".join(what for what, given in (("description", description), ("tags", pairs)) if given)
        click.echo(f"It is {called} already{f'; written to it: {written}.' if written else ': nothing was changed.'}")
    else:
        click.echo(f"It is {called}.")
        if run is not None and run.state in _UNDONE:
            click.echo(f"Note that its run {_UNDONE[run.state]}.")
        if run is not None and is_folder:
            click.echo(text.plain(f"Its files are kept with the run {run.path}."))
        click.echo(text.plain(f"Promote it:  trackers promote {quote(version.name)} {version.version} --to production"))


def _store(url: str | None) -> Store:
    """Open the store at *url*; where there is none, the error says how one is made: whoever registers may want that."""
    from trackers.errors import NotFoundError

    try:
        return open_store(url)
    except NotFoundError as exc:
        raise NotFoundError(f"{exc}; to make it call `trackers experiments create NAME`") from exc


_UNDONE = {RunState.FAIL: "failed", RunState.PRUNED: "was pruned", RunState.RUNNING: "still runs"}
"""What is worth a word where a run's model is registered."""


@click.command(
    epilog="\b\nExamples:\n  trackers unregister fraud/3 --reason 'trained on the wrong data'\n"
    "  trackers unregister fruad --reason 'a typing error' --yes",
    short_help="Take a version, or a whole model, out of the registry.",
)
@click.argument("target", metavar="NAME[/VERSION]", shell_complete=complete_reference)
@click.option("--reason", default="", help="Why; kept in the history.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@reading_options
def unregister(target: str, reason: str, yes: bool, storage: str | None, as_json: bool) -> None:
    """Take a version, or all of the model NAME, out of the registry.

    With it go its figures, approvals and tags, and with a model its policies. Nothing may point at it: remove its
    aliases first. The history stays, and numbers are not given again. The logged model stays with its run until that
    is deleted.
    """
    from trackers.cli import text
    from trackers.cli.models import facts

    with open_store(storage) as store:
        where = read_target(store.registry, target)
        name, version = where["name"], where.get("version", where.get("alias"))
        if version is None:
            if not yes:
                _ask(name, _whole(store.registry, name))
            move = store.registry.delete(name, reason=reason)
        else:
            number = store.registry.version(name, version).version
            if not yes:
                _ask(f"{name} version {number}", f"its {_WITH_IT}")
            move = store.registry.delete_version(name, number, reason=reason)
    if as_json:
        text.print_json(facts(move))
        return
    what, goes = f"{move.name} version {move.old_version}", f"its {_WITH_IT}"
    if move.old_version is None:
        what, goes = move.name, _goes(len(move.details["versions"]), move.details.get("policies", ()))
    click.echo(text.plain(f"{what} is out of the registry, with {goes}; its history stays."))


def _run(store: Store, version: ModelVersion) -> Run | None:
    """Return the run of a version; None where it has none any more."""
    from trackers.errors import NotFoundError

    try:
        return None if version.run_id is None else store.get_run(version.run_id)
    except NotFoundError:
        return None


def _ask(what: str, goes: str) -> None:
    from trackers.cli import text

    if not sys.stdin.isatty():
        raise click.UsageError(f"Taking {what} out of the registry must be confirmed: give --yes.")
    click.confirm(text.plain(f"Take {what} out of the registry, with {goes}?"), abort=True)


def _whole(registry: Registry, name: str) -> str:
    """Return what goes with a model."""
    versions = len(registry.versions(name))
    return _goes(versions, [policy.name for policy in registry.policies(name) if policy.model is not None])


def _goes(versions: int, policies: Sequence[str]) -> str:
    said = f"{counted(versions, 'version')}{f' (their {_WITH_IT} too)' if versions else ''}"
    if policies:
        said += f" and the {'policy' if len(policies) == 1 else 'policies'} {', '.join(policies)}"
    return said
