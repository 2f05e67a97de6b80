"""Samples in the shape of Docker's stats: what reads those must find its fields, with their types."""

from __future__ import annotations

from exporters.sample import ContainerIdentity, Interface, Sample
from exporters.stats import sample as read_back
from monitor.agent.docker_stats import stats, timestamp

WHO = ContainerIdentity(id="abc", name="ecs-web", image="i", pid=1)
BEFORE = Sample(
    at=100.0, container_id="abc", cpu_seconds=1.0, network=(Interface("eth0", 100, 1, 0, 0, 50, 1, 0, 0),)
)
NOW = Sample(
    at=110.0,
    container_id="abc",
    cpu_seconds=3.5,
    cpu_user_seconds=2.0,
    cpu_system_seconds=1.5,
    cpu_periods=10,
    cpu_throttled_periods=4,
    cpu_throttled_seconds=0.5,
    memory_usage_bytes=1000,
    memory_inactive_file_bytes=200,
    memory_limit_bytes=0,
    pids=3,
    blkio_read_bytes=7,
    blkio_write_bytes=8,
    network=(Interface("eth0", 1100, 11, 0, 0, 250, 9, 0, 0),),
)


def test_cpu_percent_is_what_docker_s_client_works_out() -> None:
    """(container's CPU ns) / (machine's CPU ns) x processors x 100, as `docker stats` does."""
    found = stats(WHO, NOW, BEFORE, cpus=4, booted_at=0.0, memory_bytes=8000)
    used = found["cpu_stats"]["cpu_usage"]["total_usage"] - found["precpu_stats"]["cpu_usage"]["total_usage"]
    machine = found["cpu_stats"]["system_cpu_usage"] - found["precpu_stats"]["system_cpu_usage"]
    assert used / machine * found["cpu_stats"]["online_cpus"] * 100 == 25.0
    assert found["cpu_stats"]["throttling_data"] == {
        "periods": 10,
        "throttled_periods": 4,
        "throttled_time": 500_000_000,
    }


def test_memory_network_and_disks() -> None:
    found = stats(WHO, NOW, BEFORE, cpus=4, booted_at=0.0, memory_bytes=8000)
    assert (found["memory_stats"]["usage"], found["memory_stats"]["limit"]) == (1000, 8000)
    assert found["networks"]["eth0"]["rx_bytes"] == 1100
    assert found["network_rate_stats"] == {"rx_bytes_per_sec": 100.0, "tx_bytes_per_sec": 20.0}
    assert found["pids_stats"] == {"current": 3}
    assert [(e["op"], e["value"]) for e in found["blkio_stats"]["io_service_bytes_recursive"]] == [
        ("Read", 7),
        ("Write", 8),
    ]
    assert found["blkio_stats"]["io_serviced_recursive"] == []


def test_the_first_sample_has_nothing_before_it() -> None:
    found = stats(WHO, NOW, None, cpus=4, booted_at=0.0, memory_bytes=8000)
    assert (found["precpu_stats"], found["preread"]) == ({}, "0001-01-01T00:00:00Z")
    assert "network_rate_stats" not in found
    assert found["read"] == timestamp(110.0) == "1970-01-01T00:01:50.000000000Z"


def test_it_is_read_back_as_the_sample_it_came_from() -> None:
    """By the reader of Docker's own stats."""
    found = read_back("abc", NOW.at, stats(WHO, NOW, BEFORE, cpus=4, booted_at=0.0, memory_bytes=8000))
    for field in (
        "cpu_seconds",
        "cpu_throttled_seconds",
        "memory_usage_bytes",
        "pids",
        "blkio_write_bytes",
        "network",
    ):
        assert getattr(found, field) == getattr(NOW, field), field
