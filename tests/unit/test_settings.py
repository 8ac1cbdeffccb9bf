from __future__ import annotations

from pathlib import Path

import pytest

from hpo.errors import SettingsError
from hpo.profile import read_profile
from hpo.settings import DEFAULT_TRIALS, SETTINGS, Settings


def test_the_command_line_wins_over_the_environment_over_the_file_over_the_decorator() -> None:
    decorator = Settings.of({"n_trials": 1, "workers": 1, "seed": 1, "pruner": "asha"})
    file = Settings.of({"trials": 2, "workers": 2, "seed": 2}, source="hpo.toml")
    settings = Settings.from_sources(
        cli={"total_trials": "4"},
        env={"HPO_TRIALS": "3", "HPO_WORKERS": "3", "PATH": "/bin"},
        file=file,
        decorator=decorator,
    )
    assert (settings.total_trials, settings.workers, settings.seed, settings.pruner) == (4, 3, 2, "asha")
    assert settings.given == {"total_trials", "workers", "seed", "pruner"}


def test_every_setting_can_be_given_in_the_environment() -> None:
    examples = {
        "sampler": "tpe",
        "pruner": "asha",
        "storage": "sqlite:///a.db",
        "artifacts": "files",
        "study_name": "digits",
        "directions": "minimize,maximize",
        "metrics": "loss,accuracy",
        "address": "auto",
        "resources": "tpu=1,disk=2.5",
        "retry_on": "OSError",
        "keep_models": "all",
    }
    env = {setting.env: examples.get(name, "1") for name, setting in SETTINGS.items()}
    settings = Settings.from_sources(env=env)
    assert settings.given == set(SETTINGS)
    assert settings.directions == ("minimize", "maximize")
    assert settings.metrics == ("loss", "accuracy")
    assert settings.resources == {"tpu": 1.0, "disk": 2.5}
    assert settings.timeout == 1.0


@pytest.mark.parametrize(
    ("setting", "value", "sentence"),
    [
        ("total_trials", "0", "--trials must be at least 1, not 0."),
        ("total_trials", "-5", "--trials must be at least 1, not -5."),
        ("total_trials", "abc", "--trials must be a whole number of at least 1, not abc."),
        ("total_trials", 2.5, "--trials must be a whole number of at least 1, not 2.5."),
        ("total_trials", True, "--trials must be a whole number of at least 1, not True."),
        ("workers", "-1", "--workers must be at least 0, not -1."),
        ("timeout", "nan", "--timeout must be a number of seconds, more than 0, not nan."),
        ("timeout", "soon", "--timeout must be a number of seconds, more than 0, not soon."),
        ("gpus_per_trial", "-0.5", "--gpus-per-trial must be a number, 0 or more, not -0.5."),
        ("directions", "maximise", "--direction must be minimize or maximize, not maximise; did you mean maximize?"),
        ("metrics", ("a", "a"), "--metric must be different names, not a, a."),
        ("keep_models", "most", "--keep-models must be a whole number of at least 0, or all, not most."),
        ("resources", ("tpu",), "--resource must be NAME=AMOUNT, not tpu."),
        ("resources", ("tpu=x",), "--resource must be NAME=AMOUNT: an amount must be a number, more than 0, not x."),
        ("study_name", "", "--study must be text that is not empty, not ''."),
        ("sampler", 3, "--sampler must be a name or one of Optuna's samplers, not 3."),
        ("retry_on", KeyboardInterrupt, "--retry-on must name exceptions, and KeyboardInterrupt is none."),
    ],
)
def test_a_wrong_value_is_answered_with_one_sentence_that_names_the_option(
    setting: str, value: object, sentence: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.from_sources(cli={setting: value})
    assert str(caught.value) == sentence


def test_a_wrong_variable_is_named_by_its_own_name() -> None:
    with pytest.raises(SettingsError, match=r"^HPO_WORKERS must be a whole number of at least 0, not many\.$"):
        Settings.from_sources(env={"HPO_WORKERS": "many"})


def test_an_unknown_setting_is_answered_with_the_nearest_name() -> None:
    with pytest.raises(SettingsError, match=r"There is no setting prunner; did you mean pruner\?"):
        Settings.of({"prunner": "asha"})
    with pytest.raises(SettingsError, match=r"There is no setting xyzzy in hpo\.toml; hpo run --help names them"):
        Settings.of({"xyzzy": 1}, source="hpo.toml")


def test_one_setting_under_two_names_is_refused() -> None:
    with pytest.raises(SettingsError, match="direction and directions are the same setting"):
        Settings.of({"direction": "minimize", "directions": ["minimize"]})


def test_metrics_and_directions_must_be_as_many() -> None:
    with pytest.raises(SettingsError, match=r"2 metrics \(a, b\) and 1 direction \(minimize\)"):
        Settings.from_sources(cli={"metrics": ("a", "b")})


def test_results_without_names_get_some() -> None:
    assert Settings.from_sources(cli={"directions": ("minimize",)}).metrics == ("value",)
    assert Settings.from_sources(cli={"directions": ("minimize", "maximize")}).metrics == ("value_0", "value_1")


def test_without_a_number_of_trials_a_timeout_alone_bounds_the_study() -> None:
    assert Settings().trials == DEFAULT_TRIALS
    assert Settings.of({"timeout": 5}).trials is None
    assert Settings.of({"timeout": 5, "trials": 7}).trials == 7


def test_what_was_given_is_recorded_and_read_again() -> None:
    settings = Settings.of(
        {
            "trials": 9,
            "directions": ["minimize", "maximize"],
            "metrics": ["a", "b"],
            "resources": {"tpu": 2},
            "retry_on": [OSError, "my.Error"],
            "keep_models": "all",
            "storage": "sqlite:///x.db",
        }
    )
    recorded = settings.to_json()
    assert recorded == {
        "total_trials": 9,
        "directions": ["minimize", "maximize"],
        "metrics": ["a", "b"],
        "resources": {"tpu": 2.0},
        "retry_on": ["OSError", "my.Error"],
        "keep_models": "all",
    }
    again = Settings.from_json({**recorded, "objective": {"file": "a.py"}})
    assert again.to_json() == recorded


def test_a_sampler_given_as_an_object_is_recorded_by_its_type_and_left_out_when_read() -> None:
    import optuna

    class Mine(optuna.samplers.RandomSampler):
        pass

    recorded = Settings.of({"sampler": Mine()}).to_json()
    assert recorded["sampler"].endswith("Mine")
    assert Settings.from_json(recorded).sampler == "auto"


def test_settings_are_read_from_hpo_toml_with_a_profile_over_them(tmp_path: Path) -> None:
    (tmp_path / "hpo.toml").write_text('trials = 20\nworkers = 2\n[profiles.cluster]\nworkers = 64\naddress = "auto"\n')
    plain, cluster = read_profile(tmp_path), read_profile(tmp_path, "cluster")
    assert (plain.total_trials, plain.workers, plain.address) == (20, 2, None)
    assert (cluster.total_trials, cluster.workers, cluster.address) == (20, 64, "auto")


def test_settings_are_read_from_pyproject_where_there_is_no_hpo_toml(tmp_path: Path) -> None:
    assert read_profile(tmp_path).given == frozenset()
    (tmp_path / "pyproject.toml").write_text("[tool.other]\nx = 1\n")
    assert read_profile(tmp_path).given == frozenset()
    (tmp_path / "pyproject.toml").write_text("[tool.hpo]\nseed = 5\n")
    assert read_profile(tmp_path).seed == 5
    (tmp_path / "hpo.toml").write_text("seed = 6\n")
    assert read_profile(tmp_path).seed == 6


@pytest.mark.parametrize(
    ("text", "profile", "sentence"),
    [
        ("prunner = 'asha'", None, "There is no setting prunner in hpo.toml; did you mean pruner?"),
        ("trials = 0", None, "trials in hpo.toml must be at least 1, not 0."),
        ("trials = ", None, "hpo.toml cannot be read as TOML: Invalid value (at end of document)."),
        ("profiles = 3", None, "profiles in hpo.toml must be tables, such as [profiles.cluster]."),
        ("[profiles.laptop]", "labtop", "There is no profile labtop in hpo.toml (there: laptop); did you mean laptop?"),
        ("[profiles.a]\nworker = 1", "a", "There is no setting worker in profile a of hpo.toml; did you mean workers?"),
    ],
)
def test_a_wrong_file_is_answered_with_the_file_and_the_key(
    tmp_path: Path, text: str, profile: str | None, sentence: str
) -> None:
    (tmp_path / "hpo.toml").write_text(text)
    with pytest.raises(SettingsError) as caught:
        read_profile(tmp_path, profile)
    assert str(caught.value) == sentence
