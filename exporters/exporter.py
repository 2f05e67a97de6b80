"""Exporter: the containers that are tracked, their newest samples, and counters that outlive them.

A container leaves /metrics with the first sample round that finds it gone; what it did to its service (exits,
OOM kills, health changes) stays, counted per service and container name, from 0 on. Everything kept is bounded.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from exporters import host
from exporters.cgroups import (
    FILES_A_CONTAINER,
    CgroupReader,
    Gone,
    NotVisible,
    NotYet,
    Unreadable,
)
from exporters.hierarchy import PROC, ROOT, Hierarchies
from exporters.parse import BadFile
from exporters.rare import Rare
from exporters.sample import ContainerIdentity, Group, LastWords, RuntimeEvent, Sample
from exporters.shown import Shown
from exporters.stats import StatsPoller
from exporters.tracked import Counts, Groups, OpenReader, Reader, Tracked

log = logging.getLogger("moorwatch.exporter")

LAST_WORDS_KEPT = 1000


class Exporter:
    """Thread-safe: events, sampling and scrapes come from different threads.

    Sampling reads files without the lock, so that neither a scrape nor an event waits for a round.
    """

    def __init__(
        self,
        root: Path = ROOT,
        proc: Path = PROC,
        now: Callable[[], float] = time.time,
        open_reader: OpenReader | None = None,
        shown: Shown | None = None,
    ) -> None:
        """`root` and `proc` are where the host's /sys/fs/cgroup and /proc show."""
        self.shown = shown or Shown()
        self.proc = proc
        self.stats: StatsPoller | None = None  # set: containers without visible cgroups are sampled by it
        self.data_root = ""  # Docker's folder
        self._now = now
        hierarchies = Hierarchies(root, proc)

        def open_cgroups(identity: ContainerIdentity, keep_open: bool) -> Reader:
            return CgroupReader(identity, root, proc, hierarchies, keep_open)

        self._open_reader = open_reader or open_cgroups
        # Beyond half of the process's descriptors, containers are read without keeping their files open.
        self._kept_open = host.descriptor_limit() // 2 // FILES_A_CONTAINER
        self._lock = threading.Lock()
        self._tracked: dict[str, Tracked] = {}
        self._last: OrderedDict[str, LastWords] = OrderedDict()
        self._unreadable: OrderedDict[str, None] = OrderedDict()
        self._groups = Groups(now)
        self._since = now()
        self._has_seen = False  # the cgroup of any container
        self.sampled_at = 0.0
        self.sample_seconds = 0.0
        self.render_seconds = 0.0
        self.read_errors = 0
        self.events = 0
        self.event_gaps = 0
        self.dropped_series = 0
        self.event_lag_seconds = 0.0
        self.docker_up = False

    # -- who is tracked -----------------------------------------------------------------------------

    def track(self, identity: ContainerIdentity) -> None:
        """Start sampling a running container. Tracking one twice changes nothing, unless it was started anew."""
        if identity.pid <= 0 or identity.is_internal:
            return
        with self._lock:
            known = self._tracked.get(identity.id)
            if known is not None and known.identity.pid == identity.pid:
                return
            self._groups.of(identity)
            keep_open = len(self._tracked) < self._kept_open
        try:
            reader = self._open_reader(identity, keep_open)
        except NotVisible as reason:
            self._not_visible(identity, reason)
            if self.stats is None:
                return
            reader = self.stats.open(identity)
        except Gone:
            # It was shorter-lived than the question; or, where no process of any container has ever been seen, they
            # all run on another machine than this.
            if self._has_seen or self.stats is None:
                return
            reader = self.stats.open(identity)
        else:
            self._has_seen = True
        if reader.quota_cores:
            identity = replace(identity, cpu_quota_cores=reader.quota_cores)
        fresh = Tracked(identity, reader)
        self._first_look(fresh)
        with self._lock:
            known = self._tracked.get(identity.id)
            if known is not None and known.identity.pid == identity.pid:
                reader.close()  # another thread was faster
                return
            self._forget(identity.id)
            self._tracked[identity.id] = fresh

    def _first_look(self, tracked: Tracked) -> None:
        """So that even a short-lived container leaves its last words."""
        try:
            sample = tracked.reader.read(self._now())
        except (Gone, Unreadable, BadFile):
            return  # the next round finds out and counts
        # OOM kills of before our own start are not news: after a restart they would count twice.
        if (tracked.identity.started_at or 0.0) < self._since:
            tracked.oom_counted = sample.oom_kills or 0
        self._took(tracked, sample)

    def _not_visible(self, identity: ContainerIdentity, reason: NotVisible) -> None:
        with self._lock:
            is_news = identity.id not in self._unreadable
            self._unreadable[identity.id] = None
            while len(self._unreadable) > LAST_WORDS_KEPT:
                self._unreadable.popitem(last=False)
        if is_news:
            instead = "no samples" if self.stats is None else "samples by Docker's stats, every ten seconds,"
            log.warning("%s of %s: %s", instead, identity.name, reason)

    def replace(self, found: Sequence[ContainerIdentity]) -> None:
        """All running containers, anew."""
        running = {i.id for i in found}
        with self._lock:
            for gone in set(self._tracked) - running:
                self._forget(gone)
            for gone in set(self._unreadable) - running:
                del self._unreadable[gone]
        for identity in found:
            self.track(identity)

    def forget(self, container_id: str) -> None:
        """Stop sampling a container; its last words are kept."""
        with self._lock:
            self._forget(container_id)

    def _forget(self, container_id: str) -> None:
        self._unreadable.pop(container_id, None)
        tracked = self._tracked.pop(container_id, None)
        if tracked is None:
            return
        tracked.reader.close()
        self._last[container_id] = tracked.last_words()
        self._last.move_to_end(container_id)
        while len(self._last) > LAST_WORDS_KEPT:
            self._last.popitem(last=False)

    def declare(self, cluster: str, service: str, container: str) -> None:
        """Make the group's counters exist at 0: a counter first seen at 1 fires no alert."""
        with self._lock:
            self._groups.get((cluster, service, container))

    def declare_service(self, cluster: str, service: str, containers: Iterable[str]) -> None:
        """`declare` for each container of a service, by name."""
        for container in containers:
            self.declare(cluster, service, container)

    def retire_service(self, cluster: str, service: str) -> None:
        """The service is deleted: its counters leave /metrics."""
        with self._lock:
            self._groups.drop(lambda group: group[:2] == (cluster, service))

    # -- what happens -------------------------------------------------------------------------------

    def on_event(self, event: RuntimeEvent) -> None:
        with self._lock:
            self.events += 1
            self.event_lag_seconds = max(0.0, self._now() - event.at)
            tracked = self._tracked.get(event.container_id)
            identity = tracked.identity if tracked else _from_labels(event)
            if identity.is_internal:
                return
            match event.kind:
                case "start":
                    counts = self._groups.of(identity)
                    counts.starts += 1
                    counts.restarts += 1 if event.container_id in self._last else 0
                case "die":
                    self._groups.of(identity).ended(event.exit_code)
                    # An event told late, after a restart in place, is not about the process that runs now.
                    if tracked is None or event.at >= (tracked.identity.started_at or 0.0):
                        self._forget(event.container_id)
                case "oom":
                    self._oom_event(event, tracked, identity)
                case "health_status":
                    self._health_event(event, tracked, identity)
                case "destroy":
                    self._forget(event.container_id)
                    if not identity.cluster:  # names of containers that are no task's would pile up
                        self._groups.discard(identity.group)

    def _health_event(
        self, event: RuntimeEvent, tracked: Tracked | None, identity: ContainerIdentity
    ) -> None:
        counts = self._groups.of(identity)
        counts.unhealthy += 1 if event.health == "unhealthy" else 0
        if tracked is None or tracked.health != event.health:
            counts.health_changes += 1
        if tracked is not None:
            tracked.health = event.health

    def _oom_event(self, event: RuntimeEvent, tracked: Tracked | None, identity: ContainerIdentity) -> None:
        """The kernel's own counter tells too; whichever is first counts, once."""
        if tracked is not None:
            if tracked.oom_counted == 0:
                tracked.oom_counted = 1
                self._groups.of(identity).oom_kills += 1
            return
        words = self._last.get(event.container_id)
        if words is None or words.oom_kills == 0:
            self._groups.of(identity).oom_kills += 1

    # -- sampling -----------------------------------------------------------------------------------

    def sample_all(self, now: float | None = None) -> list[Sample]:
        """One sample of every tracked container; those that are gone are forgotten. For one thread at a time."""
        started = time.perf_counter()
        at = self._now() if now is None else now
        with self._lock:
            round_of = list(self._tracked.items())
        out: list[Sample] = []
        for container_id, tracked in round_of:
            try:
                sample = tracked.reader.read(at)
            except Gone:
                with self._lock:
                    if self._tracked.get(container_id) is tracked:
                        self._forget(container_id)
                continue
            except NotYet:
                continue
            except (BadFile, Unreadable) as error:
                self.read_errors += 1
                log.debug("no sample of %s: %s", tracked.identity.name, error)
                continue
            self._took(tracked, sample)
            out.append(sample)
        self.sampled_at = at
        self.sample_seconds = time.perf_counter() - started
        return out

    def sample_now(self, container_id: str, now: float | None = None) -> Sample | None:
        """One container's sample out of turn: the moment its process ends, the cgroup still tells the peak."""
        tracked = self._tracked.get(container_id)
        if tracked is None:
            return None
        try:
            sample = tracked.reader.read(self._now() if now is None else now)
        except (Gone, BadFile, Unreadable):
            return None
        self._took(tracked, sample)
        return sample

    def _took(self, tracked: Tracked, sample: Sample) -> None:
        tracked.took(sample)
        if (sample.oom_kills or 0) > tracked.oom_counted:
            with self._lock:
                kills = sample.oom_kills or 0
                self._groups.of(tracked.identity).oom_kills += max(0, kills - tracked.oom_counted)
                tracked.oom_counted = max(kills, tracked.oom_counted)

    # -- reading ------------------------------------------------------------------------------------

    def tracked(self) -> list[Tracked]:
        with self._lock:
            return list(self._tracked.values())

    def counts(self) -> list[tuple[Group, Counts]]:
        """Per (cluster, service, container), sorted."""
        with self._lock:
            return self._groups.snapshot()

    def unreadable(self) -> int:
        """Running containers whose cgroups cannot be seen from here."""
        return len(self._unreadable)

    def age_seconds(self) -> float:
        """Of the newest round of samples; 0 before the first."""
        return max(0.0, self._now() - self.sampled_at) if self.sampled_at else 0.0

    def now(self) -> float:
        return self._now()

    @property
    def since(self) -> float:
        """When the counters of groups began at 0."""
        return self._since

    def set_docker_up(self, up: bool) -> None:
        self.event_gaps += 1 if self.docker_up and not up else 0
        self.docker_up = up

    def took_rare(self, container_id: str, found: Rare) -> None:
        tracked = self._tracked.get(container_id)
        if tracked is not None:
            tracked.rare = found

    def find(self, container_id: str) -> Tracked | None:
        return self._tracked.get(container_id)

    def latest(self, container_id: str) -> Sample | None:
        found = self._tracked.get(container_id)
        return found.sample if found else None

    def last_words(self, container_id: str) -> LastWords | None:
        """Memory at the last look, of a container that runs or ended lately."""
        with self._lock:
            found = self._tracked.get(container_id)
            return found.last_words() if found else self._last.get(container_id)

    def close(self) -> None:
        with self._lock:
            for container_id in list(self._tracked):
                self._forget(container_id)


def _from_labels(event: RuntimeEvent) -> ContainerIdentity:
    """Who it was, from the labels that Docker puts into each event."""
    return ContainerIdentity(
        id=event.container_id,
        name=event.labels.get("name", ""),
        image=event.labels.get("image", ""),
        pid=0,
        labels=event.labels,
    )
