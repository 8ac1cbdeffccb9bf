"""Runs as journals have them: what a process that cannot ask the store has to know of one to go on with it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from trackers import changes as c
from trackers.errors import StoreError
from trackers.journal.entry import Entry, decode, decode_head
from trackers.journal.file import unseal
from trackers.journal.place import store_of

_HEADS = (b'"start"', b'"TrialFinished"', b'"resume"')


@dataclass(slots=True)
class LeftRun:
    """A run that began in a journal, with what the journals have of it.

    *attempts* are the host, the process and the beginning (microseconds) of each; *ended* is the state in which it did,
    or empty.
    """

    uid: str
    experiment: str
    name: str
    attempts: list[tuple[str, int, int]]
    params: dict[str, Any] = field(default_factory=dict)
    files: set[str] = field(default_factory=set)
    ended: str = ""
    _last: dict[tuple[str, str], tuple[int, int]] = field(default_factory=dict)

    @classmethod
    def begin(cls, entry: Entry) -> LeftRun:
        """Return the run that *entry* starts."""
        start = entry.content
        attempts = [(start["host"], start["pid"], start["time"])]
        return cls(entry.run, start["experiment"] or "", start["name"], attempts, dict(start["params"]))

    @property
    def steps(self) -> dict[tuple[str, str], int]:
        """The last step of each series, by key and context; what an attempt logged hides later ones of those before."""
        return {series: step for series, (_, step) in self._last.items()}

    def take(self, entry: Entry) -> None:
        """Take in what came after its start."""
        if entry.kind == "resume":
            again = entry.content
            self.attempts.append((again["host"], again["pid"], again["time"]))
        elif entry.kind == "params":
            self.params |= entry.content
        elif entry.kind == "log":
            for change in entry.content:
                self._take_change(change)

    def _take_change(self, change: c.Change) -> None:
        if isinstance(change, c.PointsLogged):
            series = change.key, change.context
            for step, attempt, *_ in change.points:
                self._last[series] = max(self._last.get(series, (0, -1)), (abs(attempt), step))
        elif isinstance(change, c.ArtifactsLogged):
            self.files |= change.files.keys()
        elif isinstance(change, c.TrialFinished):
            self.ended = change.state.name


def read_left(journals: Iterable[Path], ref: str) -> list[LeftRun]:
    """Return the runs that began offline in one of *journals*, whose uid begins with *ref*, with all that is known of them.

    Of a run that began otherwise, or in a journal that was drained, be it in part, the store knows more. A damaged line
    is passed over: its journal tells of it when it is drained. Raises StoreError for one of a newer release.
    """
    mark = f'"{ref}'.encode()
    return _runs((entry, whole) for entry, whole in _entries(journals, (mark,)) if entry.run.startswith(ref))


def numbers_of(journal: Path, ref: str) -> tuple[str, list[tuple[int, str]]]:
    """Return the uid of a journal, and number and kind of its entries of the run whose uid is or begins with *ref*."""
    own = re.compile(rb'\[(\d+),"([a-z]+)","' + ref.encode())
    with (journal / "records").open("rb") as records:
        head = decode_head(unseal(records.readline()))
        matches = ((own.match(line, 9), line) for line in records)
        found = [(int(one[1]), one[2].decode()) for one, line in matches if one and unseal(line) is not None]
    return str(head.get("uid") or ""), found


def list_left(journals: Iterable[Path]) -> list[LeftRun]:
    """Return the runs that began offline in one of *journals* and did not end, as far as those know; the oldest first."""
    return [run for run in _runs(_entries(journals, _HEADS, known=True)) if not run.ended]


def _runs(entries: Iterable[tuple[Entry, bool]]) -> list[LeftRun]:
    runs: dict[str, LeftRun] = {}
    rest: list[Entry] = []
    for entry, whole in entries:
        if entry.kind == "start":
            if whole and entry.run not in runs:
                runs[entry.run] = LeftRun.begin(entry)
        elif entry.run in runs:
            runs[entry.run].take(entry)
        else:
            rest.append(entry)  # its start may be in a journal whose name comes later: clocks differ
    for entry in rest:
        if entry.run in runs:
            runs[entry.run].take(entry)
    return sorted(runs.values(), key=lambda run: run.attempts[0][2])


def _entries(
    journals: Iterable[Path], marks: tuple[bytes, ...], *, known: bool = False
) -> Iterator[tuple[Entry, bool]]:
    """Yield the entries in whose line one of *marks* is, and whether all that follows them is in a journal.

    It is where the journal's process was offline from the start, and nobody has begun to drain it. Of a journal with
    an entry of a newer release only what comes before that is read where what is *known* is enough.
    """
    for journal in journals:
        whole = store_of(journal) == ""
        try:
            with (journal / "records").open("rb") as records:
                records.readline()  # the head
                for line in records:
                    if any(mark in line for mark in marks) and (content := unseal(line)) is not None:
                        yield decode(content)[1], whole
        except OSError:  # removed meanwhile
            continue
        except (ValueError, TypeError, LookupError) as exc:
            if not known:
                raise StoreError(f"the journal {journal} was written by a newer release: install that one") from exc
