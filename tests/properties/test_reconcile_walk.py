"""A seeded walk: users, agents and faults in any order; the invariants hold at each step, and once the faults end
everything that was asked for runs."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from monitor.model.alarm import Alarm, alarm_arn
from monitor.model.errors import AwsError
from monitor.model.service import ACTIVE, INACTIVE, Service
from monitor.model.state import Change, Put, State
from monitor.model.task import RUNNING, STOPPED, Task
from tests.properties.invariants import check_look, image, rebuilt
from tests.scenarios.world import SCOPE, World

INSTANCES = ("a" * 32, "b" * 32, "c" * 32)
SERVICES = ("web", "api", "job")
DAEMON = "log"
ALARM = alarm_arn(SCOPE.region, SCOPE.account, "errors")
STEPS = 80


class Walk:
    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.world = World(seed)
        self.world.listeners.append(self.unique)
        self.gone: set[str] = set()
        for name, zone in zip(INSTANCES, "aab", strict=True):
            self.world.join(name, zone=zone)
        self.world.define("web")
        self.world.define("api", healthCheck={"command": ["CMD", "true"]})
        self.world.define("job", portMappings=[{"containerPort": 80, "hostPort": 8080}])
        self.world.define(DAEMON, cpu=64, memory=32)
        self.set_alarm("OK")
        for name in (*SERVICES, DAEMON):
            self.create(name)

    @staticmethod
    def unique(state: State, applied: list[Change]) -> None:
        versions = [c.entity.version for c in applied if isinstance(c, Put) and isinstance(c.entity, Task)]
        assert all(v >= 1 for v in versions)

    # -- what may happen ----------------------------------------------------------------------------

    def create(self, name: str | None = None) -> None:
        name = name or self.chance.choice(SERVICES)
        if name == DAEMON:
            percents = {"minimumHealthyPercent": self.chance.choice([0, 50]), "maximumPercent": 100}
            self.world.call(
                "CreateService",
                serviceName=name,
                taskDefinition=name,
                schedulingStrategy="DAEMON",
                deploymentConfiguration={**percents, **self.breaker()},
            )
            return
        low, high = self.chance.choice([(100, 200), (50, 100), (50, 150), (0, 100), (0, 200)])
        configuration: dict[str, Any] = {
            "minimumHealthyPercent": low,
            "maximumPercent": high,
            **self.breaker(),
        }
        is_distinct = self.chance.random() < 0.3
        if name != "job" and not is_distinct and self.chance.random() < 0.3:
            configuration |= {"strategy": "BLUE_GREEN", "bakeTimeInMinutes": self.chance.choice([0, 1])}
        if self.chance.random() < 0.3:
            configuration["alarms"] = {"alarmNames": ["errors"], "enable": True, "rollback": True}
        self.world.call(
            "CreateService",
            serviceName=name,
            taskDefinition=name,
            desiredCount=self.chance.randint(0, 3 if name == "job" else 5),
            deploymentConfiguration=configuration,
            placementConstraints=[{"type": "distinctInstance"}] if is_distinct else [],
            tags=[{"key": "moorwatch:warm-standby", "value": str(self.chance.choice([0, 0, 1, 2]))}],
            healthCheckGracePeriodSeconds=self.chance.choice([0, 30]),
        )

    def breaker(self) -> dict[str, Any]:
        if self.chance.random() < 0.5:
            return {}
        return {"deploymentCircuitBreaker": {"enable": True, "rollback": self.chance.random() < 0.7}}

    def set_alarm(self, state: str) -> None:
        self.world.commit([Put(Alarm(ALARM, "errors", state, self.world.now, window_seconds=30.0))])

    def alarm(self) -> None:
        self.set_alarm(self.chance.choice(["OK", "ALARM"]))

    def drain(self) -> None:
        name = self.chance.choice(INSTANCES)
        if name not in self.gone:
            status = self.chance.choice(["DRAINING", "ACTIVE"])
            self.world.commit([Put(replace(self.world.instance(name), status=status))])

    def protect(self) -> None:
        task = self.pick(lambda t: t.service_arn != "" and t.desired == RUNNING and not t.standby)
        if task:
            self.world.commit([Put(replace(task, protected_until=self.world.now + 300.0))])

    def stop_deployment(self) -> None:
        record = self.world.service(self.chance.choice(SERVICES)).primary.record_arn
        kind = self.chance.choice(["ABORT", "ROLLBACK"])
        self.world.call("StopServiceDeployment", serviceDeploymentArn=record, stopType=kind)

    def scale(self) -> None:
        name = self.chance.choice(SERVICES)
        self.world.call("UpdateService", service=name, desiredCount=self.chance.randint(0, 3))

    def force(self) -> None:
        self.world.call(
            "UpdateService", service=self.chance.choice((*SERVICES, DAEMON)), forceNewDeployment=True
        )

    def delete(self) -> None:
        self.world.call("DeleteService", service=self.chance.choice(SERVICES), force=True)

    def run(self) -> None:
        self.world.call("RunTask", taskDefinition="web", count=1)

    def stop(self) -> None:
        task = self.pick(lambda t: not t.standby)
        if task:
            self.world.call("StopTask", task=task.arn, reason="by hand")

    def crash(self) -> None:
        task = self.pick(lambda t: t.last == RUNNING)
        if task:
            self.world.crashed(task, self.chance.choice([0, 1, 137]))

    def unpulled(self) -> None:
        task = self.pick(lambda t: t.last != RUNNING)
        if task:
            self.world.ended(task, reason="CannotPullContainerError: no such image")

    def unhealthy(self) -> None:
        task = self.pick(lambda t: t.has_health_check and t.last == RUNNING)
        if task:
            self.world.is_healthy(task, self.chance.random() < 0.3)

    def disconnect(self) -> None:
        name = self.chance.choice(INSTANCES)
        if self.world.instance(name).agent_connected:
            self.world.disconnect(name, self.chance.choice([0.0, 60.0]))

    def reconnect(self) -> None:
        name = self.chance.choice(INSTANCES)
        if name not in self.gone:
            self.world.reconnect(name)

    def deregister(self) -> None:
        name = self.chance.choice(INSTANCES[2:])
        self.world.call("DeregisterContainerInstance", containerInstance=name, force=True)
        self.gone.add(name)

    def obey(self) -> None:
        self.world.obey([n for n in INSTANCES if n not in self.gone and self.chance.random() < 0.7])

    def wait(self) -> None:
        self.world.now += self.chance.choice([0.1, 1.0, 11.0, 61.0, 400.0])

    def repeat(self) -> None:
        """A report is delivered a second time, late."""
        task = self.pick(lambda t: t.last == RUNNING)
        if task:
            before = image(self.world.state)
            report = [{"containerName": c.name, "status": "RUNNING"} for c in task.containers]
            self.world.report(task, "RUNNING", containers=report)
            self.world.report(task, "PENDING")
            assert image(self.world.state) == before

    def restart(self) -> None:
        """The control plane goes on from what is stored."""
        before = image(self.world.state)
        self.world.state = rebuilt(self.world.state)
        assert image(self.world.state) == before

    def pick(self, wanted: Callable[[Task], bool]) -> Task | None:
        reachable = [
            t
            for t in self.world.state.tasks.values()
            if t.last != STOPPED and self.world.state.instances[t.instance_arn].agent_connected and wanted(t)
        ]
        return self.chance.choice(reachable) if reachable else None

    # -- walking ------------------------------------------------------------------------------------

    def step(self) -> None:
        actions: list[tuple[Callable[[], None], int]] = [
            (self.obey, 12),
            (self.wait, 8),
            (self.crash, 6),
            (self.unhealthy, 4),
            (self.scale, 3),
            (self.disconnect, 2),
            (self.reconnect, 4),
            (self.unpulled, 2),
            (self.force, 2),
            (self.stop, 2),
            (self.delete, 1),
            (self.create, 1),
            (self.run, 1),
            (self.repeat, 2),
            (self.restart, 1),
            (self.deregister, 1),
            (self.drain, 2),
            (self.protect, 1),
            (self.alarm, 1),
            (self.stop_deployment, 1),
        ]
        names, weights = zip(*actions, strict=True)
        try:
            self.chance.choices(names, weights)[0]()
        except AwsError as error:
            if error.status != 400:  # a user asked for what cannot be had now
                raise
        self.look()

    def look(self) -> None:
        plan = check_look(self.world.snapshot(), self.chance.getrandbits(32))
        self.world.next_at = plan.next_at

    def heal(self) -> None:
        """No more faults: agents come back, obey, and every check passes. What failed is deployed anew."""
        self.set_alarm("OK")
        for name in INSTANCES:
            if name not in self.gone:
                self.world.commit([Put(replace(self.world.instance(name), status="ACTIVE"))])
                self.world.reconnect(name)
        self.look()
        for service in list(self.world.state.services.values()):
            if service.status == ACTIVE and service.primary.rollout_state == "FAILED":
                self.world.call("UpdateService", service=service.name, forceNewDeployment=True)
        for _ in range(200):
            self.look()
            for task in list(self.world.state.tasks.values()):
                if (
                    task.last == RUNNING
                    and task.has_health_check
                    and not task.is_healthy
                    and task.desired == RUNNING
                ):
                    self.world.is_healthy(task, True)
            self.world.obey()
            if self.is_whole():
                return
            self.world.now += 30.0
        raise AssertionError(f"not healed: {self.told()}")

    def is_whole(self) -> bool:
        state = self.world.state
        if any(t.is_live and t.desired == STOPPED for t in state.tasks.values()):
            return False
        for service in state.services.values():
            if service.status == INACTIVE:
                continue
            mine = [t for t in state.live_tasks_of_service(service.arn) if not t.standby]
            whole = (
                service.status == ACTIVE
                and len(mine) == self.wanted(service)
                and all(t.is_healthy and t.deployment_id == service.primary.id for t in mine)
                and len(service.deployments) == 1
                and service.primary.rollout_state == "COMPLETED"
                and service.steady_at is not None
            )
            if not whole:
                return False
        return True

    def wanted(self, service: Service) -> int:
        if service.scheduling != "DAEMON":
            return service.desired_count
        assert service.desired_count == len(INSTANCES) - len(self.gone)
        return service.desired_count

    def told(self) -> list[str]:
        lines = []
        for s in self.world.state.services.values():
            made = [
                f"{d.status}/{d.rollout_state}/{d.stage}/{d.failed_tasks}/{d.retry_at}" for d in s.deployments
            ]
            live = [
                f"{t.desired}/{t.last}/{t.health}@{t.instance_arn[-1]}{'/standby' * t.standby}"
                for t in self.world.state.live_tasks_of_service(s.arn)
            ]
            percents = f"{s.minimum_healthy_percent}/{s.maximum_percent}"
            lines.append(
                f"{s.name} {s.status} {s.desired_count} {percents} {s.complaint!r} {made} {live} {s.steady_at}"
            )
        return lines + self.world.logged()[-10:]


@pytest.mark.parametrize("seed", range(120))
def test_invariants_hold_on_a_walk_and_the_end_is_whole(seed: int) -> None:
    walk = Walk(seed)
    walk.look()
    for _ in range(STEPS):
        walk.step()
    # What has room in any order: "job" needs a host port, so one instance a task; and percentages that block nothing.
    desired = 2 - len(walk.gone)
    for name in SERVICES:
        if walk.world.service(name).status == ACTIVE:
            percents = {"minimumHealthyPercent": 0 if name == "job" else 100, "maximumPercent": 200}
            walk.world.call(
                "UpdateService", service=name, desiredCount=desired, deploymentConfiguration=percents
            )
    for task in list(walk.world.state.tasks.values()):
        if not task.service_arn and task.is_wanted:
            walk.world.call("StopTask", task=task.arn)
    walk.heal()
