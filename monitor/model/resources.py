"""The resource vector a task takes from a container instance (ECS developer guide, "Task placement").

CPU in units (1,024 = one core), memory in MiB, ports as (number, protocol).
"""

from __future__ import annotations

from dataclasses import dataclass, field

Port = tuple[int, str]


@dataclass(frozen=True, slots=True)
class Resources:
    cpu: int = 0
    memory: int = 0
    ports: frozenset[Port] = frozenset()

    def plus(self, other: Resources) -> Resources:
        return Resources(self.cpu + other.cpu, self.memory + other.memory, self.ports | other.ports)


@dataclass(slots=True)
class Usage:
    """What the tasks on one instance take together; changed in place as tasks come and go."""

    cpu: int = 0
    memory: int = 0
    ports: dict[Port, int] = field(default_factory=dict)
    tasks: int = 0

    def add(self, need: Resources) -> None:
        self.cpu += need.cpu
        self.memory += need.memory
        self.tasks += 1
        for port in need.ports:
            self.ports[port] = self.ports.get(port, 0) + 1

    def remove(self, need: Resources) -> None:
        self.cpu -= need.cpu
        self.memory -= need.memory
        self.tasks -= 1
        for port in need.ports:
            left = self.ports.get(port, 0) - 1
            if left > 0:
                self.ports[port] = left
            else:
                self.ports.pop(port, None)

    def copy(self) -> Usage:
        return Usage(self.cpu, self.memory, dict(self.ports), self.tasks)


def shortage(total: Resources, used: Usage, need: Resources) -> str | None:
    """The first resource of `total` that lacks room for `need`, as RunTask names it: RESOURCE:CPU,
    RESOURCE:MEMORY or RESOURCE:PORTS. None when it fits.

    `total.ports` are the ports the instance keeps for itself.
    """
    if used.cpu + need.cpu > total.cpu:
        return "RESOURCE:CPU"
    if used.memory + need.memory > total.memory:
        return "RESOURCE:MEMORY"
    if need.ports and any(port in used.ports or port in total.ports for port in need.ports):
        return "RESOURCE:PORTS"
    return None
