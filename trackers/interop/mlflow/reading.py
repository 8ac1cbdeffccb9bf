"""Runs as MLflow has them, read page by page: histories by the hundred where its store allows it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from trackers.interop.mlflow.client import pages
from trackers.interop.mlflow.series import Point
from trackers.interop.mlflow.words import to_value

PAGE = 500
_POINTS = 25_000
_TOGETHER = 100
"""So many runs MLflow's database reads the history of a key of at once."""

History = Callable[[], Iterable[list[Point]]]
"""Reads a series, in pieces; it may be called again."""


def iterate_runs(client: Any, experiment_id: str, view: Any) -> Iterator[list[Any]]:
    """Yield the runs of an experiment, oldest first, some hundred at a time."""
    from mlflow.exceptions import MlflowException

    order = ["attributes.start_time ASC", "attributes.run_id ASC"]
    try:
        yield from pages(
            lambda token: client.search_runs(
                [experiment_id], run_view_type=view, max_results=PAGE, order_by=order, page_token=token
            )
        )
    except MlflowException as exc:
        if "order" not in str(exc).lower():
            raise
        yield from pages(
            lambda token: client.search_runs(
                [experiment_id], run_view_type=view, max_results=PAGE, order_by=order[:1], page_token=token
            )
        )


def iterate_histories(client: Any, runs: list[Any]) -> Iterator[tuple[str, str, History]]:
    """Yield the run's id, the key and the history of every series of *runs*."""
    store = client._tracking_client.store
    bulk = getattr(store, "get_metric_history_bulk", None)
    owners: dict[str, list[str]] = {}
    for run in runs:
        for key in run.data.metrics:
            owners.setdefault(key, []).append(run.info.run_id)
    for key, run_ids in owners.items():
        for start in range(0, len(run_ids), _TOGETHER):
            part = run_ids[start : start + _TOGETHER]
            found = None if bulk is None else bulk(part, key, _POINTS)
            if found is None or len(found) >= _POINTS:
                for run_id in part:
                    yield run_id, key, _paged(store, run_id, key)
                continue
            grouped: dict[str, list[Point]] = {run_id: [] for run_id in part}
            for metric in found:
                grouped[metric.run_id].append(_point(metric))
            for run_id, points in grouped.items():
                yield run_id, key, _whole(points)


def _whole(points: list[Point]) -> History:
    return lambda: (points,)


def _paged(store: Any, run_id: str, key: str) -> History:
    def read() -> Iterator[list[Point]]:
        def page(token: str | None) -> Any:
            return store.get_metric_history(run_id=run_id, metric_key=key, max_results=_POINTS, page_token=token)

        for found in pages(page):
            yield [_point(metric) for metric in found]

    return read


def _point(metric: Any) -> Point:
    return int(metric.step), int(metric.timestamp) * 1000, to_value(float(metric.value))
