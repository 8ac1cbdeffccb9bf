"""Secrets on more than one line, or more than one of a name: lists, mappings, long strings, and blocks of settings.

The text is read once, piece by piece, from where a secret's name has something opened behind it; where that is read, no
other is looked for. What is hidden lies within one line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from trackers.capture import login, secret_names

LINES = 40
_CHARACTERS = 4000
"""So far is read from a name."""
_OPENED = re.compile(
    rf"(?i){secret_names.WORD}[\"'\]]{{0,2}}[ \t]{{0,4}}{secret_names.ANNOTATED}(?:=|:)[ \t]{{0,4}}(?:(?=[(\[{{])|[bru]{{0,2}}(?P<long>\"{{3}}|'{{3}}))"
)
_PIECE = re.compile(
    r"(?P<string>(?<!\w)[bru]{0,2}(?P<quote>[\"'])(?P<value>(?:(?!(?P=quote))[^\\\r\n]|\\[^\r\n])*+)(?P=quote))"
    r"|(?P<open>[(\[{])|(?P<close>[)\]}])|(?P<line>\n)|#[^\r\n]*+|(?P<sign>[,:])|(?P<code>[^\s\"'()\[\]{}#,:]++|[\"'])"
)
_ENDS = re.compile(r"[ \t]{0,8}(?:[,)\]}#\r\n]|[bru]{0,2}[\"']|\Z)")
"""What is behind an element; behind a key there is a colon."""
_NOT_OF_WORDS = re.compile(r"[^A-Za-z_. -]")
_WORD_WITH_DIGIT = re.compile(r"(?![<{$%*])(?=\D{0,200}\d)\S{3,}")
_OF_WHOM = re.compile(
    r"(?i)(?:user|username|login|e?mail|host|hostname|server|port|database|db|dbname|project|url|endpoint|bucket|account|(?:\w+[_-])?id|name)"
)
"""Parts of credentials that are no secrets."""


def hide(text: str, by: str, *, diff: bool) -> str:
    """Put *by* in the place of the elements of what a secret's name is given, and of the lines of long strings."""
    shown: list[str] = []
    done = at = 0
    while (match := _OPENED.search(text, at)) is not None:
        name = secret_names.name_at(text, match.start())
        at = match.end()
        if not _is_sure(name):
            continue
        found = _lines_of_string(text, at, match["long"], diff) if match["long"] else _elements(text, at, name, diff)
        for start, end in found:
            if start < end:
                shown += [text[done:start], by]
                done = end
            at = max(at, end)
    return "".join([*shown, text[done:]])


def _is_sure(name: str) -> bool:
    return (
        secret_names.ends_secret(name)
        and secret_names.ABOUT.search(name) is None
        and not secret_names.is_of_language(name, "word")
    )


def _is_secret(name: str, value: str) -> bool:
    none = login.is_sample(value) or secret_names.is_text_about(value) or secret_names.is_harmless_bare(name, value)
    return len(value) > 2 and not none and secret_names.is_secret_value(name, value)


def _elements(text: str, start: int, name: str, diff: bool) -> Iterator[tuple[int, int]]:
    """Yield where the secrets among the elements are, and where the reading ended as a span of no length."""
    calls: list[bool] = []
    key, before, lines, end, at = "", "", 0, min(len(text), start + _CHARACTERS), start
    single = text.startswith("(", start)
    while (piece := _PIECE.search(text, at, end)) is not None and lines < LINES:
        kind, at = piece.lastgroup or "", piece.end()
        if kind == "line":
            lines += 1
            if text.startswith("@@ ", at):
                break
            at += diff
            continue
        if kind == "open":
            calls.append(before in ("code", "close") and text[piece.start() - 1 : piece.start()].strip() != "")
        elif kind == "close":
            calls = calls[:-1]
            if not calls:
                break
        elif piece["quote"] and not any(calls) and before != "code":
            kind = "string"
            if _ENDS.match(text, at) is None:
                key = piece["value"]
            elif _is_element(secret_names.name_within(key, name) if key else name, key, piece["value"], single):
                yield piece.span("value")
        elif piece[0] == ",":
            key, single = "", False
        before = kind if kind else before
    yield at, at


def _is_element(name: str, key: str, value: str, single: bool) -> bool:
    """Tell whether *value* is one of several secrets; that of a *single* string in parentheses may be a word."""
    if _OF_WHOM.fullmatch(key) or secret_names.ABOUT.search(key) or value.startswith(("<", "{", "$", "%", "[")):
        return False
    several = _NOT_OF_WORDS.search(value) is not None and " " not in value
    return (single or several) and _is_secret(name, value)


def _lines_of_string(text: str, start: int, quotes: str, diff: bool) -> Iterator[tuple[int, int]]:
    """Yield where the words are that are lines of a long string of their own."""
    end = text.find(quotes, start, start + _CHARACTERS)
    if end < 0 or text.find("\n", start, end) < 0:
        return
    at = start
    for count, line in enumerate(text[start:end].split("\n")[:LINES]):
        mark = diff and count > 0
        word = line[mark:].strip(" \t\r\\")
        first = line.find(word, mark)
        if _WORD_WITH_DIGIT.fullmatch(word):
            yield at + first, at + first + len(word)
        at += len(line) + 1
    yield end, end


_BLOCK = re.compile(
    rf"(?i)([ \t]*+(?:-[ \t]+)?)[\"']?({secret_names.NAME})[\"']?[ \t]{{0,4}}:(?:[ \t]{{1,4}}!!str)?(?:[ \t]{{1,4}}([|>])[+\d-]{{0,2}})?[ \t]*+(?:#.*)?\r?"
)
_CHILD = re.compile(
    r"(?P<indent>[ \t]*+)(?P<dash>-[ \t]{1,4})?(?:[\"']?(?P<key>[\w.-]{1,60})[\"']?:[ \t]{1,4})?(?P<value>\S[^\r\n]*)"
)


def hide_blocks(text: str, by: str, *, diff: bool) -> str:
    """Put *by* in the place of what stands below a secret's name in YAML: lines of a text, elements, values."""
    if ":" not in text:
        return text
    lines = text.split("\n")
    at = 0
    while at < len(lines):
        block = _BLOCK.fullmatch(lines[at][diff:])
        at += 1
        if block is not None and _is_sure(block[2]):
            at = _hide_below(lines, at, block, by, diff)
    return "\n".join(lines)


def _hide_below(lines: list[str], at: int, block: re.Match[str], by: str, diff: bool) -> int:
    """Hide what belongs to *block* in the *lines* from *at* on; return the first one that does not."""
    least, text_of, end = -1, block[3] is not None, min(len(lines), at + LINES)
    while at < end and not (diff and lines[at].startswith("@")):
        line = lines[at][diff:]
        child = _CHILD.match(line)
        if child is not None:
            if not _is_below(child, len(block[1]), text_of):
                break
            least = len(child["indent"]) if least < 0 else least
            if text_of or len(child["indent"]) == least:
                lines[at] = lines[at][:diff] + _hide_child(child, line, block[2], text_of, by)
        at += 1
    return at


def _is_below(child: re.Match[str], indent: int, text_of: bool) -> bool:
    depth = len(child["indent"])
    return depth > indent or (depth == indent and child["dash"] is not None and not text_of)


def _hide_child(child: re.Match[str], line: str, name: str, text_of: bool, by: str) -> str:
    if text_of:
        value, start = line.strip(), len(child["indent"])
        named = name
    else:
        if child["dash"] and child["key"]:
            return line
        key = child["key"] or ""
        value, start = child["value"].rstrip(), child.start("value")
        named = secret_names.name_within(key, name) if key else name
        about = _OF_WHOM.fullmatch(key) or secret_names.ABOUT.search(key) or value.endswith(":")
        if about or ((child["dash"] or key) and _NOT_OF_WORDS.search(value.strip("\"'")) is None):
            return line
    bare = value.strip("\"'")
    if secret_names.REFERENCE.match(bare) or (" " in bare and not text_of) or not _is_secret(named, bare):
        return line
    quote = value[0] if len(value) > 1 and value[0] in "\"'" and value[-1] == value[0] else ""
    return line[:start] + quote + by + quote + "\r" * line.endswith("\r")
