"""What every test of this folder is held to, and the stores that go away."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.outage import Outage, cut, locked
from tests.leaks import nothing_is_left as nothing_is_left  # autouse


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep the journals of servers in the test's own folder."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state"


@pytest.fixture
def ctrl_c() -> Iterator[Callable[[], None]]:
    """Return what presses Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
    main = threading.main_thread().ident
    assert main is not None
    yield lambda: signal.pthread_kill(main, signal.SIGINT)
    signal.signal(signal.SIGINT, before)


@pytest.fixture(params=["sqlite", "postgresql", "mariadb"])
def outage(request: pytest.FixtureRequest, state: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Outage]:
    """A store on each database; what waits for it there waits a fifth of a second."""
    monkeypatch.setattr("trackers.sql.engine.BUSY_SECONDS", 0.2)
    if request.param == "sqlite":
        with locked(request.getfixturevalue("sqlite_url")) as found:
            yield found
    else:
        with cut(request.getfixturevalue(f"{request.param}_store_url")) as found:
            yield found
