"""What a filter asks of a run it asks in a policy as in a search, over every database."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.conformance.managed import manage
from tests.git import make_repository
from trackers import changes as c
from trackers.clock import now_us
from trackers.errors import FilterError
from trackers.models import pack
from trackers.policy import Result, Subject
from trackers.policy.condition import Condition
from trackers.query import ATTRIBUTES, parse_flat
from trackers.store import Store
from trackers.values import LoggedModel, ModelVersion

pytest.importorskip("skops")

from sklearn.linear_model import LogisticRegression

X = np.array([[0.0], [1.0], [2.0], [3.0]])
MODEL = LogisticRegression().fit(X, [0, 0, 1, 1])


def says(store: Store, text: str, number: int) -> Result:
    store.registry.set_policy("p", text)
    return store.registry.check("m", number, to="x")[0]


def model_of_trial(store: Store, name: str, direction: str) -> LoggedModel:
    """Log a model with a trial whose accuracy was 0.9 and is 0.6."""
    manager = manage(store, name, directions=[direction])
    trial = manager.created()
    manifest, files = pack(MODEL, store.artifacts)
    points = ((0, 0, now_us(), 0.9), (1, 0, now_us(), 0.6))
    logged = c.ModelLogged(trial.run_id, now_us(), store.new_uid(), manifest=manifest, files=files, step=1, value=0.6)
    manager.lease.submit([trial, c.PointsLogged(trial.run_id, "accuracy", points), logged]).wait(30)
    manager.lease.release("stopped", "the test is over")
    found = store.get_logged_model(trial.run_id)
    assert found is not None
    return found


@pytest.fixture
def versions(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """Register three versions of ``m``: a child with known code, a run of which little is known, and a trial."""
    monkeypatch.chdir(make_repository(tmp_path / "repo"))
    with store.start_run("exp") as parent, store.start_run("exp", name="child", parent=parent) as child:
        store.registry.register("m", child.log_model(MODEL))
    monkeypatch.setattr("trackers.tracking.Tracking.own_launch", lambda self: None)
    with store.start_run("exp") as run:
        store.registry.register("m", run.log_model(MODEL))
    store.registry.register("m", model_of_trial(store, "digits", "maximize"))
    return store


def test_every_attribute_that_a_search_knows_means_the_same_in_a_policy(versions: Store) -> None:
    uids = {number: versions.get_run(versions.registry.version("m", number).run_id).uid for number in (1, 2, 3)}
    values = {"text": ("= 'x'", "!= 'x'"), "number": (">= 0", "= 0"), "time": ("> '2020-01-01'", "< '2020-01-01'")}
    values |= {"state": ("= 'RUNNING'", "!= 'RUNNING'"), "any": ("= false", "= true", "= 'false'", "!= true")}
    for name, kind in ATTRIBUTES.items():
        for asked in ("is null", "is not null", *values[kind]):
            text = f"attributes.{name} {asked}"
            found = {run.uid for run in versions.search_runs(text)}
            for number, uid in uids.items():
                result = says(versions, text, number)
                assert result.holds is (uid in found), f"{text} of version {number}: {result.says}"
    known = "attributes.dirty = false and attributes.branch = 'main' and parent is not null and commit is not null"
    assert says(versions, known, 1).holds
    assert says(versions, "attributes.dirty = false", 2).says == "version 2 has no attributes.dirty: its run has none"


def test_a_version_whose_run_is_gone_has_no_attribute_and_lacks_none() -> None:
    made = ModelVersion("m", 1, "u" * 32, None, "", None, "ann")  # type: ignore[arg-type]
    for text in ("attributes.parent is null", "attributes.parent is not null", "attributes.dirty = false"):
        condition = Condition(Subject(made))
        node = parse_flat(text)
        assert node is not None
        assert condition.holds(node) is None
        assert condition.missing[0].endswith(": its run is gone")


def test_the_best_of_a_metric_is_that_of_the_study_that_a_version_comes_from(versions: Store) -> None:
    versions.registry.register("m", model_of_trial(versions, "lowest", "minimize"))
    for text in ("best(metrics.accuracy) > 0.7", "best(metrics.accuracy) < 0.7"):
        found = {run.experiment for run in versions.search_runs(text)}
        assert found == ({"digits"} if ">" in text else {"lowest"})
        assert {name for name, n in (("digits", 3), ("lowest", 4)) if says(versions, text, n).holds} == found
    assert says(versions, text, 4).says == "best(metrics.accuracy) is 0.6"
    assert says(versions, text, 1).says == (
        "version 1 has no best(metrics.accuracy): it comes from no study with that objective, write "
        "max(metrics.accuracy) or min(metrics.accuracy)"
    )


def test_the_best_of_what_no_study_aims_at_is_refused_when_the_policy_is_set(versions: Store) -> None:
    with pytest.raises(FilterError, match=r"no study here has 'auc' .* write min\(metrics.auc\) or max"):
        versions.registry.set_policy("p", "metrics.auc > 0.5 or best(metrics.auc) > 0.5")
    assert versions.registry.policies() == []


def test_a_time_is_told_as_a_time(versions: Store) -> None:
    run = versions.get_run(versions.registry.version("m", 1).run_id)
    result = says(versions, "attributes.created > '2020-01-01'", 1)
    assert result.says == f"attributes.created is '{run.created_at.isoformat()}'"
    assert result.figures == {"attributes.created": run.created_at.isoformat()}
