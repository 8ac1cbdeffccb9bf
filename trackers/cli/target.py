"""What a command is about: ``NAME``, ``NAME/3``, ``NAME@ALIAS``, or a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trackers.registry import Registry
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
