"""Content-addressed files of runs and models: on local disk or in an object store."""

from trackers.artifacts.names import check_name
from trackers.artifacts.store import ArtifactStore

__all__ = ["ArtifactStore", "check_name"]
