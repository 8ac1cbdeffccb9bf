"""``trackers ...`` in the terminal; ``hpo`` mounts the commands that both share."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command that the process was called with."""
    from trackers.cli.exit import run_command

    sys.exit(run_command())
