"""How a run was launched, in a few lines; what the commands about code show and take."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from trackers.wording import counted

if TYPE_CHECKING:
    from trackers.values import CodeVersion, Launch, RunInput

_MOST = 3


def run_ref(text: str) -> int | str:
    """Return what a word of the command line names: an id where it is a number, else what the store takes for a run."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else text


def default_folder(path: str) -> str:
    """Return the name of the folder into which the code of run *path* is restored: ``digits-17``, ``run-0196f6a2...``."""
    name = path.replace("/", "-") if "/" in path else f"run-{path[:12]}"
    plain = "".join(char if char.isalnum() or char in "-_." else "-" for char in name).lstrip(".-")
    return plain[:100] or "code"


def launch_lines(launch: Launch | None, inputs: Sequence[RunInput] = ()) -> list[tuple[str, str]]:
    """Return code, call, environment and data as lines: (what, text); the first of many, each cut where it is long."""
    from trackers.cli.text import MOST, shortened

    lines: list[tuple[str, str]] = []
    if launch is not None:
        if launch.code is not None:
            lines += _code_lines(launch.code, launch)
        lines.append(("call", shortened(" ".join([launch.entry_point, *launch.arguments]).strip())))
        lines.append(("environment", _environment(launch.environment or {})))
    lines += [("data", _data(one)) for one in inputs[:MOST]]
    return lines + ([("data ...", f"{len(inputs) - MOST:,} more: --json has all")] if len(inputs) > MOST else [])


def launch_facts(launch: Launch | None, inputs: Sequence[RunInput] = ()) -> dict[str, Any]:
    """Return the same for ``--json``: all that is known."""
    code = None if launch is None else launch.code
    return {
        "code": None
        if code is None
        else {
            "version": code.version,
            "digest": code.digest,
            "bundle": code.bundle,
            "bundled_commits": code.commits,
            **code.content,
        },
        "branch": None if launch is None else launch.branch,
        "remote": None if launch is None else launch.remote,
        "entry_point": None if launch is None else launch.entry_point,
        "arguments": [] if launch is None else list(launch.arguments),
        "environment": None if launch is None else launch.environment,
        "data": [
            {"name": i.name, "role": i.role, "digest": i.digest, "rows": i.rows, "schema": i.schema, "source": i.source}
            for i in inputs
        ],
    }


def _code_lines(code: CodeVersion, launch: Launch) -> list[tuple[str, str]]:
    from trackers.capture.commits import told

    content = code.content
    if code.commit is None:
        kept = len(content.get("files") or {})
        text = f"{code.version}, outside a repository: {counted(kept, 'source file')} kept"
        return [("code", text + (", and the notebook's cells" if content.get("cells") else "")), *_notes(content)]
    tree = {True: "with changes", False: "clean", None: "its changes are not known"}[code.dirty]
    by = str(content.get("author") or "").partition(" <")[0]
    where = ", ".join(part for part in (launch.branch or "detached", tree, f"by {by}" if by else "") if part)
    lines = [("code", f"{code.version} ({where})"), ("remote", launch.remote or "")]
    lines.append(("unpushed", told(content)))
    lines.append(("new files", _listed(list(content.get("files") or {}))))
    return [*((name, text) for name, text in lines if text), *_notes(content)]


def _notes(content: Any) -> list[tuple[str, str]]:
    left_out = list(content.get("left_out") or {})
    hidden = [name for name, exact in (content.get("hidden") or {}).items() if not exact]
    count = int(content.get("left_out_count") or len(left_out))
    lines = [("left out", _listed(left_out, count)), ("secrets hidden in", _listed(hidden))]
    lines += [("note", str(note)) for note in content.get("notes") or ()]
    return [(name, text) for name, text in lines if text]


def _listed(names: Sequence[str], count: int | None = None) -> str:
    more = (len(names) if count is None else count) - _MOST
    return ", ".join(names[:_MOST]) + (f" and {more} more" if more > 0 else "")


def _environment(environment: Any) -> str:
    memory = environment.get("memory")
    gpus = environment.get("gpus") or []
    ray = environment.get("ray") or {}
    parts = [
        f"Python {environment.get('python')}",
        str(environment.get("system") or ""),
        f"{counted(environment['cpus'], 'CPU')}" if environment.get("cpus") else "",
        f"{memory / 2**30:.0f} GiB" if isinstance(memory, int) else "",
        f"{len(gpus)} x {gpus[0]}" if gpus else "",
        counted(len(environment.get("packages") or {}), "package"),
        f"Ray {ray.get('version')}, {ray.get('cpus')} CPUs a trial" if ray else "",
    ]
    return ", ".join(part for part in parts if part)


def _data(one: RunInput) -> str:
    rows = f", {one.rows:,} rows" if one.rows is not None else ""
    source = f", from {one.source}" if one.source else ""
    return f"{one.name} ({one.role}){rows}, {one.digest[:12]}{source}"
