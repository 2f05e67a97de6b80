"""OTLP's names against the one table of names."""

from __future__ import annotations

import pytest
from opentelemetry.semconv._incubating.metrics import container_metrics

from exporters import names, otlp_names
from exporters.names import Metric

CONVENTIONAL = {value for key, value in vars(container_metrics).items() if key.startswith("CONTAINER_")}
SENT = [m for m in names.every() if m.source == "exporter" and m.kind != "histogram" and m is not names.INFO]


@pytest.mark.parametrize("metric", SENT, ids=lambda m: m.name)
def test_a_name_is_the_conventions_or_comes_back_as_ours(metric: Metric) -> None:
    found = otlp_names.instrument(metric).instrument
    if found.name in CONVENTIONAL:
        return
    assert found.name.startswith("ecs.")
    assert otlp_names.prometheus_name(found) == metric.name


def test_every_convention_is_about_a_metric_that_exists() -> None:
    known = {m.name for m in names.every()}
    assert set(otlp_names._CONVENTIONS) <= known
    assert {name for name, *_ in otlp_names._CONVENTIONS.values()} <= CONVENTIONAL


def test_no_two_values_of_a_container_are_one_series() -> None:
    every = (*otlp_names.SAMPLE, *otlp_names.NETWORK, *otlp_names.IDENTITY)
    assert len({(c.instrument.name, c.attributes) for c in every}) == len(every)


def test_an_instrument_is_the_same_wherever_it_is_told() -> None:
    found: dict[str, otlp_names.Instrument] = {}
    for metric in SENT:
        one = otlp_names.instrument(metric).instrument
        assert found.setdefault(one.name, one) == one
