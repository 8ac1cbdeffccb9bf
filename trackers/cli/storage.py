"""The options that every reading command takes, and the store that they open."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from trackers.wording import counted

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


def hidden_parts(count: Callable[[str], int], view: str, noun: str, most: int | None = None) -> str:
    """Return sentences on what other views than the active one show, nothing where *view* is another or they are empty.

    *count* tells how many are in a view, but no more than *most*; *noun* is what they are.
    """
    said = []
    for other in ("archived", "deleted") if view == "active" else ():
        if found := count(other):
            are, them = ("is", "it") if found == 1 else ("are", "them")
            many = "At least " if found == most else ""
            said.append(f" {many}{counted(found, noun)} {are} {other}: --view {other} shows {them}.")
    return "".join(said)


def nothing(view: str, noun: str, hidden: str) -> str:
    """Say that a *view* is empty; *hidden* is what ``hidden_parts`` told of the others."""
    if view in ("archived", "deleted"):
        return f"No {noun} is {view}."
    return f"No {noun} is shown.{hidden}" if hidden else f"There are no {noun}s yet."


def open_store(url: str | None) -> Store:
    """Open the store at *url* for reading; it must be there. Raises NotFoundError, which says what to do."""
    from trackers import connect

    return told(connect(url or DEFAULT, create=False))


def told(store: Store) -> Store:
    """Return *store*, and tell of the upgrade that opening it took."""
    if store.identity.upgraded:
        click.echo(store.identity.upgraded, err=True)
    return store
