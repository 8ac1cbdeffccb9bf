"""The options that every reading command takes, and the store that they open."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from trackers.store import Store

F = TypeVar("F", bound=Callable[..., Any])

DEFAULT = "sqlite:///hpo.db"


def reading_options(command: F) -> F:
    """Give *command* ``--storage`` and ``--json``."""
    command = click.option("--json", "as_json", is_flag=True, help="Print JSON.")(command)
    return click.option(
        "--storage",
        metavar="URL",
        envvar="HPO_STORAGE",
        help=f"The store (default: HPO_STORAGE, then {DEFAULT}).",
    )(command)


view_option = click.option(
    "--view",
    type=click.Choice(["active", "archived", "deleted", "all"]),
    default="active",
    show_default=True,
    help="What is archived or deleted is hidden otherwise.",
)


def open_store(url: str | None) -> Store:
    """Open the store at *url* for reading; it must be there. Raises NotFoundError, which says what to do."""
    from trackers import connect

    return connect(url or DEFAULT, create=False)
