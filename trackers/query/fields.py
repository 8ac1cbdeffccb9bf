"""What a filter can ask for: the kinds of field, the attributes of a run, and how a name is found."""

from __future__ import annotations

from dataclasses import dataclass

from trackers.query.tokens import is_bare, quote

KINDS = {"metrics": "metric", "params": "param", "tags": "tag", "attributes": "attribute", "datasets": "dataset"}
"""The prefixes as they are written, and the kind of each."""

KIND_ALIASES = {
    "metric": "metric",
    "param": "param",
    "parameter": "param",
    "parameters": "param",
    "tag": "tag",
    "attribute": "attribute",
    "attr": "attribute",
    "run": "attribute",
    "dataset": "dataset",
}

DATASETS = {"name": "text", "digest": "text", "role": "text", "source": "text", "rows": "number"}
"""What can be asked of the data sets that a run read; a run may have several, and one that matches is enough."""

DATASET_ALIASES = {"context": "role"}

AGGREGATES = ("best", "last", "min", "max")

ATTRIBUTES = {
    "state": "state",
    "name": "text",
    "experiment": "text",
    "run_id": "text",
    "parent": "text",
    "user": "text",
    "host": "text",
    "number": "number",
    "value": "number",
    "duration": "number",
    "created": "time",
    "started": "time",
    "ended": "time",
    "commit": "text",
    "branch": "text",
    "remote": "text",
    "dirty": "any",
    "entry_point": "text",
    "python": "text",
}
"""The attributes of a run and what each holds; *duration* is in seconds, *value* is the first final value."""

ATTRIBUTE_ALIASES = {
    "status": "state",
    "study": "experiment",
    "run_name": "name",
    "run name": "name",
    "uid": "run_id",
    "user_id": "user",
    "created_at": "created",
    "started_at": "started",
    "ended_at": "ended",
    "start_time": "started",
    "end_time": "ended",
}

TAG_ALIASES = {"mlflow.runName": "name", "mlflow.user": "user", "mlflow.parentRunId": "parent"}
"""Tags in which MLflow keeps what is an attribute here, and the import makes one."""

MILLISECONDS = frozenset({"start_time", "end_time"})
"""MLflow's names of times: a number beside one is milliseconds since the epoch, beside ours it is seconds."""

STATE_ALIASES = {"FINISHED": "COMPLETE", "FAILED": "FAIL", "KILLED": "FAIL", "SCHEDULED": "WAITING"}
"""MLflow's words for the states of a run."""


@dataclass(frozen=True, slots=True)
class Field:
    """A thing that a run has or has not.

    *kind* is ``"metric"``, ``"param"``, ``"tag"``, ``"attribute"`` or ``"dataset"``; *aggregate* of a metric is
    ``"last"`` unless another is asked for; *context* names the series of a metric among those with the same key.
    """

    kind: str
    key: str
    aggregate: str = "last"
    context: str = ""

    def __str__(self) -> str:
        prefix = next(word for word, kind in KINDS.items() if kind == self.kind)
        text = f"{prefix}.{self.key if is_bare(self.key) else quote(self.key)}"
        if self.context:
            text += "{" + self.context + "}"
        return text if self.aggregate == "last" else f"{self.aggregate}({text})"

    @property
    def holds(self) -> str:
        """What its values are: ``"number"``, ``"text"``, ``"time"``, ``"state"`` or ``"any"`` (a param)."""
        if self.kind == "attribute":
            return ATTRIBUTES[self.key]
        if self.kind == "dataset":
            return DATASETS[self.key]
        return {"metric": "number", "tag": "text", "param": "any"}[self.kind]
