"""Names in any script: the figures show what the fonts have, and escapes for the rest; no warning, no box."""

from __future__ import annotations

import warnings
from dataclasses import replace

import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from hpo.reports import lettering
from hpo.reports.figures import FIGURES
from hpo.reports.page import render
from hpo.reports.style import png, svg
from tests.unit.odd_studies import SPACE, choices, view
from trackers.values import Trial


@pytest.fixture(autouse=True)
def own_font_only(monkeypatch: pytest.MonkeyPatch):
    """A machine with no other fonts, whatever this one has."""
    monkeypatch.setattr(lettering, "_OTHERS", ())
    lettering.families.cache_clear()
    lettering._known.cache_clear()
    yield
    lettering.families.cache_clear()
    lettering._known.cache_clear()


def foreign(trial: Trial) -> Trial:
    kinds = ("決定木", "ニューラル網", "서포트 벡터")
    params = {"学习率": trial.params["lr"], "분류기": kinds[trial.number % 3], "गहराई": trial.number % 5, "naïve": 1.5}
    specs = {"学习率": SPACE["lr"], "분류기": choices(*kinds)}
    return replace(trial, params=params, distribution_specs=specs)


def study(objectives: int = 1):
    ways = ("maximize", "minimize")[:objectives]
    base = view(60, ways, pruned=0.0 if objectives > 1 else 0.3)
    row = replace(base.row, name="手書き数字 🚀", metric_names=("正解率", "誤差")[:objectives])
    return replace(base, row=row, trials=tuple(map(foreign, base.trials)))


def texts(figure: Figure) -> list[str]:
    figure.draw_without_rendering()
    return [artist.get_text() for artist in figure.findobj(Text) if artist.get_text()]


@pytest.mark.parametrize("objectives", [1, 2])
def test_figures_of_a_study_in_other_scripts_are_drawn_without_a_warning(objectives: int) -> None:
    odd = study(objectives)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for kind in FIGURES.values():
            figure = kind.plot(odd)
            assert svg(figure)
            assert png(figure, 40)
            shown = texts(figure)
            assert all(lettering.spelled(text) == text for text in shown), shown
        page = render(odd)
    assert "could not be drawn" not in page
    assert "手書き数字" in page, "the page's own text is the reader's fonts' matter"
    assert "学习率" in page


def test_what_no_font_has_is_written_as_an_escape_that_tells_names_apart() -> None:
    assert lettering.spelled("lr α Ж é ∑") == "lr α Ж é ∑"
    assert lettering.spelled("学习率") == "\\u5b66\\u4e60\\u7387"
    assert lettering.spelled("决定") != lettering.spelled("決定")
    assert lettering.spelled("🚀") == "\\U0001f680"
    assert lettering.spelled("ｌｒ") == "lr", "wide letters have narrow ones"
    assert len(lettering.spelled("学" * 100)) <= 100


def test_a_font_that_the_machine_has_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lettering, "_OTHERS", ("No Such Font", "Last Resort High-Efficiency"))
    lettering.families.cache_clear()
    lettering._known.cache_clear()
    assert lettering.families() == ("DejaVu Sans", "Last Resort High-Efficiency")
    assert lettering.spelled("学习率 🚀") == "学习率 🚀"
