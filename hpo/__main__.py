"""``python -m hpo``, where the command ``hpo`` is not on the path."""

from __future__ import annotations

from hpo.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
