"""The agent's side of the health loop, pure: what to do next for one task, given what its containers are.

Dependencies hold at start (START, COMPLETE, SUCCESS, HEALTHY; CREATE already at creation) and, turned round, at
stop: a container is stopped only when nothing that depends on it runs. A container is started again only by its
restart policy. When an essential container has ended for good, or one cannot be created or started, the rest are
stopped (ECS developer guide, "Container dependency", "essential", "Container restart policies").
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

NONE, CREATED, RUNNING, STOPPED = "NONE", "CREATED", "RUNNING", "STOPPED"


@dataclass(frozen=True, slots=True)
class RestartPolicy:
    """`period`: seconds a container must have run since its last start to be started again."""

    period: float = 300.0
    ignored_exit_codes: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class ContainerSpec:
    """`depends_on`: (container name, condition). `start_timeout`: seconds in which this container, once started,
    must reach what others wait for. `internal`: made by the agent, no container of the task definition."""

    name: str
    essential: bool = True
    depends_on: tuple[tuple[str, str], ...] = ()
    start_timeout: float | None = None
    restart: RestartPolicy | None = None
    internal: bool = False


@dataclass(frozen=True, slots=True)
class TaskSpec:
    containers: tuple[ContainerSpec, ...]
    wanted: bool = True
    standby: bool = False  # create, do not start


@dataclass(frozen=True, slots=True)
class Seen:
    """What is known of one container. `error`: why it could not be created or started. Times are epoch seconds and
    of the last run."""

    phase: str = NONE
    exit_code: int | None = None
    health: str = "UNKNOWN"
    error: str = ""
    started_at: float | None = None
    finished_at: float | None = None

    @property
    def did_run(self) -> bool:
        return self.phase == RUNNING or (self.phase == STOPPED and not self.error)


UNSEEN = Seen()


@dataclass(frozen=True, slots=True)
class Create:
    name: str


@dataclass(frozen=True, slots=True)
class Start:
    name: str


@dataclass(frozen=True, slots=True)
class Restart:
    """Start the same container again, by its restart policy."""

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


Step = Create | Start | Restart | Stop | GiveUp | Finished


def may_restart(c: ContainerSpec, state: Seen) -> bool:
    """Whether the policy starts the ended container again, while its task is wanted. An exit code that is not known
    yet decides nothing: the container may still come back."""
    if c.restart is None or state.phase != STOPPED or state.error:
        return False
    if state.started_at is None or state.finished_at is None:
        return False
    if state.finished_at - state.started_at < c.restart.period:
        return False
    return state.exit_code is None or state.exit_code not in c.restart.ignored_exit_codes


def is_ending(spec: TaskSpec, seen: Mapping[str, Seen]) -> bool:
    """Whether the task is to be brought down."""
    if not spec.wanted:
        return True
    for c in spec.containers:
        state = seen.get(c.name, UNSEEN)
        if state.error or (c.essential and _is_over(c, state)):
            return True
    users = [c for c in spec.containers if not c.internal]
    return bool(users) and all(_is_over(c, seen.get(c.name, UNSEEN)) for c in users)


def _is_over(c: ContainerSpec, state: Seen) -> bool:
    return state.phase == STOPPED and not may_restart(c, state)


def will_restart(spec: TaskSpec, seen: Mapping[str, Seen], name: str) -> bool:
    """Whether the container, though ended, counts as running: its policy starts it again."""
    found = next((c for c in spec.containers if c.name == name), None)
    return found is not None and may_restart(found, seen.get(name, UNSEEN)) and not is_ending(spec, seen)


def next_steps(spec: TaskSpec, seen: Mapping[str, Seen], now: float = 0.0) -> tuple[Step, ...]:
    """All steps that may be taken now (epoch seconds), side by side."""
    if is_ending(spec, seen):
        return _bring_down(spec, seen)
    by_name = {c.name: c for c in spec.containers}
    steps: list[Step] = []
    for c in spec.containers:
        state = seen.get(c.name, UNSEEN)
        if state.phase == NONE and _may_create(c, seen):
            steps.append(Create(c.name))
        elif state.phase == CREATED and not spec.standby:
            steps.extend(_start(c, by_name, seen, now))
        elif may_restart(c, state) and state.exit_code is not None:
            steps.append(Restart(c.name))
    return tuple(steps)


def _may_create(c: ContainerSpec, seen: Mapping[str, Seen]) -> bool:
    needed = (name for name, condition in c.depends_on if condition == "CREATE")
    return all(seen.get(name, UNSEEN).phase != NONE for name in needed)


def _start(
    c: ContainerSpec, by_name: Mapping[str, ContainerSpec], seen: Mapping[str, Seen], now: float
) -> list[Step]:
    for name, condition in c.depends_on:
        other, state = by_name[name], seen.get(name, UNSEEN)
        if _holds(other, state, condition):
            continue
        reason = _hopeless(other, state, condition, now)
        return [GiveUp(c.name, f"TaskDependencyError: dependency {name} {reason}")] if reason else []
    return [Start(c.name)]


def _hopeless(other: ContainerSpec, state: Seen, condition: str, now: float) -> str:
    """Why the condition will never hold, or "". startTimeout counts from the start of the container that is waited
    for, and is that container's (ECS API reference, ContainerDefinition)."""
    if _is_over(other, state):
        if condition == "SUCCESS" and state.exit_code not in (0, None):
            return f"ended with exit code {state.exit_code}, not 0"
        if condition == "HEALTHY":
            return "ended, so that it can never be HEALTHY"
    limit = other.start_timeout
    if limit is None or state.phase != RUNNING or state.started_at is None or condition == "START":
        return ""
    return (
        f"was not {condition} within its startTimeout ({limit:g} s)" if now - state.started_at > limit else ""
    )


def _holds(other: ContainerSpec, state: Seen, condition: str) -> bool:
    match condition:
        case "CREATE":
            return state.phase != NONE
        case "START":
            return state.phase in (RUNNING, STOPPED)
        case "COMPLETE":
            return _is_over(other, state)
        case "SUCCESS":
            return _is_over(other, state) and state.exit_code == 0
        case "HEALTHY":
            return state.phase == RUNNING and state.health == "HEALTHY"
    return True


def _bring_down(spec: TaskSpec, seen: Mapping[str, Seen]) -> tuple[Step, ...]:
    running = {c.name for c in spec.containers if seen.get(c.name, UNSEEN).phase == RUNNING}
    if not running:
        return (Finished(),)
    needed = {
        name
        for c in spec.containers
        if c.name in running
        for name, condition in c.depends_on
        if condition != "CREATE"
    }
    free = sorted(running - needed)
    # A cycle of dependencies leaves nobody free: then all are.
    return tuple(Stop(name) for name in free or sorted(running))


def status(spec: TaskSpec, seen: Mapping[str, Seen]) -> str:
    """The task's status as reported upstream: PENDING, RUNNING or STOPPED."""
    states = [seen.get(c.name, UNSEEN) for c in spec.containers]
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
