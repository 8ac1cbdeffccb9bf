"""A person's callbacks after each trial; what they raise ends the study, and costs nothing that is finished."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from hpo.execution.portable import portable
from hpo.manager.here import Here, calling


class Callbacks:
    """Calls *done*, in their order, on the manager's thread; *here*: its caller's process is the manager's."""

    def __init__(self, done: Sequence[Callable[[int], object]], study: Here, *, here: bool) -> None:
        self.raised: BaseException | None = None
        self._done, self._study, self._here = done, study, here

    def call(self, number: int) -> list[str]:
        """Call all of them about trial *number*; return why the study must end, for each that raised."""
        reasons = []
        for done in self._done:
            try:
                calling(self._study, done, number)
            except Exception as exc:  # noqa: BLE001 - a person's function; the study ends, nothing is lost
                exc.add_note("raised by a callback; its trial is kept, and the study can be resumed")
                self.raised = self.raised or (exc if self._here else portable(exc, "a callback raised "))
                name = getattr(done, "__name__", type(done).__name__)
                reasons.append(f"the callback {name} raised {type(exc).__name__}: {exc}")
        return reasons
