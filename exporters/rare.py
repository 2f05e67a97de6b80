"""Facts of a container that are too dear for each second: its writable layer, sockets, limits, health checks.

A thread looks at them every fifteen seconds, at layers every minute. Nothing here holds up sampling or a scrape;
what cannot be had (no rights, a daemon that hangs) is left out.
"""

from __future__ import annotations

import logging
import os
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from exporters.docker import timestamp
from exporters.sample import ContainerIdentity

log = logging.getLogger("moorwatch.exporter")

LOOK_SECONDS = 15.0
LAYER_SECONDS = 60.0
MOST_ENTRIES = 100_000  # of one layer; beyond, its size is left out
BLOCK_BYTES = 512  # the unit of st_blocks
_SOCKETS = re.compile(rb"^(TCP|UDP|RAW)6?: inuse (\d+)(?: orphan \d+ tw (\d+))?", re.MULTILINE)
_OPEN_FILES = re.compile(rb"^Max open files\s+(\d+)", re.MULTILINE)


class Sockets(NamedTuple):
    protocol: str
    state: str
    number: int


class Rare(NamedTuple):
    layer_bytes: int | None = None
    layer_inodes: int | None = None
    open_files_limit: int | None = None
    health_seconds: float | None = None
    health_failures: int | None = None
    sockets: tuple[Sockets, ...] = ()


def parse_sockets(*texts: bytes) -> tuple[Sockets, ...]:
    """/proc/PID/net/sockstat and sockstat6 → counts; only those that the kernel keeps by network namespace."""
    found: dict[tuple[str, str], int] = {}
    for text in texts:
        for match in _SOCKETS.finditer(text):
            protocol = match[1].decode().lower()
            found[protocol, "inuse"] = found.get((protocol, "inuse"), 0) + int(match[2])
            if match[3] is not None:
                found[protocol, "time_wait"] = int(match[3])
    return tuple(Sockets(protocol, state, count) for (protocol, state), count in found.items())


def parse_open_files(text: bytes) -> int | None:
    """/proc/PID/limits → the soft limit; None: unlimited, or not told."""
    match = _OPEN_FILES.search(text)
    return int(match[1]) if match else None


def parse_health(raw: Mapping[str, Any]) -> tuple[float | None, int | None]:
    """`docker inspect` → (seconds the last health check took, failures in a row)."""
    health = (raw.get("State") or {}).get("Health") or {}
    log_of = health.get("Log") or []
    if not log_of:
        return None, None
    started, ended = timestamp(log_of[-1].get("Start", "")), timestamp(log_of[-1].get("End", ""))
    took = None if started is None or ended is None else max(0.0, ended - started)
    return took, int(health.get("FailingStreak") or 0)


def measure_layer(folder: Path) -> tuple[int | None, int | None]:
    """(bytes on disk, files and folders) below it; hard links count once. None, None: not to be seen, or too many."""
    size, entries = 0, 0
    linked: set[tuple[int, int]] = set()
    try:
        for found in _walk(folder):
            entries += 1
            if entries > MOST_ENTRIES:
                return None, None
            if found.st_nlink > 1:
                if (found.st_dev, found.st_ino) in linked:
                    continue
                linked.add((found.st_dev, found.st_ino))
            size += found.st_blocks * BLOCK_BYTES
    except OSError:
        return None, None
    return size, entries


def _walk(folder: Path) -> Iterator[os.stat_result]:
    """Everything below; what goes away meanwhile is passed over. Raises OSError when the folder itself is not there."""
    waiting = [os.fspath(folder)]
    is_first = True
    while waiting:
        at = waiting.pop()
        try:
            entries = os.scandir(at)
        except OSError:
            if is_first:
                raise
            continue
        is_first = False
        with entries:
            for entry in entries:
                try:
                    found = entry.stat(follow_symlinks=False)
                    is_folder = entry.is_dir(follow_symlinks=False)
                except OSError:
                    continue
                yield found
                if is_folder and found.st_nlink != 0:
                    waiting.append(entry.path)


Inspect = Callable[[str], Mapping[str, Any] | None]


class RareLooks:
    """Keeps the rare facts of the containers that are tracked.

    `tracked` gives them, `took` takes what was found; `inspect` asks Docker and gives None when it cannot.
    """

    def __init__(
        self,
        tracked: Callable[[], list[ContainerIdentity]],
        took: Callable[[str, Rare], None],
        inspect: Inspect,
        proc: Path,
    ) -> None:
        self._tracked, self._took, self._inspect, self._proc = tracked, took, inspect, proc
        self._layers: dict[str, tuple[float, int | None, int | None]] = {}

    def run(self, stop: threading.Event) -> None:
        """In a thread, until `stop`."""
        while not stop.wait(LOOK_SECONDS):
            self.look(stop, time.monotonic())

    def look(self, stop: threading.Event, now: float) -> None:
        """One round; `now` in monotonic seconds."""
        found = self._tracked()
        for gone in self._layers.keys() - {who.id for who in found}:
            del self._layers[gone]
        for who in found:
            if stop.is_set():
                return
            self._took(who.id, self._one(who, now))

    def _one(self, who: ContainerIdentity, now: float) -> Rare:
        process = self._proc / str(who.pid)
        seconds, failures = None, None
        if who.has_health_check:
            raw = self._inspect(who.id)
            seconds, failures = parse_health(raw) if raw is not None else (None, None)
        sockets: tuple[Sockets, ...] = ()
        if who.network_mode != "host":
            net = process / "net"
            sockets = parse_sockets(_text(net / "sockstat"), _text(net / "sockstat6"))
        return Rare(
            *self._layer(who, now), parse_open_files(_text(process / "limits")), seconds, failures, sockets
        )

    def _layer(self, who: ContainerIdentity, now: float) -> tuple[int | None, int | None]:
        if not who.layer:
            return None, None
        at, size, inodes = self._layers.get(who.id, (0.0, None, None))
        if at and now - at < LAYER_SECONDS:
            return size, inodes
        size, inodes = measure_layer(Path(who.layer))
        self._layers[who.id] = (now, size, inodes)
        return size, inodes


def _text(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
