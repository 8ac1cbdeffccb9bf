"""Models as folders: saved in a format of their kind, loaded without unpickling what nobody chose to trust."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trackers.models.download import download_model as download_model
    from trackers.models.folder import load as load
    from trackers.models.folder import save as save
    from trackers.models.loaded import LoadedModel as LoadedModel
    from trackers.models.packing import pack as pack
    from trackers.models.reference import load_model as load_model
    from trackers.models.signature import Signature as Signature

_HOMES = {
    "LoadedModel": "loaded",
    "Signature": "signature",
    "download_model": "download",
    "load": "folder",
    "load_model": "reference",
    "pack": "packing",
    "save": "folder",
}
__all__ = ["LoadedModel", "Signature", "download_model", "load", "load_model", "pack", "save"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
