"""What stands on the pages of ``trackers``, and on that of all errors."""

from __future__ import annotations

import importlib
import inspect

from making.reference import Calls, Entry, Page, Section, Text, Words, classes, functions

RUN = Entry(
    "trackers.active:ActiveRun",
    "ActiveRun",
    titles={
        "ActiveRun": "What it is",
        "ActiveRun/params": "Params, metrics, tags",
        "Recorder/params, metrics, tags": "Params, metrics, tags",
        "Recorder/files": "Files",
        "Recorder/data": "Data",
        "ActiveRun/models": "Models",
        "ActiveRun/the end": "The end",
        "ActiveRun/for the store": "For the package itself",
        "ActiveRun/what the writer takes": "For the package itself",
    },
    also="trackers.recorder:Recorder",
)
"""Whose methods are functions of ``trackers`` too."""

TRACKERS = Page(
    "trackers.md",
    "Python: trackers",
    """The tracker and model registry: `import trackers`. The tuner has [a page of its own](hpo.md); commands are
[here](../trackers-cli.md).

More pages: [the store](store.md), [runs](runs.md), [studies](studies.md), [the registry](registry.md),
[models](models.md), [code, environment and data](capture.md), [keeping house](keeping.md),
[Optuna, MLflow and watched libraries](interop.md), [errors](errors.md). The language of filters and orders is
[another page](../filters.md).""",
    [
        Section(
            "A store",
            [
                *functions("trackers", "connect", "upgrade_store"),
            ],
            "What it can do: [`Store`](store.md).",
        ),
        Section(
            "The active run",
            [
                *functions("trackers", "start_run", "active_run", "end_run"),
            ],
        ),
        Section(
            "Log to the active run",
            [
                Calls(
                    functions(
                        "trackers",
                        *["log_param", "log_params", "log_metric", "log_metrics", "log_points", "set_tag", "set_tags"],
                        *[
                            "log_artifact",
                            "log_artifacts",
                            "log_text",
                            "log_dict",
                            "log_table",
                            "log_figure",
                            "log_image",
                        ],
                        *["log_input", "log_model"],
                    ),
                    RUN,
                )
            ],
            "Each does what the method of that name does of the run that is active here, or of the trial inside an "
            "objective. They raise [StateError](errors.md#stateerror) where there is none.",
        ),
        Section(
            "Models",
            [
                *functions("trackers", "load_model", "download_model"),
            ],
            "How they are saved: [models](models.md).",
        ),
        Section(
            "Journals, backups, watched libraries",
            [
                *functions("trackers", "sync", "restore", "autolog"),
            ],
        ),
        Section(
            "Words in signatures",
            [
                Words(
                    [
                        "trackers.resuming:RunRef",
                        "trackers.values.runs:ParamValue",
                        "trackers.registry_arguments:VersionNumber",
                        "trackers.sql.aliases:Expected",
                        "trackers.registry:UNSET",
                        "trackers.keeping.check:Progress",
                    ]
                )
            ],
        ),
    ],
)

STORE = Page(
    "store.md",
    "Python: the store",
    """What `trackers.connect(URL)` returns; see [trackers](trackers.md).""",
    [
        Section(
            "The front door",
            [
                Entry(
                    "trackers:Store",
                    "Store",
                    titles={
                        "Store": "What it is",
                        "Tracking/experiments": "Experiments",
                        "Tracking/runs": "Runs",
                        "Tracking/what a run holds": "What a run holds",
                        "Tracking/data": "Data",
                        "Lifecycle": "Names, tags, archive and deletion",
                        "Resuming": "Runs",
                        "Launching": "Code and environment of runs",
                        "Store/models and their files": "Models and the registry",
                        "Keeping": "Keeping house",
                        "Store/studies": "Studies",
                        "Store/managers": "Who runs a study",
                        "Store/ids": "Ids",
                        "Tracking/for the handle of a run": "For the package itself",
                        "Resuming/for the handle of a run": "For the package itself",
                        "Launching/for the handle of a run": "For the package itself",
                    },
                )
            ],
        ),
        Section(
            "For imports from elsewhere",
            classes("trackers.intake", "Intake"),
            "What `Store.intake` is: what [the imports](interop.md) write with.",
        ),
    ],
)

RUNS = Page(
    "runs.md",
    "Python: runs",
    """The run that is written, and what a store says of runs: see [the store](store.md). How to:
[log runs](../../how-to/runs.md).""",
    [
        Section("The run that is written", [RUN]),
        Section(
            "What a search returns",
            [
                *classes("trackers.page", "RunPage"),
                *classes("trackers.table", "Table"),
            ],
        ),
        Section(
            "Values",
            [
                *classes("trackers.values", "Run", "Experiment", "Attempt", "RunError"),
                *classes("trackers.states", "RunState"),
                *classes("trackers.values", "MetricSummary", "MetricPoint", "ArtifactRow", "DataSet", "RunInput"),
                *classes("trackers.values", "Launch", "CodeVersion"),
            ],
            "`from trackers.values import Run`. All are frozen; times are aware datetimes in UTC.",
        ),
    ],
)

STUDIES = Page(
    "studies.md",
    "Python: studies in a store",
    """What a store keeps of studies. Who tunes takes [`hpo.Study`](hpo.md#study), which is made of this; methods are
those of [the store](store.md).""",
    [
        Section(
            "Values",
            [
                *classes("trackers.values", "StudyRow"),
                *functions("trackers.values", "Trial"),
                *classes("trackers.values", "Owner", "Command", "Event", "Several"),
            ],
        ),
        Section(
            "Who writes a study",
            [
                *classes("trackers.store", "StudyLease", "SharedStudy"),
                Entry("trackers.sql.shared:Standing", "Standing (of a shared study)"),
            ],
        ),
    ],
)

REGISTRY = Page(
    "registry.md",
    "Python: the registry",
    """Registered models, their versions, aliases and policies: `store.registry`. How to:
[register models](../../how-to/registering.md).""",
    [
        Section(
            "The registry of a store",
            [
                Entry(
                    "trackers.registry:Registry",
                    "Registry",
                    titles={
                        "Registry": "Models and versions",
                        "Registry/aliases": "Aliases",
                        "Registry/policies": "Policies",
                        "Registry/notes and history": "Notes and history",
                    },
                )
            ],
        ),
        Section(
            "Values",
            classes(
                "trackers.values", "RegisteredModel", "ModelVersion", "Alias", "Approval", "Figure", "RegistryMove"
            ),
            "`from trackers.values import ModelVersion`.",
        ),
        Section(
            "Rules of policies",
            classes("trackers.policy", "Require", "Better", "MaxSize", "Committed", "Approvals", "Only", made=True),
            "`from trackers.policy import Better`. Why they are as they are: [policies](../../design/0016-policies.md).",
        ),
        Section(
            "Policies and what they say",
            [
                *classes("trackers.policy", "Policy", "Result", "Subject"),
                *functions("trackers.policy", "judge"),
                Words(["trackers.policy.rule:Rule"]),
            ],
        ),
        Section(
            "Lineage",
            [
                *classes("trackers.lineage", "Graph", "Node", "Edge"),
                *functions("trackers.lineage", "to_text", "to_svg", "to_dot", "to_mermaid"),
            ],
            "What `Registry.lineage` returns, and the ways to show it.",
        ),
        Section(
            "Two versions side by side",
            classes("trackers.comparison", "Comparison", "Line"),
            "What `Registry.compare` returns.",
        ),
    ],
)

MODELS = Page(
    "models.md",
    "Python: models",
    """Models as folders, and models that were logged. How to: [models of any library](../../how-to/models.md).""",
    [
        Section(
            "Save and load",
            [
                *functions("trackers.models", "save", "load", "pack"),
            ],
            "By reference, as in `models:/NAME@ALIAS`: [`trackers.load_model`](trackers.md#trackersload_model).",
        ),
        Section(
            "Classes",
            [
                *classes("trackers.models", "LoadedModel"),
                Entry("trackers.models:Signature", "Signature", made=True),
                *classes("trackers.values", "LoggedModel"),
            ],
        ),
    ],
)

CAPTURE = Page(
    "capture.md",
    "Python: code, environment and data",
    """What is known of the process that runs, which every run records by itself: `trackers.capture`.""",
    [
        Section(
            "Data sets",
            [
                *functions("trackers.capture", "data_digest"),
                *classes("trackers.capture.data", "Data"),
            ],
        ),
        Section(
            "Code and environment",
            [
                *functions("trackers.capture", "launch", "capture", "code_state", "environment", "has_grown"),
                *classes("trackers.capture", "Capture"),
                *classes("trackers.capture.state", "CodeState"),
            ],
        ),
    ],
)

KEEPING = Page(
    "keeping.md",
    "Python: keeping house",
    """What the methods of [the store](store.md) return that look after it. How to:
[keep a store small, whole and safe](../../how-to/keeping-house.md).""",
    [
        Section(
            "Room",
            [
                *classes("trackers.keeping.garbage", "Collected"),
                *classes("trackers.sql.lifecycle", "Expired"),
                *classes("trackers.values", "Pin"),
                *classes("trackers.keeping.usage", "Usage", "Share", "BigRun"),
            ],
        ),
        Section("Damage", classes("trackers.keeping.check", "Checked", "Finding")),
        Section(
            "Copies",
            [
                *classes("trackers.keeping.backup", "BackedUp"),
                *classes("trackers.keeping.restore", "Restored"),
                *classes("trackers.keeping.archive", "Archived"),
            ],
        ),
        Section("Journals", [Entry("trackers:Synced", "Synced")]),
    ],
)

INTEROP = Page(
    "interop.md",
    "Python: Optuna, MLflow and watched libraries",
    """How to: [keep Optuna's studies](../../how-to/optuna.md), [come from MLflow](../../how-to/from-mlflow.md).""",
    [
        Section(
            "Optuna's studies in a store",
            [
                Entry("trackers.interop.optuna:OptunaStorage", "OptunaStorage", made=True),
                Entry(
                    "trackers.interop.optuna.importing:import_optuna", "trackers.interop.optuna.importing.import_optuna"
                ),
                *classes("trackers.interop.optuna.importing", "ImportedStudy"),
            ],
        ),
        Section(
            "Values of Optuna's",
            functions(
                "trackers.interop.optuna",
                "to_frozen_trial",
                "to_direction",
                "to_distribution",
                "to_distributions",
                "from_distribution",
            ),
        ),
        Section(
            "MLflow",
            [
                *functions("trackers.interop.mlflow", "import_mlflow", "export_mlflow"),
                *classes("trackers.interop.outcome", "Outcome", "Imported", "Exported", "Counted", "CountedModel"),
            ],
        ),
        Section(
            "Watched libraries",
            [
                *functions("trackers.autologging.torch", "watch"),
            ],
            "All of them: [`trackers.autolog`](trackers.md#trackersautolog).",
        ),
    ],
)

ERRORS = Page(
    "errors.md",
    "Python: errors",
    """Every error of both packages. Most are built-in errors too: `except KeyError` finds a name that is not there. A message
names what is wrong and what to do.""",
    [
        Section(
            "Of trackers",
            [
                Text(lambda: _tree("trackers.errors")),
                *classes(
                    "trackers.errors",
                    *(
                        "TrackersError",
                        "NotFoundError",
                        "AlreadyExistsError",
                        "InvalidValueError",
                        "FilterError",
                        "StateError",
                    ),
                    *("ConflictError", "PolicyError", "FencedError", "StudyBusyError", "StoreError", "SchemaError"),
                    *("StoreBusyError", "StoreAwayError", "DamagedError", "ArtifactError", "DigestError", "ModelError"),
                    "UntrustedError",
                ),
            ],
            "`from trackers.errors import NotFoundError`.",
        ),
        Section(
            "Of hpo",
            [
                Text(lambda: _tree("hpo.errors")),
                *classes(
                    "hpo.errors",
                    *("HpoError", "UserError", "SpaceError", "SettingsError", "ObjectiveError", "ResultError"),
                    *("UnknownParamError", "ClusterError", "NodeGoneError", "NoRoomError", "SpaceExhausted"),
                    *("TrialPruned", "TrialStopped", "StudyInterrupted"),
                ),
            ],
            "`from hpo.errors import SpaceError`; `HpoError`, `UserError` and `TrialPruned` are also `hpo.NAME`.",
        ),
    ],
)


def _tree(module: str) -> str:
    """Return the tree of errors that a module draws at its top."""
    doc = inspect.getdoc(importlib.import_module(module)) or ""
    lines = [line for line in doc.splitlines() if line.startswith("    ")]
    return "```text\n" + "\n".join(line[4:].replace("``", "`") for line in lines) + "\n```"


TRACKERS_PAGES = [TRACKERS, STORE, RUNS, STUDIES, REGISTRY, MODELS, CAPTURE, KEEPING, INTEROP, ERRORS]
