"""The model of a folder from elsewhere becomes one of a store, with a run made for it."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from trackers import changes as c
from trackers.clock import now_us
from trackers.errors import InvalidValueError
from trackers.models.loaded import LoadedModel
from trackers.models.manifest import manifest_digest
from trackers.models.taken import take
from trackers.names import LONGEST, clean_name
from trackers.processes import host_name, user_name
from trackers.recorder import clean_tags
from trackers.sql import intake as rows
from trackers.sql.experiments import check_experiment
from trackers.states import RunState
from trackers.values import LoggedModel

if TYPE_CHECKING:
    from trackers.store import Store


def adopt(
    store: Store, folder: Path | LoadedModel, experiment: str, same: Callable[[str], LoggedModel | None]
) -> LoggedModel:
    """Keep the model of *folder*, or of the one that a loaded model came from, and return it.

    *same* gives the model with a manifest of that digest, where it is kept already: then nothing is made. Else it gets
    a run in *experiment* that has ended, whose tag ``source`` names the folder; no code is known of it, since what made
    the model ran elsewhere. Raises ModelError, DigestError, and AlreadyExistsError for the name of a study.
    """
    experiment = check_experiment(experiment)
    manifest, files = take(folder, store.artifacts)
    if (known := same(manifest_digest(manifest))) is not None:
        return known
    given = folder.folder if isinstance(folder, LoadedModel) else folder
    assert given is not None  # it was taken
    place, now, uid = Path(os.path.abspath(given)), now_us(), store.new_uid()
    keep = partial(rows.keep_experiment, name=experiment, description="", tags={}, created_at=now)
    experiment_id, run_id = store.writer.call(keep), store.allocate_ids(1)[0]
    run = c.PastRun(run_id, store.new_uid(), experiment_id, _name(place), user_name()[:LONGEST], now)
    store.writer.call(partial(rows.insert_runs, runs=[run]))
    records: list[c.Change] = [
        c.TrialStarted(run_id, 0, now, worker="", host=host_name(), pid=os.getpid()),
        c.TagsSet(run_id, clean_tags({"source": str(place)})),
        c.ModelLogged(run_id, now, uid, manifest=manifest, files=files),
        c.AttemptEnded(run_id, 0, now, "complete"),
        c.TrialFinished(run_id, now, RunState.COMPLETE),
    ]
    store.writer.submit(records).wait()
    found = store.find_logged_model(uid)
    assert found is not None  # it was committed just now
    return found


def _name(place: Path) -> str:
    """Return the name of the folder as that of a run; none where it cannot be one."""
    try:
        return clean_name(place.name, "run")
    except InvalidValueError:
        return ""
