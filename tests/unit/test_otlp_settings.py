"""Which variables turn OTLP on, and what is said of a collector that does not answer."""

from __future__ import annotations

import logging

import pytest

from exporters import otlp, otlp_settings, otlp_traces
from exporters.exporter import Exporter
from exporters.otlp_settings import Losses

HERE = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}


@pytest.mark.parametrize(
    ("environ", "traces", "metrics"),
    [
        ({}, None, None),
        (HERE, "http/protobuf", "http/protobuf"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": " "}, None, None),
        ({**HERE, "OTEL_SDK_DISABLED": "TRUE"}, None, None),
        ({**HERE, "OTEL_SDK_DISABLED": "no"}, "http/protobuf", "http/protobuf"),
        ({**HERE, "OTEL_TRACES_EXPORTER": "none"}, None, "http/protobuf"),
        ({**HERE, "OTEL_METRICS_EXPORTER": "none"}, "http/protobuf", None),
        ({"OTEL_METRICS_EXPORTER": "otlp"}, None, "http/protobuf"),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://x/v1/traces"}, "http/protobuf", None),
        ({**HERE, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "grpc", "grpc"),
        (
            {
                **HERE,
                "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
                "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL": "http/protobuf",
            },
            "grpc",
            "http/protobuf",
        ),
    ],
)
def test_what_is_sent_and_how(environ: dict[str, str], traces: str | None, metrics: str | None) -> None:
    assert otlp_settings.protocol(environ, "traces") == traces
    assert otlp_settings.protocol(environ, "metrics") == metrics


def test_what_is_not_known_is_said(caplog: pytest.LogCaptureFixture) -> None:
    assert otlp_settings.protocol({**HERE, "OTEL_TRACES_EXPORTER": "zipkin"}, "traces") is None
    assert "zipkin" in caplog.text
    told = {**HERE, "OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"}
    assert otlp_settings.protocol(told, "metrics") == "http/protobuf"
    assert "http/json" in caplog.text
    packed = {
        **HERE,
        "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip",
        "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION": "rar",
    }
    assert otlp_settings.protocol(packed, "traces") is None
    assert otlp_settings.protocol(packed, "metrics") == "http/protobuf"
    assert "rar" in caplog.text


def test_a_variable_that_the_sdk_cannot_read_costs_only_the_telemetry(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = {**HERE, "OTEL_EXPORTER_OTLP_TIMEOUT": "soon", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    assert otlp_traces.span_processor(told) is None
    assert otlp.start(Exporter(), told, "agent") is None
    assert [r.levelname for r in caplog.records] == ["ERROR", "ERROR"]


@pytest.mark.parametrize(
    ("text", "seconds"), [("", 60.0), ("500", 0.5), ("0", 60.0), ("soon", 60.0), ("nan", 60.0)]
)
def test_an_interval(text: str, seconds: float) -> None:
    assert otlp_settings.milliseconds({"I": text}, "I", 60.0) == seconds


def test_losses_are_counted_and_said_once_until_it_works_again(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "moorwatch.otlp")
    losses = Losses("spans", lambda: "connection refused")
    losses.went_well()
    for count in (3, 4):
        losses.failed(count)
    assert losses.dropped == 7
    assert [r.levelname for r in caplog.records] == ["WARNING"]
    assert "connection refused" in caplog.text
    losses.went_well()
    losses.went_well()
    losses.failed(1)
    assert [r.levelname for r in caplog.records] == ["WARNING", "INFO", "WARNING"]
    assert losses.dropped == 8


def test_what_works_now_and_then_is_not_said_to_work() -> None:
    losses = Losses("spans", calm=2)
    losses.failed(1)
    losses.went_well()
    losses.failed(1)
    losses.went_well()
    assert losses._is_failing
    losses.went_well()
    assert not losses._is_failing


@pytest.mark.parametrize(
    ("text", "number"), [("", 7), ("9", 9), ("0", 7), ("-1", 7), ("many", 7), ("9" * 99, 7)]
)
def test_a_number(text: str, number: int) -> None:
    assert otlp_settings.count({"N": text}, "N", 7) == number
