"""What an earlier release wrote opens in this one, and reads the same."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

import trackers
from tests.migration.assets.content import describe
from trackers.errors import SchemaError
from trackers.sql import schema

ASSETS = Path(__file__).parent / "assets"
RELEASED = sorted(path.name.removesuffix(".json") for path in ASSETS.glob("*.json"))


def held(then: Any, now: Any, where: str = "store") -> list[str]:
    """Return where *now* lacks something that *then* had; what a later release adds is no difference."""
    if isinstance(then, dict) and isinstance(now, dict):
        return [fault for key in then for fault in held(then[key], now.get(key, "(missing)"), f"{where}.{key}")]
    if isinstance(then, list) and isinstance(now, list) and len(then) == len(now):
        if then and isinstance(then[0], dict) and "uid" in then[0]:  # those of one moment have no order of their own
            then, now = (sorted(rows, key=lambda row: str(row["uid"])) for rows in (then, now))
        return [fault for i, item in enumerate(then) for fault in held(item, now[i], f"{where}[{i}]")]
    return [] if then == now else [f"{where} was {then!r} and is {now!r}"]


def read_by_its_release(revision: str, database: str) -> Any:
    return json.loads((ASSETS / f"{revision}.json").read_text(encoding="utf-8"))[database]


def test_there_is_a_store_of_each_earlier_schema() -> None:
    assert RELEASED[: len(schema.REVISIONS) - 1] == list(schema.REVISIONS[:-1])


@pytest.mark.parametrize("revision", RELEASED)
def test_a_sqlite_file_of_an_earlier_release_opens_with_everything_in_it(revision: str, tmp_path: Path) -> None:
    path = tmp_path / "hpo.db"
    path.write_bytes(gzip.decompress((ASSETS / f"{revision}.db.gz").read_bytes()))
    with trackers.connect(path) as store:
        assert held(read_by_its_release(revision, "sqlite"), describe(store)) == []
        assert schema.read_revision(store.database) == schema.HEAD
        store.start_run("fraud").end()


@pytest.mark.parametrize("revision", RELEASED)
def test_a_server_of_an_earlier_release_is_upgraded_with_everything_in_it(revision: str, postgresql_url: str) -> None:
    import psycopg

    with psycopg.connect(postgresql_url.replace("+psycopg", "")) as connection:
        text = gzip.decompress((ASSETS / f"{revision}.postgresql.sql.gz").read_bytes()).decode()
        connection.execute(text.encode())
    if revision != schema.HEAD:
        with pytest.raises(SchemaError, match="hpo db upgrade"):
            trackers.connect(postgresql_url)
        assert trackers.upgrade_store(postgresql_url) == (revision, schema.HEAD)
    with trackers.connect(postgresql_url) as store:
        assert held(read_by_its_release(revision, "postgresql"), describe(store)) == []
        store.start_run("fraud").end()
