"""The agent's websocket messages: ACS (orders) and TCS (telemetry), which no service model describes.

ACS: text frames `{"type": T, "message": {…}}` both ways. TCS: the agent puts a small header block and an empty
line before the same JSON; the server's frames are bare. Frames are bounded in size and depth, and their numbers
are finite. Members are not checked one by one: either end ignores what it does not know and must stand what is
missing, so that Amazon's agent fits in ours' place. Shapes: amazon-ecs-agent 1.105, ecs-agent/acs/model and
ecs-agent/tcs/model.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, Literal, NotRequired, TypedDict

MAX_FRAME = 1024 * 1024
MAX_DEPTH = 40
MAX_KIND = 128  # characters of a message's type
SEPARATOR = "\r\n\r\n"


class BadMessage(Exception):
    """A frame that is no message."""


# -- ACS, server → agent ---------------------------------------------------------------------------------


class HeartbeatMessage(TypedDict):
    messageId: str
    healthy: bool


class DockerConfig(TypedDict):
    """`config` and `hostConfig` are JSON strings in the shape of Docker's own API."""

    version: NotRequired[str]
    config: NotRequired[str]
    hostConfig: NotRequired[str]


class PayloadContainer(TypedDict):
    """`memory` in MiB, `cpu` in shares, timeouts in seconds; `environment` is a map, `overrides` a JSON string."""

    name: str
    image: str
    essential: bool
    command: NotRequired[list[str]]
    entryPoint: NotRequired[list[str]]
    cpu: NotRequired[int]
    memory: NotRequired[int]
    environment: NotRequired[dict[str, str]]
    portMappings: NotRequired[list[dict[str, Any]]]
    mountPoints: NotRequired[list[dict[str, Any]]]
    volumesFrom: NotRequired[list[dict[str, Any]]]
    links: NotRequired[list[str]]
    dependsOn: NotRequired[list[dict[str, str]]]
    startTimeout: NotRequired[int]
    stopTimeout: NotRequired[int]
    healthCheckType: NotRequired[Literal["docker"]]
    restartPolicy: NotRequired[dict[str, Any]]
    privileged: NotRequired[bool]
    containerArn: NotRequired[str]
    overrides: NotRequired[str]
    dockerConfig: NotRequired[DockerConfig]


class PayloadTask(TypedDict):
    """`cpu` in vCPU, `memory` in MiB. An order to stop needs no containers. `standby` is an extra of ours."""

    arn: str
    desiredStatus: Literal["RUNNING", "STOPPED"]
    containers: list[PayloadContainer]
    family: NotRequired[str]
    version: NotRequired[str]
    networkMode: NotRequired[str]
    overrides: NotRequired[str]
    cpu: NotRequired[float]
    memory: NotRequired[int]
    launchType: NotRequired[str]
    volumes: NotRequired[list[dict[str, Any]]]
    pidMode: NotRequired[str]
    ipcMode: NotRequired[str]
    group: NotRequired[str]
    serviceName: NotRequired[str]
    taskClusterArn: NotRequired[str]
    taskDefinitionAccountId: NotRequired[str]
    standby: NotRequired[bool]


class PayloadMessage(TypedDict):
    """`generatedAt` in epoch milliseconds. Answered by AckRequest once every task was understood."""

    clusterArn: str
    containerInstanceArn: str
    messageId: str
    tasks: list[PayloadTask]
    seqNum: NotRequired[int]
    generatedAt: NotRequired[int]


class TaskIdentity(TypedDict):
    taskArn: str
    desiredStatus: str
    taskClusterArn: NotRequired[str]


class TaskManifestMessage(TypedDict):
    """All tasks that should be there. Heeded only when `timeline` is above every seqNum and timeline seen."""

    clusterArn: str
    containerInstanceArn: str
    messageId: str
    timeline: int
    tasks: list[TaskIdentity]
    generatedAt: NotRequired[int]


class TaskStopVerificationAck(TypedDict):
    """`messageId` is the manifest's."""

    messageId: str
    stopTasks: list[TaskIdentity]


# -- ACS, agent → server ---------------------------------------------------------------------------------


class HeartbeatAckRequest(TypedDict):
    messageId: str


class AckRequest(TypedDict):
    cluster: str
    containerInstance: str
    messageId: str


class NackRequest(AckRequest):
    reason: str


class TaskStopVerificationMessage(TypedDict):
    """Tasks that run here and are not in the manifest."""

    messageId: str
    stopCandidates: list[TaskIdentity]


class ContainerFacts(TypedDict):
    """One container's end, told by our agent beyond the protocol. Bytes, epoch seconds."""

    containerName: str
    runtimeId: NotRequired[str]
    exitCode: NotRequired[int | None]
    oomKilled: NotRequired[bool]
    memoryAtDeathBytes: NotRequired[int | None]
    memoryPeakBytes: NotRequired[int | None]
    memoryLimitBytes: NotRequired[int | None]
    logTail: NotRequired[list[str]]
    healthOutput: NotRequired[str]
    createdAt: NotRequired[float | None]
    startedAt: NotRequired[float | None]
    finishedAt: NotRequired[float | None]


class TaskFacts(TypedDict):
    """`MoorwatchTaskFacts`."""

    taskArn: str
    containers: list[ContainerFacts]


class ContainerGone(TypedDict):
    """`MoorwatchContainerGone`: the process has ended, its exit code follows."""

    taskArn: str
    containerName: str
    at: float


# -- TCS, agent → server ---------------------------------------------------------------------------------


class StatisticSet(TypedDict):
    """Over the samples since the last message. Cumulative counters come as such: use their max."""

    min: float
    max: float
    sum: float
    sampleCount: int


class ContainerMetric(TypedDict):
    """cpu: percent of the whole host; memory: whole MiB without page cache; network, storage: bytes."""

    containerName: str
    cpuStatsSet: NotRequired[StatisticSet]
    memoryStatsSet: NotRequired[StatisticSet]
    networkStatsSet: NotRequired[dict[str, StatisticSet]]
    storageStatsSet: NotRequired[dict[str, StatisticSet]]
    restartStatsSet: NotRequired[dict[str, int]]


class TaskMetric(TypedDict):
    taskArn: str
    taskDefinitionFamily: str
    taskDefinitionVersion: str
    containerMetrics: list[ContainerMetric]


class TelemetryMetadata(TypedDict):
    cluster: str
    containerInstance: str
    messageId: NotRequired[str]
    idle: NotRequired[bool]
    fin: NotRequired[bool]


class PublishMetricsRequest(TypedDict):
    """Answered by AckPublishMetric. `timestamp` in epoch seconds; at most 10 tasks, the last part is `fin`."""

    metadata: TelemetryMetadata
    timestamp: float
    taskMetrics: list[TaskMetric]


class ContainerHealth(TypedDict):
    containerName: str
    healthStatus: Literal["HEALTHY", "UNHEALTHY", "UNKNOWN"]
    statusSince: NotRequired[float]
    statusMessage: NotRequired[str]


class TaskHealth(TypedDict):
    taskArn: str
    taskDefinitionFamily: str
    taskDefinitionVersion: str
    containers: list[ContainerHealth]


class PublishHealthRequest(TypedDict):
    """Answered by AckPublishHealth."""

    metadata: TelemetryMetadata
    timestamp: float
    tasks: list[TaskHealth]


class InstanceStatus(TypedDict):
    type: str
    status: Literal["OK", "IMPAIRED", "INITIALIZING"]
    lastUpdated: NotRequired[float]
    lastStatusChange: NotRequired[float]


class PublishInstanceStatusRequest(TypedDict):
    """Answered by AckPublishInstanceStatus."""

    metadata: dict[str, str]
    statuses: list[InstanceStatus]


# -- frames ----------------------------------------------------------------------------------------------


def encode(kind: str, message: Mapping[str, Any]) -> str:
    """A frame of either socket, but for the agent's on TCS. A number that is not finite is unknown: null."""
    frame = {"type": kind, "message": message}
    try:
        return json.dumps(frame, separators=(",", ":"), allow_nan=False)
    except ValueError:
        return json.dumps(_finite(frame), separators=(",", ":"), allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _finite(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def decode(frame: str | bytes, most: int = MAX_FRAME) -> tuple[str, dict[str, Any]]:
    """(type, message) of an ACS frame, or a server's TCS frame of at most `most` characters. Raises BadMessage."""
    if len(frame) > most:
        raise BadMessage(f"a frame of {len(frame)} characters is larger than {most}")
    try:
        text = frame.decode("utf-8") if isinstance(frame, bytes) else frame
        value = json.loads(text, parse_constant=_no_constant)
        if "\\u" in text:
            value = _whole_characters(value)
    except (ValueError, RecursionError) as error:
        raise BadMessage("a frame is not JSON") from error
    if not isinstance(value, dict) or not isinstance(value.get("type"), str) or len(value["type"]) > MAX_KIND:
        raise BadMessage("a frame has no type")
    message = value.get("message") or {}
    if not isinstance(message, dict):
        raise BadMessage(f"the message of {value['type']} is not an object")
    _check(message, 0)
    return value["type"], message


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _whole_characters(value: Any) -> Any:
    """Escapes can spell half a character, which no database or answer takes: "?" stands for it."""
    return json.loads(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))


def _check(value: Any, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise BadMessage(f"a frame is nested more than {MAX_DEPTH} levels deep")
    if isinstance(value, dict):
        for item in value.values():
            _check(item, depth + 1)
    elif isinstance(value, list):
        for item in value:
            _check(item, depth + 1)
    elif isinstance(value, float) and not math.isfinite(value):
        raise BadMessage("a frame holds a number that is not finite")


def encode_tcs(kind: str, message: Mapping[str, Any], headers: Mapping[str, str]) -> str:
    """An agent's TCS frame: header block, empty line, JSON."""
    block = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"{block}\r\n{encode(kind, message)}"


def decode_tcs(frame: str | bytes) -> tuple[str, dict[str, Any]]:
    """(type, message) of an agent's TCS frame; one without header block is taken too. Raises BadMessage."""
    if len(frame) > MAX_FRAME:
        raise BadMessage(f"a frame of {len(frame)} characters is larger than {MAX_FRAME}")
    text = frame.decode("utf-8", "replace") if isinstance(frame, bytes) else frame
    if not text.lstrip().startswith("{"):
        _, found, text = text.partition(SEPARATOR)
        if not found:
            raise BadMessage("a telemetry frame has no body")
    return decode(text)
