"""A recorded environment as a file of requirements that pip installs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9.!+_-]*")
_WORD = re.compile(r"\S+")
_NOT_A_REQUIREMENT = frozenset({"pip", "setuptools", "wheel"})


def requirements(environment: Mapping[str, Any]) -> str:
    """Return the packages of *environment* with their versions, one a line, sorted: ``pip install -r`` takes it.

    A build of a version (``2.13.0+cpu``) stands in a comment, since any build of the version serves. What came from a
    repository is named with its commit, what came from an archive with its digest. A package that came from a folder of
    that machine (an editable one, say) cannot be installed elsewhere: it stands in a comment.
    """
    packages = {str(name): str(version) for name, version in (environment.get("packages") or {}).items()}
    direct = environment.get("direct") or {}
    lines = [f"# python {_plain(environment.get('python'))} on {_plain(environment.get('platform'))}"]
    for name, version in sorted(packages.items()):
        if name in _NOT_A_REQUIREMENT:
            continue
        origin = direct.get(name)
        if not _NAME.fullmatch(name) or not _VERSION.fullmatch(version):
            lines.append(f"# {_plain(name)} {_plain(version)}: no package that can be named")
        elif isinstance(origin, Mapping):
            lines.append(_direct(name, version, origin))
        else:
            public, _, build = version.partition("+")  # builds of one's own are in no common index
            lines.append(f"{name}=={public}" + (f"  # it was {version}" if build else ""))
    return "\n".join(lines) + "\n"


def _direct(name: str, version: str, origin: Mapping[str, Any]) -> str:
    url, commit, sha256 = (_plain(origin.get(key)) for key in ("url", "commit", "sha256"))
    folder = _plain(origin.get("subdirectory"))
    if not _WORD.fullmatch(url) or url.startswith("file:"):
        how = "an editable folder" if origin.get("editable") else "a folder or file"
        return f"# {name}=={version} came from {how} of that machine: {url}"
    if origin.get("vcs") and commit:
        ending = f"#subdirectory={folder}" if folder else ""
        return f"{name} @ {_plain(origin['vcs'])}+{url}@{commit}{ending}"
    return f"{name} @ {url}{f'#sha256={sha256}' if sha256 else ''}"


def _plain(value: object) -> str:
    """Return *value* on one line: what a store says never becomes a line of its own."""
    text = "" if value is None else str(value)
    return "".join(char if char.isprintable() else " " for char in text).strip()
