"""What a command is about: ``NAME``, ``NAME/3``, ``NAME@ALIAS``, or a run."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trackers.registry import Registry
    from trackers.store import Store
    from trackers.values import ModelVersion


def read_target(text: str) -> dict[str, Any]:
    """Return the arguments that name a model, one of its versions or aliases, to the methods of the registry."""
    from trackers.models.reference import Reference

    found = Reference.parse(text if text.startswith("models:/") else f"models:/{text}")
    if isinstance(found.version, int):
        return {"name": found.name, "version": found.version}
    return {"name": found.name} if found.version is None else {"name": found.name, "alias": found.version}


def version_of(registry: Registry, name: str, version: str) -> ModelVersion:
    """Return a version by its number or an alias; the name may also stand as ``models:/NAME``."""
    return registry.version(name.removeprefix("models:/"), version)


_BEGINNING = re.compile(r"(?P<uid>[0-9a-f]{8,31})|(?P<scheme>runs:/)(?P<of>[0-9a-f]{8,31})(?P<model>/.*\D.*)?")
"""``runs:/DIGITS/17`` is a trial of a study with such a name."""


def has_short_uid(text: str) -> bool:
    """Tell whether *text* names a run, or ``runs:/RUN/MODEL``, by the beginning of its uid."""
    return _BEGINNING.fullmatch(text) is not None


def with_whole_uid(store: Store, text: str) -> str:
    """Return *text* with all 32 digits of a run that it names by their beginning, as listings do; else *text* itself.

    Raises InvalidValueError where several runs begin so.
    """
    from trackers.errors import NotFoundError

    found = _BEGINNING.fullmatch(text)
    if found is None:
        return text
    try:
        run = store.get_run(found["uid"] or found["of"])
    except NotFoundError:
        return text  # another name that looks so: who reads it next says what there is
    return f"{found['scheme'] or ''}{run.uid}{found['model'] or ''}"
