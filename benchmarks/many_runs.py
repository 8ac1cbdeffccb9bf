"""A store with very many runs, written in bulk: what searches are measured and their plans are tested on.

The runs look like a team's year: ten experiments of very different sizes, one of them a study, some ten params, eight
metric series and four tags a run, some NaN, some infinities, and things that only a few runs have. Trials share a launch with
many others; of the other runs every second one was called with arguments of its own, and so has a launch of its own.
"""

from __future__ import annotations

import hashlib
import math
import random
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection

from trackers.sql import tables as t
from trackers.sql.columns import param_columns, split_number, word_of
from trackers.sql.ids import new_uid, take_block
from trackers.sql.statements import insert
from trackers.states import RunState
from trackers.store import Store

EXPERIMENTS = ("sweep", "fraud", "audio", "vision", "nightly", "ads", "search", "demo", "scratch", "tiny")
_SHARES = (40, 20, 15, 10, 6, 4, 3, 1.5, 0.4, 0.1)
STUDY = "sweep"
_START = 1_750_000_000_000_000
_PART = 10_000

SEARCHES: dict[str, tuple[str, str]] = {
    "newest": ("", ""),
    "order by a metric": ("", "metrics.accuracy desc"),
    "common filter, its own order": ("metrics.accuracy > 0.5", "metrics.accuracy desc"),
    "common filter, order by another metric": ("metrics.accuracy > 0.5", "metrics.loss asc"),
    "rare filter, common order": ("metrics.accuracy > 0.99 and params.optimizer = 'lion'", "metrics.loss desc"),
    "two common filters": ("params.optimizer = 'adam' and params.lr > 0.001", "metrics.auc desc"),
    "filters against the order": ("params.optimizer = 'adam' and metrics.accuracy > 0.7", "metrics.accuracy asc"),
    "filters that exclude each other": ("metrics.loss < 0.3 and metrics.accuracy < 0.7", "metrics.auc desc"),
    "or of two fields": ("params.optimizer = 'lion' or metrics.bleu > 0.9", "metrics.accuracy desc"),
    "or of two common fields": ("params.layers > 6 or tags.team = 'vision'", "metrics.accuracy desc"),
    "not": ("not (params.optimizer in ('adam', 'sgd') or metrics.accuracy < 0.8)", "metrics.loss asc"),
    "is null": ("params.momentum is null and metrics.auc > 0.5", "metrics.accuracy desc"),
    "is null, of what nearly all have": ("metrics.auc is null", "attributes.created desc"),
    "is not null, of what few have": ("tags.candidate is not null", "metrics.accuracy desc"),
    "like 'x%'": ("params.data like 's3://lake/fraud/v7/%'", "metrics.accuracy desc"),
    "like '%x%'": ("params.data like '%/v7/part-001%'", "metrics.accuracy desc"),
    "like '%x%', of nothing": ("params.data like '%nothing%'", "metrics.accuracy desc"),
    "ilike": ("params.data ilike '%/V7/Part-001%'", "metrics.accuracy desc"),
    "between": ("params.lr between 0.001 and 0.0011", "metrics.accuracy desc"),
    "order by a param that few have": ("", "params.note asc"),
    "order by text": ("metrics.accuracy > 0.9", "params.optimizer asc"),
    "order by a tag and a metric": ("metrics.accuracy > 0.9", "tags.team asc, metrics.accuracy desc"),
    "best": ("best(metrics.accuracy) > 0.9", "best(metrics.accuracy) desc"),
    "min and max": ("max(metrics.accuracy) > 0.95 and min(metrics.loss) < 0.2", "min(metrics.loss) asc"),
    "result": ("attributes.value > 0.95", "attributes.value desc"),
    "state": ("attributes.state = 'FAIL'", "attributes.created desc"),
    "state, order by a metric": ("attributes.status = 'FINISHED' and metrics.auc < 0.9", "metrics.auc desc"),
    "since": ("attributes.started > '2025-09-01'", "metrics.accuracy desc"),
    "duration": ("attributes.duration > 3600", "attributes.duration desc"),
    "order by user": ("metrics.accuracy > 0.9", "attributes.user asc"),
    "order by duration": ("metrics.accuracy > 0.9", "attributes.duration desc"),
    "children": ("attributes.parent = '{parent}'", "metrics.accuracy desc"),
    "small experiment": ("metrics.accuracy > 0.5", "metrics.loss asc"),
    "large experiment": ("metrics.accuracy > 0.8", "metrics.loss asc"),
    "commit": (f"attributes.commit = '{7:040x}'", "metrics.accuracy desc"),
    "branch": ("attributes.branch = 'main' and metrics.auc > 0.5", "metrics.accuracy desc"),
    "entry point, like 'x%'": ("attributes.entry_point like 'train_2%'", "metrics.loss asc"),
    "dirty, and python": ("attributes.dirty = true and attributes.python != '3.12.4'", "attributes.created desc"),
    "data set by digest": (f"datasets.digest = '{3:064x}'", "metrics.accuracy desc"),
    "data set by name and role": ("datasets.name = 'churn-3' and datasets.role = 'train'", "metrics.loss asc"),
    "a data set and a metric": ("datasets.role = 'val' and metrics.auc < 0.1", "metrics.auc asc"),
    "not a data set": ("datasets.name != 'churn-3'", "attributes.created desc"),
    "six conditions": (
        "params.optimizer = 'adam' and params.layers > 3 and params.lr < 0.01 and tags.team = 'vision' "
        "and metrics.accuracy > 0.6 and attributes.state = 'COMPLETE'",
        "metrics.loss asc",
    ),
    "three exclusions": (
        "params.optimizer != 'adam' and params.optimizer != 'sgd' and tags.team != 'core'",
        "metrics.auc desc",
    ),
    "user, in a window of time": (
        "attributes.user = 'bo' and attributes.created between '2025-08-01' and '2025-09-01'",
        "metrics.accuracy desc",
    ),
    "a long list": (f"params.seed in ({', '.join(map(str, range(0, 2000, 2)))})", "metrics.accuracy desc"),
    "MLflow": ("metrics.auc > 0.9 and params.`optimizer` = 'adam' and tags.`mlflow.user` = 'ana'", "metrics.auc desc"),
}
"""The standard set: a filter and an order by name."""

SCOPES = {"small experiment": "tiny", "large experiment": "fraud"}

_RUNS = insert(
    t.runs,
    *("id", "uid", "experiment_id", "number", "parent_id", "name", "state", "user", "host"),
    *("created_at", "started_at", "ended_at"),
)
_SERIES = insert(
    t.series,
    *("id", "run_id", "key", "context", "count", "last", "last_kind", "last_step", "last_attempt", "last_time"),
    *("min", "max"),
)
_ATTEMPTS = insert(
    t.attempts, "run_id", "number", "pid", "counts", "cpus", "gpus", "launch_id", *("worker", "host", "reason")
)
_BRANCHES = ("main", "develop", "release", *(f"try-{number}" for number in range(60)))


@dataclass
class Rows:
    """Rows by table, as they are written."""

    runs: list[Sequence[Any]] = field(default_factory=list)
    params: list[Sequence[Any]] = field(default_factory=list)
    series: list[Sequence[Any]] = field(default_factory=list)
    tags: list[Sequence[Any]] = field(default_factory=list)
    results: list[Sequence[Any]] = field(default_factory=list)
    attempts: list[Sequence[Any]] = field(default_factory=list)
    inputs: list[Sequence[Any]] = field(default_factory=list)
    launches: list[Sequence[Any]] = field(default_factory=list)


class Launches:
    """Hands out launches: *codes* and *environments* are the ids of what they ran, *ids* what theirs come from."""

    def __init__(self, codes: Sequence[int], environments: Sequence[int], ids: Iterator[int]) -> None:
        self._dice = random.Random(1)  # its own, so that all else stays as it was without launches
        self._codes, self._environments, self._ids = codes, environments, ids
        self._shared: dict[int, int] = {}

    def of_run(self, rows: Rows, number: int | None) -> int:
        """Return the launch of a run, or of a trial: one of fifty, which is written with the first that has it."""
        if number is None and self._dice.random() < 0.5:
            return self._add(rows)
        kind = self._dice.randrange(50) if number is not None else 50 + self._dice.randrange(200)
        if kind not in self._shared:
            self._shared[kind] = self._add(rows)
        return self._shared[kind]

    def _add(self, rows: Rows) -> int:
        key, dice = next(self._ids), self._dice
        code, environment = dice.choice(self._codes), dice.choice(self._environments)
        branch = dice.choices(_BRANCHES, (50, 20, 10, *[1] * 60))[0]
        call = (branch, "https://example.org/team/repo.git", f"train_{dice.randrange(30)}.py", "[]")
        rows.launches.append((key, _digest(key), code, environment, *call, 0))
        return key


def _digest(value: object) -> str:
    return hashlib.sha256(repr(value).encode()).hexdigest()


def fill(store: Store, count: int, *, seed: int = 0) -> None:
    """Write *count* runs into *store* (which should be empty) and let the database look at what it holds."""
    study = store.create_study(STUDY, directions=["maximize"], metric_names=["accuracy"])
    ids = {name: store.create_experiment(name).id for name in EXPERIMENTS if name != STUDY} | {STUDY: study.id}
    first, datasets = store.allocate_ids(count)[0], _datasets(store)
    made_again = store.writer.call(_drop_indexes)
    for rows in _parts(random.Random(seed), ids, first, count, _launches(store, count)):
        _read_data(rows, datasets)
        store.writer.call(lambda connection, rows=rows: _write(connection, rows))
    store.writer.call(lambda connection: _make_indexes(connection, made_again))
    with store.database.writing() as connection:
        connection.exec_driver_sql("ANALYZE") if store.database.dialect == "sqlite" else None
    if store.database.dialect == "postgresql":
        _vacuum(store)


def _launches(store: Store, count: int) -> Launches:
    """Write some hundred states of code and a few environments, which launches are made of."""
    codes, environments, *rest = (store.allocate_ids(number) for number in (400, 8, count))
    code_rows = [
        (key, _digest(key), "", f"{at:040x}", at % 5 == 0, "{}", None, None, 0) for at, key in enumerate(codes)
    ]
    pythons = [(key, _digest(key), f"3.{11 + at % 3}.{at}", "{}", 0) for at, key in enumerate(environments)]

    def write(connection: Connection) -> None:
        with _cursor(connection) as cursor:
            insert(t.code_versions).run(connection.dialect.name, cursor, code_rows)
            insert(t.environments).run(connection.dialect.name, cursor, pythons)

    store.writer.call(write)
    return Launches(codes, environments, iter(rest[0]))


def _datasets(store: Store) -> range:
    """Write some data sets and return their ids."""
    ids = store.allocate_ids(40)
    rows = [(key, f"churn-{at % 8}", f"{at:064x}", 1000 * at, "null", "") for at, key in enumerate(ids)]

    def write(connection: Connection) -> None:
        with _cursor(connection) as cursor:
            insert(t.datasets).run(connection.dialect.name, cursor, rows)

    store.writer.call(write)
    return ids


def _read_data(rows: Rows, datasets: range) -> None:
    """Let each run read two data sets, a tenth of them none, by its number: all else stays as it was."""
    for run_id, *_ in rows.runs:
        if run_id % 10:
            rows.inputs.append((run_id, datasets[run_id * 7 % len(datasets)], "train"))
            rows.inputs.append((run_id, datasets[(run_id * 7 + 1) % len(datasets)], "val"))


def _drop_indexes(connection: Connection) -> list[str]:
    """Drop what is quicker to make once than to keep row by row; return the statements that make it again."""
    queries = {
        "sqlite": "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL AND tbl_name IN ({})",
        "postgresql": "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = current_schema() "
        "AND indexname LIKE 'ix\\_%%' AND tablename IN ({})",
    }
    names = ", ".join(f"'{table.name}'" for table in (t.runs, t.params, t.series, t.tags, t.results))
    query = queries.get(connection.dialect.name)
    found = [] if query is None else connection.exec_driver_sql(query.format(names)).all()
    for name, _ in found:
        connection.exec_driver_sql(f'DROP INDEX "{name}"')
    return [text for _, text in found]


def _make_indexes(connection: Connection, texts: Sequence[str]) -> None:
    for text in texts:
        connection.exec_driver_sql(text)


def _vacuum(store: Store) -> None:
    import psycopg

    url = store.url.replace("+psycopg", "")
    with psycopg.connect(url, autocommit=True) as connection:
        for name in (
            "runs",
            "params",
            "series",
            "tags",
            "results",
            "experiments",
            "studies",
            "attempts",
            "launches",
            "inputs",
            "datasets",
        ):
            connection.execute(f"VACUUM ANALYZE trackers_{name}")


def _write(connection: Connection, rows: Rows) -> None:
    series = take_block(connection, "series", len(rows.series))
    dialect = connection.dialect.name
    with _cursor(connection) as cursor:
        _RUNS.run(dialect, cursor, rows.runs)
        insert(t.params).run(dialect, cursor, rows.params)
        _SERIES.run(dialect, cursor, [(key, *row) for key, row in zip(series, rows.series, strict=True)])
        insert(t.tags).run(dialect, cursor, rows.tags)
        insert(t.results).run(dialect, cursor, rows.results)
        insert(t.launches).run(dialect, cursor, rows.launches)
        _ATTEMPTS.run(dialect, cursor, rows.attempts)
        insert(t.inputs).run(dialect, cursor, rows.inputs)


def _cursor(connection: Connection) -> Any:
    """Return a cursor of the driver's own, to be closed by ``with``."""
    raw = connection.connection.dbapi_connection
    assert raw is not None
    return closing(raw.cursor())


def _parts(dice: random.Random, ids: dict[str, int], first: int, count: int, launches: Launches) -> Iterator[Rows]:
    rows, number, parent = Rows(), 0, None
    for index in range(count):
        name = dice.choices(EXPERIMENTS, _SHARES)[0]
        is_trial = name == STUDY
        run_id = first + index
        if not is_trial and index % 500 == 0:
            parent = run_id
        _run(dice, rows, index, run_id, ids[name], number if is_trial else None, parent if index % 50 == 7 else None)
        launch = launches.of_run(rows, number if is_trial else None)
        rows.attempts.append((run_id, 0, 1, True, 1.0, 0.0, launch, *("", "", "")))
        number += is_trial
        if (index + 1) % _PART == 0 or index + 1 == count:
            yield rows
            rows = Rows()


def _run(
    dice: random.Random,
    rows: Rows,
    index: int,
    run_id: int,
    experiment_id: int,
    number: int | None,
    parent: int | None,
) -> None:
    created = _START + index * 3_000_000_000 // 10 + dice.randrange(1000)
    state = dice.choices((RunState.COMPLETE, RunState.FAIL, RunState.PRUNED, RunState.RUNNING), (80, 8, 11.9, 0.1))[0]
    ended = created + int(dice.lognormvariate(5, 1.5) * 1e6) if state.is_finished() else None
    rows.runs.append(
        (
            *(run_id, new_uid(), experiment_id, number, parent if parent != run_id else None),
            "" if number is not None else f"run-{index % 5000:04d}",
            *(int(state), dice.choice(("ana", "bo", "chen", "dee")), f"node-{dice.randrange(20)}"),
            *(created, created + 5000, ended),
        )
    )
    for position, (name, value) in enumerate(_params(dice, index).items()):
        rows.params.append((run_id, name, position, *param_columns(value)))
    for key, value in _tags(dice, index).items():
        rows.tags.append((run_id, key, value, word_of(value)))
    accuracy = _metrics(dice, rows, run_id, created)
    if number is not None and state is RunState.COMPLETE:
        rows.results.append((run_id, 0, *split_number(accuracy)))


def _params(dice: random.Random, index: int) -> dict[str, Any]:
    params: dict[str, Any] = {
        "lr": 10 ** dice.uniform(-5, -1),
        "batch_size": dice.choice((32, 64, 128, 256)),
        "optimizer": dice.choices(("adam", "sgd", "adamw", "lion"), (50, 30, 19, 1))[0],
        "dropout": round(dice.random() / 2, 2),
        "layers": dice.randint(1, 12),
        "hidden": dice.choice((64, 128, 256, 512)),
        "augment": dice.random() < 0.5,
        "seed": index,
        "data": f"s3://lake/{dice.choice(('fraud', 'ads', 'audio'))}/v{dice.randrange(40)}/part-{dice.randrange(1000):03d}.parquet",
        "weight_decay": dice.choice((0, 1e-5, 1e-4, 0.01)),
    }
    if dice.random() < 0.03:
        params["momentum"] = dice.random()
    if dice.random() < 0.002:
        params["note"] = f"try {index}"
    return params


def _tags(dice: random.Random, index: int) -> dict[str, str]:
    tags = {
        "team": dice.choices(("vision", "audio", "risk", "core"), (50, 30, 19, 1))[0],
        "mlflow.user": dice.choice(("ana", "bo", "chen", "dee")),
        "mlflow.source.name": f"train_{dice.randrange(30)}.py",
        "commit": f"{dice.randrange(400):040x}",
    }
    if dice.random() < 0.001:
        tags["candidate"] = "yes"
    return tags


_KEYS = (
    *(("accuracy", ""), ("accuracy", "split=val"), ("loss", ""), ("loss", "split=val"), ("auc", ""), ("f1", "")),
    *(("grad_norm", ""), ("epoch_seconds", "")),
)


def _metrics(dice: random.Random, rows: Rows, run_id: int, created: int) -> float:
    accuracy = dice.betavariate(8, 2)
    for key, context in _KEYS:
        if dice.random() < 0.02:
            continue
        value = accuracy if key == "accuracy" and not context else _value(dice, key, accuracy)
        low, high = (None, None) if value != value else (value * 0.9, value + 0.01)
        last, kind = split_number(value)
        ends = [None if end is None else split_number(end)[0] for end in (low, high)]
        rows.series.append((run_id, key, context, 20, last, kind, 19, 0, created + 10**7, *ends))
    if dice.random() < 0.01:
        rows.series.append((run_id, "bleu", "", 1, dice.random(), 0, 0, 0, created, 0.1, 0.9))
    return accuracy


def _value(dice: random.Random, key: str, accuracy: float) -> float:
    if key == "loss" and dice.random() < 0.01:
        return math.nan if dice.random() < 0.7 else math.inf
    if key == "loss":
        return max(0.001, 1.2 - accuracy + dice.gauss(0, 0.1))
    return dice.random() if key == "auc" else max(0.0, accuracy + dice.gauss(0, 0.05))
