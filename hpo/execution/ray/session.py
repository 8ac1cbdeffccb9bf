"""A connection to Ray: to a cluster that lives on its own, or to one that we start and end."""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from hpo.errors import ClusterError
from hpo.execution.ray.own import own_ray
from trackers.termination import came, ending, terminable

NAMESPACE = "hpo"
CONNECT_SECONDS = 5.0
WORKERS_PER_CPU = 64
"""More processes than these would wait for each other and for memory: each takes some 60 MB and starts for a while."""
_START = "start one with `ray start --head`, or leave --address out to have one started here"


@dataclass(frozen=True, slots=True)
class Need:
    """What one slot of a worker takes: logical CPUs and GPUs (fractions are fine), custom resources."""

    cpus: float = 1.0
    gpus: float = 0.0
    resources: Mapping[str, float] | None = None

    def options(self, slots: int) -> dict[str, Any]:
        """Return the options of an actor with *slots* slots."""
        custom = {name: amount * slots for name, amount in (self.resources or {}).items()}
        return {"num_cpus": self.cpus * slots, "num_gpus": self.gpus * slots, "resources": custom}


def check_address(address: str, storage: str) -> None:
    """Refuse an address that cannot work with this store; say what can."""
    if address.startswith("ray://") and storage.startswith("sqlite"):
        raise ClusterError(
            f"a Ray client ({address}) has no node of its own, so SQLite has no place: "
            "give --storage postgresql+psycopg://..., or run this on a node of the cluster with --address auto"
        )


def _resolved(address: str) -> str:
    """Return the HOST:PORT that ``auto`` stands for: that of RAY_ADDRESS, or of the cluster on this machine."""
    if address != "auto":
        return address
    services: Any = import_module("ray._private.services")
    try:
        found: str = services.canonicalize_bootstrap_address_or_die(address)
    except (ConnectionError, ValueError) as exc:
        raise ClusterError(
            f"no Ray cluster runs on this machine, and RAY_ADDRESS names none ({address}): {_START}"
        ) from exc
    return found


def _knock(address: str) -> None:
    """Find out quickly whether somebody answers at *address*: Ray itself waits for minutes, and prints meanwhile.

    Ray speaks HTTP/2, where a server sends its settings (frame type 4) before anything else.
    """
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdigit():
        raise ClusterError(f"the Ray address {address!r} cannot be read: give --address auto, or HOST:PORT")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_SECONDS) as connection:
            connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0]))
            answer = connection.recv(9)
    except (OSError, OverflowError) as exc:
        why = (exc.strerror if isinstance(exc, OSError) else None) or exc
        raise ClusterError(f"no Ray cluster answers at {address} ({why}): {_START}") from exc
    if len(answer) < 9 or answer[3] != 4:
        raise ClusterError(f"what answers at {address} is not Ray: give the port of its GCS (6379 by default)")


@contextmanager
def session(address: str | None, slots: int, need: Need, modules: Sequence[str] | None = None) -> Iterator[bool]:
    """Be connected to Ray inside the block; yield whether Ray was started here.

    A Ray that was connected before stays as it is and is not shut down. One that we start has as many logical CPUs
    as *slots* need (at least those of the machine), no dashboard, and prints nothing; its workers begin with *modules*
    imported; it ends with the block. Raises
    ClusterError within seconds where nobody answers at *address*, or this machine has not what one trial needs.
    """
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # its FutureWarning is noise on a terminal
    os.environ.setdefault("RAY_DEDUP_LOGS", "0")
    os.environ.setdefault("RAY_DISABLE_IMPORT_WARNING", "1")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # Ray warns on the terminal about many worker processes on few cores; here they are wanted, and start a few at a time.
    os.environ.setdefault("RAY_worker_maximum_startup_concurrency", str(max(slots + 8, os.cpu_count() or 1)))
    if address not in (None, "local") and _has_token():
        # A client that does not say so is refused by a cluster that asks.
        os.environ.setdefault("RAY_AUTH_MODE", "token")
    import ray

    if ray.is_initialized():
        yield False
        return
    # Silent to the end of Ray's own shutdown: what a node's end has it say may come with it.
    with terminable(), _silence(), ExitStack() as stack:
        with _uninterrupted():
            stack.enter_context(_connected(address, slots, need, modules))
        yield address is None or address == "local"


@contextmanager
def _connected(address: str | None, slots: int, need: Need, modules: Sequence[str] | None) -> Iterator[None]:
    import ray

    options: dict[str, Any] = {"namespace": NAMESPACE, "log_to_driver": False, "logging_level": logging.ERROR}
    with ExitStack() as stack:
        try:
            if address is None or address == "local":
                check_machine(need)
                cpus = max(os.cpu_count() or 1, int(-(-slots * need.cpus // 1)))
                options |= {"num_cpus": cpus, "resources": _own_resources(need, slots)}
                stack.enter_context(own_ray(modules, **options))
            else:
                stack.callback(ray.shutdown)
                found = _resolved(address)
                _knock(found)
                with _quickly():
                    ray.init(**options, address=found)
        except ClusterError:
            raise
        except (ConnectionError, RuntimeError, ValueError, OSError) as exc:
            if "AF_UNIX path length" in str(exc):
                raise ClusterError(
                    "could not start Ray here: its folder of temporary files has too long a path for its sockets; set "
                    "RAY_TMPDIR to a shorter one (TMPDIR is taken otherwise)"
                ) from exc
            where = "start Ray here" if address in (None, "local") else f"connect to Ray at {address}"
            said = f"could not {where}: {exc}".split("\n", 1)[0]
            raise ClusterError(said if address in (None, "local") else f"{said.rstrip('.')}: {_START}") from exc
        yield


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Put the first Ctrl-C, SIGTERM or SIGHUP off to the end of the block: Ray, interrupted while it starts, crashes at exit.

    Ray would set a handler of its own for SIGTERM meanwhile, and never take it back.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    put_off: list[int] = []

    def note(number: int, frame: Any) -> None:
        came(number)
        put_off.append(number)
        if len(put_off) > 1:
            raise KeyboardInterrupt

    processes: Any = import_module("ray._private.utils")
    setting, processes.set_sigterm_handler = processes.set_sigterm_handler, lambda handler: None
    before = {number: signal.signal(number, note) for number in (signal.SIGINT, *ending())}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        processes.set_sigterm_handler = setting
    if put_off:
        raise KeyboardInterrupt


@contextmanager
def _quickly() -> Iterator[None]:
    """Have Ray give up soon on a cluster that does not let it in, and keep what its C++ side prints off the terminal."""
    name = "RAY_gcs_server_port_wait_time_s"
    given = os.environ.get(name)
    os.environ[name] = given or str(int(CONNECT_SECONDS))
    sys.stderr.flush()
    terminal, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(terminal, 2)
        os.close(terminal)
        os.close(nowhere)
        if given is None:
            del os.environ[name]


@contextmanager
def _silence() -> Iterator[None]:
    """Keep off the terminal what Ray says of dead workers, whatever ``log_to_driver`` is: we say it ourselves."""
    printing: Any = import_module("ray._private.worker")
    before = printing._worker_logs_enabled
    printing._worker_logs_enabled = False
    try:
        yield
    finally:
        printing._worker_logs_enabled = before


def _has_token() -> bool:
    """Tell whether Ray finds a token where it looks for one; a cluster that asks for none does not mind it."""
    named = os.environ.get("RAY_AUTH_TOKEN") or os.environ.get("RAY_AUTH_TOKEN_PATH")
    return bool(named) or (Path.home() / ".ray" / "auth_token").is_file()


def _own_resources(need: Need, slots: int) -> dict[str, float]:
    """Return the custom resources of a Ray of our own: they are names, and this machine is all it has."""
    return {name: amount * max(slots, 1) for name, amount in (need.resources or {}).items()}


def check_machine(need: Need) -> None:
    """Refuse a trial that needs more than this machine has, before a Ray of our own is started on it.

    Such a Ray has as many logical CPUs as the workers need together, but one trial cannot have more than there are.
    """
    most = {"CPU": float(os.cpu_count() or 1), "GPU": _gpus_here()}
    for name, amount in {"CPU": need.cpus, "GPU": need.gpus}.items():
        has = most[name]
        if has is not None and amount > has:
            here = f"this machine has {has:g}" if has else "this machine has none"
            raise ClusterError(_too_much("a trial", name, amount, here, "give the --address of a cluster"))


def check_workers(workers: int, address: str | None) -> None:
    """Refuse more worker processes than this machine stands, where they are to run on a Ray of our own."""
    cpus = os.cpu_count() or 1
    ray = sys.modules.get("ray")  # it reads its settings when it is imported: `session` makes them first
    connected = ray is not None and ray.is_initialized()
    if address in (None, "local") and not connected and workers > WORKERS_PER_CPU * cpus:
        raise ClusterError(
            f"{workers} worker processes are too many for this machine, which has {cpus} CPUs: give at most "
            f"{WORKERS_PER_CPU * cpus} (trials that mostly wait can share one: --slots-per-worker), or the --address of "
            "a cluster"
        )


def _gpus_here() -> float | None:
    """Return how many GPUs Ray would find on this machine, None where it does not say."""
    try:
        accelerators = import_module("ray._private.accelerators")
        return float(accelerators.get_accelerator_manager_for_resource("GPU").get_current_node_num_accelerators())
    except (ImportError, AttributeError):
        return None


def _wanted(need: Need, slots: int) -> dict[str, float]:
    """Return what one worker takes."""
    wanted = {"CPU": need.cpus * slots, "GPU": need.gpus * slots}
    return wanted | {name: amount * slots for name, amount in (need.resources or {}).items()}


def check_capacity(need: Need, slots: int) -> None:
    """Refuse a trial that no node of the cluster can ever hold: said at once, not waited for."""
    import ray

    wanted = _wanted(need, slots)
    described: Any = ray.nodes  # untyped in Ray
    nodes = [n["Resources"] for n in described() if n["Alive"]]
    for name, amount in wanted.items():
        most = max((n.get(name, 0.0) for n in nodes), default=0.0)
        if amount > most:
            has = f"no node has more than {most:g}" if most else "the cluster has none"
            who = "a trial" if slots == 1 else f"a worker of {slots} slots"
            raise ClusterError(_too_much(who, name, amount, has, "add a node"))


def room(need: Need, slots: int) -> int:
    """Return for how many workers more the cluster has room now."""
    import ray

    free: Any = ray.available_resources()  # type: ignore[no-untyped-call]
    wanted = _wanted(need, slots)
    return min(
        (int((free.get(name, 0.0) + 1e-6) // amount) for name, amount in wanted.items() if amount), default=10**6
    )


def taken(need: Need, slots: int) -> str | None:
    """Say what the cluster has too little of for one more worker now; None where there is room."""
    import ray

    wanted = _wanted(need, slots)
    free: Any = ray.available_resources()  # type: ignore[no-untyped-call]
    there: Any = ray.cluster_resources()  # type: ignore[no-untyped-call]
    for name, amount in wanted.items():
        if amount > free.get(name, 0.0) + 1e-6:
            has = f"{free.get(name, 0.0):g} of the cluster's {there.get(name, 0.0):g} are free"
            return f"a worker takes {amount:g} {name}{'s' * (amount != 1 and name in ('CPU', 'GPU'))}, and {has}"
    return None


def _too_much(who: str, resource: str, amount: float, has: str, instead: str) -> str:
    option = {"CPU": " (--cpus-per-trial)", "GPU": " (--gpus-per-trial)"}.get(resource)
    what = f"of {resource}" if option is None else f"{resource}{'s' * (amount != 1)}{option}"
    return f"{who} needs {amount:g} {what}, and {has}: ask for less, or {instead}"
