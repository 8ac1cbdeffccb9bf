"""The socket between workers and their manager: who is let in, and who may hold whom up."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from hpo.execution.messages import ManagerGone, Reply, StopStudy
from hpo.execution.ray import wire
from hpo.execution.ray.wire import Door, WireLink


class Answering:
    """A manager that answers with what it was sent; what names ``wait`` waits for *release*."""

    def __init__(self) -> None:
        self.waiting: list[tuple[Any, Reply]] = []
        self.came = threading.Event()

    def post(self, message: Any, reply: Reply) -> None:
        if message.worker == "wait":
            self.waiting.append((message, reply))
            self.came.set()
        else:
            reply(message)

    def release(self) -> None:
        for message, reply in self.waiting:
            reply(message)


class Elsewhere:
    """The way through Ray."""

    concurrent = True

    def send(self, message: Any) -> Any:
        return ("through Ray", message)


def lives() -> None:
    """Be a manager that gives a sign."""


@pytest.fixture
def manager() -> Answering:
    return Answering()


@pytest.fixture
def door(manager: Answering) -> Iterator[Door]:
    door = Door("127.0.0.1")
    door.open(manager.post)
    yield door
    door.close()


def link(door: Door, **other: Any) -> WireLink:
    return WireLink(replace(door.address, **other), Elsewhere(), lives)


def in_thread(call: Any) -> tuple[threading.Thread, list[Any]]:
    """Call in a thread; return it and the list that what came of it will be in."""
    came: list[Any] = []

    def run() -> None:
        try:
            came.append(call())
        except Exception as exc:
            came.append(exc)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, came


def test_a_message_that_waits_for_its_answer_holds_no_other_thread_up(door: Door, manager: Answering) -> None:
    worker = link(door)
    thread, came = in_thread(lambda: worker.send(StopStudy("wait")))
    assert manager.came.wait(30)
    assert [worker.send(StopStudy(f"w{i}")) for i in range(3)] == [StopStudy(f"w{i}") for i in range(3)]
    assert came == []
    manager.release()
    thread.join(30)
    assert came == [StopStudy("wait")]


def test_who_has_not_the_key_is_not_let_in_and_harms_nobody(door: Door) -> None:
    assert link(door, key=b"x" * 32).send(StopStudy("w")) == ("through Ray", StopStudy("w"))
    with socket.create_connection((door.address.host, door.address.port)) as stranger:
        stranger.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert link(door).send(StopStudy("w")) == StopStudy("w")


def test_a_worker_that_stops_in_the_middle_of_a_message_holds_nobody_up(door: Door) -> None:
    frozen = wire._call(door.address)
    frozen._send(b"\x00\x10")  # type: ignore[attr-defined]  # half of a message's length
    assert link(door).send(StopStudy("w")) == StopStudy("w")
    frozen.close()


def test_where_nobody_listens_messages_go_through_ray() -> None:
    gone = Door("127.0.0.1")
    gone.close()
    worker = link(gone)
    assert [worker.send(StopStudy(name))[0] for name in "ab"] == ["through Ray"] * 2


def test_a_manager_that_does_not_greet_is_called_through_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "GREET_SECONDS", 0.05)
    silent = Door("127.0.0.1")  # it was never opened
    assert link(silent).send(StopStudy("w")) == ("through Ray", StopStudy("w"))
    silent.close()


def test_a_manager_that_may_start_no_thread_sends_its_callers_through_ray(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = link(door)
    assert known.send(StopStudy("w")) == StopStudy("w")
    with monkeypatch.context() as limited:
        limited.setattr(Door, "_serve", property(lambda self: (_ for _ in ()).throw(RuntimeError("can't start"))))
        assert link(door).send(StopStudy("w")) == ("through Ray", StopStudy("w"))
    assert link(door).send(StopStudy("w")) == StopStudy("w")
    assert known.send(StopStudy("w")) == StopStudy("w")


def test_a_manager_that_ends_is_gone_for_who_waits_and_who_comes(door: Door, manager: Answering) -> None:
    worker = link(door)
    thread, came = in_thread(lambda: worker.send(StopStudy("wait")))
    assert manager.came.wait(30)
    assert worker.send(StopStudy("w")) == StopStudy("w")
    door.close()
    thread.join(30)
    assert isinstance(came[0], ManagerGone)
    with pytest.raises(ManagerGone):
        worker.send(StopStudy("w"))


@pytest.mark.parametrize("kind", [TimeoutError, ZeroDivisionError])
def test_an_alarm_of_the_objective_is_its_own_and_the_next_message_gets_its_own_answer(
    door: Door, manager: Answering, kind: type[Exception]
) -> None:
    def ring(number: int, frame: Any) -> None:
        raise kind("too slow")

    def set_off() -> None:
        assert manager.came.wait(30)
        os.kill(os.getpid(), signal.SIGALRM)

    worker = link(door)
    before = signal.signal(signal.SIGALRM, ring)
    try:
        threading.Thread(target=set_off).start()
        with pytest.raises(kind, match="too slow"):
            worker.send(StopStudy("wait"))
    finally:
        signal.signal(signal.SIGALRM, before)
    manager.release()
    assert [worker.send(StopStudy(name)) for name in "ab"] == [StopStudy("a"), StopStudy("b")]


def test_silence_alone_ends_nothing_and_a_manager_without_a_sign_is_gone(
    door: Door, manager: Answering, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "PATIENCE", 0.01)
    asked: list[str] = []

    def sign() -> None:
        asked.append("lives")
        if len(asked) == 3:
            raise ManagerGone("no sign")

    worker = WireLink(door.address, Elsewhere(), sign)
    with pytest.raises(ManagerGone, match="no sign"):
        worker.send(StopStudy("wait"))
    assert len(asked) == 3
