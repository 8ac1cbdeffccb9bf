"""What does not hold in models and the registry: their files, their sizes, and what the history says of them."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import Connection, func, not_, select

from trackers.models.manifest import manifest_digest
from trackers.sql import tables as t
from trackers.sql.flaw import Flaw

_SHOWN = 20
"""So many files of one model are named."""

_MOVES = ("promote", "rollback", "unset")
"""The actions of lines of history that move an alias."""

_BEGINNINGS = ("register", "import")
"""The actions of lines of history that a version begins with."""


def models(connection: Connection) -> Iterator[Flaw]:
    """Check that models have the files and the size of their manifests, and versions the manifests of then."""
    m, f, v, n = t.models.c, t.model_files.c, t.model_versions.c, t.registered_models.c
    files: dict[str, dict[str, str]] = {}
    alive = select(m.uid, m.manifest, m.size).where(m.manifest.is_not(None), m.deleted_at.is_(None))
    for uid, name, digest in connection.execute(
        select(f.model_uid, f.name, f.digest).join(t.models, m.uid == f.model_uid).where(m.deleted_at.is_(None))
    ):
        files.setdefault(uid, {})[name] = digest
    b = t.blobs.c  # the size, which policies ask for, is that of all files, also of one that the manifest does not name
    summed = select(f.model_uid, func.sum(b.size)).join(t.blobs, b.digest == f.digest).group_by(f.model_uid)
    sizes = {uid: int(size) for uid, size in connection.execute(summed)}
    for uid, manifest, size in connection.execute(alive):
        entries = dict(manifest.get("files") or {})
        there = files.get(uid, {})
        lost = sorted(name for name, entry in entries.items() if there.get(name) != entry.get("sha256"))
        for name in lost[:_SHOWN]:
            yield Flaw("models", f"the file {name} of model {uid} is not the one that its manifest names")
        named = [entry.get("size") for entry in entries.values()]
        noted = sum(one for one in named if isinstance(one, int))  # a size in the store may be wrong itself
        if not lost and uid in sizes and size not in (sizes[uid], noted):
            where = {"uid": uid, "size": sizes[uid]}
            yield Flaw("model sizes", f"the model {uid} has the size {size}, and its files {sizes[uid]} bytes", where)
    versions = (
        select(n.name, v.version, v.lineage, m.manifest)
        .join(t.registered_models, n.id == v.model_id)
        .join(t.models, m.uid == v.model_uid)
    )
    for name, version, lineage, manifest in connection.execute(versions):
        told = (lineage or {}).get("manifest")
        if told is not None and (manifest is None or manifest_digest(manifest) != told):
            yield Flaw("versions", f"the manifest of {name} version {version} was changed after it was registered")


def aliases(connection: Connection) -> Iterator[Flaw]:
    """Check that aliases point at what the last line of the history says: a model is loaded by them."""
    h, n, a = t.registry_history.c, t.registered_models.c, t.aliases.c
    lines = select(h.name, h.alias, h.new_version).where(h.alias.is_not(None)).where(h.action.in_(_MOVES))
    said = {(name, alias): version for name, alias, version in connection.execute(lines.order_by(h.id))}
    models = set(connection.execute(select(n.name)).scalars())
    rows = connection.execute(select(n.name, a.alias, a.version).join(t.registered_models, n.id == a.model_id))
    there = {(name, alias): version for name, alias, version in rows}
    for (name, alias), version in said.items():
        found = there.get((name, alias))
        if name in models and found != version:
            shown = "nothing" if found is None else f"version {found}"
            last = "nothing" if version is None else f"version {version}"
            yield Flaw("aliases", f"{name}@{alias} points at {shown}, and its history says {last}: promote it again")
    for name, alias in there.keys() - said.keys():
        yield Flaw(
            "history",
            f"{name}@{alias} points at version {there[name, alias]}, and no line of the history says who moved it "
            "there: lines were erased, restore a backup",
        )


def history(connection: Connection) -> Iterator[Flaw]:
    """Check that the history says of every version who registered or imported it."""
    h, n, v = t.registry_history.c, t.registered_models.c, t.model_versions.c
    line = select(h.id).where(h.name == n.name, h.new_version == v.version, h.action.in_(_BEGINNINGS))
    query = select(n.name, v.version).join(t.registered_models, n.id == v.model_id)
    query = query.where(not_(line.correlate(t.registered_models, t.model_versions).exists()))
    for name, version in connection.execute(query.order_by(n.name, v.version)):
        yield Flaw(
            "history",
            f"no line of the history says who registered {name} version {version}: lines were erased, restore a backup",
        )
