"""Pins: what is kept whatever becomes of the rest, found by how a person names it."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Any

from trackers.errors import NotFoundError
from trackers.processes import host_name, user_name
from trackers.sql import pins
from trackers.values import Pin

if TYPE_CHECKING:
    from trackers.store import Store

_DIGEST = re.compile(r"[0-9a-f]{64}")
_UID = re.compile(r"[0-9a-f]{32}")


def pin(store: Store, ref: Any, reason: str = "") -> Pin:
    """Pin what *ref* names and return the pin: a run, the uid of a model, or the digest of a file."""
    kind, target = resolve(store, ref)
    author = f"{user_name()}@{host_name()}"
    store.writer.call(partial(pins.pin, kind=kind, target=target, reason=reason, author=author))
    return next(one for one in list_pins(store) if (one.kind, one.target) == (kind, target))


def unpin(store: Store, ref: Any) -> tuple[str, str]:
    """Take a pin away and return its kind and target; raises NotFoundError where there is none."""
    known = [(one.kind, one.target) for one in list_pins(store) if one.target == ref]
    kind, target = known[0] if known else resolve(store, ref)
    store.writer.call(partial(pins.unpin, kind=kind, target=target))
    return kind, target


def list_pins(store: Store) -> list[Pin]:
    """Return every pin, oldest first."""
    with store.database.reading() as connection:
        return pins.list_pins(connection)


def resolve(store: Store, ref: Any) -> tuple[str, str]:
    """Return the kind and the uid or digest of what *ref* names; raises NotFoundError."""
    word = ref.lower() if isinstance(ref, str) else ""
    with store.database.reading() as connection:
        if _DIGEST.fullmatch(word):
            return "file", pins.target_of(connection, "file", word)
        for kind in ("run", "model") if _UID.fullmatch(word) else ():
            try:
                return kind, pins.target_of(connection, kind, word)
            except NotFoundError:
                if kind == "model":
                    raise NotFoundError(f"there is no run and no model {word} in this store") from None
    run_id = store.get_run(ref).id
    with store.database.reading() as connection:
        return "run", pins.uid_of_run(connection, run_id)
