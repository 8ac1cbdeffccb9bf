"""``hpo compare``: studies or trials side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from hpo.cli.command import Command
from hpo.cli.life import standing
from hpo.cli.options import complete_trial, json_option, open_store, storage_options
from hpo.errors import UserError

if TYPE_CHECKING:
    from trackers.store import Store


TAKEN = "studies (digits), trials (digits/17), or two versions (NAME@ALIAS, models:/NAME/3)"


@click.command(
    cls=Command,
    short_help="Put studies, trials or versions of models side by side.",
    example="hpo compare digits/17 digits/23\nhpo compare digits letters\nhpo compare digits-model@production models:/digits-model/4",
)
@click.argument("references", metavar="A B ...", nargs=-1, required=True, shell_complete=complete_trial)
@click.option("--changed", is_flag=True, help="Show only the lines that differ.")
@storage_options
@json_option
def compare(
    references: tuple[str, ...], changed: bool, storage: str | None, profile: str | None, as_json: bool
) -> None:
    """Put studies, trials, or two versions of models side by side.

    A study goes by its name, a trial as STUDY/17, a version of a registered model as NAME@ALIAS or models:/NAME/3;
    all of them are of one kind.
    """
    from hpo.cli import reference, text
    from trackers.cli.text import first_of_each, more

    if any("@" in word or word.startswith("models:/") for word in references):
        _versions(references, changed, storage, profile, as_json)
        return
    parts = [reference.split(word) for word in references]
    if len(parts) < 2:
        raise UserError(f"Name two or more to compare: {TAKEN}.")
    if len({number is None for _, number in parts}) > 1:
        raise UserError(f"What is compared is of one kind: {TAKEN}.")
    with open_store(storage, profile) as store:
        _refuse_models(store, parts)
        columns = [_study(store, study) if n is None else _trial(store, study, n) for study, n in parts]
    if as_json:
        text.print_json([{"reference": word, **column} for word, column in zip(references, columns, strict=True)])
        return
    names = sorted(dict.fromkeys(name for column in columns for name in column), key=_group)
    rows = [[name, *(_cell(column, name) for column in columns)] for name in names]
    if changed:
        rows = [row for row in rows if len(set(row[1:])) > 1]
    rows, left_out = first_of_each(rows, lambda row: _group(row[0]))
    click.echo(text.table(["", *references], rows))
    if left_out:
        click.echo(more(left_out))


def _versions(
    references: tuple[str, ...], changed: bool, storage: str | None, profile: str | None, as_json: bool
) -> None:
    from trackers.cli.history import show_comparison

    if len(references) != 2 or not all("@" in word or word.startswith("models:/") for word in references):
        raise UserError("Two versions are compared: hpo compare digits-model@production models:/digits-model/4.")
    with open_store(storage, profile) as store:
        show_comparison(store.registry.compare(*references), changed, as_json)


def _refuse_models(store: Store, parts: Sequence[tuple[str, int | None]]) -> None:
    """Raise UserError for the name of a registered model that is no study: its versions go by another name."""
    from trackers.errors import NotFoundError

    for name, number in parts:
        try:
            store.get_study(name)
        except NotFoundError as exc:
            if name not in {model.name for model in store.registry.list()}:
                raise NotFoundError(f"{str(exc).rstrip('.')}. Compared are {TAKEN}.") from None
            version = number or 1
            raise UserError(
                f"{name} is no study but a registered model: name its versions as models:/{name}/{version}, or by an "
                f"alias as {name}@ALIAS."
            ) from None


def _group(name: str) -> int:
    """Tell where a line stands: facts first, then params, metrics, attributes, errors; each as they came."""
    groups = ["params", "metrics", "attrs", "error"]
    prefix = name.partition(".")[0]
    return 1 + groups.index(prefix) if prefix in groups else 0


def _cell(column: Mapping[str, Any], name: str) -> str:
    from hpo.ranking import wording

    return wording.param(column[name]) if column.get(name) is not None else wording.NONE


def _study(store: Store, name: str) -> dict[str, Any]:
    from hpo.cli import facts
    from hpo.ranking import Ranking

    row = store.get_study(name)
    trials = store.get_trials(row.id, points=False)
    ranking = Ranking(row, trials)
    best = ranking.best
    found = {
        "goal": facts.goal(row),
        "status": standing(row),
        "trials": facts.tried(row),
        "states": facts.state_line(row.counts),
        "core-seconds": sum(trial.cost for trial in trials),
        "best trial": None if best is None else best.number,
    }
    if best is not None:
        found |= {f"best {name}": value for name, value in facts.named_values(best, row.metric_names).items()}
        found |= {f"params.{name}": value for name, value in best.params.items()}
    return found


def _trial(store: Store, study: str, number: int) -> dict[str, Any]:
    from hpo.cli import facts, reference

    row = store.get_study(study)
    trial = reference.find_trial(store, row, number)
    return {
        "state": trial.state.name,
        **facts.named_values(trial, row.metric_names),
        "steps": len(trial.intermediate_values),
        "seconds": trial.duration.total_seconds() if trial.duration else None,
        "core-seconds": trial.cost,
        **{f"params.{name}": value for name, value in trial.params.items()},
        **{f"logged.{name}": value for name, value in trial.logged_params.items()},
        **{f"metrics.{name}": value for name, value in trial.metrics.items() if name not in row.metric_names},
        **{f"attrs.{name}": value for name, value in trial.user_attrs.items()},
        "error": trial.error,
    }
