"""``hpo export``: the trials of a study as csv or json."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hpo.cli.command import Command
from hpo.cli.options import open_store, storage_options, study_argument
from hpo.errors import UserError
from trackers.cli.exit import naming

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trackers.values import StudyRow, Trial


@click.command(cls=Command, example="hpo export digits -o digits.csv\nhpo export digits --format json > digits.json")
@study_argument
@click.option("--format", "kind", type=click.Choice(["csv", "json"]), help="csv or json.  [default: by -o, or csv]")
@click.option("-o", "--output", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path), help="Write to FILE.")
@click.option("--json", "wants_json", is_flag=True, help="The same as --format json.")
@storage_options
def export(
    study: str, kind: str | None, output: Path | None, wants_json: bool, storage: str | None, profile: str | None
) -> None:
    """Write the trials of a study as csv or json.

    One line or object a trial, by number: values, params, metrics, attributes, times, errors.
    """
    if wants_json and kind == "csv":
        raise UserError("--json and --format csv exclude each other: give one of them.")
    if output is not None and not output.absolute().parent.is_dir():
        raise UserError(f"There is no folder {output.parent}: create it, or write elsewhere with -o.")
    kind = kind or ("json" if wants_json or (output is not None and output.suffix == ".json") else "csv")
    with open_store(storage, profile) as store:
        row = store.get_study(study)
        trials = store.get_trials(row.id)
    written = as_csv(row, trials) if kind == "csv" else as_json(row, trials)
    if output is None:
        click.echo(written, nl=False)
    else:
        from trackers.wording import counted

        with naming(output):
            output.write_text(written, encoding="utf-8")
        click.echo(f"Wrote {counted(len(trials), 'trial')} to {output}.", err=True)


def as_json(row: StudyRow, trials: Sequence[Trial]) -> str:
    """Return one object with the study's facts and its trials; NaN and infinity are null."""
    from hpo.cli import facts, text

    listed = [facts.trial_facts(trial, row.metric_names) for trial in trials]
    whole = {"study": facts.study_facts(row), "trials": listed}
    return json.dumps(text.plain(whole), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def as_csv(row: StudyRow, trials: Sequence[Trial]) -> str:
    """Return one line a trial; columns are named as Optuna names them. NaN is ``nan``, what is not there is empty."""
    from hpo.cli import facts

    several = len(row.directions) > 1
    lines: list[dict[str, Any]] = []
    for trial in trials:
        values = facts.named_values(trial, row.metric_names)
        lines.append(
            {
                "number": trial.number,
                "state": trial.state.name,
                **{f"values_{name}" if several else "value": value for name, value in values.items()},
                **{f"params_{name}": _cell(value) for name, value in trial.params.items()},
                **{f"logged_params_{name}": _cell(value) for name, value in trial.logged_params.items()},
                **{f"metrics_{name}": value for name, value in trial.metrics.items()},
                **{f"user_attrs_{name}": _cell(value) for name, value in trial.user_attrs.items()},
                "datetime_start": _time(trial.started_at),
                "datetime_complete": _time(trial.ended_at),
                "seconds": trial.duration.total_seconds() if trial.duration else None,
                "steps": len(trial.intermediate_values),
                "cost": trial.cost,
                "error": trial.error,
                "run": trial.uid,
            }
        )
    head = ["number", "state", *([f"values_{name}" for name in row.metric_names] if several else ["value"])]
    rest = dict.fromkeys(name for line in lines for name in line)
    order = ("params_", "logged_params_", "metrics_", "user_attrs_")
    named = [name for prefix in order for name in rest if name.startswith(prefix)]
    tail = [name for name in rest if name not in head and name not in named]
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, [*head, *named, *tail], lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return buffer.getvalue()


def _cell(value: Any) -> Any:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict) else value


def _time(moment: Any) -> str | None:
    return None if moment is None else moment.isoformat()
