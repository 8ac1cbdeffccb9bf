"""``python -m trackers``, where the command ``trackers`` is not on the path."""

from __future__ import annotations

from trackers.cli import main

if __name__ == "__main__":
    main()
