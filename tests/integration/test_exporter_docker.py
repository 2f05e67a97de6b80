"""The exporter on real containers: its numbers beside the cgroup files and `docker stats`, and what it counts.

Numbers that move are compared by looking before and after: what was read in between must lie in between.
"""

from __future__ import annotations

import contextlib
import re
import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import docker
import docker.errors
import pytest
from prometheus_client.parser import text_string_to_metric_families

from exporters.docker import follow, identity
from exporters.exporter import Exporter
from exporters.render import render
from exporters.sample import Sample
from exporters.tracked import Counts
from tests.conftest import wait_until

pytestmark = pytest.mark.docker

ECS = "com.amazonaws.ecs."
MIB = 1024 * 1024
BURN = ["sh", "-c", "while :; do :; done"]
HOLD_50_MB = ["sh", "-c", "dd if=/dev/zero bs=50000000 count=1 2>/dev/null | sleep 3600"]
EAT = ["dd", "if=/dev/zero", "of=/dev/null", "bs=200M"]


class Docker:
    """A service's containers on the daemon, and an exporter that follows them as it does in earnest."""

    def __init__(self, url: str, image: str) -> None:
        self.api = docker.APIClient(base_url=url, version="auto", timeout=60)
        self.image, self.service = image, f"exp-{uuid.uuid4().hex[:12]}"
        self.started: list[str] = []
        self.exporter = Exporter()
        self.stop = threading.Event()
        e = self.exporter
        told = (url, e.on_event, e.replace, e.track, self.stop, e.set_docker_up)
        self.thread = threading.Thread(target=follow, args=told, daemon=True)
        self.thread.start()
        wait_until(lambda: self.exporter.docker_up, "the exporter follows Docker")

    def close(self) -> None:
        for container_id in self.started:
            with contextlib.suppress(docker.errors.NotFound):
                self.api.remove_container(container_id, force=True, v=True)
        self.stop.set()
        self.thread.join(30)
        self.exporter.close()
        self.api.close()

    def run(
        self, command: list[str], name: str = "app", healthcheck: dict[str, Any] | None = None, **limits: Any
    ) -> str:
        """Start a container of our service; returns its id."""
        labels = {
            f"{ECS}cluster": "exporter-test",
            f"{ECS}container-name": name,
            f"{ECS}task-arn": f"arn:aws:ecs:us-east-1:000000000001:task/exporter-test/{uuid.uuid4().hex}",
            f"{ECS}task-definition-family": self.service,
            f"{ECS}task-definition-version": "1",
            "moorwatch.service": self.service,
        }
        made = self.api.create_container(
            self.image,
            command,
            labels=labels,
            healthcheck=healthcheck,
            host_config=self.api.create_host_config(**limits),
        )
        self.started.append(made["Id"])
        self.api.start(made["Id"])
        return str(made["Id"])

    def run_sampled(self, command: list[str], **more: Any) -> str:
        container_id = self.run(command, **more)
        wait_until(lambda: self.exporter.latest(container_id), "the new container is sampled")
        return container_id

    def sample(self, container_id: str) -> Sample:
        found = {s.container_id: s for s in self.exporter.sample_all()}
        return found[container_id]

    def counts(self, name: str = "app") -> Counts:
        return dict(self.exporter.counts()).get(("exporter-test", self.service, name), Counts())

    def series(self) -> dict[str, list[dict[str, str]]]:
        """Metric → the labels of its series, of our service."""
        found: dict[str, list[dict[str, str]]] = {}
        for family in text_string_to_metric_families(render(self.exporter).decode()):
            for sample in family.samples:
                if sample.labels.get("service") == self.service:
                    found.setdefault(sample.name, []).append(sample.labels)
        return found

    def pid(self, container_id: str) -> int:
        return identity(self.api.inspect_container(container_id)).pid

    def stats(self, container_id: str) -> dict[str, Any]:
        """What `docker stats` computes from."""
        return dict(self.api.stats(container_id, stream=False, one_shot=True))


@pytest.fixture
def real(docker_url: str, busybox_image: str) -> Iterator[Docker]:
    found = Docker(docker_url, busybox_image)
    yield found
    found.close()


def cgroup_file(pid: int, v1: tuple[str, str], v2: str) -> Callable[[], str]:
    """Reads a cgroup file of a process, found here by plain means: (controller, name) on v1, name on v2."""
    folders = {}
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            folders[controller] = path.lstrip("/")
    if v1[0] in folders:
        return (Path("/sys/fs/cgroup") / v1[0] / folders[v1[0]] / v1[1]).read_text
    return (Path("/sys/fs/cgroup") / folders[""] / v2).read_text


def number(text: str, field: str = "") -> int:
    """The file's number, or that of one of its lines."""
    found = re.search(rf"^{field}\s*(\d+)$", text, re.MULTILINE) if field else re.match(r"(\d+)", text)
    assert found, text
    return int(found[1])


def close_to(value: float | None, other: float) -> bool:
    """Within 5 %, the goal."""
    return value is not None and abs(value - other) <= 0.05 * other


def cpu_file(pid: int) -> Callable[[], float]:
    read = cgroup_file(pid, ("cpuacct", "cpuacct.usage"), "cpu.stat")

    def seconds() -> float:
        text = read()
        return number(text, "usage_usec") / 1e6 if "usage_usec" in text else number(text) / 1e9

    return seconds


class Burner:
    """A container that burns half a core, seen by the cgroup file, us and Docker."""

    TIGHT_SECONDS = 0.03

    def __init__(self, real: Docker) -> None:
        self.real = real
        self.id = real.run_sampled(BURN, cpu_quota=50_000, cpu_period=100_000)
        self.of_file = cpu_file(real.pid(self.id))

    def ours(self) -> float:
        found = self.real.sample(self.id).cpu_seconds
        assert found is not None
        return found

    def look(self) -> tuple[float, float, float] | None:
        """(the file's, ours, Docker's) CPU seconds; None when the machine was too busy to look at all at once."""
        file, ours, after = self.of_file(), self.ours(), self.of_file()
        docker_says = self.real.stats(self.id)["cpu_stats"]["cpu_usage"]["total_usage"] / 1e9
        later = self.ours()
        assert file <= ours <= after
        assert ours <= docker_says <= later
        return (file, ours, docker_says) if later - file < self.TIGHT_SECONDS else None

    def tight_look(self) -> tuple[float, float, float]:
        found: tuple[float, float, float] = wait_until(self.look, "a look at all within a moment")
        return found


def test_cpu_of_a_container_that_burns_half_a_core(real: Docker) -> None:
    burner = Burner(real)
    wait_until(lambda: burner.of_file() > 1, "a CPU second is burnt")
    first = burner.tight_look()
    wait_until(lambda: burner.of_file() > first[0] + 2, "two more CPU seconds are burnt")
    last = burner.tight_look()
    file, ours, docker_says = last
    assert close_to(ours, file)
    assert close_to(ours, docker_says)
    file, ours, docker_says = (b - a for a, b in zip(first, last, strict=True))
    assert close_to(ours, file), "the rate, too"
    assert close_to(ours, docker_says), "the rate, too"


def test_throttling_is_docker_s(real: Docker) -> None:
    burner = real.run_sampled(BURN, cpu_quota=5_000, cpu_period=100_000)
    wait_until(lambda: real.sample(burner).cpu_throttled_periods, "it is held back by its quota")
    before = real.sample(burner)
    docker_says = real.stats(burner)["cpu_stats"]["throttling_data"]
    after = real.sample(burner)
    for field, theirs, unit in (
        ("cpu_periods", "periods", 1),
        ("cpu_throttled_periods", "throttled_periods", 1),
        ("cpu_throttled_seconds", "throttled_time", 1e9),
    ):
        assert getattr(before, field) <= docker_says[theirs] / unit <= getattr(after, field), field


def test_memory_of_a_container_that_holds_50_mb(real: Docker) -> None:
    holder = real.run_sampled(HOLD_50_MB, mem_limit=100 * MIB)
    pid = real.pid(holder)
    read = cgroup_file(pid, ("memory", "memory.usage_in_bytes"), "memory.current")
    wait_until(lambda: number(read()) > 50_000_000, "50 MB are held")
    wait_until(lambda: (real.sample(holder).memory_rss_bytes or 0) >= 50_000_000, "and not growing")

    ours = real.sample(holder)
    assert close_to(ours.memory_usage_bytes, number(read()))
    stats = real.stats(holder)["memory_stats"]
    inactive = stats["stats"].get("total_inactive_file", stats["stats"].get("inactive_file", 0))
    assert close_to(ours.memory_usage_bytes, stats["usage"])
    assert close_to(ours.memory_working_set_bytes, stats["usage"] - inactive)
    assert close_to(ours.memory_rss_bytes, 50_000_000)
    assert ours.memory_limit_bytes == stats["limit"] == 100 * MIB
    assert (ours.memory_peak_bytes or 0) >= 50_000_000


def test_network_and_processes_are_docker_s(real: Docker) -> None:
    server = real.run_sampled(["sh", "-c", "nc -l -p 80 -e sleep 3600 & nc -l -p 81 -e sleep 3600 & wait"])
    address = real.api.inspect_container(server)["NetworkSettings"]["Networks"]["bridge"]["IPAddress"]
    client = real.run_sampled(["sh", "-c", f"echo hello | nc {address} 80; sleep 3600"], name="client")
    wait_until(
        lambda: sum(i.tx_bytes for i in real.sample(client).network) > 0, "the client has sent something"
    )
    for container_id in (server, client):
        before = real.sample(container_id)
        docker_says = real.stats(container_id)
        after = real.sample(container_id)
        assert [i.name for i in before.network] == list(docker_says["networks"])
        for interface, later in zip(before.network, after.network, strict=True):
            theirs = docker_says["networks"][interface.name]
            for field in ("rx_bytes", "rx_packets", "tx_bytes", "tx_packets", "rx_dropped", "tx_errors"):
                assert getattr(interface, field) <= theirs[field] <= getattr(later, field), field
        assert before.pids == docker_says["pids_stats"]["current"]


def test_host_network_shows_no_counters_of_the_whole_machine(real: Docker) -> None:
    host = real.run_sampled(["sleep", "3600"], network_mode="host")
    assert real.sample(host).network == ()


def test_an_oom_kill_is_counted_once_and_leaves_the_memory_at_death(real: Docker) -> None:
    real.run(EAT, mem_limit=16 * MIB, memswap_limit=16 * MIB)
    wait_until(lambda: real.counts().exits == 1, "the eater's death is counted")
    real.exporter.sample_all()
    counts = real.counts()
    assert (counts.starts, counts.exits, counts.failed_exits) == (1, 1, 1)
    # The kernel may take the runtime's own process in the cgroup with it: then it has killed two, and says so.
    assert counts.oom_kills in (1, 2)


def test_an_oom_kill_of_a_child_in_a_container_that_lives_on(real: Docker) -> None:
    eater = real.run_sampled(
        ["sh", "-c", f"{' '.join(EAT)}; sleep 3600"], mem_limit=16 * MIB, memswap_limit=16 * MIB
    )
    wait_until(lambda: real.sample(eater).oom_kills, "the kernel has killed")
    wait_until(lambda: real.counts().oom_kills, "the kill is counted")
    assert real.sample(eater).oom_kills == real.counts().oom_kills == 1
    assert real.counts().exits == 0


def test_health_changes_are_seen(real: Docker) -> None:
    second = 1_000_000_000
    check = {
        "test": ["CMD-SHELL", "test ! -e /tmp/ill"],
        "interval": second // 2,
        "timeout": 10 * second,
        "retries": 1,
    }
    patient = real.run_sampled(["sleep", "3600"], healthcheck=check)

    def health() -> str:
        return next((t.health for t in real.exporter.tracked() if t.identity.id == patient), "")

    wait_until(lambda: health() == "healthy", "the container is found healthy")
    made = real.api.exec_create(patient, ["sh", "-c", "mkdir -p /tmp; touch /tmp/ill"])
    real.api.exec_start(made["Id"])
    wait_until(lambda: health() == "unhealthy", "the container is found unhealthy")
    assert real.counts().unhealthy == 1
    assert len(real.series()["ecs_container_health_status"]) == 3


def test_a_killed_container_leaves_the_exposition_and_its_counters_stay(real: Docker) -> None:
    victim = real.run_sampled(["sleep", "3600"], mem_limit=32 * MIB)
    survivor = real.run_sampled(["sleep", "3600"], name="other")
    assert len(real.series()["ecs_container_memory_usage_bytes"]) == 2
    real.api.kill(victim)
    wait_until(lambda: real.counts().exits == 1, "the death is counted")
    real.exporter.sample_all()
    assert [s["container"] for s in real.series()["ecs_container_memory_usage_bytes"]] == ["other"]
    assert real.counts().failed_exits == 1
    words = real.exporter.last_words(victim)
    assert words is not None
    assert words.memory_limit_bytes == 32 * MIB
    assert words.memory_peak_bytes
    assert real.sample(survivor).pids == 1


def test_a_cgroup_that_is_gone_ends_its_sampling_even_without_an_event(real: Docker) -> None:
    victim = real.run_sampled(["sleep", "3600"])
    deaf = Exporter()
    deaf.track(identity(real.api.inspect_container(victim)))
    assert len(deaf.sample_all()) == 1
    real.api.remove_container(victim, force=True)
    wait_until(lambda: not deaf.sample_all(), "the reader finds its cgroup gone")
    assert deaf.tracked() == []
    assert deaf.read_errors == 0


def test_a_restart_in_place_is_counted_and_sampled_anew(real: Docker) -> None:
    again = real.run_sampled(["sleep", "3600"])
    first = real.pid(again)
    real.api.restart(again, timeout=0)
    wait_until(lambda: real.counts().starts == 2, "the second start is counted")
    assert [t.identity.pid for t in real.exporter.tracked() if t.identity.id == again] == [real.pid(again)]
    assert real.pid(again) != first
    assert (real.counts().restarts, real.counts().exits) == (1, 1)
    assert real.sample(again).pids == 1
