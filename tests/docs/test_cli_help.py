"""Every command and setting is documented: in the help of its program, and on that program's page."""

from __future__ import annotations

import re

import click
import pytest

from hpo.cli.app import TABLE, hpo
from hpo.cli.run import run
from hpo.settings import SETTINGS, Settings
from tests.docs.generator import commands, generate
from trackers.cli.app import TABLE as TRACKERS_TABLE
from trackers.cli.app import trackers

PROGRAMS = {"hpo": hpo, "trackers": trackers}
COMMANDS = {
    f"{program} {name}": command
    for program, group in PROGRAMS.items()
    for name, command in commands.commands(group, click.Context(group))
}
PAGES = {"hpo": "cli.md", "trackers": "trackers-cli.md"}


def help_of(name: str) -> str:
    program, _, command = name.partition(" ")
    text: str = commands.help_of(command, COMMANDS[name], program)
    return text


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_says_what_it_does_and_shows_an_example(name: str) -> None:
    text = help_of(name)
    assert COMMANDS[name].help
    assert "Example" in text
    assert re.search(rf"(hpo|trackers) {name.partition(' ')[2]}\b", text.split("Example", 1)[1]), text


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_of_a_command_is_explained(name: str) -> None:
    silent = [p.name for p in COMMANDS[name].params if isinstance(p, click.Option) and not p.help]
    assert not silent


def test_the_examples_of_a_command_are_calls_that_it_understands() -> None:
    wrong = []
    for name, command in COMMANDS.items():
        if isinstance(command, click.Group):
            continue
        known = {flag for p in command.params if isinstance(p, click.Option) for flag in (*p.opts, *p.secondary_opts)}
        example = help_of(name).split("Example", 1)[1]
        used = set(re.findall(r"(?<=\s)--?[a-z][a-z-]*", example))
        wrong += [f"{name}: {flag}" for flag in used - known - {"-h", "--help"}]
    assert not wrong


def test_every_setting_has_an_option_of_hpo_run_and_a_help() -> None:
    options = {p.name: p for p in run.params if isinstance(p, click.Option)}
    for name, setting in SETTINGS.items():
        assert setting.help.endswith("."), name
        assert setting.option in options[name].opts
        assert options[name].help is not None
        assert setting.help in options[name].help
    assert set(SETTINGS) == set(Settings.__dataclass_fields__) - {"given"}


@pytest.mark.parametrize(
    "command",
    ["list", "status", "show", "best", "rank", "compare", "search", "models", "history", "lineage"],
)
def test_every_reading_command_takes_json(command: str) -> None:
    assert "--json" in {flag for param in COMMANDS[f"hpo {command}"].params for flag in param.opts}


@pytest.mark.parametrize(("program", "table"), [("hpo", TABLE), ("trackers", TRACKERS_TABLE)])
def test_the_help_lists_every_command_with_a_line(program: str, table: dict[str, str]) -> None:
    text = PROGRAMS[program].get_help(click.Context(PROGRAMS[program]))
    for name in table:
        assert re.search(rf"^  {name}\s+\S", text, re.MULTILINE), name


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_with_its_arguments_and_options_is_on_the_page_of_its_program(name: str) -> None:
    page = (generate.FOLDER / PAGES[name.partition(" ")[0]]).read_text(encoding="utf-8")
    part = page.split(f"\n## {name}\n", 1)[1].split("\n## ", 1)[0]
    for param in COMMANDS[name].params:
        if isinstance(param, click.Option):
            assert any(flag in part for flag in param.opts), param.name
        else:
            assert param.make_metavar(click.Context(COMMANDS[name])).strip("[].") in part, param.name
    assert f"- [`{name}`](#" in page


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_options_of_a_whole_program_are_on_its_page(program: str) -> None:
    page = (generate.FOLDER / PAGES[program]).read_text(encoding="utf-8")
    for param in PROGRAMS[program].params:
        assert any(f"{flag}`" in page for flag in param.opts), param.name
