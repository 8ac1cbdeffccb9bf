"""What a report says in words: who won and by how much, what it cost, what failed."""

from __future__ import annotations

import math
import re
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from hpo.ranking import Standing, wording
from hpo.reports.view import StudyView
from trackers.states import RunState
from trackers.values import Trial
from trackers.wording import counted


@dataclass(frozen=True, slots=True)
class Verdict:
    """The outcome in a sentence or two."""

    headline: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Comparison:
    """One line of "by how much": *gain* is how much better the winner is (None where it cannot be told)."""

    against: str
    value: float
    gain: float | None


@dataclass(frozen=True, slots=True)
class Cost:
    """What the trials of one state cost together; *seconds* is the mean of one (None: unknown)."""

    word: str
    trials: int
    core_seconds: float
    share: float
    seconds: float | None


@dataclass(frozen=True, slots=True)
class Cause:
    """Failures with one cause: an example of it and the numbers of the trials."""

    title: str
    message: str
    numbers: tuple[int, ...]
    example: int
    traceback: str


def verdict(view: StudyView) -> Verdict:
    """Say who won."""
    if not view.trials:
        return Verdict("No trial has been started yet.", "Start it with `hpo run`.")
    if view.best is None:
        return _nobody(view)
    done = len(view.ranking.ranked)
    if view.objectives > 1:
        front = len(view.ranking.front)
        on = "is the Pareto front" if front == 1 else "are the Pareto front"
        named = " and ".join(f"{_name(view, index)} {_value(view.best, index)}" for index in range(view.objectives))
        return Verdict(
            f"{counted(front, 'trial')} of {done:,} {on}.",
            f"The most balanced is trial {view.best.trial.number}: {named}.",
        )
    ties = len(view.ranking.front) - 1
    headline = f"Trial {view.best.trial.number} won with {_name(view, 0)} {_value(view.best, 0)}."
    if not all(map(math.isfinite, view.best.trial.values or ())):
        return Verdict(headline, "That is no finite number: the figures show the other trials.")
    if done == 1:
        return Verdict(headline, "It is the only trial that completed.")
    tied = f"{counted(ties, 'later trial')} reached the same value; the earliest stands first." if ties else ""
    return Verdict(headline, tied)


def _nobody(view: StudyView) -> Verdict:
    counts = wording.states(view.counts)
    if not view.counts[RunState.COMPLETE]:
        if view.row.status == "complete":
            return Verdict("No trial completed.", f"All came to nothing: {counts}.")
        return Verdict("No trial has completed yet.", f"So far: {counts}.")
    return Verdict(
        "No completed trial can be ranked.",
        f"Each of them violates a constraint or has NaN as its result ({counts}).",
    )


def _name(view: StudyView, objective: int) -> str:
    return wording.short(view.metric_names[objective], 40)


def _value(standing: Standing, objective: int) -> str:
    return wording.number((standing.trial.values or ())[objective])


def comparisons(view: StudyView) -> list[Comparison]:
    """Return how much better the winner is than what it can be held against; one objective only."""
    ranked = view.ranking.ranked
    if view.objectives != 1 or len(ranked) < 2:
        return []
    best = _result(ranked[0])
    by_number = sorted(ranked, key=lambda trial: trial.number)
    enqueued = next((trial for trial in by_number if "fixed_params" in trial.system_attrs), None)
    found = [(f"runner-up (trial {ranked[1].number})", _result(ranked[1]))]
    found.append((f"median of the {len(ranked):,} ranked trials", statistics.median(map(_result, ranked))))
    if enqueued is not None:
        found.append((f"the first that was enqueued (trial {enqueued.number})", _result(enqueued)))
    found.append((f"first completed (trial {by_number[0].number})", _result(by_number[0])))
    sign = 1.0 if view.row.directions[0] == "maximize" else -1.0
    gains = [(against, value, sign * (best - value)) for against, value in found]
    return [Comparison(against, value, gain if math.isfinite(gain) else None) for against, value, gain in gains]


def _result(trial: Trial) -> float:
    return (trial.values or (math.nan,))[0]


def how_to_load(view: StudyView) -> list[str]:
    """Return the lines of Python that load the winner's model, or empty where it has none."""
    if view.best is None or not view.best.model:
        return []
    trial = view.best.trial
    mine = [version for version in view.versions if version.run_id == trial.run_id]
    newest = max(mine, key=lambda version: (bool(version.aliases), version.version), default=None)
    if newest is None:
        reference = f"runs:/{view.row.name}/{trial.number}"
    elif newest.aliases:
        reference = f"models:/{newest.name}@{newest.aliases[0]}"
    else:
        reference = f"models:/{newest.name}/{newest.version}"
    where = f", store={view.storage!r}" if view.storage else ""
    return ["import trackers", f"model = trackers.load_model({reference!r}{where})"]


def costs(view: StudyView) -> list[Cost]:
    """Return the cost by state, in core-seconds; states without a trial are left out."""
    by_state: dict[RunState, list[Trial]] = defaultdict(list)
    for trial in view.trials:
        by_state[trial.state].append(trial)
    total = sum(trial.cost for trial in view.trials)
    lines = []
    for state in wording.STATE_WORDS:
        trials = by_state.get(state, [])
        if trials:
            spent = sum(trial.cost for trial in trials)
            timed = [sum(a.seconds for a in trial.attempts) for trial in trials if trial.attempts]
            mean = sum(timed) / len(timed) if timed else None
            share = spent / total if total > 0 else 0.0
            lines.append(Cost(wording.STATE_WORDS[state], len(trials), spent, share, mean))
    return lines


def cost_remarks(view: StudyView) -> list[str]:
    """Return sentences on cost: starts that came to nothing, what pruning saved."""
    attempts = [attempt for trial in view.trials for attempt in trial.attempts]
    gone = [attempt for attempt in attempts if attempt.outcome in ("lost", "timeout", "released")]
    remarks = []
    if gone:
        spent = sum(attempt.seconds * attempt.cpus for attempt in gone)
        kinds = {"lost": "lost with their worker", "timeout": "timed out", "released": "put back into the queue"}
        named = [(sum(a.outcome == kind for a in gone), word) for kind, word in kinds.items()]
        parts = ", ".join(f"{amount:,} {word}" for amount, word in named if amount)
        starts = counted(len(gone), "start")
        remarks.append(f"{starts} came to nothing ({parts}): {wording.seconds(spent)} of core time in all.")
    saved = saved_by_pruning(view)
    if saved is not None:
        trials = counted(view.counts[RunState.PRUNED], "pruned trial")
        remarks.append(
            f"Pruning saved about {wording.seconds(saved)} of core time: an estimate of what the {trials} would have "
            "cost had each gone on at its own pace to the number of reports that completed trials made."
        )
    return remarks


def saved_by_pruning(view: StudyView) -> float | None:
    """Estimate the core-seconds that pruning saved; None where it cannot be said honestly.

    It can be said when completed trials made about the same number of reports (the middle eight tenths within a
    tenth of the median) and the cost of the pruned trials that reported is known.
    """
    lengths = sorted(
        len(trial.intermediate_values)
        for trial in view.trials
        if trial.state is RunState.COMPLETE and trial.intermediate_values
    )
    if len(lengths) < 3:
        return None
    full = statistics.median(lengths)
    low, high = lengths[len(lengths) // 10], lengths[-1 - len(lengths) // 10]
    if high - low > 0.1 * full:
        return None
    saved = [
        trial.cost * (full / len(trial.intermediate_values) - 1.0)
        for trial in view.trials
        if trial.state is RunState.PRUNED and trial.cost > 0.0 and 0 < len(trial.intermediate_values) < full
    ]
    return sum(saved) if saved else None


def failures(view: StudyView) -> list[Cause]:
    """Return failed trials by cause (the type of the error and its first line, numbers aside), most frequent first."""
    return _grouped((trial for trial in view.trials if trial.state is RunState.FAIL), _error)


def unsaved_models(view: StudyView) -> list[Cause]:
    """Return the trials whose model could not be saved, by reason."""
    return _grouped((trial for trial in view.trials if trial.model_error), lambda trial: ("", trial.model_error or ""))


def _error(trial: Trial) -> tuple[str, str]:
    return trial.error_type or "", trial.error or "no reason was recorded"


def _grouped(trials: Iterable[Trial], said: Callable[[Trial], tuple[str, str]]) -> list[Cause]:
    groups: dict[tuple[str, str], list[Trial]] = defaultdict(list)
    for trial in trials:
        kind, message = said(trial)
        first = message.strip().splitlines()[0] if message.strip() else ""
        groups[kind, re.sub(r"0x[0-9a-fA-F]+|\d+(\.\d+)?", "#", first)[:300]].append(trial)
    causes = []
    for (kind, _), members in groups.items():
        example = next((trial for trial in members if trial.traceback), members[0])
        message = said(example)[1]
        numbers = tuple(trial.number for trial in members)
        causes.append(Cause(kind, message, numbers, example.number, example.traceback or ""))
    return sorted(causes, key=lambda cause: (-len(cause.numbers), cause.numbers))
