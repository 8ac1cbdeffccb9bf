"""MLflow's side of the tracking benchmark: its public client straight on its SQL store, as fast as that goes.

It runs in an environment of its own (``.venv-peers``) and imports nothing of ours but the measurement's frame.
"""

from __future__ import annotations

import logging
import os
import time
from typing import Any

from benchmarks.measure import Answer, answer

_BATCH = 1000


def _mlflow(url: str) -> Any:
    os.environ["MLFLOW_TRACKING_URI"] = url
    os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
    import mlflow

    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)
    mlflow.set_experiment("bench")
    return mlflow


def plain(mlflow: Any, count: int) -> None:
    for _ in range(count):
        with mlflow.start_run():
            for index in range(5):
                mlflow.log_param(f"p{index}", index)
            for step in range(5):
                mlflow.log_metric("loss", 1.0 / (step + 1), step=step)


def batched(mlflow: Any, count: int) -> None:
    from mlflow.entities import Metric, Param

    client = mlflow.MlflowClient()
    experiment = client.get_experiment_by_name("bench").experiment_id
    params = [Param(f"p{index}", str(index)) for index in range(5)]
    for _ in range(count):
        run = client.create_run(experiment).info.run_id
        now = int(time.time() * 1000)
        metrics = [Metric("loss", 1.0 / (step + 1), now, step) for step in range(5)]
        client.log_batch(run, metrics=metrics, params=params)
        client.set_terminated(run)


def log_points(mlflow: Any, count: int) -> None:
    from mlflow.entities import Metric

    client = mlflow.MlflowClient()
    run = client.create_run(client.get_experiment_by_name("bench").experiment_id).info.run_id
    for start in range(0, count // 10, _BATCH // 10):
        now = int(time.time() * 1000)
        steps = range(start, start + _BATCH // 10)
        client.log_batch(
            run,
            metrics=[Metric(f"m{key}", (step * 0.37 + key) ** 0.5, now, step) for step in steps for key in range(10)],
        )
    client.set_terminated(run)


def search(mlflow: Any, count: int, queries: dict[str, list[str]], repeat: int) -> dict[str, float]:
    """Add *count* runs by MLflow's own tables, and time each query, at best of *repeat*, in milliseconds."""
    _fill(mlflow, count)
    experiment = mlflow.get_experiment_by_name("bench").experiment_id
    found = {}
    for name, (filter_string, order) in queries.items():
        best = float("inf")
        for _ in range(repeat):
            start = time.perf_counter()
            mlflow.MlflowClient().search_runs(
                [experiment], filter_string, order_by=[order] if order else None, max_results=100
            )
            best = min(best, time.perf_counter() - start)
        found[name] = best * 1000
    return found


def _fill(mlflow: Any, count: int) -> None:
    import random
    import uuid

    from mlflow.store.tracking.dbmodels.models import SqlLatestMetric, SqlParam, SqlRun, SqlTag
    from sqlalchemy import create_engine, insert

    experiment = int(mlflow.get_experiment_by_name("bench").experiment_id)
    dice = random.Random(0)
    runs, params, metrics, tags = [], [], [], []
    for index in range(count):
        uid, now = uuid.uuid4().hex, 1_750_000_000_000 + index * 1000
        runs.append(
            {
                "run_uuid": uid,
                "name": f"run-{index}",
                "experiment_id": experiment,
                "status": "FINISHED",
                "start_time": now,
                "end_time": now + 1000,
                "lifecycle_stage": "active",
                "user_id": "ana",
                "artifact_uri": f"/nowhere/{uid}",
                "source_type": "LOCAL",
            }
        )
        optimizer = dice.choices(("adam", "sgd", "adamw", "lion"), (50, 30, 19, 1))[0]
        values = {
            "optimizer": optimizer,
            "data": f"s3://lake/v{dice.randrange(40)}",
            **{f"p{i}": str(dice.random()) for i in range(8)},
        }
        params += [{"run_uuid": uid, "key": key, "value": value} for key, value in values.items()]
        metrics += [
            {"run_uuid": uid, "key": key, "value": dice.random(), "timestamp": now, "step": 19, "is_nan": False}
            for key in ("accuracy", "loss", "auc", "f1", "m1", "m2", "m3", "m4")
        ]
        tags += [
            {"run_uuid": uid, "key": key, "value": value} for key, value in (("mlflow.user", "ana"), ("team", "vision"))
        ]
    engine = create_engine(os.environ["MLFLOW_TRACKING_URI"])
    with engine.begin() as connection:
        for model, rows in ((SqlRun, runs), (SqlParam, params), (SqlLatestMetric, metrics), (SqlTag, tags)):
            connection.execute(insert(model.__table__), rows)
    engine.dispose()


def ask(measure: str, url: str, count: int, **options: Any) -> Answer:
    mlflow = _mlflow(url)
    if measure == "search":
        return {"milliseconds": search(mlflow, count, **options)}
    work = {"plain": plain, "batched": batched, "points": log_points}[measure]
    work(mlflow, 1 if measure != "points" else _BATCH)
    start = time.perf_counter()
    work(mlflow, count)
    return {"seconds": time.perf_counter() - start}


if __name__ == "__main__":
    answer(ask)
