"""``show``: everything about one run."""

from __future__ import annotations

from typing import Any

import click

from trackers.cli.launch import launch_facts, launch_lines, run_ref
from trackers.cli.storage import open_store, reading_options


@click.command(
    short_help="Show a run.",
    epilog="\b\nExamples:\n  trackers show digits/17\n  trackers show digits/17 --history accuracy --json",
)
@click.argument("run", metavar="RUN")
@click.option("--history", "key", metavar="METRIC", help="Show every point of this metric.")
@click.option("--context", default="", help="The context of that metric, as in split=val.")
@reading_options
def show(run: str, key: str | None, context: str, storage: str | None, as_json: bool) -> None:
    """Show a run: RUN is its 32 hex digits, its id, or STUDY/NUMBER."""
    from trackers.cli import text

    with open_store(storage) as store:
        found = store.get_run(run_ref(run))
        if key is not None:
            points = store.metric_history(found, key, context)
            rows: list[dict[str, Any]] = [
                {"step": point.step, "value": point.value, "time": point.time, "attempt": point.attempt}
                for point in points
            ]
            if as_json:
                text.print_json({"run": found.path, "key": key, "context": context, "points": rows})
            else:
                text.print_table(["step", "value", "time"], [[row["step"], row["value"], row["time"]] for row in rows])
            return
        series, files = store.metrics(found), store.list_artifacts(found)
        launch, inputs = store.launch(found), store.inputs(found)
    if as_json:
        facts = text.run_facts(found)
        facts["series"] = [
            {name: getattr(one, name) for name in ("key", "context", "count", "last", "last_step", "min", "max")}
            for one in series
        ]
        facts["artifacts"] = [{"name": file.name, "digest": file.digest, "size": file.size} for file in files]
        text.print_json({**facts, **launch_facts(launch, inputs)})
        return
    text.print_fields(
        [
            ("run", found.path),
            ("id", found.id),
            ("uid", found.uid),
            ("experiment", found.experiment),
            ("name", found.name),
            ("state", found.state),
            ("error", found.error),
            ("values", ", ".join(map(text.show, found.values or ()))),
            ("created", found.created_at),
            ("started", found.started_at),
            ("ended", found.ended_at),
            ("user", f"{found.user} on {found.host}"),
            *launch_lines(launch, inputs),
            *((f"params.{name}", repr(value)) for name, value in found.params.items()),
            *((f"tags.{name}", value) for name, value in found.tags.items()),
        ]
    )
    if series:
        click.echo()
        heads = ["metric", "points", "last", "step", "min", "max"]
        shown = [(f"{one.key}{{{one.context}}}" if one.context else one.key, one) for one in series]
        text.print_table(heads, [[n, one.count, one.last, one.last_step, one.min, one.max] for n, one in shown])
    if files:
        click.echo()
        text.print_table(["file", "bytes", "digest"], [[file.name, file.size, file.digest[:12]] for file in files])
