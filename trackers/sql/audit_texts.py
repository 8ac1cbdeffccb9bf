"""What does not hold in texts: bytes that are no UTF-8, and the beginnings that searches look at.

SQLite keeps whatever it is given, and its driver raises where it reads a text that is none.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

from sqlalchemy import (
    Boolean,
    Connection,
    Double,
    Integer,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
    case,
    cast,
    func,
    literal,
    null,
    select,
    type_coerce,
    update,
)

from trackers.sql import tables as t
from trackers.sql.columns import STR, WORD
from trackers.sql.flaw import Flaw
from trackers.wording import counted


@contextmanager
def readable(connection: Connection) -> Iterator[None]:
    """Let *connection* read what is no UTF-8 in SQLite, with its odd bytes as escapes: what looks at it then goes on."""
    raw: Any = connection.connection.dbapi_connection
    if connection.dialect.name != "sqlite":
        yield
        return
    before, raw.text_factory = raw.text_factory, partial(str, encoding="utf-8", errors="backslashreplace")
    try:
        yield
    finally:
        raw.text_factory = before


def texts(connection: Connection) -> Iterator[Flaw]:
    """Check that every text of SQLite is UTF-8: all texts of a row at once, and one by one where they are not."""
    for table in t.metadata.sorted_tables if connection.dialect.name == "sqlite" else ():
        columns = [column for column in table.columns if _holds_text(column)]
        if not columns:
            continue
        raw = [func.coalesce(cast(column, LargeBinary), cast(literal(""), LargeBinary)) for column in columns]
        whole: Any = raw[0]
        for one in raw[1:]:
            whole = whole.op("||")(literal("\n")).op("||")(one)
        keys = [cast(one, LargeBinary) if _holds_text(one) else one for one in table.primary_key]
        query = select(cast(whole, LargeBinary), *keys, *raw)
        for row in connection.execution_options(yield_per=1000).execute(query):
            if not _is_text(row[0]):
                key = dict(zip((one.name for one in table.primary_key), row[1 : len(keys) + 1], strict=True))
                for column, found in zip(columns, row[len(keys) + 1 :], strict=True):
                    if not _is_text(found):
                        yield _no_text(table, column.name, key, found)


def _holds_text(column: Any) -> bool:
    return not isinstance(column.type, (Integer, Double, Boolean))


def _is_text(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True


def _no_text(table: Table, column: str, key: Mapping[str, Any], found: bytes) -> Flaw:
    shown = {
        name: one.decode(errors="backslashreplace") if isinstance(one, bytes) else one for name, one in key.items()
    }
    where = ", ".join(f"{name} {one}" for name, one in shown.items())
    text = found.decode(errors="backslashreplace")
    problem = f"{column} in {table.name} ({where}) is '{text:.60}', which is no UTF-8"
    return Flaw("texts", problem, {"table": table.name, "column": column, "key": dict(key), "text": found})


def mend_text(connection: Connection, where: Mapping[str, Any], size_of: Any) -> str:
    """Write a text with marks in the place of what is none, unless others are found by it."""
    table = t.metadata.tables[where["table"]]
    column = table.c[where["column"]]
    unique = any(isinstance(rule, UniqueConstraint) and column.name in rule.columns for rule in table.constraints)
    if column.primary_key or column.foreign_keys or unique or table is t.registry_history:
        return ""
    mine = [
        (cast(table.c[name], LargeBinary) if isinstance(one, bytes) else table.c[name]) == one
        for name, one in where["key"].items()
    ]
    text = type_coerce(where["text"].decode(errors="replace"), Text)
    values = {column.name: text, **({"word": table.c.word} if "word" in table.c and column.name != "word" else {})}
    connection.execute(update(table).where(*mine).values(values))
    return "what is no text in it was replaced by \N{REPLACEMENT CHARACTER}"


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
