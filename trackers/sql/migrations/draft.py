"""Print the schema of this checkout as SQL: ``python -m trackers.sql.migrations.draft sqlite|postgresql``.

Only the first revision is such a text, frozen at its release; a later one says what it changes.
"""

from __future__ import annotations

import sys
from itertools import groupby

from sqlalchemy import create_mock_engine
from sqlalchemy.schema import ExecutableDDLElement

from trackers.sql.tables import metadata

SEPARATOR = "\n;\n\n"


def draft(dialect: str) -> str:
    """Return every statement that makes the schema on *dialect*, separated by a semicolon on a line of its own."""
    texts: list[str] = []

    def take(element: ExecutableDDLElement, *_args: object, **_kwargs: object) -> None:
        lines = str(element.compile(dialect=engine.dialect)).strip().splitlines()
        texts.append("\n".join(line.rstrip() for line in lines))

    driver = "postgresql+psycopg" if dialect == "postgresql" else dialect
    engine = create_mock_engine(f"{driver}://", take)
    metadata.create_all(engine, checkfirst=False)
    # A table's indexes come in no order of their own.
    ordered = [
        text
        for indexes, group in groupby(texts, key=lambda text: text.startswith("CREATE INDEX"))
        for text in (sorted(group) if indexes else group)
    ]
    return SEPARATOR.join(ordered) + SEPARATOR.rstrip() + "\n"


if __name__ == "__main__":
    sys.stdout.write(draft(sys.argv[1]))
