"""Intake: what agents tell beyond the ECS API: telemetry, health, facts of a container's end.

Everything here is merged into the task idempotently. Facts and the early word that a container is gone are
extras of our own agent; with another agent in its place the same truth arrives later by SubmitTaskStateChange.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from monitor.clock import Clock, Ids
from monitor.control.publish import Publisher
from monitor.control.recent import Recent
from monitor.model import arn as arns
from monitor.model.event import TASK_CHANGE, Event
from monitor.model.state import Log, Put
from monitor.model.task import HEALTHY, STOPPED, UNHEALTHY, UNKNOWN, Facts, Task
from monitor.scheduler.lifecycle import ContainerReport, TaskReport, observe, observe_facts, observe_health
from monitor.store.base import Store

log = logging.getLogger("moorwatch.intake")

LOG_LINES = 20
LINE_CHARACTERS = 512
HEALTH_CHARACTERS = 2048


class Intake:
    def __init__(self, store: Store, clock: Clock, ids: Ids) -> None:
        self._store, self._clock, self._ids = store, clock, ids
        self.recent = Recent(store.state)
        self.publisher: Publisher | None = None  # set: telemetry becomes metrics

    def metrics(self, instance_arn: str, message: Mapping[str, Any]) -> None:
        """PublishMetricsRequest."""
        self.recent.telemetry(instance_arn, message, self._clock.now())
        if self.publisher is not None:
            self.publisher.telemetry(instance_arn, message)

    def _task(self, instance_arn: str, arn: object) -> Task | None:
        """The task, if it is on this very instance: an agent speaks for no other."""
        task = self._store.state.tasks.get(str(arn))
        return task if task is not None and task.instance_arn == instance_arn else None

    async def gone(self, instance_arn: str, message: Mapping[str, Any]) -> None:
        """A container's process has ended; its exit code follows with the regular report."""
        task = self._task(instance_arn, message.get("taskArn"))
        if task is None:
            return
        ended = _number(message.get("at"))
        report = TaskReport(
            containers=(ContainerReport(name=str(message.get("containerName", "")), status=STOPPED),),
            execution_stopped_at=ended if self._is_essential(task, message) else None,
        )
        observed = observe(task, report, self._clock.now())
        if observed is not task:
            await self._store.commit((Put(observed),))

    def _is_essential(self, task: Task, message: Mapping[str, Any]) -> bool:
        return any(c.essential and c.name == message.get("containerName") for c in task.containers)

    async def facts(self, instance_arn: str, message: Mapping[str, Any]) -> None:
        task = self._task(instance_arn, message.get("taskArn"))
        if task is None:
            return
        raw = message.get("containers")
        by_name = {
            str(c.get("containerName", "")): _facts(c)
            for c in (raw if isinstance(raw, list) else [])
            if isinstance(c, Mapping)
        }
        observed = observe_facts(task, by_name)
        if observed is not task:
            await self._store.commit((Put(observed),))

    async def health(self, instance_arn: str, message: Mapping[str, Any]) -> None:
        """PublishHealthRequest."""
        changes: list[Put | Log] = []
        for entry in message.get("tasks") or ():
            task = self._task(instance_arn, entry.get("taskArn"))
            if task is None or task.last == STOPPED:
                continue
            health = {
                str(c.get("containerName", "")): str(c.get("healthStatus", UNKNOWN))
                for c in entry.get("containers") or ()
                if c.get("healthStatus") in (HEALTHY, UNHEALTHY, UNKNOWN)
            }
            observed = observe_health(task, health)
            if observed is task:
                continue
            changes.append(Put(observed))
            if observed.health != task.health:
                changes.append(Log(self._health_event(observed)))
        if changes:
            await self._store.commit(changes)

    def _health_event(self, task: Task) -> Event:
        """Of the log only: health is no part of ECS's task events."""
        return Event(
            id=self._ids.uuid(),
            at=self._clock.now(),
            kind=TASK_CHANGE,
            cluster_arn=task.cluster_arn,
            service_arn=task.service_arn,
            task_arn=task.arn,
            instance_arn=task.instance_arn,
            message=f"task {arns.short(task.arn)} is {task.last} and {task.health}",
        )

    async def instance_status(self, instance_arn: str, message: Mapping[str, Any]) -> None:
        """PublishInstanceStatusRequest: the container runtime as the agent finds it."""
        instance = self._store.state.instances.get(instance_arn)
        statuses = [
            s
            for s in message.get("statuses") or ()
            if s.get("type") in ("ContainerRuntime", "CONTAINER_RUNTIME")
        ]
        if instance is None or not statuses:
            return
        status = str(statuses[0].get("status", ""))[:32]
        if status != instance.runtime_status:
            log.info("container_instance=%s container_runtime=%s", instance_arn, status)
            await self._store.commit((Put(replace(instance, runtime_status=status)),))


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _whole(value: object) -> int | None:
    number = _number(value)
    return None if number is None or not -(2**62) < number < 2**62 else int(number)


def _facts(raw: Mapping[str, Any]) -> Facts:
    tail = raw.get("logTail")
    lines = [str(line)[:LINE_CHARACTERS] for line in tail] if isinstance(tail, list) else []
    return Facts(
        oom_killed=raw.get("oomKilled") is True,
        memory_at_death_bytes=_whole(raw.get("memoryAtDeathBytes")),
        memory_peak_bytes=_whole(raw.get("memoryPeakBytes")),
        memory_limit_bytes=_whole(raw.get("memoryLimitBytes")) or None,
        log_tail=tuple(lines[-LOG_LINES:]),
        health_output=str(raw.get("healthOutput") or "")[:HEALTH_CHARACTERS],
        created_at=_number(raw.get("createdAt")),
        started_at=_number(raw.get("startedAt")),
        finished_at=_number(raw.get("finishedAt")),
    )
