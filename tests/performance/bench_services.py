"""`make bench-services`: fifty tasks at once, a rolling update of twenty, and the loss of a host.

Each is measured beside the same work done by the bare Docker API in the same run (threads as many as our agent has),
rounds in turn, and printed as ratios. The loss of a host is timed from the moment a second agent is frozen to the last
replacement's start. Exits 0 whatever the figures are.
"""

from __future__ import annotations

import argparse
import itertools
import os
import platform
import signal
import statistics
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import docker

from exporters.docker import timestamp
from monitor.cli import image
from tests.conftest import Stack, _RunningStack
from tests.performance.bench_replace import docker_host

TASKS, UPDATED = 50, 20
THREADS = 8
PATIENCE_SECONDS = 180.0
# Ends at once when it is told to: a rolling update is not to measure stop timeouts.
COMMAND = ["sh", "-c", "trap 'exit 0' TERM; sleep 100000 & wait"]
_NUMBERS = itertools.count()


def wait_for(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(what)
        time.sleep(0.02)


def last_start(client: docker.APIClient, ids: list[str]) -> float:
    found = [timestamp(client.inspect_container(i)["State"]["StartedAt"]) for i in ids]
    return max(at for at in found if at is not None)


class Bare:
    """The floor: no scheduler, no state."""

    def __init__(self, host: str) -> None:
        self.client = docker.APIClient(base_url=host, version="1.41", max_pool_size=THREADS)

    def _run(self, _: int) -> str:
        config = {
            "Image": image.IMAGE,
            "Cmd": COMMAND,
            "HostConfig": {"NetworkMode": "host", "Memory": 16 * 1024 * 1024},
        }
        made = str(self.client.create_container_from_config(config)["Id"])  # type: ignore[no-untyped-call]
        self.client.start(made)
        return made

    def start(self) -> float:
        at = time.time()
        with ThreadPoolExecutor(THREADS) as pool:
            ids = list(pool.map(self._run, range(TASKS)))
        took = last_start(self.client, ids) - at
        self._remove(ids)
        return took

    def update(self, together: int) -> float:
        """Start `together` new ones, stop as many old ones, and so on."""
        with ThreadPoolExecutor(THREADS) as pool:
            old, new = list(pool.map(self._run, range(UPDATED))), []
            at = time.time()
            for first in range(0, UPDATED, together):
                new += pool.map(self._run, range(together))
                list(pool.map(lambda i: self.client.stop(i, timeout=5), old[first : first + together]))
            took = time.time() - at
        self._remove([*old, *new])
        return took

    def _remove(self, ids: list[str]) -> None:
        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(lambda i: self.client.remove_container(i, force=True), ids))


class Ours:
    def __init__(self, stack: Stack, client: docker.APIClient) -> None:
        self.stack, self.client, self.ecs = stack, client, stack.client()

    def _define(self, name: str) -> str:
        container = {
            "name": "app",
            "image": image.IMAGE,
            "cpu": 2,
            "memory": 16,
            "stopTimeout": 5,
            "command": COMMAND,
        }
        made = self.ecs.register_task_definition(
            family=name, networkMode="host", containerDefinitions=[container]
        )
        return str(made["taskDefinition"]["taskDefinitionArn"])

    def _service(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.ecs.describe_services(services=[name])["services"][0]
        return found

    def _containers(self, name: str) -> list[str]:
        filters = {"label": [f"com.amazonaws.ecs.task-definition-family={name}"], "status": ["running"]}
        return [c["Id"] for c in self.client.containers(filters=filters)]

    def _gone(self, name: str) -> None:
        self.ecs.delete_service(service=name, force=True)
        wait_for(lambda: not self._containers(name), f"{name} goes")

    def start(self) -> float:
        name = f"start-{next(_NUMBERS)}"
        self._define(name)
        at = time.time()
        self.ecs.create_service(serviceName=name, taskDefinition=name, desiredCount=TASKS)
        wait_for(lambda: len(self._containers(name)) == TASKS, f"{name} starts")
        took = last_start(self.client, self._containers(name)) - at
        self._gone(name)
        return took

    def update(self, together: int) -> float:
        name = f"update-{next(_NUMBERS)}"
        self._define(name)
        percents = {"minimumHealthyPercent": 100, "maximumPercent": 100 + 100 * together // UPDATED}
        self.ecs.create_service(
            serviceName=name, taskDefinition=name, desiredCount=UPDATED, deploymentConfiguration=percents
        )
        wait_for(lambda: self._done(name), f"{name} settles")
        second = self._define(name)
        at = time.time()
        self.ecs.update_service(service=name, taskDefinition=second)
        wait_for(lambda: self._done(name, second), f"{name} is updated")
        took = time.time() - at
        self._gone(name)
        return took

    def _done(self, name: str, definition: str = "") -> bool:
        found = self._service(name)
        deployments = found["deployments"]
        is_right = not definition or found["taskDefinition"] == definition
        return is_right and len(deployments) == 1 and deployments[0]["rolloutState"] == "COMPLETED"

    def _tasks(self, name: str) -> list[dict[str, Any]]:
        arns = self.ecs.list_tasks(serviceName=name)["taskArns"]
        found: list[dict[str, Any]] = self.ecs.describe_tasks(tasks=arns)["tasks"] if arns else []
        return found

    def lose_host(self) -> float:
        """Freeze a second agent; the time until all its tasks run elsewhere."""
        name = f"lost-{next(_NUMBERS)}"
        self._define(name)
        with self.stack.another_agent("ecs.availability-zone=other") as process:
            wait_for(lambda: len(self._connected()) == 2, "a second agent registers")
            self.ecs.create_service(serviceName=name, taskDefinition=name, desiredCount=6)
            wait_for(lambda: self._done(name), f"{name} settles")
            hosts = {t["containerInstanceArn"] for t in self._tasks(name)}
            assert len(hosts) == 2, "the tasks are spread over both"
            at = time.time()
            process.send_signal(signal.SIGSTOP)
            wait_for(lambda: self._is_whole(name, at), f"{name} is whole again")
            took = max(t["startedAt"].timestamp() for t in self._tasks(name)) - at
            process.send_signal(signal.SIGCONT)
            wait_for(lambda: len(self._connected()) == 2, "the second agent comes back")
            lost = next(iter(hosts - {t["containerInstanceArn"] for t in self._tasks(name)}))
            self._gone(name)
            self.ecs.deregister_container_instance(containerInstance=lost, force=True)
        return took

    def _is_whole(self, name: str, since: float) -> bool:
        tasks = self._tasks(name)
        running = [t for t in tasks if t["lastStatus"] == "RUNNING"]
        return (
            len({t["containerInstanceArn"] for t in running}) == 1
            and len(running) == 6
            and time.time() > since
        )

    def _connected(self) -> list[dict[str, Any]]:
        arns = self.ecs.list_container_instances()["containerInstanceArns"]
        found = self.ecs.describe_container_instances(containerInstances=arns)["containerInstances"]
        return [i for i in found if i["agentConnected"]]


def measure(rounds: int) -> list[str]:
    with docker_host() as host:
        client, bare = docker.APIClient(base_url=host, version="1.41"), Bare(host)
        with _RunningStack(host, {"MOORWATCH_HEALTHY_AFTER_SECONDS": "0"}) as stack:
            ours = Ours(stack, client)
            rows: dict[str, tuple[Callable[[], float], Callable[[], float]]] = {
                f"{TASKS} tasks at once": (bare.start, ours.start),
                f"rolling update of {UPDATED}, one at a time": (
                    lambda: bare.update(1),
                    lambda: ours.update(1),
                ),
                f"rolling update of {UPDATED}, five at a time": (
                    lambda: bare.update(5),
                    lambda: ours.update(5),
                ),
            }
            figures: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in rows}
            for number in range(rounds):
                for name, (floor, subject) in rows.items():
                    figures[name][0].append(floor())
                    figures[name][1].append(subject())
                print(f"\rround {number + 1} of {rounds}", end="", file=sys.stderr, flush=True)
            lost = [ours.lose_host() for _ in range(rounds)]
            print(file=sys.stderr)
        client.close()
    lines = []
    for name, (floors, subjects) in figures.items():
        floor, subject = statistics.median(floors), statistics.median(subjects)
        lines.append(f"| {name} | {floor:.1f} s | {subject:.1f} s | {subject / floor:.2f} |")
    lines.append(f"| loss of a host, to the last replacement | | {statistics.median(lost):.1f} s | |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    lines = measure(options.rounds)
    print(
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, {platform.system()} {platform.release()}, "
        f"Python {platform.python_version()}, load {os.getloadavg()[0]:.1f}, {options.rounds} rounds, medians; "
        "healthy_after_seconds = 0"
    )
    print("\n| what | bare Docker API | Moorwatch | ratio |\n|---|---|---|---|")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
