"""The table of commands of ``trackers``, and how one ends: 0 done, 1 the work failed, 2 the call was wrong."""

from __future__ import annotations

import importlib
import os
import sys

import click

from trackers.errors import DigestError, FencedError, TrackersError

TABLE = {
    "models": "trackers.cli.models:models",
    "promote": "trackers.cli.models:promote",
    "search": "trackers.cli.search:search",
}


class _Table(click.Group):
    """Imports the module of a command when the command is called, or listed by the help."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(TABLE)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in TABLE:
            return None
        module, _, attribute = TABLE[cmd_name].partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command


@click.group(cls=_Table, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
def trackers() -> None:
    """Look into a store of tracked runs and its model registry."""


def run(args: list[str] | None = None) -> int:
    """Run a command with *args* (default: those of the process) and return its exit code; errors are one sentence."""
    try:
        code = trackers.main(args, prog_name="trackers", standalone_mode=False)
    except (KeyboardInterrupt, click.Abort):
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except click.ClickException as exc:
        click.echo(f"Error: {exc.format_message()}", err=True)
        return 2
    except TrackersError as exc:
        click.echo(f"Error: {exc}", err=True)
        return 1 if isinstance(exc, FencedError | DigestError) else 2
    return code if isinstance(code, int) else 0
