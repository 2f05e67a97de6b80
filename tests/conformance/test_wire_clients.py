"""Unmodified clients, in process, against the wire alone: boto3, its presigned URLs, and the AWS CLI.

botocore's before-send hook hands each signed request over; it is verified, parsed, answered and rendered as the
gateway does it. No socket, no product code but the wire.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
from awscli.clidriver import create_clidriver
from botocore.awsrequest import AWSPreparedRequest, AWSResponse, HTTPHeaders
from botocore.config import Config
from botocore.exceptions import ClientError

from monitor.clock import SystemClock
from monitor.model.errors import AwsError, ClientFault, ServerFault
from monitor.wire import dispatch, sigv4
from monitor.wire.dispatch import Call
from monitor.wire.http import Request, Response

KEY, SECRET = "AKIAMOORWATCH0000001", "a/secret+of=ours"
ENDPOINT = "http://127.0.0.1:4580"
Operations = Callable[[Call], dict[str, Any]]


class Body(io.BytesIO):
    """A response body as botocore reads it."""

    def stream(self) -> Iterator[bytes]:
        yield self.read()


def served(request: Request, operations: Operations) -> Response:
    """One request, the steps of the gateway that are the wire's."""
    call = None
    try:
        sigv4.verify(request, {KEY: SECRET}.get, SystemClock().now())
        call = dispatch.parse(request, frozenset({"ExplainTask"}))
        return dispatch.render(call, operations(call))
    except AwsError as error:
        return dispatch.render_error(call, error, request)


def hook(operations: Operations) -> Callable[..., AWSResponse]:
    def answer(request: AWSPreparedRequest, **_: Any) -> AWSResponse:
        url = urlsplit(request.url)
        headers = {"host": url.netloc}
        for name, value in request.headers.items():
            headers[name.lower()] = value.decode() if isinstance(value, bytes) else str(value)
        body = request.body or b""
        raw = Request(
            request.method,
            url.path or "/",
            url.query,
            headers,
            body.encode() if isinstance(body, str) else body,
        )
        response = served(raw, operations)
        found = HTTPHeaders.from_dict(dict(response.headers))
        return AWSResponse(request.url, response.status, found, Body(response.body))

    return answer


def client(service: str, operations: Operations, key: str = KEY, secret: str = SECRET) -> Any:
    made = boto3.session.Session(key, secret, region_name="eu-west-1").client(
        service, endpoint_url=ENDPOINT, config=Config(retries={"total_max_attempts": 1})
    )
    made.meta.events.register("before-send.*", hook(operations))
    return made


def identity(call: Call) -> dict[str, Any]:
    assert call.operation == "GetCallerIdentity"
    return {"UserId": "123456789012", "Account": "123456789012", "Arn": "arn:aws:iam::123456789012:root"}


def refusing(error: AwsError) -> Operations:
    def refuse(_: Call) -> dict[str, Any]:
        raise error

    return refuse


def test_sts_get_caller_identity() -> None:
    answer = client("sts", identity).get_caller_identity()
    assert answer["Account"] == "123456789012"
    assert answer["Arn"] == "arn:aws:iam::123456789012:root"
    assert len(answer["ResponseMetadata"]["RequestId"]) == 36


def test_sts_errors_are_query_errors() -> None:
    with pytest.raises(ClientError) as refused:
        client("sts", identity, secret="another").get_caller_identity()
    assert refused.value.response["Error"]["Code"] == "SignatureDoesNotMatch"
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
    with pytest.raises(ClientError) as unknown:
        client("sts", identity, key="AKIAUNKNOWN000000001").get_caller_identity()
    assert unknown.value.response["Error"]["Code"] == "InvalidClientTokenId"


def test_sts_presigned_url_by_get() -> None:
    """What tools use to prove who they are: GetCallerIdentity, signed in the query, sent as GET."""
    url = urlsplit(client("sts", identity).generate_presigned_url("get_caller_identity", HttpMethod="GET"))
    request = Request("GET", url.path or "/", url.query, {"host": url.netloc})
    response = served(request, identity)
    assert response.status == 200
    assert b"<Account>123456789012</Account>" in response.body
    tampered = Request("GET", url.path or "/", url.query + "&RoleArn=x", {"host": url.netloc})
    refused = served(tampered, identity)
    assert refused.status == 403
    assert b"<Code>SignatureDoesNotMatch</Code>" in refused.body


def test_ecs_call_and_paginator() -> None:
    tokens: list[str | None] = []

    def list_clusters(call: Call) -> dict[str, Any]:
        assert call.operation == "ListClusters"
        tokens.append(call.params.get("nextToken"))
        last = call.params.get("nextToken") == "two"
        return {"clusterArns": ["b" if last else "a"], "nextToken": None if last else "two"}

    pages = client("ecs", list_clusters).get_paginator("list_clusters").paginate()
    assert [arn for page in pages for arn in page["clusterArns"]] == ["a", "b"]
    assert tokens == [None, "two"]


def test_ecs_modelled_error_has_its_class() -> None:
    ecs = client("ecs", refusing(ClientFault("ClusterNotFoundException", "Cluster not found.")))
    with pytest.raises(ecs.exceptions.ClusterNotFoundException, match=r"Cluster not found\."):
        ecs.list_tasks(cluster="nowhere")


def test_server_fault_is_a_500() -> None:
    ecs = client("ecs", refusing(ServerFault("ServerException", "The disk is full.")))
    with pytest.raises(ecs.exceptions.ServerException) as failed:
        ecs.list_clusters()
    assert failed.value.response["ResponseMetadata"]["HTTPStatusCode"] == 500


@pytest.mark.parametrize(
    ("key", "secret", "code"),
    [
        (KEY, "another", "InvalidSignatureException"),
        ("AKIAUNKNOWN000000001", SECRET, "UnrecognizedClientException"),
    ],
)
def test_ecs_refuses_strangers(key: str, secret: str, code: str) -> None:
    with pytest.raises(ClientError) as refused:
        client("ecs", identity, key, secret).list_clusters()
    assert refused.value.response["Error"]["Code"] == code


def test_validation_reaches_the_client_with_the_member_named() -> None:
    ecs = client("ecs", identity)
    with pytest.raises(ecs.exceptions.InvalidParameterException) as refused:
        ecs.create_service(serviceName="web", launchType="MOON", desiredCount=1)
    message = refused.value.response["Error"]["Message"]
    assert "'MOON' at 'launchType'" in message
    assert "FARGATE" in message


def aws(capsys: pytest.CaptureFixture[str], operations: Operations, *words: str) -> tuple[int, str, str]:
    """The AWS CLI's exit code, output and errors."""
    driver = create_clidriver()
    driver.session.register("before-send.*", hook(operations))
    code = driver.main(["--endpoint-url", ENDPOINT, "--region", "eu-west-1", "--output", "json", *words])
    printed = capsys.readouterr()
    return code, printed.out, printed.err


@pytest.fixture
def aws_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))


@pytest.mark.usefixtures("aws_environment")
def test_aws_cli(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = aws(capsys, identity, "sts", "get-caller-identity")
    assert code == 0
    assert json.loads(out)["Account"] == "123456789012"


@pytest.mark.usefixtures("aws_environment")
def test_aws_cli_shows_our_errors(capsys: pytest.CaptureFixture[str]) -> None:
    missing = refusing(ClientFault("ClusterNotFoundException", "Cluster not found."))
    code, _, err = aws(capsys, missing, "ecs", "list-tasks", "--cluster", "nowhere")
    assert code != 0
    assert "(ClusterNotFoundException) when calling the ListTasks operation: Cluster not found." in err
