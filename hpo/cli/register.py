"""``hpo register`` and ``hpo refit``: from a study to a model that is used."""

from __future__ import annotations

import click

from hpo.cli.command import Command
from hpo.cli.options import (
    loading,
    open_store,
    outcome_json_option,
    storage_options,
    stored_url,
    study_argument,
    where,
)
from hpo.errors import UserError
from hpo.wording import quoted

trial_option = click.option(
    "--trial", type=click.IntRange(0), metavar="N", help="The number of the trial.  [default: the best]"
)


@click.command(
    cls=Command,
    example='hpo register digits digits-model\nhpo register digits digits-model --trial 17 --description "small"',
)
@study_argument
@click.argument("name", metavar="NAME")
@trial_option
@click.option("--run", metavar="RUN", help="Register the model of a refit: the run that `hpo refit` printed.")
@click.option("--description", default="", metavar="TEXT", help="What to know of this version.")
@click.option("--reason", default="", metavar="TEXT", help="Why, for the registry's history.")
@storage_options
@outcome_json_option
def register(
    study: str,
    name: str,
    trial: int | None,
    run: str | None,
    description: str,
    reason: str,
    storage: str | None,
    profile: str | None,
    as_json: bool,
) -> None:
    """Register a study's best model as NAME.

    It becomes the next version of NAME, with where it came from: study, trial, params, code, packages, data.
    """
    from hpo.cli import reference

    with open_store(storage, profile) as store:
        from hpo.study import Study

        row = store.get_study(study)
        if trial is not None and run is not None:
            raise UserError("--trial and --run exclude each other: give one of them.")
        if trial is not None:
            reference.find_trial(store, row, trial)
        version = Study(store, row).register(name, trial=trial, run=run, description=description, reason=reason)
    if as_json:
        from hpo.cli import text

        keys = ("name", "version", "source", "created_at", "created_by", "description", "metrics", "lineage")
        text.print_json({key: getattr(version, key) for key in keys})
        return
    url = stored_url(storage, profile)
    called = quoted(version.name)
    click.echo(f"Registered {version.name} version {version.version}, from {version.source}.")
    click.echo(f"Promote:  hpo promote {called} {version.version} --to production{where(url)}")
    click.echo(f"Load:     {loading(f'models:/{version.name}/{version.version}', url)}")


@click.command(cls=Command, example="hpo refit digits study.py:train\nhpo refit digits study.py:train --trial 17")
@study_argument
@click.argument("function", metavar="FILE:NAME")
@trial_option
@storage_options
@outcome_json_option
def refit(
    study: str, function: str, trial: int | None, storage: str | None, profile: str | None, as_json: bool
) -> None:
    """Train once more with the best params.

    NAME in FILE is called with a trial that has them, as a run of its own. The model it logs with trial.log_model is
    kept, and can be registered.
    """
    from hpo.cli import reference
    from hpo.objective_file import load_objective

    with open_store(storage, profile) as store:
        row = store.get_study(study)
        if trial is not None:
            reference.find_trial(store, row, trial)
        loaded = load_objective(function)
        from hpo.study import Study

        run = Study(store, row).refit(loaded.function, trial=trial)
        done = store.get_run(run)
        model = store.get_logged_model(done)
    from hpo.cli import text
    from hpo.ranking import wording

    if as_json:
        uid = None if model is None else model.uid
        text.print_json({"study": row.name, "run": str(run), "model": uid, "metrics": dict(done.metrics)})
        return
    url = stored_url(storage, profile)
    click.echo(f"Trained {row.name} again with {loaded.name}: run {run}.")
    for name, value in done.metrics.items():
        click.echo(f"Result:    {name} {wording.number(value)}")
    if model is None:
        click.echo("It logged no model.")
        return
    click.echo(f"Register:  hpo register {quoted(row.name)} MODEL-NAME --run {run}{where(url)}")
    click.echo(f"Load:      {loading(f'runs:/{run}', url)}")
    click.echo(f"Look:      trackers show {run}{where(url)}")
