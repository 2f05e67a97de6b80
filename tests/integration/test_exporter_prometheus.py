"""`python -m exporters` as a process: promtool accepts it, a real Prometheus scrapes it, Ctrl-C ends it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import docker
import pytest

from tests.conftest import free_port, wait_until
from tests.integration.test_exporter_docker import BURN, Docker

pytestmark = [pytest.mark.docker, pytest.mark.prometheus]


def get(url: str) -> bytes:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return bytes(answer.read())
    except OSError:
        return b""


@pytest.fixture
def process_log(tmp_path: Path) -> Iterator[IO[str]]:
    with (tmp_path / "exporter.log").open("w+") as log:
        yield log


@pytest.fixture
def exporter(docker_url: str, process_log: IO[str]) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "exporters", "--listen", "127.0.0.1:0", "--interval", "0.5"],
        env={**os.environ, "DOCKER_HOST": docker_url},
        stderr=process_log,
        text=True,
    )
    yield process
    if process.poll() is None:
        process.kill()
    process.wait(30)


def url_of(log: IO[str]) -> str:
    def told() -> str:
        found = re.search(r"metrics at (\S+)", Path(log.name).read_text())
        return found[1] if found else ""

    return str(wait_until(told, "the exporter says where its metrics are"))


def test_it_runs_alone_until_ctrl_c(
    exporter: subprocess.Popen[str],
    process_log: IO[str],
    docker_url: str,
    busybox_image: str,
    promtool_binary: str,
) -> None:
    url = url_of(process_log)
    client = docker.APIClient(base_url=docker_url, version="auto")
    name = f"exp-alone-{os.getpid()}"
    made = client.create_container(busybox_image, ["sleep", "3600"], name=name)
    try:
        client.start(made["Id"])
        text = f'container="{name}"'.encode()
        wait_until(lambda: text in get(url), "a container that is no task's is shown by its name")
        body = get(url)
    finally:
        client.remove_container(made["Id"], force=True)
        client.close()
    checked = subprocess.run(
        [promtool_binary, "check", "metrics"], input=body, capture_output=True, check=False
    )
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, b"")
    wait_until(lambda: text not in get(url), "a removed container leaves nothing behind")
    exporter.send_signal(signal.SIGINT)
    assert exporter.wait(30) == 0
    assert "Traceback" not in Path(process_log.name).read_text()


def test_without_docker_it_says_so_and_serves_on(process_log: IO[str], short_tmp: Path) -> None:
    command = [sys.executable, "-m", "exporters", "--listen", "127.0.0.1:0"]
    command += ["--docker-host", f"unix://{short_tmp}/none.sock"]
    process = subprocess.Popen(command, stderr=process_log, text=True)
    try:
        url = url_of(process_log)
        wait_until(lambda: b"\necs_agent_docker_up 0.0\n" in get(url), "it serves metrics")
        log = Path(process_log.name)
        wait_until(lambda: "does not answer (No such file or directory)" in log.read_text(), "it says why")
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(30)


@pytest.fixture
def prometheus(
    prometheus_binary: str, exporter: subprocess.Popen[str], process_log: IO[str], tmp_path: Path
) -> Iterator[str]:
    """A real Prometheus that scrapes the exporter each second; its address."""
    target = urllib.parse.urlsplit(url_of(process_log)).netloc
    config = tmp_path / "prometheus.yml"
    config.write_text(
        json.dumps(
            {
                "global": {"scrape_interval": "1s", "scrape_timeout": "1s"},
                "scrape_configs": [{"job_name": "ecs", "static_configs": [{"targets": [target]}]}],
            }
        )
    )
    address = f"127.0.0.1:{free_port()}"
    with (tmp_path / "prometheus.log").open("w") as log:
        process = subprocess.Popen(
            [
                prometheus_binary,
                f"--config.file={config}",
                f"--storage.tsdb.path={tmp_path / 'data'}",
                f"--web.listen-address={address}",
            ],
            stdout=log,
            stderr=log,
        )
    try:
        wait_until(lambda: get(f"http://{address}/-/ready"), "Prometheus is ready")
        yield f"http://{address}"
    finally:
        process.terminate()
        process.wait(30)


def query(prometheus: str, expression: str) -> list[float]:
    body = get(f"{prometheus}/api/v1/query?{urllib.parse.urlencode({'query': expression})}")
    found = json.loads(body)
    assert found["status"] == "success", found
    return [float(series["value"][1]) for series in found["data"]["result"]]


def test_a_real_prometheus_scrapes_it(prometheus: str, docker_url: str, busybox_image: str) -> None:
    wait_until(lambda: query(prometheus, 'up{job="ecs"}') == [1.0], "Prometheus sees the target up")
    real = Docker(docker_url, busybox_image)
    try:
        real.run(BURN, cpu_quota=50_000, cpu_period=100_000)
        mine = f'service="{real.service}",container="app"'
        cpu = f"ecs_container_cpu_seconds_total{{{mine}}}"
        wait_until(
            lambda: query(prometheus, f"increase({cpu}[1m]) > 1"), "it burns by Prometheus's reckoning"
        )
        rate = query(prometheus, f"rate({cpu}[30s])")[0]
        assert 0 < rate <= 0.55, "no more than its quota of half a core"
        assert query(prometheus, f"ecs_container_memory_working_set_bytes{{{mine}}} > 0")
        assert query(prometheus, f"ecs_container_oom_kills_total{{{mine}}}") == [0.0]
        assert query(prometheus, "ecs_exporter_sample_age_seconds < 5")
        assert query(prometheus, "scrape_samples_scraped > 50")
    finally:
        real.close()
    wait_until(lambda: not query(prometheus, cpu), "the series ends with its container")
    assert query(prometheus, f"ecs_container_exits_total{{{mine}}}") == [1.0]
