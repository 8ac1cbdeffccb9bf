"""``rename``, ``archive``, ``delete`` and ``restore``: what becomes of a run or an experiment."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from trackers.cli.storage import open_store, reading_options
from trackers.errors import NotFoundError
from trackers.states import RunState
from trackers.wording import counted

if TYPE_CHECKING:
    from trackers.store import Store

_UID = re.compile(r"[0-9a-fA-F]{8,32}")
_WHOLE_UID = 32


def _is_run(store: Store, word: str) -> bool:
    """Tell whether *word* names a run (its id, its hex digits, STUDY/NUMBER) and not an experiment.

    The beginning of a uid may be the name of an experiment, too: then it is that.
    """
    if "/" in word or (word.isascii() and word.isdigit() and len(word) < 19):
        return True
    if not _UID.fullmatch(word):
        return False
    return len(word) == _WHOLE_UID or all(one.name != word for one in store.list_experiments("all"))


def _run_ref(word: str) -> int | str:
    return int(word) if word.isdigit() else word


def _say(as_json: bool, sentence: str, **facts: Any) -> None:
    if as_json:
        from trackers.cli import text

        text.print_json(facts)
    else:
        click.echo(sentence)


_what = click.argument("what", metavar="RUN|EXPERIMENT")


@click.command(epilog="\b\nExamples:\n  trackers rename fraud fraud-2026\n  trackers rename 0199... 'with dropout'")
@_what
@click.argument("name")
@reading_options
def rename(what: str, name: str, storage: str | None, as_json: bool) -> None:
    """Give a run, an experiment or a study another NAME.

    A run goes by its id, its uid (or its first 16 digits) or STUDY/NUMBER; the name of an experiment must be
    free.
    """
    kept = ""
    with open_store(storage) as store:
        if _is_run(store, what):
            kind = "run"
            store.rename_run(_run_ref(what), name)
        else:
            kind = store.get_experiment(what).kind
            store.rename_experiment(what, name)
            if any(model.name == what for model in store.registry.list()):
                kept = f" The registered model {what} keeps its name."
    _say(as_json, f"The {kind} {what} is called {name} now.{kept}", renamed=what, name=name)


@click.command(
    short_help="Hide a run, a trial, an experiment or a study.",
    epilog="\b\nExamples:\n  trackers archive digits/17\n  trackers archive old-tries --undo\n"
    "  trackers archive old-tries --to /archive/old-tries --files --remove",
)
@_what
@click.option("--undo", is_flag=True, help="Show it again.")
@click.option(
    "--to", metavar="FOLDER", help="Write an experiment to Parquet files in this new or empty folder instead."
)
@click.option("--files", is_flag=True, help="With --to: the bytes of artifacts and models too.")
@click.option("--remove", is_flag=True, help="With --to: delete it then; gc removes it when its grace is over.")
@reading_options
def archive(
    what: str, undo: bool, to: str | None, files: bool, remove: bool, storage: str | None, as_json: bool
) -> int:
    """Hide a run, a trial, an experiment or a study from what is listed; nothing is removed.

    With --to an experiment or study is written to Parquet files, which pandas, DuckDB and others read: runs, params,
    metrics, results, tags and the list of files. Exit code 1 where a file could not be read: the rest is written, and
    nothing is removed.
    """
    if to is None and (files or remove):
        raise click.UsageError("--files and --remove go with --to FOLDER.")
    if to is not None:
        if undo:
            raise click.UsageError("--undo and --to exclude each other.")
        from trackers.cli.archive import write_archive

        return write_archive(what, to, files, remove, storage, as_json)
    with open_store(storage) as store:
        if _is_run(store, what):
            store.archive_run(_run_ref(what), not undo)
        else:
            store.archive_experiment(what, not undo)
    done = "shown again" if undo else "archived: --view archived shows it, --undo brings it back"
    _say(as_json, f"{what} is {done}.", archived=not undo, name=what)
    return 0


@click.command(
    short_help="Delete a run, an experiment or a study; it can be restored.",
    epilog="\b\nExample:\n  trackers delete old-tries --yes",
)
@_what
@click.option("--yes", is_flag=True, help="Do not ask.")
@reading_options
def delete(what: str, yes: bool, storage: str | None, as_json: bool) -> None:
    """Delete a run with its children, or an experiment or study with its runs.

    It is hidden at once, refuses what is logged to it, and can be restored for 30 days; then it may be removed. A
    trial is archived instead.
    """
    more = ""
    with open_store(storage) as store:
        runs = _count(store, what)
        if not yes:
            if not sys.stdin.isatty():
                raise click.UsageError(f"Deleting {what} must be confirmed: give --yes.")
            its = f" with its {counted(runs, 'run')}" if runs else ""
            click.confirm(f"Delete {what}{its}?", abort=True)
        if is_run := _is_run(store, what):
            found = store.get_run(_run_ref(what))
            runs = store.delete_run(found)
            if runs > 1:
                more = f" with {counted(runs - 1, 'run')} inside it"
            if found.state is RunState.RUNNING:
                more += " (it has not ended: what its process logs from now on is refused)"
        else:
            store.delete_experiment(what)
    if is_run and not runs:
        _say(as_json, f"{what} was deleted before.", deleted=what, runs=0)
        return
    what_for = f"`trackers restore {what}` brings it back"
    _say(as_json, f"Deleted {what}{more}; {what_for}, for 30 days.", deleted=what, runs=runs)


def _count(store: Store, what: str) -> int:
    if _is_run(store, what):
        store.get_run(_run_ref(what))
        return 0
    return store.count_runs().get(store.get_experiment(what).id, 0)


@click.command(
    short_help="Bring back what was deleted, or a whole backup.",
    epilog="\b\nExamples:\n  trackers restore old-tries\n  trackers restore old-tries --as older-tries\n"
    "  trackers restore /backups/hpo --storage sqlite:///restored.db",
)
@click.argument("what", metavar="RUN|EXPERIMENT|BACKUP")
@click.option("--as", "name", metavar="NAME", help="Under another name: for an experiment whose own is taken.")
@click.option("--artifacts", metavar="URL", help="Where the files of a backup go: a folder or s3://....")
@click.option("--partial", is_flag=True, help="Of a backup that lost files: restore the rest, and name them.")
@reading_options
def restore(
    what: str, name: str | None, artifacts: str | None, partial: bool, storage: str | None, as_json: bool
) -> int:
    """Bring back what was deleted: a run with its children, or an experiment or study with its runs.

    The folder of a backup is restored into a store that does not exist yet, or holds nothing: digests are checked
    before anything is written, and rows are counted before they are committed. Exit code 1 where files are missing:
    those that were lost before the backup was made, and with --partial those that it lost since.
    """
    from trackers.cli.backup import is_backup, restore_backup

    if is_backup(what):
        if name is not None:
            raise click.UsageError("--as is for an experiment; a backup goes to the store that --storage names.")
        return restore_backup(what, artifacts, partial, storage, as_json)
    if what.startswith(("/", "./", "../", "~/")):  # no name is like that
        from trackers.keeping.backup import no_backup

        raise no_backup(what)
    if partial:
        raise click.UsageError(f"--partial is for a backup, and {what} is no folder of one.")
    try:
        _bring_back(what, name, storage)
    except NotFoundError as exc:
        if not Path(what).is_dir():
            raise
        from trackers.keeping.backup import no_backup

        raise no_backup(what) from exc
    _say(as_json, f"{name or what} is back.", restored=what, name=name or what)
    return 0


def _bring_back(what: str, name: str | None, storage: str | None) -> None:
    with open_store(storage) as store:
        if _is_run(store, what) and not _is_deleted_experiment(store, what):
            store.restore_run(_run_ref(what))
            if name is not None:
                store.rename_run(_run_ref(what), name)
        else:
            store.restore_experiment(what, name)


def _is_deleted_experiment(store: Store, what: str) -> bool:
    """Tell whether *what* is the uid of a deleted experiment: of two of one name only that tells them apart."""
    return any(one.uid == what.lower() for one in store.list_experiments("deleted"))
