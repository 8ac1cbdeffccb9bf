"""Whether a version beats another one by more than noise, on the same data."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from trackers.policy.condition import look_up_metric
from trackers.policy.rule import Better
from trackers.policy.subject import Subject
from trackers.query import Field
from trackers.values import Figure

_REPEATS = ("fold", "repeat", "seed")
_SPLIT = re.compile(r",(?=[^,=]*=)")


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value and what is known of its noise: *parts* are one value a fold or repeat, *error* a standard error."""

    value: float
    parts: tuple[tuple[str, float], ...] = ()
    error: float | None = None
    folds: bool = False

    @property
    def standard_error(self) -> float | None:
        """The standard error: the stored one, or that of the parts' mean."""
        return self.error if len(self.parts) < 2 else spread_error([value for _, value in self.parts], self.folds)

    def as_json(self) -> dict[str, Any]:
        found: dict[str, Any] = {"value": self.value, "standard_error": self.standard_error}
        return found | ({"parts": dict(self.parts)} if self.parts else {})


def spread_error(values: Sequence[float], folds: bool) -> float:
    """Return the standard error of the mean of *values* (two or more); NaN where it is beyond what a number can hold.

    Folds of one cross-validation share most of their training data, so that their plain standard error is too small:
    it is corrected by the ratio of test to training data (Nadeau and Bengio, "Inference for the Generalization Error",
    Machine Learning 52, 2003, section 3).
    """
    n = len(values)
    try:
        mean = math.fsum(values) / n
        variance = math.fsum((value - mean) ** 2 for value in values) / (n - 1)
    except (OverflowError, ValueError):  # too large, or of both infinities
        return math.nan
    return math.sqrt(variance * (1 / n + (1 / (n - 1) if folds else 0)))


def estimate(subject: Subject, field: Field, data: Collection[str]) -> Estimate | None:
    """Return the value of a metric on *data* and its noise, as the version or its run has them; None without one."""
    parts, folds = _repeats(subject, field)
    value = look_up_metric(subject, field, data)
    if value is None and parts:
        value = sum(part for _, part in parts) / len(parts)  # of both infinities NaN, as a policy says
    if value is None:
        return None
    stored = look_up_metric(subject, Field("metric", f"{field.key}_se", context=field.context), data)
    return Estimate(value, parts, stored, folds)


def _repeats(subject: Subject, field: Field) -> tuple[tuple[tuple[str, float], ...], bool]:
    """Return the last value of each series of *field* that a fold, repeat or seed in its context tells apart."""
    found: dict[str, float] = {}
    folds = False
    for one in subject.series:
        if one.key != field.key or not one.context:
            continue
        pairs = _SPLIT.split(one.context)
        labels = [pair for pair in pairs if pair.partition("=")[0] in _REPEATS]
        if labels and ",".join(pair for pair in pairs if pair not in labels) == field.context:
            found[",".join(labels)] = one.last
            folds = folds or any(label.startswith("fold=") for label in labels)
    return tuple(sorted(found.items())), folds


def measured_on_the_same(challenger: Subject, champion: Subject, key: str) -> tuple[str, Figure, Figure] | None:
    """Return the data, and both figures, of the newest measurement of *key* that was made of both."""
    theirs = {one.data: one for one in champion.measured(key) if one.data}
    for mine in challenger.measured(key):
        if mine.data in theirs:
            return mine.data, mine, theirs[mine.data]
    return None


def of_figure(figure: Figure) -> Estimate:
    """Return what was measured as an estimate. Its repeats have no labels by which those of two versions pair."""
    return Estimate(figure.value, error=spread_error(figure.values, folds=False) if len(figure.values) > 1 else None)


def difference_error(mine: Estimate, theirs: Estimate) -> tuple[float | None, str]:
    """Return the standard error of the difference of two values, and how it was had; None where nothing tells.

    NaN where a part, or a recorded error, is no finite number: then nothing can be told from noise. Where one has an
    error alone, it is taken for both: to record less makes nothing easier.
    """
    a, b = dict(mine.parts), dict(theirs.parts)
    for whose, one in (("the challenger", mine), ("the champion", theirs)):
        odd = [f"{label} is {value:g}" for label, value in one.parts if not math.isfinite(value)]
        if odd or (one.error is not None and not math.isfinite(one.error)):
            return math.nan, f"of {whose} {odd[0] if odd else f'the standard error is {one.error:g}'}"
    if len(a) > 1 and a.keys() == b.keys():
        differences = [a[label] - b[label] for label in a]
        word = "folds" if mine.folds else "repeats"
        return spread_error(differences, mine.folds and theirs.folds), f"{len(a)} paired {word}"
    errors = [mine.standard_error, theirs.standard_error]
    known = [error for error in errors if error is not None]
    if not known:
        return None, "no standard error is recorded"
    if len(known) == 2:
        return math.hypot(*known), "both standard errors"
    return math.hypot(*known, *known), "one standard error for both, the other is not recorded"


def needed(rule: Better, champion: float, error: float | None) -> tuple[float, str]:
    """Return the gain that *rule* asks for, and which of its margins that is."""
    asked = [(rule.margin, f"the margin {rule.margin:g}")]
    asked.append((rule.relative * abs(champion), f"{rule.relative * 100:g} % of {champion:.6g}"))
    if error is not None:
        asked.append((rule.sigmas * error, f"{rule.sigmas:g} standard errors of {error:.3g}"))
    return max(asked, key=lambda pair: pair[0])
