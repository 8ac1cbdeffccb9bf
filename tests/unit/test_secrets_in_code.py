"""Secrets in code, in scripts and in what is printed of objects: what is one is hidden, and code that only names one stays."""

from __future__ import annotations

import pytest

from trackers.capture.secret import HIDDEN, looks_secret, redact, redact_arguments, redact_value


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("{'password': b'hunter2x'}", "{'password': b'***'}"),
        ("Config(password=r'hunter2x')", "Config(password=r'***')"),
        ('db(password=f"hunter2x", n=1)', 'db(password=f"***", n=1)'),
        ("Config(password=SecretStr('hunter2x'))", "Config(password=SecretStr('***'))"),
        ("Config(password=pydantic.SecretStr('hunter2x'))", "Config(password=pydantic.SecretStr('***'))"),
    ],
)
def test_a_literal_with_a_prefix_is_hidden_whole(text: str, shown: str) -> None:
    assert redact_value("config", text) == shown
    assert redact_value("config", shown) == shown
    assert redact_arguments(["--config", text]) == ["--config", shown]


@pytest.mark.parametrize(
    "text", ["password=getpass('Password: ')", "Config(password=SecretStr('***'))", "x = Key('a1')"]
)
def test_a_call_that_only_names_a_secret_stays(text: str) -> None:
    assert redact_value("code", text) == text


NUMBERS = [
    *("pad_token_id: 0", "eos_token_id = 2", "tokens_per_second = 30", "max_tokens_per_step = 4096", "token_dim = 512"),
    *("token_count = 0", "    token=3,", "mask_token_prob: 0.15", "image_token_index = 32000", "password_length = 12"),
    *("secret_number = 42", "access_token: 81927364", "token_weight = 1e-4", "TOKEN_TTL=3_600", "password: 0"),
]


@pytest.mark.parametrize("line", NUMBERS)
@pytest.mark.parametrize("settings", [False, True])
def test_a_number_is_no_secret_but_by_a_sure_name(line: str, settings: bool) -> None:
    assert not looks_secret(f"a = 1\n{line}\n", settings=settings)
    assert redact(f"+{line}\n", diff=True, settings=settings) == f"+{line}\n"


@pytest.mark.parametrize(
    "line", ["password: 81927364", "DB_PASSWORD=81927364", "  api_key: 81927364", "secret=81927364"]
)
def test_a_number_with_a_sure_name_is_a_secret(line: str) -> None:
    assert HIDDEN in redact(f"+{line}\n", diff=True)
    assert HIDDEN in redact(f"{line}\n", settings=True)


@pytest.mark.parametrize(
    "arguments",
    [
        *(["--pad-token-id", "0"], ["--tokens-per-batch", "4096"], ["--secret-dim", "3"], ["--token=3"]),
        *(["model.pad_token_id=0"], ["+eos_token_id=2"], ["--token-type", "bearer"], ["--password-file", "a1"]),
        *(["--secret-path=x1"], ["--password-prompt", "Who?"], ["--token-url", "h/x"], ["--token-endpoint", "h/x"]),
    ],
)
def test_an_argument_about_a_secret_stays(arguments: list[str]) -> None:
    assert redact_arguments(arguments) == arguments


def test_a_number_of_an_argument_with_a_sure_name_is_hidden() -> None:
    assert redact_arguments(["--password", "81927364", "--api-key=4096"]) == ["--password", "***", "--api-key=***"]


@pytest.mark.parametrize(
    "name", ["password_file", "token_path", "secret_dir", "token_url", "token_endpoint", "password_prompt"]
)
def test_a_name_of_what_is_about_a_secret_is_none(name: str) -> None:
    assert redact(f'{name} = "some/thing"') == f'{name} = "some/thing"'


VARIABLES = [
    *("api_key = cfg.api_key1", "token = t5", "    token=tok1,", "token_ids = ids2", "secret = settings.secret2"),
    *("password = pw1", "    token: Token2", "API_KEY = cfg.api_key1", "        password=pw1)", "tokens: np.float32"),
    *("token: int64,", "secret = self.__secret2__", "credentials = s3_credentials_v2"),
]


@pytest.mark.parametrize("line", VARIABLES)
def test_a_variable_is_code_outside_a_settings_file(line: str) -> None:
    assert redact(f"{line}\n") == f"{line}\n"
    assert redact(f"+{line}\n", diff=True) == f"+{line}\n"


@pytest.mark.parametrize(
    "line",
    [
        "API_KEY=tok1",
        "export token=tok1",
        "db_password=hunter2",
        "token = abc123def456",
        "password: hunter2",
        "api_key = a1-b2",
    ],
)
def test_a_value_that_reads_as_a_variable_is_a_secret_where_it_cannot_be_one(line: str) -> None:
    assert HIDDEN in redact(f"{line}\n")
    assert HIDDEN in redact(f"+{line}\n", diff=True)


@pytest.mark.parametrize("line", ["password = pw1", "  token: Token2", "api_key = cfg.api_key1"])
def test_a_value_of_a_settings_file_is_no_variable(line: str) -> None:
    assert HIDDEN in redact(f"{line}\n", settings=True)


@pytest.mark.parametrize(
    "path",
    [
        *("/data/token=5/key=3/part-0.parquet", "s3://b/token=abc1/x/part-0.parquet"),
        *("data/user=a:b/pass=1x/f.csv", "/data/token=abc5/p.parquet"),
    ],
)
def test_a_path_with_the_values_of_columns_keeps_its_end(path: str) -> None:
    assert redact_value("path", path) == path
    assert redact_arguments([path, f"--path={path}"]) == [path, f"--path={path}"]
    assert redact_arguments(["/password:hunter2x"]) == ["/password:***"]


BEGIN, END = "-----BEGIN PRIVATE KEY-----", "-----END PRIVATE KEY-----"
BODY = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQ"


@pytest.mark.parametrize(
    "code",
    [
        f'if text.startswith("{BEGIN}"):\n    pass\n\n\nx = 1\n',
        f'if "{BEGIN}" in text:\n    return\n\nelse:\n',
        f'HEADS = [\n    "{BEGIN}",\n    "-----BEGIN RSA PRIVATE KEY-----",\n]\n',
    ],
)
def test_code_that_looks_for_a_key_stays(code: str) -> None:
    assert redact(code) == code


def test_what_is_below_the_head_of_a_key_stays() -> None:
    assert redact(f'HEAD = "{BEGIN}"\n\n\ndef f():\n    pass\n') == 'HEAD = "***\n\n\ndef f():\n    pass\n'
    assert redact(f'HEAD = "{BEGIN}"\npass\nreturn\n') == 'HEAD = "***\npass\nreturn\n'


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"{BEGIN}\r\n{BODY}\r\nabc=\r\n{END}\r\nx\r\n", "***\r\n***\r\n***\r\n***\r\nx\r\n"),
        (f"{BEGIN}\nProc-Type: 4,ENCRYPTED\n\n{BODY}\nabc=\n{END}\npass\n", "***\n" * 6 + "pass\n"),
        (f'k = ["{BEGIN}",\n "{BODY}",\n "abc=",\n "{END}"]\n', 'k = ["***\n***\n***\n***"]\n'),
        (f'k = ("{BEGIN}\\n"\n  "{BODY}\\n"\n  "ab=\\n"\n  "{END}")\n', 'k = ("***\n***\n***\n***")\n'),
        (f'"""{BEGIN}\n{BODY}\npass\n', '"""***\n***\npass\n'),
    ],
)
def test_a_key_is_hidden_to_its_last_line_and_lines_keep_their_ends(text: str, shown: str) -> None:
    assert redact(text) == shown
    assert redact(shown) == shown


@pytest.mark.parametrize("name", ["auth", "user", "login", "userpass"])
def test_a_login_that_is_hidden_in_part_is_hidden_for_good(name: str) -> None:
    shown = redact_value(name, "apikey:abcdef")
    assert HIDDEN in shown
    assert redact_value(name, shown) == shown
    for left in ("bob:***", 'api_key1":***"-x2'):
        assert redact_value(name, left) == left


MODELS = [
    *("BAAI/bge-large-en-v1.5", "TheBloke/Llama-2-7B-Chat-GPTQ", "Qwen/Qwen1.5-0.5B-Chat", "Llama-3.2-3B-Q4_K_M.gguf"),
    *("laion/CLIP-ViT-B-32-laion2B-s34B-b79K", "ResNet50_B64_LR3e-4_WD5e-2", "bs64_lr3e-4_wd5e-2_T1000"),
    *("sk-learn-extra-model-name-v2-long", "sk-resnet50-imagenet-v2-final"),
]


@pytest.mark.parametrize("name", MODELS)
def test_the_name_of_a_model_is_no_key(name: str) -> None:
    assert redact(f'model = "{name}"\n# {name}') == f'model = "{name}"\n# {name}'
    assert redact_arguments([name, f"--model={name}", "--model", name]) == [name, f"--model={name}", "--model", name]


@pytest.mark.parametrize("value", ["q8Zt3Kp1Xw9Rv5Ny7Lb2", "v1-q8Zt3Kp1Xw9Rv5Ny7Lb2", "q8Zt3Kp1/Xw9Rv5Ny+7Lb2=="])
def test_a_part_that_is_random_makes_a_key(value: str) -> None:
    assert redact_arguments([value]) == [HIDDEN]
    assert looks_secret(f'cookie = "{value}"')


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("python t.py --api-key abc123def456 --password hunter2x", "python t.py --api-key *** --password ***"),
        ("docker login --password hunter2x", "docker login --password ***"),
        ("kubectl --token abc123def456 get pods", "kubectl --token *** get pods"),
        ("kubectl create x --from-literal=password=hunter2x", "kubectl create x --from-literal=password=***"),
        ("helm install x --set db.password=hunter2x,n=3", "helm install x --set db.password=***,n=3"),
        ("wget --password=hunter2x http://h", "wget --password=*** http://h"),
        ("az storage --account-key Zm9vYmFyYmF6cXV4=", "az storage --account-key ***"),
        ("gpg --passphrase hunter2x -d x.gpg", "gpg --passphrase *** -d x.gpg"),
        ('curl -H "X-API-Key: abc123def456" https://h', 'curl -H "X-API-Key: ***" https://h'),
        (r'"!python t.py --api-key abc123def456\n",', r'"!python t.py --api-key ***\n",'),
        (r'"!python t.py --api-key \"abc123def456\" -v",', r'"!python t.py --api-key \"***\" -v",'),
        ("x --password 'correct horse' y --password 81927364", "x --password '***' y --password ***"),
    ],
)
def test_an_option_of_a_script_hides_its_secret(line: str, shown: str) -> None:
    assert redact(f"+{line}\n", diff=True) == f"+{shown}\n"
    assert redact(shown) == shown
    assert looks_secret(line)


OPTIONS = [
    *('add_argument("--api-key", type=str)', "--token TOKEN", "x --password <password>", "use --password instead of 3"),
    *('cmd = "--token " + tok1 + " --x"', 'run(["--password", pw1])', 'f"--token {tok1}"', '"--token %s 2" % tok1'),
    *("x --token $TOKEN1 --api-key=${X1} --password=$(cat p1)", "x --pad-token-id 0 --tokens 4096 --max-tokens 4k"),
    *("x --token-dim 3 --password-length 12 --secret 5", "x --sort-key col1 --key k2 -v key=a1 --set token=5"),
    *(
        "x --token your-token-2 --api-key YOUR_API_KEY",
        "x --bos-token <s> --eos-token '</s>2' --user root1 --auth none",
    ),
    *("x --password, -p2", "--password (8 or more)"),
]


@pytest.mark.parametrize("line", OPTIONS)
def test_an_option_without_a_secret_stays_in_code(line: str) -> None:
    assert redact(f"+{line}\n", diff=True) == f"+{line}\n"


@pytest.mark.timeout(20)
@pytest.mark.parametrize("piece", ["--token ", "--token '", "-a token=", "--set x", "-a", "--a token=a\\", "-a -a="])
def test_hostile_options_are_searched_in_linear_time(piece: str) -> None:
    redact(piece * (300_000 // len(piece)), settings=True)


IN_PYTHON = [
    'PASSWORD = os.environ.get("PASSWORD", "hunter2x")',
    'PASSWORD = os.getenv("DB_PASSWORD", default="hunter2x")',
    'os.environ.setdefault("OPENAI_API_KEY", "abc123def456ghi789")',
    'db_pass = "hunter2x"',
    "DB_PASS = 'hunter2x'",
    "DB_PASS=hunter2x",
    'requests.get(url, auth=("me", "hunter2x"))',
    'requests.get(url, auth=HTTPBasicAuth("me", "hunter2x"))',
    'password = ("hunter2x")',
    'password = f"hunter2x{n}"',
    'password = "$ecretPa55"',
    'password = "%hunter2x"',
    'passphrase = """hunter2x"""',
    'if password == "hunter2x":',
    'parser.add_argument("--password", default="hunter2x")',
    'parser.add_argument("--api-key", type=str, default="abc123def456")',
    'password: str = field(default="hunter2x")',
    'password: SecretStr = SecretStr("hunter2x")',
    'password: Optional[str] = "hunter2x"',
    'password: str | None = "hunter2x"',
    'x = {"password": SecretStr("hunter2x")}',
]
NOT_IN_PYTHON = [
    'if token == "hello":',
    'def f(self, token: str): """Do it with a token."""',
    'class Token: """A single token"""',
    'x --new-passphrase "new-passphrase"',
    'CLIENT_TOKEN_USAGE: Final = "gen_ai.client.token.usage"',
    'assert token != "O-PER"',
    'x.get("token", "word")',
    'os.environ.get("HF_TOKEN", "")',
    'os.getenv("PASSWORD", None)',
    'os.getenv("TOKEN_TYPE", "bearer")',
    'password = os.getenv("DB_PASSWORD")',
    'password = "$DB_PASSWORD"',
    'password = "$db_password"',
    'password = "$dbPassword"',
    'password = "%s"',
    'password = "%(pw)s" % x',
    'password = "%PASSWORD%"',
    'password = f"{pw}-x2"',
    'password = "your_password"',
    'api_key = "dummy"',
    'password: str = field(default="")',
    'password: str = Field(default=None, description="the password of the db")',
    'parser.add_argument("--token", default="word", help="x2")',
    'parser.add_argument("--api-key", default="", help="x2")',
    'auth=("user", "password")',
    'auth=("me", pw1)',
    'auth = get("a", "b2")',
    'token: str = Field("[PAD]")',
    'user_passes = "two words"',
    'low_pass = "filter2"',
    'db_passed = "x1"',
    'tokens == ["abc1"]',
    'password = getpass("Password: ")',
    'tokens: list[str] = ["abc1"]',
    "password: str",
    'def f(token: Token, user: str = "bob1"): pass',
    'n_tokens: int = 5; name = "abc1"',
]


@pytest.mark.parametrize("line", IN_PYTHON)
def test_a_secret_of_a_program_is_hidden(line: str) -> None:
    shown = redact(f"+{line}\n", diff=True)
    assert HIDDEN in shown
    assert not any(word in shown for word in ("hunter2x", "abc123", "ecretPa55"))
    assert redact(shown, diff=True) == shown


def test_a_docstring_below_a_name_stays() -> None:
    code = 'class Token:\n    """A single token"""\n'
    assert redact(code) == code


@pytest.mark.parametrize("line", NOT_IN_PYTHON)
def test_a_line_of_a_program_without_a_secret_stays(line: str) -> None:
    assert redact(f"+{line}\n", diff=True) == f"+{line}\n"


IN_SCRIPTS = [
    "export API_KEY=abc123def456 # comment",
    "API_KEY=abc123def456; export API_KEY",
    "ENV API_KEY abc123def456",
    "ARG API_KEY=abc123def456",
    "# API_KEY=abc123def456",
    "#API_KEY=abc123def456",
    '{"password":12345678}',
    '{"password": 12345678, "x": 1}',
    '"%env API_KEY=abc123def456\\n",',
    '"%env API_KEY abc123def456\\n",',
    '"!export API_KEY=abc123def456\\n"',
    "IDENTIFIED BY 'hunter2x'",
    "CREATE USER me WITH PASSWORD 'hunter2x';",
    "ALTER USER me PASSWORD 'hunter2x';",
]
NOT_IN_SCRIPTS = [
    "token = tok1  # comment",
    "pad_token_id: 0  # pad",
    "ENV TOKENIZERS_PARALLELISM false",
    "ARG TOKEN",
    "export API_KEY=$KEY1",
    "# TOKEN=1234",
    "# token: the first 2",
    "#   MAX_TOKENS=4096",
    "the env password is 5",
    "set token type2",
    '{"max_tokens":12345678}',
    '{"password_length": 12345}',
    '{"password":null}',
    "IDENTIFIED BY %s",
    "WITH PASSWORD '%s2'",
    "pass",
    "    pass  # x2",
    "export PATH=a1",
    "set key = v2",
    '"env": {"TOKEN": tok1}',
]
IN_SETTINGS = [
    *("db: {user: me, password: hunter2x}", "wandb: {api_key: hunter2x, project: x}", "password: !!str hunter2x"),
    *("password: &pw hunter2x", "pass: hunter2x", "  db_pass: hunter2x", "- name: DB_PASSWORD\n+  value: hunter2x"),
    "- name: DB_PASSWORD\r\n+  value: 'x hunter2x'\r",
]
NOT_IN_SETTINGS = [
    *("pass: 2", "forward_pass: full", "- name: DB_PASSWORD\n  valueFrom: x", "- name: MAX_TOKENS\n  value: 5"),
    *("a: {tokens: 5, max_tokens: 12, token: null}", "a: {password: *pw, api_key: ${X}}", "password: &pw ${X}"),
    *("- name: DB_PASSWORD\n  value: $(X)", "n_pass: 3x", "bypass: b1"),
]


@pytest.mark.parametrize("line", IN_SCRIPTS)
def test_a_secret_of_a_script_is_hidden(line: str) -> None:
    shown = redact(f"@@ -1 +1 @@\n+{line}\n", diff=True)
    assert HIDDEN in shown
    assert not any(word in shown for word in ("hunter2x", "abc123", "12345678"))
    assert redact(shown, diff=True) == shown


@pytest.mark.parametrize("line", NOT_IN_SCRIPTS)
def test_a_line_of_a_script_without_a_secret_stays(line: str) -> None:
    text = f"@@ -1 +1 @@\n+{line}\n"
    assert redact(text, diff=True) == text


@pytest.mark.parametrize("lines", IN_SETTINGS)
def test_a_secret_of_settings_is_hidden(lines: str) -> None:
    text = f"@@ -1 +1 @@\n+{lines}\n"
    shown = redact(text, diff=True, settings=True)
    assert HIDDEN in shown
    assert "hunter2x" not in shown
    assert [(line[:1], line[-1:] == "\r") for line in shown.split("\n")] == [
        (line[:1], line[-1:] == "\r") for line in text.split("\n")
    ]
    assert redact(shown, diff=True, settings=True) == shown


@pytest.mark.parametrize("lines", NOT_IN_SETTINGS)
def test_settings_without_a_secret_stay(lines: str) -> None:
    assert redact(lines, settings=True) == lines


LOOKS = {
    "GitLab's runner": "glrt-" + "a1B2c3D4" * 3,
    "GitLab's deployment": "gldt-" + "a1B2c3D4" * 3,
    "Docker": "dckr_pat_" + "a1B2c3D4" * 3,
    "Shopify": "shpat_" + "0a1b2c3d" * 4,
    "Replicate": "r8_" + "a1B2c3D4" * 5,
    "Groq": "gsk_" + "a1B2c3D4" * 6,
    "xAI": "xai-" + "a1B2c3D4" * 6,
    "Vault": "hvs." + "a1B2c3D4" * 3,
    "Telegram": "123456789:AA" + "a1B2c3D4" * 4,
}


@pytest.mark.parametrize("whose", LOOKS)
def test_a_key_of_a_service_is_known_by_its_look(whose: str) -> None:
    key = LOOKS[whose]
    assert redact(f"# at h/bot{key}/x" if whose == "Telegram" else f"# {key} x").count(HIDDEN) == 1
    assert redact_value("note", key) == HIDDEN
    assert redact_arguments([key]) == [HIDDEN]


def test_an_element_that_is_a_whole_param_hides_its_secret() -> None:
    assert redact_value("x", "<password>hunter2x</password>") == "<password>***</password>"


@pytest.mark.parametrize(
    "name", ["api_key_prod", "password_db", "secret_value", "db.password_test", "client-secret-dev"]
)
def test_a_word_behind_says_where_a_secret_is_for(name: str) -> None:
    assert redact_value(name, "abc123def456") == HIDDEN
    assert redact(f"{name}: abcdef\n", settings=True) == f"{name}: ***\n"


@pytest.mark.parametrize(
    ("name", "value"), [("tokens_test", 4096), ("secret_value", 42), ("token_value", "word"), ("key_value", "a1")]
)
def test_a_word_behind_makes_no_secret(name: str, value: object) -> None:
    assert redact_value(name, value) == value


@pytest.mark.parametrize(
    "line", ['INPUT_TOKENS = "input_tokens"', '"input_tokens": "input_tokens",', 'API_KEY = "api_key"']
)
def test_a_name_that_stands_for_itself_is_no_secret(line: str) -> None:
    assert redact(line) == line


@pytest.mark.parametrize("value", ["***:abcdef9", "a***b:secret1x", "user:***"])
def test_a_login_of_which_something_is_hidden_stays(value: str) -> None:
    assert redact_value("auth", value) == value


SPOKEN_OF = [
    'OUTPUT_TOKEN_KEY = "output_tokens"',
    'AUTHORIZATION_BEARER_PREFIX = "Bearer "',
    'headers = {"Authorization": "Bearer " + token}',
    'headers = {"Authorization": "Bearer %s" % token}',
    'headers = {"Authorization": "Bearer {}".format(token)}',
    'url = f"postgresql://{user}:{password}@{host}/db"',
    'url = "postgresql://%s:%s@%s/db" % x',
    'url = "https://x-access-token:${GITHUB_TOKEN}@github.com/a/b"',
    "# https://user:password@host/db",
    'path = "s3://anonymous@bucket"',
    'PASSWORD_HASHER = "pbkdf2_sha256"',
    'PASSWORD_REGEX = r"^(?=.*[0-9])[a-z]{8,}$"',
    'GRANT_REFRESH_TOKEN = "refresh_token"',
    'ERR_INVALID_TOKEN = "invalid_token"',
    'password_label = "Password (again)"',
    'ERROR_PASSWORD = "The password is wrong"',
    'labels = {"password": "Password 1"}',
    'columns = {"password": "VARCHAR(255)", "token": "TEXT"}',
    'def f(password: "PasswordField" = None): ...',
    '"input_token": "nextMarker",',
    'token.type = "strong_open"',
    'TOKEN_COMMENT_END: "end of comment",',
    'fetch(url, {credentials: "same-origin"})',
    'API_KEY = "your-api-key-here"',
    'api_key = "sk-..."',
]


@pytest.mark.parametrize("line", SPOKEN_OF)
def test_a_text_about_a_secret_stays(line: str) -> None:
    assert redact(f"{line}\n") == f"{line}\n"
    assert redact(f"+{line}\n", diff=True) == f"+{line}\n"


@pytest.mark.parametrize(
    "line",
    [
        'token = "abc123def456"',
        'GITHUB_TOKEN = "abcdefghijklmnopqrst"',
        'password = "correct horse battery"',
        'password = "mypassword12"',
        'url = "postgresql://{user}:hunter2x@{host}/db"',
        'url = "https://0123abcd0123abcd0123abcd:{x}@host/db"',
    ],
)
def test_a_secret_with_words_in_it_is_one(line: str) -> None:
    assert HIDDEN in redact(f"+{line}\n", diff=True)


@pytest.mark.parametrize("value", ["Ab3-dE5fG7hI9j_K1lM3nO", "q8Zt3Kp1Xw9-Rv5Ny7Lb2cD", "_8Zt3Kp1Xw9Rv-5Ny7Lb2cDk0aQ"])
def test_a_key_that_is_safe_in_urls_is_random(value: str) -> None:
    assert looks_secret(f'setting = "{value}"')
    assert redact_arguments([value]) == [HIDDEN]


@pytest.mark.parametrize(
    "name",
    [
        *("ResNet50V2_ImageNet1K_V2", "WideResNet28x10_C100_SGD", "CLIP-ViT-bigG-14-laion2B-39B-b160k"),
        *(
            "PyUnicode_AsUTF8String",
            "nvmlDeviceGetHandleByIndex_v2",
            "Mixtral-8x7B-v0_1-Q5_K_M",
            "run_2024-01-02T03-04-05Z",
        ),
    ],
)
def test_an_identifier_with_signs_is_no_key(name: str) -> None:
    assert redact(f'setting = "{name}"') == f'setting = "{name}"'
    assert redact_arguments([name]) == [name]
