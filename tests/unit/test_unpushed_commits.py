"""Commits that no remote has are kept with a run, and its code is restored where the repository lacks them."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest

import trackers
from tests.git import git, make_repository
from trackers import capture
from trackers.capture import checkout, commits, process
from trackers.capture.git import Git
from trackers.capture.state import CodeState, state_digest
from trackers.cli.exit import run_command
from trackers.errors import AlreadyExistsError, DigestError, InvalidValueError, NotFoundError


@pytest.fixture
def origin(tmp_path: Path) -> Path:
    """Return a repository that others clone, with one commit."""
    seed = make_repository(tmp_path / "seed")
    git(tmp_path, "clone", "-q", "--bare", str(seed), "origin.git")
    return tmp_path / "origin.git"


def clone(origin: Path, name: str, *options: str) -> Path:
    folder = origin.parent / name
    git(origin.parent, "clone", "-q", *options, f"file://{origin}", name)
    return folder


def commit(folder: Path, name: str, text: str, message: str = "") -> str:
    (folder / name).parent.mkdir(exist_ok=True, parents=True)
    (folder / name).write_text(text)
    git(folder, "add", "-f", name)
    git(folder, "commit", "-q", "-m", message or f"write {name}")
    return git(folder, "rev-parse", "HEAD")


def merge(folder: Path, text: str) -> None:
    """Write *text* into a merge alone, where the settings hide what merges change."""
    git(folder, "config", "log.diffMerges", "off")
    git(folder, "checkout", "-q", "-b", "side")
    commit(folder, "side.txt", "a\n")
    git(folder, "checkout", "-q", "-")
    git(folder, "merge", "-q", "--no-ff", "--no-commit", "side")
    commit(folder, "side.txt", text)


def restore(state: CodeState, to: Path, repo: Path, bundle: bytes | None = None) -> checkout.Restored:
    held = state.commits.bundle if bundle is None and state.commits is not None else bundle
    return checkout.restore(state.record(), state.bundle(), to, repo, lambda: held, state.remote)


@pytest.mark.parametrize("script", ["sub/train.py", "sub"])
def test_nothing_is_written_beside_a_script_in_a_folder_of_the_repository(
    origin: Path, tmp_path: Path, script: str
) -> None:
    mine, theirs = clone(origin, "mine"), clone(origin, "theirs")
    commit(mine, "sub/-", "precious\n")
    commit(mine, "sub/train.py", "depth = 3\n")
    state = capture.code_state(mine / script)
    assert (mine / "sub" / "-").read_text() == "precious\n"
    assert git(mine, "status", "--porcelain") == ""
    assert state.commits is not None
    assert (state.commits.count, state.commits.why) == (2, "")
    done = restore(state, tmp_path / "again", theirs)
    assert done.exact
    assert (tmp_path / "again" / "sub" / "-").read_text() == "precious\n"


def test_a_colleague_restores_commits_that_were_never_pushed(origin: Path, tmp_path: Path) -> None:
    mine, theirs = clone(origin, "mine"), clone(origin, "theirs")
    assert capture.code_state(mine).commits is None, "all of it is pushed"
    commit(mine, "model.py", "depth = 3\n")
    last = commit(mine, "model.py", "depth = 4\n")
    (mine / "model.py").write_text("depth = 5\n")
    state = capture.code_state(mine)
    assert state.commits is not None
    assert (state.commits.count, state.commits.why) == (2, "")
    assert commits.told(state.record()) == "2 commits that no remote had, kept"
    refs = git(theirs, "for-each-ref")
    done = restore(state, tmp_path / "again", theirs)
    assert (done.commit, done.exact, done.changed) == (last, True, ("model.py",))
    assert (tmp_path / "again" / "model.py").read_text() == "depth = 5\n"
    assert git(theirs, "for-each-ref") == refs
    assert not (theirs / ".git" / "FETCH_HEAD").exists()
    git(mine, "push", "-q", "origin", "main")
    pushed = capture.code_state(mine)
    assert pushed.commits is None
    assert state_digest(pushed.record()) == state_digest(state.record()), "the code is the same"


def test_a_repository_that_was_never_pushed_is_restored_into_an_empty_one(tmp_path: Path) -> None:
    mine, empty = make_repository(tmp_path / "repo"), tmp_path / "empty"
    commit(mine, "b.py", "b\n")
    state = capture.code_state(mine)
    assert state.commits is not None
    assert state.commits.count == 2
    empty.mkdir()
    git(empty, "init", "-q")
    assert restore(state, tmp_path / "again", empty).exact
    assert (tmp_path / "again" / "b.py").read_text() == "b\n"


def test_a_repository_that_was_never_pushed_is_restored_where_there_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, nowhere, template = make_repository(tmp_path / "repo"), tmp_path / "nowhere", tmp_path / "template"
    last = commit(mine, "b.py", "b\n")
    (mine / "b.py").write_text("b = 2\n")
    (mine / "new.py").write_text("new\n")
    state = capture.code_state(mine)
    assert state.commits is not None
    nowhere.mkdir()
    (template / "hooks").mkdir(parents=True)
    (template / "hooks" / "post-checkout").write_text("#!/bin/sh\ntouch ../hooked\n")
    (template / "hooks" / "post-checkout").chmod(0o755)
    monkeypatch.setenv("GIT_TEMPLATE_DIR", str(template))
    done = restore(state, tmp_path / "again", nowhere)
    assert (done.commit, done.exact, done.changed, done.files) == (last, True, ("b.py",), ("new.py",))
    assert (tmp_path / "again" / "b.py").read_text() == "b = 2\n"
    assert git(tmp_path / "again", "rev-list", "--count", "HEAD") == "2"
    assert git(tmp_path / "again", "rev-parse", "--show-toplevel") == str(tmp_path / "again")
    assert not (tmp_path / "hooked").exists()
    assert not (tmp_path / "again" / ".git" / "hooks").exists()
    assert not list(nowhere.iterdir())
    with pytest.raises(AlreadyExistsError, match="is there already"):
        restore(state, tmp_path / "again", nowhere)
    with pytest.raises(DigestError, match="not what was recorded"):
        restore(state, tmp_path / "other", nowhere, state.commits.bundle + b"x")
    with pytest.raises(NotFoundError, match="there is no git repository at"):
        checkout.restore(state.record(), state.bundle(), tmp_path / "other", nowhere)  # they are not kept any more
    assert not (tmp_path / "other").exists()


def test_a_repository_that_nobody_named_gets_no_history_of_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, other = make_repository(tmp_path / "repo"), make_repository(tmp_path / "other")
    last = commit(mine, "b.py", "b\n")
    state = capture.code_state(mine)
    monkeypatch.chdir(other)
    assert state.commits is not None
    bundle = state.commits.bundle
    assert checkout.restore(state.record(), state.bundle(), tmp_path / "again", None, lambda: bundle).commit == last
    assert git(other, "worktree", "list").count("\n") == 0
    with pytest.raises(subprocess.CalledProcessError):
        git(other, "cat-file", "-e", last)
    checkout.restore(state.record(), state.bundle(), tmp_path / "named", other, lambda: bundle)
    git(other, "cat-file", "-e", last)


def test_commits_that_others_lead_to_need_a_repository(origin: Path, tmp_path: Path) -> None:
    mine = clone(origin, "mine")
    commit(mine, "b.py", "b\n")
    state = capture.code_state(mine)
    assert state.commits is not None
    assert state.commits.bundle
    (tmp_path / "nowhere").mkdir()
    with pytest.raises(NotFoundError, match=r"there is no git repository at .*name it with --repo; it was cloned from"):
        restore(state, tmp_path / "again", tmp_path / "nowhere")
    assert not (tmp_path / "again").exists()


def test_the_first_commit_is_looked_through_whatever_the_settings(tmp_path: Path) -> None:
    mine = make_repository(tmp_path / "repo")
    (mine / ".gitattributes").write_text("*.py -diff\n")
    git(mine, "add", ".gitattributes")
    (mine / "study.py").write_text('password = "Zk3yK3yk3y9f8e7d6c5b4a"\n')
    git(mine, "commit", "-q", "-a", "--amend", "-m", "all of it")
    git(mine, "config", "log.showRoot", "false")
    state = capture.code_state(mine)
    assert state.commits is not None
    assert (state.commits.count, state.commits.bundle) == (1, b"")
    assert "looks like a secret" in state.commits.why


def test_the_same_commits_are_the_same_file(tmp_path: Path) -> None:
    mine = make_repository(tmp_path / "repo")
    first = capture.code_state(mine).commits
    (mine / "study.py").write_text("x = 2\n")
    assert capture.code_state(mine).commits == first


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda folder: commit(folder, ".env", "A=1\n"), "the name of '.env' in them says that it holds secrets"),
        (lambda folder: commit(folder, "deep/id_rsa", "x\n"), "the name of 'deep/id_rsa' in them"),
        (
            lambda folder: commit(folder, "conf.py", 'api_key = "k3yK3yk3y9f8e7d6c5b4a3f2e1d0c9b8"\n'),
            "looks like a secret",
        ),
        (
            lambda folder: commit(folder, "n.txt", '++ api_key = "k3yK3yk3y9f8e7d6c5b4a3f2e1d0c9b8"\n'),
            "looks like a secret",
        ),
        (lambda folder: merge(folder, 'api_key = "k3yK3yk3y9f8e7d6c5b4a3f2e1d0c9b8"\n'), "looks like a secret"),
        (lambda folder: commit(folder, "my db.yaml", "db_password: correct horse\n"), "looks like a secret"),
        (lambda folder: commit(folder, "deep/db.yaml", "db:\n  password: correcthorse\n"), "looks like a secret"),
        (
            lambda folder: commit(folder, "a.txt", "a\n", "what was done:\n\n- the token is ghp_" + "k3yK" * 9),
            "looks like a secret",
        ),
        (lambda folder: [commit(folder, "n.txt", f"{i}\n") for i in range(4)], "they are more than 3"),
        (lambda folder: commit(folder, "big.txt", "x y z\n" * 40_000), "they are larger than"),
    ],
    ids=[
        "name",
        "name in a folder",
        "content",
        "content like a head",
        "a merge's own content",
        "settings with a space",
        "settings",
        "a list in a message",
        "many",
        "large",
    ],
)
def test_what_must_not_be_kept_is_not_and_it_is_said_why(
    spoil: Callable[[Path], object], why: str, origin: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commits, "MOST", 3)
    monkeypatch.setattr(commits, "MAX_BYTES", 100_000)
    mine, theirs = clone(origin, "mine"), clone(origin, "theirs")
    spoil(mine)
    git(mine, "rm", "-q", "-r", "--cached", ".")  # it was there all the same
    git(mine, "commit", "-q", "-m", "away")
    state = capture.code_state(mine)
    assert state.commits is not None
    assert state.commits.bundle == b""
    assert why in state.commits.why
    with pytest.raises(NotFoundError, match=r"does not have commit .* that no remote had, not kept: .*fetch it"):
        restore(state, tmp_path / "again", theirs)


def test_a_shallow_clone_has_its_commits_from_elsewhere(origin: Path) -> None:
    shallow = clone(origin, "shallow", "--depth", "1")
    commit(shallow, "c.py", "c\n")
    state = capture.code_state(shallow)
    assert state.commits is not None
    assert state.commits.why == "the repository is a shallow clone"


def test_a_bundle_that_does_not_fit_restores_nothing(origin: Path, tmp_path: Path) -> None:
    mine, stranger, theirs = clone(origin, "mine"), tmp_path / "stranger", clone(origin, "theirs")
    commit(mine, "a.py", "a\n")
    state = capture.code_state(mine)
    stranger.mkdir()
    git(stranger, "init", "-q")
    with pytest.raises(NotFoundError, match=r"lacks what commit .* is based on"):
        restore(state, tmp_path / "again", stranger)
    assert state.commits is not None
    with pytest.raises(DigestError, match="not what was recorded"):
        restore(state, tmp_path / "again", theirs, state.commits.bundle[:-1])
    record = state.record()
    for data, error in ((b"no bundle", InvalidValueError), (b"", InvalidValueError)):
        forged = {**record, "commits": {"count": 1, **_facts(data)}}
        with pytest.raises(error, match="the stored commits cannot be read"):
            checkout.restore(forged, None, tmp_path / "again", theirs, partial(bytes, data))
    other = clone(origin, "other")
    commit(other, "other.py", "o\n")
    theirs_now = capture.code_state(other).commits
    assert theirs_now is not None
    forged = {**record, "commits": {"count": 1, **_facts(theirs_now.bundle)}}
    with pytest.raises(DigestError, match="do not hold commit"):
        checkout.restore(forged, None, tmp_path / "again", theirs, lambda: theirs_now.bundle)
    assert not (tmp_path / "again").exists()


def _facts(data: bytes) -> dict[str, object]:
    import hashlib

    return {"digest": hashlib.sha256(data).hexdigest(), "size": len(data)}


def test_the_store_keeps_them_and_the_terminal_brings_them_back(
    origin: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    mine, theirs = clone(origin, "mine"), clone(origin, "theirs")
    last = commit(mine, "model.py", "depth = 4\n")
    monkeypatch.chdir(mine)
    process._launch.cache_clear()
    with trackers.connect(tmp_path / "hpo.db") as store:
        with store.start_run("e") as run:
            pass
        launch = store.launch(run)
        assert launch is not None
        assert launch.code is not None
        assert launch.code.commits is not None
        store.gc(grace=timedelta(0))
        assert store.fsck().findings == ()
        store.archive("e", tmp_path / "archive", files=True)
    shutil.rmtree(mine)
    monkeypatch.chdir(theirs)
    monkeypatch.setenv("HPO_STORAGE", f"sqlite:///{tmp_path}/hpo.db")
    assert run_command(["show", run.uid]) == 0
    assert "1 commit that no remote had, kept" in capsys.readouterr().out
    assert run_command(["checkout", run.uid, "--to", str(tmp_path / "again")]) == 0
    assert f"Restored commit {last[:12]}" in capsys.readouterr().out
    assert (tmp_path / "again" / "model.py").read_text() == "depth = 4\n"
    with trackers.connect(tmp_path / "new.db") as other:
        assert other.import_archive(tmp_path / "archive").equal
        launch = other.launch(run.uid)
        assert launch is not None
        assert launch.code is not None
        assert other.read_commits(launch.code)


def test_a_run_that_is_logged_offline_brings_them_along(
    origin: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = clone(origin, "mine")
    commit(mine, "model.py", "depth = 4\n")
    monkeypatch.chdir(mine)
    process._launch.cache_clear()
    url = f"sqlite:///{tmp_path}/hpo.db"
    trackers.connect(url).close()
    with trackers.connect(url, offline=True) as store, store.start_run("e") as run:
        pass
    with trackers.connect(url) as store:
        assert len(trackers.sync(store=store)) == 1
        launch = store.launch(run.uid)
        assert launch is not None
        assert launch.code is not None
        assert store.read_commits(launch.code)


def test_a_look_for_secrets_that_takes_too_long_is_given_up(origin: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = clone(origin, "mine")
    for number in range(3):
        commit(mine, f"{number}.py", f"x = {number}\n")
    git_of_it = Git(mine, 60.0)
    looked: list[str] = []

    def look(section: str) -> bool:
        looked.append(section)
        git_of_it.deadline = time.monotonic() - 1.0
        return False

    monkeypatch.setattr(commits, "_holds_secret", look)
    found = commits.read_commits(git_of_it)
    assert found is not None
    assert (found.count, found.bundle, len(looked)) == (3, b"", 1)
    assert "takes too long" in found.why
