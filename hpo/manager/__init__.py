"""The manager: the loop that joins engine, sampling, execution and store."""

from hpo.manager.manager import Manager
from hpo.manager.plan import Plan, Summary

__all__ = ["Manager", "Plan", "Summary"]
