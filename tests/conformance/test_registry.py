"""The registry, over every database."""

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import text

import trackers
from tests.processes import start
from tests.unit.test_model_flavours import WithSecret
from trackers import changes as c
from trackers.clock import now_us
from trackers.errors import (
    AlreadyExistsError,
    ConflictError,
    DigestError,
    InvalidValueError,
    ModelError,
    NotFoundError,
    PolicyError,
    StateError,
    TrackersError,
    UntrustedError,
)
from trackers.models import pack, save
from trackers.policy import Approvals, Better, Require
from trackers.states import RunState
from trackers.store import Store
from trackers.values import LoggedModel

pytest.importorskip("skops")

from sklearn.linear_model import LogisticRegression

X = np.array([[0.0], [1.0], [2.0], [3.0]])
MODEL = LogisticRegression().fit(X, [0, 0, 1, 1])


class Sweep:
    """A managed study whose trials have models."""

    def __init__(self, store: Store, name: str = "sweep") -> None:
        self.store = store
        row = store.create_study(name, directions=["maximize"], metric_names=["accuracy"])
        self.name, self.lease, self.number = name, store.acquire_study(row.id), 0

    def trial(self, *changes: Any) -> int:
        run_id = self.store.allocate_ids(1)[0]
        created = c.TrialCreated(run_id, self.store.new_uid(), self.number, RunState.RUNNING, now_us())
        self.number += 1
        self.lease.submit([created, *changes]).wait(30)
        return run_id

    def model(self, estimator: Any = MODEL, value: float = 0.5) -> LoggedModel:
        run_id = self.trial()
        self.log(run_id, estimator, value)
        logged = self.store.get_logged_model(run_id)
        assert logged is not None
        return logged

    def log(self, run_id: int, estimator: Any = MODEL, value: float = 0.5) -> None:
        manifest, files = pack(estimator, self.store.artifacts, input_example=X)
        logged = c.ModelLogged(
            run_id, now_us(), self.store.new_uid(), manifest=manifest, files=files, step=3, value=value
        )
        point = c.PointsLogged(run_id, "accuracy", ((3, 0, now_us(), value),))
        self.lease.submit([point, logged]).wait(30)

    def drop(self, model: LoggedModel) -> set[str]:
        self.lease.submit([c.ModelDropped(model.run_id, now_us(), "beaten by trial 9")]).wait(30)
        return self.store.drop_unreferenced(model.files.values(), grace=0)


@pytest.fixture
def sweep(store: Store) -> Iterator[Sweep]:
    made = Sweep(store)
    yield made
    made.lease.release("stopped", "the test is over")


def test_a_model_is_registered_with_what_it_came_from(store: Store, sweep: Sweep) -> None:
    model = sweep.model(value=0.75)
    version = store.registry.register(
        "fraud", model, lineage={"commit": "abc"}, source="sweep/0", description="first", tags={"by": "ann"}
    )
    assert (version.name, version.version, version.model_uid, version.run_id) == ("fraud", 1, model.uid, model.run_id)
    assert version.metrics == {"accuracy": 0.75}
    assert version.lineage["commit"] == "abc"
    assert len(version.lineage["manifest"]) == 64
    assert (version.source, version.description, version.tags) == ("sweep/0", "first", {"by": "ann"})
    assert store.registry.get("fraud").latest == 1
    assert store.registry.model_of(version) == model
    assert [move.action for move in store.registry.history("fraud")] == ["create", "register"]


def test_the_same_model_again_is_the_same_version(store: Store, sweep: Sweep) -> None:
    first, second = sweep.model(), sweep.model()
    assert [store.registry.register("m", model).version for model in (first, first, second, first)] == [1, 1, 2, 1]
    assert [version.version for version in store.registry.versions("m")] == [2, 1]
    assert len(store.registry.history("m")) == 3


def test_an_alias_is_moved_and_the_move_recorded_with_who_and_why(store: Store, sweep: Sweep) -> None:
    for _ in range(2):
        store.registry.register("m", sweep.model())
    store.registry.promote("m", 1, to="production", reason="first")
    move = store.registry.promote("m", 2, to="production", reason="better", expect=1)
    assert (move.alias, move.old_version, move.new_version, move.reason) == ("production", 1, 2, "better")
    assert move.actor
    assert move.host
    assert store.registry.version("m", "production").version == 2
    assert store.registry.version("m", "production").aliases == ("production",)
    assert store.registry.get("m").aliases == {"production": 2}
    assert store.registry.history("m")[-1] == move
    removed = store.registry.unset_alias("m", "production", expect=2)
    assert (removed.action, removed.old_version, removed.new_version) == ("unset", 2, None)
    assert store.registry.get("m").aliases == {}


def test_a_move_that_expected_something_else_changes_nothing(store: Store, sweep: Sweep) -> None:
    for _ in range(2):
        store.registry.register("m", sweep.model())
    store.registry.promote("m", 1, to="production", expect=None)
    before = store.registry.history("m")
    for expect in (None, 2):
        with pytest.raises(ConflictError, match=r"m@production points at version 1 \(.* moved it on .*\), not at"):
            store.registry.promote("m", 2, to="production", expect=expect)
    assert store.registry.get("m").aliases == {"production": 1}
    assert store.registry.history("m") == before


def test_what_is_not_there_is_named_with_what_is(store: Store, sweep: Sweep) -> None:
    registry = store.registry
    with pytest.raises(NotFoundError, match=r"no registered model named 'x': the registry is empty\."):
        registry.get("x")
    registry.create("fraud", "who steals")
    with pytest.raises(NotFoundError, match="'fraud' has no version yet"):
        store.load_model("models:/fraud")
    registry.register("fraud", sweep.model())
    registry.promote("fraud", 1, to="production")
    with pytest.raises(NotFoundError, match=r"'frud'; did you mean 'fraud'\?$"):
        registry.versions("frud")
    with pytest.raises(NotFoundError, match=r"no alias 'prodution'; did you mean 'production'\?$"):
        registry.version("fraud", "prodution")
    with pytest.raises(NotFoundError, match=r"no version 7: it has version 1\.$"):
        registry.promote("fraud", 7, to="production")
    with pytest.raises(NotFoundError, match="no alias 'old'"):
        registry.unset_alias("fraud", "old")
    with pytest.raises(NotFoundError, match="there is 'fraud'"):
        registry.promote("zzz", 1, to="production")
    with pytest.raises(AlreadyExistsError, match="'fraud' already"):
        registry.create("fraud")


def test_a_name_that_cannot_be_part_of_a_reference_is_refused(store: Store) -> None:
    for name in ["", "a/b", "a@b", "a:b", "a\0b", " a", "a" * 251, "../x"]:
        with pytest.raises(InvalidValueError):
            store.registry.create(name)
        with pytest.raises(InvalidValueError):
            store.registry.promote("m", 1, to=name)
    for name in (".", ".."):
        with pytest.raises(InvalidValueError, match=r"A model cannot be named '\.+': in paths and URLs"):
            store.registry.create(name)
    with pytest.raises(InvalidValueError, match="not a number"):
        store.registry.promote("m", 1, to="12")


def test_a_new_alias_is_told_from_those_that_are_there(store: Store, sweep: Sweep) -> None:
    registry = store.registry
    for name in ("m", "other"):
        registry.register(name, sweep.model())
    for alias in ("production,staging", "a;b", "<b>", "$(x)", "prod\u200buction", "a'b"):
        for act in (
            lambda alias: registry.promote("m", 1, to=alias),
            lambda alias: registry.check("m", 1, to=alias),
            lambda alias: registry.set_policy("p", Approvals(1), alias=alias),
        ):
            with pytest.raises(InvalidValueError, match="may have letters, digits"):
                act(alias)
    for alias in ("production", "v1.2-rc_3", "größe"):
        registry.promote("m", 1, to=alias)
    for act in (registry.promote, registry.check):
        with pytest.raises(InvalidValueError, match="'Production' differs only in case from 'production', which m has"):
            act("m", 1, to="Production")
    registry.promote("other", 1, to="Production")
    registry.set_policy("p", Approvals(1), model="m", alias="STAGING")
    with pytest.raises(InvalidValueError, match="only in case from 'STAGING', which a policy names: write 'STAGING'"):
        registry.promote("m", 1, to="staging")
    with pytest.raises(InvalidValueError, match="only in case from 'production', which m has"):
        registry.set_policy("q", Approvals(1), model="m", alias="PRODUCTION")
    with pytest.raises(InvalidValueError, match="which a model has: write 'Production'"):
        registry.set_policy("q", Approvals(1), alias="PRODUCTION")
    registry.set_policy("q", Approvals(1), alias="production")
    for than in ("PRODUCTION", "a b", "latest"):
        with pytest.raises(InvalidValueError, match="The alias"):
            registry.set_policy("r", Better("auc", than=than), model="m", alias="production")
    with pytest.raises(InvalidValueError, match="must be another word"):
        registry.set_policy("r", Approvals(1), alias="Latest")
    with pytest.raises(InvalidValueError, match="role"):
        registry.set_policy("r", Better("auc", role=""), model="m")


def test_a_rollback_makes_no_alias_that_differs_only_in_case(store: Store, sweep: Sweep) -> None:
    registry = store.registry
    registry.register("m", sweep.model())
    registry.promote("m", 1, to="Prod")
    registry.unset_alias("m", "Prod")
    registry.promote("m", 1, to="prod")
    with pytest.raises(InvalidValueError, match="only in case from 'prod'"):
        registry.rollback("m", "Prod")
    assert registry.get("m").aliases == {"prod": 1}


def test_a_move_waits_for_a_policy_for_all_models_that_is_being_set(store: Store, sweep: Sweep) -> None:
    from trackers.registry import _actor
    from trackers.sql.policies import NewPolicy, set_policy

    registry = store.registry
    registry.register("m", sweep.model(value=0.5))
    new = NewPolicy("good", Require("params.nothing = 1"), alias="production")
    with ThreadPoolExecutor(1) as other:
        with store.database.writing() as connection:
            set_policy(connection, new, _actor())
            move = other.submit(registry.promote, "m", 1, to="production")
            with pytest.raises(TimeoutError):
                move.result(timeout=1.0)
        with pytest.raises(PolicyError):
            move.result(timeout=30.0)
    assert registry.get("m").aliases == {}


def test_an_odd_alias_of_an_older_store_is_listed_moved_and_removed(store: Store, sweep: Sweep) -> None:
    registry = store.registry
    for value in (0.5, 0.6):
        registry.register("m", sweep.model(value=value))
    with pytest.MonkeyPatch.context() as before:
        before.setattr("trackers.sql.aliases.check_new_alias", lambda *asked: None)
        for alias in ("production", "Production", "a;b"):
            registry.promote("m", 1, to=alias)
    assert [one.alias for one in registry.aliases("m")] == ["Production", "a;b", "production"]
    for alias in ("Production", "a;b"):
        assert registry.version("m", alias).version == 1
        assert registry.promote("m", 2, to=alias).new_version == 2
        registry.set_policy("p" + alias, Approvals(1), model="m", alias=alias)
        registry.unset_alias("m", alias)
    assert registry.get("m").aliases == {"production": 1}


def test_a_version_is_a_positive_number(store: Store) -> None:
    for version in (0, -1, True, "v1", "one", "0", 1.0, 2**40, np.array([1])):
        with pytest.raises(InvalidValueError, match="A version is a number"):
            store.registry.promote("m", version, to="production")  # type: ignore[arg-type]


def test_a_version_is_named_by_any_integer_its_digits_or_as_the_latest(store: Store, sweep: Sweep) -> None:
    registry = store.registry
    for value in (0.5, 0.6):
        registry.register("m", sweep.model(value=value))
    for number in (1, "1", np.int64(1)):
        assert registry.version("m", number).version == 1
        registry.promote("m", number, to="production", expect=None)
        registry.describe("m", "first", version=number)
        registry.record("m", number, {"auc": 0.5})
        registry.unset_alias("m", "production", expect=number)  # type: ignore[arg-type]
    assert registry.version("m", "latest").version == registry.find("m@latest").version == 2
    assert registry.lineage("m@latest") == registry.lineage("m/2")
    for ref in (99999999999999, "99999999999999"):
        with pytest.raises(NotFoundError, match="has no version 99999999999999: its versions are 1 to 2"):
            registry.version("m", ref)
    with pytest.raises(NotFoundError, match="has no alias 'v2', and a version is a number: write 2"):
        registry.version("m", "v2")
    registry.create("empty")
    with pytest.raises(NotFoundError, match="'empty' has no version yet"):
        registry.version("empty", "latest")


def test_a_run_is_registered_by_its_only_model(store: Store, sweep: Sweep) -> None:
    registry = store.registry
    with store.start_run("exp") as run:
        model = run.log_model(MODEL)
        assert registry.register("m", run).model_uid == model.uid
    assert registry.register("m", store.get_run(run.uid)).version == 1
    with store.start_run("exp") as two:
        for name in ("model", "other"):
            two.log_model(MODEL, name=name)
    with pytest.raises(
        InvalidValueError, match=f"has 2 models: name one, runs:/{two.uid}/model or runs:/{two.uid}/oth"
    ):
        registry.register("m", two)
    with store.start_run("exp") as none:
        pass
    with pytest.raises(NotFoundError, match="has no model: it logged none"):
        registry.register("m", store.get_run(none.uid))


def test_descriptions_and_tags_are_kept_and_recorded(store: Store, sweep: Sweep) -> None:
    registry = store.registry
    registry.register("m", sweep.model())
    registry.describe("m", "what it is")
    registry.describe("m", "the first", version=1)
    registry.set_tag("m", "team", "risk")
    registry.set_tag("m", "reviewed", "yes", version=1)
    registry.set_tag("m", "reviewed", "by ann", version=1)
    assert (registry.get("m").description, registry.get("m").tags) == ("what it is", {"team": "risk"})
    assert (registry.version("m", 1).description, registry.version("m", 1).tags) == (
        "the first",
        {"reviewed": "by ann"},
    )
    registry.set_tag("m", "team", None)
    assert registry.get("m").tags == {}
    assert len(registry.history("m")) == 8
    assert [model.name for model in registry.list()] == ["m"]


def test_the_history_cannot_be_changed_even_by_hand(store: Store, sweep: Sweep) -> None:
    store.registry.register("m", sweep.model(), reason="because")
    before = store.registry.history("m")
    for statement in ("UPDATE trackers_registry_history SET reason = 'x'", "DELETE FROM trackers_registry_history"):
        with pytest.raises(TrackersError, match="append-only"), store.database.writing() as connection:
            connection.execute(text(statement))
    assert store.registry.history("m") == before


RACER = """
import sys, trackers
from trackers.errors import ConflictError
url, version = sys.argv[1], int(sys.argv[2])
with trackers.connect(url) as store:
    store.registry.get("m")
    print("ready", flush=True)
    sys.stdin.readline()
    for round_number in range(5):
        try:
            store.registry.promote("m", version, to=f"alias-{round_number}", expect=None)
            print("moved", flush=True)
        except ConflictError:
            print("conflict", flush=True)
        sys.stdin.readline()
"""


def test_of_two_processes_that_move_one_alias_exactly_one_is_told_of_a_conflict(store: Store, sweep: Sweep) -> None:
    for _ in range(2):
        store.registry.register("m", sweep.model())
    racers = [start(RACER, store.url, version) for version in ("1", "2")]
    try:
        assert [racer.line() for racer in racers] == ["ready"] * 2
        for _ in range(5):
            for racer in racers:
                racer.tell("go")
            assert sorted(racer.line() for racer in racers) == ["conflict", "moved"]
    finally:
        for racer in racers:
            racer.communicate("go\n")
    moves = [move for move in store.registry.history("m") if move.action == "promote"]
    assert [move.alias for move in moves] == [f"alias-{n}" for n in range(5)]
    assert store.registry.get("m").aliases == {move.alias: move.new_version for move in moves}


def test_a_version_that_is_deleted_leaves_its_line_and_its_number(store: Store, sweep: Sweep) -> None:
    registry = store.registry
    models = [sweep.model() for _ in range(3)]
    for model in models:
        registry.register("m", model, tags={"a": "b"})
    for version in (2, 3, 1):
        registry.promote("m", version, to="production")
    registry.approve("m", 2)
    registry.record("m", 2, {"auc": 0.5})
    with pytest.raises(StateError, match="m version 1 is production: move or remove the alias first"):
        registry.delete_version("m", 1)
    move = registry.delete_version("m", 3, reason="trained on the wrong data")
    assert (move.action, move.old_version, move.new_version) == ("delete", 3, None)
    assert move.details["model"] == models[2].uid
    assert (move.reason, move.details["metrics"]) == ("trained on the wrong data", {"accuracy": 0.5})
    with pytest.raises(NotFoundError, match="no version 3: its versions are 1 to 2"):
        registry.version("m", 3)
    assert registry.rollback("m").new_version == 2, "what was deleted is passed over"
    assert registry.register("m", models[2]).version == 4, "no number is given twice"
    with pytest.raises(NotFoundError, match="no version 3: its versions are 1, 2, 4"):
        registry.delete_version("m", 3)
    assert store.get_logged_model(models[2].run_id) is not None


def test_every_rollback_goes_one_further_back_whatever_was_deleted(store: Store, sweep: Sweep) -> None:
    registry = store.registry
    for _ in range(5):
        registry.register("m", sweep.model())
    for version in (1, 2, 3, 4):
        registry.promote("m", version, to="production")
    registry.delete_version("m", 3)
    assert [registry.rollback("m").new_version for _ in range(2)] == [2, 1]
    with pytest.raises(NotFoundError, match="there is no way back"):
        registry.rollback("m")
    registry.promote("m", 5, to="production")
    assert registry.rollback("m").new_version == 1


def test_a_registered_model_that_is_deleted_leaves_its_history(store: Store, sweep: Sweep) -> None:
    registry = store.registry
    for _ in range(2):
        registry.register("m", sweep.model())
    registry.set_policy("good", "metrics.accuracy >= 0.25", model="m")
    registry.promote("m", 1, to="production")
    with pytest.raises(StateError, match="m version 1 is production"):
        registry.delete("m")
    registry.unset_alias("m", "production")
    assert registry.delete("m", reason="a typing error").details == {"versions": [1, 2], "policies": ["good"]}
    assert registry.list() == []
    assert [line.action for line in registry.history("m")][-3:] == ["delete"] * 3
    with pytest.raises(NotFoundError, match="the registry is empty"):
        registry.get("m")
    assert registry.register("m", sweep.model()).version == 3
    assert registry.policies("m") == []
    assert store.fsck().findings == ()


def test_many_who_register_at_once_get_dense_versions(store: Store, store_url: str, sweep: Sweep) -> None:
    models = [sweep.model() for _ in range(6)]
    with trackers.connect(store_url) as other, ThreadPoolExecutor(6) as pool:
        stores = [store, other, store, other, store, other]
        made = list(
            pool.map(lambda pair: pair[0].registry.register("new", pair[1]).version, zip(stores, models, strict=True))
        )
    assert sorted(made) == [1, 2, 3, 4, 5, 6]
    moves = store.registry.history("new")
    assert [move.action for move in moves].count("create") == 1
    assert [move.new_version for move in moves if move.action == "register"] == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)  # a process that loads is seconds of its own
def test_every_reference_loads_the_model_in_a_process_that_never_saw_it(store: Store, sweep: Sweep) -> None:
    model = sweep.model()
    store.registry.register("digits", model)
    store.registry.promote("digits", 1, to="production")
    uid = store.get_trial(sweep.lease.study.id, 0).uid
    code = (
        "import sys, numpy as np, trackers\n"
        "for ref in sys.argv[1:]: print(trackers.load_model(ref).predict([[0.0], [3.0]]).tolist())\n"
        "assert not {'hpo', 'ray', 'optuna'} & set(sys.modules)\n"
    )
    refs = ["models:/digits@production", "models:/digits/1", "models:/digits", model.uid]
    if hasattr(store, "get_run"):
        refs += ["runs:/sweep/0", f"runs:/{uid}", uid]
    environment = {**os.environ, "HPO_STORAGE": store.url}
    done = subprocess.run([sys.executable, "-c", code, *refs], env=environment, capture_output=True, text=True)
    assert done.stderr == ""
    assert done.stdout.splitlines() == ["[0, 1]"] * len(refs)


def test_a_reference_that_names_no_model_says_which_forms_there_are(store: Store) -> None:
    for ref in [
        "digits",
        "models:/",
        "models:/@x",
        "models:/a@",
        "runs:/",
        "file:///etc/passwd",
        "/etc",
        "./x",
        "",
        "a" * 999,
    ]:
        with pytest.raises(InvalidValueError, match="names no model: use models:/NAME@ALIAS"):
            store.load_model(ref)


def test_a_damaged_file_of_a_registered_model_is_refused(store: Store, sweep: Sweep) -> None:
    model = sweep.model()
    store.registry.register("m", model)
    digest = model.files["model.skops"]
    path = Path(store.artifact_root, digest[:2], digest)
    path.chmod(0o644)
    path.write_bytes(b"x" * path.stat().st_size)
    with pytest.raises(DigestError, match="damaged"):
        store.load_model("models:/m")


def test_trust_comes_from_the_caller_through_every_door(store: Store, sweep: Sweep) -> None:
    store.registry.register("m", sweep.model(WithSecret().fit(X, [0, 0, 1, 1])))
    with pytest.raises(UntrustedError, match=r"test_model_flavours\.Secret"):
        store.load_model("models:/m")
    assert len(store.load_model("models:/m", trust=True).predict(X)) == 4


def test_a_model_that_was_beaten_loses_its_files_but_for_what_others_need(store: Store, sweep: Sweep) -> None:
    beaten, kept = sweep.model(), sweep.model()
    shared = set(beaten.files.values()) & set(kept.files.values())
    gone = sweep.drop(beaten)
    assert gone == set(beaten.files.values()) - shared
    assert shared, "the two have equal requirements"
    assert store.get_logged_model(beaten.run_id) is None
    dropped = store.get_logged_model(beaten.run_id, dropped=True)
    assert dropped is not None
    assert dropped.deleted_why == "beaten by trial 9"
    assert store.list_logged_models([beaten.run_id, kept.run_id]) == [kept]
    with pytest.raises(ModelError, match=r"not kept \(beaten by trial 9\)"):
        store.registry.register("m", beaten)
    assert store.registry.list() == [], "a registration that failed leaves no name behind"
    with pytest.raises(ModelError, match="beaten by trial 9"):
        store.load_model(beaten.uid)
    assert store.load_model(kept.uid).predict(X).tolist() == [0, 0, 1, 1]


def test_a_dropped_model_takes_no_room_and_the_same_model_can_be_logged_again(store: Store, sweep: Sweep) -> None:
    kept = sweep.model()
    before = store.du()
    beaten = sweep.model(LogisticRegression(C=0.25).fit(X, [0, 0, 1, 1]))
    assert store.du().file_bytes > before.file_bytes
    assert sweep.drop(beaten)
    after = store.du()
    assert (after.files, after.file_bytes, after.unused_files) == (before.files, before.file_bytes, 0)
    sweep.log(beaten.run_id, LogisticRegression(C=0.25).fit(X, [0, 0, 1, 1]))
    assert store.du().files > after.files
    assert store.load_model(kept.uid).predict(X).tolist() == [0, 0, 1, 1]


def test_a_registered_model_keeps_its_files_whatever_becomes_of_its_trial(store: Store, sweep: Sweep) -> None:
    model = sweep.model()
    store.registry.register("m", model)
    assert sweep.drop(model) == set()
    assert store.load_model("models:/m").predict(X).tolist() == [0, 0, 1, 1]
    sweep.log(model.run_id)  # a better model of the same trial replaces it
    assert store.drop_unreferenced(model.files.values(), grace=0) == set()
    assert store.load_model("models:/m/1").predict(X).tolist() == [0, 0, 1, 1]


def test_a_file_that_somebody_stored_a_moment_ago_is_not_dropped(store: Store, sweep: Sweep) -> None:
    model = sweep.model()
    folder = store.artifacts.get_files(model.files, Path(store.artifact_root).parent / "copy")
    store.artifacts.put_folder(folder)  # another worker, whose commit is still on its way
    sweep.lease.submit([c.ModelDropped(model.run_id, now_us(), "beaten")]).wait(30)
    assert store.drop_unreferenced(model.files.values()) == set()
    assert store.artifacts.exists(model.files["model.skops"])


def test_files_that_artifacts_and_checkpoints_refer_to_are_not_dropped(store: Store, sweep: Sweep) -> None:
    artifact, checkpoint, orphan = (store.artifacts.put_bytes(data) for data in (b"a", b"c", b"o"))
    run_id = sweep.trial()
    logged = c.ArtifactsLogged(run_id, now_us(), {"a.txt": artifact})
    saved = c.CheckpointSaved(run_id, now_us(), *checkpoint)
    sweep.lease.submit([logged, saved]).wait(30)
    digests = [artifact[0], checkpoint[0], orphan[0]]
    assert store.drop_unreferenced(digests, grace=0) == {orphan[0]}
    assert store.drop_unreferenced([], grace=0) == set()


def test_nothing_is_dropped_where_another_store_keeps_its_files_too(store: Store, tmp_path: Path) -> None:
    with trackers.connect(f"sqlite:///{tmp_path}/second.db", artifacts=store.artifact_root) as second:
        digest, _ = second.artifacts.put_bytes(b"shared")
        assert store.drop_unreferenced([digest], grace=0) == set()
        assert second.artifacts.exists(digest)


def test_who_only_reads_leaves_no_trace_in_the_artifacts(store: Store, store_url: str) -> None:
    with trackers.connect(store_url, create=False) as reader:
        assert not reader.artifacts.reachable()
        assert not Path(store.artifact_root).exists()
    assert store.artifacts.reachable()
    with trackers.connect(store_url, create=False) as reader:
        assert reader.artifacts.reachable()


def test_a_folder_is_registered_with_a_run_of_its_own_and_no_code(store: Store, tmp_path: Path) -> None:
    store.create_study("sweep", directions=["maximize"], metric_names=["accuracy"])
    save(MODEL, tmp_path / "bought", input_example=X)
    with pytest.raises(AlreadyExistsError, match="'sweep' is a study"):
        store.registry.register("toy", tmp_path / "bought", experiment="sweep")
    version = store.registry.register("toy", tmp_path / "bought")
    assert version.run_id is not None
    run = store.get_run(version.run_id)
    assert (run.experiment, run.state, run.tags) == ("default", RunState.COMPLETE, {"source": f"{tmp_path}/bought"})
    assert store.launch(run) is None
    assert "code" not in version.lineage
    assert store.registry.register("toy", tmp_path / "bought").version == 1
    store.delete_run(run)
    assert store.registry.register("toy", store.load_model("models:/toy")).version == 1
    assert list(store.load_model("models:/toy").predict(X)) == [0, 0, 1, 1]
    assert store.fsck().findings == ()
