r"""Which characters the figures can show: those of matplotlib's own font and of what this machine has beside it.

What no font has is written as an escape, as in ``\u65e5``: a box would say nothing, and two boxes would be equal.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator
from functools import lru_cache

from matplotlib.artist import Artist
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, fontManager, get_font
from matplotlib.text import Text
from matplotlib.ticker import FuncFormatter

from hpo.ranking import wording

OWN = "DejaVu Sans"
"""The font that matplotlib carries: Latin, Greek, Cyrillic, Hebrew, Arabic letters, and most of what mathematics needs."""

_OTHERS = (
    *("Noto Sans CJK JP", "Noto Sans CJK SC", "Noto Sans CJK TC", "Noto Sans CJK KR", "Noto Sans JP", "Noto Sans SC"),
    *("Noto Sans TC", "Noto Sans KR", "Source Han Sans", "Source Han Sans SC", "IPAexGothic", "IPAGothic"),
    *("TakaoGothic", "VL Gothic", "WenQuanYi Zen Hei", "WenQuanYi Micro Hei", "Droid Sans Fallback", "NanumGothic"),
    *("Hiragino Sans", "PingFang SC", "Microsoft YaHei", "Yu Gothic", "MS Gothic", "SimHei", "Malgun Gothic"),
    *("Arial Unicode MS", "Unifont", "Noto Sans Devanagari", "Noto Sans Bengali", "Noto Sans Tamil", "Noto Sans Thai"),
    *("Noto Sans Arabic", "Noto Sans Hebrew", "Noto Sans Ethiopic", "Noto Emoji", "Symbola", "Noto Sans Symbols2"),
)
_LONGEST = 40


@lru_cache(maxsize=1)
def families() -> tuple[str, ...]:
    """Return the fonts to draw with, in the order in which they are asked for a character."""
    there = set(fontManager.get_font_names())
    return (OWN, *(name for name in _OTHERS if name in there))


@lru_cache(maxsize=1)
def _known() -> frozenset[int]:
    """Return the code points that one of the fonts has."""
    found: set[int] = set()
    for family in families():
        found |= get_font(findfont(FontProperties(family=[family]))).get_charmap().keys()
    return frozenset(found)


def spelled(text: str) -> str:
    """Return *text* as the fonts can show it: letters without their marks, or escapes, where they lack a character."""
    if text.isascii() or all(_shown(c) for c in text):
        return text
    return wording.short("".join(map(_spelled, unicodedata.normalize("NFC", text))), max(_LONGEST, len(text)))


def _shown(character: str) -> bool:
    return character == "\n" or ord(character) in _known()


def _spelled(character: str) -> str:
    if _shown(character):
        return character
    plain = "".join(c for c in unicodedata.normalize("NFKD", character) if not unicodedata.combining(c))
    if plain and all(_shown(c) for c in plain):
        return plain
    return ascii(character)[1:-1]


def spell(figure: Figure) -> None:
    """Write every text of *figure* so that it can be shown, the labels of its marks too."""
    for artist in _parts(figure):
        if isinstance(artist, Text):
            written = artist.get_text()
            if spelled(written) != written:
                artist.set_text(spelled(written))
        elif isinstance(artist, Axis):
            formatter = artist.get_major_formatter()
            if isinstance(formatter, FuncFormatter):  # so are marks that were given their words
                artist.set_major_formatter(FuncFormatter(_spelling(formatter)))


def _spelling(formatter: FuncFormatter) -> Callable[[float, int | None], str]:
    return lambda value, position: spelled(formatter(value, position))


def _parts(figure: Figure) -> Iterator[Artist]:
    yield from figure.findobj(lambda artist: isinstance(artist, Text | Axis))
