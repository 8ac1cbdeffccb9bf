"""Judge a policy over a version: it holds, or it does not, with one sentence and the figures."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from trackers.policy.better import Estimate, difference_error, estimate, measured_on_the_same, needed, of_figure
from trackers.policy.condition import Condition
from trackers.policy.policy import Policy, Result
from trackers.policy.rule import Approvals, Better, Committed, MaxSize, Only, Require, show_bytes
from trackers.policy.subject import Subject

_DIGEST = 12
_ROUNDING = 1e-12
"""How far a difference of two numbers may be off, as a part of the larger one."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a rule holds, why, and the figures."""

    holds: bool
    says: str
    figures: Mapping[str, Any]


def judge(
    policy: Policy, subject: Subject | None, champion: Subject | None, user: str, *, former: bool = False
) -> Result:
    """Judge *policy* for moving its alias to *subject* (None: to nothing), which is what *user* is about to do.

    *champion* is the version that the rule ``Better`` compares with, None where there is none; *former* says that the
    alias was removed, and that it is what it pointed at last.
    """
    rule = policy.rule
    if isinstance(rule, Only):
        verdict = _only(rule, user)
    elif subject is None:
        verdict = Verdict(True, "nothing is promoted", {})
    elif isinstance(rule, Require):
        verdict = _require(rule, subject)
    elif isinstance(rule, Better):
        verdict = _better(rule, subject, champion)
        if former:
            says = f"the alias was removed and pointed at {champion} last: {verdict.says}"
            verdict = Verdict(verdict.holds, says, {**verdict.figures, "alias_was_removed": True})
    elif isinstance(rule, MaxSize):
        verdict = _size(rule, subject)
    elif isinstance(rule, Committed):
        verdict = _committed(subject)
    else:
        verdict = _approvals(rule, subject)
    forcible = not isinstance(rule, Only)
    return Result(
        policy.name, policy.version, str(rule), verdict.holds, verdict.says, verdict.figures, forcible=forcible
    )


def _require(rule: Require, subject: Subject) -> Verdict:
    condition = Condition(subject)
    holds = condition.holds(rule.node)
    found = ", ".join(f"{name} is {_shown(value)}" for name, value in condition.figures.items())
    if holds is None:
        return Verdict(False, "; ".join(condition.missing), condition.figures)
    return Verdict(holds, found or f"{subject} has what is asked", condition.figures)


def _size(rule: MaxSize, subject: Subject) -> Verdict:
    says = f"the model has {show_bytes(subject.size)}"
    return Verdict(subject.size <= rule.bytes, says, {"bytes": subject.size, "limit": rule.bytes})


def _committed(subject: Subject) -> Verdict:
    commit, dirty = subject.code.get("commit"), subject.code.get("dirty")
    figures = {"commit": commit, "dirty": dirty}
    if not commit:
        return Verdict(False, f"no commit is known for {subject}: run it inside a git repository", figures)
    at = f"commit {str(commit)[:_DIGEST]}"
    if dirty is None:
        return Verdict(False, f"{at} is known, but not whether the tree was clean", figures)
    return Verdict(not dirty, f"{at} with {'uncommitted changes' if dirty else 'a clean tree'}", figures)


def _approvals(rule: Approvals, subject: Subject) -> Verdict:
    counted = [one.user for one in subject.approvals if one.user in rule.by] if rule.by else []
    if not rule.by:
        counted = [one.user for one in subject.approvals if one.user != subject.version.created_by]
    everybody = [one.user for one in subject.approvals]
    figures = {"approved_by": everybody, "counted": counted, "needed": rule.count}
    who = ", ".join(counted) or "nobody"
    says = f"approved by {who}: {len(counted)} of {rule.count}"
    if len(counted) < rule.count and subject.version.created_by in everybody and not rule.by:
        says += f" ({subject.version.created_by} registered it and does not count)"
    return Verdict(len(counted) >= rule.count, says, figures)


def _only(rule: Only, user: str) -> Verdict:
    holds = user in rule.users
    says = f"{user} {'may' if holds else 'may not'} move it: {', '.join(rule.users)} may"
    return Verdict(holds, says, {"user": user, "users": list(rule.users)})


# --- better than the champion --------------------------------------------------------------------------------------


def _better(rule: Better, subject: Subject, champion: Subject | None) -> Verdict:
    if champion is None and rule.than is not None:
        return Verdict(False, f"there is no version at @{rule.than} to compare with", {})
    if champion is None:
        return Verdict(True, "there is no champion to beat yet", {})
    if champion.version.version == subject.version.version:
        return Verdict(True, f"{subject} is the champion", {"champion": champion.version.version})
    field = rule.field
    shown = f"{field.key}{{{field.context}}}" if field.context else field.key
    figures: dict[str, Any] = {"metric": shown, "champion_version": champion.version.version}
    if (both := measured_on_the_same(subject, champion, shown)) is not None:
        data, mine, theirs = both[0], of_figure(both[1]), of_figure(both[2])
        return _compare(rule, champion, mine, theirs, f"data {data[:_DIGEST]}", figures | {"data": [data]})
    own, other = subject.data(rule.role), champion.data(rule.role)
    figures["data"], figures["champion_data"] = sorted(set(own.values())), sorted(set(other.values()))
    if (why := _not_comparable(rule, subject, champion)) is not None:
        return Verdict(False, why, figures)
    found = [(one, estimate(one, field, list(own.values()))) for one in (subject, champion)]  # both have that data
    for one, value in found:
        if value is None:
            return Verdict(False, _no_figure(one, shown), figures)
    (_, mine_or_none), (_, theirs_or_none) = found
    assert mine_or_none is not None  # returned above otherwise
    assert theirs_or_none is not None
    where = f"data {figures['data'][0][:_DIGEST]}{' and others' if len(figures['data']) > 1 else ''}"
    return _compare(rule, champion, mine_or_none, theirs_or_none, where, figures)


def _no_figure(one: Subject, shown: str) -> str:
    if one.measured(shown):
        return f"not comparable: {shown} of {one} was measured on other data, measure both on the same (--data)"
    names = ", ".join(one.metric_names()[:4])
    return f"{one} has no metric {shown}: {f'it has {names}' if names else 'it has none'}"


def _not_comparable(rule: Better, subject: Subject, champion: Subject) -> str | None:
    """Say why the two do not have the same data; None where they have."""
    own, other = subject.data(rule.role), champion.data(rule.role)
    kind = f"{rule.role} data" if rule.role else "data"
    for one, found in ((subject, own), (champion, other)):
        if not found:
            return f"not comparable: no {kind} is recorded for {one}, call log_input, or measure both on the same data"
    if subject.has_same_data(champion, rule.role):
        seen = set(own.values()) & (subject.trained_on() - champion.trained_on())
        if not seen:
            return None
        return f"not comparable: {subject} was trained on the data {min(seen)[:_DIGEST]} that both are compared on"
    if set(own.values()) == set(other.values()):
        return (
            f"not comparable: {subject} and {champion} have the same data, but were not trained on the same part of it"
        )
    a, b = (min(set(x.values()) - set(y.values()) or x.values())[:_DIGEST] for x, y in ((own, other), (other, own)))
    return f"not comparable: {subject} has {kind} {a}, {champion} has {b}"


def _compare(
    rule: Better,
    champion: Subject,
    mine: Estimate,
    theirs: Estimate,
    where: str,
    figures: Mapping[str, Any],
) -> Verdict:
    gain = (mine.value - theirs.value) * (1 if rule.direction == "maximize" else -1)
    error, how = difference_error(mine, theirs)
    threshold, margin = needed(rule, theirs.value, error)
    figures = {
        **figures,
        "challenger": mine.as_json(),
        "champion": theirs.as_json(),
        "gain": gain,
        "standard_error": error,
        "noise": how,
        "needed": threshold,
        "needed_by": margin,
    }
    said = f"{figures['metric']} {_shown(mine.value)} against {_shown(theirs.value)} of {champion} on {where}"
    if gain != gain or threshold != threshold:
        return Verdict(False, f"{said}: nan cannot be compared", figures)
    if math.isinf(mine.value):
        return Verdict(False, f"{said}: infinity is no result to rely on", figures)
    if error is not None and error != error and (rule.sigmas or threshold == 0):
        return Verdict(False, f"{said}: {how}, so that a gain cannot be told from noise", figures)
    if error is None and threshold == 0:
        return Verdict(False, f"{said}: {how}, and the policy names no margin to tell a gain from noise", figures)
    rounding = _ROUNDING * max(abs(mine.value), abs(theirs.value))  # 0.29 - 0.28 is not quite 0.01
    holds = gain > 0 and gain >= threshold - rounding
    asked = (
        f"{_shown(threshold)} is asked ({margin}; {how})" if threshold else f"any gain is enough ({how}, without noise)"
    )
    return Verdict(holds, f"{said}: gain {_shown(gain)}, {asked}", figures)


def _shown(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else repr(value) if isinstance(value, str) else str(value)
