"""A model that was loaded, with one way to predict whatever its kind."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from trackers.models.conform import conform
from trackers.models.flavor import Flavor
from trackers.models.signature import Signature


class LoadedModel:
    """A loaded model.

    *manifest* is its ``model.json``; *notes* are sentences about what differs from when it was saved, such as another
    version of its library. *name* and *version* are those in the registry of a model that was asked for there, whatever
    its alias points at since; *uid* is that of the logged model. All three are None for a folder. *folder* is where it
    was loaded from: of a model of a store a copy, which lives as long as this does.
    """

    name: str | None = None
    version: int | None = None
    uid: str | None = None

    def __init__(
        self,
        model: Any,
        manifest: Mapping[str, Any],
        flavor: Flavor,
        notes: Sequence[str] = (),
        folder: Path | None = None,
    ) -> None:
        self.manifest, self.notes = manifest, tuple(notes)
        self.folder = None if folder is None else Path(os.path.abspath(folder))
        self._model, self._flavor = model, flavor
        self._keep: object = None

    @property
    def flavor(self) -> str:
        """The kind of the model, such as ``"sklearn"``: which library saved it, and loads it."""
        return str(self.manifest["flavor"])

    @property
    def signature(self) -> Signature:
        """What the model takes and gives, as far as it was known when it was saved."""
        return Signature(self.manifest.get("input"), self.manifest.get("output"))

    def predict(self, X: Any, **kwargs: Any) -> Any:  # noqa: N803 - the field's own name for it
        """Predict from an array, a DataFrame, an Arrow table, lists or dicts; *kwargs* go to the model's own predict.

        Raises InvalidValueError when *X* does not fit what the model was made with.
        """
        return self._flavor.predict(self._model, conform(X, self.manifest.get("input")), **kwargs)

    def predict_proba(self, X: Any, **kwargs: Any) -> Any:  # noqa: N803
        """Return the probability of each class, (rows, classes), from what `predict` takes.

        Raises ModelError for a model that gives none, InvalidValueError as `predict` does.
        """
        return self._flavor.predict_proba(self._model, conform(X, self.manifest.get("input")), **kwargs)

    def unwrap(self) -> Any:
        """Return the model itself: the estimator, the booster, the module, or the instance of the user's class."""
        return self._model

    def came_from(self, keep: object, uid: str, name: str | None, version: int | None) -> LoadedModel:
        """Say which model it is, and keep *keep* alive as long as it is; return the same model (the loader's part)."""
        self._keep, self.uid, self.name, self.version = keep, uid, name, version
        return self

    def __repr__(self) -> str:
        called = "" if self.name is None else f", models:/{self.name}/{self.version}"
        return f"LoadedModel({self.manifest['class']}, flavor={self.flavor!r}{called})"
