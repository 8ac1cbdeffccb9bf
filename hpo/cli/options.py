"""Options and arguments that several commands share, and the store they lead to."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from hpo.profile import read_profile
from hpo.setting_kinds import PRUNERS, SAMPLERS
from hpo.settings import SETTINGS, Setting, Settings
from hpo.wording import quoted
from trackers.wording import without_password

if TYPE_CHECKING:
    from trackers.store import Store

DEFAULT_STORE = "sqlite:///hpo.db"
"""What ``trackers.load_model`` takes where neither the call nor HPO_STORAGE names a store."""

Decorated = TypeVar("Decorated", bound=Callable[..., Any])


def settings_options(*, without: tuple[str, ...] = ()) -> Callable[[Decorated], Decorated]:
    """Add an option for every setting but those named; values reach the command as text, None where not given."""

    def decorate(command: Decorated) -> Decorated:
        for setting in reversed(tuple(SETTINGS.values())):
            if setting.name not in without:
                command = _option(setting)(command)
        return command

    return decorate


def _option(setting: Setting) -> Callable[[Decorated], Decorated]:
    default = f"  [default: {setting.default}]" if setting.default else ""
    return click.option(
        setting.option,
        setting.name,
        metavar=setting.metavar,
        multiple=setting.many,
        default=None,
        help=setting.help + default,
        shell_complete=_names_for(setting.name),
    )


def _names_for(name: str) -> Callable[[click.Context, click.Parameter, str], list[str]] | None:
    """Return what completes the value of a setting in a shell, where it has names."""
    names = {"sampler": SAMPLERS, "pruner": PRUNERS, "directions": ("minimize", "maximize")}.get(name)
    if names is None:
        return None
    return lambda ctx, param, incomplete: [word for word in names if word.startswith(incomplete)]


def storage_options(command: Decorated) -> Decorated:
    """Add ``--storage`` and ``--profile``."""
    return _option(SETTINGS["storage"])(profile_option(command))


def mounted(command: click.Command) -> click.Command:
    """Return a command of ``trackers`` as one of ``hpo``: its help names ``hpo``, and its store is found by ``--profile`` too."""
    from hpo.cli.app import TABLE
    from trackers.cli.program import spoken

    written = {"help": command.help, "epilog": command.epilog, "short_help": command.short_help}
    words: dict[str, Any] = {name: text and spoken(text, "hpo", TABLE) for name, text in written.items()}
    if isinstance(command, click.Group):
        return click.Group(command.name, {name: mounted(inner) for name, inner in command.commands.items()}, **words)
    original = command.callback
    assert original is not None

    @storage_options
    def call(storage: str | None, profile: str | None, **others: Any) -> Any:
        return original(storage=stored_url(storage, profile), **others)

    options: list[click.Parameter] = call.__click_params__[::-1]  # type: ignore[attr-defined]  # click keeps them there
    params = [new for old in command.params for new in (options if old.name == "storage" else [old])]
    return type(command)(command.name, callback=call, params=params, **words)


profile_option = click.option(
    "--profile", envvar="HPO_PROFILE", metavar="NAME", help="Take settings from [profiles.NAME] of hpo.toml."
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON (NaN and infinity become null).")
outcome_json_option = click.option("--json", "as_json", is_flag=True, help="Print what was done as JSON.")


def complete_study(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Return the studies of the store whose names begin with *incomplete*, for the shell's completion."""
    try:
        with open_store(ctx.params.get("storage"), ctx.params.get("profile")) as store:
            return [row.name for row in store.list_studies("active") if row.name.startswith(incomplete)]
    except Exception:  # noqa: BLE001 - a shell that completes has no place for an error
        return []


def complete_trial(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Return the studies, and behind a study's name and a slash its trials, the best first."""
    study, slash, _ = incomplete.rpartition("/")
    if not slash:
        return complete_study(ctx, param, incomplete)
    from hpo.ranking import Ranking

    try:
        with open_store(ctx.params.get("storage"), ctx.params.get("profile")) as store:
            row = store.get_study(study)
            ranked = [standing.trial.path for standing in Ranking(row, store.outline_trials(row.id))]
            return [path for path in ranked if path.startswith(incomplete)][:100]
    except Exception:  # noqa: BLE001 - as above
        return []


study_argument = click.argument("study", metavar="STUDY", shell_complete=complete_study)


def given_options(options: dict[str, Any]) -> dict[str, Any]:
    """Return the settings among *options* that were given, by name."""
    return {name: value for name, value in options.items() if name in SETTINGS and value not in (None, ())}


def read_settings(
    options: dict[str, Any], profile: str | None, *, decorator: Settings | None = None, recorded: Settings | None = None
) -> Settings:
    """Join the options with the environment, ``hpo.toml``, what the study *recorded* and the *decorator*.

    What a study recorded wins over all but the options: it goes on as it was started.
    """
    environment, file = dict(os.environ), read_profile(".", profile)
    if recorded is None:
        return Settings.from_sources(cli=options, env=environment, file=file, decorator=decorator)
    base = Settings.from_sources(env=environment, file=file, decorator=decorator).merge(recorded)
    return Settings.from_sources(cli=options, decorator=base)


def stored_url(storage: str | None, profile: str | None = None) -> Any:
    """Return the store's URL: *storage*, else HPO_STORAGE, else hpo.toml's, else ``sqlite:///hpo.db``."""
    return read_settings(given_options({"storage": storage}), profile).storage


def open_store(storage: str | None, profile: str | None = None) -> Store:
    """Open the store, which must be there. Raises: UserError that names the place."""
    return connect(stored_url(storage, profile))


def connect(url: Any) -> Store:
    """Open the store at *url*, which must be there. Raises: UserError that names the place."""
    import trackers
    from hpo.errors import UserError
    from trackers.cli.storage import told
    from trackers.errors import NotFoundError

    try:
        return told(trackers.connect(url, create=False))
    except NotFoundError:
        place = without_password(str(url)).removeprefix("sqlite:///")
        raise UserError(f"There is no store at {place}: run `hpo run FILE` first, or give --storage.") from None


def where(url: Any) -> str:
    """Return the option that leads to the store at *url*, where it is not what a bare command would take."""
    return "" if str(url) == str(stored_url(None)) else f" --storage {quoted(without_password(str(url)))}"


def loading(reference: str, url: Any) -> str:
    """Return the call that loads a model from the store at *url*, which it names where it is not the default one."""
    default = os.environ.get("HPO_STORAGE") or DEFAULT_STORE
    store = "" if str(url) == default else f", store={_text(without_password(str(url)))}"
    return f"trackers.load_model({_text(reference)}{store})"


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)
