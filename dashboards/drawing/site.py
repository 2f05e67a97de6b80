"""A web server on loopback for the page: its files, its job, and Prometheus's API under the same address.

The page asks Prometheus through this server, so that no browser rule about other origins stands between them, whatever
`--web.cors.origin` the Prometheus was started with, and the browser needs to reach nothing but loopback.
"""

from __future__ import annotations

import http.client
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

PROMETHEUS = "/prometheus"
_MOST_BODY = 1 << 20
_QUERY_SECONDS = 60.0


class _Handler(SimpleHTTPRequestHandler):
    """Files of `directory`; /job.json; /prometheus/api/v1/… handed on."""

    protocol_version = "HTTP/1.1"

    def __init__(self, *arguments: Any, job: bytes, prometheus_url: str, **named: Any) -> None:
        self.job = job
        self.prometheus_url = prometheus_url
        super().__init__(*arguments, **named)

    def do_GET(self) -> None:
        if self.path == "/job.json":
            self._answer(200, "application/json", self.job)
        elif self.path.startswith(f"{PROMETHEUS}/api/v1/"):
            self._hand_on(None)
        else:
            super().do_GET()

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        if not self.path.startswith(f"{PROMETHEUS}/api/v1/query") or length > _MOST_BODY:
            self.close_connection = True
            self._answer(403, "text/plain", b"only queries are handed on")
            return
        self._hand_on(self.rfile.read(length))

    def _hand_on(self, body: bytes | None) -> None:
        url = self.prometheus_url.rstrip("/") + self.path.removeprefix(PROMETHEUS)
        headers = {"Content-Type": "application/x-www-form-urlencoded"} if body is not None else {}
        request = urllib.request.Request(url, data=body, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=_QUERY_SECONDS) as answer:
                self._answer(answer.status, answer.headers.get_content_type(), answer.read())
        except urllib.error.HTTPError as error:
            # Prometheus says in the body what is wrong with a query.
            with error:
                self._answer(error.code, error.headers.get_content_type(), error.read())
        except (OSError, http.client.HTTPException) as error:
            self._answer(502, "text/plain", f"Prometheus does not answer: {error}".encode())

    def _answer(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: Any) -> None:
        """Nothing: what matters is on the page."""


@contextmanager
def serve(folder: Path, job: bytes, prometheus_url: str) -> Iterator[str]:
    """Serve until the end of the block; gives the page's address."""

    def handler(*arguments: Any, **named: Any) -> _Handler:
        return _Handler(*arguments, directory=str(folder), job=job, prometheus_url=prometheus_url, **named)

    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/"
        finally:
            server.shutdown()
            thread.join()
