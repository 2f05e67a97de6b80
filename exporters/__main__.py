"""`python -m exporters`: /metrics of any Docker host, without the rest of Moorwatch."""

from __future__ import annotations

import argparse
import ipaddress
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from exporters import docker, hierarchy, host, names, otlp
from exporters.beside import start_beside
from exporters.exporter import Exporter
from exporters.server import MetricsServer
from exporters.shown import SERIES_LIMIT, BadLabels, Shown, parse_labels

DEFAULT_LISTEN = "127.0.0.1:4582"
LEAST_INTERVAL = 0.1


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(prog="python -m exporters", description=__doc__)
    p.add_argument(
        "command",
        nargs="?",
        choices=("serve", "names"),
        default="serve",
        help="serve (default), or names: print the table of all metrics, as Markdown",
    )
    p.add_argument(
        "--listen",
        type=_listen,
        default=DEFAULT_LISTEN,
        metavar="ADDRESS:PORT",
        help=f"where /metrics is (default {DEFAULT_LISTEN}; anyone who can reach it can read it)",
    )
    p.add_argument(
        "--docker-host",
        default=os.environ.get("DOCKER_HOST", ""),
        metavar="URL",
        help=f"default: DOCKER_HOST, or {docker.DEFAULT_SOCKET}",
    )
    p.add_argument(
        "--interval", type=_interval, default=1.0, metavar="SECONDS", help="between samples (default 1)"
    )
    p.add_argument(
        "--cgroup-root",
        type=Path,
        default=hierarchy.ROOT,
        metavar="DIR",
        help="where the host's /sys/fs/cgroup shows",
    )
    p.add_argument(
        "--labels",
        type=_labels,
        default=(),
        metavar="NAME,…",
        help="Docker labels to show on ecs_container_info, as label_NAME (default: none)",
    )
    p.add_argument(
        "--series-limit",
        type=_series,
        default=SERIES_LIMIT,
        metavar="N",
        help=f"most series of a scrape; containers beyond are left out and counted (default {SERIES_LIMIT})",
    )
    p.add_argument(
        "--proc", type=Path, default=hierarchy.PROC, metavar="DIR", help="where the host's /proc shows"
    )
    return p


def _listen(text: str) -> tuple[str, int]:
    address, _, port = text.rpartition(":")
    address = address.removeprefix("[").removesuffix("]")
    try:
        ipaddress.ip_address(address)
        number = int(port)
    except ValueError:
        number = -1
    if not 0 <= number < 65536:
        raise argparse.ArgumentTypeError(f"{text!r} must be an IP address and a port, like {DEFAULT_LISTEN}")
    return address, number


def _labels(text: str) -> tuple[str, ...]:
    try:
        return parse_labels(text)
    except BadLabels as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _series(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} must be a whole number from 1 on")
    return int(text)


def _interval(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not LEAST_INTERVAL <= seconds <= 3600:
        raise argparse.ArgumentTypeError(f"{text!r} must be seconds from {LEAST_INTERVAL} to 3600")
    return seconds


def main(arguments: Sequence[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    if options.command == "names":
        sys.stdout.write(names.markdown())
        return 0
    host.raise_descriptor_limit()
    shown = Shown(options.labels, options.series_limit)
    exporter = Exporter(options.cgroup_root, options.proc, shown=shown)
    address, port = options.listen
    try:
        server = MetricsServer(exporter, address, port)
    except OSError as error:
        sys.stderr.write(f"cannot listen on {address} port {port}: {error.strerror}; choose with --listen\n")
        return 1
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(levelname)s %(message)s")
    return serve(exporter, server, options.docker_host, options.interval)


def serve(exporter: Exporter, server: MetricsServer, docker_host: str, interval: float) -> int:
    """Until SIGINT or SIGTERM."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    beside = start_beside(exporter, docker.Questions(docker_host), stop)
    follower = threading.Thread(
        target=docker.follow,
        args=(
            docker_host,
            exporter.on_event,
            exporter.replace,
            exporter.track,
            stop,
            exporter.set_docker_up,
        ),
        name="docker-events",
        daemon=True,
    )
    scrapes = threading.Thread(target=server.serve_forever, name="scrapes", daemon=True)
    follower.start()
    scrapes.start()
    sys.stderr.write(f"metrics at {server.url}\n")
    sent = otlp.start(exporter, os.environ, "moorwatch-exporter")
    due = time.monotonic()
    while not stop.wait(max(0.0, due - time.monotonic())):
        exporter.sample_all()
        due = max(due + interval, time.monotonic())
    if sent is not None:
        sent.close()
    for thread in beside:
        thread.join(docker.QUESTION_SECONDS)
    server.shutdown()
    server.server_close()
    exporter.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
