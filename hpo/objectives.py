"""``@hpo.objective``: the mark that makes a function an objective, with its space, its goal and its settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar, overload

from hpo.errors import ObjectiveError
from hpo.settings import Settings
from hpo.space import Param, Space

Function = TypeVar("Function", bound=Callable[..., Any])
SPEC = "__hpo__"
"""The attribute of a marked function that holds its `ObjectiveSpec`."""


@dataclass(frozen=True, slots=True)
class ObjectiveSpec:
    """What the decorator said of an objective. *space* None means define-by-run."""

    name: str
    space: Space | None = None
    settings: Settings = field(default_factory=Settings)

    @property
    def directions(self) -> tuple[str, ...]:
        """``"minimize"`` or ``"maximize"``, one per objective."""
        return self.settings.directions

    @property
    def metrics(self) -> tuple[str, ...]:
        """What the results are called, one name per objective."""
        return self.settings.metrics


@overload
def objective(function: Function, /) -> Function: ...
@overload
def objective(
    *, space: Mapping[str, Param] | Space | None = None, **settings: Any
) -> Callable[[Function], Function]: ...
def objective(function: Any = None, /, *, space: Mapping[str, Param] | Space | None = None, **settings: Any) -> Any:
    """Mark a function as an objective, so that ``hpo run FILE`` finds it; the function itself stays as it is.

    *space* declares its params (None: it calls ``trial.suggest_*``); *settings* are any of `hpo.settings.SETTINGS`:
    ``direction`` or ``directions``, ``metric`` or ``metrics``, ``total_trials``, ``pruner``, ``workers``, ...
    Raises: SettingsError, SpaceError, ObjectiveError (what is marked cannot be called).

        @hpo.objective(space={"x": hpo.Float(-5, 5)}, direction="minimize", total_trials=50)
        def square(trial):
            return trial.params["x"] ** 2
    """
    chosen = Settings.of(settings, source="@hpo.objective").checked()
    declared = None if space is None else Space.of(space)

    def mark(marked: Any) -> Any:
        if not callable(marked):
            raise ObjectiveError(f"@hpo.objective marks a function, not {marked!r:.60}.")
        name = getattr(marked, "__name__", type(marked).__name__)
        setattr(marked, SPEC, ObjectiveSpec(name=name, space=declared, settings=chosen))
        return marked

    return mark if function is None else mark(function)


def spec_of(function: Callable[..., Any]) -> ObjectiveSpec:
    """Return what the decorator said of *function*, or an empty spec for a plain one."""
    spec = getattr(function, SPEC, None)
    if isinstance(spec, ObjectiveSpec):
        return spec
    return ObjectiveSpec(name=getattr(function, "__name__", type(function).__name__))
