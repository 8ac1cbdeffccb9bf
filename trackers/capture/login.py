"""Secrets told by what is around them: in commands, connection strings, elements of XML, and literals to be decoded.

Each rule finds the value as its group ``secret``. Repetitions are as in ``trackers.capture.secret``.
"""

from __future__ import annotations

import base64
import re
from bisect import bisect_right
from collections.abc import Callable, Sequence
from itertools import accumulate
from pathlib import PurePath

from trackers.capture.secret_names import KEYS, NAMED, PASSWORDS, is_secret_value

_BETWEEN = r"(?:[^\r\n|;&]|(?<=[\\,])\r?\n){0,200}?"
"""Other words of the same command, be it a line of a shell or a list of Python's, or more of them."""
_SPACE = r"(?:[ \t=]{1,4}\\?[\"']{0,3}|\\?[\"'],[ \t]{0,4}\\?[\"'])"
_VALUE = r"(?P<secret>[^\s\"'`$<{(\[,;|&)\]}]{3,})"
_OTHER_OPTION = (
    r"(?:ort|lot|arents?|ath|arams?|rint|rofile|rocess|roject|refix|rod|ublish|ull|ush)|\d{1,5}:\d{1,5}|33060?"
)
"""What follows ``-p`` where that is another option that begins so, or a port."""
NO_PASSWORD = re.compile(_OTHER_OPTION)
_NO_WORD = rf"(?!(?:{_OTHER_OPTION})(?:[\s\"',=]|\Z))"
_USER = r"[^\s:\"'$<{(/]{1,80}"
_CURL = (
    rf"\b(?:curl|wget)\b{_BETWEEN}[ \t\"'](?:(?:-u(?:{_SPACE})?|--(?:proxy-)?user{_SPACE}){_USER}:"
    rf"|(?:-b|--cookie){_SPACE}[\w.-]{{1,60}}=){_VALUE}"
)
_MYSQL = rf"\b(?:mysql|mariadb)(?:-?dump|-?admin|-?import)?\b{_BETWEEN}[ \t\"']-p{_NO_WORD}[\"']?{_VALUE}"
_LOGIN_BY_COMMAND = (
    r"\b(?:(?:docker|podman|registry|az)[ \t,\"']{1,6}login|twine[ \t,\"']{1,6}upload)\b"
    rf"{_BETWEEN}[ \t\"']-p{_SPACE}{_VALUE}"
)
_COMMANDS = {
    ("curl", "wget"): _CURL,
    ("mysql", "mariadb"): _MYSQL,
    ("login", "upload"): _LOGIN_BY_COMMAND,
    ("sshpass",): rf"\bsshpass[ \t,\"']{{1,6}}-p(?:{_SPACE})?{_VALUE}",
    ("wandb",): r"\bwandb[ \t,\"'.]{1,6}login\b[^\r\n]{0,80}?[ \t\"'=](?P<secret>[0-9a-f]{40})\b",
    ("mongo",): rf"\bmongo(?:sh|dump|restore)?\b{_BETWEEN}[ \t\"']-p{_SPACE}{_VALUE}",
    ("redis-cli",): rf"\bredis-cli\b{_BETWEEN}[ \t\"']-a{_SPACE}{_VALUE}",
    ("requirepass",): rf"\brequirepass{_SPACE}{_VALUE}",
    ("openssl",): rf"\bopenssl\b{_BETWEEN}[ \t\"']pass:{_VALUE}",
    ("ldap",): rf"\bldap(?:search|add|modify|whoami|passwd)\b{_BETWEEN}[ \t\"']-w{_SPACE}{_VALUE}",
    ("zip -", 'zip", "-', "zip', '-"): rf"\bzip\b{_BETWEEN}[ \t\"']-P{_SPACE}{_VALUE}",
    ("sqlcmd", "bcp"): rf"\b(?:sqlcmd|bcp)\b{_BETWEEN}[ \t\"']-P(?:{_SPACE})?{_VALUE}",
}
_ENVIRONMENT = (
    rf"(?<![\w.$-])(?=[A-Z][A-Z0-9_]*+=)(?!(?:OLD)?PWD=)[A-Z0-9_]{{0,40}}(?:(?i:{PASSWORDS}|{KEYS}|secrets?)|_PASS"
    r"|TOKEN(?==[\"']?(?!\d{1,20}(?:[\s\"']|\Z))))"
    r"=(?P<quote>[\"']?)(?P<secret>[^\s\"'`$<{(%*][^\s\"'`(),;]{2,1000})(?P=quote)(?=[ \t]{1,4}(?:[\w./-]|(?m:\\\r?$)))"
)
"""A variable of one command; ``PWD`` is the shell's own."""
_OF_COMMAND = (
    rf"(?<=[\w\"'/.][ \t])(?P<name>(?i:{NAMED}))=(?P<secret>(?=[^\s\"'`]{{0,200}}\d)[^\s\"'`$<{{(\[%*,;=\\][^\s\"'`(),;\[\]{{}}|&<>=\\]{{2,1000}})"
    r"(?=[\s\"'\\|;&]|\Z)"
)
"""A setting behind a word: ``ansible_host=h ansible_ssh_pass=...``, ``train.py wandb.api_key=...``."""
_OF_SHELL = rf"\$\{{(?P<name>(?i:{NAMED})):?[-=](?P<secret>[^\s\"'`$<{{}}(*][^\s\"'`$<{{}}(]{{2,200}})\}}"
"""What a shell takes where a variable is not set."""
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
_DEFAULT = rf"\((?<=(?:get|env|ult|pop)\()[ \t]{{0,4}}[\"'](?P<name>(?i:{NAMED}))[\"'],[ \t]{{0,4}}(?:default[ \t]?=[ \t]?)?{_LITERAL}"
_DEFAULT_OF_OPTION = rf"[\"']--(?P<name>(?i:{NAMED}))[\"'],[^\r\n]{{0,100}}?\bdefault[ \t]?=[ \t]?{_LITERAL}"
_USER_AND_PASSWORD = (
    rf"\bauth[ \t]?=[ \t]?[\w.]{{0,40}}\([ \t]{{0,4}}[bru]?[\"'][^\"'\r\n]{{0,80}}[\"'],[ \t]{{0,4}}{_LITERAL}"
)
_EXPORTED = (
    r"(?im)(?:[%!]|^[+\- ]?[ \t]{0,12}|(?<=[;&] )|(?<=then )|(?<=[\"']))"
    r"(?:(?:(?:export|arg|env|local|readonly|declare -x)[ \t]{1,4}(?:[a-z_]\w{0,40}=[^\s=]{0,60}[ \t]{1,4}){0,4}|setx?[ \t]{1,4}(?-i:(?=[A-Z_]{1,60}=)))"
    rf"(?P<name>{NAMED})="
    rf"|(?:env|setenv|setx|set[ \t]{{1,2}}-[a-z]{{1,4}})[ \t]{{1,4}}(?P<spaced>{NAMED})[ \t]{{1,4}}(?=\S{{0,200}}\d|\S{{16}}))"
    r"(?P<quote>[\"']?)(?P<secret>[^\s\"'`$<{(%*=\\][^\s\"'`;\\]{2,1000})(?P=quote)"
)
"""A variable that a shell, a container or a notebook hands on."""
_WORD = r"(?P<quote>[\"'])(?P<secret>(?![<{$%*-])[^\"'\s]{3,1000})(?P=quote)"
_SET = (
    rf"\bset(?:attr)?\([ \t]{{0,4}}[\w.\"']{{1,60}},[ \t]{{0,4}}[\"'](?P<name>(?i:{NAMED}))[\"'],[ \t]{{0,4}}{_LITERAL}"
)
_OR = rf"(?P<name>(?i:{PASSWORDS}|{KEYS}|(?:api|auth|access|hf|hub)_token))[ \t]?=[ \t]?[\w.()]{{0,60}}[ \t]or[ \t]{_LITERAL}"
"""What a variable is where nothing else is given."""
_SHORT_NAME = rf"(?<![\w.-])(?P<name>(?i:(?:\w{{0,20}}_)?pw|pass))[\"']?[ \t]?[:=][ \t]?{_WORD}"
_LOGIN = rf"\.login\([ \t]{{0,4}}[^\s,()]{{1,80}},[ \t]{{0,4}}(?=[\"'][^\"'\s]{{0,100}}[^A-Za-z_\"'\s-]){_WORD}[ \t]{{0,4}}[,)]"
"""A call that logs in as somebody; two words may be anything."""
_IN_LIST = rf"(?<!argument\()(?<!option\()[\"']--(?P<name>(?i:{NAMED}))[\"'],[ \t]{{0,4}}(?:\r?\n[+\- ]?[ \t]{{0,40}})?(?=[\"'][^\"'\s]{{0,200}}\d){_WORD}"
"""An option and its value, each a word of a list."""
_OF_COOKIE = r"(?=[^\s\"';]{0,200}\d)(?![{$%<*])[^\s\"';]{8,}"
_COOKIE = rf"(?i)(?<![\w-])(?:set-)?cookie[\"']?[ \t]{{0,2}}[:=,][ \t]{{0,2}}[bru]?[\"']?(?P<secret>[\w.-]{{1,60}}={_OF_COOKIE}(?:;[ \t]?[\w.-]{{1,60}}=[^\s\"';]++)*+)"
_COOKIES = rf"(?i)\bcookies(?:[\"']?[ \t]?[=:][ \t]?\{{[^{{}}\r\n]{{0,200}}?[\"'][\w.-]{{1,60}}[\"']:|\.set\([ \t]?[\"'][\w.-]{{1,60}}[\"'],)[ \t]?[\"'](?P<secret>{_OF_COOKIE})[\"']"
_NUMBER_OF_JSON = rf"\"(?P<name>(?i:[\w.-]{{0,40}}(?:{PASSWORDS}|{KEYS})))\"[ \t]{{0,4}}:[ \t]{{0,4}}(?P<secret>\d{{4,40}})(?=[\s,}}])"
_OF_SQL = (
    r"(?i)(?:\bidentified[ \t]{1,4}(?:with[ \t]{1,4}[\w\"']{1,40}[ \t]{1,4})?by(?:[ \t]{1,4}password)?"
    r"|\b(?:with|login|encrypted|superuser|createdb|user[ \t]{1,4}\w{1,60})[ \t]{1,4}password"
    r"|[,(][ \t]{0,4}(?:password|secret(?:_access_key)?))"
    r"[ \t]{1,4}(?P<quote>[\"'])(?P<secret>(?![<{$%:])[^\"'\r\n]{3,200})(?P=quote)"
)
_OF_VARIABLES = "password passwords passwd passphrase _pass pwd secret secrets token key keys"
_RULES = _COMMANDS | {
    tuple(f"{word}=" for word in _OF_VARIABLES.split()): _ENVIRONMENT,
    ("pwd", "password", "accesskey", "accountkey"): _AFTER_OTHERS,
    ("pwd ", "pwd=", "password ", "password=", "accesskey", "accountkey"): _BEFORE_OTHERS,
    ("</",): _ELEMENT,
    ("get(", "env(", "pop(", "setdefault("): _DEFAULT,
    ("default=", "default ="): _DEFAULT_OF_OPTION,
    ("auth=", "auth ="): _USER_AND_PASSWORD,
    (*("env ", "arg ", "set ", "export ", "readonly ", "declare -x ", "local ", "setenv ", "setx "),): _EXPORTED,
    (*(f"{word}=" for word in _OF_VARIABLES.split()), "pass="): _OF_COMMAND,
    ("${",): _OF_SHELL,
    ("set(", "setattr("): _SET,
    (" or '", ' or "'): _OR,
    ("pw", "pass'", 'pass"'): _SHORT_NAME,
    (".login(",): _LOGIN,
    ("'--", '"--'): _IN_LIST,
    ("cookie",): _COOKIE,
    ("cookies",): _COOKIES,
    ("password", "passwd", "pwd", "key"): _NUMBER_OF_JSON,
    ("identified by", "identified with", "password '", 'password "', "secret '", "access_key '"): _OF_SQL,
    ("64decode(", "32decode(", "16decode(", "85decode(", "unhexlify(", "fromhex(", "a2b_"): _DECODED,
}
_ON_ONE_LINE = {_ENVIRONMENT, _AFTER_OTHERS, _BEFORE_OTHERS, _EXPORTED, _OF_COMMAND, _SET, _OR, _SHORT_NAME, _OF_SQL}
"""Rules for the lines alone in which one of their words is: few lines have one, and these rules begin nearly anywhere."""
_COMPILED = tuple((words, re.compile(rule), rule in _ON_ONE_LINE) for words, rule in _RULES.items())

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
_OPTIONS = {
    **dict.fromkeys(("sshpass", "mongo", "mongosh", "mongodump", "mongorestore"), ("-p", True)),
    **dict.fromkeys(("mysql", "mysqldump", "mariadb"), ("-p", False)),
    **dict.fromkeys(("sqlcmd", "zip"), ("-P", True)),
    **dict.fromkeys(("redis-cli",), ("-a", True)),
    **dict.fromkeys(("ldapsearch",), ("-w", True)),
}
"""Programs that take a password by a short option, and whether it may stand in the next word."""


def hide(text: str, by: Callable[[re.Match[str]], str]) -> str:
    """Put what *by* returns in the place of what the rules find: a word of each is looked for first, which is much faster."""
    lower = text.lower()
    rules = [one for one in _COMPILED if any(word in lower for word in one[0])]
    if any(on_one_line for *_, on_one_line in rules):
        lines, ends = text.split("\n"), list(accumulate(len(line) + 1 for line in lower.split("\n")))
        for words, rule, on_one_line in rules:
            for at in _lines_with(words, lower, ends) if on_one_line else ():
                lines[at] = rule.sub(by, lines[at])
        text = "\n".join(lines)
    for _, rule, on_one_line in rules:
        if not on_one_line:
            text = rule.sub(by, text)
    return text


def _lines_with(words: Sequence[str], lower: str, ends: Sequence[int]) -> list[int]:
    """Return the lines of a text, in lower case, in which one of *words* is; *ends* are where its lines end."""
    found = set()
    for word in words:
        at = lower.find(word)
        while at >= 0:
            line = bisect_right(ends, at)
            found.add(line)
            at = lower.find(word, ends[line] - 1)
    return sorted(found)


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


_SUBCOMMANDS = {"login": ("docker", "podman", "az"), "upload": ("twine",)}
"""Commands of programs that take a password by ``-p``."""


def password_option(argument: str, before: str) -> tuple[str, bool] | None:
    """Return the option by which the program *argument* takes a password, and whether the next word may be it.

    It may be a command of the program *before* it, too.
    """
    if PurePath(before).name in _SUBCOMMANDS.get(argument, ()):
        return "-p", True
    return _OPTIONS.get(PurePath(argument).name)
