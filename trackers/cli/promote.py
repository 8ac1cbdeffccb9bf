"""``promote`` and ``rollback``: move an alias, or say why it may not move."""

from __future__ import annotations

import json
import os
import shutil
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from trackers.cli.completing import complete_alias, complete_model, complete_version
from trackers.cli.storage import DEFAULT, open_store, reading_options
from trackers.cli.target import missing, one_version
from trackers.wording import closest, without_password

if TYPE_CHECKING:
    from trackers.policy import Result
    from trackers.registry import Registry
    from trackers.sql.aliases import Expected
    from trackers.values import RegistryMove


@click.command(
    epilog="\b\nExamples:\n  trackers promote fraud 3 --to production --reason 'beats 2 on the May data' --expect 2\n"
    "  trackers promote fraud 3 --to production --dry-run\n"
    "  trackers promote fraud 3 --to production --force --reason 'production is down'",
    short_help="Point an alias of a model at a version.",
)
@click.argument("name", shell_complete=complete_model)
@click.argument("version", metavar="VERSION", required=False, shell_complete=complete_version)
@click.option(
    "--to",
    "alias",
    required=True,
    metavar="ALIAS",
    shell_complete=complete_alias,
    help="The alias to move, such as production.",
)
@click.option("--reason", default="", help="Why; kept in the history.")
@click.option("--expect", metavar="VERSION", help="Refuse unless the alias points at this version (or: none).")
@click.option("--dry-run", is_flag=True, help="Only say which policies hold, and with what figures.")
@click.option("--force", is_flag=True, help="Move it though policies do not hold; needs --reason, and is recorded.")
@reading_options
def promote(
    name: str,
    version: str | None,
    alias: str,
    reason: str,
    expect: str | None,
    dry_run: bool,
    force: bool,
    storage: str | None,
    as_json: bool,
) -> None:
    """Point the alias ALIAS of the model NAME at VERSION (a number, another alias, or latest; also as NAME/3).

    The policies of the model and the alias are judged as they are at that moment; exit code 1 when one does not hold.
    With --expect the move is refused, likewise, when somebody else moved the alias first. Who moved it, when, from where and why,
    and what each policy said, is kept in the model's history.
    """
    from trackers.errors import PolicyError
    from trackers.registry import UNSET

    if dry_run and force:
        raise click.UsageError("--dry-run and --force exclude each other: give one of them.")
    expected = UNSET if expect is None else _expected(expect)
    name, version = one_version(name, version)
    with open_store(storage) as store:
        number = store.registry.version(name, version).version
        if dry_run:
            _dry_run(store.registry, name, number, alias, expected, as_json)
            return
        try:
            move = store.registry.promote(name, number, to=alias, reason=reason, expect=expected, force=force)
        except PolicyError as exc:
            _refused(store.registry, name, number, alias, exc.results, as_json)
            raise PolicyError(_short(name, number, alias, exc.results), exc.results) from exc
        meant = _meant(store.registry, name, alias) if move.old_version is None else None
    _tell(move, storage, as_json)
    if meant is not None:
        undo = f"`trackers remove-alias {name} {alias}` takes it away"
        click.echo(
            f"{alias} is a new alias, and no policy of {meant} was asked; where that was meant, {undo}.", err=True
        )


def _meant(registry: Registry, name: str, alias: str) -> str | None:
    """Return another alias, of the model or of a policy, that is written nearly so."""
    others = {one.alias for one in registry.aliases(name)} | {one.alias for one in registry.policies(name) if one.alias}
    return closest(alias, others - {alias})


@click.command(
    epilog="\b\nExamples:\n  trackers rollback fraud --reason 'false alarms since noon'\n"
    "  trackers rollback fraud --alias staging",
    short_help="Point an alias back at what it pointed at before.",
)
@click.argument("name", metavar="NAME[@ALIAS]", shell_complete=complete_model)
@click.option("--alias", shell_complete=complete_alias, help="The alias to move back.  [default: production]")
@click.option("--reason", default="", help="Why; kept in the history.")
@click.option("--expect", metavar="VERSION", help="Refuse unless the alias points at this version.")
@reading_options
def rollback(name: str, alias: str | None, reason: str, expect: str | None, storage: str | None, as_json: bool) -> None:
    """Point an alias of the model NAME back at what it pointed at before, by its history.

    Twice goes one further back. Only policies on who may move the alias are judged.
    """
    from trackers.registry import UNSET

    expected = UNSET if expect is None else _expected(expect)
    name, alias = _one_alias(name, alias)
    with open_store(storage) as store:
        move = store.registry.rollback(name, alias or "production", reason=reason, expect=expected)
    _tell(move, storage, as_json)


@click.command(
    epilog="\b\nExample:\n  trackers remove-alias fraud stagging --reason 'a typing error'",
    short_help="Remove an alias of a model.",
)
@click.argument("name", shell_complete=complete_model)
@click.argument("alias", metavar="ALIAS", required=False, shell_complete=complete_alias)
@click.option("--reason", default="", help="Why; kept in the history.")
@click.option("--expect", metavar="VERSION", help="Refuse unless the alias points at this version.")
@reading_options
def remove_alias(
    name: str, alias: str | None, reason: str, expect: str | None, storage: str | None, as_json: bool
) -> None:
    """Remove the alias ALIAS of the model NAME (both in one: NAME@ALIAS); its versions and its history stay.

    Policies on who may move the alias are judged.
    """
    from trackers.cli import text
    from trackers.cli.models import facts
    from trackers.registry import UNSET

    expected = UNSET if expect is None else _expected(expect)
    name, alias = _one_alias(name, alias)
    if alias is None:
        raise missing("alias")
    with open_store(storage) as store:
        move = store.registry.unset_alias(name, alias, reason=reason, expect=expected)
    if as_json:
        text.print_json(facts(move))
    else:
        click.echo(text.plain(f"{move.name}@{move.alias} is gone (it pointed at version {move.old_version})."))


def _one_alias(name: str, alias: str | None) -> tuple[str, str | None]:
    """Return a model's name and the alias that stands with it, as NAME@ALIAS, or *alias*."""
    name, at, with_it = name.removeprefix("models:/").partition("@")
    if at and not with_it:
        raise click.UsageError(f"{name}@ names no alias: write {name}@ALIAS.")
    if with_it and alias is not None and alias != with_it:
        raise click.UsageError(f"{name}@{with_it} names an alias already: leave {alias} out, or name the model alone.")
    return name, with_it or alias


def _tell(move: RegistryMove, storage: str | None, as_json: bool) -> None:
    from trackers.cli import text
    from trackers.cli.models import facts

    if as_json:
        text.print_json(facts(move))
        return
    target = f"{text.plain(move.name)}@{text.plain(move.alias or '')}"
    if not move.written:
        click.echo(f"{target} points at version {move.new_version} already: nothing was changed.")
        return
    print_results(move.details.get("policies", ()))
    if forced := move.details.get("forced"):
        does = "does" if len(forced) == 1 else "do"
        click.echo(f"Forced, though {text.plain(', '.join(forced))} {does} not hold.")
    before = "" if move.old_version is None else f" (before: version {move.old_version})"
    click.echo(f"{target} now points at version {move.new_version}{before}.")
    place = storage if storage and storage != (os.environ.get("HPO_STORAGE") or DEFAULT) else ""
    named = f", store={_text(without_password(place))}" if place else ""
    click.echo(f"Load it:  trackers.load_model({_text(f'models:/{move.name}@{move.alias}')}{named})")


def _dry_run(registry: Registry, name: str, number: int, alias: str, expected: Expected, as_json: bool) -> None:
    from trackers.cli import text

    results = registry.check(name, number, to=alias, expect=expected)
    failed = [result for result in results if not result.holds]
    now = registry.get(name).aliases.get(alias)
    if as_json:
        text.print_json(_verdict(name, number, alias, results, now))
    else:
        print_results([result.as_json() for result in results])
        would = "would not" if failed else "would"
        because = "" if results else " (no policy applies)"
        if now == number:
            click.echo(f"{text.plain(f'{name}@{alias}')} points at version {number} already.")
        else:
            click.echo(
                f"{text.plain(f'{name}@{alias}')} {would} move to version {number}{because}; nothing was changed."
            )
    if failed and now != number:  # there it stays, whatever they say
        click.get_current_context().exit(1)


def _refused(registry: Registry, name: str, number: int, alias: str, results: Sequence[Result], as_json: bool) -> None:
    from trackers.cli import text

    if as_json:
        now = registry.get(name).aliases.get(alias)
        text.print_json(_verdict(name, number, alias, results, now) | {"written": False})
    else:
        print_results([result.as_json() for result in results])


def _verdict(name: str, number: int, alias: str, results: Sequence[Result], now: int | None) -> dict[str, Any]:
    return {
        "name": name,
        "alias": alias,
        "version": number,
        "points_at": now,
        "holds": all(result.holds for result in results),
        "policies": [result.as_json() for result in results],
    }


def _short(name: str, number: int, alias: str, results: Sequence[Result]) -> str:
    failed = [result for result in results if not result.holds]
    what = f"{name} version {number} did not become {alias}: {_count(failed, results)} not hold"
    if all(result.forcible for result in failed):
        return f"{what}. Mend that, or give --force and a --reason."
    return f"{what}, and not everything can be forced: only those who are named may move the alias."


def _count(failed: Sequence[Result], results: Sequence[Result]) -> str:
    policies = "policy" if len(results) == 1 else "policies"
    return f"{len(failed)} of {len(results)} {policies} {'does' if len(failed) == 1 else 'do'}"


def print_results(results: Sequence[dict[str, Any]]) -> None:
    """Print what each policy says, as a line of history holds it."""
    from trackers.cli import text

    room = shutil.get_terminal_size((80, 24)).columns
    for result in results:
        word = "holds" if result["holds"] else "FAILS"
        color = "green" if result["holds"] else "red"
        head = text.plain(f"{result['policy']}: {result['rule']}")
        lines = textwrap.wrap(head, max(40, room - 7)) + textwrap.wrap(text.plain(result["says"]), max(40, room - 9))
        first = len(textwrap.wrap(head, max(40, room - 7)))
        click.echo(f"{click.style(word, fg=color)}  {lines[0]}")
        for index, line in enumerate(lines[1:], 1):
            click.echo(f"{'':7}{line}" if index < first else f"{'':9}{line}")


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)


def _expected(text: str) -> int | None:
    if text.lower() == "none":
        return None
    if not text.isascii() or not text.isdigit():
        raise click.BadParameter(f"{text!r} is no version: give a number, or none.", param_hint="--expect")
    return int(text)
