"""Every command and setting is documented, and the reference page is what the code says."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import click
import pytest

from hpo.cli.app import TABLE, hpo
from hpo.cli.run import run
from hpo.settings import SETTINGS, Settings

ROOT = Path(__file__).parents[2]


def _generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


generate = _generator()
COMMANDS = dict(generate.commands(hpo, click.Context(hpo)))


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_says_what_it_does_and_shows_an_example(name: str) -> None:
    text = generate.help_of(name, COMMANDS[name])
    assert COMMANDS[name].help
    assert "Example" in text
    assert re.search(rf"(hpo|trackers) {name}\b", text.split("Example", 1)[1]), text


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
        example = generate.help_of(name, command).split("Example", 1)[1]
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
    assert "--json" in {flag for param in COMMANDS[command].params for flag in param.opts}


def test_the_help_lists_every_command_with_a_line() -> None:
    text = hpo.get_help(click.Context(hpo))
    for name in TABLE:
        assert re.search(rf"^  {name}\s+\S", text, re.MULTILINE), name


def test_the_reference_of_the_command_line_is_up_to_date() -> None:
    assert generate.PAGE.read_text(encoding="utf-8") == generate.cli_page(), "run: python docs/generate.py"
