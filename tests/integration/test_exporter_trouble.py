"""The exporter alone on a real Docker daemon that hangs, and on one whose containers run elsewhere."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import docker
import pytest
from prometheus_client.parser import text_string_to_metric_families

from monitor.cli import dockerd, image
from tests.conftest import _PrivateDockerd, free_port, wait_until

pytestmark = [pytest.mark.docker, pytest.mark.slow]
BURN = ["sh", "-c", "while true; do true; done"]


@pytest.fixture(scope="module")
def daemon() -> Iterator[_PrivateDockerd]:
    """One of our own, as it is stopped in its tracks."""
    if os.geteuid() != 0 or not dockerd.own_daemon(Path("/")).binary:
        pytest.skip("only root can start a Docker daemon, and dockerd must be there (sh deploy/system.sh)")
    own = _PrivateDockerd()
    with own:
        yield own


@contextmanager
def exporter(host: str, *arguments: str) -> Iterator[str]:
    port = free_port()
    argv = [
        sys.executable,
        "-m",
        "exporters",
        "--docker-host",
        host,
        "--listen",
        f"127.0.0.1:{port}",
        *arguments,
    ]
    process = subprocess.Popen(argv, stderr=subprocess.DEVNULL)
    try:
        yield f"http://127.0.0.1:{port}/metrics"
    finally:
        process.terminate()
        process.wait(30)


def values(url: str, name: str) -> dict[str, float]:
    """Container → value."""
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            text = answer.read().decode()
    except OSError:
        return {}
    samples = (s for f in text_string_to_metric_families(text) for s in f.samples)
    return {s.labels.get("container", ""): s.value for s in samples if s.name == name}


@contextmanager
def burning(host: str, name: str) -> Iterator[None]:
    client = docker.APIClient(base_url=host, version="auto")
    options: dict[str, Any] = {"host_config": client.create_host_config(nano_cpus=50_000_000)}
    made = client.create_container(image.IMAGE, BURN, name=name, **options)
    client.start(made["Id"])
    try:
        yield
    finally:
        client.remove_container(made["Id"], force=True)
        client.close()


def test_cgroup_metrics_go_on_while_docker_hangs(daemon: _PrivateDockerd) -> None:
    host = daemon.own.host
    with burning(host, "busy"), exporter(host) as url:
        name = "ecs_container_cpu_seconds_total"
        wait_until(lambda: values(url, name).get("busy"), "it is sampled")
        os.kill(daemon.process.pid, signal.SIGSTOP)
        try:
            wait_until(lambda: values(url, "ecs_agent_docker_up").get("") == 0, "the hang is noticed")
            before = values(url, name)["busy"]
            wait_until(lambda: values(url, name)["busy"] > before + 0.02, "its CPU time goes on")
            assert values(url, "ecs_exporter_docker_event_gaps_total")[""] >= 1
        finally:
            os.kill(daemon.process.pid, signal.SIGCONT)
        wait_until(lambda: values(url, "ecs_agent_docker_up").get("") == 1, "Docker is back")


def test_containers_whose_processes_are_not_here_are_sampled_by_docker_s_stats(
    daemon: _PrivateDockerd, tmp_path: Path
) -> None:
    host = daemon.own.host
    elsewhere = ("--proc", str(tmp_path), "--cgroup-root", str(tmp_path))
    with burning(host, "far"), exporter(host, *elsewhere) as url:
        name = "ecs_container_cpu_seconds_total"
        first = wait_until(lambda: values(url, name).get("far"), "Docker has told its stats")
        wait_until(lambda: values(url, name)["far"] > first, "and again")
        assert values(url, "ecs_exporter_fallback_containers")[""] == 1
        assert values(url, "ecs_container_memory_working_set_bytes")["far"] > 0
        assert values(url, "ecs_exporter_read_errors_total")[""] == 0
