"""The README's figures are those that the benchmarks found last."""

from __future__ import annotations

import runpy

from tests.docs.page import ROOT


def test_the_readme_has_the_figures_of_the_benchmarks() -> None:
    measured = runpy.run_path(str(ROOT / "docs" / "measured.py"))
    assert measured["PAGE"].read_text(encoding="utf-8") == measured["page"](), "run: python docs/measured.py"
