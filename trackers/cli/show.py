"""``show``: everything about one run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

import click

from trackers.cli.launch import launch_facts, launch_lines
from trackers.cli.storage import open_store, reading_options
from trackers.cli.target import run_of

if TYPE_CHECKING:
    from trackers.store import Store
    from trackers.values import ArtifactRow, Attempt, LoggedModel, MetricSummary, ModelVersion, Run, RunError

_CHILDREN = 5
"""So many children are named; of the others it is said how many there are."""


@click.command(
    short_help="Show a run.",
    epilog="\b\nExamples:\n  trackers show digits/17\n  trackers show digits/17 --history accuracy --json",
)
@click.argument("run", metavar="RUN")
@click.option("--history", "key", metavar="METRIC", help="Show every point of this metric.")
@click.option("--context", default="", help="The context of that metric, as in split=val.")
@reading_options
def show(run: str, key: str | None, context: str, storage: str | None, as_json: bool) -> None:
    """Show a run: RUN is its uid (or its first 16 digits), its id, STUDY/NUMBER, or a version that came from it.

    Its params, tags, code and data, its parent and children, metrics, files and models, and the registered versions
    that came from it. With --json its parent and children go by their uids.
    """
    if context and key is None:
        raise click.UsageError("--context goes with --history METRIC.")
    with open_store(storage) as store:
        found = run_of(store, run)
        if key is not None:
            _print_history(store, found, key, context, as_json)
            return
        series, files = store.metrics(found), store.list_artifacts(found)
        launch, inputs = store.launch(found), store.inputs(found)
        family, error, attempts = _read_family(store, found), store.error(found), store.attempts(found)
    if as_json:
        from trackers.cli import text

        facts = text.run_facts(found)
        facts["series"] = [
            {name: getattr(one, name) for name in ("key", "context", "count", "last", "last_step", "min", "max")}
            for one in series
        ]
        facts["artifacts"] = [{"name": file.name, "digest": file.digest, "size": file.size} for file in files]
        facts["attempts"] = [text.attempt_facts(one) for one in attempts]
        facts |= {"error_type": error and error.type, "traceback": error and error.traceback}
        text.print_json({**facts, **family.facts(), **launch_facts(launch, inputs)})
        return
    _print_fields(found, error, [*family.lines(), *launch_lines(launch, inputs)])
    if len(attempts) > 1 or (error is None and any(one.reason for one in attempts)):
        _print_attempts(attempts)
    _print_tables(series, files, family.models)
    if error is not None and error.traceback:
        from trackers.cli.text import plain_lines

        click.echo(f"\n{plain_lines(error.traceback.rstrip())}")


def _print_history(store: Store, run: Run, key: str, context: str, as_json: bool) -> None:
    from trackers.cli import text

    if not context and key.endswith("}"):  # as listings write it: loss{split=train}
        key, _, context = key[:-1].partition("{")
    points = store.metric_history(run, key, context)
    if as_json:
        rows = [{"step": p.step, "value": p.value, "time": p.time, "attempt": p.attempt} for p in points]
        text.print_json({"run": run.path, "key": key, "context": context, "points": rows})
    else:
        text.print_table(["step", "value", "time"], [[p.step, p.value, p.time] for p in points])


def _print_fields(run: Run, error: RunError | None, more: Sequence[tuple[str, Any]]) -> None:
    """Print what there is one of; *more* stands before the params."""
    from trackers.cli import text

    why = "" if error is None else ": ".join(part for part in (error.type, error.message) if part)
    text.print_fields(
        [
            ("run", run.path),
            ("id", run.id),
            ("uid", run.uid),
            ("experiment", run.experiment),
            ("name", run.name),
            ("state", run.state),
            ("error", text.shortened(why)),
            ("values", ", ".join(map(text.show, run.values or ()))),
            ("created", run.created_at),
            ("started", run.started_at),
            ("ended", run.ended_at),
            ("user", f"{run.user} on {run.host}"),
            *more,
            *_some("params", {name: repr(value) for name, value in run.params.items()}),
            *_some("tags", run.tags),
        ]
    )


def _print_attempts(attempts: Sequence[Attempt]) -> None:
    from trackers.cli import text

    click.echo()
    heads = ["attempt", "started", "took", "outcome", "process", "why"]
    rows = [
        [a.number, a.started_at, f"{a.seconds:.1f} s", a.outcome or "running", f"{a.pid} on {a.host}", a.reason]
        for a in attempts
    ]
    text.print_table(heads, rows)


def _some(kind: str, found: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return the first of many as fields, each cut where it is long, and how many are left out."""
    from trackers.cli.text import MOST, shortened

    shown = [(f"{kind}.{name}", shortened(value)) for name, value in islice(found.items(), MOST)]
    return shown + ([(f"{kind} ...", f"{len(found) - MOST:,} more: --json has all")] if len(found) > MOST else [])


def _say_more(amount: int) -> None:
    from trackers.cli import text

    if amount > text.MOST:
        click.echo(text.more(amount - text.MOST))


def _print_tables(series: Sequence[MetricSummary], files: Sequence[ArtifactRow], models: Sequence[LoggedModel]) -> None:
    """Print what there are many of, each kind where there is one."""
    from trackers.cli import text

    if series:
        click.echo()
        heads = ["metric", "points", "last", "step", "min", "max"]
        shown = [(f"{one.key}{{{one.context}}}" if one.context else one.key, one) for one in series]
        text.print_table(
            heads, [[n, one.count, one.last, one.last_step, one.min, one.max] for n, one in shown[: text.MOST]]
        )
        _say_more(len(series))
    if files:
        click.echo()
        text.print_table(
            ["file", "bytes", "digest"], [[file.name, file.size, file.digest[:12]] for file in files[: text.MOST]]
        )
        _say_more(len(files))
    if models:
        click.echo()
        text.print_table(["model", "flavour", "bytes", "uid"], [[m.name, m.flavor, m.size, m.uid] for m in models])


@dataclass(frozen=True)
class _Family:
    """What a run belongs to, and what came of it; *children* are the first of *child_count*."""

    parent: Run | None
    child_count: int
    children: Sequence[Run]
    models: Sequence[LoggedModel]
    versions: Sequence[ModelVersion]

    def lines(self) -> list[tuple[str, str]]:
        """Return parent, children and versions as lines: (what, text)."""
        lines = []
        if self.parent is not None:
            lines.append(("parent", _called(self.parent)))
        if self.child_count:
            more = self.child_count - len(self.children)
            listed = ", ".join(f"{_called(child)} {child.state.name}" for child in self.children)
            lines.append(("children", f"{self.child_count}: {listed}{f' and {more} more' if more else ''}"))
        if self.versions:
            lines.append(("registered as", ", ".join(map(_version, self.versions))))
        return lines

    def facts(self) -> dict[str, Any]:
        """Return the same for ``--json``."""
        return {
            "parent": None if self.parent is None else _short(self.parent),
            "child_count": self.child_count,
            "children": [_short(child) for child in self.children],
            "models": [
                {"name": one.name, "uid": one.uid, "flavor": one.flavor, "size": one.size, "created_at": one.created_at}
                for one in self.models
            ],
            "versions": [
                {"name": one.name, "version": one.version, "aliases": one.aliases, "model_uid": one.model_uid}
                for one in self.versions
            ],
        }


def _read_family(store: Store, run: Run) -> _Family:
    parent = None if run.parent_id is None else store.get_run(run.parent_id)
    count, children = store.children(run, limit=_CHILDREN)
    return _Family(parent, count, children, store.list_logged_models([run.id]), store.registry.versions_of_run(run.id))


def _called(run: Run) -> str:
    from trackers.cli.text import run_cell

    shown = run_cell(run.path)
    return f"{shown} ({run.name})" if run.name and run.name != run.path else shown


def _short(run: Run) -> dict[str, Any]:
    return {"run": run.path, "uid": run.uid, "name": run.name, "state": run.state}


def _version(version: ModelVersion) -> str:
    aliases = f" ({', '.join(version.aliases)})" if version.aliases else ""
    return f"{version.name}/{version.version}{aliases}"
