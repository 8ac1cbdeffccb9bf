"""What a command is about: ``NAME``, ``NAME/3``, ``NAME@ALIAS``, or a run."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from trackers.cli.launch import run_ref
from trackers.cli.program import as_called
from trackers.errors import InvalidValueError, NotFoundError

if TYPE_CHECKING:
    from trackers.registry import Registry
    from trackers.store import Store
    from trackers.values import ModelVersion, Run

_NAMED = 3
"""So many runs of one name are told."""


def read_target(registry: Registry, text: str) -> dict[str, Any]:
    """Return the arguments that name a model, one of its versions or aliases, to the methods of the registry."""
    from trackers.models.reference import Reference
    from trackers.sql.aliases import LATEST

    found = Reference.parse(text if text.startswith("models:/") else f"models:/{text}")
    assert found.name is not None  # it was read as a model's name
    if found.version is None:
        return {"name": found.name}
    if found.version == LATEST:
        return {"name": found.name, "version": registry.version(found.name, LATEST).version}
    return {"name": found.name, "version" if isinstance(found.version, int) else "alias": found.version}


def split_version(name: str, *words: str | None) -> tuple[str, str, list[str]]:
    """Return a model's name, its version and the other *words*, where the first is NAME/3, NAME@ALIAS or a name alone.

    In the last case the version is the first of *words*. Raises click.MissingParameter where there is none.
    """
    from trackers.models.reference import Reference

    others = [word for word in words if word is not None]
    if "/" in name or "@" in name:
        found = Reference.parse(name if name.startswith("models:/") else f"models:/{name}")
        assert found.name is not None  # it was read as a model's name
        if found.version is not None:
            return found.name, str(found.version), others
        name = found.name
    if not others:
        raise missing("version")
    return name, others[0], others[1:]


def missing(name: str) -> click.MissingParameter:
    """Return the error that says that the argument *name* of the command that runs is missing, and how it is called."""
    ctx = click.get_current_context()
    return click.MissingParameter(ctx=ctx, param=next(param for param in ctx.command.params if param.name == name))


def one_version(name: str, version: str | None) -> tuple[str, str]:
    """Return a model's name and version likewise, of two words at most; raises click.UsageError for two versions."""
    found, number, others = split_version(name, version)
    if others:
        raise click.UsageError(f"{name} names a version already: leave {others[0]} out, or name the model alone.")
    return found, number


def find_target(store: Store, word: str, calls: Mapping[str, str]) -> dict[str, Any]:
    """Return what ``read_target`` does, of what is there.

    Where the registry has no such thing and *word* names a run or an experiment, the error says so, and the call that
    serves: *calls* are those for a ``"run"`` and for an ``"experiment"``.
    """
    registry = store.registry
    try:
        where = read_target(registry, word)
        version = where.get("version", where.get("alias"))
        registry.get(where["name"]) if version is None else registry.version(where["name"], version)
    except (NotFoundError, InvalidValueError) as exc:
        kind, noun = kind_of(store, word)
        if not kind:
            raise
        call = as_called(f"`{calls[kind]}`")
        if word.partition("@")[0].rpartition("/")[0] in _models(store):  # both have the name
            raise NotFoundError(f"{str(exc).rstrip('.')}; the {noun} of that name: {call}") from exc
        raise NotFoundError(f"{word!r} is {noun_with(noun)} and no registered model: {call}") from exc
    return where


def kind_of(store: Store, word: str) -> tuple[str, str]:
    """Tell whether *word* names a run or an experiment: ``("run", "trial")``, ``("experiment", "study")``, ``("", "")``."""
    for one in store.list_experiments():
        if one.name == word:
            return "experiment", one.kind
    try:
        return "run", "run" if store.get_run(run_ref(word)).number is None else "trial"
    except (NotFoundError, InvalidValueError):
        return "", ""


def noun_with(noun: str) -> str:
    """Return *noun* with its article."""
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def called(target: dict[str, Any]) -> str:
    """Return a target as it is written: the newest version by its number."""
    if "version" in target:
        return f"{target['name']}/{target['version']}"
    return f"{target['name']}@{target['alias']}" if "alias" in target else str(target["name"])


def version_of(registry: Registry, name: str, version: str) -> ModelVersion:
    """Return a version by its number or an alias; the name may also stand as ``models:/NAME``."""
    return registry.version(name.removeprefix("models:/"), version)


def run_of(store: Store, word: str) -> Run:
    """Return the run that *word* names: its id, its uid, STUDY/17, or that of a registered version (NAME/3, NAME@ALIAS).

    Raises NotFoundError, which says what else has the name: a registered model, runs, by their uids, or an experiment.
    """
    try:
        return store.get_run(run_ref(word))
    except NotFoundError as exc:
        if (made_by := _run_of_version(store, word)) is not None:
            return made_by
        if word in _models(store):
            newest = store.registry.get(word).latest
            one = f", and {word}/{newest} is the run of its newest version" if newest else ""
            raise NotFoundError(
                f"{word!r} is a registered model and no run: trackers models {word} shows it{one}"
            ) from exc
        if called := _runs_called(store, word):
            more = " and others" if len(called) > _NAMED else ""
            which = f"the run {called[0]}" if len(called) == 1 else f"the runs {', '.join(called[:_NAMED])}{more}"
            raise NotFoundError(
                f"{word!r} is the name of {which}: a run goes by its uid, since names need not differ"
            ) from exc
        kind, noun = kind_of(store, word)
        if kind == "experiment":
            listed = f"`trackers runs {shlex.quote(word)}` lists its runs"
            raise NotFoundError(f"{word!r} is {noun_with(noun)} and no run: {listed}") from exc
        raise


def _run_of_version(store: Store, word: str) -> Run | None:
    """Return the run that made the version *word* names, None where it names none."""
    from trackers.sql.aliases import LATEST

    name, _, number = word.rpartition("/")
    is_number = number.isdigit() or number == LATEST
    if not (word.startswith("models:/") or "@" in word or (is_number and name in _models(store))):
        return None
    version = store.registry.find(word)
    if version.run_id is None:
        raise NotFoundError(f"the run of {version.name} version {version.version} is not in the store any more")
    return store.get_run(version.run_id)


def _models(store: Store) -> set[str]:
    return {model.name for model in store.registry.list()}


def _runs_called(store: Store, name: str) -> list[str]:
    from trackers.query.tokens import LONGEST, quote

    wanted = f"attributes.name = {quote(name)}"
    return [run.path for run in store.search_runs(wanted, limit=_NAMED + 1)] if len(wanted) <= LONGEST else []
