"""A mail server that keeps what it is sent: as much of SMTP (RFC 5321) as a client needs."""

from __future__ import annotations

import socketserver
import threading

from tests.conftest import wait_until


class _Session(socketserver.StreamRequestHandler):
    server: _Server

    def _say(self, text: str) -> None:
        self.wfile.write(f"{text}\r\n".encode())

    def handle(self) -> None:
        self._say("220 here")
        while line := self.rfile.readline():
            match line.split(b":")[0].split()[0].upper():
                case b"DATA":
                    self._say("354 go on")
                    self.server.messages.append(self._message())
                    self._say("250 kept")
                case b"QUIT":
                    self._say("221 bye")
                    return
                case _:
                    self._say("250 ok")

    def _message(self) -> bytes:
        lines = []
        while (line := self.rfile.readline()) not in (b".\r\n", b""):
            lines.append(line.removeprefix(b".") if line.startswith(b"..") else line)
        return b"".join(lines)


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    messages: list[bytes]


class MailServer:
    def __init__(self) -> None:
        self._server = _Server(("127.0.0.1", 0), _Session)
        self._server.messages = []
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    def __enter__(self) -> MailServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def wait(self, count: int) -> list[bytes]:
        wait_until(lambda: len(self._server.messages) >= count, f"{count} mails")
        return self._server.messages
