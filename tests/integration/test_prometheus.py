"""A real Prometheus scrapes the whole stack for a minute, and its numbers are those of Docker and the kernel."""

from __future__ import annotations

import json
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import docker
import pytest

from exporters.parse import parse_proc_cgroup
from tests.conftest import Stack, free_port, wait_until

pytestmark = [pytest.mark.docker, pytest.mark.prometheus, pytest.mark.slow]

MINUTE = 60
# Half of each tenth of a second is burnt, by the CPU quota; and 50 MB are written into memory and kept.
BURN = "while true; do true; done"
HOLD = "dd if=/dev/zero of=/dev/shm/held bs=1M count=50 2>/dev/null; sleep 100000"
Query = Callable[[str], list[dict[str, Any]]]


@pytest.fixture
def query(stack: Stack, prometheus_binary: str, tmp_path: Path) -> Iterator[Query]:
    """Ask a Prometheus that scrapes both processes of the stack each second."""
    targets = [f"127.0.0.1:{stack.port}", f"127.0.0.1:{stack.agent_port}"]
    config = {
        "global": {"scrape_interval": "1s"},
        "scrape_configs": [{"job_name": "ecs", "static_configs": [{"targets": targets}]}],
    }
    file, port = tmp_path / "prometheus.json", free_port()
    file.write_text(json.dumps(config))  # JSON is YAML
    with (tmp_path / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(
            [
                prometheus_binary,
                f"--config.file={file}",
                f"--storage.tsdb.path={tmp_path / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stdout=log,
            stderr=log,
        )

    def ask(expression: str) -> list[dict[str, Any]]:
        text = urllib.parse.urlencode({"query": expression})
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/query?{text}", timeout=10) as answer:
                found: list[dict[str, Any]] = json.load(answer)["data"]["result"]
                return found
        except OSError:
            return []

    yield ask
    process.terminate()
    process.wait(30)


def value(found: list[dict[str, Any]]) -> float:
    assert len(found) == 1, found
    return float(found[0]["value"][1])


def run(stack: Stack, image: str, name: str, script: str, **members: Any) -> None:
    client = stack.client()
    container = {
        "name": "main",
        "image": image,
        "command": ["sh", "-c", script],
        "stopTimeout": 2,
        "memory": 128,
    }
    linux = {"sharedMemorySize": 100}
    client.register_task_definition(
        family=name, containerDefinitions=[{**container, "linuxParameters": linux}], **members
    )
    client.create_service(serviceName=name, taskDefinition=name, desiredCount=1)
    client.get_waiter("services_stable").wait(services=[name], WaiterConfig={"Delay": 1})
    client.close()


def running(api: docker.APIClient, family: str) -> str:
    label = f"com.amazonaws.ecs.task-definition-family={family}"
    found = api.containers(filters={"label": [label]})
    assert len(found) == 1
    return str(found[0]["Id"])


def cpu_seconds(api: docker.APIClient, container_id: str) -> float:
    """What the container's cgroup says, read by hand."""
    pid = api.inspect_container(container_id)["State"]["Pid"]
    paths = parse_proc_cgroup(Path(f"/proc/{pid}/cgroup").read_text())
    if "cpuacct" in paths:
        return (
            int((Path("/sys/fs/cgroup/cpuacct") / paths["cpuacct"].lstrip("/") / "cpuacct.usage").read_text())
            / 1e9
        )
    lines = (Path("/sys/fs/cgroup") / paths[""].lstrip("/") / "cpu.stat").read_text().split()
    return int(lines[lines.index("usage_usec") + 1]) / 1e6


def memory_used(stats: dict[str, Any]) -> int:
    """As `docker stats` shows it: usage without inactive page cache."""
    memory = stats["memory_stats"]
    detail = memory["stats"]
    return int(memory["usage"]) - int(detail.get("total_inactive_file", detail.get("inactive_file", 0)))


def test_a_minute_of_scrapes_tells_what_docker_and_the_kernel_tell(
    stack: Stack, docker_url: str, busybox_image: str, query: Query
) -> None:
    api = docker.APIClient(base_url=docker_url, version="1.41")
    run(stack, busybox_image, "burner", BURN, cpu="512")
    run(stack, busybox_image, "holder", HOLD)
    wait_until(lambda: len(query("up == 1")) == 2, "both targets are up")
    burner, holder = running(api, "burner"), running(api, "holder")

    # The kernel's own account of the same minute, between two readings.
    started, used = time.monotonic(), cpu_seconds(api, burner)
    wait_until(lambda: time.monotonic() - started >= MINUTE, "a minute passes", MINUTE + 30)
    kernel = (cpu_seconds(api, burner) - used) / (time.monotonic() - started)
    seen = value(query(f'rate(ecs_container_cpu_seconds_total{{service="burner"}}[{MINUTE - 5}s])'))
    assert 0.1 < kernel < 0.55  # it burns what it gets, and its quota is half a core
    assert seen == pytest.approx(kernel, rel=0.05)

    assert value(query("min(min_over_time(up[30s]))")) == 1
    stats = api.stats(holder, stream=False)
    shown = value(query('ecs_container_memory_working_set_bytes{service="holder"}'))
    assert shown == pytest.approx(memory_used(stats), rel=0.05)
    assert shown >= 50 * 1024 * 1024
    labels = query('ecs_container_memory_working_set_bytes{service="holder"}')[0]["metric"]
    assert (labels["cluster"], labels["family"], labels["container"]) == ("default", "holder", "main")

    # Failure counters are there at 0 before anything has failed.
    for series in (
        'ecs_task_stopped_total{service="holder",stop_code="EssentialContainerExited"}',
        'ecs_container_oom_kills_total{service="holder",container="main"}',
    ):
        assert value(query(series)) == 0
    assert value(query('ecs_service_running_tasks{service="holder"}')) == 1
    assert value(query("ecs_container_instance_agent_connected")) == 1

    api.kill(holder)
    wait_until(
        lambda: (
            [
                r["value"][1]
                for r in query(
                    'ecs_task_stopped_total{service="holder",stop_code="EssentialContainerExited"}'
                )
            ]
            == ["1"]
        ),
        "the stop is counted",
    )
    wait_until(
        lambda: query('ecs_task_replacement_latency_seconds_count{service="holder"} == 1'),
        "and its replacement",
    )
    api.close()


@pytest.mark.parametrize("port", ["port", "agent_port"])
def test_promtool_finds_nothing_to_say(stack: Stack, promtool_binary: str, port: str) -> None:
    with urllib.request.urlopen(f"http://127.0.0.1:{getattr(stack, port)}/metrics", timeout=10) as answer:
        text = answer.read()
    done = subprocess.run([promtool_binary, "check", "metrics"], input=text, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout.decode() + done.stderr.decode()
