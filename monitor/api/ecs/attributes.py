"""Attributes of container instances: put, delete, list (ECS API reference, PutAttributes)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from monitor.api.ecs.views import filled
from monitor.api.operation import Context, Outcome, Params, answer, bounded, operation, page, with_token
from monitor.model.capacity import PROVIDER_ATTRIBUTE
from monitor.model.cluster import Cluster, ContainerInstance
from monitor.model.errors import ClientFault, invalid_parameter
from monitor.model.state import Put

MOST_CUSTOM = 10
TARGET = "container-instance"
_NAME = re.compile(r"[A-Za-z0-9_\-/\\.]{1,128}")
_VALUE = re.compile(r"[A-Za-z0-9_\-/\\.@: ]{1,128}")
_RESERVED = ("ecs.", "com.amazonaws.", "moorwatch.")


def _is_custom(name: str) -> bool:
    return name == PROVIDER_ATTRIBUTE or not name.startswith(_RESERVED)


def _target(ctx: Context, cluster: Cluster, attribute: Mapping[str, Any]) -> ContainerInstance:
    """By id or ARN. Raises TargetNotFoundException."""
    if (attribute.get("targetType") or TARGET) != TARGET:
        raise invalid_parameter(f"targetType must be {TARGET}.")
    text = attribute.get("targetId") or ""
    if not text:
        raise invalid_parameter("targetId cannot be empty: name the container instance by its ARN.")
    found = ctx.state.instances.get(ctx.instance_arn(cluster, text))
    if found is None or found.cluster_arn != cluster.arn or found.status == "INACTIVE":
        raise ClientFault("TargetNotFoundException", f"Could not find {text[:256]}")
    return found


def _check(attribute: Mapping[str, Any]) -> tuple[str, str]:
    name, value = attribute["name"], attribute.get("value") or ""
    if not _NAME.fullmatch(name):
        raise invalid_parameter(
            f"Attribute name {name[:128]!r}: 1 to 128 letters, numbers, hyphens, underscores, slashes and periods."
        )
    if not _is_custom(name):
        raise invalid_parameter(
            f"Attribute names that start with {', '.join(_RESERVED)} are reserved: {name!r}."
        )
    if value and (not _VALUE.fullmatch(value) or value != value.strip()):
        raise invalid_parameter(
            f"Attribute {name!r}: a value has 1 to 128 letters, numbers and - _ . @ / \\ : or blanks within."
        )
    return name, value


@operation("ecs", "PutAttributes")
def put_attributes(ctx: Context, params: Params) -> Outcome:
    """At most ten in a call, ten custom ones on an instance."""
    cluster = ctx.cluster(params.get("cluster"))
    changed: dict[str, ContainerInstance] = {}
    shown = []
    for attribute in bounded(params["attributes"], "attributes", 10):
        found = _target(ctx, cluster, attribute)  # type: ignore[arg-type]
        instance = changed.get(found.arn, found)
        name, value = _check(attribute)  # type: ignore[arg-type]
        attributes = {**instance.attributes, name: value}
        if sum(1 for n in attributes if _is_custom(n)) > MOST_CUSTOM:
            raise ClientFault(
                "AttributeLimitExceededException",
                f"A container instance can have at most {MOST_CUSTOM} custom attributes.",
            )
        changed[found.arn] = replace(instance, attributes=attributes)
        shown.append(filled(name=name, value=value, targetType=TARGET, targetId=found.arn))
    return Outcome(lambda _: {"attributes": shown}, tuple(Put(i) for i in changed.values()))


@operation("ecs", "DeleteAttributes")
def delete_attributes(ctx: Context, params: Params) -> Outcome:
    """A value that is given must be the attribute's: else it stays."""
    cluster = ctx.cluster(params.get("cluster"))
    changed: dict[str, ContainerInstance] = {}
    shown = []
    for attribute in bounded(params["attributes"], "attributes", 10):
        found = _target(ctx, cluster, attribute)  # type: ignore[arg-type]
        instance = changed.get(found.arn, found)
        name, value = _check(attribute)  # type: ignore[arg-type]
        if name not in instance.attributes or (value and instance.attributes[name] != value):
            continue
        left = {n: v for n, v in instance.attributes.items() if n != name}
        changed[found.arn] = replace(instance, attributes=left)
        shown.append(
            filled(name=name, value=instance.attributes[name], targetType=TARGET, targetId=found.arn)
        )
    return Outcome(lambda _: {"attributes": shown}, tuple(Put(i) for i in changed.values()))


@operation("ecs", "ListAttributes")
def list_attributes(ctx: Context, params: Params) -> Outcome:
    """One entry for each attribute of each container instance."""
    cluster = ctx.cluster(params.get("cluster"))
    if params["targetType"] != TARGET:
        raise invalid_parameter(f"targetType must be {TARGET}.")
    name, value = params.get("attributeName"), params.get("attributeValue")
    if value is not None and name is None:
        raise invalid_parameter("attributeValue needs an attributeName: give both.")
    found = {
        f"{i.arn} {n}": filled(name=n, value=v, targetType=TARGET, targetId=i.arn)
        for i in ctx.state.instances_of(cluster.arn)
        if i.status != "INACTIVE"
        for n, v in i.attributes.items()
        if name in (None, n) and value in (None, v)
    }
    chunk, token = page(list(found), params)
    return answer(with_token({"attributes": [found[key] for key in chunk]}, token))
