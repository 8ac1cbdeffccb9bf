"""Data sets that runs read, as MLflow and we write them.

MLflow's digest is eight characters of a hash of its own: it tells data of MLflow's apart, and equals none of ours.
"""

from __future__ import annotations

import json
from typing import Any

from trackers.interop.mlflow.words import fit
from trackers.values import RunInput

_CONTEXT = "mlflow.data.context"
_LONGEST_DIGEST = 36


def to_input(given: Any) -> RunInput:
    """Return MLflow's data set input as ours; what MLflow knows beside is kept in its schema, under ``mlflow``."""
    dataset = given.dataset
    tags = {tag.key: tag.value for tag in given.tags}
    role = fit(tags.pop(_CONTEXT, "") or "input", "role")[:64].strip()
    about = {"source_type": dataset.source_type, "schema": dataset.schema, "profile": dataset.profile, "tags": tags}
    return RunInput(
        fit(dataset.name or "data", "data set"),
        fit(dataset.digest or "none", "digest")[:64].strip(),
        role,
        _rows(dataset.profile),
        {"mlflow": {key: value for key, value in about.items() if value}},
        dataset.source or "",
    )


def from_input(given: RunInput) -> Any:
    """Return our input as MLflow takes it: of a digest of ours the first 36 digits."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    about = dict((given.schema or {}).get("mlflow") or {})
    schema = about.get("schema") if "mlflow" in (given.schema or {}) else json.dumps(given.schema)
    profile = about.get("profile") or (None if given.rows is None else json.dumps({"num_rows": given.rows}))
    dataset = Dataset(
        name=given.name,
        digest=given.digest[:_LONGEST_DIGEST],
        source_type=about.get("source_type") or "trackers",
        source=given.source or "{}",
        schema=None if schema in (None, "null") else schema,
        profile=profile,
    )
    tags = {_CONTEXT: given.role, **(about.get("tags") or {})}
    return DatasetInput(dataset, [InputTag(key, str(value)) for key, value in tags.items()])


def _rows(profile: str | None) -> int | None:
    try:
        rows = json.loads(profile or "null").get("num_rows")
    except (AttributeError, ValueError, RecursionError):
        return None
    return rows if isinstance(rows, int) and not isinstance(rows, bool) and 0 <= rows < 2**63 else None
