"""A Ray cluster in a process of its own, for tests that call our commands: started once, used by all of them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tests.processes import Beside

HOST = """
import sys
from hpo.driver.cluster import NEEDED
from hpo.execution.ray.own import own_ray
with own_ray(NEEDED, num_cpus=int(sys.argv[1]), log_to_driver=False) as context:  # a session has the machine's CPUs
    print("address", context.address_info["gcs_address"], flush=True)
    sys.stdin.read()
"""


@contextmanager
def cluster(cpus: int = 2) -> Iterator[str]:
    """Give the address of a cluster with *cpus* logical CPUs; it ends with the block, or with this process."""
    command = [sys.executable, "-c", HOST, str(cpus)]
    with Beside(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as host:
        assert host.stdin is not None
        assert host.stdout is not None
        try:
            line = next((line for line in host.stdout if line.startswith("address ")), "")
            assert line, "Ray did not start"
            yield line.split()[1]
        finally:
            host.stdin.close()
            host.wait(timeout=60)
