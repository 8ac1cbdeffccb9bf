"""One Ray for the whole suite: starting workers is what costs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from hpo.driver.cluster import NEEDED, imported
from hpo.execution.ray.session import Need, session
from tests.leaks import nothing_is_left as nothing_is_left  # for every test of this folder


@pytest.fixture(scope="package")
def cluster() -> Iterator[None]:
    """Be connected to a Ray of four logical CPUs; studies with workers find it and leave it running."""
    with session(None, 4, Need(), [*NEEDED, *imported()]):
        yield
