"""Put a model into the artifact store, from any process: no database is needed."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from trackers.artifacts import ArtifactStore
from trackers.models.folder import save


def pack(model: Any, artifacts: ArtifactStore, **options: Any) -> tuple[dict[str, Any], dict[str, tuple[str, int]]]:
    """Save *model* and store its files; return its manifest and name -> (digest, size) of all of them.

    The files include ``model.json``. *options* are those of ``trackers.models.save``. Raises ModelError when it cannot
    be saved, ArtifactError when it cannot be stored.
    """
    with tempfile.TemporaryDirectory(prefix="trackers-model-") as temporary:
        folder = Path(temporary, "model")
        manifest = save(model, folder, **options)
        return manifest, artifacts.put_folder(folder)
