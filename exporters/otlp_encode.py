"""Samples → OTLP, a whole round at once: one resource for each container, one for this process.

Containers that tell the same things (most do) have the same message but for their values, so one message is built for
each such shape and filled in for one container after the other. A round of 10,000 containers takes part of a second;
through the SDK's own data classes it takes some twelve.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import attrgetter
from typing import NamedTuple

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue
from opentelemetry.proto.metrics.v1 import metrics_pb2 as pb
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.semconv.schemas import Schemas

from exporters import host, names, otlp_names
from exporters.exporter import Exporter
from exporters.metric import GROUP_LABELS
from exporters.otlp_names import Attributes, Column, Instrument
from exporters.render import STATUSES, own_values
from exporters.sample import ECS, ContainerIdentity, Group, Sample
from exporters.tracked import Counts, Tracked
from exporters.usage import usage

SCOPE = "moorwatch.exporters"
# So many containers a request: some 0.5 MB, far below the 4 MB a gRPC server takes by default.
CONTAINERS_A_REQUEST = 250
SHAPES_KEPT = 256
SCHEMA = Schemas.V1_44_0.value
CUMULATIVE = pb.AGGREGATION_TEMPORALITY_CUMULATIVE
INT64 = 2**63 - 1  # OTLP has no larger integer; the kernel's counters have 64 bits without a sign
Value = str | Sequence[str]
Number = int | float

_sample_values = attrgetter(*names.SAMPLE_METRICS)
_network_values = attrgetter(*names.NETWORK_METRICS)
_identity_values = attrgetter(*names.IDENTITY_METRICS)
_rare_values = attrgetter(*names.RARE_METRICS)
_NO_USAGE = (None,) * len(names.USAGE_METRICS)
_NOTHING_RARE = (None,) * len(names.RARE_METRICS)
_group_values = attrgetter(*names.GROUP_METRICS)
_FAULTS = list(names.SAMPLE_METRICS).index("page_faults")
_MAJOR = list(names.SAMPLE_METRICS).index("major_page_faults")
_STATES = ("HEALTHY", "UNHEALTHY", "UNKNOWN")


class Body(NamedTuple):
    """One ExportMetricsServiceRequest, serialized, and how many data points are in it."""

    data: bytes
    points: int


class Shape(NamedTuple):
    """Which values a container has."""

    told: tuple[bool, ...]
    interfaces: tuple[str, ...]
    has_health: bool


# -- resources ---------------------------------------------------------------------------------------------


def attribute(key: str, value: Value) -> KeyValue:
    if isinstance(value, str):
        return KeyValue(key=key, value=AnyValue(string_value=_utf8(value)))
    items = ArrayValue(values=[AnyValue(string_value=_utf8(v)) for v in value])
    return KeyValue(key=key, value=AnyValue(array_value=items))


def _utf8(text: str) -> str:
    """Half a character has no bytes, and would cost the whole request."""
    return text.encode("utf-8", "replace").decode() if not text.isascii() else text


def image_parts(image: str) -> tuple[str, str]:
    """(name, tag) of a Docker image reference; "" for the tag when it is only known by its digest."""
    name, _, digest = image.partition("@")
    head, colon, tag = name.rpartition(":")
    if not colon or "/" in tag:  # a registry's port
        return name, "" if digest else "latest"
    return head, tag


def container_attributes(i: ContainerIdentity) -> dict[str, Value]:
    """OpenTelemetry's attributes of a container and, for a task's, of AWS ECS.

    What has no convention (the names of cluster, service and container) is named as the collector's receiver
    awsecscontainermetrics names such things. There is no cloud here, so cloud.* stays unset.
    """
    name, tag = image_parts(i.image)
    found: dict[str, Value] = {
        "service.name": i.service or i.family or i.container,
        "service.instance.id": i.id,
        "container.id": i.id,
        "container.name": i.name,
        "container.image.name": name,
        "container.runtime.name": "docker",
    }
    if tag:
        found["container.image.tags"] = (tag,)
    task_arn = i.labels.get(f"{ECS}task-arn", "")
    if task_arn:
        found |= {
            "aws.ecs.task.arn": task_arn,
            "aws.ecs.task.id": i.task,
            "aws.ecs.task.family": i.family,
            "aws.ecs.task.revision": i.revision,
            "aws.ecs.cluster.arn": _cluster_arn(task_arn, i.cluster),
            "aws.ecs.cluster.name": i.cluster,
            "aws.ecs.service.name": i.service,
            "aws.ecs.container.name": i.container,
            "aws.ecs.container.arn": i.labels.get("moorwatch.container-arn", ""),
            "aws.ecs.launchtype": i.labels.get("moorwatch.launch-type", "").lower(),
        }
    return {key: value for key, value in found.items() if value}


def _cluster_arn(task_arn: str, cluster: str) -> str:
    """arn:aws:ecs:REGION:ACCOUNT:task/CLUSTER/ID → …:cluster/CLUSTER"""
    head, found, _ = task_arn.partition(":task/")
    return f"{head}:cluster/{cluster}" if found and cluster else ""


# -- containers --------------------------------------------------------------------------------------------


class _Template:
    """A container's metrics without their values."""

    def __init__(self, shape: Shape) -> None:
        self._body = pb.ResourceMetrics(schema_url=SCHEMA)
        self._metrics = _Metrics(self._body)
        own = (
            *otlp_names.SAMPLE,
            *otlp_names.IDENTITY,
            *otlp_names.USAGE,
            *otlp_names.RARE,
            Column(otlp_names.UPTIME),
        )
        self._points = [self._metrics.point(c) for c, is_told in zip(own, shape.told, strict=True) if is_told]
        self._points += [
            self._metrics.point(c, (("network.interface.name", name),))
            for name in shape.interfaces
            for c in otlp_names.NETWORK
        ]
        if shape.has_health:
            health = Column(otlp_names.HEALTH)
            self._points += [self._metrics.point(health, (("status", state),)) for state in _STATES]

    def fill(self, values: Sequence[Number], started: int, at: int) -> bytes:
        """The message with `values`, in the shape's order; times are nanoseconds since the epoch."""
        for (point, is_sum), value in zip(self._points, values, strict=True):
            if value.__class__ is int and value <= INT64:
                point.as_int = value
            else:
                point.as_double = value
            point.time_unix_nano = at
            if is_sum:
                point.start_time_unix_nano = started
        data: bytes = self._body.SerializeToString()
        return data


class _Metrics:
    """The metrics of one resource: the points of one instrument go into one of them."""

    def __init__(self, body: pb.ResourceMetrics) -> None:
        self._scope = body.scope_metrics.add(schema_url=SCHEMA)
        self._scope.scope.name = SCOPE
        self._found: dict[str, pb.Metric] = {}

    def point(self, column: Column, more: Attributes = ()) -> tuple[pb.NumberDataPoint, bool]:
        """A new point, and whether it wants a start time."""
        found = column.instrument
        metric = self._found.get(found.name) or self._add(found)
        points = metric.gauge.data_points if found.kind == "gauge" else metric.sum.data_points
        given = [attribute(key, value) for key, value in (*more, *column.attributes)]
        return points.add(attributes=given), found.kind != "gauge"

    def _add(self, found: Instrument) -> pb.Metric:
        metric: pb.Metric = self._scope.metrics.add(name=found.name, unit=found.unit, description=found.help)
        self._found[found.name] = metric
        if found.kind != "gauge":
            metric.sum.aggregation_temporality = CUMULATIVE
            metric.sum.is_monotonic = found.kind == "counter"
        return metric


def _row(tracked: Tracked, sample: Sample) -> tuple[Shape, list[Number]]:
    identity = tracked.identity
    row: list[Number | None] = list(_sample_values(sample))
    faults, major = row[_FAULTS], row[_MAJOR]
    if faults is not None:  # the kernel counts a major fault as a fault too, the convention tells them apart
        row[_FAULTS] = max(0, faults - (major or 0))
    row += _identity_values(identity)
    row += usage(identity, tracked.window) or _NO_USAGE
    row += _rare_values(tracked.rare) if tracked.rare is not None else _NOTHING_RARE
    row.append(max(0.0, sample.at - identity.started_at) if identity.started_at else None)
    values = [v for v in row if v is not None]
    for interface in sample.network:
        values += _network_values(interface)
    if identity.has_health_check:
        now = STATUSES.get(tracked.health, "UNKNOWN")
        values += [int(state == now) for state in _STATES]
    interfaces = tuple(i.name for i in sample.network)
    return Shape(tuple(v is not None for v in row), interfaces, identity.has_health_check), values


def nanoseconds(seconds: float | None) -> int:
    """0, OTLP's "unknown", for None."""
    return int((seconds or 0.0) * 1e9)


class Encoder:
    """`own`: attributes of this process's resource; `shared`: what every container's resource is given too (what the
    user said in OTEL_RESOURCE_ATTRIBUTES). For one thread."""

    def __init__(self, exporter: Exporter, own: Mapping[str, Value], shared: Mapping[str, Value]) -> None:
        self._exporter, self._own, self._shared = exporter, own, shared
        self._templates: dict[Shape, _Template] = {}
        self._resources: dict[str, tuple[ContainerIdentity, bytes]] = {}

    def bodies(self) -> Iterator[Body]:
        """The newest round of samples, as requests of a size that any collector takes."""
        tracked = self._exporter.tracked()
        shown = [(t, t.sample) for t in tracked if t.sample is not None]
        alive = {t.identity.id for t, _ in shown}
        for gone in [known for known in self._resources if known not in alive]:
            del self._resources[gone]
        yield self._process()
        for start in range(0, len(shown), CONTAINERS_A_REQUEST):
            yield self._containers(shown[start : start + CONTAINERS_A_REQUEST])

    def _containers(self, shown: Iterable[tuple[Tracked, Sample]]) -> Body:
        out, points = bytearray(), 0
        for tracked, sample in shown:
            identity = tracked.identity
            shape, values = _row(tracked, sample)
            at = nanoseconds(sample.at)
            started = min(at, nanoseconds(identity.started_at or identity.created_at))
            # Protobuf: fields of a message may come one after the other, so the resource's bytes go before the rest.
            message = self._resource(identity) + self._template(shape).fill(values, started, at)
            out += b"\x0a" + _varint(len(message)) + message  # ExportMetricsServiceRequest.resource_metrics
            points += len(values)
        return Body(bytes(out), points)

    def _template(self, shape: Shape) -> _Template:
        found = self._templates.get(shape)
        if found is None:
            if len(self._templates) >= SHAPES_KEPT:
                self._templates.clear()
            found = self._templates[shape] = _Template(shape)
        return found

    def _resource(self, identity: ContainerIdentity) -> bytes:
        known = self._resources.get(identity.id)
        if known is not None and known[0] is identity:
            return known[1]
        data = _resource({**self._shared, **container_attributes(identity)})
        self._resources[identity.id] = identity, data
        return data

    # -- this process -------------------------------------------------------------------------------

    def _process(self) -> Body:
        """Counters of failures, which outlive their containers, and what the exporter tells of itself and its host."""
        exporter = self._exporter
        body = pb.ResourceMetrics(schema_url=SCHEMA)
        body.MergeFromString(_resource(self._own))
        metrics = _Metrics(body)
        at, since = nanoseconds(exporter.now()), nanoseconds(exporter.since)
        points = _groups(metrics, exporter.counts(), since, at)
        table = {**names.EXPORTER_METRICS, **names.HOST_METRICS}
        own: list[host.Fact] = [(name, {}, value) for name, value in own_values(exporter).items()]
        for name, labels, value in (*own, *host.facts(exporter.data_root, exporter.proc)):
            place = metrics.point(otlp_names.instrument(table[name]), tuple(labels.items()))
            _set(place, value, since, at)
            points += 1
        return Body(ExportMetricsServiceRequest(resource_metrics=[body]).SerializeToString(), points)


def _groups(metrics: _Metrics, counts: Sequence[tuple[Group, Counts]], since: int, at: int) -> int:
    for group, counted in counts:
        who = tuple(zip(GROUP_LABELS, group, strict=True))
        for column, value in zip(otlp_names.GROUP, _group_values(counted), strict=True):
            _set(metrics.point(column, who), value, since, at)
    return len(counts) * len(otlp_names.GROUP)


def _set(place: tuple[pb.NumberDataPoint, bool], value: Number, since: int, at: int) -> None:
    point, is_sum = place
    if isinstance(value, int) and value <= INT64:
        point.as_int = value
    else:
        point.as_double = value
    point.time_unix_nano = at
    if is_sum:
        point.start_time_unix_nano = since


def _resource(attributes: Mapping[str, Value]) -> bytes:
    """A ResourceMetrics of nothing but its resource."""
    given = [attribute(key, value) for key, value in attributes.items()]
    data: bytes = pb.ResourceMetrics(resource=Resource(attributes=given)).SerializeToString()
    return data


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)
