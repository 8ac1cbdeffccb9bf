"""Policies, approvals, rollback and lineage, over every database."""

from __future__ import annotations

import math
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import trackers
from tests.processes import start
from trackers.capture import data_digest
from trackers.errors import (
    AlreadyExistsError,
    ConflictError,
    FilterError,
    InvalidValueError,
    ModelError,
    NotFoundError,
    PolicyError,
)
from trackers.lineage import to_dot, to_mermaid, to_svg, to_text
from trackers.policy import Approvals, Better, Committed, MaxSize, Only, Require, Result
from trackers.store import Store
from trackers.values import ModelVersion

pytest.importorskip("skops")

from sklearn.linear_model import LogisticRegression

X = np.array([[0.0], [1.0], [2.0], [3.0]])
MODEL = LogisticRegression().fit(X, [0, 0, 1, 1])
MAY, JUNE = np.arange(5.0), np.arange(6.0)

Make = Callable[..., ModelVersion]


@pytest.fixture(autouse=True)
def only_the_code_that_a_test_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let runs know nothing of the code of this process."""
    monkeypatch.setattr("trackers.tracking.Tracking.own_launch", lambda self: None)


@pytest.fixture
def make(store: Store) -> Make:
    """Return what registers a version of ``m`` from a run of its own."""

    def version(
        metrics: Mapping[str, float] | None = None,
        *,
        folds: Sequence[float] = (),
        data: Any = MAY,
        role: str = "train",
        metrics_of_the_version: Mapping[str, float] | None = None,
        **details: Any,
    ) -> ModelVersion:
        with store.start_run("exp", params={"C": 1.5}, tags={"team": "risk"}) as run:
            if data is not None:
                run.log_input(data, "data", role)
            for fold, value in enumerate(folds):
                run.log_metrics({"auc": value}, context={"fold": fold})
            run.log_metrics(dict(metrics or ({"auc": float(np.mean(folds))} if folds else {})))
            model = run.log_model(MODEL, input_example=X[:2])
        return store.registry.register("m", model, metrics=metrics_of_the_version, **details)

    return version


def be(monkeypatch: pytest.MonkeyPatch, user: str) -> None:
    """Let the registry take this process for one of *user*."""
    monkeypatch.setattr("trackers.registry.user_name", lambda: user)


def only(results: Sequence[Result]) -> Result:
    assert len(results) == 1
    return results[0]


# --- rules ---------------------------------------------------------------------------------------------------------


def test_a_version_that_misses_a_threshold_is_not_promoted_and_nothing_is_written(store: Store, make: Make) -> None:
    make({"auc": 0.8})
    store.registry.set_policy("good", "metrics.auc >= 0.9", model="m", alias="production")
    before = store.registry.history("m")
    with pytest.raises(
        PolicyError, match=r"m version 1 may not become production. good: metrics.auc is 0.8."
    ) as failed:
        store.registry.promote("m", 1, to="production")
    assert only(failed.value.results).figures == {"metrics.auc": 0.8}
    assert store.registry.history("m") == before
    assert store.registry.get("m").aliases == {}
    make({"auc": 0.95})
    move = store.registry.promote("m", 2, to="production")
    assert move.details["policies"] == [only(store.registry.check("m", 2, to="production")).as_json()]
    assert move.details["policies"][0]["says"] == "metrics.auc is 0.95"
    assert "forced" not in move.details
    assert store.registry.promote("m", 1, to="staging").new_version == 1, "the policy is for another alias"


def test_a_filter_asks_for_metrics_params_tags_and_attributes(store: Store, make: Make) -> None:
    make({"auc": 0.8, "loss": math.nan}, tags={"reviewed": "yes"})
    holding = (
        "metrics.auc > 0.7 and params.C = 1.5 and tags.reviewed = 'yes' and tags.team = 'risk'",
        "attributes.state = 'COMPLETE' and attributes.experiment like 'e%' and attributes.duration >= 0",
        "metrics.nothing is null and metrics.auc is not null and not metrics.auc in (1, 2)",
        "metrics.nothing > 1 or metrics.auc between 0.5 and 0.9",
        "metrics.loss = nan and params.C = '1.5' and max(metrics.auc) = 0.8",
        "attributes.created > '2020-01-01'",
    )
    for text in holding:
        store.registry.set_policy("p", text)
        assert only(store.registry.check("m", 1, to="x")).holds, text
    for text in ("metrics.auc > 0.9", "metrics.loss < 1", "tags.reviewed != 'yes'", "params.C > 'a'"):
        store.registry.set_policy("p", text)
        assert not only(store.registry.check("m", 1, to="x")).holds, text


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("metrics.acu > 0.5", "version 1 has no metrics.acu; did you mean auc?"),
        ("not metrics.nothing > 1", "version 1 has no metrics.nothing: it has auc"),
        ("metrics.auc > 0.5 and tags.reviewed = 'yes'", "version 1 has no tags.reviewed: it has team"),
        ("metrics.latency_ms < 5", "version 1 has no metrics.latency_ms: trackers measure records it"),
    ],
)
def test_a_policy_that_cannot_be_evaluated_does_not_hold_and_says_why(
    store: Store, make: Make, text: str, says: str
) -> None:
    make({"auc": 0.8})
    store.registry.set_policy("p", text)
    result = only(store.registry.check("m", 1, to="production"))
    assert not result.holds
    assert result.says == says


FILTERS = (
    "metrics.auc = 0.8",
    "metrics.auc != 0.8",
    "metrics.auc between 0.8 and 0.9",
    "metrics.auc not in (0.7, 0.9)",
    "metrics.loss = nan",
    "metrics.loss != nan",
    "metrics.loss < 1",
    "metrics.top = inf",
    "metrics.top > 5",
    "params.C = 1.5",
    "params.C = '1.5'",
    "params.C = '1.50'",
    "params.C > '1'",
    "params.C like '1%'",
    "params.flag = true",
    "params.flag = 'true'",
    "params.flag = 1",
    "params.flag > 0",
    "params.flag in (false, 1)",
    "params.flag like 't%'",
    "params.C = true",
    "params.kernel = 1",
    "params.list like '%2%'",
    "params.list = '[1,2]'",
    "params.none is null",
    "params.kernel = 'rbf'",
    "params.kernel > 'a'",
    "params.kernel in ('rbf', 'linear')",
    "params.kernel like 'r_f'",
    "params.kernel like 'R%'",
    "params.kernel ilike 'R%'",
    "params.kernel not like '%b%'",
    "tags.team like '%i%k%'",
    "tags.team like 'ri%sk'",
    "tags.team like 'risk%risk'",
    "tags.team like '%\\%'",
    "tags.team like '%'",
    "tags.team like ''",
    "attributes.state = 'COMPLETE'",
    "attributes.state != 'COMPLETE'",
    "attributes.experiment = 'exp' and not attributes.name = 'x'",
    "attributes.number is null and attributes.user is not null",
    "attributes.created >= '2020-01-01' and attributes.ended < '2020-01-01'",
    "attributes.parent is null",
    "attributes.duration < 1000 or metrics.auc > 5",
    "max(metrics.auc) >= 0.9 and min(metrics.auc) <= 0.6",
)


def test_a_filter_means_in_a_policy_what_it_means_in_a_search(store: Store) -> None:
    params = {"C": 1.5, "flag": True, "kernel": "rbf", "list": [1, 2], "none": None}
    with store.start_run("exp", name="n", params=params, tags={"team": "risk"}) as run:
        for step, value in enumerate((0.9, 0.6, 0.8)):
            run.log_metrics({"auc": value, "loss": math.nan, "top": math.inf}, step=step)
        model = run.log_model(MODEL)
    store.registry.register("m", model)
    for text in FILTERS:
        store.registry.set_policy("p", text)
        result = only(store.registry.check("m", 1, to="x"))
        assert result.holds is (len(store.search_runs(text)) == 1), f"{text}: {result.says}"


def test_better_takes_the_folds_of_both_where_both_have_them(store: Store, make: Make) -> None:
    store.registry.set_policy("better", Better("auc"), alias="production")
    make(folds=[0.80, 0.82, 0.78, 0.81, 0.79])
    assert only(store.registry.check("m", 1, to="production")).says == "there is no champion to beat yet"
    store.registry.promote("m", 1, to="production")
    make(folds=[0.81, 0.82, 0.80, 0.80, 0.80])
    within = only(store.registry.check("m", 2, to="production"))
    assert not within.holds, "the folds differ by no more than they scatter"
    differences = np.array([0.01, 0.0, 0.02, -0.01, 0.01])
    error = math.sqrt(differences.var(ddof=1) * (1 / 5 + 1 / 4))
    assert within.figures["standard_error"] == pytest.approx(error)
    assert within.figures["needed"] == pytest.approx(2 * error)
    assert "5 paired folds" in within.says
    make(folds=[0.85, 0.87, 0.83, 0.86, 0.84])
    beyond = store.registry.promote("m", 3, to="production").details["policies"][0]
    assert beyond["figures"]["gain"] == pytest.approx(0.05)
    assert "against 0.8 of version 1" in beyond["says"]


@pytest.mark.parametrize("odd", [math.nan, math.inf])
def test_a_fold_that_is_no_number_makes_nothing_easier(store: Store, make: Make, odd: float) -> None:
    registry = store.registry
    make(folds=[0.7, 0.8, 0.9, 0.8, 0.8])
    registry.promote("m", 1, to="production")
    make({"auc": 0.8015}, folds=[0.99, 0.6, 0.95, 0.7, odd])
    registry.set_policy("p", Better("auc"))
    registry.set_policy("q", Better("auc", margin=0.0001))
    for result in registry.check("m", 2, to="production"):
        assert not result.holds
        assert f"of the challenger fold=4 is {odd:g}, so that a gain cannot be told from noise" in result.says
    registry.remove_policy("q")
    registry.set_policy("p", Better("auc", sigmas=0.0))
    assert not only(registry.check("m", 2, to="production")).holds
    registry.set_policy("p", Better("auc", sigmas=0.0, margin=0.0001))
    assert only(registry.check("m", 2, to="production")).holds


def test_better_takes_stored_standard_errors_and_else_the_margin_and_says_which(store: Store, make: Make) -> None:
    registry = store.registry
    make({"auc": 0.80, "auc_se": 0.01})
    registry.promote("m", 1, to="production")
    make({"auc": 0.82, "auc_se": 0.01})
    make({"auc": 0.82})
    make({"loss": 0.3})
    registry.set_policy("p", Better("auc"))
    result = only(registry.check("m", 2, to="production"))
    assert not result.holds
    assert "2 standard errors of 0.0141; both standard errors" in result.says
    result = only(registry.check("m", 3, to="production"))
    assert result.figures["noise"] == "one standard error for both, the other is not recorded"
    assert result.figures["needed"] == pytest.approx(0.02 * math.sqrt(2))
    assert only(registry.check("m", 4, to="production")).says == "version 4 has no metric auc: it has loss"
    registry.promote("m", 3, to="production", force=True, reason="no standard error")
    make({"auc": 0.83})
    result = only(registry.check("m", 5, to="production"))
    assert result.says.endswith(
        "no standard error is recorded, and the policy names no margin to tell a gain from noise"
    )
    registry.set_policy("p", Better("auc", margin=0.005))
    result = only(registry.check("m", 5, to="production"))
    assert result.holds
    assert result.figures["needed_by"] == "the margin 0.005"
    registry.set_policy("p", Better("auc", relative=0.05))
    assert not only(registry.check("m", 5, to="production")).holds
    registry.set_policy("p", Better("auc", direction="minimize", margin=0.005))
    assert not only(registry.check("m", 5, to="production")).holds


def test_versions_with_other_data_are_not_comparable(store: Store, make: Make) -> None:
    registry = store.registry
    registry.set_policy("p", Better("auc", margin=0.01))
    make({"auc": 0.5}, data=MAY)
    registry.promote("m", 1, to="production")
    make({"auc": 0.9}, data=JUNE)
    make({"auc": 0.9}, data=None)
    result = only(registry.check("m", 2, to="production"))
    assert not result.holds
    assert result.says.startswith("not comparable: version 2 has data ")
    assert result.figures["data"] != result.figures["champion_data"]
    assert "no data is recorded for version 3" in only(registry.check("m", 3, to="production")).says


def test_data_that_one_run_logged_twice_are_the_data_that_another_logged_once(store: Store, make: Make) -> None:
    registry = store.registry
    registry.set_policy("p", Better("auc", margin=0.01))
    make({"auc": 0.5})
    registry.promote("m", 1, to="production")
    with store.start_run("exp") as run:
        for role in ("train", "check"):
            run.log_input(MAY, "data", role)
        run.log_metrics({"auc": 0.9})
        registry.register("m", run.log_model(MODEL))
    result = only(registry.check("m", 2, to="production"))
    assert result.holds, result.says
    assert result.figures["data"] == [data_digest(MAY).digest]
    assert "and others" not in result.says


def test_who_trained_on_the_data_of_the_test_does_not_beat_who_did_not(store: Store) -> None:
    registry = store.registry

    def make(value: float, **inputs: Sequence[Any]) -> None:
        with store.start_run("exp") as run:
            for role, data in inputs.items():
                for number, one in enumerate(data):
                    run.log_input(one, f"part{number}", role)
            run.log_metrics({"auc": value})
            registry.register("m", run.log_model(MODEL))

    make(0.5, train=[MAY], test=[JUNE])
    make(0.9, train=[MAY, JUNE], test=[JUNE])
    make(0.9, train=[JUNE], test=[MAY])
    make(0.9, train=[MAY], test=[JUNE])
    registry.promote("m", 1, to="production")
    registry.set_policy("p", Better("auc", margin=0.01))
    assert "not trained on the same part" in only(registry.check("m", 2, to="production")).says
    assert "not trained on the same part" in only(registry.check("m", 3, to="production")).says
    assert registry.compare("m/1", "m/2").same_data is False
    assert only(registry.check("m", 4, to="production")).holds
    registry.set_policy("p", Better("auc", margin=0.01, role="test"))
    assert "version 2 was trained on the data" in only(registry.check("m", 2, to="production")).says


def test_other_training_data_is_no_matter_where_the_role_is_named(store: Store, make: Make) -> None:
    registry = store.registry
    registry.set_policy("p", Better("auc", margin=0.01, role="test"))
    for value, train in ((0.5, MAY), (0.9, JUNE)):
        with store.start_run("exp") as run:
            run.log_input(train, "train", "train")
            run.log_input(X, "test", "test")
            run.log_metrics({"auc": value})
            registry.register("m", run.log_model(MODEL))
    registry.promote("m", 1, to="production")
    assert only(registry.check("m", 2, to="production")).holds


def test_what_was_measured_of_both_on_the_same_data_counts_before_all_else(store: Store, make: Make) -> None:
    registry = store.registry
    digest = data_digest(JUNE).digest
    registry.set_policy("p", Better("auc"))
    make({"auc": 0.9}, data=MAY)
    registry.promote("m", 1, to="production")
    make({"auc": 0.5}, data=JUNE)
    registry.record("m", 1, {"auc": [0.70, 0.71, 0.69]}, data=digest)
    assert not only(registry.check("m", 2, to="production")).holds
    registry.record("m", 2, {"auc": np.array([0.80, 0.81, 0.80])}, data=JUNE)
    result = only(registry.check("m", 2, to="production"))
    assert result.holds
    assert result.figures["data"] == [digest]
    assert result.figures["noise"] == "both standard errors"
    assert [one.name for one in registry.figures("m", 2)] == ["auc"]
    with pytest.raises(InvalidValueError, match="64 hex digits"):
        registry.record("m", 2, {"auc": 1.0}, data="abc")
    with pytest.raises(InvalidValueError, match="must be a number"):
        registry.record("m", 2, {"auc": "good"})  # type: ignore[dict-item]


def test_what_was_measured_on_other_data_is_no_reason(store: Store, make: Make) -> None:
    registry = store.registry
    registry.set_policy("p", Better("auc", margin=0.01))
    make({"auc": 0.90})
    registry.promote("m", 1, to="production")
    make({"auc": 0.85})
    make({"loss": 0.1})
    for data in (data_digest(JUNE).digest, ""):
        registry.record("m", 2, {"auc": 0.99}, data=data)
        registry.record("m", 3, {"auc": 0.99}, data=data)
        result = only(registry.check("m", 2, to="production"))
        assert not result.holds
        assert "auc 0.85 against 0.9 of version 1" in result.says, "both runs' own"
        assert "auc of version 3 was measured on other data" in only(registry.check("m", 3, to="production")).says
    registry.record("m", 2, {"auc": 0.99}, data=data_digest(MAY).digest)
    assert only(registry.check("m", 2, to="production")).holds, "it is the data of both runs"


@pytest.mark.parametrize(
    ("low", "high", "margin"), [(0.28, 0.29, 0.01), (0.90, 0.95, 0.05), (1e9 + 0.1, 1e9 + 0.2, 0.1)]
)
def test_a_margin_that_is_just_met_is_met(store: Store, make: Make, low: float, high: float, margin: float) -> None:
    store.registry.set_policy("p", Better("auc", margin=margin))
    make({"auc": low})
    store.registry.promote("m", 1, to="production")
    make({"auc": high})
    make({"auc": low + 0.9 * margin})
    assert only(store.registry.check("m", 2, to="production")).holds
    assert not only(store.registry.check("m", 3, to="production")).holds


def test_a_policy_does_not_leave_the_alias_that_it_guards(store: Store, make: Make) -> None:
    registry = store.registry
    make({"auc": 0.9})
    registry.set_policy("p", Better("auc"), model="m", alias="production")
    for other in ("staging", None):
        with pytest.raises(AlreadyExistsError, match="'p' is for the alias production and would be so no longer"):
            registry.set_policy("p", Better("auc"), model="m", alias=other)
    registry.set_policy("p", Better("auc", margin=0.1), model="m", alias="production")
    assert [(one.alias, one.version) for one in registry.policies("m")] == [("production", 2)]


def test_who_removes_an_alias_first_has_its_last_version_to_beat(store: Store, make: Make) -> None:
    registry = store.registry
    for value in (0.5, 0.9, 0.7):
        make({"auc": value})
    registry.set_policy("better", Better("auc", margin=0.01), model="m", alias="production")
    for number in (1, 2):
        registry.promote("m", number, to="production")
    registry.unset_alias("m", "production")
    with pytest.raises(
        PolicyError, match=r"the alias was removed and pointed at version 2 last: auc 0[.]7 against 0[.]9 of"
    ):
        registry.promote("m", 3, to="production")
    same = only(registry.check("m", 2, to="production"))
    assert same.holds
    assert same.figures["alias_was_removed"]
    registry.delete_version("m", 2)
    result = only(registry.check("m", 3, to="production"))
    assert result.holds
    assert "pointed at version 1 last: auc 0.7 against 0.5 of version 1" in result.says
    registry.delete_version("m", 1)
    assert only(registry.check("m", 3, to="production")).says == "there is no champion to beat yet"


def test_better_than_an_alias_that_is_not_there_does_not_hold(store: Store, make: Make) -> None:
    make({"auc": 0.9})
    store.registry.set_policy("p", Better("auc", than="champion"))
    assert (
        only(store.registry.check("m", 1, to="production")).says == "there is no version at @champion to compare with"
    )


def test_size_latency_and_committed_code_are_asked_for(store: Store, make: Make) -> None:
    registry = store.registry
    make(lineage={"code": {"commit": "a" * 40, "dirty": False}})
    make(lineage={"code": {"commit": "b" * 40, "dirty": True}})
    make()
    size = registry.model_of(registry.version("m", 1)).size
    registry.set_policy("size", MaxSize(size))
    assert only(registry.check("m", 1, to="x")).figures == {"bytes": size, "limit": size}
    registry.set_policy("size", MaxSize("1kB"))  # type: ignore[arg-type]
    assert not only(registry.check("m", 1, to="x")).holds
    registry.remove_policy("size")
    registry.set_policy("committed", Committed())
    said = [only(registry.check("m", number, to="x")) for number in (1, 2, 3)]
    assert [result.holds for result in said] == [True, False, False]
    assert said[1].says == "commit bbbbbbbbbbbb with uncommitted changes"
    assert "no commit is known" in said[2].says
    registry.remove_policy("committed")
    registry.set_policy("fast", Require("metrics.latency_ms < 60000"))
    assert not only(registry.check("m", 1, to="x")).holds
    assert registry.measure("m", 1) > 0
    assert only(registry.check("m", 1, to="x")).holds


def test_approvals_count_of_those_who_are_named_or_of_others_than_the_author(
    store: Store, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = store.registry
    be(monkeypatch, "ann")
    make()
    registry.set_policy("eyes", Approvals(1), alias="production")
    registry.set_policy("named", Approvals(2, by=("bob", "cy")), alias="production")
    assert registry.approve("m", 1, comment="mine")
    assert not registry.approve("m", 1, comment="mine"), "the same word again is no change"
    eyes, named = registry.check("m", 1, to="production")
    assert eyes.says == "approved by nobody: 0 of 1 (ann registered it and does not count)"
    be(monkeypatch, "bob")
    registry.approve("m", 1, comment="looked at it")
    eyes, named = registry.check("m", 1, to="production")
    assert (eyes.holds, named.holds, named.says) == (True, False, "approved by bob: 1 of 2")
    be(monkeypatch, "cy")
    registry.approve("m", 1)
    assert registry.promote("m", 1, to="production").details["policies"][1]["figures"]["counted"] == ["bob", "cy"]
    registry.approve("m", 1, withdraw=True)
    assert [one.user for one in registry.approvals("m", 1)] == ["ann", "bob"]
    with pytest.raises(NotFoundError, match="cy did not approve"):
        registry.approve("m", 1, withdraw=True)
    actions = [(line.action, line.actor) for line in registry.history("m") if line.action in {"approve", "withdraw"}]
    assert actions == [("approve", "ann"), ("approve", "bob"), ("approve", "cy"), ("withdraw", "cy")]


def test_a_protected_alias_is_moved_by_those_who_are_named_and_by_no_force(
    store: Store, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = store.registry
    for _ in range(2):
        make()
    registry.set_policy("owners", Only(("ann",)), model="m", alias="production")
    be(monkeypatch, "bob")
    for force in (False, True):
        with pytest.raises(PolicyError, match="bob may not move it: ann may"):
            registry.promote("m", 1, to="production", force=force, reason="now")
    be(monkeypatch, "ann")
    for number in (1, 2):
        registry.promote("m", number, to="production")
    be(monkeypatch, "bob")
    for move in (lambda: registry.rollback("m"), lambda: registry.unset_alias("m", "production")):
        with pytest.raises(PolicyError, match="bob may not move it"):
            move()
    assert registry.get("m").aliases == {"production": 2}


# --- force, dry run, change ------------------------------------------------------------------------------------------


def test_force_needs_a_reason_and_is_recorded_with_what_did_not_hold(store: Store, make: Make) -> None:
    registry = store.registry
    make({"auc": 0.5})
    registry.set_policy("good", "metrics.auc > 0.9")
    registry.set_policy("there", "metrics.auc is not null")
    for reason in ("", "  "):
        with pytest.raises(InvalidValueError, match="say why"):
            registry.promote("m", 1, to="production", force=True, reason=reason)
    move = registry.promote("m", 1, to="production", force=True, reason="production is down")
    assert move.details["forced"] == ["good"]
    assert [result["holds"] for result in move.details["policies"]] == [False, True]
    assert registry.history("m")[-1] == move


def test_the_policies_in_force_when_the_alias_moves_are_the_ones_that_count(store: Store, make: Make) -> None:
    registry = store.registry
    make({"auc": 0.8})
    registry.set_policy("good", "metrics.auc > 0.5", model="m")
    assert only(registry.check("m", 1, to="production")).holds
    registry.set_policy("good", "metrics.auc > 0.9", model="m", reason="stricter")
    with pytest.raises(PolicyError) as failed:
        registry.promote("m", 1, to="production")
    assert only(failed.value.results).version == 2


def test_a_policy_has_versions_and_each_change_is_a_line_of_history(store: Store, make: Make) -> None:
    registry = store.registry
    make()
    made = registry.set_policy("good", "metrics.auc > 0.5", model="m", alias="production", description="d")
    assert (made.name, made.version, made.rule, made.alias) == ("good", 1, Require("metrics.auc > 0.5"), "production")
    assert registry.set_policy("good", "metrics.auc > 0.5", model="m", alias="production", description="d") == made
    assert registry.set_policy("good", "metrics.auc > 0.6", model="m", alias="production").version == 2
    registry.set_policy("small", MaxSize(10**9), reason="everybody")
    assert [p.name for p in registry.policies("m", alias="production")] == ["small", "good"]
    assert [p.name for p in registry.policies("m", alias="staging")] == ["small"]
    registry.remove_policy("good", model="m", reason="done with it")
    assert registry.set_policy("good", "metrics.auc > 0.6", model="m").version == 3
    lines = [line for line in registry.history("m") if "policy" in line.action]
    said = [(line.name, line.action, line.details["policy"], line.details["version"], line.reason) for line in lines]
    assert said == [
        ("m", "set policy", "good", 1, ""),
        ("m", "set policy", "good", 2, ""),
        ("", "set policy", "small", 1, "everybody"),
        ("m", "remove policy", "good", 2, "done with it"),
        ("m", "set policy", "good", 3, ""),
    ]
    assert lines[1].details["before"] == {"kind": "require", "filter": "metrics.auc > 0.5"}
    rules = (Better("auc{split=val}", "minimize", 0.1, 0.2, 1.0, "a", "test"), Committed(), Approvals(2), Only(("x",)))
    for rule in rules:
        registry.set_policy("p", rule)
        assert {p.name: p.rule for p in registry.policies()}["p"] == rule


def test_a_policy_that_makes_no_sense_is_refused_when_it_is_set(store: Store, make: Make) -> None:
    registry = store.registry
    make()
    with pytest.raises(FilterError, match="did you mean"):
        registry.set_policy("p", "metric.auc ilke 'a'")
    with pytest.raises(InvalidValueError, match="A filter is expected"):
        registry.set_policy("p", "  ")
    with pytest.raises(NotFoundError, match="did you mean 'm'"):
        registry.set_policy("p", "metrics.auc > 1", model="mm")
    with pytest.raises(NotFoundError, match="no policy 'p' for all models: it has none"):
        registry.remove_policy("p")
    for wrong in (
        lambda: Better("auc", direction="up"),
        lambda: Better("auc", margin=-1),
        lambda: Better("auc", sigmas=math.nan),
        lambda: Better("max(metrics.auc)"),
        lambda: Better("auc > 1"),
        lambda: MaxSize("big"),  # type: ignore[arg-type]
        lambda: MaxSize(0),
        lambda: Approvals(0),
        lambda: Approvals(2, by=("ann",)),
        lambda: Only(()),
    ):
        with pytest.raises(InvalidValueError):
            wrong()


def test_promoting_to_the_version_that_is_there_writes_no_line(store: Store, make: Make) -> None:
    make({"auc": 0.5})
    first = store.registry.promote("m", 1, to="production", reason="first")
    store.registry.set_policy("good", "metrics.auc > 0.9")
    before = store.registry.history("m")
    again = store.registry.promote("m", 1, to="production")
    assert (again.id, again.reason, first.written, again.written) == (first.id, "first", True, False)
    assert store.registry.history("m") == before
    with pytest.raises(ConflictError):
        store.registry.promote("m", 1, to="production", expect=None)


# --- rollback --------------------------------------------------------------------------------------------------------


def test_rollback_goes_to_what_was_there_before_and_twice_one_further(store: Store, make: Make) -> None:
    registry = store.registry
    for _ in range(4):
        make({"auc": 0.5})
    for number in (1, 2, 3):
        registry.promote("m", number, to="production")
    registry.set_policy("never", "metrics.auc > 0.9")
    move = registry.rollback("m", reason="false alarms")
    assert (move.action, move.old_version, move.new_version, move.reason) == ("rollback", 3, 2, "false alarms")
    registry.remove_policy("never")
    registry.promote("m", 4, to="production")
    assert registry.rollback("m").new_version == 2, "what was rolled back is not come back to"
    assert registry.rollback("m").new_version == 1
    with pytest.raises(NotFoundError, match="no way back"):
        registry.rollback("m")
    registry.promote("m", 3, to="production")
    registry.unset_alias("m", "production")
    assert registry.rollback("m").new_version == 3, "an alias that was removed comes back"
    with pytest.raises(NotFoundError, match="did you mean 'production'"):
        registry.rollback("m", "prodution")
    with pytest.raises(ConflictError):
        registry.rollback("m", expect=1)


def test_a_version_whose_files_are_gone_is_pointed_at_by_nothing(store: Store, make: Make) -> None:
    registry = store.registry
    make({"auc": 0.1})
    with store.start_run("exp") as run:
        model = run.log_model(LogisticRegression(C=3.0).fit(X, [0, 1, 1, 1]))
    registry.register("m", model)
    for number in (1, 2):
        registry.promote("m", number, to="production")
    own = set(registry.model_of(registry.version("m", 1)).files.values()) - set(model.files.values())
    for digest in own:
        Path(store.artifact_root, digest[:2], digest).unlink()
    with pytest.raises(ModelError, match=r"m version 1 cannot be loaded any more.* its file '.*' is gone"):
        registry.rollback("m")
    with pytest.raises(ModelError, match="is gone"):
        registry.promote("m", 1, to="staging")
    assert registry.get("m").aliases == {"production": 2}


# --- races and kills -------------------------------------------------------------------------------------------------

RACER = """
import sys, trackers
from trackers.errors import ConflictError
url, act = sys.argv[1:]
with trackers.connect(url) as store:
    store.registry.get("m")
    print("ready", flush=True)
    for line in sys.stdin:
        number = int(line)
        try:
            if act == "rollback":
                store.registry.rollback("m", expect=number)
            else:
                store.registry.promote("m", int(act), to="production", expect=number)
            print("moved", flush=True)
        except ConflictError:
            print("conflict", flush=True)
"""


@pytest.mark.parametrize("acts", [("2", "2"), ("2", "3"), ("rollback", "rollback")])
def test_of_two_processes_that_expect_the_same_version_one_moves_the_alias(
    store: Store, make: Make, acts: tuple[str, str]
) -> None:
    for value in (0.5, 0.6, 0.7):
        make({"auc": value})
    store.registry.set_policy("good", "metrics.auc > 0.1", model="m")
    rounds = 5
    for number in (3, 2, 3, 2, 3, 2, 1)[: 7 if acts[0] == "rollback" else 0] or (1,):
        store.registry.promote("m", number, to="production")
    before = len(store.registry.history("m"))
    racers = [start(RACER, store.url, act) for act in acts]
    try:
        assert [racer.line() for racer in racers] == ["ready"] * 2
        for _ in range(rounds):
            now = store.registry.get("m").aliases["production"]
            for racer in racers:
                racer.tell(str(now))
            assert sorted(racer.line() for racer in racers) == ["conflict", "moved"]
            if acts[0] != "rollback":
                store.registry.promote("m", 1, to="production")
    finally:
        for racer in racers:
            racer.communicate()
    lines = store.registry.history("m")[before:]
    assert len(lines) == rounds * (1 if acts[0] == "rollback" else 2)
    assert all(line.details["policies"] for line in lines if line.action == "promote")


KILLED = """
import os, signal, sys, trackers
from trackers.sql import aliases
write = aliases.write_line
def write_and_die(*args, **kwargs):
    write(*args, **kwargs)
    os.kill(os.getpid(), signal.SIGKILL)
aliases.write_line = write_and_die
with trackers.connect(sys.argv[1]) as store:
    store.registry.promote("m", 2, to="production", expect=1)
"""


def test_a_promotion_that_is_killed_before_its_commit_leaves_nothing(store: Store, make: Make) -> None:
    for _ in range(2):
        make({"auc": 0.9})
    store.registry.set_policy("good", "metrics.auc > 0.1")
    store.registry.promote("m", 1, to="production")
    before = store.registry.history("m")
    assert start(KILLED, store.url).wait() == -signal.SIGKILL
    assert store.registry.history("m") == before
    assert store.registry.get("m").aliases == {"production": 1}
    assert store.registry.promote("m", 2, to="production", expect=1).new_version == 2


def test_two_who_set_one_policy_at_once_make_two_versions_of_it(store: Store, make: Make) -> None:
    make()
    code = (
        "import sys, trackers\n"
        "with trackers.connect(sys.argv[1]) as store:\n"
        "    for n in range(5): store.registry.set_policy('p', f'metrics.auc > {sys.argv[2]}{n}')\n"
    )
    setters = [start(code, store.url, first) for first in ("1", "2")]
    assert [setter.wait() for setter in setters] == [0, 0]
    lines = [line for line in store.registry.history("m") if line.action == "set policy"]
    assert [line.details["version"] for line in lines] == list(range(1, 11))
    assert [(p.name, p.version) for p in store.registry.policies()] == [("p", 10)]


# --- notes, lineage, comparison --------------------------------------------------------------------------------------


def test_an_alias_has_a_description_and_tags_that_move_with_it(store: Store, make: Make) -> None:
    registry = store.registry
    for _ in range(2):
        make()
    registry.promote("m", 1, to="production")
    registry.describe("m", "what the shop calls", alias="production")
    registry.set_tag("m", "owner", "risk", alias="production")
    registry.set_tag("m", "a", "b", alias="production")
    registry.promote("m", 2, to="production")
    alias = registry.aliases("m")[0]
    assert (alias.alias, alias.version, alias.description) == ("production", 2, "what the shop calls")
    assert alias.tags == {"a": "b", "owner": "risk"}
    registry.set_tag("m", "a", None, alias="production")
    assert registry.aliases("m")[0].tags == {"owner": "risk"}
    with pytest.raises(NotFoundError, match="no tag 'a' to remove: there is owner"):
        registry.set_tag("m", "a", None, alias="production")
    with pytest.raises(NotFoundError, match="did you mean 'production'"):
        registry.describe("m", "x", alias="prodution")
    with pytest.raises(InvalidValueError, match="not both"):
        registry.describe("m", "x", alias="production", version=1)
    registry.unset_alias("m", "production")
    registry.promote("m", 1, to="production")
    assert registry.aliases("m")[0].tags == {}, "a new alias of that name begins anew"


def test_lineage_is_the_same_chain_from_either_end(store: Store, make: Make) -> None:
    registry = store.registry
    version = make({"auc": 0.9}, lineage={"code": {"commit": "a" * 40, "dirty": False, "file": "train.py"}})
    make({"auc": 0.8})
    registry.promote("m", 1, to="production")
    run = store.get_run(version.run_id)  # type: ignore[arg-type]
    digest = version.lineage["data"][0]["digest"]
    kinds = [node.kind for node in registry.lineage("m@production").nodes]
    assert kinds == ["data", "code", "run", "version", "alias"]
    for ref in ("m@production", "models:/m/1", "m/1", run.uid, run.id):
        graph = registry.lineage(ref)
        chain = [f"data:{digest}", f"run:{run.id}", "version:m/1", "alias:m@production"]
        edges = {(edge.source, edge.target) for edge in graph.edges}
        assert set(pairwise(chain)) <= edges, ref
    for ref in (digest, digest[:8]):
        graph = registry.lineage(ref)
        assert graph.focus == f"data:{digest}"
        assert {node.label for node in graph.nodes if node.kind == "version"} == {"m/1", "m/2"}
    lines = to_text(registry.lineage("m@production")).splitlines()
    assert lines[:2] == ["alias m@production", "comes from"]
    assert any("commit aaaaaaaaaaaa  (train.py, clean tree)" in line for line in lines)
    for shown in (to_dot(graph), to_mermaid(graph), to_svg(graph)):
        assert "m@production" in shown
    assert registry.lineage("m/1").as_json()["nodes"][0]["facts"]["digest"] == digest


def test_what_a_refit_came_from_leads_to_the_trial_that_it_was_refitted_from(store: Store) -> None:
    registry = store.registry
    with store.start_run("exp") as first:
        first.log_input(MAY, "may")
        with store.start_run("refits", parent=first) as second:
            model = second.log_model(MODEL)
    data = [{"name": "may", "digest": data_digest(MAY).digest, "role": "train", "rows": 5}]
    code = {"commit": "a" * 40, "dirty": False}
    registry.register("m", model, lineage={"data": data, "code": code, "refit": second.uid})
    edges = {(edge.source.partition(":")[0], edge.target) for edge in registry.lineage("m/1").edges}
    expected = {("data", f"run:{first.id}"), ("code", f"run:{first.id}"), ("run", f"run:{second.id}")}
    assert edges == expected | {("run", "version:m/1")}
    chain = [node.id for node in registry.lineage(data[0]["digest"]).nodes]
    assert chain == [f"data:{data[0]['digest']}", f"run:{first.id}", f"run:{second.id}", "version:m/1"]


def test_a_lineage_of_nothing_says_what_can_be_asked(store: Store, make: Make) -> None:
    make()
    with pytest.raises(NotFoundError, match="no version, run or data 'nothing' here: write NAME@ALIAS"):
        store.registry.lineage("nothing")
    with pytest.raises(NotFoundError, match="no version 9"):
        store.registry.lineage("m/9")
    with pytest.raises(NotFoundError, match="no alias 'x'"):
        store.registry.lineage("m@x")
    for ref in ("0" * 64, "0" * 32, 77):
        with pytest.raises(NotFoundError):
            store.registry.lineage(ref)


def test_what_was_measured_is_compared_on_the_same_data_only(store: Store, make: Make) -> None:
    make({"auc": 0.5}, data=MAY)
    make({"auc": 0.75}, data=MAY)
    may, june = (data_digest(data).digest for data in (MAY, JUNE))
    for version, value in ((1, 0.25), (2, 0.5)):
        store.registry.record("m", version, {"auc": value}, data=june)
    store.registry.record("m", 1, {"auc": 0.125}, data=may)
    store.registry.record("m", 1, {"latency_ms": 2.0}, data=may)
    store.registry.record("m", 2, {"latency_ms": 3.0}, data=june)
    lines = {f"{line.section}.{line.name}": line for line in store.registry.compare("m/1", "m/2").lines}
    assert lines["metrics.auc"].difference == 0.25, "what their runs said stays"
    assert lines[f"measured.auc on {june[:12]}"].difference == 0.25
    assert lines[f"measured.auc on {may[:12]}"].challenger is None
    assert lines["measured.latency_ms"].difference == 1.0
    with pytest.raises(InvalidValueError, match="measured as auc is not a number"):
        store.registry.record("m", 1, {"auc": math.nan})


def test_two_versions_are_compared_fact_by_fact(store: Store, make: Make) -> None:
    make({"auc": 0.5, "loss": math.nan}, data=MAY)
    make({"auc": 0.75, "loss": math.nan}, data=MAY)
    make({"auc": 0.75}, data=JUNE)
    found = store.registry.compare("m/1", "m/2")
    lines = {f"{line.section}.{line.name}": line for line in found.lines}
    assert (lines["metrics.auc"].difference, lines["metrics.auc"].same) == (0.25, False)
    assert lines["metrics.loss"].same
    assert lines["params.C"].same
    assert lines["model.input"].champion == "float64 [*, 1]"
    assert found.same_data is True
    assert store.registry.compare("m/1", "m").same_data is False
    assert found.as_json()["metrics"]["auc"]["difference"] == 0.25


def test_metrics_with_a_context_belong_to_a_version_behind_the_others(store: Store, make: Make) -> None:
    make({"auc": 0.5, "zeal": 1.0}, folds=[0.25, 0.75])
    make({"auc": 0.5}, folds=[0.5, 0.75], metrics_of_the_version={"auc": 0.5})
    names = ["auc", "zeal", "auc{fold=0}", "auc{fold=1}"]
    assert list(store.registry.version("m", 1).metrics.items()) == list(zip(names, (0.5, 1.0, 0.25, 0.75), strict=True))
    lines = {line.name: line for line in store.registry.compare("m/1", "m/2").lines if line.section == "metrics"}
    assert list(lines) == names
    assert lines["auc{fold=0}"].difference == 0.25, "its run has it, though it was registered without"


def test_versions_of_which_one_knows_less_are_compared_by_what_both_know(store: Store, make: Make) -> None:
    make()
    make(lineage={"packages": {"numpy": "1.0", "scipy": "2.0"}})
    lines = {line.name: line for line in store.registry.compare("m/1", "m/2").lines if line.section == "environment"}
    assert all(line.same for line in lines.values())
    assert "scikit-learn" in lines


def test_the_registry_is_read_without_the_files(store: Store, make: Make, store_url: str) -> None:
    make()
    moved = Path(store.artifact_root).with_name("elsewhere")
    os.rename(store.artifact_root, moved)
    with trackers.connect(store_url, create=False) as other:
        assert other.registry.promote("m", 1, to="production").new_version == 1, "nobody here can tell what is there"
