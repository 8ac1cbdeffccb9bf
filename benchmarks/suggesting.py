"""Our side of the suggest benchmark, and the space and the history that the peer gets as well.

Ten params of all kinds and one that depends on another; the history is random points with their values, so that all
systems learn from the same trials. ``RUNNING`` trials run at each suggestion, as with that many workers: each one
made, the oldest finishes, and the time of that is not counted.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import hpo
from benchmarks.measure import Answer, answer
from hpo.sampling import make_sampler
from hpo.sampling.random import draw_point
from hpo.sampling.stream import Stream
from hpo.space import Space
from trackers.states import RunState
from trackers.values import Trial

RUNNING = 16

SPACE = Space(
    {
        "lr": hpo.Float(1e-5, 1e-1, log=True),
        "momentum": hpo.Float(0.0, 0.99),
        "dropout": hpo.Float(0.0, 0.5, step=0.1),
        "alpha": hpo.Float(0.0, 1.0),
        "width": hpo.Int(8, 512, log=True),
        "layers": hpo.Int(1, 6),
        "batch": hpo.Int(16, 256),
        "activation": hpo.Categorical(["relu", "tanh", "gelu", "elu"]),
        "optimizer": hpo.Categorical(["adam", "sgd", "rmsprop"]),
        "beta": hpo.Float(0.8, 0.999, when={"optimizer": "adam"}),
    }
)


def values(point: Mapping[str, Any], objectives: int) -> tuple[float, ...]:
    """Return what a trial with these params results in; smaller is better."""
    loss = (math.log10(point["lr"]) + 3) ** 2 + abs(math.log2(point["width"]) - 6) + (point["momentum"] - 0.9) ** 2
    loss += point["dropout"] + (point["activation"] != "gelu") + abs(point["layers"] - 3) + point.get("beta", 1.0)
    return (loss, point["width"] * point["layers"] + point["batch"])[:objectives]


def past(trials: int) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the number and the params of each trial of the history."""
    for number in range(trials):
        yield number, draw_point(SPACE, Stream(1, number))


def timed(ask: Callable[[], Any], finish: Callable[[Any], object], suggestions: int, seconds: float) -> Answer:
    """Time *suggestions* calls of *ask*, or as many as *seconds* allow; milliseconds of each."""
    running: deque[Any] = deque(ask() for _ in range(RUNNING))
    spent: list[float] = []
    until = time.monotonic() + seconds
    while len(spent) < suggestions and (not spent or time.monotonic() < until):
        began = time.perf_counter()
        running.append(ask())
        spent.append((time.perf_counter() - began) * 1e3)
        finish(running.popleft())
    return {"ms": spent}


def ask(sampler: str, objectives: int, history: int, suggestions: int, seconds: float) -> Answer:
    """Time our *sampler* after *history* finished trials."""
    ours = make_sampler(sampler, space=SPACE, directions=["minimize"] * objectives, seed=0)
    for number, point in past(history):
        ours.add(Trial(number, RunState.COMPLETE, point, values(point, objectives)))
    numbers = iter(range(history, history + RUNNING + suggestions))

    def suggest() -> tuple[int, dict[str, Any]]:
        number = next(numbers)
        point = ours.ask(number)
        ours.drain()
        return number, point

    def finish(trial: tuple[int, dict[str, Any]]) -> None:
        ours.tell(trial[0], RunState.COMPLETE, values(trial[1], objectives))

    return timed(suggest, finish, suggestions, seconds)


if __name__ == "__main__":
    answer(ask)
