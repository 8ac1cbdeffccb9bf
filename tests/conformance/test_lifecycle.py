"""Runs and experiments renamed, archived, deleted in two steps and restored."""

from __future__ import annotations

from typing import Any

import pytest

import hpo
from trackers.cli.exit import run_command
from trackers.errors import AlreadyExistsError, InvalidValueError, NotFoundError, StateError
from trackers.store import Store


def named(store: Store, view: str = "active", **search: Any) -> list[str]:
    return sorted(run.name for run in store.search_runs(view=view, **search))


@pytest.fixture
def family(store: Store) -> dict[str, Any]:
    """Return a parent, its child, its grandchild, and a stranger."""
    with (
        store.start_run("e", name="parent") as parent,
        parent.start_run(name="child") as child,
        child.start_run("elsewhere", name="grandchild") as grandchild,
    ):
        pass
    with store.start_run("e", name="stranger") as stranger:
        pass
    return {"parent": parent, "child": child, "grandchild": grandchild, "stranger": stranger}


def test_a_run_takes_its_children_along_and_brings_them_back(store: Store, family: dict[str, Any]) -> None:
    store.delete_run(family["grandchild"])
    assert store.delete_run(family["parent"]) == 2
    assert store.delete_run(family["parent"]) == 0
    assert named(store) == ["stranger"]
    assert named(store, "deleted") == ["child", "grandchild", "parent"]
    assert named(store, "all") == ["child", "grandchild", "parent", "stranger"]
    assert sum(store.count_runs().values()) == 1
    gone = store.get_run(family["child"])
    assert gone.deleted_at is not None
    with pytest.raises(StateError, match="was deleted too: restore that one"):
        store.restore_run(family["child"])
    assert store.restore_run(family["parent"].uid) == 2, "what went before it does not come back with it"
    assert named(store) == ["child", "parent", "stranger"]
    with pytest.raises(StateError, match=r"was not deleted$"):
        store.restore_run(family["parent"])
    store.archive_run(family["stranger"])
    with pytest.raises(
        StateError, match=r"was not deleted, but archived: `trackers archive [0-9a-f]{16} --undo` shows it"
    ):
        store.restore_run(family["stranger"])
    store.archive_run(family["stranger"], archived=False)
    store.restore_run(family["grandchild"])
    assert named(store, "deleted") == []


def test_nothing_is_written_to_what_was_deleted(store: Store) -> None:
    run = store.start_run("e")
    other = store.start_run("e")
    run.flush()
    store.delete_run(run)
    for write in (
        lambda: run.log_metric("m", 1.0),
        lambda: run.log_params({"p": 1}),
        lambda: run.set_tag("t", 1),
        lambda: run.log_text("x", "x.txt"),
    ):
        write()
        with pytest.raises(StateError, match=f"run {run.uid} was deleted"):
            run.flush()
    other.log_metric("m", 1.0)
    other.flush()
    for refused in (lambda: store.resume_run(run), run.end):
        with pytest.raises(StateError, match="was deleted"):
            refused()
    with pytest.raises(NotFoundError, match="was deleted"):
        store.start_run(parent=run)
    found = store.get_run(run)
    assert (found.metrics, found.params, found.tags, store.list_artifacts(run)) == ({}, {}, {}, [])
    store.delete_experiment("e")
    other.log_metric("m", 2.0)
    with pytest.raises(StateError, match="was deleted"):
        other.flush()


def test_a_trial_is_archived_and_never_deleted_alone(store: Store) -> None:
    study = hpo.create_study(study_name="s", storage=store, sampler="random", pruner="none")
    study.optimize(lambda trial: 1.0, n_trials=3)
    with pytest.raises(StateError, match="is a trial: archive it, or delete its study"):
        store.delete_run("s/1")
    store.archive_run("s/1")
    assert [run.number for run in store.search_runs(experiments="s", order_by="attributes.number asc")] == [0, 2]
    assert [run.number for run in store.search_runs(view="archived")] == [1]
    store.archive_run("s/1", archived=False)
    assert len(store.search_runs(experiments="s")) == 3
    store.delete_experiment("s")
    assert (len(store.search_runs()), len(store.search_runs(view="deleted"))) == (0, 3)
    assert [row.name for row in store.list_studies()] == []
    store.restore_experiment("s")
    assert [run.number for run in store.search_runs(experiments="s", order_by="attributes.number asc")] == [0, 1, 2]
    study.optimize(lambda trial: 2.0, n_trials=1)
    assert len(store.search_runs(experiments="s")) == 4


def test_an_experiment_is_archived_with_its_runs(store: Store, family: dict[str, Any]) -> None:
    store.archive_experiment("e")
    assert named(store) == ["grandchild"]
    assert named(store, "archived") == ["child", "parent", "stranger"]
    assert [one.name for one in store.list_experiments()] == ["elsewhere"]
    assert [(one.name, one.archived) for one in store.list_experiments("archived")] == [("e", True)]
    store.delete_run(family["stranger"])
    assert named(store, "archived") == ["child", "parent"]
    store.archive_experiment("e", archived=False)
    assert named(store) == ["child", "grandchild", "parent"]


def test_a_name_that_was_taken_meanwhile_is_told(store: Store, family: dict[str, Any]) -> None:
    old = store.get_experiment("e")
    store.delete_experiment("e")
    assert named(store) == ["grandchild"]
    with pytest.raises(NotFoundError):
        store.get_experiment("e")
    with store.start_run("e", name="newcomer"):
        pass
    with pytest.raises(AlreadyExistsError, match="another experiment named 'e': restore this one under another name"):
        store.restore_experiment(old.id)
    store.restore_experiment("e", "e-of-old")
    assert named(store, experiments="e-of-old") == ["child", "parent", "stranger"]
    assert named(store, experiments="e") == ["newcomer"]
    with pytest.raises(StateError, match=r"was not deleted$"):
        store.restore_experiment("e-of-old")
    store.archive_experiment("e-of-old")
    with pytest.raises(StateError, match="was not deleted, but archived: `trackers archive e-of-old --undo` shows it"):
        store.restore_experiment("e-of-old")
    store.archive_experiment("e-of-old", archived=False)
    with pytest.raises(NotFoundError, match="nothing was deleted"):
        store.restore_experiment("e-of-odl")


def test_names_change(store: Store, family: dict[str, Any]) -> None:
    store.rename_experiment("e", "renamed")
    store.rename_run(family["child"], "grown up")
    assert store.get_run(family["child"]).name == "grown up"
    assert store.get_run(family["child"]).experiment == "renamed"
    with pytest.raises(AlreadyExistsError, match="named 'elsewhere'"):
        store.rename_experiment("renamed", "elsewhere")
    with pytest.raises(InvalidValueError, match="slash"):
        store.rename_experiment("renamed", "a/b")
    with pytest.raises(InvalidValueError):
        store.rename_run(family["child"], "a\nb")
    with pytest.raises(InvalidValueError, match="a view is one of"):
        store.search_runs(view="gone")
    with store.start_run("e", name="the name is free again"):
        pass


def test_what_is_past_its_grace_is_listed(store: Store, family: dict[str, Any]) -> None:
    store.delete_run(family["parent"])
    store.delete_experiment("elsewhere")
    assert store.list_expired() == []
    assert [(one.kind, one.name) for one in store.list_expired(0)] == [
        ("experiment", "elsewhere"),
        ("run", "parent"),
        ("run", "child"),
    ]
    with pytest.raises(InvalidValueError, match="grace period"):
        store.list_expired(-1)


def test_pages_of_a_view_are_its_own(store: Store) -> None:
    for index in range(5):
        with store.start_run("e", name=str(index)) as run:
            pass
        store.delete_run(run)
    page = store.search_runs(view="deleted", limit=2)
    assert len(store.search_runs(view="deleted", limit=5, page_token=page.next_token)) == 3
    with pytest.raises(InvalidValueError):
        store.search_runs(view="all", page_token=page.next_token)


def test_all_of_it_from_the_terminal(store: Store, family: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    def call(*words: str) -> tuple[int, str]:
        code = run_command([*words, "--storage", store.url])
        seen = capsys.readouterr()
        return code, seen.out + seen.err

    uid = family["parent"].uid
    assert call("rename", "e", "f") == (0, "The experiment e is called f now.\n")
    assert call("rename", uid, "top")[0] == 0
    code, said = call("delete", uid)
    assert (code, "must be confirmed: give --yes" in said) == (2, True)
    assert call("delete", uid, "--yes") == (
        0,
        f"Deleted {uid} with 2 runs inside it; `trackers restore {uid}` brings it back, for 30 days.\n",
    )
    assert "top" not in call("runs")[1]
    assert "top" in call("runs", "--view", "deleted")[1]
    assert call("restore", uid) == (0, f"{uid} is back.\n")
    assert call("archive", uid)[0] == 0
    assert "top" in call("search", "--view", "archived")[1]
    assert call("archive", uid, "--undo")[0] == 0
    assert call("delete", "f", "--yes")[0] == 0
    assert "f " not in call("experiments")[1]
    assert "f " in call("experiments", "--view", "deleted")[1]
    store.create_experiment("f")
    code, said = call("restore", "f")
    assert (code, "--as NAME" in said) == (2, True)
    assert call("restore", "f", "--as", "g", "--json")[0] == 0
    assert named(store, experiments="g") == ["child", "stranger", "top"]
    assert call("sync") == (0, "No journal waits.\n")


def test_runs_and_experiments_are_tagged_and_described_after_their_end(store: Store) -> None:
    with store.start_run("e", tags={"team": "risk", "old": "x"}) as run:
        pass
    store.tag_run(run, {"team": "fraud", "looked": True, "long": "ü" * 10_000, "old": None})
    assert store.get_run(run.uid).tags == {"team": "fraud", "looked": "True", "long": "ü" * 10_000}
    assert [one.uid for one in store.search_runs("tags.team = 'fraud' and tags.looked = 'True'")] == [run.uid]
    assert len(store.search_runs("tags.team = 'risk'")) == 0
    with pytest.raises(NotFoundError, match="The run has no tag 'old': it has long, looked, team"):
        store.tag_run(run, {"old": None})
    store.tag_experiment("e", {"owner": "ann"})
    store.tag_experiment("e", {"owner": "bob", "year": 2026})
    store.describe_experiment("e", "who steals")
    found = store.get_experiment("e")
    assert (dict(found.tags), found.description) == ({"owner": "bob", "year": "2026"}, "who steals")
    store.delete_run(run)
    with pytest.raises(StateError, match="deleted"):
        store.tag_run(run, {"a": "b"})
    assert store.fsck().findings == ()


def test_a_secret_in_a_tag_is_hidden_whoever_sets_it(store: Store) -> None:
    run = store.start_run("exp")
    run.end()
    store.tag_run(run.uid, {"db_password": "hunter2", "repo": "https://u:pw9@h/x", "team": "risk"})
    store.create_experiment("other", tags={"api_key": "hunter2"})
    assert store.get_run(run.uid).tags == {"db_password": "***", "repo": "https://***@h/x", "team": "risk"}
    assert store.get_experiment("other").tags == {"api_key": "***"}
    store.tag_run(run.uid, {"team": None})
    assert "team" not in store.get_run(run.uid).tags
