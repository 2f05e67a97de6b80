"""Host ports for a containerPortRange: as many in a row, free, from the machine's ephemeral range.

Docker gives out single dynamic ports itself, from the same range (ECS API reference, PortMapping).
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from monitor.agent.engine import EngineError

EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")
WITHOUT_FILE = (49153, 65535)
_KINDS = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}


def ephemeral_range(path: Path = EPHEMERAL) -> tuple[int, int]:
    """First and last port."""
    try:
        low, high = (int(word) for word in path.read_text().split())
    except (OSError, ValueError):
        return WITHOUT_FILE
    return (low, high) if 0 < low <= high < 65536 else WITHOUT_FILE


def span(text: str) -> tuple[int, int]:
    """`8000-8010` → first and last port. Raises ValueError."""
    low, _, high = text.partition("-")
    return int(low), int(high or low)


def is_free(port: int, protocol: str) -> bool:
    with socket.socket(socket.AF_INET, _KINDS[protocol]) as sock:
        try:
            sock.bind(("0.0.0.0", port))
        except OSError:
            return False
    return True


class HostPorts:
    """Goes on where it last ended: ports handed out are not held until the container starts."""

    def __init__(
        self, limits: tuple[int, int] | None = None, free: Callable[[int, str], bool] = is_free
    ) -> None:
        self._low, self._high = limits or ephemeral_range()
        self._free = free
        self._next = self._low

    def find(self, count: int, protocol: str) -> int:
        """The first of `count` free ports in a row. Raises EngineError."""
        first = self._search(self._next, count, protocol) or self._search(self._low, count, protocol)
        if first is None:
            raise EngineError(
                f"CannotCreateContainerError: no {count} free {protocol} ports in a row between {self._low} and "
                f"{self._high}: make the containerPortRange smaller, or free ports."
            )
        self._next = first + count
        return first

    def _search(self, start: int, count: int, protocol: str) -> int | None:
        run = 0
        for port in range(start, self._high + 1):
            run = run + 1 if self._free(port, protocol) else 0
            if run == count:
                return port - count + 1
        return None

    def choose(self, container: Mapping[str, Any]) -> dict[str, int]:
        """`range/protocol` of each containerPortRange → the first host port for it. Raises EngineError."""
        found = {}
        for port in container.get("portMappings") or ():
            if port.get("containerPortRange"):
                low, high = span(port["containerPortRange"])
                protocol = port.get("protocol") or "tcp"
                found[f"{port['containerPortRange']}/{protocol}"] = self.find(high - low + 1, protocol)
        return found
