"""Files, checkpoints, models and inputs of runs: names in the store, bytes in the artifact store."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from trackers import changes as c
from trackers.artifacts.names import check_name
from trackers.clock import now_us
from trackers.sql import tables as t
from trackers.sql.columns import escape, to_json
from trackers.sql.fold import Fold, value_columns
from trackers.sql.ids import new_uid
from trackers.sql.statements import Statement, insert, update, upsert

_BLOBS = insert(t.blobs, conflict="ON CONFLICT (digest) DO NOTHING")
_ARTIFACTS = upsert(t.artifacts)
_CHECKPOINTS = upsert(t.checkpoints)
_MODELS = insert(
    t.models,
    *("uid", "run_id", "name", "flavor", "manifest", "size", "step", "value", "value_kind", "why_not"),
    *("created_at", "deleted_why"),
)
_MODEL_FILES = insert(t.model_files)
_REPLACED = update(
    t.models,
    "replaced_at = {replaced_at}",
    "trackers_models.run_id = {run_id} AND trackers_models.name = {name} AND trackers_models.replaced_at IS NULL",
    *("replaced_at", "run_id", "name"),
)
_FAILED_AGAIN = update(
    t.models,
    "replaced_at = {replaced_at}",
    "trackers_models.run_id = {run_id} AND trackers_models.name = {name} AND trackers_models.replaced_at IS NULL "
    "AND trackers_models.why_not IS NOT NULL",
    *("replaced_at", "run_id", "name"),
)
_DROPPED = update(
    t.models,
    "deleted_at = {deleted_at}, deleted_why = {deleted_why}",
    "trackers_models.run_id = {run_id} AND trackers_models.name = {name} AND trackers_models.replaced_at IS NULL "
    "AND trackers_models.deleted_at IS NULL",
    *("deleted_at", "deleted_why", "run_id", "name"),
)
_DATASETS = insert(t.datasets, conflict="ON CONFLICT (name, digest) DO NOTHING")
_FIND_DATASET = "SELECT id FROM trackers_datasets WHERE name = {0} AND digest = {0}"
_INPUTS = insert(t.inputs, conflict="ON CONFLICT (run_id, dataset_id, role) DO NOTHING")
_FORGET = (
    "DELETE FROM trackers_models WHERE run_id = {0} AND name = {0} AND replaced_at IS NOT NULL "
    "AND uid NOT IN (SELECT model_uid FROM trackers_model_versions)"
)


def write(dialect: str, connection: Any, fold: Fold, take_ids: Callable[[int], Sequence[int]]) -> None:
    """Write what *fold* holds of files, models and inputs; *take_ids* hands out ids for new data sets."""
    drops = fold.checkpoint_drops or fold.model_drops
    if not (drops or fold.blobs or fold.artifacts or fold.models or fold.model_failures or fold.inputs):
        return
    cursor = connection.cursor()
    try:
        _write(dialect, cursor, fold, take_ids)
    finally:
        cursor.close()


def _write(dialect: str, cursor: Any, fold: Fold, take_ids: Callable[[int], Sequence[int]]) -> None:

    def run(statement: Statement, rows: Any) -> None:
        statement.run(dialect, cursor, list(rows))

    # In the order of their digests, so that two writers of the same files never wait for each other in a circle.
    run(_BLOBS, [fold.blobs[digest] for digest in sorted(fold.blobs)])
    run(_ARTIFACTS, fold.artifacts.values())
    if fold.checkpoint_drops:  # first: one that was saved after a drop stays
        mark = "?" if dialect == "sqlite" else "%s"
        cursor.executemany(f"DELETE FROM trackers_checkpoints WHERE run_id = {mark}", fold.checkpoint_drops)
    run(_CHECKPOINTS, fold.checkpoints.values())
    if fold.models:
        _write_models(dialect, cursor, fold.models, _REPLACED)
    if fold.model_failures:
        _write_models(dialect, cursor, fold.model_failures, _FAILED_AGAIN)
    run(_DROPPED, [(d.time, escape(d.why), *key) for key, d in fold.model_drops.items()])
    if fold.inputs:
        _write_inputs(dialect, cursor, fold.inputs, take_ids)


def _write_models(dialect: str, cursor: Any, models: dict[tuple[int, str], c.ModelLogged], replace: Statement) -> None:
    """Write models; what *replace* marks of the same run and name goes, unless a registered version needs it."""
    mark = "?" if dialect == "sqlite" else "%s"
    rows, files = [], []
    for key, model in models.items():
        uid = model.uid or new_uid()
        manifest = model.manifest
        rows.append(
            (
                uid,
                *key,
                str((manifest or {}).get("flavor", "")),
                None if manifest is None else to_json(manifest),
                sum(size for _, size in model.files.values()),
                model.step,
                *value_columns(model.value),
                None if model.why_not is None else escape(model.why_not),
                model.time,
                "",
            )
        )
        files += [(uid, check_name(name), digest) for name, (digest, _) in model.files.items()]
    replace.run(dialect, cursor, [(now_us(), *key) for key in models])
    for key in models:
        cursor.execute(_FORGET.format(mark), key)
    _MODELS.run(dialect, cursor, rows)
    _MODEL_FILES.run(dialect, cursor, files)


def _write_inputs(
    dialect: str,
    cursor: Any,
    inputs: dict[tuple[int, str, str, str], c.InputLogged],
    take_ids: Callable[[int], Sequence[int]],
) -> None:
    mark = "?" if dialect == "sqlite" else "%s"
    sets = {(name, digest): item for (_, name, digest, _), item in inputs.items()}
    rows = []
    for dataset_id, key in zip(take_ids(len(sets)), sorted(sets), strict=True):
        item = sets[key]
        schema = None if item.schema is None else to_json(item.schema)
        rows.append((dataset_id, *key, item.rows, schema, escape(item.source)))
    _DATASETS.run(dialect, cursor, rows)
    found = {}
    for key in sets:
        cursor.execute(_FIND_DATASET.format(mark), key)
        found[key] = cursor.fetchone()[0]
    _INPUTS.run(dialect, cursor, [(run_id, found[name, digest], role) for run_id, name, digest, role in inputs])
