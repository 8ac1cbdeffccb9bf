"""Studies of an Optuna storage, copied into a store: every trial with everything it has, once."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import optuna
from optuna.storages import BaseStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

from trackers.errors import AlreadyExistsError, InvalidValueError, NotFoundError, StoreError
from trackers.interop.names import fit
from trackers.interop.optuna.storage import OptunaStorage
from trackers.interop.source import check_source
from trackers.names import clean_metric, clean_title
from trackers.wording import without_password

if TYPE_CHECKING:
    from trackers.store import Store

_NO_URL = {"ArgumentError", "NoSuchModuleError"}
"""What SQLAlchemy, inside Optuna, says of a text that is no URL it knows."""

ORIGIN = "imported:from"
"""The system attribute of a study that was imported: where from, under which name and id."""


@dataclass(frozen=True, slots=True)
class ImportedStudy:
    """What came of one study: trials there, *added* now, *finished* now (they were open at the last import).

    *name* is that of the study here, *theirs* its name in the source, of which it differs where that is refused here.
    *differing* has the numbers of trials that are not the same on both sides afterwards, *renamed* the names of
    attributes that are refused here, and so are kept under others.
    """

    name: str
    there: int
    added: int
    finished: int
    differing: tuple[int, ...] = field(default=())
    theirs: str = ""
    renamed: tuple[str, ...] = ()


def import_optuna(
    store: Store,
    source: str | BaseStorage,
    *,
    studies: tuple[str, ...] = (),
    on_study: Callable[[ImportedStudy], None] | None = None,
) -> list[ImportedStudy]:
    """Copy the studies of *source* (a URL or path for Optuna, or a storage) into *store*; all, or those named.

    They become shared studies of the same names (or, where one is refused here, of one like it). Again, it adds what is
    new since: trials that came later, and the end of those that were open. Every trial is read back and compared.

    Raises NotFoundError for a study that is not there, AlreadyExistsError where the store has another study of that
    name, InvalidValueError for a URL that is none, StoreError where the source cannot be read.
    """
    with _quiet():
        theirs = _open(source)
        ours = OptunaStorage(store)
        place = _place(source)
        found = {study.study_name: study for study in theirs.get_all_studies()}
        missing = [name for name in studies if name not in found]
        if missing:
            listed = ", ".join(sorted(found)[:5]) or "no study"
            raise NotFoundError(f"there is no study {missing[0]!r} in {place}: it has {listed}")
        results = []
        for name in studies or found:
            result = _Import(ours, theirs, place, found[name]).run()
            results.append(result)
            if on_study is not None:
                on_study(result)
        store.intake.finish()
        return results


class _Import:
    def __init__(self, ours: OptunaStorage, theirs: BaseStorage, place: str, study: Any) -> None:
        self._ours, self._theirs, self._study = ours, theirs, study
        self._renamed: set[str] = set()
        self._origin = {"place": place, "study": study.study_name, "id": study._study_id}
        self._name = study.study_name and fit(study.study_name, "study", lambda name: clean_title(name, "study"))

    def run(self) -> ImportedStudy:
        study_id = self._meet()
        theirs = self._theirs.get_all_trials(self._study._study_id, deepcopy=False)
        trials = [self._whole(trial) for trial in theirs]
        known = {trial.number: trial for trial in self._ours.get_all_trials(study_id, deepcopy=False)}
        new = [trial for trial in trials if trial.number not in known]
        self._ours.add_trials(study_id, new)
        finished = 0
        for trial in trials:
            ours = known.get(trial.number)
            if ours is not None and not ours.state.is_finished() and ours.state != trial.state:
                self._catch_up(ours, trial)
                finished += 1
        now = self._ours.get_all_trials(study_id, deepcopy=False)
        differing = tuple(a.number for a, b in zip(trials, now, strict=False) if _content(a) != _content(b))
        self._attributes(study_id)
        renamed = tuple(sorted(self._renamed))
        return ImportedStudy(self._name, len(now), len(new), finished, differing, self._study.study_name, renamed)

    def _whole(self, trial: FrozenTrial) -> FrozenTrial:
        """Return *trial* with the times that its state needs, which some storages have lost, and names that we take."""
        new = copy.copy(trial)
        if trial.state is not TrialState.WAITING and trial.datetime_start is None:
            new.datetime_start = trial.datetime_complete
        new.user_attrs, new.system_attrs = self._fitted(trial.user_attrs), self._fitted(trial.system_attrs)
        return new

    def _fitted(self, attrs: Mapping[str, Any]) -> dict[str, Any]:
        """Return attributes under names that we take, and note those that had others."""
        fitted = {name: fit(name, "attribute") for name in attrs}
        self._renamed |= {name for name, ours in fitted.items() if name != ours}
        return {fitted[name]: value for name, value in attrs.items()}

    def _meet(self) -> int:
        """Return our study, made where it is new."""
        name = self._name
        try:
            study_id = self._ours.get_study_id_from_name(name)
        except KeyError:
            study_id = self._ours.create_new_study(self._study.directions, name)
            names = self._study.system_attrs.get("study:metric_names")
            if names:
                taken = [fit(name, "metric", clean_metric) for name in names]
                self._ours.set_study_system_attr(study_id, "study:metric_names", taken)
            self._ours.set_study_system_attr(study_id, ORIGIN, self._origin)
            return study_id
        if self._ours.get_study_system_attrs(study_id).get(ORIGIN) != self._origin:
            raise AlreadyExistsError(
                f"this store has a study {name!r} that was not imported from {self._origin['place']}: delete or "
                "rename one of the two"
            )
        return study_id

    def _attributes(self, study_id: int) -> None:
        """Bring the attributes of the study, those that change with its trials too."""
        ours = self._ours
        have = ours.get_study_user_attrs(study_id)
        for key, value in self._fitted(self._study.user_attrs).items():
            if key not in have or have[key] != value:
                ours.set_study_user_attr(study_id, key, value)
        have = ours.get_study_system_attrs(study_id)
        for key, value in self._fitted(self._study.system_attrs).items():
            if key not in have or have[key] != value:
                ours.set_study_system_attr(study_id, key, value)

    def _catch_up(self, ours: FrozenTrial, theirs: FrozenTrial) -> None:
        """Write what became of a trial that was open at the last import."""
        trial_id = ours._trial_id
        if ours.state is TrialState.WAITING:
            self._ours.set_trial_state_values(trial_id, TrialState.RUNNING)
        for name, distribution in theirs.distributions.items():
            if name not in ours.params:
                value = distribution.to_internal_repr(theirs.params[name])
                self._ours.set_trial_param(trial_id, name, value, distribution)
        for step, value in theirs.intermediate_values.items():
            if step not in ours.intermediate_values:
                self._ours.set_trial_intermediate_value(trial_id, step, value)
        for key, item in theirs.user_attrs.items():
            self._ours.set_trial_user_attr(trial_id, key, item)
        for key, item in theirs.system_attrs.items():
            self._ours.set_trial_system_attr(trial_id, key, item)
        if theirs.state.is_finished():
            self._ours.set_trial_state_values(trial_id, theirs.state, theirs.values)


def _content(trial: FrozenTrial) -> str:
    """Return what must be the same on both sides; ``repr`` makes a NaN equal to itself."""
    parts = (trial.params, trial.distributions, trial.user_attrs, trial.system_attrs, trial.intermediate_values)
    return repr((trial.state, trial.values, *(sorted(part.items(), key=lambda item: str(item[0])) for part in parts)))


def _open(source: str | BaseStorage) -> BaseStorage:
    if isinstance(source, BaseStorage):
        return source
    if "://" not in source:
        return _open_file(source)
    check_source(source, "Optuna", without_password(source))
    try:
        return optuna.storages.RDBStorage(source)
    except Exception as exc:
        if isinstance(exc, ImportError) or type(exc).__name__ in _NO_URL:
            raise InvalidValueError(f"{without_password(source)} is no URL of an Optuna storage: {exc}") from exc
        raise StoreError(
            f"the Optuna storage {without_password(source)} cannot be read: {str(exc).splitlines()[0]}"
        ) from exc


def _open_file(path: str) -> BaseStorage:
    """Open a SQLite file or a journal by its path."""
    if _kind_of(path) == "sqlite":
        return _open(f"sqlite:///{path}")
    return optuna.storages.JournalStorage(JournalFileBackend(path))


def _kind_of(path: str) -> str:
    """Tell whether a file is SQLite's (``sqlite``) or a journal of Optuna's (``journal``)."""
    try:
        with open(path, "rb") as file:
            head = file.read(16)
    except OSError as exc:
        raise NotFoundError(f"{path}: {exc.strerror}: give the URL or the file of an Optuna storage") from exc
    if head.startswith(b"SQLite format 3"):
        return "sqlite"
    if head.lstrip().startswith(b"{"):
        return "journal"
    raise InvalidValueError(f"{path} is neither a SQLite file nor a journal of Optuna")


def _place(source: str | BaseStorage) -> str:
    if isinstance(source, BaseStorage):
        return type(source).__name__
    scheme, separator, path = source.partition(":///")
    if not separator and "://" not in source:  # the same file by its path and by its URL is one place
        scheme, path = _kind_of(source), source
    elif scheme.partition("+")[0] != "sqlite":
        return without_password(source)
    return f"{scheme.partition('+')[0]}:///{os.path.abspath(path)}"


class _quiet:  # noqa: N801 - it is used as a word
    """Keep Optuna's own lines off the terminal inside the block."""

    def __enter__(self) -> None:
        self._before = optuna.logging.get_verbosity()
        optuna.logging.set_verbosity(optuna.logging.ERROR)

    def __exit__(self, *exc_info: object) -> None:
        optuna.logging.set_verbosity(self._before)
