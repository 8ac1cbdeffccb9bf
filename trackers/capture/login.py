"""Secrets told by what is around them: in commands, connection strings, elements of XML, and literals to be decoded.

Each rule finds the value as its group ``secret``. Repetitions are as in ``trackers.capture.secret``.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from pathlib import PurePath

from trackers.capture.secret_names import KEYS, NAMED, PASSWORDS, is_secret_value

_BETWEEN = r"[^\r\n|;&]{0,200}?"
"""Other words of the same command, be it a line of a shell or a list of Python's."""
_SPACE = r"[ \t,\"'=]{1,6}"
_VALUE = r"(?P<secret>[^\s\"'`$<{(\[,;|&)\]}]{3,})"
_OTHER_OPTION = (
    r"(?:ort|lot|arents?|ath|arams?|rint|rofile|rocess|roject|refix|rod|ublish|ull|ush)|\d{1,5}:\d{1,5}|33060?"
)
"""What follows ``-p`` where that is another option that begins so, or a port."""
NO_PASSWORD = re.compile(_OTHER_OPTION)
_NO_WORD = rf"(?!(?:{_OTHER_OPTION})(?:[\s\"',=]|\Z))"
_USER = r"[^\s:\"'$<{(/]{1,80}"
_COMMANDS = {
    ("curl", "wget"): rf"\b(?:curl|wget)\b{_BETWEEN}[ \t\"'](?:-u|--(?:proxy-)?user){_SPACE}{_USER}:{_VALUE}",
    ("mysql", "mariadb"): rf"\b(?:mysql|mariadb)(?:-?dump|-?admin|-?import)?\b{_BETWEEN}[ \t\"']-p{_NO_WORD}{_VALUE}",
    ("sshpass",): rf"\bsshpass[ \t,\"']{{1,6}}-p{_SPACE}?{_VALUE}",
    (" login",): rf"\b(?:docker|podman|registry|az) login\b{_BETWEEN}[ \t\"']-p{_SPACE}{_VALUE}",
    ("mongo",): rf"\bmongo(?:sh|dump|restore)?\b{_BETWEEN}[ \t\"']-p{_SPACE}{_VALUE}",
    ("redis-cli",): rf"\bredis-cli\b{_BETWEEN}[ \t\"']-a{_SPACE}{_VALUE}",
    ("sqlcmd", "bcp"): rf"\b(?:sqlcmd|bcp)\b{_BETWEEN}[ \t\"']-P{_SPACE}?{_VALUE}",
}
_ENVIRONMENT = (
    rf"(?<![\w.$-])(?=[A-Z][A-Z0-9_]*+=)(?!(?:OLD)?PWD=)[A-Z0-9_]{{0,40}}(?:(?i:{PASSWORDS}|{KEYS}|secrets?)|_PASS"
    r"|TOKEN(?==[\"']?(?!\d{1,20}(?:[\s\"']|\Z))))"
    r"=(?P<quote>[\"']?)(?P<secret>[^\s\"'`$<{(%*][^\s\"'`(),;]{2,1000})(?P=quote)(?=[ \t]{1,4}[\w./-])"
)
"""A variable of one command; ``PWD`` is the shell's own."""
_OTHER = r"(?i:server|host|uid|user|user id|username|data source|database|dbname|driver|initial catalog|endpoint)"
_PASSWORD = r"(?i:pwd|password|accountkey|sharedaccesskey)"
_PLAIN = r"(?P<secret>[^;\s\"'`$<{(,)%*]{3,200})"
_AFTER_OTHERS = (
    rf"\b{_OTHER}[ \t]?=[ \t]?[^;\s\"',()]{{1,100}}(?:;|[ \t]{{1,4}})(?:[\w ]{{1,20}}=[^;\"',()\s]{{1,60}}[; \t]){{0,4}}[ \t]?"
    rf"{_PASSWORD}[ \t]?=[ \t]?{_PLAIN}(?=[;\s\"']|\Z)"
)
_BEFORE_OTHERS = rf"\b{_PASSWORD}[ \t]?=[ \t]?{_PLAIN}(?:;|[ \t]{{1,4}}){_OTHER}[ \t]?=[^=]"
_ELEMENT = (
    rf"(?i)<([\w.:-]{{0,40}}(?:{PASSWORDS}|{KEYS}|secrets?|(?:auth|access)[_-]?token))>"
    r"[ \t]{0,8}(?P<secret>[^<>\s${%*][^<>\r\n]*+)</\1>"
)
_DECODED = (
    r"(?i)(?-i:(?<![A-Za-z])|(?<=[a-z])(?=[A-Z]))(?:secret|passw|pwd|token(?!iz)|credential|(?<!public_)(?<!primary_)(?<!foreign_)key(?![a-z]))[\w.\"'\]]{0,40}[ \t]{0,4}(?::[ \t]{0,2}bytes[ \t]{0,2})?=[ \t]{0,4}[\w.]{0,40}"
    r"(?:b(?:64|32|16|85)decode|unhexlify|fromhex|a2b_base64|a2b_hex)\(\s{0,12}[bru]?[\"'](?P<secret>[^\"'\r\n]{8,})"
)
_LITERAL = r"[bru]?(?P<quote>[\"'])(?P<secret>(?![<{$%])[^\"'\r\n]{3,1000})(?P=quote)"
_DEFAULT = rf"\((?<=(?:get|env|ult)\()[ \t]{{0,4}}[\"'](?P<name>(?i:{NAMED}))[\"'],[ \t]{{0,4}}(?:default[ \t]?=[ \t]?)?{_LITERAL}"
_DEFAULT_OF_OPTION = rf"[\"']--(?P<name>(?i:{NAMED}))[\"'],[^\r\n]{{0,100}}?\bdefault[ \t]?=[ \t]?{_LITERAL}"
_USER_AND_PASSWORD = (
    rf"\bauth[ \t]?=[ \t]?[\w.]{{0,40}}\([ \t]{{0,4}}[bru]?[\"'][^\"'\r\n]{{0,80}}[\"'],[ \t]{{0,4}}{_LITERAL}"
)
_EXPORTED = (
    r"(?im)(?:[%!]|^[+\- ]?)(?:export|arg|env)[ \t]{1,4}"
    rf"(?:(?P<name>{NAMED})=|(?<=env )(?P<spaced>{NAMED})[ \t]{{1,4}})"
    r"(?P<quote>[\"']?)(?P<secret>[^\s\"'`$<{(%*=\\][^\s\"'`;\\]{2,1000})(?P=quote)"
)
"""A variable that a shell, a container or a notebook hands on."""
_NUMBER_OF_JSON = rf"\"(?P<name>(?i:[\w.-]{{0,40}}(?:{PASSWORDS}|{KEYS})))\"[ \t]{{0,4}}:[ \t]{{0,4}}(?P<secret>\d{{4,40}})(?=[\s,}}])"
_OF_SQL = (
    r"(?i)\b(?:identified[ \t]{1,4}(?:with[ \t]{1,4}[\w\"']{1,40}[ \t]{1,4})?by|(?:with|user[ \t]{1,4}\w{1,60})[ \t]{1,4}password)"
    r"[ \t]{1,4}(?P<quote>[\"'])(?P<secret>(?![<{$%:])[^\"'\r\n]{3,200})(?P=quote)"
)
_OF_VARIABLES = "password passwords passwd passphrase _pass pwd secret secrets token key keys"
_RULES = _COMMANDS | {
    tuple(f"{word}=" for word in _OF_VARIABLES.split()): _ENVIRONMENT,
    ("pwd", "password", "accesskey", "accountkey"): _AFTER_OTHERS,
    ("pwd ", "pwd=", "password ", "password=", "accesskey", "accountkey"): _BEFORE_OTHERS,
    ("</",): _ELEMENT,
    ("get(", "env(", "setdefault("): _DEFAULT,
    ("default=", "default ="): _DEFAULT_OF_OPTION,
    ("auth=", "auth ="): _USER_AND_PASSWORD,
    (
        "%env ",
        "!export ",
        *(f"\n{mark}{word} " for mark in ("", *"+- ") for word in ("env", "arg", "export")),
    ): _EXPORTED,
    ("password", "passwd", "pwd", "key"): _NUMBER_OF_JSON,
    ("identified by", "identified with", "password '", 'password "'): _OF_SQL,
    ("64decode(", "32decode(", "16decode(", "85decode(", "unhexlify(", "fromhex(", "a2b_"): _DECODED,
}
_COMPILED = tuple((words, re.compile(rule)) for words, rule in _RULES.items())

REGISTRY = re.compile(r"\"auth\"[ \t]{0,4}:[ \t]{0,4}\"(?P<secret>[A-Za-z0-9+/]{4,}={0,2})\"")
"""What a registry of containers is told; a login where `is_login` says so."""

OPTION = re.compile(
    rf"(?i)-(?<![\w-]-)(?:-(?P<option>{NAMED})(?:[ \t]{{1,4}}|=)"
    rf"|-?[a-z][\w-]{{0,30}}(?:[ \t]{{1,2}}|=)\\?[\"']?(?P<setting>{NAMED})(?:=|:[ \t]{{1,2}}))"
    r"(?:(?P<quote>\\?[\"'])(?![ \t,)+%.\]}$<{])(?P<quoted>(?:(?!(?P=quote))[^\r\n]){3,200})(?P=quote)"
    r"|(?P<run>[^\s\"'`$<{(\[*,;&|=%\\](?:[^\s\"'`,;&|()<>{}\\]|\\(?!(?:r?\\?n)?\\{0,3}[\"'\s]))*+))"
)
"""An option of a command with its value, or one that takes a setting or a header (``--set db.password=...``)."""

_SAMPLES = re.compile(
    r"(?i)(?:your|my|the|some)?[_-]?(?:password|passwd|passphrase|pass|pwd|pw|secret|token|api[_-]?key|key|user|username|example"
    r"|dummy|required|optional|placeholder|changeme|redacted|hidden|none|null|true|false|str|string|x+|\*+|\.+)"
    r"|(?:your|insert|enter|paste|replace)[-_ ][A-Za-z][A-Za-z_ -]{0,60}|(?:fake|dummy|mock|example|test|no)(?:[-_]?(?:api[-_]?)?(?:key|token|secret|password))?"
    r"|(?:sk|hf|gh[a-z])[-_](?:\.{3}|\.*x{3,}|\*+)[\w.]{0,6}|(?:var)?char\(\d{1,5}\)|text|str(?:ing)?[ ]?\|[ ]?(?:none|null)"
)
_TEMPLATE = re.compile(r"\{[^{}]*\}|\$\{[^{}]*\}|\$\w+|\$\([^()]*\)|%s|%\(\w+\)s|<[^<>]*>|\*+")
_USER_OF_SAMPLE = re.compile(r"[A-Za-z_-]{0,20}")
_DIGIT = re.compile(r"\d")
_OPTIONS = {"sshpass": ("-p", True), "mysql": ("-p", False), "mysqldump": ("-p", False), "mariadb": ("-p", False)}
"""Programs that take a password by a short option, and whether it may stand in the next word."""


def rules_for(text: str) -> Iterator[re.Pattern[str]]:
    """Yield the rules that may find something in *text*: a word of each is looked for first, which is much faster."""
    lower = text.lower()
    return (rule for words, rule in _COMPILED if any(word in lower for word in words))


def is_sample(value: str) -> bool:
    """Tell whether *value* stands for a secret, as in a manual."""
    return _SAMPLES.fullmatch(value) is not None


def is_sample_of_url(login: str) -> bool:
    """Tell whether the user and the password of a URL, ``user:password@``, stand for others or are made by code."""
    user, _, password = login[:-1].partition(":")
    if _TEMPLATE.fullmatch(password):
        return len(user) <= _LONGEST_USER or _TEMPLATE.fullmatch(user) is not None
    return _WORD_FOR_PASSWORD.fullmatch(password) is not None and _USER_OF_SAMPLE.fullmatch(user) is not None


_LONGEST_USER = 20
_WORD_FOR_PASSWORD = re.compile(r"(?i)(?:your|my)?[-_]?(?:password|passwd|pass|pwd)")


def is_secret_of_option(name: str, value: str, quoted: bool) -> bool:
    """Tell whether *value* is a secret in a command; a word of a sentence about the option *name* is none."""
    if is_sample(value) or not (quoted or _DIGIT.search(value)):
        return False
    name, plain = name.replace("-", "_"), value.replace("-", "_")
    return plain.lower() != name.lower() and is_secret_value(name, value)


def is_login(value: str) -> bool:
    """Tell whether *value* is a user and a password in base64."""
    try:
        return b":" in base64.b64decode(value + "=" * (-len(value) % 4), validate=True)
    except ValueError:
        return False


def password_option(argument: str) -> tuple[str, bool] | None:
    """Return the option by which the program *argument* takes a password, and whether the next word may be it."""
    return _OPTIONS.get(PurePath(argument).name)
