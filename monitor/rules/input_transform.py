"""What a target is given of an event (EventBridge user guide, "Amazon EventBridge input transformation"; API reference,
"Target", "InputTransformer").

Where the guide leaves it open: a value put inside a quoted text is escaped so that the result stays JSON, a variable
without a value is an empty text, and what is JSON as a whole is written without blanks.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from monitor.model.errors import ClientFault
from monitor.rules import json_path, json_text
from monitor.rules.json_path import MISSING, JsonPath

MOST_PATHS = 100
MOST_TEMPLATE = 8192
MOST_INPUT = 8192
_NAME = re.compile(r"[A-Za-z0-9_-]{1,256}")
# Alternation goes from left to right: a backslash takes the next character with it, so that \" does not end a text.
_PIECE = re.compile(r'\\.|"|<([A-Za-z0-9_.-]{1,256})>|[^\\"<]+|.', re.DOTALL)
_RESERVED = (
    "aws.events.rule-arn",
    "aws.events.rule-name",
    "aws.events.event",
    "aws.events.event.json",
    "aws.events.event.ingestion-time",
)
_HELD = "\ue000"  # stands for a variable inside a text while a template is judged


@dataclass(frozen=True, slots=True)
class Delivery:
    """What the reserved variables say. `ingestion_time`: ISO 8601, when the event came in."""

    rule_arn: str
    rule_name: str
    ingestion_time: str


@dataclass(frozen=True, slots=True)
class Constant:
    text: str

    def render(self, event: Mapping[str, Any], delivery: Delivery) -> str:  # noqa: ARG002  the same for every event
        return self.text


@dataclass(frozen=True, slots=True)
class Selected:
    """The part of the event at a path; the whole one is path $."""

    path: JsonPath

    def render(self, event: Mapping[str, Any], delivery: Delivery) -> str:  # noqa: ARG002
        found = self.path.find(event)
        return _compact(None if found is MISSING else found)


@dataclass(frozen=True, slots=True)
class Variable:
    name: str
    quoted: bool  # stands inside a quoted text


@dataclass(frozen=True, slots=True)
class Transformed:
    paths: tuple[tuple[str, JsonPath], ...]
    pieces: tuple[str | Variable, ...]

    def render(self, event: Mapping[str, Any], delivery: Delivery) -> str:
        values = {name: path.find(event) for name, path in self.paths}
        values |= {
            "aws.events.rule-arn": delivery.rule_arn,
            "aws.events.rule-name": delivery.rule_name,
            "aws.events.event.ingestion-time": delivery.ingestion_time,
            "aws.events.event.json": event,
            "aws.events.event": {name: value for name, value in event.items() if name != "detail"},
        }
        text = "".join(
            one if isinstance(one, str) else _written(one, values[one.name]) for one in self.pieces
        )
        return "\n".join(_minified(line) for line in _documents(text))


TargetInput = Constant | Selected | Transformed
WHOLE = Selected(JsonPath(()))


def _written(variable: Variable, value: Any) -> str:
    if value is MISSING:
        value = ""
    if not variable.quoted:
        return _compact(value)
    return json.dumps(value if isinstance(value, str) else _compact(value), ensure_ascii=False)[1:-1]


def _compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _is_json(text: str) -> bool:
    try:
        json_text.loads(text)
    except json_text.BadJson:
        return False
    return True


def _minified(text: str) -> str:
    try:
        return _compact(json_text.loads(text))
    except json_text.BadJson:
        return text


def _documents(text: str) -> list[str]:
    """A template is one JSON document, or one on each line."""
    return [text] if _is_json(text) else [line for line in text.split("\n") if line.strip()]


# -- reading -----------------------------------------------------------------------------------------------


def parse(
    target_id: str,
    text: str | None = None,
    path: str | None = None,
    paths: Mapping[str, str] | None = None,
    template: str | None = None,
) -> TargetInput:
    """`text`: the target's Input; `path`: InputPath; `paths`, `template`: InputTransformer. None: the whole event.

    Raises ValidationException.
    """
    if sum(one is not None for one in (text, path, template)) > 1:
        raise _invalid(
            f"Only one of Input, InputPath, or InputTransformer must be provided for target {target_id}."
        )
    if text is not None:
        _bound(text, MOST_INPUT, "input", target_id)
        if not _is_json(text):
            raise _invalid(f"JSON syntax error in input for target {target_id}")
        return Constant(text)
    if path is not None:
        return Selected(_path(path, target_id))
    if template is None:
        return WHOLE
    return Transformed(_paths(paths or {}, target_id), _template(template, paths or {}, target_id))


def _invalid(message: str) -> ClientFault:
    return ClientFault("ValidationException", message)


def _bound(text: str, most: int, name: str, target_id: str) -> None:
    if not 1 <= len(text) <= most:
        raise _invalid(f"Length of {name} for target {target_id} must be between 1 and {most} characters")


def _path(text: str, target_id: str) -> JsonPath:
    try:
        return json_path.parse(text)
    except json_path.BadPath as error:
        raise _invalid(f"JSONPath {error} for target {target_id} is not valid") from error


def _paths(paths: Mapping[str, str], target_id: str) -> tuple[tuple[str, JsonPath], ...]:
    if len(paths) > MOST_PATHS:
        raise _invalid(f"InputPathsMap for target {target_id} has more than {MOST_PATHS} entries")
    for name in paths:
        if not _NAME.fullmatch(name) or name.upper().startswith("AWS."):
            raise _invalid(f"InputPathsMap for target {target_id} has an invalid key: {name[:256]}")
    return tuple((name, _path(path, target_id)) for name, path in paths.items())


def _template(text: str, paths: Mapping[str, str], target_id: str) -> tuple[str | Variable, ...]:
    _bound(text, MOST_TEMPLATE, "InputTemplate", target_id)
    pieces: list[str | Variable] = []
    quoted = False
    for match in _PIECE.finditer(text):
        if match[1] is not None and (match[1] in paths or match[1] in _RESERVED):
            pieces.append(Variable(match[1], quoted))
            continue
        if match[0] == '"':
            quoted = not quoted
        pieces.append(match[0])
    trial = "".join(one if isinstance(one, str) else _HELD if one.quoted else "null" for one in pieces)
    if not (documents := _documents(trial)) or not all(_is_template(one) for one in documents):
        raise _invalid(f"Invalid InputTemplate for target {target_id} : {text[:200]}")
    return tuple(pieces)


def _is_template(text: str) -> bool:
    """JSON, with no variable in a member's name."""
    try:
        return not _any_key(json_text.loads(text), lambda key: _HELD in key)
    except json_text.BadJson:
        return False


def _any_key(value: Any, asked: Callable[[str], bool]) -> bool:
    waiting = [value]
    while waiting:
        found = waiting.pop()
        if isinstance(found, dict):
            if any(asked(key) for key in found):
                return True
            waiting.extend(found.values())
        elif isinstance(found, list):
            waiting.extend(found)
    return False
