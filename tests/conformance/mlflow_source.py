"""An MLflow database in a folder, filled through the real client with what people and hostile hands put there."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

BEGIN = 1_700_000_000_123


def sqlite_uri(path: Path) -> str:
    return f"sqlite:///{path}"


@contextmanager
def client(uri: str) -> Iterator[Any]:
    """Yield the real client of *uri*; the tracking URI of the process is as before afterwards."""
    pytest.importorskip("mlflow", reason="mlflow-skinny is not installed: pip install 'hpo[mlflow]'")
    from trackers.interop.mlflow.client import open_client

    with open_client(uri, create=True) as found:
        yield found


def fill(mlflow: Any, folder: Path) -> dict[str, str]:
    """Fill *mlflow* and return the ids of what was made."""
    from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunTag

    experiment = mlflow.create_experiment(
        "fraud", artifact_location=str(folder / "art"), tags={"mlflow.note.content": "what it is", "team": "ä"}
    )
    tags = {"mlflow.user": "ann", "mlflow.source.git.commit": "0123abc", "mlflow.source.name": "train.py", "k": "v\n"}
    tags["mlflow.source.git.repoURL"] = "https://ann:s3cr3t@example.org/team/repo.git"
    parent = mlflow.create_run(experiment, start_time=BEGIN, tags=tags, run_name="parent").info
    values = [1.0, math.nan, math.inf, -math.inf, 0.5]
    mlflow.log_batch(
        parent.run_id,
        metrics=[Metric("loss", value, BEGIN + 50 - i, i) for i, value in enumerate(values)]
        + [Metric("val/auc", 0.9, BEGIN, 0), Metric("val/auc", 0.9, BEGIN + 1, 0)],
        params=[Param(key, text) for key, text in PARAMS.items()],
        tags=[RunTag("late", "x" * 7000)],
    )
    dataset = Dataset("iris", "abcd1234", "local", '{"uri": "x"}', '{"a": 1}', '{"num_rows": 10}')
    mlflow.log_inputs(parent.run_id, [DatasetInput(dataset, [InputTag("mlflow.data.context", "train")])])
    files = folder / "files"
    (files / "deep").mkdir(parents=True)
    (files / "a.txt").write_bytes(b"hello\0")
    (files / "deep" / "ö.bin").write_bytes(os.urandom(3000))
    mlflow.log_artifacts(parent.run_id, str(files))
    mlflow.set_terminated(parent.run_id, "FINISHED", BEGIN + 9000)
    child = mlflow.create_run(
        experiment, start_time=BEGIN - 5, tags={"mlflow.parentRunId": parent.run_id}, run_name="child"
    ).info
    mlflow.set_terminated(child.run_id, "KILLED", BEGIN + 100)
    going = mlflow.create_run(experiment, start_time=BEGIN + 7, run_name="going").info
    mlflow.log_metric(going.run_id, "loss", 3.0, timestamp=BEGIN + 8, step=0)
    gone = mlflow.create_run(experiment, run_name="gone").info
    mlflow.delete_run(gone.run_id)
    model = _register(mlflow, experiment, parent, files)
    mlflow.delete_experiment(mlflow.create_experiment("thrown away"))
    return {
        "experiment": experiment,
        "parent": parent.run_id,
        "child": child.run_id,
        "going": going.run_id,
        "model": model,
        "files": str(files),
    }


PARAMS = {
    "n": "5",
    "lr": "0.1",
    "deep": "True",
    "odd": "1e5",
    "zeros": "007",
    "none": "None",
    "small": "1e-05",
    "nan": "nan",
    "big": "123456789012345678901234567890",
    "with a space": "x\ny",
    "long": "p" * 5999,
}


def _register(mlflow: Any, experiment: str, parent: Any, files: Path) -> str:
    model = mlflow.create_logged_model(
        experiment, name="net", source_run_id=parent.run_id, params={"a": "1"}, tags={"t": "1"}, model_type="classifier"
    )
    mlflow.log_model_artifacts(model.model_id, str(files))
    mlflow.finalize_logged_model(model.model_id, "READY")
    mlflow.create_registered_model("fraud", tags={"owner": "ann"}, description="finds fraud")
    for number in (1, 2, 3):
        mlflow.create_model_version(
            "fraud",
            f"models:/{model.model_id}",
            run_id=parent.run_id,
            model_id=model.model_id,
            description=f"the {number}.",
            tags={"number": str(number)},
        )
    mlflow.delete_model_version("fraud", "2")
    mlflow.create_model_version("fraud", f"{parent.artifact_uri}/deep", run_id=parent.run_id)
    mlflow.set_registered_model_alias("fraud", "champion", "3")
    mlflow.set_registered_model_alias("fraud", "old", "1")
    return str(model.model_id)


def content(mlflow: Any, experiment: str = "fraud") -> dict[str, Any]:
    """Return everything that a copy must keep, under names instead of ids."""
    from mlflow.entities import ViewType

    from trackers.interop.mlflow.client import pages

    found = mlflow.get_experiment_by_name(experiment)
    runs = mlflow.search_runs([found.experiment_id], run_view_type=ViewType.ACTIVE_ONLY, max_results=1000)
    names = {run.info.run_id: run.info.run_name for run in runs}
    models = [
        m for page in pages(lambda t: mlflow.search_logged_models([found.experiment_id], page_token=t)) for m in page
    ]
    return {
        "experiment": dict(found.tags),
        "runs": {run.info.run_name: _run(mlflow, run, names) for run in runs},
        "models": sorted(
            (m.name, str(m.status), m.model_type, dict(m.params), _digests(m.artifact_location)) for m in models
        ),
        "registry": {m.name: _registered(mlflow, m) for m in mlflow.search_registered_models()},
    }


def _run(mlflow: Any, run: Any, names: dict[str, str]) -> dict[str, Any]:
    own = ("trackers.", "mlflow.parentRunId")
    history = {
        key: sorted((m.step, m.timestamp, repr(m.value)) for m in mlflow.get_metric_history(run.info.run_id, key))
        for key in run.data.metrics
    }
    return {
        "info": (run.info.status, run.info.start_time, run.info.end_time),
        "params": dict(run.data.params),
        "tags": {key: value for key, value in run.data.tags.items() if not key.startswith(own)},
        "parent": names.get(run.data.tags.get("mlflow.parentRunId", "")),
        "history": history,
        "files": _digests(run.info.artifact_uri),
        "inputs": [
            (each.dataset.to_dictionary(), sorted((tag.key, tag.value) for tag in each.tags))
            for each in run.inputs.dataset_inputs
        ],
    }


def _registered(mlflow: Any, model: Any) -> dict[str, Any]:
    versions = mlflow.search_model_versions(f"name = '{model.name}'")
    return {
        "about": (model.description, dict(model.tags), {k: str(v) for k, v in model.aliases.items()}),
        "versions": {
            str(v.version): (
                v.description or "",
                {key: value for key, value in v.tags.items() if key != "trackers.uid"},
                _digests(mlflow.get_model_version_download_uri(v.name, v.version)),
            )
            for v in versions
        },
    }


def _digests(uri: str) -> dict[str, str]:
    top = Path(uri.removeprefix("file://"))
    files = sorted(path for path in top.rglob("*") if path.is_file())
    return {path.relative_to(top).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
