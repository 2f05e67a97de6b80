"""What each process shows is what exporters/names.py says: control plane and agent may not read it at run time."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from exporters import names
from exporters.form import Form
from monitor.agent.metrics import AgentMetrics
from monitor.clock import FixedClock
from monitor.instrument import ControlMetrics
from monitor.model.arn import Scope
from monitor.model.state import State

TEXT = Form()


def family_name(family: Metric) -> str:
    return f"{family.name}_total" if family.type == "counter" else family.name


def is_ours(family: Metric) -> bool:
    """Not a `_created` series of the text format, and not what prometheus_client tells of the process itself."""
    return not family.name.endswith("_created") and not family.name.startswith("process_")


def shown(families: Iterable[Metric]) -> dict[str, tuple[str, str]]:
    return {family_name(f): (f.type, f.documentation) for f in families if is_ours(f)}


def meant(*sources: str) -> dict[str, tuple[str, str]]:
    return {m.name: (m.kind, m.help) for m in names.every() if m.source in sources}


def of_control() -> list[Metric]:
    return list(
        ControlMetrics(State(), Scope("000000000001", "us-east-1"), FixedClock().now).registry.collect()
    )


async def of_agent() -> list[Metric]:
    answer = await AgentMetrics(FixedClock()).exposition(TEXT)
    return list(text_string_to_metric_families(answer.body.decode()))


def test_control_plane() -> None:
    assert shown(of_control()) == meant("control")


async def test_agent() -> None:
    assert shown(await of_agent()) == meant("exporter", "agent")


async def test_the_table_names_the_labels_of_each_metric() -> None:
    """Label names, as far as an idle process shows series."""
    table = {m.name: set(m.labels) for m in names.every()}
    compared = set()
    for family in filter(is_ours, [*of_control(), *await of_agent()]):
        for sample in family.samples:
            if not sample.name.endswith("_created"):
                assert set(sample.labels) - {"le"} == table[family_name(family)], sample.name
                compared.add(family_name(family))
    assert {"ecs_agent_connected", "ecs_events_total", "ecs_host_cpu_seconds_total"} <= compared
