"""``import``: what other trackers and tuners hold, and what was archived, into this store."""

from __future__ import annotations

import click

from trackers.cli.storage import DEFAULT


@click.group(
    "import",
    short_help="Copy what Optuna, MLflow or an archive hold into this store.",
    epilog="\b\nExample:\n  trackers import optuna sqlite:///old.db",
)
def importing() -> None:
    """Copy what another tool or an archive holds into this store; again, and only what is new is added."""


@importing.command(
    "optuna",
    short_help="Copy the studies of an Optuna storage.",
    epilog="\b\nExample:\n  trackers import optuna sqlite:///old.db --study sphere",
)
@click.argument("source", metavar="URL")
@click.option("--study", "studies", multiple=True, metavar="NAME", help="Only this study; may be given several times.")
@click.option(
    "--storage", metavar="URL", envvar="HPO_STORAGE", help=f"The store (default: HPO_STORAGE, then {DEFAULT})."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def from_optuna(source: str, studies: tuple[str, ...], storage: str | None, as_json: bool) -> None:
    """Copy the studies of an Optuna storage: its URL, or the path of its SQLite file or journal.

    Every trial is read back and compared; exit code 1 where one differs.
    """
    from trackers.cli import text
    from trackers.cli.copying import differing, say_done
    from trackers.interop.names import fit
    from trackers.interop.optuna.importing import ImportedStudy, import_optuna
    from trackers.store import connect
    from trackers.wording import counted

    def say_copied(one: ImportedStudy) -> None:
        say_done(one.theirs, counted(one.there, "trial"), one.added)

    with connect(storage or DEFAULT) as store:
        found = import_optuna(store, source, studies=studies, on_study=say_copied)
    if as_json:
        text.print_json(
            [
                {
                    "study": one.name,
                    "source_name": one.theirs,
                    "trials": one.there,
                    "added": one.added,
                    "finished": one.finished,
                    "differing": one.differing,
                    "renamed": one.renamed,
                }
                for one in found
            ]
        )
    elif not found:
        click.echo("There are no studies in it.")
    else:
        rows = [[one.name, one.there, one.added, one.finished, differing(len(one.differing))] for one in found]
        text.print_table(["study", "trials", "added", "caught up", "read back"], rows)
        for one in found:
            if one.theirs != one.name:
                click.echo(text.plain(f"note: the study {one.theirs!r:.80} is called {one.name!r} here"))
            for name in one.renamed:
                click.echo(
                    text.plain(f"note: the attribute {name[:60]!r} is called {fit(name, 'attribute')[:60]!r} here")
                )
    if any(one.differing for one in found):
        raise SystemExit(1)


@importing.command(
    "mlflow",
    short_help="Copy experiments, runs and models of MLflow.",
    epilog="\b\nExample:\n  trackers import mlflow sqlite:///mlflow.db --experiment fraud --storage sqlite:///hpo.db",
)
@click.argument("source", metavar="URI")
@click.option(
    "--experiment", "names", multiple=True, metavar="NAME", help="Only this experiment; may be given several times."
)
@click.option(
    "--storage", metavar="URL", envvar="HPO_STORAGE", help=f"The store (default: HPO_STORAGE, then {DEFAULT})."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def from_mlflow(source: str, names: tuple[str, ...], storage: str | None, as_json: bool) -> None:
    """Copy experiments, runs and registered models of MLflow: its tracking URI, or the folder of its files.

    Runs keep their ids and times. Everything is read back and compared; exit code 1 where something differs.
    """
    from trackers.cli.copying import print_outcome, say_copied
    from trackers.interop.mlflow.importing import import_mlflow
    from trackers.store import connect

    with connect(storage or DEFAULT) as store:
        outcome = import_mlflow(store, source, experiments=names, on_experiment=say_copied)
    print_outcome(outcome, as_json)


@importing.command(
    "archive",
    short_help="Read back an archived experiment.",
    epilog="\b\nExample:\n  trackers import archive archive/old-tries --storage sqlite:///hpo.db",
)
@click.argument("source", metavar="FOLDER", type=click.Path(file_okay=False))
@click.option(
    "--storage", metavar="URL", envvar="HPO_STORAGE", help=f"The store (default: HPO_STORAGE, then {DEFAULT})."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def from_archive(source: str, storage: str | None, as_json: bool) -> None:
    """Read back an archive: what `trackers archive EXPERIMENT --to FOLDER` wrote, into any store.

    Runs keep their uids, states and times, with every attempt and point. Everything is read back and compared; exit
    code 1 where something differs.
    """
    from trackers.cli.copying import print_outcome
    from trackers.store import connect

    with connect(storage or DEFAULT) as store:
        outcome = store.import_archive(source)
    print_outcome(outcome, as_json)
