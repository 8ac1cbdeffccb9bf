"""The port between a model folder and the library that made the model, and the closed set of those we know."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FunctionType
from typing import Any, Protocol

from trackers.errors import ModelError
from trackers.models.trust import Trust


class Flavor(Protocol):
    """One way to write a model to files and read it back.

    A flavour is chosen by the type of the model when it is saved, and by its name in the manifest when it is loaded:
    an artifact can name a flavour of this list and nothing else. Importing a flavour imports no heavy library.
    """

    name: str
    distributions: tuple[str, ...]
    """The packages without which its models cannot be loaded."""

    def accepts(self, model: object) -> bool:
        """Tell whether this flavour can save *model*."""
        ...

    def save(self, model: Any, folder: Path, trusted: Sequence[str] | None) -> dict[str, Any]:
        """Write the model's files into the empty *folder* and return what the manifest says about them (JSON)."""
        ...

    def load(self, folder: Path, details: Mapping[str, Any], trust: Trust) -> Any:
        """Read a model whose files were verified.

        Raises UntrustedError before anything runs that *trust* does not cover, ModelError when something it needs is
        missing.
        """
        ...

    def describe_input(self, model: Any) -> dict[str, Any] | None:
        """Return the input schema that the model itself knows (see ``trackers.models.schema``), if any."""
        ...


def flavors() -> tuple[Flavor, ...]:
    """Return every flavour, in the order in which a model is offered to them."""
    from trackers.models.python import PythonFlavor
    from trackers.models.sklearn import SklearnFlavor

    return PythonFlavor(), SklearnFlavor()


def choose_flavor(model: object, name: str | None = None) -> Flavor:
    """Return the flavour called *name*, or the first that accepts *model*."""
    if name is not None:
        return find_flavor(name)
    for flavor in flavors():
        if flavor.accepts(model):
            return flavor
    raise ModelError(
        f"no flavour can save a {full_name(type(model))}: save a scikit-learn estimator, or an instance of a class "
        "of yours with save(folder), a classmethod load(folder), and predict(X)."
    )


def find_flavor(name: str) -> Flavor:
    """Return the flavour called *name*."""
    known = {flavor.name: flavor for flavor in flavors()}
    if name not in known:
        raise ModelError(f"The flavour {name[:60]!r} is not known: use one of {', '.join(known)}, or a newer release.")
    return known[name]


def full_name(kind: type | FunctionType) -> str:
    """Return ``module.Class``."""
    return f"{kind.__module__}.{kind.__qualname__}"
