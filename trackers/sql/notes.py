"""What people write beside a run or an experiment, also after its end: tags, descriptions.

Each function runs inside one transaction of the store's writer.
"""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection, Table, select, update

from trackers.errors import NotFoundError
from trackers.sql import tables as t
from trackers.sql.runs import check_living
from trackers.sql.upsert import insert_unless_there

Tags = Mapping[str, str | None]
"""Name -> value; None removes the tag."""


def tag_run(connection: Connection, run_id: int, tags: Tags) -> None:
    """Set or remove tags of a run. Raises StateError for a deleted one, NotFoundError for a tag to remove that is not there."""
    check_living(connection, [run_id])
    _write(connection, t.tags, {"run_id": run_id}, tags, "The run")


def tag_experiment(connection: Connection, experiment_id: int, tags: Tags) -> None:
    """Set or remove tags of an experiment or study; see ``tag_run``."""
    _write(connection, t.experiment_tags, {"experiment_id": experiment_id}, tags, "The experiment")


def describe_experiment(connection: Connection, experiment_id: int, description: str) -> None:
    """Set the description of an experiment or study."""
    e = t.experiments.c
    connection.execute(update(t.experiments).where(e.id == experiment_id).values(description=description))


def _write(connection: Connection, table: Table, owner: Mapping[str, int], tags: Tags, what: str) -> None:
    own = [table.c[name] == value for name, value in owner.items()]
    for name, value in tags.items():
        mine = [*own, table.c.name == name]
        if value is None:
            if connection.execute(table.delete().where(*mine)).rowcount == 0:
                there = connection.execute(select(table.c.name).where(*own).order_by(table.c.name).limit(20)).scalars()
                known = ", ".join(there)
                raise NotFoundError(f"{what} has no tag {name!r}: {f'it has {known}' if known else 'it has none'}.")
        elif connection.execute(update(table).where(*mine).values(value=value)).rowcount == 0:
            insert_unless_there(connection, table, {**owner, "name": name, "value": value})
