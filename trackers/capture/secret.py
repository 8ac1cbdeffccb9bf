"""Secrets, told by name and by look: what is captured goes through here first.

A value is a secret by the name it is given (``password = "..."``), by a look that only keys have (``ghp_...``), or by
being assigned and as random as a key. Digests in hex and UUIDs are none. What is hidden keeps its line, so that a
redacted diff still has the lines that its headers count. Redacting twice changes nothing more.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Sequence
from numbers import Real
from typing import Any, TypeVar

from trackers.capture import login, secret_lists, secret_looks, secret_names
from trackers.wording import without_credentials

HIDDEN = "***"

_Given = TypeVar("_Given", str, list[str])

SECRET_FILES = (
    *(".env", ".env.*", "*.env", "*.pem", "*.key", "*.p12", "*.pfx", "*.jks", "*.keystore", "*.kdbx", "*.ppk", "*.asc"),
    *(
        "id_rsa*",
        "id_dsa*",
        "id_ecdsa*",
        "id_ed25519*",
        ".netrc",
        "_netrc",
        ".pgpass",
        ".pypirc",
        ".npmrc",
        ".htpasswd",
    ),
    *("credentials", "credentials.*", "secrets", "secrets.*", ".secrets*", "*service-account*.json", "kubeconfig"),
    *("*.tfvars", "*.tfstate", ".git-credentials", ".dockercfg"),
)
"""Names of files whose content is never captured (shell patterns, whatever the case)."""
SECRET_FOLDERS = frozenset({".ssh", ".aws", ".gnupg"})
"""Names of folders of which nothing is captured."""
HARMLESS_FILES = ("*.example", "*.sample", "*.template", "*.dist", "*.pub", "secrets.py", "credentials.py")
"""Names that the patterns above would catch and that hold no secret as such; what is in them is still looked at."""

SETTINGS_FILES = ("*.ini", "*.yaml", "*.yml", "*.toml", "*.cfg", "*.conf", "*.properties")
"""Names of files that hold settings: what has a secret name there is a value, and no variable of a program."""

# Every repetition is bounded, or a run of one class that a match takes to its end, so that a line of a megabyte takes no
# longer than a megabyte of lines and no tail of a secret stays. What is hidden lies
# within one line: a line of a diff begins with its mark, and what reached over the end would hide that of the next. Only
# between a name and the quote of its value may a line end, since both stay.
_WRAPPED = r"(?:(?-i:(?:\w{1,20}\.){0,2}(?:Secret\w{1,10}|[fF]ield))?\([ \t]{0,4}(?:default[ \t]?=[ \t]?)?)?"
_VARIABLE_OF_TEXT = r"[<\[{(]|\$(?:[({\d]|(?-i:[A-Z_][A-Z\d_]*+(?![a-z])|[a-z_][a-z\d_]*+(?![A-Z]))|[a-z_]++\\?[\"'])|%(?-i:[(sdrA-Z%]|\w{1,40}%)"
_DOCSTRING = r"\s{0,8}[bru]?(?:\"{3}|'{3})"
_ASSIGNED = re.compile(
    rf"(?i)({secret_names.WORD}[\\\"'\]]{{0,3}}\s{{0,8}}{secret_names.ANNOTATED}(?:[!=]?=|:(?!{_DOCSTRING}))\s{{0,8}}{_WRAPPED}[bfru]{{0,2}})"
    rf"(\"{{3}}|'{{3}}|\\?[\"'])(?!{_VARIABLE_OF_TEXT}|\2)((?:(?!\2)[^\r\n]|(?<=\\)\2){{3,}})\2"
)
_UNQUOTED = re.compile(
    rf"(?im)^([+\- ]?[ \t]{{0,12}}(?:#[ \t]{{0,4}}(?-i:(?=[A-Z][A-Z\d_]*+=)))?(?:export[ \t]{{1,8}})?({secret_names.NAME})[ \t]?([=:])[ \t]{{0,4}})((?![bfru]{{1,2}}[\"'])[^\s\"'#(]\S*+)(?=[ \t]{{0,8}}(?:\r?$|#)|(?<=;)[ \t])"
)
_SETTING = re.compile(
    rf"(?im)^([+\- ]?[ \t]{{0,40}}(?:-[ \t]{{1,4}})?[\"']?([\w.-]{{0,40}}(?:{secret_names.WORD}|pass|pw))[\"']?[ \t]{{0,8}}[=:][ \t]{{0,8}}"
    r"(?:(?:!!str|&\w{1,40})[ \t]{1,4})?)([^\s\"'][^\r\n]*)(?=\r?$)"
)
_SETTING_WITHIN = re.compile(
    rf"(?i)([{{,][ \t]{{0,4}}[\"']?([\w.-]{{0,40}}{secret_names.WORD})[\"']?:[ \t]{{1,4}})([^\s\"'{{}}\[\],][^\"'{{}}\[\],\r\n]*)(?=[,}}])"
)
"""One of several settings on a line."""
_SETTING_BELOW = re.compile(
    rf"(?im)^([+\- ]?[ \t]{{0,40}}(?:-[ \t]{{1,4}})?name:[ \t]{{1,4}}[\"']?({secret_names.NAME})[\"']?[ \t]{{0,4}}\r?\n"
    r"[+\- ]?[ \t]{0,40}value:[ \t]{1,4}[\"']?)([^\s\"'][^\"'\r\n]*)"
)
"""A variable of a container: its name, and its value on the next line."""
_OF_SETTINGS = {"": _SETTING, "{": _SETTING_WITHIN, "value:": _SETTING_BELOW}
"""The rules for files of settings, by what there is where they find something."""
_HEADER = re.compile(
    r"(?im)(\bauthorization(?=[^\w\r\n]{0,5}[:=\"'>])[^\w\r\n]{1,6}[bfru]{0,2}[\"']?(?:bearer|basic|token|apikey)[ \t]{1,4})"
    r"(?!%[s(])(?=\S{0,40}\d|[^\s\"']{0,40}[=\"'\\]|\S{16}|\S++[ \t]{0,8}\r?$)[^\s\"'{}$<,)*]+"
)
"""A scheme and what follows, but for the next word of a sentence."""
_PASSWORD_OF_URL = r"(?![A-Z_]{1,40}:[A-Z_]{1,40}@)[^\s/@:\"']*+:(?:[^\s/\"']+|(?!\d{1,5}/|/)[^\s/\"'@?#{}$<>(),;]{1,200}/[^\s\"'@?#{}$<>(),;]{1,200})"
"""A user with a password, ``USER:PASSWORD`` stands for them; one with a slash in it is no port and has none of a path's query."""
_URL = re.compile(rf"://((?:{_PASSWORD_OF_URL}|(?=[^\s\d]{{0,40}}\d)[^\s/@:\"']{{8,}})@)(?!sha\d{{3}}:)")
"""A user alone is hidden who looks like a token."""
_URL_OF_PARAM = re.compile(rf"://((?:{_PASSWORD_OF_URL}|[0-9a-f]{{24,}})@)(?!sha\d{{3}}:)")
"""A user alone is hidden who is a key: another may be the container of a store of blobs."""
_QUERY = re.compile(r"([?&;]([\w.%\[\]-]++)=)([^&#\s\"';]++)")
_BEARER = re.compile(
    r"(?i)\b(bearer[ \t]{1,4}(?=[\w.~+/-]{0,40}\d)|basic[ \t]{1,4}(?=[A-Za-z0-9+/]{0,40}\d)(?=[A-Za-z0-9+/]{16,}+={0,2}(?![\w.-])))"
    r"[\w.~+/-]{16,}={0,2}"
)
_RANDOM = re.compile(r"([:=]\s{0,4}[bru]?\\?[\"'])([A-Za-z0-9+/_=.-]{20,128})(\\?[\"'])")
_CODE = re.compile(r"[(\[{$%<]|\A(?:None|null|true|false|str|bytes|int)\b", re.IGNORECASE)
_VARIABLE = re.compile(r"(?!\D*+(?:\d\D*+){4})(?!\S*\d{3})[A-Za-z_]\w*+(?:\.[A-Za-z_]\w*+)*+")
"""A name of code, with or without what it belongs to; one with many digits is more often a key."""
_TYPE_OF_CODE = re.compile(r"(?:u?int|float)\d{1,3}|[A-Z][A-Za-z]{1,40}\d?|[A-Za-z_]\w*+(?:\.[A-Za-z_]\w*+)++")
_NEAR = secret_lists.LINES
"""How many lines a rule reaches over, between a name and its value."""
_PASSES = 20
"""No text but a hostile one needs more than three."""
_OF_PASS = re.compile(r"(?i)(?:\A|[_.-])(?:pass|pw)\Z")
_COMPARED = re.compile("[!=]=")
_FORMATTED = re.compile(r"[\s:=({,]r?[fF]r?\Z")
_FORMATTED_BEHIND = re.compile(
    rf"(?i)({secret_names.WORD}[\"'\]]{{0,2}}[ \t]{{0,4}}{secret_names.ANNOTATED}[=:][ \t]{{0,4}}r?f)([\"'])(\{{(?:(?!\2)[^\r\n]){{3,200}})\2"
)
"""A formatted string that begins with a field."""
_LITERAL_PART = re.compile(r"(?=\D{0,200}\d)(?=[^A-Za-z]{0,200}[A-Za-z])[^\s/:.]{6,}")
_FIELD = re.compile(r"\{[^{}]*+\}")
_DIGIT = re.compile(r"\d")


def is_secret_name(name: str) -> bool:
    """Tell whether a file called *name* (or ``folder/name``) is one whose content is never captured."""
    *folders, base = name.lower().split("/")
    if not SECRET_FOLDERS.isdisjoint(folders):
        return True
    secret = any(fnmatch.fnmatchcase(base, pattern) for pattern in SECRET_FILES)
    return secret and not any(fnmatch.fnmatchcase(base, pattern) for pattern in HARMLESS_FILES)


def is_settings_name(name: str) -> bool:
    """Tell whether a file called *name* (or ``folder/name``) holds settings."""
    base = name.rpartition("/")[2].lower()
    return any(fnmatch.fnmatchcase(base, pattern) for pattern in SETTINGS_FILES)


def looks_secret(text: str, *, settings: bool = False) -> bool:
    """Tell whether there is something in *text* that ``redact`` would hide."""
    return _redact_once(text, False, settings) != text


def redact(text: str, *, diff: bool = False, settings: bool = False) -> str:
    """Return *text* with values of secret names, passwords in URLs, and strings that look like keys hidden.

    The number of lines stays; with *diff* so does the first character of each, the mark of a diff's line. With
    *settings*, the text is that of a settings file: there a secret may be a word that would be a variable elsewhere.
    """

    def rules(part: str) -> str:
        return _redact_once(part, diff, settings)

    shown = rules(text)
    return shown if shown == text else _settled(text.split("\n"), shown.split("\n"), rules)


def _settled(old: list[str], new: list[str], rules: Callable[[str], str]) -> str:
    """Return the *new* lines after the *rules* were applied again around what they changed, which is seldom much."""
    spans: list[tuple[int, int]] = []
    for at in (at for at, (before, after) in enumerate(zip(old, new, strict=True)) if before != after):
        first, end = max(0, at - _NEAR), at + _NEAR + 1
        joined = bool(spans) and first <= spans[-1][1]
        spans[-1 if joined else len(spans) :] = [(spans[-1][0] if joined else first, end)]
    for first, end in spans:
        new[first:end] = _until_stable(rules, "\n".join(new[first:end])).split("\n")
    return "\n".join(new)


def _until_stable(rules: Callable[[_Given], _Given], text: _Given) -> _Given:
    """Apply *rules* until they change nothing: what one hides may be what another waits for."""
    for _ in range(_PASSES):
        before, text = text, rules(text)
        if text == before:
            break
    return text


def _redact_once(text: str, diff: bool, settings: bool) -> str:
    if "PRIVATE KEY" in text:
        text = secret_looks.hide_keys(text, HIDDEN, diff=diff)
    text = secret_looks.LOOKS.sub(_hide_key, text)
    text = _URL.sub(_hide_login_of_url, text)
    text = _QUERY.sub(_hide_of_query, text)
    text = _BEARER.sub(rf"\1{HIDDEN}", text)
    text = _HEADER.sub(rf"\1{HIDDEN}", text)
    text = login.hide(text, _hide_login)
    text = login.OPTION.sub(_hide_of_option, text)
    text = login.REGISTRY.sub(_hide_login_of_registry, text)
    if "f'{" in text or 'f"{' in text:
        text = _FORMATTED_BEHIND.sub(_hide_formatted, text)
    text = secret_lists.hide(text, HIDDEN, diff=diff)
    text = _ASSIGNED.sub(lambda match: _hide_assigned(match, settings), text)
    text = _UNQUOTED.sub(lambda match: _hide_unquoted(match, settings), text)
    if settings:
        for sign, rule in _OF_SETTINGS.items():
            text = rule.sub(_hide_setting, text) if sign in text else text
        text = secret_lists.hide_blocks(text, HIDDEN, diff=diff)
    return _RANDOM.sub(_hide_random, text)


def _hide_login_of_url(match: re.Match[str]) -> str:
    return match[0] if login.is_sample_of_url(match[1]) else f"://{HIDDEN}@"


def _hide_of_query(match: re.Match[str]) -> str:
    head, name, value = match.groups()
    none = login.is_sample(value) or (head.startswith(";") and "(" in value)  # of code: a=1;token=next(x)
    return head + HIDDEN if not none and secret_names.is_secret_of_query(name, value) else match[0]


def _hide_login(match: re.Match[str]) -> str:
    groups = match.groupdict()
    named = groups.get("name") or groups.get("spaced")
    if login.is_sample(match["secret"]) or (
        named and not secret_names.is_secret_value(named.replace("-", "_"), match["secret"])
    ):
        return match[0]
    start = match.start()
    return match[0][: match.start("secret") - start] + HIDDEN + match[0][match.end("secret") - start :]


def _hide_of_option(match: re.Match[str]) -> str:
    group = "quoted" if match["quote"] else "run"
    if not login.is_secret_of_option(match["option"] or match["setting"], match[group], group == "quoted"):
        return match[0]
    start = match.start()
    return match[0][: match.start(group) - start] + HIDDEN + match[0][match.end(group) - start :]


def _hide_login_of_registry(match: re.Match[str]) -> str:
    return _hide_login(match) if login.is_login(match["secret"]) else match[0]


def _hide_assigned(match: re.Match[str], settings: bool) -> str:
    value = match[3]
    name = secret_names.name_at(match.string, match.start())
    if secret_names.is_harmless(name, value) or login.is_sample(value):
        return match[0]
    if not settings and secret_names.is_of_language(name, value):
        return match[0]
    if _COMPARED.search(match[1]) and not secret_names.is_secret_value(name, value):
        return match[0]
    if _FORMATTED.search(match[1]) and not _DIGIT.search(_FIELD.sub("", value)):
        return match[0]
    return f"{match[1]}{match[2]}{HIDDEN}{match[2]}"


def _hide_formatted(match: re.Match[str]) -> str:
    """Hide a formatted string of which a part between the fields is as long as a password, and no word."""
    name = secret_names.name_at(match.string, match.start())
    sure = secret_names.ends_secret(name) and "token" not in name.lower() and secret_names.ABOUT.search(name) is None
    if not sure or not any(
        _LITERAL_PART.fullmatch(part) and not part.startswith(("_", "-")) for part in _FIELD.split(match[3])
    ):
        return match[0]
    return f"{match[1]}{match[2]}{HIDDEN}{match[2]}"


def _hide_unquoted(match: re.Match[str], settings: bool) -> str:
    """Hide ``NAME=value`` of a settings file; what reads as code, or as a type, is none."""
    head, name, sign, value = match.groups()
    bare = value.rstrip(",;")
    if _CODE.search(bare) or secret_names.is_harmless_bare(name, bare):
        return match[0]
    shell = sign == "=" and (name.isupper() or "export" in head)
    if not settings and not (shell and head.endswith("=")) and _is_variable(head, value):
        return match[0]
    if not shell and (bare.replace("_", "").replace(".", "").isalpha() or not re.search(r"\d", bare)):
        return match[0]
    return head + HIDDEN + ";" * value.endswith(";")


def _is_variable(head: str, value: str) -> bool:
    """Tell whether *value* is a variable or a type of a program: ``cfg.key1``, ``Token2``."""
    if head.rstrip().endswith(":"):
        return _TYPE_OF_CODE.fullmatch(value.rstrip(",")) is not None
    spaced = head.endswith((" ", "\t")) or value.endswith((",", ")")) or head.lstrip("+-") != head.lstrip("+- \t")
    return spaced and _VARIABLE.fullmatch(value.rstrip(",;)")) is not None


def _hide_setting(match: re.Match[str]) -> str:
    head, name, value = match.groups()
    harmless = secret_names.is_harmless_bare(name, value.rstrip(" \t,;")) or secret_names.REFERENCE.match(value)
    named = secret_names.ends_secret(name) or (_OF_PASS.search(name) and secret_names.is_secret_value(name, value))
    return head + HIDDEN if named and not harmless else match[0]


def _hide_random(match: re.Match[str]) -> str:
    value = match[2]
    return f"{match[1]}{HIDDEN}{match[3]}" if secret_looks.is_random(value) else match[0]


def redact_arguments(arguments: Sequence[str]) -> list[str]:
    """Return command line arguments with secrets hidden, also where the value follows its option."""
    return _until_stable(_redact_words, list(arguments))


def _redact_words(arguments: list[str]) -> list[str]:
    shown: list[str] = []
    hide, option = False, ""
    by, apart = "", False  # how the program that was named last takes a password
    for before, argument in zip(["", *arguments], arguments, strict=False):
        by, apart = login.password_option(argument, before) or (by, apart)
        name, equals, value = argument.partition("=")
        if not _CALLED.fullmatch(name):  # the "=" of a URL's query
            name, equals, value = argument, "", ""
        is_password = by != "" and argument.startswith(by)
        if not argument.startswith("--") and (hide or _gives_secret(option, argument)):
            shown.append(HIDDEN)
        elif is_password and argument != by and (apart or login.NO_PASSWORD.fullmatch(argument[len(by) :]) is None):
            shown.append(by + HIDDEN)
        elif equals and _gives_secret(name, value):
            shown.append(f"{name}={HIDDEN}")
        elif equals:
            shown.append(f"{name}={_redact_word(value)}")
        else:
            shown.append(_redact_word(argument))
        option = argument if argument.startswith("-") and not equals else ""
        hide = is_password and apart and argument == by
        by = "" if is_password else by
    return shown


def _gives_secret(name: str, value: str) -> bool:
    """Tell whether *value* of the option *name* is a secret."""
    if secret_names.names_secret(name):
        return not (secret_names.is_place(name, value) or secret_names.is_harmless_number(name.lstrip("-+"), value))
    return secret_names.may_be_secret(name, value)


_CALLED = re.compile(r"[-+]*+[\w.@/-]+")


def _redact_word(word: str) -> str:
    shown = redact(_GIVEN.sub(_hide_given, word))
    return HIDDEN if 20 <= len(shown) <= 128 and shown.isascii() and secret_looks.is_random(shown) else shown


def redact_value(name: str, value: Any) -> Any:
    """Return the value of a param or a tag with text hidden that is a secret by its *name*, or by its look.

    In lists and mappings too; a list with an option in it is a command line. What a language model has for tokens is
    none, nor what stands for a value.
    """
    if isinstance(value, dict):
        return {key: redact_value(secret_names.name_within(key, name), item) for key, item in value.items()}
    if isinstance(value, list):
        items = [redact_value(name, item) for item in value]
        return _redact_command(items) if any(isinstance(item, str) and _OPTION.match(item) for item in value) else items
    if isinstance(value, Real) and not isinstance(value, bool):
        return HIDDEN if secret_names.is_secret_number(name, value) else value
    if not isinstance(value, str):
        return value
    if secret_names.is_secret_value(name, value) or secret_looks.KEY_BEGIN.search(value):
        return HIDDEN
    return _until_stable(_redact_text, value)


def _redact_text(text: str) -> str:
    """Hide what a URL, a command, a header, settings or a connection string within the value of a param gives as a secret."""
    text = _URL_OF_PARAM.sub(_hide_login_of_url, secret_looks.LOOKS.sub(_hide_key, text))
    text = _QUERY.sub(_hide_of_query, text) if "?" in text or "://" in text else text
    if not any(sign in text for sign in " =;:<"):
        return text
    text = _HEADER.sub(rf"\1{HIDDEN}", _BEARER.sub(rf"\1{HIDDEN}", text))
    return login.hide(_GIVEN.sub(_hide_given, text), _hide_login)


def _hide_given(match: re.Match[str]) -> str:
    """Hide the value of ``--name value``, ``name=value``, ``"name": "value"`` where the name says that it is a secret."""
    head, option, setting, quote, quoted, run = match.groups()
    whole = quoted if quote else run.rstrip(")]}")
    value = whole if quote else _SEPARATOR.split(whole)[0]
    if not quote and (_is_prose(match, value) or (option and len(value) < _SHORTEST)):
        return match[0]
    name = (option or setting).replace("-", "_")
    if not secret_names.is_secret_value(name, value) or login.is_sample(value) or not _LETTER.search(value):
        return match[0]
    return f"{head}{quote}{HIDDEN}{quote}" if quote else f"{head}{HIDDEN}{run[len(whole) :]}"


def _is_prose(match: re.Match[str], value: str) -> bool:
    """Tell whether *value* is a word of a sentence or of code, or its ``:`` within a longer name such as an ARN."""
    head, text = match[1], match.string
    if _TYPE.fullmatch(value) or (head.endswith("= ") and _CALL.match(value)):
        return True
    if _CALL.fullmatch(value) and text[match.end() : match.end() + 1] in _QUOTES:
        return True
    if head.endswith(":"):
        return text[: match.start()].endswith(":")
    return ":" in head and value.isalpha() and _NEXT_WORD.match(text, match.end()) is not None


def _redact_command(items: list[Any]) -> list[Any]:
    """Hide the secrets of a command line, of which a part may be a number."""
    shown = redact_arguments([str(item) for item in items])
    pairs = zip(items, shown, strict=True)
    return [text if isinstance(item, str | Real) and str(item) != text else item for item, text in pairs]


def _hide_key(found: re.Match[str]) -> str:
    """Return what is shown of what looks like a key: a name may begin with ``sk-``, too."""
    text = found.group()
    words = text.startswith("sk-") and len(text) < _LONG_KEY and text.count("-") > 1
    return text if words else HIDDEN


_NAMED = rf"({secret_names.NAMED})"
_GIVEN = re.compile(
    rf"(?i)((?:(?<![\w-])--{_NAMED}(?:[ \t]{{1,4}}|=)(?!-)"
    rf"|(?<![\w.-])(?<![\w./-]/)[\"']?\+{{0,2}}{_NAMED}(?:\\?[\"'])?(?:[ \t]{{0,4}}=(?!=)>?|[ \t]{{0,2}}:)[ \t]{{0,4}})"
    r"(?:(?-i:(?:[a-z_]{1,20}\.){0,2}[A-Z]\w{0,40}\()?[bfru]{0,2}(?=\\?[\"']))?)"
    r"(?:(\\?[\"'])((?:(?!\4)[^\r\n]|(?<=\\)\4)+)\4"
    r"|[\"']?(?!\\[\"'])([^\s\"'$<{(\[*,;&|=](?:[^\s\"',;&]|[,;&](?=[^\s\"'])(?![\w.-]{1,60}[ \t]?[=:]))*+))"
)
"""An option, a variable or a setting with its value: to its quote, be it of bytes or within a call of a type such as
``SecretStr("...")``, or to a space or what separates it from the next name. A folder may be named by the
value of a column (``/data/token=abc1/x``)."""
_SEPARATOR = re.compile("[,;&]")
_LETTER = re.compile(r"[^\W_]")
_TYPE = re.compile(r"str|bytes|int|float|bool|string")
_CALL = re.compile(r"[A-Za-z_][\w.]{0,80}[(\[]")
_QUOTES = ("'", '"', "\\")
_NEXT_WORD = re.compile(r"[ \t]++[\w.-]++(?![=:])")
_OPTION = re.compile(r"--?[A-Za-z]")
_SHORTEST = 3
"""A shorter word behind an option is the next one of a sentence."""
_LONG_KEY = 40


def clean_url(url: str) -> str:
    """Return the URL of a remote without user, password and query."""
    return redact(without_credentials(url).partition("?")[0].partition("#")[0])
