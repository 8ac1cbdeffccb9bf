"""A model that was loaded, with one way to predict whatever its kind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trackers.models.schema import conform


class LoadedModel:
    """A loaded model. *manifest* is its ``model.json``; *keep* is kept alive as long as the model is."""

    def __init__(self, model: Any, manifest: Mapping[str, Any], keep: object = None) -> None:
        self.manifest = manifest
        self._model, self._keep = model, keep

    @property
    def flavor(self) -> str:
        return str(self.manifest["flavor"])

    def predict(self, X: Any, **kwargs: Any) -> Any:  # noqa: N803 - the field's own name for it
        """Predict from an array, a DataFrame, an Arrow table or lists; *kwargs* go to the model's own ``predict``.

        Raises InvalidValueError when *X* does not fit what the model was made with.
        """
        return self._model.predict(conform(X, self.manifest.get("input")), **kwargs)

    def unwrap(self) -> Any:
        """Return the model itself: the estimator, or the instance of the user's class."""
        return self._model

    def __repr__(self) -> str:
        return f"LoadedModel({self.manifest['class']}, flavor={self.flavor!r})"
