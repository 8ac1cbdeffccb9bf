"""A figure as part of a page: a data URI that needs no other file."""

from __future__ import annotations

from base64 import b64encode

from matplotlib.figure import Figure

from hpo.reports.style import png, svg

SMALL = 120_000
"""Bytes up to which a vector picture is taken without asking what pixels would cost."""


def data_uri(figure: Figure) -> str:
    """Return *figure* as SVG, or as PNG of twice a screen's resolution where that is smaller."""
    vector = svg(figure)
    if len(vector) > SMALL:
        pixels = png(figure, dpi=200)
        if len(pixels) < len(vector):
            return _uri("image/png", pixels)
    return _uri("image/svg+xml", vector)


def _uri(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{b64encode(data).decode('ascii')}"
