"""The views and triggers of the schema: which are missing, and the statements that make them again."""

from __future__ import annotations

from sqlalchemy import Connection, text

from trackers.sql import views
from trackers.sql.tables import PREFIX
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
    "sqlite": "SELECT name FROM sqlite_master WHERE type IN ('view', 'trigger')",
    "postgresql": f"SELECT viewname FROM pg_views WHERE schemaname = {OWN_SCHEMA} UNION ALL "
    "SELECT g.tgname FROM pg_trigger g JOIN pg_class c ON c.oid = g.tgrelid "
    f"WHERE c.relnamespace::regnamespace = quote_ident({OWN_SCHEMA})::regnamespace "
    "AND NOT g.tgisinternal AND g.tgenabled <> 'D'",
    "mysql": "SELECT table_name FROM information_schema.views WHERE table_schema = DATABASE() UNION ALL "
    "SELECT trigger_name FROM information_schema.triggers WHERE trigger_schema = DATABASE()",
}


def missing_objects(connection: Connection) -> dict[str, str]:
    """Return the views and triggers that are not there: name -> ``"view"`` or ``"trigger"``."""
    dialect = connection.dialect.name
    there = set(connection.execute(text(_THERE[dialect])).scalars())
    wanted = {f"{PREFIX}v_{name}": "view" for name in views.NAMES}
    if dialect != "mysql" or connection.execute(text(_SEES_TRIGGERS)).scalar():
        wanted |= dict.fromkeys(TRIGGERS[dialect], "trigger")
    return {name: kind for name, kind in wanted.items() if name not in there}


def make_object(connection: Connection, name: str) -> None:
    """Make a view or a trigger again, unless somebody has."""
    if name not in missing_objects(connection):  # looking also tells SQLite's connection what others changed
        return
    dialect = connection.dialect.name
    if dialect == "postgresql":
        connection.exec_driver_sql(f"SELECT set_config('search_path', quote_ident({OWN_SCHEMA}), true)")
    made = dict(zip((f"{PREFIX}v_{each}" for each in views.NAMES), views.statements(dialect), strict=True))
    if name in TRIGGERS[dialect] and dialect == "postgresql":
        connection.exec_driver_sql(REFUSING)
        connection.exec_driver_sql(f"DROP TRIGGER IF EXISTS {name} ON {PREFIX}registry_history")  # it may be disabled
    connection.exec_driver_sql(made.get(name) or TRIGGERS[dialect][name])
