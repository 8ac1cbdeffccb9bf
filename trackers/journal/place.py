"""Where journals lie: beside a SQLite file; for a server in ``HPO_JOURNAL``, or in the user's state folder."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trackers.journal.entry import decode_head
from trackers.journal.file import ASIDE, unseal


def journal_folder(path: Path | None, safe_url: str) -> Path:
    """Return the folder that holds the journals of a store: its SQLite file is *path*, or a server's *safe_url*."""
    given = os.environ.get("HPO_JOURNAL", "").strip()
    if path is not None and not given:
        return path.with_name(f"{path.stem}-journals")
    mark = hashlib.sha256(safe_url.encode()).hexdigest()[:12]
    if given:
        return Path(os.path.abspath(os.path.expanduser(given)), mark)
    state = os.environ.get("XDG_STATE_HOME", "").strip() or os.path.expanduser("~/.local/state")
    return Path(state, "hpo", "journals", mark)


def other_journals(folder: Path, store: str) -> list[Path]:
    """Return journals of the store with the uid *store* beside *folder*: there the same server is written otherwise."""
    return [one for one in list_journals(folder.parent) if one.parent != folder and store_of(one) == store]


def store_of(journal: Path) -> str:
    """Return the uid of the store that a journal belongs to, as far as its head says; '' where it does not."""
    try:
        with (journal / "records").open("rb") as records:
            return owner_of(journal, decode_head(unseal(records.readline(65536))))
    except (OSError, ValueError):
        return ""


def owner_of(journal: Path, head: Mapping[str, Any]) -> str:
    """Return the uid of the store that a journal with this *head* belongs to, or was drained into; '' for any."""
    mark = journal / "store"
    return str(head.get("store") or "") or (mark.read_text().strip() if mark.exists() else "")


def list_journals(folder: Path) -> list[Path]:
    """Return the journals in *folder*, oldest first; *folder* may be one itself, or hold those of several servers.

    Those that were put aside are found by their own name only.
    """
    if (folder / "records").is_file():
        return [folder]
    if not folder.is_dir():
        return []
    inside = [records.parent for depth in ("*", "*/*") for records in folder.glob(f"{depth}/records")]
    waiting = (one for one in inside if one.suffix != ASIDE and (one / "records").is_file())
    return sorted(waiting, key=lambda one: one.name)
