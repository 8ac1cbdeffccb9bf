"""Where the refits of a study lie in its store, and which of them has a model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trackers.errors import NotFoundError

if TYPE_CHECKING:
    from trackers.store import Store

REFIT = "-refit"
"""What the experiment of a study's refits is called, after the study's name."""


def newest_refit(store: Store, study: str) -> str | None:
    """Return the uid of the newest refit of *study* that has a model, None where there is none."""
    try:
        runs = store.search_runs(experiments=[study + REFIT], limit=100)
    except NotFoundError:
        return None
    logged = {model.run_id for model in store.list_logged_models([run.id for run in runs])}
    return next((run.uid for run in runs if run.id in logged), None)
