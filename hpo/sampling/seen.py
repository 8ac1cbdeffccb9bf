"""What a define-by-run study knows of its space: which params there were, and which of them every trial had."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hpo.choice import key, plain
from hpo.errors import SpaceError
from hpo.sampling.sampler import Spec
from hpo.space import from_distribution


class SeenSpace:
    """The distributions met so far, kept up by each finished trial in time that does not grow with their number."""

    def __init__(self) -> None:
        self._first: dict[str, Spec] = {}
        self._common: dict[str, Spec] | None = None

    @property
    def common(self) -> Mapping[str, Spec]:
        """The params that every finished trial had, with the same distribution, by name."""
        return self._common or {}

    def check(self, name: str, spec: Spec) -> None:
        """Remember *spec* as a distribution of *name*.

        Raises: SpaceError if the study has *name* with another class, another scale or other choices, or if *spec*
        is no distribution.
        """
        first = self._first.get(name)
        if first is None:
            _check_spec(name, spec)
            self._first[name] = spec
            return
        if first["name"] != spec["name"]:
            raise SpaceError(
                f"{name}: is a {_kind(spec)} here and was a {_kind(first)} in an earlier trial: give one of them another name"
            )
        old, new = first["attributes"], spec["attributes"]
        if "choices" in old:
            if list(map(key, old["choices"])) != list(map(key, new["choices"])):
                raise SpaceError(
                    f"{name}: has the choices {list(new['choices'])!r} here and had {list(old['choices'])!r} in an "
                    "earlier trial: the choices of a study stay as they are, in their order"
                )
        elif bool(old.get("log")) != bool(new.get("log")):
            raise SpaceError(f"{name}: has log={bool(new.get('log'))} here and had the other scale in an earlier trial")

    def finished(self, specs: Mapping[str, Spec]) -> None:
        """Take the distributions of a finished trial."""
        if not specs:
            return
        if self._common is None:
            self._common = dict(sorted(specs.items()))  # the same whichever finished first
        elif any(specs.get(name) != spec for name, spec in self._common.items()):
            self._common = {name: spec for name, spec in self._common.items() if specs.get(name) == spec}


def _check_spec(name: str, spec: Spec) -> None:
    choices = spec.get("attributes", {}).get("choices")
    if choices is None:
        from_distribution(spec)
    else:  # the same choice twice is refused in a declared space; an objective written for Optuna may have it
        for choice in choices:
            plain(choice, name)


def _kind(spec: Mapping[str, Any]) -> str:
    return str(spec["name"]).removesuffix("Distribution").lower()
