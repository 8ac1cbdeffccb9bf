import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trackers import capture
from trackers.errors import InvalidValueError


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


def test_arrays_in_cells_are_told_apart_by_all_their_values() -> None:
    import pandas as pd

    def cells(value: float) -> Any:
        long = np.zeros(5000)
        long[2500] = value
        return pd.DataFrame({"embedding": [long, np.array([1.0, value])]})

    assert capture.data_digest(cells(0.5)).digest == capture.data_digest(cells(0.5)).digest
    assert capture.data_digest(cells(0.5)).digest != capture.data_digest(cells(0.25)).digest
    assert capture.data_digest(cells(0.123456789012)).digest != capture.data_digest(cells(0.123456789999)).digest


def test_what_numpy_only_wraps_has_no_digest() -> None:
    class Lazy:
        def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
            return np.array(self.__class__, dtype=object)

    with pytest.raises(InvalidValueError, match=r"No digest can be made of a .*Lazy"):
        capture.data_digest(Lazy())


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


def test_what_came_from_no_index_is_known_by_where_it_came_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from trackers.capture import machine
    from trackers.capture.lock import requirements

    origins = {
        "mine-0.1": {"url": "file:///home/ann/mine", "dir_info": {"editable": True}},
        "forked-1.0": {
            "url": "https://ann:tok3n@example.org/forked.git",
            "vcs_info": {"vcs": "git", "commit_id": "a" * 40, "requested_revision": "main"},
        },
        "wheeled-2.0+cpu": {"url": "https://example.org/w.whl", "archive_info": {"hashes": {"sha256": "b" * 64}}},
        "broken-3.0": ["nonsense"],
    }
    for stem, origin in origins.items():
        folder = tmp_path / f"{stem}.dist-info"
        folder.mkdir()
        (folder / "direct_url.json").write_text(json.dumps(origin))
        (folder / "METADATA").write_text("")
    for stem in ("plain-4.0", "tensors-2.13.0+cpu"):
        (tmp_path / f"{stem}.dist-info").mkdir()
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    packages, direct = machine._packages()
    assert packages == {
        "broken": "3.0",
        "forked": "1.0",
        "mine": "0.1",
        "plain": "4.0",
        "tensors": "2.13.0+cpu",
        "wheeled": "2.0+cpu",
    }
    text = requirements({"python": "3.12.1", "platform": "Linux", "packages": packages, "direct": direct})
    assert text.splitlines() == [
        "# python 3.12.1 on Linux",
        "broken==3.0",
        "forked @ git+https://example.org/forked.git@" + "a" * 40,
        "# mine==0.1 came from an editable folder of that machine: file:///home/ann/mine",
        "plain==4.0",
        "tensors==2.13.0  # it was 2.13.0+cpu",
        "wheeled @ https://example.org/w.whl#sha256=" + "b" * 64,
    ]


def test_the_lock_of_this_environment_is_one_that_pip_takes(tmp_path: Path) -> None:
    from trackers.capture.lock import requirements

    lock = tmp_path / "requirements.txt"
    lock.write_text(requirements(capture.environment()))
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--dry-run",
        "--no-deps",
        "--no-index",
        "--quiet",
        "-r",
        str(lock),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    hostile = {"packages": {"a\n--index-url=x": "1", "b": "1 --pre", "c": "1"}, "direct": {"c": {"url": "x\n-r y"}}}
    kept = [line for line in requirements(hostile).splitlines() if not line.startswith("#")]
    assert kept == []
