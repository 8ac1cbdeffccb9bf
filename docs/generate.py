"""Write the reference pages from the code: ``python docs/generate.py`` (``tests/docs/test_cli_help.py`` compares)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from hpo.cli.app import hpo
from hpo.settings import SETTINGS

PAGE = Path(__file__).parent / "reference" / "cli.md"
WIDTH = 100

HEAD = """# The command line

Made by `python docs/generate.py` from the commands themselves; do not edit.

Exit codes: 0 done, 1 the work failed, 2 the call or the input was wrong, 130 interrupted (everything that finished is
kept, and the line that resumes is printed). An error is one sentence; `--debug` anywhere in the call shows its traceback.

`--json` prints the same facts under stable keys: times are ISO 8601 in UTC, states go by their names, and NaN and
infinity, which JSON does not have, are `null`. Progress goes to stderr, results to stdout; lines fit the terminal, and
are not cut when they go to a file or a pipe.

## Settings

One set everywhere: an option of `hpo run`, a variable, a key of `hpo.toml` (or of `[tool.hpo]` in `pyproject.toml`), an
argument of `@hpo.objective(...)`. The option wins over the variable, over the file, over the decorator. In `hpo.toml`
a table `[profiles.NAME]` holds settings that `--profile NAME` (or `HPO_PROFILE`) puts over the others.

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


def help_of(name: str, command: click.Command) -> str:
    """Return the help of a command as a terminal of 100 columns shows it."""
    context = click.Context(command, info_name=f"hpo {name}".strip(), terminal_width=WIDTH, max_content_width=WIDTH)
    context.help_option_names = ["-h", "--help"]
    return command.get_help(context).rstrip()


def settings_table() -> str:
    """Return every setting as a row of a table."""
    lines = ["| key | option | variable | default | what it is |", "|---|---|---|---|---|"]
    for setting in SETTINGS.values():
        names = ", ".join(f"`{name}`" for name in (setting.name, *setting.aliases))
        lines.append(f"| {names} | `{setting.option}` | `{setting.env}` | {setting.default} | {setting.help} |")
    return "\n".join(lines)


def cli_page() -> str:
    """Return the text of the page."""
    parts = [HEAD + settings_table()]
    for name, command in commands(hpo, click.Context(hpo)):
        parts.append(f"## hpo {name}\n\n```text\n{help_of(name, command)}\n```")
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(cli_page(), encoding="utf-8")
