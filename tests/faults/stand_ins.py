"""What stands in for a part of the machine in these tests: the ``os`` of a journal, a handler of log records."""

from __future__ import annotations

import logging
import os
from typing import Any


class RealOs:
    """The ``os`` of a journal, as it is but for what a subclass says."""

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)


class ToRun(logging.Handler):
    """Logs to a run what is logged, as people do who want warnings beside their metrics; *waits* for it, too."""

    def __init__(self, run: Any, *, waits: bool = False) -> None:
        super().__init__()
        self.run, self.waits, self.heard = run, waits, 0

    def emit(self, record: logging.LogRecord) -> None:
        self.heard += 1
        self.run.log_metric("warnings", float(self.heard))
        if self.waits:
            self.run.flush()
