"""Object ↔ bytes: one JSON document an object, typed by its kind.

A field added with a default needs nothing; anything else is an upgrade with a new SCHEMA_VERSION.
"""

from __future__ import annotations

from typing import Any

import msgspec

from monitor.model.alarm import Alarm
from monitor.model.capacity import CapacityProvider
from monitor.model.cluster import Cluster, ContainerInstance
from monitor.model.dashboard import Dashboard
from monitor.model.delivery import Delivery
from monitor.model.event import Event
from monitor.model.metric_filter import MetricFilter
from monitor.model.rollout import ServiceDeployment, ServiceRevision
from monitor.model.rule import ApiDestination, Archive, Connection, Replay, Rule
from monitor.model.scaling import ScalableTarget, ScalingActivity, ScalingPolicy, ScheduledAction
from monitor.model.service import Service
from monitor.model.setting import AccountSetting
from monitor.model.state import Entity
from monitor.model.task import Task
from monitor.model.task_definition import TaskDefinition
from monitor.model.topic import Subscription, Topic

SCHEMA_VERSION = 1

# Loading order: what others point to comes first.
KINDS: dict[str, type[Any]] = {
    "setting": AccountSetting,
    "alarm": Alarm,
    "rule": Rule,
    "connection": Connection,
    "api-destination": ApiDestination,
    "archive": Archive,
    "replay": Replay,
    "metric-filter": MetricFilter,
    "topic": Topic,
    "subscription": Subscription,
    "dashboard": Dashboard,
    "delivery": Delivery,
    "capacity-provider": CapacityProvider,
    "cluster": Cluster,
    "task-definition": TaskDefinition,
    "container-instance": ContainerInstance,
    "service": Service,
    "service-revision": ServiceRevision,
    "service-deployment": ServiceDeployment,
    "scalable-target": ScalableTarget,
    "scaling-policy": ScalingPolicy,
    "scheduled-action": ScheduledAction,
    "scaling-activity": ScalingActivity,
    "task": Task,
}
_KIND_OF = {kind: name for name, kind in KINDS.items()}
_DECODERS = {name: msgspec.json.Decoder(kind) for name, kind in KINDS.items()}
_EVENT = msgspec.json.Decoder(Event)
_ENCODER = msgspec.json.Encoder()


class CodecError(Exception):
    """A stored object that this version cannot read."""


def kind_of(entity: Entity) -> str:
    return _KIND_OF[type(entity)]


def encode(entity: Entity | Event) -> bytes:
    """Raises CodecError: half a character, say, has no bytes."""
    try:
        return _ENCODER.encode(entity)
    except (TypeError, ValueError, OverflowError, RecursionError, msgspec.MsgspecError) as error:
        raise CodecError(f"cannot store a {type(entity).__name__}: {error}") from error


def decode(kind: str, body: bytes) -> Entity:
    """Raises CodecError."""
    try:
        entity: Entity = _DECODERS[kind].decode(body)
    except (KeyError, msgspec.DecodeError) as error:
        raise CodecError(f"cannot read a stored {kind}: {error}") from error
    return entity


def decode_event(body: bytes) -> Event:
    """Raises CodecError."""
    try:
        return _EVENT.decode(body)
    except msgspec.DecodeError as error:
        raise CodecError(f"cannot read a stored event: {error}") from error
