"""Policies as rows: set, ended, listed, and judged inside the transaction that moves an alias."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, func, insert, select, update

from trackers.errors import AlreadyExistsError, NotFoundError
from trackers.names import clean_name
from trackers.policy import Better, Only, Policy, Require, Result, Rule, Subject, judge
from trackers.policy.rule import rule_from_json, rule_to_json
from trackers.registry_arguments import new_alias
from trackers.sql import tables as t
from trackers.sql.alias_names import check_new_alias
from trackers.sql.registry import hold_model
from trackers.sql.registry_history import EVERY_MODEL, Actor, next_id, write_line
from trackers.sql.search import best_keys, find_best
from trackers.sql.subjects import Subjects
from trackers.values import to_datetime
from trackers.wording import did_you_mean


@dataclass(frozen=True, slots=True)
class NewPolicy:
    """A policy as it is asked for; *model* and *alias* None: all of them."""

    name: str
    rule: Rule
    model: str | None = None
    alias: str | None = None
    description: str = ""


def set_policy(connection: Connection, new: NewPolicy, actor: Actor) -> Policy:
    """Write a policy, as the next version of the one of its name and model; the same again changes nothing.

    Raises AlreadyExistsError for one of the name that is for another alias: that would be without it; FilterError for
    a ``best(...)`` that no study defines; InvalidValueError for an alias or a role that nothing could have.
    """
    model = new.model or EVERY_MODEL
    if new.model is not None:
        hold_model(connection, new.model)
    row_id = next_id(connection)  # whoever has an id is alone: two who set one policy come one after the other
    if isinstance(new.rule, Require):
        find_best(connection, best_keys(new.rule.node), None)
    for one in (new.alias, new.rule.than if isinstance(new.rule, Better) else None):
        if one is not None:
            check_new_alias(connection, new.model, new_alias(one))
    if isinstance(new.rule, Better) and new.rule.role is not None:
        clean_name(new.rule.role, "role")
    p = t.policies.c
    mine = (p.model == model) & (p.name == new.name)
    old = connection.execute(select(t.policies).where(mine, p.ended_at.is_(None))).first()
    row = {"alias": new.alias or "", "rule": rule_to_json(new.rule), "description": new.description}
    if old is not None and all(_plain(getattr(old, key)) == _plain(value) for key, value in row.items()):
        return _to_policy(old)
    alias = new.alias or ""
    if old is not None and old.alias != alias:
        raise AlreadyExistsError(
            f"The policy {new.name!r} is for {_scope(old.alias)} and would be so no longer: give the one for "
            f"{_scope(alias)} another name, or remove the first."
        )
    number = int(connection.execute(select(func.max(p.version)).where(mine)).scalar() or 0) + 1
    connection.execute(update(t.policies).where(mine, p.ended_at.is_(None)).values(ended_at=actor.time))
    key = {"id": row_id, "model": model, "name": new.name, "version": number}
    connection.execute(insert(t.policies).values(**key, **row, created_at=actor.time, created_by=actor.user))
    details = {"policy": new.name, "version": number, "rule": row["rule"], "before": old.rule if old else None}
    write_line(connection, actor, model, "set policy", alias=new.alias, details=details)
    return _to_policy(connection.execute(select(t.policies).where(p.id == row_id)).one())


def _scope(alias: str) -> str:
    return f"the alias {alias}" if alias else "every alias"


def remove_policy(connection: Connection, name: str, model: str | None, actor: Actor) -> None:
    """End a policy; raises NotFoundError, which names the close matches."""
    if model is not None:
        hold_model(connection, model)
    next_id(connection)  # as in set_policy
    p = t.policies.c
    living = (p.model == (model or EVERY_MODEL)) & p.ended_at.is_(None)
    old = connection.execute(select(t.policies).where(living, p.name == name)).first()
    if old is None:
        known = connection.execute(select(p.name).where(living).order_by(p.name)).scalars().all()
        whose = "for all models" if model is None else f"of the registered model {model!r}"
        raise NotFoundError(f"There is no policy {name!r} {whose}{did_you_mean(name, known, 'it has none.')}")
    connection.execute(update(t.policies).where(p.id == old.id).values(ended_at=actor.time))
    details = {"policy": name, "version": old.version, "before": old.rule}
    write_line(connection, actor, old.model, "remove policy", alias=old.alias or None, details=details)


def list_policies(connection: Connection, model: str | None = None, alias: str | None = None) -> list[Policy]:
    """Return the policies in force: all, or those that apply to *model*, and to its *alias*; those for all come first."""
    p = t.policies.c
    query = select(t.policies).where(p.ended_at.is_(None)).order_by(p.model, p.name)
    if model is not None:
        query = query.where(p.model.in_((EVERY_MODEL, model)))
    if alias is not None:
        query = query.where(p.alias.in_(("", alias)))
    return [_to_policy(row) for row in connection.execute(query)]


def judge_move(
    connection: Connection,
    name: str,
    alias: str,
    version: int | None,
    old: int | None,
    user: str,
    *,
    only: bool = False,
) -> list[Result]:
    """Judge the policies in force for moving *alias* from *old* to *version*; with *only*, those on who may move it."""
    policies = list_policies(connection, name, alias)
    if only:
        policies = [policy for policy in policies if isinstance(policy.rule, Only)]
    if not policies:
        return []
    subjects = Subjects(connection, name)
    subject = None if version is None or only else subjects.read(version)
    results = []
    for policy in policies:
        champion, former = _champion(subjects, policy.rule, alias, old)
        results.append(judge(policy, subject, champion, user, former=former))
    return results


def _champion(subjects: Subjects, rule: Rule, alias: str, old: int | None) -> tuple[Subject | None, bool]:
    """Return what *rule* compares with, and whether that is only what the alias pointed at before it was removed."""
    if not isinstance(rule, Better):
        return None, False
    number = old if rule.than is None else subjects.find(rule.than)
    former = number is None and rule.than is None
    if former:  # else whoever removes an alias first has nothing to beat
        number = subjects.find_former(alias)
    return (None, False) if number is None else (subjects.read(number), former)


def _plain(value: Any) -> Any:
    """Return *value* as JSON gives it back."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, Sequence) and not isinstance(value, str) else value


def _to_policy(row: Any) -> Policy:
    return Policy(
        name=row.name,
        version=row.version,
        rule=rule_from_json(row.rule),
        model=row.model or None,
        alias=row.alias or None,
        created_at=to_datetime(row.created_at),  # type: ignore[arg-type]
        created_by=row.created_by,
        description=row.description,
    )
