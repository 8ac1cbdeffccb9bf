"""Put a model into the artifact store, from any process: no database is needed."""

from __future__ import annotations

import inspect
import os
import tempfile
from pathlib import Path
from typing import Any

from trackers.artifacts import ArtifactStore
from trackers.errors import ModelError
from trackers.models.folder import save
from trackers.models.loaded import LoadedModel
from trackers.models.taken import take
from trackers.wording import suggestion

_MLFLOW = {
    "artifact_path": ": give the name, as in log_model(model, 'model')",
    "registered_model_name": ": register what it returns, with store.registry.register(name, logged)",
    "code_paths": ": it is called code",
    "extra_pip_requirements": ": give all of them as pip_requirements",
}
"""What MLflow's ``log_model`` has besides, and what is done instead."""


def pack(model: Any, artifacts: ArtifactStore, **options: Any) -> tuple[dict[str, Any], dict[str, tuple[str, int]]]:
    """Save *model* and store its files; return its manifest and name -> (digest, size) of all of them.

    The files include ``model.json``. *options* are those of ``trackers.models.save``. A path is that of a model folder,
    ours or MLflow's, which is taken as it is, and so is that of a ``LoadedModel``. Raises ModelError when it cannot be
    saved, ArtifactError when it cannot be stored, TypeError for an option that there is not.
    """
    known = inspect.signature(save).parameters
    for name in options:
        if name not in known:
            hint = _MLFLOW.get(name) or suggestion(name, known) or f": there are {', '.join(list(known)[2:])}"
            raise TypeError(f"log_model has no argument {name}{hint}")
    if isinstance(model, str | os.PathLike | LoadedModel):
        if given := [name for name, value in options.items() if value is not None]:
            raise ModelError(f"A model folder is taken as it is: give {given[0]} where the model is saved.")
        return take(model, artifacts)
    with tempfile.TemporaryDirectory(prefix="trackers-model-") as temporary:
        folder = Path(temporary, "model")
        manifest = save(model, folder, **options)
        return manifest, artifacts.put_folder(folder)
