"""Tasks: run, start, stop, describe, list (ECS API reference)."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from monitor.api.ecs import service_rules as rules
from monitor.api.ecs import views
from monitor.api.ecs.definition_rules import MEMORY_FLOOR_MIB, check_environment, task_cpu, task_memory
from monitor.api.ecs.tags import read_tags
from monitor.api.operation import (
    Context,
    Outcome,
    Params,
    answer,
    bounded,
    missing,
    operation,
    page,
    with_token,
)
from monitor.model import arn as arns
from monitor.model.capacity import FARGATE
from monitor.model.cluster import Cluster
from monitor.model.errors import ClientFault, invalid_parameter, service_not_found
from monitor.model.event import Reason
from monitor.model.resources import Resources
from monitor.model.state import Put
from monitor.model.task import RUNNING, STOPPED, USER_INITIATED, Task
from monitor.model.task_definition import TaskDefinition
from monitor.scheduler.capacity import next_provider
from monitor.scheduler.lifecycle import stop
from monitor.scheduler.look import required
from monitor.scheduler.placement import Placer, Refusal
from monitor.scheduler.plan import make_task

OVERRIDES_LIMIT = 8192  # characters of JSON
TOKEN_SECONDS = 24 * 3600.0  # how long a clientToken is remembered
_CONTAINER_OVERRIDES = ("name", "command", "environment", "cpu", "memory", "memoryReservation")


def _overrides(params: Params, definition: TaskDefinition) -> Mapping[str, Any]:
    """Checked overrides, cpu and memory as plain numbers. Raises InvalidParameterException, ClientException."""
    overrides = dict(params.get("overrides") or {})
    if len(json.dumps(overrides)) > OVERRIDES_LIMIT:
        raise invalid_parameter(f"Overrides length must be at most {OVERRIDES_LIMIT}.")
    for override in overrides.get("containerOverrides") or ():
        name = override.get("name")
        if definition.container(name or "") is None:
            raise invalid_parameter(
                f"Override for container named {name} is not a container in the TaskDefinition."
            )
        unserved = [k for k, v in override.items() if v and k not in _CONTAINER_OVERRIDES]
        if unserved:
            raise invalid_parameter(f"Override {unserved[0]} for container {name} cannot be used here.")
        check_environment(str(name), override.get("environment") or ())
        for size, least in (
            ("cpu", 0),
            ("memory", MEMORY_FLOOR_MIB),
            ("memoryReservation", MEMORY_FLOOR_MIB),
        ):
            if override.get(size) is not None and override[size] < least:
                raise invalid_parameter(f"Override {size} for container {name} must be at least {least}.")
    extra = [k for k, v in overrides.items() if v and k not in ("containerOverrides", "cpu", "memory")]
    if extra:
        raise invalid_parameter(f"Override {extra[0]} cannot be used here.")
    for member, read in (("cpu", task_cpu), ("memory", task_memory)):
        if overrides.get(member):
            overrides[member] = str(read(overrides[member]))
    return overrides


def _needs(definition: TaskDefinition, overrides: Mapping[str, Any]) -> Resources:
    by_name = {o["name"]: o for o in overrides.get("containerOverrides") or ()}
    needs = definition.needs
    document = definition.document
    cpu, memory = overrides.get("cpu"), overrides.get("memory")
    if cpu:
        needs = replace(needs, cpu=int(cpu))
    elif not document.get("cpu"):
        needs = replace(
            needs, cpu=sum(by_name.get(c.name, {}).get("cpu") or c.cpu for c in definition.containers)
        )
    if memory:
        needs = replace(needs, memory=int(memory))
    elif not document.get("memory"):
        total = 0
        for c in definition.containers:
            o = by_name.get(c.name, {})
            soft = o.get("memoryReservation") or c.memory_reservation
            total += soft or o.get("memory") or c.memory
        needs = replace(needs, memory=total)
    return needs


def _check(ctx: Context, params: Params) -> TaskDefinition:
    if params.get("volumeConfigurations"):
        raise invalid_parameter("volumeConfigurations cannot be used here: EBS volumes are not available.")
    group = params.get("group") or ""
    if group.startswith("service:") or len(group) > 255:
        raise invalid_parameter("group must be at most 255 characters and must not start with service:.")
    if len(params.get("startedBy") or "") > 128:
        raise invalid_parameter("startedBy must be at most 128 characters.")
    if params.get("propagateTags") == "SERVICE":
        raise invalid_parameter("propagateTags SERVICE is for services: use TASK_DEFINITION or NONE.")
    definition = ctx.active_definition(params["taskDefinition"])
    rules.network(params, definition)
    return definition


def _digest(params: Params) -> str:
    known = {k: v for k, v in params.items() if k != "clientToken"}
    return hashlib.sha256(json.dumps(known, sort_keys=True, default=str).encode()).hexdigest()


def _replay(ctx: Context, cluster: Cluster, params: Params) -> Outcome | None:
    """The first result again for a repeated clientToken (an SDK retry must not double tasks)."""
    token = params.get("clientToken")
    earlier = ctx.state.tokens.get((cluster.arn, token)) if token else None
    if not earlier:
        return None
    tasks = [ctx.state.tasks[a] for a in earlier]
    newest = max(t.created_at for t in tasks)
    tasks = [t for t in tasks if t.created_at == newest]
    if newest < ctx.now - TOKEN_SECONDS:
        return None
    if tasks[0].request_digest != _digest(params):
        raise ClientFault(
            "ConflictException",
            "The clientToken was used before with other parameters.",
            details={"resourceIds": [t.arn for t in tasks]},
        )
    include = frozenset(("TAGS",))
    return answer({"tasks": [views.task(ctx.state, t, include) for t in tasks], "failures": []})


def _new(
    ctx: Context,
    cluster: Cluster,
    params: Params,
    definition: TaskDefinition,
    instance_arn: str,
    launch_type: str,
    provider: str = "",
) -> Task:
    overrides = _overrides(params, definition)
    group = params.get("group") or f"family:{definition.family}"
    managed = {"aws:ecs:clusterName": cluster.name} if params.get("enableECSManagedTags") else {}
    inherited = definition.tags if params.get("propagateTags") == "TASK_DEFINITION" else {}
    return replace(
        make_task(definition, cluster.arn, instance_arn, ctx.ids, ctx.now, group),
        needs=_needs(definition, overrides),
        overrides=overrides,
        launch_type=launch_type,
        capacity_provider=provider,
        execute_command=bool(params.get("enableExecuteCommand")),
        started_by=params.get("startedBy") or "",
        tags={**managed, **inherited, **read_tags(params.get("tags"))},
        client_token=params.get("clientToken") or "",
        request_digest=_digest(params) if params.get("clientToken") else "",
        reference_id=params.get("referenceId") or "",
    )


def _outcome(tasks: Sequence[Task], failures: Sequence[dict[str, str]]) -> Outcome:
    names = [t.arn for t in tasks]
    include = frozenset(("TAGS",))
    return Outcome(
        lambda s: {
            "tasks": [views.task(s, s.tasks[a], include) for a in names],
            "failures": list(failures),
        },
        tuple(Put(t) for t in tasks),
    )


@operation("ecs", "RunTask")
def run_task(ctx: Context, params: Params) -> Outcome:
    """One placement a copy; partial success is tasks and failures together."""
    cluster = ctx.cluster(params.get("cluster"))
    replayed = _replay(ctx, cluster, params)
    if replayed is not None:
        return replayed
    definition = _check(ctx, params)
    count = params.get("count", 1)
    if not 1 <= count <= 10:
        raise invalid_parameter(f"count must be between 1 and 10, got {count}.")
    constraints, strategy = rules.placement(params)
    launch, capacity = rules.capacity(ctx, cluster, params)
    group = params.get("group") or f"family:{definition.family}"
    needs = _needs(definition, _overrides(params, definition))
    if not ctx.state.capacity_of(cluster.arn):
        raise invalid_parameter("No Container Instances were found in your cluster.")
    placer = Placer(ctx.state)
    tasks: list[Task] = []
    failures: list[dict[str, str]] = []
    taken: Counter[str] = Counter()
    for _ in range(count):
        provider = next_provider(capacity, taken) if capacity else FARGATE if launch == FARGATE else ""
        spot = placer.place(
            cluster.arn,
            group,
            needs,
            (*constraints, *(definition.document.get("placementConstraints") or ())),
            strategy,
            provider=provider,
            requires=required(definition),
        )
        if isinstance(spot, Refusal):
            failures.append(_failure(spot, cluster))
            continue
        taken[provider] += 1
        shown = provider if capacity else ""
        tasks.append(_new(ctx, cluster, params, definition, spot.arn, launch, shown))
    return _outcome(tasks, failures)


def _failure(refusal: Refusal, cluster: Cluster) -> dict[str, str]:
    return {
        "arn": refusal.instance_arn or cluster.arn,
        "reason": refusal.reason,
        "detail": refusal.detail or _detail(refusal.reason),
    }


def _detail(reason: str) -> str:
    details = {
        "RESOURCE:CPU": "Not enough CPU units are free: lower the task's cpu or stop other tasks.",
        "RESOURCE:MEMORY": "Not enough memory is free: lower the task's memory or stop other tasks.",
        "RESOURCE:PORTS": "A host port of the task is in use there: use hostPort 0 or another port.",
        "AGENT": "The container agent is not connected.",
    }
    return details.get(reason, "A placement constraint is not satisfied.")


@operation("ecs", "StartTask")
def start_task(ctx: Context, params: Params) -> Outcome:
    """The caller names the instances; the same resource checks, no choice."""
    cluster = ctx.cluster(params.get("cluster"))
    definition = _check(ctx, params)
    launch = "EC2"
    if len(params.get("startedBy") or "") > 36:
        raise invalid_parameter("startedBy must be at most 36 characters.")
    placer = Placer(ctx.state)
    needs = _needs(definition, _overrides(params, definition))
    tasks: list[Task] = []
    failures: list[dict[str, str]] = []
    for name in bounded(params["containerInstances"], "Container Instances", 10):
        arn = ctx.instance_arn(cluster, name)
        instance = ctx.state.instances.get(arn)
        if instance is None or instance.cluster_arn != cluster.arn:
            failures.append(missing(arn))
            continue
        if instance.status == "INACTIVE":
            failures.append({"arn": arn, "reason": "INACTIVE"})
            continue
        why = placer.check(instance, needs)
        if why is not None:
            failures.append({"arn": arn, "reason": why, "detail": _detail(why)})
            continue
        placer.take(arn, params.get("group") or "", needs)
        tasks.append(_new(ctx, cluster, params, definition, arn, launch))
    return _outcome(tasks, failures)


@operation("ecs", "StopTask")
def stop_task(ctx: Context, params: Params) -> Outcome:
    cluster = ctx.cluster(params.get("cluster"))
    arn = ctx.task_arn(cluster, params["task"])
    task = ctx.state.tasks.get(arn)
    if task is None or task.cluster_arn != cluster.arn or task.standby:
        raise invalid_parameter("The referenced task was not found.")
    reason = Reason(USER_INITIATED, params.get("reason") or "Task stopped by user")
    stopped = stop(task, reason, ctx.now)
    if stopped is task:
        return answer({"task": views.task(ctx.state, task, frozenset())})
    return Outcome(lambda s: {"task": views.task(s, s.tasks[arn], frozenset())}, (Put(stopped),))


@operation("ecs", "DescribeTasks")
def describe_tasks(ctx: Context, params: Params) -> Outcome:
    cluster = ctx.cluster(params.get("cluster"))
    include = frozenset(params.get("include") or ())
    found, failures = [], []
    for name in bounded(params["tasks"], "Tasks", 100):
        arn = ctx.task_arn(cluster, name)
        task = ctx.state.tasks.get(arn)
        if task is None or task.cluster_arn != cluster.arn or task.standby:
            failures.append(missing(arn))
        else:
            found.append(views.task(ctx.state, task, include))
    return answer({"tasks": found, "failures": failures})


@operation("ecs", "ListTasks")
def list_tasks(ctx: Context, params: Params) -> Outcome:
    """desiredStatus RUNNING unless STOPPED is asked for; PENDING never matches (as in ECS)."""
    cluster = ctx.cluster(params.get("cluster"))
    desired = params.get("desiredStatus") or RUNNING
    filters = ("containerInstance", "family", "serviceName", "launchType", "daemonName")
    if params.get("startedBy") and any(params.get(f) for f in filters):
        raise invalid_parameter("startedBy must be the only filter of ListTasks: leave the others out.")
    tasks: Iterable[Task] = ctx.state.tasks_of(cluster.arn)
    if desired == RUNNING:  # the work is for what lives, not for history
        tasks = (t for t in ctx.state.live_tasks_of(cluster.arn) if not t.standby)
    if params.get("serviceName"):
        arn = ctx.service_arn(cluster, params["serviceName"])
        if arn not in ctx.state.services:
            raise service_not_found()
        if desired == RUNNING:
            tasks = (t for t in ctx.state.live_tasks_of_service(arn) if not t.standby)
        tasks = (t for t in tasks if t.service_arn == arn)
    if params.get("containerInstance"):
        instance = ctx.instance(cluster, params["containerInstance"])
        tasks = (t for t in tasks if t.instance_arn == instance.arn)
    if params.get("family"):
        prefix = arns.task_definition(ctx.scope, params["family"], 0)[:-1]
        tasks = (t for t in tasks if t.definition_arn.startswith(prefix))
    if params.get("startedBy"):
        tasks = (t for t in tasks if t.started_by == params["startedBy"])
    if params.get("launchType"):
        tasks = (t for t in tasks if t.launch_type == params["launchType"])
    if desired not in (RUNNING, STOPPED) or params.get("daemonName"):
        return answer({"taskArns": []})
    chunk, token = page([t.arn for t in tasks if t.desired == desired], params)
    return answer(with_token({"taskArns": chunk}, token))
