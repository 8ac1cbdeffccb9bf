"""Write the reference pages from the code: ``python docs/generate.py`` (``tests/docs`` compares)."""

from __future__ import annotations

from pathlib import Path

from making import commands
from making.pages import python_pages

FOLDER = Path(__file__).parent / "reference"


def pages() -> dict[Path, str]:
    """Return the text of every page that is made from the code, by where it lies."""
    made = {"cli.md": commands.hpo_page(), "trackers-cli.md": commands.trackers_page()}
    made |= {f"python/{name}": text for name, text in python_pages().items()}
    return {FOLDER / name: text for name, text in made.items()}


if __name__ == "__main__":
    for path, text in pages().items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
