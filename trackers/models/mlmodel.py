"""``MLmodel``: what makes a model folder one of MLflow's too, written and read."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trackers.errors import DigestError, ModelError
from trackers.models.requirements import CONDA, PYTHON_ENV

NAME = "MLmodel"
LOADER = "trackers.models.pyfunc"
_MAX_BYTES = 4 << 20
_TO_MLFLOW = {
    "bool": "boolean",
    "int8": "integer",
    "int16": "integer",
    "int32": "integer",
    "int64": "long",
    "uint8": "integer",
    "uint16": "integer",
    "uint32": "long",
    "float16": "float",
    "float32": "float",
    "float64": "double",
    "object": "string",
    "str": "string",
    "string": "string",
}
_FROM_MLFLOW = {
    "boolean": "bool",
    "integer": "int32",
    "long": "int64",
    "float": "float32",
    "double": "float64",
    "string": "str",
    "datetime": "datetime64[ns]",
}


def write_mlmodel(folder: Path, native: Mapping[str, Any], manifest: Mapping[str, Any]) -> None:
    """Write ``MLmodel`` into *folder*: our own loader, and the *native* flavours of MLflow that can read the files."""
    import yaml

    python = {"virtualenv": PYTHON_ENV, "conda": CONDA}
    content: dict[str, Any] = {
        "flavors": {
            "python_function": {
                "loader_module": LOADER,
                "python_version": platform.python_version(),
                "env": python,
            },
            **native,
        },
        "metadata": {"trackers": {"flavor": manifest["flavor"], "class": manifest["class"]}},
        # Neither a time nor an id: the file is the same for models that differ in their weights alone, and kept once.
    }
    signature = {"inputs": _to_specs(manifest.get("input")), "outputs": _to_specs(manifest.get("output"))}
    if signature["inputs"] is not None:
        written = {key: None if specs is None else json.dumps(specs) for key, specs in signature.items()}
        content["signature"] = written | {"params": None}
        example = folder / "input_example.json"
        if (manifest["input"] or {}).get("kind") == "frame" and example.exists():
            info = {"artifact_path": example.name, "type": "dataframe", "pandas_orient": "split"}
            content["saved_input_example_info"] = info
    (folder / NAME).write_text(yaml.safe_dump(content, sort_keys=False, allow_unicode=True), encoding="utf-8")


def _to_specs(schema: Mapping[str, Any] | None) -> list[dict[str, Any]] | None:
    """Return a schema as MLflow writes it, None where it has no words for it."""
    kind = (schema or {}).get("kind")
    if schema is None or kind not in ("array", "frame", "tensors"):
        return None
    if kind == "frame":
        columns = [_to_column(column) for column in schema["columns"]]
        return None if None in columns else [column for column in columns if column is not None]
    tensors = [schema] if kind == "array" else schema["tensors"]
    if any(not tensor.get("dtype") or tensor["dtype"] not in _TO_MLFLOW for tensor in tensors):
        return None
    return [
        {
            **({"name": tensor["name"]} if "name" in tensor else {}),
            "type": "tensor",
            "tensor-spec": {"dtype": tensor["dtype"], "shape": [-1 if n is None else n for n in tensor["shape"]]},
        }
        for tensor in tensors
    ]


def _to_column(column: Mapping[str, Any]) -> dict[str, Any] | None:
    dtype = str(column.get("dtype"))
    kind = "datetime" if dtype.startswith("datetime64") else _TO_MLFLOW.get(dtype)
    return None if kind is None else {"type": kind, "name": column["name"], "required": True}


def read_mlmodel(folder: Path) -> dict[str, Any]:
    """Read ``MLmodel``; a link, one that is too large, and one with YAML's aliases (which grow) are refused."""
    import yaml

    path = folder / NAME
    try:
        if path.is_symlink() or path.stat().st_size > _MAX_BYTES:
            raise ModelError(f"{path} is a link or far too large: the model folder is refused.")
        text = path.read_text(encoding="utf-8")
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, Loader=yaml.SafeLoader)):
            raise ModelError(f"{path} refers from one place of it to another, which MLflow never writes.")
        content = yaml.safe_load(text)
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as exc:
        raise ModelError(f"{path} cannot be read as YAML: the model folder is damaged.") from exc
    flavors = content.get("flavors") if isinstance(content, dict) else None
    if not isinstance(flavors, dict) or not all(isinstance(value, dict) for value in flavors.values()):
        raise ModelError(f"{path} names no flavours: it is not MLflow's.")
    return dict(content)


def refuse_ours(folder: Path, content: Mapping[str, Any]) -> None:
    """Raise DigestError for a folder that is ours by its ``MLmodel`` and has no manifest that could be verified."""
    if content["flavors"].get("python_function", {}).get("loader_module") == LOADER:
        raise DigestError(f"The model folder {folder} lacks its model.json, or it is damaged: fetch the model again.")


def read_signature(content: Mapping[str, Any]) -> dict[str, dict[str, Any] | None]:
    """Return the input and output of a signature of MLflow's as our schemas; None where we have no words for it."""
    signature = content.get("signature")
    found: dict[str, dict[str, Any] | None] = {"input": None, "output": None}
    if isinstance(signature, dict):
        for ours, theirs in (("input", "inputs"), ("output", "outputs")):
            try:
                found[ours] = _from_specs(json.loads(signature.get(theirs) or "null"))
            except (AttributeError, KeyError, TypeError, ValueError, RecursionError):
                found[ours] = None
    return found


def _from_specs(specs: Any) -> dict[str, Any] | None:
    if not isinstance(specs, list) or not specs:
        return None
    if all(spec["type"] == "tensor" for spec in specs):
        tensors = [
            {
                "name": str(spec.get("name", "")),
                "dtype": str(spec["tensor-spec"]["dtype"]),
                "shape": [None, *(None if n < 0 else int(n) for n in spec["tensor-spec"]["shape"][1:])],
            }
            for spec in specs
        ]
        if len(tensors) == 1 and not tensors[0]["name"]:
            return {"kind": "array", "shape": tensors[0]["shape"], "dtype": tensors[0]["dtype"]}
        return {"kind": "tensors", "tensors": tensors}
    if not all("name" in spec for spec in specs):
        return None
    required = [spec for spec in specs if spec.get("required", True)]
    return {
        "kind": "frame",
        "columns": [{"name": str(s["name"]), "dtype": _FROM_MLFLOW.get(str(s["type"]))} for s in required],
    }
