"""``du``: who takes how much room."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
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
        uses = _Uses(usage.file_uses(connection))
        points = usage.run_points(connection, _BIGGEST)
        run_bytes = {run_id: uses.bytes_of(held) for run_id, held in uses.by_run.items()}
        largest = sorted(run_bytes, key=lambda run_id: -run_bytes[run_id])[:_BIGGEST]
        names = usage.run_names(connection, list({*largest, *points}))
    biggest = [
        BigRun(path, uid, points.get(run_id, 0), run_bytes.get(run_id, 0))
        for run_id, (uid, experiment, number) in names.items()
        for path in [f"{experiment}/{number}" if number is not None else f"{experiment}/{uid}"]
    ]
    biggest.sort(key=lambda run: -(run.file_bytes + 40 * run.points))
    unused = known.keys() - uses.sizes.keys()
    return Usage(
        database,
        len(uses.sizes),
        sum(uses.sizes.values()),
        len(unused),
        sum(known[digest] for digest in unused),
        _shares(named, weights, uses, database),
        {kind: uses.bytes_of(held) for kind, held in sorted(uses.by_kind.items())},
        tuple(biggest[:_BIGGEST]),
    )


class _Uses:
    """The digests of files by who has them, and their sizes in bytes."""

    def __init__(self, uses: Iterable[tuple[str, int, str, int | None, int | None]]) -> None:
        self.sizes: dict[str, int] = {}
        self.by_experiment: dict[int | None, set[str]] = defaultdict(set)
        self.by_run: dict[int, set[str]] = defaultdict(set)
        self.by_kind: dict[str, set[str]] = defaultdict(set)
        for digest, size, kind, run_id, experiment_id in uses:
            self.sizes[digest] = size
            self.by_experiment[experiment_id].add(digest)
            self.by_kind[kind].add(digest)
            if run_id is not None:
                self.by_run[run_id].add(digest)

    def bytes_of(self, digests: Iterable[str]) -> int:
        return sum(self.sizes[digest] for digest in digests)


def _shares(
    named: Mapping[int, tuple[str, str, bool]],
    weights: Mapping[int, tuple[int, int, float]],
    uses: _Uses,
    database: int,
) -> tuple[Share, ...]:
    """Return what each experiment takes of the rows, which *database* bytes are divided among, and of the files."""
    holders = Counter(digest for held in uses.by_experiment.values() for digest in held)
    total_weight = sum(weight for _, _, weight in weights.values()) or 1.0
    shares = []
    for experiment_id, (name, kind, deleted) in named.items():
        runs, count, weight = weights.get(experiment_id, (0, 0, 0.0))
        held = uses.by_experiment.get(experiment_id, set())
        shared = uses.bytes_of(digest for digest in held if holders[digest] > 1)
        rows = int(database * weight / total_weight)
        shares.append(Share(name, kind, deleted, runs, count, rows, len(held), uses.bytes_of(held), shared))
    return tuple(sorted(shares, key=lambda share: -(share.row_bytes + share.file_bytes)))
