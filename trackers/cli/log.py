"""``log``: one whole run, from a shell."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from trackers.changes import InputLogged
from trackers.cli.completing import complete_experiment
from trackers.cli.given import Point, check_local, placed, read_pairs, read_points, read_value
from trackers.cli.series import Series, read_series
from trackers.cli.storage import DEFAULT, open_store, reading_options, told
from trackers.errors import TrackersError
from trackers.names import clean_name
from trackers.termination import terminable

if TYPE_CHECKING:
    from trackers.active import ActiveRun
    from trackers.store import Store
    from trackers.values import Run

BATCH = 5_000
"""So many points are written together: half of what the store queues before it goes over to its journal."""


@click.command(
    short_help="Log a whole run.",
    epilog="\b\nExamples:\n  trackers log fraud -p lr=0.1 -m auc=0.91 --file model.bin\n"
    "  trackers log fraud --metrics losses.csv -m 'auc{split=val}=0.88' --data train.csv\n"
    "  trackers log fraud -m loss=0.5@1 -m loss=0.25@2 --state fail -t why='out of memory'",
)
@click.argument("experiment", shell_complete=complete_experiment)
@click.option("--name", default="", help="What the run is called.")
@click.option(
    "-p",
    "--param",
    "params",
    multiple=True,
    metavar="KEY=VALUE",
    help="A param: a number, true, false or null as such, all else as text; may be repeated.",
)
@click.option(
    "-m",
    "--metric",
    "points",
    multiple=True,
    metavar="KEY=VALUE[@STEP]",
    help="A point of a metric, nan and inf too; KEY may have a context, as in loss{split=val}; may be repeated.",
)
@click.option(
    "--metrics",
    "series",
    multiple=True,
    metavar="FILE",
    help="A series for each column of numbers of a CSV file, or of lines of JSON; - is standard input. A column step "
    "has the steps, else rows count from 0; one without a name, such as the index of pandas, is left out; may be repeated.",
)
@click.option("-t", "--tag", "tags", multiple=True, metavar="KEY=VALUE", help="A tag; may be repeated.")
@click.option(
    "--file", "files", multiple=True, metavar="PATH[=NAME]", help="A file, or a folder with its tree; may be repeated."
)
@click.option(
    "--data", multiple=True, metavar="PATH", help="Data that was read: its digest is noted, not kept; may be repeated."
)
@click.option("--parent", metavar="RUN", help="The run that it belongs to.")
@click.option(
    "--state", type=click.Choice(["complete", "fail"]), default="complete", show_default=True, help="How it ended."
)
@reading_options
def log(
    experiment: str,
    name: str,
    params: Sequence[str],
    points: Sequence[str],
    series: Sequence[str],
    tags: Sequence[str],
    files: Sequence[str],
    data: Sequence[str],
    parent: str | None,
    state: str,
    storage: str | None,
    as_json: bool,
) -> None:
    """Log a whole run of EXPERIMENT, which is made where it is new, end it, and print its uid.

    Everything is checked before the run begins. The code is that of the git repository around the current folder, and
    outside one none; the call is this one, with secrets hidden. A run that has ended takes nothing more but tags:
    trackers tag --run.
    """
    from trackers.sql.experiments import check_experiment
    from trackers.store import connect, is_offline

    experiment, name = check_experiment(experiment), clean_name(name, "run") if name else ""
    found = _contents(params, points, series, tags, files, data)
    offline = is_offline()
    above = _parent(storage, parent, offline)
    with (
        terminable(once=True),
        told(connect(storage or DEFAULT, offline=offline)) as store,
    ):  # which makes the store where it is new
        for file, _ in found.files:
            store.artifacts.refuse_own(file)
        run = _log_run(store, experiment, name, above, found, state)
        facts = {
            "uid": run.uid,
            "id": run.known_id,
            "experiment": experiment,
            "name": name,
            "state": state.upper(),
            "in_journal": store.writer.spilling,
        }
    _print(facts, as_json)


_UID = re.compile("[0-9a-fA-F]{32}")


@dataclass
class _Contents:
    """What the run shall hold."""

    params: dict[str, Any]
    tags: dict[str, str]
    points: list[Point]
    series: list[Series]
    files: list[tuple[Path, str]]
    inputs: list[InputLogged]


def _contents(
    params: Sequence[str],
    points: Sequence[str],
    series: Sequence[str],
    tags: Sequence[str],
    files: Sequence[str],
    data: Sequence[str],
) -> _Contents:
    """Read what the options of these names give, and say what is left out; raises UsageError and InvalidValueError."""
    from trackers.recorder import clean_params, clean_tags, input_of

    typed = clean_params({key: read_value(text) for key, text in read_pairs(params, "--param").items()})
    pairs, single = clean_tags(read_pairs(tags, "--tag")), read_points(points)
    columns, notes = read_series(series)
    for note in notes:
        _say(f"note: {note}: left out")
    single = placed(single, {(one.key, one.context): one.steps for one in columns})
    checked = _checked_files(files)
    for path in data:
        check_local(path, "--data")
    return _Contents(typed, pairs, single, columns, checked, [input_of(-1, path) for path in data])


def _log_run(
    store: Store, experiment: str, name: str, parent: Run | str | None, found: _Contents, state: str
) -> ActiveRun:
    from trackers.capture.process import capture_caller

    store.launch_from(capture_caller(beside=store.own_files))
    run = store.start_run(experiment, name=name, params=found.params, tags=found.tags, parent=parent)
    try:
        run.flush()  # what the store does not take is told here: then there is no run
        _write(run, found)
        run.flush()
    except BaseException as exc:
        with suppress(TrackersError):  # what went wrong first is what must be seen
            run.end("FAIL", exc)
            _say(f"The run {run.uid} had begun, and ended as FAIL.")
        raise
    run.end(state)
    return run


def _parent(storage: str | None, word: str | None, offline: bool) -> Run | str | None:
    """Return the run that *word* names; offline nothing can be looked up, and the uid is taken as it is.

    Raises NotFoundError where it, or the store, is not there.
    """
    if word is None:
        return None
    if offline:
        if not _UID.fullmatch(word):
            raise click.UsageError(f"Offline --parent takes the 32 hex digits of a uid, not {word[:80]!r}.")
        return word
    from trackers.cli.target import run_of

    with open_store(storage) as store:
        return run_of(store, word)


def _write(run: ActiveRun, found: _Contents) -> None:
    waiting = 0
    for one in found.series:
        for start in range(0, len(one.values), BATCH):
            part = slice(start, start + BATCH)
            run.log_points(one.key, one.values[part], one.steps[part], one.context)
            waiting += len(one.values[part])
            if waiting >= BATCH:
                run.flush()
                waiting = 0
    for point in found.points:
        run.log_metrics({point.key: point.value}, point.step, point.context)
    for path, name in found.files:
        run.log_artifact(path, name)
    run_id = -1 if run.known_id is None else run.known_id
    run.write([replace(one, run_id=run_id) for one in found.inputs])


def _checked_files(words: Sequence[str]) -> list[tuple[Path, str]]:
    """Return the paths of ``PATH[=NAME]`` words with the names that they get. Raises what ``log_artifact`` would."""
    from trackers.artifacts.names import check_name, check_tree
    from trackers.artifacts.store import check_regular, walk_files

    found: list[tuple[Path, str]] = []
    names: list[str] = []
    for word in words:
        place, name = _place(word)
        check_local(place, "--file")
        path = Path(place)
        is_folder = path.is_dir() and not path.is_symlink()
        name = name or (path.resolve().name if is_folder else path.name)
        inside = walk_files(path) if is_folder else []
        if is_folder and not inside:
            raise click.UsageError(f"--file {place}: the folder holds no file.")
        for file in inside or [path]:
            check_regular(file)
        names += [check_name(f"{name}/{file.relative_to(path).as_posix()}") for file in inside] or [check_name(name)]
        found.append((path, name))
    check_tree(names)
    return found


def _place(word: str) -> tuple[str, str]:
    """Divide ``PATH=NAME``; what there is under the whole word is a path."""
    path, equals, name = word.rpartition("=")
    if not equals or Path(word).exists():
        return word, ""
    if not path or not name:
        raise click.UsageError(f"--file takes PATH or PATH=NAME, not {word!r}.")
    return path, name


def _print(facts: dict[str, Any], as_json: bool) -> None:
    from trackers.cli import text

    if as_json:
        text.print_json(facts)
        return
    click.echo(facts["uid"])
    if sys.stderr.isatty():
        waits = "It waits in a journal:  trackers sync" if facts["in_journal"] else f"trackers show {facts['uid']}"
        _say(f"Logged to {facts['experiment']}.  {waits}")


def _say(sentence: str) -> None:
    from trackers.cli.text import plain

    click.echo(plain(sentence), err=True)
