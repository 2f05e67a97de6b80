"""`make bench-replace`: a container is killed; how long until its replacement's process runs?

Every row is measured in the same run, round by round in turn, by the same clock: from just before SIGKILL to the
State.StartedAt that Docker gives the replacement. Rows: the bare Docker API (`die` event, then create + start),
Docker's own --restart=always, a service of ours, and one of ours with a warm standby. All use host networking.
Prints medians, 99th percentiles and their ratios to the bare row; exits 0 whatever they are.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import queue
import signal
import statistics
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import docker

from exporters.docker import timestamp
from monitor.cli import image
from monitor.cli.docker_api import DockerApi
from tests.conftest import _PrivateDockerd, _RunningStack

ROUNDS = 30
TASKS = 8  # so that each victim has run longer than the 10 s below which an end counts as a failure
SETTLE_SECONDS = 12.0
PATIENCE_SECONDS = 60.0
COMMAND = ["sleep", "100000"]
LABEL = "bench-replace"


@dataclass
class Row:
    name: str
    seconds: list[float] = field(default_factory=list)

    def quantile(self, q: float) -> float:
        ordered = sorted(self.seconds)
        return ordered[min(len(ordered) - 1, int(q * len(ordered)))]


class Starts:
    """Docker's start and die events, as they come."""

    def __init__(self, client: docker.APIClient) -> None:
        self.queue: queue.Queue[dict[str, Any]] = queue.Queue()
        self._stream = client.events(filters={"type": "container", "event": ["start", "die"]}, decode=True)
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for event in self._stream:
            self.queue.put(event)

    def drain(self) -> None:
        while not self.queue.empty():
            self.queue.get_nowait()

    def wait(self, kind: str, **attributes: str) -> dict[str, Any]:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            event = self.queue.get(timeout=max(0.01, deadline - time.monotonic()))
            found = event["Actor"]["Attributes"]
            if event["Action"] == kind and all(found.get(k) == v for k, v in attributes.items()):
                return event


def kill(client: docker.APIClient, container_id: str) -> float:
    """SIGKILL to the container's process; returns when it was sent."""
    pid = client.inspect_container(container_id)["State"]["Pid"]
    at = time.time()
    os.kill(pid, signal.SIGKILL)
    return at


def started_at(client: docker.APIClient, container_id: str) -> float:
    found = timestamp(client.inspect_container(container_id)["State"]["StartedAt"])
    assert found is not None
    return found


def bare_config() -> dict[str, Any]:
    host = {"NetworkMode": "host", "Memory": 16 * 1024 * 1024}
    return {"Image": image.IMAGE, "Cmd": COMMAND, "Labels": {LABEL: "bare"}, "HostConfig": host}


class Bare:
    def __init__(self, client: docker.APIClient, starts: Starts) -> None:
        self.client, self.starts = client, starts
        self.id = self._run()

    def _run(self) -> str:
        container = str(self.client.create_container_from_config(bare_config())["Id"])
        self.client.start(container)
        return container

    def round(self) -> float:
        old, at = self.id, kill(self.client, self.id)
        self.starts.wait("die", **{LABEL: "bare"})
        self.id = self._run()
        took = started_at(self.client, self.id) - at
        self.client.remove_container(old, force=True)
        return took

    def close(self) -> None:
        self.client.remove_container(self.id, force=True)


class Restart:
    def __init__(self, client: docker.APIClient, starts: Starts) -> None:
        self.client, self.starts = client, starts
        config = bare_config()
        config["Labels"] = {LABEL: "restart"}
        config["HostConfig"]["RestartPolicy"] = {"Name": "always"}
        self.id = str(client.create_container_from_config(config)["Id"])
        client.start(self.id)

    def round(self) -> float:
        at = kill(self.client, self.id)
        self.starts.wait("start", **{LABEL: "restart"})
        return started_at(self.client, self.id) - at

    def close(self) -> None:
        self.client.remove_container(self.id, force=True)


class Service:
    """A service of ours; the task that has run longest is killed."""

    def __init__(self, client: docker.APIClient, starts: Starts, ecs: Any, name: str, standby: int) -> None:
        self.client, self.starts, self.name, self.ecs = client, starts, name, ecs
        ecs.register_task_definition(
            family=name,
            networkMode="host",
            containerDefinitions=[
                {"name": "app", "image": image.IMAGE, "memory": 16, "command": COMMAND, "stopTimeout": 1}
            ],
        )
        tags = [{"key": "moorwatch:warm-standby", "value": str(standby)}] if standby else []
        ecs.create_service(serviceName=name, taskDefinition=name, desiredCount=TASKS, tags=tags)
        self.wait_ready()

    def _containers(self) -> list[dict[str, Any]]:
        filters = {"label": [f"com.amazonaws.ecs.task-definition-family={self.name}"], "status": ["running"]}
        found: list[dict[str, Any]] = self.client.containers(filters=filters)
        return found

    def wait_ready(self) -> None:
        self.ecs.get_waiter("services_stable").wait(services=[self.name], WaiterConfig={"Delay": 1})

    def round(self) -> float:
        oldest = min(self._containers(), key=lambda c: c["Created"])
        at = kill(self.client, oldest["Id"])
        event = self.starts.wait("start", **{"com.amazonaws.ecs.task-definition-family": self.name})
        return started_at(self.client, event["Actor"]["ID"]) - at

    def close(self) -> None:
        self.ecs.delete_service(service=self.name, force=True)


@contextmanager
def docker_host() -> Iterator[str]:
    """The daemon at DOCKER_HOST or the usual socket, else one of our own."""
    for host in (os.environ.get("DOCKER_HOST", ""), "unix:///var/run/docker.sock"):
        if host and DockerApi(host).answers():
            image.ensure_image(DockerApi(host, timeout_seconds=30))
            yield host
            return
    with _PrivateDockerd() as host:
        yield host


def measure(rounds: int) -> list[Row]:
    with docker_host() as host, _RunningStack(host, {}) as stack:
        client = docker.APIClient(base_url=host, version="1.41")
        starts = Starts(docker.APIClient(base_url=host, version="1.41"))
        ecs = stack.client()
        bare, restart = Bare(client, starts), Restart(client, starts)
        cold = Service(client, starts, ecs, "bench-cold", 0)
        warm = Service(client, starts, ecs, "bench-warm", 2)
        time.sleep(
            SETTLE_SECONDS
        )  # a task that ends sooner counts as a failed start, and is not what is measured
        pairs = [
            (Row("bare Docker API: die event, create, start"), bare),
            (Row("docker run --restart=always"), restart),
            (Row("Moorwatch service"), cold),
            (Row("Moorwatch service with a warm standby"), warm),
        ]
        for number in range(rounds):
            for row, subject in pairs:
                starts.drain()
                row.seconds.append(subject.round())  # type: ignore[attr-defined]
                warm.wait_ready()
                cold.wait_ready()
            print(f"\rround {number + 1} of {rounds}", end="", file=sys.stderr, flush=True)
        print(file=sys.stderr)
        for _, subject in pairs:
            subject.close()  # type: ignore[attr-defined]
        ecs.close()
        client.close()
        return [row for row, _ in pairs]


def report(rows: list[Row]) -> str:
    base_p50, base_p99 = statistics.median(rows[0].seconds), rows[0].quantile(0.99)
    out = [
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, {platform.system()} {platform.release()}, "
        f"Python {platform.python_version()}, load {os.getloadavg()[0]:.1f}, {len(rows[0].seconds)} kills a row",
        "",
        "| killed → replacement's process started | p50 | p99 | p50 ratio | p99 ratio |",
        "|---|---|---|---|---|",
    ]
    for row in rows:
        p50, p99 = statistics.median(row.seconds), row.quantile(0.99)
        out.append(
            f"| {row.name} | {p50 * 1000:.0f} ms | {p99 * 1000:.0f} ms | {p50 / base_p50:.2f} | {p99 / base_p99:.2f} |"
        )
    return "\n".join(out)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--json", action="store_true", help="the single measurements, in seconds")
    options = parser.parse_args()
    rows = measure(options.rounds)
    print(json.dumps({r.name: r.seconds for r in rows}) if options.json else report(rows))


if __name__ == "__main__":
    main()
