"""Each study runs, small, by the command that its README gives."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cluster import cluster
from tests.copies import copies
from tests.docs.page import ROOT, environment

Call = Callable[..., str]


@pytest.fixture(scope="module")
def commands() -> Iterator[Path]:
    with copies() as found:
        yield found


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with cluster() as found:
        yield found


@pytest.fixture
def hpo(tmp_path: Path, commands: Path, address: str) -> Call:
    env = environment(commands=commands, HPO_ADDRESS=address, HPO_STORAGE=f"sqlite:///{tmp_path / 'hpo.db'}")

    def call(*arguments: str) -> str:
        done = subprocess.run(["hpo", *arguments], cwd=ROOT, env=env, capture_output=True, text=True, timeout=170)
        assert done.returncode == 0, (
            f"hpo {' '.join(arguments)} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
        )
        return done.stdout

    return call


def states(hpo: Call, study: str) -> list[str]:
    return [row["state"] for row in json.loads(hpo("rank", study, "--all", "--json"))]


def test_the_digits_study_prunes_keeps_models_and_ranks(hpo: Call) -> None:
    hpo("run", "studies/digits/study.py", "--trials", "6", "--workers", "2")
    seen = states(hpo, "digits")
    assert len(seen) == 6
    assert set(seen) <= {"COMPLETE", "PRUNED"}
    hpo("register", "digits", "digits")


def test_the_tabular_study_searches_three_families_and_is_refitted(hpo: Call) -> None:
    hpo("run", "studies/tabular/study.py", "--trials", "6", "--workers", "1")
    assert len(states(hpo, "tabular")) == 6
    hpo("refit", "tabular", "studies/tabular/study.py:train")


def test_the_pareto_study_has_a_front(hpo: Call) -> None:
    hpo("run", "studies/pareto/study.py", "--trials", "6", "--workers", "1")
    assert states(hpo, "pareto") == ["COMPLETE"] * 6
    assert json.loads(hpo("best", "pareto", "--json"))


@pytest.mark.parametrize("file", ["scikit_learn", "pruning", "lightgbm_pruning"])
def test_an_objective_written_for_optuna_runs_unchanged(hpo: Call, file: str) -> None:
    path = f"studies/optuna_examples/{file}.py:objective"
    hpo(
        "run", path, "--study", file, "--direction", "maximize", "--trials", "8", "--workers", "0", "--pruner", "median"
    )
    seen = states(hpo, file)
    assert len(seen) == 8
    assert set(seen) <= {"COMPLETE", "PRUNED"}
    assert "COMPLETE" in seen
