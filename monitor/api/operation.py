"""The registry of operations, and what each is handed.

An operation is a plain function of (Context, params). It reads the state, raises AwsError or returns an
Outcome: the changes to commit and the view to answer with, rendered from the state after the commit. Parsing,
authentication, commit and rendering belong to the gateway.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from monitor.logs.base import LogStore
from monitor.logs.queries import Queries
from monitor.logs.tails import Tails
from monitor.model import arn as arns
from monitor.model.arn import Scope
from monitor.model.cluster import Cluster, ContainerInstance
from monitor.model.errors import client_exception, cluster_not_found, invalid_parameter
from monitor.model.event import Event
from monitor.model.state import Change, State
from monitor.model.task_definition import TaskDefinition
from monitor.series.base import SeriesStore
from monitor.store.base import Past

Params = Mapping[str, Any]
View = Callable[[State], dict[str, Any]]
Told = tuple[str, dict[str, Any]]  # an event of a stream: its kind, and what it says


class Ids(Protocol):
    def hex(self) -> str: ...
    def digits(self) -> str: ...
    def uuid(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Stream:
    """An answer that goes on for as long as `events` does, or the caller."""

    events: AsyncIterator[Told]


@dataclass(frozen=True, slots=True)
class Outcome:
    """`is_ready`: until it holds, the answer is held back, at most `wait_seconds`, and the operation asked again.
    `missed_events`: those the reader asked for too late. `work`: what has to be waited for (another store, say); its
    result is the answer, in place of the view's. `check`: what has to be found out there before anything is committed;
    it raises AwsError."""

    view: View
    changes: tuple[Change, ...] = ()
    is_ready: Callable[[State], bool] | None = None
    wait_seconds: float = 0.0
    missed_events: int = 0
    work: Callable[[], Awaitable[dict[str, Any] | Stream]] | None = None
    check: Callable[[], Awaitable[object]] | None = None


@dataclass(frozen=True, slots=True)
class Context:
    """One authenticated request. `endpoint` is where agents find us, `caller` the access key id. `series`: the metric
    store, which operations reach in their outcome's `work`. `past`: the event log on disk, `logs`: the log
    store, likewise."""

    state: State
    scope: Scope
    now: float
    ids: Ids
    caller: str
    endpoint: str
    host: str = ""
    series: SeriesStore | None = None
    past: Callable[[Past], Awaitable[list[Event]]] | None = None
    logs: LogStore | None = None
    queries: Queries | None = None
    tails: Tails | None = None

    @property
    def caller_arn(self) -> str:
        return f"arn:aws:iam::{self.scope.account}:root"

    def cluster(self, text: str | None) -> Cluster:
        """By name or ARN, `default` when not given. Raises ClusterNotFoundException."""
        cluster = self.state.clusters.get(self.cluster_arn(text))
        if cluster is None or cluster.status != "ACTIVE":
            raise cluster_not_found()
        return cluster

    def cluster_arn(self, text: str | None) -> str:
        name = text or "default"
        if not arns.is_arn(name):
            return arns.cluster(self.scope, name)
        parsed = arns.parse(name)
        if parsed.kind != "cluster" or len(parsed.parts) != 1:
            raise invalid_parameter(f"Invalid identifier: {name[:256]!r} is not a cluster ARN.")
        self._check_scope(parsed.scope)
        return name

    def _check_scope(self, scope: Scope) -> None:
        """State is one account's in one region: an ARN of another is refused even where it exists."""
        if scope.account != self.scope.account:
            raise invalid_parameter(
                f"Identifier is for {scope.account[:64]}. Your accountId is {self.scope.account}"
            )
        if scope.region != self.scope.region:
            raise invalid_parameter(
                f"Identifier is for {scope.region[:64]}. Your region is {self.scope.region}"
            )

    def task_arn(self, cluster: Cluster, text: str) -> str:
        """The ARN of a task named by id or ARN. Raises InvalidParameterException."""
        if not arns.is_arn(text):
            if not arns.is_task_id(text):
                raise invalid_parameter(
                    f"taskId length should be one of [32,36]: {text[:64]!r} is not a task id."
                )
            return arns.task(self.scope, cluster.name, text)
        parsed = arns.parse(text)
        if parsed.kind != "task":
            raise invalid_parameter(f"Invalid identifier: {text!r} is not a task ARN.")
        if len(parsed.parts) == 2 and parsed.parts[0] != cluster.name:
            raise invalid_parameter(
                f"Identifier is for {arns.cluster(parsed.scope, parsed.parts[0])}. Your cluster is {cluster.name}"
            )
        return text

    def service_arn(self, cluster: Cluster, text: str) -> str:
        if not arns.is_arn(text):
            return arns.service(self.scope, cluster.name, text)
        parsed = arns.parse(text)
        if parsed.kind != "service":
            raise invalid_parameter(f"Invalid identifier: {text!r} is not a service ARN.")
        return text

    def instance_arn(self, cluster: Cluster, text: str) -> str:
        if not arns.is_arn(text):
            return arns.container_instance(self.scope, cluster.name, text)
        parsed = arns.parse(text)
        if parsed.kind != "container-instance":
            raise invalid_parameter(f"Invalid identifier: {text!r} is not a container instance ARN.")
        return text

    def instance(self, cluster: Cluster, text: str) -> ContainerInstance:
        """Raises InvalidParameterException."""
        found = self.state.instances.get(self.instance_arn(cluster, text))
        if found is None or found.cluster_arn != cluster.arn:
            raise invalid_parameter("Referenced container instance was not found.")
        return found

    def definition(self, text: str) -> TaskDefinition:
        """`family`, `family:revision` or an ARN. Raises ClientException."""
        unknown = client_exception("Unable to describe task definition.")
        name = text
        if arns.is_arn(text):
            parsed = arns.parse(text)
            if parsed.kind != "task-definition" or parsed.scope != self.scope:
                raise unknown
            name = parsed.parts[0]
        family, colon, revision = name.partition(":")
        if colon:
            if not (revision.isascii() and revision.isdecimal() and len(revision) < 16):
                raise client_exception(f"Invalid revision number. Number: {revision[:64]}")
            found = self.state.definitions.get(arns.task_definition(self.scope, family, int(revision)))
            if found is None or found.status == "DELETED":
                raise unknown
            return found
        for arn in reversed(self.state.families.get((self.scope, family), [])):
            if self.state.definitions[arn].status == "ACTIVE":
                return self.state.definitions[arn]
        raise unknown

    def active_definition(self, text: str) -> TaskDefinition:
        """Raises ClientException when it may not be used for something new."""
        definition = self.definition(text)
        if definition.status != "ACTIVE":
            raise client_exception("TaskDefinition is inactive")
        return definition


Operation = Callable[[Context, Params], Outcome]
OPERATIONS: dict[tuple[str, str], Operation] = {}


def operation(service: str, name: str) -> Callable[[Operation], Operation]:
    def register(function: Operation) -> Operation:
        if (service, name) in OPERATIONS:
            raise ValueError(f"{service} {name} is registered twice")
        OPERATIONS[service, name] = function
        return function

    return register


def answer(body: dict[str, Any]) -> Outcome:
    """An Outcome that changes nothing."""
    return Outcome(view=lambda _: body)


def page(
    items: Sequence[str], params: Params, default: int = 100, most: int = 100
) -> tuple[list[str], str | None]:
    """One page of `items` (which must keep their order between calls) and the token of the next.

    The token holds the last item given, so that items added or removed meanwhile shift nothing.
    Raises InvalidParameterException.
    """
    size = params.get("maxResults", default)
    if not 1 <= size <= most:
        raise invalid_parameter(f"maxResults must be between 1 and {most}, got {size}.")
    start = 0
    token = params.get("nextToken")
    if token:
        start, after = _read_token(token)
        if start and start <= len(items) and items[start - 1] == after:
            pass_over = start
        else:
            pass_over = next((i + 1 for i, item in enumerate(items) if item == after), min(start, len(items)))
        start = pass_over
    chunk = list(items[start : start + size])
    end = start + len(chunk)
    if end >= len(items):
        return chunk, None
    raw = json.dumps([end, chunk[-1]], separators=(",", ":")).encode()
    return chunk, base64.urlsafe_b64encode(raw).decode()


def _read_token(token: str) -> tuple[int, str]:
    bad = invalid_parameter("Invalid token: use the nextToken of the previous page unchanged.")
    try:
        position, after = json.loads(base64.urlsafe_b64decode(token.encode()))
    except (ValueError, TypeError, binascii.Error, RecursionError) as error:
        raise bad from error
    if not isinstance(position, int) or not isinstance(after, str) or position < 0:
        raise bad
    return position, after


def with_token(body: dict[str, Any], token: str | None) -> dict[str, Any]:
    if token is not None:
        body["nextToken"] = token
    return body


def awaited(work: Callable[[], Awaitable[dict[str, Any]]]) -> Outcome:
    """An Outcome that changes nothing and answers what `work` gives."""
    return Outcome(view=lambda _: {}, work=work)


def bounded(items: Sequence[str] | None, what: str, most: int) -> Sequence[str]:
    """A batch argument. Raises InvalidParameterException."""
    if not items:
        raise invalid_parameter(f"{what} cannot be empty.")
    if len(items) > most:
        raise invalid_parameter(f"{what} can have at most {most} items, got {len(items)}.")
    return items


def missing(arn: str) -> dict[str, str]:
    return {"arn": arn, "reason": "MISSING"}
