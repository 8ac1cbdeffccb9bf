"""The settings of a sweep: one set, for the decorator, ``create_study`` + ``optimize``, ``hpo.toml`` and the options.

The command line wins over the environment, over ``hpo.toml``, over the decorator.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

from hpo import setting_kinds as kinds
from hpo.errors import SettingsError
from hpo.setting_kinds import Direction
from hpo.wording import suggestion
from trackers.wording import counted

DEFAULT_TRIALS = 100
"""How many trials a study gets when neither a number of trials nor a timeout is given."""

CHOSEN = "hpo:chosen"
"""The study's system attribute that holds what ``auto`` chose for it, and why: ``sampler`` and ``pruner`` -> sentence."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What there is to know of one setting.

    *aliases* are other names it goes by (Optuna's, or the singular); *option* is its option of ``hpo run`` and *env*
    its variable; *metavar* is what the help calls its value; *many* tells whether the option may be repeated.
    """

    name: str
    parse: Callable[[Any], Any]
    metavar: str
    help: str
    option: str
    aliases: tuple[str, ...] = ()
    many: bool = False
    default: str = ""

    @property
    def env(self) -> str:
        """``HPO_TRIALS`` for ``--trials``."""
        return "HPO_" + self.option.removeprefix("--").replace("-", "_").upper()

    def read(self, value: Any, called: str) -> Any:
        """Return *value* checked and in its own type. Raises: SettingsError, whose sentence begins with *called*."""
        try:
            return self.parse(value)
        except ValueError as exc:
            raise SettingsError(f"{called} {exc}{'' if str(exc).endswith('?') else '.'}") from None


_SECONDS = " of seconds"
_TABLE = (
    Setting(
        "total_trials",
        kinds.whole(1),
        "TOTAL",
        "How many trials the study shall have in all.",
        "--trials",
        ("trials", "n_trials"),
        default=f"{DEFAULT_TRIALS}, or as many as fit into --timeout",
    ),
    Setting(
        "workers",
        kinds.whole(0),
        "W",
        "How many worker processes run trials; 0 runs them in this process, where a debugger works.",
        "--workers",
        default="one per CPU of this machine",
    ),
    Setting(
        "timeout",
        kinds.amount(zero=False, unit=_SECONDS),
        "SEC",
        "Stop so many seconds after the manager began (starting Ray comes before); running trials go back to the queue.",
        "--timeout",
    ),
    Setting(
        "trial_timeout",
        kinds.amount(zero=False, unit=_SECONDS),
        "SEC",
        "End a trial that runs longer than this (with --workers 0 in the main thread, elsewhere at its next report).",
        "--trial-timeout",
    ),
    Setting(
        "report_timeout",
        kinds.amount(zero=False, unit=_SECONDS),
        "SEC",
        "End a trial that reports nothing for this long.",
        "--report-timeout",
    ),
    Setting(
        "sampler",
        kinds.sampler,
        "NAME",
        f"What suggests params: {', '.join(kinds.SAMPLERS)}.",
        "--sampler",
        default="auto",
    ),
    Setting(
        "pruner",
        kinds.pruner,
        "NAME",
        f"What stops hopeless trials: {', '.join(kinds.PRUNERS)}.",
        "--pruner",
        default="auto",
    ),
    Setting("seed", kinds.whole(0, 2**63 - 1), "S", "Seed of every random choice.", "--seed", default="0"),
    Setting(
        "storage",
        kinds.store,
        "URL",
        "Where trials are kept: sqlite:///FILE, postgresql+psycopg://USER@HOST/DB or mariadb+pymysql://USER@HOST/DB.",
        "--storage",
        default="sqlite:///hpo.db",
    ),
    Setting(
        "artifacts",
        kinds.text,
        "ROOT",
        "Where models and files of a new store go: a folder that all nodes see, or s3://BUCKET/PREFIX.",
        "--artifacts",
        default="beside the store's file",
    ),
    Setting(
        "study_name",
        kinds.text,
        "NAME",
        "The study's name.",
        "--study",
        ("study",),
        default="the name of the objective",
    ),
    Setting(
        "directions",
        kinds.directions,
        "WAY",
        "minimize or maximize; once per objective.",
        "--direction",
        ("direction",),
        many=True,
        default="minimize",
    ),
    Setting(
        "metrics",
        kinds.metrics,
        "NAME",
        "What the objective's result is called; once per objective.",
        "--metric",
        ("metric", "metric_names"),
        many=True,
        default="value",
    ),
    Setting(
        "address",
        kinds.text,
        "RAY",
        "The Ray cluster to use: auto, HOST:PORT.",
        "--address",
        default="a Ray of its own",
    ),
    Setting(
        "cpus_per_trial",
        kinds.amount(zero=True),
        "N",
        "CPUs that a trial needs (fractions work).",
        "--cpus-per-trial",
        default="1",
    ),
    Setting(
        "gpus_per_trial",
        kinds.amount(zero=True),
        "N",
        "GPUs that a trial needs (fractions share one).",
        "--gpus-per-trial",
        default="0",
    ),
    Setting(
        "resources",
        kinds.resources,
        "NAME=AMOUNT",
        "Another Ray resource that a trial needs; may be repeated.",
        "--resource",
        ("resource",),
        many=True,
    ),
    Setting(
        "slots_per_worker",
        kinds.whole(1),
        "N",
        "How many trials a worker runs at once, in threads.",
        "--slots-per-worker",
        default="1",
    ),
    Setting(
        "max_retries",
        kinds.whole(0),
        "N",
        "How often a trial starts again when its worker dies.",
        "--max-retries",
        default="2",
    ),
    Setting(
        "retry_on",
        kinds.exceptions,
        "EXCEPTION",
        "An exception of the objective that is retried too; may be repeated.",
        "--retry-on",
        many=True,
    ),
    Setting(
        "keep_models",
        kinds.keep,
        "K",
        "Keep the models of the best K trials; all keeps every one.",
        "--keep-models",
        default="3",
    ),
    Setting(
        "system_metrics",
        kinds.amount(zero=True, unit=_SECONDS),
        "SEC",
        "Log CPU, memory, disk, network and GPUs on each trial every this many seconds.",
        "--system-metrics",
        default="0: not at all",
    ),
    Setting(
        "lease_seconds",
        kinds.amount(zero=False, unit=_SECONDS),
        "SEC",
        "How long a frozen manager keeps its study.",
        "--lease-seconds",
        default="10",
    ),
)
SETTINGS: Mapping[str, Setting] = {setting.name: setting for setting in _TABLE}
"""Every setting by its name, in the order of the help."""

_BY_WORD = {word: setting for setting in _TABLE for word in (setting.name, *setting.aliases)}
_OF_A_CALL = {
    "n_trials": kinds.whole(1),
    "args": kinds.arguments,
    "callbacks": kinds.functions,
    "on_progress": kinds.function,
    "detach": kinds.flag,
    "n_jobs": kinds.jobs,
    "catch": kinds.exceptions,
    "gc_after_trial": kinds.flag,
    "show_progress_bar": kinds.flag,
    "load_if_exists": kinds.flag,
}
"""What ``create_study`` and ``optimize`` take besides settings."""


def read_call(**arguments: Any) -> dict[str, Any]:
    """Return the *arguments* of a call of Python, each checked as the setting of its name is; None stays None.

    Raises: SettingsError, whose sentence begins with the argument's name.
    """
    read: dict[str, Any] = {}
    for name, value in arguments.items():
        setting = SETTINGS.get(name) or Setting(name, _OF_A_CALL[name], "", "", "")
        read[name] = None if value is None else setting.read(value, name)
    return read


_NOT_RECORDED = frozenset({"storage", "artifacts"})


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings of a sweep, with their defaults; *given* names those that somebody chose.

    *workers* None means one per CPU of this machine, *total_trials* None what ``trials`` says. Times are in seconds.
    """

    total_trials: int | None = None
    workers: int | None = None
    timeout: float | None = None
    trial_timeout: float | None = None
    report_timeout: float | None = None
    sampler: Any = "auto"
    pruner: Any = "auto"
    seed: int = 0
    storage: Any = "sqlite:///hpo.db"
    artifacts: str | None = None
    study_name: str | None = None
    directions: tuple[Direction, ...] = ("minimize",)
    metrics: tuple[str, ...] = ("value",)
    address: str | None = None
    cpus_per_trial: float = 1.0
    gpus_per_trial: float = 0.0
    resources: Mapping[str, float] = field(default_factory=dict)
    slots_per_worker: int = 1
    max_retries: int = 2
    retry_on: tuple[str, ...] = ()
    keep_models: int | Literal["all"] = 3
    system_metrics: float = 0.0
    lease_seconds: float = 10.0
    given: frozenset[str] = frozenset()

    @classmethod
    def of(
        cls, mapping: Mapping[str, Any], *, source: str = "", called: Callable[[Setting], str] | None = None
    ) -> Settings:
        """Read settings from *mapping* (names or aliases; None means not given).

        *source* (a file's name, say) goes into the message of an error; *called* tells what a setting is called there.
        Raises: SettingsError for an unknown name, a wrong value, or one setting given twice under two names.
        """
        where = f" in {source}" if source else ""
        values: dict[str, Any] = {}
        words: dict[str, str] = {}
        for word, value in mapping.items():
            if word not in _BY_WORD:
                raise SettingsError(
                    f"There is no setting {word}{where}{suggestion(word, _BY_WORD) or '; hpo run --help names them.'}"
                )
            setting = _BY_WORD[word]
            if value is None:
                continue
            if setting.name in values:
                raise SettingsError(f"{words[setting.name]} and {word}{where} are the same setting: give one of them.")
            words[setting.name] = word
            values[setting.name] = setting.read(value, called(setting) if called else f"{word}{where}")
        return cls(**values, given=frozenset(values))

    @classmethod
    def from_sources(
        cls,
        *,
        cli: Mapping[str, Any] | None = None,
        env: Mapping[str, str] | None = None,
        file: Settings | None = None,
        decorator: Settings | None = None,
    ) -> Settings:
        """Join the sources: *cli* (by setting name) over *env* (variables) over *file* over *decorator*.

        Raises: SettingsError, which names the option or variable that is wrong; for metrics that do not fit the
        directions too.
        """
        variables = {s.name: env[s.env] for s in _TABLE if env and env.get(s.env, "").strip()}
        merged = (decorator or cls()).merge(file or cls())
        merged = merged.merge(cls.of(variables, called=lambda setting: setting.env))
        return merged.merge(cls.of(cli or {}, called=lambda setting: setting.option)).checked()

    def merge(self, other: Settings) -> Settings:
        """Return these settings with what *other* was given in their place."""
        changes = {name: getattr(other, name) for name in other.given}
        return replace(self, **changes, given=self.given | other.given)

    def checked(self) -> Settings:
        """Return the same settings, with names for all results. Raises: SettingsError if metrics and directions differ."""
        count = len(self.directions)
        if "metrics" not in self.given:
            names = ("value",) if count == 1 else tuple(f"value_{i}" for i in range(count))
            return replace(self, metrics=names)
        if len(self.metrics) != count:
            raise SettingsError(
                f"There are {counted(len(self.metrics), 'metric')} ({', '.join(self.metrics)}) and "
                f"{counted(count, 'direction')} ({', '.join(self.directions)}): give one --direction for each --metric."
            )
        return self

    @property
    def trials(self) -> int | None:
        """How many trials the study shall have in all; None: as many as fit into the timeout."""
        if self.total_trials is None and self.timeout is None:
            return DEFAULT_TRIALS
        return self.total_trials

    def to_json(self) -> dict[str, Any]:
        """Return what was given, as JSON: what a study records. The store's own URL is not part of it."""
        return {f.name: _plain(getattr(self, f.name)) for f in fields(self) if f.name in self.given - _NOT_RECORDED}

    @classmethod
    def from_json(cls, recorded: Mapping[str, Any]) -> Settings:
        """Return the settings that a study recorded; objects (a sampler of one's own) and foreign keys are left out."""
        kept = {
            name: value
            for name, value in recorded.items()
            if name in SETTINGS and value is not None and not (name in ("sampler", "pruner") and _is_a_class(value))
        }
        return cls.of(kept, source="the study's record")


def _is_a_class(recorded: Any) -> bool:
    """Tell whether what a study recorded of its sampler or pruner is the class of an object, as `_plain` writes it."""
    return isinstance(recorded, str) and re.fullmatch(r"[A-Za-z_][\w.<>]*\.[\w.<>]+", recorded) is not None


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return list(value)
    if isinstance(value, Mapping):
        return dict(value)
    if value is None or isinstance(value, str | int | float):
        return value
    return f"{type(value).__module__}.{type(value).__qualname__}"
