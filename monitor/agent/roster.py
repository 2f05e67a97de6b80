"""Roster: all tasks of this machine: takes orders, keeps a worker for each, tells what became of them.

After a restart it is rebuilt from the local file and from Docker's labels: what runs is adopted, what died is
reported, nothing is started twice.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence, Set
from typing import Any, Protocol

from monitor.agent import pause
from monitor.agent.creation import Environment
from monitor.agent.death import DeathWatch
from monitor.agent.engine import ContainerView, Engine, EngineError, EngineUnreachable, Vanished
from monitor.agent.local import Assignment, LocalState
from monitor.agent.log_options import Shipping
from monitor.agent.logs import Logs
from monitor.agent.mapping import CONTAINER_LABEL, INSTANCE_LABEL, TASK_LABEL, BadPayload, TaskLimits
from monitor.agent.ports import HostPorts
from monitor.agent.reports import Reports
from monitor.agent.task_cgroup import TaskCgroups
from monitor.agent.worker import Worker
from monitor.clock import Clock
from monitor.wire.agent import ContainerFacts

log = logging.getLogger("moorwatch.agent.roster")

LOG_LINES = 20
KEPT_PER_GROUP = 3
RETRY_SECONDS = 1.0
UNSHIPPED_SECONDS = 86_400.0  # so long an ended container waits for its log to be stored
LOOK_SECONDS = 2.0  # for files that are slow to read, where an exit code waits for them


class Telemetry(Protocol):
    """What the roster needs of the metrics side."""

    def track(self, view: ContainerView) -> None: ...
    def declare(self, cluster: str, service: str, containers: Sequence[str]) -> None:
        """A task of the service is on its way: its failure counters exist from now on, at 0."""
        ...

    def last_words(self, container_id: str) -> tuple[int | None, int | None]:
        """(memory at the last sample, peak memory) of a container, in bytes."""
        ...

    def oom_kills(self, container_id: str) -> int:
        """How often the kernel killed in it for want of memory, as far as the last look saw."""
        ...

    def last_look(self, container_id: str) -> None:
        """Its process has just ended: its cgroup can still be read for a moment."""
        ...

    def health_changed(self) -> None: ...


class Tell(Protocol):
    """The ACS session's outgoing extras; lost while disconnected, which costs nothing but time."""

    def __call__(self, kind: str, message: Mapping[str, Any]) -> None: ...


class Roster:
    def __init__(
        self,
        engine: Engine,
        local: LocalState,
        telemetry: Telemetry,
        clock: Clock,
        cluster: str,
        cgroups: TaskCgroups,
        cleanup_seconds: float,
        stop_seconds: float,
    ) -> None:
        self.workers: dict[str, Worker] = {}
        self.instance_arn = ""
        self.reports: Reports | None = None
        self.tell: Tell | None = None
        self.environment: Environment = lambda _task, _container: {}
        self.logs: Logs | None = None
        self._engine, self._local, self._telemetry, self._clock = engine, local, telemetry, clock
        self.cluster, self._cgroups = cluster, cgroups
        self._cleanup_seconds, self._stop_seconds = cleanup_seconds, stop_seconds
        self._deaths = DeathWatch()
        self._runs: dict[str, asyncio.Task[None]] = {}
        self._background: set[asyncio.Task[Any]] = set()
        self._looks: dict[str, asyncio.Task[Any]] = {}  # last looks that go on, by container id
        self._ended: dict[str, tuple[float, str]] = {}
        self._ports = HostPorts()
        self._clean = asyncio.Event()

    # -- orders -------------------------------------------------------------------------------------

    async def take(self, tasks: Sequence[Mapping[str, Any]]) -> list[str]:
        """Take the orders of one payload; returns the ARNs that could not be understood. What is taken is remembered
        before this returns."""
        bad: list[str] = []
        stores = []
        for payload in tasks:
            arn = str(payload.get("arn", ""))
            log.debug("task=%s ordered %s", arn, payload.get("desiredStatus"))
            try:
                self._take_one(arn, payload)
            except (BadPayload, KeyError, TypeError) as error:
                log.warning("task=%s order not understood: %r", arn, error)
                bad.append(arn)
                continue
            worker = self.workers.get(arn)
            if worker is not None:
                order = worker.payload | {  # type: ignore[operator]
                    "desiredStatus": "RUNNING" if worker.spec.wanted else "STOPPED",
                    "standby": worker.spec.standby,
                }
                stores.append(self._local.assign(arn, order))
        await asyncio.gather(*stores)
        return bad

    def _take_one(self, arn: str, payload: Mapping[str, Any]) -> None:
        if arn in self._ended:
            if payload.get("desiredStatus") == "STOPPED" and self.reports is not None:
                self.reports.submit(arn, {"cluster": self.cluster, "task": arn, "status": "STOPPED"})
            return
        worker = self.workers.get(arn)
        if worker is None:
            worker = self._hire(payload)
            self._run(worker)
        else:
            worker.update(payload)

    def _hire(self, payload: Mapping[str, Any]) -> Worker:
        worker = Worker(
            payload,
            self._engine,
            self,
            self._deaths,
            self._clock,
            str(payload.get("taskClusterArn") or self.cluster).rsplit("/", 1)[-1],
            self.instance_arn.rsplit("/", 1)[-1],
            self._limits,
            self._stop_seconds,
            self._ports,
            lambda task, container: self.environment(task, container),
            self._prepare_logs,
        )
        self.workers[worker.arn] = worker
        names = [name for name, h in worker.held.items() if not h.is_internal]
        self._telemetry.declare(worker.cluster, str(payload.get("serviceName") or ""), names)
        return worker

    async def _prepare_logs(self, shipping: Shipping) -> None:
        if self.logs is not None:
            await self.logs.prepare(shipping)

    def _run(self, worker: Worker) -> None:
        self._runs[worker.arn] = asyncio.create_task(worker.run(), name=f"task-{worker.arn[-8:]}")

    def _limits(self, payload: Mapping[str, Any]) -> TaskLimits:
        task_id = str(payload["arn"]).rsplit("/", 1)[-1]
        return self._cgroups.limits(task_id, float(payload.get("cpu") or 0), int(payload.get("memory") or 0))

    def stop_unknown(self, arns: Sequence[str]) -> None:
        """The control plane confirmed that it does not want these."""
        for arn in arns:
            worker = self.workers.get(arn)
            if worker is not None:
                log.info("task=%s is not wanted by the control plane: stopping it", arn)
                worker.update({"desiredStatus": "STOPPED"})

    def running_arns(self) -> list[str]:
        return [arn for arn, w in self.workers.items() if w.spec.wanted and not w.finished]

    # -- after a restart ----------------------------------------------------------------------------

    async def restore(self) -> None:
        """Rebuild from the local file and Docker. Waits for Docker: without it nothing can be said of any task."""
        self.instance_arn = await self._local.get("instance_arn")
        views = await self._containers()
        by_task: dict[str, list[ContainerView]] = {}
        for view in views:
            by_task.setdefault(view.labels.get(TASK_LABEL, ""), []).append(view)
        for assignment in await self._local.assignments():
            found = by_task.pop(assignment.arn, [])
            if assignment.ended_at is not None:
                self._ended[assignment.arn] = (assignment.ended_at, _group(assignment.payload))
                continue
            self._restore_one(assignment, found)
        mine = self.instance_arn.rsplit("/", 1)[-1]
        for arn, found in by_task.items():
            if mine and found[0].labels.get(INSTANCE_LABEL) == mine:
                await self._orphan(arn, found)

    async def _containers(self) -> list[ContainerView]:
        while True:
            try:
                ids = await self._engine.list_ids(TASK_LABEL)
                views = []
                for container_id in ids:
                    try:
                        views.append(await self._engine.inspect(container_id))
                    except Vanished:
                        log.debug("container=%s went away while it was looked at", container_id)
                return views
            except (EngineUnreachable, EngineError) as error:
                log.warning("waiting for Docker: %s", error)
                await asyncio.sleep(RETRY_SECONDS)

    def _restore_one(self, assignment: Assignment, found: Sequence[ContainerView]) -> None:
        try:
            worker = self._hire(assignment.payload)
        except (BadPayload, KeyError, TypeError):
            log.exception("task=%s cannot be restored", assignment.arn)
            return
        by_name = {v.labels.get(CONTAINER_LABEL, ""): v for v in found}
        for name, h in worker.held.items():
            h.restarts = h.restarts_published = assignment.restarts.get(name, 0)
            if name in by_name:
                worker.adopt(name, by_name[name])
            elif assignment.launched:
                worker.missing(name)
        log.info("task=%s restored with %d containers", assignment.arn, len(found))
        self._run(worker)
        self.changed(worker)

    async def _orphan(self, arn: str, found: Sequence[ContainerView]) -> None:
        """Containers of a task that the local file does not know: adopted as far as labels go, so that the control
        plane can say whether it wants them (it does not want what it does not know)."""
        names = [v.labels.get(CONTAINER_LABEL, "") for v in found]
        containers = [{"name": n, "image": "", "essential": True} for n in names if not pause.is_internal(n)]
        if not arn or not containers:
            return
        family = found[0].labels.get("com.amazonaws.ecs.task-definition-family", "")
        version = found[0].labels.get("com.amazonaws.ecs.task-definition-version", "")
        payload = {
            "arn": arn,
            "family": family,
            "version": version,
            "desiredStatus": "RUNNING",
            "containers": containers,
            "networkMode": "awsvpc" if pause.NETWORK_PAUSE in names else "",
            "pidMode": "task" if pause.NAMESPACE_PAUSE in names else "",
            "serviceName": found[0].labels.get("moorwatch.service", ""),
            "taskClusterArn": found[0].labels.get("com.amazonaws.ecs.cluster", self.cluster),
        }
        log.warning("task=%s found in Docker, unknown to the agent's own file: adopted", arn)
        await self._local.assign(arn, payload)
        self._restore_one(Assignment(arn, payload, launched=True), found)

    # -- news of the workers (Outlet) ---------------------------------------------------------------

    def changed(self, worker: Worker) -> None:
        if self.reports is not None:
            self.reports.submit(worker.arn, worker.report())

    def gone(self, worker: Worker, name: str, at: float) -> None:
        if self.tell is not None and worker.spec.wanted:
            self.tell("MoorwatchContainerGone", {"taskArn": worker.arn, "containerName": name, "at": at})
        # Beside the news, which must not wait: the files of a cgroup that is torn down can be slow to read.
        container_id = worker.held[name].id
        look = self._later(asyncio.to_thread(self._telemetry.last_look, container_id))
        self._looks[container_id] = look
        look.add_done_callback(lambda _: self._looks.pop(container_id, None))

    async def was_oom_killed(self, container_id: str) -> bool:
        if look := self._looks.get(container_id):
            await asyncio.wait((look,), timeout=LOOK_SECONDS)
        return self._telemetry.oom_kills(container_id) > 0

    def started(self, worker: Worker, view: ContainerView) -> None:
        self._telemetry.track(view)
        if self.logs is not None:
            self.logs.follow(view)
        self._later(self._local.launched(worker.arn))

    def restarted(self, worker: Worker, name: str, count: int) -> None:
        self._later(self._local.restarted(worker.arn, name, count))

    def restarts(self) -> list[tuple[tuple[str, ...], int]]:
        """How often its restart policy started each container that has one; labels as exporters.names has them."""
        out = []
        for worker in self.workers.values():
            order = worker.payload
            common = (
                worker.cluster,
                *(str(order.get(k) or "") for k in ("serviceName", "family", "version")),
            )
            for c in worker.spec.containers:
                if c.restart is not None:
                    labels = (*common, worker.arn.rsplit("/", 1)[-1], c.name)
                    out.append((labels, worker.held[c.name].restarts))
        return out

    async def ended(self, worker: Worker, name: str, view: ContainerView) -> None:
        """Collect the facts of an end beside the report, which does not wait for them."""
        self._later(self._tell_facts(worker, name, view))

    async def _tell_facts(self, worker: Worker, name: str, view: ContainerView) -> None:
        try:
            tail = await self._engine.log_tail(view.id, LOG_LINES)
        except (EngineError, EngineUnreachable) as error:
            tail = [f"(the log cannot be read: {error})"]
        last, peak = self._telemetry.last_words(view.id)
        facts: ContainerFacts = {
            "containerName": name,
            "runtimeId": view.id,
            "exitCode": view.exit_code,
            "oomKilled": view.oom_killed,
            "memoryAtDeathBytes": last,
            "memoryPeakBytes": peak,
            "memoryLimitBytes": view.memory_limit_bytes or None,
            "logTail": tail,
            "healthOutput": view.health_output,
            "createdAt": view.created_at,
            "startedAt": view.started_at,
            "finishedAt": view.finished_at,
        }
        if self.tell is not None:
            self.tell("MoorwatchTaskFacts", {"taskArn": worker.arn, "containers": [facts]})

    def _later(self, work: Any) -> asyncio.Task[Any]:
        task: asyncio.Task[Any] = asyncio.ensure_future(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)
        return task

    async def acknowledged(self, arn: str, report: Mapping[str, Any]) -> None:
        """The control plane has the report. After the last one the task is history."""
        worker = self.workers.get(arn)
        if report.get("status") != "STOPPED" or worker is None or not worker.finished:
            return
        del self.workers[arn]
        self._runs.pop(arn, None)
        self._ended[arn] = (self._clock.now(), _group(worker.payload))
        await self._local.ended(arn, self._clock.now())
        self._clean.set()

    def died(self, container_id: str) -> None:
        """Docker's die event: no news where the process is watched."""
        for worker in self.workers.values():
            if worker.died(container_id):
                return

    def running(self, container_ids: Set[str]) -> None:
        """All containers that run, after a break of Docker's event stream: whoever else was thought to has ended."""
        for worker in self.workers.values():
            for held in worker.held.values():
                if held.seen.phase == "RUNNING" and held.id not in container_ids:
                    worker.look_again(held.id)

    def health(self, container_id: str, health: str) -> None:
        """Docker's health event."""
        for worker in self.workers.values():
            if worker.health_changed(container_id, health) is not None:
                self._telemetry.health_changed()
                return

    # -- cleanup ------------------------------------------------------------------------------------

    async def clean_forever(self) -> None:
        """Remove the containers of ended tasks: by age, and beyond the newest few of each service, so that a crash
        loop cannot fill the disk."""
        while True:
            for arn in self._removable():
                await self._remove(arn)
            try:
                async with asyncio.timeout(min(self._cleanup_seconds, 30.0)):
                    await self._clean.wait()
            except TimeoutError:
                log.debug("cleanup look")
            self._clean.clear()

    def _removable(self) -> list[str]:
        now = self._clock.now()
        newest_first = sorted(self._ended, key=lambda a: -self._ended[a][0])
        counts: dict[str, int] = {}
        out = []
        for arn in newest_first:
            at, group = self._ended[arn]
            counts[group] = counts.get(group, 0) + 1
            if counts[group] > KEPT_PER_GROUP or now - at > self._cleanup_seconds:
                out.append(arn)
        return out

    async def _remove(self, arn: str) -> None:
        try:
            found = await self._engine.list_ids(f"{TASK_LABEL}={arn}")
            is_new = self._clock.now() - self._ended[arn][0] < UNSHIPPED_SECONDS
            if is_new and self.logs is not None and any(map(self.logs.is_shipping, found)):
                return  # its last lines are not stored yet
            for container_id in found:
                await self._engine.remove(container_id)
                if self.logs is not None:
                    self.logs.forget(container_id)
            await self._engine.remove_volumes(f"{TASK_LABEL}={arn}")
        except (EngineError, EngineUnreachable) as error:
            log.warning("task=%s cleanup waits: %s", arn, error)
            return
        self._cgroups.remove(arn.rsplit("/", 1)[-1])
        await self._local.forget(arn)
        self._ended.pop(arn, None)

    async def close(self) -> None:
        """Let go of everything without touching a container."""
        jobs = [*self._runs.values(), *self._background]
        for job in jobs:
            job.cancel()
        await asyncio.gather(*jobs, return_exceptions=True)
        self._deaths.close()


def _group(payload: Mapping[str, Any]) -> str:
    return str(payload.get("serviceName") or payload.get("family") or "")
