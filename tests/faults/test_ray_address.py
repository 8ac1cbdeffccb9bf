"""An address where no cluster answers, and a call that no cluster can serve: told within seconds, nothing is left."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import trackers
from hpo.cli import main
from tests.faults.command import STUDY

Call = Callable[..., str]


@pytest.fixture
def refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Call:
    """Call ``hpo run`` with options that are refused; return the sentence."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith(("HPO_", "RAY_ADDRESS"))]:
        monkeypatch.delenv(name)
    monkeypatch.setattr("hpo.execution.ray.session.CONNECT_SECONDS", 1.0)
    (tmp_path / "study.py").write_text(STUDY)

    def call(*options: str) -> str:
        capfd.readouterr()
        begun = time.monotonic()
        code = main(["run", "study.py:sweep", "--workers", "2", *options])
        out, err = capfd.readouterr()
        assert code == 2, err
        assert time.monotonic() - begun < 30.0
        assert out == ""
        told = [line for line in err.splitlines() if not line.startswith("Study ")]
        assert len(told) == 1, err
        with trackers.connect("sqlite:///hpo.db") as store:
            assert store.list_studies() == [], "a study that could not begin is not left"
        return told[0]

    return call


@pytest.fixture
def silent() -> Iterator[int]:
    """The port of a server that never says anything."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def free() -> int:
    """A port where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def test_an_address_where_nobody_answers_is_told_within_seconds(refused: Call, free: int, silent: int) -> None:
    start = "start one with `ray start --head`, or leave --address out to have one started here."
    nobody = refused("--address", f"127.0.0.1:{free}")
    assert nobody == f"Error: no Ray cluster answers at 127.0.0.1:{free} (Connection refused): {start}"
    assert f"no Ray cluster answers at 127.0.0.1:{silent} (timed out)" in refused("--address", f"127.0.0.1:{silent}")


def test_auto_names_the_cluster_that_does_not_answer(refused: Call, free: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{free}")
    sentence = refused("--address", "auto")
    assert "no Ray cluster answers at " in sentence
    assert f":{free} (Connection refused)" in sentence


def test_a_server_that_is_not_ray_and_an_address_that_is_none_are_told(refused: Call, postgresql_server: str) -> None:
    host = postgresql_server.rpartition("@")[2].partition("/")[0]
    assert "is not Ray: give the port of its GCS" in refused("--address", host)
    assert "the Ray address 'nowhere' cannot be read: give --address auto, or HOST:PORT" in refused(
        "--address", "nowhere"
    )


def test_calls_that_no_cluster_can_serve_are_refused(
    refused: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = refused("--address", "ray://127.0.0.1:10001")
    assert "has no node of its own, so SQLite has no place: give --storage postgresql+psycopg://" in client
    assert "--detach needs a Ray cluster that lives on its own" in refused("--detach")
    assert "a trial needs 10000 CPUs (--cpus-per-trial), and this machine has" in refused("--cpus-per-trial", "10000")
    deep = tmp_path / ("x" * 100)
    deep.mkdir()
    monkeypatch.setenv("TMPDIR", str(deep))
    assert "set RAY_TMPDIR to a shorter one" in refused()
    monkeypatch.delenv("TMPDIR")
    many = refused("--workers", "1000000", "--trials", "1000000")
    assert "1000000 worker processes are too many for this machine, which has" in many
    assert "a trial needs 10000 GPUs (--gpus-per-trial), and this machine has" in refused("--gpus-per-trial", "10000")
