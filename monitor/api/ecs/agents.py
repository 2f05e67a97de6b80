"""What container agents call: discover, register, report (agent protocol; ECS API reference).

A report can be late, repeated or out of order: it is merged by `lifecycle.observe`, never taken at its word.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from monitor.api.ecs import views
from monitor.api.ecs.tags import read_tags
from monitor.api.operation import Context, Outcome, Params, answer, operation
from monitor.model import arn as arns
from monitor.model.cluster import ContainerInstance
from monitor.model.errors import client_exception, invalid_parameter
from monitor.model.resources import Port, Resources
from monitor.model.state import Change, Put
from monitor.model.task import Task
from monitor.scheduler.lifecycle import ContainerReport, TaskReport, observe

DEFAULT_ZONE = "local"


@operation("ecs", "DiscoverPollEndpoint")
def discover_poll_endpoint(ctx: Context, _params: Params) -> Outcome:
    """URLs an agent keeps for 12 hours: they must survive our restarts, so they are the configured address."""
    return answer(
        {
            "endpoint": f"{ctx.endpoint}/acs/",
            "telemetryEndpoint": f"{ctx.endpoint}/tcs/",
            "serviceConnectEndpoint": f"{ctx.endpoint}/sc/",
        }
    )


def _integer(resources: Sequence[Mapping[str, Any]], name: str) -> int:
    value = next((r.get("integerValue") for r in resources if r.get("name") == name), None)
    if not isinstance(value, int) or value <= 0:
        raise client_exception(f"totalResources must name {name} with an integerValue above zero.")
    return value


def _ports(resources: Sequence[Mapping[str, Any]], name: str, protocol: str) -> set[Port]:
    texts = next((r.get("stringSetValue") or () for r in resources if r.get("name") == name), ())
    if not all(t.isascii() and t.isdecimal() and len(t) < 6 and int(t) < 65536 for t in texts):
        raise client_exception(f"totalResources {name} must be port numbers.")
    return {(int(t), protocol) for t in texts}


def _resources(params: Params) -> Resources:
    given = params.get("totalResources") or ()
    ports = _ports(given, "PORTS", "tcp") | _ports(given, "PORTS_UDP", "udp")
    return Resources(_integer(given, "CPU"), _integer(given, "MEMORY"), frozenset(ports))


def _external_id(params: Params, instance_id: str) -> str:
    """The id of the machine: from its identity document, else made from ours (as ECS Anywhere's mi- ids)."""
    document = params.get("instanceIdentityDocument") or ""
    if document and len(document) < 16384:
        try:
            found = json.loads(document)
        except (ValueError, RecursionError):
            found = None
        if isinstance(found, dict) and isinstance(found.get("instanceId"), str):
            return str(found["instanceId"])[:64]
    return f"mi-{instance_id[:17]}"


@operation("ecs", "RegisterContainerInstance")
def register_container_instance(ctx: Context, params: Params) -> Outcome:
    """New, or the same one again when it brings its ARN. Every attribute sent is echoed: an agent that finds one
    missing stops for good."""
    cluster = ctx.cluster(params.get("cluster"))
    resources = _resources(params)
    attributes = {a["name"]: a.get("value") or "" for a in params.get("attributes") or ()}
    attributes.setdefault("ecs.availability-zone", f"{ctx.scope.region}-{DEFAULT_ZONE}")
    known = _known(ctx, cluster.arn, params)
    if known is not None:
        if known.resources.cpu != resources.cpu or known.resources.memory > 2 * resources.memory:
            raise client_exception(
                "Container instance type changes are not supported. Container instance "
                f"{arns.short(known.arn)} was registered with {known.resources.cpu} CPU units and "
                f"{known.resources.memory} MiB: deregister it, then start the agent anew."
            )
        instance = replace(
            known,
            resources=resources,
            attributes={**known.attributes, **attributes},
            version_info={**known.version_info, **(params.get("versionInfo") or {})},
            version=known.version + 1,
        )
    else:
        instance_id = ctx.ids.hex()
        instance = ContainerInstance(
            arn=arns.container_instance(ctx.scope, cluster.name, instance_id),
            cluster_arn=cluster.arn,
            registered_at=ctx.now,
            resources=resources,
            attributes=attributes,
            version_info=params.get("versionInfo") or {},
            tags=read_tags(params.get("tags")),
            external_id=_external_id(params, instance_id),
            client_token=params.get("clientToken") or "",
        )
    arn = instance.arn
    view = frozenset(("TAGS",))
    return Outcome(
        lambda s: {"containerInstance": views.container_instance(s, s.instances[arn], view)},
        (Put(instance),),
    )


def _known(ctx: Context, cluster_arn: str, params: Params) -> ContainerInstance | None:
    arn, token = params.get("containerInstanceArn"), params.get("clientToken")
    if arn:
        known = ctx.state.instances.get(arn)
        if known is None or known.cluster_arn != cluster_arn or known.status == "INACTIVE":
            raise client_exception(
                "The referenced container instance is not registered (any more): register without its ARN."
            )
        return known
    for instance in ctx.state.instances_of(cluster_arn):
        if token and instance.client_token == token and instance.status != "INACTIVE":
            return instance
    return None


def _find_task(ctx: Context, params: Params) -> Task | None:
    """The task, by its ARN whatever cluster the agent names: a shared instance runs tasks of several."""
    text = params.get("task") or ""
    if not arns.is_arn(text):
        text = ctx.task_arn(ctx.cluster(params.get("cluster")), text)
    task = ctx.state.tasks.get(text)
    return task if task is not None and arns.scope_of(task.arn) == ctx.scope else None


def _container(raw: Mapping[str, Any]) -> ContainerReport:
    return ContainerReport(
        name=raw.get("containerName") or "",
        status=raw.get("status") or "",
        runtime_id=raw.get("runtimeId") or "",
        exit_code=raw.get("exitCode"),
        reason=raw.get("reason") or "",
        network_bindings=tuple(raw.get("networkBindings") or ()),
        image_digest=raw.get("imageDigest") or "",
    )


def merge(ctx: Context, task: Task, report: TaskReport) -> tuple[Change, ...]:
    """The changes a report makes to the task; none when it says nothing new."""
    observed = observe(task, report, ctx.now)
    return () if observed is task else (Put(observed),)


@operation("ecs", "SubmitTaskStateChange")
def submit_task_state_change(ctx: Context, params: Params) -> Outcome:
    """An unknown task is acknowledged too: refusing it would make the agent ask for ever."""
    task = _find_task(ctx, params)
    if task is None:
        return answer({"acknowledgment": "unknown task"})
    report = TaskReport(
        status=params.get("status") or "",
        reason=params.get("reason") or "",
        containers=tuple(_container(c) for c in params.get("containers") or ()),
        pull_started_at=params.get("pullStartedAt"),
        pull_stopped_at=params.get("pullStoppedAt"),
        execution_stopped_at=params.get("executionStoppedAt"),
    )
    return Outcome(lambda _: {"acknowledgment": "ok"}, merge(ctx, task, report))


@operation("ecs", "SubmitContainerStateChange")
def submit_container_state_change(ctx: Context, params: Params) -> Outcome:
    task = _find_task(ctx, params)
    if task is None:
        return answer({"acknowledgment": "unknown task"})
    return Outcome(
        lambda _: {"acknowledgment": "ok"},
        merge(ctx, task, TaskReport(containers=(_container(params),))),
    )


@operation("ecs", "SubmitAttachmentStateChanges")
def submit_attachment_state_changes(ctx: Context, params: Params) -> Outcome:
    """No attachment is ever handed out here, so there is none to change."""
    ctx.cluster(params.get("cluster"))
    if not params.get("attachments"):
        raise invalid_parameter("attachments can not be empty")
    return answer({"acknowledgment": "ok"})
