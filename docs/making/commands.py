"""The pages of the command line: every command of a program as its ``--help`` shows it."""

from __future__ import annotations

from collections.abc import Iterator

import click

from hpo.cli.app import hpo
from hpo.settings import SETTINGS
from making.markdown import anchor
from trackers.cli.app import trackers

WIDTH = 100

EXIT_CODES = """
An error is one sentence; `--debug` anywhere in the call shows its traceback. `PROGRAM --version` says which release this
is, and `PROGRAM COMMAND --help` what stands here.

`--json` prints the same facts under stable keys: times are ISO 8601 in UTC, states go by their names, and NaN and
infinity, which JSON does not have, are `null`. Progress goes to stderr, results to stdout; lines fit the terminal, and
are not cut when they go to a file or a pipe.
"""

HPO = """# The command line

Made by `python docs/generate.py` from the commands themselves; do not edit. The store's own program is
[`trackers`](trackers-cli.md); the same from Python: [hpo](python/hpo.md).

Exit codes: 0 done, 1 the work failed, 2 the call or the input was wrong, 130 interrupted (everything that finished is
kept, and the line that resumes is printed).
"""

SETTINGS_HEAD = """
## Settings

One set everywhere: an option of `hpo run`, a variable, a key of `hpo.toml` (or of `[tool.hpo]` in `pyproject.toml`), an
argument of `@hpo.objective(...)`. The option wins over the variable, over the file, over the decorator. In `hpo.toml`
a table `[profiles.NAME]` holds settings that `--profile NAME` (or `HPO_PROFILE`) puts over the others.

"""

TRACKERS = """# The command line of the store

Made by `python docs/generate.py` from the commands themselves; do not edit. Who tunes with [`hpo`](cli.md) has most of
these there, too; the same from Python: [trackers](python/trackers.md).

Exit codes: 0 done, 1 the work failed, 2 the call or the input was wrong, 130 interrupted.
"""

VARIABLES = """
## Variables

| variable | what it is |
|---|---|
| `HPO_STORAGE` | the store, where no `--storage` is given; without both it is `sqlite:///hpo.db` in the current folder |
| `HPO_ARTIFACTS` | where the files of a new store go: a folder, or a URL such as `s3://BUCKET/FOLDER` |
| `HPO_OFFLINE` | `1`: what runs log goes to a journal, and the database is not looked at: [log without a database](../how-to/offline.md) |
| `HPO_JOURNAL` | the folder of the journals; without it they lie beside a SQLite file, and for a server in `~/.local/state/hpo/journals` |
| `TRACKERS_TRUST` | what a model that was exported to MLflow may load: `1` for everything, or names of types, with commas |
"""


def commands(group: click.Group, context: click.Context, path: str = "") -> Iterator[tuple[str, click.Command]]:
    """Yield every command with its full name, groups before what they hold."""
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        full = f"{path} {name}".strip()
        yield full, command
        if isinstance(command, click.Group):
            yield from commands(command, context, full)


def help_of(name: str, command: click.Command, program: str = "hpo") -> str:
    """Return the help of a command as a terminal of 100 columns shows it."""
    context = click.Context(
        command, info_name=f"{program} {name}".strip(), terminal_width=WIDTH, max_content_width=WIDTH
    )
    context.help_option_names = ["-h", "--help"]
    return command.get_help(context).rstrip()


def settings_table() -> str:
    """Return every setting as a row of a table."""
    lines = ["| key | option | variable | default | what it is |", "|---|---|---|---|---|"]
    for setting in SETTINGS.values():
        names = ", ".join(f"`{name}`" for name in (setting.name, *setting.aliases))
        lines.append(f"| {names} | `{setting.option}` | `{setting.env}` | {setting.default} | {setting.help} |")
    return "\n".join(lines) + "\n"


def hpo_page() -> str:
    """Return the page of the program ``hpo``."""
    return _page(hpo, HPO + EXIT_CODES.replace("PROGRAM", "hpo"), SETTINGS_HEAD + settings_table())


def trackers_page() -> str:
    """Return the page of the program ``trackers``."""
    return _page(trackers, TRACKERS + EXIT_CODES.replace("PROGRAM", "trackers"), VARIABLES)


def _page(program: click.Group, head: str, tables: str) -> str:
    name = program.name or ""
    found = list(commands(program, click.Context(program)))
    parts = [head, "\n", _contents(name, found), tables]
    parts += [f"\n## {name} {full}\n\n```text\n{help_of(full, command, name)}\n```\n" for full, command in found]
    return "".join(parts)


def _contents(program: str, found: list[tuple[str, click.Command]]) -> str:
    """Return a line for each command, those of a group under it."""
    lines = []
    for full, command in found:
        indent = "  " * full.count(" ")
        lines.append(
            f"{indent}- [`{program} {full}`](#{anchor(f'{program} {full}')}): {command.get_short_help_str(200)}\n"
        )
    return "".join(lines)
