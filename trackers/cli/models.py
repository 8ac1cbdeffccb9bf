"""``models`` and ``promote``: the registry in the terminal."""

from __future__ import annotations

import dataclasses
import json
import os
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from trackers.cli.storage import DEFAULT, open_store, reading_options

if TYPE_CHECKING:
    from trackers.registry import Registry
    from trackers.values import ModelVersion, RegisteredModel, RegistryMove

_SHOWN_MOVES = 10
_SHOWN_METRICS = 4


@click.command(
    epilog="\b\nExample:\n  hpo models\n  hpo models fraud --json",
    short_help="List registered models, or the versions of one.",
)
@click.argument("name", required=False)
@reading_options
def models(name: str | None, storage: str | None, as_json: bool) -> None:
    """List the registered models, or the versions, aliases and history of the one called NAME."""
    with open_store(storage) as store:
        if name is None:
            _show_all(store.registry.list(), as_json)
        else:
            _show_one(store.registry, name, as_json)


@click.command(
    epilog="\b\nExample:\n  hpo promote fraud 3 --to production --reason 'beats 2 on the May data' --expect 2",
    short_help="Point an alias of a model at a version.",
)
@click.argument("name")
@click.argument("version")
@click.option("--to", "alias", required=True, metavar="ALIAS", help="The alias to move, such as production.")
@click.option("--reason", default="", help="Why; kept in the history.")
@click.option("--expect", metavar="VERSION", help="Refuse unless the alias points at this version (or: none).")
@reading_options
def promote(
    name: str, version: str, alias: str, reason: str, expect: str | None, storage: str | None, as_json: bool
) -> None:
    """Point the alias ALIAS of the model NAME at VERSION (a number, or another alias).

    With --expect the move is refused when somebody else moved the alias first. Who moved it, when, from where and why
    is kept in the model's history.
    """
    from trackers.registry import UNSET

    with open_store(storage) as store:
        number = store.registry.version(name, version).version
        expected = UNSET if expect is None else _expected(expect)
        move = store.registry.promote(name, number, to=alias, reason=reason, expect=expected)
    if as_json:
        from trackers.cli import text

        text.print_json(_facts(move))
        return
    before = "" if move.old_version is None else f" (before: version {move.old_version})"
    click.echo(f"{move.name}@{move.alias} now points at version {move.new_version}{before}.")
    place = storage if storage and storage != (os.environ.get("HPO_STORAGE") or DEFAULT) else ""
    named = f", store={_text(_without_password(place))}" if place else ""
    click.echo(f"Load it:  trackers.load_model({_text(f'models:/{move.name}@{move.alias}')}{named})")


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)


def _without_password(url: str) -> str:
    return re.sub(r"(://[^/@:]*):[^/]*@", r"\1:***@", url)


def _expected(text: str) -> int | None:
    if text.lower() == "none":
        return None
    if not text.isascii() or not text.isdigit():
        raise click.BadParameter(f"{text!r} is no version: give a number, or none.", param_hint="--expect")
    return int(text)


def _show_all(found: Sequence[RegisteredModel], as_json: bool) -> None:
    from trackers.cli import text

    if as_json:
        text.print_json([_facts(model) for model in found])
        return
    if not found:
        click.echo("No model is registered yet:  hpo register STUDY NAME")
        return
    rows = [
        [
            model.name,
            model.latest or None,
            ", ".join(f"{alias}={version}" for alias, version in model.aliases.items()) or None,
            model.created_at,
            model.description or None,
        ]
        for model in found
    ]
    text.print_table(["model", "newest", "aliases", "since", "about"], rows)


def _show_one(registry: Registry, name: str, as_json: bool) -> None:
    from trackers.cli import text

    model, versions, moves = registry.get(name), registry.versions(name), registry.history(name)
    if as_json:
        parts = {"versions": [_facts(v) for v in versions], "history": [_facts(m) for m in moves]}
        text.print_json({**_facts(model), **parts})
        return
    text.print_fields([("model", model.name), ("about", model.description), *model.tags.items()])
    click.echo()
    if versions:
        text.print_table(["version", "aliases", "made", "by", "from", "metrics"], [_version_row(v) for v in versions])
    else:
        click.echo(f"It has no version yet:  hpo register STUDY {text.plain(model.name)}")
    click.echo()
    text.print_table(["when", "who", "what", "why"], [_move_row(move) for move in moves[-_SHOWN_MOVES:]])


def _version_row(version: ModelVersion) -> list[Any]:
    shown = [f"{key}={value:.6g}" for key, value in list(version.metrics.items())[:_SHOWN_METRICS]]
    aliases, metrics = ", ".join(version.aliases), ", ".join(shown)
    made_by, source = version.created_by, version.source
    return [version.version, aliases or None, version.created_at, made_by, source or None, metrics or None]


def _move_row(move: RegistryMove) -> list[Any]:
    what = move.action if move.new_version is None else f"{move.action} version {move.new_version}"
    if move.alias is not None:
        before, after = ("nothing" if v is None else str(v) for v in (move.old_version, move.new_version))
        what = f"{move.alias}: {before} -> {after}"
    return [move.time, f"{move.actor}@{move.host}", what, move.reason or None]


def _facts(value: RegisteredModel | ModelVersion | RegistryMove) -> dict[str, Any]:
    return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
