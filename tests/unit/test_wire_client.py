"""The client against a real HTTP server on loopback: answers, errors the server meant, and no answer."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from monitor.clock import SystemClock
from monitor.model.errors import AwsError, ClientFault, ServerFault
from monitor.wire import sigv4
from monitor.wire.client import MAX_ANSWER_BYTES, EcsClient, SyncEcsClient, Unreachable
from monitor.wire.dispatch import parse
from monitor.wire.http import Request
from monitor.wire.signing import Key

KEY = Key("AKIAMOORWATCH0000001", "a/secret+of=ours")
Call = Callable[..., dict[str, Any]]


class Server(ThreadingHTTPServer):
    """Answers every POST with `answer` and keeps what it was asked."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.status, self.body, self.missing = 200, b"{}", 0
        self.asked: list[Request] = []
        self.peers: set[Any] = set()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def answers(self, status: int, body: bytes, missing: int = 0) -> None:
        """From now on; `missing` bytes are announced and not sent."""
        self.status, self.body, self.missing = status, body, missing


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.asked.append(Request("POST", self.path, "", headers, body))
        self.server.peers.add(self.client_address)
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(self.server.body) + self.server.missing))
        self.end_headers()
        try:
            self.wfile.write(self.server.body)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True  # the client had enough
        self.close_connection = self.close_connection or self.server.missing > 0

    def log_message(self, *_: Any) -> None:
        """Nothing on stderr."""


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield made
    made.shutdown()
    thread.join()
    made.server_close()


@pytest.fixture(params=["sync", "async"])
def call(server: Server, request: pytest.FixtureRequest) -> Iterator[Call]:
    """`client.call` of the synchronous and of the asynchronous client."""
    if request.param == "sync":
        client = SyncEcsClient(server.endpoint, KEY, "eu-west-1")
        yield client.call
        client.close()
        return
    with asyncio.Runner() as runner:
        other = EcsClient(server.endpoint, KEY, "eu-west-1")
        yield lambda *args, **kwargs: runner.run(other.call(*args, **kwargs))
        runner.run(other.close())


def test_a_call_is_signed_and_can_be_read(server: Server, call: Call) -> None:
    server.answers(200, b'{"taskArns":["a"]}')
    assert call("ListTasks", {"cluster": "caf\u00e9"}) == {"taskArns": ["a"]}
    request = server.asked[0]
    secrets = {KEY.access_key_id: KEY.secret_access_key}
    assert sigv4.verify(request, secrets.get, SystemClock().now()).region == "eu-west-1"
    found = parse(request)
    assert (found.service, found.operation, found.params) == ("ecs", "ListTasks", {"cluster": "caf\u00e9"})
    assert KEY.secret_access_key not in str(request)


def test_our_own_operations(server: Server, call: Call) -> None:
    server.answers(200, b'{"sentences":[]}')
    assert call("ExplainTask", {"task": "t"}, service="moorwatch") == {"sentences": []}
    assert parse(server.asked[0], frozenset({"ExplainTask"})).service == "moorwatch"


def test_the_connection_is_kept(server: Server, call: Call) -> None:
    for _ in range(3):
        call("ListClusters", {})
    assert len(server.asked) == 3
    assert len(server.peers) == 1


@pytest.mark.parametrize(
    ("status", "body", "kind", "code", "message"),
    [
        (
            400,
            b'{"__type":"ClusterNotFoundException","message":"No."}',
            ClientFault,
            "ClusterNotFoundException",
            "No.",
        ),
        (400, b'{"__type":"com.amazon#X:http://y","Message":"No."}', ClientFault, "X", "No."),
        (500, b'{"__type":"ServerException","message":"Full."}', ServerFault, "ServerException", "Full."),
        (502, b"<html>Bad gateway</html>", ServerFault, "502", "<html>Bad gateway</html>"),
        (404, b"[]", ClientFault, "404", "[]"),
        (404, b"", ClientFault, "404", ""),
    ],
)
def test_errors(
    server: Server, call: Call, status: int, body: bytes, kind: type[AwsError], code: str, message: str
) -> None:
    server.answers(status, body)
    with pytest.raises(AwsError) as refused:
        call("ListTasks", {})
    assert type(refused.value) is kind
    assert (refused.value.code, refused.value.message, refused.value.status) == (code, message, status)


@pytest.mark.parametrize("body", [b"welcome", b"\xff", b"[1]", b"[" * 100_000])
def test_an_answer_that_is_no_object_is_a_message(server: Server, call: Call, body: bytes) -> None:
    server.answers(200, body)
    assert call("ListTasks", {}) == {"message": body[:300].decode("utf-8", "replace")}


def test_a_broken_answer_is_none(server: Server, call: Call) -> None:
    server.answers(200, b'{"taskArns":', missing=10)
    with pytest.raises(Unreachable, match=server.endpoint):
        call("ListTasks", {})


def test_an_endless_answer_is_none(server: Server, call: Call) -> None:
    server.answers(200, b" " * (MAX_ANSWER_BYTES + 1))
    with pytest.raises(Unreachable, match="larger than 16777216 bytes"):
        call("ListTasks", {})
    server.answers(200, b"{}")
    assert call("ListTasks", {}) == {}


def test_proxies_of_the_environment_are_not_used(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    client = SyncEcsClient(server.endpoint, KEY, "eu-west-1")
    assert client.call("ListTasks", {}) == {}
    client.close()


def closed_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return int(held.getsockname()[1])


@pytest.mark.parametrize("host", ["127.0.0.1", "name.invalid"])
async def test_nobody_listens(host: str) -> None:
    endpoint = f"http://{host}:{closed_port()}"
    async with EcsClient(endpoint, KEY, "eu-west-1") as client:
        with pytest.raises(Unreachable, match=endpoint):
            await client.call("ListTasks", {})
