"""scikit-learn estimators and pipelines, in skops' format: no pickle, every type checked before it is made."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import FunctionType
from typing import Any

from trackers.errors import ModelError, UntrustedError
from trackers.models import nested
from trackers.models.archives import check_stored
from trackers.models.carried import carried_module
from trackers.models.flavor import Flavor, Saving, full_name, own_name
from trackers.models.local_code import check_local
from trackers.models.sklearn_input import attribute, misfit
from trackers.models.sklearn_types import KNOWN_TYPES
from trackers.models.source import bring, packages_of, source_of
from trackers.models.trust import Trust

FILE = "model.skops"


class SklearnFlavor(Flavor):
    """Everything that derives from scikit-learn's ``BaseEstimator``."""

    name = "sklearn"
    distributions: tuple[str, ...] = ("scikit-learn", "skops", "numpy", "scipy")

    def accepts(self, model: object) -> bool:
        base = sys.modules.get("sklearn.base")
        return base is not None and isinstance(model, base.BaseEstimator)

    def save(self, model: Any, folder: Path, how: Saving) -> dict[str, Any]:
        io, trusted = _skops(model), how.trusted
        with nested.written_apart(folder, how) as apart:
            io.dump(model, folder / FILE)
        asked = io.get_untrusted_types(file=folder / FILE)
        unknown = [name for name in asked if name not in KNOWN_TYPES | nested.TYPES - apart.left]
        _check_names(unknown)
        if trusted is not None and (refused := [name for name in unknown if name not in set(trusted)]):
            raise UntrustedError(
                f"The model holds types that a loader will not trust: {', '.join(refused)}; "
                f"if you do, add them: trusted={sorted({*trusted, *refused})}."
            )
        sources = {module: bring(file, folder) for module, file in _own_modules(unknown).items()}
        modules = {name.partition(".")[0] for name in unknown} - {"__main__", "builtins", *sources}
        packages = [*nested.packages(apart.details), *packages_of(modules)]
        # For people to read; a loader never takes it for permission.
        details = {"file": FILE, "unknown_types": unknown, "packages": packages, "sources": sources}
        details |= {"known_types": [name for name in asked if name in KNOWN_TYPES]}
        return details | {"nested": apart.details} if apart.details else details

    def sources(self, details: Mapping[str, Any]) -> Mapping[str, str]:
        sources: Mapping[str, str] = details.get("sources", {})
        return sources

    def load(self, folder: Path, details: Mapping[str, Any], trust: Trust) -> Any:
        def before(asked: Sequence[str]) -> None:
            modules = {name.rpartition(".")[0] for name in asked if name not in KNOWN_TYPES}
            check_local(folder, self.sources(details), trust, modules)
            for name in self.sources(details) if trust.everything else ():
                carried_module(name)

        return read_skops(folder / FILE, trust, before, details.get("nested", ()))

    def mlflow_flavors(self, model: Any, details: Mapping[str, Any]) -> dict[str, Any]:
        import sklearn

        if "nested" in details:  # MLflow knows nothing of what lies beside the file: our own loader serves it
            return {}
        stanza = {"pickled_model": FILE, "serialization_format": "skops", "sklearn_version": sklearn.__version__}
        # MLflow takes the file's word for what may be made; we give it our own list's and no more.
        return {"sklearn": stanza | {"skops_trusted_types": details["known_types"]}}

    def describe_input(self, model: Any) -> dict[str, Any] | None:
        names = attribute(model, "feature_names_in_")
        if names is not None:
            return {"kind": "frame", "columns": [{"name": str(name), "dtype": None} for name in names]}
        count = attribute(model, "n_features_in_")
        return None if count is None else {"kind": "array", "shape": [None, int(count)], "dtype": None}

    def misfit(self, model: Any, schema: Mapping[str, Any]) -> str | None:
        return misfit(model, schema)


def read_skops(
    path: Path,
    trust: Trust,
    before: Callable[[Sequence[str]], object] | None = None,
    apart: Sequence[Mapping[str, Any]] = (),
) -> Any:
    """Read a skops file whose every type is known or trusted; *before* is called with the types before its first import.

    *apart*: what lies beside it (see ``trackers.models.nested``).
    """
    from skops import io

    check_stored(path, "skops")
    asked = io.get_untrusted_types(file=path)
    known = KNOWN_TYPES | nested.TYPES if apart else KNOWN_TYPES
    if refused := [name for name in asked if name not in known and not trust.allows(name)]:
        raise UntrustedError(
            f"The model holds types that are not trusted: {', '.join(refused)}; if you trust them, load it with "
            f"trust={sorted({*refused, *trust.names})}."
        )
    if before is not None:
        before(asked)
    with nested.read_apart(path.parent, apart, asked, trust):
        model = io.load(path, trusted=asked)
    if not trust.everything:
        from trackers.models.sklearn_trees import check_trees

        check_trees(model)
    return model


def _check_names(names: Sequence[str]) -> None:
    """Raise ModelError for a function or a type that nobody could find again: skops keeps its name and no more."""
    for name in names:
        module, _, own = name.rpartition(".")
        if own == "<lambda>":
            place = "a file of its own and import it" if module == "__main__" else f"the file of {module}"
            raise ModelError(f"No loader can find {name} by its name: in place of the lambda write a def in {place}.")
        if module == "__main__":
            raise ModelError(
                f"{name} is defined in the script itself or in a notebook, where no loader finds it: move it into a "
                "file of its own and import it."
            )
        if own_name(module) != module and "." in own_name(module):
            raise ModelError(
                f"{own_name(name)} came in a package with a model that was loaded, where no other loader finds it: "
                "install that package, or import it from its folder, and fit the model anew."
            )
        if not _can_be_found(name):
            raise ModelError(
                f"No loader can find {name}, since nothing has that name there: define it with def or class at the "
                "top of a file, outside of any function or class."
            )


def _can_be_found(name: str) -> bool:
    """Tell whether *name* leads to something; not looked up is what names a module that was never imported."""
    parts = name.split(".")
    at = next((at for at in range(len(parts) - 1, 0, -1) if ".".join(parts[:at]) in sys.modules), None)
    found: Any = None if at is None else sys.modules[".".join(parts[:at])]
    for part in parts[at:] if at is not None else ():
        if not hasattr(found, part):
            return False
        found = getattr(found, part)
    return True


def _own_modules(names: Sequence[str]) -> dict[str, Path]:
    """Return the files of a study among the modules of these types: modules of one file that are not installed."""
    found = {}
    for name in names:
        module_name, _, kind_name = name.rpartition(".")
        kind = getattr(sys.modules.get(module_name), kind_name, None)
        source = source_of(kind) if isinstance(kind, type | FunctionType) else None
        if source is not None:
            found[module_name] = source
    return found


def _skops(model: Any) -> Any:
    try:
        from skops import io
    except ImportError as exc:
        raise ModelError(
            f"Saving a {full_name(type(model))} needs the package skops: pip install 'hpo[sklearn]'."
        ) from exc
    return io
