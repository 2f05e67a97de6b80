"""The agent's websocket messages: ACS (orders) and TCS (telemetry), which no service model describes.

ACS: text frames `{"type": T, "message": {…}}` both ways. TCS: the agent puts a small header block and an empty
line before the same JSON; the server's frames are bare. Frames are bounded before they are parsed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NotRequired, TypedDict

MAX_FRAME = 1024 * 1024
MAX_DEPTH = 40
SEPARATOR = "\r\n\r\n"


class BadMessage(Exception):
    """A frame that is no message."""


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
    """`MoorwatchTaskFacts`, agent → server on ACS."""

    taskArn: str
    containers: list[ContainerFacts]


class ContainerGone(TypedDict):
    """`MoorwatchContainerGone`, agent → server on ACS: the process has ended, its exit code follows."""

    taskArn: str
    containerName: str
    at: float


def encode(kind: str, message: Mapping[str, Any]) -> str:
    return json.dumps({"type": kind, "message": message}, separators=(",", ":"))


def decode(frame: str | bytes) -> tuple[str, dict[str, Any]]:
    """(type, message) of an ACS frame, or a server's TCS frame. Raises BadMessage."""
    if len(frame) > MAX_FRAME:
        raise BadMessage(f"a frame of {len(frame)} characters is larger than {MAX_FRAME}")
    try:
        value = json.loads(frame)
    except (ValueError, RecursionError) as error:
        raise BadMessage("a frame is not JSON") from error
    if not isinstance(value, dict) or not isinstance(value.get("type"), str):
        raise BadMessage("a frame has no type")
    message = value.get("message", {})
    if message is None or message == "":
        message = {}
    if not isinstance(message, dict):
        raise BadMessage(f"the message of {value['type'][:64]} is not an object")
    return value["type"], message


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
