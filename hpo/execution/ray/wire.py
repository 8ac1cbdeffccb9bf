"""Messages between workers and their manager over a socket of their own.

A call of an actor takes Ray some milliseconds of two processes, and every report of an objective with slow steps is
one. A connection takes a tenth of that. Ray still brings up both ends and tells each worker where to call, and with
which key; where a worker cannot connect (a firewall between two nodes), its messages go through Ray as calls.

On a connection each message waits for its answer, so that every thread of a worker has one of its own, and a thread of
the manager's process serves it: a worker that is frozen in the middle of a message holds nobody else up.
"""

from __future__ import annotations

import queue
import secrets
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing import AuthenticationError
from multiprocessing.connection import Connection, answer_challenge, deliver_challenge
from typing import Any

import cloudpickle

from hpo.execution.messages import Link, ManagerGone, Message
from hpo.execution.port import Post

CONNECT_SECONDS, GREET_SECONDS = 3.0, 30.0
"""How long a worker tries to connect, and waits to be greeted, before its messages go through Ray."""

BREATH = 0.2
"""Seconds between two tries to let somebody in where the process may open no more files."""

PATIENCE = 60.0
"""Seconds without an answer after which a worker asks, through Ray, whether the manager lives."""

_BROKEN = (OSError, EOFError, AuthenticationError)


@dataclass(frozen=True, slots=True)
class Address:
    """Where a manager listens, and the key that both ends must know."""

    host: str
    port: int
    key: bytes = field(repr=False)


class Door:
    """The manager's end: a port on *host*, whose callers' messages go to what ``open`` is given."""

    def __init__(self, host: str) -> None:
        self._socket = socket.create_server((host, 0), backlog=1024)
        self.address = Address(host, self._socket.getsockname()[1], secrets.token_bytes(32))
        self._post: Post | None = None
        self._lock = threading.Lock()
        self._callers: set[socket.socket] = set()
        self._closed = threading.Event()

    def open(self, post: Post) -> None:
        """Let workers in; their messages go to *post*."""
        self._post = post
        threading.Thread(target=self._accept, name="hpo-door", daemon=True).start()

    def _accept(self) -> None:
        while not self._closed.is_set():
            try:
                caller, _ = self._socket.accept()
            except OSError:
                self._closed.wait(BREATH)
                continue
            try:
                _without_delay(caller)
                with self._lock:
                    self._callers.add(caller)
                threading.Thread(target=self._serve, args=(caller,), name="hpo-caller", daemon=True).start()
            except (OSError, RuntimeError):  # it has left again, or there may be no more threads
                self._leave(caller)
        with self._lock:
            callers = list(self._callers)
        for caller in callers:
            _shut(caller)  # one that came while it was being closed

    def _serve(self, caller: socket.socket) -> None:
        assert self._post is not None
        answers: queue.SimpleQueue[Any] = queue.SimpleQueue()
        connection = Connection(caller.dup().detach())
        try:
            deliver_challenge(connection, self.address.key)
            answer_challenge(connection, self.address.key)
            while True:
                message = cloudpickle.loads(connection.recv_bytes())
                self._post(message, answers.put)
                connection.send_bytes(cloudpickle.dumps(answers.get()))
        except _BROKEN:
            pass  # the worker is gone, which Ray tells; or a stranger knocked
        finally:
            connection.close()
            self._leave(caller)

    def _leave(self, caller: socket.socket) -> None:
        with self._lock:
            self._callers.discard(caller)
        caller.close()

    def close(self) -> None:
        """Let nobody in any more, and end the connections: their workers have nothing left to do."""
        self._closed.set()
        with self._lock:
            callers = list(self._callers)
        for one in (self._socket, *callers):
            _shut(one)  # wakes the thread that reads it, which closes it
        self._socket.close()


class WireLink:
    """A worker's end: a connection for each of its threads, or *instead* where there is no way to the manager."""

    concurrent = True

    def __init__(self, address: Address, instead: Link, lives: Callable[[], object]) -> None:
        """Call at *address*; *lives* raises ManagerGone unless the manager gives a sign."""
        self._address, self._instead, self._lives = address, instead, lives
        self._own = threading.local()
        self._reachable = True

    def send(self, message: Message) -> Any:
        """Send *message* and wait for its answer; ManagerGone where none comes."""
        connection = self._connection()
        if connection is None:
            return self._instead.send(message)
        try:
            connection.send_bytes(cloudpickle.dumps(message))
            while not connection.poll(PATIENCE):
                self._lives()  # a worker may wait long for its next trial, so silence alone tells nothing
            return cloudpickle.loads(connection.recv_bytes())
        except BaseException as exc:
            # Whatever interrupted it, an objective's own alarm too: the answer would be taken for that of the next one.
            self._own.connection = None
            connection.close()
            if isinstance(exc, _BROKEN) and not _is_an_alarm(exc):
                raise ManagerGone(f"the connection to the manager ended: {exc}") from exc
            raise

    def _connection(self) -> Connection | None:
        known: Connection | None = getattr(self._own, "connection", None)
        if known is None and self._reachable:
            try:
                known = self._own.connection = _call(self._address)
            except _BROKEN:
                self._reachable = False
        return known


def _is_an_alarm(exc: BaseException) -> bool:
    """Tell whether somebody's signal handler raised it: the system's own has a number."""
    return isinstance(exc, TimeoutError) and exc.errno is None


def _call(address: Address) -> Connection:
    caller = socket.create_connection((address.host, address.port), timeout=CONNECT_SECONDS)
    caller.settimeout(None)
    _without_delay(caller)
    connection = Connection(caller.detach())
    try:
        if not connection.poll(GREET_SECONDS):
            raise TimeoutError("nobody greets")
        answer_challenge(connection, address.key)
        deliver_challenge(connection, address.key)
    except BaseException:
        connection.close()
        raise
    return connection


def _without_delay(one: socket.socket) -> None:
    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _shut(one: socket.socket) -> None:
    try:
        one.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass  # nobody is at the other end
