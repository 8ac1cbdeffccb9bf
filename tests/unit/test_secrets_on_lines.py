"""Secrets of which there are several, or that stand on several lines, in lists, strings, blocks, commands and cookies."""

from __future__ import annotations

import pytest

from trackers.capture.secret import HIDDEN, redact, redact_arguments, redact_value

IN_CODE = [
    'password = (\n    "hunter2x"\n)',
    'password = (\n    "hunter2x"\n    "hunter2y"\n)',
    'password = """\nhunter2x\n"""',
    'password = """hunter2x\n"""',
    'passwords = ["hunter2x", "hunter2y"]',
    'passwords: list[str] = ("hunter2x", "hunter2y")',
    'passwords = {"ann": "hunter2x", "bob": "hunter2y"}',
    'API_KEYS = [\n    "hunter2x",  # of ann\n    "hunter2y",\n]\nx = 1',
    '"passwords": ["hunter2x", "hunter2y"],',
    'password = f"{n}hunter2x"',
    'smtp.login("a@b.c", "hunter2x")',
    'server.login(user, "hunter2x")',
    'requests.get(u, cookies={"a": "b", "session": "hunter2x"})',
    'headers = {"Cookie": "session=hunter2x; lang=en"}',
    'session.cookies.set("sid", "hunter2x")',
    'password = password or "hunter2x"',
    'password = kw.pop("password", "hunter2x")',
    'setattr(cfg, "password", "hunter2x")',
    '{"user": "ann", "pass": "hunter2x"}',
    'db_pw = "hunter2x"',
    'run(["docker", "login", "-u", "ann", "-p", "hunter2x"])',
    'run([\n    "docker", "login",\n    "-u", "ann", "-p", "hunter2x",\n])',
    'CMD ["python", "x.py", "--api-key", "hunter2x"]',
    'cmd = [\n    "--api-key",\n    "hunter2x",\n]',
    "wandb.login(key='" + "0123456789abcdef" * 2 + b"hunter2x".hex()[:8] + "')",
]
IN_SHELLS = [
    'ansible-playbook -e "ansible_become_pass=hunter2x" x.yml',
    'ansible-playbook --extra-vars "user=a ansible_become_pass=hunter2x" x.yml',
    "h1 ansible_host=1.2.3.4 ansible_ssh_pass=hunter2x ansible_user=x",
    *("set -x TOKEN hunter2x", "set -gx GITHUB_TOKEN 'hunter2x'", "setenv TOKEN hunter2x", "setx API_KEY hunter2x"),
    *("set API_KEY=hunter2x", "export A=1 API_KEY=hunter2x", "local TOKEN=hunter2x", "ENV A=1 API_KEY=hunter2x"),
    *(
        "    API_KEY=hunter2x \\",
        "python train.py wandb.api_key=hunter2x",
        "export DB_PASSWORD=${DB_PASSWORD:-hunter2x}",
    ),
    *("sshpass -phunter2x ssh a@b", "mysqldump -u root -p'hunter2x' db", "curl -uann:hunter2x https://h"),
    *(
        "curl -X POST \\\n  -u ann:hunter2x \\\n  https://h",
        "curl -b 'session=hunter2x' https://h",
        "zip -P hunter2x a.zip b",
    ),
    *(
        "twine upload -u __token__ -p hunter2x dist/x",
        "redis-server --requirepass hunter2x",
        "openssl rsa -passin pass:hunter2x",
    ),
    *("CREATE ROLE ann LOGIN PASSWORD 'hunter2x';", "CREATE SECRET s (TYPE S3, KEY_ID 'a', SECRET 'hunter2x');"),
]
IN_SETTINGS = [
    "password: |\n  hunter2x\nx: 1",
    "a:\n  password: >-\n    hunter2x\n    hunter2y\n  x: 1",
    "password:\n  hunter2x",
    "passwords:\n- hunter2x\n- 'hunter2y'\nx: 1",
    "passwords:\n  ann: hunter2x\n  bob: hunter2y",
    'api_keys = ["hunter2x",\n  "hunter2y"]',
]


def _with_marks(text: str) -> str:
    return "@@ -1 +1 @@\n" + "\n".join(f"+{line}" for line in text.split("\n")) + "\n y"


@pytest.mark.parametrize("code", [*IN_CODE, *IN_SHELLS])
def test_a_secret_is_hidden_wherever_it_is(code: str) -> None:
    for text, diff in ((f"x\n{code}\n", False), (_with_marks(code), True)):
        shown = redact(text, diff=diff)
        assert HIDDEN in shown
        assert not any(word in shown for word in ("hunter2", "0123456789abcdef"))
        assert shown.count("\n") == text.count("\n")
        assert not diff or [line[:1] for line in shown.split("\n")] == [line[:1] for line in text.split("\n")]
        assert redact(shown, diff=diff) == shown


@pytest.mark.parametrize("lines", IN_SETTINGS)
def test_a_block_of_settings_is_hidden_line_by_line(lines: str) -> None:
    for text, diff in (
        (f"{lines}\n", False),
        (_with_marks(lines), True),
        (_with_marks(lines.replace("\n", "\r\n")), True),
    ):
        shown = redact(text, diff=diff, settings=True)
        assert "hunter2" not in shown
        assert HIDDEN in shown
        assert ("x: 1" in shown) is ("x: 1" in text)
        assert [(line[:1], line[-1:] == "\r") for line in shown.split("\n")] == [
            (line[:1], line[-1:] == "\r") for line in text.split("\n")
        ]
        assert redact(shown, diff=diff, settings=True) == shown


HARMLESS = [
    *(
        'passwords = [row["password2"] for row in rows]',
        'passwords = load("passwords2.txt")',
        'password = (\n    getpass("Password 2: ")\n)',
    ),
    *(
        'SECRET_KEYS = ["password", "api_key"]',
        'password_fields = ["password1", "password2"]',
        'passwords = ["password", "secret"]',
    ),
    *(
        'errors = {"password": ["too short, at least 8 characters"]}',
        'credentials = {"user": "ann2", "host": "h2.example.org"}',
    ),
    *(
        'password = f"{a}_v2"',
        'token = f"{word}2"',
        'msg = f"token {n} of 12"',
        'tokens = ["<s>", "extra1"]',
        'TOKENS = {"hello": "w2"}',
    ),
    *('client.login("user", "password")', 'self.login("page1", next="x2")', 'smtp.login(user, os.environ["P2"])'),
    *(
        'cookies = {"lang": "en"}',
        'cookies = {"session": session_id2}',
        'headers["Set-Cookie"] = "a=b; Path=/; HttpOnly"',
    ),
    *(
        'headers = {"Cookie": f"session={sid}"}',
        'SESSION_COOKIE_NAME = "sessionid2"',
        'parser.add_argument("--api-key", "apikey2")',
    ),
    *(
        '["docker", "login", "-u", "ann", "-p", password2]',
        '["--token", token2]',
        '["--max-tokens", "4096"]',
        '"pass": "yes"',
    ),
    *(
        "set -euo pipefail",
        "set -x TOKENIZERS_PARALLELISM false",
        "setenv PATH /usr/bin2",
        "setenv TOKEN $T2",
        "set -x TOKEN",
    ),
    *(
        "docker run -p 8080:80 x",
        "zip(a, b)",
        "export TOKEN=${TOKEN:-}",
        "python x.py model.max_tokens=512 data.key=a1",
    ),
    *(
        "password = ${DB_PASSWORD:-changeme}",
        'password = """\nThe password of 2 users\n"""',
        "SELECT x WHERE token = :token2",
    ),
]
HARMLESS_SETTINGS = [
    *(
        "secrets:\n  - db_password\n  - source: ci2",
        "secrets:\n  db_password:\n    file: ./db2.txt",
        "tokens:\n  - extra1",
    ),
    *(
        "password:\n  min_length: 8\n  rules: x2",
        "credentials:\n  type: service2\n  user: ann2",
        "password: |\n  ${PASSWORD_2}",
    ),
    *(
        "token: |\n  hello",
        "description: |\n  the password is 1",
        "secretKeyRef:\n  name: db-secret-2\n  key: password2",
    ),
]


@pytest.mark.parametrize("text", HARMLESS)
def test_code_with_a_name_of_secrets_stays(text: str) -> None:
    assert redact(f"{text}\n") == f"{text}\n"
    assert redact(_with_marks(text), diff=True) == _with_marks(text)


@pytest.mark.parametrize("text", HARMLESS_SETTINGS)
def test_a_block_without_secrets_stays(text: str) -> None:
    assert redact(f"{text}\n", settings=True) == f"{text}\n"


def test_what_follows_a_hunk_is_no_part_of_a_block() -> None:
    text = '@@ -1 +1 @@\n+passwords = [\n+  "hunter2x",\n@@ -9 +9 @@\n+  "resnet50",\n'
    assert redact(text, diff=True) == text.replace("hunter2x", HIDDEN)


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        (["docker", "login", "-u", "ann", "-p", "hunter2x"], ["docker", "login", "-u", "ann", "-p", "***"]),
        (["docker", "run", "-p", "8080:80", "x"], ["docker", "run", "-p", "8080:80", "x"]),
        (["redis-cli", "-a", "hunter2x", "ping"], ["redis-cli", "-a", "***", "ping"]),
        (["train.py", "login", "-p", "3"], ["train.py", "login", "-p", "3"]),
        (["-e", "ansible_become_pass=hunter2x"], ["-e", "ansible_become_pass=***"]),
        (["-H", "Cookie: session=hunter2x"], ["-H", "Cookie: ***"]),
    ],
)
def test_a_secret_leaves_the_words_of_a_command(given: list[str], shown: list[str]) -> None:
    assert redact_arguments(given) == shown
    assert redact_value("cmd", [*given, "--x"]) == [*shown, "--x"]


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("cookies", {"session": "hunter2x", "lang": "en"}, {"session": "***", "lang": "en"}),
        ("headers", {"Cookie": "session=hunter2x"}, {"Cookie": "***"}),
        ("cookie", "v1.2-abc", "v1.2-abc"),
        ("x", "setenv TOKEN hunter2x", "setenv TOKEN ***"),
    ],
)
def test_a_cookie_of_a_param_is_hidden(name: str, value: object, shown: object) -> None:
    assert redact_value(name, value) == shown
    assert redact_value(name, shown) == shown


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "piece",
    [
        *(
            "passwords=[",
            "passwords=['a',",
            "password: |\n",
            "password:\n  a\n",
            "password=(\n'a'\n",
            'password="""\na',
        ),
        *(
            "curl \\\n",
            "docker,login,",
            "cookie: a=b",
            "cookies={'a':",
            "set -x ",
            "export A=1 ",
            "s.login('a',",
            "'--token','",
        ),
        *(
            "password=f'{a}b1",
            " a.password=b1",
            "${PASSWORD:-",
            "_-Ab1",
            "token_",
            "token = 'Aa Aa Aa Aa1'\n",
            "://{a:{",
        ),
    ],
)
def test_hostile_lists_are_searched_in_linear_time(piece: str) -> None:
    redact(piece * (300_000 // len(piece)), settings=True)
