"""Secrets, told by name and by look: what is captured goes through here first."""

from __future__ import annotations

import re
from collections.abc import Sequence

HIDDEN = "***"

# Every repetition is bounded, so that a line of a megabyte takes no longer than a megabyte of lines.
_WORD = r"(?:password|passwd|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|credential)[\w.-]{0,40}"
_NAME = r"[\w.-]{0,40}" + _WORD
_ASSIGNED = re.compile(rf"(?i)({_WORD}[\"']?\s{{0,8}}[:=]\s{{0,8}})([\"'])(?!\2)(?:(?!\2).){{3,500}}\2")
_UNQUOTED = re.compile(rf"(?im)^([+\- ]?(?:export[ \t]{{1,8}})?{_NAME}=)[^\s\"'#(]\S{{0,500}}")
_URL = re.compile(r"://[^\s/@\"']{1,500}@")
_QUERY = re.compile(r"(?i)([?&](?:token|key|secret|password|sig|signature|access_token)=)[^&\s\"']{1,500}")
_LOOKS = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)"
    r"|\bgh[pousr]_[A-Za-z0-9]{30,}\b|\bgithub_pat_[A-Za-z0-9_]{40,}\b|\bglpat-[\w-]{20,}"
    r"|\b(?:AKIA|ASIA)[A-Z0-9]{16}\b|\bsk-[\w-]{20,}|\bxox[abprs]-[\w-]{10,}|\bhf_[A-Za-z0-9]{30,}\b"
    r"|\bAIza[\w-]{35}|\beyJ[\w-]{10,2000}\.[\w-]{10,2000}\.[\w-]{10,}",
    re.DOTALL,
)
SECRET_FILES = (".env", ".env.*", "*.pem", "*.key", "*.p12", "*.pfx", "id_rsa*", "id_ed25519*", ".netrc", ".pgpass")
"""Names of files whose content is never captured (shell patterns)."""


def redact(text: str) -> str:
    """Return *text* with passwords in URLs, values of secret names, and strings that look like keys hidden."""
    text = _LOOKS.sub(HIDDEN, text)
    text = _URL.sub(f"://{HIDDEN}@", text)
    text = _QUERY.sub(rf"\1{HIDDEN}", text)
    text = _ASSIGNED.sub(rf"\1\2{HIDDEN}\2", text)
    return _UNQUOTED.sub(rf"\1{HIDDEN}", text)


def redact_arguments(arguments: Sequence[str]) -> list[str]:
    """Return command line arguments with secrets hidden, also where the value follows its option."""
    shown: list[str] = []
    hide = False
    for argument in arguments:
        if hide and not argument.startswith("-"):
            shown.append(HIDDEN)
        elif re.match(rf"(?i)^-*{_NAME}=", argument):
            shown.append(argument.partition("=")[0] + "=" + HIDDEN)
        else:
            shown.append(redact(argument))
        hide = re.fullmatch(rf"(?i)-+{_NAME}", argument) is not None
    return shown


def clean_url(url: str) -> str:
    """Return the URL of a remote without user, password and query."""
    url = re.sub(r"(?<=://)[^/@]*@", "", url)
    return url.partition("?")[0].partition("#")[0]
