"""How counts, uids and URLs are written, how texts fit into columns, and which word was meant."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Callable, Iterable
from functools import wraps
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

_LONGEST_WORD = 64
"""Of what was typed, so much is compared with what there is."""


def counted(number: int, noun: str, plural: str = "") -> str:
    """Return ``"1 trial"``, ``"2,000 trials"``; *plural* is that of a noun that takes more than an s."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def text_width(text: str) -> int:
    """Return how many columns of a terminal *text* takes: East Asian characters take two, combining marks none."""
    if text.isascii():
        return len(text)
    return sum(0 if unicodedata.combining(c) else 1 + (unicodedata.east_asian_width(c) in "WF") for c in text)


def padded(text: str, length: int, *, right: bool = False) -> str:
    """Fill *text* with spaces to *length* columns, those in front of it where it stands flush *right*."""
    space = " " * (length - text_width(text))
    return space + text if right else text + space


def cut(text: str, length: int) -> str:
    """Cut *text* to *length* columns, the last of them an ellipsis where something was cut."""
    if text_width(text) <= length:
        return text
    kept = text[: max(1, length - 1)]
    while len(kept) > 1 and text_width(kept) >= length:
        kept = kept[:-1]
    return kept.rstrip() + "…"


def wrapped(text: str, length: int) -> list[str]:
    """Break *text* into lines of *length* columns, at spaces where there are any."""
    lines, line = [], ""
    for word in text.split(" "):
        longer = f"{line} {word}" if line else word
        if text_width(longer) <= length:
            line = longer
            continue
        if line:
            lines.append(line)
        while text_width(word) > length:
            head = word[:length]
            while text_width(head) > length:
                head = head[:-1]
            lines.append(head)
            word = word[len(head) :]
        line = word
    return [*lines, line]


def closest(word: str, known: Iterable[str]) -> str | None:
    """Return the known word nearest to *word*, or None where none is near."""
    near = difflib.get_close_matches(word[:_LONGEST_WORD], list(known), n=1)
    return near[0] if near else None


def suggestion(word: str, known: Iterable[str]) -> str:
    """Return ``"; did you mean X?"`` for the known word nearest to *word*, or nothing."""
    near = closest(word, known)
    return f"; did you mean {near}?" if near is not None else ""


def did_you_mean(word: str, names: Iterable[str], none: str = "it has none yet", has: str = "it has") -> str:
    """Return the end of a sentence: which of *names* is close to *word*, or else which there are, or *none*."""
    known = list(names)
    if not known:
        return f": {none}"
    if close := difflib.get_close_matches(word[:_LONGEST_WORD], known, n=3, cutoff=0.5):
        return f"; did you mean {' or '.join(map(repr, close))}?"
    return f": {has} {', '.join(map(repr, sorted(known)[:5]))}{', ...' if len(known) > 5 else ''}"


def hinting(**words: str) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Make a function that is called with one of these arguments, another library's *words*, say what serves here.

    It raises TypeError, as Python does for any other argument that there is not.
    """

    def decorate(function: Callable[P, T]) -> Callable[P, T]:
        @wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> T:
            if kwargs and not words.keys().isdisjoint(kwargs):
                name = next(name for name in kwargs if name in words)
                raise TypeError(f"{function.__name__} has no argument {name}: {words[name]}")
            return function(*args, **kwargs)

        return call

    return decorate


def without_password(url: str) -> str:
    """Return *url* to be shown: ``***`` stands for its password, which may hold ``@`` and ``/``."""
    return re.sub(r"(://[^/@:]*):.*@", r"\1:***@", url)


def without_credentials(url: str) -> str:
    """Return *url* to be shown without user and password: of a bucket, a remote or a server either may be a secret."""
    return re.sub(r"(?<=://)(?:[^/@:]*:.*|[^/]*)@", "", url)


def short_uid(uid: str) -> str:
    """Return the first 16 of the 32 hex digits of *uid*, which every command takes for it.

    They hold the time of a UUIDv7 to the quarter of a microsecond. All 32 where they look like a number, which a
    command would take for an id.
    """
    beginning = uid[:16]
    return uid if beginning.isdigit() else beginning
