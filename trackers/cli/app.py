"""The table of commands of ``trackers``."""

from __future__ import annotations

import importlib
import os

import click

from trackers.wording import suggestion

TABLE = {
    "log": "trackers.cli.log:log",
    "experiments": "trackers.cli.experiments:experiments",
    "runs": "trackers.cli.search:runs",
    "search": "trackers.cli.search:search",
    "show": "trackers.cli.show:show",
    "artifacts": "trackers.cli.artifacts:artifacts",
    "diff": "trackers.cli.diff:diff",
    "checkout": "trackers.cli.checkout:checkout",
    "env": "trackers.cli.checkout:env",
    "data": "trackers.cli.data:data",
    "rename": "trackers.cli.lifecycle:rename",
    "archive": "trackers.cli.lifecycle:archive",
    "delete": "trackers.cli.lifecycle:delete",
    "restore": "trackers.cli.lifecycle:restore",
    "sync": "trackers.cli.sync:sync",
    "models": "trackers.cli.models:models",
    "register": "trackers.cli.register:register",
    "unregister": "trackers.cli.register:unregister",
    "promote": "trackers.cli.promote:promote",
    "rollback": "trackers.cli.promote:rollback",
    "remove-alias": "trackers.cli.promote:remove_alias",
    "policy": "trackers.cli.policy:policy",
    "approve": "trackers.cli.notes:approve",
    "measure": "trackers.cli.notes:measure",
    "describe": "trackers.cli.notes:describe",
    "tag": "trackers.cli.notes:tag",
    "history": "trackers.cli.history:history",
    "lineage": "trackers.cli.history:lineage",
    "compare": "trackers.cli.history:compare",
    "import": "trackers.cli.importing:importing",
    "export": "trackers.cli.exporting:exporting",
    "download": "trackers.cli.download:download",
    "predict": "trackers.cli.predict:predict",
    "doctor": "trackers.cli.doctor:doctor",
    "db": "trackers.cli.database:db",
    "du": "trackers.cli.usage:du",
    "fsck": "trackers.cli.check:fsck",
    "backup": "trackers.cli.backup:backup",
    "gc": "trackers.cli.garbage:gc",
    "pin": "trackers.cli.garbage:pin",
    "unpin": "trackers.cli.garbage:unpin",
}
"""Commands in the order of the help, and where each lives."""


class Table(click.Group):
    """A group that imports a command's module when the command is called, or listed by the help."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of the table."""
        return list(TABLE)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command called *cmd_name*, or return None."""
        if cmd_name not in TABLE:
            return None
        module, _, attribute = TABLE[cmd_name].partition(":")
        found = getattr(importlib.import_module(module), attribute)
        assert isinstance(found, click.Command)
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; an unknown one is answered with the nearest name."""
        name = os.fspath(args[0])
        if name not in TABLE and not name.startswith("-"):
            hint = suggestion(name, TABLE) or "; see trackers --help."
            raise click.UsageError(f"There is no command {name}{hint}", ctx)
        return super().resolve_command(ctx, args)


def _version(ctx: click.Context, _param: click.Parameter, asked: bool) -> None:
    if asked and not ctx.resilient_parsing:
        from importlib.metadata import version

        click.echo(f"trackers {version('hpo')}")
        ctx.exit()


@click.group(
    cls=Table,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    invoke_without_command=True,
)
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Show the version.")
@click.option("--debug", is_flag=True, expose_value=False, help="Show the traceback of an error.")
@click.pass_context
def trackers(ctx: click.Context) -> None:
    """Look into a store of tracked runs, their models and the registry.

    The store is --storage: the option, HPO_STORAGE, or sqlite:///hpo.db in the current folder. Exit codes: 0 done, 1
    the work failed, 2 the call or input was wrong, 130 interrupted.
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())
