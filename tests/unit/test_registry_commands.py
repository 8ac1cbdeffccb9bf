from __future__ import annotations

import json
import os
import pwd
import shutil
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
from click.shell_completion import ShellComplete

import hpo as package
import trackers
from hpo.cli.app import hpo
from hpo.cli.exit import run_command as run_hpo
from trackers.cli.app import trackers as trackers_command
from trackers.cli.exit import run_command
from trackers.errors import InvalidValueError
from trackers.models import load, save
from trackers.processes import user_name
from trackers.states import RunState
from trackers.store import Store
from trackers.wording import short_uid

pytest.importorskip("skops")

from sklearn.linear_model import LogisticRegression

X = np.array([[0.0], [1.0], [2.0], [3.0]])
MODEL = LogisticRegression().fit(X, [0, 0, 1, 1])
EVIL = '\x1b]0;x\x07<b>&"`#'


@pytest.fixture(autouse=True)
def only_the_code_that_a_test_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let runs know nothing of the code of this process."""
    monkeypatch.setattr("trackers.tracking.Tracking.own_launch", lambda self: None)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a store with three versions of ``fraud``, the same data under each."""
    folder = tmp_path_factory.mktemp("made")
    with (
        pytest.MonkeyPatch.context() as patch,
        trackers.connect(f"sqlite:///{folder}/hpo.db") as opened,
    ):
        patch.setattr("trackers.tracking.Tracking.own_launch", lambda self: None)
        for auc in (0.7, 0.8, 0.85):
            with opened.start_run("exp", params={"C": auc}) as run:
                run.log_input(X, "may")
                run.log_metrics({"auc": auc})
                model = run.log_model(MODEL, input_example=X[:2])
            opened.registry.register("fraud", model, source="exp")
    return folder


@pytest.fixture
def store(made: Path, tmp_path: Path) -> Iterator[Store]:
    """A store of the test's own, as ``made`` is."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    with trackers.connect(f"sqlite:///{tmp_path}/hpo.db") as opened:
        yield opened


@pytest.fixture
def call(store: Store, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return what calls ``trackers`` on that store: arguments in, exit code and both outputs out."""
    monkeypatch.setenv("HPO_STORAGE", store.url)
    monkeypatch.setenv("COLUMNS", "80")

    def run(*args: str) -> tuple[int, str, str]:
        code = run_command(list(args))
        out, err = capsys.readouterr()
        return code, out, err

    return run


def test_a_dry_run_says_which_policies_hold_with_what_figures_and_changes_nothing(call: Any, store: Store) -> None:
    call("policy", "add", "good", "--model", "fraud", "--alias", "production", "--require", "metrics.auc >= 0.75")
    call("policy", "add", "small", "--max-size", "100MB")
    code, out, err = call("promote", "fraud", "1", "--to", "production", "--dry-run")
    assert (code, err) == (1, "")
    assert "FAILS  good: metrics.auc >= 0.75\n         metrics.auc is 0.7\n" in out
    assert "holds  small: at most 100 MB" in out
    assert out.endswith("fraud@production would not move to version 1; nothing was changed.\n")
    code, out, _ = call("promote", "fraud", "2", "--to", "production", "--dry-run", "--json")
    said = json.loads(out)
    assert (code, said["holds"], said["points_at"], said["version"]) == (0, True, None, 2)
    assert said["policies"][1]["figures"] == {"metrics.auc": 0.8}
    assert store.registry.get("fraud").aliases == {}


def test_what_is_refused_ends_with_1_and_what_is_forced_is_recorded(call: Any, store: Store) -> None:
    call("policy", "add", "good", "--require", "metrics.auc >= 0.75")
    code, out, err = call("promote", "fraud", "1", "--to", "production")
    assert (code, "FAILS  good" in out) == (1, True)
    assert err == (
        "Error: fraud version 1 did not become production: 1 of 1 policy does not hold. Mend that, or give --force "
        "and a --reason.\n"
    )
    code, out, _ = call("promote", "fraud", "1", "--to", "production", "--json")
    assert (code, json.loads(out)["written"]) == (1, False)
    assert call("promote", "fraud", "1", "--to", "production", "--force")[0] == 2
    code, out, _ = call("promote", "fraud", "1", "--to", "production", "--force", "--reason", "down")
    assert code == 0
    assert "Forced, though good does not hold.\nfraud@production now points at version 1.\n" in out
    code, out, _ = call("promote", "fraud", "1", "--to", "production")
    assert (code, out) == (0, "fraud@production points at version 1 already: nothing was changed.\n")
    assert "production, forced: nothing -> 1, over good" in call("history", "fraud")[1]
    assert json.loads(call("history", "fraud", "--alias", "production", "--json")[1])[0]["details"]["forced"] == [
        "good"
    ]


def test_a_model_is_told_with_its_policies(call: Any) -> None:
    call("policy", "add", "good", "--model", "fraud", "--require", "metrics.auc >= 0.75")
    (told,) = json.loads(call("models", "fraud", "--json")[1])["policies"]
    assert (told["name"], told["says"]) == ("good", "metrics.auc >= 0.75")


def test_rollback_says_where_the_alias_points_now(call: Any) -> None:
    for version in ("1", "3"):
        call("promote", "fraud", version, "--to", "production")
    code, out, _ = call("rollback", "fraud", "--reason", "false alarms")
    assert (code, out.splitlines()[0]) == (0, "fraud@production now points at version 1 (before: version 3).")
    assert call("rollback", "fraud")[0] == 2
    assert "production: 3 -> 1, rolled back" in call("models", "fraud")[1]


def test_policies_are_added_listed_and_removed(call: Any) -> None:
    assert call("policy", "list") == (0, "No policy is in force.\n", "")
    added = call(
        "policy", "add", "b", "--model", "fraud", "--alias", "production", "--better", "auc", "--margin", "0.01"
    )
    assert added[1] == (
        "Policy b (version 1), for fraud, alias production: auc higher than the champion's by 2 standard errors and "
        "0.01, on the same data.\nOf auc higher is better: --minimize for the other way.\n"
    )
    call(
        "policy",
        "add",
        "loss",
        "--better",
        "loss",
        "--minimize",
        "--sigmas",
        "1",
        "--than",
        "champion",
        "--role",
        "test",
    )
    call("policy", "add", "eyes", "--approvals", "2", "--by", "ann", "--by", "bob")
    call("policy", "add", "clean", "--committed")
    call("policy", "add", "owners", "--only", "ann")
    rules = {one["name"]: one["says"] for one in json.loads(call("policy", "list", "--json")[1])}
    assert rules["eyes"] == "2 approvals of ann, bob"
    assert rules["loss"] == "loss lower than @champion's by 1 standard errors, on the same test data"
    assert set(rules) == {"b", "loss", "eyes", "clean", "owners"}
    assert call("policy", "list", "--model", "fraud", "--alias", "x")[1].splitlines()[0].split()[:2] == [
        "policy",
        "model",
    ]
    assert call("policy", "remove", "clean")[1] == "Policy clean for all models is in force no more.\n"
    assert json.loads(call("policy", "remove", "b", "--model", "fraud", "--json")[1]) == {
        "model": "fraud",
        "removed": "b",
    }


def test_a_part_of_a_value_may_be_written_in_percent(call: Any, store: Store) -> None:
    for written, part in (("5%", 0.05), ("0.05", 0.05), ("100%", 1.0), ("150 %", 1.5)):
        said = call("policy", "add", "p", "--better", "auc", "--minimize", "--relative", written)
        assert (said[0], said[1].count("\n"), said[2]) == (0, 1, ""), "which way is asked for by --minimize"
        assert store.registry.policies()[0].rule.relative == pytest.approx(part)  # type: ignore[union-attr]


def test_a_policy_for_an_alias_that_is_not_there_says_so(call: Any) -> None:
    call("promote", "fraud", "1", "--to", "production")
    add = ("policy", "add", "p", "--committed")
    noted = call(*add, "--model", "fraud", "--alias", "prodution", "--json")
    assert noted[2] == "fraud has no alias prodution yet; did you mean production?\n"
    assert json.loads(noted[1])["alias"] == "prodution"
    assert call(*add, "--alias", "x")[2] == "No model has the alias x yet; there are production.\n"
    for rest in (("q", "--alias", "production"), ("r", "--model", "fraud")):
        assert call("policy", "add", *rest, "--committed")[2] == ""


def test_notes_are_taken_of_models_versions_and_aliases(call: Any, store: Store) -> None:
    call("promote", "fraud", "2", "--to", "production")
    for target in ("fraud", "fraud/2", "fraud@production"):
        assert call("describe", target, f"about {target}")[0] == 0
        assert call("tag", target, "owner=risk", "a=b=c", "x=")[0] == 0
        assert call("tag", target, "--remove", "x")[1] == f"{target}: x is removed\n"
    call("describe", "fraud/2", "about\nfraud/2 " + "and so on " * 20)
    told = call("history", "fraud")[1]
    assert "describe production: about fraud@production" in told
    assert "describe version 2: about fraud/2 and so on" in told
    assert call("describe", "fraud/2", "about fraud/2")[0] == 0
    model, version, alias = (
        store.registry.get("fraud"),
        store.registry.version("fraud", 2),
        store.registry.aliases("fraud"),
    )
    assert (model.description, version.description, alias[0].description) == (
        "about fraud",
        "about fraud/2",
        "about fraud@production",
    )
    assert model.tags == version.tags == alias[0].tags == {"a": "b=c", "owner": "risk"}
    shown = call("models", "fraud")[1]
    assert "about fraud@production" in shown
    assert "about fraud/2" in shown


def test_versions_and_models_are_taken_out_of_the_registry(call: Any) -> None:
    call("promote", "fraud", "2", "--to", "production")
    code, out, err = call("unregister", "fraud/2", "--yes")
    assert (code, "fraud version 2 is production: move or remove the alias first" in out + err) == (2, True)
    assert call("unregister", "fraud/3", "--reason", "bad data", "--yes")[1] == (
        "fraud version 3 is out of the registry, with its figures, approvals and tags; its history stays.\n"
    )
    history = call("history", "fraud")[1]
    assert "delete version 3" in history
    assert "bad data" in history
    call("remove-alias", "fraud", "production")
    for typed in ("fraud/", "fraud@", "fraud/x", "fraud/1/", ""):
        assert call("unregister", typed, "--yes")[0] == 2, "what is typed by half takes nothing away"
    assert len(json.loads(call("models", "fraud", "--json")[1])["versions"]) == 2
    assert json.loads(call("unregister", "fraud", "--yes", "--json")[1])["details"]["versions"] == [1, 2]
    assert call("models")[1].startswith("No model is registered yet")
    assert "delete the model" in call("history", "fraud")[1]
    code, out, err = call("unregister", "fraud", "--yes")
    assert (code, "no registered model named 'fraud'" in out + err) == (2, True)


def test_what_leaves_the_registry_is_named_and_asked_for_first(
    call: Any, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.registry.set_policy("good", "metrics.auc > 0.1", model="fraud")
    for target, what in (("fraud", "fraud"), ("fraud/2", "fraud version 2")):
        said = f"Taking {what} out of the registry must be confirmed: give --yes."
        assert call("unregister", target) == (2, "", f"Error: {said}\n")
    asked: list[str] = []
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("click.confirm", lambda question, abort: asked.append(question))
    goes = "3 versions (their figures, approvals and tags too) and the policy good"
    code, out, _ = call("unregister", "fraud")
    assert (code, out) == (0, f"fraud is out of the registry, with {goes}; its history stays.\n")
    assert asked == [f"Take fraud out of the registry, with {goes}?"]


def test_a_version_is_approved_and_measured(call: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trackers.registry.user_name", lambda: "bob")
    assert call("approve", "fraud", "3", "--comment", "looked")[1] == "fraud version 3 is approved by bob.\n"
    assert call("approve", "fraud", "3", "--comment", "looked")[1].startswith(
        "fraud version 3 was approved by you already"
    )
    assert json.loads(call("approve", "fraud", "3", "--withdraw", "--json")[1])["approvals"] == []
    code, out, _ = call("measure", "fraud", "3", "--json")
    assert (code, json.loads(out)["figures"][0]["name"]) == (0, "latency_ms")
    code, out, _ = call("measure", "fraud", "3", "auc=0.5", "auc=0.7", "--data", "a" * 64, "--json")
    assert [one["values"] for one in json.loads(out)["figures"] if one["name"] == "auc"] == [[0.5, 0.7]]


def test_a_version_and_an_alias_are_written_with_the_name_too(call: Any, store: Store) -> None:
    store.registry.set_policy("good", "metrics.auc > 0.1", model="fraud")
    call("promote", "fraud/2", "--to", "staging")
    for written, number in {
        ("fraud/1",): 1,
        ("models:/fraud/2",): 2,
        ("models:/fraud", "1"): 1,
        ("fraud/latest",): 3,
        ("fraud@staging",): 2,
    }.items():
        assert call("promote", *written, "--to", "production")[0] == 0
        assert store.registry.get("fraud").aliases == {"production": number, "staging": 2}
    assert call("approve", "fraud@production")[1].startswith("fraud version 2 is approved by")
    figures = json.loads(call("measure", "fraud/3", "auc=0.5", "auc=0.7", "--json")[1])
    assert (figures["version"], figures["figures"][0]["values"]) == (3, [0.5, 0.7])
    assert call("rollback", "fraud@production")[0] == 0
    assert call("remove-alias", "models:/fraud@staging")[0] == 0
    assert store.registry.get("fraud").aliases == {"production": 3}
    wrong = {
        ("promote", "fraud/1", "2", "--to", "production"): "fraud/1 names a version already: leave 2 out",
        ("promote", "fraud", "--to", "production"): "Missing argument 'VERSION': the call is",
        ("promote", "fraud/", "--to", "production"): "names no model",
        ("approve", "fraud/9"): "no version 9",
        ("measure", "fraud"): "Missing argument 'VERSION': the call is",
        ("rollback", "fraud@production", "--alias", "staging"): "names an alias already: leave staging out",
        ("rollback", "fraud@"): "fraud@ names no alias: write fraud@ALIAS.",
        ("remove-alias", "fraud"): "Missing argument 'ALIAS': the call is",
    }
    for args, said in wrong.items():
        code, out, err = call(*args)
        assert (code, out, said in err) == (2, "", True), (args, err)
    assert store.registry.get("fraud").aliases == {"production": 3}


def test_an_alias_that_was_removed_and_set_again_goes_back_to_the_version_before(call: Any, store: Store) -> None:
    for version in ("1", "2"):
        call("promote", "fraud", version, "--to", "staging")
    call("remove-alias", "fraud", "staging")
    call("promote", "fraud", "2", "--to", "staging")
    assert call("rollback", "fraud@staging")[0] == 0
    assert store.registry.get("fraud").aliases == {"staging": 1}
    assert call("rollback", "fraud@staging")[0] == 2


def test_lineage_is_shown_as_text_json_markup_and_a_picture(call: Any, store: Store, tmp_path: Path) -> None:
    call("promote", "fraud", "3", "--to", "production")
    code, out, _ = call("lineage", "fraud@production")
    assert code == 0
    assert [line.lstrip("│├└─ ").split()[0] for line in out.splitlines()] == [
        "alias",
        "comes",
        "version",
        "run",
        "data",
    ]
    digest = store.registry.version("fraud", 3).lineage["data"][0]["digest"]
    assert call("lineage", digest[:12])[1].count("version fraud/") == 3
    assert json.loads(call("lineage", "fraud/3", "--json")[1])["focus"] == "version:fraud/3"
    assert call("lineage", "fraud/3", "--format", "dot")[1].startswith("digraph lineage {")
    assert call("lineage", "fraud/3", "--format", "mermaid")[1].startswith("flowchart LR")
    picture = tmp_path / "lineage.svg"
    assert call("lineage", "fraud/3", "--format", "svg", "--output", str(picture))[0] == 0
    assert call("lineage", "fraud/3", "-o", str(tmp_path / "lineage.json"))[0] == 0
    assert json.loads((tmp_path / "lineage.json").read_text())["focus"] == "version:fraud/3"
    root = ElementTree.fromstring(picture.read_text(encoding="utf-8"))
    assert "version fraud/3" in "".join(root.itertext())


def test_the_picture_keeps_versions_aliases_runs_and_roles_under_long_names(call: Any, store: Store) -> None:
    name = "fraud-detection-in-north-western-europe"
    with store.start_run(name) as run:
        for role in ("train", "test"):
            run.log_input(X, "may", role=role)
        for number in range(12):
            store.registry.register(name, run.log_model(MODEL, name=f"model-{number}"))
    store.registry.promote(name, 12, to="production")
    drawn = ElementTree.fromstring(call("lineage", f"{name}@production", "--format", "svg")[1])
    shown = [text.text or "" for text in drawn.iter("{http://www.w3.org/2000/svg}text")]
    ends = {"version": "/12", "alias": "@production", "run": f" {run.uid[:16]}"}
    for kind, end in ends.items():
        (label,) = (one for one in shown if one.startswith(kind))
        assert label.startswith(f"{kind} fraud") or kind == "run"
        assert label.endswith(end), label
        assert "…" in label
        assert len(label) <= 34
    assert "test, train" in shown, "both roles of the data"
    assert "(test, train, " in call("lineage", f"{name}/12")[1]


def test_what_a_user_stored_becomes_no_markup_and_no_escape_sequence(call: Any, store: Store) -> None:
    with store.start_run("exp", tags={"t": EVIL}) as run:
        run.log_input(X, 'a<b>&"`#')
        model = run.log_model(MODEL)
    store.registry.register('evil<&"`#', model, lineage={"code": {"commit": EVIL, "file": EVIL}}, source=EVIL)
    store.registry.describe('evil<&"`#', EVIL)
    store.registry.set_policy("p", f"tags.t = '{EVIL}'", description=EVIL)
    with pytest.MonkeyPatch.context() as before:  # as a store may have it whose release took such aliases
        before.setattr("trackers.sql.aliases.check_new_alias", lambda *asked: None)
        assert call("promote", 'evil<&"`#', "1", "--to", "x<y", "--reason", EVIL)[0] == 0
    svg = call("lineage", 'evil<&"`#@x<y', "--format", "svg")[1]
    assert ElementTree.fromstring(svg) is not None
    for form in ("text", "dot", "mermaid", "svg"):
        assert "\x1b" not in call("lineage", 'evil<&"`#/1', "--format", form)[1]
    mermaid = call("lineage", 'evil<&"`#/1', "--format", "mermaid")[1]
    assert "evil#lt;#amp;#quot;#96;#35;" in mermaid
    for command in (["history", 'evil<&"`#'], ["models", 'evil<&"`#'], ["policy", "list"]):
        code, out, _ = call(*command)
        assert (code, "\x1b" in out) == (0, False), command
    assert "\x1b" not in call("compare", 'evil<&"`#/1', "fraud/1")[1]


@pytest.fixture
def others(store: Store) -> str:
    """Make what is no part of the registry: a study ``sp`` with a trial, one with a model's name; return a run's uid."""
    for name in ("sp", "fraud"):
        study = package.create_study(study_name=name, storage=store, space={"x": package.Float(0, 1)}, sampler="random")
        study.optimize(lambda trial: trial.params["x"], n_trials=1)
    return store.search_runs(experiments=["exp"])[0].uid


def test_who_tags_or_describes_a_run_or_an_experiment_is_told_the_option(
    call: Any, store: Store, others: str, capsys: pytest.CaptureFixture[str]
) -> None:
    short = short_uid(others)
    for words, said in (
        (["tag", "sp/0", "q=1"], "'sp/0' is a trial and no registered model: `trackers tag --run sp/0 ...`"),
        (["tag", others, "q=1"], f"'{others}' is a run and no registered model: `trackers tag --run {others} ...`"),
        (
            ["tag", short, "--remove", "q"],
            f"'{short}' is a run and no registered model: `trackers tag --run {short} ...`",
        ),
        (["tag", "exp", "q=1"], "'exp' is an experiment and no registered model: `trackers tag --experiment exp ...`"),
        (["tag", "--run", "exp", "q=1"], "'exp' is an experiment and no run: `trackers runs exp` lists its runs"),
        (["tag", "sp", "q=1"], "'sp' is a study and no registered model: `trackers tag --experiment sp ...`"),
        (["describe", "sp", "x"], "'sp' is a study and no registered model: `trackers describe --experiment sp ...`"),
        (["describe", "sp/0", "x"], "'sp/0' is a trial and no registered model: `trackers tag --run sp/0 note=...`"),
        (
            ["tag", "fraud/0", "q=1"],
            "'fraud' has no version 0: its versions are 1 to 3; the trial of that name: `trackers tag --run fraud/0 ...`",
        ),
    ):
        code, out, err = call(*words)
        assert (code, out) == (2, ""), words
        assert said in err, words
    for words, said in (
        (["tag", "sp/99", "q=1"], "no registered model named 'sp'"),
        (["tag", "nope", "q=1"], "'nope'"),
    ):
        code, _, err = call(*words)
        assert (code, said in err, "--run" in err) == (2, True, False), words
    assert call("tag", "fraud", "q=1")[0] == call("tag", "--run", "sp/0", "q=1")[0] == 0
    assert run_hpo(hpo, ["tag", "sp/0", "q=1"]) == 2
    assert "`hpo tag --run sp/0 ...`" in capsys.readouterr().err


def test_who_compares_two_runs_is_told_of_diff(call: Any, store: Store, others: str) -> None:
    assert call("compare", "sp/0", others) == (
        2,
        "",
        f"Error: 'sp/0' is a trial and no version of a registered model: `trackers diff sp/0 {others}` compares runs\n",
    )
    assert "diff" not in call("compare", "fraud/1", "fraud/9")[2]
    assert "diff" not in call("compare", "sp/0", "fraud/1")[2]


def test_compare_shows_differences_and_whether_the_data_are_the_same(call: Any) -> None:
    code, out, _ = call("compare", "fraud/1", "fraud/3")
    rows = {line.split()[0]: line.split()[1:] for line in out.splitlines()}
    assert (code, rows["metrics.auc"], rows["data.train"][-1]) == (0, ["0.7", "0.85", "+0.15"], "same")
    assert out.endswith("Their data are the same.\n")
    assert "environment" not in call("compare", "fraud/1", "fraud/3", "--changed")[1]
    assert json.loads(call("compare", "fraud/1", "fraud", "--json")[1])["same_data"] is True


def test_compare_counts_the_packages_that_are_equal(call: Any, store: Store) -> None:
    for numpy in ("2.0", "2.1"):
        with store.start_run("exp") as run:
            model = run.log_model(MODEL)
        packages = {"numpy": numpy, **{f"lib{number}": "1.0" for number in range(138)}}
        store.registry.register("many", model, lineage={"packages": packages})
    out = call("compare", "many/1", "many/2")[1]
    lines = [" ".join(line.split()) for line in out.splitlines() if line.startswith("environment")]
    assert lines[1:] == [
        "environment.numpy 2.0 2.1 differs",
        "environment.packages 138 packages 138 packages same",
    ]
    assert "packages" not in call("compare", "many/1", "many/2", "--changed")[1]
    assert len(json.loads(call("compare", "many/1", "many/2", "--json")[1])["environment"]) == 140


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["promote", "fraud", "1", "--to", "x", "--dry-run", "--force"], "exclude each other"),
        (["promote", "fraud", "9", "--to", "x", "--dry-run"], "no version 9"),
        (["rollback", "fraud"], "no alias 'production': it has no alias yet"),
        (["rollback", "frud"], "did you mean 'fraud'?"),
        (["history", "frud"], "did you mean 'fraud'?"),
        (
            ["lineage", "fraud/3", "-o", "l.png"],
            "A lineage is not written as .png: end the name in .svg, .json, .dot, .gv, .mmd, .mermaid or .txt, or give "
            "--format.",
        ),
        (["lineage", "nothing"], "no version, run or data 'nothing' here"),
        (["lineage", "fraud@x"], "no alias 'x'"),
        (["lineage", "fraud"], "'fraud' is a model, and lineage is that of a version: write fraud/3."),
        (["lineage", "deadbeef"], "no version, run or data 'deadbeef' here"),
        (["compare", "fraud/1", "fraud@x"], "no alias 'x'"),
        (["compare", "fraud/1", "fraud/9"], "no version 9"),
        (["policy", "add", "p"], "give one of --require"),
        (["policy", "add", "p", "--committed", "--max-size", "1"], "A policy has one rule"),
        (["policy", "add", "p", "--committed", "--margin", "1"], "--margin does not go with --committed"),
        (["policy", "add", "p", "--better", "auc", "--margin", "5%"], "unit of the metric: write --relative 5%."),
        (["policy", "add", "p", "--better", "auc", "--margin", "x"], "'x' is no number: write one such as 0.005."),
        (
            ["policy", "add", "p", "--better", "auc", "--relative", "5"],
            "5 would be 500% of the value: write 5%, or 500%",
        ),
        (
            ["policy", "add", "p", "--better", "auc", "--relative", "1"],
            "1 would be 100% of the value: write 1%, or 100%",
        ),
        (["policy", "add", "p", "--better", "auc", "--relative", "inf"], "'inf' is no part of a value: write one such"),
        (["policy", "add", "p", "--better", "auc", "--margin", "inf"], "'inf' is no number: write one such as 0.005."),
        (
            ["policy", "add", "p", "--approvals", "2", "--by", "ann"],
            "2 approvals of 1 user can never be had.",
        ),
        (
            ["policy", "add", "p", "--better", "auc", "--relative", "x%"],
            "'x%' is no part of a value: write one such as 5%",
        ),
        (["policy", "add", "p", "--better", "auc", "--relative", "-5%"], "relative is a number from 0 on"),
        (["policy", "add", "p", "--max-size", "big"], "text such as 100MB, not 'big'"),
        (["policy", "add", "p", "--committed", "--model", "frud"], "did you mean 'fraud'?"),
        (["policy", "remove", "p"], "no policy 'p' for all models: it has none"),
        (["policy", "list", "--model", "frud"], "did you mean 'fraud'?"),
        (["tag", "fraud"], "Give a tag to set"),
        (["tag", "fraud", "x"], "tag takes KEY=VALUE, not 'x'."),
        (["tag", "fraud", "a=1", "a=2"], "tag gives a twice."),
        (["tag", "fraud", "a=1", "--remove", "a"], "The tag a is both set and removed: give one of them."),
        (["register", "./x", "fraud", "--tag", "a=1", "--tag", "a=2"], "--tag gives a twice."),
        (["register", "./x", "fraud", "--tag", "a"], "--tag takes KEY=VALUE, not 'a'."),
        (["register", "digits/1", "m", "--experiment", "e"], "--experiment goes with a folder: digits/1 has a run,"),
        (["tag", "fraud/1", "--remove", "x"], "no tag 'x' to remove: there is none"),
        (["describe", "fraud@x", "text"], "no alias 'x'"),
        (["approve", "fraud", "9"], "no version 9"),
        (["approve", "fraud", "1", "--withdraw"], "did not approve fraud version 1"),
        (["measure", "fraud", "1", "auc=high"], "must be a number, not 'high'"),
        (["measure", "fraud", "1", "auc"], "measure takes FIGURE=VALUE, not 'auc'."),
        (["measure", "fraud", "1", "auc=1e999"], "The figure auc is too large for a float: 1e999."),
        (["measure", "fraud", "1", "auc=1", "--data", "may"], "64 hex digits"),
        (["measure", "fraud", "1", "auc=1", "--data", "s3://x/y"], "--data takes a path on this machine, not s3://x/y"),
        (["measure", "fraud", "1", "--data", "may.csv"], "--data goes with figures"),
    ],
)
def test_a_mistake_is_one_sentence_and_exit_code_2(call: Any, arguments: list[str], message: str) -> None:
    code, out, err = call(*arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert len(err.splitlines()) == 1


def test_the_beginning_of_a_uid_names_its_run_in_every_command(call: Any, store: Store) -> None:
    with store.start_run("other") as run:
        run.log_model(MODEL)
    begun = run.uid[:16]
    for command in (
        ["show", begun],
        ["rename", begun, "first"],
        ["archive", begun],
        ["archive", begun, "--undo"],
        ["delete", begun, "--yes"],
        ["restore", begun],
        ["tag", "--run", begun, "a=b"],
        ["lineage", begun],
        ["register", begun, "m"],
        ["register", f"runs:/{begun}", "m"],
        ["register", f"runs:/{begun}/model", "m"],
        ["diff", begun, begun],
        ["pin", begun],
    ):
        code, _, err = call(*command)
        assert (code, err) == (0, ""), command
    store.start_run(begun[:8]).end()
    store.flush()
    assert call("archive", begun[:8])[:2] == (
        0,
        f"{begun[:8]} is archived: --view archived shows it, --undo brings it back.\n",
    )
    assert [one.name for one in store.list_experiments("archived")] == [begun[:8]], "the name comes first"


def test_a_line_of_history_says_what_was_measured_set_and_removed(call: Any) -> None:
    call("tag", "fraud", "cfg=a")
    call("tag", "fraud", "--remove", "cfg")
    call("tag", "fraud/1", "team=risk")
    call("tag", "fraud/1", "--remove", "team")
    call("measure", "fraud", "1", "auc=0.75")
    call("policy", "add", "better", "--model", "fraud", "--require", "metrics.auc > 0.5")
    call("policy", "remove", "better", "--model", "fraud")
    out = call("history", "fraud")[1]
    for words in (
        "  tag: cfg = a  ",
        "  tag cfg removed  ",
        "  version 1: tag team removed  ",
        "  measure version 1: auc=0.75  ",
        "  set policy better (version 1): metrics.auc > 0.5  ",
        "  remove policy better (version 1)  ",
    ):
        assert words in out


def test_what_is_renamed_is_told_with_its_kind_and_with_the_model_that_keeps_the_name(call: Any, store: Store) -> None:
    store.start_run("fraud").end()
    store.create_study("digits", directions=["maximize"], metric_names=["accuracy"])
    run = store.start_run("exp")
    run.end()
    out = call("rename", "fraud", "crime")[1]
    assert out == "The experiment fraud is called crime now. The registered model fraud keeps its name.\n"
    assert call("rename", "digits", "numbers")[1] == "The study digits is called numbers now.\n"
    assert call("rename", run.uid, "first")[1] == f"The run {run.uid} is called first now.\n"


def test_a_version_is_taken_for_the_run_that_made_it(call: Any, store: Store) -> None:
    uid = store.search_runs("metrics.auc = 0.8")[0].uid
    call("promote", "fraud", "2", "--to", "production")
    for word in ("fraud/2", "fraud@production", "models:/fraud/2", "models:/fraud@production"):
        assert json.loads(call("show", word, "--json")[1])["uid"] == uid
    assert call("diff", "fraud/2", uid)[0] == 0
    assert call("artifacts", "fraud/2")[2] == f"Error: run {uid} logged no file\n"
    assert call("checkout", "models:/fraud/2")[2].startswith(f"Error: the code of {uid} was not recorded")
    assert call("env", "fraud/2")[2] == f"Error: the environment of {uid} was not recorded\n"
    with store.start_run("fraud") as run:
        pass
    assert json.loads(call("show", run.uid, "--json")[1])["experiment"] == "fraud"
    assert "has no version 9: its versions are 1 to 3" in call("show", "fraud/9")[2]
    assert "no study 'nobody'" in call("show", "nobody/9")[2]


def test_a_name_that_is_no_runs_is_told_with_what_has_it(call: Any, store: Store) -> None:
    said = "Error: 'fraud' is a registered model and no run: trackers models fraud shows it, and fraud/3 is the run "
    assert call("show", "fraud")[2].startswith(said)
    runs = [store.start_run("exp", name=name) for name in ("lgbm", "it's", "it's")]
    for run in runs:
        run.end()
    paths = [store.get_run(run.uid).path for run in runs]
    assert call("show", "lgbm")[2].startswith(f"Error: 'lgbm' is the name of the run {paths[0]}: a run goes by its uid")
    assert f"is the name of the runs {paths[2]}, {paths[1]}: " in call("show", "it's")[2]
    assert "there is no run 'nothing'" in call("show", "nothing")[2]


def test_hpo_has_the_same_commands_and_reads_its_own_settings(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HPO_STORAGE", raising=False)
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    (folder / "hpo.toml").write_text(f'storage = "{store.url}"\n', encoding="utf-8")
    assert run_hpo(hpo, ["policy", "add", "good", "--require", "metrics.auc > 0.75"]) == 0
    assert run_hpo(hpo, ["promote", "fraud", "1", "--to", "production"]) == 1
    assert run_hpo(hpo, ["promote", "fraud", "2", "--to", "production"]) == 0
    assert run_hpo(hpo, ["compare", "fraud@production", "models:/fraud/3", "--changed"]) == 0
    assert "+0.05" in capsys.readouterr().out
    assert run_hpo(hpo, ["compare", "fraud@production", "models:/fraud/3", "models:/fraud/1"]) == 2
    for command in (["history", "fraud"], ["lineage", "fraud/2"], ["policy", "list"], ["models", "fraud"]):
        assert run_hpo(hpo, command) == 0, command


def test_show_names_parent_children_models_and_versions_of_a_run(call: Any, store: Store) -> None:
    with store.start_run("exp", name="sweep") as parent:
        runs = [store.start_run("exp", name=f"fold-{i}", nested=True) for i in range(7)]
        model = runs[0].log_model(MODEL)
        for run in runs:
            run.end()
    store.registry.register("folds", model)
    store.registry.promote("folds", 1, to="best")
    lines = dict(line.split("  ", 1) for line in call("show", parent.uid)[1].splitlines() if "  " in line)
    assert lines["children"].strip().startswith(f"7: {runs[0].uid} (fold-0) COMPLETE, ")
    assert lines["children"].endswith(" and 2 more")
    out = call("show", runs[0].uid)[1]
    assert f"parent         {parent.uid} (sweep)\n" in out
    assert "registered as  folds/1 (best)\n" in out
    assert [line.split()[0] for line in out.splitlines()[-2:]] == ["model", "model"], "the head, and one model"
    child = json.loads(call("show", runs[0].uid, "--json")[1])
    assert (child["parent"]["uid"], child["parent"]["name"]) == (parent.uid, "sweep")
    assert [(one["name"], one["uid"]) for one in child["models"]] == [("model", model.uid)]
    assert [(one["name"], one["version"], one["aliases"]) for one in child["versions"]] == [("folds", 1, ["best"])]
    facts = json.loads(call("show", parent.uid, "--json")[1])
    assert (facts["child_count"], facts["parent"], facts["models"], facts["versions"]) == (7, None, [], [])
    assert [one["uid"] for one in facts["children"]] == [run.uid for run in runs[:5]]


def test_hpo_compare_says_what_it_takes(call: Any, capsys: pytest.CaptureFixture[str]) -> None:
    def refused(*args: str) -> str:
        assert run_hpo(hpo, ["compare", *args]) == 2
        return capsys.readouterr().err

    assert "name its versions as models:/fraud/2, or by an alias as fraud@ALIAS" in refused("fraud/2", "fraud/3")
    assert "Compared are studies (digits), trials (digits/17), or two versions" in refused("fraudd/1", "fraud/2")
    assert "Two versions are compared: hpo compare" in refused("models:/fraud/2", "fraud/3")
    assert run_hpo(hpo, ["compare", "models:/fraud/2", "models:/fraud/3"]) == 0


@pytest.mark.parametrize(
    ("typed", "incomplete", "offered"),
    [
        ("promote", "fr", ["fraud"]),
        ("promote fraud", "", ["production", "3", "2", "1"]),
        ("promote fraud 2 --to", "", ["production"]),
        ("lineage", "", ["fraud"]),
        ("lineage", "fraud@", ["fraud@production"]),
        ("lineage", "fraud/", ["fraud/3", "fraud/2", "fraud/1"]),
        ("predict", "models:/fraud@p", ["models:/fraud@production"]),
        ("models", "x", []),
        ("search --experiment", "e", ["exp"]),
        ("promote nobody", "", []),
    ],
)
def test_a_shell_completes_models_versions_and_aliases(
    call: Any, store: Store, typed: str, incomplete: str, offered: list[str]
) -> None:
    store.registry.promote("fraud", 2, to="production")
    for command, name in ((hpo, "hpo"), (trackers_command, "trackers")):
        if command is hpo and typed.split()[0] not in hpo.list_commands(click.Context(hpo)):
            continue
        complete = ShellComplete(command, {}, name, "_COMPLETE")
        assert [item.value for item in complete.get_completions(typed.split(), incomplete)] == offered


def test_a_dry_run_refuses_what_promote_would_refuse(call: Any, store: Store) -> None:
    store.registry.promote("fraud", 1, to="production")
    code, _, err = call("promote", "fraud", "2", "--to", "production", "--dry-run", "--expect", "3")
    assert code == 1
    assert "points at version 1" in err
    kept = store.registry.model_of(store.registry.version("fraud", 2))
    file = next(name for name in kept.files if name.endswith(".skops"))
    path = store.artifacts.path(kept.files[file])
    assert path is not None
    path.chmod(0o600)
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    code, _, err = call("promote", "fraud", "2", "--to", "staging")
    assert code == 2
    assert f"{file!r} is damaged" in err
    path.unlink()
    code, _, err = call("promote", "fraud", "2", "--to", "staging", "--dry-run")
    assert code == 2
    assert "cannot be loaded any more" in err
    assert f"{file!r} is gone" in err


@pytest.mark.parametrize("run", [run_command, lambda args: run_hpo(hpo, args)])
def test_who_loses_the_race_for_an_alias_made_no_mistake(
    store: Store, run: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["promote", "fraud", "1", "--to", "x", "--expect", "2", "--storage", store.url]) == 1
    assert "points at nothing, not at version 2" in capsys.readouterr().err


def test_a_refused_promotion_says_in_json_where_the_alias_points(call: Any, store: Store) -> None:
    store.registry.promote("fraud", 1, to="production")
    store.registry.set_policy("enough", "metrics.auc > 0.99")
    code, out, _ = call("promote", "fraud", "2", "--to", "production", "--json")
    assert code == 1
    assert json.loads(out)["points_at"] == 1


def test_the_newest_version_is_no_word_for_the_whole_model(call: Any, store: Store) -> None:
    for newest in ("fraud/latest", "fraud@latest", "models:/fraud/latest"):
        assert call("tag", newest, "reviewed=yes") == (0, "fraud/3: reviewed = yes\n", "")
    assert call("describe", "fraud/latest", "good")[1] == "fraud/3 is described: good\n"
    for command in ("show", "env", "lineage"):
        assert call(command, "fraud/latest") == call(command, "fraud/3")
    assert (store.registry.get("fraud").tags, store.registry.get("fraud").description) == ({}, "")
    assert store.registry.version("fraud", 3).tags == {"reviewed": "yes"}
    assert call("unregister", "fraud/latest", "--yes")[1].startswith("fraud version 3 is out of the registry")
    assert [one.version for one in store.registry.versions("fraud")] == [2, 1]


def test_a_dry_run_of_what_is_there_ends_as_the_move_does(call: Any, store: Store) -> None:
    store.registry.promote("fraud", 1, to="production")
    store.registry.set_policy("enough", "metrics.auc > 0.99")
    code, out, _ = call("promote", "fraud", "1", "--to", "production", "--dry-run")
    assert (code, "points at version 1 already" in out) == (0, True)
    assert call("promote", "fraud", "1", "--to", "production")[0] == 0


def test_a_policy_that_compares_with_no_alias_is_told(call: Any, store: Store) -> None:
    store.registry.promote("fraud", 1, to="production")
    _, _, err = call(
        "policy", "add", "p", "--model", "fraud", "--alias", "production", "--better", "auc", "--than", "prodution"
    )
    assert err == "fraud has no alias prodution yet; did you mean production?\n"
    assert "was never moved" in call("history", "fraud", "--alias", "stagin")[2]


def test_whoever_registers_the_model_of_a_run_that_failed_is_told(call: Any, store: Store) -> None:
    run = store.start_run("exp")
    run.log_model(MODEL)
    _, out, _ = call("register", run.uid, "unripe")
    assert "Note that its run still runs." in out
    run.end(RunState.FAIL)
    _, out, _ = call("register", run.uid, "unripe")
    assert "Note" not in out, "nothing was registered"
    _, out, _ = call("register", run.uid, "other")
    assert "Note that its run failed." in out


def test_the_model_of_a_run_is_registered_from_the_terminal(call: Any, store: Store) -> None:
    with store.start_run("exp") as run:
        run.log_model(MODEL, name="other")
    code, out, _ = call("register", f"runs:/{run.uid}/other", "fraud", "--tag", "team=risk", "--reason", "new")
    assert (code, out.splitlines()[0]) == (0, "It is fraud version 4.")
    assert store.registry.version("fraud", 4).tags == {"team": "risk"}
    code, out, _ = call("register", f"runs:/{run.uid}/other", "fraud")
    assert out == "It is fraud version 4 already: nothing was changed.\n"
    before = len(store.registry.history("fraud"))
    code, out, _ = call(
        *("register", f"runs:/{run.uid}/other", "fraud", "--description", "again"),
        *("--tag", "team=risk", "--tag", "seen=yes"),
    )
    assert out == "It is fraud version 4 already; written to it: description and tags.\n"
    version = store.registry.version("fraud", 4)
    assert (version.description, version.tags) == ("again", {"team": "risk", "seen": "yes"})
    assert [line.action for line in store.registry.history("fraud")[before:]] == ["describe", "tag"]
    code, _, err = call("register", run.uid, "fraud")
    assert code == 2
    assert "has no model" in err
    code, out, _ = call("register", f"runs:/{run.uid}/other", "new", "--json")
    assert json.loads(out)["version"] == 1
    code, out, _ = call("models", "fraud")
    assert run.uid in out, "in a pipe nothing is cut"


def test_an_alias_that_was_never_moved_is_told_with_one_like_it(call: Any, store: Store) -> None:
    store.registry.promote("fraud", 1, to="production")
    code, _, err = call("history", "fraud", "--alias", "prodution")
    assert (code, err) == (2, "Error: fraud@prodution was never moved; did you mean production?\n")


def test_infinity_beats_no_champion(store: Store) -> None:
    from trackers.policy import Better

    store.registry.promote("fraud", 1, to="production")
    with store.start_run("exp") as run:
        run.log_input(X, "may")
        run.log_metrics({"auc": float("inf")})
        model = run.log_model(MODEL)
    number = store.registry.register("fraud", model).version
    store.registry.set_policy("better", Better("auc", margin=0.01))
    [result] = store.registry.check("fraud", number, to="production")
    assert not result.holds
    assert "infinity is no result to rely on" in result.says


def test_a_new_alias_that_is_written_nearly_as_another_says_so(call: Any, store: Store) -> None:
    store.registry.promote("fraud", 1, to="production")
    code, out, err = call("promote", "fraud", "2", "--to", "prodution")
    assert (code, "prodution" in out) == (0, True)
    assert err == (
        "prodution is a new alias, and no policy of production was asked; where that was meant, "
        "`trackers remove-alias fraud prodution` takes it away.\n"
    )
    assert call("promote", "fraud", "2", "--to", "shadow")[2] == ""


def test_an_alias_is_removed_from_the_terminal(call: Any, store: Store) -> None:
    store.registry.promote("fraud", 2, to="stagging")
    assert call("remove-alias", "fraud", "stagging") == (0, "fraud@stagging is gone (it pointed at version 2).\n", "")
    code, _, err = call("remove-alias", "fraud", "stagging")
    assert code == 2
    assert "stagging" in err


@pytest.mark.parametrize("alias", ["none", "None", "latest", "..", "-_"])
def test_words_that_mean_something_else_are_no_aliases(call: Any, alias: str) -> None:
    code, _, err = call("promote", "fraud", "1", f"--to={alias}")
    assert code == 2
    assert "must be another word" in err


def test_wrong_values_are_named_and_not_taken_for_a_store_that_is_away(store: Store) -> None:
    registry = store.registry
    model = registry.model_of(registry.version("fraud", 1))
    wrong: list[tuple[Any, str]] = [
        (lambda: registry.register("m", model, metrics={"auc": "x"}), "The metric 'auc' must be a number"),
        (lambda: registry.register("m", model, metrics={"auc": [1.0]}), "The metric 'auc' must be a number"),
        (lambda: registry.register("m", model, lineage={"a": object()}), "A lineage is what JSON can hold"),
        (lambda: registry.register("m", 3), "A model is named by text"),
        (lambda: registry.register("m", model, experiment="e"), "experiment= goes with a folder"),
        (lambda: registry.promote("fraud", 1, to="p", reason=5), "A reason is text, not int"),
        (lambda: registry.describe("fraud", None), "A description is text, not NoneType"),
        (lambda: registry.describe("fraud", "x" * 200_000), "may have 100000 characters"),
        (lambda: registry.set_tag("fraud", "k", "\ud800"), "no NUL and no half of a character"),
        (lambda: registry.record("fraud", 1, {"a": 10**400}), "The figure 'a' must be a number"),
        (lambda: registry.record("fraud", 1, {}), "There is no figure to record"),
        (
            lambda: registry.record("fraud", 1, {"a": 1}, data="x.csv"),
            "There is no file or folder 'x.csv', and a digest",
        ),
        (lambda: registry.record("fraud", 1, {"a": 1}, data="s3://bucket/x.csv"), "only local paths are read"),
        (lambda: registry.set_policy("p", 3), "A rule is one of trackers.policy's"),
        (lambda: trackers.load_model("fraud/1", store=store, trust=None), "trust must be True, False or full names"),
    ]
    for act, words in wrong:
        with pytest.raises(InvalidValueError, match=words):
            act()
    registry.set_tag("fraud", "k", 5)  # as register's tags
    assert registry.get("fraud").tags == {"k": "5"}


def test_the_model_of_a_folder_is_registered_with_a_run_made_for_it_and_once(
    call: Any, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    save(MODEL, "bought", input_example=X)
    assert call("register", "./nope", "new")[:2] == (2, "")
    with pytest.raises(InvalidValueError, match="must be a number"):
        store.registry.register("new", "./bought", metrics={"auc": "x"})  # type: ignore[dict-item]
    runs = len(store.search_runs())
    code, out, err = call("register", "./bought", "new", "--experiment", "shop", "--tag", "team=a")
    assert (code, err) == (0, "")
    version = store.registry.version("new", 1)
    assert version.run_id is not None
    run = store.get_run(version.run_id)
    assert out.startswith(f"It is new version 1.\nIts files are kept with the run {run.uid}.\n")
    assert (run.experiment, run.name, run.state) == ("shop", "bought", RunState.COMPLETE)
    assert run.tags == {"source": str(tmp_path / "bought")}
    loaded = store.load_model("models:/new")
    assert list(loaded.predict(X)) == list(MODEL.predict(X))
    assert call("register", "bought", "new")[1].startswith("It is new version 1 already")
    assert store.registry.register("new", load(tmp_path / "bought")).version == 1
    assert store.registry.register("new", loaded).version == 1
    assert store.registry.register("other", loaded).run_id == run.id
    assert len(store.search_runs()) == runs + 1
    code, _, err = call("register", run.uid, "new", "--experiment", "shop")
    assert (code, "--experiment goes with a folder" in err) == (2, True)
    (tmp_path / "link").symlink_to("bought")
    assert "link is a link: give the folder that it points to." in call("register", "./link", "new")[2]


def test_where_there_is_no_store_register_says_how_one_is_made(call: Any, tmp_path: Path) -> None:
    code, _, err = call("register", "./x", "m", "--storage", f"sqlite:///{tmp_path}/none.db")
    assert (code, "none.db" in err) == (2, True)
    assert err.endswith("HPO_STORAGE; to make it call `trackers experiments create NAME`\n")


@pytest.mark.parametrize("number", ["0", "99999999999999999999999"])
def test_a_version_that_cannot_be_is_not_there(call: Any, number: str) -> None:
    for words in (
        ["promote", "fraud", number, "--to", "production"],
        ["lineage", f"fraud/{number}"],
        ["compare", f"fraud/{number}", "fraud/1"],
    ):
        code, _, err = call(*words)
        assert code == 2, words
        assert "version" in err
        assert "should not happen" not in err
        assert "register one" not in err


def test_a_version_is_promoted_by_its_number_or_as_the_latest(call: Any) -> None:
    assert call("promote", "fraud", "latest", "--to", "p")[1].splitlines()[0] == "fraud@p now points at version 3."
    for number, words in (
        ("v2", "has no alias 'v2', and a version is a number: write 2."),
        ("99999999999999", "has no version 99999999999999: its versions are 1 to 3."),
    ):
        code, _, err = call("promote", "fraud", number, "--to", "p")
        assert (code, words in err) == (2, True), err


def test_a_model_is_named_in_one_way_everywhere(store: Store) -> None:
    store.registry.promote("fraud", 2, to="production")
    for ref in ("fraud@production", "fraud/2", "models:/fraud@production", "models:/fraud/2"):
        assert list(trackers.load_model(ref, store=store).predict(X)) == [0, 0, 1, 1], ref


def test_who_somebody_is_says_the_operating_system_and_no_variable(
    call: Any, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.setenv(name, "anna")
    own = pwd.getpwuid(os.getuid()).pw_name
    assert call("approve", "fraud", "2")[1] == f"fraud version 2 is approved by {own}.\n"
    assert [one.user for one in store.registry.approvals("fraud", 2)] == [own]

    def without(uid: int) -> Any:
        raise KeyError(uid)

    monkeypatch.setattr("pwd.getpwuid", without)
    assert user_name() == "anna", "where the system knows no name"
