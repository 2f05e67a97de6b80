"""`python -m exporters`: /metrics of any Docker host, without the rest of Moorwatch."""

from __future__ import annotations

import argparse
import ipaddress
import logging
import os
import signal
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from exporters import docker, names
from exporters.exporter import Exporter
from exporters.render import CONTENT_TYPE, render

DEFAULT_LISTEN = "127.0.0.1:9104"


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(prog="python -m exporters", description=__doc__)
    p.add_argument(
        "command",
        nargs="?",
        choices=("serve", "names"),
        default="serve",
        help="names prints the metrics page",
    )
    p.add_argument("--listen", default=DEFAULT_LISTEN, help=f"address:port (default {DEFAULT_LISTEN})")
    p.add_argument(
        "--docker-host",
        default=os.environ.get("DOCKER_HOST", ""),
        help="default: DOCKER_HOST or the usual socket",
    )
    p.add_argument("--interval", type=float, default=1.0, help="seconds between samples (default 1)")
    return p


def handler(exporter: Exporter) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = 30

        def do_GET(self) -> None:
            found = self.path.split("?")[0] == "/metrics"
            body = render(exporter) if found else b"Metrics are at /metrics\n"
            self.send_response(200 if found or self.path == "/" else 404)
            self.send_header("Content-Type", CONTENT_TYPE)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """A scrape is no news."""

    return Handler


def main() -> int:
    options = parser().parse_args()
    if options.command == "names":
        sys.stdout.write(names.markdown())
        return 0
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    address, _, port = options.listen.rpartition(":")
    try:
        ipaddress.ip_address(address.strip("[]"))
        number = int(port)
    except ValueError:
        sys.stderr.write(
            f"--listen {options.listen!r} must be an IP address and a port, like {DEFAULT_LISTEN}\n"
        )
        return 2
    if options.interval <= 0:
        sys.stderr.write("--interval must be above zero\n")
        return 2
    return serve(address.strip("[]"), number, options.docker_host, options.interval)


def serve(address: str, port: int, docker_host: str, interval: float) -> int:
    exporter, stop = Exporter(), threading.Event()
    try:
        server = ThreadingHTTPServer((address, port), handler(exporter))
    except OSError as error:
        sys.stderr.write(f"cannot listen on {address}:{port}: {error.strerror}\n")
        return 1
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    follower = (
        docker_host,
        exporter.on_event,
        exporter.replace,
        exporter.track,
        stop,
        exporter.set_docker_up,
    )
    threading.Thread(target=docker.follow, args=follower, daemon=True).start()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stderr.write(f"metrics at http://{address}:{server.server_address[1]}/metrics\n")
    while not stop.wait(interval):
        exporter.sample_all()
    server.shutdown()
    exporter.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
