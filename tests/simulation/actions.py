"""What may happen, as data: a list of (second, name, number) that can be replayed, shortened and read. A number picks
among what there is when its time comes, so that a list stays playable when some of it is taken away."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any

from tests.simulation.loop import run
from tests.simulation.world import CONVERGE_SECONDS, Broken, Simulation

Action = tuple[float, str, int]
SERVICES = ("web", "api", "job", "log")
WEIGHTS = {
    "crash": 12,
    "sick": 4,
    "scale": 6,
    "deploy": 5,
    "break_image": 3,
    "mend_image": 4,
    "run_task": 3,
    "stop_task": 3,
    "delete": 1,
    "create": 2,
    "kill_agent": 4,
    "cut_agent": 4,
    "kill_control": 5,
    "slow_store": 2,
    "jump": 2,
    "drain": 2,
    "activate": 3,
    "join": 1,
    "deregister": 1,
    "protect": 1,
}


def draw(seed: int, hours: float, per_hour: int = 30) -> list[Action]:
    chance = random.Random(seed)
    names, weights = zip(*WEIGHTS.items(), strict=True)
    count = max(1, int(hours * per_hour))
    times = sorted(chance.uniform(30.0, hours * 3600.0) for _ in range(count))
    # Faults come in heaps: every other one follows the one before it within seconds.
    times = [
        t if n % 2 == 0 else min(t, times[n - 1] + chance.uniform(0.0, 6.0)) for n, t in enumerate(times)
    ]
    picked = chance.choices(names, weights, k=count)
    return [(round(t, 3), n, chance.randrange(10**6)) for t, n in zip(sorted(times), picked, strict=True)]


class Play:
    def __init__(self, sim: Simulation, seed: int) -> None:
        self.sim, self.chance = sim, random.Random(seed)

    async def set_up(self) -> None:
        for zone in ("a", "b", "a")[: 2 + self.chance.randrange(2)]:
            self.sim.join(zone)
        for family in SERVICES:
            await self.define(family)
        for number in range(len(SERVICES)):
            await self.create(number)

    async def define(self, family: str, image: str = "good") -> None:
        container: dict[str, Any] = {"name": "main", "image": image, "cpu": 128, "memory": 128}
        if family == "api":
            container["healthCheck"] = {"command": ["CMD", "true"]}
        if family == "job":
            container["portMappings"] = [{"containerPort": 80, "hostPort": 8080}]
        if family == "log":
            container |= {"cpu": 16, "memory": 16}
        await self.sim.user("RegisterTaskDefinition", family=family, containerDefinitions=[container])

    async def do(self, name: str, number: int) -> None:
        method: Callable[[int], Awaitable[None]] = getattr(self, name)
        await method(number)

    # -- users --------------------------------------------------------------------------------------

    async def create(self, number: int) -> None:
        name, pick = SERVICES[number % len(SERVICES)], random.Random(number)
        breaker = {"enable": pick.random() < 0.6, "rollback": pick.random() < 0.7}
        low, high = pick.choice([(100, 200), (50, 100), (50, 150), (0, 100)])
        params: dict[str, Any] = {"serviceName": name, "taskDefinition": name}
        if name == "log":
            percents = {"minimumHealthyPercent": 0, "maximumPercent": 100}
            params |= {"schedulingStrategy": "DAEMON"}
        else:
            percents = {"minimumHealthyPercent": low, "maximumPercent": high}
            params["desiredCount"] = 1 if name == "job" else pick.randrange(1, 5)
        if name == "web" and pick.random() < 0.3:
            percents |= {"strategy": "BLUE_GREEN", "bakeTimeInMinutes": 1}
        configuration = {**percents, "deploymentCircuitBreaker": breaker}
        await self.sim.user("CreateService", **params, deploymentConfiguration=configuration)

    async def scale(self, number: int) -> None:
        name = SERVICES[number % 3]
        await self.sim.user("UpdateService", service=name, desiredCount=number % (2 if name == "job" else 6))

    async def deploy(self, number: int) -> None:
        name = SERVICES[number % len(SERVICES)]
        await self.define(name, image="bad" if number % 3 == 0 else "good")
        await self.sim.user("UpdateService", service=name, taskDefinition=name, forceNewDeployment=True)

    async def delete(self, number: int) -> None:
        await self.sim.user("DeleteService", service=SERVICES[number % len(SERVICES)], force=True)

    async def run_task(self, number: int) -> None:
        answer = await self.sim.user("RunTask", taskDefinition="web", count=1 + number % 2)
        control = self.sim.control
        for task in answer.get("tasks", ()):
            if control is not None and ("task", task["taskArn"]) not in control.store.disk:
                raise Broken(f"RunTask answered before {task['taskArn']} was durable")

    async def stop_task(self, number: int) -> None:
        if (task := self._live(number)) is not None:
            await self.sim.user("StopTask", task=task)

    async def protect(self, number: int) -> None:
        if (task := self._live(number)) is not None:
            await self.sim.user(
                "UpdateTaskProtection",
                cluster="default",
                tasks=[task],
                protectionEnabled=True,
                expiresInMinutes=5,
            )

    def _live(self, number: int) -> str | None:
        if self.sim.control is None:
            return None
        state = self.sim.control.store.state
        found = [t.arn for i in state.instances for t in state.live_tasks_on(i)]
        return found[number % len(found)] if found else None

    # -- faults -------------------------------------------------------------------------------------

    async def crash(self, number: int) -> None:
        runs = [(a, r) for a in self.sim.agents for r in a.runs.values() if r.phase != "STOPPED"]
        if runs:
            agent, run_ = runs[number % len(runs)]
            agent.crash(run_, number % 3)

    async def sick(self, number: int) -> None:
        runs = [
            (a, r) for a in self.sim.agents for r in a.runs.values() if r.is_checked and r.phase == "RUNNING"
        ]
        if runs:
            agent, run_ = runs[number % len(runs)]
            agent.set_health(run_, "UNHEALTHY")

    async def break_image(self, _: int) -> None:
        self.sim.broken_images.add("bad")

    async def mend_image(self, _: int) -> None:
        self.sim.broken_images.clear()

    async def kill_agent(self, number: int) -> None:
        agent = self.sim.agents[number % len(self.sim.agents)]
        agent.kill()
        self.sim.later(0.5 + number % 90, agent.start)

    async def cut_agent(self, number: int) -> None:
        agent = self.sim.agents[number % len(self.sim.agents)]
        agent.cut()
        self.sim.later(1.0 + number % 200, agent.heal)

    async def kill_control(self, number: int) -> None:
        if self.sim.control is not None:
            self.sim.kill_control()
            await asyncio.sleep(0.2 + number % 20)
            await self.sim.start_control()

    async def slow_store(self, number: int) -> None:
        self.sim.is_slow = True
        await asyncio.sleep(number % 60)
        self.sim.is_slow = False

    async def jump(self, number: int) -> None:
        self.sim.clock.skew += (-1 if number % 2 else 1) * (number % 120)

    async def _instance(self, number: int, status: str) -> None:
        arns = [a.arn for a in self.sim.agents if a.arn and not a.is_gone]
        if arns:
            await self.sim.user(
                "UpdateContainerInstancesState", containerInstances=[arns[number % len(arns)]], status=status
            )

    async def drain(self, number: int) -> None:
        await self._instance(number, "DRAINING")

    async def activate(self, number: int) -> None:
        await self._instance(number, "ACTIVE")

    async def join(self, number: int) -> None:
        if len(self.sim.agents) < 4:
            self.sim.join("ab"[number % 2])

    async def deregister(self, number: int) -> None:
        living = [a for a in self.sim.agents if not a.is_gone and a.arn]
        if len(living) > 2:
            agent = living[number % len(living)]
            answer = await self.sim.user(
                "DeregisterContainerInstance", containerInstance=agent.arn, force=True
            )
            if answer:
                agent.kill()
                agent.is_gone = True

    # -- the end ------------------------------------------------------------------------------------

    async def calm(self) -> None:
        """All faults are over: what was broken is mended, what failed is deployed anew."""
        sim = self.sim
        sim.is_slow, sim.is_calm = False, True
        sim.broken_images.clear()
        if sim.control is None:
            await sim.start_control()
        for agent in sim.agents:
            agent.heal()
            agent.start()
        await asyncio.sleep(CALM_SECONDS)
        for agent in sim.agents:
            for run_ in agent.runs.values():
                agent.set_health(run_, "HEALTHY")
            if agent.arn and not agent.is_gone:
                await sim.user(
                    "UpdateContainerInstancesState", containerInstances=[agent.arn], status="ACTIVE"
                )
        assert sim.control is not None
        for service in list(sim.control.store.state.services.values()):
            if service.status != ACTIVE:
                continue
            wish: dict[str, Any] = {"service": service.name}
            if service.scheduling == "REPLICA":
                # What has room in any order, and percentages that block nothing.
                wish["desiredCount"] = min(service.desired_count, 1 if service.name == "job" else 4)
                low = 0 if service.name == "job" else 50
                wish["deploymentConfiguration"] = {"minimumHealthyPercent": low, "maximumPercent": 200}
            if service.primary.rollout_state == "FAILED":
                wish["forceNewDeployment"] = True
            await sim.user("UpdateService", **wish)


ACTIVE = "ACTIVE"
CALM_SECONDS = 100.0


async def _play(actions: list[Action], seed: int, make: type[Simulation]) -> float:
    sim = make(seed)
    loop = asyncio.get_running_loop()
    await sim.start_control()
    play = Play(sim, seed)
    await play.set_up()
    jobs: set[asyncio.Task[None]] = set()
    for at, name, number in actions:
        await _until(sim, at)
        job = loop.create_task(play.do(name, number))
        jobs.add(job)
        job.add_done_callback(
            lambda j: (jobs.discard(j), j.cancelled() or (e := j.exception()) is None or sim.fail(e))
        )
    await _until(sim, loop.time() + 30.0)
    await play.calm()
    ends = loop.time() + CONVERGE_SECONDS + 300.0
    ends += max(0.0, sim.waits())
    while problems := sim.problems():
        if loop.time() > ends:
            raise Broken(f"not whole {CONVERGE_SECONDS:.0f} s after the last fault: {problems}")
        await _until(sim, loop.time() + 10.0)
    return loop.time() / 3600.0


async def _until(sim: Simulation, at: float) -> None:
    wait = at - asyncio.get_running_loop().time()
    if wait > 0:
        await asyncio.wait((sim.failure,), timeout=wait)
    if sim.failure.done():
        sim.failure.result()


def simulate(actions: list[Action], seed: int, make: type[Simulation] = Simulation) -> float:
    """Play the actions; the simulated hours. Raises what an invariant says, or what went wrong."""
    hours: float = run(_play(actions, seed, make))
    return hours


def failure_of(actions: list[Action], seed: int, make: type[Simulation] = Simulation) -> str:
    """What goes wrong, in a line; "" when nothing does."""
    try:
        simulate(actions, seed, make)
    except Exception as error:  # noqa: BLE001  (whatever it is, it is the finding)
        return f"{type(error).__name__}: {error}"
    return ""


def shrink(actions: list[Action], seed: int, make: type[Simulation] = Simulation) -> list[Action]:
    """A list from which nothing more can be taken without losing the failure (delta debugging)."""
    kind = failure_of(actions, seed, make).partition(":")[0]
    size = max(1, len(actions) // 2)
    while size:
        start = 0
        while start < len(actions):
            fewer = actions[:start] + actions[start + size :]
            if failure_of(fewer, seed, make).partition(":")[0] == kind:
                actions = fewer
            else:
                start += size
        size //= 2
    return actions
