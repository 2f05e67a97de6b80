"""`make bench-scheduler [part …]`: placing, reconciling, memory a task, and the API under load.

Each figure stands beside its goal and beside a floor of the same run: a plain loop that touches three attributes of as
many tasks. Exits 0 whatever the figures are.
"""

from __future__ import annotations

import argparse
import gc
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from monitor.model.state import Put
from monitor.scheduler.placement import Placer, Refusal
from monitor.scheduler.reconcile import reconcile
from tests.scenarios.world import CLUSTER, World

STRATEGY = (
    {"type": "spread", "field": "attribute:ecs.availability-zone"},
    {"type": "binpack", "field": "memory"},
)
MEMBER = ({"type": "memberOf", "expression": "attribute:ecs.availability-zone in [a, b, c]"},)
CLIENTS, SECONDS = 8, 8.0


def world(instances: int) -> World:
    made = World(1)
    for number in range(instances):
        made.join(f"{number:032x}", cpu=65536, memory=65536, zone="abc"[number % 3])
    made.define("web", cpu=64, memory=64)
    return made


def timed(function: Callable[[], Any], times: int = 5) -> float:
    """The median of several runs, in seconds."""
    found = []
    for _ in range(times):
        began = time.perf_counter()
        function()
        found.append(time.perf_counter() - began)
    return statistics.median(found)


def floor(tasks: int) -> float:
    """Touching three attributes of each of so many tasks, in seconds."""
    some = world(1)
    some.serve(desired=1)
    many = list(some.live()) * tasks
    return timed(lambda: sum(1 for t in many if t.last and t.desired and t.deployment_id))


def placing() -> list[str]:
    lines = [
        "| placing, 1,000 instances, spread zone + binpack memory + memberOf | s | µs a task | goal |",
        "|---|---|---|---|",
    ]
    for tasks in (1_000, 5_000, 10_000, 50_000):
        cluster = world(1000)
        needs = cluster.state.definitions[next(iter(cluster.state.definitions))].needs

        def place(cluster: World = cluster, needs: Any = needs, tasks: int = tasks) -> None:
            placer = Placer(cluster.state)
            for _ in range(tasks):
                assert not isinstance(placer.place(CLUSTER, "g", needs, MEMBER, STRATEGY), Refusal)

        seconds = timed(place, 3)
        goal = "1.0 s" if tasks == 10_000 else ""
        lines.append(f"| {tasks:,} tasks | {seconds:.2f} | {seconds / tasks * 1e6:.0f} | {goal} |")
    cluster = world(500)
    needs = cluster.state.definitions[next(iter(cluster.state.definitions))].needs
    one = timed(lambda: Placer(cluster.state).place(CLUSTER, "g", needs), 50)
    lines.append(f"| one task on 500 instances | {one:.4f} | {one * 1e6:.0f} | |")
    return lines


def fleet(services: int, per_service: int, instances: int) -> World:
    """Services that run and are steady."""
    made = world(instances)
    for number in range(services):
        made.call("CreateService", serviceName=f"s{number}", taskDefinition="web", desiredCount=per_service)
    made.settle()
    for _ in range(2):
        made.now += 20.0
        made.look()
    return made


def reconciling() -> list[str]:
    lines = ["| one reconcile | ms | goal | floor ms | ratio |", "|---|---|---|---|---|"]
    for services, per_service, instances in ((50, 20, 50), (250, 20, 200), (1000, 20, 500), (2500, 20, 1000)):
        made = fleet(services, per_service, instances)
        tasks = services * per_service
        below = floor(tasks)
        name = f"{tasks:,} tasks, {services:,} services, {instances:,} instances"
        is_goal = tasks == 20_000
        quiet = timed(lambda made=made: reconcile(made.snapshot()))  # type: ignore[misc]
        goal = "50" if is_goal else ""
        lines.append(
            f"| {name}, quiet | {quiet * 1000:.1f} | {goal} | {below * 1000:.1f} | {quiet / below:.1f} |"
        )
        first = next(iter(made.state.instances.values()))
        made.commit([Put(replace(first, agent_connected=False, lost_at=made.now))])
        lost = timed(lambda made=made: reconcile(made.snapshot()))  # type: ignore[misc]
        goal = "120" if is_goal else ""
        lines.append(
            f"| {name}, an instance lost | {lost * 1000:.1f} | {goal} | {below * 1000:.1f} | {lost / below:.1f} |"
        )
    return lines


def memory() -> list[str]:
    made = world(500)
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    made.state.events = type(made.state.events)(maxlen=10)  # the log is bounded, and not what is asked here
    for number in range(250):
        made.call("CreateService", serviceName=f"s{number}", taskDefinition="web", desiredCount=20)
    made.settle()
    gc.collect()
    taken = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    return [
        f"memory: {taken / 5000:.0f} bytes a running task, its indexes and its service's share (goal 2,048)"
    ]


# -- the API -----------------------------------------------------------------------------------------------


def client(endpoint: str, key: str, secret: str) -> Any:
    import boto3

    return boto3.client(
        "ecs",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id=key,
        aws_secret_access_key=secret,
    )


def hammer(arguments: tuple[str, str, str, str, int]) -> int:
    """How many calls one client gets answered in the time."""
    endpoint, key, secret, what, number = arguments
    ecs = client(endpoint, key, secret)
    arns = ecs.list_tasks()["taskArns"]
    container = {"name": "app", "image": "busybox", "memory": 16}
    calls: dict[str, Callable[[int], Any]] = {
        "DescribeTasks of 1": lambda n: ecs.describe_tasks(tasks=[arns[n % len(arns)]]),
        "DescribeTasks of 100": lambda n: ecs.describe_tasks(tasks=arns[:100]),
        "RegisterTaskDefinition": lambda n: ecs.register_task_definition(
            family=f"bench-{number}", containerDefinitions=[{**container, "memory": 16 + n % 64}]
        ),
        "UpdateService": lambda n: ecs.update_service(service=f"s{number}", desiredCount=n % 2),
    }
    ends, count = time.monotonic() + SECONDS, 0
    while time.monotonic() < ends:
        calls[what](count)
        count += 1
    return count


def api() -> list[str]:
    """A real control plane, an agent that never answers, and eight boto3 clients in four processes."""
    from tests.conformance.test_ecs_api import start, stop

    goals = {"DescribeTasks of 1": 1000, "RegisterTaskDefinition": 300, "UpdateService": 300}
    lines = ["| requests a second, 8 boto3 clients | answered | goal |", "|---|---|---|"]
    with tempfile.TemporaryDirectory() as folder:
        control = start(Path(folder))
        key, secret = control.key.access_key_id, control.key.secret_access_key
        ecs = client(control.endpoint, key, secret)
        ecs.register_task_definition(
            family="web", containerDefinitions=[{"name": "app", "image": "busybox", "memory": 6, "cpu": 1}]
        )
        resources = [
            {"name": "CPU", "type": "INTEGER", "integerValue": 65536},
            {"name": "MEMORY", "type": "INTEGER", "integerValue": 65536},
        ]
        made = ecs.register_container_instance(cluster="default", totalResources=resources)
        instance = made["containerInstance"]["containerInstanceArn"]
        from tests.conformance.test_agent_protocol import Double

        double = Double(control, ecs)
        assert instance
        with double.acs():
            for number in range(CLIENTS):
                ecs.create_service(serviceName=f"s{number}", taskDefinition="web", desiredCount=0)
            ecs.create_service(serviceName="many", taskDefinition="web", desiredCount=100)
            deadline = time.monotonic() + 30
            while len(ecs.list_tasks()["taskArns"]) < 100 and time.monotonic() < deadline:
                time.sleep(0.1)
            for what in (
                "DescribeTasks of 1",
                "DescribeTasks of 100",
                "RegisterTaskDefinition",
                "UpdateService",
            ):
                jobs = [(control.endpoint, key, secret, what, n) for n in range(CLIENTS)]
                with ProcessPoolExecutor(CLIENTS) as pool:
                    answered = sum(pool.map(hammer, jobs)) / SECONDS
                lines.append(f"| {what} | {answered:.0f} | {goals.get(what, '')} |")
        stop(control)
    return lines


PARTS: dict[str, Callable[[], list[str]]] = {
    "placing": placing,
    "reconcile": reconciling,
    "memory": memory,
    "api": api,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "parts", nargs="*", metavar="PART", help=f"some of {', '.join(PARTS)}; all when none is named"
    )
    options = parser.parse_args()
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"unknown part: {', '.join(sorted(unknown))}")
    print(
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, {platform.system()} {platform.release()}, "
        f"Python {platform.python_version()}, load {os.getloadavg()[0]:.1f}\n"
    )
    for part in options.parts or list(PARTS):
        # Each in a process of its own: what one leaves behind is not the next one's.
        if len(options.parts) == 1:
            print("\n".join(PARTS[part]()), flush=True)
        else:
            subprocess.run([sys.executable, "-m", "tests.performance.bench_scheduler", part], check=True)
        print(flush=True)


if __name__ == "__main__":
    main()
