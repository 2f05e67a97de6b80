"""What an Exporter keeps: a tracked container, and the counters of each (cluster, service, container)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Protocol

from exporters.rare import Rare
from exporters.sample import ContainerIdentity, Group, LastWords, Sample
from exporters.usage import Window

GROUPS_KEPT = 10_000
CODES_KEPT = 64  # of one group; a program has few


class Reader(Protocol):
    """Where a container's samples come from."""

    @property
    def quota_cores(self) -> float:
        """The CPU ceiling in force, also of the task's cgroup; 0: none, or not known."""
        ...

    def read(self, at: float) -> Sample:
        """Raises Gone, Unreadable, BadFile (of exporters.cgroups and exporters.parse)."""
        ...

    def close(self) -> None: ...


# (who, whether descriptors may stay open) → its reader; raises Gone.
OpenReader = Callable[[ContainerIdentity, bool], Reader]


@dataclass(slots=True)
class Tracked:
    identity: ContainerIdentity
    reader: Reader
    window: Window = field(default_factory=Window)
    rare: Rare | None = None
    health: str = ""
    memory_high: int = 0
    oom_counted: int = 0
    label_text: str = ""  # kept by the rendering

    def __post_init__(self) -> None:
        self.health = self.health or self.identity.health

    @property
    def sample(self) -> Sample | None:
        """The newest."""
        return self.window.newest

    def took(self, sample: Sample) -> None:
        self.window.add(sample)
        self.memory_high = max(self.memory_high, sample.memory_peak_bytes or sample.memory_usage_bytes or 0)

    def last_words(self) -> LastWords:
        s = self.sample
        limit = (s.memory_limit_bytes if s else 0) or self.identity.memory_limit_bytes
        return LastWords(
            memory_bytes=s.memory_usage_bytes if s else None,
            memory_peak_bytes=self.memory_high or None,
            memory_limit_bytes=limit or None,
            oom_kills=self.oom_counted,
        )


@dataclass(slots=True)
class Counts:
    """Of one group, since the exporter started."""

    starts: int = 0
    restarts: int = 0  # the same container again
    exits: int = 0
    failed_exits: int = 0  # exit code other than 0
    oom_kills: int = 0
    health_changes: int = 0
    unhealthy: int = 0  # changes to unhealthy
    by_code: dict[int, int] = field(default_factory=dict)  # exit code → containers that ended
    last_exit_code: int | None = None
    since: float = 0.0  # epoch seconds

    def ended(self, exit_code: int | None) -> None:
        self.exits += 1
        self.failed_exits += 1 if exit_code != 0 else 0
        if exit_code is not None and (exit_code in self.by_code or len(self.by_code) < CODES_KEPT):
            self.by_code[exit_code] = self.by_code.get(exit_code, 0) + 1
        self.last_exit_code = exit_code


class Groups:
    """Counts per group, at most GROUPS_KEPT: those not touched for longest go first. Not thread-safe."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._counts: OrderedDict[Group, Counts] = OrderedDict()

    def get(self, group: Group) -> Counts:
        found = self._counts.get(group)
        if found is None:
            found = self._counts[group] = Counts(since=self._now())
            if len(self._counts) > GROUPS_KEPT:
                self._counts.popitem(last=False)
        else:
            self._counts.move_to_end(group)
        return found

    def of(self, identity: ContainerIdentity) -> Counts:
        return self.get(identity.group)

    def drop(self, is_over: Callable[[Group], bool]) -> None:
        for group in [g for g in self._counts if is_over(g)]:
            del self._counts[group]

    def discard(self, group: Group) -> None:
        self._counts.pop(group, None)

    def snapshot(self) -> list[tuple[Group, Counts]]:
        shown = sorted(self._counts.items(), key=lambda item: item[0])
        return [(group, replace(counts, by_code=dict(counts.by_code))) for group, counts in shown]
