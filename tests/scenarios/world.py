"""A pure world for tests: the state, a clock that stands still until it is moved, users, and agents as a model.

Users speak by the product's own operations, agents by SubmitTaskStateChange, and the scheduler by reconcile: only
the network, the disk and Docker are missing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from monitor.agent.session import CAPABILITIES
from monitor.api import gateway
from monitor.api.announce import Announcer
from monitor.api.operation import OPERATIONS, Context
from monitor.clock import SeededIds
from monitor.model import arn as arns
from monitor.model.arn import Scope
from monitor.model.cluster import Cluster, ContainerInstance
from monitor.model.resources import Resources
from monitor.model.service import Service
from monitor.model.state import Change, Log, Put, State
from monitor.model.task import RUNNING, STOPPED, Task
from monitor.scheduler.lifecycle import observe_health
from monitor.scheduler.plan import Plan, changes
from monitor.scheduler.reconcile import reconcile
from monitor.scheduler.snapshot import Snapshot

assert gateway.FAMILIES  # importing the gateway registers the operations

SCOPE = Scope("000000000001", "us-east-1")
CLUSTER = arns.cluster(SCOPE, "default")
START = 1_800_000_000.0
GRACE_SECONDS = 60.0

Changed = Callable[[State, list[Change]], None]


class _WorldClock:
    def __init__(self, world: World) -> None:
        self._world = world

    def now(self) -> float:
        return self._world.now


class World:
    def __init__(self, seed: int = 0) -> None:
        self.state, self.ids, self.now = State(), SeededIds(seed), START
        self.next_at: float | None = None
        self.announce = Announcer(_WorldClock(self), SeededIds(seed + 1))
        self.listeners: list[Changed] = []
        self.commit([Put(Cluster(CLUSTER, "default", START))])

    # -- the control plane --------------------------------------------------------------------------

    def commit(self, changes_: Iterable[Change]) -> None:
        applied = self.state.apply(self.announce(self.state, list(changes_)))
        for listener in self.listeners:
            listener(self.state, applied)

    def snapshot(self) -> Snapshot:
        return Snapshot(self.state, self.now)

    def look(self) -> Plan:
        """One cycle of the scheduler."""
        plan = reconcile(self.snapshot())
        self.next_at = plan.next_at
        if plan.verbs:
            self.commit(changes(plan, self.state, self.now, self.ids))
        return plan

    def advance(self, seconds: float) -> None:
        """Move the clock, looking whenever a plan asked for it."""
        until = self.now + seconds
        while self.next_at is not None and self.next_at <= until:
            self.now = max(self.now, self.next_at)
            self.look()
            assert self.next_at is None or self.next_at > self.now, "a look must not ask for the present"
        self.now = until
        self.look()

    # -- users --------------------------------------------------------------------------------------

    def call(
        self, operation: str, /, api: str = "ecs", scope: Scope = SCOPE, **params: Any
    ) -> dict[str, Any]:
        """An operation's answer; raises AwsError."""
        context = Context(self.state, scope, self.now, self.ids, "AKIATEST", "http://127.0.0.1:4580")
        outcome = OPERATIONS[api, operation](context, params)
        if outcome.changes:
            self.commit(outcome.changes)
        return outcome.view(self.state)

    def define(self, family: str = "web", **extra: Any) -> str:
        """A one-container definition of 256 CPU units and 128 MiB; `extra` are its container's other members."""
        container = {"name": "main", "image": "busybox", "cpu": 256, "memory": 128, **extra}
        made = self.call(
            "RegisterTaskDefinition", family=family, containerDefinitions=[{"essential": True, **container}]
        )
        return str(made["taskDefinition"]["taskDefinitionArn"])

    def serve(self, name: str = "web", desired: int = 1, **extra: Any) -> str:
        """Create a service and look; `low` and `high` are its percentages."""
        percents = {"minimumHealthyPercent": extra.pop("low", 100), "maximumPercent": extra.pop("high", 200)}
        standbys = extra.pop("standbys", 0)
        if standbys:
            extra["tags"] = [{"key": "moorwatch:warm-standby", "value": str(standbys)}]
        extra.setdefault("taskDefinition", "web")
        percents |= extra.pop("configuration", {})
        made = self.call(
            "CreateService",
            serviceName=name,
            desiredCount=desired,
            deploymentConfiguration=percents,
            **extra,
        )
        self.look()
        return str(made["service"]["serviceArn"])

    def service(self, name: str = "web") -> Service:
        return self.state.services[arns.service(SCOPE, "default", name)]

    def live(self, name: str = "web") -> list[Task]:
        """The service's live tasks, standbys not among them."""
        return [t for t in self.state.live_tasks_of_service(self.service(name).arn) if not t.standby]

    def standbys(self, name: str = "web") -> list[Task]:
        arn = self.service(name).arn
        return [t for t in self.state.live_tasks_of_service(arn) if t.standby and t.desired == RUNNING]

    def said(self, name: str = "web") -> list[str]:
        return [e.message for e in self.state.events_of_service(self.service(name).arn)]

    # -- agents -------------------------------------------------------------------------------------

    def join(self, name: str, cpu: int = 4096, memory: int = 8192, zone: str = "a") -> ContainerInstance:
        """A connected container instance whose id is made of `name`."""
        instance = ContainerInstance(
            arn=arns.container_instance(SCOPE, "default", name),
            cluster_arn=CLUSTER,
            registered_at=self.now,
            resources=Resources(cpu, memory),
            attributes={"ecs.availability-zone": zone, **dict.fromkeys(CAPABILITIES, "")},
            agent_connected=True,
            connectivity_at=self.now,
        )
        self.commit([Put(instance)])
        return instance

    def instance(self, name: str) -> ContainerInstance:
        return self.state.instances[arns.container_instance(SCOPE, "default", name)]

    def disconnect(self, name: str, grace: float = GRACE_SECONDS) -> None:
        gone = replace(self.instance(name), agent_connected=False, lost_at=self.now + grace)
        self.commit([Put(gone)])

    def reconnect(self, name: str) -> None:
        self.commit([Put(replace(self.instance(name), agent_connected=True, lost_at=None))])

    def report(self, task: Task, status: str = "", **members: Any) -> None:
        """One SubmitTaskStateChange."""
        self.call("SubmitTaskStateChange", cluster="default", task=task.arn, status=status, **members)

    def ended(self, task: Task, exit_code: int | None = None, reason: str = "") -> None:
        """The agent's last word on a task: all its containers have ended."""
        containers = []
        for c in task.containers:
            entry: dict[str, Any] = {"containerName": c.name, "status": "STOPPED"}
            if exit_code is not None:
                entry |= {"exitCode": exit_code, "runtimeId": f"docker-{c.name}"}
            if reason:
                entry["reason"] = reason
            containers.append(entry)
        self.report(task, STOPPED, containers=containers, executionStoppedAt=self.now)

    def crashed(self, task: Task, exit_code: int = 1) -> None:
        """A container has ended, and the task is not yet wound up."""
        name = task.containers[0].name
        self.report(task, containers=[{"containerName": name, "status": "STOPPED", "exitCode": exit_code}])

    def is_healthy(self, task: Task, healthy: bool) -> None:
        found = observe_health(task, {c.name: "HEALTHY" if healthy else "UNHEALTHY" for c in task.containers})
        self.commit([Put(found)])

    def obey(self, names: Iterable[str] | None = None) -> bool:
        """Each agent that is connected carries out what is ordered of it; True when there was anything to do."""
        done = False
        wanted = None if names is None else {self.instance(n).arn for n in names}
        for instance in list(self.state.instances.values()):
            if not instance.agent_connected or (wanted is not None and instance.arn not in wanted):
                continue
            for task in list(self.state.live_tasks_on(instance.arn)):
                if task.desired == STOPPED:
                    self.ended(task, 143 if task.started_at else None)
                elif task.last != RUNNING and not task.standby:
                    self.report(
                        task,
                        RUNNING,
                        containers=[{"containerName": c.name, "status": "RUNNING"} for c in task.containers],
                    )
                else:
                    continue
                done = True
        return done

    def settle(self, rounds: int = 50) -> None:
        """Scheduler and agents in turn, time standing still, until neither has anything to do."""
        for _ in range(rounds):
            verbs = self.look().verbs
            if not self.obey() and not verbs:
                return
        raise AssertionError(f"not settled after {rounds} rounds: {self.said()[-5:]}")

    def logged(self) -> list[str]:
        return [e.message for e in self.state.events]


__all__ = ["CLUSTER", "SCOPE", "START", "Log", "World"]
