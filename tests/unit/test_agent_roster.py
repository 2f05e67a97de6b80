"""The roster after a restart, and what it removes: on an engine in memory and a real local file."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from monitor.agent.engine import ContainerView
from monitor.agent.local import LocalState
from monitor.agent.roster import Roster
from monitor.agent.task_cgroup import TaskCgroups
from monitor.clock import FixedClock
from tests.fakes.engine import FakeEngine
from tests.unit.test_agent_worker import ARN, PATIENCE_SECONDS, PAUSE, container, payload

INSTANCE = "arn:aws:ecs:us-east-1:000000000001:container-instance/default/i"


class Telemetry:
    def __init__(self) -> None:
        self.declared: list[str] = []

    def track(self, view: ContainerView) -> None:
        return

    def declare(self, cluster: str, service: str, containers: Any) -> None:
        self.declared += containers

    def last_words(self, container_id: str) -> tuple[int | None, int | None]:
        return None, None

    def oom_kills(self, container_id: str) -> int:
        return 0

    def last_look(self, container_id: str) -> None:
        return

    def health_changed(self) -> None:
        return


class Machine:
    """One machine's engine and file, over several lives of its agent."""

    def __init__(self, folder: Path) -> None:
        self.engine, self.telemetry, self.folder = FakeEngine(), Telemetry(), folder
        self.rosters: list[Roster] = []
        self.locals: list[LocalState] = []

    async def boot(self, cleanup_seconds: float = 3600.0) -> Roster:
        local = LocalState(self.folder / "agent.sqlite")
        await local.set("instance_arn", INSTANCE)
        cgroups = TaskCgroups(await self.engine.info())
        roster = Roster(
            self.engine, local, self.telemetry, FixedClock(), "default", cgroups, cleanup_seconds, 30.0
        )
        self.rosters.append(roster)
        self.locals.append(local)
        await roster.restore()
        return roster

    async def halt(self) -> None:
        await self.rosters[-1].close()
        await self.locals[-1].close()


@pytest.fixture
async def machine(tmp_path: Path) -> AsyncIterator[Machine]:
    made = Machine(tmp_path)
    yield made
    await made.halt()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not condition():
            await asyncio.sleep(0)


def phases(roster: Roster) -> dict[str, str]:
    return {name: h.seen.phase for name, h in roster.workers[ARN].held.items()}


async def test_an_awsvpc_task_is_adopted_with_its_holder(machine: Machine) -> None:
    roster = await machine.boot()
    await roster.take([payload(container("app"), networkMode="awsvpc")])
    await until(lambda: phases(roster) == {PAUSE: "RUNNING", "app": "RUNNING"})
    await machine.halt()
    machine.engine.calls.clear()
    roster = await machine.boot()
    assert phases(roster) == {PAUSE: "RUNNING", "app": "RUNNING"}
    assert not [c for c in machine.engine.calls if c.startswith(("create", "start"))]
    assert machine.telemetry.declared == ["app", "app"]


@pytest.mark.parametrize("members", [{"networkMode": "awsvpc"}, {"pidMode": "task"}])
async def test_a_task_the_file_does_not_know_is_taken_down_in_order(
    machine: Machine, members: dict[str, str]
) -> None:
    roster = await machine.boot()
    await roster.take([payload(container("app"), **members)])
    await until(lambda: list(phases(roster).values()) == ["RUNNING", "RUNNING"])
    await machine.halt()
    (machine.folder / "agent.sqlite").unlink()
    roster = await machine.boot()
    assert list(phases(roster).values()) == ["RUNNING", "RUNNING"]
    roster.stop_unknown([ARN])
    await until(lambda: roster.workers[ARN].finished)
    stops = [c.split()[1] for c in machine.engine.calls if c.startswith("SIGTERM")]
    assert (stops[0], stops[1].startswith("~internal~")) == ("app", True)


async def test_the_count_of_restarts_is_remembered(machine: Machine) -> None:
    policy = {"enabled": True, "restartAttemptPeriod": 60}
    roster = await machine.boot()
    await roster.take([payload(container("app", restartPolicy=policy), container("plain"))])
    await until(lambda: set(phases(roster).values()) == {"RUNNING"})
    machine.engine.end("app", 1, finished_at=100.0)
    task_id = ARN.rsplit("/", 1)[-1]
    counted = [(("default", "", "web", "1", task_id, "app"), 1)]
    await until(lambda: roster.restarts() == counted)
    await asyncio.gather(*roster._background)
    await machine.halt()
    roster = await machine.boot()
    assert roster.restarts() == counted


async def test_what_is_a_task_s_own_goes_with_its_containers(machine: Machine) -> None:
    roster = await machine.boot(cleanup_seconds=0.0)
    mounts = [{"sourceVolume": name, "containerPath": f"/{name}"} for name in ("own", "shared")]
    shared = {"name": "shared", "dockerVolumeConfiguration": {"scope": "shared", "autoprovision": True}}
    app = container("app", mountPoints=mounts)
    await roster.take([payload(app, volumes=[{"name": "own"}, shared], networkMode="awsvpc")])
    await until(lambda: set(phases(roster).values()) == {"RUNNING"})
    assert len(machine.engine.volumes) == 2
    worker = roster.workers[ARN]
    machine.engine.end("app", 0)
    await until(lambda: worker.finished)
    await roster.acknowledged(ARN, worker.report())
    roster._ended[ARN] = (0.0, "web")  # long ago
    await roster._remove(ARN)
    assert machine.engine.containers == {}
    assert list(machine.engine.volumes) == ["shared"]
