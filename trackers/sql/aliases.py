"""Aliases: which version each points at, and the one function that moves them.

A move is one transaction: the model's row is held, what the alias points at is compared with what was expected, the
policies in force are judged, and the line of history is written with what they said.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, insert, select, update

from trackers.errors import ConflictError, NotFoundError, PolicyError
from trackers.policy import Result
from trackers.sql import tables as t
from trackers.sql.alias_names import check_new_alias
from trackers.sql.policies import judge_move
from trackers.sql.registry import (
    check_version,
    find_model_id,
    hold_model,
    latest_version,
    list_versions,
    no_version,
)
from trackers.sql.registry_history import Actor, hold_registry, last_line, list_lines, write_line
from trackers.values import Alias, ModelVersion, RegistryMove
from trackers.wording import did_you_mean

LATEST = "latest"
"""What is no alias, and means the newest version, as ``models:/NAME/latest`` does."""


class Anything:
    """Says that whatever an alias points at may be replaced."""


ANYTHING = Anything()
Expected = int | Anything | None
"""The number of the version that an alias is believed to point at; None: that there is no such alias."""


@dataclass(frozen=True, slots=True)
class Move:
    """An alias that is to point at *version* (None: at nothing), instead of *expected* (None: of nothing).

    *action* is what the line of history calls it; *force* moves it though policies do not hold.
    """

    name: str
    alias: str
    version: int | None
    expected: Expected = ANYTHING
    action: str = "promote"
    force: bool = False


def move_alias(connection: Connection, move: Move, actor: Actor) -> RegistryMove:
    """Move an alias and return the line of history that says so.

    Where it points at that version already nothing is written, and its last line is returned. Raises ConflictError
    when it does not point at what is expected, PolicyError for policies that do not hold, NotFoundError for a version
    that does not exist and for removing an alias that is not there, InvalidValueError for a new one that may not be.
    """
    name, alias, version = move.name, move.alias, move.version
    model_id = hold_model(connection, name)
    hold_registry(connection)  # a policy for all models that is set at this moment holds, or comes after
    if version is not None:
        check_version(connection, model_id, name, version)
    old = _points_at(connection, model_id, alias)
    _check(connection, name, alias, old, move.expected)
    if version is None and old is None:
        raise NotFoundError(_no_alias(connection, model_id, name, alias))
    if old is None and version is not None:
        check_new_alias(connection, name, alias)
    if old == version and (last := last_move(connection, name, alias)) is not None:
        return last
    results = judge_move(connection, name, alias, version, old, actor.user, only=move.action != "promote")
    failed = [result for result in results if not result.holds]
    if any(not (result.forcible and move.force) for result in failed):
        raise PolicyError(_refusal(name, alias, version, failed, forced=move.force), tuple(results))
    _point(connection, model_id, alias, old, version)
    details = _details(results, failed)
    return write_line(
        connection, actor, name, move.action, alias=alias, old_version=old, new_version=version, details=details
    )


def judge(connection: Connection, move: Move, user: str) -> list[Result]:
    """Return what the policies say of a move by *user*, which is not made; raises what ``move_alias`` would else."""
    model_id = find_model_id(connection, move.name)
    if move.version is not None:
        check_version(connection, model_id, move.name, move.version)
    old = _points_at(connection, model_id, move.alias)
    _check(connection, move.name, move.alias, old, move.expected)
    if old is None:
        check_new_alias(connection, move.name, move.alias)
    return judge_move(connection, move.name, move.alias, move.version, old, user)


def _check(connection: Connection, name: str, alias: str, old: int | None, expected: Expected) -> None:
    if not isinstance(expected, Anything) and old != expected:
        raise ConflictError(_conflict(connection, name, alias, old, expected))


def _details(results: Sequence[Result], failed: Sequence[Result]) -> dict[str, Any]:
    details: dict[str, Any] = {"policies": [result.as_json() for result in results]} if results else {}
    return {**details, "forced": [result.policy for result in failed]} if failed else details


def roll_back(connection: Connection, move: Move, actor: Actor) -> RegistryMove:
    """Move an alias back to *version*, which must be what it pointed at before; raises ConflictError otherwise."""
    hold_model(connection, move.name)
    if previous_version(connection, move.name, move.alias) != move.version:
        raise ConflictError(f"Somebody moved {move.name}@{move.alias} first: look at its history and decide again.")
    return move_alias(connection, move, actor)


def previous_version(connection: Connection, name: str, alias: str) -> int:
    """Return what an alias pointed at before, by its history: each move adds to a stack, each rollback takes away.

    Versions that were deleted since are passed over. Raises NotFoundError where there is nothing before.
    """
    lines = list_lines(connection, name, alias)
    model_id, v = find_model_id(connection, name), t.model_versions.c
    if not lines:
        raise NotFoundError(_no_alias(connection, model_id, name, alias))
    there = set(connection.execute(select(v.version).where(v.model_id == model_id)).scalars())
    stack = _undo(_replay(lines))
    while stack and stack[-1] not in there:
        stack = stack[:-1]
    if not stack or stack[-1] is None:
        raise NotFoundError(f"The history of {name}@{alias} names no version before this one: there is no way back.")
    return stack[-1]


def _replay(lines: Iterable[RegistryMove]) -> list[int | None]:
    stack: list[int | None] = []
    for line in lines:
        if line.action == "rollback":
            stack = _undo(stack)
            while stack and stack[-1] != line.new_version:  # it passed over versions that were gone
                stack = stack[:-1]
        elif line.action in {"promote", "unset"} and (not stack or stack[-1] != line.new_version):
            stack.append(line.new_version)
    return stack


def _undo(stack: list[int | None]) -> list[int | None]:
    """Return *stack* without its top, and without what was nothing, or the same before it was nothing."""
    top, stack = stack[-1:], stack[:-1]
    while stack and (stack[-1] is None or stack[-1:] == top):
        stack = stack[:-1]
    return stack


def last_move(connection: Connection, name: str, alias: str) -> RegistryMove | None:
    """Return the line that moved an alias to where it is, marked as not written now."""
    import dataclasses

    moves = [line for line in list_lines(connection, name, alias) if line.action in {"promote", "rollback"}]
    return dataclasses.replace(moves[-1], written=False) if moves else None


def _points_at(connection: Connection, model_id: int, alias: str) -> int | None:
    a = t.aliases.c
    found: int | None = connection.execute(select(a.version).where(a.model_id == model_id, a.alias == alias)).scalar()
    return found


def _point(connection: Connection, model_id: int, alias: str, old: int | None, version: int | None) -> None:
    mine = (t.aliases.c.model_id == model_id) & (t.aliases.c.alias == alias)
    if version is None:
        connection.execute(t.aliases.delete().where(mine))
    elif old is None:
        connection.execute(insert(t.aliases).values(model_id=model_id, alias=alias, version=version))
    else:
        connection.execute(update(t.aliases).where(mine).values(version=version))


# --- reading -----------------------------------------------------------------------------------------------------


def find_version(connection: Connection, name: str, ref: int | str) -> ModelVersion:
    """Return a version by its number, by an alias, or as ``latest``; raises NotFoundError, which says what there is."""
    number = find_alias(connection, name, ref) if isinstance(ref, str) else ref
    if abs(number) >= 2**31:  # more than a column of a database can hold
        raise NotFoundError(no_version(connection, find_model_id(connection, name), name, number))
    return list_versions(connection, name, number)[0]


def find_alias(connection: Connection, name: str, alias: str) -> int:
    """Return the version that *alias* points at; raises NotFoundError, which names the close matches."""
    model_id = find_model_id(connection, name)
    version = _points_at(connection, model_id, alias)
    if version is None and alias == LATEST:
        version = latest_version(connection, model_id, name)
    if version is None:
        raise NotFoundError(_no_alias(connection, model_id, name, alias))
    return version


def check_alias(connection: Connection, model_id: int, name: str, alias: str) -> None:
    """Raise NotFoundError unless the alias points at a version."""
    if _points_at(connection, model_id, alias) is None:
        raise NotFoundError(_no_alias(connection, model_id, name, alias))


def list_aliases(connection: Connection, name: str) -> list[Alias]:
    """Return the aliases of a model, by name."""
    model_id = find_model_id(connection, name)
    a, g = t.aliases.c, t.alias_tags.c
    tags: dict[str, dict[str, str]] = {}
    for alias, key, value in connection.execute(select(g.alias, g.name, g.value).where(g.model_id == model_id)):
        tags.setdefault(alias, {})[key] = value
    query = select(a.alias, a.version, a.description).where(a.model_id == model_id).order_by(a.alias)
    return [
        Alias(name, alias, version, about or "", dict(sorted(tags.get(alias, {}).items())))
        for alias, version, about in connection.execute(query)
    ]


# --- what is said ------------------------------------------------------------------------------------------------


def _no_alias(connection: Connection, model_id: int, name: str, alias: str) -> str:
    if re.fullmatch(r"[vV]\d+", alias, re.ASCII):
        return f"The registered model {name!r} has no alias {alias!r}, and a version is a number: write {alias[1:]}."
    query = select(t.aliases.c.alias).where(t.aliases.c.model_id == model_id).order_by(t.aliases.c.alias)
    known = did_you_mean(alias, connection.execute(query).scalars().all(), "it has no alias yet.")
    return f"The registered model {name!r} has no alias {alias!r}{known}"


def _conflict(connection: Connection, name: str, alias: str, old: int | None, expected: int | None) -> str:
    last = last_line(connection, name, alias)
    moved = f" ({last.actor} moved it on {last.time:%Y-%m-%d %H:%M:%S} UTC)" if last else ""
    there = "at nothing" if old is None else f"at version {old}"
    wanted = "nothing" if expected is None else f"version {expected}"
    return f"{name}@{alias} points {there}{moved}, not at {wanted}: look at it and decide again."


def _refusal(name: str, alias: str, version: int | None, failed: Sequence[Result], *, forced: bool) -> str:
    what = f"{name} version {version} may not become {alias}" if version else f"{name}@{alias} may not be removed"
    said = "; ".join(f"{result.policy}: {result.says}" for result in failed)
    if all(result.forcible for result in failed):
        return f"{what}. {said}. Mend that, or force it with a reason."
    return f"{what}. {said}. {'Force does not overcome that.' if forced else 'Ask one of them.'}"
