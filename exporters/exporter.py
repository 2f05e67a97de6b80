"""Exporter: the containers that are tracked, their newest samples, and counters that outlive them.

A container leaves /metrics with the first sample round that finds it gone; what it did to its service (exits,
OOM kills, health changes) stays, counted per service and container name, from 0 on.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from exporters.cgroups import BadFile, CgroupReader, Gone
from exporters.sample import ContainerIdentity, LastWords, RuntimeEvent, Sample

LAST_WORDS_KEPT = 1000
Group = tuple[str, str, str]  # cluster, service, container


@dataclass(slots=True)
class Tracked:
    identity: ContainerIdentity
    reader: CgroupReader | None
    sample: Sample | None = None
    health: str = ""
    memory_high: int = 0
    oom_counted: int = 0


@dataclass(slots=True)
class Counts:
    """Of one group, since the exporter started."""

    starts: int = 0
    exits: int = 0
    failed_exits: int = 0  # exit code other than 0
    oom_kills: int = 0
    unhealthy: int = 0  # changes to unhealthy


class Exporter:
    """Thread-safe: events, sampling and scrapes come from different threads."""

    def __init__(
        self,
        root: Path = Path("/sys/fs/cgroup"),
        proc: Path = Path("/proc"),
        now: Callable[[], float] = time.time,
    ) -> None:
        self._root, self._proc, self._now = root, proc, now
        self._lock = threading.Lock()
        self._tracked: dict[str, Tracked] = {}
        self._last: OrderedDict[str, LastWords] = OrderedDict()
        self.counts: dict[Group, Counts] = {}
        self.sampled_at = 0.0
        self.sample_seconds = 0.0
        self.read_errors = 0
        self.events = 0
        self.event_lag_seconds = 0.0
        self.docker_up = False

    # -- who is tracked -----------------------------------------------------------------------------

    def track(self, identity: ContainerIdentity) -> None:
        """Start sampling a running container; tracking one twice changes nothing."""
        with self._lock:
            if identity.id in self._tracked or identity.pid <= 0:
                return
            self._count(identity)
            try:
                reader = CgroupReader(identity, self._root, self._proc)
            except Gone:
                return
            self._tracked[identity.id] = Tracked(identity, reader, health=identity.health)

    def replace(self, found: Sequence[ContainerIdentity]) -> None:
        """All running containers, anew."""
        for gone in set(self._tracked) - {i.id for i in found}:
            self.forget(gone)
        for identity in found:
            self.track(identity)

    def forget(self, container_id: str) -> None:
        with self._lock:
            self._forget(container_id)

    def _forget(self, container_id: str) -> None:
        tracked = self._tracked.pop(container_id, None)
        if tracked is None:
            return
        if tracked.reader is not None:
            tracked.reader.close()
        self._keep_words(tracked)

    def _keep_words(self, tracked: Tracked) -> None:
        self._last[tracked.identity.id] = _words(tracked)
        while len(self._last) > LAST_WORDS_KEPT:
            self._last.popitem(last=False)

    def declare(self, cluster: str, service: str, container: str) -> None:
        """Make the group's counters exist at 0."""
        with self._lock:
            self.counts.setdefault((cluster, service, container), Counts())

    def _count(self, identity: ContainerIdentity) -> Counts:
        group = (identity.cluster, identity.service, identity.container)
        return self.counts.setdefault(group, Counts())

    # -- what happens -------------------------------------------------------------------------------

    def on_event(self, event: RuntimeEvent) -> None:
        with self._lock:
            self.events += 1
            self.event_lag_seconds = max(0.0, self._now() - event.at)
            tracked = self._tracked.get(event.container_id)
            identity = tracked.identity if tracked else _from_labels(event)
            counts = self._count(identity)
            match event.kind:
                case "start":
                    counts.starts += 1
                case "die":
                    counts.exits += 1
                    counts.failed_exits += 1 if event.exit_code != 0 else 0
                    self._forget(event.container_id)
                case "oom":
                    # The kernel's own counter tells too; whichever is first counts, once.
                    if tracked is None or tracked.oom_counted == 0:
                        counts.oom_kills += 1
                        if tracked is not None:
                            tracked.oom_counted = 1
                case "health_status":
                    counts.unhealthy += 1 if event.health == "unhealthy" else 0
                    if tracked is not None:
                        tracked.health = event.health

    # -- sampling -----------------------------------------------------------------------------------

    def sample_all(self, now: float | None = None) -> list[Sample]:
        """One sample of every tracked container; those that are gone are forgotten."""
        started = time.perf_counter()
        at = self._now() if now is None else now
        out = []
        with self._lock:
            for container_id, tracked in list(self._tracked.items()):
                if tracked.reader is None:
                    continue
                try:
                    sample = tracked.reader.read(at)
                except Gone:
                    self._forget(container_id)
                    continue
                except BadFile:
                    self.read_errors += 1
                    continue
                self._took(tracked, sample)
                out.append(sample)
            self.sampled_at = at
            self.sample_seconds = time.perf_counter() - started
        return out

    def _took(self, tracked: Tracked, sample: Sample) -> None:
        tracked.sample = sample
        tracked.memory_high = max(
            tracked.memory_high, sample.memory_peak_bytes or sample.memory_usage_bytes or 0
        )
        kills = sample.oom_kills or 0
        if kills > tracked.oom_counted:
            self._count(tracked.identity).oom_kills += kills - tracked.oom_counted
            tracked.oom_counted = kills

    # -- reading ------------------------------------------------------------------------------------

    def tracked(self) -> list[Tracked]:
        with self._lock:
            return list(self._tracked.values())

    def age_seconds(self) -> float:
        """Of the newest round of samples; 0 before the first."""
        return max(0.0, self._now() - self.sampled_at) if self.sampled_at else 0.0

    def set_docker_up(self, up: bool) -> None:
        self.docker_up = up

    def latest(self, container_id: str) -> Sample | None:
        found = self._tracked.get(container_id)
        return found.sample if found else None

    def last_words(self, container_id: str) -> LastWords | None:
        """Memory at the last look, of a container that runs or ended lately."""
        with self._lock:
            found = self._tracked.get(container_id)
            return _words(found) if found else self._last.get(container_id)

    def close(self) -> None:
        with self._lock:
            for container_id in list(self._tracked):
                self._forget(container_id)


def _words(tracked: Tracked) -> LastWords:
    s = tracked.sample
    return LastWords(
        memory_bytes=s.memory_usage_bytes if s else None,
        memory_peak_bytes=tracked.memory_high or None,
        memory_limit_bytes=tracked.identity.memory_limit_bytes or None,
        oom_kills=tracked.oom_counted,
    )


def _from_labels(event: RuntimeEvent) -> ContainerIdentity:
    """Who it was, from the labels that Docker puts into each event."""
    return ContainerIdentity(
        id=event.container_id,
        name=event.labels.get("name", ""),
        image=event.labels.get("image", ""),
        pid=0,
        labels=event.labels,
    )
