"""Runs a scenario: a text file of lines `time: event / expectation`, either part optional, `#` begins a comment.

Time is in seconds since the start, and only moves forward; on the way the scheduler looks whenever it asked to.
After each event it looks once, and with `agents obey` (the start's setting) the agents carry out what is ordered
until nothing is left to do; with `agents wait` they act only on the event `agents act`.

Events
    instance NAME [cpu N] [memory N] [zone Z]      a container instance joins
    define FAMILY [check] [port N] [cpu N]         a new revision of a one-container definition
    service NAME N [min N] [max N] [standbys N] [grace N] [distinct] [of FAMILY]
    scale NAME N | update NAME FAMILY:REVISION | force NAME | percents NAME MIN MAX | delete NAME
    agents act [INSTANCE] | agents obey | agents wait
    exit NAME CODE [all]                           the newest running task's container (or all tasks') ends
    unpulled NAME                                  every pending task fails: its image cannot be pulled
    sick NAME | well NAME                          the oldest running task; every task
    lost INSTANCE | back INSTANCE | deregister INSTANCE
    stop NAME                                      a user stops the newest running task
Expectations
    NAME KEY VALUE [KEY VALUE …]                   of running, pending, stopping, standbys, deployments, failed, wait
                                                   (seconds of back-off), rollout, status, on:INSTANCE, old
    NAME says "TEXT" | NAME silent                 service events since the event before
    last NAME STOPCODE "TEXT"                      why its last stopped task stopped
    NAME replaced                                  every running task that took a place names whose
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

from monitor.model.service import Service
from monitor.model.task import RUNNING, STOPPED, Task
from tests.scenarios.world import START, World

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
        method = getattr(self, f"on_{words[0]}", None)
        if method is None:
            raise BadScenario(f"no such event: {words[0]}")
        method(*words[1:])
        self.obey()

    def on_instance(self, name: str, *options: str) -> None:
        found = _options(options)
        zone = str(found.get("zone", "a"))
        self.world.join(name, int(found.get("cpu", 4096)), int(found.get("memory", 8192)), zone)

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
        found = _options(options, flags=("distinct",))
        extra: dict[str, Any] = {}
        if "distinct" in found:
            extra["placementConstraints"] = [{"type": "distinctInstance"}]
        self.world.serve(
            name,
            int(desired),
            low=int(found.get("min", 100)),
            high=int(found.get("max", 200)),
            standbys=int(found.get("standbys", 0)),
            healthCheckGracePeriodSeconds=int(found.get("grace", 0)),
            taskDefinition=found.get("of", name),
            **extra,
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
        }
        if key not in found:
            raise BadScenario(f"no such value: {key}")
        return found[key]

    def shown(self) -> str:
        lines = [f"  at {self.world.now - START:g} s"]
        for task in self.world.state.tasks.values():
            if task.is_live:
                where = task.instance_arn.rsplit("/", 1)[-1]
                lines.append(
                    f"  {task.group} on {where}: {task.desired}/{task.last} {task.health} {task.stop_code}"
                )
        return "\n".join([*lines, *(f"  {m}" for m in self.world.logged()[-8:])])


def _options(words: tuple[str, ...], flags: tuple[str, ...] = ()) -> dict[str, str]:
    found: dict[str, str] = {}
    left = list(words)
    while left:
        word = left.pop(0)
        found[word] = "" if word in flags else left.pop(0)
    return found
