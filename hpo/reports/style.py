"""The look of the figures: one restrained style, no global state left behind.

Colours are those of Okabe and Ito, which people with colour-blindness tell apart; states differ in shape too.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import Any

import matplotlib
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator

from hpo.ranking import wording
from hpo.reports.lettering import families, spell

INK = "#1b2530"
MUTED = "#5d6873"
FAINT = "#aab3bc"
GRID = "#e7ebef"
BLUE = "#0072b2"
SKY = "#56b4e9"
GOLD = "#e69f00"
RED = "#d55e00"
GREEN = "#009e73"
PURPLE = "#cc79a7"

WIDTH = 9.0
"""Width of a figure in inches."""

CROWD = 1500
"""Marks above which a layer is drawn as pixels inside the vector picture."""

_RC: dict[str, Any] = {
    "text.usetex": False,
    "text.parse_math": False,  # a param may be called $x$
    "axes.formatter.use_mathtext": False,
    "axes.formatter.useoffset": False,
    "axes.formatter.limits": (-4, 6),
    "axes.unicode_minus": True,
    "axes.prop_cycle": cycler(color=[BLUE, GOLD, GREEN, PURPLE, SKY, RED]),
    "axes.edgecolor": FAINT,
    "axes.facecolor": "white",
    "axes.labelcolor": MUTED,
    "axes.labelsize": 9,
    "axes.linewidth": 0.8,
    "axes.axisbelow": True,
    "axes.grid": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlecolor": INK,
    "axes.titlelocation": "left",
    "axes.titlesize": 9.5,
    "axes.titleweight": "normal",
    "axes.xmargin": 0.02,
    "axes.ymargin": 0.05,
    "figure.facecolor": "white",
    "font.size": 9,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "grid.linestyle": "-",
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "legend.handletextpad": 0.5,
    "legend.columnspacing": 1.4,
    "lines.linewidth": 1.4,
    "savefig.facecolor": "white",
    "savefig.bbox": None,
    "svg.fonttype": "path",
    "svg.hashsalt": "hpo",
    "text.color": INK,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "xtick.major.size": 3,
    "ytick.major.size": 0,
}

_lock = threading.RLock()


class Chart(Figure):
    """A matplotlib figure that a notebook shows without pyplot."""

    def _repr_png_(self) -> bytes:
        return png(self)


class NothingToDraw(Exception):
    """There is nothing to draw; the message is the sentence that stands in the figure's place."""


@contextmanager
def drawing() -> Iterator[None]:
    """Use our settings inside the block; matplotlib's are as they were after it. One thread at a time."""
    settings: Any = {**_RC, "font.family": list(families())}
    with _lock, matplotlib.rc_context(settings), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*constrained_layout not applied.*")
        yield


def plot(draw: Callable[[Any], Figure], view: Any) -> Figure:
    """Draw *view* in our style; where there is nothing to draw, the figure says so in a sentence."""
    try:
        return drawn(draw, view)
    except NothingToDraw as nothing:
        said = str(nothing)
    return drawn(_sentence, said)


def drawn(draw: Callable[[Any], Figure], view: Any) -> Figure:
    """Draw *view* in our style, with every text as the fonts can show it. Raises NothingToDraw."""
    with drawing():
        figure = draw(view)
        spell(figure)
    return figure


def _sentence(text: str) -> Figure:
    figure = new_figure(1.2)
    figure.text(0.5, 0.5, text, ha="center", va="center", color=MUTED, wrap=True)
    return figure


def new_figure(height: float) -> Chart:
    """Return an empty figure of our width and *height* inches."""
    return Chart(figsize=(WIDTH, height), layout="constrained")


def png(figure: Figure, dpi: int = 144) -> bytes:
    """Return *figure* as PNG."""
    buffer = BytesIO()
    with drawing():
        figure.savefig(buffer, format="png", dpi=dpi)
    return buffer.getvalue()


def svg(figure: Figure) -> bytes:
    """Return *figure* as SVG; layers of many marks are pixels inside it."""
    buffer = BytesIO()
    with drawing():
        figure.savefig(buffer, format="svg", dpi=160, metadata={"Date": None, "Creator": None})
    return buffer.getvalue()


def note(figure: Figure, text: str) -> None:
    """Write a remark under the figure."""
    if text:
        figure.supxlabel(text, x=0.008, ha="left", fontsize=8, color=MUTED)


def label(axes: Axes, title: str = "", x: str = "", y: str = "", grid: str = "y") -> None:
    """Name the axes and draw the light grid."""
    if title:
        axes.set_title(title)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    if grid:
        axes.grid(True, axis=grid)  # type: ignore[arg-type]


def log_axis(axes: Axes, which: str, low: float, high: float, marks: int = 6) -> None:
    """Make an axis logarithmic, with plain numbers, about *marks* of them and never fewer than two."""
    (axes.set_xscale if which == "x" else axes.set_yscale)("log")
    axis = axes.xaxis if which == "x" else axes.yaxis
    decades = high / low
    axis.set_major_locator(LogLocator(subs=(1.0,) if decades >= 100 else (1.0, 2.0, 5.0), numticks=marks))
    axis.set_major_formatter(FuncFormatter(lambda value, _: _compact(value)))
    axis.set_minor_locator(NullLocator())
    axis.set_minor_formatter(NullFormatter())


def _compact(value: float) -> str:
    """Write a mark of a logarithmic axis: long numbers as powers of ten."""
    if abs(value) < 1e5:
        return wording.number(value, 3)
    mantissa, exponent = f"{value:.0e}".split("e")
    return f"{mantissa}e{int(exponent)}"


def whole_axis(axes: Axes) -> None:
    """Put ticks of the x axis at whole numbers only."""
    axes.xaxis.set_major_locator(MaxNLocator(nbins="auto", integer=True, min_n_ticks=1))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))


def legend_above(axes: Axes, columns: int = 6) -> None:
    """Put the legend in a line above the axes, right of the title."""
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        axes.legend(handles, labels, loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=columns, borderaxespad=0.2)
