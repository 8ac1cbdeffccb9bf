"""Secrets told by their look: keys of services, private keys, and what is as random as a key."""

from __future__ import annotations

import itertools
import math
import re
from collections import Counter

LOOKS = re.compile(
    r"\bgh[pousr]_[A-Za-z0-9]{30,255}\b|\bgithub_pat_[A-Za-z0-9_]{40,255}\b|\bglpat-[\w-]{20,64}"
    r"|\b(?:AKIA|ASIA|AROA|AIDA)[A-Z0-9]{16}\b|\bsk-(?=[A-Za-z0-9]{20}|[A-Za-z_-]{0,60}\d)[\w-]{20,255}|\b[sr]k_(?:live|test)_[A-Za-z0-9]{16,255}"
    r"|\bxox[abeoprs]-[\w-]{10,255}|\bxapp-[\w-]{20,255}|\bhooks\.slack\.com/services/[\w/]{20,100}|\bhf_[A-Za-z0-9]{30,64}\b"
    r"|\bAIza[\w-]{35}|\bya29\.[\w-]{20,500}|\bGOCSPX-[\w-]{20,64}|\bSG\.[\w-]{16,64}\.[\w-]{16,64}|\bnpm_[A-Za-z0-9]{36}\b"
    r"|\bpypi-AgE[\w-]{50,500}|\bSK[0-9a-f]{32}\b|\bdop_v1_[0-9a-f]{64}\b|\bdapi[0-9a-f]{32}\b|\bAGE-SECRET-KEY-1[0-9A-Z]{50,64}"
    r"|\beyJ[\w-]{10,2000}\.[\w-]{10,2000}\.[\w-]{10,2000}"
)
_HARMLESS = re.compile(
    r"(?i)[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}|(?:sha\d{1,3}|md5|h1)[-:=].{20,128}|(?:0x)?[0-9a-f.-]{1,128}"
)
KEY_BEGIN = re.compile(r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
_KEY_END = re.compile(r"-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
_KEY_BODY = re.compile(
    r"[ \t\"'+]{0,12}(?:[A-Za-z0-9+/=]{0,100}|[A-Za-z-]{1,30}: .{0,200})(?:\\n)?[\"']?[ \t,)]{0,4}\r?\Z"
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
        begin, end = KEY_BEGIN.search(rest), _KEY_END.search(rest)
        if begin is not None and not inside:
            inside = end is None or end.start() < begin.start()
            rest = rest[: begin.start()] + by + ("" if inside or end is None else rest[end.end() :])
        elif inside and end is not None:
            inside, rest = False, by + rest[end.end() :]
        elif inside and _KEY_BODY.match(rest):
            rest = by
        else:
            inside = False
        shown.append(mark + rest)
    return "\n".join(shown)
