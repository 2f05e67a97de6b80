"""Settings that cannot be: refused by name, with what to do, and without a word of a password."""

from __future__ import annotations

import pytest

from monitor import config


@pytest.mark.parametrize(
    ("name", "value", "need"),
    [
        ("METRICS_BACKEND", "http://user:geheim@vm:8428", "no password in it"),
        ("METRICS_BACKEND", "http://user:ge@heim@vm:8428", "no password in it"),
        ("METRICS_BACKEND", "http://[vm:8428", "Prometheus-compatible"),
        ("ALERTMANAGER_URL", "https://user:geheim@am:9093", "no password in it"),
        ("ALERTMANAGER_URL", "am:9093", "http://host:9093"),
        ("SMTP_URL", "smtp://user:geheim@mail", "no password in it"),
        ("SMTP_URL", "smtp://[mail", "smtp"),
        ("SMTP_URL", "http://mail", "smtp"),
        ("PORT", "70000", "a TCP port"),
    ],
)
def test_what_is_refused(name: str, value: str, need: str) -> None:
    with pytest.raises(config.ConfigError, match=need) as caught:
        config.load({"MOORWATCH_STATE": "/nowhere", f"MOORWATCH_{name}": value})
    assert name.lower() in str(caught.value)
    assert "geheim" not in str(caught.value)
    assert "heim" not in str(caught.value)


def test_addresses_that_are_taken() -> None:
    environ = {
        "MOORWATCH_STATE": "/nowhere",
        "MOORWATCH_SMTP_URL": "smtps://me@mail.example:465",
        "MOORWATCH_ALERTMANAGER_URL": "http://127.0.0.1:9093",
    }
    settings = config.load(environ)
    assert settings.smtp_url == environ["MOORWATCH_SMTP_URL"]
    assert settings.alertmanager_url == environ["MOORWATCH_ALERTMANAGER_URL"]
