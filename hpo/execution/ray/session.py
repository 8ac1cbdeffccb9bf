"""A connection to Ray: to a cluster that lives on its own, or to one that we start and end."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hpo.errors import ClusterError

NAMESPACE = "hpo"
CONNECT_SECONDS = 15.0


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
    """Refuse an address that cannot work; say what can."""
    if address.startswith("ray://") and storage.startswith("sqlite"):
        raise ClusterError(
            f"a Ray client ({address}) has no node of its own, so SQLite has no place: "
            "give --storage postgresql+psycopg://..., or run this on a node of the cluster with --address auto"
        )
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if address in ("auto", "local") or not port.isdigit():
        return
    try:
        socket.create_connection((host, int(port)), timeout=5.0).close()
    except OSError as exc:
        raise ClusterError(
            f"no Ray cluster answers at {address} ({exc.strerror or exc}): start one with `ray start --head`, "
            "or leave --address out to have one started here"
        ) from exc


@contextmanager
def session(address: str | None, slots: int, need: Need) -> Iterator[bool]:
    """Be connected to Ray inside the block; yield whether Ray was started here.

    A Ray that was connected before stays as it is and is not shut down. One that we start has as many logical CPUs
    as *slots* need (at least those of the machine), no dashboard, and prints nothing; it ends with the block.
    """
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # its FutureWarning is noise on a terminal
    os.environ.setdefault("RAY_DEDUP_LOGS", "0")
    os.environ.setdefault("RAY_DISABLE_IMPORT_WARNING", "1")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # Ray warns on the terminal about many worker processes on few cores; here they are wanted, and start a few at a time.
    os.environ.setdefault("RAY_worker_maximum_startup_concurrency", str(max(slots + 8, os.cpu_count() or 1)))
    if address not in (None, "local") and _has_token():
        os.environ.setdefault(
            "RAY_AUTH_MODE", "token"
        )  # a client that does not say so is refused by a cluster that asks
    import ray

    if ray.is_initialized():
        yield False
        return
    start_here = address is None or address == "local"
    options: dict[str, Any] = {"namespace": NAMESPACE, "log_to_driver": False, "logging_level": logging.ERROR}
    if start_here:
        cpus = max(os.cpu_count() or 1, int(-(-slots * need.cpus // 1)))
        options |= {"num_cpus": cpus, "include_dashboard": False, "resources": _own_resources(need, slots)}
    else:
        options["address"] = address
    try:
        ray.init(**options)
    except (ConnectionError, RuntimeError, ValueError, OSError) as exc:
        where = "start Ray here" if start_here else f"connect to Ray at {address}"
        raise ClusterError(f"could not {where}: {exc}".split("\n", 1)[0]) from exc
    try:
        yield start_here
    finally:
        ray.shutdown()


def _has_token() -> bool:
    """Tell whether Ray finds a token where it looks for one; a cluster that asks for none does not mind it."""
    named = os.environ.get("RAY_AUTH_TOKEN") or os.environ.get("RAY_AUTH_TOKEN_PATH")
    return bool(named) or (Path.home() / ".ray" / "auth_token").is_file()


def _own_resources(need: Need, slots: int) -> dict[str, float]:
    """Return the custom resources of a Ray of our own: they are names, and this machine is all it has."""
    return {name: amount * max(slots, 1) for name, amount in (need.resources or {}).items()}


def check_capacity(need: Need, slots: int) -> None:
    """Refuse a trial that no node of the cluster can ever hold: said at once, not waited for."""
    import ray

    wanted = {"CPU": need.cpus * slots, "GPU": need.gpus * slots}
    wanted |= {name: amount * slots for name, amount in (need.resources or {}).items()}
    described: Any = ray.nodes  # untyped in Ray
    nodes = [n["Resources"] for n in described() if n["Alive"]]
    for name, amount in wanted.items():
        most = max((n.get(name, 0.0) for n in nodes), default=0.0)
        if amount > most:
            what = {"CPU": "CPUs (--cpus-per-trial)", "GPU": "GPUs (--gpus-per-trial)"}.get(name, f"of {name}")
            has = f"no node has more than {most:g}" if most else "the cluster has none"
            per = "a trial" if slots == 1 else f"a worker of {slots} slots"
            raise ClusterError(f"{per} needs {amount:g} {what}, and {has}: ask for less, or add a node")
