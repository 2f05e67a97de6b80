"""The control plane's metrics, from what happens in a pure world."""

from __future__ import annotations

import gzip
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from monitor.api.moorwatch import EVENTS_PAGE
from monitor.instrument import RESULTS, ControlMetrics
from monitor.model import state as states
from monitor.model.event import Event
from monitor.model.stop import CLASSES
from tests.scenarios.world import CLUSTER, SCOPE, Log, World

WEB = {"cluster": "default", "service": "web"}


class Measured(World):
    def __init__(self) -> None:
        super().__init__()
        self.metrics = ControlMetrics(self.state, SCOPE, lambda: self.now)
        self.join("one")
        self.define()

    def value(self, metric: str, **labels: Any) -> float | None:
        return self.metrics.registry.get_sample_value(metric, {k: str(v) for k, v in labels.items()})

    def web(self, metric: str, **labels: Any) -> float | None:
        return self.value(metric, **WEB, **labels)


@pytest.fixture
def world() -> Measured:
    return Measured()


def test_failure_counters_are_at_0_as_soon_as_the_service_is_there(world: Measured) -> None:
    world.serve(desired=1)
    list(world.metrics.registry.collect())
    for kind in CLASSES:
        assert world.web("ecs_task_stop_reasons_total", reason=kind) == 0
    for result in RESULTS:
        assert world.web("ecs_deployments_total", result=result) == 0
    for name in ("ecs_service_backoff_seconds_total", "ecs_image_pull_duration_seconds_count"):
        assert world.web(name) == 0


def test_counts_of_a_service_and_its_deployment(world: Measured) -> None:
    world.serve(desired=3)
    world.look()
    assert world.web("ecs_service_desired_tasks") == 3
    assert world.web("ecs_service_pending_tasks") == 3
    world.settle()
    assert (world.web("ecs_service_running_tasks"), world.web("ecs_service_pending_tasks")) == (3, 0)
    assert world.web("ecs_service_deployments", rollout_state="IN_PROGRESS") == 1
    world.advance(11)
    assert world.web("ecs_service_deployments", rollout_state="COMPLETED") == 1
    assert world.web("ecs_deployments_total", result="COMPLETED") == 1
    assert world.web("ecs_deployment_duration_seconds_sum") == 10
    world.define()
    world.call("UpdateService", service="web", taskDefinition="web")
    world.look()
    assert world.web("ecs_service_deployment_running_tasks") == 0
    assert world.web("ecs_service_deployment_pending_tasks") == 3
    assert world.web("ecs_service_running_tasks") == 3


def test_start_latency_to_running_and_to_healthy(world: Measured) -> None:
    world.define("checked", healthCheck={"command": ["CMD", "true"]})
    world.serve("web", taskDefinition="checked", desired=1)
    world.now += 2
    world.obey()
    (task,) = world.live()
    world.now += 3
    world.is_healthy(task, True)
    world.is_healthy(world.state.tasks[task.arn], False)
    world.is_healthy(world.state.tasks[task.arn], True)
    assert world.web("ecs_task_start_latency_seconds_sum", stage="running") == 2
    assert world.web("ecs_task_start_latency_seconds_sum", stage="healthy") == 5
    assert world.web("ecs_task_start_latency_seconds_count", stage="healthy") == 1


def test_unhealthy_tasks_are_counted(world: Measured) -> None:
    world.define("checked", healthCheck={"command": ["CMD", "true"]})
    world.serve("web", taskDefinition="checked", desired=2, healthCheckGracePeriodSeconds=100)
    world.settle()
    world.is_healthy(world.live()[0], False)
    assert world.web("ecs_service_unhealthy_tasks") == 1


def test_stops_by_class_and_time_in_back_off(world: Measured) -> None:
    world.serve(desired=1)
    for _ in range(4):
        world.settle()
        world.crashed(world.live()[0], 3)
        world.obey()
        world.advance(20)
    assert world.web("ecs_task_stop_reasons_total", reason="Failed") == 4
    assert world.web("ecs_task_stopped_total", stop_code="EssentialContainerExited") == 4
    held_back = world.web("ecs_service_backoff_seconds_total")
    assert held_back is not None
    assert held_back >= 10


def test_an_image_that_cannot_be_pulled_is_counted_by_its_repository(world: Measured) -> None:
    world.define("gone", image="registry:5000/shop:7")
    world.serve("web", taskDefinition="gone", desired=1)
    (task,) = world.live()
    world.ended(task, reason="CannotPullContainerError: not found")
    assert world.web("ecs_image_pull_failures_total", image_repository="registry:5000/shop") == 1
    assert world.web("ecs_task_stop_reasons_total", reason="ImagePull") == 1


def test_pulls_are_timed(world: Measured) -> None:
    world.serve(desired=1)
    (task,) = world.live()
    world.report(task, "RUNNING", pullStartedAt=world.now, pullStoppedAt=world.now + 7)
    assert world.web("ecs_image_pull_duration_seconds_sum") == 7


@pytest.mark.parametrize(("rollback", "result"), [(True, "ROLLED_BACK"), (False, "FAILED")])
def test_a_deployment_that_the_circuit_breaker_ended(world: Measured, rollback: bool, result: str) -> None:
    breaker = {"deploymentCircuitBreaker": {"enable": True, "rollback": rollback}}
    world.serve(desired=1, configuration=breaker)
    world.settle()
    world.advance(11)
    world.call("UpdateService", service="web", taskDefinition=world.define(command=["bad"]))
    bad = world.service().primary.id
    for _ in range(200):
        world.advance(11)
        bad_ones = [t for t in world.live() if t.deployment_id == bad]
        for task in bad_ones:
            world.ended(task, reason="CannotStartContainerError: no such command")
        if not bad_ones:
            world.settle()
        if world.web("ecs_deployments_total", result=result):
            break
    assert world.web("ecs_deployments_total", result=result) == 1
    others = {
        r: world.web("ecs_deployments_total", result=r) for r in RESULTS if r not in (result, "COMPLETED")
    }
    assert set(others.values()) == {0}


def test_instances_by_state(world: Measured) -> None:
    world.serve(desired=2)
    world.settle()
    one = {"cluster": "default", "container_instance": "one"}
    assert world.value("ecs_container_instance_running_tasks", **one) == 2
    assert world.value("ecs_container_instance_remaining_cpu", **one) == 4096 - 512
    facts = {"status": "ACTIVE", "availability_zone": "a", "host": ""}
    assert world.value("ecs_container_instance_info", **one, **facts) == 1
    assert world.value("ecs_cluster_container_instances", cluster="default", status="ACTIVE") == 1
    world.disconnect("one")
    assert world.value("ecs_cluster_container_instances", cluster="default", status="ACTIVE") == 0
    assert world.value("ecs_cluster_container_instances", cluster="default", status="DISCONNECTED") == 1


def test_a_reader_that_comes_too_late_is_told_how_much_it_missed(world: Measured) -> None:
    happened = Event(id="e", at=world.now, kind="service", cluster_arn=CLUSTER, message="something")
    world.commit([Log(happened)] * (states.EVENTS_IN_MEMORY + 50))
    oldest = world.state.events[0].seq
    answer = world.call("ListEvents", api="moorwatch", after=10, limit=EVENTS_PAGE)
    assert answer["missed"] == oldest - 11
    assert "missed" not in world.call("ListEvents", api="moorwatch", after=oldest)
    assert world.value("ecs_events_total") == world.state.seq


async def test_a_scrape_in_each_form(world: Measured) -> None:
    world.serve(desired=1)
    body, headers = await world.metrics.render("", "")
    families = {f.name for f in text_string_to_metric_families(body.decode())}
    assert {"ecs_service_desired_tasks", "process_resident_memory_bytes"} <= families
    assert headers["content-type"].startswith("text/plain")
    body, headers = await world.metrics.render("application/openmetrics-text;version=1.0.0", "gzip")
    assert headers["content-type"].startswith("application/openmetrics-text")
    assert gzip.decompress(body).endswith(b"# EOF\n")
