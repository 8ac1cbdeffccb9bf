"""Write a model into a folder, and read it back."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from trackers.artifacts.names import LEFT_BY_MLFLOW
from trackers.errors import ModelError, TrackersError
from trackers.models import manifest as manifests
from trackers.models import mlmodel
from trackers.models.carried import carrying
from trackers.models.code import bring_code, left_behind
from trackers.models.conform import conform
from trackers.models.flavor import Flavor, Saving, choose_flavor, find_flavor, full_name
from trackers.models.loaded import LoadedModel
from trackers.models.requirements import (
    check_installed,
    check_libraries,
    differences,
    requirement_lines,
    unique,
    write_requirements,
)
from trackers.models.schema import describe_fully, head, named_outputs, to_json
from trackers.models.signature import Signature
from trackers.models.trust import Trust

_MAX_EXAMPLE_BYTES = 256 * 1024
_log = logging.getLogger("trackers.models")


def save(
    model: Any,
    folder: str | os.PathLike[str],
    *,
    flavor: str | None = None,
    input_example: Any = None,
    signature: Signature | Mapping[str, Any] | None = None,
    code: Sequence[str | os.PathLike[str]] = (),
    pip_requirements: Sequence[str] | None = None,
    trusted: Sequence[str] | None = None,
    factory: str | Callable[..., Any] | None = None,
    factory_kwargs: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Save *model* into *folder* (new or empty) and return its manifest.

    *flavor* is chosen by the model's type. *input_example*: rows as ``predict`` takes them; the signature is read from
    all of them, the first five are kept, with the form of what the model gives for them. *signature*: instead of what
    the example shows. *code*: files and packages (folders) that the model imports and that are not installed where it
    is loaded; they run only when trusted. *pip_requirements*: instead of the versions that are installed here.
    *trusted*: refuse to save types that a loader will not trust, but for these; by default they are saved, named in
    the manifest, and refused when loaded without ``trust``. *factory* and *factory_kwargs*: see ``Saving``; with an
    *input_example* the module that they make has to predict the same.

    Raises ModelError when no flavour can save it or its *signature* cannot be, with the reason, and leaves a
    half-written folder behind.
    """
    # A little long: it is the order in which the files of a folder are made, each of which needs those before.
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    if any(target.iterdir()):
        raise ModelError(f"The folder {target} is not empty: give a new one to save the model in.")
    given = None if signature is None else Signature.of(signature)
    chosen = choose_flavor(model, flavor)
    model = chosen.bare(model)
    _check_fit(chosen, model, given)
    rows = None if input_example is None else conform(input_example, given.input if given else None)
    try:
        how = Saving(trusted, factory, factory_kwargs or {}, None if rows is None else head(rows))
        details = chosen.save(model, target, how)
    except TrackersError:
        raise
    except Exception as exc:
        raise ModelError(f"The {full_name(type(model))} cannot be saved: {type(exc).__name__}: {exc}") from exc
    brought, imported = bring_code(code, target)
    for name in left_behind(target):
        _log.warning("the code of the model imports %s, which does not travel with it: give code=[...] with it", name)
    described = _describe(chosen, model, rows, given)
    if input_example is not None:
        _write_example(target, input_example)
    needed = unique((*chosen.needs(details), *details.get("packages", ()), *imported))
    manifest = manifests.describe_model(
        flavor=chosen.name,
        kind=full_name(type(model)),
        libraries=manifests.versions(needed),
        details=details,
        code=brought,
        **described,
    )
    write_requirements(target, requirement_lines(manifest["libraries"], pip_requirements))
    mlmodel.write_mlmodel(target, chosen.mlflow_flavors(model, details), manifest)
    sealed = manifests.seal(target, manifest)
    if trusted is None and details.get("unknown_types"):
        names = sorted(details["unknown_types"])
        _log.warning("a loader of this model has to trust these types by name: trust=%s", names)
    return sealed


def load(
    folder: str | os.PathLike[str],
    *,
    trust: bool | str | Sequence[str] = False,
    digest: str | None = None,
) -> LoadedModel:
    """Load the model in *folder* after verifying every file; a folder that MLflow wrote is loaded too.

    *trust*: True runs the code and loads the types that the folder brings; full names of types trust only those.
    *digest*: that of the manifest (``manifest_digest``), where it is known from elsewhere. What MLflow
    leaves in a folder that it fetched may be there. ``notes`` of what is returned says which versions differ. Raises
    DigestError for a changed file, UntrustedError with the names of what is not trusted, ModelError
    otherwise, with what has to be installed.
    """
    source, trusts = Path(folder), Trust.of(trust)
    if (source / mlmodel.NAME).exists() and not manifests.has_manifest(source):
        from trackers.models.mlflow_folder import load_mlflow

        return load_mlflow(source, trusts)
    manifest = manifests.read_manifest(source, digest)
    manifests.verify_files(source, manifest, LEFT_BY_MLFLOW)
    flavor = find_flavor(manifest["flavor"])
    code, details = manifest.get("code") or [], manifest["details"]
    try:
        check_installed(manifest, flavor)
        with carrying(source, code, flavor.sources(details), trusts):
            model = flavor.load(source, details, trusts)
    except TrackersError:
        raise
    except Exception as exc:
        if isinstance(exc, ImportError):
            check_libraries(manifest)  # within a pipeline may be a model of another library
        raise ModelError(f"The {manifest['class']} cannot be loaded: {type(exc).__name__}: {exc}") from exc
    notes = differences(manifest)
    for note in notes:
        _log.warning("%s", note)
    return LoadedModel(model, manifest, flavor, notes, source)


def _check_fit(flavor: Flavor, model: Any, given: Signature | None) -> None:
    """Raise ModelError where the signature that was *given* is of input on which the model must fail."""
    if given is None or given.input is None:
        return
    try:
        wrong = flavor.misfit(model, given.input)
    except Exception:  # noqa: BLE001 - one that is not fitted, or of another release, may not say: then nobody knows
        return
    if wrong is not None:
        raise ModelError(
            f"The signature is not that of the {type(model).__name__}, which {wrong}: give "
            "Signature.infer(X) with data as it was fitted to."
        )


def _describe(flavor: Flavor, model: Any, rows: Any, given: Signature | None) -> dict[str, Mapping[str, Any] | None]:
    """Return the input and output schema: those *given*, else what the example *rows* show, else what it knows."""
    found = {"input": given.input if given else None, "output": given.output if given else None}
    if rows is None:
        found["input"] = found["input"] or flavor.describe_input(model)
        return found
    found["input"] = found["input"] or flavor.describe_rows(model, rows)
    if found["output"] is None:
        try:
            given_back = flavor.predict(model, conform(head(rows), found["input"]))
            found["output"] = describe_fully(named_outputs(given_back) if flavor.lists_outputs else given_back)
        except Exception as exc:  # noqa: BLE001 - whatever the user's model raises; the model is kept all the same
            found["output"] = {"error": f"{type(exc).__name__}: {exc}"[:500]}
            _log.warning("the model does not predict its input_example (%s: %s)", type(exc).__name__, exc)
            if given is None or given.input is None:  # it is no example of what the model takes
                found["input"] = flavor.describe_input(model)
    return found


def _write_example(folder: Path, example: Any) -> None:
    try:
        text = json.dumps(to_json(head(conform(example, None))))
    except (TypeError, ValueError):  # nothing that JSON can hold: the schema has to do
        return
    if len(text) <= _MAX_EXAMPLE_BYTES and text != "null":
        (folder / "input_example.json").write_text(text, encoding="utf-8")
