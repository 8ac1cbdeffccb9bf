"""What every watcher shares: a function put in another's place, the run it logs to, and failures that stay here."""

from __future__ import annotations

import inspect
import os
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import wraps
from typing import Any
from weakref import WeakKeyDictionary, ref

from trackers.active import ActiveRun, active_run, reset_active, set_active
from trackers.capture.data import Data
from trackers.errors import InvalidValueError
from trackers.names import LONGEST

_LONGEST_VALUE = 500
_calls = threading.local()
_warned: set[str] = set()
_trained: WeakKeyDictionary[Any, _Trained] = WeakKeyDictionary()
_trained_lock = threading.Lock()


@dataclass(frozen=True, slots=True)
class Settings:
    """What is logged; see ``trackers.autolog``."""

    models: bool = False
    every: int = 1
    data: bool = True


class Patch:
    """``owner.name`` replaced by what *make* makes of it, until ``undo``."""

    def __init__(self, owner: Any, name: str, make: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
        self._owner, self._name = owner, name
        self._own = name in vars(owner)
        self._before = getattr(owner, name)
        self.after = wraps(self._before)(make(self._before))
        setattr(owner, name, self.after)

    def undo(self) -> None:
        """Put back what was there, unless somebody else has replaced it since."""
        if vars(self._owner).get(self._name) is not self.after:
            return
        if self._own:
            setattr(self._owner, self._name, self._before)
        else:
            delattr(self._owner, self._name)


@contextmanager
def outermost(name: str) -> Iterator[bool]:
    """Tell whether this is the outermost call that is watched in this thread: what it calls is part of it.

    An estimator of a library is a shell: the training inside, of the same *name*, counts as the outermost too.
    """
    stack: tuple[str, ...] = getattr(_calls, "stack", ())
    _calls.stack = (*stack, name)
    try:
        yield not stack or set(stack) == {f"{name} estimator"}
    finally:
        _calls.stack = stack


def watching() -> bool:
    """Tell whether a call that is watched goes on in this thread."""
    return bool(getattr(_calls, "stack", ()))


def estimators(module: Any, library: str, settings: Settings) -> list[Patch]:
    """Replace ``fit`` of the classes of *module*: one training each, whatever of scikit-learn they use inside."""

    def make(before: Callable[..., Any]) -> Callable[..., Any]:
        def fit(self: Any, *args: Any, **kwargs: Any) -> Any:
            with outermost(f"{library} estimator") as first:
                if not first:
                    return before(self, *args, **kwargs)
                with Training(library, type(self).__name__, self) as training:
                    training.log_data(settings, *features_and_target(args, kwargs))
                    try:
                        return before(self, *args, **kwargs)
                    finally:  # fit itself sets some: the objective, by the number of classes
                        with safely(library):
                            training.log_params({k: v for k, v in self.get_params(deep=False).items() if v is not None})

        return fit

    kinds = [kind for kind in vars(module).values() if isinstance(kind, type) and kind.__module__ == module.__name__]
    return [Patch(kind, "fit", make) for kind in kinds if callable(vars(kind).get("fit"))]


def features_and_target(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[Any, Any]:
    """Return ``X`` and ``y`` of a call of ``fit``, None for what is not given."""
    return (args[0] if args else kwargs.get("X")), (args[1] if len(args) > 1 else kwargs.get("y"))


def rounds_of(train: Callable[..., Any], *args: Any, **kwargs: Any) -> dict[str, Any]:
    """Return how many rounds a call of *train* asks for, as a param; nothing where its signature does not say."""
    try:
        bound = inspect.signature(train).bind(*args, **kwargs)
    except (TypeError, ValueError):  # the call itself will say what is wrong
        return {}
    bound.apply_defaults()
    rounds = bound.arguments.get("num_boost_round")
    return {} if rounds is None else {"num_boost_round": rounds}


def folds(library: str, split: Callable[[str], tuple[str, str]]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Watch a ``cv``: what it returns, a curve a name, is logged; *split* makes data and metric of the name."""

    def make(before: Callable[..., Any]) -> Callable[..., Any]:
        def cv(params: Any, data: Any, *args: Any, **kwargs: Any) -> Any:
            with outermost(library) as first:
                if not first:
                    return before(params, data, *args, **kwargs)
                with Training(library, f"{library} cv") as training:
                    training.log_params(dict(params or {}) | rounds_of(before, params, data, *args, **kwargs))
                    found = before(params, data, *args, **kwargs)
                    training.log(lambda run: _log_curves(run, found, split))
                    return found

        return cv

    return make


def _log_curves(run: Any, found: Any, split: Callable[[str], tuple[str, str]]) -> None:
    for name, values in dict(found).items():
        if isinstance(name, str) and hasattr(values, "__iter__"):
            data, metric = split(name)
            for step, value in enumerate(values):
                run.log_metric(metric, float(value), step, {"data": data} if data else None)


@contextmanager
def safely(library: str) -> Iterator[None]:
    """Keep what goes wrong in the watching from the training: it is warned about, once a library."""
    try:
        yield
    except Exception as exc:  # noqa: BLE001 - an hour's training is worth more than its log
        if library not in _warned:
            _warned.add(library)
            warnings.warn(f"autolog of {library} failed and goes on without: {type(exc).__name__}: {exc}", stacklevel=3)


class Training:
    """The run that one training logs to: the active one, else one of its own, which ends with it.

    A second model that is trained in the same run is told apart from the first, see ``Later``; *model* is the one,
    where there is one before it is trained: trained again it goes on. Everything it does is safe; where not even a run
    can be started, nothing is logged.
    """

    def __init__(self, library: str, name: str, model: Any = None) -> None:
        self.library = library
        self.run: Any = active_run()
        self._own: ActiveRun | None = None
        self._token: Any = None
        self._around: Training | None = getattr(_calls, "training", None)
        if self._around is not None:
            self.run = self._around.run  # the training inside an estimator is its own
        elif self.run is not None:
            with safely(library):
                number = _number_in(self.run, model)
                self.run = self.run if number == 1 else Later(self.run, number)
        else:
            with safely(library):
                from trackers.default import default_store

                self._own = self.run = default_store().start_run(name=name[:LONGEST])
                self._token = set_active(self._own)

    def __enter__(self) -> Training:
        _calls.training = self
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, trace: object) -> None:
        _calls.training = self._around
        if self._own is None:
            return
        reset_active(self._token)
        with safely(self.library):
            from trackers.states import RunState

            self._own.end() if exc is None else self._own.end(RunState.FAIL, exc)

    def log_data(self, settings: Settings, data: Any, target: Any = None) -> None:
        """Note what is trained on, before it is: *data*, with *target* where there is one, or its digest.

        Of several models that are trained in one run the first one's alone: those of a cross-validation are parts of it.
        """
        if not settings.data or data is None or self._around is not None or isinstance(self.run, Later):
            return

        def note(run: Any) -> None:
            if getattr(run, "ended", False):
                return
            with suppress(
                InvalidValueError, ValueError
            ):  # what has no digest, such as a generator, or rows of many lengths
                if isinstance(data, str | os.PathLike):  # the file has both
                    run.log_input(data)
                else:
                    run.log_input(
                        plain_data(data) if target is None else (plain_data(data), plain_data(target)), "train"
                    )

        self.log(note)

    def log(self, what: Callable[[Any], object]) -> None:
        """Call *what* with the run, safely."""
        if self.run is not None:
            with safely(self.library):
                what(self.run)

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Log params of a library, each once: what the run has already under the name stays."""
        for key, value in params.items():
            with safely(self.library):
                if self.run is not None:
                    _log_param(self.run, str(key), plain(value))


def plain_data(data: Any) -> Any:
    """Return a list as the array that the library makes of it: rows are told from parts, and it has a quick digest."""
    if not isinstance(data, list | tuple) or isinstance(data, Data):
        return data
    import numpy as np

    array = np.asarray(data)
    return array if array.dtype.kind in "biufc" else np.asarray(data, dtype=object)


def _log_param(run: Any, key: str, value: Any) -> bool:
    """Log a param unless the run has another value of it; tell whether it has not."""
    try:
        run.log_param(key, value)
    except InvalidValueError as exc:
        if "written once" not in str(exc):
            raise
        return False
    return True


class Later:
    """A run in which another model was trained before: the *number*-th, from 2 on.

    Its metrics have the context ``fit=2``; of its params those with other values than the run's have the prefix
    ``fit2.``, as its tags; its model is ``model-2``.
    """

    def __init__(self, run: Any, number: int) -> None:
        self._run, self._number = run, number

    def log_metric(self, key: str, value: float, step: int | None = None, context: Any = None) -> None:
        """Log a point of a series of its own."""
        self._run.log_metric(key, value, step, {**(context or {}), "fit": self._number})

    def log_param(self, key: str, value: Any) -> None:
        """Log a param where it differs from what the run has."""
        if not _log_param(self._run, key, value):
            self._run.log_param(f"fit{self._number}.{key}"[:LONGEST], value)

    def set_tags(self, tags: Mapping[str, Any]) -> None:
        """Set tags of its own."""
        self._run.set_tags({f"fit{self._number}.{key}"[:LONGEST]: value for key, value in tags.items()})

    def log_model(self, model: Any) -> None:
        """Log its model beside that of the first."""
        self._run.log_model(model, f"model-{self._number}")


@dataclass
class _Trained:
    """What was trained in a run: how many, and which number each model has that is still there."""

    count: int = 0
    numbers: dict[int, tuple[ref[Any], int]] = field(default_factory=dict)


def _number_in(run: Any, model: Any) -> int:
    """Return which model of the run this is, from 1 on."""
    with _trained_lock:
        trained = _trained.setdefault(run, _Trained())
        known = trained.numbers.get(id(model))
        if known is not None and known[0]() is model:
            return known[1]
        trained.count += 1
        with suppress(TypeError):  # what cannot be referred to weakly, None among it, is new each time
            trained.numbers[id(model)] = ref(model), trained.count
        return trained.count


def plain(value: Any) -> Any:
    """Return a param as it is kept: numbers, booleans and None as they are, anything else as short text."""
    if hasattr(value, "item") and getattr(value, "ndim", None) == 0:
        value = value.item()
    if value is None or isinstance(value, bool | int | float):
        return value
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= _LONGEST_VALUE else text[:_LONGEST_VALUE] + "..."
