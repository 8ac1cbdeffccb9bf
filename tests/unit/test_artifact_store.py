import hashlib
import os
import pickle
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from trackers.artifacts import ArtifactStore
from trackers.artifacts.remote import RemotePlace
from trackers.errors import ArtifactError, DigestError, InvalidValueError, TrackersError


class FolderAsBucket(ArtifactStore):
    """The code for object stores, on fsspec's file system for folders."""

    @property
    def _place(self):
        import fsspec

        return RemotePlace(fsspec.filesystem("file", auto_mkdir=True), self.root)


@pytest.fixture(params=["local", "remote"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ArtifactStore:
    return {"local": ArtifactStore, "remote": FolderAsBucket}[request.param](tmp_path / "root")


def blob(store: ArtifactStore, digest: str) -> Path:
    return Path(store.root) / digest[:2] / digest


def test_what_was_stored_is_read_back_under_its_digest(store: ArtifactStore, tmp_path: Path) -> None:
    data = os.urandom(3_000_000)
    (tmp_path / "file").write_bytes(data)
    digest, size = store.put_file(tmp_path / "file")
    assert (digest, size) == (hashlib.sha256(data).hexdigest(), len(data))
    assert store.put_bytes(data) == (digest, size)
    assert store.read(digest) == data
    assert store.get(digest, tmp_path / "new" / "copy").read_bytes() == data
    with store.open(digest) as source:
        assert source.read(10) == data[:10]
    assert store.exists(digest)
    assert store.size(digest) == size
    assert list(store.digests()) == [digest]
    assert blob(store, digest).read_bytes() == data


def test_an_empty_file_can_be_stored(store: ArtifactStore) -> None:
    digest, size = store.put_bytes(b"")
    assert size == 0
    assert store.read(digest) == b""


def test_a_folder_is_stored_file_by_file_and_comes_back(store: ArtifactStore, tmp_path: Path) -> None:
    top = tmp_path / "model"
    (top / "deep" / "er").mkdir(parents=True)
    (top / "a.txt").write_text("a")
    (top / "deep" / "er" / "b.txt").write_text("b")
    files = store.put_folder(top)
    assert sorted(files) == ["a.txt", "deep/er/b.txt"]
    store.get_files({name: digest for name, (digest, _) in files.items()}, tmp_path / "back")
    assert (tmp_path / "back" / "deep" / "er" / "b.txt").read_text() == "b"


def test_a_damaged_file_is_never_handed_out(store: ArtifactStore, tmp_path: Path) -> None:
    digest, _ = store.put_bytes(b"the right bytes")
    blob(store, digest).chmod(0o644)
    blob(store, digest).write_bytes(b"the wrong bytes")
    with pytest.raises(DigestError, match="damaged"):
        store.read(digest)
    with pytest.raises(DigestError, match="damaged"):
        store.get(digest, tmp_path / "copy")
    assert [p.name for p in tmp_path.iterdir()] == ["root"]


def test_a_file_that_was_cut_short_is_healed_by_storing_it_again(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path)
    digest, _ = store.put_bytes(b"all of it")
    blob(store, digest).chmod(0o644)
    blob(store, digest).write_bytes(b"all")
    store.put_bytes(b"all of it")
    assert store.read(digest) == b"all of it"


def test_a_file_whose_bytes_changed_is_healed_by_storing_it_again(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path / "root")
    digest, _ = store.put_bytes(b"some weights")
    blob(store, digest).chmod(0o644)
    blob(store, digest).write_bytes(b"some weighty")
    before = blob(store, digest).stat().st_ino
    assert store.put_bytes(b"some weights") == (digest, 12)
    assert store.read(digest) == b"some weights"
    assert blob(store, digest).stat().st_ino != before, "put in its place at once, not written over"
    assert not list((tmp_path / "root" / "incoming").iterdir())


def test_a_folder_in_the_place_of_a_file_is_moved_away_by_storing_the_file(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path / "root")
    digest, _ = store.put_bytes(b"some weights")
    for _ in range(2):
        blob(store, digest).unlink()
        (blob(store, digest) / "inside").mkdir(parents=True)
        assert list(store.sizes()) == []
        store.put_bytes(b"some weights")
        assert store.read(digest) == b"some weights"
    assert len(list((tmp_path / "root" / "quarantine").iterdir())) == 2


def test_a_missing_file_and_a_wrong_digest_are_told_apart(store: ArtifactStore) -> None:
    store.put_bytes(b"x")
    with pytest.raises(ArtifactError, match=r"There is no file 000000000000\.\.\."):
        store.read("0" * 64)
    assert not store.exists("0" * 64)
    for digest in ("../../etc/passwd", "abc", "G" * 64, "", "a" * 63 + "\n"):
        with pytest.raises(ArtifactError, match="is not a digest"):
            store.read(digest)


def test_links_pipes_devices_and_folders_are_refused(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path / "root")
    (tmp_path / "file").write_text("x")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    os.mkfifo(tmp_path / "pipe")
    for path, word in [(tmp_path / "link", "link"), (tmp_path / "pipe", "pipe"), (Path("/dev/null"), "device")]:
        with pytest.raises(ArtifactError, match=word):
            store.put_file(path)
    with pytest.raises(ArtifactError, match="folder"):
        store.put_file(tmp_path)
    with pytest.raises(ArtifactError, match="No such file"):
        store.put_file(tmp_path / "absent")
    with pytest.raises(ArtifactError, match="is a link"):
        store.put_folder(tmp_path)
    assert not (tmp_path / "root").exists()


def test_a_link_to_a_folder_inside_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "top").mkdir()
    (tmp_path / "top" / "etc").symlink_to("/etc")
    with pytest.raises(ArtifactError, match="is a link"):
        ArtifactStore(tmp_path / "root").put_folder(tmp_path / "top")


def test_a_name_that_leaves_the_folder_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path / "root")
    digest, _ = store.put_bytes(b"x")
    with pytest.raises(InvalidValueError):
        store.get_files({"ok": digest, "../out": digest}, tmp_path / "down")
    assert not (tmp_path / "down").exists()
    assert not (tmp_path / "out").exists()


def test_a_worker_can_tell_whether_it_sees_the_same_root(store: ArtifactStore, tmp_path: Path) -> None:
    assert not store.reachable()
    store.claim("abc", "sqlite:///a.db")
    assert store.reachable()
    other = type(store)(tmp_path / "elsewhere", uid="abc")
    assert not other.reachable()
    other.put_bytes(b"x")
    assert not other.reachable()


def test_a_store_made_anew_at_the_same_place_replaces_the_old_claim(store: ArtifactStore) -> None:
    store.claim("old", "sqlite:///a.db")
    store.claim("other", "sqlite:///b.db")
    store.claim("new", "sqlite:///a.db")
    store.claim("new", "sqlite:///a.db")
    assert store.owners() == {"other": "sqlite:///b.db", "new": "sqlite:///a.db"}


def test_a_copy_in_another_process_reads_the_same_files(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path / "root")
    store.claim("abc")
    digest, _ = store.put_bytes(b"hello")
    code = "import pickle, sys; s = pickle.load(sys.stdin.buffer); print(s.reachable(), s.read(sys.argv[1]))"
    done = subprocess.run(
        [sys.executable, "-c", code, digest], input=pickle.dumps(store), capture_output=True, check=True
    )
    assert done.stdout.decode().split() == ["True", "b'hello'"]


def test_many_writers_of_one_file_leave_one_whole_file(store: ArtifactStore) -> None:
    data = os.urandom(200_000)
    threads = [threading.Thread(target=store.put_bytes, args=(data,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (digest,) = store.digests()
    assert store.read(digest) == data
    if (incoming := Path(store.root) / "incoming").exists():
        assert list(incoming.iterdir()) == []


def test_a_file_that_one_writer_stored_can_be_deleted_at_once(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path)
    digest, _ = store.put_bytes(b"x")
    assert store.delete(digest, grace=3600)
    assert not store.exists(digest)
    assert store.delete(digest)
    assert store.put_bytes(b"x")[0] == digest
    assert store.read(digest) == b"x"


def test_a_file_that_a_second_writer_stored_stays_for_the_grace_period(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path)
    digest, _ = store.put_bytes(b"x")
    store.put_bytes(b"x")
    assert not store.delete(digest, grace=3600)
    assert store.read(digest) == b"x"
    long_ago = time.time() - 4000
    os.utime(blob(store, digest).with_name(digest + ".reused"), (long_ago, long_ago))
    assert store.delete(digest, grace=3600)
    assert list((tmp_path / digest[:2]).iterdir()) == []


def test_a_file_of_an_object_store_stays_for_the_grace_period(tmp_path: Path) -> None:
    store = FolderAsBucket(tmp_path)
    digest, _ = store.put_bytes(b"x")
    assert not store.delete(digest, grace=3600)
    os.utime(blob(store, digest), (time.time() - 4000,) * 2)
    assert store.delete(digest, grace=3600)
    assert not store.exists(digest)


def test_deleting_while_another_stores_the_same_bytes_never_loses_them(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path)
    for round_number in range(100):
        data = str(round_number).encode()
        digest, _ = store.put_bytes(data)
        gate = threading.Barrier(2)

        def delete(digest: str = digest, gate: threading.Barrier = gate) -> None:
            gate.wait()
            store.delete(digest, grace=3600)

        thread = threading.Thread(target=delete)
        thread.start()
        gate.wait()
        store.put_bytes(data)
        thread.join()
        assert store.read(digest) == data


@pytest.mark.skipif(sys.platform != "linux", reason="limits the size of files, as Linux does")
def test_a_write_that_fails_half_way_leaves_nothing_behind(tmp_path: Path) -> None:
    code = (
        "import resource, signal, sys\n"
        "from trackers.artifacts import ArtifactStore\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))\n"
        "store = ArtifactStore(sys.argv[1])\n"
        "try: store.put_bytes(bytes(3_000_000))\n"
        "except Exception as exc: print(type(exc).__name__, exc)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("ArtifactError Cannot write files in")
    assert list(ArtifactStore(tmp_path).digests()) == []
    assert list((tmp_path / "incoming").iterdir()) == []


@pytest.mark.skipif(os.geteuid() == 0 and not Path("/proc").exists(), reason="root may write anywhere")
def test_a_root_that_cannot_be_made_is_said_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ArtifactError, match="Not a directory"):
        ArtifactStore(tmp_path / "file" / "root").put_bytes(b"x")


@pytest.mark.parametrize("root", ["ftp://host/x", "https://host/x", "", "simplecache::s3://b", "s3://a::file:///etc"])
def test_a_root_of_an_unknown_kind_is_refused(root: str) -> None:
    with pytest.raises(TrackersError):
        ArtifactStore(root).put_bytes(b"x") if "::" not in root else ArtifactStore(root)


def test_a_root_never_shows_its_credentials() -> None:
    store = ArtifactStore("s3://key:secret@bucket/prefix")
    assert "secret" not in repr(store)
    assert "secret" not in store.safe_root


def test_importing_artifacts_loads_nothing_heavy() -> None:
    code = (
        "import sys, trackers.artifacts; "
        "print([m for m in ('fsspec', 'sqlalchemy', 'numpy', 'ray', 'asyncio') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def odd_places(folder: Path) -> list[Path]:
    """Make what a file must not take the place of: a pipe, and a device where this user may make one."""
    os.mkfifo(folder / "pipe")
    if os.geteuid() == 0:
        os.mknod(folder / "device", 0o666 | stat.S_IFCHR, os.makedev(1, 7))
    return sorted(folder.iterdir())


def test_a_device_or_a_pipe_is_refused_as_the_place_of_a_file_and_stays(store: ArtifactStore, tmp_path: Path) -> None:
    digest, _ = store.put_bytes(b"bytes")
    (tmp_path / "odd").mkdir()
    for place in odd_places(tmp_path / "odd"):
        mode = place.stat().st_mode
        (tmp_path / "link").symlink_to(place)
        for named in (place, tmp_path / "link"):
            with pytest.raises(ArtifactError, match=r"is a (pipe|device): give the path of a file"):
                store.get(digest, named)
        assert place.stat().st_mode == mode
        (tmp_path / "link").unlink()


def test_a_file_is_brought_through_a_link_to_what_it_leads_to(store: ArtifactStore, tmp_path: Path) -> None:
    digest, _ = store.put_bytes(b"bytes")
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "old").write_bytes(b"old")
    for name in ("old", "new"):
        (tmp_path / name).symlink_to(Path("there", name))
        store.get(digest, tmp_path / name)
        assert (tmp_path / name).is_symlink()
        assert (tmp_path / "there" / name).read_bytes() == b"bytes"
    assert sorted(os.listdir(tmp_path / "there")) == ["new", "old"]
