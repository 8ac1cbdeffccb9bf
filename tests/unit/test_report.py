from __future__ import annotations

import math
import os
import re
import subprocess
import sys
import threading
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import matplotlib
import pytest
from matplotlib.figure import Figure

import hpo
import hpo.reports
from hpo.ranking import wording
from hpo.reports import StudyView, facts, summary_html, tables, write
from hpo.reports.figures import FIGURES
from hpo.reports.page import render
from hpo.reports.scale import limits, param_axis
from hpo.reports.style import drawing
from hpo.sampling.importance import importances
from tests.unit.odd_studies import HOSTILE, SPACE, changed, choices, odd_views, view
from trackers.states import RunState
from trackers.values import Attempt

MOST_BYTES = 3_000_000
ODD = odd_views()
VOID = {"meta", "img", "br", "link", "input", "hr"}


class Page(HTMLParser):
    """Reads a page, and objects to tags that do not match."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("script", "style"):
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    return {name: render(odd) for name, odd in ODD.items()}


@pytest.mark.parametrize("name", ODD)
def test_an_odd_study_makes_a_page_that_parses_and_needs_nothing_from_outside(name, pages):
    page = Page(pages[name])
    assert len(pages[name].encode()) < MOST_BYTES
    assert page.tags.count("script") == 1
    assert not {"link", "iframe", "object", "embed", "base"} & set(page.tags)
    for tag, attribute, value in page.attributes:
        assert not attribute.startswith("on"), (tag, attribute)
        if attribute in ("src", "href"):
            assert value.startswith("data:image/")
    assert not re.search(r"url\(|@import|https?://", pages[name])
    assert "default-src 'none'" in pages[name]


@pytest.mark.parametrize("name", ODD)
def test_no_figure_of_an_odd_study_fails(name, pages):
    assert "could not be drawn" not in pages[name]


@pytest.mark.parametrize("name", ["ordinary", "empty", "one_trial", "one_of_three_objectives"])
def test_every_plot_returns_a_matplotlib_figure(name):
    for kind in FIGURES.values():
        figure = kind.plot(ODD[name])
        assert isinstance(figure, Figure)
        assert getattr(hpo.reports, f"plot_{kind.name}")
    assert isinstance(hpo.reports.plot_optimization_history(ODD[name]), Figure)


def test_hostile_names_appear_as_text_only(pages):
    page = Page(pages["hostile"])
    assert HOSTILE in page.text
    assert HOSTILE not in pages["hostile"]
    assert "\x00" not in pages["hostile"]
    assert "\u202e" not in pages["hostile"]
    assert HOSTILE not in summary_html(ODD["hostile"])


def test_the_page_says_who_won_by_how_much_and_how_to_load_it(pages):
    page = Page(pages["ordinary"]).text
    best = ODD["ordinary"].best
    assert best is not None
    assert f"Trial {best.trial.number} won with accuracy" in page
    assert "median of the" in page
    assert "better by" in page
    assert "trackers.load_model('models:/digits-model@production', store='sqlite:///hpo.db')" in page
    assert "flatters" in page


def test_a_winner_without_a_registered_version_is_loaded_by_its_run():
    unregistered = replace(ODD["ordinary"], versions=())
    assert unregistered.best is not None
    assert f"runs:/digits/{unregistered.best.trial.number}" in facts.how_to_load(unregistered)[1]


def test_a_winner_without_a_model_says_why():
    study = view(10)
    best = study.ranking.best
    assert best is not None
    trials = tuple(replace(t, model_error="holds a lock") if t is best else t for t in study.trials)
    page = Page(render(replace(study, trials=trials, only=("lr",)))).text
    assert f"Trial {best.number} has no model: holds a lock." in page


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("empty", "No trial has been started yet."),
        ("none_complete", "No trial has completed yet."),
        ("all_nan", "No completed trial can be ranked."),
        ("all_infeasible", "No completed trial can be ranked."),
        ("one_trial", "It is the only trial that completed."),
        ("three_objectives", "are the Pareto front."),
        ("all_equal", "reached the same value; the earliest stands first."),
    ],
)
def test_the_headline_fits_the_study(name, words, pages):
    assert words in Page(pages[name]).text


def test_ten_thousand_trials_fit_in_three_megabytes_and_list_the_best(tmp_path):
    big = view(10_000, reports=5, workers=32)
    path = write(big, tmp_path / "report.html")
    assert path.stat().st_size < MOST_BYTES
    page = Page(path.read_text(encoding="utf-8"))
    assert "The first 200 of 10,000 trials" in page.text
    assert "could not be drawn" not in page.text
    assert os.listdir(tmp_path) == ["report.html"]


def test_a_report_is_replaced_whole_and_a_missing_folder_is_named(tmp_path):
    target = tmp_path / "report.html"
    target.write_text("old")
    assert write(ODD["empty"], target) == target
    assert target.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    with pytest.raises(FileNotFoundError):
        write(ODD["empty"], tmp_path / "nowhere" / "report.html")


def test_a_report_goes_through_a_link_and_into_a_pipe(tmp_path):
    (tmp_path / "link.html").symlink_to(tmp_path / "real.html")
    write(ODD["empty"], tmp_path / "link.html")
    assert (tmp_path / "link.html").is_symlink()
    page = (tmp_path / "real.html").read_bytes()
    os.mkfifo(tmp_path / "pipe")
    read = []
    reader = threading.Thread(target=lambda: read.append((tmp_path / "pipe").read_bytes()))
    reader.start()
    write(ODD["empty"], tmp_path / "pipe")
    reader.join(60)
    assert len(read[0]) == len(page)
    assert (tmp_path / "pipe").is_fifo()


@pytest.mark.skipif(not os.path.exists("/proc/self/fd/1"), reason="needs /proc")
def test_a_report_is_printed_where_it_is_written_to_stdout(tmp_path):
    hpo.create_study(study_name="printed", storage=f"sqlite:///{tmp_path / 'hpo.db'}")
    main = "from hpo.cli import main; raise SystemExit(main())"
    call = [sys.executable, "-c", main, "report", "printed", "-o", "/proc/self/fd/1"]
    with open(tmp_path / "printed.html", "wb") as sink:
        for to in (sink, subprocess.PIPE):
            done = subprocess.run(call, stdout=to, stderr=subprocess.PIPE, cwd=tmp_path, check=True)
            assert b"Wrote the report to /proc/self/fd/1.\n" in done.stderr
            page = done.stdout or (tmp_path / "printed.html").read_bytes()
            assert page.startswith(b"<!DOCTYPE html>")
            assert page.rstrip().endswith(b"</html>")


@pytest.mark.skipif(not os.path.exists("/proc/self/fd/1"), reason="needs /proc")
def test_a_report_goes_behind_what_an_open_file_has(tmp_path):
    log = tmp_path / "all.log"
    log.write_text("important\n")
    with log.open("ab") as held:
        write(ODD["empty"], f"/proc/self/fd/{held.fileno()}")
    assert log.read_bytes().startswith(b"important\n<!DOCTYPE html>")


def test_drawing_leaves_matplotlib_as_it_was_and_needs_no_pyplot():
    before = dict(matplotlib.rcParams)
    FIGURES["optimization_history"].plot(ODD["one_trial"])
    assert dict(matplotlib.rcParams) == before
    code = (
        "import sys, hpo.reports; assert 'matplotlib' not in sys.modules and 'numpy' not in sys.modules\n"
        "import hpo.reports.figures; assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(hpo.__file__).parents[1])


def test_two_threads_draw_one_after_the_other():
    inside = threading.Event()
    with drawing():
        other = threading.Thread(target=lambda: (FIGURES["importance"].plot(ODD["empty"]), inside.set()))
        other.start()
        assert not inside.wait(0.2)
    other.join(10)
    assert inside.is_set()


def test_a_notebook_shows_a_figure_as_a_picture():
    assert hpo.reports.plot_edf(ODD["ordinary"])._repr_png_().startswith(b"\x89PNG")


def test_failures_are_grouped_by_cause_with_the_numbers_aside():
    study = view(12, pruned=0.0, failed=1.0)
    other = replace(study.trials[3], error="disk full", error_type="OSError", traceback=None)
    causes = facts.failures(replace(study, trials=(*study.trials[:3], other, *study.trials[4:])))
    assert [(cause.title, len(cause.numbers)) for cause in causes] == [("ValueError", 11), ("OSError", 1)]
    assert causes[0].traceback.startswith("Traceback")


def test_cost_is_told_by_state_and_adds_up():
    study = view(60)
    lines = facts.costs(study)
    assert sum(line.trials for line in lines) == 60
    assert sum(line.core_seconds for line in lines) == pytest.approx(sum(trial.cost for trial in study.trials))
    assert sum(line.share for line in lines) == pytest.approx(1.0)


def test_time_saved_by_pruning_is_told_only_where_it_can_be():
    study = view(60)
    assert facts.saved_by_pruning(study) == pytest.approx(
        sum(
            trial.cost * (8 / len(trial.intermediate_values) - 1)
            for trial in study.trials
            if trial.state is RunState.PRUNED
        )
    )
    assert facts.saved_by_pruning(view(60, pruned=0.0)) is None
    uneven = tuple(
        replace(t, intermediate_values=dict.fromkeys(range(1 + t.number % 9), 0.5)) if t.values else t
        for t in study.trials
    )
    assert facts.saved_by_pruning(replace(study, trials=uneven)) is None


def test_starts_that_came_to_nothing_are_told():
    study = view(5, pruned=0.0, failed=0.0)
    first = study.trials[0]
    lost = Attempt(0, "w", started_at=first.started_at, ended_at=first.ended_at, outcome="lost", cpus=2.0)
    trials = (replace(first, attempts=(lost, *first.attempts)), *study.trials[1:])
    remarks = facts.cost_remarks(replace(study, trials=trials))
    assert remarks[0].startswith("1 start came to nothing (1 lost with their worker)")


def test_the_space_table_names_conditions_and_scales():
    text = {row[0].text: row for row in tables.space(view(40)).rows}
    assert text["momentum"][2].text == "optimizer is sgd"
    assert text["lr"][1].text == "1e-5 to 0.1, logarithmic"
    assert text["optimizer"][1].text == "one of adam, sgd, None"
    assert text["layers"][1].text == "whole numbers 1 to 6"


def test_importance_finds_the_param_that_matters_and_sums_to_one():
    study = view(300, pruned=0.0)
    shares = importances(study.row, study.trials)
    assert next(iter(shares)) == "lr"
    assert sum(shares.values()) == pytest.approx(1.0)
    assert list(shares.values()) == sorted(shares.values(), reverse=True)
    assert shares == importances(study.row, study.trials)
    assert {type(share) for share in shares.values()} == {float}


def test_a_report_with_importances_loads_neither_scikit_learn_nor_scipy():
    code = (
        "import sys\n"
        "from dataclasses import replace\n"
        "from hpo.reports.page import render\n"
        "from tests.unit.odd_studies import view\n"
        "study = replace(view(40), only=('lr',))\n"
        "assert 'lr' in render(study) and sum(study.importances.values()) > 0.99\n"
        "print({name.partition('.')[0] for name in sys.modules} & {'sklearn', 'scipy', 'pandas', 'optuna'})"
    )
    root = Path(hpo.__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", code], check=True, cwd=root, capture_output=True, text=True)
    assert done.stdout == "set()\n"


def test_importance_of_too_few_trials_is_empty_and_of_equal_results_zero():
    assert importances(view(9, pruned=0.0).row, view(9, pruned=0.0, failed=0.0).trials) == {}
    equal = ODD["all_equal"]
    assert set(importances(equal.row, equal.trials).values()) <= {0.0}


def test_importance_of_several_objectives_is_told_and_quiet(capfd):
    study = ODD["three_objectives"]
    assert sum(importances(study.row, study.trials).values()) == pytest.approx(1.0)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_limits_show_the_best_and_cut_a_hopeless_outlier(direction):
    sign = 1 if direction == "minimize" else -1
    values = [sign * v for v in [-0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1e6]]
    frame = limits(values, direction)
    assert frame.holds(values[0])
    assert not frame.holds(values[-1])
    assert frame.beyond == 1


def test_limits_of_equal_and_of_huge_values_are_an_interval():
    for values in ([0.5], [0.0, 0.0], [-1.7e308, 1.7e308], [1e-300, 1.0, 2.0, 1e300]):
        frame = limits(values, "maximize")
        assert frame.low < frame.high
        assert math.isfinite(frame.low)
        assert math.isfinite(frame.high)


def test_a_param_of_mixed_kinds_stands_on_an_axis_of_choices():
    axis = param_axis("p", {}, [1, "a", None, True, [1, 2]])
    assert not axis.numeric
    assert all(0.0 <= axis.fraction(value) <= 1.0 for value in [1, "a", None, True, [1, 2]])
    assert math.isnan(param_axis("p", choices("a", "b"), ["a"]).position("c"))
    assert param_axis("lr", SPACE["lr"], [0.001]).fraction(0.001) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        ((0.5, 0.25, 0.5), ["0.5", "0.25", "0.5"]),
        ((0.9805556, 0.9805561, 0.97), ["0.9805556", "0.9805561", "0.97"]),
        ((1.0, 1.0 + 1e-15, math.nan, math.inf), ["1", "1", "NaN", "inf"]),
    ],
)
def test_values_of_a_column_that_differ_look_different(values, texts):
    digits = wording.telling_digits(values)
    assert [wording.number(value, digits) for value in values] == texts


def test_what_was_recorded_of_a_machine_is_written_for_people():
    machine = {"ray": {"version": "2.60.0", "cpus": 1.0, "resources": {}}, "gpus": ["A", "B"]}
    shown = tables.environment(changed(ODD["ordinary"], lambda trial: trial, environment=machine))
    assert shown == [("ray", "version 2.60.0, cpus 1"), ("gpus", "A, B")]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.98765432, "0.98765"), (1.0, "1"), (1e-5, "1e-5"), (123456.789, "123457"), (1.5e12, "1.5e12"),
        (math.nan, "NaN"), (-math.inf, "-inf"), (None, "–"), (0.0, "0"), (10**9, "1e9"),
    ],
)  # fmt: skip
def test_numbers_are_written_for_people(value, text):
    assert wording.number(value) == text


@pytest.mark.parametrize(
    ("length", "text"),
    [
        (0.0124, "12 ms"),
        (1.25, "1.2 s"),
        (59.99, "1 min 00 s"),
        (3700, "1 h 01 min"),
        (200_000, "2.3 days"),
        (None, "–"),
    ],
)
def test_lengths_of_time_are_written_for_people(length, text):
    assert wording.seconds(length) == text


def test_a_summary_for_a_notebook_is_short_and_has_no_script():
    for name in ("ordinary", "empty", "three_objectives", "hostile", "sixty_params"):
        shown = summary_html(ODD[name])
        Page(shown)
        assert "<script" not in shown
        assert len(shown) < 40_000
    assert isinstance(ODD["ordinary"], StudyView)


def test_a_param_that_no_drawn_trial_has_gets_no_panel():
    def without(trial):
        drawn = trial.state is RunState.COMPLETE
        return replace(trial, params={k: v for k, v in trial.params.items() if not (drawn and k == "width")})

    shown = changed(view(40), without)
    figure = FIGURES["slices"].plot(shown)
    names = [axes.get_xlabel() for axes in figure.axes if axes.get_visible()]
    assert "width" in shown.params
    assert "width" not in names
    assert set(names) == set(shown.params) - {"width"}
    assert any("No drawn trial has width." in text.get_text() for text in figure.texts)


def test_a_table_of_the_page_moves_sideways_where_the_screen_is_narrow(pages):
    for page in pages.values():
        assert page.count("<table") == page.count('<div class="scroll"><table')
    assert ".scroll .text { overflow-wrap: break-word; }" in page


def test_a_bar_of_the_timeline_is_never_too_narrow_to_be_seen():
    made = view(40)
    figure = FIGURES["timeline"].plot(made)
    (axes,) = figure.axes
    boxes = [path.get_extents() for collection in axes.collections for path in collection.get_paths()]
    assert boxes
    low, high = axes.get_xlim()
    assert min(box.width for box in boxes) >= 0.001 * (high - low)
