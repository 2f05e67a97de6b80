"""Every operation of the models, both ways, between botocore's client side and our server side.

A request is made from the operation's shapes, serialised by botocore and read by us; an answer is made the same
way, rendered by us and parsed by botocore. What comes out must be what went in.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any
from urllib.parse import urlencode

import botocore.session
import pytest
from botocore.model import ListShape, MapShape, OperationModel, ServiceModel, Shape, StructureShape
from botocore.parsers import create_parser
from botocore.serialize import create_serializer

from monitor.model.errors import ClientFault, ServerFault
from monitor.wire import answers, models, query, shapes
from monitor.wire.dispatch import Call, Protocol, parse, render, render_error
from monitor.wire.http import Request

DEPTH = 12


def made(shape: Shape, chance: random.Random, depth: int = 0) -> Any:
    """A value of the shape as a client would hand it to botocore: every member, as long as it is not too deep."""
    if isinstance(shape, StructureShape):
        if shape.metadata.get("document"):
            return {"any": ["thing", 1, True, {"deeper": None}]}
        names = list(shape.members)
        if shape.is_tagged_union:
            names = [chance.choice(names)]
        elif depth >= DEPTH:
            names = list(shape.required_members)
        return {name: made(shape.members[name], chance, depth + 1) for name in names}
    low, high = int(shape.metadata.get("min", 0)), shape.metadata.get("max")
    if isinstance(shape, ListShape):
        size = max(low, 0 if depth >= DEPTH else chance.randint(1, 3))
        return [
            made(shape.member, chance, depth + 1) for _ in range(size if high is None else min(size, high))
        ]
    if isinstance(shape, MapShape):
        size = max(low, chance.randint(1, 2))
        return {made(shape.key, chance): made(shape.value, chance, depth + 1) for _ in range(size)}
    return _made_scalar(shape, chance, low, high)


def _made_scalar(shape: Shape, chance: random.Random, low: int, high: float | None) -> Any:
    match shape.type_name:
        case "string" | "character":
            enum = getattr(shape, "enum", None)
            if enum:
                return chance.choice(enum)
            length = max(low, min(8, int(high or 8)))
            return "".join(chance.choice('aZ09-_./:<>&"é漢😀') for _ in range(length))
        case "integer" | "long":
            top = 2**31 - 1 if shape.type_name == "integer" else 2**63 - 1
            return chance.randint(low, int(high) if high is not None else top)
        case "float" | "double":
            return chance.randint(low, int(high) if high is not None else 1000) / 1.0
        case "boolean":
            return chance.random() < 0.5
        case "timestamp":
            return datetime.fromtimestamp(
                chance.randrange(10**9, 2 * 10**9) + chance.randrange(1000) / 1000, UTC
            )
        case "blob":
            return chance.randbytes(9)
    raise AssertionError(f"no value for the shape type {shape.type_name}")


def seen(value: Any) -> Any:
    """The value as the server side sees it: timestamps are epoch seconds to the millisecond."""
    if isinstance(value, datetime):
        return round(value.timestamp(), 3)
    if isinstance(value, dict):
        return {name: seen(item) for name, item in value.items()}
    if isinstance(value, list):
        return [seen(item) for item in value]
    return round(value, 3) if isinstance(value, float) else value


def whole_seconds(value: Any) -> Any:
    """Older botocore sends no fractions of a second in JSON."""
    if isinstance(value, datetime):
        return value.replace(microsecond=0)
    if isinstance(value, dict):
        return {name: whole_seconds(item) for name, item in value.items()}
    return [whole_seconds(item) for item in value] if isinstance(value, list) else value


def sent(operation: OperationModel, params: Mapping[str, Any], protocol: str) -> Request:
    """The request botocore makes of the parameters, its own validation included."""
    raw = create_serializer(protocol).serialize_to_request(dict(params), operation)
    body = raw["body"]
    if isinstance(body, dict):
        body = urlencode(body).encode()
    headers = {name.lower(): str(value) for name, value in raw["headers"].items()}
    return Request(raw["method"], raw["url_path"], "", headers, body)


def parsed(
    operation: OperationModel, status: int, headers: Mapping[str, str], body: bytes, protocol: str
) -> Any:
    answer = {"status_code": status, "headers": {k.lower(): v for k, v in headers.items()}, "body": body}
    return create_parser(protocol).parse(answer, operation.output_shape)


def chance_of(name: str) -> random.Random:
    return random.Random(f"moorwatch {name}")


def _names(service: str) -> list[str]:
    return sorted(models.operation_names(service))


def test_the_ecs_model_holds_the_operations_we_know() -> None:
    # 60 in 1.40, the lowest botocore we allow; 88 in 1.44 (reference: ecs-api.md, section 4)
    assert len(_names("ecs")) >= 60
    assert {"CreateService", "RunTask", "SubmitTaskStateChange"} <= models.operation_names("ecs")


@pytest.mark.parametrize("name", _names("ecs"))
def test_ecs_request(name: str) -> None:
    operation = models.operation("ecs", name)
    params = whole_seconds(made(operation.input_shape, chance_of(name)))
    call = parse(sent(operation, params, "json"))
    assert (call.service, call.operation, call.protocol) == ("ecs", name, Protocol.JSON)
    assert seen(call.params) == seen(params)


@pytest.mark.parametrize("name", _names("ecs"))
def test_ecs_answer(name: str) -> None:
    operation = models.operation("ecs", name)
    answer = seen(made(operation.output_shape, chance_of(name)))
    response = render(Call("ecs", name, Protocol.JSON, {}, "request-1"), answer)
    assert response.status == 200
    result = parsed(operation, response.status, response.headers, response.body, "json")
    assert result.pop("ResponseMetadata")["RequestId"] == "request-1"
    assert seen(result) == answer


@pytest.mark.parametrize("name", _names("ecs"))
def test_ecs_errors_reach_the_client_with_code_and_message(name: str) -> None:
    operation = models.operation("ecs", name)
    call = Call("ecs", name, Protocol.JSON, {}, "request-1")
    codes = models.declared_errors("ecs", name) | models.COMMON_ERRORS
    for code in codes:
        error = (ServerFault if code == "ServerException" else ClientFault)(code, "Say what to do: é.")
        response = render_error(call, error, Request("POST", "/", "", {}))
        result = parsed(operation, response.status, response.headers, response.body, "json")
        assert result["Error"] == {"Code": code, "Message": "Say what to do: é."}
        metadata = result["ResponseMetadata"]
        assert metadata["HTTPStatusCode"] == (500 if code == "ServerException" else 400)
        assert metadata["RequestId"] == "request-1"


def test_unknown_members_of_a_request_are_ignored_and_nulls_count_as_absent() -> None:
    headers = {"x-amz-target": "AmazonEC2ContainerServiceV20141113.CreateCluster"}
    body = b'{"clusterName":"a","tags":null,"notYetKnown":{"x":[1]}}'
    assert parse(Request("POST", "/", "", headers, body)).params == {"clusterName": "a"}


def test_paginated_operations_take_and_give_the_tokens_paginators_use() -> None:
    pages = models.paginators("ecs")
    assert {"ListTasks", "ListServices", "ListTaskDefinitions"} <= set(pages)
    for name, page in pages.items():
        operation = models.operation("ecs", name)
        assert page["input_token"] in operation.input_shape.members
        assert page["limit_key"] in operation.input_shape.members
        assert {page["output_token"], page["result_key"]} <= set(operation.output_shape.members)


# -- Query ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", _names("sts"))
def test_sts_request(name: str) -> None:
    operation = models.operation("sts", name)
    params = made(operation.input_shape, chance_of(name)) if operation.input_shape else {}
    call = parse(sent(operation, params, "query"))
    assert (call.service, call.operation, call.protocol) == ("sts", name, Protocol.QUERY)
    assert seen(call.params) == seen(params)


@pytest.mark.parametrize("name", _names("sts"))
def test_sts_answer(name: str) -> None:
    operation = models.operation("sts", name)
    answer = seen(made(operation.output_shape, chance_of(name)))
    response = render(Call("sts", name, Protocol.QUERY, {}, "request-1"), answer)
    result = parsed(operation, response.status, response.headers, response.body, "query")
    assert result.pop("ResponseMetadata")["RequestId"] == "request-1"
    assert seen(result) == answer


@cache
def other(service: str) -> ServiceModel:
    loader = botocore.session.Session().get_component("data_loader")
    return ServiceModel(loader.load_service_model(service, "service-2"), service)


# SimpleDB has flattened lists, CloudWatch blobs and times, SNS maps, load balancing deep lists.
QUERY_MODELS = ("cloudwatch", "elbv2", "sdb", "sns")


@pytest.mark.parametrize("service", QUERY_MODELS)
def test_query_is_driven_by_any_model(service: str) -> None:
    """Not served (yet), but the protocol's code knows no service: lists, maps, blobs and times of others pass too."""
    assert other(service).operation_names
    for name in other(service).operation_names:
        operation = other(service).operation_model(name)
        if operation.input_shape is not None:
            params = made(operation.input_shape, chance_of(name))
            fields = query.form(sent(operation, params, "query").body, "")
            decoded = shapes.decode(operation.input_shape, query.nested(operation.input_shape, fields))
            assert seen(decoded) == seen(params), name
        if operation.output_shape is not None:
            answer = seen(made(operation.output_shape, chance_of(name)))
            body = query.render(operation, answers.encode(operation.output_shape, answer), "request-1")
            result = parsed(operation, 200, {}, body, "query")
            assert result.pop("ResponseMetadata")["RequestId"] == "request-1"
            assert seen(result) == answer, name
