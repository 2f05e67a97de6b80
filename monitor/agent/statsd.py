"""StatsD over UDP: datagrams in, each window's measurements out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from monitor.agent.custom import Count, Sender
from monitor.clock import Clock
from monitor.rules.statsd import Window

NAME = "statsd"


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, take: Callable[[bytes], None]) -> None:
        self._take = take

    def datagram_received(self, data: bytes, addr: object) -> None:  # noqa: ARG002  (asyncio calls it by position)
        self._take(data)


class StatsD:
    """`window_seconds`: 60, or less for high resolution."""

    def __init__(self, sender: Sender, clock: Clock, window_seconds: int, count: Count) -> None:
        self._sender, self._clock, self._seconds, self._count = sender, clock, window_seconds, count
        self._window = Window()
        self._began = self._start()
        self._transport: asyncio.DatagramTransport | None = None

    def _start(self) -> int:
        return int(self._clock.now() // self._seconds) * self._seconds

    async def listen(self, host: str, port: int) -> tuple[str, int]:
        """Where it listens. Raises OSError."""
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(
            lambda: _Datagrams(self.take), local_addr=(host, port)
        )
        found = self._transport.get_extra_info("sockname")
        return str(found[0]), int(found[1])

    @property
    def series(self) -> int:
        """In the window that is open."""
        return self._window.series

    def take(self, data: bytes) -> None:
        if self._start() != self._began:
            self.flush()
        self._window.datagram(data)

    def flush(self) -> None:
        """End the window: what it measured is on its way."""
        measured = self._window.close(float(self._began))
        self._sender.put(NAME, measured, 60 if self._seconds >= 60 else 1)
        for reason, n in self._window.refused.items():
            self._count(NAME, reason, n)
        self._window.refused.clear()
        self._began = self._start()

    async def run(self) -> None:
        """For ever."""
        try:
            while True:
                await asyncio.sleep(self._seconds - self._clock.now() % self._seconds)
                if self._start() != self._began:
                    self.flush()
        finally:
            self.close()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()
