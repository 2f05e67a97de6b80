"""ARNs and names: parse and format (forms as in the ECS developer guide, "long ARN format").

A Scope is the account and region every object lives in; both are part of each ARN, so state that is keyed
by ARN can never mix two accounts.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from monitor.model.errors import invalid_parameter

NAME = re.compile(r"[A-Za-z0-9_-]{1,255}")
_TASK_ID = re.compile(r"[0-9a-f]{32}|[0-9a-f-]{36}")


@dataclass(frozen=True, slots=True)
class Scope:
    account: str
    region: str

    def arn(self, resource: str) -> str:
        return f"arn:aws:ecs:{self.region}:{self.account}:{resource}"


@dataclass(frozen=True, slots=True)
class Arn:
    """A parsed ECS ARN. `parts` is the resource after its kind: ("web", "0a1b…") for a task."""

    scope: Scope
    kind: str
    parts: tuple[str, ...]


def parse(text: str) -> Arn:
    """Parse an ECS ARN. Raises InvalidParameterException."""
    pieces = text.split(":", 5)
    if len(pieces) != 6 or pieces[0] != "arn" or pieces[2] != "ecs" or "/" not in pieces[5]:
        raise invalid_parameter(f"Invalid arn syntax: {text[:256]!r} is not an ECS ARN.")
    kind, _, rest = pieces[5].partition("/")
    return Arn(Scope(pieces[4], pieces[3]), kind, tuple(rest.split("/")))


def is_arn(text: str) -> bool:
    return text.startswith("arn:")


def cluster(scope: Scope, name: str) -> str:
    return scope.arn(f"cluster/{name}")


def service(scope: Scope, cluster_name: str, name: str) -> str:
    return scope.arn(f"service/{cluster_name}/{name}")


def task(scope: Scope, cluster_name: str, task_id: str) -> str:
    return scope.arn(f"task/{cluster_name}/{task_id}")


def container(scope: Scope, cluster_name: str, task_id: str, container_id: str) -> str:
    return scope.arn(f"container/{cluster_name}/{task_id}/{container_id}")


def container_instance(scope: Scope, cluster_name: str, instance_id: str) -> str:
    return scope.arn(f"container-instance/{cluster_name}/{instance_id}")


def task_definition(scope: Scope, family: str, revision: int) -> str:
    return scope.arn(f"task-definition/{family}:{revision}")


def capacity_provider(scope: Scope, name: str) -> str:
    return scope.arn(f"capacity-provider/{name}")


def task_set(scope: Scope, cluster_name: str, service_name: str, task_set_id: str) -> str:
    """`task_set_id`: ecs-svc/<digits>."""
    return scope.arn(f"task-set/{cluster_name}/{service_name}/{task_set_id}")


def service_deployment(scope: Scope, cluster_name: str, service_name: str, deployment_id: str) -> str:
    return scope.arn(f"service-deployment/{cluster_name}/{service_name}/{deployment_id}")


def service_revision(scope: Scope, cluster_name: str, service_name: str, digits: str) -> str:
    return scope.arn(f"service-revision/{cluster_name}/{service_name}/{digits}")


def short(arn: str) -> str:
    """The last part: a name or an id."""
    return arn.rsplit("/", 1)[-1]


def scope_of(arn: str) -> Scope:
    pieces = arn.split(":", 5)
    return Scope(pieces[4], pieces[3])


def cluster_name_of(arn: str) -> str:
    """The cluster's name in a long-form service, task or container instance ARN."""
    return arn.split("/")[1]


def is_task_id(text: str) -> bool:
    return _TASK_ID.fullmatch(text) is not None


def check_name(text: str, what: str) -> str:
    """A cluster, service, family or container name. Raises InvalidParameterException."""
    if NAME.fullmatch(text) is None:
        raise invalid_parameter(
            f"{what} {text[:300]!r} is not valid: use 1 to 255 letters (upper and lower case), numbers, "
            "underscores and hyphens."
        )
    return text
