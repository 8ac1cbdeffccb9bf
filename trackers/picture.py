"""Figures and images as the bytes of a file; the libraries that made them are asked, and none is imported for them."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

from trackers.errors import InvalidValueError


def pack_figure(figure: Any, name: str) -> tuple[str, bytes]:
    """Return the name (with a suffix) and the bytes of a figure of matplotlib or plotly.

    The suffix says the format: for matplotlib any that it writes (default ``.png``), for plotly ``.html`` (default),
    ``.json``, or a picture where kaleido is installed. Raises InvalidValueError for another object.
    """
    if hasattr(figure, "savefig"):
        name, suffix = _with_suffix(name, "png")
        sink = io.BytesIO()
        try:
            figure.savefig(sink, format=suffix)
        except ValueError as exc:
            way = ": name it .svg or .png, which a browser shows" if suffix in {"html", "htm"} else ""
            raise InvalidValueError(f"the figure {name!r} cannot be written: {str(exc).rstrip('.')}{way}") from exc
        return name, sink.getvalue()
    if hasattr(figure, "to_html") and hasattr(figure, "to_json"):
        name, suffix = _with_suffix(name, "html")
        if suffix in {"html", "json"}:
            text = figure.to_html(include_plotlyjs="cdn") if suffix == "html" else figure.to_json()
            return name, text.encode()
        return name, bytes(figure.to_image(format=suffix))
    raise InvalidValueError(
        f"a figure is one of matplotlib or plotly, not {type(figure).__name__}: log_image takes arrays"
    )


def pack_image(image: Any, name: str) -> tuple[str, bytes]:
    """Return the name (with a suffix, default ``.png``) and the bytes of an image.

    *image* is PIL's, the path of an image's file, or an array of H x W, H x W x 1, 3 or 4: whole numbers 0..255, floats
    0..1, or booleans. A file keeps its bytes where its format is the one that *name* says. Raises InvalidValueError for
    another shape, and for numbers out of range.
    """
    from PIL import Image

    is_file = isinstance(image, str | os.PathLike)
    name, suffix = _with_suffix(name, (Path(image).suffix[1:].lower() if is_file else "") or "png")
    form = {"jpg": "JPEG", "jpeg": "JPEG", "tif": "TIFF"}.get(suffix, suffix.upper())
    if is_file:
        image, content = _read_image(Path(image))
        if image.format == form:
            return name, content
    elif not isinstance(image, Image.Image):
        image = Image.fromarray(_pixels(image))
    if form == "JPEG" and image.mode not in {"L", "RGB", "CMYK"}:
        image = image.convert("RGB")
    sink = io.BytesIO()
    try:
        image.save(sink, format=form)
    except (KeyError, OSError, ValueError) as exc:
        raise InvalidValueError(f"the image {name!r} cannot be written as {form}: {exc}") from exc
    return name, sink.getvalue()


def _read_image(path: Path) -> tuple[Any, bytes]:
    from PIL import Image

    try:
        content = path.read_bytes()
        image = Image.open(io.BytesIO(content))
        image.load()
    except (OSError, ValueError) as exc:
        raise InvalidValueError(f"the image {path} cannot be read: {exc}") from exc
    return image, content


def _pixels(image: Any) -> Any:
    import numpy as np

    if hasattr(image, "detach"):  # a tensor of PyTorch's
        image = image.detach().cpu()
    array = np.asarray(image)
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.size == 0 or array.ndim not in {2, 3} or (array.ndim == 3 and array.shape[2] not in {3, 4}):
        first = array.ndim == 3 and array.shape[0] in {1, 3, 4}
        way = ": its channels come first: give np.moveaxis(image, 0, -1), a tensor's image.permute(1, 2, 0)" * first
        raise InvalidValueError(f"an image is an array of H x W, or H x W x 1, 3 or 4, not of {array.shape}{way}")
    if array.dtype == np.bool_:
        return array.astype(np.uint8) * 255
    if array.dtype == np.uint8:
        return array
    if not (np.issubdtype(array.dtype, np.floating) or np.issubdtype(array.dtype, np.integer)):
        raise InvalidValueError(f"an image holds numbers, not {array.dtype}")
    largest = 1.0 if np.issubdtype(array.dtype, np.floating) else 255
    if not (np.all(array >= 0) and np.all(array <= largest)):  # NaN is not in range either
        low, high = array.min(), array.max()
        raise InvalidValueError(f"an image of {array.dtype} lies in 0..{largest:g}, and this one in {low:g}..{high:g}")
    return (array * 255 + 0.5).astype(np.uint8) if largest == 1.0 else array.astype(np.uint8)


def _with_suffix(name: str, default: str) -> tuple[str, str]:
    stem, dot, suffix = name.rpartition(".")
    if dot and stem and "/" not in suffix and suffix.isalnum() and not suffix.isdigit():
        return name, suffix.lower()
    return f"{name}.{default}", default
