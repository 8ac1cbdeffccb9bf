"""Keeping house with the files in an object store, over the protocol of S3."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

import trackers
from tests.extras import needs
from trackers.artifacts import ArtifactStore, remote
from trackers.errors import ArtifactError

pytestmark = [
    needs("s3fs", "moto", "flask_cors", reason="pip install 'hpo[dev]'"),
    pytest.mark.usefixtures("without_code"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning"),
]


class Server:
    """A server of the protocol in this process, and what was asked of it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        import boto3
        from moto.server import ThreadedMotoServer

        self.asked: list[str] = []
        """The method and path of every request."""

        log = logging.getLogger("werkzeug")
        log.setLevel(logging.INFO)
        log.propagate = False
        log.addFilter(self._note)
        self.server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        self.server.start()
        host, port = self.server.get_host_and_port()
        self.url = f"http://{host}:{port}"
        for name, value in {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "us-east-1",
            "MOTO_S3_DEFAULT_MAX_KEYS": "3",  # so that every listing has pages
        }.items():
            monkeypatch.setenv(name, value)
        self.client = boto3.client("s3")

    def _note(self, record: logging.LogRecord) -> bool:
        if '"' in (line := record.getMessage()):
            self.asked.append(line.split('"')[1])
        return False

    def keys(self, bucket: str) -> set[str]:
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
        return {entry["Key"] for page in pages for entry in page.get("Contents", ())}


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with pytest.MonkeyPatch.context() as monkeypatch:
        found = Server(monkeypatch)
        yield found
        found.server.stop()


@pytest.fixture
def bucket(server: Server) -> str:
    name = uuid.uuid4().hex
    server.client.create_bucket(Bucket=name)
    return name


def fill(store: trackers.Store, tmp_path: Path, experiment: str, *texts: str) -> trackers.Run:
    with store.start_run(experiment) as run:
        for text in texts:
            (tmp_path / text).write_text(text)
            run.log_artifact(tmp_path / text, text)
    store.flush()
    return run


def test_garbage_is_collected_and_what_is_needed_stays(server: Server, bucket: str, tmp_path: Path) -> None:
    with trackers.connect(tmp_path / "hpo.db", artifacts=f"s3://{bucket}/files") as store:
        kept = fill(store, tmp_path, "kept", "a", "shared")
        gone = fill(store, tmp_path, "gone", "b", "shared")
        orphan, _ = store.artifacts.put_bytes(b"of a writer that was killed")
        size = store.du()
        assert (size.files, size.file_bytes) == (3, 8)
        store.delete_experiment("gone")
        waiting = store.gc(grace=timedelta(0))
        assert (waiting.files, waiting.waiting) == (0, 2)
        done = store.gc(grace=timedelta(0), file_grace=timedelta(0))
        assert (done.files, done.problems) == (2, ())
        assert store.read_artifact(kept, "shared") == b"shared"
        assert not store.artifacts.exists(orphan)
        held = {row.digest for row in store.list_artifacts(kept)}
        assert gone.uid != kept.uid
    assert {key.rpartition("/")[2] for key in server.keys(bucket)} == {*held, store.identity.uid}


def test_a_check_reads_a_listing_and_puts_right_what_a_backup_has(server: Server, bucket: str, tmp_path: Path) -> None:
    url = f"s3://{bucket}/files"
    with trackers.connect(tmp_path / "hpo.db", artifacts=url) as store:
        run = fill(store, tmp_path, "kept", *"abcdefg")
        done = store.backup(tmp_path / "backup")
        assert (done.files, done.bytes, done.problems) == (7, 7, ())
        server.asked.clear()
        assert store.fsck(quick=True).findings == ()
        asked = [line for line in server.asked if "/stores/" not in line]
        assert any("continuation-token" in line for line in asked)
        assert all("list-type=2" in line for line in asked)  # no question about a single file
        paths = {row.name: f"files/{row.digest[:2]}/{row.digest}" for row in store.list_artifacts(run)}
        server.client.put_object(Bucket=bucket, Key=paths["a"], Body=b"x")
        server.client.delete_object(Bucket=bucket, Key=paths["b"])
        assert len(store.fsck(quick=True).findings) == 1  # the one that is not there
        assert len(store.fsck().findings) == 2
        mended = store.fsck(repair=True, source=tmp_path / "backup")
        assert (len(mended.findings), mended.left) == (2, ())
        assert [store.read_artifact(run, name) for name in "ab"] == [b"a", b"b"]
        assert f"files/quarantine/{paths['a'][-64:]}" in server.keys(bucket)
        assert store.fsck().findings == ()


def test_a_backup_is_restored_into_another_bucket(server: Server, bucket: str, tmp_path: Path) -> None:
    with trackers.connect(tmp_path / "hpo.db", artifacts=f"s3://{bucket}/files") as store:
        run = fill(store, tmp_path, "kept", *"abcdefg")
        store.backup(tmp_path / "backup")
        server.asked.clear()
        assert store.backup(tmp_path / "backup").added == 0
        assert server.asked == []  # every file is in the backup already
        store.archive("kept", tmp_path / "archive", files=True)
    server.client.create_bucket(Bucket=f"{bucket}-2")
    done = trackers.restore(tmp_path / "backup", tmp_path / "new.db", artifacts=f"s3://{bucket}-2/deep/er")
    assert (done.files, done.problems) == (7, ())
    with trackers.connect(tmp_path / "new.db", create=False) as again:
        assert again.read_artifact(run.uid, "g") == b"g"
        assert again.fsck().findings == ()
    with trackers.connect(tmp_path / "third.db", artifacts=f"s3://{bucket}-2/third") as third:
        assert third.import_archive(tmp_path / "archive").equal
        assert third.read_artifact(run.uid, "g") == b"g"


def test_a_bucket_that_does_not_exist_is_named_and_not_made(server: Server) -> None:
    with pytest.raises(ArtifactError, match="no-such-bucket"):
        ArtifactStore("s3://no-such-bucket/files").put_bytes(b"x")
    assert "no-such-bucket" not in {one["Name"] for one in server.client.list_buckets()["Buckets"]}


def test_a_file_larger_than_memory_allows_is_sent_from_disk(
    server: Server, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "IN_MEMORY", 1000)
    files = ArtifactStore(f"s3://{bucket}/files")
    digest, size = files.put_bytes(bytes(5000))
    assert (size, files.size(digest), files.read(digest)) == (5000, 5000, bytes(5000))
    assert list(files.sizes()) == [(digest, 5000)]
