"""/metrics over HTTP for an exporter that runs alone. A scrape reads what is there; it never samples."""

from __future__ import annotations

import logging
import socket
import socketserver
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from exporters.exporter import Exporter
from exporters.form import Answer, negotiate
from exporters.render import exposition, own_registry, written

log = logging.getLogger("moorwatch.exporter")

PLAIN = "text/plain; charset=utf-8"
IDLE_SECONDS = 30


class MetricsServer(ThreadingHTTPServer):
    """Serves one Exporter on `address`:`port` (0: any free one); run `serve_forever` in a thread."""

    def __init__(self, exporter: Exporter, address: str, port: int) -> None:
        """Raises OSError when that cannot be listened on."""
        self.exporter = exporter
        self.registry = own_registry()
        self.address_family = socket.AF_INET6 if ":" in address else socket.AF_INET
        super().__init__((address, port), _Handler)

    def server_bind(self) -> None:
        """Without the base's look-up of the host's name, which can hang for long where DNS does not answer."""
        socketserver.TCPServer.server_bind(self)

    @property
    def url(self) -> str:
        host, port = self.server_address[:2]
        shown = f"[{host!s}]" if self.address_family == socket.AF_INET6 else str(host)
        return f"http://{shown}:{port}/metrics"

    def handle_error(self, *_: object) -> None:
        """A scraper that hangs up half-way is no fault of ours."""
        error = sys.exception()
        if isinstance(error, OSError):
            log.debug("a scrape was broken off: %s", error)
        else:
            log.error("a scrape failed", exc_info=error)


class _Handler(BaseHTTPRequestHandler):
    server: MetricsServer
    timeout = IDLE_SECONDS
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def _answer(self, with_body: bool) -> None:
        path = self.path.partition("?")[0]
        if path == "/metrics":
            asked = self.headers
            accept, encoding = asked.get("Accept", ""), asked.get("Accept-Encoding", "")
            form = negotiate(accept, encoding)
            answer = exposition(self.server.exporter, form, written(self.server.registry, form))
        else:
            text = b"Metrics are at /metrics\n"
            answer = Answer(text, {"Content-Type": PLAIN, "Content-Length": str(len(text))})
        self.send_response(200 if path in ("/metrics", "/") else 404)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.end_headers()
        if with_body:
            self.wfile.write(answer.body)

    def version_string(self) -> str:
        return "moorwatch-exporter"

    def log_message(self, *_: object) -> None:
        """A scrape is no news."""
