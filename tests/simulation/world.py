"""The whole control plane, its agents and its users on virtual time: the product's own Gateway, Schedule, Sessions and
Intake over a store that can be killed, a network that misbehaves, and everything checked at each commit."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable, Sequence
from typing import Any

from monitor.api.announce import Announcer
from monitor.api.gateway import Authenticator, Gateway
from monitor.clock import SeededIds
from monitor.control.intake import Intake
from monitor.control.schedule import Schedule
from monitor.control.sessions import Sessions
from monitor.instrument import ControlMetrics
from monitor.model import arn as arns
from monitor.model.arn import Scope
from monitor.model.cluster import Cluster
from monitor.model.service import ACTIVE, INACTIVE
from monitor.model.state import Change, Put, State
from monitor.model.task import ORDER, RUNNING, STOPPED, Task
from monitor.scheduler.plan import Plan, changes
from monitor.scheduler.reconcile import reconcile
from monitor.scheduler.snapshot import Snapshot
from monitor.store import codec
from monitor.wire import agent as wire
from monitor.wire.http import Request
from tests.properties.invariants import check_starts, check_stops
from tests.simulation.agent import Run, SimAgent
from tests.simulation.network import LOST_SECONDS, Line, Unreachable
from tests.simulation.store import Disk, SimStore

SCOPE = Scope("000000000001", "us-east-1")
CLUSTER = arns.cluster(SCOPE, "default")
EPOCH = 1_800_000_000.0
SILENCE_SECONDS, GRACE_SECONDS = 45.0, 60.0
CONVERGE_SECONDS = 600.0  # after the last fault, beside the back-off that is still running
TARGET = "AmazonEC2ContainerServiceV20141113"


class Broken(Exception):
    """An invariant does not hold."""


class _Clock:
    """The wall clock: it may jump; the loop's own time never does."""

    def __init__(self) -> None:
        self.skew = 0.0

    def now(self) -> float:
        return EPOCH + asyncio.get_running_loop().time() + self.skew


class _CheckedSchedule(Schedule):
    """The scheduling loop, each of its plans judged."""

    def look(self) -> Plan:
        now = self._clock.now()
        snapshot = Snapshot(
            self._store.state, now, self._retention, healthy_after_seconds=self._healthy_after
        )
        plan = self.plan(snapshot)
        if plan.verbs:
            check_stops(snapshot, plan)
            self._store.commit(changes(plan, self._store.state, now, self._ids))
            check_starts(snapshot, plan)
        return plan

    def plan(self, snapshot: Snapshot) -> Plan:
        return reconcile(snapshot)


class _ControlSocket:
    """The control plane's end of a session. An order on it must be on disk already."""

    def __init__(self, sim: Simulation, line: Line, store: SimStore) -> None:
        self._sim, self._line, self._store = sim, line, store

    async def send(self, text: str) -> None:
        kind, message = wire.decode(text)
        if kind == "PayloadMessage":
            for order in message["tasks"]:
                body = self._store.disk.get(("task", order["arn"]))
                stored = codec.decode("task", body) if body is not None else None
                if not isinstance(stored, Task) or (order["desiredStatus"], stored.desired) == (
                    STOPPED,
                    RUNNING,
                ):
                    # Said aloud: a session that ends by an error is only tried again.
                    early = f"an order left before it was durable: {order['desiredStatus']} {order['arn']}"
                    self._sim.fail(Broken(early))
        self._line.down.push(text)

    async def receive(self) -> str | None:
        return await self._line.up.pull()

    async def close(self, code: int) -> None:
        assert code
        self._line.close()


class Control:
    """One life of the control plane's process."""

    schedule_class: type[_CheckedSchedule] = _CheckedSchedule
    store_class: type[SimStore] = SimStore

    def __init__(self, sim: Simulation, seed: int) -> None:
        self.sim, ids = sim, SeededIds(seed)
        self.store = self.store_class(sim.disk, sim.write_delay, Announcer(sim.clock, ids))
        self.store.on_change = sim.check_changes
        metrics = ControlMetrics(self.store.state, SCOPE, sim.clock.now)
        self.intake = Intake(self.store, sim.clock, ids)
        self.sessions = Sessions(self.store, self.intake, sim.clock, ids, SILENCE_SECONDS, GRACE_SECONDS)
        self.schedule = self.schedule_class(self.store, sim.clock, ids, metrics, 3600.0)
        authenticator = Authenticator("none", SCOPE, lambda _: None, sim.clock)
        self.gateway = Gateway(self.store, authenticator, sim.clock, ids, metrics, "http://127.0.0.1:4580")
        self._tasks: set[asyncio.Task[Any]] = set()

    async def start(self) -> None:
        if CLUSTER not in self.store.state.clusters:
            await self.store.commit((Put(Cluster(CLUSTER, "default", self.sim.clock.now())),))
        await self.sessions.start()
        self.spawn(self.schedule.run())

    def spawn(self, job: Any) -> asyncio.Task[Any]:
        task = asyncio.get_running_loop().create_task(job)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None and not self.store.is_dead:
            self.sim.fail(error)

    def kill(self) -> None:
        self.store.is_dead = True
        for task in list(self._tasks):
            task.cancel()

    async def handle(self, operation: str, params: dict[str, Any], target: str = TARGET) -> dict[str, Any]:
        headers = {"host": "127.0.0.1", "x-amz-target": f"{target}.{operation}"}
        answer = await self.gateway.handle(Request("POST", "/", "", headers, json.dumps(params).encode()))
        body: dict[str, Any] = json.loads(answer.body)
        if answer.status >= 500:
            raise Broken(f"{operation} {params} was answered {answer.status} {body}")
        return body


class Simulation:
    control_class: type[Control] = Control

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.clock, self.disk = _Clock(), Disk()
        self.agents: list[SimAgent] = []
        self.broken_images: set[str] = set()
        self.is_slow, self.lives, self.is_calm = False, 0, False
        self.control: Control | None = None
        self.failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    # -- parts --------------------------------------------------------------------------------------

    def fail(self, error: BaseException) -> None:
        if not self.failure.done():
            self.failure.set_exception(error)

    def later(self, seconds: float, function: Callable[..., Any], *arguments: Any) -> None:
        asyncio.get_running_loop().call_later(seconds, function, *arguments)

    def write_delay(self) -> float:
        return self.chance.uniform(0.5, 3.0) if self.is_slow else self.chance.uniform(0.0005, 0.02)

    async def start_control(self) -> None:
        self.lives += 1
        self.control = self.control_class(self, self.chance.getrandbits(32))
        await self.control.start()

    def kill_control(self) -> None:
        control, self.control = self.control, None
        if control is not None:
            control.kill()
        for agent in self.agents:
            if agent.line is not None:
                agent.line.close()

    def join(self, zone: str) -> SimAgent:
        agent = SimAgent(self, f"agent-{len(self.agents)}", zone, self.chance.getrandbits(32))
        self.agents.append(agent)
        agent.start()
        return agent

    # -- the network --------------------------------------------------------------------------------

    async def _way(self, agent: SimAgent) -> Control:
        await asyncio.sleep(self.chance.uniform(0.001, 0.03) if self.is_calm else self.chance.expovariate(20))
        control = self.control
        if agent.is_cut or control is None or (not self.is_calm and self.chance.random() < 0.02):
            await asyncio.sleep(LOST_SECONDS)
            raise Unreachable
        return control

    async def ask(self, agent: SimAgent, operation: str, params: dict[str, Any]) -> dict[str, Any]:
        """An agent's request: it may be lost on either way, arrive twice, and overtake others."""
        control = await self._way(agent)
        if not self.is_calm and self.chance.random() < 0.05:
            self.later(self.chance.uniform(0.0, 30.0), self._again, operation, params)
        return await self._answered(control, control.spawn(control.handle(operation, params)))

    def _again(self, operation: str, params: dict[str, Any]) -> None:
        """A second delivery: to whoever is there by then."""
        if self.control is not None and operation != "RegisterContainerInstance":
            self.control.spawn(self.control.handle(operation, params))

    async def tell_health(self, agent: SimAgent, run: Run, health: str) -> None:
        control = await self._way(agent)
        entry = {"taskArn": run.arn, "containers": [{"containerName": run.container, "healthStatus": health}]}
        await self._answered(control, control.spawn(control.intake.health(agent.arn, {"tasks": [entry]})))

    async def _answered(self, control: Control, task: asyncio.Task[Any]) -> Any:
        await asyncio.wait((task,))
        lost = not self.is_calm and self.chance.random() < 0.02
        if task.cancelled() or control.store.is_dead or lost:
            raise Unreachable
        return task.result()

    def open_session(self, agent: SimAgent) -> Line:
        control = self.control
        if control is None or agent.is_cut:
            raise Unreachable
        if control.sessions.inactive(agent.arn):
            raise Unreachable
        line = Line(self.chance)
        control.spawn(self._serve(control, agent.arn, line))
        return line

    async def _serve(self, control: Control, arn: str, line: Line) -> None:
        try:
            await control.sessions.serve(arn, _ControlSocket(self, line, control.store))
        finally:
            line.close()

    async def user(self, operation: str, **params: Any) -> dict[str, Any]:
        """A user's request; {} while the control plane is away. A refusal is an answer."""
        control = self.control
        if control is None:
            return {}
        task = control.spawn(control.handle(operation, params))
        await asyncio.wait((task,))
        if task.cancelled() or control.store.is_dead:
            return {}
        answer: dict[str, Any] = task.result()
        return answer

    # -- what must hold -----------------------------------------------------------------------------

    def check_changes(self, state: State, found: Sequence[Change]) -> None:
        for change in found:
            if isinstance(change, Put) and isinstance(change.entity, Task):
                self._check_task(state.tasks.get(change.entity.arn), change.entity)

    def _check_task(self, before: Task | None, task: Task) -> None:
        if task.desired == STOPPED and not (task.stop_code and task.stopped_reason):
            raise Broken(f"{task.arn} is to stop and nothing says why")
        if before is None:
            return
        if ORDER[task.last] < ORDER[before.last]:
            raise Broken(f"{task.arn} went back from {before.last} to {task.last}")
        if before.desired == STOPPED and task.desired != STOPPED:
            raise Broken(f"{task.arn} is wanted again")
        if task.instance_arn != before.instance_arn:
            raise Broken(f"{task.arn} moved")
        if task.version not in (before.version, before.version + 1):
            raise Broken(f"{task.arn} went from version {before.version} to {task.version}")

    def problems(self) -> list[str]:
        """What is not yet as it should be, once all faults are over."""
        if self.control is None:
            return ["no control plane"]
        state, found = self.control.store.state, []
        for service in state.services.values():
            if service.status == INACTIVE:
                continue
            mine = [t for t in state.live_tasks_of_service(service.arn) if not t.standby]
            good = [t for t in mine if t.is_healthy and t.deployment_id == service.primary.id]
            if service.status != ACTIVE or not len(mine) == len(good) == service.desired_count:
                shown = [f"{t.desired}/{t.last}/{t.health}" for t in mine]
                found.append(
                    f"{service.name} {service.status} wants {service.desired_count}: {shown} {service.complaint}"
                )
            elif len(service.deployments) > 1 or service.primary.rollout_state != "COMPLETED":
                found.append(f"{service.name} is still deploying: {service.primary.rollout_reason}")
        live = {t.arn: t for i in state.instances for t in state.live_tasks_on(i) if not t.standby}
        there = {r.arn for a in self.agents if not a.is_gone for r in a.runs.values() if r.phase != "STOPPED"}
        found += [f"a container of {arn} runs and is not wanted" for arn in there - set(live)]
        found += [f"{arn} should run and does not" for arn in set(live) - there]
        return found

    def waits(self) -> float:
        """The longest back-off that is still running."""
        if self.control is None:
            return 0.0
        services = self.control.store.state.services.values()
        return max(
            (s.primary.retry_at - self.clock.now() for s in services if s.status == ACTIVE), default=0.0
        )


__all__ = ["Broken", "Simulation", "Snapshot"]
