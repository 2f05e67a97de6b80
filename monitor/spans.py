"""Tracing by the OpenTelemetry SDK: spans of API requests, of the scheduler's looks, and of each task's start.

A task's start is a child of the request that caused it (CreateService, UpdateService, RunTask …), or only linked to it
when something else came between: another task's end, or a scaling that nobody asked for by API. It is made when the
control plane learns of its end, with the task's own times. What is kept to know causes is bounded; spans leave in
batches by a thread of the SDK's.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol, TypeVar, cast

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace import Span as SdkSpan
from opentelemetry.trace import Link, NonRecordingSpan, Span, SpanContext, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from monitor.clock import Clock
from monitor.model import arn as arns
from monitor.model.service import Service
from monitor.model.state import Change, Put, State
from monitor.model.task import STOPPED, Task
from monitor.scheduler.plan import Plan, StartTasks, StopTasks
from monitor.task_start import start_of
from monitor.tracing import RequestSpan, Tracing

SERVICE_NAME = "moorwatch-control"
KEPT = 10_000
CLOSE_SECONDS = 2.0
_NAMES = {"ecs": "ECS", "sts": "STS", "application-autoscaling": "ApplicationAutoScaling"}
_propagator = TraceContextTextMapPropagator()
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Cause:
    """`desired_count` is what the request left the service with: another one now is somebody else's doing."""

    context: SpanContext
    desired_count: int = 0


@dataclass(slots=True)
class Starting:
    """A task on its way up. `is_child`: of the cause's trace; otherwise only linked to it."""

    cause: SpanContext | None
    is_child: bool
    look: SpanContext | None = None  # the scheduler's, that placed it


class Bounded(OrderedDict[str, T]):
    """The newest KEPT."""

    def keep(self, key: str, value: T) -> None:
        self[key] = value
        self.move_to_end(key)
        if len(self) > KEPT:
            self.popitem(last=False)


class _Request(RequestSpan):
    def __init__(self, span: Span, causes: Bounded[Cause]) -> None:
        self._span, self._causes = span, causes

    def parsed(self, service: str, operation: str, request_id: str) -> None:
        name = _NAMES.get(service, service)
        self._span.update_name(f"{name}.{operation}")
        self._span.set_attributes(
            {
                "rpc.system.name": "aws-api",
                "rpc.method": f"{name}/{operation}",
                "aws.request_id": request_id,
            }
        )

    def caused(self, changes: Sequence[Change]) -> None:
        for change in changes:
            if isinstance(change, Put) and isinstance(change.entity, Service):
                service = change.entity
                cause = Cause(self._span.get_span_context(), service.desired_count)
                self._causes.keep(service.arn, cause)
                for deployment in service.deployments:
                    if deployment.id not in self._causes:
                        self._causes.keep(deployment.id, cause)
                self._span.set_attribute("aws.ecs.service.arn", service.arn)

    def answered(self, status: int, error: str = "") -> None:
        self._span.set_attribute("http.response.status_code", status)
        if error:
            self._span.set_attribute("error.type", error)
        if status >= 500:  # a caller's mistake is no error of the server's span (semantic conventions, HTTP)
            self._span.set_status(Status(StatusCode.ERROR, error))


class Processor(Protocol):
    """Where ended spans go: a SpanProcessor of the SDK that neither blocks nor raises."""

    def on_start(self, span: SdkSpan, parent_context: Context | None = None) -> None: ...

    def on_end(self, span: ReadableSpan) -> None: ...

    def shutdown(self) -> None: ...

    def give_up(self) -> None:
        """End an export that hangs, from another thread."""
        ...


class Spans(Tracing):
    def __init__(self, processor: Processor, clock: Clock) -> None:
        resource = Resource.create()
        if str(resource.attributes.get("service.name", "")).startswith("unknown_service"):
            resource = resource.merge(Resource({"service.name": SERVICE_NAME}))
        self._processor, self._clock = processor, clock
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(cast(SpanProcessor, processor))
        self._tracer = self._provider.get_tracer("moorwatch.control")
        self._causes: Bounded[Cause] = Bounded()
        self._starting: Bounded[Starting] = Bounded()
        self._state: State | None = None

    # -- requests -----------------------------------------------------------------------------------

    @contextmanager
    def request(self, headers: Mapping[str, str]) -> Iterator[RequestSpan]:
        context = _propagator.extract(headers, context=Context())
        with self._tracer.start_as_current_span("request", context, kind=SpanKind.SERVER) as span:
            yield _Request(span, self._causes)

    # -- the scheduler's looks ----------------------------------------------------------------------

    def cycle(self, plan: Plan, changes: Sequence[Change], began: float, ended: float) -> None:
        started = [c.entity.arn for c in changes if isinstance(c, Put) and isinstance(c.entity, Task)]
        waiting = [found for found in map(self._starting.get, started) if found and found.look is None]
        causes = {s.cause.span_id: s.cause for s in waiting if s.cause is not None and s.is_child}
        # Of one request's trace when it is all for that one; otherwise its own, linked to each.
        parent = next(iter(causes.values())) if len(causes) == 1 else None
        span = self._tracer.start_span(
            "reconcile",
            _inside(parent),
            links=[] if parent else [Link(c) for c in causes.values()],
            start_time=_nanoseconds(began),
            attributes={
                "moorwatch.plan": plan.sentence(),
                "moorwatch.tasks.started": sum(
                    len(v.starts) for v in plan.verbs if isinstance(v, StartTasks)
                ),
                "moorwatch.tasks.stopped": sum(
                    len(v.task_arns) for v in plan.verbs if isinstance(v, StopTasks)
                ),
                "moorwatch.refusals": [f"{arns.short(s)}: {reason}" for s, reason in plan.refusals[:16]],
            },
        )
        span.end(_nanoseconds(max(began, ended)))
        for found in waiting:
            found.look = span.get_span_context()

    # -- tasks --------------------------------------------------------------------------------------

    def watch(self, state: State) -> None:
        self._state = state
        state.listen(Task, self._on_task)

    def _on_task(self, old: Task | None, new: Task) -> None:
        if new.standby:
            return
        if old is None or old.standby:
            self._starting.keep(new.arn, self._beginning(new))
        elif new.arn in self._starting and (new.is_healthy or new.last == STOPPED):
            self._show(new, self._starting.pop(new.arn))

    def _beginning(self, task: Task) -> Starting:
        asking = trace.get_current_span().get_span_context()
        if asking.is_valid:  # RunTask, StartTask: made within the request
            return Starting(asking, is_child=True)
        service = self._state.services.get(task.service_arn) if self._state else None
        if service is None:
            return Starting(None, is_child=False)
        of_old = self._causes.get(task.deployment_id) if task.deployment_id != service.primary.id else None
        cause = of_old or self._causes.get(service.arn)
        if cause is None:
            return Starting(None, is_child=False)
        return Starting(
            cause.context, is_child=not task.replaces and service.desired_count == cause.desired_count
        )

    def _show(self, task: Task, starting: Starting) -> None:
        start = start_of(task, self._clock.now())
        parent = starting.cause if starting.is_child else None
        linked = (None if starting.is_child else starting.cause, starting.look)
        root = self._tracer.start_span(
            "task start",
            _inside(parent),
            links=[Link(context) for context in linked if context is not None],
            attributes=_attributes(task),
            start_time=_nanoseconds(start.begin),
        )
        root.add_event(
            "placed", {"aws.ecs.container_instance.arn": task.instance_arn}, _nanoseconds(start.begin)
        )
        inside = trace.set_span_in_context(root, Context())
        for stage in start.stages:
            part = self._tracer.start_span(stage.name, inside, start_time=_nanoseconds(stage.begin))
            if stage.name == "pull":
                part.set_attribute("container.image.name", [c.image for c in task.containers])
            part.end(_nanoseconds(stage.end))
        if task.started_at is not None:
            root.add_event("RUNNING", timestamp=_nanoseconds(max(start.begin, task.started_at)))
        if task.last != STOPPED and task.has_health_check:
            root.add_event("HEALTHY", timestamp=_nanoseconds(start.end))
        if start.failure:
            root.set_status(Status(StatusCode.ERROR, start.failure))
            root.set_attribute("error.type", task.stop_code)
        root.end(_nanoseconds(start.end))

    def close(self) -> None:
        """A collector that does not answer is not waited for."""
        worker = threading.Thread(target=self._provider.shutdown, name="otlp-close", daemon=True)
        worker.start()
        worker.join(CLOSE_SECONDS)
        if worker.is_alive():
            self._processor.give_up()
            worker.join(CLOSE_SECONDS)


def _attributes(task: Task) -> dict[str, str | list[str]]:
    family, _, revision = arns.short(task.definition_arn).partition(":")
    found: dict[str, str | list[str]] = {
        "aws.ecs.task.arn": task.arn,
        "aws.ecs.task.id": arns.short(task.arn),
        "aws.ecs.task.family": family,
        "aws.ecs.task.revision": revision,
        "aws.ecs.cluster.arn": task.cluster_arn,
        "aws.ecs.launchtype": task.launch_type.lower(),
        "aws.ecs.service.name": arns.short(task.service_arn) if task.service_arn else "",
        "moorwatch.deployment.id": task.deployment_id,
        "moorwatch.replaces": task.replaces,
        "container.id": [c.runtime_id for c in task.containers if c.runtime_id],
        "container.name": [c.name for c in task.containers],
    }
    return {key: value for key, value in found.items() if value}


def _inside(parent: SpanContext | None) -> Context:
    """A context of that parent, or of none: never of whatever happens to be current."""
    return trace.set_span_in_context(NonRecordingSpan(parent), Context()) if parent else Context()


def _nanoseconds(seconds: float) -> int:
    return int(seconds * 1e9)
