"""What a shell completes besides commands and options: registered models, their versions and aliases, experiments."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import click

from trackers.cli.storage import open_store

if TYPE_CHECKING:
    from trackers.store import Store

Completes = Callable[[click.Context, click.Parameter, str], list[str]]

MOST = 200
"""More than these help nobody."""


def _completes(names: Callable[[Store, click.Context, str], Iterable[str]]) -> Completes:
    def complete(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
        try:
            with open_store(ctx.params.get("storage") or os.environ.get("HPO_STORAGE")) as store:
                return [name for name in names(store, ctx, incomplete) if name.startswith(incomplete)][:MOST]
        except Exception:  # noqa: BLE001 - a shell that completes has no place for an error
            return []

    return complete


def _models(store: Store, ctx: click.Context, incomplete: str) -> list[str]:
    return [model.name for model in store.registry.list()]


def _name(ctx: click.Context) -> str:
    """Return the model that was typed: click leaves arguments unread where an option waits for its value."""
    return str(ctx.params.get("name") or next(iter(ctx.args), ""))


def _versions(store: Store, ctx: click.Context, incomplete: str) -> list[str]:
    found = store.registry.versions(_name(ctx))
    return [*(alias for version in found for alias in version.aliases), *(str(v.version) for v in found)]


def _aliases(store: Store, ctx: click.Context, incomplete: str) -> list[str]:
    found = store.registry.versions(_name(ctx))
    return [alias for version in found for alias in version.aliases] or ["production", "staging"]


def _references(store: Store, ctx: click.Context, incomplete: str) -> list[str]:
    """Return the models; behind the name of one what points at its versions."""
    prefix = "models:/" if incomplete.startswith("models:/") else ""
    typed = incomplete.removeprefix(prefix)
    name = next((name for name in _models(store, ctx, "") if typed.startswith((f"{name}@", f"{name}/"))), None)
    if name is None:
        return [f"{prefix}{model}" for model in _models(store, ctx, "")]
    found = store.registry.versions(name)
    aliases = [f"{prefix}{name}@{alias}" for version in found for alias in version.aliases]
    return [*aliases, *(f"{prefix}{name}/{version.version}" for version in found)]


def _experiments(store: Store, ctx: click.Context, incomplete: str) -> list[str]:
    return [row.name for row in store.list_experiments()]


complete_model = _completes(_models)
complete_version = _completes(_versions)
complete_alias = _completes(_aliases)
complete_reference = _completes(_references)
complete_experiment = _completes(_experiments)
