"""Models that are instances of a user's own class.

The class has ``save(folder)``, a classmethod ``load(folder)`` and ``predict(X)``. The manifest names it by import
path. A class of a single file that is not installed (a study file, a script) brings that file along. Loading imports
or runs the user's code either way, so that it always needs the caller's trust: the name of the class is enough for
one that can be imported here, ``trust=True`` is needed to run the file that came with the model.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from trackers.errors import ModelError, UntrustedError
from trackers.models.carried import carried_module
from trackers.models.flavor import Flavor, Saving, full_name, own_name
from trackers.models.local_code import check_local
from trackers.models.source import bring, check_script, imported_packages, needed_packages, source_of
from trackers.models.trust import Trust

DATA = "data"


class PythonFlavor(Flavor):
    """Instances of a class with ``save``, ``load`` and ``predict``."""

    name = "python"

    def accepts(self, model: object) -> bool:
        kind = type(model)
        methods = all(callable(getattr(kind, name, None)) for name in ("save", "load", "predict"))
        return methods and _is_bound_to_class(kind)

    def save(self, model: Any, folder: Path, how: Saving) -> dict[str, Any]:
        kind = type(model)
        if not self.accepts(model):
            raise ModelError(f"{full_name(kind)} needs save(folder), a classmethod load(folder), and predict(X).")
        if "<locals>" in kind.__qualname__:
            raise ModelError(f"{full_name(kind)} is defined inside a function: define it at the top of its file.")
        source = source_of(kind)
        check_script(kind, source)
        (folder / DATA).mkdir()
        model.save(str(folder / DATA))
        details: dict[str, Any] = {"module": own_name(kind.__module__), "name": kind.__qualname__, "source": None}
        details["packages"] = needed_packages(kind) if source is None else imported_packages(source)
        if source is not None:
            details["source"] = bring(source, folder)
        return details

    def sources(self, details: Mapping[str, Any]) -> Mapping[str, str]:
        return {str(details["module"]): str(details["source"])} if details["source"] else {}

    def load(self, folder: Path, details: Mapping[str, Any], trust: Trust) -> Any:
        name = f"{details['module']}.{details['name']}"
        if not trust.allows(name):
            raise UntrustedError(
                f"Loading this model runs the code of {name}: if you trust it, load it with "
                f"{'trust=True' if details['source'] else f'trust=[{name!r}]'}."
            )
        module = self._module(folder, details, trust, name)
        found: Any = module
        for part in str(details["name"]).split("."):
            found = getattr(found, part, None)
        if not isinstance(found, type) or not _is_bound_to_class(found):
            raise ModelError(f"{name} is not a class with a classmethod load(folder) any more: use its older version.")
        (folder / DATA).mkdir(exist_ok=True)
        load: Any = found.load  # type: ignore[attr-defined]
        return load(str(folder / DATA))

    def _module(self, folder: Path, details: Mapping[str, Any], trust: Trust, name: str) -> ModuleType:
        module_name = str(details["module"])
        if not trust.everything and module_name == "__main__":
            raise UntrustedError(f"{name} comes from a script, whose file must run to load it: use trust=True.")
        check_local(folder, self.sources(details), trust)
        try:
            return carried_module(module_name)
        except ImportError as exc:
            raise ModelError(
                f"The model needs {module_name}, which cannot be imported here: install it. ({exc})"
            ) from exc


def _is_bound_to_class(kind: type) -> bool:
    """Tell whether *kind* loads without an instance."""
    for base in kind.__mro__:
        if "load" in vars(base):
            return isinstance(vars(base)["load"], classmethod | staticmethod)
    return False
