"""The exposition, read back with prometheus_client's parser."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from prometheus_client.parser import text_string_to_metric_families

from exporters import names
from exporters.exporter import Exporter
from exporters.render import CONTENT_TYPE, exposition, render
from exporters.sample import ContainerIdentity, Interface, RuntimeEvent, Sample
from exporters.tracked import Reader

ECS = "com.amazonaws.ecs."
Key = tuple[str, tuple[tuple[str, str], ...]]
SAMPLE = Sample(
    at=5.0,
    container_id="a",
    cpu_seconds=1.25,
    cpu_periods=3,
    memory_usage_bytes=123_456_789_012,
    memory_limit_bytes=0,
    oom_kills=0,
    io_stalled_seconds=1e-06,
    network=(Interface("eth0", 1, 2, 3, 4, 5, 6, 7, 8), Interface("eth1", 9, 0, 0, 0, 10, 0, 0, 0)),
)
LABELS = {
    "cluster": "default",
    "service": "web",
    "family": "fam",
    "revision": "3",
    "task": "t1",
    "container": "app",
}
GROUP = {name: LABELS[name] for name in names.GROUP_LABELS}


def who(container_id: str = "a", **more: object) -> ContainerIdentity:
    labels = {
        f"{ECS}cluster": "default",
        f"{ECS}container-name": "app",
        f"{ECS}task-arn": "arn:aws:ecs:r:1:task/default/t1",
        f"{ECS}task-definition-family": "fam",
        f"{ECS}task-definition-version": "3",
        "moorwatch.service": "web",
    }
    identity = ContainerIdentity(id=container_id, name="n", image="i:1", pid=7, labels=labels, started_at=9.5)
    return replace(identity, **more)  # type: ignore[arg-type]


class _One:
    def __init__(self, sample: Sample) -> None:
        self.sample = sample

    def read(self, at: float) -> Sample:
        return self.sample

    def close(self) -> None:
        """Nothing is held."""


def exporter_of(*identities: ContainerIdentity, sample: Sample = SAMPLE) -> Exporter:
    def open_reader(identity: ContainerIdentity, _: bool) -> Reader:
        return _One(sample._replace(container_id=identity.id))

    exporter = Exporter(now=lambda: 100.0, open_reader=open_reader)
    for identity in identities:
        exporter.track(identity)
    return exporter


def read_back(exporter: Exporter) -> dict[Key, float]:
    """Sample → value; fails on one that comes twice."""
    found: dict[Key, float] = {}
    for family in text_string_to_metric_families(render(exporter).decode()):
        for sample in family.samples:
            key = (sample.name, tuple(sorted(sample.labels.items())))
            assert key not in found, f"{key} comes twice"
            found[key] = sample.value
    return found


def key(name: str, labels: dict[str, str] | None = None) -> Key:
    return name, tuple(sorted((labels or {}).items()))


def test_every_field_comes_back_as_it_was() -> None:
    found = read_back(exporter_of(who()))
    for field, metric in names.SAMPLE_METRICS.items():
        assert found.get(key(metric.name, LABELS)) == getattr(SAMPLE, field), metric.name
    for interface in SAMPLE.network:
        for field, metric in names.NETWORK_METRICS.items():
            labels = {**LABELS, "interface": interface.name}
            assert found[key(metric.name, labels)] == getattr(interface, field), metric.name


def test_the_families_are_those_of_the_table_with_its_types_and_help() -> None:
    families = list(text_string_to_metric_families(render(exporter_of(who())).decode()))
    table = [m for m in names.every() if m.source == "exporter"]
    assert [(f.name, f.type, f.documentation) for f in families] == [
        (m.name.removesuffix("_total") if m.kind == "counter" else m.name, m.kind, m.help) for m in table
    ]
    assert len({f.name for f in families}) == len(families)


def test_what_is_not_known_is_left_out_not_shown_as_0() -> None:
    found = read_back(exporter_of(who(), sample=Sample(5.0, "a")))
    assert key("ecs_container_cpu_seconds_total", LABELS) not in found
    assert key("ecs_container_memory_usage_bytes", LABELS) not in found
    assert found[key("ecs_container_start_time_seconds", LABELS)] == 9.5


def test_failure_counters_are_there_at_0_without_a_task_s_id() -> None:
    exporter = exporter_of()
    exporter.declare_service("default", "web", ["app"])
    found = read_back(exporter)
    for metric in names.GROUP_METRICS.values():
        assert found[key(metric.name, GROUP)] == 0


def test_counters_outlive_their_container_and_its_samples_do_not() -> None:
    exporter = exporter_of(who())
    exporter.on_event(RuntimeEvent("die", "a", 50.0, exit_code=137, labels=who().labels))
    found = read_back(exporter)
    assert found[key("ecs_container_failed_exits_total", GROUP)] == 1
    assert found[key("ecs_exporter_containers")] == 0
    assert not [name for name, labels in found if dict(labels).get("task")]


@pytest.mark.parametrize(
    "text",
    ['say "hi"', "back\\slash", "two\nlines", "\\n", 'trailing\\"', "naïve ☕", "a,b{c}=d", " ", "tab\t"],
)
def test_labels_of_any_text_come_back(text: str) -> None:
    identity = ContainerIdentity(id="a", name=text, image=text, pid=7)
    found = read_back(exporter_of(identity))
    labels = {**dict.fromkeys(LABELS, ""), "container": text}
    assert found[key("ecs_container_cpu_seconds_total", labels)] == 1.25
    info = {**labels, "image": text, "docker_id": "a", "docker_name": text}
    assert found[key("ecs_container_info", info)] == 1


def test_a_label_that_is_no_unicode_does_not_cost_the_scrape() -> None:
    found = read_back(exporter_of(ContainerIdentity(id="a", name="x\ud800y", image="i", pid=7), who("b")))
    assert found[key("ecs_container_cpu_seconds_total", LABELS)] == 1.25
    assert found[key("ecs_exporter_containers")] == 2


def test_of_two_containers_with_the_same_labels_the_newest_is_shown() -> None:
    old, new = who("a", started_at=1.0), who("b", started_at=2.0)
    for order in ((old, new), (new, old)):
        assert read_back(exporter_of(*order))[key("ecs_container_start_time_seconds", LABELS)] == 2.0


@pytest.mark.parametrize(
    ("docker", "status"),
    [("healthy", "HEALTHY"), ("unhealthy", "UNHEALTHY"), ("starting", "UNKNOWN"), ("", "UNKNOWN")],
)
def test_health_is_one_of_three(docker: str, status: str) -> None:
    found = read_back(exporter_of(who(has_health_check=True, health=docker)))
    values = {
        s: found[key("ecs_container_health_status", {**LABELS, "status": s})]
        for s in ("HEALTHY", "UNHEALTHY", "UNKNOWN")
    }
    assert values == {s: float(s == status) for s in values}


def test_without_a_health_check_there_is_no_health() -> None:
    assert not [name for name, _ in read_back(exporter_of(who())) if name == "ecs_container_health_status"]


def test_the_exporter_tells_of_itself() -> None:
    exporter = exporter_of(who())
    exporter.sample_all(97.0)
    exporter.set_docker_up(True)
    found = read_back(exporter)
    assert found[key("ecs_exporter_sample_age_seconds")] == 3.0
    assert found[key("ecs_agent_docker_up")] == 1
    assert found[key("ecs_host_cpus")] >= 1
    assert all(math.isfinite(value) for value in found.values())


def test_exposition_gives_the_content_type_of_the_text_format() -> None:
    body, kind = exposition(exporter_of())
    assert kind == CONTENT_TYPE == "text/plain; version=0.0.4; charset=utf-8"
    assert body.endswith(b"\n")
