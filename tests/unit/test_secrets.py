"""Secrets by name and by look stay out; what only resembles one stays in."""

from __future__ import annotations

import math
import random
from pathlib import Path
from typing import Any

import pytest

import trackers
from trackers.capture.secret import (
    HIDDEN,
    clean_url,
    is_secret_name,
    is_settings_name,
    looks_secret,
    redact,
    redact_arguments,
    redact_value,
)
from trackers.errors import StoreError
from trackers.interop.mlflow.client import first_line, safe
from trackers.recorder import clean_params
from trackers.sql.address import read_address
from trackers.wording import without_credentials, without_password

# Put together here, so that no scanner takes this file for a leak.
KEY = "wJalrXUtnFEMI" + "/K7MDENG/bPxRfiCY" + "zq8Vn2LkEXA"
SECRETS = {
    "the first line of a container's file": ("ENV OPENAI_API_KEY abcd1234efgh5678\nENV X 1", "abcd1234"),
    "a variable behind a tab": ("RUN x\n\tENV MY_API_KEY abcd1234efgh5678", "abcd1234"),
    "a password": ('password = "hunter2"', "hunter2"),
    "a password of a call": ("connect(host, password='correct horse')", "correct horse"),
    "a password that is annotated": ('password: str = "hunter2"', "hunter2"),
    "bytes": ('SECRET_KEY = b"s3cr3t-value"', "s3cr3t-value"),
    "JSON": ('{"client_secret": "s3cr3t-value"}', "s3cr3t-value"),
    "camel case": ('{"clientSecret": "s3cr3t-value", "apiKey": "k-77-value"}', "k-77-value"),
    "the environment in Python": ('os.environ["API_KEY"] = "k-77-value"', "k-77-value"),
    "a shell": ("export AWS_SECRET_ACCESS_KEY=abc/def+ghi", "abc/def+ghi"),
    "a settings file": ("DB_PASSWORD=hunter2", "hunter2"),
    "YAML": ("  password: hunter2", "hunter2"),
    "a line of a diff": ("+GITHUB_TOKEN=abc", "abc"),
    "a URL": ("postgresql+psycopg://ann:pa55@db/x", "pa55"),
    "a URL's user alone": ("https://0123abcd@example.org/x.git", "0123abcd"),
    "a query": ("https://h/p?token=zzz&x=1", "zzz"),
    "a header": ("Authorization: Bearer abcdef0123456789abcd", "abcdef0123456789abcd"),
    "AWS": ("AKIA" + "ABCDEFGHIJKLMNOP", "ABCDEFGH"),
    "AWS's other half": (f'k = "{KEY}"', KEY),
    "GitHub": ("x = ghp_" + "a1B2" * 9, "a1B2"),
    "GitHub, fine-grained": ("github_pat_" + "a1B2_" * 10, "a1B2"),
    "GitLab": ("glpat-" + "a1B2c3" * 4, "a1B2"),
    "Slack": ("xoxb-" + "123456789012-abcdefABCDEF", "123456789012"),
    "Slack's hook": ("https://hooks.slack.com/services/" + "T0000AAAA/B0000BBBB/abcdefgh", "B0000BBBB"),
    "Discord's hook": ("https://discord.com/api/webhooks/" + "1234567890/" + "aB3_dE5-" * 8, "dE5"),
    "a key that encrypts": ('encryption_key = "correct horse battery"', "battery"),
    "a key that signs": ("SIGNING_KEY=hunter2hunter2", "hunter2"),
    "Stripe": ("sk_live_" + "a1B2c3D4" * 3, "a1B2"),
    "OpenAI": ("sk-" + "a1" * 20, "a1a1"),
    "Hugging Face": ("hf_" + "aB3" * 11, "aB3"),
    "Google": ("AIza" + "B" * 35, "BBBB"),
    "a JWT": ("eyJhbGciOiJIUzI1" + ".eyJzdWIiOiIxMjM0NTY3.SflKxwRJSMeKKF2QT4", "SflKxw"),
    "PyPI": ("pypi-AgE" + "IcHlwaS5vcmc" * 6, "IcHlwaS5vcmc"),
    "a random value": ('cookie = "q8Zt3Kp1Xw9Rv5Ny7Lb2"', "q8Zt3Kp1"),
    "a key": ("-----BEGIN RSA PRIVATE KEY-----\nMIIEabc\n-----END RSA PRIVATE KEY-----", "MIIE"),
    "a key of SSH": ("-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNz\n-----END OPENSSH PRIVATE KEY-----", "b3Bl"),
    "a key on one line": (
        '"key": "-----BEGIN PRIVATE KEY-----\\nMIIEabc\\n-----END PRIVATE KEY-----\\n"',
        "MIIE",
    ),
    "a login of curl": ("curl -s -u bob:hunter22 https://example.org", "hunter22"),
    "a login of curl in a list": ('run(["curl", "--user", "bob:hunter22", url])', "hunter22"),
    "a password of mysql": ("mysql -h db -u root -pS3cretPw", "S3cretPw"),
    "a password of sshpass": ("sshpass -p S3cretPw ssh ann@host", "S3cretPw"),
    "a password of docker": ("docker login -u ann -p S3cretPw registry.example.org", "S3cretPw"),
    "a connection": ("cs = 'user=bob;pwd=hunter22;server=x'", "hunter22"),
    "a connection that ends in a password": ('"Server=h;Database=d;Uid=u;Pwd=hunter22"', "hunter22"),
    "a connection with spaces": ('connect("host=h dbname=d password=hunter22")', "hunter22"),
    "XML": ("<password>hunter22</password>", "hunter22"),
    "XML with a prefix": ("<db:clientSecret> hunter22</db:clientSecret>", "hunter22"),
    "a variable of one command": ("PGPASSWORD=hunter2x psql -h db", "hunter2x"),
    "a variable of docker": ("docker run -e DB_PASSWORD='hunter2x' image", "hunter2x"),
    "base64": ('secret_b64 = base64.b64decode("c3VwZXJzZWNyZXQ=")', "c3Vw"),
    "hex": ('cipher_key = bytes.fromhex("00112233445566778899aabbccddeeff")', "0011"),
    "Twilio": ("SK" + "0123456789abcdef" * 2, "0123"),
    "a registry of containers": ('{"auths": {"r.io": {"auth": "Ym9iOmh1bnRlcjIy"}}}', "Ym9i"),
    "a second key on one line": (
        '{"a": "-----BEGIN PRIVATE KEY-----\\nMIIEabc\\n-----END PRIVATE KEY-----\\n", "b": "-----BEGIN PRIVATE KEY-----\\nMHcCxyz\\n'
        '-----END PRIVATE KEY-----\\n"}',
        "MHcC",
    ),
    "a key that begins where another ends": (
        "-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY----- -----BEGIN PRIVATE KEY-----\nMHcCxyz\n-----END PRIVATE KEY-----",
        "MHcC",
    ),
    "a key after one that is cut off": (
        "-----BEGIN PRIVATE KEY-----\nMIIE\n-----BEGIN PRIVATE KEY-----\nMHcCxyz",
        "MHcC",
    ),
    "a key that is not wrapped": (
        "-----BEGIN PRIVATE KEY-----\n" + "MIIEabc/" * 2000 + "\n-----END PRIVATE KEY-----",
        "MIIE",
    ),
    "a long token": ("Authorization: Bearer " + "aB3" * 2000 + "TAIL", "TAIL"),
    "a long JWT": ("x eyJ" + "aB3" * 700 + "." + "aB3" * 900 + ".aB3aB3aB3aTAIL", "TAIL"),
    "a long password": ('password = "' + "aB3" * 400 + 'TAIL"', "TAIL"),
    "a long setting": ("API_KEY=" + "aB3" * 400 + "TAIL", "TAIL"),
    "a long login of curl": ("curl -u bob:" + "aB3" * 400 + "TAIL http://h", "TAIL"),
    "a long password in a URL": ("https://oauth2:" + "aB3" * 400 + "TAIL@h/x", "TAIL"),
    "a quote within a password": (r'password = "hunter\"TAIL2"', "TAIL"),
    "a setting of Windows": ("DB_PASSWORD=hunter2\r\nx=1", "hunter2"),
    "a setting that ends in a space": ("DB_PASSWORD=hunter2 \nx=1", "hunter2"),
    "a cell of a notebook": (r'"password = \"hunter2\"\n",', "hunter2"),
    "JSON in a string": (r'x = "{\"api_key\": \"k-77-value\"}"', "k-77"),
    "a random value in a string": (r'"cookie = \"q8Zt3Kp1Xw9Rv5Ny7Lb2\""', "q8Zt"),
    "a signature of S3": ("https://h/x.csv?v=1&X-Amz-Signature=9f8a7b6c5d4e&x=1", "9f8a"),
    "a signature of Google": ("https://h/x.csv?X-Goog-Signature=9f8a7b6c5d4e", "9f8a"),
    "a token in a query": ("https://h/x?private_token=gl123def", "gl123def"),
    "a client's secret in a query": ('get(f"{u}?client_secret=zzz999abc&v=1")', "zzz999abc"),
    "a subscription": ("https://h/x?subscription-key=zzz999abc", "zzz999abc"),
    "a key that is cut off": ("-----BEGIN EC PRIVATE KEY-----\nMHcCAQEE", "MHcC"),
}
HARMLESS = [
    "token = tokenizer(text)",
    'tokenizer = "bert-base-uncased"',
    'eos_token = "</s>"; pad_token = "[PAD]"',
    "n_tokens = 5",
    "max_tokens=4096",
    "x: int = 3",
    "token: str",
    "password: str | None = None",
    "token=token,",
    'password = "${DB_PASSWORD}"',
    'api_key=os.environ["API_KEY"]',
    "mail ann@example.org",
    'headers = {"Authorization": f"Bearer {token}"}',
    "git@github.com:team/repo.git",
    'commit = "3f786850e387550fdab836ed7e6dc881de23001b"',
    'digest = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"',
    'uid = "0196f6a2-7f4e-7c3a-9d55-1f0e8a6b2c3d"',
    'run = "0196F6A27F4E7C3A9D551F0E8A6B2C3D"',
    '"integrity": "sha512-oPRzbLVwBVHJQ2hsTmBYmJvQeFYnxLfPQ2SvXzZ8Wv9MEw=="',
    'path = "/home/ann/Projects/Vision2026/models/ResNet50"',
    'name = "sklearn.ensemble.RandomForestClassifier"',
    'url = "https://example.org/a/b/c"',
    "sk-learn-is-a-package-with-a-long-name",
    'stamp = "2026-11-24T11:26:17.123456+00:00"',
    "postgresql+psycopg://me@db/hpo",
    "postgresql+psycopg://USER:PASSWORD@HOST/DATABASE",
    'token_pattern = r"(?u)\\b\\w+\\b"',
    'letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"',
    'version = "pytorch-2.5.1-cuda12.4-cudnn9-runtime"',
    "curl -u user:password https://example.org",
    "curl -u $USER:$PASSWORD https://example.org",
    "mysql -u root -p digits",
    "mysql -p$PASSWORD",
    "python train.py -p hunter3",
    "sshpass -p PASSWORD ssh ann@host",
    "user=bob;pwd=${PWD};server=x",
    "connect(host=h, password=p, user=u)",
    "<password>password</password>",
    "<token>word</token>",
    "TOKENIZERS_PARALLELISM=false python train.py",
    "MAX_TOKENS=512 python train.py",
    "# N_TOKEN=5000 python train2.py",
    'donkey = bytes.fromhex("00ff00ff00")',
    'keyboard_icon = b64decode("c3VwZXJzZWNyZXQ=")',
    'TOKENIZER_BYTES = bytes.fromhex("00112233445566778899")',
    "# docker run mysql -p3306:3306",
    "image: mysql command: mkdir -parents",
    "<access_key>required</access_key>",
    'public_key = bytes.fromhex("00112233445566778899aabbccddeeff")',
    'data = base64.b64decode("c3VwZXJzZWNyZXQ=")',
    '{"auth": "basic"}',
    '{"auth": "kerberos"}',
    'credentials = "/etc/creds.json"; private_key = "keys/id.pem"',
    "docker://ubuntu:22.04@sha256:" + "1a" * 32,
    "# it is basic some_function_name_v2(x)",
    "# send an Authorization: Bearer token with each call",
    '"DRIVER=x;SERVER=h;UID=user;PWD=password"',
    "a=1;token=next(tokens)",
    'get(f"{url}?token={token}&sort_key={key}")',
    "https://h/x?max_tokens=512&token_type=word&design=flat&monkey=1&key=lat",
    "-----BEGIN CERTIFICATE-----\nMIIEabc\n-----END CERTIFICATE-----",
    "",
]


@pytest.mark.parametrize("case", SECRETS)
def test_a_secret_is_hidden_and_its_line_stays(case: str) -> None:
    text, secret = SECRETS[case]
    assert secret in text
    shown = redact(text)
    assert secret not in shown
    assert HIDDEN in shown
    assert shown.count("\n") == text.count("\n")
    assert redact(shown) == shown, "redacting twice changes nothing more"
    assert looks_secret(f"import os\n{text}\n")


def test_what_stands_between_keys_stays() -> None:
    key = "-----BEGIN PRIVATE KEY-----\\nMIIE\\n-----END PRIVATE KEY-----"
    assert redact(f'["{key}", "{key}", 3]') == '["***", "***", 3]'
    edges = 'BEGIN = "-----BEGIN PRIVATE KEY-----"\nOTHER = "-----BEGIN EC PRIVATE KEY-----"\nx = 1'
    assert redact(edges) == 'BEGIN = "***\nOTHER = "***\nx = 1'


@pytest.mark.parametrize("case", SECRETS)
def test_a_diff_keeps_its_lines_and_their_marks(case: str) -> None:
    text, secret = SECRETS[case]
    body = text.removeprefix("+")
    diff = "@@ -1 +1,9 @@\n x = 1\n" + "\n".join("+" + line for line in body.split("\n")) + "\n-y = 2\n z = 3"
    shown = redact(diff, diff=True)
    assert secret not in shown
    assert [line[:1] for line in shown.split("\n")] == [line[:1] for line in diff.split("\n")]
    assert shown.endswith("\n-y = 2\n z = 3")
    assert redact(shown, diff=True) == shown


FRAGMENTS = [
    *(
        "password",
        "token",
        "API_KEY",
        "authorization",
        "Authorization: ",
        "Bearer ",
        "basic ",
        "bearer",
        "apikey",
        "key",
    ),
    *(
        "=",
        ": ",
        ":",
        " = ",
        "'",
        '"',
        "hunter2x",
        "***",
        "https://",
        "u:p@",
        "h/",
        "?token=",
        "?sig=",
        "abc123",
        "&",
        ";",
    ),
    *("\n", "\n", "\r\n", "\t", " ", "    ", "{", "}", "[", "]", "(", ")", "\\n", ",", "#", "-", "+", "@@ -1 +1 @@"),
    *("-----BEGIN PRIVATE KEY-----", "-----END PRIVATE KEY-----", "MIIEabc+/=", "AKIA" + "ABCDEFGHIJKLMNOP", KEY),
    *(
        "<password>",
        "</password>",
        "curl -u ",
        "mysql -p",
        "sshpass -p ",
        "uid=a;pwd=",
        "b64decode('",
        "export ",
        "--token ",
    ),
    *(
        "passwords = [",
        "password: |\n",
        '"""',
        "cookie: a=hunter2x",
        "s.login(",
        "setenv ",
        "docker login -p ",
        "f'{x}",
        " or ",
    ),
    *("some_function_name_v2(x)", "resnet50_imagenet_pretrained", '"auth":"Ym9iOmh1bnRlcjIy"'),
]


def random_texts(count: int) -> list[str]:
    """Return texts of what the rules look for, thrown together; the same ones each time."""
    dice = random.Random(29)
    return ["".join(dice.choices(FRAGMENTS, k=dice.randint(2, 9))) for _ in range(count)]


def test_a_diff_keeps_its_lines_and_their_marks_whatever_is_in_it() -> None:
    dice = random.Random(2)
    for text in random_texts(6000):
        diff = "\n".join(dice.choice("+- ") + line for line in text.split("\n"))
        shown = redact(diff, diff=True, settings=True)
        assert [line[:1] for line in shown.split("\n")] == [line[:1] for line in diff.split("\n")], diff


def test_redacting_twice_changes_nothing_more_whatever_it_is() -> None:
    texts = [
        *random_texts(6000),
        'Authorization: "export u:p@"Bearer =',
        "curl -u mysql -p***Authorization: API_KEY=?token=",
        "curl -u &:pwd=https://basic",
    ]
    for text in texts:
        for settings in (False, True):
            shown = redact(text, settings=settings)
            assert redact(shown, settings=settings) == shown, text
        for name in ("note", "token", "credentials"):
            value = redact_value(name, text)
            assert redact_value(name, value) == value, text
        words = redact_arguments(text.split(" "))
        assert redact_arguments(words) == words, text


@pytest.mark.parametrize("text", ["sshpass -p\n+foobar", "mysql digits\n-print(1)", "<password>\n+word</password>"])
def test_a_secret_in_a_diff_does_not_begin_with_the_mark_of_a_line(text: str) -> None:
    assert redact(f"+{text}", diff=True) == f"+{text}"


@pytest.mark.parametrize("text", HARMLESS)
def test_what_only_resembles_a_secret_stays(text: str) -> None:
    assert redact(text) == text
    assert redact("+" + text, diff=True) == "+" + text


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        *((name, True) for name in (".env", "a/.env.local", "prod.env", "k.PEM", "id_rsa", ".netrc", "x/credentials.json", ".ssh/config", "a/.aws/x")),
        *((name, False) for name in (".env.example", "id_rsa.pub", "environment.py", "keys.py", "secrets.py", "token.txt")),
    ],
)  # fmt: skip
def test_files_are_secret_by_their_name(name: str, secret: bool) -> None:
    assert is_secret_name(name) is secret


def test_secrets_leave_the_arguments_of_a_process() -> None:
    assert redact_arguments(["--password=x", "--api-key", "y", "--n", "3", "--lr=0.1"]) == [
        "--password=***", "--api-key", "***", "--n", "3", "--lr=0.1",
    ]  # fmt: skip
    told = redact_arguments(
        [
            *("--wandb-key", "0123456789abcdef0123456789abcdef01234567", "--pass", "hunter2", "--auth=ann:pa55"),
            *("--sort-key", "name", "--key", "age", "--auth", "none", "--bypass", "cache", "--pass=x"),
        ]
    )
    assert told == [
        *("--wandb-key", "***", "--pass", "***", "--auth=***"),
        *("--sort-key", "name", "--key", "age", "--auth", "none", "--bypass", "cache", "--pass=***"),
    ]
    assert redact_arguments([KEY, f"--k={KEY}", "db=postgresql://u:pw@h/d"]) == [
        "***",
        "--k=***",
        "db=postgresql://***@h/d",
    ]
    assert redact_arguments(
        [
            *("--db", "postgresql://bob:Hunter2pw99@db/x?sslmode=require", "https://h/x?token=abcdef123&a=1"),
            *("s3://b?X-Amz-Signature=abc&v=1", "+wandb.api_key=abc", "--password", "-hunter2"),
            "d=s3://b/x?versionId=3",
        ]
    ) == [
        *("--db", "postgresql://***@db/x?sslmode=require", "https://h/x?token=***&a=1"),
        *("s3://b?X-Amz-Signature=***&v=1", "+wandb.api_key=***", "--password", "***"),
        "d=s3://b/x?versionId=3",
    ]
    kept = ["3f786850e387550fdab836ed7e6dc881de23001b", "--max-tokens", "512", "data/Train2026.csv", "study.py:digits"]
    assert redact_arguments(kept)[0] == kept[0]
    assert redact_arguments(kept)[2:] == kept[2:]
    assert clean_url("git@github.com:team/repo.git") == "git@github.com:team/repo.git"
    assert clean_url("https://token@github.com/a/b?token=x#y") == "https://github.com/a/b"


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        (["--dsn", "host=h password=hunter2 user=u"], ["--dsn", "host=h password=*** user=u"]),
        (["--db=Server=h;Uid=u;Pwd=xyz;"], ["--db=Server=h;Uid=u;Pwd=***;"]),
        (["--dbpass", "x", "--pw", "y", "--bearer", "z"], ["--dbpass", "***", "--pw", "***", "--bearer", "***"]),
        (["-u", "me:pw", "--user", "me:pw"], ["-u", "***", "--user", "***"]),
        (["/password:hunter2"], ["/password:***"]),
        (["--auth", "hunter", "--auth=hunter"], ["--auth", "***", "--auth=***"]),
        (["--auth", "basic", "--auth=none"], ["--auth", "basic", "--auth=none"]),
        (["-H", "Authorization: Bearer abc"], ["-H", "Authorization: Bearer ***"]),
        (["--header=Authorization: Basic dXNlcjpw"], ["--header=Authorization: Basic ***"]),
        (["--lowpass", "3", "--bypass", "all"], ["--lowpass", "3", "--bypass", "all"]),
        (["sshpass", "-p", "hunter3", "ssh", "-p", "22"], ["sshpass", "-p", "***", "ssh", "-p", "22"]),
        (["/usr/bin/mysql", "-phunter3", "-p", "digits"], ["/usr/bin/mysql", "-p***", "-p", "digits"]),
        (["-p", "hunter3", "train.py", "-p", "3"], ["-p", "hunter3", "train.py", "-p", "3"]),
        (["mysql -phunter3 digits"], ["mysql -p*** digits"]),
        (["train.py", "--backend", "mysql", "-plot"], ["train.py", "--backend", "mysql", "-plot"]),
        (["--user", "alice", "-u", "http://host"], ["--user", "alice", "-u", "http://host"]),
        (["--dsn=password=" + "aB3" * 400 + " user=u"], ["--dsn=password=*** user=u"]),
        (["x?private_token=gl123def"], ["x?private_token=***"]),
        (
            ["--private-key", "./key1.pem", "--credentials=gs://b/c1.json"],
            ["--private-key", "./key1.pem", "--credentials=gs://b/c1.json"],
        ),
        (
            ["--private-key", "gs://u:pw@b/c1.json", "--private-key=MIIEab12"],
            ["--private-key", "***", "--private-key=***"],
        ),
        (["--login", "12:30", "--login", "bob:pw"], ["--login", "12:30", "--login", "***"]),
    ],
)
def test_passwords_go_by_many_names(given: list[str], shown: list[str]) -> None:
    assert redact_arguments(given) == shown


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("api_key", "sk-abc12345", HIDDEN),
        ("db.password", "correcthorse", HIDDEN),
        ("model/clientSecret", "abc", HIDDEN),
        ("api_key_2", "abc", HIDDEN),
        ("token", "a1b2c3", HIDDEN),
        ("db_pass", "hunter2", HIDDEN),
        ("login", "bob:hunter2", HIDDEN),
        ("url", "postgresql://bob:hunter2@db/x", "postgresql://***@db/x"),
        ("source", "https://h/p?token=zzz&x=1", "https://h/p?token=***&x=1"),
        ("model", "ghp_" + "a1B2" * 9, HIDDEN),
        ("db", {"password": "abc", "host": "h"}, {"password": HIDDEN, "host": "h"}),
        ("api_keys", ["abc", {"openai": "def"}], [HIDDEN, {"openai": HIDDEN}]),
        *((name, "2024Summer", HIDDEN) for name in ("db_password", "dbpass", "pw", "secret", "my.api_key", "bearer")),
        ("password", "12345678", HIDDEN),
        ("pass", "hunter2!x", HIDDEN),
        ("env", {"DB_PASSWORD": "1qazxsw"}, {"DB_PASSWORD": HIDDEN}),
        ("telegram_token", "110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw", HIDDEN),
        ("access_token", "Bearer 8f3b2c1d9e77", HIDDEN),
        ("github_token", "x9y8", HIDDEN),
        ("auth", "bob:hunter2", HIDDEN),
        ("user", "bob:hunter2", HIDDEN),
        ("wandb_key", "0123456789abcdef0123456789abcdef01234567", HIDDEN),
        ("model", "sk-" + "a1b2c3d4" * 4, HIDDEN),
        ("dsn", "https://" + "0a1b" * 8 + "@sentry.io/1", "https://***@sentry.io/1"),
        ("url", "postgresql://u:p@ssw0rd@host/db", "postgresql://***@host/db"),
        ("headers", "Authorization: Bearer abcdef", "Authorization: Bearer ***"),
        ("command", "train.py --api-key abc12 --lr 0.1", "train.py --api-key *** --lr 0.1"),
        ("command", "x --db_password='hunter2' -v", "x --db_password='***' -v"),
        ("command", "curl -u bob:hunter2 http://h", "curl -u bob:*** http://h"),
        ("db", "Server=h;Uid=bob;Pwd=hunter2;", "Server=h;Uid=bob;Pwd=***;"),
        *((name, "eyJ" + "aB3" * 900, HIDDEN) for name in ("access_token", "token", "api_token")),
        ("Authorization", "Bearer " + "aB3" * 2000, HIDDEN),
        ("wandb_key", "aB3" * 1000, HIDDEN),
        ("data", "https://h/x?X-Amz-Signature=9f8a7b6c5d4e&v=1", "https://h/x?X-Amz-Signature=***&v=1"),
        ("data", "x?private_token=gl123def", "x?private_token=***"),
        *((name, 81927364, HIDDEN) for name in ("password", "db.password", "api_key", "secret", "passwords")),
        ("pin_password", 1234.5, HIDDEN),
        ("db", {"password": 81927364, "port": 5432}, {"password": HIDDEN, "port": 5432}),
        ("passwords", [81927364], [HIDDEN]),
        ("cfg", '{"password":"hunter2x","n":1}', '{"password":"***","n":1}'),
        ("cfg", '{"password": "hunter"}', '{"password": "***"}'),
        ("cfg", '{"password":81927364,"n":1}', '{"password":***,"n":1}'),
        ("cfg", r'"{\"password\": \"hunter2x\"}"', r'"{\"password\": \"***\"}"'),
        ("cfg", "{password: 81927364}", "{password: ***}"),
        ("x", "password = hunter2x", "password = ***"),
        ("x", "password:hunter2x", "password:***"),
        ("x", "password: correcthorse", "password: ***"),
        ("x", "'password' => 'hunter2x'", "'password' => '***'"),
        ("x", "Bearer 9f8a7b6c5d4e3f2a1b0c", "Bearer ***"),
        ("x", "train --wandb-key 0123456789abcdef0123456789abcdef01234567 -v", "train --wandb-key *** -v"),
        ("x", "db_pass=hunter2x1 --login bob:hunter2x", "db_pass=*** --login ***"),
        ("x", 'password="hunter2 xyz" user=u', 'password="***" user=u'),
        ("x", "host=h password='hun ter2x' user=u", "host=h password='***' user=u"),
        ("x", "password='hunter2;xyz;'", "password='***'"),
        ("x", r'password="hun\"ter2x" n=1', 'password="***" n=1'),
        *(("x", f"password=hunt{sign}er2xyz", "password=***") for sign in ",;&"),
        *(("x", f"password={sign}hunter2x", "password=***") for sign in "/.~-"),
        ("x", "a=1&password=hunter2&b=2", "a=1&password=***&b=2"),
        ("cmd", ["mysql", "-phunter2x"], ["mysql", "-p***"]),
        ("cmd", ["sshpass", "-p", "hunter2x", "ssh"], ["sshpass", "-p", "***", "ssh"]),
        ("cmd", ["--wandb-key", "0123456789abcdef0123456789abcdef01234567"], ["--wandb-key", "***"]),
        ("cmd", ["--password", 81927364, "--n", 3], ["--password", "***", "--n", 3]),
    ],
)
def test_a_secret_is_hidden_in_a_param(name: str, value: object, shown: object) -> None:
    assert redact_value(name, value) == shown
    assert redact_value(name, shown) == shown


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("max_tokens", "4k"), ("tokens", "4096"), ("token", "word"), ("tokenizer", "bert-base-uncased"), ("token", 7)),
        *(("pad_token", "[PAD]"), ("image_token", "<image>"), ("token_pattern", r"(?u)\b\w\w+\b"), ("token_type", "bearer")),
        *(("key", "age"), ("sort_key", "name"), ("forward_pass", "full"), ("lowpass", "3 Hz"), ("user", "bob"), ("auth", "none")),
        *(("api_key", None), ("api_key", ""), ("password", "${DB_PASSWORD}"), ("password", True), ("secret", 3.5)),
        ("run", "q8Zt3Kp1Xw9Rv5Ny7Lb2"),
        *(("train_tokens", "2T"), ("tokens", "1e9"), ("tokens", "300 billion"), ("context_tokens", "4k-8k"), ("token", "##ing")),
        *(("target_token", "__de__"), ("low_pass", "10Hz"), ("first_pass", "greedy-2opt"), ("private_keys", "3"), ("secret", "no")),
        *(("cookie", "v1"), ("user", "domain:alice"), ("join_key", "user_id_and_day_v2"), ("model", "sk-resnet50-imagenet-v2-final")),
        *(("data", "abfss://training@storage2024.dfs.core.windows.net/d"), ("query", "SELECT 1;key=5"), ("git", "ssh://user12345@h1/x")),
        *(("command", "x --max-tokens 4096 --pad-token word"), ("command", "x --api-key $KEY --private-key ~/.ssh/id --password")),
        *(("tokens", "wikitext-103"), ("train_tokens", "c4-en-10B"), ("class_token", "avgpool2d"), ("lang_token", "zh2en_XX")),
        *(("token", "extra_id_0"), ("pwd", "/home/ann/project"), ("account_key", "customer_id"), ("pass", "2")),
        *(("secret", "0"), ("secret", 42), ("password", 0), ("max_tokens", 81927364), ("access_token", 81927364)),
        *(("account_key", 81927364), ("private_keys", 3), ("tokens", [81927364]), ("password_length", 81927364)),
        *(("private_key", "path/to/key.pem"), ("private_key", "~/.ssh/id_rsa"), ("private_key", "C:\\keys\\id.pem")),
        *(("credentials", "default"), ("credentials", "/etc/creds.json"), ("credentials", "gs://b/c.json")),
        *(("passwords", "rockyou.txt"), ("passwords", "10000"), ("login", "12:30"), ("user_token", "user1"), ("app_token", "v1.2.3")),
        *(("config", {"credentials": {"provider": "vault2"}}), ("config", {"passwords": {"min_length": "12 chars"}})),
        *(("url", "https://maps/?key=lat"), ("command", "x --credentials creds1.json --token"), ("layers", ["-1", "2"])),
        *(("arn", "arn:aws:secretsmanager:eu:1:secret:prod/db-A1b2C3"), ("x", "password=?"), ("x", "if password == expected1:")),
        *(("code", "password = get_password()"), ("code", "credentials: bool"), ("doc", "the password: see vault, or ask")),
        *(("container", "docker://ubuntu:22.04@sha256:11aa"), ("cache_key", "d41d8cd98f00b204e9800998ecf8427e"), ("user", "h:8080")),
        *(("note", "no authorization, basic checks"), ("command", "x --secret 5 --access-key none --password-file a.txt")),
    ],
)  # fmt: skip
def test_what_only_resembles_a_secret_stays_in_a_param(name: str, value: object) -> None:
    assert redact_value(name, value) == value


SETTINGS = [
    "private_key: MIIE/aB3aB3aB3aB3aB3aB3/word\r",
    "password=correcthorse",
    "password: correcthorse",
    "  db.password = correct horse battery",
    "token=SECRETTOML",
    "- api_key: plainword",
    "'client_secret': plainword",
    "password=pa$$word\r",
    "+password: correcthorse",
]
NO_SECRET_SETTINGS = [
    "credentials: /etc/creds.json",
    "private_key: ~/.ssh/id_rsa",
    "password: ${DB_PASSWORD}",
    "password = %(pass)s",
    "token: null",
    "tokenizer: wordpiece",
    "token_type: bearer",
    "pad_token: pad",
    "secrets: [a, b]",
    "password:",
    "password: *anchor",
    "api_key: <your key>",
    "password: changeme",
]


@pytest.mark.parametrize("line", SETTINGS)
def test_in_a_settings_file_a_word_is_a_secret_too(line: str) -> None:
    text = f"[a]\nx = 1\n{line}\ny = 2\n"
    shown = redact(text, settings=True)
    assert HIDDEN in shown
    assert not any(word in shown for word in ("horse", "SECRETTOML", "plainword", "word\r"))
    assert shown.split("\n")[1::2] == ["x = 1", "y = 2"]
    assert redact(shown, settings=True) == shown


@pytest.mark.parametrize("line", NO_SECRET_SETTINGS)
def test_what_is_no_value_of_its_own_stays_in_a_settings_file(line: str) -> None:
    assert redact(f"{line}\n", settings=True) == f"{line}\n"


@pytest.mark.parametrize(
    ("name", "holds"),
    [("a/settings.YAML", True), ("x.ini", True), ("pyproject.toml", True), ("train.py", False), ("yaml", False)],
)
def test_settings_files_are_known_by_their_name(name: str, holds: bool) -> None:
    assert is_settings_name(name) is holds


def test_a_password_may_hold_what_ends_it() -> None:
    assert clean_url("https://user:p@ss@host/x.git") == "https://host/x.git"
    assert redact("at https://user:p@ss@host/x") == "at https://***@host/x"


@pytest.mark.parametrize("password", ["plain", "p@ss", "a/b", "a/b@c:d", "%2F", "@", "1/2"])
def test_a_password_in_a_url_is_never_shown_whatever_it_holds(password: str) -> None:
    url = f"postgresql+psycopg://u:{password}@db.example:5432/studies?sslmode=require"
    assert without_password(url) == "postgresql+psycopg://u:***@db.example:5432/studies?sslmode=require"
    assert without_credentials(f"https://u:{password}@host/x.git") == "https://host/x.git"
    assert clean_url(f"https://u:{password}@host/x.git") == "https://host/x.git"
    assert safe(f"http://u:{password}@host:5000") == "http://host:5000"
    assert password not in first_line(ValueError(f"cannot reach http://u:{password}@host:5000 now")).replace("//", "")
    with pytest.raises(StoreError) as caught:
        read_address(f"http://u:{password}@host:5000")
    assert f"{password}@host" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["sqlite:////data/a@b.db", "postgresql://db:5432/x", "s3://bucket/team:a@b", "s3://b/k"]
)
def test_a_url_without_a_password_is_shown_as_it_is(url: str) -> None:
    assert (without_password(url), without_credentials(url)) == (url, url)


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "piece",
    [
        "a",
        "a://",
        "eyJaaaaaaaaaaaa",
        "token='",
        "-",
        "secret",
        "sk-",
        "@",
        "://a",
        "password=",
        "a@",
        "authorization: ",
        "password:x\n",
        "curl -u a:",
        "mysql -",
        "docker login ",
        "user=a;",
        "server=a pwd=",
        "<password>a",
        "key = b64decode(",
        "A_PASSWORD=",
        "PASSWORD",
        '"auth":"a',
        "-eyJ",
        "?a",
        "+A_PASSWORD=",
        "bearer a",
        "authorization: bearer a",
        "-----BEGIN PRIVATE KEY-----",
        "-----END PRIVATE KEY-----",
    ],
)
def test_a_hostile_megabyte_is_searched_in_linear_time(piece: str) -> None:
    redact(piece * (300_000 // len(piece)), settings=True)


@pytest.mark.parametrize(
    "text",
    [
        "mysql -u root -pletmein app < dump.sql",
        'subprocess.run(["mysql","-uroot","-phunter"])',
        "mysql -uroot -p20241 app",
        "PGPASSWORD=20240101 psql -h db",
        "DB_PASSWORD=123456 ./run.sh",
        'dbPassword = base64.b64decode("aHVudGVyMmh1bnRlcjI=")',
        'apiKey = b64decode("aHVudGVyMmh1bnRlcjI=")',
        'NEPTUNE_API_TOKEN = "abcd1234efgh5678"',
    ],
)
def test_a_password_of_lower_case_or_digits_is_one(text: str) -> None:
    assert looks_secret(text)
    assert redact_arguments(["sshpass", "-phunter", "ssh", "h"]) == ["sshpass", "-p***", "ssh", "h"]


@pytest.mark.parametrize(
    "text",
    [
        'primary_key = bytes.fromhex("aabbccddeeff")',
        'token_name = "identifier"',
        'api_key_env = "OPENAI_API_KEY"',
        "MAX_TOKEN=4096 python x",
        "docker run mysql -p3306:3306 x",
        'monkey = bytes.fromhex("aabbccddeeff")',
    ],
)
def test_what_is_about_a_secret_is_none(text: str) -> None:
    assert not looks_secret(text)


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "piece",
    [
        "-eyJ",
        "eyJaaaaaaaaaaa.",
        "token='",
        "password=",
        "a=",
        "user:",
        "password=a,",
        "pwd=a&",
        "--token '",
        "_",
        "password: a ",
        "--secret ",
        "--a",
        "authorization: basic ",
        "--" + "-password" * 4,
        "pwd=a;",
    ],
)
def test_a_hostile_param_is_searched_in_linear_time(piece: str) -> None:
    redact_value("command", piece * (300_000 // len(piece)))


@pytest.mark.timeout(20)
@pytest.mark.parametrize("word", ["-" * 300_000 + "!", "http://h/?" + "key" * 100_000, "?" + "&key=" * 60_000])
def test_a_hostile_argument_is_searched_in_linear_time(word: str) -> None:
    redact_arguments([word])


def test_a_param_that_is_no_number_is_told_of_nothing(caplog: pytest.LogCaptureFixture) -> None:
    clean_params({"loss": math.nan, "all": [math.nan, 1.0]})
    assert not caplog.records


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("x", {"headers": {"Authorization": "Basic dXNlcjpwYXNzd29yZA=="}}),
        ("h", {"Authorization": "Bearer opaquetokenvalue"}),
        ("overrides", ["+wandb.api_key=0123456789abcdef0123", "lr=1"]),
        ("cmd", ["train", "--password", "hunter2"]),
        ("cmd", ["--api-key=abcdef12", "x"]),
        ("cfg", '{"api_key": "abcdef12345"}'),
        ("cfg", "api_key: abc1234567\nlr: 1"),
        ("az", "DefaultEndpointsProtocol=https;AccountName=a;AccountKey=" + "aB3+" * 22 + ";EndpointSuffix=x"),
        ("c", "run --hf-token X1Y2Z3ab --lr 1"),
        ("c", "run --token abc123def456"),
        ("c", "x api_key=Xyz12345 y"),
        ("c", "export HF_TOKEN=abc123xyz; python t.py"),
        ("m", {"tokens": {"github": "abcd1234efgh5678"}}),
        ("HUGGING_FACE_HUB_TOKEN", "abcd1234efgh5678"),
        ("npm_token", "abc123def"),
        ("notion_token", "abc123def"),
        ("netlify_auth_token", "abc123def"),
        ("minio_token", "abcd1234efgh5678"),
    ],
)
def test_a_secret_within_a_param_is_hidden(name: str, value: Any) -> None:
    shown = redact_value(name, value)
    assert HIDDEN in str(shown)
    assert redact_value(name, shown) == shown


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("s3_key", "datasets/imagenet2012/train.tar"),
        ("db_key", "imagenet_lmdb_train_000001_abc"),
        ("user_token", "USER:"),
        ("bot_token", "<|im_start|>assistant"),
        ("bot_token", "### Assistant:"),
        ("github_tokens", "59B"),
        ("user_tokens", "1,024,000"),
        ("pw", "3x3"),
        ("multi_pass", "2x"),
        ("user", "model:gpt-4"),
        ("user", "ubuntu:22.04"),
        ("rerank_pass", "monot5-3b"),
        ("api_key", "EMPTY"),
        ("api_key", "OPENAI_API_KEY"),
        ("desc", "authorization: token classification with BERT"),
        ("c", "--max-new-tokens 128 --pad-token-id 0 --tokenizer bert"),
        ("c", "key=value; token=word"),
        ("q", "SELECT key=5"),
        ("max_new_tokens", "128"),
        ("n_tokens", "4k"),
        ("ntokens", "4k"),
        ("c", "tokens: 59B, lr: 1e-3"),
        ("desc", "password: see vault"),
        ("c", "secret=yes --token word"),
        ("hash", "sha256:abcdef0123"),
        ("c", "num_tokens=1024000 total_tokens=3e9"),
        ("eos_token", "</s>"),
        ("c", "--eos-token '<|end|>' --bos_token=<s>"),
    ],
)
def test_what_models_and_data_have_for_tokens_and_keys_stays(name: str, value: str) -> None:
    assert redact_value(name, value) == value


def test_tags_of_studies_models_and_versions_hide_secrets(tmp_path: Path) -> None:
    with trackers.connect(tmp_path / "hpo.db") as store:
        tags = {"db_password": "hunter2", "team": "blue"}
        store.create_study("st", directions=["minimize"], metric_names=["v"], tags=tags)
        shown = {"db_password": HIDDEN, "team": "blue"}
        assert dict(store.get_experiment("st").tags) == shown
        store.registry.create("m")
        for key, value in tags.items():
            store.registry.set_tag("m", key, value)
        assert dict(store.registry.get("m").tags) == shown


def test_what_was_hidden_before_is_no_other_value(tmp_path: Path) -> None:
    with trackers.connect(tmp_path / "hpo.db") as store:
        run = store.start_run("e", params={"password": "hunter2", "cookie": HIDDEN})
        run.flush()
        again = store.resume_run(run.uid)
        again.log_params({"password": "hunter2", "cookie": "v1.2-abc"})
        again.end()
        assert dict(store.get_run(run.uid).params) == {"password": HIDDEN, "cookie": HIDDEN}
