"""Write a model into a folder, and read it back."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from trackers.errors import ModelError, TrackersError
from trackers.models import manifest as manifests
from trackers.models.flavor import Flavor, choose_flavor, find_flavor, full_name
from trackers.models.loaded import LoadedModel
from trackers.models.schema import describe, head, to_json
from trackers.models.trust import Trust

_MAX_EXAMPLE_BYTES = 256 * 1024


def save(
    model: Any,
    folder: str | os.PathLike[str],
    *,
    input_example: Any = None,
    trusted: Sequence[str] | None = None,
    flavor: str | None = None,
) -> dict[str, Any]:
    """Save *model* into *folder* (new or empty) and return its manifest.

    *input_example*: rows as ``predict`` takes them; the first five are kept, with the shape of what the model gives
    for them. *trusted*: refuse to save types that a loader will not trust, but for these; by default they are saved,
    named in the manifest, and refused when loaded without ``trust``. *flavor* is chosen by the model's type.

    Raises ModelError when no flavour can save it, with the reason, and leaves a half-written folder behind.
    """
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    if any(target.iterdir()):
        raise ModelError(f"The folder {target} is not empty: give a new one to save the model in.")
    chosen = choose_flavor(model, flavor)
    try:
        details = chosen.save(model, target, trusted)
    except TrackersError:
        raise
    except Exception as exc:
        raise ModelError(f"The {full_name(type(model))} cannot be saved: {type(exc).__name__}: {exc}") from exc
    input_schema, output_schema = _describe(chosen, model, input_example)
    if input_example is not None:
        _write_example(target, input_example)
    needed = (*chosen.distributions, *details.get("packages", ()))
    libraries = manifests.versions(needed)
    requirements = "".join(f"{name}=={version}\n" for name, version in libraries.items())
    (target / "requirements.txt").write_text(requirements, encoding="utf-8")
    manifest = manifests.build_manifest(
        target,
        flavor=chosen.name,
        kind=full_name(type(model)),
        distributions=needed,
        details=details,
        input=input_schema,
        output=output_schema,
    )
    manifests.write_manifest(target, manifest)
    return manifest


def load(folder: str | os.PathLike[str], *, trust: bool | str | Sequence[str] = False) -> LoadedModel:
    """Load the model in *folder* after verifying every file.

    *trust*: True runs the code and loads the types that the folder brings; full names of types trust only those.
    Raises DigestError for a changed file, UntrustedError with the names of what is not trusted, ModelError otherwise.
    """
    source = Path(folder)
    manifest = manifests.read_manifest(source)
    manifests.verify_files(source, manifest)
    flavor = find_flavor(manifest["flavor"])
    _check_libraries(manifest, flavor)
    try:
        model = flavor.load(source, manifest["details"], Trust.of(trust))
    except TrackersError:
        raise
    except Exception as exc:
        raise ModelError(f"The {manifest['class']} cannot be loaded: {type(exc).__name__}: {exc}") from exc
    return LoadedModel(model, manifest)


def _check_libraries(manifest: dict[str, Any], flavor: Flavor) -> None:
    there = manifests.versions(flavor.distributions)
    if missing := [name for name in flavor.distributions if name not in there]:
        pins = " ".join(f"{name}=={manifest['libraries'].get(name, '')}".rstrip("=") for name in missing)
        raise ModelError(f"Loading a {manifest['class']} needs {', '.join(missing)}: pip install {pins}")


def _describe(flavor: Flavor, model: Any, example: Any) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    if example is None:
        return flavor.describe_input(model), None
    try:
        return describe(example), describe(model.predict(head(example)))
    except Exception as exc:  # noqa: BLE001 - whatever the user's model raises; the model is kept all the same
        return describe(example), {"error": f"{type(exc).__name__}: {exc}"[:500]}


def _write_example(folder: Path, example: Any) -> None:
    try:
        text = json.dumps(to_json(head(example)))
    except (TypeError, ValueError):  # nothing that JSON can hold: the schema has to do
        return
    if len(text) <= _MAX_EXAMPLE_BYTES and text != "null":
        (folder / "input_example.json").write_text(text, encoding="utf-8")
