"""Same data, same digest: whatever the memory, the chunks and the files it comes in; other data, another digest."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trackers.capture import data_digest
from trackers.capture.tree import CHUNK, TreeHash
from trackers.errors import ArtifactError


def digest(data: Any) -> str:
    return data_digest(data).digest


def whole(*parts: bytes) -> str:
    with TreeHash() as tree:
        for part in parts:
            tree.update(part)
        return tree.hexdigest()


def test_up_to_a_piece_the_digest_is_the_one_that_every_tool_computes(tmp_path: Path) -> None:
    for size in (0, 1, CHUNK):
        data = os.urandom(size)
        (tmp_path / "f").write_bytes(data)
        assert digest(data) == digest(tmp_path / "f") == whole(data) == hashlib.sha256(data).hexdigest()


def test_beyond_it_how_the_bytes_are_cut_changes_nothing(tmp_path: Path) -> None:
    data = os.urandom(3 * CHUNK + 5)
    leaves = b"".join(hashlib.sha256(data[i : i + CHUNK]).digest() for i in range(0, len(data), CHUNK))
    expected = hashlib.sha256(f"tree|{len(data)}|".encode() + leaves).hexdigest()
    (tmp_path / "f").write_bytes(data)
    for cut in (1, 1000, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK):
        assert whole(data[:cut], data[cut:]) == expected
    assert digest(data) == digest(tmp_path / "f") == digest(memoryview(data)) == digest(bytearray(data)) == expected
    assert digest(data[:-1]) != expected
    assert whole(data[: 2 * CHUNK]) != whole(data[:CHUNK], data[CHUNK : 2 * CHUNK], b"x")


def test_an_array_is_the_same_in_every_layout_and_another_in_every_type() -> None:
    base = np.random.default_rng(0).integers(0, 99, (300, 4, 5)).astype("int32")
    same = [
        np.asfortranarray(base),
        base.astype(">i4"),
        np.repeat(base, 2, axis=1)[:, ::2],
        base[::-1][::-1],
        base.copy(),
    ]
    assert {digest(array) for array in same} == {digest(base)}
    other = [
        base.astype("int64"),
        base.astype("uint32"),
        base.view("float32"),
        base.reshape(300, 20),
        base[::-1],
        base.T,
    ]
    assert len({digest(base), *map(digest, other)}) == 7


def test_structured_arrays_are_told_apart_by_the_types_of_their_fields() -> None:
    first = np.zeros(3, dtype=[("a", "i4"), ("b", "i4")])
    assert digest(first) == digest(first.astype([("a", ">i4"), ("b", ">i4")]))
    others = [first.view([("a", "i4"), ("c", "i4")]), first.view([("a", "f4"), ("b", "i4")]), first.view([("a", "i8")])]
    assert len({digest(first), *map(digest, others)}) == 4
    assert digest(np.array(["a"], dtype=object)) != digest(np.array(["a"], dtype="U1"))


def test_frames_with_several_indexes_are_told_apart_by_all_of_them() -> None:
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame({"x": [1, 2, 3, 4]}, index=pd.MultiIndex.from_product([["a", "b"], [1, 2]], names=["l", "n"]))
    other = frame.set_axis(pd.MultiIndex.from_arrays([["a", "a", "b", "b"], [1, 2, 1, 3]], names=["l", "n"]))
    named = frame.rename_axis(["l", "m"])
    assert len({digest(frame), digest(other), digest(named), digest(frame.reset_index())}) == 4
    assert digest(frame.iloc[[0, 1, 2, 3]]) == digest(frame)
    wide = pd.DataFrame(np.arange(12.0).reshape(3, 4), columns=list("abcd"))
    assert digest(wide) == digest(pd.DataFrame({name: np.array(wide[name]) for name in "abcd"}))
    assert digest(wide.iloc[1:]) != digest(wide.iloc[1:].reset_index(drop=True)), "the index says which rows"
    assert digest(wide["a"]) != digest(wide["a"].set_axis([5, 6, 7]))


def test_sparse_matrices_are_the_same_however_they_are_kept() -> None:
    sparse = pytest.importorskip("scipy.sparse")
    base = sparse.random(50, 30, 0.1, format="csr", random_state=0)
    assert {digest(base.asformat(kind)) for kind in ("csc", "coo", "lil", "dok")} == {digest(base)}
    assert digest(sparse.csr_array(base)) == digest(base)
    assert digest(base.astype("float32")) != digest(base)


def test_arrow_tables_are_the_same_in_any_chunks() -> None:
    pa = pytest.importorskip("pyarrow")
    columns = {
        "i": pa.array([1, None, 3, 4, 5], type=pa.int32()),
        "f": pa.array([0.5, float("nan"), None, 1.0, 2.0]),
        "s": pa.array(["a", "bc", None, "", "é"]),
        "b": pa.array([True, None, False, True, True]),
        "t": pa.array([0, 1, None, 3, 4], type=pa.timestamp("us", tz="UTC")),
        "d": pa.array(["x", "y", "x", None, "y"]).dictionary_encode(),
        "l": pa.array([[1, 2], [], None, [3], [None]]),
        "r": pa.array([{"a": 1, "b": "x"}, None, {"a": None, "b": "y"}, {"a": 3, "b": None}, {"a": 4, "b": "z"}]),
        "m": pa.array([[("k", 1)], [], None, [("j", 2)], []], type=pa.map_(pa.string(), pa.int64())),
        "n": pa.nulls(5),
    }
    table = pa.table(columns)
    made = data_digest(table)
    assert made.rows == 5
    assert made.schema is not None
    assert made.schema["columns"][0] == {"name": "i", "dtype": "int32"}
    chunked = pa.concat_tables([table.slice(0, 2), table.slice(2, 1), table.slice(3)])
    shifted = pa.concat_tables([table.slice(3), table]).slice(2)
    assert digest(chunked) == digest(shifted) == digest(table.combine_chunks()) == made.digest
    assert digest(table.to_batches()[0]) == made.digest
    others = [
        table.rename_columns(["j", *table.column_names[1:]]),
        table.set_column(0, "i", table["i"].cast("int64")),
        table.set_column(2, "s", pa.array(["a", "b", None, "c", "é"])),
        table.set_column(2, "s", pa.array(["ab", "c", None, "", "é"])),
        table.set_column(0, "i", pa.array([1, 0, 3, 4, 5], type=pa.int32())),
        table.set_column(0, "i", pa.array([1, 2, 3, None, 5], type=pa.int32())),
        table.slice(1),
        table.select(table.column_names[::-1]),
        table.set_column(6, "l", pa.array([[1], [2], None, [3], [None]])),
    ]
    assert len({made.digest, *map(digest, others)}) == 10
    for name in columns:
        assert digest(table[name]) == digest(columns[name]), name


def test_polars_frames_have_a_digest() -> None:
    polars = pytest.importorskip("polars")
    pytest.importorskip("pyarrow")
    frame = polars.DataFrame({"a": [1, 2, None], "b": ["x", None, "z"]})
    made = data_digest(frame)
    assert made.rows == 3
    assert digest(polars.concat([frame[:1], frame[1:]], rechunk=False)) == made.digest
    assert digest(frame.rename({"a": "c"})) != made.digest


def test_tensors_are_the_data_that_they_hold() -> None:
    torch = pytest.importorskip("torch")
    base = torch.arange(12.0).reshape(3, 4)
    assert (
        digest(base) == digest(base.numpy()) == digest(base.T.contiguous().T) == digest(base.clone().requires_grad_())
    )
    half = base.to(torch.bfloat16)
    assert len({digest(base), digest(half), digest(half + 1), digest(base.double()), digest(base.to_sparse())}) == 5
    assert data_digest(base).rows == 3


def test_a_link_or_a_device_in_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "link").symlink_to("/etc/passwd")
    with pytest.raises(ArtifactError, match="link"):
        digest(tmp_path / "d")
