"""What must hold before an alias may point at a version: rules as data, and how they are judged. Pure.

Each policy has one rule: ``Require`` (a filter), ``Better`` (than the champion), ``MaxSize``, ``Committed``,
``Approvals`` or ``Only`` (who may move the alias).
"""

from __future__ import annotations

from trackers.policy.judge import judge
from trackers.policy.policy import Policy, Result
from trackers.policy.rule import Approvals, Better, Committed, MaxSize, Only, Require, Rule
from trackers.policy.subject import Subject

__all__ = [
    "Approvals",
    "Better",
    "Committed",
    "MaxSize",
    "Only",
    "Policy",
    "Require",
    "Result",
    "Rule",
    "Subject",
    "judge",
]
