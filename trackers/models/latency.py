"""How long a model takes to predict the example that was kept with it."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Mapping
from typing import Any

from trackers.errors import ModelError
from trackers.models.loaded import LoadedModel

EXAMPLE = "input_example.json"
_WARM_UP = 3
_CALLS = 20
ROUNDS = 5


def measure_latency(model: LoadedModel, example: bytes) -> list[float]:
    """Return the milliseconds of one ``predict`` of *example* (JSON, as it was kept): 5 medians of 20 calls each.

    Raises ModelError for an example that the model cannot predict.
    """
    rows = _rows(json.loads(example))
    try:
        for _ in range(_WARM_UP):
            model.predict(rows)
    except Exception as exc:
        raise ModelError(f"The model cannot predict its own example: {type(exc).__name__}: {exc}") from exc
    return [statistics.median(_time(model, rows) for _ in range(_CALLS)) for _ in range(ROUNDS)]


def _time(model: LoadedModel, rows: Any) -> float:
    start = time.perf_counter()
    model.predict(rows)
    return (time.perf_counter() - start) * 1000


def _rows(example: Any) -> Any:
    if isinstance(example, Mapping) and example.keys() == {"columns", "data"}:
        import pandas as pd

        return pd.DataFrame(example["data"], columns=example["columns"])
    return example
