"""A worker on an engine in memory: what it does, what it reports, and that it outlives a daemon that is away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from monitor.agent.death import DeathWatch
from monitor.agent.engine import ContainerView, EngineError
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
        self.news = asyncio.Event()

    def changed(self, worker: Worker) -> None:
        self.reports.append(worker.report())
        self.news.set()

    def gone(self, worker: Worker, name: str, at: float) -> None:
        self.gone_names.append(name)

    def started(self, worker: Worker, view: ContainerView) -> None:
        return

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


POLICY = {"enabled": True, "restartAttemptPeriod": 60, "ignoredExitCodes": [7]}


async def test_a_restart_policy_starts_the_same_container_and_says_nothing(bench: Bench) -> None:
    worker = bench.hire(payload(container("app", restartPolicy=POLICY)))
    running = bench.run(worker)
    await bench.reported("RUNNING")
    bench.engine.end("app", 1, finished_at=100.0)
    await bench.until(lambda: bench.engine.calls.count("start app") == 2)
    await bench.until(lambda: worker.held["app"].restarts == 1)
    assert worker.status == "RUNNING"
    assert not bench.outlet.gone_names
    assert {r["status"] for r in bench.outlet.reports} == {"RUNNING"}
    assert len(bench.engine.containers) == 1
    bench.engine.end("app", 1, finished_at=130.0)  # sooner than the period: an end like any other
    await running
    assert states(await bench.reported("STOPPED")) == {"app": ("STOPPED", 1)}


@pytest.mark.parametrize(("code", "policy"), [(7, POLICY), (1, {**POLICY, "enabled": False})])
async def test_an_ignored_exit_code_or_no_policy_is_an_end(
    bench: Bench, code: int, policy: dict[str, Any]
) -> None:
    running = bench.run(bench.hire(payload(container("app", restartPolicy=policy))))
    await bench.reported("RUNNING")
    bench.engine.end("app", code, finished_at=100.0)
    await running
    assert states(await bench.reported("STOPPED")) == {"app": ("STOPPED", code)}
    assert bench.engine.calls.count("start app") == 1


async def test_a_restart_that_fails_is_an_end(bench: Bench) -> None:
    running = bench.run(bench.hire(payload(container("app", restartPolicy=POLICY))))
    await bench.reported("RUNNING")
    bench.engine.errors["start app"] = EngineError("no more")
    bench.engine.end("app", 1, finished_at=100.0)
    await running
    last = await bench.reported("STOPPED")
    assert "CannotStartContainerError: no more" in last["containers"][0]["reason"]


async def test_a_task_that_is_to_stop_is_not_restarted(bench: Bench) -> None:
    worker = bench.hire(payload(container("app", restartPolicy=POLICY)))
    running = bench.run(worker)
    await bench.reported("RUNNING")
    worker.update({"desiredStatus": "STOPPED"})
    await running
    assert bench.engine.calls.count("start app") == 1
