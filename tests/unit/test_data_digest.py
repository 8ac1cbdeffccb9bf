"""Same data, same digest: whatever the memory, the chunks and the files it comes in; other data, another digest."""

from __future__ import annotations

import datetime
import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trackers.capture import data_digest
from trackers.capture.tree import CHUNK, TreeHash
from trackers.errors import InvalidValueError


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


def test_masked_places_and_no_others_are_left_out() -> None:
    values = np.arange(6.0).reshape(2, 3)
    masked = np.ma.masked_array(values, mask=[[0, 1, 0], [0, 0, 0]])
    below = np.ma.masked_array(np.where(masked.mask, 99, values), mask=masked.mask)
    elsewhere = np.ma.masked_array(values, mask=[[0, 0, 1], [0, 0, 0]])
    assert digest(masked) == digest(below) == digest(masked.copy(order="F"))
    assert len({digest(values), digest(masked), digest(elsewhere), digest(masked.filled(0))}) == 4
    assert digest(np.ma.masked_array(values)) == digest(values), "nothing is masked"
    assert values[0, 1] == 1, "the caller's array is as it was"
    pairs = np.ma.masked_array(np.array([(1, 2), (3, 4)], dtype="i4,i4"), mask=[(0, 1), (0, 0)])
    other = np.ma.masked_array(np.array([(1, 9), (3, 4)], dtype="i4,i4"), mask=[(0, 1), (0, 0)])
    assert digest(pairs) == digest(other) != digest(pairs.data)


def test_fields_are_the_same_whatever_lies_between_them() -> None:
    packed = np.array([(1, 2.0, 3), (4, 5.0, 6)], dtype=[("a", "i1"), ("b", "f8"), ("c", ">i2")])
    aligned = np.zeros(2, dtype=np.dtype([("a", "i1"), ("b", "f8"), ("c", "i2")], align=True))
    aligned.view("u1")[:] = 7
    for name in packed.dtype.names or ():
        aligned[name] = packed[name]
    assert digest(aligned) == digest(packed)
    assert digest(packed[["a", "c"]]) == digest(packed[["a", "c"]].astype([("a", "i1"), ("c", "i2")]))
    assert digest(packed[["c", "a"]]) != digest(packed[["a", "c"]])
    first = np.array([("x", 1)], dtype=[("a", "O"), ("b", "i4")])
    assert digest(first) != digest(first.astype([("a", "O"), ("c", "i4")]))


def test_arrays_of_several_pieces_are_the_same_in_every_order() -> None:
    base = np.random.default_rng(0).random((70_000, 33))
    cube = base.reshape(-1, 11, 6)
    assert digest(np.asfortranarray(base)) == digest(base)
    assert digest(base.T) == digest(base.T.copy())
    assert digest(cube.transpose(2, 0, 1)) == digest(cube.transpose(2, 0, 1).copy())
    assert digest(np.asfortranarray(cube)) == digest(base.reshape(cube.shape))
    wide = np.asfortranarray(base[:9].astype("float32"))
    assert digest(wide) == digest(wide.copy(order="C"))


def test_zeros_that_a_sparse_matrix_holds_are_no_part_of_it() -> None:
    sparse = pytest.importorskip("scipy.sparse")
    plain = sparse.csr_matrix(([1.0, 2.0], ([0, 1], [0, 2])), shape=(3, 3))
    zeros = sparse.csr_matrix(([1.0, 2.0, 0.0], ([0, 1, 2], [0, 2, 1])), shape=(3, 3))
    sums = sparse.coo_matrix(([1.0, 1.0, 1.0, 5.0, -5.0], ([0, 1, 1, 2, 2], [0, 2, 2, 1, 1])), shape=(3, 3))
    assert digest(plain) == digest(zeros) == digest(sums)
    assert zeros.nnz == 3, "the caller's matrix is as it was"
    assert sums.nnz == 5
    with pytest.raises(InvalidValueError, match="3 dimensions: reshape it"):
        digest(sparse.coo_array(np.ones((2, 2, 2))))


class Opaque:
    """Shows where it lies."""


@pytest.mark.parametrize("cell", [Opaque(), [Opaque()], {"a": Opaque()}, {Opaque()}, len, lambda: None])
def test_what_shows_only_where_it_lies_has_no_digest(cell: Any) -> None:
    pd = pytest.importorskip("pandas")
    array = np.empty(1, dtype=object)
    array[0] = cell
    if cell is len:
        assert digest(array) == digest(array.copy()), "it shows its name"
        return
    for data in (array, pd.DataFrame({"x": array}), [[cell]]):
        with pytest.raises(InvalidValueError, match="lies in memory"):
            digest(data)


def test_mappings_and_sets_in_cells_have_no_order() -> None:
    assert digest([{"a": 1, "b": {"c": 2, "d": 3}}]) == digest([{"b": {"d": 3, "c": 2}, "a": 1}])
    assert digest([{1: "x", 2: "y"}]) == digest([{2: "y", 1: "x"}]) != digest([{"1": "x", "2": "y"}])
    code = (
        "import numpy as np; from trackers.capture import data_digest; a = np.empty(1, dtype=object); "
        "a[0] = {'x', 'y', 'z', ('u', 1), None}; print(data_digest(a).digest)"
    )
    made = {
        subprocess.run(
            [sys.executable, "-c", code], env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, check=True
        ).stdout
        for seed in ("0", "1", "2")
    }
    assert len(made) == 1


def test_cells_that_cannot_be_read_are_refused_in_a_sentence() -> None:
    endless: list[Any] = [1]
    endless.append(endless)
    for cell in ({(1, 2): 3}, {datetime.date(2026, 1, 1): 3}, endless, 10**5000):
        with pytest.raises(InvalidValueError, match="No digest can be made"):
            digest([cell])


def test_text_is_the_same_whoever_holds_it() -> None:
    pd = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    texts = [f"{i} \u00e9" for i in range(60_000)]
    lists = [["a", "bc", ""], ["a", None, "\u65e5"], [None, None], ["a\0b", None, ""], [], texts, [*texts, None, "\0"]]
    for values in lists:
        held = [pd.Series(values, dtype=kind) for kind in ("string[python]", "string[pyarrow]")]
        assert digest(held[0]) == digest(held[1])
        assert digest(held[1]) == digest(pd.concat([held[1][:1], held[1][1:]])), "in two chunks"
    objects = [*lists, ["ab", "c", ""], ["a", "None", "\u65e5"], ["a", "b", None, ""], ["a\0b", "", None], ["\ud800"]]
    assert len({digest(np.array(values, dtype=object)) for values in objects}) == len(objects)


def test_columns_with_types_of_pandas_are_told_apart_by_values_and_types() -> None:
    pd = pytest.importorskip("pandas")
    pa = pytest.importorskip("pyarrow")
    times = pd.Series(pd.to_datetime(["2026-10-25 00:30", "2026-10-25 01:30", None], utc=True))
    columns = [
        *(times, times.dt.tz_convert("Europe/Paris"), times.dt.tz_localize(None), times[::-1].reset_index(drop=True)),
        *(pd.Series([1, None, 3], dtype=kind) for kind in ("Int64", "Int32", "Float64", "int64[pyarrow]")),
        *(pd.Series([1, 0, 3], dtype=kind) for kind in ("Int64", "Float64", "int64[pyarrow]", "int64")),
        pd.Series([True, None, False], dtype="boolean"),
        pd.Series([True, False, None], dtype="boolean"),
        *(pd.Series(pd.PeriodIndex(["2026-01", None, "2026-03"], freq=freq)) for freq in ("M", "D")),
        times.dt.tz_localize(None).astype("timestamp[us][pyarrow]"),
        times.dt.tz_localize(None).astype("timestamp[ms][pyarrow]"),
        pd.Series([[1], None, []], dtype=pd.ArrowDtype(pa.list_(pa.int64()))),
    ]
    assert len({digest(column) for column in columns}) == len(columns)
    for column in columns:
        assert digest(column) == digest(pd.concat([column[:1], column[1:]])) == digest(column.copy())
    masked = pd.Series(pd.arrays.IntegerArray(np.array([1, 99, 3]), np.array([False, True, False])))
    assert digest(masked) == digest(pd.Series([1, None, 3], dtype="Int64")), "what lies below is no part of it"


def test_columns_are_not_read_cell_by_cell(monkeypatch: pytest.MonkeyPatch) -> None:
    pd = pytest.importorskip("pandas")
    pa = pytest.importorskip("pyarrow")
    from trackers.capture import array, frame

    def stop(values: Any, update: Any) -> None:
        raise AssertionError(values)

    monkeypatch.setattr(frame, "feed_cells", stop)
    monkeypatch.setattr(array, "feed_cells", stop)
    times = pd.Series(pd.date_range("2026-01-01", periods=3, tz="Europe/Paris"))
    integers = pd.Series([1, None, 3], dtype="Int64")
    columns = [
        times,
        integers,
        integers.astype("Float64"),
        integers.astype("int64[pyarrow]"),
        times.dt.tz_localize(None),
    ]
    digest(pd.DataFrame(dict(enumerate(columns)), index=pd.DatetimeIndex(times)))
    day = 86_400
    table = {
        "time32": pa.array([1, None], pa.int32()).cast(pa.time32("s")),
        "time64": pa.array([1, None], pa.int64()).cast(pa.time64("ns")),
        "duration": pa.array([1, None], pa.duration("s")),
        "date32": pa.array([1, None], pa.int32()).cast(pa.date32()),
        "date64": pa.array([1000 * day, None], pa.int64()).cast(pa.date64()),
        "timestamp": pa.array([1, None], pa.timestamp("ns", tz="UTC")),
    }
    digest(pa.table(table))


def test_categories_in_an_order_are_other_data() -> None:
    pd = pytest.importorskip("pandas")
    made = [
        pd.Series(pd.Categorical(["a", "b", None])),
        pd.Series(pd.Categorical(["a", "b", None], ordered=True)),
        pd.Series(pd.Categorical(["a", "b", None], ["b", "a"], ordered=True)),
        pd.Series(pd.Categorical(["b", "a", None])),
    ]
    assert len(set(map(digest, made))) == 4
    assert digest(pd.Series(pd.Categorical(["a", "b", None], ["b", "a"]))) == digest(made[0])


def test_an_index_may_have_equal_names() -> None:
    pd = pytest.importorskip("pandas")
    first = pd.DataFrame({"x": [1, 2]}, index=pd.MultiIndex.from_tuples([(1, 2), (3, 4)], names=["n", "n"]))
    other = pd.DataFrame({"x": [1, 2]}, index=pd.MultiIndex.from_tuples([(2, 1), (4, 3)], names=["n", "n"]))
    assert digest(first) == digest(first.copy()) != digest(other)


def test_a_data_set_of_arrow_is_the_table_that_it_is(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    datasets, parquet = pytest.importorskip("pyarrow.dataset"), pytest.importorskip("pyarrow.parquet")
    table = pa.table(
        {
            "i": pa.array([1, None, 3, 4]),
            "a.b": pa.array(["x", "", None, "yz"]),
            "r": pa.array([{"l": [1]}, None, {"l": None}, {"l": [2, 3]}]),
        }
    )
    for at, part in enumerate((table[:1], table[1:])):
        parquet.write_table(part, tmp_path / f"{at}.parquet")
    stored = data_digest(datasets.dataset(tmp_path))
    assert stored == data_digest(datasets.dataset(tmp_path).to_table())
    assert stored.rows == 4
    assert digest({"train": datasets.dataset(tmp_path)}) != digest({"train": datasets.dataset(tmp_path / "0.parquet")})


def test_parquet_files_say_their_rows_and_columns(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    table = pa.table({"x": [1.0, 2.0, 3.0], "label": ["a", "b", "c"]})
    columns = [{"name": "x", "dtype": "double"}, {"name": "label", "dtype": "string"}]
    (tmp_path / "parts").mkdir()
    for name in ("one", "two"):
        parquet.write_table(table, tmp_path / "parts" / f"{name}.parquet")
    one = data_digest(tmp_path / "parts" / "one.parquet")
    assert (one.rows, one.schema) == (
        3,
        {"kind": "file", "size": (tmp_path / "parts/one.parquet").stat().st_size, "columns": columns},
    )
    assert one.digest == digest((tmp_path / "parts" / "one.parquet").read_bytes())
    both = data_digest(tmp_path / "parts")
    assert both.schema is not None
    assert (both.rows, both.schema["kind"], both.schema["columns"]) == (6, "folder", columns)
    (tmp_path / "parts" / "_SUCCESS").write_text("")
    assert data_digest(tmp_path / "parts").rows == 6
    (tmp_path / "parts" / "three.parquet").write_text("no Parquet")
    assert data_digest(tmp_path / "parts").rows is None
    (tmp_path / "notes.csv").write_text("a,b\n1,2\n")
    assert data_digest(tmp_path / "notes.csv").rows is None


def test_what_can_be_read_only_once_is_not_read() -> None:
    pa = pytest.importorskip("pyarrow")
    reader = pa.table({"a": [1, 2]}).to_reader()
    with pytest.raises(InvalidValueError, match=r"only once.*give the table or the data set"):
        digest(reader)
    assert reader.read_all().num_rows == 2


def test_scalars_of_arrow_are_told_apart_by_value_and_type() -> None:
    pa = pytest.importorskip("pyarrow")
    made = [
        pa.scalar(1),
        pa.scalar(2),
        pa.scalar(1, pa.int32()),
        pa.scalar("1"),
        pa.scalar(None, pa.int64()),
        pa.array([1]),
    ]
    assert len(set(map(digest, made))) == 6
    assert digest(pa.scalar("a" * 99)) == digest(pa.scalar("a" * 99))


def test_types_of_arrow_without_a_digest_are_named() -> None:
    pa = pytest.importorskip("pyarrow")
    compute = pytest.importorskip("pyarrow.compute")
    union = pa.UnionArray.from_dense(
        pa.array([0, 1], pa.int8()), pa.array([0, 0], pa.int32()), [pa.array([1]), pa.array(["a"])]
    )
    for array in (union, pa.array([[1], None], pa.list_view(pa.int32()))):
        with pytest.raises(InvalidValueError, match=r"union|list_view"):
            digest(pa.table({"x": array}))
    runs = [compute.run_end_encode(pa.array(values)) for values in ([1, 1, None, 2], [1, None, None, 2])]
    assert len(set(map(digest, runs))) == 2
    assert digest(pa.concat_arrays([runs[0][:1], runs[0][1:]])) == digest(runs[0])
    views = pa.array(["a", None, "long enough to lie elsewhere"], pa.string_view())
    assert digest(views) == digest(pa.chunked_array([views[:1], views[1:]]))


def test_links_are_followed(tmp_path: Path) -> None:
    for name in ("plain", "blobs", "cache"):
        (tmp_path / name / "sub").mkdir(parents=True)
    for folder, name in (("plain", "a"), ("plain", "sub/b"), ("blobs", "1"), ("blobs", "2")):
        (tmp_path / folder / name).write_text(name.replace("1", "a").replace("2", "sub/b"))
    (tmp_path / "cache" / "a").symlink_to("../blobs/1")
    (tmp_path / "cache" / "sub" / "b").symlink_to(tmp_path / "blobs" / "2")
    (tmp_path / "link").symlink_to("cache")
    assert data_digest(tmp_path / "plain") == data_digest(tmp_path / "cache") == data_digest(tmp_path / "link")
    (tmp_path / "twice").mkdir()
    for name in ("x", "y"):
        (tmp_path / "twice" / name).symlink_to("../plain")
    assert data_digest(tmp_path / "twice").schema == {"kind": "folder", "files": 4, "size": 12}
    (tmp_path / "plain" / "sub" / "round").symlink_to("..")
    with pytest.raises(InvalidValueError, match="a folder around it"):
        digest(tmp_path / "plain")


def test_what_is_no_file_is_refused_in_a_sentence_that_fits(tmp_path: Path) -> None:
    (tmp_path / "dangling").symlink_to("absent")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "device").symlink_to("/dev/null")
    (tmp_path / "self").symlink_to("self")
    for name, why in (
        ("dangling", "leads nowhere"),
        ("pipe", "is a pipe"),
        ("device", "is a device"),
        ("self", "links"),
    ):
        folder = tmp_path / f"with-{name}"
        folder.mkdir()
        (folder / name).symlink_to(tmp_path / name)
        for path in (tmp_path / name, folder):
            with pytest.raises(InvalidValueError, match=why):
                digest(path)
    with pytest.raises(InvalidValueError, match=r"^'s3://(?!key)"):
        digest("s3://key:hidden@bucket/x")
    for address in ("s3://bucket/x", "https://example.org/a.csv", "hf://x"):
        with pytest.raises(InvalidValueError, match=r"only local paths.*source="):
            digest(address)


def test_the_digest_of_the_same_data_stays_what_it_was() -> None:
    pd = pytest.importorskip("pandas")
    pa = pytest.importorskip("pyarrow")
    held = {
        "array": np.arange(6, dtype="int32").reshape(2, 3),
        "fields": np.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")]),
        "masked": np.ma.masked_array([1.5, 2.5], mask=[0, 1]),
        "list": [1, 2.5, "x", None, [1, {"a": b"x"}]],
        "table": pa.table({"i": pa.array([1, None]), "s": pa.array(["a", "bc"])}),
        "frame": pd.DataFrame({"f": [0.5, 1.5], "i": [1, 2]}),
        "text": np.array(["a", "bc", None], dtype=object),
        "zone": pd.Series(pd.to_datetime([0, 1], unit="s", utc=True).as_unit("us")).dt.tz_convert("Europe/Paris"),
        "nullable": pd.Series([1, None], dtype="Int64"),
    }
    expected = {
        "array": "8a63f9efa3011cf8",
        "fields": "22d2ad00c60fa015",
        "masked": "5c8dc2f58436c759",
        "list": "d8aa0ae6b52ac399",
        "table": "29790166528af88e",
        "frame": "70aab8b26e7fea77",
        "text": "b461b4a46ac146a9",
        "zone": "a764b48dadac655c",
        "nullable": "cd7f558b0dc29b6e",
    }
    assert {name: digest(data)[:16] for name, data in held.items()} == expected
