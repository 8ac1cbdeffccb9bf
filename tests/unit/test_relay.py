"""A worker that does not see the artifact store keeps its files by way of its manager."""

from __future__ import annotations

from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest

from hpo.execution.messages import Fetch, Put
from hpo.execution.relay import artifacts_of
from hpo.manager.files import Files
from hpo.trial import StudyFacts
from trackers.artifacts import ArtifactStore
from trackers.errors import ArtifactError


class Link:
    """Messages to a manager's files, and nothing else."""

    concurrent = True

    def __init__(self, files: Files) -> None:
        self.files = files
        self.sent: list[Any] = []

    def send(self, message: Any) -> Any:
        assert isinstance(message, Put | Fetch)
        self.sent.append(message)
        answer: SimpleQueue[Any] = SimpleQueue()
        self.files.serve(message, answer.put)
        return answer.get(timeout=10)


def facts(root: Path) -> StudyFacts:
    return StudyFacts("s", ("minimize",), ("value",), artifacts=str(root), store_uid="abc")


def test_a_root_that_the_worker_sees_is_used_directly(tmp_path: Path) -> None:
    ours = ArtifactStore(tmp_path / "files")
    ours.claim("abc")
    files = Files(ours)
    link = Link(files)
    digest, size = artifacts_of(facts(tmp_path / "files"), link).put_bytes(b"direct")
    assert (ours.read(digest), size, link.sent) == (b"direct", 6, [])
    files.close()


def test_a_folder_of_the_same_name_on_another_node_is_not_taken_for_the_root(tmp_path: Path) -> None:
    ours = ArtifactStore(tmp_path / "manager")
    ours.claim("abc")
    elsewhere = tmp_path / "worker"
    elsewhere.mkdir()
    files = Files(ours)
    store = artifacts_of(facts(elsewhere), Link(files))
    digest, size = store.put_bytes(b"a checkpoint")
    assert ours.read(digest) == b"a checkpoint"
    assert size == 12
    assert store.read(digest) == b"a checkpoint"
    assert list(elsewhere.iterdir()) == []
    with pytest.raises(ArtifactError):
        store.read("0" * 64)
    files.close()
