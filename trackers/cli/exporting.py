"""``export``: what this store holds, into other trackers."""

from __future__ import annotations

import os

import click

from trackers.cli.completing import complete_experiment
from trackers.cli.storage import DEFAULT


@click.group(
    "export",
    short_help="Copy what this store holds into MLflow.",
    epilog="\b\nExample:\n  trackers export mlflow http://localhost:5000",
)
def exporting() -> None:
    """Copy what this store holds into another tool; again, and only what is new is added."""


@exporting.command(
    "mlflow",
    short_help="Copy experiments, studies and registered models to MLflow.",
    epilog="\b\nExample:\n  trackers export mlflow http://localhost:5000 digits",
)
@click.argument("target", metavar="URI")
@click.argument("names", nargs=-1, metavar="[EXPERIMENT]...", shell_complete=complete_experiment)
@click.option("--artifacts", metavar="PLACE", help="Where MLflow keeps the files of experiments that are new to it.")
@click.option(
    "--storage", metavar="URL", envvar="HPO_STORAGE", help=f"The store (default: HPO_STORAGE, then {DEFAULT})."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def to_mlflow(target: str, names: tuple[str, ...], artifacts: str | None, storage: str | None, as_json: bool) -> None:
    """Copy experiments and studies (all, or those named) and the registry to MLflow's tracking URI.

    What is deleted or archived here, and versions whose runs are, is left out, counted and named, with the call that
    brings it back. Everything else is read back and compared; exit code 1 where something differs.
    """
    from trackers.cli.copying import print_outcome, say_copied
    from trackers.interop.mlflow.exporting import export_mlflow
    from trackers.store import connect

    with connect(storage or DEFAULT, create=False) as store:
        if (
            "://" not in target
            and not os.path.exists(target)
            and target in {one.name for one in store.list_experiments()}
        ):
            raise click.UsageError(
                f"{target} is an experiment of this store: name MLflow first, as in trackers export mlflow "
                f"sqlite:///mlflow.db {target}"
            )
        outcome = export_mlflow(store, target, experiments=names, artifacts=artifacts, on_experiment=say_copied)
    print_outcome(outcome, as_json)
