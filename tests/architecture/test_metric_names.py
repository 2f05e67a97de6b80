"""What each process shows is what exporters/names.py says: control plane and agent may not read it at run time."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from exporters import names
from monitor.agent.metrics import AgentMetrics
from monitor.clock import FixedClock
from monitor.instrument import ControlMetrics
from monitor.model.arn import Scope
from monitor.model.state import State


def shown(families: Iterable[Metric]) -> dict[str, tuple[str, str]]:
    return {f"{f.name}_total" if f.type == "counter" else f.name: (f.type, f.documentation) for f in families}


def meant(*sources: str) -> dict[str, tuple[str, str]]:
    return {m.name: (m.kind, m.help) for m in names.every() if m.source in sources}


def test_control_plane() -> None:
    metrics = ControlMetrics(State(), Scope("000000000001", "us-east-1"))
    assert shown(metrics.registry.collect()) == meant("control")


def test_agent() -> None:
    text = AgentMetrics(FixedClock()).exposition().decode()
    families = {f.name: f for f in text_string_to_metric_families(text) if not f.name.endswith("_created")}
    assert shown(families.values()) == meant("exporter", "agent")


@pytest.mark.parametrize("sources", [("control",), ("exporter", "agent")])
def test_the_table_names_the_labels_of_each_metric(sources: tuple[str, ...]) -> None:
    """Label names, as far as an idle process shows series."""
    if sources == ("control",):
        registry = ControlMetrics(State(), Scope("000000000001", "us-east-1")).registry
        families = list(registry.collect())
    else:
        families = list(text_string_to_metric_families(AgentMetrics(FixedClock()).exposition().decode()))
    table = {m.name: set(m.labels) for m in names.every()}
    compared = 0
    for family in families:
        name = f"{family.name}_total" if family.type == "counter" else family.name
        for sample in family.samples:
            if not sample.name.endswith("_created"):
                assert set(sample.labels) - {"le"} == table[name], sample.name
                compared += 1
    assert compared
