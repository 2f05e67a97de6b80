"""Why: the facts about an ended task or a service, put into sentences a person can act on. Pure."""

from __future__ import annotations

import signal
from collections.abc import Iterable
from typing import Any

from monitor.api.ecs import views
from monitor.model import arn as arns
from monitor.model.service import ACTIVE, DRAINING, FAILED, IN_PROGRESS, Service
from monitor.model.state import State
from monitor.model.task import (
    ESSENTIAL_CONTAINER_EXITED,
    INFRASTRUCTURE_HEALTH,
    RUNNING,
    SERVICE_SCHEDULER_INITIATED,
    STOPPED,
    TASK_FAILED_TO_START,
    TERMINATION_NOTICE,
    USER_INITIATED,
    Container,
    Task,
)
from monitor.scheduler.rollout import bake_seconds, threshold

MIB = 1024 * 1024
_EXIT = {
    0: "it ended by itself, with success",
    1: "the program reported a general error",
    2: "the program reported a misuse of its arguments",
    125: "Docker itself failed to run it",
    126: "the command was found but could not be executed",
    127: "the command was not found in the image",
}
_SIGNAL = {
    "SIGKILL": "killed outright: out of memory, docker kill, or a stop that took longer than its stopTimeout",
    "SIGTERM": "asked to end, and it did",
    "SIGSEGV": "it touched memory that is not its own",
    "SIGABRT": "it aborted itself",
    "SIGINT": "interrupted",
    "SIGBUS": "a bad memory access",
    "SIGILL": "an instruction this processor does not know",
    "SIGFPE": "an arithmetic fault",
}


def signal_of(exit_code: int | None) -> str:
    """The signal's name behind an exit code above 128, else ""."""
    if exit_code is None or not 128 < exit_code < 193:
        return ""
    try:
        return signal.Signals(exit_code - 128).name
    except ValueError:
        return f"signal {exit_code - 128}"


def exit_meaning(container: Container) -> str:
    """The exit code in words; "" when there is none."""
    code = container.exit_code
    if code is None:
        return ""
    if (container.facts is not None and container.facts.oom_killed) or "OutOfMemory" in container.reason:
        return "killed by the kernel: it needed more memory than its limit"
    name = signal_of(code)
    if name == "SIGKILL" and container.facts is not None:
        return "killed from outside (docker kill, or a stop that outlasted its stopTimeout), not for want of memory"
    if name:
        return _SIGNAL.get(name, f"ended by {name}")
    return _EXIT.get(code, "the program chose this code; its log says more")


def container(c: Container) -> dict[str, Any]:
    facts = c.facts
    return views.filled(
        name=c.name,
        lastStatus=c.last,
        essential=c.essential,
        runtimeId=c.runtime_id,
        exitCode=c.exit_code,
        signal=signal_of(c.exit_code),
        meaning=exit_meaning(c),
        reason=c.reason,
        healthStatus=c.health if c.has_health_check else None,
        oomKilled=facts.oom_killed if facts else None,
        memoryAtDeathBytes=facts.memory_at_death_bytes if facts else None,
        memoryPeakBytes=facts.memory_peak_bytes if facts else None,
        memoryLimitBytes=(facts.memory_limit_bytes if facts else None)
        or (c.memory * MIB if c.memory else None),
        logTail=list(facts.log_tail) if facts else [],
        healthOutput=facts.health_output if facts else None,
        startedAt=facts.started_at if facts else None,
        finishedAt=facts.finished_at if facts else None,
    )


def culprit(task: Task) -> Container | None:
    """The container that ended the task: an essential one that ended by itself, the OOM-killed one first."""
    ended = [c for c in task.containers if c.essential and (c.exit_code is not None or c.reason)]
    oom = [c for c in ended if c.facts is not None and c.facts.oom_killed]
    if oom or not ended:
        return oom[0] if oom else None

    def finished(c: Container) -> float:
        return c.facts.finished_at if c.facts and c.facts.finished_at else float("inf")

    return min(ended, key=finished)


def cause(state: State, task: Task) -> str:
    """Why the task stopped, stops or waits, in one sentence."""
    if task.desired == RUNNING:
        return _waiting(state, task)
    bad = culprit(task)
    match task.stop_code:
        case code if code == ESSENTIAL_CONTAINER_EXITED and bad is not None:
            return _ended(bad)
        case code if code == TASK_FAILED_TO_START:
            return f"It never started. {task.stopped_reason}"
        case code if code == USER_INITIATED:
            return f"A user stopped it: {task.stopped_reason}."
        case code if code == SERVICE_SCHEDULER_INITIATED:
            return f"The service scheduler stopped it: {task.stopped_reason}."
        case code if code in (INFRASTRUCTURE_HEALTH, TERMINATION_NOTICE):
            return f"Its container instance was lost or taken away: {task.stopped_reason}"
    return task.stopped_reason or "It stopped, and nothing said why."


def _ended(c: Container) -> str:
    if c.exit_code is None:
        return f"Essential container {c.name} ended; its exit code is not known yet. {c.reason}".strip()
    name = signal_of(c.exit_code)
    code = f"exit code {c.exit_code}" + (f" ({name})" if name else "")
    sentence = f"Essential container {c.name} ended with {code}: {exit_meaning(c)}."
    facts = c.facts
    if facts is not None and facts.oom_killed and facts.memory_limit_bytes:
        limit = facts.memory_limit_bytes / MIB
        sentence += f" Its limit is {limit:.0f} MiB: raise memory in the task definition, or find what grows."
    return sentence


def _waiting(state: State, task: Task) -> str:
    if task.last == RUNNING:
        unhealthy = [c.name for c in task.containers if c.essential and c.health == "UNHEALTHY"]
        if unhealthy:
            return f"It runs, but container {unhealthy[0]} fails its health check."
        return "It runs."
    instance = state.instances.get(task.instance_arn)
    if instance is None or not instance.agent_connected:
        return "It waits: the container agent of its instance is not connected."
    return f"It is {task.last}: the agent pulls, creates or starts its containers."


def followed_by(state: State, task: Task) -> Task | None:
    """The task that took its place."""
    if not task.service_arn:
        return None
    candidates = [t for t in state.tasks_of(task.cluster_arn) if t.replaces == task.arn]
    return candidates[-1] if candidates else None


def next_steps(state: State, service: Service | None, task: Task | None, now: float) -> list[str]:
    """What the scheduler did or will do, and when."""
    steps: list[str] = []
    if task is not None:
        after = followed_by(state, task)
        if after is not None:
            steps.append(_replaced(task, after))
        elif task.desired != RUNNING and not task.service_arn:
            steps.append("It belongs to no service, so nothing starts it again.")
    if service is None:
        return steps
    if service.status != ACTIVE:
        return [*steps, f"Service {service.name} is {service.status}: nothing is started any more."]
    primary = service.primary
    steps += _rollout(state, service, now)
    if primary.retry_at > now:
        wait = primary.retry_at - now
        steps.append(
            f"Its tasks keep failing ({primary.failed_tasks} in a row): the next start is in {wait:.0f} s, then the "
            "wait doubles, up to 27 minutes. A new deployment (update-service) starts at once."
        )
    if service.complaint:
        steps.append(f"The service {service.complaint}")
    running, pending = views.counts(state.live_tasks_of_service(service.arn))
    if running != service.desired_count:
        steps.append(
            f"The service wants {service.desired_count}, runs {running}, and {pending} are starting."
        )
    return steps


def _rollout(state: State, service: Service, now: float) -> list[str]:
    """Where its deployments stand, when that is anything but done."""
    primary, steps = service.primary, []
    if primary.rollout_state == FAILED:
        steps.append(
            f"Its newest deployment FAILED ({primary.rollout_reason}) and nothing is started any more: what runs "
            "stays. A new deployment (update-service --task-definition … or --force-new-deployment) goes on."
        )
    if primary.rollout_state == IN_PROGRESS and "rolling back" in primary.rollout_reason:
        steps.append(f"It is going back: {primary.rollout_reason}")
    breaker = service.circuit_breaker
    if breaker.enable and primary.rollout_state == IN_PROGRESS and primary.breaker_failures:
        limit = threshold(breaker, service.desired_count)
        steps.append(f"The circuit breaker has counted {primary.breaker_failures} failures of {limit}.")
    if primary.hook_id:
        steps.append(
            f"The deployment waits at {primary.stage} for `aws ecs continue-service-deployment "
            f"--service-deployment-arn {primary.record_arn} --hook-id {primary.hook_id}`."
        )
    elif primary.stage:
        steps.append(f"The deployment is at {primary.stage}.")
    if primary.baking_since is not None and primary.rollout_state == IN_PROGRESS:
        ends = primary.baking_since + bake_seconds(state, service)
        steps.append(f"All its tasks run; alarms are watched for another {max(0.0, ends - now):.0f} s.")
    draining = {
        t.instance_arn
        for t in state.live_tasks_of_service(service.arn)
        if t.desired == RUNNING and (i := state.instances.get(t.instance_arn)) and i.status == DRAINING
    }
    steps += [
        f"Container instance {arns.short(arn)} is DRAINING: its tasks move off." for arn in sorted(draining)
    ]
    protected = sum(1 for t in state.live_tasks_of_service(service.arn) if t.is_protected(now))
    if protected > service.desired_count:
        steps.append(f"{protected} of its tasks are protected from scaling in.")
    return steps


def _replaced(task: Task, after: Task) -> str:
    ended = task.execution_stopped_at or task.stopping_at or after.created_at
    text = f"Task {arns.short(after.arn)} took its place {max(0.0, after.created_at - ended):.2f} s after it ended"
    if after.started_at is not None:
        return f"{text}, and was RUNNING after {max(0.0, after.started_at - ended):.2f} s."
    return f"{text}; it is {after.last}."


def task(state: State, t: Task, now: float) -> dict[str, Any]:
    """The output of ExplainTask."""
    service = state.services.get(t.service_arn)
    after = followed_by(state, t)
    return {
        "task": views.task(state, t, frozenset()),
        "cause": cause(state, t),
        "containers": [container(c) for c in t.containers],
        "next": next_steps(state, service, t, now),
        "replacedBy": views.filled(taskArn=after.arn, lastStatus=after.last, startedAt=after.started_at)
        if after
        else None,
        "timeline": timeline(t),
    }


def timeline(t: Task) -> list[dict[str, Any]]:
    moments: list[tuple[float | None, str]] = [
        (t.created_at, "placed on its container instance"),
        (t.pull_started_at, "image pull started"),
        (t.pull_stopped_at, "image pull ended"),
        (t.started_at, "RUNNING"),
        (t.execution_stopped_at, "first essential container ended"),
        (t.stopping_at, f"to be stopped ({t.stop_code})"),
        (t.stopped_at, "STOPPED"),
    ]
    for c in t.containers:
        if c.facts is not None:
            moments.append((c.facts.started_at, f"container {c.name} started"))
            moments.append((c.facts.finished_at, f"container {c.name} ended, exit code {c.exit_code}"))
    known = [(at, what) for at, what in moments if at is not None]
    return [{"at": at, "what": what} for at, what in sorted(known, key=lambda m: m[0])]


def service(state: State, s: Service, now: float) -> dict[str, Any]:
    """The output of ExplainService."""
    running, pending = views.counts(state.live_tasks_of_service(s.arn))
    stopped = [t for t in state.tasks_of(s.cluster_arn) if t.service_arn == s.arn and t.last == STOPPED]
    last = max(stopped, key=lambda t: t.stopped_at or 0.0, default=None)
    primary = s.primary
    return {
        "service": {
            "name": s.name,
            "serviceArn": s.arn,
            "status": s.status,
            "desired": s.desired_count,
            "running": running,
            "pending": pending,
            "failedTasks": primary.failed_tasks,
            "backoffSeconds": max(0.0, primary.retry_at - primary.step_at) if primary.backoff_step else 0.0,
            "retryAt": primary.retry_at if primary.retry_at > now else None,
            "taskDefinition": s.definition_arn,
            "warmStandby": s.warm_standby,
        },
        "sentence": _sentence(s, running, pending, now),
        "stoppedByReason": grouped(stopped),
        "lastStopped": task(state, last, now) if last is not None else None,
        "events": [{"at": e.at, "message": e.message} for e in list(state.events_of_service(s.arn))[-20:]],
        "next": next_steps(state, s, None, now),
    }


def _sentence(s: Service, running: int, pending: int, now: float) -> str:
    if s.status != ACTIVE:
        return f"Service {s.name} is {s.status}."
    if s.primary.rollout_state == FAILED:
        return f"Service {s.name}: its newest deployment failed; {running} of {s.desired_count} tasks run."
    if s.primary.retry_at > now:
        return f"Service {s.name} is in back-off: its tasks keep failing."
    if running >= s.desired_count and not pending:
        return f"Service {s.name} runs all {s.desired_count} tasks it wants."
    if s.complaint:
        return f"Service {s.name} {s.complaint}"
    return f"Service {s.name} runs {running} of {s.desired_count} tasks; {pending} are starting."


def grouped(stopped: Iterable[Task]) -> list[dict[str, Any]]:
    """Stopped tasks by reason, the most frequent first; at most five task ids each."""
    groups: dict[tuple[str, str, int | None], dict[str, Any]] = {}
    for t in stopped:
        bad = culprit(t)
        exit_code = bad.exit_code if bad else None
        oom = bad is not None and exit_meaning(bad).startswith("killed by the kernel")
        reason = "OutOfMemoryError: Container killed due to memory usage" if oom else t.stopped_reason
        entry = groups.setdefault(
            (t.stop_code, reason, exit_code),
            {
                "reason": reason,
                "stopCode": t.stop_code,
                "exitCode": exit_code,
                "count": 0,
                "tasks": [],
                "lastAt": 0.0,
            },
        )
        entry["count"] += 1
        entry["tasks"] = [*entry["tasks"], arns.short(t.arn)][-5:]
        entry["lastAt"] = max(entry["lastAt"], t.stopped_at or 0.0)
    return sorted(groups.values(), key=lambda e: (-e["count"], -e["lastAt"]))
