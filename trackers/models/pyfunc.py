"""MLflow's way in: ``MLmodel`` of our folders names this module as their loader.

What is trusted is read from the environment of the process that loads, ``TRACKERS_TRUST``: ``1`` for everything, or
full names of types, divided by commas. MLflow's own argument for settings is not read: the model can set it.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from trackers.models.folder import load
from trackers.models.loaded import LoadedModel


def _load_pyfunc(path: str, model_config: Any = None) -> _PyfuncModel:
    """Load the model folder at *path* for ``mlflow.pyfunc.load_model``; *model_config* is of no effect."""
    text = os.environ.get("TRACKERS_TRUST", "")
    names = [name.strip() for name in text.split(",") if name.strip()]
    return _PyfuncModel(load(Path(path), trust=True if text == "1" else names))


class _PyfuncModel:
    def __init__(self, model: LoadedModel) -> None:
        self._model = model

    def predict(self, model_input: Any) -> Any:
        return self._model.predict(model_input)

    def unwrap_python_model(self) -> Any:
        return self._model.unwrap()
