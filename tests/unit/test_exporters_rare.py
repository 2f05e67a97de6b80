"""What is looked at rarely: layers, sockets, limits, health checks."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from exporters import rare
from exporters.rare import (
    Rare,
    RareLooks,
    Sockets,
    measure_layer,
    parse_health,
    parse_open_files,
    parse_sockets,
)
from exporters.sample import ContainerIdentity

SOCKSTAT = b"""sockets: used 12
TCP: inuse 3 orphan 9 tw 2 alloc 40 mem 7
UDP: inuse 1 mem 2
UDPLITE: inuse 0
RAW: inuse 0
FRAG: inuse 0 memory 0
"""
SOCKSTAT6 = b"TCP6: inuse 4\nUDP6: inuse 5\nUDPLITE6: inuse 0\nRAW6: inuse 0\nFRAG6: inuse 0 memory 0\n"
LIMITS = b"""Limit                     Soft Limit           Hard Limit           Units
Max cpu time              unlimited            unlimited            seconds
Max open files            1024                 4096                 files
"""
HEALTH = {
    "State": {
        "Health": {
            "FailingStreak": 2,
            "Log": [
                {"Start": "2026-01-02T03:04:05.0Z", "End": "2026-01-02T03:04:09.0Z"},
                {"Start": "2026-01-02T03:05:05.25+01:00", "End": "2026-01-02T03:05:05.75+01:00"},
            ],
        }
    }
}


def test_sockets_of_both_address_families_are_added() -> None:
    assert parse_sockets(SOCKSTAT, SOCKSTAT6) == (
        Sockets("tcp", "inuse", 7),
        Sockets("tcp", "time_wait", 2),
        Sockets("udp", "inuse", 6),
        Sockets("raw", "inuse", 0),
    )
    assert parse_sockets(b"", b"nonsense") == ()


def test_open_files() -> None:
    assert parse_open_files(LIMITS) == 1024
    assert parse_open_files(LIMITS.replace(b"1024  ", b"unlimited")) is None
    assert parse_open_files(b"") is None


def test_health_checks() -> None:
    assert parse_health(HEALTH) == (0.5, 2)
    assert parse_health({"State": {}}) == (None, None)
    assert parse_health({"State": {"Health": {"Log": [{"Start": "x"}]}}}) == (None, 0)


def test_a_layer_is_measured_in_disk_space_hard_links_once(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").write_bytes(b"x" * 10_000)
    os.link(tmp_path / "folder" / "file", tmp_path / "again")
    (tmp_path / "loop").symlink_to(tmp_path)
    size, inodes = measure_layer(tmp_path)
    on_disk = [(tmp_path / name).lstat().st_blocks * 512 for name in ("folder", "folder/file", "loop")]
    assert (size, inodes) == (sum(on_disk), 4)


def test_a_layer_out_of_sight_or_too_large_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert measure_layer(tmp_path / "not there") == (None, None)
    monkeypatch.setattr(rare, "MOST_ENTRIES", 2)
    for name in "abc":
        (tmp_path / name).touch()
    assert measure_layer(tmp_path) == (None, None)


def looks(tmp_path: Path, who: list[ContainerIdentity], inspect: Mapping[str, Any] | None) -> dict[str, Rare]:
    found: dict[str, Rare] = {}
    looker = RareLooks(lambda: who, found.__setitem__, lambda _: inspect, tmp_path)
    looker.look(threading.Event(), 100.0)
    return found


def test_a_look(tmp_path: Path) -> None:
    (tmp_path / "7" / "net").mkdir(parents=True)
    (tmp_path / "7" / "net" / "sockstat").write_bytes(SOCKSTAT)
    (tmp_path / "7" / "limits").write_bytes(LIMITS)
    who = ContainerIdentity(
        id="a", name="a", image="i", pid=7, has_health_check=True, layer=str(tmp_path / "7")
    )
    found = looks(tmp_path, [who], HEALTH)["a"]
    assert (found.open_files_limit, found.health_seconds, found.health_failures) == (1024, 0.5, 2)
    assert (found.layer_inodes, found.sockets[0]) == (3, Sockets("tcp", "inuse", 3))


def test_what_cannot_be_had_is_left_out(tmp_path: Path) -> None:
    """The process is gone, its network is the machine's, Docker does not answer."""
    who = ContainerIdentity(id="a", name="a", image="i", pid=7, network_mode="host", has_health_check=True)
    assert looks(tmp_path, [who], None) == {"a": Rare()}


def test_a_layer_is_measured_again_only_after_a_minute(tmp_path: Path) -> None:
    who = [ContainerIdentity(id="a", name="a", image="i", pid=7, layer=str(tmp_path))]
    found: dict[str, Rare] = {}
    looker = RareLooks(lambda: who, found.__setitem__, lambda _: None, tmp_path)
    stop = threading.Event()
    inodes = []
    for now in (100.0, 159.0, 161.0):
        looker.look(stop, now)
        inodes.append(found["a"].layer_inodes)
        (tmp_path / str(now)).touch()
    assert inodes == [0, 0, 2]
