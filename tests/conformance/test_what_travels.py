"""What an objective takes along to its workers: arguments travel once, and a closure that is too big is named."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hpo
from hpo.jobs import BIG
from hpo.study import Study

pytestmark = pytest.mark.usefixtures("cluster")


@pytest.fixture
def study(tmp_path: Path) -> Iterator[Study]:
    space = {"x": hpo.Float(0.0, 1.0)}
    url = f"sqlite:///{tmp_path}/hpo.db"
    study = hpo.create_study(study_name="s", storage=url, space=space, sampler="random", pruner="none")
    with study.store:
        yield study


def made(folder: str) -> Any:
    with (Path(folder) / "unpickled").open("a") as file:
        file.write("x")
    return Counted(folder)


class Counted:
    """Counts, in files of *folder*, how often it is pickled and unpickled, in whatever process."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Callable[[str], Any], tuple[str]]:
        with (Path(self.folder) / "pickled").open("a") as file:
            file.write("x")
        return made, (self.folder,)


def test_arguments_travel_once_and_are_unpacked_once_a_worker(study: Study, tmp_path: Path) -> None:
    def objective(trial: Any, data: Any, table: Any) -> float:
        assert not table.flags.writeable, "an array is read in place, in the object store"
        return float(table.sum())

    args = {"data": Counted(str(tmp_path)), "table": np.ones(1_000_000)}
    study.optimize(objective, n_trials=40, workers=2, args=args)
    assert [t.value for t in study.trials] == [1e6] * 40, [t.error for t in study.trials]
    assert (tmp_path / "pickled").read_text() == "x"
    assert 1 <= len((tmp_path / "unpickled").read_text()) <= 2


def test_a_closure_that_drags_much_along_is_named_with_its_size_and_the_way_out(study: Study) -> None:
    images = np.ones(BIG // 8 + 1_000_000)

    def objective(trial: Any) -> float:
        return float(images[0])

    with pytest.warns(
        UserWarning, match=r"drags 58 MB along, 58 MB of it 'images': pass args=\{'images': images\}"
    ) as told:
        study.optimize(objective, n_trials=2, workers=1)
    assert [Path(w.filename) for w in told] == [Path(__file__)], "the line that is to blame"
    assert [t.value for t in study.trials] == [1.0, 1.0]


def test_a_closure_of_a_reasonable_size_is_not_mentioned(study: Study) -> None:
    few = np.ones(1000)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        study.optimize(lambda trial: float(few[0]), n_trials=1, workers=1)
    assert study.best_value == 1.0
