"""Which span a task's start belongs to, in a world without network, disk or Docker."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from exporters.otlp_settings import Losses
from exporters.otlp_spans import CountedSpans
from monitor import spans as spans_module
from monitor.api.operation import OPERATIONS, Context
from monitor.clock import FixedClock
from monitor.scheduler.plan import Plan, changes
from monitor.scheduler.reconcile import reconcile
from monitor.spans import Bounded, Spans
from monitor.tracing import OFF
from tests.scenarios.world import SCOPE, World

CALLER = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
UNSAMPLED = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"}


class TracedWorld(World):
    """Its users' calls and its looks are told to the tracing, as the gateway and the scheduling loop do."""

    def __init__(self) -> None:
        super().__init__()
        self.exporter = InMemorySpanExporter()
        self.clock = FixedClock(self.now)
        self.tracing = Spans(CountedSpans(self.exporter, Losses("spans"), 100, 10), self.clock)
        self.tracing.watch(self.state)

    def ask(self, operation: str, /, headers: dict[str, str] | None = None, **params: Any) -> dict[str, Any]:
        with self.tracing.request(headers or {}) as span:
            span.parsed("ecs", operation, "an-id")
            context = Context(self.state, SCOPE, self.now, self.ids, "AKIATEST", "http://127.0.0.1:4580")
            outcome = OPERATIONS["ecs", operation](context, params)
            span.caused(outcome.changes)
            self.commit(outcome.changes)
            span.answered(200)
            return outcome.view(self.state)

    def look(self) -> Plan:
        plan = reconcile(self.snapshot())
        if plan.verbs:
            made = changes(plan, self.state, self.now, self.ids)
            self.commit(made)
            self.tracing.cycle(plan, made, self.now, self.now)
        return plan

    def seen(self, name: str) -> list[ReadableSpan]:
        """Ends the tracing."""
        self.tracing.close()
        return [s for s in self.exporter.get_finished_spans() if s.name == name]


@pytest.fixture
def world() -> Iterator[TracedWorld]:
    world = TracedWorld()
    world.join("one")
    world.define("web")
    yield world
    world.tracing.close()


def links(span: ReadableSpan) -> set[int]:
    return {link.context.span_id for link in span.links}


def span_id(span: ReadableSpan) -> int:
    assert span.context is not None
    return span.context.span_id


def test_a_service_s_first_tasks_are_the_request_s_children(world: TracedWorld) -> None:
    world.ask("CreateService", CALLER, serviceName="web", taskDefinition="web", desiredCount=2)
    world.settle()
    starts, (request,) = world.seen("task start"), world.seen("ECS.CreateService")
    assert request.parent is not None
    assert request.parent.span_id == 0xB7AD6B7169203331
    assert len(starts) == 2
    looks = {span_id(s) for s in world.seen("reconcile")}
    for start in starts:
        assert start.parent is not None
        assert start.parent.span_id == span_id(request)
        assert len(links(start) & looks) == 1


def test_run_task_is_the_parent_of_what_it_runs(world: TracedWorld) -> None:
    world.ask("RunTask", taskDefinition="web")
    world.settle()
    (start,), (request,) = world.seen("task start"), world.seen("ECS.RunTask")
    assert start.parent is not None
    assert start.parent.span_id == span_id(request)


def test_each_change_of_a_service_has_its_own_tasks(world: TracedWorld) -> None:
    world.ask("CreateService", serviceName="web", taskDefinition="web", desiredCount=1)
    world.settle()
    world.ask("UpdateService", service="web", desiredCount=2)
    world.settle()
    starts = world.seen("task start")
    requests = [*world.seen("ECS.CreateService"), *world.seen("ECS.UpdateService")]
    assert [s.parent.span_id for s in starts if s.parent] == [span_id(r) for r in requests]


def test_a_replacement_is_only_linked(world: TracedWorld) -> None:
    world.ask("CreateService", serviceName="web", taskDefinition="web", desiredCount=1)
    world.settle()
    world.ended(world.live()[0], 1)
    world.settle()
    for _ in range(5):
        world.now += 60
        world.settle()
    (request,) = world.seen("ECS.CreateService")
    second = world.seen("task start")[1]
    assert second.parent is None
    assert span_id(request) in links(second)


def test_a_scaling_that_no_request_asked_for_is_only_linked(world: TracedWorld) -> None:
    world.ask("CreateService", serviceName="web", taskDefinition="web", desiredCount=1)
    world.settle()
    world.call(
        "UpdateService", service="web", desiredCount=2
    )  # as the scaling loop changes it: with no request
    world.settle()
    (request,) = world.seen("ECS.CreateService")
    second = world.seen("task start")[1]
    assert second.parent is None
    assert span_id(request) in links(second)


def test_a_look_for_two_requests_is_linked_to_both(world: TracedWorld) -> None:
    for name in ("one", "two"):
        world.ask("CreateService", serviceName=name, taskDefinition="web", desiredCount=1)
    world.settle()
    look = world.seen("reconcile")[0]
    assert look.parent is None
    assert links(look) == {span_id(s) for s in world.seen("ECS.CreateService")}


def test_a_start_ends_when_the_task_is_healthy(world: TracedWorld) -> None:
    world.define("checked", healthCheck={"command": ["CMD", "true"]})
    world.ask("CreateService", serviceName="web", taskDefinition="checked", desiredCount=1)
    world.settle()
    (task,) = world.live()
    world.clock.advance(30)
    world.is_healthy(task, True)
    (start,) = world.seen("task start")
    assert [e.name for e in start.events] == ["placed", "RUNNING", "HEALTHY"]
    assert start.end_time == int((world.now + 30) * 1e9)


def test_a_task_that_never_came_up_is_an_error(world: TracedWorld) -> None:
    world.ask("RunTask", taskDefinition="web")
    (task,) = world.state.tasks.values()
    world.ended(task, reason="CannotPullContainerError: no such image")
    (start,) = world.seen("task start")
    assert start.status.status_code is StatusCode.ERROR
    assert "CannotPullContainerError" in (start.status.description or "")


def test_who_does_not_sample_gets_no_spans(world: TracedWorld) -> None:
    world.ask("RunTask", UNSAMPLED, taskDefinition="web")
    world.settle()
    assert world.seen("task start") == world.seen("ECS.RunTask") == []


def test_errors_of_callers_are_no_errors_of_ours(world: TracedWorld) -> None:
    for status, code in ((400, "ClusterNotFoundException"), (500, "ServerException")):
        with world.tracing.request({"traceparent": "nonsense"}) as span:
            span.answered(status, code)
    theirs, ours = world.seen("request")
    assert theirs.attributes is not None
    assert theirs.attributes["error.type"] == "ClusterNotFoundException"
    assert (theirs.status.status_code, ours.status.status_code) == (StatusCode.UNSET, StatusCode.ERROR)


def test_what_is_kept_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spans_module, "KEPT", 2)
    kept: Bounded[int] = Bounded()
    for number in range(4):
        kept.keep(str(number), number)
    kept.keep("2", 9)
    kept.keep("4", 4)
    assert dict(kept) == {"2": 9, "4": 4}


class Stuck(SpanExporter):
    """A collector that answers only when told to give up."""

    def __init__(self) -> None:
        self.asked, self.given_up = threading.Event(), threading.Event()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.asked.set()
        self.given_up.wait()
        return SpanExportResult.FAILURE

    def shutdown(self) -> None:
        self.given_up.set()


def test_closing_does_not_wait_for_a_collector_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spans_module, "CLOSE_SECONDS", 0.05)
    stuck, losses = Stuck(), Losses("spans")
    tracing = Spans(CountedSpans(stuck, losses, 10, 10), FixedClock())
    with tracing.request({}):
        pass
    tracing.close()
    assert stuck.given_up.is_set()
    assert losses.dropped == 1


def test_a_slow_collector_costs_spans_which_are_counted(caplog: pytest.LogCaptureFixture) -> None:
    stuck, losses = Stuck(), Losses("spans")
    processor = CountedSpans(stuck, losses, 512, 512)  # a full batch, which leaves at once
    tracing = Spans(processor, FixedClock())
    for _ in range(512):
        with tracing.request({}):
            pass
    stuck.asked.wait(30)
    for _ in range(512 + 3):
        with tracing.request({}):
            pass
    assert losses.dropped == 3
    processor.give_up()
    tracing.close()
    assert losses.dropped == 512 + 512 + 3
    assert caplog.text.count("does not take our spans") == 1


def test_off_hears_everything_and_does_nothing(world: World) -> None:
    with OFF.request({}) as span:
        span.parsed("ecs", "RunTask", "id")
        span.caused(())
        span.answered(500, "x")
    OFF.watch(world.state)
    OFF.cycle(Plan(), (), 0.0, 0.0)
    OFF.close()
