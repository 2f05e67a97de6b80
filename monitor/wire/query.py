"""The Query protocol: form parameters in, XML out (STS here; older CloudWatch clients later)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

from botocore.model import ListShape, MapShape, OperationModel, Shape, StructureShape

from monitor.model.errors import ClientFault

MAX_FIELDS = 10_000
_INDEX = re.compile(r"\d{1,5}")


def form(body: bytes, query: str) -> dict[str, str]:
    """The fields of the body and the query string. Raises AwsError."""
    try:
        text = body.decode("utf-8")
        fields = parse_qsl(query, keep_blank_values=True, max_num_fields=MAX_FIELDS)
        fields += parse_qsl(text, keep_blank_values=True, max_num_fields=MAX_FIELDS)
    except ValueError as error:
        raise ClientFault("MalformedQueryString", "The form parameters cannot be read.") from error
    return dict(fields)


def nested(shape: Shape | None, fields: Mapping[str, str]) -> Any:
    """Form fields → the JSON-like value of the shape, still unchecked ("A.member.1.B" → {"A": [{"B": …}]})."""
    if shape is None:
        return {}
    tree: dict[str, Any] = {}
    for name, value in fields.items():
        node = tree
        parts = name.split(".")
        if len(parts) > 32:
            raise ClientFault("MalformedQueryString", "The form parameters are nested too deeply.")
        for part in parts[:-1]:
            child = node.setdefault(part, {})
            if not isinstance(child, dict):
                raise ClientFault("MalformedQueryString", f"{name[:64]} is both a value and a structure.")
            node = child
        node[parts[-1]] = value
    return _value(shape, tree)


def _value(shape: Shape, node: Any) -> Any:
    if isinstance(shape, StructureShape):
        if not isinstance(node, dict):
            return node
        found = {}
        for name, member in shape.members.items():
            wire_name = member.serialization.get("queryName", member.serialization.get("name", name))
            key = wire_name if wire_name in node else name
            if key in node:
                found[name] = _value(member, node[key])
        return found
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
    inner = node.get("member", node)
    return [_value(shape.member, item) for item in _numbered(inner)] if isinstance(inner, dict) else inner


def _entries(shape: MapShape, node: Any) -> Any:
    if not isinstance(node, dict):
        return node
    inner = node.get("entry", node)
    entries = _numbered(inner) if isinstance(inner, dict) else []
    return {e.get("key", ""): _value(shape.value, e.get("value", "")) for e in entries if isinstance(e, dict)}


def _scalar(kind: str, text: Any) -> Any:
    if not isinstance(text, str):
        return text
    try:
        if kind in ("integer", "long"):
            return int(text)
        if kind in ("float", "double", "timestamp"):
            return float(text)
    except ValueError:
        return text  # the shape's check words the complaint
    if kind == "boolean":
        return {"true": True, "false": False}.get(text.lower(), text)
    return text


def render(operation: OperationModel, value: Mapping[str, Any], request_id: str) -> bytes:
    """The XML answer of the operation."""
    namespace = operation.service_model.metadata.get("xmlNamespace", "")
    namespace = namespace.get("uri", "") if isinstance(namespace, dict) else namespace
    name = operation.name
    shape = operation.output_shape
    wrapper = (shape.serialization.get("resultWrapper") if shape is not None else None) or f"{name}Result"
    inner = _xml_members(shape, value) if shape is not None else ""
    result = f"<{wrapper}>{inner}</{wrapper}>" if shape is not None else ""
    text = (
        f'<{name}Response xmlns="{escape(namespace)}">{result}<ResponseMetadata><RequestId>{escape(request_id)}'
        f"</RequestId></ResponseMetadata></{name}Response>"
    )
    return text.encode()


def render_error(code: str, message: str, is_sender: bool, request_id: str) -> bytes:
    kind = "Sender" if is_sender else "Receiver"
    return (
        f"<ErrorResponse><Error><Type>{kind}</Type><Code>{escape(code)}</Code><Message>{escape(message)}</Message>"
        f"</Error><RequestId>{escape(request_id)}</RequestId></ErrorResponse>"
    ).encode()


def _xml_members(shape: StructureShape, value: Mapping[str, Any]) -> str:
    out = []
    for name, member in shape.members.items():
        if value.get(name) is not None:
            tag = member.serialization.get("name", name)
            out.append(f"<{tag}>{_xml(member, value[name])}</{tag}>")
    return "".join(out)


def _xml(shape: Shape, value: Any) -> str:
    if isinstance(shape, StructureShape):
        return _xml_members(shape, value)
    if isinstance(shape, ListShape):
        return "".join(f"<member>{_xml(shape.member, item)}</member>" for item in value)
    if isinstance(shape, MapShape):
        return "".join(
            f"<entry><key>{escape(str(k))}</key><value>{_xml(shape.value, v)}</value></entry>"
            for k, v in value.items()
        )
    if isinstance(value, bool):
        return "true" if value else "false"
    return escape(str(value))
