"""Pruners by name."""

from __future__ import annotations

import ast
import inspect
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hpo.errors import SettingsError
from hpo.sampling.asha import AshaPruner
from hpo.sampling.halving import SuccessiveHalvingPruner
from hpo.sampling.hyperband import HyperbandPruner
from hpo.sampling.median import MedianPruner
from hpo.sampling.patient import PatientPruner
from hpo.sampling.percentile import PercentilePruner
from hpo.sampling.pruner import CurvePruner, NeverPruner, Pruner
from hpo.sampling.threshold import ThresholdPruner
from hpo.wording import shown, suggestion
from trackers.wording import counted

if TYPE_CHECKING:
    from hpo.sampling.optuna_pruner import OptunaPruner

FEW_TRIALS = 10
"""Under so many trials ``"auto"`` lets every one run to its end: there is too little to compare with."""


@dataclass(frozen=True, slots=True)
class Order:
    """What a pruner is made for."""

    directions: tuple[str, ...]
    total_trials: int | None
    study_name: str

    @property
    def maximize(self) -> bool:
        return self.directions[0] == "maximize"


def make_pruner(
    spec: Any,
    *,
    directions: Sequence[str] = ("minimize",),
    total_trials: int | None = None,
    study_name: str = "",
) -> Pruner:
    """Return the pruner that *spec* names.

    *spec* is one of ``PRUNERS`` or ``"auto"``, alone or with arguments (``"median(n_startup_trials=3)"``, or a mapping
    ``{"name": "median", "n_startup_trials": 3}``), one of Optuna's pruners, a ``BasePruner`` of the user's own, or a
    ``Pruner``; None is ``"none"``. Optuna's own pruners are taken over by ours, which decide the same in less time.
    *study_name* is what ``hyperband`` draws its brackets by.

    Raises: SettingsError for an unknown name (the known ones are listed), for arguments that are unknown or out of
    range, and for a named pruner where the study has several objectives.
    """
    order = Order(tuple(directions), total_trials, study_name)
    if isinstance(spec, Pruner):
        return spec
    if isinstance(spec, str | Mapping) or spec is None:
        name, args = _read(spec)
        return _make(name, args, order)
    return _given(spec, order)


def _make(name: str, args: Mapping[str, Any], order: Order) -> Pruner:
    known = sorted([*PRUNERS, "auto"])
    if name not in known:
        raise SettingsError(
            f"there is no pruner {shown(name)!r}{suggestion(name, known)}; the pruners are {', '.join(known)}"
        )
    build = _auto if name == "auto" else PRUNERS[name]
    if name not in ("auto", "none"):
        _check_one_objective(f"the {name} pruner", order)
    accepted = list(inspect.signature(build).parameters)[1:]
    for argument in args:
        if argument not in accepted:
            takes = f"it takes {', '.join(accepted)}" if accepted else "it takes no arguments"
            raise SettingsError(
                f"the {name} pruner has no argument {argument!r}{suggestion(argument, accepted)}; {takes}"
            )
    try:
        return build(order, **args)
    except (TypeError, ValueError) as error:
        if isinstance(error, SettingsError):
            raise
        given = ", ".join(f"{key}={shown(value)}" for key, value in args.items())
        raise SettingsError(f"the {name} pruner cannot work with {given}: {error}") from error


def _check_one_objective(what: str, order: Order) -> None:
    if len(order.directions) > 1:
        raise SettingsError(
            f'{what} compares one value, and the study has {len(order.directions)} objectives: use pruner="none"'
        )


# -- reading a spec ----------------------------------------------------------------------------------------------------


def _read(spec: str | Mapping[str, Any] | None) -> tuple[str, dict[str, Any]]:
    """Return the name and the arguments that *spec* gives."""
    if spec is None:
        return "none", {}
    if isinstance(spec, Mapping):
        args = dict(spec)
        name = args.pop("name", None)
        if not isinstance(name, str):
            raise SettingsError(f'the pruner {shown(dict(spec))} has no name: write {{"name": "median", ...}}')
        return _plain(name), args
    text = spec.strip()
    if "(" not in text:
        return _plain(text), {}
    try:
        call = ast.parse(text, mode="eval").body
    except SyntaxError:
        call = None
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name) or len(call.args) > 1:
        raise _unreadable(spec)
    args = {keyword.arg or "**": _literal(keyword.value, spec) for keyword in call.keywords}
    name = _plain(call.func.id)
    if call.args:
        args[FIRST_ARGUMENT.get(name, "")] = _literal(call.args[0], spec)
    if "" in args or "**" in args:
        raise _unreadable(spec)
    return name, args


def _plain(name: str) -> str:
    return name.strip().lower().replace("-", "_")


def _literal(node: ast.expr, spec: str) -> Any:
    """Return the value of an argument: a literal, or the name of a pruner, with arguments or without."""
    if isinstance(node, ast.Name | ast.Call):
        return ast.unparse(node)
    try:
        return ast.literal_eval(node)
    except ValueError:
        raise _unreadable(spec) from None


def _unreadable(spec: str) -> SettingsError:
    return SettingsError(f'the pruner {shown(spec)} cannot be read: write it like "median(n_startup_trials=3)"')


# -- the pruners by name -----------------------------------------------------------------------------------------------


def _auto(order: Order) -> Pruner:
    if len(order.directions) > 1:
        return NeverPruner(
            f"auto chose no pruner: values of {len(order.directions)} objectives cannot be compared early"
        )
    if order.total_trials is not None and order.total_trials < FEW_TRIALS:
        return NeverPruner(
            f"auto chose no pruner: {counted(order.total_trials, 'trial')} {'is' if order.total_trials == 1 else 'are'} too few to compare"
        )
    budget = "no fixed number of trials" if order.total_trials is None else counted(order.total_trials, "trial")
    return AshaPruner(
        maximize=order.maximize,
        note=f"auto chose asha: one objective and {budget}; it stops trials only if they report values on the way",
    )


def _none(order: Order) -> Pruner:
    return NeverPruner()


def _median(
    order: Order, n_startup_trials: int = 5, n_warmup_steps: int = 0, interval_steps: int = 1, n_min_trials: int = 1
) -> Pruner:
    return MedianPruner(
        n_startup_trials, n_warmup_steps, interval_steps, n_min_trials=n_min_trials, maximize=order.maximize
    )


def _percentile(
    order: Order,
    percentile: float = 25.0,
    n_startup_trials: int = 5,
    n_warmup_steps: int = 0,
    interval_steps: int = 1,
    n_min_trials: int = 1,
) -> Pruner:
    return PercentilePruner(
        percentile, n_startup_trials, n_warmup_steps, interval_steps, n_min_trials=n_min_trials, maximize=order.maximize
    )


def _successive_halving(
    order: Order,
    min_resource: int | str = "auto",
    reduction_factor: int = 4,
    min_early_stopping_rate: int = 0,
    bootstrap_count: int = 0,
) -> Pruner:
    return SuccessiveHalvingPruner(
        min_resource, reduction_factor, min_early_stopping_rate, bootstrap_count, maximize=order.maximize
    )


def _hyperband(
    order: Order,
    min_resource: int = 1,
    max_resource: int | str = "auto",
    reduction_factor: int = 3,
    bootstrap_count: int = 0,
) -> Pruner:
    return HyperbandPruner(
        min_resource,
        max_resource,
        reduction_factor,
        bootstrap_count,
        study_name=order.study_name,
        maximize=order.maximize,
    )


def _threshold(
    order: Order,
    lower: float | None = None,
    upper: float | None = None,
    n_warmup_steps: int = 0,
    interval_steps: int = 1,
) -> Pruner:
    return ThresholdPruner(lower, upper, n_warmup_steps, interval_steps, maximize=order.maximize)


def _patient(order: Order, wrapped_pruner: Any = None, patience: int = 5, min_delta: float = 0.0) -> Pruner:
    if wrapped_pruner is None:
        return PatientPruner(None, patience, min_delta, maximize=order.maximize)
    inner = make_pruner(
        wrapped_pruner, directions=order.directions, total_trials=order.total_trials, study_name=order.study_name
    )
    if isinstance(inner, CurvePruner | PatientPruner | NeverPruner):
        return PatientPruner(inner, patience, min_delta, maximize=order.maximize)
    from hpo.sampling.optuna_pruner import OptunaPruner, patient

    if not isinstance(inner, OptunaPruner):
        raise SettingsError(f"the patient pruner cannot wrap {inner.name}: give it a pruner's name, or one of Optuna's")
    return _adapted(lambda: patient(inner, patience, min_delta), order, "patient")


def _wilcoxon(order: Order, p_threshold: float = 0.1, n_startup_steps: int = 2) -> Pruner:
    if "scipy" not in sys.modules:
        from importlib.util import find_spec

        if find_spec("scipy") is None:
            raise SettingsError("the wilcoxon pruner needs scipy: `pip install scipy`, or use median")
    from hpo.sampling.optuna_pruner import wilcoxon

    return _adapted(lambda: wilcoxon(p_threshold, n_startup_steps), order, "wilcoxon")


def _asha(
    order: Order,
    min_resource: int | str = "auto",
    reduction_factor: int = 4,
    n_startup_trials: int = 4,
    max_resource: int | None = None,
) -> Pruner:
    return AshaPruner(min_resource, reduction_factor, n_startup_trials, max_resource, maximize=order.maximize)


PRUNERS: dict[str, Callable[..., Pruner]] = {
    "none": _none,
    "median": _median,
    "percentile": _percentile,
    "successive_halving": _successive_halving,
    "hyperband": _hyperband,
    "threshold": _threshold,
    "patient": _patient,
    "wilcoxon": _wilcoxon,
    "asha": _asha,
}
"""The pruners by name; ``"auto"`` chooses among them."""

FIRST_ARGUMENT = {"percentile": "percentile", "patient": "wrapped_pruner", "median": "n_startup_trials"}
"""The argument that may be given without its name."""


# -- Optuna's objects --------------------------------------------------------------------------------------------------


def _given(spec: Any, order: Order) -> Pruner:
    """Take over or wrap an Optuna pruner that the user made."""
    # nobody has one of Optuna's pruners without having imported Optuna
    optuna = sys.modules.get("optuna")
    if optuna is None or not isinstance(spec, optuna.pruners.BasePruner):
        raise SettingsError(f"pruner={shown(spec)} is neither a pruner's name nor one of Optuna's pruners")
    taken = _taken_over(spec)
    if taken is not None:
        return _make(*taken, order)
    _check_one_objective(f"pruner {type(spec).__name__}", order)
    return _adapted(lambda: spec, order)


def _taken_over(pruner: Any) -> tuple[str, dict[str, Any]] | None:
    """Return the name and the arguments of our pruner that decides as *pruner* does; None if there is none."""
    name = _OPTUNA_NAMES.get(type(pruner).__name__)
    state = vars(pruner)
    if name is None or not type(pruner).__module__.startswith("optuna.pruners.") or state.get("_pruners"):
        return None
    arguments = list(inspect.signature(PRUNERS[name]).parameters)[1:]
    if any(f"_{argument}" not in state for argument in arguments):
        return None
    args = {argument: state[f"_{argument}"] for argument in arguments}
    if args.get("min_resource", 1) is None:
        args["min_resource"] = "auto"
    return name, args


_OPTUNA_NAMES = {
    "NopPruner": "none",
    "MedianPruner": "median",
    "PercentilePruner": "percentile",
    "SuccessiveHalvingPruner": "successive_halving",
    "HyperbandPruner": "hyperband",
    "ThresholdPruner": "threshold",
    "PatientPruner": "patient",
}


def _adapted(make: Callable[[], Any], order: Order, name: str = "") -> OptunaPruner:
    import optuna

    from hpo.sampling.optuna_pruner import OptunaPruner

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        pruner = make()
    return OptunaPruner(pruner, directions=order.directions, study_name=order.study_name or "study", name=name)
