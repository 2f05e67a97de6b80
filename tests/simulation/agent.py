"""A fake container agent and its host: it speaks the real messages, keeps its own local state, and its containers go
on while it is dead."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from monitor.agent.session import CAPABILITIES
from monitor.wire import agent as wire
from tests.simulation.network import Line, Unreachable

if TYPE_CHECKING:
    from tests.simulation.world import Simulation

RESOURCES = [
    {"name": "CPU", "type": "INTEGER", "integerValue": 2048},
    {"name": "MEMORY", "type": "INTEGER", "integerValue": 4096},
    {"name": "PORTS", "type": "STRINGSET", "stringSetValue": ["22"]},
    {"name": "PORTS_UDP", "type": "STRINGSET", "stringSetValue": []},
]
FORGET_SECONDS = 900.0


@dataclass
class Run:
    """One task on the host. `told`: the phase the control plane has acknowledged."""

    arn: str
    container: str
    image: str
    is_checked: bool
    desired: str = "RUNNING"
    phase: str = "PENDING"
    exit_code: int | None = None
    reason: str = ""
    health: str = "UNKNOWN"
    told: str = ""
    is_known: bool = True


class SimAgent:
    def __init__(self, sim: Simulation, name: str, zone: str, seed: int) -> None:
        self.sim, self.name, self.zone = sim, name, zone
        self.chance = random.Random(seed)
        self.arn = ""
        self.runs: dict[str, Run] = {}
        self.is_cut = False
        self.is_gone = False
        self.line: Line | None = None
        self._process: asyncio.Task[None] | None = None
        self._jobs: set[asyncio.Task[None]] = set()

    # -- the process --------------------------------------------------------------------------------

    def start(self) -> None:
        if self._process is None and not self.is_gone:
            self._process = asyncio.get_running_loop().create_task(self._live())

    def kill(self) -> None:
        """SIGKILL: what it was doing is lost, the containers run on."""
        if self._process is not None:
            self._process.cancel()
            self._process = None
        for job in self._jobs:
            job.cancel()
        self._jobs.clear()
        if self.line is not None:
            self.line.close()
            self.line = None

    def cut(self) -> None:
        self.is_cut = True
        if self.line is not None:
            self.line.cut()

    def heal(self) -> None:
        self.is_cut = False
        if self.line is not None:
            self.line.heal()

    def _do(self, job: Any) -> None:
        task = asyncio.get_running_loop().create_task(job)
        self._jobs.add(task)
        task.add_done_callback(self._jobs.discard)

    async def _live(self) -> None:
        while True:
            try:
                await self._register()
                self.line = self.sim.open_session(self)
                for run in list(self.runs.values()):
                    self._changed(run, again=True)
                await self._listen(self.line)
            except Unreachable:
                pass
            self.line = None
            await asyncio.sleep(self.chance.uniform(0.2, 3.0))

    async def _register(self) -> None:
        attributes = [
            {"name": "ecs.availability-zone", "value": self.zone},
            *({"name": name} for name in CAPABILITIES if name != "moorwatch.capability.standby"),
        ]
        params: dict[str, Any] = {"cluster": "default", "totalResources": RESOURCES, "attributes": attributes}
        if self.arn:
            params["containerInstanceArn"] = self.arn
        else:
            params["clientToken"] = self.name
        answer = await self.sim.ask(self, "RegisterContainerInstance", params)
        if "containerInstance" not in answer:
            self.is_gone = True  # deregistered: this agent does not come back
            await asyncio.get_running_loop().create_future()
        self.arn = answer["containerInstance"]["containerInstanceArn"]

    async def _listen(self, line: Line) -> None:
        while (frame := await line.down.pull()) is not None:
            kind, message = wire.decode(frame)
            match kind:
                case "HeartbeatMessage":
                    line.up.push(wire.encode("HeartbeatAckRequest", {"messageId": message["messageId"]}))
                case "PayloadMessage":
                    for order in message["tasks"]:
                        self._order(order)
                    line.up.push(wire.encode("AckRequest", {"messageId": message["messageId"]}))
                case "TaskManifestMessage":
                    self._compare(line, message)
                case "TaskStopVerificationAck":
                    for stop in message["stopTasks"]:
                        if stop["taskArn"] in self.runs:
                            self._stop(self.runs[stop["taskArn"]])

    def _compare(self, line: Line, message: dict[str, Any]) -> None:
        known = {t["taskArn"] for t in message["tasks"]}
        extra = [r for r in self.runs.values() if r.arn not in known and r.phase != "STOPPED"]
        if extra:
            candidates = [{"taskArn": r.arn, "desiredStatus": "STOPPED"} for r in extra]
            body = {"messageId": message["messageId"], "stopCandidates": candidates}
            line.up.push(wire.encode("TaskStopVerificationMessage", body))

    # -- containers ---------------------------------------------------------------------------------

    def _order(self, order: dict[str, Any]) -> None:
        run = self.runs.get(order["arn"])
        if order["desiredStatus"] == "STOPPED":
            if run is None:
                run = self.runs[order["arn"]] = Run(order["arn"], "main", "", False, "STOPPED", "STOPPED")
            self._stop(run)
            self._changed(run)
            return
        if run is not None:
            return
        container = order["containers"][0]
        checked = container.get("healthCheckType") == "docker"
        run = self.runs[order["arn"]] = Run(order["arn"], container["name"], container["image"], checked)
        self.sim.later(self.chance.uniform(0.2, 3.0), self._started, run)

    def _started(self, run: Run) -> None:
        if run.phase != "PENDING":
            return
        if run.image in self.sim.broken_images:
            self._end(run, None, "CannotPullContainerError: no such image")
            return
        run.phase = "RUNNING"
        if run.is_checked:
            self.sim.later(self.chance.uniform(1.0, 5.0), self.set_health, run, "HEALTHY")
        self._changed(run)

    def set_health(self, run: Run, health: str) -> None:
        if run.phase == "RUNNING" and run.is_checked and run.health != health:
            run.health = health
            self._changed(run, again=True)

    def _stop(self, run: Run) -> None:
        run.desired = "STOPPED"
        if run.phase != "STOPPED":
            self.sim.later(self.chance.uniform(0.1, 2.0), self._end, run, 143, "")

    def crash(self, run: Run, code: int) -> None:
        if run.phase != "STOPPED":
            self._end(
                run,
                code if run.phase == "RUNNING" else None,
                "" if run.phase == "RUNNING" else "CannotStartContainerError: fault",
            )

    def _end(self, run: Run, code: int | None, reason: str) -> None:
        if run.phase == "STOPPED":
            return
        run.exit_code = code if run.phase == "RUNNING" else None
        run.reason = reason or ("" if run.phase == "RUNNING" else "stopped before it was started")
        run.phase = "STOPPED"
        self._changed(run)

    # -- telling ------------------------------------------------------------------------------------

    def _changed(self, run: Run, again: bool = False) -> None:
        if self._process is not None and (again or run.told != run.phase):
            self._do(self._tell(run))

    async def _tell(self, run: Run) -> None:
        """Until it is acknowledged."""
        while True:
            phase, health = run.phase, run.health
            try:
                if phase != "PENDING":
                    await self.sim.ask(self, "SubmitTaskStateChange", self._report(run, phase))
                if run.is_checked and phase == "RUNNING":
                    await self.sim.tell_health(self, run, health)
            except Unreachable:
                await asyncio.sleep(self.chance.uniform(0.5, 2.0))
                continue
            if (phase, health) == (run.phase, run.health):
                run.told = phase
                if phase == "STOPPED":
                    self.sim.later(FORGET_SECONDS, self.runs.pop, run.arn, None)
                return

    def _report(self, run: Run, phase: str) -> dict[str, Any]:
        container: dict[str, Any] = {"containerName": run.container, "status": phase}
        if run.exit_code is not None:
            container["exitCode"] = run.exit_code
        if run.reason:
            container["reason"] = run.reason
        if run.image and phase == "RUNNING":
            container["runtimeId"] = f"docker-{run.arn[-8:]}"
        return {"cluster": "default", "task": run.arn, "status": phase, "containers": [container]}
