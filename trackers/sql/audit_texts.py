"""What does not hold in texts: the beginnings of them that searches look at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import Connection, Table, case, func, null, select, update

from trackers.sql import tables as t
from trackers.sql.columns import STR, WORD
from trackers.sql.flaw import Flaw
from trackers.wording import counted


def words(connection: Connection) -> Iterator[Flaw]:
    """Check that what searches find params and tags by is what their values begin with."""
    for table, what in ((t.params, "param"), (t.tags, "tag")):
        c = table.c
        wrong = select(c.name, func.count(), func.min(c.run_id)).where(c.word.is_distinct_from(_word(table)))
        for name, count, first in connection.execute(wrong.group_by(c.name)):
            runs = f"run {first}" if count == 1 else f"{counted(count, 'run')} (the first is {first})"
            problem = f"searches by the {what} {name!r} do not find {runs} by the value it has"
            yield Flaw("words", problem, {"table": table.name, "name": name})


def mend_words(connection: Connection, where: Mapping[str, Any], size_of: Any) -> str:
    """Write the beginnings of texts again."""
    table = t.metadata.tables[where["table"]]
    c, word = table.c, _word(table)
    wrong = update(table).where(c.name == where["name"], c.word.is_distinct_from(word))
    connection.execute(wrong.values(word=word))
    return "what searches look at was made again from the values"


def _word(table: Table) -> Any:
    """Return what ``word`` has to be, as the database reckons it: see ``columns.word_of``."""
    if table is t.tags:
        return func.substr(table.c.value, 1, WORD)
    return case((table.c.kind == STR, func.substr(table.c.text, 1, WORD)), else_=null())
