"""A round of samples as OTLP requests, read back by opentelemetry-proto."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from exporters import otlp_encode
from exporters.exporter import Exporter
from exporters.otlp import OtlpMetrics
from exporters.otlp_encode import Body, Encoder, container_attributes, image_parts
from exporters.otlp_settings import Losses
from exporters.sample import ContainerIdentity, Interface, RuntimeEvent, Sample
from exporters.tracked import Reader
from tests.fakes.otlp import Point, Received

ECS = "com.amazonaws.ecs."
TASK = "arn:aws:ecs:us-east-1:000000000001:task/default/0123456789abcdef0123456789abcdef"
FULL = Sample(
    at=50.0,
    container_id="a",
    cpu_seconds=1.25,
    memory_usage_bytes=123_456_789_012,
    page_faults=10,
    major_page_faults=4,
    blkio_read_bytes=0,
    network=(Interface("eth0", 1, 2, 3, 4, 5, 6, 7, 8),),
)


def who(container_id: str = "a", **more: Any) -> ContainerIdentity:
    labels = {
        f"{ECS}cluster": "arn:aws:ecs:us-east-1:000000000001:cluster/default",
        f"{ECS}container-name": "app",
        f"{ECS}task-arn": TASK,
        f"{ECS}task-definition-family": "fam",
        f"{ECS}task-definition-version": "3",
        "moorwatch.service": "web",
    }
    return replace(
        ContainerIdentity(
            container_id, f"n-{container_id}", "reg:5000/shop/web:1.2", 7, labels, started_at=9.5
        ),
        **more,
    )


class Feed:
    """An exporter whose samples a test sets."""

    def __init__(self) -> None:
        self.samples: dict[str, Sample] = {}
        self.exporter = Exporter(now=lambda: 100.0, open_reader=self._open)

    def _open(self, identity: ContainerIdentity, _: bool) -> Reader:
        feed = self

        class One:
            quota_cores = 0.0

            def read(self, at: float) -> Sample:
                return feed.samples[identity.id]._replace(container_id=identity.id)

            def close(self) -> None:
                return None

        return One()

    def add(self, identity: ContainerIdentity, sample: Sample) -> None:
        self.samples[identity.id] = sample
        self.exporter.track(identity)


@pytest.fixture
def feed() -> Feed:
    return Feed()


def read(bodies: list[Body]) -> list[Point]:
    received = Received()
    for body in bodies:
        before = len(received.points)
        received.take_metrics(ExportMetricsServiceRequest.FromString(body.data))
        assert len(received.points) - before == body.points
    return received.points


def encoded(feed: Feed) -> list[Point]:
    return read(list(Encoder(feed.exporter, {"service.name": "agent"}, {"env": "test"}).bodies()))


def of(points: list[Point], container_id: str) -> dict[tuple[str, tuple[tuple[str, Any], ...]], Point]:
    return {
        (p.metric, tuple(sorted(p.attributes.items()))): p
        for p in points
        if p.resource.get("container.id") == container_id
    }


def test_a_container_s_values_times_and_resource(feed: Feed) -> None:
    feed.add(who(), FULL)
    found = of(encoded(feed), "a")
    cpu = found["container.cpu.time", ()]
    assert (cpu.value, cpu.kind, cpu.is_monotonic, cpu.unit) == (1.25, "sum", True, "s")
    assert (cpu.start, cpu.at) == (9_500_000_000, 50_000_000_000)
    memory = found["container.memory.usage", ()]
    assert (memory.value, memory.is_monotonic, memory.unit) == (123_456_789_012, False, "By")
    assert found["container.uptime", ()].value == 40.5
    assert found["container.uptime", ()].start == 0
    received = (("network.interface.name", "eth0"), ("network.io.direction", "receive"))
    assert found["container.network.io", received].value == 1
    assert found["ecs.container.network_transmit_dropped", (("network.interface.name", "eth0"),)].value == 8
    assert found["container.disk.io", (("disk.io.direction", "read"),)].value == 0
    assert cpu.resource == {
        "env": "test",
        "service.name": "web",
        "service.instance.id": "a",
        "container.id": "a",
        "container.name": "n-a",
        "container.image.name": "reg:5000/shop/web",
        "container.image.tags": ["1.2"],
        "container.runtime.name": "docker",
        "aws.ecs.task.arn": TASK,
        "aws.ecs.task.id": "0123456789abcdef0123456789abcdef",
        "aws.ecs.task.family": "fam",
        "aws.ecs.task.revision": "3",
        "aws.ecs.cluster.arn": "arn:aws:ecs:us-east-1:000000000001:cluster/default",
        "aws.ecs.cluster.name": "default",
        "aws.ecs.service.name": "web",
        "aws.ecs.container.name": "app",
    }


def test_the_kernel_s_faults_hold_the_major_ones_too_the_convention_s_do_not(feed: Feed) -> None:
    feed.add(who(), FULL)
    found = of(encoded(feed), "a")
    assert found["container.paging.faults", (("system.paging.fault.type", "minor"),)].value == 6
    assert found["container.paging.faults", (("system.paging.fault.type", "major"),)].value == 4


def test_what_the_kernel_does_not_tell_is_left_out_and_nobody_gets_another_s_value(feed: Feed) -> None:
    feed.add(who("a"), FULL)
    feed.add(who("b"), Sample(50.0, "b", memory_usage_bytes=7))
    feed.add(who("c"), FULL._replace(cpu_seconds=2.5))
    feed.add(who("d", started_at=None), Sample(50.0, "d", memory_usage_bytes=8))
    points = encoded(feed)
    assert ("container.cpu.time", ()) not in of(points, "b")
    assert of(points, "b")["container.memory.usage", ()].value == 7
    assert of(points, "c")["container.cpu.time", ()].value == 2.5
    assert of(points, "d")["container.memory.usage", ()].start == 0
    assert ("container.uptime", ()) not in of(points, "d")


def test_a_restart_begins_anew(feed: Feed) -> None:
    encoder = Encoder(feed.exporter, {}, {})
    feed.add(who(), FULL)
    before = of(read(list(encoder.bodies())), "a")["container.cpu.time", ()]
    feed.add(who(pid=8, started_at=60.0), Sample(70.0, "a", cpu_seconds=0.5))
    after = of(read(list(encoder.bodies())), "a")["container.cpu.time", ()]
    assert (before.start, before.value) == (9_500_000_000, 1.25)
    assert (after.start, after.value) == (60_000_000_000, 0.5)


def test_a_clock_set_back_never_starts_a_sum_in_its_future(feed: Feed) -> None:
    feed.add(who(started_at=80.0), FULL)
    cpu = of(encoded(feed), "a")["container.cpu.time", ()]
    assert cpu.start == cpu.at


def test_health_is_told_of_who_has_a_check(feed: Feed) -> None:
    feed.add(who("a", has_health_check=True, health="healthy"), FULL)
    feed.add(who("b"), FULL)
    points = encoded(feed)
    states = {p.attributes["status"]: p.value for p in points if p.metric == "ecs.container.health_status"}
    assert states == {"HEALTHY": 1, "UNHEALTHY": 0, "UNKNOWN": 0}
    assert not [key for key in of(points, "b") if key[0] == "ecs.container.health_status"]


def test_counters_of_failures_are_this_process_s_and_begin_with_it(feed: Feed) -> None:
    feed.exporter.declare("default", "web", "app")
    feed.exporter.on_event(RuntimeEvent("die", "x", 99.0, exit_code=1, labels=dict(who().labels)))
    found = [p for p in encoded(feed) if p.metric == "ecs.container.failed_exits"]
    assert [(p.value, p.start, p.at) for p in found] == [(1, 100_000_000_000, 100_000_000_000)]
    assert found[0].resource == {"service.name": "agent"}
    assert found[0].attributes == {"cluster": "default", "service": "web", "container": "app"}


def test_a_container_of_no_task_has_no_ecs_attributes() -> None:
    found = container_attributes(ContainerIdentity("a", "db", "postgres", 1))
    assert found == {
        "service.name": "db",
        "service.instance.id": "a",
        "container.id": "a",
        "container.name": "db",
        "container.image.name": "postgres",
        "container.image.tags": ("latest",),
        "container.runtime.name": "docker",
    }


@pytest.mark.parametrize(
    ("image", "parts"),
    [
        ("busybox", ("busybox", "latest")),
        ("a/b:1", ("a/b", "1")),
        ("reg:5000/a", ("reg:5000/a", "latest")),
        ("reg:5000/a:2", ("reg:5000/a", "2")),
        ("a@sha256:ff", ("a", "")),
        ("a:3@sha256:ff", ("a", "3")),
    ],
)
def test_an_image_s_name_and_tag(image: str, parts: tuple[str, str]) -> None:
    assert image_parts(image) == parts


def test_half_a_character_in_a_label_costs_nothing_else(feed: Feed) -> None:
    feed.add(who(name="n\ud800"), FULL)
    assert of(encoded(feed), "a")["container.cpu.time", ()].resource["container.name"] == "n?"


def test_many_containers_go_in_requests_a_collector_takes(feed: Feed) -> None:
    many = otlp_encode.CONTAINERS_A_REQUEST * 2 + 1
    for number in range(many):
        feed.add(who(f"c{number}"), FULL)
    bodies = list(Encoder(feed.exporter, {}, {}).bodies())
    assert len(bodies) == 4
    assert max(len(b.data) for b in bodies) < 4 * 1024 * 1024
    assert len({p.resource["container.id"] for p in read(bodies[1:])}) == many


def test_odd_shapes_are_not_kept_for_ever(feed: Feed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(otlp_encode, "SHAPES_KEPT", 2)
    for number in range(5):
        feed.add(who(f"c{number}"), FULL._replace(network=(Interface(f"v{number}", *([number] * 8)),)))
    encoder = Encoder(feed.exporter, {}, {})
    names = {p.attributes.get("network.interface.name") for p in read(list(encoder.bodies()))}
    assert {f"v{number}" for number in range(5)} <= names
    assert len(encoder._templates) <= 2
    for number in range(5):
        feed.exporter.forget(f"c{number}")
    list(encoder.bodies())
    assert not encoder._resources


class Collector:
    """A sender that does as it is told."""

    def __init__(self) -> None:
        self.works, self.sent, self.asked, self.is_shut = True, [], 0, False  # type: tuple[bool, list[Body], int, bool]

    def send(self, data: bytes, points: int) -> bool:
        self.asked += 1
        if self.works:
            self.sent.append(Body(data, points))
        return self.works

    def shutdown(self, timeout_millis: float = 0) -> None:
        self.is_shut = True


def test_a_round_that_fails_is_dropped_without_asking_again(feed: Feed) -> None:
    for number in range(otlp_encode.CONTAINERS_A_REQUEST + 1):
        feed.add(who(f"c{number}"), FULL)
    collector, losses = Collector(), Losses("metrics")
    sent = OtlpMetrics(feed.exporter, collector, "agent", 3600.0, losses)
    try:
        collector.works = False
        sent.export()
        assert collector.asked == 1
        assert losses.dropped > otlp_encode.CONTAINERS_A_REQUEST
        collector.works = True
        sent.export()
        assert len(collector.sent) == 3
    finally:
        sent.close()
    assert collector.is_shut
    assert len(collector.sent) == 6, "the last round leaves at the end"
    assert read(collector.sent)[0].resource["service.name"] == "agent"
