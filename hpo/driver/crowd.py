"""Says why workers do not come: others hold the cluster. Ray itself waits for ever, without a word."""

from __future__ import annotations

import logging
import time
from dataclasses import replace

from hpo.driver.order import Order
from hpo.errors import NoRoomError
from hpo.execution.ray.session import Need, room, taken
from hpo.progress import Progress
from hpo.trial import Trial
from trackers.active import active_run

PATIENCE = 15.0
"""Seconds that workers have to come before it is said what they wait for: many start slowly on a busy machine."""

HOPELESS = 120.0
"""Seconds after which it is said even where there was room at first, and its workers have not come."""

WITHIN_TRIAL = 5.0
"""The same inside a trial, which holds what its own sweep waits for."""


class Crowd:
    """Watches a sweep whose *order* asks a cluster that others may use too for workers.

    *shown*: somebody reads the notes; else they are logged. Made before the first worker is.
    """

    def __init__(self, order: Order, *, shown: bool) -> None:
        self._need, self._slots, self._shown = order.need or Need(), order.slots, shown
        self._wanted, self._what = order.workers * order.slots, "workers" if order.slots == 1 else "slots"
        self._within_trial = isinstance(active_run(), Trial)
        self._complete_at = self._looked_at = time.monotonic()
        self._fit = room(self._need, self._slots) * self._slots
        """Slots that there was room for: until they are there, what is taken may be taken by ours, which start slowly."""
        self._note = ""

    def noted(self, progress: Progress) -> Progress:
        """Return *progress* with a note where workers have not come for long, since the cluster has no room for them.

        Raises NoRoomError inside a trial where none has come: the trial waits for its sweep, the sweep for the trial.
        """
        now = time.monotonic()
        if progress.workers >= self._wanted:
            self._complete_at = now
        patience = WITHIN_TRIAL if self._within_trial else PATIENCE
        waited = now - self._complete_at
        long = waited > patience and (progress.workers >= self._fit or waited > HOPELESS)
        if not self._note and long and now - self._looked_at > 1.0:
            self._looked_at = now
            self._look(progress.workers)
        return replace(progress, notes=(*progress.notes, self._note)) if self._note else progress

    def _look(self, there: int) -> None:
        full = taken(self._need, self._slots)
        if full is None:
            return
        if self._within_trial and not there and not self._fit:
            raise NoRoomError(
                f"a sweep inside a trial has no room for its workers: {full}. Give it workers=0, and its trials run in "
                "this process; or give the outer sweep fewer workers than the cluster has room for"
            )
        so_far = f"{there} of {self._wanted} {self._what} are there" if there else "no worker could start yet"
        self._note = f"{so_far}: {full}; the rest come when there is room"
        if not self._shown:
            logging.getLogger("hpo").warning("%s", self._note)
