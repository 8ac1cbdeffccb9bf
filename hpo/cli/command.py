"""The shape that every command of ``hpo`` has: an example in its help, and modules loaded when they are called for."""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping
from typing import Any

import click

from hpo.wording import suggestion


class Command(click.Command):
    """A command with examples: *example* is one call a line, shown under the help."""

    def __init__(self, *args: Any, example: str = "", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.example = example

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Show the examples, then the epilog."""
        if self.example:
            with formatter.section("Example"):
                for line in self.example.strip().splitlines():
                    formatter.write(f"{'':>{formatter.current_indent}}{line.strip()}\n")
        super().format_epilog(ctx, formatter)


class LazyGroup(click.Group):
    """A group that imports a command's module when the command is called, or listed by the help.

    *table* maps a command's name to ``"module:attribute"``.
    """

    def __init__(self, *args: Any, table: Mapping[str, str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.table = table

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of the table."""
        return list(self.table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command called *cmd_name*, or return None."""
        if cmd_name not in self.table:
            return None
        module, _, attribute = self.table[cmd_name].partition(":")
        found = getattr(importlib.import_module(module), attribute)
        assert isinstance(found, click.Command)
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; an unknown one is answered with the nearest name."""
        name = os.fspath(args[0])
        command = self.get_command(ctx, name)
        if command is None and not name.startswith("-"):
            raise click.UsageError(
                f"There is no command {name}{suggestion(name, self.table) or '; see hpo --help.'}", ctx
            )
        return super().resolve_command(ctx, args)
