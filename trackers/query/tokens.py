"""Cut the text of a filter into words, numbers, strings and signs."""

from __future__ import annotations

import re
from dataclasses import dataclass

from trackers.errors import FilterError

LONGEST = 64 * 1024
"""The longest filter that is read, in characters."""

KEYWORDS = frozenset({"and", "or", "not", "in", "between", "like", "ilike", "is", "null", "true", "false"})

_SPACE = re.compile(r"\s+")
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_SIGNED_WORD = re.compile(r"[+-](?:inf|infinity|nan)\b", re.IGNORECASE)
_WORD = re.compile(r"[^\W\d](?:[\w.\-/:@]|[^\x00-\x7f\s“”‘’])*")  # marks that combine with letters included
_QUOTED = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|`(?:[^`]|``)*`")
_CONTEXT = re.compile(r"\{[^{}]*\}")
_SIGN = re.compile(r"==|!=|<>|<=|>=|[=<>(),]")
_TAIL = re.compile(r"[\w.]+")
_INSTEAD = {"&": "and", "|": "or", "!": "not", "~": "not", "[": "(", "]": ")", **dict.fromkeys("“”‘’", "'")}


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of the filter.

    *kind* is ``"word"``, ``"number"``, ``"string"``, ``"sign"`` or ``"end"``; *text* is what is written. *quoted* is
    the key of ``metrics."a key"`` without its quotes (else None), *context* what stands in braces after a key.
    """

    kind: str
    text: str
    position: int
    quoted: str | None = None
    context: str = ""

    @property
    def lower(self) -> str:
        return self.text.lower() if self.kind == "word" and self.quoted is None else self.text

    @property
    def is_keyword(self) -> bool:
        return self.kind == "word" and self.quoted is None and self.lower in KEYWORDS


def unquote(text: str) -> str:
    """Return what stands between the quotes of *text*; a doubled quote is one."""
    quote = text[0]
    return text[1:-1].replace(quote * 2, quote)


def quote(text: str, mark: str = '"') -> str:
    """Put *text* in quotes, as ``unquote`` reads it."""
    return mark + text.replace(mark, mark * 2) + mark


def is_bare(key: str) -> bool:
    """Tell whether *key* can stand after its dot without quotes."""
    return re.fullmatch(r"[\w.\-/:@]*[\w\-/:@]", key) is not None


def tokenize(text: str, what: str = "filter") -> list[Token]:
    """Cut *text* into tokens, the last one of kind ``"end"``. Raises FilterError, which calls the text *what* it is."""
    if not isinstance(text, str):
        raise FilterError(f"the {what} is text, not {type(text).__name__}")
    if len(text) > LONGEST:
        raise FilterError(f"the {what} has {len(text):,} characters: at most {LONGEST:,} are read, make it shorter")
    tokens: list[Token] = []
    position = 0
    while position < len(text):
        if space := _SPACE.match(text, position):
            position = space.end()
            continue
        token, position = _next(text, position)
        tokens.append(token)
    tokens.append(Token("end", "", len(text)))
    return tokens


def _next(text: str, start: int) -> tuple[Token, int]:
    if found := _WORD.match(text, start):
        return _word(text, start, found.end())
    if found := _NUMBER.match(text, start) or _SIGNED_WORD.match(text, start):
        end = found.end()
        if (tail := _TAIL.match(text, end)) is not None:
            length = tail.end() - start
            raise FilterError("this is not a number: put text in quotes", text, start, length)
        return Token("number", found[0], start), end
    if found := _QUOTED.match(text, start):
        if found[0][0] == "`":
            raise FilterError(
                "backticks quote a key after its dot, as in metrics.`val loss`", text, start, len(found[0])
            )
        return Token("string", found[0], start), found.end()
    if text[start] in "'\"`":
        raise FilterError(f"the quote {text[start]} that opens here is never closed", text, start)
    if found := _SIGN.match(text, start):
        return Token("sign", found[0], start), found.end()
    wrong = text[start] * (1 + (text[start] in "&|" and text[start + 1 : start + 2] == text[start]))
    hint = f": write {_INSTEAD[wrong[0]]}" if wrong[0] in _INSTEAD else ""
    raise FilterError(f"{wrong!r} has no meaning here{hint}", text, start, len(wrong))


def _word(text: str, start: int, end: int) -> tuple[Token, int]:
    """Read a word, with the quoted key and the context that may follow it."""
    quoted: str | None = None
    if text[end - 1] == "." and end < len(text) and text[end] in "\"`'" and "." not in text[start : end - 1]:
        key = _QUOTED.match(text, end)
        if key is None:
            raise FilterError(f"the quote {text[end]} that opens here is never closed", text, end)
        quoted, end = unquote(key[0]), key.end()
    context = ""
    if end < len(text) and text[end] == "{":
        braces = _CONTEXT.match(text, end)
        if braces is None:
            raise FilterError("the brace that opens here is never closed", text, end)
        context, end = braces[0][1:-1], braces.end()
    return Token("word", text[start:end], start, quoted, context), end
