"""``policy``: what must hold before an alias moves."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from trackers.cli.completing import complete_alias, complete_model
from trackers.cli.gain import Margin, Part
from trackers.cli.storage import open_store, reading_options
from trackers.wording import suggestion

if TYPE_CHECKING:
    from trackers.policy import Policy, Rule
    from trackers.registry import Registry


@click.group(
    short_help="Say what must hold before an alias moves.",
    epilog="\b\nExamples:\n  trackers policy add good --model fraud --alias production --require 'metrics.auc >= 0.9'\n"
    "  trackers policy list\n  trackers policy remove good --model fraud",
)
def policy() -> None:
    """Set, list and remove policies: what must hold before an alias may point at a version.

    They are kept in the store, and judged in the transaction that moves the alias.
    """


@policy.command(
    epilog="\b\nExamples:\n  trackers policy add good --model fraud --alias production --require 'metrics.auc >= 0.9'\n"
    "  trackers policy add better --model fraud --alias production --better auc --margin 0.005\n"
    "  trackers policy add loss --alias production --better log_loss --minimize --relative 5%\n"
    "  trackers policy add small --max-size 100MB\n"
    "  trackers policy add reviewed --alias production --require \"tags.reviewed = 'yes'\"\n"
    "  trackers policy add two-eyes --alias production --approvals 1 --by ann --by bob\n"
    "  trackers policy add owners --model fraud --alias production --only ann --only bob",
    short_help="Set a policy.",
)
@click.argument("name", shell_complete=complete_model)
@click.option("--model", metavar="NAME", help="The registered model that it is for.  [default: all]")
@click.option(
    "--alias", metavar="ALIAS", shell_complete=complete_alias, help="The alias that it is for.  [default: all]"
)
@click.option("--require", metavar="FILTER", help="The version matches this filter, as in 'metrics.auc >= 0.9'.")
@click.option("--better", metavar="METRIC", help="It beats the champion at this metric, on the same data.")
@click.option("--minimize", is_flag=True, help="With --better: lower is better.")
@click.option("--margin", type=Margin(), default=0.0, metavar="X", help="With --better: by X at least.")
@click.option(
    "--relative", type=Part(), default=0.0, metavar="PART", help="With --better: by this part of its value, as in 5%."
)
@click.option("--sigmas", type=float, default=2.0, show_default=True, help="With --better: by these standard errors.")
@click.option("--than", metavar="ALIAS", help="With --better: the champion's alias.  [default: the one that moves]")
@click.option("--role", metavar="ROLE", help="With --better: only inputs in this role must be the same, as in test.")
@click.option("--max-size", metavar="BYTES", help="Its files have at most so many bytes, as in 100MB.")
@click.option("--committed", is_flag=True, help="Its code is committed and its tree was clean.")
@click.option("--approvals", type=click.IntRange(1), metavar="N", help="So many users approved it.")
@click.option("--by", multiple=True, metavar="USER", help="With --approvals: of these users; may be repeated.")
@click.option("--only", multiple=True, metavar="USER", help="Only these users may move the alias; may be repeated.")
@click.option("--description", default="", help="What it is for.")
@click.option("--reason", default="", help="Why it is set or changed; kept in the history.")
@reading_options
def add(
    name: str,
    model: str | None,
    alias: str | None,
    description: str,
    reason: str,
    storage: str | None,
    as_json: bool,
    **asked: Any,
) -> None:
    """Set the policy NAME, with one rule; one of that name is changed, and gets its next version."""
    from trackers.cli import text

    rule = _rule(asked)
    with open_store(storage) as store:
        made = store.registry.set_policy(name, rule, model=model, alias=alias, description=description, reason=reason)
        notes = list(_no_such_aliases(store.registry, made))
    if as_json:
        text.print_json(policy_facts(made))
    else:
        click.echo(text.plain(f"Policy {made.name} (version {made.version}), for {_scope(made)}: {made.rule}."))
        if asked["better"] and not asked["minimize"]:
            click.echo(text.plain(f"Of {asked['better']} higher is better: --minimize for the other way."))
    for note in notes:
        click.echo(text.plain(note), err=True)


@policy.command(
    "list",
    epilog="\b\nExamples:\n  trackers policy list\n  trackers policy list --model fraud --json",
    short_help="List the policies in force.",
)
@click.option("--model", metavar="NAME", help="Only those that apply to this registered model.")
@click.option("--alias", metavar="ALIAS", shell_complete=complete_alias, help="Only those that apply to this alias.")
@reading_options
def list_policies(model: str | None, alias: str | None, storage: str | None, as_json: bool) -> None:
    """List the policies in force, those for all models first."""
    from trackers.cli import text

    with open_store(storage) as store:
        found = store.registry.policies(model, alias=alias)
    if as_json:
        text.print_json([policy_facts(one) for one in found])
    elif not found:
        click.echo("No policy is in force.")
    else:
        rows = [[p.name, p.model or "all", p.alias or "all", str(p.rule), p.version, p.created_by] for p in found]
        text.print_table(["policy", "model", "alias", "rule", "version", "by"], rows)


@policy.command(epilog="\b\nExample:\n  trackers policy remove good --model fraud", short_help="Remove a policy.")
@click.argument("name", shell_complete=complete_model)
@click.option("--model", metavar="NAME", help="The registered model that it is for.  [default: that for all]")
@click.option("--reason", default="", help="Why; kept in the history.")
@reading_options
def remove(name: str, model: str | None, reason: str, storage: str | None, as_json: bool) -> None:
    """Remove the policy NAME."""
    from trackers.cli import text

    with open_store(storage) as store:
        store.registry.remove_policy(name, model=model, reason=reason)
    if as_json:
        text.print_json({"removed": name, "model": model})
    else:
        click.echo(text.plain(f"Policy {name} {f'of {model}' if model else 'for all models'} is in force no more."))


_DETAILS = {"minimize": False, "margin": 0.0, "relative": 0.0, "sigmas": 2.0, "than": None, "role": None}
_RULES = ("require", "better", "max_size", "committed", "approvals", "only")


def _rule(asked: dict[str, Any]) -> Rule:
    from trackers import policy as rules

    given = [name for name in _RULES if asked[name] not in (None, False, ())]
    if len(given) != 1:
        options = ", ".join(f"--{name.replace('_', '-')}" for name in _RULES)
        raise click.UsageError(f"A policy has one rule: give one of {options}.")
    kind = given[0]
    odd = [name for name, default in _DETAILS.items() if kind != "better" and asked[name] != default]
    odd += ["by"] if asked["by"] and kind != "approvals" else []
    if odd:
        raise click.UsageError(f"--{odd[0]} does not go with --{kind.replace('_', '-')}.")
    if kind == "better":
        details = {name: asked[name] for name in _DETAILS if name != "minimize"}
        return rules.Better(asked["better"], "minimize" if asked["minimize"] else "maximize", **details)
    if kind == "approvals":
        return rules.Approvals(asked["approvals"], asked["by"])
    if kind == "committed":
        return rules.Committed()
    single = {"require": rules.Require, "max_size": rules.MaxSize, "only": rules.Only}
    made: Rule = single[kind](asked[kind])
    return made


def _no_such_aliases(registry: Registry, made: Policy) -> Iterator[str]:
    """Yield what to say where there are aliases, but none yet that the policy names: it may be a typing error."""
    models = registry.list() if made.model is None else [registry.get(made.model)]
    known = sorted({alias for model in models for alias in model.aliases})
    there = f"; {'it has' if made.model else 'there are'} {', '.join(known[:5])}."
    lacks = f"{made.model} has no" if made.model else "No model has the"
    for alias in (made.alias, getattr(made.rule, "than", None)):
        if alias is not None and known and alias not in known:
            yield f"{lacks} alias {alias} yet{suggestion(alias, known) or there}"


def _scope(made: Policy) -> str:
    return f"{made.model or 'all models'}, {f'alias {made.alias}' if made.alias else 'all aliases'}"


def policy_facts(made: Policy) -> dict[str, Any]:
    """Return everything about a policy, as JSON shows it."""
    facts = {field.name: getattr(made, field.name) for field in dataclasses.fields(made)}
    return {**facts, "rule": {"kind": made.rule.kind, **dataclasses.asdict(made.rule)}, "says": str(made.rule)}
