"""How samplers are found by name, what ``auto`` chooses, and what the layer over Optuna's keeps and drops."""

import json
import logging
import math
import subprocess
import sys
import time
import warnings
from dataclasses import replace
from itertools import pairwise

import pytest

from hpo.errors import SettingsError, SpaceError, SpaceExhausted
from hpo.sampling import auto
from hpo.sampling.distinct import DistinctSampler
from hpo.sampling.grid import GridSampler
from hpo.sampling.random import RandomSampler
from hpo.sampling.samplers import SAMPLERS, make_sampler
from hpo.sampling.stream import Stream
from hpo.space import Categorical, Float, Int, Space
from trackers.states import RunState
from trackers.values import Trial

optuna = pytest.importorskip("optuna")

NUMERIC = Space({"x": Float(0, 1), "y": Float(0, 1)})
TINY = Space({"a": Int(1, 3), "b": Categorical(["u", "v"])})
TREE = Space({"a": Categorical([1, 2]), "x": Float(0, 1, when={"a": 1})})
DONE = RunState.COMPLETE


def run(sampler, numbers, value=lambda p: float(sum(p.values()))):
    asked = []
    for number in numbers:
        asked.append(sampler.ask(number))
        sampler.tell(number, DONE, (value(asked[-1]),), {})
    return asked


# -- names


@pytest.mark.parametrize(
    ("spec", "kw", "words"),
    [
        ("tpee", {}, "there is no sampler 'tpee'; did you mean tpe?"),
        ("nsga4", {}, "nsga2, nsga3"),
        ("", {}, "the samplers are auto, brute_force, cmaes, gp, grid, nsga2, nsga3, qmc, random, tpe"),
        ("grid", {}, "needs a declared space"),
        ("grid", {"space": NUMERIC}, "'x', 'y' are continuous: give step="),
        ("grid", {"space": {"n": Int(0, 10**7)}}, "more than 1,000,000 points"),
        ("grid:0", {"space": NUMERIC}, "number of levels"),
        ("grid:x", {"space": NUMERIC}, "number of levels"),
        ("tpe:3", {}, "takes no argument"),
        ("brute_force", {"space": NUMERIC}, "continuous"),
        ("cmaes", {"directions": ["minimize", "maximize"]}, "cmaes knows one objective, and the study has 2"),
        (3, {}, "sampler=3 is neither"),
        (RandomSampler, {}, "is neither"),
    ],
)
def test_a_sampler_that_cannot_be_made_is_refused_in_a_sentence(spec, kw, words):
    with pytest.raises(SettingsError) as caught:
        make_sampler(spec, **kw)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "missing", "words"),
    [("gp", "torch", 'pip install "hpo[gp]"'), ("cmaes", "cmaes", "hpo[cmaes]"), ("qmc", "scipy", "pip install scipy")],
)
def test_a_sampler_whose_package_is_missing_says_what_to_install(monkeypatch, name, missing, words):
    monkeypatch.setattr("hpo.sampling.samplers.installed", lambda module: module != missing)
    with pytest.raises(SettingsError) as caught:
        make_sampler(name, space=NUMERIC)
    assert words in str(caught.value)


def test_names_are_read_as_people_write_them():
    assert make_sampler(" TPE ", space=NUMERIC).name == "tpe"
    assert make_sampler("Brute-Force", space=TINY).name == "brute_force"
    mine = RandomSampler(NUMERIC)
    assert make_sampler(mine, space=NUMERIC) is mine


def test_no_sampler_warns_or_logs_when_it_is_made_or_used(caplog, capfd):
    with caplog.at_level(logging.DEBUG), warnings.catch_warnings():
        warnings.simplefilter("error")
        for name in SAMPLERS:
            if name == "gp" and not auto.installed("torch"):
                continue
            for space in (TINY, TREE, None):
                if (name, space) in (("grid", TREE), ("brute_force", TREE), ("grid", None)):
                    continue
                sampler = make_sampler(name, space=space)
                for number in range(3):
                    sampler.ask(number)
                    if space is None:
                        sampler.suggest(number, "n", Int(1, 30).to_distribution())
                    sampler.tell(number, DONE, (1.0,), {"c": 1.0})
    assert not [record for record in caplog.records if record.levelno >= logging.INFO]
    assert capfd.readouterr() == ("", "")


def test_the_package_of_samplers_imports_nothing_heavy():
    code = (
        "import sys, hpo.space, hpo.sampling, hpo.sampling.samplers, hpo.sampling.rules\n"
        "print([m for m in ('optuna', 'numpy', 'scipy', 'sqlalchemy', 'ray', 'torch') if m in sys.modules])"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"


# -- auto


@pytest.mark.parametrize(
    ("space", "objectives", "total", "workers", "torch", "name", "words"),
    [
        (None, 1, 100, 4, True, "tpe", "not declared"),
        (TINY, 1, 6, 4, True, "grid", "6 points, and the budget covers"),
        (TINY, 2, 100, 4, True, "grid", "6 points"),
        (TINY, 1, 5, 4, True, "tpe", "categorical"),
        (TREE, 1, 5000, 4, True, "tpe", "TPE: conditional space"),
        (TREE, 2, 5000, 4, True, "tpe", "conditional"),
        (NUMERIC, 1, 100, 4, True, "gp", "fewer than 250"),
        (NUMERIC, 1, 100, 64, True, "tpe", "numeric"),
        (NUMERIC, 1, 100, 4, False, "tpe", "hpo[gp]"),
        (NUMERIC, 1, 500, 4, True, "tpe", "numeric"),
        (NUMERIC, 1, 1000, 4, True, "cmaes", "1000 trials or more"),
        (NUMERIC, 1, None, 4, True, "tpe", "no limit"),
        (NUMERIC, 2, 100, 4, True, "tpe", "2 objectives and fewer"),
        (NUMERIC, 3, 1000, 4, True, "nsga2", "NSGA-II"),
        (NUMERIC, 4, 1000, 4, True, "nsga3", "NSGA-III"),
    ],
)
def test_auto_chooses_by_what_is_declared_and_says_why(
    monkeypatch, space, objectives, total, workers, torch, name, words
):
    monkeypatch.setattr(auto, "installed", lambda module: torch or module != "torch")
    choice = auto.choose(space, ["minimize"] * objectives, total, workers)
    assert choice.name == name
    assert words in choice.note


def test_the_choice_is_kept_as_the_samplers_note():
    sampler = make_sampler("auto", space=TREE, total_trials=50)
    assert (sampler.name, sampler.note) == ("tpe", "auto chose TPE: conditional space")
    assert make_sampler("tpe", space=TREE).note == ""
    assert "'b' is drawn at random" in make_sampler("cmaes", space=TINY).note


# -- our own


def test_a_draw_depends_on_seed_number_and_name_alone():
    first = make_sampler("random", space=NUMERIC, seed=3)
    points = [first.ask(n) for n in range(50)]
    other = make_sampler("random", space=NUMERIC, seed=3)
    assert [other.ask(n) for n in reversed(range(50))] == points[::-1]
    by_run = make_sampler("random", seed=3)
    by_run.ask(7)
    assert by_run.suggest(7, "y", NUMERIC["y"].to_distribution()) == points[7]["y"]
    assert make_sampler("random", space=NUMERIC, seed=4).ask(0) != points[0]


def test_draws_are_uniform_and_independent():
    n = 20_000
    draws = [[Stream(5, i).uniform(name) for i in range(n)] for name in ("x", "y")]
    for series in draws:
        counts = [0] * 20
        for u in series:
            counts[int(u * 20)] += 1
        chi = sum((c - n / 20) ** 2 / (n / 20) for c in counts)
        assert chi < 50  # 19 degrees of freedom: one in ten thousand
        lagged = sum((a - 0.5) * (b - 0.5) for a, b in pairwise(series)) * 12 / n
        assert abs(lagged) < 4 / math.sqrt(n)
    crossed = sum((a - 0.5) * (b - 0.5) for a, b in zip(*draws, strict=True)) * 12 / n
    assert abs(crossed) < 4 / math.sqrt(n)
    assert Stream(0, 1).bits("x") != Stream(1, 0).bits("x") != Stream(0, 1, attempt=1).bits("x")
    assert Stream(-1, 0).bits("x") != Stream(2**64 - 1, 0).bits("x")


def test_a_random_suggestion_costs_microseconds():
    space = {f"p{i}": Float(1e-5, 1, log=True) for i in range(4)} | {"c": Categorical(["a", "b", "c"])}
    sampler = make_sampler("random", space=Space(space))
    best = math.inf
    for start in range(0, 3000, 300):
        began = time.process_time()
        for number in range(start, start + 300):
            sampler.ask(number)
            sampler.tell(number, DONE, (1.0,), {})
        best = min(best, (time.process_time() - began) / 300)
    assert best < 100e-6


def test_a_grid_is_shuffled_by_the_seed_or_kept_in_order():
    grids = [[g.ask(n) for n in range(6)] for g in (GridSampler(TINY, seed=s) for s in (0, 0, 1))]
    assert grids[0] == grids[1] != grids[2]
    straight = GridSampler(TINY, shuffled=False)
    assert [straight.ask(n) for n in range(6)] == list(TINY.points())
    with pytest.raises(SpaceExhausted, match="all 6 points of the grid"):
        straight.ask(6)


def test_a_grid_of_levels_covers_a_continuous_range():
    sampler = make_sampler("grid:3", space={"x": Float(0.01, 1, log=True), "n": Int(1, 2)})
    points = [sampler.ask(n) for n in range(6)]
    assert sorted({p["x"] for p in points}) == pytest.approx([0.01, 0.1, 1.0])
    with pytest.raises(SpaceExhausted):
        sampler.ask(6)


def test_a_quasi_random_sequence_fills_the_space_evenly():
    points = [make_sampler("qmc", space=NUMERIC, seed=1)] * 64
    cells = {(int(p["x"] * 8), int(p["y"] * 8)) for p in (s.ask(n) for n, s in enumerate(points))}
    assert len(cells) == 64  # one point in each of 8 x 8 cells; random ones meet about 40


# -- no point twice


class Stubborn(RandomSampler):
    """A sampler in love with one point."""

    def ask(self, number, fixed=None, *, attempt=0):
        return dict(fixed) if fixed and len(fixed) == 2 else {"a": 1, "b": "u"}


def test_a_sampler_that_repeats_itself_is_given_other_points():
    sampler = DistinctSampler(Stubborn(TINY), TINY)
    assert len({TINY.key(sampler.ask(n)) for n in range(6)}) == 6
    with pytest.raises(SpaceExhausted, match="all 6 points"):
        sampler.ask(6)


def test_a_range_of_two_doubles_that_counts_as_endless_repeats_itself():
    space = Space({"x": Float(1.0, math.nextafter(1.0, 2))})
    sampler = make_sampler("random", space=space)
    assert {sampler.ask(n)["x"] for n in range(5)} <= {1.0, math.nextafter(1.0, 2)}


def test_a_stored_trial_of_another_space_does_not_hurt():
    for name in ("random", "tpe", "grid"):
        sampler = make_sampler(name, space=TINY)
        old = {"a": "text", "z": [1]}
        specs = {"z": Categorical([1]).to_distribution()}
        for number in range(15):
            sampler.add(Trial(number, DONE, old, (1.0,), distribution_specs=specs))
        assert TINY.check(sampler.ask(15))


# -- Optuna's


def test_what_only_running_trials_need_is_not_persisted():
    sampler = make_sampler("tpe", space=NUMERIC)
    run(sampler, range(12))
    sampler.ask(12)
    record = sampler.inner._mirror.records[12]
    assert any(key.startswith("tpe:relative_params") for key in record.system_attrs)
    assert sampler.drain() == ({}, {})
    sampler.tell(12, DONE, (1.0,), {})
    assert record.system_attrs == {}


def test_only_the_newest_generation_of_cma_es_is_kept():
    sampler = make_sampler("cmaes", space=NUMERIC)
    kept: dict[int, dict] = {}
    for number in range(60):
        run(sampler, [number])
        for n, attrs in sampler.drain()[0].items():
            kept.setdefault(n, {}).update(attrs)
    alive = [n for n, attrs in kept.items() if any("optimizer" in k and v is not None for k, v in attrs.items())]
    assert len(alive) == 1
    assert alive[0] > 45
    assert kept[59]["cma:generation"] == max(attrs["cma:generation"] for attrs in kept.values() if attrs)
    json.dumps(kept)


def test_a_trial_that_hangs_makes_no_suggestion_slower():
    """Optuna's own search for the shared space walks back to the oldest running trial at each ask."""
    costs = []
    for hangs in (False, True):
        sampler = make_sampler(optuna.samplers.NSGAIISampler(population_size=20), space=NUMERIC)
        space = sampler.inner._study.sampler._search_space
        for number in range(1500):
            sampler.inner._mirror.put(optuna_trial(number, sampler.inner._declared))
        if hangs:
            sampler.inner._mirror.start(0)
        best = math.inf
        for _ in range(50):
            began = time.process_time()
            assert list(space.calculate(sampler.inner._study)) == ["x", "y"]
            best = min(best, time.process_time() - began)
        costs.append(best)
    assert costs[1] < 50e-6


def optuna_trial(number, distributions):
    return optuna.trial.FrozenTrial(
        number=number,
        trial_id=number,
        state=optuna.trial.TrialState.COMPLETE,
        value=0.5,
        datetime_start=None,
        datetime_complete=None,
        params=dict.fromkeys(distributions, 0.5),
        distributions=dict(distributions),
        user_attrs={},
        system_attrs={},
        intermediate_values={},
    )


def test_a_sampler_that_stops_its_study_ends_it_with_a_sentence():
    grid = optuna.samplers.GridSampler({"a": [1, 2, 3], "b": ["u"]})
    sampler = make_sampler(grid, space=None)
    specs = TINY.distributions()

    def ask(number):
        sampler.ask(number)
        return tuple(sampler.suggest(number, name, specs[name]) for name in ("a", "b"))

    seen = []
    for number in range(3):
        seen.append(ask(number))
        sampler.tell(number, DONE, (1.0,), {})
    assert sorted(seen) == [(1, "u"), (2, "u"), (3, "u")]
    with pytest.raises(SpaceExhausted):
        sampler.ask(3)
    attrs = sampler.drain()[0]
    again = make_sampler(optuna.samplers.GridSampler({"a": [1, 2, 3], "b": ["u"]}), space=None)
    for number, (a, b) in enumerate(seen):
        trial = Trial(number, DONE, {"a": a, "b": b}, (1.0,), distribution_specs=specs)
        again.add(replace(trial, system_attrs=json.loads(json.dumps(attrs[number]))))
    with pytest.raises(SpaceExhausted):
        again.ask(3)


def test_a_failing_ask_leaves_no_trial_running():
    class Broken(optuna.samplers.RandomSampler):
        def sample_independent(self, *args):
            raise RuntimeError("no more")

    sampler = make_sampler(Broken(), space=NUMERIC)
    with pytest.raises(RuntimeError, match="no more"):
        sampler.ask(0)
    assert sampler.inner._mirror.get_all_trials(0, False, (optuna.trial.TrialState.RUNNING,)) == []


def test_a_sampler_inside_a_sampler_is_seeded_too():
    def asked():
        with pytest.warns(optuna.exceptions.ExperimentalWarning):
            inner = optuna.samplers.PartialFixedSampler({"y": 0.5}, optuna.samplers.TPESampler())
        return run(make_sampler(inner, space=NUMERIC, seed=4), range(15))

    assert asked() == asked()
    assert {p["y"] for p in asked()} == {0.5}


def test_a_users_own_sampler_sees_the_study_as_optuna_shows_it():
    seen = []

    class Mine(optuna.samplers.BaseSampler):
        def infer_relative_search_space(self, study, trial):
            return {}

        def sample_relative(self, study, trial, search_space):
            return {}

        def sample_independent(self, study, trial, param_name, param_distribution):
            done = study.get_trials(states=(optuna.trial.TrialState.COMPLETE,))
            seen.append((len(study.trials), len(done), study.direction.name))
            return study.best_params[param_name] / 2 if done else 1.0

    sampler = make_sampler(Mine(), space=None, directions=["minimize"])
    xs = []
    for number in range(4):
        sampler.ask(number)
        xs.append(sampler.suggest(number, "x", Float(0, 1).to_distribution()))
        sampler.report(number, 1, 3.0)
        sampler.tell(number, DONE, (xs[-1],), {})
    assert xs == [1.0, 0.5, 0.25, 0.125]
    assert seen == [(i + 1, i, "MINIMIZE") for i in range(4)]


def test_a_mirror_is_no_place_to_change_a_study():
    study = make_sampler("tpe", space=NUMERIC).inner._study
    with pytest.raises(RuntimeError, match="enqueue them through the study"):
        study.enqueue_trial({"x": 1})
    with pytest.raises(KeyError):
        study._storage.get_trial(3)
    assert study.study_name == "mirror"


def test_true_and_1_stay_two_choices_through_optuna():
    space = Space({"flag": Categorical([1, True, "1"]), "n": Int(1, 50), "x": Float(0, 1)})
    sampler = make_sampler("tpe", space=space)
    points = run(sampler, range(60), lambda p: 0.0 if p["flag"] is True else 1.0)
    assert {type(p["flag"]) for p in points} == {int, bool, str}
    assert sum(p["flag"] is True for p in points[20:]) > 25


@pytest.mark.parametrize("name", ["random", "tpe"])
def test_a_distribution_that_is_none_is_refused(name):
    sampler = make_sampler(name)
    sampler.ask(0)
    with pytest.raises(SpaceError, match="'Normal' is not a distribution"):
        sampler.suggest(0, "x", {"name": "Normal", "attributes": {}})
    with pytest.raises(SpaceError, match=r"x: \{1\} is a set"):
        sampler.suggest(0, "x", {"name": "CategoricalDistribution", "attributes": {"choices": [{1}]}})
