"""Optuna and a store: trials as Optuna has them, and a storage for Optuna's own studies."""

from typing import TYPE_CHECKING, Any

from trackers.interop.optuna.values import (
    CONSTRAINT_PREFIX,
    from_distribution,
    to_direction,
    to_distribution,
    to_distributions,
    to_frozen_trial,
)

if TYPE_CHECKING:
    from trackers.interop.optuna.storage import OptunaStorage

__all__ = [
    "CONSTRAINT_PREFIX",
    "OptunaStorage",
    "from_distribution",
    "to_direction",
    "to_distribution",
    "to_distributions",
    "to_frozen_trial",
]


def __getattr__(name: str) -> Any:
    """Import the storage when it is asked for: who only converts values does without it."""
    if name == "OptunaStorage":
        from trackers.interop.optuna.storage import OptunaStorage

        return OptunaStorage
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
