"""Runs a scenario: a text file of lines `time: event / expectation`, either part optional, `#` begins a comment.

Time is in seconds since the start, and only moves forward; on the way the scheduler looks whenever it asked to.
After each event it looks once, and with `agents obey` (the start's setting) the agents carry out what is ordered
until nothing is left to do; with `agents wait` they act only on the event `agents act`.

Events
    instance NAME [cpu N] [memory N] [zone Z]      a container instance joins
    define FAMILY [check] [port N] [cpu N]         a new revision of a one-container definition
    service NAME N [min N] [max N] [standbys N] [grace N] [distinct] [of FAMILY] [breaker rollback|stop] [count N]
        [noreset] [alarm NAME] [bake MINUTES] [bluegreen] [hook STAGE] [providers A:WEIGHT:BASE,B:WEIGHT]
        [spread FIELD] [binpack FIELD] [fargate]        a service
    daemon NAME [min N] [of FAMILY] [member EXPRESSION]
    sets NAME N                                    a service of the EXTERNAL controller
    set NAME PERCENT [of FAMILY:REVISION] | unset NAME  a task set more | the newest goes
    drain INSTANCE | activate INSTANCE
    protect NAME MINUTES                           the newest running task
    alarm NAME STATE | rollback NAME | abort NAME | continue NAME
    scale NAME N | update NAME FAMILY:REVISION | force NAME | percents NAME MIN MAX | delete NAME
    agents act [INSTANCE] | agents obey | agents wait
    exit NAME CODE [all]                           the newest running task's container (or all tasks') ends
    unpulled NAME                                  every pending task fails: its image cannot be pulled
    sick NAME | sick-new NAME | well NAME          the oldest running task; all of the newest deployment; every task
    associate PROVIDER …                           capacity providers of the cluster
    lost INSTANCE | back INSTANCE | deregister INSTANCE
    stop NAME                                      a user stops the newest running task
Expectations
    NAME KEY VALUE [KEY VALUE …]                   of running, pending, stopping, standbys, deployments, failed, wait
                                                   (seconds of back-off), rollout, status, on:INSTANCE, old, desired,
                                                   stage, revision, breaker, record (status of the newest service
                                                   deployment), provider:NAME, setN (running tasks of the Nth set)
    NAME says "TEXT" | NAME silent                 service events since the event before
    last NAME STOPCODE "TEXT"                      why its last stopped task stopped
    NAME replaced                                  every running task that took a place names whose
"""

from __future__ import annotations

import re
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

from monitor.model.alarm import Alarm, alarm_arn
from monitor.model.capacity import PROVIDER_ATTRIBUTE
from monitor.model.service import Service
from monitor.model.state import Put
from monitor.model.task import RUNNING, STOPPED, Task
from tests.scenarios.world import CLUSTER, SCOPE, START, World

_LINE = re.compile(r"(?P<at>[0-9.]+)\s*(?:s|m|h)?\s*:\s*(?P<rest>.*)")


class BadScenario(Exception):
    """The scenario itself is wrong."""


class Scenario:
    def __init__(self) -> None:
        self.world = World()
        self.obeying = True
        self.heard: dict[str, int] = {}

    def play(self, path: Path) -> int:
        """Run the file; returns how many expectations held. Fails with the line's number and what was found."""
        checked = 0
        for number, raw in enumerate(path.read_text().splitlines(), 1):
            line = raw.split("#", 1)[0].strip()
            if not line:
                continue
            found = _LINE.fullmatch(line)
            if found is None:
                raise BadScenario(f"{path.name}:{number}: no time at the start: {line!r}")
            event, _, expectation = (part.strip() for part in found["rest"].partition(" / "))
            if found["rest"].startswith("/"):
                event, expectation = "", found["rest"][1:].strip()
            try:
                self.move(float(found["at"]))
                if event:
                    self.heard = {n: len(self.world.said(n)) for n in self.names()}
                    self.happen(shlex.split(event))
                if expectation:
                    self.expect(shlex.split(expectation))
                    checked += 1
            except AssertionError as error:
                raise AssertionError(f"{path.name}:{number}: {line}\n  {error}\n{self.shown()}") from None
        return checked

    def names(self) -> list[str]:
        return [s.name for s in self.world.state.services.values()]

    def move(self, at: float) -> None:
        gap = START + at - self.world.now
        if gap < -1e-6:
            raise BadScenario(f"time goes back to {at}")
        self.world.advance(max(0.0, gap))
        self.obey()

    def obey(self) -> None:
        if self.obeying:
            self.world.settle()
        else:
            self.world.look()

    # -- events -------------------------------------------------------------------------------------

    def happen(self, words: list[str]) -> None:
        method = getattr(self, f"on_{words[0].replace('-', '_')}", None)
        if method is None:
            raise BadScenario(f"no such event: {words[0]}")
        method(*words[1:])
        self.obey()

    def on_instance(self, name: str, *options: str) -> None:
        found = _options(options)
        zone = str(found.get("zone", "a"))
        made = self.world.join(name, int(found.get("cpu", 4096)), int(found.get("memory", 8192)), zone)
        if "provider" in found:
            marked = {**made.attributes, PROVIDER_ATTRIBUTE: found["provider"].replace(",", " ")}
            self.world.commit([Put(replace(made, attributes=marked))])

    def on_define(self, family: str, *options: str) -> None:
        found = _options(options, flags=("check",))
        extra: dict[str, Any] = {}
        if "check" in found:
            extra["healthCheck"] = {"command": ["CMD", "true"]}
        if "port" in found:
            extra["portMappings"] = [{"containerPort": 80, "hostPort": int(found["port"])}]
        if "cpu" in found:
            extra["cpu"] = int(found["cpu"])
        self.world.define(family, **extra)

    def on_service(self, name: str, desired: str, *options: str) -> None:
        found = _options(options, flags=("distinct", "noreset", "bluegreen", "fargate"))
        self.world.serve(
            name,
            int(desired),
            low=int(found.get("min", 100)),
            high=int(found.get("max", 200)),
            standbys=int(found.get("standbys", 0)),
            healthCheckGracePeriodSeconds=int(found.get("grace", 0)),
            taskDefinition=found.get("of", name),
            configuration=self.configuration(found),
            **_placing(found),
        )

    def configuration(self, found: dict[str, str]) -> dict[str, Any]:
        """deploymentConfiguration beyond the percentages."""
        made: dict[str, Any] = {}
        if "breaker" in found:
            breaker: dict[str, Any] = {"enable": True, "rollback": found["breaker"] == "rollback"}
            if "count" in found:
                breaker["thresholdConfiguration"] = {"type": "COUNT", "value": int(found["count"])}
            breaker["resetOnHealthyTask"] = "noreset" not in found
            made["deploymentCircuitBreaker"] = breaker
        if "alarm" in found:
            self.on_alarm(found["alarm"], "OK")
            made["alarms"] = {"alarmNames": [found["alarm"]], "enable": True, "rollback": True}
        if "bake" in found:
            made["bakeTimeInMinutes"] = int(found["bake"])
        if "bluegreen" in found:
            made["strategy"] = "BLUE_GREEN"
        if "hook" in found:
            made["lifecycleHooks"] = [{"targetType": "PAUSE", "lifecycleStages": [found["hook"]]}]
        return made

    def on_daemon(self, name: str, *options: str) -> None:
        found = _options(options)
        extra: dict[str, Any] = {}
        if "member" in found:
            extra["placementConstraints"] = [{"type": "memberOf", "expression": found["member"]}]
        low = int(found.get("min", 0))
        definition = found.get("of", name)
        self.world.serve(
            name, 0, low=low, high=100, taskDefinition=definition, schedulingStrategy="DAEMON", **extra
        )

    def on_sets(self, name: str, desired: str) -> None:
        self.world.serve(name, int(desired), taskDefinition="", deploymentController={"type": "EXTERNAL"})

    def on_set(self, name: str, percent: str, *options: str) -> None:
        found = _options(options)
        self.world.call(
            "CreateTaskSet",
            cluster="default",
            service=name,
            taskDefinition=found.get("of", name),
            scale={"unit": "PERCENT", "value": float(percent)},
        )

    def on_unset(self, name: str) -> None:
        newest = max(self.world.service(name).deployments, key=lambda d: (d.created_at, d.id))
        self.world.call("DeleteTaskSet", cluster="default", service=name, taskSet=newest.id, force=True)

    def on_drain(self, name: str) -> None:
        self.world.commit([Put(replace(self.world.instance(name), status="DRAINING"))])

    def on_activate(self, name: str) -> None:
        self.world.commit([Put(replace(self.world.instance(name), status="ACTIVE"))])

    def on_protect(self, name: str, minutes: str) -> None:
        until = self.world.now + int(minutes) * 60.0
        self.world.commit([Put(replace(self.running(name)[-1], protected_until=until))])

    def on_alarm(self, name: str, state: str) -> None:
        arn = alarm_arn(SCOPE.region, SCOPE.account, name)
        self.world.commit([Put(Alarm(arn, name, state, self.world.now, window_seconds=60.0))])

    def on_rollback(self, name: str) -> None:
        self.world.call(
            "StopServiceDeployment", serviceDeploymentArn=self.world.service(name).primary.record_arn
        )

    def on_abort(self, name: str) -> None:
        record = self.world.service(name).primary.record_arn
        self.world.call("StopServiceDeployment", serviceDeploymentArn=record, stopType="ABORT")

    def on_continue(self, name: str) -> None:
        primary = self.world.service(name).primary
        self.world.call(
            "ContinueServiceDeployment", serviceDeploymentArn=primary.record_arn, hookId=primary.hook_id
        )

    def on_scale(self, name: str, desired: str) -> None:
        self.world.call("UpdateService", service=name, desiredCount=int(desired))

    def on_update(self, name: str, definition: str) -> None:
        self.world.call("UpdateService", service=name, taskDefinition=definition)

    def on_percents(self, name: str, low: str, high: str) -> None:
        percents = {"minimumHealthyPercent": int(low), "maximumPercent": int(high)}
        self.world.call("UpdateService", service=name, deploymentConfiguration=percents)

    def on_force(self, name: str) -> None:
        self.world.call("UpdateService", service=name, forceNewDeployment=True)

    def on_delete(self, name: str) -> None:
        self.world.call("DeleteService", service=name, force=True)

    def on_agents(self, what: str, *names: str) -> None:
        if what == "act":
            self.world.obey(names or None)
        else:
            self.obeying = what == "obey"

    def on_exit(self, name: str, code: str, which: str = "") -> None:
        tasks = self.running(name)
        for task in tasks if which == "all" else tasks[-1:]:
            self.world.crashed(task, int(code))

    def on_unpulled(self, name: str) -> None:
        for task in self.world.live(name):
            if task.last != RUNNING and task.desired == RUNNING:
                self.world.ended(task, reason="CannotPullContainerError: no such image")

    def on_sick(self, name: str) -> None:
        self.world.is_healthy(self.running(name)[0], False)

    def on_sick_new(self, name: str) -> None:
        primary = self.world.service(name).primary.id
        for task in self.running(name):
            if task.deployment_id == primary:
                self.world.is_healthy(task, False)

    def on_associate(self, *providers: str) -> None:
        cluster = self.world.state.clusters[CLUSTER]
        known = {**cluster.config, "capacityProviders": list(providers)}
        self.world.commit([Put(replace(cluster, config=known))])

    def on_well(self, name: str) -> None:
        for task in self.running(name):
            self.world.is_healthy(task, True)

    def on_lost(self, name: str) -> None:
        self.world.disconnect(name)

    def on_back(self, name: str) -> None:
        self.world.reconnect(name)

    def on_deregister(self, name: str) -> None:
        self.world.call("DeregisterContainerInstance", containerInstance=name, force=True)

    def on_stop(self, name: str) -> None:
        self.world.call("StopTask", task=self.running(name)[-1].arn)

    def running(self, name: str) -> list[Task]:
        """Oldest first."""
        found = [t for t in self.world.live(name) if t.last == RUNNING and t.desired == RUNNING]
        return sorted(found, key=lambda t: (t.created_at, t.arn))

    # -- expectations -------------------------------------------------------------------------------

    def expect(self, words: list[str]) -> None:
        if words[0] == "last":
            self.expect_last(words[1], words[2], words[3])
            return
        name, what = words[0], words[1]
        said = self.world.said(name)[self.heard.get(name, 0) :]
        if what == "says":
            assert any(words[2] in line for line in said), f"said {said}"
        elif what == "silent":
            assert not said, f"said {said}"
        elif what == "replaced":
            late = [t for t in self.running(name) if t.created_at > self.world.service(name).created_at]
            assert late, "no task took a place"
            assert all(t.replaces in self.world.state.tasks for t in late), "a replacement names no task"
        else:
            pairs = dict(zip(words[1::2], words[2::2], strict=True))
            found = {key: str(self.value(self.world.service(name), key)) for key in pairs}
            assert found == pairs, f"found {found}"

    def expect_last(self, name: str, code: str, text: str) -> None:
        arn = self.world.service(name).arn
        stopped = [
            t for t in self.world.state.tasks.values() if t.service_arn == arn and t.desired == STOPPED
        ]
        last = max(stopped, key=lambda t: t.stopping_at or 0.0)
        assert last.stop_code == code, f"found {last.stop_code}"
        assert text in last.stopped_reason, f"found {last.stopped_reason!r}"

    def value(self, service: Service, key: str) -> object:
        name, primary = service.name, service.primary
        described = self.world.call("DescribeServices", services=[name])["services"][0]
        wanted = [t for t in self.world.live(name) if t.desired == RUNNING]
        if key.startswith("on:"):
            arn = self.world.instance(key.removeprefix("on:")).arn
            return sum(1 for t in wanted if t.instance_arn == arn)
        found: dict[str, object] = {
            "running": described["runningCount"],
            "pending": described["pendingCount"],
            "stopping": sum(1 for t in self.world.live(name) if t.desired == STOPPED and not t.is_given_up),
            "old": sum(1 for t in wanted if t.deployment_id != primary.id),
            "standbys": len(self.world.standbys(name)),
            "deployments": len(described["deployments"]),
            "failed": primary.failed_tasks,
            "wait": f"{max(0.0, primary.retry_at - self.world.now):g}",
            "rollout": primary.rollout_state,
            "status": service.status,
            "desired": service.desired_count,
            "stage": primary.stage or "none",
            "revision": service.definition_arn.rsplit(":", 1)[-1],
            "breaker": primary.breaker_failures,
            "record": self.record(service),
        }
        if key.startswith("provider:"):
            provider = key.removeprefix("provider:")
            return sum(1 for t in wanted if t.capacity_provider == provider)
        if key.startswith("set"):
            ordered = sorted(service.deployments, key=lambda d: (d.created_at, d.id))
            number = int(key.removeprefix("set")) - 1
            return sum(1 for t in wanted if t.deployment_id == ordered[number].id and t.last == RUNNING)
        if key not in found:
            raise BadScenario(f"no such value: {key}")
        return found[key]

    def record(self, service: Service) -> str:
        """The status of the newest service deployment."""
        records = self.world.state.service_deployments_of(service.arn)
        return records[-1].status if records else "none"

    def shown(self) -> str:
        lines = [f"  at {self.world.now - START:g} s"]
        for task in self.world.state.tasks.values():
            if task.is_live:
                where = task.instance_arn.rsplit("/", 1)[-1]
                lines.append(
                    f"  {task.group} on {where}: {task.desired}/{task.last} {task.health} {task.stop_code}"
                )
        return "\n".join([*lines, *(f"  {m}" for m in self.world.logged()[-8:])])


def _placing(found: dict[str, str]) -> dict[str, Any]:
    extra: dict[str, Any] = {}
    if "distinct" in found:
        extra["placementConstraints"] = [{"type": "distinctInstance"}]
    if "fargate" in found:
        extra["launchType"] = "FARGATE"
    steps = [{"type": kind, "field": found[kind]} for kind in ("spread", "binpack") if kind in found]
    if steps:
        extra["placementStrategy"] = steps
    if "providers" in found:
        parts = [p.split(":") for p in found["providers"].split(",")]
        extra["capacityProviderStrategy"] = [
            {"capacityProvider": p[0], "weight": int(p[1]), "base": int(p[2]) if len(p) > 2 else 0}
            for p in parts
        ]
    return extra


def _options(words: tuple[str, ...], flags: tuple[str, ...] = ()) -> dict[str, str]:
    found: dict[str, str] = {}
    left = list(words)
    while left:
        word = left.pop(0)
        found[word] = "" if word in flags else left.pop(0)
    return found
