"""The models of a study's trials: the best few are kept, the files of the others go when they are beaten."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from hpo.manager.scribe import Scribe
from trackers.changes import ModelDropped, ModelLogged
from trackers.clock import now_us
from trackers.states import RunState
from trackers.values import LoggedModel, Trial

if TYPE_CHECKING:
    from hpo.manager.ledger import Finished


class Keeper(Protocol):
    """Says whose models are dropped; see ``hpo.ranking.kept``."""

    def add(self, trial: Trial, model: bool) -> None:
        """Take a finished trial; *model*: it has one."""

    def beaten(self) -> Iterable[int]:
        """Return the numbers of those whose models are dropped now."""


class Models:
    """Which trials have models, and which files those hold. The manager's thread only.

    *keeper* None keeps all. Files that nothing refers to any more collect in ``garbage`` as digests; whoever has the
    store deletes them after the commit.
    """

    def __init__(self, keeper: Keeper | None, scribe: Scribe) -> None:
        self.garbage: set[str] = set()
        self._keeper, self._scribe = keeper, scribe
        self._files: dict[int, dict[str, set[str]]] = {}  # by trial and name
        self._run_ids: dict[int, int] = {}

    def restore(self, trials: Sequence[Trial], models: Sequence[LoggedModel]) -> None:
        """Take over stored trials and their models."""
        numbers = {trial.run_id: trial.number for trial in trials}
        for model in models:
            if model.deleted_at is None and model.run_id in numbers:
                self._files.setdefault(numbers[model.run_id], {})[model.name] = set(model.files.values())
        for trial in trials:
            if trial.state.is_finished():
                self._add(trial)

    def logged(self, number: int, run_id: int, record: ModelLogged) -> None:
        """Note a model; the files of the one it replaces are garbage."""
        if record.manifest is None:
            return
        fresh = {digest for digest, _ in record.files.values()}
        files = self._files.setdefault(number, {})
        self.garbage |= files.get(record.name, set()) - fresh
        files[record.name] = fresh

    def replaced(self, digests: Iterable[str | None]) -> None:
        """Note files that nothing refers to any more."""
        self.garbage |= {d for d in digests if d}

    def finished(self, finished: Finished, run_id: int) -> None:
        """Note a final state; the trial's models compete from now on."""
        if self._keeper is not None:
            self._add(_as_trial(finished, run_id))

    def _add(self, trial: Trial) -> None:
        if self._keeper is not None:
            model = trial.number in self._files
            self._keeper.add(trial, model)
            if model:
                self._run_ids[trial.number] = trial.run_id

    def tidy(self) -> None:
        """Drop the models that are beaten."""
        if self._keeper is None:
            return
        for number in self._keeper.beaten():
            run_id = self._run_ids.pop(number)
            for name, files in self._files.pop(number).items():
                self.garbage |= files
                self._scribe.write(ModelDropped(run_id, now_us(), "beaten by better trials", name))

    def take_garbage(self) -> set[str]:
        """Return the digests that may be deleted, and forget them."""
        garbage, self.garbage = self.garbage, set()
        return garbage


def _as_trial(finished: Finished, run_id: int) -> Trial:
    reports: dict[int, Any] = {} if finished.last_value is None else {0: finished.last_value}
    return Trial(
        finished.number,
        RunState(finished.state),
        values=finished.values,
        intermediate_values=reports,
        constraints=dict(finished.constraints),
        run_id=run_id,
    )
