"""/metrics over HTTP."""

from __future__ import annotations

import http.client
import socket
import threading
from collections.abc import Iterator

import pytest

from exporters.__main__ import main
from exporters.exporter import Exporter
from exporters.server import MetricsServer


@pytest.fixture
def server() -> Iterator[MetricsServer]:
    server = MetricsServer(Exporter(), "127.0.0.1", 0)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def ask(server: MetricsServer, method: str, path: str) -> tuple[int, str, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_address[1], timeout=10)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.headers["Content-Type"], answer.read()
    finally:
        connection.close()


def test_metrics(server: MetricsServer) -> None:
    status, kind, body = ask(server, "GET", "/metrics?x=1")
    assert (status, kind) == (200, "text/plain; version=0.0.4; charset=utf-8")
    assert b"\necs_exporter_containers 0.0\n" in body
    assert server.url == f"http://127.0.0.1:{server.server_address[1]}/metrics"


def test_head_has_no_body(server: MetricsServer) -> None:
    assert ask(server, "HEAD", "/metrics")[::2] == (200, b"")


@pytest.mark.parametrize(("path", "status"), [("/", 200), ("/metric", 404), ("/metrics/x", 404)])
def test_elsewhere_says_where(server: MetricsServer, path: str, status: int) -> None:
    assert ask(server, "GET", path)[::2] == (status, b"Metrics are at /metrics\n")


def test_other_methods_are_refused(server: MetricsServer) -> None:
    assert ask(server, "POST", "/metrics")[0] == 501


def test_one_who_hangs_up_does_no_harm(server: MetricsServer, caplog: pytest.LogCaptureFixture) -> None:
    with socket.create_connection(("127.0.0.1", server.server_address[1])) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")  # close with a reset
        sock.sendall(b"GET /metrics HTTP/1.1\r\n\r\nGET /metrics HTTP/1.1\r\n\r\n")
    assert ask(server, "GET", "/metrics")[0] == 200
    assert caplog.records == []


def test_ipv6_is_served_where_the_machine_has_it() -> None:
    try:
        server = MetricsServer(Exporter(), "::1", 0)
    except OSError:
        pytest.skip("this machine has no IPv6 loopback")
    assert server.url.startswith("http://[::1]:")
    server.server_close()


def test_a_taken_port_is_told(server: MetricsServer, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--listen", f"127.0.0.1:{server.server_address[1]}"]) == 1
    assert "Address already in use; choose with --listen" in capsys.readouterr().err
