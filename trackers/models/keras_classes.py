"""The classes and functions that a Keras config names: Keras' own, those that run code, and those of the user."""

from __future__ import annotations

import importlib
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trackers.errors import ModelError, UntrustedError
from trackers.models.boosted import read_json
from trackers.models.trust import Trust

_RUNS_CODE = frozenset({"Lambda", "__lambda__", "TFSMLayer", "TorchModuleWrapper", "JaxLayer", "FlaxLayer"})
"""Classes of Keras' own whose config holds code, or the path of it."""


_FUNCTIONS = ("activations", "losses", "metrics", "initializers", "regularizers", "constraints")
"""Where Keras looks for a function of its own, which a config names without a module."""
_REGISTER = "@keras.saving.register_keras_serializable('mypkg')"


@dataclass(frozen=True, slots=True)
class Named:
    """A class or a function that a config names; *key* is what Keras looks it up by.

    Of a function a config says no more than its key: its module is ``builtins`` until somebody knows better.
    """

    module: str
    name: str
    key: str

    @property
    def full(self) -> str:
        return f"{self.module}.{self.name}" if self.module not in ("", "builtins") else self.key

    @property
    def is_own(self) -> bool:
        """Tell whether it is somebody's code, and not Keras' own."""
        keras = self.module in ("", "builtins", "keras") or self.module.startswith("keras.")
        return not keras or ">" in self.key


def check_classes(path: Path, homes: Mapping[str, str], trust: Trust) -> None:
    """Raise UntrustedError for the first class or function that is neither Keras' own nor trusted.

    *homes*: the full names of registered functions, for which a config has only what they are registered as.
    """
    for named in _names(path, homes):
        if named.name in _RUNS_CODE:
            raise UntrustedError(
                f"The model holds a {named.name}, which runs code of its file: if you trust it, trust=True."
            )
        if named.is_own and not trust.allows(named.full):
            raise UntrustedError(
                f"The model holds the class {named.full}: if you trust it, load it with trust=[{named.full!r}]."
            )


def own_objects(path: Path, homes: Mapping[str, str]) -> dict[str, Any]:
    """Import the user's classes and functions that a config names, and return them as Keras looks them up."""
    own = [named for named in _names(path, homes) if named.is_own and named.name not in _RUNS_CODE]
    # A function whose home nobody noted is found if it is registered in this process.
    return {named.key: _import(named) for named in own if named.module not in ("", "builtins")}


def own_homes(path: Path) -> dict[str, str]:
    """Return the full names of the user's classes and functions in a file that was just written, by their keys.

    Raises ModelError for one that no loader could find, with what to do about it.
    """
    found: dict[str, str] = {}
    for named in _names(path, {}):
        home = _home(named)
        if home is not None and found.setdefault(named.key, home) != home:
            raise ModelError(
                f"The model holds both {found[named.key]} and {home}, which Keras calls {named.key}: register each "
                f"under a package of its own with {_REGISTER}."
            )
    return found


def _home(named: Named) -> str | None:
    """Return the full name of what is the user's, None for what is Keras'."""
    # Keras leaves out that module; what it writes of arrays and the like has none, and a name such as __numpy__.
    module, name = named.module or ("" if named.name.startswith("__") else "__main__"), named.name
    if module == "builtins":
        made = _function(named)
        if made is None:
            return None
        module, name = made.__module__, made.__qualname__
    elif module != "__main__" and (not named.is_own or name in _RUNS_CODE):
        return None
    full = f"{module}.{name}"
    if module == "__main__":
        raise ModelError(
            f"{full} is defined in the script itself or in a notebook, where no loader finds it: move it into a file "
            "of its own and import it."
        )
    if getattr(importlib.import_module(module), name, None) is None:
        raise ModelError(f"{full} is not found by its name: define it at the top of its file.")
    return full


def _function(named: Named) -> Any:
    """Return the registered function of the user's that a config names, None for one of Keras' own."""
    import keras

    if ">" in named.key:
        return keras.saving.get_registered_object(named.key)
    if not any(hasattr(getattr(keras, home), named.key) for home in _FUNCTIONS):
        raise ModelError(
            f"The model uses the function {named.key}, of which its file has only the name: put {_REGISTER} above it, "
            "and build the model with that."
        )
    return None


def _import(named: Named) -> Any:
    try:
        return getattr(importlib.import_module(named.module), named.name)
    except ImportError as exc:
        raise ModelError(
            f"The model needs {named.module}, which cannot be imported here: install it, or put its file where Python "
            f"finds it. ({exc})"
        ) from exc
    except AttributeError as exc:
        raise ModelError(f"The model needs {named.full}, which is not in that module any more.") from exc


def _names(path: Path, homes: Mapping[str, str]) -> Iterator[Named]:
    with zipfile.ZipFile(path) as archive:
        if "config.json" not in archive.namelist():
            raise ModelError(f"{path.name} holds no config: it is damaged.")
        config = read_json(archive.read("config.json").decode("utf-8", "replace"))
    if isinstance(config, Mapping):
        config = {**config, "compile_config": None}  # the loss and the metrics, which are left out when it is loaded
    for value in _mappings(config):
        module, name, key = (str(value.get(field) or "") for field in ("module", "class_name", "registered_name"))
        if name == "function":  # its own name stands where a class has its arguments
            key = str(value.get("config") or "")
            module, _, name = homes.get(key, f"builtins.{key}").rpartition(".")
        yield Named(module, name, key or name)


def _mappings(config: Any) -> Iterator[Mapping[str, Any]]:
    """Yield every part of a config that makes something."""
    stack = [config]
    while stack:
        value = stack.pop()
        if isinstance(value, Mapping):
            if "class_name" in value:
                yield value
            stack += value.values()
        elif isinstance(value, list):
            stack += value
