"""``describe``, ``tag``, ``approve`` and ``measure``: what people add to models, versions, aliases, runs, experiments."""

from __future__ import annotations

from collections.abc import Sequence
from shlex import quote
from typing import Any

import click

from trackers.cli.completing import complete_model, complete_reference, complete_version
from trackers.cli.given import check_local, read_number, read_pair, read_pairs
from trackers.cli.storage import open_store, reading_options
from trackers.cli.target import called, find_target, one_version, run_of, split_version


@click.command(
    epilog="\b\nExamples:\n  trackers describe fraud 'Who steals.'\n  trackers describe fraud/3 'With the May data.'\n"
    "  trackers describe fraud@production 'What the shop calls.'\n"
    "  trackers describe --experiment churn 'Customers of 2026.'",
    short_help="Say what a model, a version, an alias or an experiment is.",
)
@click.argument("target", metavar="NAME[/VERSION|@ALIAS]", shell_complete=complete_reference)
@click.argument("text")
@click.option("--experiment", is_flag=True, help="The target is an experiment or a study.")
@reading_options
def describe(target: str, text: str, experiment: bool, storage: str | None, as_json: bool) -> None:
    """Set the description of a registered model, a version, an alias or an experiment."""
    from trackers.cli import text as terminal

    with open_store(storage) as store:
        if experiment:
            store.describe_experiment(target, text)
        else:
            where = find_target(store, target, _describing(target))
            store.registry.describe(text=text, **where)
            target = called(where)
    if as_json:
        terminal.print_json({"target": target, "description": text})
    else:
        click.echo(terminal.plain(f"{target} is described: {text}"))


def _describing(target: str) -> dict[str, str]:
    """Return the calls for what is no part of the registry: a run has no description, and takes a tag."""
    shown = quote(target)
    return {"run": f"trackers tag --run {shown} note=...", "experiment": f"trackers describe --experiment {shown} ..."}


_KINDS = ("run", "experiment")


@click.command(
    epilog="\b\nExamples:\n  trackers tag fraud/3 reviewed=yes\n  trackers tag fraud@production owner=risk\n"
    "  trackers tag fraud --remove team\n  trackers tag --run digits/17 looked=yes",
    short_help="Tag a model, a version, an alias, a run or an experiment.",
)
@click.argument("target", metavar="TARGET", shell_complete=complete_reference)
@click.argument("pairs", metavar="[KEY=VALUE ...]", nargs=-1)
@click.option("--remove", multiple=True, metavar="KEY", help="Remove this tag; may be repeated.")
@click.option("--run", "kind", flag_value="run", help="TARGET is a run or a trial, ended or not.")
@click.option("--experiment", "kind", flag_value="experiment", help="TARGET is an experiment or a study.")
@reading_options
def tag(
    target: str, pairs: Sequence[str], remove: Sequence[str], kind: str | None, storage: str | None, as_json: bool
) -> None:
    """Set or remove tags of a registered model (NAME), a version (NAME/3) or an alias (NAME@ALIAS).

    With --run of a run, with --experiment of an experiment or a study.
    """
    from trackers.cli import text

    tags: dict[str, str | None] = {**read_pairs(pairs, "tag")}
    if both := next((key for key in remove if key in tags), None):
        raise click.UsageError(f"The tag {both} is both set and removed: give one of them.")
    tags |= dict.fromkeys(remove)
    if not tags:
        raise click.UsageError("Give a tag to set, as in reviewed=yes, or one to --remove.")
    with open_store(storage) as store:
        if kind == "run":
            store.tag_run(run_of(store, target), tags)
        elif kind == "experiment":
            store.tag_experiment(target, tags)
        else:
            where = find_target(store, target, {one: f"trackers tag --{one} {quote(target)} ..." for one in _KINDS})
            target = called(where)
            for key, value in tags.items():
                store.registry.set_tag(key=key, value=value, **where)
    if as_json:
        text.print_json({"target": target, "tags": tags})
        return
    for key, value in tags.items():
        click.echo(text.plain(f"{target}: {key} {'is removed' if value is None else f'= {value}'}"))


@click.command(
    epilog="\b\nExamples:\n  trackers approve fraud 3 --comment 'Looked at the errors of May.'\n"
    "  trackers approve fraud 3 --withdraw",
    short_help="Approve a version, for policies that ask for it.",
)
@click.argument("name", shell_complete=complete_model)
@click.argument("version", metavar="VERSION", required=False, shell_complete=complete_version)
@click.option("--comment", default="", help="What was looked at; kept in the history.")
@click.option("--withdraw", is_flag=True, help="Take an approval back.")
@reading_options
def approve(name: str, version: str | None, comment: str, withdraw: bool, storage: str | None, as_json: bool) -> None:
    """Give your word for VERSION (a number or an alias) of the model NAME; both in one are NAME/3 and NAME@ALIAS."""
    from trackers.cli import text

    name, version = one_version(name, version)
    with open_store(storage) as store:
        number = store.registry.version(name, version).version
        is_new = store.registry.approve(name, number, comment=comment, withdraw=withdraw)
        given = store.registry.approvals(name, number)
    if as_json:
        facts = [{"user": one.user, "host": one.host, "time": one.time, "comment": one.comment} for one in given]
        text.print_json({"name": name, "version": number, "changed": is_new, "approvals": facts})
        return
    who = ", ".join(one.user for one in given) or "nobody"
    done = "is approved by" if is_new else "was approved by you already; it is approved by"
    click.echo(text.plain(f"{name} version {number} {done} {who}."))


@click.command(
    epilog="\b\nExamples:\n  trackers measure fraud 3\n"
    "  trackers measure fraud 3 auc=0.91 auc=0.93 auc=0.92 --data test.csv",
    short_help="Record a version's latency, or other figures.",
)
@click.argument("name", shell_complete=complete_model)
@click.argument("version", metavar="VERSION", required=False, shell_complete=complete_version)
@click.argument("pairs", metavar="[FIGURE=VALUE ...]", nargs=-1)
@click.option("--data", metavar="FILE|DIGEST", help="The data that the figures were measured on, or its digest.")
@click.option("--trust", is_flag=True, help="Let the model run code of its own when it is loaded.")
@reading_options
def measure(
    name: str,
    version: str | None,
    pairs: Sequence[str],
    data: str | None,
    trust: bool,
    storage: str | None,
    as_json: bool,
) -> None:
    """Record figures of VERSION of the model NAME (or of NAME/3) that were measured after it was registered.

    Without any, it is loaded here, predicts its input example, and the milliseconds are recorded as latency_ms. A
    figure that is given several times has several repeats, which tell its noise. Versions that were measured on the
    same --data are compared by it in a policy: the whole file is what counts, not its name.
    """
    from trackers.cli import text

    name, version, pairs = split_version(name, version, *pairs)
    figures: dict[str, list[float]] = {}
    for pair in pairs:
        key, value = read_pair(pair, "measure", "FIGURE=VALUE")
        figures.setdefault(key, []).append(_number(key, value))
    if data is not None and not figures:
        raise click.UsageError("--data goes with figures, as in auc=0.91: latency is measured on the input example.")
    if data is not None:
        check_local(data, "--data")
    with open_store(storage) as store:
        number = store.registry.version(name, version).version
        if figures:
            store.registry.record(name, number, figures, data=data)
        else:
            store.registry.measure(name, number, trust=trust)
        found = store.registry.figures(name, number)
    if as_json:
        text.print_json({"name": name, "version": number, "figures": [_figure(one) for one in found]})
        return
    rows = [[one.name, one.value, len(one.values), one.data[:12] or None, one.host, one.time] for one in found]
    text.print_table(["figure", "value", "repeats", "data", "host", "when"], rows)


def _figure(one: Any) -> dict[str, Any]:
    return {name: getattr(one, name) for name in ("name", "value", "values", "data", "time", "actor", "host")}


def _number(key: str, text: str) -> float:
    try:
        number = read_number(text)
    except OverflowError:
        raise click.UsageError(f"The figure {key} is too large for a float: {text[:40]}.") from None
    if number is None:
        raise click.UsageError(f"The figure {key} must be a number, not {text!r}.")
    return number
