"""What is recorded of the code of a process, and that all of it comes back."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
import types
import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

import trackers
from tests.git import git, make_repository
from trackers import capture
from trackers.capture import checkout, patch
from trackers.capture.state import CodeState, state_digest
from trackers.errors import AlreadyExistsError, DigestError, InvalidValueError, NotFoundError


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    return make_repository(tmp_path / "repo")


def read(place: Path, **options: Any) -> CodeState:
    return capture.code_state(place, **options)


def restore(state: CodeState, to: Path, repo: Path) -> checkout.Restored:
    return checkout.restore(state.record(), state.bundle(), to, repo, remote=state.remote)


def tree(folder: Path) -> dict[str, tuple[bytes, bool]]:
    """Return every file of a working tree, git's own apart."""
    return {
        path.relative_to(folder).as_posix(): (path.read_bytes(), os.access(path, os.X_OK))
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ".git" not in path.relative_to(folder).parts
    }


def test_a_clean_tree_is_named_by_its_commit(repository: Path) -> None:
    state = read(repository / "study.py")
    assert state.commit == git(repository, "rev-parse", "HEAD")
    assert (state.branch, state.author) == ("main", "ann@example.org <ann@example.org>")
    assert state.remote == "https://example.org/team/repo.git"
    assert (state.dirty, state.diff, dict(state.files), state.notes) == (False, b"", {}, ())
    assert state.bundle() is None, "a clean tree needs no file of its own"


def test_the_same_state_has_the_same_digest_and_another_one_has_not(repository: Path) -> None:
    first = state_digest(read(repository).record())
    git(repository, "checkout", "-q", "-b", "other")
    assert state_digest(read(repository / "sub").record()) == first
    (repository / "new.py").write_text("y = 1\n")
    second = state_digest(read(repository).record())
    (repository / "study.py").write_text("x = 2\n")
    assert len({first, second, state_digest(read(repository).record())}) == 3
    assert read(repository).bundle() == read(repository / "sub").bundle()


def test_everything_comes_back(repository: Path, tmp_path: Path) -> None:
    (repository / "gone.py").write_text("old\n")
    (repository / "blob.bin").write_bytes(bytes(range(256)) * 9)
    (repository / ".gitignore").write_text("*.log\n")
    (repository / "run.sh").write_text("#!/bin/sh\n")
    git(repository, "add", ".")
    git(repository, "commit", "-m", "second")
    (repository / "gone.py").unlink()
    (repository / "blob.bin").write_bytes(bytes(reversed(range(256))) * 7)
    (repository / "study.py").write_bytes(b"x = '\xff\xfe'\r\ny = 2")
    (repository / "run.sh").chmod(0o755)
    (repository / "staged.py").write_text("staged\n")
    (repository / "empty.py").write_text("")
    git(repository, "add", "staged.py", "empty.py")
    git(repository, "mv", "sub/a.txt", 'sub/b ü ".txt')
    (repository / "new folder").mkdir()
    (repository / "new folder" / "neu.py").write_text("ü\n")
    (repository / "tool").write_text("#!/bin/sh\n")
    (repository / "tool").chmod(0o755)
    (repository / "x.log").write_text("ignored\n")
    state = read(repository)
    assert sorted(state.files) == ["new folder/neu.py", "tool"]
    assert state.left_out == {}
    done = restore(state, tmp_path / "again", repository)
    assert (done.exact, done.missing) == (True, ())
    expected = tree(repository)
    del expected["x.log"]
    assert tree(tmp_path / "again") == expected
    assert git(repository, "status", "--porcelain"), "the repository itself is as it was"


def test_odd_states_of_an_index_come_back(repository: Path, tmp_path: Path) -> None:
    (repository / "b.py").write_text("b\n")
    (repository / "c.py").write_text("c\n")
    (repository / ".gitignore").write_text("*.log\n")
    git(repository, "add", ".")
    git(repository, "commit", "-m", "more")
    git(repository, "rm", "--cached", "b.py")  # still there, and untracked
    (repository / "c.py").unlink()
    (repository / "c.py").mkdir()  # a file became a folder
    (repository / "c.py" / "inner.py").write_text("inner\n")
    (repository / "sub" / "a.txt").unlink()
    (repository / "sub").rmdir()
    (repository / "sub").write_text("a folder became a file\n")
    (repository / "forced.log").write_text("ignored, and added all the same\n")
    git(repository, "add", "-f", "forced.log")
    (repository / "later.py").write_text("l\n")
    git(repository, "add", "-N", "later.py")
    state = read(repository)
    assert (state.notes, state.left_out) == ((), {})
    assert restore(state, tmp_path / "again", repository).exact
    assert tree(tmp_path / "again") == tree(repository)


def test_a_merge_with_conflicts_comes_back_as_it_lies_there(repository: Path, tmp_path: Path) -> None:
    git(repository, "checkout", "-q", "-b", "other")
    (repository / "study.py").write_text("x = 3\n")
    git(repository, "commit", "-qam", "three")
    git(repository, "checkout", "-q", "main")
    (repository / "study.py").write_text("x = 4\n")
    git(repository, "commit", "-qam", "four")
    with pytest.raises(subprocess.CalledProcessError):
        git(repository, "merge", "other")
    state = read(repository)
    assert state.notes == ()
    assert restore(state, tmp_path / "again", repository).exact
    assert tree(tmp_path / "again") == tree(repository)


def test_a_worktree_and_a_folder_behind_a_link_are_repositories_too(repository: Path, tmp_path: Path) -> None:
    git(repository, "worktree", "add", "-q", str(tmp_path / "tree"), "-b", "tree")
    (tmp_path / "tree" / "study.py").write_text("x = 5\n")
    (tmp_path / "link").symlink_to(tmp_path / "tree")
    for place in (tmp_path / "tree", tmp_path / "link" / "study.py"):
        state = read(place)
        assert (state.branch, state.dirty) == ("tree", True)
    assert restore(state, tmp_path / "again", tmp_path / "tree").exact


def test_a_change_applied_in_memory_is_what_lies_there(repository: Path) -> None:
    dice = random.Random(0)
    for _ in range(60):
        lines = [
            f"line {dice.randrange(9)}" + dice.choice(["", "\r", "\x0c", " \x85", "ü"])
            for _ in range(dice.randrange(40))
        ]
        old = ("\n".join(lines) + dice.choice(["", "\n"])).encode()
        for _ in range(dice.randrange(1, 6)):
            place = dice.randrange(len(lines) + 1)
            lines[place : place + dice.randrange(3)] = ["new"] * dice.randrange(3)
        new = ("\n".join(lines) + dice.choice(["", "\n"])).encode()
        (repository / "study.py").write_bytes(old)
        git(repository, "add", ".")
        git(repository, "commit", "-q", "--allow-empty", "-m", "old")
        (repository / "study.py").write_bytes(new)
        for section in patch.split(read(repository).diff):
            assert patch.patched(section, old) == new


def test_the_settings_of_a_person_change_nothing(repository: Path, tmp_path: Path) -> None:
    (repository / "study.py").write_text("x = 2\n")
    first = read(repository)
    for key, value in {
        "diff.noprefix": "true", "diff.mnemonicPrefix": "true", "diff.algorithm": "histogram", "diff.context": "9",
        "core.quotePath": "false", "core.abbrev": "5", "color.diff": "always", "diff.renames": "copies",
        "status.showUntrackedFiles": "no", "diff.ignoreSubmodules": "none", "diff.relative": "true",
    }.items():  # fmt: skip
        git(repository, "config", key, value)
    (repository / "new.py").write_text("")
    second = read(repository / "sub")
    assert second.diff == first.diff
    assert list(second.files) == ["new.py"]
    assert restore(second, tmp_path / "again", repository).exact


def test_what_is_recorded_twice_is_restored_from_any_clone(repository: Path, tmp_path: Path) -> None:
    (repository / "study.py").write_text("x = 2\n")
    state = read(repository)
    git(tmp_path, "clone", str(repository), "clone")
    assert restore(state, tmp_path / "again", tmp_path / "clone" / "sub").exact
    (tmp_path / "elsewhere").mkdir()
    with pytest.raises(NotFoundError, match=r"no git repository at .*--repo; it was cloned from https://example\.org"):
        restore(state, tmp_path / "other", tmp_path / "elsewhere")
    (tmp_path / "stranger").mkdir()
    git(tmp_path / "stranger", "init")
    git(tmp_path / "stranger", "commit", "--allow-empty", "-m", "another")
    with pytest.raises(NotFoundError, match="does not have commit"):
        restore(state, tmp_path / "other", tmp_path / "stranger")
    assert not (tmp_path / "other").exists()


def test_a_study_that_is_not_committed_is_a_change_and_a_new_file_beside_it_is_none(repository: Path) -> None:
    (repository / "folder").mkdir()
    (repository / "folder" / "new.py").write_text("")
    assert read(repository / "study.py").dirty is False
    assert read(repository / "folder" / "new.py").dirty is True


def test_a_detached_head_has_no_branch(repository: Path) -> None:
    git(repository, "checkout", "--detach")
    assert read(repository).branch is None
    assert read(repository).commit


def test_secret_files_are_left_out_and_listed(repository: Path, tmp_path: Path) -> None:
    (repository / ".env").write_text("DB=1\n")
    git(repository, "add", "-f", ".env")
    git(repository, "commit", "-m", "oops")
    (repository / ".env").write_text("DB=tops3cret\n")
    (repository / "id_rsa").write_text("key")
    (repository / "settings.py").write_text('API_KEY = "abcdef123456"\n')
    state = read(repository)
    assert "secrets" in state.left_out[".env"]
    assert "secrets" in state.left_out["id_rsa"]
    assert "looks like a secret" in state.left_out["settings.py"]
    assert (state.diff, dict(state.files)) == (b"", {})
    done = restore(state, tmp_path / "again", repository)
    assert not done.exact
    assert len(done.missing) == 3
    assert (tmp_path / "again" / ".env").read_text() == "DB=1\n", "what is committed is the repository's affair"


def test_a_secret_in_what_was_changed_is_hidden_and_the_rest_restored(repository: Path, tmp_path: Path) -> None:
    (repository / "study.py").write_text("x = 2\n" + 'token = "ghp_' + "a" * 36 + '"\ny = 3\n')
    state = read(repository)
    assert b"ghp_" not in state.diff
    assert state.hidden == {"study.py": False}
    done = restore(state, tmp_path / "again", repository)
    assert not done.exact
    assert "a secret was hidden" in done.missing[0]
    assert (tmp_path / "again" / "study.py").read_text() == 'x = 2\ntoken = "***"\ny = 3\n'


def test_a_committed_secret_beside_a_change_does_not_enter_and_all_comes_back(repository: Path, tmp_path: Path) -> None:
    old = 'a = 1\npassword = "tops3cret"\nb = 1\nsecret = "othersecret"\nc = 1\n'
    (repository / "study.py").write_text(old)
    git(repository, "commit", "-am", "oops")
    (repository / "study.py").write_text(
        old.replace("a = 1", "a = 2\nmore = 1").replace('secret = "othersecret"\n', "")
    )
    state = read(repository)
    assert b"tops3cret" not in state.diff
    assert b"othersecret" not in state.diff
    assert state.hidden == {"study.py": True}
    assert restore(state, tmp_path / "again", repository).exact
    assert tree(tmp_path / "again") == tree(repository)


def test_a_line_above_that_speaks_of_a_secret_takes_nothing_from_the_next(repository: Path, tmp_path: Path) -> None:
    code = "# the client sends Authorization: Bearer\nLENGTH = 5\n# it is basic\nsome_function_name_v2 = 1\nx = 1\n"
    (repository / "study.py").write_text(code)
    assert restore(read(repository), tmp_path / "out", repository).exact
    assert (tmp_path / "out" / "study.py").read_text() == code


def test_what_is_too_large_is_left_out_and_listed(repository: Path, tmp_path: Path) -> None:
    (repository / "sub" / "a.txt").write_text("0123456789\n" * 500_000)
    (repository / "study.py").write_text("x = 2\n")
    (repository / "data.csv").write_bytes(b"0,1\n" * 300_000)
    (repository / "model.db").write_bytes(b"SQLite format 3\0...")
    (repository / "link").symlink_to("/etc/passwd")
    state = read(repository)
    assert b"study.py" in state.diff
    assert len(state.bundle() or b"") < 100_000
    assert state.left_out == {
        "sub/a.txt": "its changes are too large",
        "data.csv": "it is larger than 1 MiB",
        "model.db": "it is a database",
        "link": "it is no plain file",
    }
    done = restore(state, tmp_path / "again", repository)
    assert (tmp_path / "again" / "study.py").read_text() == "x = 2\n"
    assert len(done.missing) == 4


def lines(count: int) -> str:
    return "".join(f"{number}\n" for number in range(count))


@pytest.mark.parametrize(
    ("name", "contents"),
    [
        ("sub/a.txt", (lines(900_000), "5" + lines(900_000)[1:])),
        ("sub/a.txt", ("0" * (9 << 20), "0" * (5 << 20) + "1" + "0" * ((4 << 20) - 1))),
        ("settings.env", ("lr = 2\n", "lr = 33\n")),
        ("large.py", ("0" * (2 << 20), "1" * (2 << 20))),
        ("config.json", ('{"lr": 0.1, "api_key": "abcdef123456"}\n', '{"lr": 9.9, "api_key": "abcdef123456"}\n')),
        ("app.conf", ("password = 'hunter22'\nlr = 1\n", "password = 'hunter22'\nlr = 2\n")),
        ("new.py", ('key = 1\nAPI_KEY = "abcdef123456"\n', 'key = 2\nAPI_KEY = "abcdef123456"\n')),
    ],
    ids=["large", "larger", "secret name", "new", "json", "conf", "secret look"],
)
def test_what_is_left_out_makes_another_state_and_another_content_of_it_one_more(
    repository: Path, name: str, contents: tuple[str, str]
) -> None:
    (repository / "settings.env").write_text("lr = 1\n")
    git(repository, "add", "-f", ".")
    git(repository, "commit", "-qm", "settings")
    states = [read(repository)]
    for content in (*contents, contents[0]):
        (repository / name).write_text(content)
        states.append(read(repository))
        assert set(states[-1].left_out) == {name}
    clean, first, second, again = (state_digest(state.record()) for state in states)
    assert len({clean, first, second}) == 3
    assert again == first


@pytest.mark.parametrize("told", ["--assume-unchanged", "--skip-worktree"])
@pytest.mark.parametrize("place", [".", "sub"])
def test_a_change_that_git_was_told_not_to_see_is_one(repository: Path, tmp_path: Path, told: str, place: str) -> None:
    git(repository, "update-index", told, "study.py", "sub/a.txt")
    assert read(repository / place).dirty is False
    (repository / "study.py").write_text("x = 2\n")
    assert git(repository, "status", "--short") == ""
    state = read(repository / place)
    assert state.dirty
    assert restore(state, tmp_path / "again", repository).exact
    assert tree(tmp_path / "again") == tree(repository)
    assert git(repository, "status", "--short") == "", "the repository's own index says what it said"
    (repository / "study.py").unlink()
    assert read(repository / place).dirty, "it was removed"
    git(repository, "config", "core.sparseCheckout", "true")
    assert read(repository / place).dirty is (told == "--assume-unchanged"), "a sparse checkout lacks what it skips"


def test_a_link_that_leads_elsewhere_is_another_state(repository: Path) -> None:
    (repository / "link").symlink_to("study.py")
    git(repository, "add", ".")
    git(repository, "commit", "-qm", "link")
    found = []
    for target in ("study.py", "sub/a.txt", "sub"):
        (repository / "link").unlink()
        (repository / "link").symlink_to(target)
        found.append(state_digest(read(repository).record()))
    assert len(set(found)) == 3


def test_a_secret_that_is_left_out_is_no_part_of_what_is_known_of_its_file(repository: Path) -> None:
    digests = set()
    for secret in ("abcdef123456", "abcdef123457"):
        (repository / "new.py").write_text(f'API_KEY = "{secret}"\n')
        (repository / ".env").write_text(f"{secret}\n")
        digests.add(state_digest(read(repository).record()))
    assert len(digests) == 1, "by a digest of the bytes it could be guessed"


def test_what_comes_after_a_change_that_is_too_large_is_kept(repository: Path, tmp_path: Path) -> None:
    (repository / "a.csv").write_text("0\n")
    git(repository, "add", ".")
    git(repository, "commit", "-qm", "data")
    (repository / "a.csv").write_text("0,1,2,3\n" * (5 << 20))
    (repository / "study.py").write_text("x = 2\n")
    state = read(repository, seconds=20.0)
    assert state.left_out == {"a.csv": "its changes are too large"}
    restore(state, tmp_path / "again", repository)
    assert (tmp_path / "again" / "study.py").read_text() == "x = 2\n"


def test_what_runs_leave_behind_makes_no_other_state_of_the_code(repository: Path) -> None:
    digests = set()
    for run in range(3):
        for name, content in (
            ("model.bin", b"01"[run % 2 : run % 2 + 1]),
            ("runs.db", b"SQLite format 3\0" + bytes([run])),
        ):
            (repository / name).write_bytes(content * (2 << 20))
        (repository / f"out{run}.log").write_bytes(b"x" * (2 << 20))
        digests.add(state_digest(read(repository).record()))
    assert len(digests) == 1


def test_where_git_was_too_slow_the_state_is_not_that_of_the_commit(repository: Path) -> None:
    known = CodeState(commit=git(repository, "rev-parse", "HEAD"), dirty=False)
    unknown = CodeState(commit=known.commit, notes=("git took too long",))
    assert state_digest(known.record()) != state_digest(unknown.record())


def test_a_state_of_which_all_is_kept_has_the_digest_that_it_always_had(repository: Path) -> None:
    commit = "0123456789" * 4
    clean = CodeState(commit=commit, dirty=False)
    assert state_digest(clean.record()) == "2580b5efe29f2a694ffa5217363be89f0d2ac7cbb443d0a95adb592c993ab7ab"
    changed = CodeState(commit=commit, dirty=True, diff=b"diff --git a/x b/x\n", files={"y.py": capture_file(b"y\n")})
    assert state_digest(changed.record()) == "083b5c8b9d048444a77165da2e3038ba0a1625ba6f03de2f7f44131ed179b040"
    old = {**clean.record(), "left_out": {"data.csv": "its changes are too large"}, "left_out_count": 1}
    assert state_digest(old) == state_digest(clean.record()), "as the store of an older release has it"


def test_files_of_other_stores_in_the_repository_are_nobody_s_code(repository: Path) -> None:
    with trackers.connect(f"sqlite:///{repository / 'other.db'}") as store, store.start_run("a") as run:
        run.log_text("a note", "note.txt")
    url = f"sqlite:///{repository / 'third.db'}"
    with trackers.connect(url, offline=True) as store, store.start_run("a") as run:
        run.log_text("a note", "note.txt")
    other = repository / "stores" / "3f2504e0-4f89-41d3-9a0c-0305e82c3301"  # what others call a store
    other.mkdir(parents=True)
    (other / "index.py").write_text("x = 1\n")
    (repository / "stores" / ("a" * 32)).write_text("no note of ours\n")
    state = read(repository)
    assert set(state.files) == {f"stores/{other.name}/index.py", f"stores/{'a' * 32}"}
    assert set(state.left_out) <= {"other.db", "other.db-wal", "other.db-shm"}


def test_code_that_lies_where_a_store_keeps_its_files_is_kept(repository: Path) -> None:
    for name in ("train.py", "mine/helper.py", "stores/model.py", "db/query.py"):
        (repository / name).parent.mkdir(exist_ok=True)
        (repository / name).write_text(f"# {name}\n")
    with trackers.connect(f"sqlite:///{repository.parent / 'team.db'}", artifacts=str(repository)) as store:
        with store.start_run("a") as run:
            run.log_text("a note", "note.txt")
        state = read(repository, beside=store.own_files)
    assert any(len(path.name) == 64 for path in repository.rglob("*"))
    assert set(state.files) == {"train.py", "mine/helper.py", "stores/model.py", "db/query.py"}
    assert state.left_out == {}


def test_many_new_files_are_counted_and_the_store_beside_is_none_of_them(repository: Path) -> None:
    for number in range(600):
        (repository / f"f{number}.py").write_text(f"{number}\n")
    (repository / "hpo-artifacts").mkdir()
    (repository / "hpo-artifacts" / "a").write_text("a")
    state = read(repository, beside=[repository / "hpo-artifacts"])
    assert len(state.files) == 500
    assert len(state.left_out) == 100
    record = state.record()
    assert record["left_out_count"] == 100
    assert not any("hpo-artifacts" in name for name in (*state.files, *state.left_out))


def test_a_changed_link_and_a_submodule_are_noted(repository: Path, tmp_path: Path) -> None:
    other = make_repository(tmp_path / "other")
    git(repository, "submodule", "add", str(other), "lib")
    (repository / "link").symlink_to("study.py")
    git(repository, "add", ".")
    git(repository, "commit", "-m", "more")
    (repository / "link").unlink()
    (repository / "link").symlink_to("/etc/passwd")
    state = read(repository)
    assert state.left_out == {"link": "it is a link or a submodule"}
    assert state.submodules == {"lib": git(other, "rev-parse", "HEAD")}
    done = restore(state, tmp_path / "again", repository)
    assert (tmp_path / "again" / "link").readlink() == Path("study.py")
    assert any("git submodule update" in line for line in done.missing)


def test_a_repository_cannot_make_us_run_its_programs(repository: Path) -> None:
    bad = f"touch {repository / 'ran'}"
    for key in ("core.fsmonitor", "core.pager", "diff.external", "core.sshCommand"):
        git(repository, "config", key, bad)
    git(repository, "config", "diff.x.textconv", bad)
    (repository / ".gitattributes").write_text("* diff=x\n")
    hook = repository / ".git" / "hooks" / "post-checkout"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\n{bad}\n")
    hook.chmod(0o755)
    (repository / "study.py").write_text("x = 2\n")
    state = read(repository)
    assert state.dirty is True
    restore(state, repository.parent / "again", repository)
    assert not (repository / "ran").exists()


def test_a_lock_does_not_stop_anything(repository: Path) -> None:
    (repository / "study.py").write_text("x = 2\n")
    (repository / ".git" / "index.lock").write_text("")
    state = read(repository)
    assert (state.dirty, state.notes) == (True, ())


def test_where_git_is_broken_missing_or_slow_a_note_says_so(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert read(repository, seconds=0.0).notes == ("git took too long: the imported source was kept instead",)
    program = tmp_path / "bin" / "git"
    program.parent.mkdir()
    program.write_text(
        '#!/bin/sh\ncase "$*" in *status*) exec sleep 60;; esac\nexec /usr/bin/env -i /usr/bin/git "$@"\n'
    )
    program.chmod(0o755)
    with monkeypatch.context() as patched:
        patched.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
        begun = time.monotonic()
        state = read(repository, seconds=1.0)
        assert time.monotonic() - begun < 30
        assert state.commit
        assert state.dirty is None
        assert "took too long" in state.notes[0]
    with monkeypatch.context() as patched:
        patched.setenv("PATH", "")
        state = read(repository / "study.py")
        assert state.commit is None
        assert "git is not installed" in state.notes[0]
        assert list(state.files) == ["study.py"], "the source is there all the same"
    (repository / ".git" / "HEAD").write_text("nonsense")
    assert "failed" in read(repository).notes[0]
    (tmp_path / "empty").mkdir()
    git(tmp_path / "empty", "init")
    assert "the repository has no commit yet" in read(tmp_path / "empty").notes[0]


def test_outside_a_repository_the_imported_source_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "project"
    (folder / "package").mkdir(parents=True)
    (folder / "train.py").write_text("import package.layers\n")
    (folder / "package" / "layers.py").write_text("depth = 3\n")
    (folder / "package" / "never.py").write_text("unused = 1\n")
    module = types.ModuleType("package.layers")
    module.__file__ = str(folder / "package" / "layers.py")
    monkeypatch.setitem(sys.modules, "package.layers", module)
    state = read(folder / "train.py")
    assert sorted(state.files) == ["package/layers.py", "train.py"]
    assert (state.commit, state.notes) == (None, ())
    done = restore(state, tmp_path / "again", tmp_path)
    assert done.exact
    assert tree(tmp_path / "again") == {k: v for k, v in tree(folder).items() if "never" not in k}
    (tmp_path / "absent").mkdir()
    assert "train.py" not in read(tmp_path / "absent" / "train.py").files


def test_the_cells_of_a_notebook_are_kept_without_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shell = types.SimpleNamespace(user_ns={"In": ["", "import hpo", 'password = "hunter2"']})
    ipython = types.ModuleType("IPython")
    ipython.get_ipython = lambda: shell  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    state = read(tmp_path)
    assert state.cells == '# In [1]:\nimport hpo\n\n# In [2]:\npassword = "***"\n'
    restore(state, tmp_path / "again", tmp_path)
    assert (tmp_path / "again" / "cells.py").read_text() == state.cells
    monkeypatch.chdir(tmp_path)
    first = capture.launch()
    assert capture.launch() is first
    shell.user_ns["In"].append("x = 1")
    assert capture.launch().digest != first.digest


def test_the_call_is_kept_without_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        sys, "argv", ["/opt/bin/hpo", "run", "--storage", "postgresql://u:pw@h/db", "--api-key", "k123"]
    )
    monkeypatch.setattr(sys.modules["__main__"], "__spec__", None)
    found = capture.capture(tmp_path)
    assert found.entry_point == "hpo"
    assert found.arguments == ("run", "--storage", "postgresql://***@h/db", "--api-key", "***")
    monkeypatch.setattr(sys.modules["__main__"], "__spec__", types.SimpleNamespace(name="package.train.__main__"))
    assert capture.capture(tmp_path).entry_point == "-m package.train"


def test_scripts_of_one_name_are_told_apart(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in ("a", "b"):
        script = repository / "exp" / folder / "train.py"
        script.parent.mkdir(parents=True)
        script.write_text("print('hello')")
        monkeypatch.setattr(sys, "argv", ["train.py"])
        monkeypatch.setattr(sys.modules["__main__"], "__spec__", None)
        monkeypatch.setattr(sys.modules["__main__"], "__file__", str(script), raising=False)
        assert capture.capture(repository).entry_point == f"exp/{folder}/train.py"


def test_existing_work_is_never_written_over(repository: Path, tmp_path: Path) -> None:
    state = read(repository)
    full = tmp_path / "full"
    full.mkdir()
    (full / "mine").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for to in (full, full / "mine", tmp_path / "link", repository):
        with pytest.raises(AlreadyExistsError, match="--to"):
            restore(state, to, repository)
    assert (full / "mine").read_text() == "mine"
    assert restore(state, tmp_path / "a" / "new" / "one", repository).exact


HOSTILE = [
    "../out",
    "/etc/out",
    "a/../../out",
    ".git/config",
    "sub/.GIT/hooks/x",
    "a/.git./x",
    "a\\b",
    "C:x",
    "a//b",
    "",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_file_that_would_leave_the_folder_is_refused(name: str, repository: Path, tmp_path: Path) -> None:
    base = CodeState(files={"good.py": capture_file(b"x")})
    record = base.record()
    record["files"] = {name: record["files"]["good.py"]}
    for commit in (None, git(repository, "rev-parse", "HEAD")):
        with pytest.raises(InvalidValueError):
            checkout.restore(
                {**record, "commit": commit}, packed({f"files/{name}": b"x"}), tmp_path / "again", repository
            )
    assert not (tmp_path / "again").exists()
    assert not (tmp_path / "out").exists()


def capture_file(data: bytes) -> Any:
    from trackers.capture.state import SourceFile

    return SourceFile(data)


def packed(parts: dict[str, bytes]) -> bytes:
    sink = BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in parts.items():
            archive.writestr(zipfile.ZipInfo(name), data)
    return sink.getvalue()


@pytest.mark.parametrize(
    "diff",
    [
        "diff --git a/../out b/../out\nnew file mode 100644\n--- /dev/null\n+++ b/../out\n@@ -0,0 +1 @@\n+x\n",
        "diff --git a/.git/config b/.git/config\n--- a/.git/config\n+++ b/.git/config\n@@ -1 +1 @@\n-x\n+y\n",
        "diff --git a/ok b/ok\nnew file mode 100644\n--- /dev/null\n+++ b/.git/hooks/x\n@@ -0,0 +1 @@\n+x\n",
        "diff --git a/l b/l\nnew file mode 120000\n--- /dev/null\n+++ b/l\n@@ -0,0 +1 @@\n+/etc/passwd\n\\ No newline\n",
        "diff --git a/study.py b/other.py\nsimilarity index 100%\nrename from study.py\nrename to ../other.py\n",
        "--- a/study.py\n+++ b/study.py\n@@ -1 +1 @@\n-x = 1\n+x = 2\n",
        "diff --git a/m b/m\nnew file mode 160000\n--- /dev/null\n+++ b/m\n@@ -0,0 +1 @@\n+Subproject commit abc\n",
    ],
)
def test_a_hostile_diff_is_refused_before_anything_is_written(diff: str, repository: Path, tmp_path: Path) -> None:
    state = CodeState(commit=git(repository, "rev-parse", "HEAD"), diff=diff.encode())
    with pytest.raises(InvalidValueError):
        restore(state, tmp_path / "again", repository)
    assert not (tmp_path / "again").exists()
    assert git(repository, "worktree", "list").count("\n") == 0


def test_a_file_below_a_link_of_the_commit_is_refused(repository: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (repository / "link").symlink_to(tmp_path / "outside")
    git(repository, "add", ".")
    git(repository, "commit", "-m", "a link")
    commit = git(repository, "rev-parse", "HEAD")
    for name in ("link/x.py", "link", "study.py"):
        with pytest.raises(InvalidValueError):
            restore(CodeState(commit=commit, files={name: capture_file(b"x")}), tmp_path / "again", repository)
    assert list((tmp_path / "outside").iterdir()) == []
    assert not (tmp_path / "again").exists()


def test_what_is_not_what_was_recorded_is_refused(repository: Path, tmp_path: Path) -> None:
    state = CodeState(files={"a.py": capture_file(b"x = 1\n"), "a.py.d/b": capture_file(b"")})
    record = state.record()
    wrong = [
        (packed({"files/a.py": b"x = 2\n"}), DigestError),
        (packed({"files/other.py": b"x"}), InvalidValueError),
        (packed({"diff.patch": b"x"}), InvalidValueError),
        (packed({"strange": b"x"}), InvalidValueError),
        (packed({"files/a.py": bytes(65 << 20)}), InvalidValueError),
        (b"PK nonsense", InvalidValueError),
        ((state.bundle() or b"")[:-30], InvalidValueError),
    ]
    for bundle, error in wrong:
        with pytest.raises(error):
            checkout.restore(record, bundle, tmp_path / "again", tmp_path)
    clash = CodeState(files={"a": capture_file(b"x"), "a/b": capture_file(b"y")})
    with pytest.raises(InvalidValueError, match="a file and a folder"):
        restore(clash, tmp_path / "again", tmp_path)
    for commit in ("--upload-pack=x", "HEAD", "a" * 39, "A" * 40):
        with pytest.raises(InvalidValueError, match="is none"):
            restore(CodeState(commit=commit), tmp_path / "again", repository)
    assert not (tmp_path / "again").exists()
    assert (
        checkout.restore(record, None, tmp_path / "none", tmp_path).missing[-1].startswith("the changes and new files")
    )


def test_the_code_of_this_process_is_looked_at_once(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(repository)
    assert capture.launch() is capture.launch()
    (repository / "sub" / "new.py").write_text("")
    assert capture.launch() is capture.launch()
