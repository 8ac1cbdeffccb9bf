"""What people who come from MLflow type first is answered with what it is called here."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import pytest

import trackers
from trackers.recorder import Recorder
from trackers.store import Store


@pytest.mark.parametrize(
    ("method", "given", "sentence"),
    [
        (
            "log_text",
            {"text": "x", "artifact_file": "a.txt"},
            "log_text has no argument artifact_file: it is called name",
        ),
        (
            "log_dict",
            {"dictionary": {}, "artifact_file": "a"},
            "log_dict has no argument dictionary: it is called content",
        ),
        ("log_dict", {"content": {}, "artifact_file": "a"}, "artifact_file: it is called name"),
        ("log_table", {"data": {}, "artifact_file": "a.json"}, "artifact_file: it is called name"),
        ("log_figure", {"figure": None, "artifact_file": "a.png"}, "artifact_file: it is called name"),
        ("log_image", {"image": None, "artifact_file": "a.png"}, "artifact_file: it is called name"),
        ("log_image", {"image": None, "key": "a"}, "log_image has no argument key: it is called name"),
        ("log_artifact", {"local_path": "a"}, "local_path: it is called path"),
        ("log_artifact", {"path": "a", "artifact_path": "b"}, "artifact_path: give name=, with the folder in it"),
        ("log_artifacts", {"local_dir": "a"}, "local_dir: it is called folder"),
        ("log_artifacts", {"folder": "a", "artifact_path": "b"}, "artifact_path: it is called name"),
        ("start_run", {"run_name": "first"}, "start_run has no argument run_name: it is called name"),
    ],
)
def test_an_argument_of_mlflow_is_answered_with_its_name_here(
    tmp_path: Path, method: str, given: dict[str, Any], sentence: str
) -> None:
    with trackers.connect(f"sqlite:///{tmp_path}/hpo.db") as store, store.start_run("e") as run:
        for call in (getattr(run, method), getattr(trackers, method)):
            with pytest.raises(TypeError, match=re.escape(sentence)):
                call(**given)
        with pytest.raises(TypeError, match="unexpected keyword argument 'nonsense'"):
            getattr(run, method)(nonsense=1)


def test_starts_and_searches_with_mlflows_words_are_answered(tmp_path: Path) -> None:
    with trackers.connect(f"sqlite:///{tmp_path}/hpo.db") as store:
        for start in (store.start_run, trackers.start_run):
            with pytest.raises(TypeError, match="experiment_id: give the name of the experiment"):
                start(experiment_id="0")  # type: ignore[call-arg]
        for argument, word in (
            ("filter_string", "filter"),
            ("max_results", "limit"),
            ("experiment_names", "experiments"),
        ):
            with pytest.raises(TypeError, match=f"search_runs has no argument {argument}: it is called {word}"):
                store.search_runs(**{argument: "x"})  # type: ignore[arg-type]


def test_signatures_stay_what_they_are() -> None:
    assert list(inspect.signature(Recorder.log_text).parameters) == ["self", "text", "name"]
    assert "filter" in inspect.signature(Store.search_runs).parameters


@pytest.mark.parametrize(
    ("name", "do"),
    [
        ("set_experiment", r"name the experiment at each start, trackers.start_run\('fraud'\)"),
        ("search_runs", r"call store.search_runs\(...\)"),
        ("register_model", r"call store.registry.register\(NAME, 'runs:/ID/model'\)"),
        ("set_tracking_uri", "set the variable HPO_STORAGE"),
    ],
)
def test_a_function_of_mlflow_is_answered_with_what_is_called_here(name: str, do: str) -> None:
    with pytest.raises(AttributeError, match=f"module 'trackers' has no attribute '{name}': {do}"):
        getattr(trackers, name)
    assert not hasattr(trackers, name)
    assert getattr(trackers, name, None) is None
