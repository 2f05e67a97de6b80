"""The Query protocol: form parameters in, XML out (STS here; older CloudWatch clients later).

Model-driven both ways: names, flattened lists and maps follow the shapes as botocore's own serializer and parser
read them. Form fields only become a tree of values here; whether the values are right is for shapes.decode.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

from botocore.model import ListShape, MapShape, OperationModel, Shape, StructureShape

from monitor.model.errors import AwsError, ClientFault

MAX_FIELDS = 10_000
MAX_PARTS = 32  # of a field's name: "A.member.1.B" has four
_INDEX = re.compile(r"[0-9]{1,5}")
_WHOLE = re.compile(r"-?[0-9]{1,20}")
# XML 1.0 has no word for these, not even escaped.
_NOT_XML = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def form(body: bytes, query: str) -> dict[str, str]:
    """The fields of the query string and the body, the body's winning. Raises AwsError."""
    try:
        text = body.decode("utf-8")
        fields = parse_qsl(query, keep_blank_values=True, max_num_fields=MAX_FIELDS)
        fields += parse_qsl(text, keep_blank_values=True, max_num_fields=MAX_FIELDS)
    except ValueError as error:
        raise _malformed(
            f"The form parameters cannot be read: not UTF-8, or over {MAX_FIELDS} of them."
        ) from error
    return dict(fields)


def _malformed(message: str) -> AwsError:
    return ClientFault("MalformedQueryString", message)


def nested(shape: Shape | None, fields: Mapping[str, str]) -> Any:
    """Form fields → the JSON-like value of the shape, still unchecked ("A.member.1.B" → {"A": [{"B": …}]}).
    Raises AwsError."""
    if shape is None:
        return {}
    tree: dict[str, Any] = {}
    for name, value in fields.items():
        _plant(tree, name, value)
    return _value(shape, tree)


def _plant(tree: dict[str, Any], name: str, value: str) -> None:
    parts = name.split(".")
    if len(parts) > MAX_PARTS:
        raise _malformed("The form parameters are nested too deeply.")
    node = tree
    for part in parts[:-1]:
        child = node.setdefault(part, {})
        if child == "":  # "Names=" (an empty list) beside "Names.member.1=x": the items count
            child = node[part] = {}
        if not isinstance(child, dict):
            raise _malformed(f"{name[:64]} is both a value and a structure.")
        node = child
    if isinstance(node.get(parts[-1]), dict):
        if value:
            raise _malformed(f"{name[:64]} is both a value and a structure.")
        return
    node[parts[-1]] = value


def _is_flat(shape: Shape) -> bool:
    return bool(shape.serialization.get("flattened"))


def _member_name(shape: Shape, name: str) -> str:
    """How a structure's member is called on the wire: a flattened list goes by the name of its items."""
    if isinstance(shape, ListShape) and _is_flat(shape) and shape.member.serialization.get("name"):
        return str(shape.member.serialization["name"])
    return str(shape.serialization.get("name", name))


def _value(shape: Shape, node: Any) -> Any:
    if isinstance(shape, StructureShape):
        if not isinstance(node, dict):
            return node
        names = {name: _member_name(member, name) for name, member in shape.members.items()}
        return {
            name: _value(member, node[names[name]])
            for name, member in shape.members.items()
            if names[name] in node
        }
    if isinstance(shape, ListShape):
        return _items(shape, node)
    if isinstance(shape, MapShape):
        return _entries(shape, node)
    return _scalar(shape.type_name, node)


def _numbered(node: dict[str, Any]) -> list[Any]:
    return [node[key] for key in sorted((k for k in node if _INDEX.fullmatch(k)), key=int)]


def _items(shape: ListShape, node: Any) -> Any:
    if node == "":
        return []
    if not isinstance(node, dict):
        return node
    inner = node if _is_flat(shape) else node.get(shape.member.serialization.get("name", "member"), node)
    return [_value(shape.member, item) for item in _numbered(inner)] if isinstance(inner, dict) else inner


def _entries(shape: MapShape, node: Any) -> Any:
    if not isinstance(node, dict):
        return node
    inner = node if _is_flat(shape) else node.get("entry", node)
    key, value = shape.key.serialization.get("name", "key"), shape.value.serialization.get("name", "value")
    pairs = _numbered(inner) if isinstance(inner, dict) else []
    return {
        str(pair.get(key, "")): _value(shape.value, pair.get(value, ""))
        for pair in pairs
        if isinstance(pair, dict)
    }


def _scalar(kind: str, text: Any) -> Any:
    """The text as the JSON value it stands for, or as it is: then shapes.decode words the complaint."""
    if not isinstance(text, str):
        return text
    if kind in ("integer", "long"):
        return int(text) if _WHOLE.fullmatch(text) else text
    if kind == "boolean":
        return {"true": True, "false": False}.get(text.lower(), text)
    if kind in ("float", "double", "timestamp"):
        try:
            return float(text)
        except ValueError:
            return _epoch(text) if kind == "timestamp" else text
    return text


def _epoch(text: str) -> float | str:
    """ISO 8601 → epoch seconds; no offset means UTC."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return text
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()


# -- XML --------------------------------------------------------------------------------------------------


def render(operation: OperationModel, value: Mapping[str, Any], request_id: str) -> bytes:
    """The XML answer of the operation; `value` as answers.encode gives it."""
    namespace = operation.service_model.metadata.get("xmlNamespace", "")
    namespace = namespace.get("uri", "") if isinstance(namespace, dict) else namespace
    name, shape = operation.name, operation.output_shape
    result = ""
    if shape is not None:
        wrapper = shape.serialization.get("resultWrapper") or f"{name}Result"
        result = f"<{wrapper}>{_members(shape, value)}</{wrapper}>"
    return (
        f'<{name}Response xmlns="{_text(namespace)}">{result}<ResponseMetadata><RequestId>{_text(request_id)}'
        f"</RequestId></ResponseMetadata></{name}Response>"
    ).encode()


def render_error(code: str, message: str, is_sender: bool, request_id: str) -> bytes:
    kind = "Sender" if is_sender else "Receiver"
    return (
        f"<ErrorResponse><Error><Type>{kind}</Type><Code>{_text(code)}</Code><Message>{_text(message)}</Message>"
        f"</Error><RequestId>{_text(request_id)}</RequestId></ErrorResponse>"
    ).encode()


def _text(value: str) -> str:
    # a parser would read a bare carriage return as a line feed
    return escape(_NOT_XML.sub("\ufffd", value), {"\r": "&#13;", '"': "&quot;"})


def _members(shape: StructureShape, value: Mapping[str, Any]) -> str:
    return "".join(
        _element(_member_name(member, name), member, value[name])
        for name, member in shape.members.items()
        if value.get(name) is not None
    )


def _element(tag: str, shape: Shape, value: Any) -> str:
    if isinstance(shape, ListShape):
        if _is_flat(shape):
            return "".join(_element(tag, shape.member, item) for item in value)
        item_tag = shape.member.serialization.get("name", "member")
        return f"<{tag}>{_items_of(item_tag, shape.member, value)}</{tag}>"
    if isinstance(shape, MapShape):
        entries = [_entry(shape, key, item) for key, item in value.items()]
        if _is_flat(shape):
            return "".join(f"<{tag}>{entry}</{tag}>" for entry in entries)
        return f"<{tag}>{''.join(f'<entry>{entry}</entry>' for entry in entries)}</{tag}>"
    inner = _members(shape, value) if isinstance(shape, StructureShape) else _spell(shape.type_name, value)
    return f"<{tag}>{inner}</{tag}>"


def _items_of(tag: str, shape: Shape, items: Sequence[Any]) -> str:
    """What datapoints come as: their times are the same in each series, their values need no escaping."""
    if not items or shape.type_name not in ("timestamp", "double"):
        return "".join(_element(tag, shape, item) for item in items)
    spelt = map(_moment if shape.type_name == "timestamp" else str, items)
    return f"<{tag}>{f'</{tag}><{tag}>'.join(spelt)}</{tag}>"


def _entry(shape: MapShape, key: str, value: Any) -> str:
    key_tag = shape.key.serialization.get("name") or "key"
    value_tag = shape.value.serialization.get("name") or "value"
    return f"<{key_tag}>{_text(key)}</{key_tag}>{_element(value_tag, shape.value, value)}"


@lru_cache(maxsize=4096)
def _moment(value: float) -> str:
    return datetime.fromtimestamp(value, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _spell(kind: str, value: Any) -> str:
    if kind == "timestamp":
        return _moment(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return _text(str(value))
