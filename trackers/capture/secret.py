"""Secrets, told by name and by look: what is captured goes through here first.

A value is a secret by the name it is given (``password = "..."``), by a look that only keys have (``ghp_...``), or by
being assigned and as random as a key. Digests in hex and UUIDs are none. What is hidden keeps its line, so that a
redacted diff still has the lines that its headers count. Redacting twice changes nothing more.
"""

from __future__ import annotations

import fnmatch
import itertools
import math
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

from trackers.capture import login
from trackers.wording import without_credentials

HIDDEN = "***"

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

# Every repetition is bounded, so that a line of a megabyte takes no longer than a megabyte of lines. What is hidden lies
# within one line: a line of a diff begins with its mark, and what reached over the end would hide that of the next. Only
# between a name and the quote of its value may a line end, since both stay.
_WORD = (
    r"(?:passwords?|passwd|passphrase|pwd|secrets?|tokens?(?!iz)|api[_-]?keys?|access[_-]?keys?|account[_-]?key"
    r"|private[_-]?keys?|credentials?|authorization)(?:[_.-][\w.-]{0,40}|[A-Z]\w{0,40})?"
)
_WORD_ANY_CASE = _WORD.replace("[A-Z]", "[a-z]")
_NAME = r"[\w.-]{0,40}" + _WORD_ANY_CASE
_ASSIGNED = re.compile(
    rf"(?i)({_WORD_ANY_CASE}[\"'\]]{{0,2}}\s{{0,8}}(?::\s{{0,4}}str\s{{0,4}})?[:=]\s{{0,8}}[bru]?)"
    rf"([\"'])(?![<\[{{$%(]|\2)((?:(?!\2)[^\r\n]){{3,500}})\2"
)
_UNQUOTED = re.compile(
    rf"(?im)^([+\- ]?[ \t]{{0,12}}(?:export[ \t]{{1,8}})?({_NAME})[ \t]?([=:])[ \t]{{0,4}})([^\s\"'#(]\S{{0,500}})$"
)
_SETTING = re.compile(
    rf"(?im)^([+\- ]?[ \t]{{0,40}}(?:-[ \t]{{1,4}})?[\"']?([\w.-]{{0,40}}{_WORD_ANY_CASE})[\"']?[ \t]{{0,8}}[=:][ \t]{{0,8}})"
    r"([^\s\"'][^\r\n]{0,500})(?=\r?$)"
)
_REFERENCE = re.compile(r"[\[{<*&!|>]|\$[({A-Z_]|%[(A-Z]")
"""How what is no value of its own begins: a list, a variable, a placeholder, a mark of YAML."""
_SECRET_LAST = re.compile(
    r"(?i)[\w.-]{0,80}(?:passwords?|passwd|passphrase|pwd|secrets?|tokens?|(?:api|access|account|private|secret)[_-]?keys?"
    r"|credentials?)"
)
_HEADER = re.compile(
    r"(?i)(\bauthorization[^\w\r\n]{1,6}[bfru]{0,2}[\"']?(?:bearer|basic|token|apikey)[ \t]{1,4})[^\s\"'{}$<,)*]{1,2000}"
)
_URL = re.compile(
    r"://(?:(?![A-Z_]{1,40}:[A-Z_]{1,40}@)[^\s/@:\"']{0,200}:[^\s/\"']{1,300}|(?=\D{0,40}\d)[^\s/@:\"']{8,300})@"
)
"""A user with a password, or a user alone who looks like a token; ``USER:PASSWORD`` stands for them."""
_QUERY = re.compile(
    r"(?i)([?&;](?:token|key|api_?key|secret|password|sig|signature|access_token|accountkey)=)[^&\s\"';]{1,500}"
)
_BEARER = re.compile(r"(?i)\b((?:bearer|basic)[ \t]{1,4})(?=[\w.~+/-]{0,40}\d)[\w.~+/-]{16,2000}={0,2}")
_LOOKS = re.compile(
    r"\bgh[pousr]_[A-Za-z0-9]{30,255}\b|\bgithub_pat_[A-Za-z0-9_]{40,255}\b|\bglpat-[\w-]{20,64}"
    r"|\b(?:AKIA|ASIA|AROA|AIDA)[A-Z0-9]{16}\b|\bsk-(?=[A-Za-z0-9]{20}|[A-Za-z_-]{0,60}\d)[\w-]{20,255}|\b[sr]k_(?:live|test)_[A-Za-z0-9]{16,255}"
    r"|\bxox[abeoprs]-[\w-]{10,255}|\bxapp-[\w-]{20,255}|\bhooks\.slack\.com/services/[\w/]{20,100}|\bhf_[A-Za-z0-9]{30,64}\b"
    r"|\bAIza[\w-]{35}|\bya29\.[\w-]{20,500}|\bGOCSPX-[\w-]{20,64}|\bSG\.[\w-]{16,64}\.[\w-]{16,64}|\bnpm_[A-Za-z0-9]{36}\b"
    r"|\bpypi-AgE[\w-]{50,500}|\bSK[0-9a-f]{32}\b|\bdop_v1_[0-9a-f]{64}\b|\bdapi[0-9a-f]{32}\b|\bAGE-SECRET-KEY-1[0-9A-Z]{50,64}"
    r"|\beyJ[\w-]{10,2000}\.[\w-]{10,2000}\.[\w-]{10,2000}"
)
_RANDOM = re.compile(r"([:=]\s{0,4}[bru]?[\"'])([A-Za-z0-9+/_=.-]{20,128})([\"'])")
_HARMLESS = re.compile(
    r"(?i)[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}|(?:sha\d{1,3}|md5|h1)[-:=].{20,128}|(?:0x)?[0-9a-f.-]{1,128}"
)
_KEY_BEGIN = re.compile(r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
_KEY_END = re.compile(r"-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
_KEY_BODY = re.compile(
    r"[ \t\"'+]{0,12}(?:[A-Za-z0-9+/=]{0,100}|[A-Za-z-]{1,30}: .{0,200})(?:\\n)?[\"']?[ \t,)]{0,4}\r?\Z"
)
_CODE = re.compile(r"[(\[{$%<]|\A(?:None|null|true|false|str|bytes|int)\b", re.IGNORECASE)
_COUNTED = re.compile(
    r"(?i)(?!.*(?:api|auth|access|bot|secret)[-_]?tokens?\Z)"
    r"(?:.*[-_.])?(?:n|num|max|min|total|new|pad|eos|bos|unk|mask|sep|cls)(?:[-_](?:\w*[-_])?)?tokens?"
)
"""Names of what a language model counts or marks."""
_ABOUT = re.compile(r"(?i)[_-](?:env|environ|variable|names?|fields?|columns?|header|types?|kind)\Z")
"""Names of what is about a secret: where it is to be found, and how it is called."""
_NAME_END = re.compile(r"[\w.-]{1,40}\Z")
_PLACEHOLDERS = re.compile(
    r"(?i)\A(?:\*+|x+|\.+|-+|none|null|true|false|todo|changeme|empty|not[-_]needed|(?-i:[A-Z]{2,20}(?:_[A-Z]{2,20}){1,4}))\Z"
)


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
    return redact(text, settings=settings) != text


def redact(text: str, *, diff: bool = False, settings: bool = False) -> str:
    """Return *text* with values of secret names, passwords in URLs, and strings that look like keys hidden.

    The number of lines stays; with *diff* so does the first character of each, the mark of a diff's line. With
    *settings*, the text is that of a settings file: there a secret may be a word that would be a variable elsewhere.
    """
    if "PRIVATE KEY" in text:
        text = _hide_keys(text, diff)
    text = _LOOKS.sub(HIDDEN, text)
    text = _URL.sub(f"://{HIDDEN}@", text)
    text = _QUERY.sub(rf"\1{HIDDEN}", text)
    text = _BEARER.sub(rf"\1{HIDDEN}", text)
    text = _HEADER.sub(rf"\1{HIDDEN}", text)
    for rule in login.rules_for(text):
        text = rule.sub(_hide_login, text)
    text = login.REGISTRY.sub(_hide_login_of_registry, text)
    text = _ASSIGNED.sub(_hide_assigned, text)
    text = _UNQUOTED.sub(_hide_unquoted, text)
    if settings:
        text = _SETTING.sub(_hide_setting, text)
    return _RANDOM.sub(_hide_random, text)


def _hide_login(match: re.Match[str]) -> str:
    if login.is_sample(match["secret"]):
        return match[0]
    start = match.start()
    return match[0][: match.start("secret") - start] + HIDDEN + match[0][match.end("secret") - start :]


def _hide_login_of_registry(match: re.Match[str]) -> str:
    return _hide_login(match) if login.is_login(match["secret"]) else match[0]


def _hide_assigned(match: re.Match[str]) -> str:
    value = match[3]
    before = _NAME_END.search(match.string[max(0, match.start() - 40) : match.start()])
    name = (before[0] if before else "") + re.split(r"[\"'\]\s:=]", match[1], maxsplit=1)[0]
    if _PLACEHOLDERS.match(value) or _COUNTED.fullmatch(name) or _ABOUT.search(name):
        return match[0]
    return f"{match[1]}{match[2]}{HIDDEN}{match[2]}"


def _hide_unquoted(match: re.Match[str]) -> str:
    """Hide ``NAME=value`` of a settings file; what reads as code, or as a type, is none."""
    head, name, sign, value = match.groups()
    bare = value.rstrip(",;")
    if _CODE.search(bare) or _PLACEHOLDERS.match(bare) or _COUNTED.fullmatch(name):
        return match[0]
    shell = sign == "=" and (name.isupper() or "export" in head)
    if not shell and (bare.replace("_", "").replace(".", "").isalpha() or not re.search(r"\d", bare)):
        return match[0]
    return head + HIDDEN


def _hide_setting(match: re.Match[str]) -> str:
    head, name, value = match.groups()
    named = _SECRET_LAST.fullmatch(name) is not None and _COUNTED.fullmatch(name) is None
    hidden = named and not _PLACEHOLDERS.match(value.rstrip(" \t,;")) and not _REFERENCE.match(value)
    return head + HIDDEN if hidden else match[0]


def _hide_random(match: re.Match[str]) -> str:
    value = match[2]
    return f"{match[1]}{HIDDEN}{match[3]}" if _is_random(value) else match[0]


def _is_random(value: str) -> bool:
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


def _hide_keys(text: str, diff: bool) -> str:
    """Hide private keys, each line on its own: from BEGIN to END, or to the first line that no key has."""
    shown: list[str] = []
    inside = False
    for line in text.split("\n"):
        mark, rest = (line[:1], line[1:]) if diff else ("", line)
        begin, end = _KEY_BEGIN.search(rest), _KEY_END.search(rest)
        if begin is not None and not inside:
            inside = end is None or end.start() < begin.start()
            rest = rest[: begin.start()] + HIDDEN + ("" if inside or end is None else rest[end.end() :])
        elif inside and end is not None:
            inside, rest = False, HIDDEN + rest[end.end() :]
        elif inside and _KEY_BODY.match(rest):
            rest = HIDDEN
        else:
            inside = False
        shown.append(mark + rest)
    return "\n".join(shown)


def redact_arguments(arguments: Sequence[str]) -> list[str]:
    """Return command line arguments with secrets hidden, also where the value follows its option."""
    shown: list[str] = []
    hide, option = False, ""
    by, apart = "", False  # how the program that was named last takes a password
    for argument in arguments:
        by, apart = login.password_option(argument) or (by, apart)
        name, equals, value = argument.partition("=")
        if not _CALLED.fullmatch(name):  # the "=" of a URL's query
            name, equals, value = argument, "", ""
        is_password = by != "" and argument.startswith(by)
        if not argument.startswith("--") and (hide or _may_be_secret(option, argument)):
            shown.append(HIDDEN)
        elif is_password and argument != by and (apart or login.NO_PASSWORD.fullmatch(argument[len(by) :]) is None):
            shown.append(by + HIDDEN)
        elif equals and (_names_secret(name) or _may_be_secret(name, value)):
            shown.append(f"{name}={HIDDEN}")
        elif equals:
            shown.append(f"{name}={_redact_word(value)}")
        else:
            shown.append(_redact_word(argument))
        option = argument if argument.startswith("-") and not equals else ""
        hide = argument.startswith("-") and _names_secret(argument)
        if is_password:
            hide, by = hide or (apart and argument == by), ""
    return shown


def _may_be_secret(option: str, value: str) -> bool:
    """Tell whether the value of an option of a doubtful name is a secret: a key that looks as one, a login."""
    word = re.split(r"[-_.]", option.lower())[-1]
    if _PASS.fullmatch(word) or word in ("pw", "passw", "bearer", "cookie"):
        return True
    if word == "auth":
        return value.lower() not in _WAYS and "://" not in value
    if word in ("login", "userpass", "user", "u"):
        return ":" in value and "://" not in value
    return word == "key" and len(value) >= 16 and value.isascii() and any(c.isdigit() for c in value)


_WAYS = frozenset(
    [
        "none",
        "basic",
        "digest",
        "bearer",
        "token",
        "password",
        "oauth",
        "oauth2",
        "oidc",
        "jwt",
        "iam",
        "ntlm",
        "ldap",
        "saml",
        "kerberos",
        "gssapi",
        "md5",
        "scram",
        "trust",
        "true",
        "false",
        "yes",
        "no",
        "on",
        "off",
        "auto",
        "default",
        "required",
        "optional",
        "0",
        "1",
    ]
)
"""What ``--auth`` takes that says how somebody logs in, and not as whom."""


def _names_secret(name: str) -> bool:
    bare = name.lstrip("-+").rpartition(".")[2]  # Hydra's: +wandb.api_key=...
    return re.fullmatch(rf"(?i){_NAME}", bare) is not None and _COUNTED.fullmatch(bare) is None


_PASS = re.compile(r"(?!(?:\w*by|\w*com|low|high|band|over|under|sur|tres|multi|single|two|one|n)pass)\w*pass")
"""Words such as ``dbpass``, but for those that name something else."""
_PAIR = re.compile(
    r"(?i)(?<!\w)(\w{0,20}(?:password|passwd|pwd)\s?[=:]\s?)('[^']{1,300}'|\"[^\"]{1,300}\"|[^\s;&'\"]{1,300})"
)
"""``password=...`` among others in one word, as databases are named: ``host=h password=p``, ``Server=h;Pwd=p``."""
_CALLED = re.compile(r"[-+]*[\w.@/-]+")
_URL_QUERY = re.compile(r"(?i)(?<=[?&])([\w.%-]*(?:token|signature|sig|credential|secret|passw|key)[\w.%-]*)=[^&#\s]*")


def _redact_word(word: str) -> str:
    if "://" in word:
        word = _URL_QUERY.sub(rf"\1={HIDDEN}", word)
    word = _PAIR.sub(rf"\1{HIDDEN}", word)
    return HIDDEN if 20 <= len(word) <= 128 and word.isascii() and _is_random(word) else redact(word)


def redact_value(name: str, value: Any) -> Any:
    """Return the value of a param or a tag with text hidden that is a secret by its *name*, or by its look.

    In lists and mappings too. What a language model has for tokens is none, nor what stands for a value.
    """
    if isinstance(value, dict):
        return {key: redact_value(f"{key}_{name}" if _ends_secret(name) else key, item) for key, item in value.items()}
    if isinstance(value, list):
        items = [redact_value(name, item) for item in value]
        words = len(value) > 1 and all(isinstance(item, str) for item in value)
        return _redact_words(items) if words and any(item.startswith("-") for item in value) else items
    if not isinstance(value, str):
        return value
    if _is_secret_value(name, value) or _KEY_BEGIN.search(value):
        return HIDDEN
    shown = _LOGIN.sub(f"://{HIDDEN}@", _LOOKS.sub(_hide_key, value))
    shown = _QUERY.sub(rf"\1{HIDDEN}", shown) if "://" in shown else shown
    return _redact_text(shown) if any(sign in shown for sign in " =;:") else shown


def _redact_text(text: str) -> str:
    """Hide what a command, a header, settings or a connection string within the value of a param gives as a secret."""
    text = _GIVEN.sub(_hide_given, _HEADER_LINE.sub(rf"\1{HIDDEN}", text))
    for rule in login.rules_for(text):
        text = rule.sub(_hide_login, text)
    return text


def _hide_given(match: re.Match[str]) -> str:
    """Hide the value of ``--name value``, ``name=value``, ``"name": "value"`` where the name says that it is a secret."""
    head, option, setting, value = match.groups()
    name = (option or setting).replace("-", "_")
    prose = head.rstrip(" \t").endswith(":") and value.isalpha()
    secret = not prose and _ends_secret(name) and _is_secret_value(name, value) and not login.is_sample(value)
    return head + HIDDEN if secret else match[0]


def _redact_words(words: list[str]) -> list[str]:
    """Hide the word behind an option whose name says that it is a secret."""
    shown = words[:1]
    for option, word in itertools.pairwise(words):
        name = option.lstrip("-").replace("-", "_")
        follows = option.startswith("--") and "=" not in option and not word.startswith("-") and _ends_secret(name)
        shown.append(HIDDEN if follows and _is_secret_value(name, word) else word)
    return shown


def _hide_key(found: re.Match[str]) -> str:
    """Return what is shown of what looks like a key: a name may begin with ``sk-``, too."""
    text = found.group()
    words = text.startswith("sk-") and len(text) < _LONG_KEY and text.count("-") > 1
    return text if words else HIDDEN


def _is_secret_value(name: str, value: str) -> bool:
    """Tell whether a param's value is a secret by its name: what is hidden is gone for good, so the name must say so."""
    if not value or _PLACEHOLDERS.match(value) or _STANDS_FOR.fullmatch(value) or _SWITCH.fullmatch(value):
        return False
    last, *before = reversed(re.split(r"[-_.]", name.lower()))
    whose = before[0] if before else ""
    if last == "authorization":
        return _SCHEME.fullmatch(value) is not None
    if _ends_secret(name):
        if _TOKEN.search(name):
            return _is_token(name, value)
        plain = _PLAIN.search(name)
        return plain is None or _HOW.get(plain[0].lower(), _COUNT).fullmatch(value) is None
    if last in ("login", "userpass"):
        return ":" in value and "://" not in value
    if last in ("auth", "user"):
        return _USER_AND_PASSWORD.fullmatch(value) is not None
    if last == "key":
        return _SERVICES.fullmatch(whose) is not None and _KEY_VALUE.fullmatch(value) is not None
    if last not in ("pw", "bearer") and not _PASS.fullmatch(last):
        return False
    if whose in _WHICH or _ORDINARY.fullmatch(value) or _SIZE.fullmatch(value):
        return False
    return not whose or _SERVICES.fullmatch(whose) is not None or _MODEL.fullmatch(value) is None


def _is_token(name: str, value: str) -> bool:
    """Tell whether *value* is what lets somebody in, and not what a language model has for tokens."""
    first = re.split(r"[-_.]?tokens?(?:[\d_-]*)\Z", name.lower())[0]
    whose = re.split(r"[-_./]", first)[-1]
    if _BOT.fullmatch(value) or value.lower().startswith("bearer "):
        return True
    if _SERVICES.fullmatch(whose):
        return _OPAQUE.fullmatch(value) is not None and _AMOUNT.fullmatch(value) is None
    if not whose and name.lower().rstrip("0123456789_-").endswith("token"):
        return _TOKEN_VALUE.fullmatch(value) is not None and _IDENTIFIER.fullmatch(value) is None
    return 20 <= len(value) <= 128 and _is_random(value)


def _ends_secret(name: str) -> bool:
    bare = name.rstrip("0123456789").rstrip("_-")
    return _SECRET_LAST.fullmatch(bare.rpartition("/")[2]) is not None and _COUNTED.fullmatch(bare) is None


_HEADER_LINE = re.compile(
    r"(?i)(\bauthorization[\"']?\s{0,4}[:=]\s{0,4}[\"']?(?:bearer|basic|token|apikey)\s{1,4})(?=[^\s]{0,40}\d|[^\s\"']{0,40}=|[a-z]{1,40}[\"']?\Z)"
    r"[^\s\"'{}$<,)*]{1,2000}"
)
_SCHEME = re.compile(r"(?i)(?:bearer|basic|token|apikey)\s{1,4}\S{1,4000}|\S{16,4000}")
_GIVEN = re.compile(
    r"(?i)((?:(?<![\w-])--([\w.-]{2,60})[ \t=]{1,4}|(?<![\w.-])[\"']?(?:\+{0,2})?(?<![\w.-])([\w.-]{2,60})[\"']?(?:=|:[ \t]{1,4}))[\"']?)"
    r"([^\s\"'$<{(\[*/~.,;&-][^\s\"',;&]{2,2000})"
)
"""An option, a variable or a setting with its value, which is no path."""
_LONG_KEY = 40
_TOKEN = re.compile(r"(?i)tokens?[\d_-]*\Z")
"""What a name ends in that may be a language model's."""
_TOKEN_VALUE = re.compile(r"(?=[^\s]{0,200}\d)(?=[^\s]{0,200}[A-Za-z])[\w.~:+/=-]{6,2000}")
_IDENTIFIER = re.compile(r"[A-Za-z]{2,20}(?:[_-][A-Za-z\d]{1,20}){1,6}")
_OPAQUE = re.compile(r"(?=\D{0,200}\d)[\w.~:+/=-]{4,2000}|[A-Za-z]{16,2000}")
_AMOUNT = re.compile(r"[\d.,]{1,20}(?:[eE][+-]?\d{1,3})?[kKmMbBtT%]?")
_MODEL = re.compile(r"[a-z\d.]{1,20}(?:-[a-z\d.]{1,12}){0,3}")
_SIZE = re.compile(r"\d{1,4}[a-z]\d{0,4}")
"""What a pass may be of: a model, such as ``monot5-3b``; a size or a number of times."""
_BOT = re.compile(r"\d{6,12}:[\w-]{30,64}")
_SERVICES = re.compile(
    "access|api|app|auth|aws|azure|bearer|bot|ci|client|db|deploy|discord|gcp|gh|git|github|gitlab|google|hf|hub|huggingface|jwt"
    "|minio|mlflow|neptune|netlify|ngrok|notion|npm|oauth|openai|anthropic|personal|pypi|refresh|registry|sas|secret|security|service|session|slack"
    "|telegram|user|vault|wandb|webhook"
)
"""Whose token or key it is that lets somebody in."""
_KEY_VALUE = re.compile(r"(?=[^\s]{0,200}\d)(?=[^\s]{0,200}[A-Za-z])[A-Za-z\d+=-]{20,2000}")
_COUNT = re.compile(r"\d{1,3}")
_PLAIN = re.compile(r"(?i)(?:s|pwd|account[_-]?key)\Z")
_HOW = {"pwd": re.compile(r"[./~].*|[A-Za-z]:\\.*"), "account_key": re.compile("[a-z]{1,20}(?:_[a-z]{1,20}){0,3}")}
"""What is no secret though the name may mean one: a count of several, the folder of a process, the key of a table."""
_SWITCH = re.compile("(?i)yes|no|on|off|true|false")
_WHICH = frozenset(
    {"low", "high", "band", "all", "first", "second", "third", "last", "forward", "backward", "one", "two", "single"}
)
"""Passes that are no passwords."""
_USER_AND_PASSWORD = re.compile(
    r"[^\s:/]{1,80}:(?![A-Za-z]{1,40}\Z)(?![\d.]{1,8}\Z)(?![a-z]{1,20}-[\w.]{1,12}\Z)[^\s/]{1,200}"
)
_LOGIN = re.compile(
    r"://(?:[^\s/@:\"']{0,200}:[^\s/\"']{1,300}|[0-9a-f]{24,64})@(?!sha\d{3}:)",
)
"""A user with a password, or a user that is a key; another user alone may be the container of a store of blobs."""
_STANDS_FOR = re.compile(r"<.*>|\[.*\]|\{.*\}|\$\{.*\}|\$[A-Z_]+|%\(.*\)s")
"""A special token, a list, a variable."""
_ORDINARY = re.compile(r"[A-Za-z]{1,20}(?:[ _-][A-Za-z]{1,20}){0,5}|[\d.,]{1,6}[ ]?[kKmM]?(?:Hz)?")
"""A word or some, or a number."""


def clean_url(url: str) -> str:
    """Return the URL of a remote without user, password and query."""
    return redact(without_credentials(url).partition("?")[0].partition("#")[0])
