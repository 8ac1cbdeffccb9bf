"""Secrets in code, in scripts and in what is printed of objects: what is one is hidden, and code that only names one stays."""

from __future__ import annotations

import pytest

from trackers.capture.secret import redact_arguments, redact_value


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
