"""``models``: what is registered."""

from __future__ import annotations

import dataclasses
import shutil
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from trackers.cli.completing import complete_model
from trackers.cli.storage import open_store, reading_options
from trackers.wording import cut

if TYPE_CHECKING:
    from trackers.registry import Registry
    from trackers.values import Alias, LoggedModel, ModelVersion, RegisteredModel, RegistryMove

_SHOWN_MOVES = 10
_SHOWN_METRICS = 4
_LONGEST_TEXT = 60
"""So many characters of a description stand in a line of history."""


@click.command(
    epilog="\b\nExamples:\n  trackers models\n  trackers models fraud --json",
    short_help="List registered models, or the versions of one.",
)
@click.argument("name", required=False, shell_complete=complete_model)
@reading_options
def models(name: str | None, storage: str | None, as_json: bool) -> None:
    """List the registered models, or the versions, aliases and history of the one called NAME."""
    with open_store(storage) as store:
        if name is None:
            _show_all(store.registry.list(), as_json)
        else:
            _show_one(store.registry, name, as_json)


def _show_all(found: Sequence[RegisteredModel], as_json: bool) -> None:
    from trackers.cli import text

    if as_json:
        text.print_json([facts(model) for model in found])
        return
    if not found:
        click.echo("No model is registered yet: trackers register RUN NAME, hpo register STUDY NAME")
        return
    rows = [
        [
            _name_cell(model.name),
            model.latest or None,
            ", ".join(f"{alias}={version}" for alias, version in model.aliases.items()) or None,
            model.created_at,
            model.description or None,
        ]
        for model in found
    ]
    text.print_table(["model", "newest", "aliases", "since", "about"], rows)


def _name_cell(name: str) -> str:
    """Return a name for a listing: on a terminal it takes half of a line at most."""
    return cut(name, shutil.get_terminal_size((80, 24)).columns // 2) if sys.stdout.isatty() else name


def _show_one(registry: Registry, name: str, as_json: bool) -> None:
    from trackers.cli import text
    from trackers.cli.policy import policy_facts

    model, versions, moves = registry.get(name), registry.versions(name), registry.history(name)
    aliases, policies = registry.aliases(name), registry.policies(name)
    saved = registry.models_of(versions)
    if as_json:
        named = [facts(alias) for alias in aliases]
        listed = [{**facts(v), **_model_facts(saved.get(v.version))} for v in versions]
        parts = {"alias_notes": named, "versions": listed, "history": [facts(m) for m in moves]}
        parts["policies"] = [policy_facts(one) for one in policies]
        text.print_json({**facts(model), **parts})
        return
    text.print_fields([("model", model.name), ("about", model.description), *model.tags.items()])
    click.echo()
    if versions:
        heads = ["version", "aliases", "made", "by", "from", "metrics", "flavour", "bytes", "signature"]
        text.print_table(heads, [[*_version_row(v), *_model_row(saved.get(v.version))] for v in versions])
    else:
        called = text.plain(model.name)
        click.echo(f"It has no version yet:  trackers register RUN {called}, or hpo register STUDY {called}")
    noted = [[v.version, *_notes(v)] for v in versions if v.description or v.tags]
    if noted:
        click.echo()
        text.print_table(["version", "about", "tags"], noted)
    if any(alias.description or alias.tags for alias in aliases):
        click.echo()
        rows = [[alias.alias, alias.version, *_notes(alias)] for alias in aliases]
        text.print_table(["alias", "version", "about", "tags"], rows)
    if policies:
        click.echo()
        rows = [[one.name, one.alias or "all", str(one.rule)] for one in policies]
        text.print_table(["policy", "alias", "rule"], rows)
    click.echo()
    text.print_table(["when", "what", "who", "why"], [move_row(move) for move in moves[-_SHOWN_MOVES:]])


def _version_row(version: ModelVersion) -> list[Any]:
    from trackers.cli import text

    shown = [f"{key}={_figure(value)}" for key, value in list(version.metrics.items())[:_SHOWN_METRICS]]
    aliases, metrics = ", ".join(version.aliases), ", ".join(shown)
    run = version.lineage.get("run")
    source = version.source or (text.run_cell(run) if isinstance(run, str) else None)
    return [version.version, aliases or None, version.created_at, version.created_by, source, metrics or None]


def _figure(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, int | float) else str(value)  # an older release took any


def _model_facts(model: LoggedModel | None) -> dict[str, Any]:
    """Return what kind of model a version is, as JSON shows it."""
    if model is None:
        return {"flavor": None, "size": None, "signature": None}
    signature = {"input": model.manifest.get("input"), "output": model.manifest.get("output")}
    return {"flavor": model.flavor, "size": model.size, "signature": signature}


def _model_row(model: LoggedModel | None) -> list[Any]:
    if model is None:
        return [None, None, None]
    from trackers.models.schema import in_words

    given, made = (in_words(model.manifest.get(key)) for key in ("input", "output"))
    return [model.flavor, model.size, f"{given} -> {made}"]


def _notes(one: ModelVersion | Alias) -> list[Any]:
    return [one.description or None, ", ".join(f"{key}={value}" for key, value in one.tags.items()) or None]


def move_row(move: RegistryMove) -> list[Any]:
    """Return the cells of a line of history: when, what, who, why."""
    return [move.time, _what(move), f"{move.actor}@{move.host}", move.reason or None]


def _what(move: RegistryMove) -> str:
    details = move.details
    if move.action in {"promote", "unset", "rollback"}:
        before, after = ("nothing" if v is None else str(v) for v in (move.old_version, move.new_version))
        forced, over = (", forced", f", over {', '.join(details['forced'])}") if details.get("forced") else ("", "")
        said = {"rollback": ", rolled back"}.get(move.action, "")
        return f"{move.alias}{forced}: {before} -> {after}{said}{over}"
    if "policy" in details:
        scope = f" for all models{f', {move.alias}' if move.alias else ''}" if not move.name else ""
        rule = f": {_rule(details['rule'])}" if details.get("rule") else ""
        return f"{move.action} {details['policy']} (version {details['version']}){scope}{rule}"
    if move.action == "delete":
        return f"delete version {move.old_version}" if move.old_version is not None else "delete the model"
    about = f"version {move.new_version}" if move.new_version is not None else move.alias or ""
    what = f"{move.action} {about}".rstrip()
    if move.action == "tag" and details.get("value") is None:
        return f"{f'{about}: ' if about else ''}tag {details.get('key')} removed"
    if move.action == "tag":
        return f"{what}: {details.get('key')} = {details.get('value')}"
    if move.action == "describe" and "description" in details:
        return f"{what}: {_beginning(str(details['description']))}"
    if move.action == "measure":
        figures = details.get("figures", {})
        return f"{what}: {', '.join(f'{name}={_measured(values)}' for name, values in figures.items())}"
    return what


def _measured(values: Sequence[float]) -> str:
    return " ".join(map(_figure, values[:_SHOWN_METRICS])) + (" ..." if len(values) > _SHOWN_METRICS else "")


def _rule(written: Mapping[str, Any]) -> str:
    from trackers.errors import InvalidValueError
    from trackers.policy.rule import rule_from_json

    try:
        return str(rule_from_json(written))
    except InvalidValueError:  # of a newer release
        return str(written.get("kind"))


def _beginning(description: str) -> str:
    text = " ".join(description.split())
    return (text if len(text) <= _LONGEST_TEXT else f"{text[: _LONGEST_TEXT - 1].rstrip()}…") or "no text any more"


def facts(value: RegisteredModel | ModelVersion | RegistryMove | Alias) -> dict[str, Any]:
    """Return everything about *value*, as JSON shows it."""
    return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
