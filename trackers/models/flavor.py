"""The port between a model folder and the library that made the model, and the closed set of those we know."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FunctionType
from typing import Any

from trackers.errors import ModelError
from trackers.models.schema import describe_fully, plain
from trackers.models.trust import Trust

APART_NAME = "trackers_model_code_"
"""So begin the names of packages that what models bring lies in; 32 digits of a digest follow."""
_APART = re.compile(rf"^{APART_NAME}[0-9a-f]{{32}}(\.|$)")


@dataclass(frozen=True, slots=True)
class Saving:
    """What the caller of a save says about how.

    *trusted*: the types that may be saved although a loader will not trust them (None: any). *factory*
    (``module:name``, or what that is) and *factory_kwargs* (JSON) make a PyTorch module anew, to be filled with what was saved.
    *example*: a few rows as ``predict`` takes them, for a flavour that tries what it saved.
    """

    trusted: Sequence[str] | None = None
    factory: str | Callable[..., Any] | None = None
    factory_kwargs: Mapping[str, Any] = field(default_factory=dict)
    example: Any = None


class Flavor:
    """One way to write a model to files and read it back.

    A flavour is chosen by the type of the model when it is saved, and by its name in the manifest when it is loaded:
    an artifact can name a flavour of this list and nothing else. Importing a flavour imports no heavy library.
    """

    name: str
    distributions: tuple[str, ...] = ()
    """The packages without which its models cannot be loaded."""

    lists_outputs = False
    """Whether a list that ``predict`` gives is one of several outputs, and not of rows."""

    def accepts(self, model: object) -> bool:
        """Tell whether this flavour can save *model*."""
        raise NotImplementedError

    def bare(self, model: Any) -> Any:
        """Return the model itself where *model* is no more than a wrapper, which compiles it or spreads its work."""
        return model

    def save(self, model: Any, folder: Path, how: Saving) -> dict[str, Any]:
        """Write the model's files into the empty *folder* and return what the manifest says about them (JSON).

        ``packages`` in it names packages that loading needs beside the flavour's own.
        """
        raise NotImplementedError

    def load(self, folder: Path, details: Mapping[str, Any], trust: Trust) -> Any:
        """Read a model whose files were verified.

        Raises UntrustedError before anything runs that *trust* does not cover, ModelError when something it needs is
        missing, or when the files are not what this flavour writes.
        """
        raise NotImplementedError

    def sources(self, details: Mapping[str, Any]) -> Mapping[str, str]:
        """Return the modules that a model with these *details* brings: the files in its folder, by the modules' names."""
        return {}

    def needs(self, details: Mapping[str, Any]) -> tuple[str, ...]:
        """Return the packages that loading a model with these *details* needs."""
        return self.distributions

    def describe_input(self, model: Any) -> dict[str, Any] | None:
        """Return the input schema that the model itself knows (see ``trackers.models.schema``), if any."""
        return None

    def misfit(self, model: Any, schema: Mapping[str, Any]) -> str | None:
        """Say why *model* must fail on input of this *schema*, as in "takes 2 columns, not 1"; None where it need not."""
        return None

    def categories(self, model: Any, columns: Sequence[str]) -> Mapping[str, Sequence[Any]]:
        """Return the categories that the model itself was made with, of those of these *columns* that it knows."""
        return {}

    def describe_rows(self, model: Any, rows: Any) -> dict[str, Any]:
        """Return the input schema that an example shows, where *model* itself does not know better.

        Of a column of categories that are those of the model, which an example need not have all.
        """
        schema = describe_fully(rows)
        columns = {str(column["name"]): column for column in schema.get("columns", ()) if column.get("categories")}
        try:
            known = self.categories(model, list(columns)) if columns else {}
        except Exception:  # noqa: BLE001 - another release of the library may not say: the example has to do
            known = {}
        for name, categories in known.items():
            columns[name]["categories"] = [plain(value) for value in categories]
        return schema

    def predict(self, model: Any, data: Any, **kwargs: Any) -> Any:
        """Predict from *data*, which has the form of the model's input schema."""
        return model.predict(data, **kwargs)

    def predict_proba(self, model: Any, data: Any, **kwargs: Any) -> Any:
        """Return the probability of each class (rows, classes), or raise ModelError where the model gives none."""
        if not hasattr(model, "predict_proba"):
            raise ModelError(f"A {full_name(type(model))} gives no probabilities: use predict.")
        return model.predict_proba(data, **kwargs)

    def mlflow_flavors(self, model: Any, details: Mapping[str, Any]) -> dict[str, Any]:
        """Return the flavours of MLflow's own that can read these files too, as ``MLmodel`` writes them."""
        return {}


def flavors() -> tuple[Flavor, ...]:
    """Return every flavour, in the order in which a model is offered to them."""
    from trackers.models.keras import KerasFlavor
    from trackers.models.lightgbm import LightGBMFlavor
    from trackers.models.onnx import OnnxFlavor
    from trackers.models.python import PythonFlavor
    from trackers.models.pytorch import PyTorchFlavor
    from trackers.models.sklearn import SklearnFlavor
    from trackers.models.xgboost import XGBoostFlavor

    # Keras before PyTorch, whose modules its models are with that backend; the boosters before scikit-learn likewise.
    native = (LightGBMFlavor(), XGBoostFlavor(), KerasFlavor(), PyTorchFlavor(), OnnxFlavor())
    return PythonFlavor(), *native, SklearnFlavor()


def choose_flavor(model: object, name: str | None = None) -> Flavor:
    """Return the flavour called *name*, or the first that accepts *model*."""
    if name is not None:
        return find_flavor(name)
    for flavor in flavors():
        if flavor.accepts(model):
            return flavor
    raise ModelError(
        f"no flavour can save a {full_name(type(model))}: save a scikit-learn estimator, a model of LightGBM, XGBoost, "
        "PyTorch, Keras or ONNX, or an instance of a class of yours with save(folder), a classmethod load(folder), and "
        "predict(X)."
    )


def find_flavor(name: str) -> Flavor:
    """Return the flavour called *name*."""
    known = {flavor.name: flavor for flavor in flavors()}
    if name not in known:
        raise ModelError(f"The flavour {name[:60]!r} is not known: use one of {', '.join(known)}, or a newer release.")
    return known[name]


def own_name(module: str) -> str:
    """Return a module's name as its own code has it, also where a model brought it and it runs apart here."""
    return _APART.sub("", module)


def full_name(kind: type | FunctionType) -> str:
    """Return ``module.Class``."""
    return f"{own_name(kind.__module__)}.{kind.__qualname__}"
