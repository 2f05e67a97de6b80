"""Task definitions: register, describe, list, list families, deregister (ECS API reference)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from monitor.api.ecs import views
from monitor.api.ecs.definition_rules import normalise, parts
from monitor.api.ecs.tags import read_tags, wire_tags
from monitor.api.operation import Context, Outcome, Params, answer, missing, operation, page, with_token
from monitor.model import arn as arns
from monitor.model.errors import ClientFault, client_exception, invalid_parameter
from monitor.model.state import Put, State
from monitor.model.task_definition import TaskDefinition

MOST_DELETED = 10


@operation("ecs", "RegisterTaskDefinition")
def register_task_definition(ctx: Context, params: Params) -> Outcome:
    """A new revision: the highest ever used in the family, plus one."""
    document = normalise(params)
    containers, needs = parts(document)
    family = params["family"]
    revisions = ctx.state.families.get((ctx.scope, family), [])
    revision = ctx.state.definitions[revisions[-1]].revision + 1 if revisions else 1
    definition = TaskDefinition(
        arn=arns.task_definition(ctx.scope, family, revision),
        family=family,
        revision=revision,
        status="ACTIVE",
        network_mode=document.get("networkMode") or "bridge",
        containers=containers,
        needs=needs,
        document=document,
        registered_at=ctx.now,
        registered_by=ctx.caller_arn,
        tags=read_tags(params.get("tags")),
    )
    body = {"taskDefinition": views.task_definition(definition), "tags": wire_tags(definition.tags)}
    return Outcome(lambda _: body, (Put(definition),))


@operation("ecs", "DescribeTaskDefinition")
def describe_task_definition(ctx: Context, params: Params) -> Outcome:
    definition = ctx.definition(params["taskDefinition"])
    body: dict[str, Any] = {"taskDefinition": views.task_definition(definition)}
    if "TAGS" in (params.get("include") or ()):
        body["tags"] = wire_tags(definition.tags)
    return answer(body)


@operation("ecs", "DeregisterTaskDefinition")
def deregister_task_definition(ctx: Context, params: Params) -> Outcome:
    """INACTIVE: what runs goes on, nothing new may use it."""
    text = params["taskDefinition"]
    if ":" not in text:
        raise client_exception("Revision is missing.")
    definition = ctx.definition(text)
    if definition.status != "ACTIVE":
        raise client_exception(
            "The specified task definition is inactive. Specify an active task definition."
        )
    gone = replace(definition, status="INACTIVE", deregistered_at=ctx.now)
    return Outcome(lambda _: {"taskDefinition": views.task_definition(gone)}, (Put(gone),))


@operation("ecs", "DeleteTaskDefinitions")
def delete_task_definitions(ctx: Context, params: Params) -> Outcome:
    """INACTIVE → DELETE_IN_PROGRESS; gone once no task and no service uses it. Its revision is never used again."""
    names = params["taskDefinitions"]
    if not names:
        raise invalid_parameter("size of TaskDefinition references list must be greater than 0")
    if len(names) > MOST_DELETED:
        raise invalid_parameter(f"Size of TaskDefinition references list cannot exceed {MOST_DELETED}")
    deleted, failures = [], []
    for name in names:
        if ":" not in name:
            raise client_exception("Revision is missing.")
        try:
            definition = ctx.definition(name)
        except ClientFault:
            failures.append(missing(name))
            continue
        if definition.status == "ACTIVE":
            why = "The specified task definition is still in ACTIVE status. Please deregister the target and try again."
            failures.append({"arn": definition.arn, "reason": why})
            continue
        at = definition.delete_requested_at or ctx.now
        deleted.append(replace(definition, status="DELETE_IN_PROGRESS", delete_requested_at=at))
    body = {"taskDefinitions": [views.task_definition(d) for d in deleted], "failures": failures}
    return Outcome(lambda _: body, tuple(Put(d) for d in deleted))


def _families(state: State, ctx: Context) -> list[str]:
    """Those that have a revision left."""
    return sorted(
        family
        for (scope, family), revisions in state.families.items()
        if scope == ctx.scope and any(state.definitions[a].status != "DELETED" for a in revisions)
    )


@operation("ecs", "ListTaskDefinitions")
def list_task_definitions(ctx: Context, params: Params) -> Outcome:
    """Sorted by family, then by revision number; familyPrefix is the whole family name."""
    status = params.get("status") or "ACTIVE"
    order = params.get("sort") or "ASC"
    if order not in ("ASC", "DESC"):
        raise invalid_parameter("sort should be one of [ASC, DESC].")
    wanted = params.get("familyPrefix")
    arns_ = [
        arn
        for family in _families(ctx.state, ctx)
        if wanted in (None, family)
        for arn in ctx.state.families[ctx.scope, family]
        if ctx.state.definitions[arn].status == status
    ]
    if order == "DESC":
        arns_.reverse()
    chunk, token = page(arns_, params)
    return answer(with_token({"taskDefinitionArns": chunk}, token))


@operation("ecs", "ListTaskDefinitionFamilies")
def list_task_definition_families(ctx: Context, params: Params) -> Outcome:
    """Families that start with familyPrefix. A family is INACTIVE when every revision is."""
    status = params.get("status") or "ALL"
    prefix = params.get("familyPrefix") or ""

    def shown(family: str) -> bool:
        revisions = ctx.state.families[ctx.scope, family]
        active = any(ctx.state.definitions[a].status == "ACTIVE" for a in revisions)
        return status == "ALL" or (status == "ACTIVE") == active

    names = [f for f in _families(ctx.state, ctx) if f.startswith(prefix) and shown(f)]
    chunk, token = page(names, params)
    return answer(with_token({"families": chunk}, token))
