"""What the machine does while a run goes on: CPU, memory, disk, network, GPUs, under MLflow's keys, from a thread."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trackers.errors import InvalidValueError

if TYPE_CHECKING:
    from trackers.recorder import Recorder

DEFAULT_SECONDS = 10.0
_MEGABYTE = 1e6
_SECTOR = 512
_log = logging.getLogger("trackers")

Readings = dict[str, float]


def check_seconds(seconds: bool | float) -> float:
    """Return how many seconds are between two looks (True: 10, at least 0.1); raises InvalidValueError for what is no time."""
    if isinstance(seconds, bool):
        return DEFAULT_SECONDS
    if not isinstance(seconds, int | float) or not 0 < seconds < float("inf"):
        raise InvalidValueError(f"system_metrics is True, or every how many seconds, not {seconds!r:.40}")
    return max(0.1, float(seconds))


class SystemMetrics:
    """Logs readings of the machine to *run* every *seconds*, from a thread that ends with the run.

    It neither delays nor fails the run: what cannot be read is left away, and the first failure is said once.
    """

    def __init__(self, run: Recorder, seconds: float = DEFAULT_SECONDS, step: int = 0) -> None:
        self._run = run
        self.seconds = seconds
        self.step = step
        """The step of the next readings."""

        self._over = threading.Event()
        self._thread = threading.Thread(target=self._main, name="trackers-system", daemon=True)

    @classmethod
    def begin(cls, run: Recorder, seconds: bool | float = True, step: int = 0) -> SystemMetrics:
        """Start logging to *run* every *seconds*, see ``check_seconds``, from *step* on."""
        found = cls(run, check_seconds(seconds), step)
        try:
            found._thread.start()
        except RuntimeError as exc:  # the process may have no more threads
            _log.warning("no system metrics: %s", exc)
        return found

    def stop(self) -> None:
        """End the thread, which logs once more; a second call changes nothing."""
        self._over.set()
        if threading.current_thread() is not self._thread and self._thread.ident is not None:
            self._thread.join(5.0)

    def _main(self) -> None:
        probes = _probes()
        over, first = False, self.step
        while not over:
            over = self._over.wait(self.seconds if self.step > first else min(self.seconds, 1.0))
            if getattr(self._run, "superseded", False):  # another handle is about to take the run over, or not
                continue
            try:
                readings: Readings = {}
                for probe in probes:
                    readings.update(_read(probe))
                if readings:
                    self._run.log_metrics({f"system/{key}": value for key, value in readings.items()}, self.step)
            except Exception as exc:  # noqa: BLE001 - nothing here may cost the run anything
                _log.warning("no more system metrics: %s", exc)
                break
            self.step += 1
        for probe in probes:
            getattr(probe, "close", lambda: None)()


def _read(probe: Callable[[], Readings]) -> Readings:
    try:
        return probe()
    except (OSError, ValueError, IndexError, KeyError):
        return {}


def _probes() -> list[Callable[[], Readings]]:
    """Return what can be read here; a probe that compares with its last reading begins now."""
    found: list[Callable[[], Readings]] = []
    if Path("/proc/stat").exists():
        found += [_Cpu(), _memory, _disk_usage, _Disk(), _Network()]
    else:
        _log.warning("system metrics are read from /proc, which this system does not have")
    gpus = _Gpus.find()
    if gpus is not None:
        found.append(gpus)
    return found


class _Cpu:
    def __init__(self) -> None:
        self._last = self._times()

    @staticmethod
    def _times() -> tuple[int, int]:
        with open("/proc/stat", encoding="ascii") as source:
            times = [int(word) for word in source.readline().split()[1:9]]
        return sum(times), times[3] + times[4]  # idle, and waiting for a disk

    def __call__(self) -> Readings:
        before, self._last = self._last, self._times()
        total, idle = (now - then for now, then in zip(self._last, before, strict=True))
        return {"cpu_utilization_percentage": 100.0 * (total - idle) / total} if total > 0 else {}


def _memory() -> Readings:
    lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    sizes = {name: int(rest.split()[0]) * 1024 for name, rest in (line.split(":") for line in lines)}
    used = sizes["MemTotal"] - sizes["MemAvailable"]
    own = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return {
        "system_memory_usage_megabytes": used / _MEGABYTE,
        "system_memory_usage_percentage": 100.0 * used / sizes["MemTotal"],
        "process_memory_usage_megabytes": own / _MEGABYTE,
    }


def _disk_usage() -> Readings:
    found = os.statvfs(os.curdir)
    used = (found.f_blocks - found.f_bfree) * found.f_frsize
    room = used + found.f_bavail * found.f_frsize
    return {
        "disk_usage_megabytes": used / _MEGABYTE,
        "disk_usage_percentage": 100.0 * used / room,
        "disk_available_megabytes": found.f_bavail * found.f_frsize / _MEGABYTE,
    }


class _Rates:
    """Megabytes since the run began, by key."""

    keys: tuple[str, str]

    def __init__(self) -> None:
        self._first = self.totals()

    def totals(self) -> tuple[int, int]:
        raise NotImplementedError

    def __call__(self) -> Readings:
        since = [(now - then) / _MEGABYTE for now, then in zip(self.totals(), self._first, strict=True)]
        return dict(zip(self.keys, since, strict=True))


class _Network(_Rates):
    keys = ("network_receive_megabytes", "network_transmit_megabytes")

    def totals(self) -> tuple[int, int]:
        received = sent = 0
        for line in Path("/proc/net/dev").read_text(encoding="ascii").splitlines()[2:]:
            name, _, rest = line.partition(":")
            if name.strip() != "lo":
                numbers = rest.split()
                received, sent = received + int(numbers[0]), sent + int(numbers[8])
        return received, sent


class _Disk(_Rates):
    keys = ("disk_read_megabytes", "disk_write_megabytes")

    def totals(self) -> tuple[int, int]:
        read = written = 0
        disks = {entry.name for entry in Path("/sys/block").iterdir() if not entry.name.startswith(("loop", "ram"))}
        for line in Path("/proc/diskstats").read_text(encoding="ascii").splitlines():
            words = line.split()
            if words[2] in disks:
                read, written = read + int(words[5]) * _SECTOR, written + int(words[9]) * _SECTOR
        return read, written


class _Gpus:
    """NVIDIA's GPUs, by its own library (``pip install nvidia-ml-py``), where there are both."""

    def __init__(self, nvml: Any, handles: list[Any]) -> None:
        self._nvml, self._handles = nvml, handles

    @classmethod
    def find(cls) -> _Gpus | None:
        try:
            import pynvml

            pynvml.nvmlInit()
            handles = [pynvml.nvmlDeviceGetHandleByIndex(i) for i in range(pynvml.nvmlDeviceGetCount())]
        except Exception:  # noqa: BLE001 - no library, no driver or no GPU: then there is nothing to read
            return None
        return cls(pynvml, handles) if handles else None

    def __call__(self) -> Readings:
        found: Readings = {}
        for index, handle in enumerate(self._handles):
            try:
                memory = self._nvml.nvmlDeviceGetMemoryInfo(handle)
                found[f"gpu_{index}_memory_usage_megabytes"] = memory.used / _MEGABYTE
                found[f"gpu_{index}_memory_usage_percentage"] = 100.0 * memory.used / memory.total
                found[f"gpu_{index}_utilization_percentage"] = float(
                    self._nvml.nvmlDeviceGetUtilizationRates(handle).gpu
                )
                watts = self._nvml.nvmlDeviceGetPowerUsage(handle) / 1000.0
                found[f"gpu_{index}_power_usage_watts"] = watts
                limit = self._nvml.nvmlDeviceGetEnforcedPowerLimit(handle) / 1000.0
                found[f"gpu_{index}_power_usage_percentage"] = 100.0 * watts / limit
            except self._nvml.NVMLError:
                continue  # what one card does not tell the others may
        return found

    def close(self) -> None:
        try:
            self._nvml.nvmlShutdown()
        except Exception:  # noqa: BLE001 - the run is over, and the library goes with the process
            pass
