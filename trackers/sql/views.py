"""Views for people with a SQL tool: names instead of ids, times one can read, states as words.

The text of each is for one database; what they show is the same. A number that is not finite is text on SQLite, which
has no NaN, and the number itself on PostgreSQL. On MariaDB, whose columns have one kind, NaN is NULL and an infinity
the largest double. They are documented in docs/reference/sql.md.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass

from trackers.states import RunState

NAMES = (
    *("runs", "metrics", "params", "points", "trials", "models", "tags", "artifacts", "inputs", "code"),
    *("version_metrics", "version_tags", "registry_history"),
)

_STATE = "CASE {0}.state " + " ".join(f"WHEN {int(state)} THEN '{state.name}'" for state in RunState) + " END"
_RUN = (
    "SELECT r.uid AS run_id, e.name AS experiment, {number}r.name AS name, "
    + _STATE.format("r")
    + ' AS state, r."user" AS "user", r.host AS host, {created} AS created, {started} AS started, '
    "{ended} AS ended, {duration} AS duration, p.uid AS parent, {value} AS value "
    "FROM trackers_runs r JOIN trackers_experiments e ON e.id = r.experiment_id "
    "LEFT JOIN trackers_runs p ON p.id = r.parent_id "
    "LEFT JOIN trackers_results v ON v.run_id = r.id AND v.objective = 0 WHERE {living}"
)
_LIVING = "r.archived_at IS NULL AND r.deleted_at IS NULL AND e.deleted_at IS NULL"
_OF_RUN = (
    "JOIN trackers_runs r ON r.id = {0}.run_id JOIN trackers_experiments e ON e.id = r.experiment_id WHERE " + _LIVING
)
_METRICS = (
    'SELECT r.uid AS run_id, e.name AS experiment, s."key" AS "key", s.context AS context, '
    's."count" - coalesce(s.hidden, 0) AS "count", '
    "{last} AS last, s.last_step AS last_step, {time} AS last_time, {low} AS min, {high} AS max "
    "FROM trackers_series s " + _OF_RUN.format("s")
)
_PARAMS = (
    "SELECT r.uid AS run_id, e.name AS experiment, p.name AS name, "
    "CASE p.kind WHEN 0 THEN 'none' WHEN 1 THEN 'bool' WHEN 2 THEN 'int' WHEN 3 THEN 'float' WHEN 4 THEN 'str' "
    "WHEN 5 THEN 'json' END AS type, {number} AS number, {text} AS text FROM trackers_params p " + _OF_RUN.format("p")
)
_POINTS = (
    'SELECT r.uid AS run_id, e.name AS experiment, s."key" AS "key", s.context AS context, p.step AS step, '
    "p.attempt AS attempt, {time} AS time, {value} AS value FROM ({points}) p "
    "JOIN trackers_series s ON s.id = p.series_id " + _OF_RUN.format("s")
)
_MODELS = (
    "SELECT m.name AS model, v.version AS version, (SELECT {aliases} FROM trackers_aliases a WHERE a.model_id = m.id "
    "AND a.version = v.version) AS aliases, l.flavor AS flavor, l.size AS size, r.uid AS run_id, "
    "{created} AS created, v.created_by AS created_by, v.description AS description "
    "FROM trackers_model_versions v JOIN trackers_registered_models m ON m.id = v.model_id "
    "JOIN trackers_models l ON l.uid = v.model_uid LEFT JOIN trackers_runs r ON r.id = v.run_id"
)
_TAGS = (
    "SELECT r.uid AS run_id, e.name AS experiment, g.name AS name, g.value AS value FROM trackers_tags g "
    + _OF_RUN.format("g")
)
_ARTIFACTS = (
    "SELECT r.uid AS run_id, e.name AS experiment, f.name AS name, b.size AS size, f.digest AS digest, "
    "{created} AS created FROM trackers_artifacts f JOIN trackers_blobs b ON b.digest = f.digest " + _OF_RUN.format("f")
)
_INPUTS = (
    "SELECT r.uid AS run_id, e.name AS experiment, d.name AS name, i.role AS role, d.digest AS digest, "
    'd."rows" AS row_count, d.source AS source FROM trackers_inputs i JOIN trackers_datasets d ON d.id = i.dataset_id '
    + _OF_RUN.format("i")
)
_CODE = (
    'SELECT r.uid AS run_id, e.name AS experiment, c.version AS version, c."commit" AS commit_hash, c.dirty AS dirty, '
    "l.branch AS branch, l.remote AS remote, l.entry_point AS entry_point, n.python AS python FROM trackers_attempts a "
    "JOIN trackers_launches l ON l.id = a.launch_id LEFT JOIN trackers_code_versions c ON c.id = l.code_id "
    "LEFT JOIN trackers_environments n ON n.id = l.environment_id "
    + _OF_RUN.format("a")
    + " AND NOT EXISTS (SELECT 1 FROM trackers_attempts o WHERE o.run_id = a.run_id AND o.number > a.number "
    "AND o.launch_id IS NOT NULL)"
)

_VERSION_METRICS = (
    "SELECT m.name AS model, v.version AS version, {name} AS name, 'registered' AS origin, {value} AS value, "
    "1 AS repeats, '' AS data, {made} AS time, v.created_by AS actor FROM trackers_model_versions v "
    "JOIN trackers_registered_models m ON m.id = v.model_id {rows} "
    "UNION ALL SELECT m.name, f.version, f.name, 'measured', {figure}, {repeats}, f.data, {measured}, f.actor "
    "FROM trackers_model_version_figures f JOIN trackers_registered_models m ON m.id = f.model_id"
)
_VERSION_TAGS = (
    "SELECT m.name AS model, g.version AS version, g.name AS name, g.value AS value FROM trackers_model_version_tags g "
    "JOIN trackers_registered_models m ON m.id = g.model_id"
)
_REGISTRY_HISTORY = (
    "SELECT h.id AS line, {time} AS time, h.name AS model, h.action AS action, h.alias AS alias, "
    "h.old_version AS old_version, h.new_version AS new_version, h.actor AS actor, h.host AS host, h.reason AS reason, "
    "h.details AS details FROM trackers_registry_history h"
)


@dataclass(frozen=True)
class _Versions:
    """How a database reads the JSON of versions: *rows* joins metrics, of *name* and *value*; *figure* is a mean."""

    rows: str
    name: str
    value: str
    figure: str
    repeats: str


def statements(dialect: str) -> list[str]:
    """Return what makes every view."""
    views = {"sqlite": _sqlite, "postgresql": _postgresql, "mysql": _mariadb}[dialect]()
    create = "CREATE SQL SECURITY INVOKER VIEW" if dialect == "mysql" else "CREATE VIEW"
    return [f"{create} trackers_v_{name} AS {views[name]}" for name in NAMES]


def _quoted(column: str, backslash: str = "\\") -> str:
    """Return the JSON of *column* with quotes around the numbers that JSON does not have, as Python writes them.

    Backslashes and quotes in its texts are written as their codes before: then a quote in front of a colon ends a key.
    """
    for old, new in ((backslash * 2, f"{backslash}u005c"), (f'{backslash}"', f"{backslash}u0022")):
        column = f"replace({column}, '{old}', '{new}')"
    for word in ("NaN", "Infinity", "-Infinity"):
        column = f"""replace({column}, '":{word}', '":"{word}"')"""
    return column


def _mean(value: str) -> str:
    """Return the mean of *value*, which is never larger than its largest; PostgreSQL raises what overflows on the way.

    Its avg squares each value, so that the large ones are summed apart, by an exact part of each.
    """
    is_small, scale = f"abs({value}) < 1e140", "18446744073709551616e0"
    large = f"sum(CASE WHEN {is_small} THEN 0e0 ELSE {value} / {scale} END) / count(*) * {scale}"
    return f"avg(CASE WHEN {is_small} THEN {value} ELSE 0e0 END) + {large}"


def _sqlite() -> dict[str, str]:
    def time(column: str) -> str:
        # SQLite's own functions know milliseconds: the rest is put behind them
        seconds = f"strftime('%Y-%m-%dT%H:%M:%S', {column} / 1000000, 'unixepoch')"
        return f"{seconds} || printf('.%06dZ', {column} % 1000000)"

    def number(column: str, kind: str) -> str:
        return f"CASE {kind} WHEN 0 THEN {column} WHEN 1 THEN 'NaN' WHEN 2 THEN 'Infinity' ELSE '-Infinity' END"

    def extreme(column: str) -> str:
        big = "1.7976931348623157e308"
        return (
            f"CASE WHEN {column} IS NULL THEN 'NaN' WHEN {column} >= {big} THEN 'Infinity' "
            f"WHEN {column} <= -{big} THEN '-Infinity' ELSE {column} END"
        )

    points = (
        "SELECT o.series_id, o.step, o.attempt, o.time, "
        + number("o.value", "o.kind")
        + " AS value FROM trackers_points o UNION ALL SELECT c.series_id, c.step + json_extract(j.value, '$[0]'), "
        "c.attempt, c.time + json_extract(j.value, '$[1]'), json_extract(j.value, '$[2]') "
        "FROM trackers_chunks c, json_each(c.points) j"
    )
    figures = """replace(f."values", 'Infinity', '9e999')"""
    return _written(
        time,
        number,
        extreme,
        points,
        duration="(r.ended_at - r.started_at) / 1e6",
        aliases="group_concat(a.alias, ', ')",
        versions=_Versions(
            rows=f"JOIN json_each({_quoted('v.metrics')}) j",
            name="j.key",
            value="j.value",
            figure=f"(SELECT {extreme(_mean('j.value'))} FROM json_each({figures}) j)",
            repeats=f"json_array_length({figures})",
        ),
    )


def _postgresql() -> dict[str, str]:
    def time(column: str) -> str:
        return f"(timestamptz 'epoch' + {column} * interval '1 microsecond')"

    def number(column: str, kind: str) -> str:
        return (
            f"CASE {kind} WHEN 0 THEN {column} WHEN 1 THEN float8 'NaN' WHEN 2 THEN float8 'Infinity' "
            "ELSE float8 '-Infinity' END"
        )

    def extreme(column: str) -> str:
        big = "float8 '1.7976931348623157e308'"
        return (
            f"CASE WHEN {column} IS NULL THEN float8 'NaN' WHEN {column} >= {big} THEN float8 'Infinity' "
            f"WHEN {column} <= -{big} THEN float8 '-Infinity' ELSE {column} END"
        )

    points = (
        "SELECT o.series_id, o.step, o.attempt, o.time, "
        + number("o.value", "o.kind")
        + " AS value FROM trackers_points o UNION ALL SELECT c.series_id, c.step + (j.value->>0)::bigint, "
        "c.attempt, c.time + (j.value->>1)::bigint, (j.value->>2)::float8 "
        "FROM trackers_chunks c, json_array_elements(c.points::json) AS j(value)"
    )
    figures = """replace(replace(f."values", 'Infinity', '"Infinity"'), '-"', '"-')::json"""
    return _written(
        time,
        number,
        extreme,
        points,
        duration="(r.ended_at - r.started_at) / float8 '1e6'",
        aliases="string_agg(a.alias, ', ' ORDER BY a.alias)",
        versions=_Versions(
            rows=f"CROSS JOIN LATERAL json_each_text({_quoted('v.metrics')}::json) j",
            name="j.key",
            value="j.value::float8",
            figure=f"(SELECT {_mean('j.value::float8')} FROM json_array_elements_text({figures}) AS j(value))",
            repeats=f"json_array_length({figures})",
        ),
    )


def _mariadb() -> dict[str, str]:
    def time(column: str) -> str:
        return f"(TIMESTAMP '1970-01-01 00:00:00' + INTERVAL {column} MICROSECOND)"

    big = "1.7976931348623157e308"

    def number(column: str) -> str:
        return (
            f"CASE {column} WHEN 'NaN' THEN NULL WHEN 'Infinity' THEN {big} WHEN '-Infinity' THEN -{big} "
            f"ELSE {column} + 0e0 END"
        )

    points = (
        "SELECT o.series_id, o.step, o.attempt, o.time, o.value FROM trackers_points o "
        f"UNION ALL SELECT c.series_id, c.step + j.step, c.attempt, c.time + j.time, {number('j.value')} "
        "FROM trackers_chunks c, JSON_TABLE(c.points, '$[*]' COLUMNS ("
        "step BIGINT PATH '$[0]', time BIGINT PATH '$[1]', value VARCHAR(30) PATH '$[2]')) AS j"
    )
    metrics = _quoted("v.metrics", "\\" * 2)  # which its texts take for one
    keys = "JSON_TABLE(JSON_KEYS({}), '$[*]' COLUMNS (o FOR ORDINALITY, name VARCHAR(600) PATH '$')) AS j"
    values = "JSON_TABLE(JSON_EXTRACT({}, '$.*'), '$[*]' COLUMNS (o FOR ORDINALITY, value VARCHAR(30) PATH '$')) AS w"
    table = "JSON_TABLE(f.\"values\", '$[*]' COLUMNS (value DOUBLE PATH '$'))"
    mean = f"(SELECT {_mean('j.value')} FROM {table} AS j)"
    below, above = "locate('-I', f.\"values\") > 0", "locate('I', REPLACE(f.\"values\", '-I', '')) > 0"
    return _written(
        time,
        lambda column, kind: column,
        lambda column: column,
        points,
        duration="(r.ended_at - r.started_at) / 1e6",
        aliases="GROUP_CONCAT(a.alias ORDER BY a.alias SEPARATOR ', ')",
        versions=_Versions(
            rows=f"JOIN {keys.format(metrics)} JOIN {values.format(metrics)} ON w.o = j.o",  # no path holds any name
            name="j.name",
            value=number("w.value"),
            figure=f"CASE WHEN {below} AND {above} THEN NULL WHEN {below} THEN -{big} WHEN {above} THEN {big} ELSE {mean} END",
            repeats="JSON_LENGTH(REPLACE(f.\"values\", 'Infinity', '1'))",
        ),
    )


def _written(
    time: Callable[[str], str],
    number: Callable[[str, str], str],
    extreme: Callable[[str], str],
    points: str,
    *,
    duration: str,
    aliases: str,
    versions: _Versions,
) -> dict[str, str]:
    run = {
        "created": time("r.created_at"),
        "started": time("r.started_at"),
        "ended": time("r.ended_at"),
        "duration": duration,
        "value": f"CASE WHEN v.run_id IS NOT NULL THEN {number('v.value', 'v.kind')} END",
    }
    of_param = f"CASE WHEN p.kind = 3 OR p.number IS NOT NULL THEN {number('p.number', 'p.number_kind')} END"
    return {
        "runs": _RUN.format(number="", living=_LIVING, **run),
        "trials": _RUN.format(number="r.number AS number, ", living=f"r.number IS NOT NULL AND {_LIVING}", **run),
        "metrics": _METRICS.format(
            last=number('s."last"', "s.last_kind"),
            time=time("s.last_time"),
            low=extreme("s.min"),
            high=extreme("s.max"),
        ),
        "params": _PARAMS.format(number=of_param, text="p.text"),
        "points": _POINTS.format(time=time("p.time"), value="p.value", points=points),
        "models": _MODELS.format(created=time("v.created_at"), aliases=aliases),
        "tags": _TAGS,
        "artifacts": _ARTIFACTS.format(created=time("f.created_at")),
        "inputs": _INPUTS,
        "code": _CODE,
        "version_metrics": _VERSION_METRICS.format(
            made=time("v.created_at"), measured=time("f.time"), **asdict(versions)
        ),
        "version_tags": _VERSION_TAGS,
        "registry_history": _REGISTRY_HISTORY.format(time=time("h.time")),
    }
