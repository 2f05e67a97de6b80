"""Worker: one ECS task on this machine: look → next steps → do → look again.

It acts only through the Engine and tells only through its Outlet, and every act may be repeated. A container is
over when its process is (pidfd, Docker's event or an inspect say so), never because Docker does not answer.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Mapping
from dataclasses import replace
from typing import Any, Protocol

from monitor.agent.account import task_report
from monitor.agent.creation import Creation, Environment, Limits, PrepareLogs, unprepared
from monitor.agent.death import DeathWatch
from monitor.agent.engine import ContainerView, Engine, EngineError, EngineUnreachable, Vanished
from monitor.agent.held import Held
from monitor.agent.mapping import BadPayload, containers_of, task_spec
from monitor.agent.ports import HostPorts
from monitor.clock import Clock
from monitor.scheduler import host
from monitor.scheduler.host import (
    CREATED,
    RUNNING,
    STOPPED,
    Create,
    Finished,
    GiveUp,
    Restart,
    Seen,
    Start,
    Step,
    Stop,
)

log = logging.getLogger("moorwatch.agent.worker")

ENGINE_RETRY_SECONDS = 0.5
DEFAULT_STOP_SECONDS = 30.0
KILL_AGAIN_SECONDS = 5.0
NO_NAMESPACES = (
    "ContainerNetworkingError: the container that held the task's namespaces has ended, and what the task's containers "
    "shared with it"
)
OOM_REASON = "OutOfMemoryError: Container killed due to memory usage"


class Outlet(Protocol):
    """Where a worker's news go."""

    def changed(self, worker: Worker) -> None:
        """The task's or a container's status moved on."""
        ...

    def gone(self, worker: Worker, name: str, at: float) -> None:
        """A container's process has just ended; its exit code is not known yet."""
        ...

    def started(self, worker: Worker, view: ContainerView) -> None: ...
    def restarted(self, worker: Worker, name: str, count: int) -> None: ...
    async def ended(self, worker: Worker, name: str, view: ContainerView) -> None: ...

    async def was_oom_killed(self, container_id: str) -> bool:
        """By the kernel's own count, of a container that has ended. Docker's flag comes by an event, maybe late."""
        ...


class Worker:
    def __init__(
        self,
        payload: Mapping[str, Any],
        engine: Engine,
        outlet: Outlet,
        deaths: DeathWatch,
        clock: Clock,
        cluster: str,
        instance: str,
        limits: Limits,
        stop_seconds: float = DEFAULT_STOP_SECONDS,
        ports: HostPorts | None = None,
        environment: Environment = lambda _task, _container: {},
        prepare_logs: PrepareLogs = unprepared,
    ) -> None:
        """Raises BadPayload."""
        self.arn: str = payload["arn"]
        self.payload = payload
        self.spec = task_spec(payload)
        self.held: dict[str, Held] = {c["name"]: Held(c) for c in containers_of(payload)}
        self.execution_stopped_at: float | None = None
        self.finished = False
        self._engine, self._outlet, self._deaths, self._clock = engine, outlet, deaths, clock
        self.cluster, self._stop_seconds = cluster, stop_seconds
        self.creation = Creation(
            payload, engine, clock, cluster, instance, limits, ports or HostPorts(), environment, prepare_logs
        )
        self._wake = asyncio.Event()
        self._jobs: dict[str, asyncio.Task[None]] = {}
        self._watchers: dict[str, asyncio.Task[None]] = {}
        problem = host.unresolved(self.spec)
        if problem:
            for h in self.held.values():
                h.stopped(error=f"TaskDependencyError: Task dependencies cannot be resolved: {problem}")

    # -- orders -------------------------------------------------------------------------------------

    def update(self, payload: Mapping[str, Any]) -> None:
        """A newer order for the same task: stop it, or start a standby. RUNNING never follows STOPPED."""
        if payload.get("desiredStatus") == "STOPPED":
            self.spec = replace(self.spec, wanted=False, standby=False)
        elif self.spec.wanted and self.spec.standby and payload.get("standby") is not True:
            self.spec = replace(self.spec, standby=False)
        self._wake.set()

    def adopt(self, name: str, view: ContainerView) -> None:
        """A container found in Docker after a restart of the agent."""
        h = self.held.get(name)
        if h is None:
            return
        h.id, h.view = view.id, view
        if view.is_over:
            self._over(name, view)
        elif view.status == "created":
            h.seen = replace(h.seen, phase=CREATED)
        else:
            h.runs(view, self._clock.now())
            self._outlet.started(self, view)
            self._watch(name, view)
        self._wake.set()

    def missing(self, name: str) -> None:
        """After a restart: a container that was started once and is not there any more."""
        h = self.held[name]
        h.reason = "ContainerVanishedError: the container was removed while the agent was away"
        h.stopped(error=h.reason)
        self._wake.set()

    # -- the loop -----------------------------------------------------------------------------------

    @property
    def seen(self) -> dict[str, Seen]:
        return {name: h.seen for name, h in self.held.items()}

    @property
    def status(self) -> str:
        return host.status(self.spec, self.seen)

    async def run(self) -> None:
        """Until the task is over."""
        try:
            while True:
                self._wake.clear()
                steps = host.next_steps(self.spec, self.seen, self._clock.now())
                if any(isinstance(s, Finished) for s in steps) and not self._jobs and not self._watchers:
                    break
                for step in steps:
                    self._do(step)
                await self._pause()
        finally:
            await self._end_jobs()
        self.finished = True
        for h in self.held.values():
            h.stopped()
        self._outlet.changed(self)

    async def _pause(self) -> None:
        """Until something happens; each second while a startTimeout may run out."""
        phases = [h.seen.phase for h in self.held.values()]
        timed = CREATED in phases and any(c.start_timeout is not None for c in self.spec.containers)
        try:
            async with asyncio.timeout(1.0 if timed else None):
                await self._wake.wait()
        except TimeoutError:
            return

    async def _end_jobs(self) -> None:
        jobs = [*self._jobs.values(), *self._watchers.values()]
        for job in jobs:
            job.cancel()
        await asyncio.gather(*jobs, return_exceptions=True)

    def _do(self, step: Step) -> None:
        match step:
            case GiveUp(name, reason):
                self._failed(name, reason)
            case Create(name):
                self._begin(name, self._create(name))
            case Start(name):
                self._begin(name, self._start(name))
            case Restart(name):
                self._begin(name, self._restart(name))
            case Stop(name):
                self._begin(name, self._stop(name))
            case Finished():
                return

    def _begin(self, name: str, work: Awaitable[None]) -> None:
        """One job a container at a time."""
        if name in self._jobs:
            if asyncio.iscoroutine(work):
                work.close()
            return

        async def job() -> None:
            try:
                await work
            except EngineUnreachable as error:
                log.warning("task=%s container=%s waits for Docker: %s", self.arn, name, error)
                await asyncio.sleep(ENGINE_RETRY_SECONDS)
            except EngineError as error:
                self._failed(name, str(error))
            except BadPayload as error:
                self._failed(name, f"CannotCreateContainerError: {error}")
            finally:
                self._jobs.pop(name, None)
                self._wake.set()

        self._jobs[name] = asyncio.create_task(job(), name=f"{name}-{self.arn[-8:]}")

    # -- steps --------------------------------------------------------------------------------------

    async def _create(self, name: str) -> None:
        h = self.held[name]
        h.id = await self.creation.make(h.raw)
        h.seen = replace(h.seen, phase=CREATED)
        log.debug("task=%s container=%s created", self.arn, name)

    async def _start(self, name: str) -> None:
        h = self.held[name]
        try:
            h.view = await self._engine.start(h.id)
        except Vanished as error:
            raise EngineError(f"CannotStartContainerError: {error}") from error
        h.runs(h.view, self._clock.now())
        self._outlet.started(self, h.view)
        self._outlet.changed(self)
        if h.view.is_over:
            self._over(name, h.view)
            await self._tell_end(name)
        else:
            self._watch(name, h.view)
        log.debug("task=%s container=%s started", self.arn, name)

    async def _restart(self, name: str) -> None:
        h = self.held[name]
        log.info("task=%s container=%s exit_code=%s: starting it again", self.arn, name, h.seen.exit_code)
        await self._start(name)
        h.restarts += 1
        self._outlet.restarted(self, name, h.restarts)

    async def _stop(self, name: str) -> None:
        """The container's stop signal; after stopTimeout SIGKILL, again and again."""
        h = self.held[name]
        signal = h.view.stop_signal if h.view else "SIGTERM"
        limit = float(h.raw.get("stopTimeout") or self._stop_seconds)
        if h.stop_asked_at is None:
            await self._engine.signal(h.id, signal)
            h.stop_asked_at = asyncio.get_running_loop().time()
        while not h.over.is_set():
            left = h.stop_asked_at + limit - asyncio.get_running_loop().time()
            if left <= 0:
                await self._engine.signal(h.id, "SIGKILL")
                left = KILL_AGAIN_SECONDS
            try:
                async with asyncio.timeout(left):
                    await h.over.wait()
            except TimeoutError:
                continue

    def _failed(self, name: str, reason: str) -> None:
        h = self.held[name]
        if h.seen.phase == STOPPED and h.seen.error:
            return
        log.warning("task=%s container=%s failed: %s", self.arn, name, reason)
        h.reason = h.reason or reason
        h.stopped(error=reason)
        if h.is_internal:
            self._spread(reason)
        self._wake.set()
        self._outlet.changed(self)

    def _spread(self, reason: str) -> None:
        """What befell the holder of their namespaces is the other containers' reason: it is reported of no other."""
        for h in self.held.values():
            h.reason = h.reason or reason

    # -- ends ---------------------------------------------------------------------------------------

    def _watch(self, name: str, view: ContainerView) -> None:
        """Watch the process. Where that cannot be done (a daemon elsewhere, a process already gone) Docker is asked
        to tell of the end."""
        if not self._deaths.watch(view.id, view.pid, lambda: self._process_gone(name)):
            self._ask_for_end(name)

    def _ask_for_end(self, name: str) -> None:
        if name not in self._watchers:
            self._watchers[name] = asyncio.create_task(self._await_end(name), name=f"end-{self.arn[-8:]}")

    def died(self, container_id: str) -> bool:
        """Docker says that the container ended. Whether it is one of this task's."""
        for name, h in self.held.items():
            if h.id == container_id:
                if h.restarts:  # the news may be of an earlier run
                    self.look_again(container_id)
                else:
                    self._deaths.forget(container_id)
                    self._process_gone(name)
                return True
        return False

    def look_again(self, container_id: str) -> None:
        """The container was not among those that run: ask Docker, which knows; a list may be older than a start."""
        for name, h in self.held.items():
            if h.id == container_id and h.seen.phase == RUNNING:
                self._ask_for_end(name)

    def _process_gone(self, name: str) -> None:
        h = self.held[name]
        if h.seen.phase != RUNNING:
            return
        now = self._clock.now()
        h.stopped(finished_at=now)
        log.debug("task=%s container=%s process gone", self.arn, name)
        if not self.will_restart(name):
            self._final(name, now)
            if not h.is_internal:
                self._outlet.gone(self, name, now)
        self._ask_for_end(name)
        self._wake.set()

    def will_restart(self, name: str) -> bool:
        """Whether a container that has ended is started again by its policy."""
        return host.will_restart(self.spec, self.seen, name)

    def _final(self, name: str, at: float) -> None:
        """The container has ended and is not started again."""
        essential = any(c.essential and c.name == name for c in self.spec.containers)
        if essential and self.execution_stopped_at is None:
            self.execution_stopped_at = at
        if self.held[name].is_internal and any(h.seen.phase == RUNNING for h in self.held.values()):
            self._spread(NO_NAMESPACES)

    async def _await_end(self, name: str) -> None:
        """Docker's account of the end: exit code and reason. Asked again while Docker does not answer."""
        h = self.held[name]
        while True:
            try:
                view = await self._engine.wait(h.id)
            except EngineUnreachable as error:
                log.debug("task=%s container=%s: %s", self.arn, name, error)
                await asyncio.sleep(ENGINE_RETRY_SECONDS)
                continue
            except Vanished as error:
                self._deaths.forget(h.id)
                h.reason = h.reason or str(error)
                h.stopped(error=str(error))
                break
            except EngineError as error:
                log.warning("task=%s container=%s: %s", self.arn, name, error)
                await asyncio.sleep(ENGINE_RETRY_SECONDS)
                continue
            if view.is_over:
                if view.exit_code == 137 and not view.oom_killed:
                    is_oom = await self._outlet.was_oom_killed(view.id)
                    view = replace(view, oom_killed=is_oom)
                self._over(name, view)
                await self._tell_end(name)
                break
        self._watchers.pop(name, None)
        self._wake.set()
        self._outlet.changed(self)

    def _over(self, name: str, view: ContainerView) -> None:
        h = self.held[name]
        self._deaths.forget(view.id)
        h.view = view
        if view.started_at is None and view.error:
            h.reason = h.reason or f"CannotStartContainerError: {view.error}"
            h.stopped(error=h.reason)
            return
        # What was decided when the process was seen to end must not turn with Docker's clock.
        at = h.seen.finished_at or view.finished_at or self._clock.now()
        started_at = h.seen.started_at or view.started_at
        h.stopped(exit_code=view.exit_code, started_at=started_at, finished_at=at)
        if self.will_restart(name):
            return
        if view.oom_killed and view.exit_code == 137:
            h.reason = h.reason or OOM_REASON
        self._final(name, at)

    async def _tell_end(self, name: str) -> None:
        h = self.held[name]
        if h.view is not None and not h.is_internal and not self.will_restart(name):
            await self._outlet.ended(self, name, h.view)

    def health_changed(self, container_id: str, health: str) -> str | None:
        """The container's name, when it is one of this task's and its health is news."""
        for name, h in self.held.items():
            if h.id == container_id and h.seen.phase == RUNNING and h.seen.health != health:
                h.seen = replace(h.seen, health=health)
                h.health_since = self._clock.now()
                self._wake.set()
                return name
        return None

    # -- telling ------------------------------------------------------------------------------------

    def report(self) -> dict[str, Any]:
        """SubmitTaskStateChange: everything known now."""
        return task_report(self)
