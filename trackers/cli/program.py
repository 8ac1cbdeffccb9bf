"""The name of the program that was called: ``hpo`` mounts commands of ``trackers``, and what they say names it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable

import click


def spoken(text: str, program: str, commands: Iterable[str]) -> str:
    """Return *text* with ``trackers NAME`` as ``PROGRAM NAME`` for each of the *commands* of *program*."""
    names = "|".join(re.escape(name) for name in commands)
    return re.sub(rf"\btrackers (?=(?:{names})(?![\w-]))", f"{program} ", text)


def quoted(word: str) -> str:
    """Return *word* as a shell reads it as the last one of a call: behind ``--`` where it would be an option."""
    return f"{'-- ' if word.startswith('-') else ''}{shlex.quote(word)}"


def as_called(text: str) -> str:
    """Return *text*, which names calls of ``trackers``, with the program that was called where it has the same ones."""
    context = click.get_current_context(silent=True)
    root = context.find_root() if context is not None else None
    if root is None or not isinstance(root.command, click.Group):
        return text
    return spoken(text, root.info_name or "trackers", root.command.list_commands(root))
