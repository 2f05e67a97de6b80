"""The machine's use in TCS: an extra of ours, which Amazon's agent leaves to the CloudWatch agent. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

Fact = tuple[str, Mapping[str, str], float]
_IDLE = ("idle", "iowait")


@dataclass(slots=True)
class HostUse:
    """Remembers the counters of the facts before."""

    _before: dict[str, float] = field(default_factory=dict)
    _at: float = 0.0

    def told(self, facts: Iterable[Fact], now: float) -> dict[str, float]:
        """From exporters.host.facts: `cpuPercent` of all processors, `memoryBytes` that cannot be freed,
        `filesystemPercent` of Docker's file system, `networkBytesPerSecond` both ways. What needs two looks is left out
        at the first."""
        plain: dict[str, float] = {}
        counters = {"busy": 0.0, "cpu": 0.0, "network": 0.0}
        for name, labels, value in facts:
            if name == "ecs_host_cpu_seconds_total":
                counters["cpu"] += value
                counters["busy"] += value if labels.get("mode") not in _IDLE else 0.0
            elif name.startswith("ecs_host_network_"):
                counters["network"] += value
            elif not labels:
                plain[name.removeprefix("ecs_host_")] = value
        out: dict[str, float] = {}
        if "memory_total_bytes" in plain:
            out["memoryBytes"] = plain["memory_total_bytes"] - plain.get("memory_available_bytes", 0.0)
        if plain.get("disk_size_bytes"):
            free = plain.get("disk_available_bytes", 0.0)
            out["filesystemPercent"] = 100 * (1 - free / plain["disk_size_bytes"])
        grown = {name: value - self._before.get(name, value) for name, value in counters.items()}
        seconds = now - self._at
        if self._before and seconds > 0 and grown["cpu"] > 0:
            out["cpuPercent"] = 100 * max(0.0, grown["busy"]) / grown["cpu"]
        if (
            self._before and seconds > 0 and grown["network"] >= 0
        ):  # an interface that went takes its count along
            out["networkBytesPerSecond"] = grown["network"] / seconds
        self._before, self._at = counters, now
        return out
