"""A store on a read-only file system is read as any other, and says so where somebody would write."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import trackers
from hpo.cli import main
from tests.unit.filled_store import fill
from trackers.errors import StoreError


@pytest.fixture
def frozen(tmp_path: Path) -> Iterator[Path]:
    """Give a filled store's folder, and mount it read-only; the file system is the test's own."""
    folder = tmp_path / "frozen"
    folder.mkdir()
    if (
        shutil.which("mount") is None
        or subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(folder)], capture_output=True, check=False).returncode
    ):
        pytest.skip("this user may not mount a file system")
    try:
        fill(folder / "hpo.db")
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def mount_again(folder: Path, how: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{how}", str(folder)], check=True)


@pytest.mark.parametrize("call", ["list", "rank digits", "show digits/1", "search", "report digits -o {out}"])
def test_reading_commands_read_it(frozen: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], call: str) -> None:
    mount_again(frozen, "ro")
    words = call.format(out=tmp_path / "report.html").split()
    code = main([*words, "--storage", f"sqlite:///{frozen}/hpo.db"])
    out, err = capfd.readouterr()
    assert (code, err) == (0, "")
    assert out


def test_writing_says_that_it_cannot_be_written(frozen: Path) -> None:
    mount_again(frozen, "ro")
    with trackers.connect(f"sqlite:///{frozen}/hpo.db") as store:
        assert [row.name for row in store.list_studies()]
        with pytest.raises(StoreError, match="lies on a read-only file system: it can be read, and to write copy it"):
            store.create_study("new", directions=["minimize"], metric_names=["value"])


def test_changes_that_are_not_in_the_file_yet_are_not_passed_over(frozen: Path, tmp_path: Path) -> None:
    url = f"sqlite:///{frozen}/hpo.db"
    with trackers.connect(url) as store, store.start_run("late"):
        for name in ("hpo.db", "hpo.db-wal"):
            shutil.copy(frozen / name, tmp_path / name)
    for name in ("hpo.db", "hpo.db-wal"):
        shutil.copy(tmp_path / name, frozen / name)
    mount_again(frozen, "ro")
    with pytest.raises(StoreError, match=r"hpo\.db-wal holds changes that are not in it yet: copy the files"):
        trackers.connect(url)
