"""Which operation is it? And answers and errors in the protocol the caller speaks.

Routing: the path (RPC v2 CBOR, told by a header), X-Amz-Target (JSON services), else `Action=` in a form (Query
services; the signing name tells which).
The operations of our own, which no model describes, are a JSON service beside ECS: target `Moorwatch_20261101`.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import AsyncIterator, Mapping, Set
from dataclasses import dataclass
from enum import Enum
from typing import Any

from monitor.model.errors import AwsError, ClientFault
from monitor.wire import answers, bodies, cbor, eventstream, faults, models, query, shapes, sigv4
from monitor.wire.http import Request, Response

MOORWATCH = "moorwatch"
MOORWATCH_TARGET = "Moorwatch_20261101"
JSON_TYPE, CBOR_TYPE = "application/x-amz-json-1.1", "application/cbor"
PROTOCOL_HEADER, RPC = "smithy-protocol", "rpc-v2-cbor"
_RPC_PATH = re.compile(r"/service/([A-Za-z0-9_.-]{1,64})/operation/([A-Za-z0-9_]{1,128})")
_VERSION = re.compile(rb"(?:^|&)Version=([0-9]{4}-[0-9]{2}-[0-9]{2})(?![^&])")
_ESCAPED_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


class Protocol(Enum):
    JSON = "json"
    QUERY = "query"
    CBOR = "cbor"


@dataclass(frozen=True, slots=True)
class Call:
    """A request understood: `params` as shapes.decode gives them."""

    service: str
    operation: str
    protocol: Protocol
    params: Mapping[str, Any]
    request_id: str


def parse(request: Request, moorwatch_operations: Set[str] = frozenset()) -> Call:
    """The call a request makes, its parameters checked; whether its signature is true is not asked here.

    Raises AwsError: UnknownOperationException (InvalidAction in Query), SerializationException,
    RequestEntityTooLarge, InvalidParameterException, InvalidSignatureException when it is signed for another
    service.
    """
    request = bodies.checked(request)
    credential = sigv4.parse_scope(request)
    signed_for = credential.service if credential else ""
    request_id = str(uuid.uuid4())
    target = request.headers.get("x-amz-target", "")
    if PROTOCOL_HEADER in request.headers:
        return _parse_rpc(request, signed_for, request_id)
    if target:
        return _parse_json(request, target, signed_for, request_id, moorwatch_operations)
    return _parse_query(request, signed_for, request_id)


def _parse_rpc(request: Request, signed_for: str, request_id: str) -> Call:
    """Smithy RPC v2 CBOR: the path names the operation."""
    spoken = request.headers[PROTOCOL_HEADER]
    match = _RPC_PATH.fullmatch(request.path)
    service = models.TARGET_PREFIXES.get(match[1], "") if match else ""
    if spoken != RPC or match is None or service not in models.RPC_SERVICES:
        message = f"{request.path[:128]!r} is no operation of a service that speaks {spoken[:32]!r} here."
        raise ClientFault("UnknownOperationException", message)
    name = match[2]
    if name not in models.operation_names(service):
        raise ClientFault("UnknownOperationException", f"The operation {name!r} is not known.")
    _check_method(request, name)
    _check_service(signed_for, models.signing_name(service))
    params = shapes.decode(
        models.operation(service, name).input_shape, cbor.load(request.body), _not_finite(service)
    )
    return Call(service, name, Protocol.CBOR, params, request_id)


def _parse_json(request: Request, target: str, signed_for: str, request_id: str, ours: Set[str]) -> Call:
    prefix, _, name = target.partition(".")
    service = MOORWATCH if prefix == MOORWATCH_TARGET else models.TARGET_PREFIXES.get(prefix, "")
    known = ours if service == MOORWATCH else models.operation_names(service) if service else frozenset()
    if name not in known:
        raise ClientFault("UnknownOperationException", f"The operation {target[:256]!r} is not known.")
    _check_method(request, name)
    _check_service(signed_for, service, "ecs" if service == MOORWATCH else models.signing_name(service))
    value = _document(request.body)
    if service == MOORWATCH:
        return Call(service, name, Protocol.JSON, shapes.plain(value), request_id)
    params = shapes.decode(models.operation(service, name).input_shape, value, _not_finite(service))
    return Call(service, name, Protocol.JSON, params, request_id)


def _parse_query(request: Request, signed_for: str, request_id: str) -> Call:
    fields = query.form(request.body, request.query)
    action = fields.get("Action", "")
    if not action:
        message = "No operation is named: there is no X-Amz-Target header, and no Action parameter."
        raise ClientFault("UnknownOperationException", message)
    service = models.query_service(signed_for, fields.get("Version", ""))
    if action not in models.operation_names(service):
        raise ClientFault("InvalidAction", f"Could not find operation {action[:128]} of {service}.")
    if request.method.upper() not in ("POST", "GET"):
        message = f"{action} is called with the method POST, not {request.method[:16]!r}."
        raise ClientFault("InvalidAction", message, 405)
    _check_service(signed_for, models.signing_name(service))
    operation = models.operation(service, action)
    params = shapes.decode(
        operation.input_shape, query.nested(operation.input_shape, fields), _not_finite(service)
    )
    return Call(service, action, Protocol.QUERY, params, request_id)


def _check_method(request: Request, name: str) -> None:
    if request.method.upper() != "POST":
        message = f"{name} is called with the method POST, not {request.method[:16]!r}."
        raise ClientFault("UnknownOperationException", message, 405)


def _not_finite(service: str) -> str:
    """What NaN is answered with: CloudWatch, whose business are numbers, has a code of its own."""
    return "InvalidParameterValue" if service == models.CLOUDWATCH else "SerializationException"


def _check_service(signed_for: str, *accepted: str) -> None:
    """A signature counts for the service it names (IAM user guide, "Troubleshoot Signature Version 4")."""
    if signed_for and signed_for not in accepted:
        message = f"Credential should be scoped to correct service: '{accepted[-1]}'."
        raise ClientFault("InvalidSignatureException", message)


def _document(body: bytes) -> Any:
    """The body's JSON; an empty body counts as {}. Raises AwsError."""
    if not body.strip():
        return {}
    try:
        text = body.decode("utf-8")
        value = json.loads(text, parse_constant=_no_constant)
        if _ESCAPED_SURROGATE.search(body):
            json.dumps(value, ensure_ascii=False).encode("utf-8")  # half a character has no bytes
    except RecursionError as error:
        raise ClientFault("SerializationException", "The request is nested too deeply.") from error
    except UnicodeError as error:
        raise ClientFault("SerializationException", "The request is not valid UTF-8.") from error
    except ValueError as error:
        message = f"The request is not valid JSON: {error}"
        raise ClientFault("SerializationException", message[:300]) from error
    return value


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def render(call: Call, body: Mapping[str, Any]) -> Response:
    """The answer in the call's protocol. Raises answers.BadOutput for a defect of ours."""
    headers = {"x-amzn-RequestId": call.request_id}
    if call.service == MOORWATCH:
        return Response(200, _dump(body), {**headers, "content-type": models.json_type(call.service)})
    operation = models.operation(call.service, call.operation)
    encoded = answers.encode(operation.output_shape, body)
    match call.protocol:
        case Protocol.QUERY:
            content = query.render(operation, encoded, call.request_id)
            return Response(200, content, {**headers, "content-type": "text/xml"})
        case Protocol.CBOR:
            content = cbor.dump(operation.output_shape, encoded)
            return Response(200, content, {**headers, "content-type": CBOR_TYPE, PROTOCOL_HEADER: RPC})
        case Protocol.JSON:
            kind = models.json_type(call.service)
            return Response(200, _dump(encoded), {**headers, "content-type": kind})


def render_stream(call: Call, told: AsyncIterator[tuple[str, Mapping[str, Any]]]) -> Response:
    """An answer by events, each (kind, body)."""
    operation = models.operation(call.service, call.operation)

    async def encoded() -> AsyncIterator[bytes]:
        async for kind, body in told:
            yield eventstream.event(operation, kind, body)

    headers = {"x-amzn-RequestId": call.request_id, "content-type": eventstream.CONTENT_TYPE}
    return Response(200, eventstream.initial_response(operation, {}), headers, encoded())


def render_error(call: Call | None, error: AwsError, request: Request) -> Response:
    """The error in the protocol of the call, or as far as it can be told from the request."""
    request_id = call.request_id if call else str(uuid.uuid4())
    headers = {"x-amzn-RequestId": request_id}
    protocol, service, operation = (call.protocol, call.service, call.operation) if call else _asked(request)
    fault = faults.told(service, operation, error.code, error.status, protocol is Protocol.QUERY)
    if protocol is Protocol.QUERY:
        body = query.render_error(fault.code, error.message, fault.status < 500, request_id)
        return Response(fault.status, body, {**headers, "content-type": "text/xml"})
    if fault.query_code:
        headers["x-amzn-query-error"] = f"{fault.query_code};{'Sender' if fault.status < 500 else 'Receiver'}"
    told = {"__type": fault.shape, "message": error.message, **error.details}
    if protocol is Protocol.CBOR:
        headers |= {"content-type": CBOR_TYPE, PROTOCOL_HEADER: RPC}
        return Response(fault.status, cbor.dump(None, told), headers)
    return Response(fault.status, _dump(told), {**headers, "content-type": models.json_type(service)})


def _asked(request: Request) -> tuple[Protocol, str, str]:
    """Protocol, service and operation of a request that could not be parsed; "" for what is not known."""
    if PROTOCOL_HEADER in request.headers:
        match = _RPC_PATH.fullmatch(request.path)
        return Protocol.CBOR, *(_known(match[1], match[2]) if match else ("", ""))
    if _looks_like_query(request):
        credential = sigv4.parse_scope(request)
        version = _VERSION.search(request.body) or _VERSION.search(request.query.encode())
        said = version[1].decode() if version else ""
        return Protocol.QUERY, models.query_service(credential.service if credential else "", said), ""
    prefix, _, name = request.headers.get("x-amz-target", "").partition(".")
    return Protocol.JSON, *_known(prefix, name)


def _known(prefix: str, name: str) -> tuple[str, str]:
    service = models.TARGET_PREFIXES.get(prefix, "")
    return service, name if service and name in models.operation_names(service) else ""


def _looks_like_query(request: Request) -> bool:
    if "x-amz-target" in request.headers:
        return False
    kind = request.headers.get("content-type", "").lower()
    if kind.startswith("application/x-www-form-urlencoded"):
        return True
    return "Action=" in request.query or request.body.startswith(b"Action=") or b"&Action=" in request.body


def _dump(value: Mapping[str, Any]) -> bytes:
    # what came from elsewhere (a log line, say) may hold half a character: better a "?" than no answer
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode(
        "utf-8", "replace"
    )
