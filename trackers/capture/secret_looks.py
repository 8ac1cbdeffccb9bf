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
    r"|\bxox[abeoprs]-[\w-]{10,}|\bxapp-[\w-]{20,}|\bhooks\.slack\.com/services/[\w/]{20,}|\bhf_[A-Za-z0-9]{30,}\b"
    r"|\bAIza[\w-]{35,}|\bya29\.[\w-]{20,}|\bGOCSPX-[\w-]{20,}|\bSG\.[\w-]{16,64}\.[\w-]{16,}|\bnpm_[A-Za-z0-9]{36}\b"
    r"|\bpypi-AgE[\w-]{50,}|\bSK[0-9a-f]{32}\b|\bdop_v1_[0-9a-f]{64}\b|\bdapi[0-9a-f]{32}\b|\bAGE-SECRET-KEY-1[0-9A-Z]{50,}"
    r"|\b(?<!-)eyJ[\w-]{10,}+\.[\w-]{10,}+\.[\w-]{10,}+(?:\.[\w-]{10,}+){0,2}"
)
_HARMLESS = re.compile(
    r"(?i)[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}|(?:sha\d{1,3}|md5|h1)[-:=].{20,128}|(?:0x)?[0-9a-f.-]{1,128}"
)
KEY_BEGIN = re.compile(r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
_KEY_EDGE = re.compile(r"-----(BEGIN|END) [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
_KEY_BODY = re.compile(
    r"[ \t\"'+]{0,12}(?:(?:[A-Za-z0-9+/=]|\\[nr])*+|[A-Za-z-]{1,30}: .{0,200})[\"']?[ \t,)]{0,4}\r?\Z"
)


def is_random(value: str) -> bool:
    """Tell whether *value* is as random as a key: upper, lower and digits mixed, few characters twice, no words."""
    if _HARMLESS.fullmatch(value) or not all(re.search(kind, value) for kind in ("[a-z]", "[A-Z]", r"\d")):
        return False
    longest_word = max((len(word) for word in re.findall(r"[a-z]+|[A-Z]+", value)), default=0)
    if longest_word >= 7 or value.count("/") > 3 or value.count(".") > 2:
        return False
    entropy = -sum(n / len(value) * math.log2(n / len(value)) for n in Counter(value).values())
    switches = sum(_kind(a) != _kind(b) for a, b in itertools.pairwise(value))
    return entropy >= 3.7 and switches >= len(value) * 0.4


def _kind(char: str) -> int:
    return 0 if char.islower() else 1 if char.isupper() else 2 if char.isdigit() else 3


def hide_keys(text: str, by: str, *, diff: bool) -> str:
    """Put *by* in the place of private keys, each line on its own: from BEGIN to END, or to the first line that no key has."""
    shown: list[str] = []
    inside = False
    for line in text.split("\n"):
        mark, rest = (line[:1], line[1:]) if diff else ("", line)
        rest, inside = _hide_keys_of_line(rest, by, inside)
        shown.append(mark + rest)
    return "\n".join(shown)


def _hide_keys_of_line(line: str, by: str, inside: bool) -> tuple[str, bool]:
    """Return *line* without the keys in it, and whether it ends within one; *inside* says that it begins within one."""
    shown, at = "", 0
    for edge in _KEY_EDGE.finditer(line):
        between = line[at : edge.start()]
        if edge[1] == "BEGIN":
            shown += "" if inside and _KEY_BODY.match(between) else between
        elif inside:
            shown += by
        else:
            shown += between + edge[0]
        at, inside = edge.end(), edge[1] == "BEGIN"
    if at == 0:
        inside = inside and _KEY_BODY.match(line) is not None
    return shown + (by if inside else line[at:]), inside
