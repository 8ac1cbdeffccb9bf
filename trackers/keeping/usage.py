"""``du``: who takes how much room."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from trackers.sql import usage

if TYPE_CHECKING:
    from trackers.store import Store

_BIGGEST = 10


@dataclass(frozen=True)
class Share:
    """What an experiment takes: *row_bytes* are an estimate, *file_bytes* of its files, each counted once.

    *shared_bytes* is how many of those belong to files that other experiments have too.
    """

    experiment: str
    kind: str
    deleted: bool
    runs: int
    points: int
    row_bytes: int
    files: int
    file_bytes: int
    shared_bytes: int


@dataclass(frozen=True)
class BigRun:
    """A run that takes much: its *points*, and its *file_bytes*."""

    run: str
    uid: str
    points: int
    file_bytes: int


@dataclass(frozen=True)
class Usage:
    """What a store takes; files that several have are counted once in *file_bytes*, and those nobody has in *unused*."""

    database_bytes: int
    files: int
    file_bytes: int
    unused_files: int
    unused_bytes: int
    experiments: tuple[Share, ...]
    kinds: dict[str, int]
    biggest: tuple[BigRun, ...]

    def facts(self) -> dict[str, Any]:
        """Return it for JSON."""
        return asdict(self)


def measure(store: Store) -> Usage:
    """Measure what the rows and files of *store* take, the largest first."""
    with store.database.reading() as connection:
        database = usage.database_bytes(connection)
        named = usage.experiments(connection)
        weights = usage.row_weights(connection)
        known = usage.all_files(connection)
        sizes: dict[str, int] = {}
        by_experiment: dict[int | None, set[str]] = defaultdict(set)
        by_run: dict[int, set[str]] = defaultdict(set)
        by_kind: dict[str, set[str]] = defaultdict(set)
        for digest, size, kind, run_id, experiment_id in usage.file_uses(connection):
            sizes[digest] = size
            by_experiment[experiment_id].add(digest)
            by_kind[kind].add(digest)
            if run_id is not None:
                by_run[run_id].add(digest)
        points = usage.run_points(connection, _BIGGEST)
        run_bytes = {run_id: sum(sizes[digest] for digest in held) for run_id, held in by_run.items()}
        largest = sorted(run_bytes, key=lambda run_id: -run_bytes[run_id])[:_BIGGEST]
        names = usage.run_names(connection, list({*largest, *points}))
    holders: dict[str, int] = defaultdict(int)
    for held in by_experiment.values():
        for digest in held:
            holders[digest] += 1
    total_weight = sum(weight for _, _, weight in weights.values()) or 1.0
    shares = []
    for experiment_id, (name, kind, deleted) in named.items():
        runs, count, weight = weights.get(experiment_id, (0, 0, 0.0))
        held = by_experiment.get(experiment_id, set())
        own = sum(sizes[digest] for digest in held)
        shared = sum(sizes[digest] for digest in held if holders[digest] > 1)
        rows = int(database * weight / total_weight)
        shares.append(Share(name, kind, deleted, runs, count, rows, len(held), own, shared))
    shares.sort(key=lambda share: -(share.row_bytes + share.file_bytes))
    biggest = [
        BigRun(path, uid, points.get(run_id, 0), run_bytes.get(run_id, 0))
        for run_id, (uid, experiment, number) in names.items()
        for path in [f"{experiment}/{number}" if number is not None else f"{experiment}/{uid}"]
    ]
    biggest.sort(key=lambda run: -(run.file_bytes + 40 * run.points))
    unused = known.keys() - sizes.keys()
    return Usage(
        database,
        len(sizes),
        sum(sizes.values()),
        len(unused),
        sum(known[digest] for digest in unused),
        tuple(shares),
        {kind: sum(sizes[digest] for digest in held) for kind, held in sorted(by_kind.items())},
        tuple(biggest[:_BIGGEST]),
    )
