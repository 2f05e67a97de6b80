"""Plan: what one look at the state decided, as verbs; and the verbs as changes to the state.

`reconcile` makes plans out of values only. Ids are given here, when a plan becomes changes, so that the same
snapshot always gives the same plan.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from monitor.model import arn as arns
from monitor.model.event import SERVICE_ACTION, Event, Reason
from monitor.model.rollout import ServiceDeployment
from monitor.model.service import Service
from monitor.model.state import Change, Drop, Entity, Log, Put, State
from monitor.model.task import PENDING, RUNNING, Container, Task
from monitor.model.task_definition import TaskDefinition
from monitor.scheduler.lifecycle import forget_unplaced, stop


class Ids(Protocol):
    def hex(self) -> str: ...
    def uuid(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Start:
    instance_arn: str
    replaces: str = ""
    provider: str = ""


@dataclass(frozen=True, slots=True)
class StartTasks:
    service_arn: str
    deployment_id: str
    definition_arn: str
    starts: tuple[Start, ...]
    standby: bool = False
    launch_type: str = ""


@dataclass(frozen=True, slots=True)
class PromoteTask:
    """Start a warm standby: it takes the place of `replaces`."""

    task_arn: str
    replaces: str = ""


@dataclass(frozen=True, slots=True)
class StopTasks:
    service_arn: str
    task_arns: tuple[str, ...]
    reason: Reason


@dataclass(frozen=True, slots=True)
class SettleTask:
    """The task's end has been counted."""

    task_arn: str


@dataclass(frozen=True, slots=True)
class MarkFaulted:
    """The live task's failed health checks have been counted against its deployment."""

    task_arn: str


@dataclass(frozen=True, slots=True)
class CloseTask:
    """The task can never report again: its instance is gone."""

    task_arn: str
    reason: Reason


@dataclass(frozen=True, slots=True)
class UpdateService:
    service: Service


@dataclass(frozen=True, slots=True)
class Record:
    """How a deployment stands, for those who look it up."""

    deployment: ServiceDeployment


@dataclass(frozen=True, slots=True)
class Explain:
    """A service event; `message` follows "(service NAME) ". `name`: EventBridge's eventName."""

    service_arn: str
    message: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class RetireDefinition:
    """Nothing uses the deleted task definition any more: only its number is kept."""

    definition_arn: str


@dataclass(frozen=True, slots=True)
class Forget:
    entity: Entity


Verb = (
    StartTasks
    | PromoteTask
    | StopTasks
    | SettleTask
    | MarkFaulted
    | CloseTask
    | UpdateService
    | Record
    | Explain
    | RetireDefinition
    | Forget
)


@dataclass(slots=True)
class Plan:
    """`next_at`: look again at this time even if nothing happens. `refusals`: (service ARN, reason) of
    placements that failed in this look."""

    verbs: list[Verb] = field(default_factory=list)
    next_at: float | None = None
    refusals: list[tuple[str, str]] = field(default_factory=list)

    def look_again(self, at: float) -> None:
        if self.next_at is None or at < self.next_at:
            self.next_at = at

    def sentence(self) -> str:
        """One line for the log: what this look did."""
        if not self.verbs:
            return "nothing to do"
        counts: dict[str, int] = {}
        for verb in self.verbs:
            name = type(verb).__name__
            size = len(verb.starts) if isinstance(verb, StartTasks) else 1
            size = len(verb.task_arns) if isinstance(verb, StopTasks) else size
            counts[name] = counts.get(name, 0) + size
        return " ".join(f"{name}={count}" for name, count in counts.items())


def changes(plan: Plan, state: State, now: float, ids: Ids) -> list[Change]:
    out: list[Change] = []
    pending: dict[str, Task] = {}

    def current(task_arn: str) -> Task:
        return pending.get(task_arn) or state.tasks[task_arn]

    def put(task: Task) -> None:
        pending[task.arn] = task
        out.append(Put(task))

    for verb in plan.verbs:
        match verb:
            case StartTasks():
                service = state.services[verb.service_arn]
                tasks = [_new_task(state, service, verb, start, now, ids) for start in verb.starts]
                for task in tasks:
                    put(task)
                if not verb.standby:
                    out.append(_said(service, _started(tasks), now, ids))
            case PromoteTask():
                task = replace(current(verb.task_arn), standby=False, replaces=verb.replaces, created_at=now)
                put(task)
                out.append(_said(state.services[task.service_arn], _started([task]), now, ids))
            case StopTasks():
                stopped = [stop(current(a), verb.reason, now) for a in verb.task_arns]
                for task in stopped:
                    # What follows from this end is in the same plan: there is nothing left to count.
                    put(replace(task, settled=True))
                shown = [t for t in stopped if not t.standby]
                if verb.service_arn and shown:
                    out.append(_said(state.services[verb.service_arn], _stopped(shown), now, ids))
            case SettleTask():
                put(replace(current(verb.task_arn), settled=True))
            case MarkFaulted():
                put(replace(current(verb.task_arn), faulted=True))
            case CloseTask():
                task = forget_unplaced(current(verb.task_arn), verb.reason, now)
                put(task)
            case UpdateService():
                out.append(Put(verb.service))
            case Record():
                out.append(Put(verb.deployment))
            case Explain():
                out.append(_said(state.services[verb.service_arn], verb.message, now, ids, verb.name))
            case RetireDefinition():
                definition = state.definitions[verb.definition_arn]
                out.append(Put(replace(definition, status="DELETED", document={}, tags={})))
            case Forget():
                out.extend(Drop(entity) for entity in _with_belongings(state, verb.entity))
    return out


def _with_belongings(state: State, entity: Entity) -> list[Entity]:
    """A service goes with the records of its deployments (ECS: they vanish with the service)."""
    if not isinstance(entity, Service):
        return [entity]
    return [*state.service_deployments_of(entity.arn), *state.revisions_of(entity.arn), entity]


def _new_task(state: State, service: Service, verb: StartTasks, start: Start, now: float, ids: Ids) -> Task:
    definition = state.definitions[verb.definition_arn]
    managed = {}
    if service.config.get("enableECSManagedTags"):
        managed = {
            "aws:ecs:clusterName": arns.short(service.cluster_arn),
            "aws:ecs:serviceName": service.name,
        }
    source = service.config.get("propagateTags", "NONE")
    tags = service.tags if source == "SERVICE" else definition.tags if source == "TASK_DEFINITION" else {}
    task = make_task(
        definition, service.cluster_arn, start.instance_arn, ids, now, group=f"service:{service.name}"
    )
    return replace(
        task,
        service_arn=service.arn,
        deployment_id=verb.deployment_id,
        started_by=verb.deployment_id,
        launch_type="" if start.provider else verb.launch_type or service.launch_type,
        capacity_provider=start.provider,
        execute_command=bool(service.config.get("enableExecuteCommand")),
        tags={**managed, **tags},
        replaces=start.replaces,
        standby=verb.standby,
    )


def make_task(
    definition: TaskDefinition, cluster_arn: str, instance_arn: str, ids: Ids, now: float, group: str
) -> Task:
    """A new PENDING task of `definition`, placed on `instance_arn`."""
    scope, cluster = arns.scope_of(cluster_arn), arns.short(cluster_arn)
    task_id = ids.hex()
    containers = tuple(
        Container(
            arn=arns.container(scope, cluster, task_id, ids.uuid()),
            name=c.name,
            image=c.image,
            essential=c.essential,
            has_health_check=c.has_health_check,
            cpu=c.cpu,
            memory=c.memory,
            memory_reservation=c.memory_reservation,
        )
        for c in definition.containers
    )
    return Task(
        arn=arns.task(scope, cluster, task_id),
        cluster_arn=cluster_arn,
        definition_arn=definition.arn,
        instance_arn=instance_arn,
        created_at=now,
        containers=containers,
        needs=definition.needs,
        group=group,
        desired=RUNNING,
        last=PENDING,
    )


def service_event(service: Service, message: str, event_id: str, now: float, name: str = "") -> Event:
    """A service event in ECS's form: "(service NAME) message"."""
    return Event(
        id=event_id,
        at=now,
        kind=SERVICE_ACTION,
        cluster_arn=service.cluster_arn,
        service_arn=service.arn,
        message=f"(service {service.name}) {message}",
        name=name,
    )


def _said(service: Service, message: str, now: float, ids: Ids, name: str = "") -> Change:
    return Log(service_event(service, message, ids.uuid(), now, name))


def _names(tasks: Sequence[Task]) -> str:
    return " ".join(f"(task {arns.short(t.arn)})" for t in tasks)


def _started(tasks: Sequence[Task]) -> str:
    return f"has started {len(tasks)} tasks: {_names(tasks)}."


def _stopped(tasks: Sequence[Task]) -> str:
    return f"has stopped {len(tasks)} running tasks: {_names(tasks)}."
