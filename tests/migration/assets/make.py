"""Write the assets of the schema of this checkout: ``python -m tests.migration.assets.make POSTGRESQL_URL``.

Run once for each revision that is released, by the code of that release: a filled store as a SQLite file and as
PostgreSQL's statements, and what its own release reads from it. *POSTGRESQL_URL* names a server and a database in
which a schema is made and dropped again.
"""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import tempfile
import uuid
from pathlib import Path

import trackers
from tests.migration.assets.content import describe, fill
from trackers.sql import schema

FOLDER = Path(__file__).parent


def main(server: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "hpo.db"
        with trackers.connect(path, artifacts="/nowhere") as store:
            fill(store)
            seen = {"sqlite": describe(store)}
        (FOLDER / f"{schema.HEAD}.db.gz").write_bytes(gzip.compress(path.read_bytes(), mtime=0))
    seen["postgresql"] = _postgresql(server)
    text = json.dumps(seen, indent=1, sort_keys=True, ensure_ascii=True)
    (FOLDER / f"{schema.HEAD}.json").write_text(text + "\n", encoding="utf-8")


def _postgresql(server: str) -> object:
    import psycopg

    name = f"asset_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(f"CREATE SCHEMA {name}")
        try:
            url = f"postgresql+psycopg://{server.partition('://')[2]}?options=-csearch_path%3D{name}"
            with trackers.connect(url, artifacts="/nowhere") as store:
                fill(store)
                seen = describe(store)
            command = [
                "pg_dump",
                "--schema",
                name,
                "--inserts",
                "--no-owner",
                "--no-privileges",
                "--no-comments",
                server,
            ]
            dump = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        finally:
            admin.execute(f"DROP SCHEMA {name} CASCADE")
    # psql's own commands and the session's settings are left away: what stays are statements for any schema.
    kept = [
        line
        for line in dump.splitlines()
        if not line.startswith(("\\", "SET ", "SELECT pg_catalog", "--", "CREATE SCHEMA"))
    ]
    text = "\n".join(kept).replace(f"{name}.", "")
    (FOLDER / f"{schema.HEAD}.postgresql.sql.gz").write_bytes(gzip.compress(text.encode(), mtime=0))
    return seen


if __name__ == "__main__":
    main(sys.argv[1])
