"""The table of commands."""

from __future__ import annotations

import click

from hpo.cli.command import LazyGroup

TABLE = {
    "run": "hpo.cli.run:run",
    "try": "hpo.cli.attempt:attempt",
    "resume": "hpo.cli.run:resume",
    "stop": "hpo.cli.stop:stop",
    "status": "hpo.cli.studies:status",
    "list": "hpo.cli.studies:list_studies",
    "show": "hpo.cli.show:show",
    "best": "hpo.cli.rank:best",
    "rank": "hpo.cli.rank:rank",
    "compare": "hpo.cli.compare:compare",
    "search": "trackers.cli.search:search",
    "artifacts": "trackers.cli.artifacts:artifacts",
    "diff": "trackers.cli.diff:diff",
    "checkout": "trackers.cli.checkout:checkout",
    "env": "trackers.cli.checkout:env",
    "data": "trackers.cli.data:data",
    "report": "hpo.cli.report:report",
    "export": "hpo.cli.export:export",
    "register": "hpo.cli.register:register",
    "unregister": "trackers.cli.register:unregister",
    "promote": "trackers.cli.promote:promote",
    "rollback": "trackers.cli.promote:rollback",
    "remove-alias": "trackers.cli.promote:remove_alias",
    "models": "trackers.cli.models:models",
    "download": "trackers.cli.download:download",
    "predict": "trackers.cli.predict:predict",
    "policy": "trackers.cli.policy:policy",
    "approve": "trackers.cli.notes:approve",
    "measure": "trackers.cli.notes:measure",
    "describe": "trackers.cli.notes:describe",
    "tag": "trackers.cli.notes:tag",
    "history": "trackers.cli.history:history",
    "lineage": "trackers.cli.history:lineage",
    "refit": "hpo.cli.register:refit",
    "rename": "trackers.cli.lifecycle:rename",
    "archive": "trackers.cli.lifecycle:archive",
    "delete": "hpo.cli.delete:delete",
    "restore": "trackers.cli.lifecycle:restore",
    "import": "trackers.cli.importing:importing",
    "sync": "trackers.cli.sync:sync",
    "db": "hpo.cli.database:db",
    "doctor": "trackers.cli.doctor:doctor",
    "du": "trackers.cli.usage:du",
    "fsck": "trackers.cli.check:fsck",
    "backup": "trackers.cli.backup:backup",
    "gc": "trackers.cli.garbage:gc",
    "pin": "trackers.cli.garbage:pin",
    "unpin": "trackers.cli.garbage:unpin",
    "completion": "hpo.cli.completion:completion",
}
"""Commands in the order of the help; those of ``trackers`` are mounted with the options that ``hpo`` has."""


class Commands(LazyGroup):
    """The commands of ``hpo``, its own and those of ``trackers``."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command called *cmd_name*, or return None."""
        found = super().get_command(ctx, cmd_name)
        if found is None or not self.table[cmd_name].startswith("trackers."):
            return found
        from hpo.cli.options import mounted

        return mounted(found)


def _version(ctx: click.Context, _param: click.Parameter, asked: bool) -> None:
    if asked and not ctx.resilient_parsing:
        from importlib.metadata import version

        click.echo(f"hpo {version('hpo')}")
        ctx.exit()


@click.group(
    cls=Commands,
    table=TABLE,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    invoke_without_command=True,
)
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Show the version.")
@click.option("--debug", is_flag=True, expose_value=False, help="Show the traceback of an error.")
@click.pass_context
def hpo(ctx: click.Context) -> None:
    """Tune a Python function over Ray workers, with every trial kept in a store.

    A study file marks its function with @hpo.objective; `hpo run FILE` runs it, `hpo rank STUDY` shows who won. Trials
    are kept in --storage: the option, HPO_STORAGE, hpo.toml, or sqlite:///hpo.db in the current folder.
    Exit codes: 0 done, 1 the work failed, 2 the call or input was wrong, 130 interrupted.
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())
