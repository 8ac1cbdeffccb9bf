import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trackers import capture
from trackers.capture.secret import clean_url, redact, redact_arguments
from trackers.errors import InvalidValueError


def git(folder: Path, *arguments: str) -> str:
    names = ("AUTHOR_NAME", "AUTHOR_EMAIL", "COMMITTER_NAME", "COMMITTER_EMAIL")
    environment = {
        **os.environ,
        **{f"GIT_{name}": "ann@example.org" for name in names},
        "GIT_CONFIG_GLOBAL": os.devnull,
    }
    done = subprocess.run(["git", *arguments], cwd=folder, env=environment, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    git(tmp_path, "init", "-b", "main")
    git(tmp_path, "remote", "add", "origin", "https://ann:hunter2@example.org/team/repo.git?token=abc")
    (tmp_path / "study.py").write_text("x = 1\n")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a.txt").write_text("a\n")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-m", "first")
    return tmp_path


def test_a_clean_tree_is_named_by_its_commit(repository: Path) -> None:
    facts = capture.code(repository / "study.py")
    assert facts["commit"] == git(repository, "rev-parse", "HEAD")
    assert facts["branch"] == "main"
    assert facts["author"] == "ann@example.org <ann@example.org>"
    assert facts["remote"] == "https://example.org/team/repo.git"
    assert (facts["dirty"], facts["diff"], facts["untracked"]) == (False, "", [])


def test_a_changed_tree_says_what_was_changed_from_any_folder_in_it(repository: Path) -> None:
    (repository / "study.py").write_text("x = 2\n")
    (repository / "new.py").write_text("")
    facts = capture.code(repository / "sub")
    assert facts["dirty"] is True
    assert "-x = 1\n+x = 2" in facts["diff"]
    assert facts["untracked"] == ["new.py"]


def test_a_new_file_beside_is_no_change_but_a_study_that_is_not_committed_is(repository: Path) -> None:
    (repository / "folder").mkdir()
    (repository / "folder" / "new.py").write_text("")
    assert capture.code(repository / "study.py")["dirty"] is False
    assert capture.code(repository / "folder" / "new.py")["dirty"] is True


def test_a_staged_rename_and_a_detached_head_are_understood(repository: Path) -> None:
    git(repository, "checkout", "--detach")
    git(repository, "mv", "study.py", "renamed.py")
    facts = capture.code(repository)
    assert facts["branch"] is None
    assert facts["dirty"] is True
    assert facts["untracked"] == []


def test_secrets_stay_out_of_the_diff(repository: Path) -> None:
    (repository / ".env").write_text("DB=1\n")
    git(repository, "add", "-f", ".env")
    git(repository, "commit", "-m", "oops")
    (repository / ".env").write_text("DB=tops3cret\n")
    (repository / "study.py").write_text('API_KEY = "abcdef123456"\nx = "ghp_' + "a" * 36 + '"\n')
    diff = capture.code(repository)["diff"]
    assert "tops3cret" not in diff
    assert "abcdef123456" not in diff
    assert "ghp_" not in diff
    assert 'API_KEY = "***"' in diff


def test_a_huge_diff_is_cut(repository: Path) -> None:
    (repository / "study.py").write_text("0123456789\n" * 300_000)
    facts = capture.code(repository)
    assert facts["diff_truncated"] is True
    assert len(facts["diff"]) <= 1 << 20


def test_a_repository_cannot_make_us_run_its_programs(repository: Path) -> None:
    bad = f"touch {repository / 'ran'}"
    for key in ("core.fsmonitor", "core.pager", "diff.external", "core.sshCommand"):
        git(repository, "config", key, bad)
    git(repository, "config", "diff.x.textconv", bad)
    (repository / ".gitattributes").write_text("* diff=x\n")
    (repository / "study.py").write_text("x = 2\n")
    assert capture.code(repository)["dirty"] is True
    assert not (repository / "ran").exists()


def test_outside_a_repository_and_without_git_nothing_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert capture.code(tmp_path)["commit"] is None
    assert capture.code(tmp_path / "absent" / "file.py")["commit"] is None
    git(tmp_path, "init")
    assert capture.code(tmp_path)["commit"] is None, "a repository without a commit"
    monkeypatch.setenv("PATH", "")
    assert capture.code(tmp_path)["commit"] is None


def test_the_arguments_of_the_process_are_kept_without_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        sys, "argv", ["/opt/bin/hpo", "run", "--storage", "postgresql://u:pw@h/db", "--api-key", "k123"]
    )
    facts = capture.code(tmp_path)
    assert facts["entry_point"] == "hpo"
    assert facts["arguments"] == ["run", "--storage", "postgresql://***@h/db", "--api-key", "***"]


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("password = 'hunter2'", "hunter2"),
        ('{"client_secret": "s3cr3t-value"}', "s3cr3t-value"),
        ("export AWS_SECRET_ACCESS_KEY=abc/def+ghi", "abc/def+ghi"),
        ("+GITHUB_TOKEN=abc", "abc"),
        ("url = postgresql+psycopg://ann:pa55@db/x", "pa55"),
        ("https://h/p?token=zzz&x=1", "zzz"),
        ("AKIAABCDEFGHIJKLMNOP", "AKIA"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----", "MIIE"),
        ("sk-" + "a" * 40, "aaaa"),
    ],
)
def test_what_looks_like_a_secret_is_hidden(text: str, hidden: str) -> None:
    assert hidden not in redact(text)


@pytest.mark.timeout(20)
@pytest.mark.parametrize("piece", ["a", "a://", "eyJaaaaaaaaaaaa", "token='", "-", "secret", "sk-", "@", "://a"])
def test_a_hostile_megabyte_is_searched_in_linear_time(piece: str) -> None:
    redact(piece * (300_000 // len(piece)))


@pytest.mark.parametrize("text", ["token = tokenizer(text)", "n_tokens = 5", "x: int = 3", "mail ann@example.org", ""])
def test_ordinary_code_stays_as_it_is(text: str) -> None:
    assert redact(text) == text


def test_arguments_and_urls_lose_their_secrets() -> None:
    assert redact_arguments(["--password=x", "--token", "y", "--n", "3"]) == [
        "--password=***", "--token", "***", "--n", "3",
    ]  # fmt: skip
    assert clean_url("git@github.com:team/repo.git") == "git@github.com:team/repo.git"
    assert clean_url("https://token@github.com/a/b") == "https://github.com/a/b"


def test_a_snapshot_holds_the_source_and_the_digest_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "study.py").write_text("x = 1\n")
    snapshot = capture.snapshot(tmp_path / "study.py")
    assert snapshot["file"] == "study.py"
    assert snapshot["text"] == "x = 1\n"
    assert snapshot["digest"] == capture.data_digest(tmp_path / "study.py").digest
    assert capture.snapshot(text="x = 1\n")["digest"] == snapshot["digest"]
    assert capture.snapshot(tmp_path / "absent.py")["digest"] is None
    (tmp_path / ".env").write_text("A=1")
    assert capture.snapshot(tmp_path / ".env")["text"] is None


def test_the_environment_names_python_packages_and_hardware() -> None:
    facts = capture.environment()
    assert facts["python"] == ".".join(str(n) for n in sys.version_info[:3])
    assert facts["packages"]["numpy"] == np.__version__
    assert facts["cpus"] >= 1
    assert facts["memory"] > 1 << 28
    facts["packages"].clear()
    assert capture.environment()["packages"], "the caller's copy is its own"


def digest(data: Any) -> str:
    return capture.data_digest(data).digest


def test_equal_arrays_have_equal_digests_however_they_lie_in_memory() -> None:
    rows = np.arange(6_000_000, dtype="float64").reshape(-1, 6)
    first = capture.data_digest(rows)
    assert first.rows == 1_000_000
    assert first.schema == {"kind": "array", "shape": [None, 6], "dtype": "float64"}
    assert digest(np.asfortranarray(rows)) == first.digest
    assert digest(rows.astype(">f8")) == first.digest
    assert digest(np.repeat(rows, 2, axis=0)[::2]) == first.digest
    changed = rows.copy()
    changed[-1, -1] += 1
    others = [changed, rows.astype("float32"), rows.reshape(6, -1), rows[:-1], rows.astype("int64")]
    assert len({first.digest, *map(digest, others)}) == 6


def test_arrays_of_every_kind_have_a_digest() -> None:
    kinds = [
        np.array(3.0),
        np.zeros((0, 4)),
        np.array(["a", "bc"]),
        np.array(["a", None, 1], dtype=object),
        np.array([True, False]),
        np.array(["2026-01-01"], dtype="datetime64[ns]"),
        np.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")]),
        np.array([1 + 2j]),
    ]
    assert len({digest(kind) for kind in kinds}) == len(kinds)


def test_frames_are_equal_by_columns_types_and_values() -> None:
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame({"a": [1.0, None], "b": ["x", None], "c": pd.Categorical(["u", "v"])})
    made = capture.data_digest(frame)
    assert made.rows == 2
    assert made.schema is not None
    assert [column["name"] for column in made.schema["columns"]] == ["a", "b", "c"]
    assert digest(frame.copy()) == made.digest
    others = [
        frame.rename(columns={"a": "z"}),
        frame[["b", "a", "c"]],
        frame.assign(a=[1.0, 2.0]),
        frame.assign(b=["x", "None"]),
        frame.assign(a=frame.a.astype("float32")),
        frame.set_axis([5, 6]),
        frame.iloc[::-1],
    ]
    assert len({made.digest, *map(digest, others)}) == 8
    assert capture.data_digest(frame["a"]).rows == 2


def test_files_folders_and_bytes_are_equal_by_content(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "a").write_bytes(b"data")
    (tmp_path / "two").mkdir()
    (tmp_path / "two" / "a").write_bytes(b"data")
    assert digest(b"data") == digest(tmp_path / "one" / "a") == digest(str(tmp_path / "two" / "a"))
    assert digest(tmp_path / "one") == digest(tmp_path / "two")
    (tmp_path / "two" / "a").rename(tmp_path / "two" / "b")
    assert digest(tmp_path / "one") != digest(tmp_path / "two")
    assert capture.data_digest(tmp_path / "one").schema == {"kind": "folder", "files": 1, "size": 4}
    with pytest.raises(InvalidValueError, match="no file or folder"):
        capture.data_digest(tmp_path / "absent")


def test_lists_tuples_mappings_and_bunches_have_a_digest() -> None:
    datasets = pytest.importorskip("sklearn.datasets")
    iris = datasets.load_iris()
    made = capture.data_digest(iris)
    assert made.rows == 150
    assert made.digest == digest(datasets.load_iris())
    pair = capture.data_digest((iris.data, iris.target))
    assert pair.rows == 150
    assert capture.data_digest([1, 2, 3]).rows == 3
    assert digest(["ab", "c"]) != digest(["a", "bc"])
    assert digest({"a": 1, "b": [2]}) == digest({"b": [2], "a": 1})
    assert digest([1, 2]) != digest(["1", "2"])
    with pytest.raises(InvalidValueError, match=r"No digest can be made of a builtins\.object"):
        capture.data_digest(object())


def test_sparse_matrices_are_equal_by_content() -> None:
    sparse = pytest.importorskip("scipy.sparse")
    dense = np.eye(5)
    assert digest(sparse.csr_matrix(dense)) == digest(sparse.coo_matrix(dense)) == digest(sparse.csc_matrix(dense))
    assert capture.data_digest(sparse.csr_matrix(dense)).rows == 5
