"""Our own side of the tracking benchmark: the front door as a user calls it."""

from __future__ import annotations

import time
from pathlib import Path

import trackers
from benchmarks.many_runs import SCOPES, SEARCHES, fill
from benchmarks.measure import Answer, answer
from trackers.changes import PointsLogged
from trackers.clock import now_us
from trackers.store import Store

_BATCH = 1000


def plain(store: Store, count: int) -> None:
    for _ in range(count):
        with store.start_run("bench") as run:
            for index in range(5):
                run.log_param(f"p{index}", index)
            for step in range(5):
                run.log_metric("loss", 1.0 / (step + 1), step=step)


def batched(store: Store, count: int) -> None:
    params = {f"p{index}": index for index in range(5)}
    for _ in range(count):
        with store.start_run("bench", params=params) as run:
            for step in range(5):
                run.log_metrics({"loss": 1.0 / (step + 1)}, step=step)


def log_points(store: Store, count: int) -> None:
    """Log *count* points of ten keys; each thousand is committed before the next begins."""
    with store.start_run("bench") as run:
        for start in range(0, count // 10, _BATCH // 10):
            for step in range(start, start + _BATCH // 10):
                run.log_metrics({f"m{key}": (step * 0.37 + key) ** 0.5 for key in range(10)}, step=step)
            run.flush()


def search(store: Store, count: int, repeat: int) -> dict[str, dict[str, float]]:
    """Fill *count* runs and time every search of the standard set, first page and last, in milliseconds."""
    fill(store, count)
    with store.database.reading() as connection:
        family = "SELECT p.uid FROM trackers_runs r JOIN trackers_runs p ON p.id = r.parent_id LIMIT 1"
        parent = connection.exec_driver_sql(family).scalar_one()
    found = {}
    for name, (wanted, order) in SEARCHES.items():
        found[name] = _time(store, wanted.format(parent=parent), order, SCOPES.get(name), None, repeat)
    token, pages = None, 0
    while True:  # to the last page, a thousand at a time
        page = store.search_runs(
            "", order_by="metrics.accuracy desc", limit=1000 if pages < 99 else 100, page_token=token
        )
        if page.next_token is None or pages > 5000:
            break
        token, pages = page.next_token, pages + 1
    found["last page, by a metric"] = _time(store, "", "metrics.accuracy desc", None, token, repeat)
    return found


def _time(store: Store, wanted: str, order: str, scope: str | None, token: str | None, repeat: int) -> dict[str, float]:
    wall, cpu = float("inf"), float("inf")
    for _ in range(repeat):
        start, spent = time.perf_counter(), time.process_time()
        store.search_runs(wanted, order_by=order or None, experiments=scope, limit=100, page_token=token)
        wall, cpu = min(wall, time.perf_counter() - start), min(cpu, time.process_time() - spent)
    return {"wall": wall * 1000, "cpu": cpu * 1000}


def long_series(store: Store, count: int, repeat: int) -> Answer:
    """Write *count* points into ten series of one experiment, in batches; search them; read one of a million thinned."""
    runs = [store.start_run("long") for _ in range(10)]
    rates, size = [], 1000
    part = count // 10
    for tenth in range(10):
        start = time.perf_counter()
        for batch in range(part // size):
            run = runs[batch % 10]
            first = (tenth * (part // size) + batch) // 10 * size
            now = now_us()
            points = tuple((first + step, 0, now + step, (step * 0.37 + batch) ** 0.5) for step in range(size))
            run.write([PointsLogged(run.id, "loss", points)])
            run.flush()
        rates.append(part / (time.perf_counter() - start))
    run = store.start_run("long")
    for first in range(0, 1_000_000, 10_000):
        now = now_us()
        run.write(
            [
                PointsLogged(
                    run.id,
                    "loss",
                    tuple((step, 0, now + step, step % 977 / 7) for step in range(first, first + 10_000)),
                )
            ]
        )
    run.flush()
    searched = _time(store, "metrics.loss > 0.5", "metrics.loss desc", "long", None, repeat)
    best = float("inf")
    for _ in range(repeat):
        start = time.perf_counter()
        found = store.metric_history(run, "loss", max_points=1000)
        best = min(best, time.perf_counter() - start)
    for one in (*runs, run):
        one.end()
    return {
        "first": rates[0],
        "last": rates[-1],
        "history": best * 1000,
        "points": len(found),
        "search": searched["wall"],
    }


def ask(measure: str, url: str, count: int, repeat: int = 5) -> Answer:
    folder = url.removeprefix("sqlite:///") if url.startswith("sqlite") else "/nowhere"
    with trackers.connect(url, artifacts=str(Path(folder).with_suffix(".artifacts"))) as store:
        if measure == "search":
            return {"milliseconds": search(store, count, repeat)}
        if measure == "long":
            return long_series(store, count, repeat)
        work = {"plain": plain, "batched": batched, "points": log_points}[measure]
        work(store, 1 if measure != "points" else _BATCH)
        start = time.perf_counter()
        work(store, count)
        return {"seconds": time.perf_counter() - start}


if __name__ == "__main__":
    answer(ask)
