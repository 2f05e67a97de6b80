"""The agent's side of the health loop, pure: what to do next for one task, given what its containers are.

Dependencies hold at start (START, COMPLETE, SUCCESS, HEALTHY) and, turned round, at stop: a container is stopped
only when nothing that depends on it runs. A container is never started twice. When an essential container has
ended, or one cannot be created or started, the rest are stopped (ECS developer guide, "Container dependency",
"essential").
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

NONE, CREATED, RUNNING, STOPPED = "NONE", "CREATED", "RUNNING", "STOPPED"


@dataclass(frozen=True, slots=True)
class RestartPolicy:
    """`period_seconds`: how long the container must have run to be restarted (restartAttemptPeriod)."""

    ignored_exit_codes: frozenset[int] = frozenset()
    period_seconds: float = 300.0


@dataclass(frozen=True, slots=True)
class ContainerSpec:
    """`depends_on`: (container name, condition). Timeouts in seconds. `restart`: None without an enabled policy."""

    name: str
    essential: bool = True
    depends_on: tuple[tuple[str, str], ...] = ()
    start_timeout: float | None = None
    restart: RestartPolicy | None = None


@dataclass(frozen=True, slots=True)
class TaskSpec:
    containers: tuple[ContainerSpec, ...]
    wanted: bool = True
    standby: bool = False  # create, do not start


@dataclass(frozen=True, slots=True)
class Seen:
    """What is known of one container. `error`: why it could not be created or started."""

    phase: str = NONE
    exit_code: int | None = None
    health: str = "UNKNOWN"
    error: str = ""

    @property
    def did_run(self) -> bool:
        return self.phase == RUNNING or (self.phase == STOPPED and not self.error)


@dataclass(frozen=True, slots=True)
class Create:
    name: str


@dataclass(frozen=True, slots=True)
class Start:
    name: str


@dataclass(frozen=True, slots=True)
class Stop:
    name: str


@dataclass(frozen=True, slots=True)
class GiveUp:
    """The container can never be started: record why."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Finished:
    """Nothing runs and nothing will."""


Step = Create | Start | Stop | GiveUp | Finished


def is_ending(spec: TaskSpec, seen: Mapping[str, Seen]) -> bool:
    """Whether the task is to be brought down."""
    if not spec.wanted:
        return True
    for c in spec.containers:
        state = seen.get(c.name, Seen())
        if state.error or (c.essential and state.phase == STOPPED):
            return True
    started = [c for c in spec.containers if seen.get(c.name, Seen()).phase != NONE]
    return bool(started) and all(seen.get(c.name, Seen()).phase == STOPPED for c in spec.containers)


def restarts(spec: TaskSpec, name: str, exit_code: int | None, ran_seconds: float) -> bool:
    """Whether a container that has ended is started again, in place (ECS developer guide, "Restart individual
    containers"): the task is still meant to run, the exit code is known and not ignored, and it ran long enough."""
    policy = next((c.restart for c in spec.containers if c.name == name), None)
    if policy is None or not spec.wanted or exit_code is None:
        return False
    return exit_code not in policy.ignored_exit_codes and ran_seconds >= policy.period_seconds


def next_steps(spec: TaskSpec, seen: Mapping[str, Seen], waited_seconds: float = 0.0) -> tuple[Step, ...]:
    """All steps that may be taken now, side by side. `waited_seconds`: since the task was given to the agent."""
    if is_ending(spec, seen):
        return _bring_down(spec, seen)
    steps: list[Step] = []
    for c in spec.containers:
        state = seen.get(c.name, Seen())
        if state.phase == NONE:
            steps.append(Create(c.name))
        elif state.phase == CREATED and not spec.standby:
            steps.extend(_start(c, seen, waited_seconds))
    return tuple(steps)


def _start(c: ContainerSpec, seen: Mapping[str, Seen], waited_seconds: float) -> list[Step]:
    for name, condition in c.depends_on:
        other = seen.get(name, Seen())
        if condition == "SUCCESS" and other.phase == STOPPED and other.exit_code not in (0, None):
            reason = f"dependency {name} ended with exit code {other.exit_code}, not 0"
            return [GiveUp(c.name, f"TaskDependencyError: {reason}")]
        if condition == "HEALTHY" and other.phase == STOPPED:
            reason = f"dependency {name} ended, so that it can never be HEALTHY"
            return [GiveUp(c.name, f"TaskDependencyError: {reason}")]
        if not _holds(other, condition):
            if c.start_timeout is not None and condition != "START" and waited_seconds > c.start_timeout:
                reason = f"dependency {name} was not {condition} within startTimeout ({c.start_timeout:g} s)"
                return [GiveUp(c.name, f"TaskDependencyError: {reason}")]
            return []
    return [Start(c.name)]


def _holds(other: Seen, condition: str) -> bool:
    match condition:
        case "START":
            return other.phase in (RUNNING, STOPPED)
        case "COMPLETE":
            return other.phase == STOPPED
        case "SUCCESS":
            return other.phase == STOPPED and other.exit_code == 0
        case "HEALTHY":
            return other.phase == RUNNING and other.health == "HEALTHY"
    return True


def _bring_down(spec: TaskSpec, seen: Mapping[str, Seen]) -> tuple[Step, ...]:
    running = {c.name for c in spec.containers if seen.get(c.name, Seen()).phase == RUNNING}
    if not running:
        return (Finished(),)
    needed = {name for c in spec.containers if c.name in running for name, _ in c.depends_on}
    free = sorted(running - needed)
    # A cycle of dependencies leaves nobody free: then all are.
    return tuple(Stop(name) for name in free or sorted(running))


def status(spec: TaskSpec, seen: Mapping[str, Seen]) -> str:
    """The task's status as reported upstream: PENDING, RUNNING or STOPPED."""
    states = [seen.get(c.name, Seen()) for c in spec.containers]
    if is_ending(spec, seen) and not any(s.phase == RUNNING for s in states):
        return STOPPED
    if states and all(s.did_run for s in states):
        return RUNNING
    return "PENDING"


def unresolved(spec: TaskSpec) -> str:
    """Why the dependencies can never be met (unknown name, cycle), or ""."""
    names = {c.name for c in spec.containers}
    for c in spec.containers:
        for name, _ in c.depends_on:
            if name not in names:
                return f"container {c.name} depends on {name}, which is not in the task"
    done: set[str] = set()
    while len(done) < len(names):
        ready = {
            c.name for c in spec.containers if c.name not in done and done >= {n for n, _ in c.depends_on}
        }
        if not ready:
            return f"container dependencies form a cycle: {', '.join(sorted(names - done))}"
        done |= ready
    return ""
