"""Docker's stats as samples, for containers whose cgroups are out of sight."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from exporters.cgroups import Gone, NotVisible, Unreadable
from exporters.exporter import Exporter
from exporters.sample import ContainerIdentity, Interface
from exporters.stats import StatsPoller, sample

V1: dict[str, Any] = {
    "cpu_stats": {
        "cpu_usage": {
            "total_usage": 2_500_000_000,
            "usage_in_usermode": 1_500_000_000,
            "usage_in_kernelmode": 10**9,
        },
        "throttling_data": {"periods": 200, "throttled_periods": 50, "throttled_time": 1_500_000_000},
    },
    "memory_stats": {
        "usage": 65_536_000,
        "max_usage": 66_000_000,
        "failcnt": 7,
        "limit": 67_108_864,
        "stats": {
            "total_cache": 12_288_000,
            "total_inactive_file": 8_192_000,
            "total_rss": 53_248_000,
            "total_pgfault": 9,
        },
    },
    "blkio_stats": {
        "io_service_bytes_recursive": [
            {"op": "Read", "value": 4096},
            {"op": "write", "value": 1},
            {"op": "Sync", "value": 9},
        ],
        "io_serviced_recursive": None,
    },
    "pids_stats": {"current": 5},
    "networks": {"eth0": {"rx_bytes": 1, "rx_packets": 2, "rx_errors": 3, "rx_dropped": 4, "tx_bytes": 5}},
}


def test_v1() -> None:
    found = sample("a", 9.0, V1)
    assert (found.at, found.cpu_seconds, found.cpu_user_seconds, found.cpu_throttled_periods) == (
        9.0,
        2.5,
        1.5,
        50,
    )
    assert (found.memory_usage_bytes, found.memory_working_set_bytes) == (65_536_000, 57_344_000)
    assert (found.memory_limit_bytes, found.memory_rss_bytes, found.memory_failures) == (
        67_108_864,
        53_248_000,
        7,
    )
    assert (found.blkio_read_bytes, found.blkio_write_bytes, found.blkio_reads) == (4096, 1, None)
    assert found.network == (Interface("eth0", 1, 2, 3, 4, 5, 0, 0, 0),)


def test_v2_names_and_no_limit() -> None:
    memory = {"usage": 100, "limit": 1 << 62, "stats": {"inactive_file": 30, "anon": 50, "pgfault": 2}}
    found = sample("a", 9.0, {"memory_stats": memory})
    assert (found.memory_working_set_bytes, found.memory_rss_bytes, found.page_faults) == (70, 50, 2)
    assert (found.memory_limit_bytes, found.cpu_seconds) == (0, None)


def test_an_answer_with_nothing_in_it_is_a_sample_that_knows_nothing() -> None:
    """Docker's answer for a container that is just ending."""
    found = sample("a", 9.0, {"cpu_stats": {}, "memory_stats": {}, "networks": None, "pids_stats": {}})
    assert found.at == 9.0
    assert {v for k, v in found._asdict().items() if k not in ("at", "container_id", "network")} == {None}


class Docker:
    def __init__(self) -> None:
        self.answers: dict[str, Mapping[str, Any] | OSError | None] = {}

    def stats(self, container_id: str) -> Mapping[str, Any] | None:
        found = self.answers[container_id]
        if isinstance(found, OSError):
            raise found
        return found


def test_the_newest_answer_is_read_and_one_that_fails_leaves_the_last() -> None:
    docker, clock = Docker(), [1.0]
    poller = StatsPoller(docker.stats, lambda: clock[0])
    with ThreadPoolExecutor(2) as pool:
        reader = poller.open(ContainerIdentity(id="a", name="a", image="i", pid=1))
        with pytest.raises(Unreadable, match="not told its stats yet"):
            reader.read(0.0)
        docker.answers["a"] = V1
        poller.ask_all(pool)
        assert reader.read(0.0).at == 1.0
        docker.answers["a"], clock[0] = TimeoutError("hangs"), 2.0
        poller.ask_all(pool)
        assert reader.read(0.0).at == 1.0
        docker.answers["a"] = None
        poller.ask_all(pool)
        with pytest.raises(Gone):
            reader.read(0.0)
    reader.close()
    assert poller.count() == 0


def test_containers_of_another_machine_are_sampled_by_it_and_short_lived_ones_of_this_are_not() -> None:
    """No process of theirs has ever been seen here, against one that is gone before it could be."""

    class Here:
        quota_cores = 0.0

        def read(self, at: float) -> Any:
            return sample("here", at, V1)

        def close(self) -> None:
            """Nothing is held."""

    def open_cgroups(identity: ContainerIdentity, _: bool) -> Any:
        if identity.id != "here":
            raise Gone("no such process")
        return Here()

    exporter = Exporter(now=lambda: 5.0, open_reader=open_cgroups)
    exporter.stats = StatsPoller(Docker().stats, lambda: 5.0)
    exporter.track(ContainerIdentity(id="there", name="there", image="i", pid=1))
    assert exporter.stats.count() == 1
    assert exporter.sample_all() == []
    assert exporter.read_errors == 0
    exporter.track(ContainerIdentity(id="here", name="here", image="i", pid=1))
    exporter.track(ContainerIdentity(id="short", name="short", image="i", pid=1))
    assert {t.identity.id for t in exporter.tracked()} == {"there", "here"}


def test_the_exporter_falls_back_to_it_only_when_cgroups_cannot_be_seen() -> None:
    def no_cgroups(identity: ContainerIdentity, _: bool) -> Any:
        raise NotVisible("not from here")

    docker = Docker()
    docker.answers["a"] = V1
    exporter = Exporter(now=lambda: 5.0, open_reader=no_cgroups)
    who = ContainerIdentity(id="a", name="a", image="i", pid=1)
    exporter.track(who)
    assert exporter.sample_all() == []
    exporter.stats = StatsPoller(docker.stats, lambda: 5.0)
    exporter.track(who)
    with ThreadPoolExecutor(1) as pool:
        exporter.stats.ask_all(pool)
    (found,) = exporter.sample_all()
    assert (found.container_id, found.cpu_seconds, exporter.unreadable()) == ("a", 2.5, 0)
