"""What is measured: who a container is, one sample of it, and what happened to it.

Units are in the names; `at` is epoch seconds; counters only grow while the container lives. None where the
kernel at hand does not tell.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

ECS = "com.amazonaws.ecs."
Group = tuple[str, str, str]  # cluster, service, container


@dataclass(frozen=True, slots=True)
class ContainerIdentity:
    """A running container, as Docker's inspect shows it."""

    id: str
    name: str
    image: str
    pid: int
    labels: Mapping[str, str] = field(default_factory=dict)
    network_mode: str = "bridge"
    created_at: float | None = None
    started_at: float | None = None
    memory_limit_bytes: int = 0
    memory_reservation_bytes: int = 0
    memory_swap_limit_bytes: int = 0
    processes_limit: int = 0
    cpu_shares: int = 0
    cpu_quota_cores: float = 0.0
    health: str = ""
    has_health_check: bool = False
    layer: str = ""  # the folder of its writable layer on the Docker host

    @property
    def cluster(self) -> str:
        return self.labels.get(f"{ECS}cluster", "").rsplit("/", 1)[-1]

    @property
    def service(self) -> str:
        """ "" for a task of no service, or a container that is no task's."""
        return self.labels.get("moorwatch.service", "")

    @property
    def family(self) -> str:
        return self.labels.get(f"{ECS}task-definition-family", "")

    @property
    def revision(self) -> str:
        return self.labels.get(f"{ECS}task-definition-version", "")

    @property
    def task(self) -> str:
        """The task's id."""
        return self.labels.get(f"{ECS}task-arn", "").rsplit("/", 1)[-1]

    @property
    def container(self) -> str:
        """Its name in the task definition; Docker's name for a container that is no task's."""
        return self.labels.get(f"{ECS}container-name", "") or self.name

    @property
    def is_internal(self) -> bool:
        """Made by a container agent to hold a task's namespaces: it does nothing, and its end by SIGKILL is no failure
        (Amazon's agent names its own the same way)."""
        return self.container.startswith("~internal~")

    @property
    def group(self) -> Group:
        """What failure counters are kept by."""
        return self.cluster, self.service, self.container


class Interface(NamedTuple):
    """Counters of one network interface of a container, as the container sees directions."""

    name: str
    rx_bytes: int
    rx_packets: int
    rx_errors: int
    rx_dropped: int
    tx_bytes: int
    tx_packets: int
    tx_errors: int
    tx_dropped: int


class Sample(NamedTuple):
    """One look at a container. A tuple, as it is made each second for each: a frozen dataclass costs 7 µs more."""

    at: float
    container_id: str
    cpu_seconds: float | None = None
    cpu_user_seconds: float | None = None
    cpu_system_seconds: float | None = None
    cpu_periods: int | None = None
    cpu_throttled_periods: int | None = None
    cpu_throttled_seconds: float | None = None
    memory_usage_bytes: int | None = None
    memory_cache_bytes: int | None = None  # what "used" leaves out: v1 cache, v2 inactive_file
    memory_working_set_bytes: int | None = None
    memory_rss_bytes: int | None = None
    memory_mapped_file_bytes: int | None = None
    memory_swap_bytes: int | None = None
    memory_active_anon_bytes: int | None = None
    memory_inactive_anon_bytes: int | None = None
    memory_active_file_bytes: int | None = None
    memory_inactive_file_bytes: int | None = None
    memory_unevictable_bytes: int | None = None
    memory_kernel_bytes: int | None = None
    memory_peak_bytes: int | None = None
    memory_limit_bytes: int | None = None  # in force, so of the container or its task; 0: none
    memory_failures: int | None = None
    page_faults: int | None = None
    major_page_faults: int | None = None
    oom_kills: int | None = None
    pids: int | None = None
    blkio_read_bytes: int | None = None
    blkio_write_bytes: int | None = None
    blkio_reads: int | None = None
    blkio_writes: int | None = None
    cpu_waiting_seconds: float | None = None  # pressure: waiting = some task, stalled = all of them
    memory_waiting_seconds: float | None = None
    memory_stalled_seconds: float | None = None
    io_waiting_seconds: float | None = None
    io_stalled_seconds: float | None = None
    network: tuple[Interface, ...] = ()


@dataclass(frozen=True, slots=True)
class RuntimeEvent:
    """`kind`: create, start, die, oom, health_status, destroy … as Docker names them."""

    kind: str
    container_id: str
    at: float
    exit_code: int | None = None
    health: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LastWords:
    """What memory a container had when it was last looked at, and at most."""

    memory_bytes: int | None
    memory_peak_bytes: int | None
    memory_limit_bytes: int | None
    oom_kills: int
