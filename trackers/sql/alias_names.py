"""Which aliases may be made. Those of an older store stay as they are."""

from __future__ import annotations

from sqlalchemy import Connection, select

from trackers.errors import InvalidValueError
from trackers.registry_arguments import check_alias_characters
from trackers.sql import tables as t
from trackers.sql.registry_history import EVERY_MODEL


def check_new_alias(connection: Connection, model: str | None, alias: str) -> None:
    """Raise InvalidValueError where *alias* may be none of *model* (None: of any); one that is there already may be.

    One that differs only in case from an alias, or from what a policy names, would be taken for it, by people and not
    by the policy.
    """
    a, m, p = t.aliases.c, t.registered_models.c, t.policies.c
    query, models = select(a.alias).join(t.registered_models, m.id == a.model_id), [EVERY_MODEL]
    if model is not None:
        query, models = query.where(m.name == model), [EVERY_MODEL, model]
    there = set(connection.execute(query).scalars())
    if alias in there:
        return
    in_policies = select(p.alias).where(p.model.in_(models), p.ended_at.is_(None), p.alias != "")
    named = set(connection.execute(in_policies).scalars())
    if alias not in named:
        check_alias_characters(alias)
    near = sorted(other for other in there if other.casefold() == alias.casefold())
    if not near and alias not in named:
        near = sorted(other for other in named if other.casefold() == alias.casefold())
    if near:
        whose = ("a model has" if model is None else f"{model} has") if near[0] in there else "a policy names"
        raise InvalidValueError(
            f"The alias {alias!r} differs only in case from {near[0]!r}, which {whose}: write {near[0]!r}, or take "
            "another word."
        )
