"""Secrets told by their names: which names speak for one, and what is none whatever its name says."""

from __future__ import annotations

import re
from numbers import Real

from trackers.capture import secret_looks

_OWNERS_OF_PASS = (
    "db",
    "sql",
    "database",
    "admin",
    "root",
    "sudo",
    "become",
    "ssh",
    "smtp",
    "mail",
    "ftp",
    "redis",
    "pg",
)
_PASS_OF_SOMEONE = "|".join(f"(?<={whose}{sign}pass)" for whose in _OWNERS_OF_PASS for sign in ("", "_"))
PASSWORDS = rf"passwords?|passwd|passphrase|pwd|pass(?:{_PASS_OF_SOMEONE})(?![a-z])"
KEYS = r"(?:api|access|account|private|secret|encryption|signing)[_-]?keys?"
OTHERS = r"secrets?|credentials?"
"""The words of which every pattern that looks for secret names is made; case is none of their business."""
_WORDS = rf"(?:{PASSWORDS}|{KEYS}|{OTHERS}|tokens?(?!iz)|authorization)"
WORD = rf"{_WORDS}(?:[_.-][\w.-]{{0,40}}|[a-z]\w{{0,40}})?"
NAME = r"[\w.-]{0,40}" + WORD
ANNOTATED = r"(?::[ \t]{0,4}[a-z][\w.]{0,40}(?:\[[\w., |]{0,40}\])?(?:[ \t]{0,2}\|[ \t]{0,2}[a-z]\w{0,20}){0,3}[ \t]{0,4}(?==))?"
"""What the type of a variable may be, between its name and its value."""
REFERENCE = re.compile(r"[\[{<*&!|>]|\$[({A-Z_]|%[(A-Z]")
"""How what is no value of its own begins: a list, a variable, a placeholder, a mark of YAML."""
DOUBTFUL = rf"{PASSWORDS}|{KEYS}|{OTHERS}|tokens?|authorization|login|userpass|auth|user|key|pw|bearer|pass"
"""What a name ends in whose value is to be looked at: see ``is_secret_value``."""
NAMED = rf"[\w.-]{{0,60}}(?:{DOUBTFUL})[\d_-]{{0,4}}"
_WITHIN = re.compile(rf"(?i){_WORDS}")
_LAST = re.compile(rf"(?i)[\w.-]{{0,80}}(?:{PASSWORDS}|{KEYS}|{OTHERS}|tokens?)")
_OF_WHERE = re.compile(
    rf"(?i)({PASSWORDS}|{KEYS}|{OTHERS})[_-](?:prod|production|dev|staging|stage|test|live|local|db|value|default|old|new|backup|main)\Z"
)
"""A secret with a word behind that says where it is for."""
COUNTED = re.compile(
    r"(?i)(?!.*(?:api|auth|access|bot|secret)[-_]?tokens?\Z)"
    r"(?:.*[-_.])?(?:n|num|max|min|total|new|pad|eos|bos|unk|mask|sep|cls)(?:[-_](?:\w*[-_])?)?tokens?"
)
"""Names of what a language model counts or marks."""
ABOUT = re.compile(
    r"(?i)(?:[_-](?:env(?:[_-]?var)?|environ|variable|names?|fields?|columns?|header|types?|kind|files?|paths?|dir|urls?|endpoint|prompt"
    r"|index|dims?|length|count|prob|ttl|per[_-]\w{1,40}|labels?|placeholder|help(?:[_-]text)?|message|hint|regexp?|pattern|prefix|suffix"
    r"|scheme|hashers?|encryption|policy|errors?)|tokens?[_-]ids?|(?-i:(?<=[a-z])(?:Name|Type|Ref|File|Path|Url|Field|Label)))\Z"
)
"""Names of what is about a secret: where it is to be found, how it is called, how many there are and how long it is."""
PLACEHOLDERS = re.compile(
    r"(?i)\A(?:\*+|x+|\.+|-+|none|null|true|false|todo|change[-_]?me|empty|not[-_]needed|inherit|(?-i:[A-Z]{2,20}(?:_[A-Z]{2,20}){1,4}))\Z"
)


_NAME_END = re.compile(r"[\w.-]{1,40}\Z")
_BEHIND_NAME = re.compile(r"[\w.-]{0,120}")


def name_at(text: str, at: int) -> str:
    """Return the whole name of which a secret's word stands at *at* in *text*."""
    before, behind = _NAME_END.search(text[max(0, at - 40) : at]), _BEHIND_NAME.match(text, at)
    return (before[0] if before else "") + (behind[0] if behind else "")


def is_harmless(name: str, value: str) -> bool:
    """Tell whether *value* is no secret though its *name* has the word: it stands for one, or says where one is."""
    if COUNTED.fullmatch(name) or ABOUT.search(name) or PLACEHOLDERS.match(value) or _SCHEME_ALONE.fullmatch(value):
        return True
    if _SIGNS.sub("", name).lower() == _SIGNS.sub("", value).lower():  # INPUT_TOKENS = "input_tokens"
        return True
    return is_text_about(value) or is_place(name, value)


_SIGNS = re.compile(r"[\W_]+")
_SCHEME_ALONE = re.compile(r"(?i)(?:bearer|basic|token|apikey)\s{0,4}(?:%s|%\(\w{1,40}\)s|\{[^{}]{0,60}\})?")
"""What stands before a token that code puts behind it."""


def is_of_language(name: str, value: str) -> bool:
    """Tell whether *value* consists of words where only a token is spoken of, which a language, a parser and a page have."""
    found = _BARE_TOKEN.search(name)
    return (
        found is not None
        and _SERVICES.fullmatch(found[1].lower()) is None
        and _PLAIN_WORDS.fullmatch(value) is not None
    )


_BARE_TOKEN = re.compile(
    rf"(?i)\A(?!.*(?:{PASSWORDS}|{KEYS}|{OTHERS}))(?:.*?[-_.])??([a-z\d]*?)[-_.]?tokens?(?![a-z]{{0,2}}iz)"
)
_PLAIN_WORDS = re.compile(
    r"\W{0,3}(?:[A-Z]?[a-z]{1,20}|[A-Z]{1,20})(?:[ _.:/-]{0,3}(?:[A-Z]?[a-z]{1,20}|[A-Z]{2,20})){0,5}\W{0,3}"
)


def is_text_about(value: str) -> bool:
    """Tell whether *value* names a secret or is a sentence about one: ``invalid_token``, ``Password (again)``."""
    return _SPEAKS_OF.search(value) is not None and (_NO_DIGIT.fullmatch(value) or _SENTENCE.search(value)) is not None


_SPEAKS_OF = re.compile(
    r"(?:(?<![A-Za-z])(?i:password|passphrase|token|api[ _-]?key|access[ _-]key|credential)|(?<=[a-z])(?:Password|Passphrase|Token|ApiKey|Credential))"
    r"(?:s?(?![a-z])|(?=Field|Input|Type))"
)
_NO_DIGIT = re.compile(r"(?=[^A-Za-z]{0,4}[A-Za-z]+[^A-Za-z])\D{0,200}|[A-Z][a-z]+[A-Z][A-Za-z]*|[a-z]+[A-Z][A-Za-z]*")
"""Of more than one word."""
_SENTENCE = re.compile(r"[A-Za-z] (?:[a-z]{2}|[\d(])")


def is_harmless_bare(name: str, value: str) -> bool:
    """Tell whether *value*, which has no quotes, is no secret: a number is none but by a name that leaves no doubt."""
    same = value.rpartition(".")[2] == name  # of code: PrivateKey2 = module.PrivateKey2
    return same or is_harmless(name, value) or is_harmless_number(name, value)


def is_harmless_number(name: str, value: str) -> bool:
    return _NUMBER.fullmatch(value) is not None and not is_secret_number(name, value)


_NUMBER = re.compile(r"[+-]?(?:\d[\d_]{0,30}(?:\.\d{0,30})?|\.\d{1,30})(?:[eE][+-]?\d{1,3})?")


def is_place(name: str, value: str) -> bool:
    """Tell whether *value* is where what has this *name* is found: a path, a URL without a login, the usual place."""
    if not _PLACED.search(name):
        return False
    if _USUAL.fullmatch(value):
        return _USUALLY_PLACED.search(name) is not None
    path = _PATH.fullmatch(value) is not None and secret_looks.LOOKS.search(value) is None
    return path and not any(secret_looks.is_random(part) for part in _SLASH.split(value) if len(part) >= _LONG)


_PLACED = re.compile(r"(?i)(?:credential|private[_-]?key|s)[\d_-]*\Z")
"""Names of what is mostly kept in a file: keys, credentials, and several of anything."""
_PATH = re.compile(
    r"(?:~|\.{1,2}|[A-Za-z]:)?(?:[/\\][\w. -]{1,60})+|[a-z][a-z\d+.-]{1,20}://[^\s@?]+"
    r"|(?:[\w. -]{1,60}[/\\])*[\w. -]{1,60}\.(?:json|ya?ml|toml|ini|cfg|conf|txt|csv|pem|key|crt|cer|p8|p12|pfx|ppk|jks|enc|gpg|asc|db)"
)
_SLASH = re.compile(r"[/\\]")
_LONG = 20
_USUAL = re.compile(
    r"(?i)(?:application[_-])?default|env(?:ironment)?|auto|anonymous|metadata|iam|include|omit|same-origin"
)
_USUALLY_PLACED = re.compile(r"(?i)credentials?\Z")


def may_be_secret(option: str, value: str) -> bool:
    """Tell whether the value of an option of a doubtful name is a secret: a key that looks as one, a login."""
    word = re.split(r"[-_.]", option.lower())[-1]
    if _PASS.fullmatch(word) or word in ("pw", "passw", "bearer", "cookie"):
        return True
    if word == "auth":
        return value.lower() not in _WAYS and "://" not in value
    if word in ("login", "userpass", "user", "u"):
        return _is_login(value)
    return word == "key" and len(value) >= 16 and value.isascii() and any(c.isdigit() for c in value)


def _is_login(value: str) -> bool:
    return ":" in value and "://" not in value and "***" not in value and _TIME.fullmatch(value) is None


_TIME = re.compile(r"\d{1,2}:\d\d(?::\d\d)?")
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


def names_secret(name: str) -> bool:
    bare = name.lstrip("-+").rpartition(".")[2]  # Hydra's: +wandb.api_key=...
    return re.fullmatch(rf"(?i){NAME}", bare) is not None and not (COUNTED.fullmatch(bare) or ABOUT.search(bare))


def is_secret_of_query(name: str, value: str) -> bool:
    """Tell whether *value* is a secret by the *name* that it has in the query of a URL."""
    if COUNTED.fullmatch(name) or ABOUT.search(name) or PLACEHOLDERS.match(value) or _STANDS_FOR.fullmatch(value):
        return False
    if name.lower() == "key":
        return _PLAIN_KEY.fullmatch(value) is None
    return _WITHIN.search(name) is not None or _SIGNED.search(name) is not None


_SIGNED = re.compile(r"(?i:(?:\A|[_.%-])(?:sig|key)|signature)\Z|(?<=[a-z])(?:Sig|Key)\Z")
"""What the name of a signature, or of a key to a service, ends in."""
_PLAIN_KEY = re.compile(r"[a-z]{1,12}(?:_[a-z]{1,12}){0,2}|\d{1,4}")
"""By what something is looked up or sorted."""
_PASS = re.compile(r"(?!(?:\w*by|\w*com|low|high|band|over|under|sur|tres|multi|single|two|one|n)pass)\w*pass")
"""Words such as ``dbpass``, but for those that name something else."""


def is_secret_value(name: str, value: str) -> bool:
    """Tell whether a param's value is a secret by its name: what is hidden is gone for good, so the name must say so."""
    if not value or PLACEHOLDERS.match(value) or _STANDS_FOR.fullmatch(value) or _SWITCH.fullmatch(value):
        return False
    name = _OF_WHERE.sub(r"\1", name)
    last, *before = reversed(re.split(r"[-_.]", name.lower()))
    whose = before[0] if before else ""
    if last == "authorization":
        return _SCHEME.fullmatch(value) is not None
    if last == "cookie":
        return (_OF_COOKIES if whose in ("", "set") else _ONE_COOKIE).fullmatch(value) is not None
    if ends_secret(name):
        if is_place(name, value):
            return False
        if _TOKEN.search(name):
            return _is_token(name, value)
        plain = _PLAIN.search(name)
        return plain is None or _HOW.get(plain[0].lower(), _COUNT).fullmatch(value) is None
    if last in ("login", "userpass"):
        return _is_login(value)
    if last in ("auth", "user"):
        return _USER_AND_PASSWORD.fullmatch(value) is not None
    if last == "key":
        return _SERVICES.fullmatch(whose) is not None and _KEY_VALUE.fullmatch(value) is not None
    if last not in ("pw", "bearer") and not _PASS.fullmatch(last):
        return False
    if whose in _WHICH or _ORDINARY.fullmatch(value) or _SIZE.fullmatch(value):
        return False
    return not whose or _SERVICES.fullmatch(whose) is not None or _MODEL.fullmatch(value) is None


def is_secret_number(name: str, value: Real | str) -> bool:
    """Tell whether a number is a password, a PIN or a key: only a name that leaves no doubt says so."""
    sure = ends_secret(name) and not _TOKEN.search(name) and not _OF_TABLE.search(name)
    return sure and str(value) not in ("0", "1", "0.0", "1.0") and is_secret_value(name, str(value))


def _is_token(name: str, value: str) -> bool:
    """Tell whether *value* is what lets somebody in, and not what a language model has for tokens."""
    first = re.split(r"[-_.]?tokens?(?:[\d_-]*)\Z", name.lower())[0]
    whose = re.split(r"[-_./]", first)[-1]
    if _BOT.fullmatch(value) or value.lower().startswith("bearer "):
        return True
    if _SERVICES.fullmatch(whose):
        numbered = re.fullmatch(rf"{whose}[_-]?\d{{0,6}}:?", value.lower())
        return _OPAQUE.fullmatch(value) is not None and _AMOUNT.fullmatch(value) is None and numbered is None
    if not whose and name.lower().rstrip("0123456789_-").endswith("token"):
        return _TOKEN_VALUE.fullmatch(value) is not None and _IDENTIFIER.fullmatch(value) is None
    return 20 <= len(value) <= 128 and secret_looks.is_random(value)


def name_within(key: str, name: str) -> str:
    """Return the name of what a mapping called *name* has at *key*: a secret's parts are secrets, but for what is about it."""
    if name.lower() == "cookies":
        return f"{key}_cookie"
    return f"{key}_{name}" if ends_secret(name) and not _PART_ABOUT.fullmatch(key) else key


_PART_ABOUT = re.compile(
    r"(?i)(?:\w*[_-])?(?:provider|backend|type|kind|method|source|path|file|env|variable|field|column|header|format|length|size|count"
    r"|rotat(?:e|ion)|ttl|expir(?:y|es|ation)|region|scopes?|algorithm|policy|version|vocab)"
)


def ends_secret(name: str) -> bool:
    bare = _OF_WHERE.sub(r"\1", name.rstrip("0123456789").rstrip("_-"))
    return _LAST.fullmatch(bare.rpartition("/")[2]) is not None and COUNTED.fullmatch(bare) is None


_OF_COOKIES = re.compile(r"[\w.-]{1,60}=(?=[^\s;]{0,200}\d)(?!\*)[^\s;]{8,}(?:;.*)?")
_ONE_COOKIE = re.compile(r"(?=\D{0,200}\d)(?=[^A-Za-z]{0,200}[A-Za-z])[\w.%+/=-]{8,}")
_SCHEME = re.compile(r"(?i)(?:bearer|basic|token|apikey)\s{1,4}\S+|\S{16,}")
_TOKEN = re.compile(r"(?i)tokens?[\d_-]*\Z")
"""What a name ends in that may be a language model's."""
_TOKEN_VALUE = re.compile(r"(?=[^\s]{0,200}\d)(?=[^\s]{0,200}[A-Za-z])[\w.~:+/=-]{6,}")
_IDENTIFIER = re.compile(r"[A-Za-z]{2,20}(?:[_-][A-Za-z\d]{1,20}){1,6}")
_OPAQUE = re.compile(r"(?=\D{0,200}\d)[\w.~:+/=-]{4,}|[A-Za-z]{16,}")
_AMOUNT = re.compile(r"[\d.,]{1,20}(?:[eE][+-]?\d{1,3})?[kKmMbBtT%]?|v\d{1,4}(?:\.\d{1,4}){0,3}")
"""So many, or a version."""
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
_KEY_VALUE = re.compile(r"(?=[^\s]{0,200}\d)(?=[^\s]{0,200}[A-Za-z])[A-Za-z\d+=-]{20,}")
_COUNT = re.compile(r"\d{1,7}")
_PLAIN = re.compile(r"(?i)(?:s|secret|pwd|account[_-]?key)\Z")
_OF_TABLE = re.compile(r"(?i)account[_-]?key\Z")
_HOW = {
    "secret": re.compile(r"\d{1,3}(?:\.\d{1,3})?"),
    "pwd": re.compile(r"[./~].*|[A-Za-z]:\\.*"),
    "account_key": re.compile("[a-z]{1,20}(?:_[a-z]{1,20}){0,3}"),
}
"""What is no secret though the name may mean one: a count of several, the folder of a process, the key of a table."""
_SWITCH = re.compile("(?i)yes|no|on|off|true|false")
_WHICH = frozenset(
    {"low", "high", "band", "all", "first", "second", "third", "last", "forward", "backward", "one", "two", "single"}
)
"""Passes that are no passwords."""
_USER_AND_PASSWORD = re.compile(
    r"(?![^\s/]{0,280}\*{3})[^\s:/]{1,80}:(?![A-Za-z]{1,40}\Z)(?![\d.]{1,8}\Z)(?![a-z]{1,20}-[\w.]{1,12}\Z)[^\s/]{1,200}"
)
_STANDS_FOR = re.compile(r"<.*>|\[.*\]|\{.*\}|\$\{.*\}|\$[A-Z_]+|%\(.*\)s|%s")
"""A special token, a list, a variable."""
_ORDINARY = re.compile(r"[A-Za-z]{1,20}(?:[ _-][A-Za-z]{1,20}){0,5}|[\d.,]{1,6}[ ]?[kKmM]?(?:Hz)?")
"""A word or some, or a number."""
