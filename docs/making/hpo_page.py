"""What stands on the page of ``hpo``."""

from __future__ import annotations

import inspect

from making.reference import Entry, Page, Section, Text, Words, classes, functions
from making.signature import default

HPO = Page(
    "hpo.md",
    "Python: hpo",
    """The tuner: `import hpo`. What it is at work: [tutorial](../../tutorial.md). Settings and commands are
[here](../cli.md); errors stand [with those of the store](errors.md#of-hpo). `hpo.__version__` is the release, as text.""",
    [
        Section(
            "Studies by name",
            [*functions("hpo", "create_study", "load_study", "delete_study"), Words(["hpo.studies:Storage"])],
        ),
        Section(
            "The objective",
            [Entry("hpo:objective", "hpo.objective")],
            "All settings: [the command line](../cli.md#settings).",
        ),
        Section(
            "A study",
            [
                Entry(
                    "hpo:Study",
                    "Study",
                    titles={
                        "Study/what it is": "What it is",
                        "Study/what came out": "What came out",
                        "Study/what goes on": "What goes on",
                        "Figures": "Figures",
                    },
                ),
                *classes("hpo.driver", "RunSummary"),
                *classes("hpo.progress", "Progress"),
            ],
        ),
        Section(
            "Who won",
            [
                *classes("hpo.ranking", "Ranking", "Standing", "Group"),
            ],
            "Ties, NaN, pruned and infeasible trials: [ranking](../ranking.md).",
        ),
        Section(
            "What an objective is given",
            [
                Entry(
                    "hpo:Trial",
                    "Trial",
                    titles={
                        "Trial/params": "Params",
                        "Trial/reports": "Reports",
                        "Trial/attributes": "Attributes",
                        "Trial/models and checkpoints": "Models and checkpoints",
                        "Logbook/params": "Params",
                        "Logbook": "For the package itself",
                        "Logbook/for the trial": "For the package itself",
                        "Logbook/files": "For the package itself",
                        "Logbook/models and checkpoints": "For the package itself",
                    },
                ),
                Entry("hpo:FixedTrial", "FixedTrial", made=True),
            ],
        ),
        Section(
            "The space",
            [
                Entry("hpo:Float", "Float", made=True),
                Entry("hpo:Int", "Int", made=True),
                Entry("hpo:Categorical", "Categorical", made=True),
                *classes("hpo.space", "Param"),
                Entry("hpo:Space", "Space", made=True),
                Words(["hpo.space.condition:When"]),
            ],
        ),
        Section("Samplers and pruners by name", [Text(lambda: _choices())]),
        Section(
            "Samplers and pruners as objects",
            [
                *functions("hpo.sampling", "make_sampler", "make_pruner"),
                *classes("hpo.sampling", "Sampler", "Pruner"),
                *functions("hpo.sampling", "Rule"),
            ],
            "Optuna's objects are taken as they are. Who writes a sampler or pruner for here writes one of these.",
        ),
    ],
)


def _choices() -> str:
    """Return the names of samplers and pruners, with the arguments that pruners take."""
    from hpo.sampling.pruners import PRUNERS
    from hpo.sampling.samplers import SAMPLERS

    lines = [
        f"`sampler=` is {', '.join(f'`{name}`' for name in SAMPLERS)} or `auto`. `pruner=` is `auto`, or one of these, "
        'alone or with arguments, as in `"median(n_startup_trials=3)"`; [which is good for what]'
        "(../../how-to/pruning.md#choose-the-pruner).",
        "",
        "| pruner | arguments |",
        "|---|---|",
    ]
    for name, make in PRUNERS.items():
        given = list(inspect.signature(make).parameters.values())[1:]
        lines.append(
            f"| `{name}` | {', '.join(f'`{one.name}={default(one.default, make.__module__)}`' for one in given)} |"
        )
    return "\n".join(lines)
