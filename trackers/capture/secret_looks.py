"""Secrets told by their look: keys of services, private keys, and what is as random as a key."""

from __future__ import annotations

import itertools
import math
import re
from collections import Counter

# What has no upper bound is a run of one class, which a match takes to its end: so that no tail of a secret stays, and
# that no character is looked at again and again.
LOOKS = re.compile(
    r"\bgh[pousr]_[A-Za-z0-9]{30,}|\bgithub_pat_[A-Za-z0-9_]{40,}|\bglpat-[\w-]{20,}"
    r"|\b(?:AKIA|ASIA|AROA|AIDA)[A-Z0-9]{16}\b|\bsk-(?=[A-Za-z0-9]{20}|[A-Za-z_-]{0,60}\d)[\w-]{20,}|\b[sr]k_(?:live|test)_[A-Za-z0-9]{16,}"
    r"|\bxox[abeoprs]-[\w-]{10,}|\bxapp-[\w-]{20,}|\bhooks\.slack\.com/services/[\w/]{20,}|\bdiscord(?:app)?\.com/api/webhooks/\d{5,}/[\w-]{20,}|\bhf_[A-Za-z0-9]{30,}\b"
    r"|\bAIza[\w-]{35,}|\bya29\.[\w-]{20,}|\bGOCSPX-[\w-]{20,}|\bSG\.[\w-]{16,64}\.[\w-]{16,}|\bnpm_[A-Za-z0-9]{36}\b"
    r"|\bpypi-AgE[\w-]{50,}|\bSK[0-9a-f]{32}\b|\bdop_v1_[0-9a-f]{64}\b|\bdapi[0-9a-f]{32}\b|\bAGE-SECRET-KEY-1[0-9A-Z]{50,}"
    r"|\b(?:glrt|gldt)-[\w-]{20,}|\bdckr_pat_[\w-]{20,}|\bshp(?:at|ss|ca|pa)_[0-9a-f]{32}\b|\br8_[A-Za-z0-9]{37,}|\bgsk_[A-Za-z0-9]{40,}"
    r"|\bxai-[A-Za-z0-9]{40,}|\bhvs\.[\w-]{16,}|\b(?:bot)?\d{8,10}:AA[\w-]{30,}"
    r"|\b(?<!-)eyJ[\w-]{10,}+\.[\w-]{10,}+\.[\w-]{10,}+(?:\.[\w-]{10,}+){0,2}"
)
_HARMLESS = re.compile(
    r"(?i)[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}|(?:sha\d{1,3}|md5|h1)[-:=].{20,128}|(?:0x)?[0-9a-f.-]{1,128}"
)
KEY_BEGIN = re.compile(r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
_KEY_EDGE = re.compile(r"-----(BEGIN|END) [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
_KEY_LINE = re.compile(
    r"[ \t\"'+]{0,12}(?:(?:[A-Za-z0-9+/=]|\\[nr]){16,}+|M[A-Z](?:[A-Za-z0-9+/=]|\\[nr])*+|[A-Z][A-Za-z-]{1,30}: [^\n]{0,200})"
    r"[\"']?[ \t,)+\\]{0,4}\Z"
)
"""A line of a key, or one of what is told of it; a short one has what all keys begin with."""
_KEY_REST = re.compile(r"[ \t\"'+]{0,12}(?:[A-Za-z0-9+/=]|\\[nr])*+[\"']?[ \t,)+\\]{0,4}\Z")
"""The last line of a key, or an empty one: a part of it only before what is one for sure."""
_KEY_OPEN = re.compile(
    r"(?:[\"'` \t]|\\[nr\\])*+(?:M[A-Z](?:[A-Za-z0-9+/=]|\\[nr])*+|(?:[A-Za-z0-9+/=]|\\[nr]){16,}+)?[\"']{0,3}\Z"
)
"""What is behind the beginning of a key that goes on: code that looks for one has more there."""


def is_random(value: str) -> bool:
    """Tell whether *value* is as random as a key, or a part of it is between the signs that stand between words."""
    if _HARMLESS.fullmatch(value):
        return False
    parts = _BETWEEN_WORDS.split(value) if _OF_NAMES.search(value) else [value]
    return any(len(part) >= _LONG_PART and _is_random_word(part) for part in parts) or _is_random_with_signs(value)


def _is_random_with_signs(value: str) -> bool:
    """Tell whether *value* is a key that is safe in URLs: it has few signs between long parts, and few words in them."""
    if len(value) < _SHORTEST_WITH_SIGNS or not _SAFE_IN_URLS.fullmatch(value):
        return False
    parts = [part for part in _SIGNS.split(value) if part]
    if len(parts) > 2 + len(value) // 16 or max(map(len, parts)) < _LONG_PART // 2 or len(_DIGITS.findall(value)) < 2:
        return False
    in_words = sum(len(word) for word in _WORDS.findall(value))
    return in_words <= _MOST_IN_WORDS * len(value) and _is_random_word("".join(parts))


def _is_random_word(value: str) -> bool:
    """Tell whether upper, lower and digits are mixed in *value*, with few characters twice, and no words."""
    if _HARMLESS.fullmatch(value) or not all(re.search(kind, value) for kind in ("[a-z]", "[A-Z]", r"\d")):
        return False
    longest_word = max((len(word) for word in re.findall(r"[a-z]+|[A-Z]+", value)), default=0)
    if longest_word >= 7 or value.count("/") > 3 or value.count(".") > 2:
        return False
    entropy = -sum(n / len(value) * math.log2(n / len(value)) for n in Counter(value).values())
    switches = sum(_kind(a) != _kind(b) for a, b in itertools.pairwise(value))
    return entropy >= 3.7 and switches >= len(value) * 0.4


_OF_NAMES = re.compile("[-_.]")
_BETWEEN_WORDS = re.compile("[-_./]")
"""Base64 has a slash anywhere, the names of models have it between others."""
_LONG_PART = 16
_SAFE_IN_URLS = re.compile(r"[\w-]+", re.ASCII)
_SHORTEST_WITH_SIGNS = 22
"""So long are sixteen bytes."""
_SIGNS = re.compile("[-_]")
_DIGITS = re.compile(r"\d+")
_WORDS = re.compile("[A-Z][a-z]{2,}|[a-z]{4,}")
_MOST_IN_WORDS = 0.4
"""Identifiers such as ``ResNet50V2_ImageNet1K_V2`` consist of words for more than that."""


def _kind(char: str) -> int:
    return 0 if char.islower() else 1 if char.isupper() else 2 if char.isdigit() else 3


def hide_keys(text: str, by: str, *, diff: bool) -> str:
    """Put *by* in the place of private keys, each line on its own: from BEGIN to END, or to the first line that no key has."""
    lines = [(line[:1], line[1:]) if diff else ("", line) for line in text.split("\n")]
    parts = [rest.removesuffix("\r") for _, rest in lines]
    shown: list[str] = []
    inside = False
    for at, (mark, rest) in enumerate(lines):
        below = parts[at + 1] if at + 1 < len(parts) else ""
        part, inside = _hide_keys_of_line(parts[at], below, by, inside)
        shown.append(mark + part + rest[len(parts[at]) :])
    return "\n".join(shown)


def _hide_keys_of_line(line: str, below: str, by: str, inside: bool) -> tuple[str, bool]:
    """Return *line* without the keys in it, and whether it ends within one; *inside* says that it begins within one."""
    shown, at = "", 0
    for edge in _KEY_EDGE.finditer(line):
        between = line[at : edge.start()]
        if edge[1] == "BEGIN":
            shown += "" if inside and _KEY_REST.match(between) else between
        elif inside:
            shown += by
        else:
            shown += between + edge[0]
        at, inside = edge.end(), edge[1] == "BEGIN"
        begin = edge.start()
    if at == 0:
        inside = inside and _is_of_key(line, below)
    elif inside and not (_KEY_OPEN.match(line, at) or _is_of_key(below, "")):
        return shown + line[begin:], False
    return shown + (by if inside else line[at:]), inside


def _is_of_key(line: str, below: str) -> bool:
    """Tell whether *line* goes on with a key, of which the line *below* may be the end."""
    if _KEY_LINE.match(line):
        return True
    edge = _KEY_EDGE.search(below)
    ends = edge is not None and edge[1] == "END" and _KEY_REST.match(below[: edge.start()]) is not None
    return _KEY_REST.match(line) is not None and (ends or _KEY_LINE.match(below) is not None)
