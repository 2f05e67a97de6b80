"""Announcer: the events ECS publishes, derived from the changes of a commit (EventBridge, source aws.ecs).

It stands in the store's commit, so that no code path can forget an event and none is told twice: each change of a
task's status, a container instance's state, or a deployment's rollout is one event of the log. An event that the
writer of the change put beside it (it knows more: "fell silent") is completed, not doubled. It is also the one place
that counts a task's version: one more for each event, so that consumers can drop what they have seen.

ECS publishes a container instance event for each task placed or ended there as well; here the task's own event says
it, and the resources are read by DescribeContainerInstances: the log would be twice as long.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from monitor.api.ecs import views
from monitor.clock import Clock, Ids
from monitor.model import arn as arns
from monitor.model.cluster import ContainerInstance
from monitor.model.event import (
    DEPLOYMENT_CHANGE,
    ECS_SOURCE,
    INSTANCE_CHANGE,
    SERVICE_ACTION,
    TASK_CHANGE,
    Event,
)
from monitor.model.service import COMPLETED, ECS, FAILED, IN_PROGRESS, Deployment, Service
from monitor.model.state import Change, Log, Put, State
from monitor.model.task import STOPPED, Task
from monitor.scheduler.rollout import ALARM_REASON, BREAKER_REASON, STOPPED_REASON

TASK_TYPE = "ECS Task State Change"
INSTANCE_TYPE = "ECS Container Instance State Change"
DEPLOYMENT_TYPE = "ECS Deployment State Change"
ACTION_TYPE = "ECS Service Action"
# eventName → eventType; INFO where it is not listed.
_LEVELS = {
    "SERVICE_TASK_START_IMPAIRED": "WARN",
    "SERVICE_TASK_PLACEMENT_FAILURE": "ERROR",
    "SERVICE_DAEMON_PLACEMENT_CONSTRAINT_VIOLATED": "ERROR",
    "SERVICE_REBALANCING_STOPPED": "ERROR",
    "SERVICE_DEPLOYMENT_FAILED": "ERROR",
}
_FAILED = re.compile(r"\(deployment (?P<id>ecs-svc/\d+)\) deployment failed: (?P<why>[^.]*)\.")
_BACK = re.compile(r"rolling back to deployment (?P<id>ecs-svc/\d+)\.")
_REASONS = {
    "tasks failed to start": BREAKER_REASON,
    "alarm detected": ALARM_REASON,
    "stopped by a user": STOPPED_REASON,
}
# Service events that carry no name of their own.
_NAMES = {"has started ": "TASKS_STARTED", "has stopped ": "TASKS_STOPPED"}
_TIMES = frozenset(
    (
        "connectivityAt",
        "createdAt",
        "executionStoppedAt",
        "pullStartedAt",
        "pullStoppedAt",
        "registeredAt",
        "startedAt",
        "stoppedAt",
        "stoppingAt",
        "updatedAt",
    )
)

_ENCODER = json.JSONEncoder(
    separators=(",", ":"), default=dict
)  # made once: making it costs as much as a task


class Announcer:
    def __init__(self, clock: Clock, ids: Ids) -> None:
        self._clock, self._ids = clock, ids

    def __call__(self, state: State, changes: Sequence[Change]) -> list[Change]:
        """The changes with their events. `state` is as it was before them."""
        tasks: dict[str, Task] = {}
        due: dict[str, Event] = {}
        out: list[Change] = []
        for change in changes:
            match change:
                case Put(Task() as task):
                    # Against the state, not an earlier change of the batch: one batch is one event.
                    before = state.tasks.get(task.arn)
                    event = self._task(before, task)
                    version = (before.version if before else 0) + (event is not None)
                    task = tasks[task.arn] = replace(task, version=max(1, version))
                    out.append(Put(task))
                    if event is not None:
                        due[task.arn] = event
                case Put(ContainerInstance() as instance):
                    out.append(change)
                    if event := self._instance(state.instances.get(instance.arn), instance):
                        due[instance.arn] = event
                case Put(Service() as service):
                    out.append(change)
                    out.extend(Log(e) for e in self._deployments(state.services.get(service.arn), service))
                case Log(event) if event.kind == SERVICE_ACTION:
                    out.append(Log(_action(event)))
                    out.extend(Log(e) for e in self._failed(event))
                case Log(event) if (event.task_arn or event.instance_arn) in due:
                    told = due.pop(event.task_arn or event.instance_arn)
                    due[event.task_arn or event.instance_arn] = replace(told, message=event.message)
                case _:
                    out.append(change)
        out.extend(Log(self._detailed(state, tasks, changes, event)) for event in due.values())
        return out

    def _event(self, kind: str, detail_type: str, cluster_arn: str, message: str, **about: str) -> Event:
        return Event(
            id=self._ids.uuid(),
            at=self._clock.now(),
            kind=kind,
            cluster_arn=cluster_arn,
            message=message,
            detail_type=detail_type,
            **about,  # type: ignore[arg-type]
        )

    # -- tasks --------------------------------------------------------------------------------------

    def _task(self, before: Task | None, task: Task) -> Event | None:
        if task.standby or not _has_changed(before if before and not before.standby else None, task):
            return None
        return self._event(
            TASK_CHANGE,
            TASK_TYPE,
            task.cluster_arn,
            _told(before, task),
            service_arn=task.service_arn,
            task_arn=task.arn,
            instance_arn=task.instance_arn,
        )

    def _detailed(
        self, state: State, tasks: Mapping[str, Task], changes: Sequence[Change], event: Event
    ) -> Event:
        """The event with the object as it is after the whole batch."""
        if event.kind == TASK_CHANGE:
            body = views.task(state, tasks[event.task_arn], frozenset())
            for member in ("healthStatus", "tags"):
                body.pop(member, None)
            body["containers"] = [
                {k: v for k, v in c.items() if k != "healthStatus"} for c in body["containers"]
            ]
        else:
            last = [c.entity for c in changes if isinstance(c, Put) and c.entity.key == event.instance_arn][
                -1
            ]
            body = views.container_instance(state, last, frozenset())  # type: ignore[arg-type]
            body["clusterArn"] = event.cluster_arn
        body["updatedAt"] = event.at
        return replace(event, detail=_json(body))

    # -- container instances ------------------------------------------------------------------------

    def _instance(self, before: ContainerInstance | None, now: ContainerInstance) -> Event | None:
        name = arns.short(now.arn)
        if before is None:
            message = f"container instance {name} was registered"
        elif before.status != now.status:
            message = f"container instance {name} is {now.status}"
        elif before.agent_connected != now.agent_connected:
            message = f"container agent of {name} {'connected' if now.agent_connected else 'disconnected'}"
        elif before.version_info != now.version_info:
            version = now.version_info.get("agentVersion", "")
            message = f"container agent of {name} is version {version}"
        else:
            return None
        return self._event(INSTANCE_CHANGE, INSTANCE_TYPE, now.cluster_arn, message, instance_arn=now.arn)

    # -- services -----------------------------------------------------------------------------------

    def _deployments(self, before: Service | None, service: Service) -> list[Event]:
        """Deployments that have begun or are completed. Those that fail are told by the scheduler's own events: they
        can be over, and the way back too, within one change."""
        if service.controller != ECS:
            return []
        known = {d.id: (d.rollout_state, d.status) for d in before.deployments} if before else {}
        found = []
        for d in service.deployments:
            is_new = d.id not in known and d.rollout_state == IN_PROGRESS and _is_made_now(before, d)
            done = (COMPLETED, "PRIMARY")
            is_done = (d.rollout_state, d.status) == done and known.get(d.id) != done
            if is_new or is_done:
                state, reason = d.rollout_state, d.rollout_reason
                found.append(self._deployment(service.arn, service.cluster_arn, d.id, state, reason))
        return found

    def _failed(self, event: Event) -> list[Event]:
        """A deployment that failed, or the way back, as the service event tells it."""
        reverted = _BACK.search(event.message)
        failed = _FAILED.search(event.message)
        if failed is not None and event.name == "SERVICE_DEPLOYMENT_FAILED":
            reason = _REASONS.get(failed["why"], f"ECS deployment failed: {failed['why']}.")
            return [self._deployment(event.service_arn, event.cluster_arn, failed["id"], FAILED, reason)]
        if reverted is not None and event.name == "SERVICE_DEPLOYMENT_IN_PROGRESS":
            reason = f"ECS deployment circuit breaker: rolling back to deploymentId {reverted['id']}."
            return [
                self._deployment(event.service_arn, event.cluster_arn, reverted["id"], IN_PROGRESS, reason)
            ]
        return []

    def _deployment(
        self, service_arn: str, cluster_arn: str, deployment_id: str, rollout_state: str, reason: str
    ) -> Event:
        name = f"SERVICE_DEPLOYMENT_{rollout_state}"
        event = self._event(DEPLOYMENT_CHANGE, DEPLOYMENT_TYPE, cluster_arn, reason, service_arn=service_arn)
        body = {
            "eventType": _LEVELS.get(name, "INFO"),
            "eventName": name,
            "deploymentId": deployment_id,
            "updatedAt": event.at,
            "reason": reason,
        }
        return replace(event, name=name, detail=_json(body))


def _is_made_now(before: Service | None, deployment: Deployment) -> bool:
    """Whether the deployment was made by this change, and is not an older one that is wanted again."""
    completed = before.completed if before is not None else None
    return completed is None or completed.id != deployment.id


def _action(event: Event) -> Event:
    """A service event with EventBridge's form, where ECS publishes one."""
    said = event.message.partition(") ")[2]
    name = event.name or next((n for start, n in _NAMES.items() if said.startswith(start)), "")
    if not name:
        return event
    body = {
        "eventType": _LEVELS.get(name, "INFO"),
        "eventName": name,
        "clusterArn": event.cluster_arn,
        "createdAt": event.at,
        "reason": said,
    }
    return replace(event, name=name, detail_type=ACTION_TYPE, detail=_json(body))


def _has_changed(before: Task | None, task: Task) -> bool:
    if before is None:
        return True
    if before is task or (before.last, before.desired) != (task.last, task.desired):
        return before is not task
    return any(a.last != b.last for a, b in zip(before.containers, task.containers, strict=False))


def _told(before: Task | None, task: Task) -> str:
    """One line for people."""
    name = f"task {arns.short(task.arn)}"
    if before is None:
        return f"{name} is {task.last}, placed on {arns.short(task.instance_arn)}"
    if task.last == STOPPED and before.last != STOPPED:
        codes = [f"{c.name} exit code {c.exit_code}" for c in task.containers if c.exit_code is not None]
        told = f"{name} is STOPPED ({task.stop_code}: {task.stopped_reason})"
        return f"{told}; {', '.join(codes)}" if codes else told
    if before.last != task.last:
        return f"{name} is {task.last}"
    if before.desired != task.desired:
        return f"{name} is to stop ({task.stop_code}: {task.stopped_reason})"
    moved = [
        f"{b.name} is {b.last}"
        for a, b in zip(before.containers, task.containers, strict=False)
        if a.last != b.last
    ]
    return f"{name}: container {', '.join(moved)}"


def _json(body: Mapping[str, Any]) -> str:
    shown = {k: iso(v) if k in _TIMES else v for k, v in body.items()}
    return _ENCODER.encode(shown)


def iso(at: float) -> str:
    """EventBridge's times: ISO 8601 with milliseconds, UTC."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def envelope(event: Event) -> dict[str, Any]:
    """What EventBridge hands to its targets (user guide, "Event structure")."""
    scope = arns.scope_of(event.cluster_arn or event.subject)
    about = {TASK_TYPE: event.task_arn, INSTANCE_TYPE: event.instance_arn}
    return {
        "version": "0",
        "id": event.id,
        "detail-type": event.detail_type,
        "source": event.source,
        "account": scope.account,
        "time": datetime.fromtimestamp(event.at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "region": scope.region,
        "resources": list(event.resources)
        if event.source != ECS_SOURCE
        else [about.get(event.detail_type) or event.service_arn],
        "detail": json.loads(event.detail) if event.detail else {},
    }
