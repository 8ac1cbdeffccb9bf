"""Libraries that are optional: tests that need one are skipped without it, and import it when they run.

Every process of the suite collects every file, and MLflow alone takes two seconds to import.
"""

from __future__ import annotations

from importlib.util import find_spec

import pytest


def needs(*names: str, reason: str) -> pytest.MarkDecorator:
    """Return the mark that skips a test where one of the packages *names* is not installed."""
    missing = [name for name in names if find_spec(name) is None]
    return pytest.mark.skipif(bool(missing), reason=f"{', '.join(missing)} is not installed: {reason}")
