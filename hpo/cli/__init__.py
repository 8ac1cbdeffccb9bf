"""The ``hpo`` command: thin over the use cases in ``hpo.runner``, ``hpo.study`` and ``trackers``; one noun a file."""

from __future__ import annotations


def main(args: list[str] | None = None) -> int:
    """Run the ``hpo`` command with *args* (default: those of the process) and return its exit code."""
    from hpo.cli.app import hpo
    from hpo.cli.exit import run_command

    return run_command(hpo, args)
