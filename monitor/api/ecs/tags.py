"""Tags: limits, and TagResource, UntagResource, ListTagsForResource (ECS API reference, Tag)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from monitor.api.operation import Context, Outcome, Params, answer, operation
from monitor.model import arn as arns
from monitor.model.capacity import CapacityProvider
from monitor.model.cluster import Cluster, ContainerInstance
from monitor.model.errors import ClientFault, cluster_not_found, invalid_parameter
from monitor.model.service import Service
from monitor.model.state import Put
from monitor.model.task import Task
from monitor.model.task_definition import TaskDefinition

MOST = 50
WARM_STANDBY_TAG = "moorwatch:warm-standby"
_ALLOWED = re.compile(r"[\w\s+\-=.:/@]*", re.UNICODE)


def read_tags(tags: Sequence[Mapping[str, str]] | None) -> dict[str, str]:
    """Wire tags → dict, checked. Raises InvalidParameterException."""
    out: dict[str, str] = {}
    for tag in tags or ():
        key, value = tag.get("key") or "", tag.get("value") or ""
        if not 1 <= len(key) <= 128 or len(value) > 256:
            raise invalid_parameter(f"Tag {key[:128]!r}: keys have 1 to 128 characters, values at most 256.")
        if key.lower().startswith("aws:"):
            raise invalid_parameter(f"Tag {key!r}: keys that start with aws: are reserved.")
        if not _ALLOWED.fullmatch(key) or not _ALLOWED.fullmatch(value):
            raise invalid_parameter(f"Tag {key!r}: letters, numbers, spaces and + - = . _ : / @ are allowed.")
        if key in out:
            raise invalid_parameter(f"Tag keys must be unique: {key!r} is given twice.")
        out[key] = value
    return _bounded(out)


def _bounded(tags: dict[str, str]) -> dict[str, str]:
    if sum(1 for key in tags if not key.startswith("aws:")) > MOST:
        raise invalid_parameter(f"A resource can have at most {MOST} tags.")
    return tags


def wire_tags(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in tags.items()]


def warm_standby(tags: Mapping[str, str]) -> int:
    """How many warm standbys the service's tag asks for. Raises InvalidParameterException."""
    text = tags.get(WARM_STANDBY_TAG, "0")
    if not text.isdecimal() or int(text) > 10:
        raise invalid_parameter(f"Tag {WARM_STANDBY_TAG} must be a number from 0 to 10, got {text!r}.")
    return int(text)


Taggable = Cluster | TaskDefinition | Service | Task | ContainerInstance | CapacityProvider


def _find(ctx: Context, text: str) -> Taggable:
    parsed = arns.parse(text)
    if parsed.scope != ctx.scope:
        raise invalid_parameter("The specified ARN belongs to another account or region.")
    if parsed.kind == "service" and len(parsed.parts) == 1:
        raise invalid_parameter("Long arn format must be used for tagging operations")
    state = ctx.state
    tables: dict[str, Mapping[str, Taggable]] = {
        "cluster": state.clusters,
        "service": state.services,
        "task": state.tasks,
        "container-instance": state.instances,
        "task-definition": state.definitions,
        "capacity-provider": state.capacity_providers,
    }
    table = tables.get(parsed.kind)
    if table is None:
        raise invalid_parameter(f"Resources of the type {parsed.kind!r} cannot be tagged.")
    entity = table.get(text)
    if entity is None and parsed.kind == "cluster":
        raise cluster_not_found()
    if entity is None or (isinstance(entity, Task) and entity.standby):
        raise ClientFault("ResourceNotFoundException", "The specified resource is not found.")
    return entity


def _tagged(entity: Taggable, tags: dict[str, str]) -> Taggable:
    if isinstance(entity, Service):
        return replace(entity, tags=tags, warm_standby=warm_standby(tags))
    if isinstance(entity, Cluster | Task | ContainerInstance | CapacityProvider):
        return replace(entity, tags=tags)
    return replace(entity, tags=tags)


@operation("ecs", "TagResource")
def tag_resource(ctx: Context, params: Params) -> Outcome:
    entity = _find(ctx, params["resourceArn"])
    tags = _bounded({**entity.tags, **read_tags(params["tags"])})
    return Outcome(lambda _: {}, (Put(_tagged(entity, tags)),))


@operation("ecs", "UntagResource")
def untag_resource(ctx: Context, params: Params) -> Outcome:
    entity = _find(ctx, params["resourceArn"])
    gone = set(params["tagKeys"])
    tags = {key: value for key, value in entity.tags.items() if key not in gone}
    return Outcome(lambda _: {}, (Put(_tagged(entity, tags)),))


@operation("ecs", "ListTagsForResource")
def list_tags_for_resource(ctx: Context, params: Params) -> Outcome:
    try:
        entity = _find(ctx, params["resourceArn"])
    except ClientFault as error:
        if error.code != "ResourceNotFoundException":
            raise
        # The one operation of the three whose model does not declare that code.
        raise invalid_parameter(error.message) from error
    return answer({"tags": wire_tags(entity.tags)})
