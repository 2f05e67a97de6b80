"""`make bench-replace`: a container is killed; how long until its replacement's process runs?

Every row is measured in the same run, round by round in turn, by the same clock: from just before SIGKILL to the
State.StartedAt that Docker gives the replacement. Rows: the bare Docker API (`die` event, then create + start; the
same on a pidfd; the same with the container created ahead), Docker's own --restart=always, a service of ours, and one
of ours with a warm standby. All use host networking. Prints medians, 99th percentiles and their ratios to the first
row; exits 0 whatever they are.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import queue
import select
import signal
import statistics
import sys
import threading
import time
from collections import deque
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
    """The floor: no scheduler, no state, one blocking client. `seen_by` "die": Docker's event; "pidfd": the process's
    end itself. `ahead`: the replacement was created before, only started now."""

    def __init__(self, client: docker.APIClient, starts: Starts, seen_by: str, ahead: bool = False) -> None:
        self.client, self.starts, self.seen_by, self.ahead = client, starts, seen_by, ahead
        self.id = self._create()
        client.start(self.id)
        self.next = self._create() if ahead else ""

    def _create(self) -> str:
        return str(self.client.create_container_from_config(bare_config())["Id"])  # type: ignore[no-untyped-call]

    def round(self) -> float:
        old = self.id
        pid = self.client.inspect_container(old)["State"]["Pid"]
        fd = os.pidfd_open(pid)
        at = time.time()
        os.kill(pid, signal.SIGKILL)
        if self.seen_by == "die":
            self.starts.wait("die", **{LABEL: "bare"})
        else:
            select.select([fd], [], [])
        os.close(fd)
        self.id = self.next if self.ahead else self._create()
        self.client.start(self.id)
        took = started_at(self.client, self.id) - at
        self.next = self._create() if self.ahead else ""
        self.client.remove_container(old, force=True)
        return took

    def close(self) -> None:
        for container in filter(None, (self.id, self.next)):
            self.client.remove_container(container, force=True)


class Restart:
    """Docker's own policy, on several containers in turn: one that ran for less than 10 s is restarted later."""

    def __init__(self, client: docker.APIClient, starts: Starts) -> None:
        self.client, self.starts = client, starts
        self.ids: deque[str] = deque()
        for _ in range(TASKS):
            config = bare_config()
            config["Labels"] = {LABEL: "restart"}
            config["HostConfig"]["RestartPolicy"] = {"Name": "always"}
            self.ids.append(str(client.create_container_from_config(config)["Id"]))  # type: ignore[no-untyped-call]
            client.start(self.ids[-1])

    def round(self) -> float:
        container = self.ids[0]
        self.ids.rotate(-1)
        at = kill(self.client, container)
        self.starts.wait("start", **{LABEL: "restart"})
        return started_at(self.client, container) - at

    def close(self) -> None:
        for container in self.ids:
            self.client.remove_container(container, force=True)


class Service:
    """A service of ours; the task that has run longest is killed."""

    def __init__(self, client: docker.APIClient, starts: Starts, ecs: Any, name: str, standby: int) -> None:
        self.client, self.starts, self.name, self.ecs = client, starts, name, ecs
        self.standby = standby
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
        """All tasks run, and the standbys are made again."""
        filters = {"label": [f"com.amazonaws.ecs.task-definition-family={self.name}"], "status": ["created"]}
        deadline = time.monotonic() + PATIENCE_SECONDS
        while (
            len(self._containers()) < TASKS
            or len(self.client.containers(all=True, filters=filters)) < self.standby
        ):
            if time.monotonic() > deadline:
                raise TimeoutError(f"service {self.name} does not come back")
            time.sleep(0.1)

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
        cold = Service(client, starts, ecs, "bench-cold", 0)
        warm = Service(client, starts, ecs, "bench-warm", 2)
        subjects: dict[str, Bare | Restart | Service] = {
            "bare Docker API: die event, create, start": Bare(client, starts, "die"),
            "bare Docker API: pidfd, create, start": Bare(client, starts, "pidfd"),
            "bare Docker API: pidfd, start of one created ahead": Bare(client, starts, "pidfd", ahead=True),
            "docker run --restart=always": Restart(client, starts),
            "Moorwatch service": cold,
            "Moorwatch service with a warm standby": warm,
        }
        rows = {name: Row(name) for name in subjects}
        time.sleep(
            SETTLE_SECONDS
        )  # a task that ends sooner counts as a failed start, and is not what is measured
        for number in range(rounds):
            for name, subject in subjects.items():
                starts.drain()
                rows[name].seconds.append(subject.round())
                warm.wait_ready()
                cold.wait_ready()
            print(f"\rround {number + 1} of {rounds}", end="", file=sys.stderr, flush=True)
        print(file=sys.stderr)
        for subject in subjects.values():
            subject.close()
        ecs.close()
        client.close()
        return list(rows.values())


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
