"""Hyperparameter optimization with tracked trials.

>>> import hpo
>>> space = {"x": hpo.Float(-5.0, 5.0)}

Names load where they are first used: ``import hpo`` takes neither Ray nor Optuna along.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hpo.errors import HpoError, TrialPruned, UserError
    from hpo.objectives import objective
    from hpo.space import Categorical, Float, Int, Space
    from hpo.studies import create_study, delete_study, load_study
    from hpo.study import Study
    from hpo.trial import FixedTrial, Trial

__version__ = "0.1.0"

_HOMES = {
    "Categorical": "hpo.space",
    "FixedTrial": "hpo.trial",
    "Float": "hpo.space",
    "HpoError": "hpo.errors",
    "Int": "hpo.space",
    "Space": "hpo.space",
    "Study": "hpo.study",
    "Trial": "hpo.trial",
    "TrialPruned": "hpo.errors",
    "UserError": "hpo.errors",
    "create_study": "hpo.studies",
    "delete_study": "hpo.studies",
    "load_study": "hpo.studies",
    "objective": "hpo.objectives",
}

__all__ = [
    "Categorical",
    "FixedTrial",
    "Float",
    "HpoError",
    "Int",
    "Space",
    "Study",
    "Trial",
    "TrialPruned",
    "UserError",
    "__version__",
    "create_study",
    "delete_study",
    "load_study",
    "objective",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'hpo' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
