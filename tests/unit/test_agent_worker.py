"""A worker on an engine in memory: what it does, what it reports, and that it outlives a daemon that is away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from monitor.agent.account import container_report
from monitor.agent.death import DeathWatch
from monitor.agent.engine import ContainerView, EngineError
from monitor.agent.held import Held
from monitor.agent.local import LocalState
from monitor.agent.mapping import TaskLimits
from monitor.agent.worker import Worker
from monitor.clock import FixedClock
from tests.fakes.engine import FakeEngine

ARN = "arn:aws:ecs:us-east-1:000000000001:task/default/0123456789abcdef0123456789abcdef"
PATIENCE_SECONDS = 10


def container(name: str, **members: Any) -> dict[str, Any]:
    return {"name": name, "image": "busybox", "essential": True, "stopTimeout": 30, **members}


def payload(*containers: dict[str, Any], **members: Any) -> dict[str, Any]:
    return {
        "arn": ARN,
        "family": "web",
        "version": "1",
        "desiredStatus": "RUNNING",
        "containers": list(containers),
        **members,
    }


class Outlet:
    """Keeps the news; wakes whoever waits for a condition."""

    def __init__(self) -> None:
        self.reports: list[dict[str, Any]] = []
        self.gone_names: list[str] = []
        self.ended_names: list[str] = []
        self.restarts: list[tuple[str, int]] = []
        self.oom_killed: set[str] = set()
        self.news = asyncio.Event()

    def changed(self, worker: Worker) -> None:
        self.reports.append(worker.report())
        self.news.set()

    async def was_oom_killed(self, container_id: str) -> bool:
        return container_id in self.oom_killed

    def gone(self, worker: Worker, name: str, at: float) -> None:
        self.gone_names.append(name)

    def started(self, worker: Worker, view: ContainerView) -> None:
        return

    def restarted(self, worker: Worker, name: str, count: int) -> None:
        self.restarts.append((name, count))

    async def ended(self, worker: Worker, name: str, view: ContainerView) -> None:
        self.ended_names.append(name)


class Bench:
    def __init__(self) -> None:
        self.engine, self.outlet, self.deaths = FakeEngine(), Outlet(), DeathWatch()
        self.tasks: list[asyncio.Task[None]] = []

    def hire(self, order: dict[str, Any]) -> Worker:
        return Worker(
            order,
            self.engine,
            self.outlet,
            self.deaths,
            FixedClock(),
            "default",
            "i",
            lambda _: TaskLimits(),
            30.0,
        )

    def run(self, worker: Worker) -> asyncio.Task[None]:
        self.tasks.append(asyncio.create_task(worker.run()))
        return self.tasks[-1]

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not condition():
                await asyncio.sleep(0)

    async def reported(self, status: str) -> dict[str, Any]:
        await self.until(lambda: any(r["status"] == status for r in self.outlet.reports))
        return next(r for r in reversed(self.outlet.reports) if r["status"] == status)


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    made = Bench()
    yield made
    for task in made.tasks:
        task.cancel()
    await asyncio.gather(*made.tasks, return_exceptions=True)


def states(report: dict[str, Any]) -> dict[str, tuple[str, int | None]]:
    return {c["containerName"]: (c["status"], c.get("exitCode")) for c in report["containers"]}


async def test_an_essential_end_stops_the_sidecar_and_then_the_task(bench: Bench) -> None:
    running = bench.run(bench.hire(payload(container("app"), container("side", essential=False))))
    await bench.reported("RUNNING")
    bench.engine.end("app", 3)
    await running
    last = await bench.reported("STOPPED")
    assert states(last) == {"app": ("STOPPED", 3), "side": ("STOPPED", 143)}
    assert bench.engine.calls[-1] == "SIGTERM side"
    # Never a step back, and the task is STOPPED only when every exit code is known.
    order = {"PENDING": 0, "RUNNING": 1, "STOPPED": 2}
    told = [order[r["status"]] for r in bench.outlet.reports]
    assert told == sorted(told)


async def test_a_stop_that_is_ignored_ends_in_sigkill(bench: Bench) -> None:
    worker = bench.hire(payload(container("app", stopTimeout=0.01)))
    running = bench.run(worker)
    await bench.reported("RUNNING")
    bench.engine.by_name("app").ignores = frozenset({"SIGTERM"})
    worker.update({"desiredStatus": "STOPPED"})
    await running
    assert bench.engine.calls[-2:] == ["SIGTERM app", "SIGKILL app"]
    assert states(await bench.reported("STOPPED")) == {"app": ("STOPPED", 137)}


async def test_an_image_is_pulled_only_when_it_is_not_there(bench: Bench) -> None:
    running = bench.run(bench.hire(payload(container("app", image="far/away:1"))))
    report = await bench.reported("RUNNING")
    assert bench.engine.calls == ["create app", "pull far/away:1", "create app", "start app"]
    assert {"pullStartedAt", "pullStoppedAt"} <= set(report)
    running.cancel()


async def test_a_container_that_cannot_start_ends_the_task_with_the_reason(bench: Bench) -> None:
    bench.engine.errors["start app"] = EngineError("CannotStartContainerError: port is already allocated")
    await bench.run(bench.hire(payload(container("app"), container("side", essential=False))))
    last = await bench.reported("STOPPED")
    app = next(c for c in last["containers"] if c["containerName"] == "app")
    assert app["reason"] == "CannotStartContainerError: port is already allocated"
    assert "exitCode" not in app


async def test_memory_kills_are_named(bench: Bench) -> None:
    running = bench.run(bench.hire(payload(container("app"))))
    await bench.reported("RUNNING")
    bench.engine.end("app", 137, oom_killed=True)
    await running
    (app,) = (await bench.reported("STOPPED"))["containers"]
    assert app["reason"] == "OutOfMemoryError: Container killed due to memory usage"


@pytest.mark.parametrize(("code", "is_oom"), [(137, True), (1, False)])
async def test_the_kernel_s_count_tells_what_docker_has_not_heard_of_yet(
    bench: Bench, code: int, is_oom: bool
) -> None:
    running = bench.run(bench.hire(payload(container("app"))))
    await bench.reported("RUNNING")
    bench.outlet.oom_killed = set(bench.engine.containers)
    bench.engine.end("app", code)
    await running
    (app,) = (await bench.reported("STOPPED"))["containers"]
    assert ("OutOfMemoryError" in app.get("reason", "")) is is_oom


async def test_a_daemon_that_is_away_stops_nothing(bench: Bench) -> None:
    bench.engine.is_away = True
    running = bench.run(bench.hire(payload(container("app"))))
    await bench.until(lambda: bool(bench.tasks))
    assert bench.outlet.reports == []
    bench.engine.is_away = False
    await bench.reported("RUNNING")
    assert not running.done()
    running.cancel()


async def test_a_standby_waits_for_its_order(bench: Bench) -> None:
    order = payload(container("app"), standby=True)
    worker = bench.hire(order)
    running = bench.run(worker)
    await bench.until(lambda: bench.engine.calls == ["create app"])
    worker.update({**order, "standby": False})
    await bench.reported("RUNNING")
    assert bench.engine.calls == ["create app", "start app"]
    running.cancel()


async def test_what_is_adopted_is_not_started_again(bench: Bench) -> None:
    first = bench.run(bench.hire(payload(container("app"))))
    await bench.reported("RUNNING")
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    bench.outlet.reports.clear()
    bench.engine.calls.clear()
    worker = bench.hire(payload(container("app")))
    worker.adopt("app", bench.engine.by_name("app").view)
    running = bench.run(worker)
    bench.engine.end("app", 0)
    await running
    assert bench.engine.calls == []
    assert states(await bench.reported("STOPPED")) == {"app": ("STOPPED", 0)}


async def test_a_container_that_vanished_is_reported(bench: Bench) -> None:
    worker = bench.hire(payload(container("app")))
    worker.missing("app")
    await bench.run(worker)
    (app,) = (await bench.reported("STOPPED"))["containers"]
    assert app["reason"].startswith("ContainerVanishedError")
    assert bench.engine.calls == []


async def test_a_cycle_is_refused(bench: Bench) -> None:
    a = container("a", dependsOn=[{"containerName": "b", "condition": "START"}])
    b = container("b", dependsOn=[{"containerName": "a", "condition": "START"}])
    await bench.run(bench.hire(payload(a, b)))
    last = await bench.reported("STOPPED")
    assert all(
        "form a cycle" in c["reason"] or c["reason"] == "" for c in last["containers"] if "reason" in c
    )
    assert bench.engine.calls == []


# -- restart policies -------------------------------------------------------------------------------------

POLICY = {"enabled": True, "restartAttemptPeriod": 60, "ignoredExitCodes": [7]}


async def test_a_policy_starts_the_same_container_again_and_tells_nobody(bench: Bench) -> None:
    worker = bench.hire(payload(container("app", restartPolicy=POLICY)))
    running = bench.run(worker)
    await bench.reported("RUNNING")
    first_id = worker.held["app"].id
    for count in (1, 2):
        bench.engine.end("app", 3, finished_at=100.0)
        await bench.until(lambda n=count: bench.outlet.restarts == [("app", i + 1) for i in range(n)])
    assert worker.held["app"].id == first_id
    assert bench.engine.calls == ["create app", *["start app"] * 3]
    assert bench.outlet.gone_names == bench.outlet.ended_names == []
    assert {states(r)["app"] for r in bench.outlet.reports if r["containers"]} == {("RUNNING", None)}
    assert all("executionStoppedAt" not in r for r in bench.outlet.reports)
    bench.engine.end("app", 7, finished_at=100.0)  # ignored: final
    await running
    last = await bench.reported("STOPPED")
    assert (states(last), last["executionStoppedAt"]) == ({"app": ("STOPPED", 7)}, 100.0)


async def test_what_dies_too_soon_is_not_started_again(bench: Bench) -> None:
    running = bench.run(bench.hire(payload(container("app", restartPolicy=POLICY))))
    await bench.reported("RUNNING")
    bench.engine.end("app", 3, finished_at=60.9)
    await running
    assert bench.outlet.restarts == []
    assert states(await bench.reported("STOPPED")) == {"app": ("STOPPED", 3)}


async def test_a_restart_that_fails_is_final(bench: Bench) -> None:
    running = bench.run(bench.hire(payload(container("app", restartPolicy=POLICY))))
    await bench.reported("RUNNING")
    bench.engine.errors["start app"] = EngineError("CannotStartContainerError: no")
    bench.engine.end("app", 3, finished_at=100.0)
    await running
    (app,) = (await bench.reported("STOPPED"))["containers"]
    assert (app["exitCode"], app["reason"]) == (3, "CannotStartContainerError: no")
    assert bench.engine.calls.count("start app") == 2


async def test_what_died_while_the_agent_was_away_is_started_again(bench: Bench) -> None:
    order = payload(container("app", restartPolicy=POLICY))
    first = bench.run(bench.hire(order))
    await bench.reported("RUNNING")
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    bench.engine.end("app", 3, finished_at=100.0)
    worker = bench.hire(order)
    worker.held["app"].restarts = 4  # as the local file has it
    worker.adopt("app", bench.engine.by_name("app").view)
    running = bench.run(worker)
    await bench.until(lambda: bench.outlet.restarts == [("app", 5)])
    running.cancel()


async def test_late_news_of_an_earlier_run_ends_nothing(bench: Bench) -> None:
    worker = bench.hire(payload(container("app", restartPolicy=POLICY)))
    running = bench.run(worker)
    await bench.reported("RUNNING")
    bench.engine.end("app", 3, finished_at=100.0)
    await bench.until(lambda: bool(bench.outlet.restarts))
    assert worker.died(worker.held["app"].id)
    assert worker.held["app"].seen.phase == "RUNNING"
    worker.update({"desiredStatus": "STOPPED"})
    await running
    assert states(await bench.reported("STOPPED")) == {"app": ("STOPPED", 143)}


# -- awsvpc -----------------------------------------------------------------------------------------------

PAUSE = "~internal~ecs~pause"


async def test_an_awsvpc_task_has_a_holder_that_nobody_hears_of_but_by_its_address(bench: Bench) -> None:
    worker = bench.hire(payload(container("app"), networkMode="awsvpc"))
    running = bench.run(worker)
    bench.engine.address = "172.17.0.9"
    (app,) = (await bench.reported("RUNNING"))["containers"]
    assert app["networkBindings"] == [{"bindIP": "172.17.0.9"}]
    calls = bench.engine.calls
    assert calls[:3] == [f"create {PAUSE}", "make pause image", f"create {PAUSE}"]
    assert calls.index(f"start {PAUSE}") < calls.index("start app")
    worker.update({"desiredStatus": "STOPPED"})
    await running
    assert bench.engine.calls[-2:] == ["SIGTERM app", f"SIGTERM {PAUSE}"]
    assert all(c["containerName"] == "app" for r in bench.outlet.reports for c in r["containers"])
    assert (bench.outlet.gone_names, bench.outlet.ended_names) == ([], ["app"])


async def test_the_holder_s_end_is_the_reason_of_the_others(bench: Bench) -> None:
    worker = bench.hire(payload(container("app"), networkMode="awsvpc"))
    running = bench.run(worker)
    await bench.reported("RUNNING")
    bench.engine.end(PAUSE, 137)
    await running
    (app,) = (await bench.reported("STOPPED"))["containers"]
    assert app["reason"].startswith("ContainerNetworkingError")
    assert app["exitCode"] == 143


async def test_a_holder_that_cannot_start_is_why_nothing_does(bench: Bench) -> None:
    bench.engine.errors[f"start {PAUSE}"] = EngineError("CannotStartContainerError: no bridge")
    await bench.run(bench.hire(payload(container("app"), networkMode="awsvpc")))
    (app,) = (await bench.reported("STOPPED"))["containers"]
    assert app["reason"] == "CannotStartContainerError: no bridge"


async def test_volumes_are_made_before_the_container_and_their_failure_is_the_reason(bench: Bench) -> None:
    mount = {"sourceVolume": "v", "containerPath": "/v"}
    order = payload(container("app", mountPoints=[mount]), volumes=[{"name": "v"}])
    name = f"volume ecs-{ARN.rsplit('/', 1)[-1]}-v"
    bench.engine.errors[name] = EngineError("CannotCreateVolumeError: no")
    await bench.run(bench.hire(order))
    (app,) = (await bench.reported("STOPPED"))["containers"]
    assert app["reason"] == "CannotCreateVolumeError: no"
    assert bench.engine.calls == [name]


def test_a_range_is_reported_as_one_binding() -> None:
    held = Held(container("app", portMappings=[{"containerPortRange": "80-81"}, {"containerPort": 90}]))
    ports = tuple(
        {"bindIP": ip, "containerPort": port, "hostPort": port + 40000, "protocol": "tcp"}
        for ip in ("0.0.0.0", "::")
        for port in (81, 80, 90)
    )
    held.view = ContainerView("i", "n", "running", ports=ports)
    held.seen = replace(held.seen, phase="RUNNING")
    report = container_report(held, "bridge", False, "", False)
    assert report is not None
    ranges = [b for b in report["networkBindings"] if "containerPortRange" in b]
    assert ranges == [
        {"bindIP": ip, "containerPortRange": "80-81", "hostPortRange": "40080-40081", "protocol": "tcp"}
        for ip in ("0.0.0.0", "::")
    ]
    assert [b["hostPort"] for b in report["networkBindings"] if "hostPort" in b] == [40090, 40090]


async def test_the_count_of_restarts_outlives_the_agent(tmp_path: Path) -> None:
    local = LocalState(tmp_path / "agent.sqlite")
    await local.assign(ARN, payload(container("app")))
    for count in (1, 2):
        await local.restarted(ARN, "app", count)
    await local.close()
    again = LocalState(tmp_path / "agent.sqlite")
    (found,) = await again.assignments()
    assert found.restarts == {"app": 2}
    await again.forget(ARN)
    assert await again.assignments() == []
    await again.close()
