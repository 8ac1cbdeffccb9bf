"""The views, triggers and indexes of the schema: which are missing, and what makes them again."""

from __future__ import annotations

from sqlalchemy import Connection, Index, text

from trackers.sql import views
from trackers.sql.tables import PREFIX, lay_out, metadata
from trackers.sql.tables.registry import REFUSING, TRIGGERS

OWN_SCHEMA = (
    "(SELECT n.nspname FROM pg_class r JOIN pg_namespace n ON n.oid = r.relnamespace "
    "WHERE r.oid = to_regclass('trackers_runs'))"
)
"""Where the tables are on PostgreSQL: another schema may be the first of a role's search path."""

_SEES_TRIGGERS = (
    "SELECT EXISTS (SELECT 1 FROM information_schema.user_privileges WHERE privilege_type = 'TRIGGER') OR "
    "EXISTS (SELECT 1 FROM information_schema.schema_privileges "
    "WHERE privilege_type = 'TRIGGER' AND DATABASE() LIKE table_schema) OR "
    "EXISTS (SELECT 1 FROM information_schema.table_privileges "
    "WHERE privilege_type = 'TRIGGER' AND table_schema = DATABASE())"
)
"""MariaDB shows triggers to those alone who may make some."""

_THERE = {
    "sqlite": "SELECT name FROM sqlite_master WHERE type IN ('view', 'trigger', 'index')",
    "postgresql": f"SELECT viewname FROM pg_views WHERE schemaname = {OWN_SCHEMA} UNION ALL "
    "SELECT g.tgname FROM pg_trigger g JOIN pg_class c ON c.oid = g.tgrelid "
    f"WHERE c.relnamespace::regnamespace = quote_ident({OWN_SCHEMA})::regnamespace "
    "AND NOT g.tgisinternal AND g.tgenabled <> 'D' UNION ALL "
    f"SELECT indexname FROM pg_indexes WHERE schemaname = {OWN_SCHEMA}",
    "mysql": "SELECT table_name FROM information_schema.views WHERE table_schema = DATABASE() UNION ALL "
    "SELECT trigger_name FROM information_schema.triggers WHERE trigger_schema = DATABASE() "
    "UNION ALL SELECT index_name FROM information_schema.statistics WHERE table_schema = DATABASE()",
}


def missing_objects(connection: Connection) -> dict[str, str]:
    """Return the views, triggers and indexes that are not there: name -> ``"view"``, ``"trigger"`` or ``"index"``."""
    dialect = connection.dialect.name
    there = set(connection.execute(text(_THERE[dialect])).scalars())
    wanted = {f"{PREFIX}v_{name}": "view" for name in views.NAMES}
    if dialect != "mysql" or connection.execute(text(_SEES_TRIGGERS)).scalar():
        wanted |= dict.fromkeys(TRIGGERS[dialect], "trigger")
    wanted |= dict.fromkeys(sorted(_indexes(dialect)), "index")
    return {name: kind for name, kind in wanted.items() if name not in there}


def _indexes(dialect: str) -> dict[str, Index]:
    """Return the indexes that the tables have on a database, by name."""
    every = [one for table in metadata.tables.values() for one in table.indexes]
    return {str(one.name): one for one in every if dialect in one.info.get("dialects", (dialect,))}


def make_object(connection: Connection, name: str) -> None:
    """Make a view, a trigger or an index again, unless somebody has."""
    if name not in missing_objects(connection):  # looking also tells SQLite's connection what others changed
        return
    dialect = connection.dialect.name
    if dialect == "postgresql":
        connection.exec_driver_sql(f"SELECT set_config('search_path', quote_ident({OWN_SCHEMA}), true)")
    if (index := _indexes(dialect).get(name)) is not None:
        lay_out(dialect)
        index.create(connection)
        return
    made = dict(zip((f"{PREFIX}v_{each}" for each in views.NAMES), views.statements(dialect), strict=True))
    if name in TRIGGERS[dialect] and dialect == "postgresql":
        connection.exec_driver_sql(REFUSING)
        connection.exec_driver_sql(f"DROP TRIGGER IF EXISTS {name} ON {PREFIX}registry_history")  # it may be disabled
    connection.exec_driver_sql(made.get(name) or TRIGGERS[dialect][name])
