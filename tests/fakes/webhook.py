"""An HTTP endpoint of somebody else's: keeps what it is sent, answers as it is told."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.conftest import wait_until


class Webhook:
    """Answers `status`, or the statuses of `next_statuses` first, one a request. Use as a context."""

    def __init__(self, port: int = 0) -> None:
        self.status = 200
        self.next_statuses: list[int] = []
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                hook.requests.append((self.path, {k.lower(): v for k, v in self.headers.items()}, body))
                status = hook.next_statuses.pop(0) if hook.next_statuses else hook.status
                self.send_response(status)
                self.send_header("content-length", "0")
                self.end_headers()

            do_PUT = do_POST  # noqa: N815 - the base class has it so

            def log_message(self, *_: object) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    def __enter__(self) -> Webhook:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def documents(self, path: str = "/") -> list[dict[str, Any]]:
        """The JSON bodies that came to the path."""
        return [json.loads(body) for at, _, body in list(self.requests) if at == path]

    def wait(self, count: int = 1, path: str = "/") -> list[dict[str, Any]]:
        wait_until(lambda: len(self.documents(path)) >= count, f"{count} messages at {path}")
        return self.documents(path)
