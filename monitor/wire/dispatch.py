"""Which operation is it? And answers and errors in the protocol the caller speaks.

Routing: X-Amz-Target (JSON services), else `Action=` in a form (Query services), else the signing name.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Set
from dataclasses import dataclass
from enum import Enum
from typing import Any

from monitor.model.errors import AwsError, ClientFault
from monitor.wire import answers, models, query, shapes
from monitor.wire.http import MAX_BODY_BYTES, Request, Response

MOORWATCH_TARGET = "Moorwatch_20261101"
JSON_TYPE = "application/x-amz-json-1.1"
_QUERY_CODES = {
    "InvalidSignatureException": "SignatureDoesNotMatch",
    "UnrecognizedClientException": "InvalidClientTokenId",
    "MissingAuthenticationTokenException": "MissingAuthenticationToken",
    "IncompleteSignatureException": "IncompleteSignature",
}


class Protocol(Enum):
    JSON = "json"
    QUERY = "query"


@dataclass(frozen=True, slots=True)
class Call:
    service: str
    operation: str
    protocol: Protocol
    params: Mapping[str, Any]
    request_id: str


def parse(request: Request, moorwatch_operations: Set[str] = frozenset()) -> Call:
    """The call a request makes, its parameters checked. Raises AwsError."""
    if len(request.body) > MAX_BODY_BYTES:
        raise ClientFault("RequestEntityTooLarge", f"The request is larger than {MAX_BODY_BYTES} bytes.", 413)
    request_id = str(uuid.uuid4())
    target = request.headers.get("x-amz-target", "")
    if target:
        return _parse_json(request, target, request_id, moorwatch_operations)
    fields = query.form(request.body, request.query)
    action = fields.get("Action", "")
    if not action:
        raise ClientFault(
            "UnknownOperationException",
            "No operation: X-Amz-Target is missing, and there is no Action parameter.",
        )
    if action not in models.operation_names("sts"):
        raise ClientFault("InvalidAction", f"Could not find operation {action[:128]}.")
    operation = models.operation("sts", action)
    params = shapes.decode(operation.input_shape, query.nested(operation.input_shape, fields))
    return Call("sts", action, Protocol.QUERY, params, request_id)


def _parse_json(request: Request, target: str, request_id: str, ours: Set[str]) -> Call:
    prefix, _, name = target.partition(".")
    value = _document(request.body)
    if prefix == MOORWATCH_TARGET and name in ours:
        if not isinstance(value, dict):
            raise ClientFault("SerializationException", "The request must be a JSON object.")
        return Call("moorwatch", name, Protocol.JSON, value, request_id)
    service = models.TARGET_PREFIXES.get(prefix)
    if service is None or name not in models.operation_names(service):
        raise ClientFault("UnknownOperationException", f"The operation {target[:256]!r} is not known.")
    params = shapes.decode(models.operation(service, name).input_shape, value)
    return Call(service, name, Protocol.JSON, params, request_id)


def _document(body: bytes) -> Any:
    if not body.strip():
        return {}
    try:
        return json.loads(body.decode("utf-8"), parse_constant=_no_constant)
    except RecursionError as error:
        raise ClientFault("SerializationException", "The request is nested too deeply.") from error
    except ValueError as error:
        raise ClientFault(
            "SerializationException", f"The request is not valid JSON: {error}"[:300]
        ) from error


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def render(call: Call, body: Mapping[str, Any]) -> Response:
    """The answer in the call's protocol. Raises answers.BadOutput for a defect of ours."""
    headers = {"x-amzn-RequestId": call.request_id}
    if call.service == "moorwatch":
        return Response(200, _dump(body), {**headers, "content-type": JSON_TYPE})
    operation = models.operation(call.service, call.operation)
    if call.protocol is Protocol.QUERY:
        content = query.render(operation, body, call.request_id)
        return Response(200, content, {**headers, "content-type": "text/xml"})
    return Response(
        200, _dump(answers.encode(operation.output_shape, body)), {**headers, "content-type": JSON_TYPE}
    )


def render_error(call: Call | None, error: AwsError, request: Request) -> Response:
    """The error in the protocol of the call, or as far as it can be told from the request."""
    request_id = call.request_id if call else str(uuid.uuid4())
    headers = {"x-amzn-RequestId": request_id}
    is_query = call.protocol is Protocol.QUERY if call else _looks_like_query(request)
    if is_query:
        code = _QUERY_CODES.get(error.code, error.code)
        status = 403 if error.code in _QUERY_CODES else error.status
        body = query.render_error(code, error.message, status < 500, request_id)
        return Response(status, body, {**headers, "content-type": "text/xml"})
    body = _dump({"__type": error.code, "message": error.message})
    return Response(error.status, body, {**headers, "content-type": JSON_TYPE})


def _looks_like_query(request: Request) -> bool:
    kind = request.headers.get("content-type", "")
    return "x-amz-target" not in request.headers and kind.startswith("application/x-www-form-urlencoded")


def _dump(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()
