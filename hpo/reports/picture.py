"""A figure as part of a page: a data URI that needs no other file."""

from __future__ import annotations

from base64 import b64encode
from io import BytesIO

from matplotlib.figure import Figure
from PIL import Image

from hpo.reports.style import png, svg

SMALL = 120_000
"""Bytes up to which a vector picture is taken without asking what pixels would cost."""

SHARP = 190
"""Dots per inch of pixels: 1,710 over a column of about 1,020 on the page."""


def data_uri(figure: Figure) -> str:
    """Return *figure* as SVG, or as PNG sharper than the screen where that is smaller."""
    vector = svg(figure)
    if len(vector) > SMALL:
        figure.set_layout_engine("none")  # everything has its place by now
        pixels = _few_colours(png(figure, SHARP))
        if len(pixels) < len(vector):
            return _uri("image/png", pixels)
    return _uri("image/svg+xml", vector)


def thumbnail_uri(figure: Figure) -> str:
    """Return *figure* in pixels of a few kilobytes, for a page that is stored with every run of it."""
    return _uri("image/png", _few_colours(png(figure, 90)))


def _few_colours(pixels: bytes) -> bytes:
    """Return a PNG with at most 256 colours: a third of the size, and the eye sees no difference in our figures."""
    buffer = BytesIO()
    with Image.open(BytesIO(pixels)) as image:
        image.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(buffer, format="png", optimize=True)
    return buffer.getvalue()


def _uri(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{b64encode(data).decode('ascii')}"
