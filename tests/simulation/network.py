"""What lies between agents and the control plane: delay, loss, repetition, partitions."""

from __future__ import annotations

import asyncio
import random

LOST_SECONDS = 5.0  # until a request that nobody answers is given up


class Unreachable(Exception):
    pass


class Pipe:
    """One direction of a websocket: frames in order, each after a while; held back while the line is cut."""

    def __init__(self, chance: random.Random) -> None:
        self._chance, self._loop = chance, asyncio.get_running_loop()
        self._frames: asyncio.Queue[str | None] = asyncio.Queue()
        self._held: list[str | None] = []
        self._last = 0.0
        self.is_cut = False

    def push(self, frame: str | None) -> None:
        at = max(self._last, self._loop.time() + self._chance.uniform(0.001, 0.05))
        self._last = at
        self._loop.call_at(at, self._arrive, frame)

    def _arrive(self, frame: str | None) -> None:
        if self.is_cut:
            self._held.append(frame)
        else:
            self._frames.put_nowait(frame)

    def heal(self) -> None:
        """What was held back arrives now: old news."""
        self.is_cut = False
        for frame in self._held:
            self._frames.put_nowait(frame)
        self._held.clear()

    async def pull(self) -> str | None:
        return await self._frames.get()


class Line:
    """A websocket's two ends."""

    def __init__(self, chance: random.Random) -> None:
        self.up, self.down = Pipe(chance), Pipe(chance)

    def cut(self) -> None:
        self.up.is_cut = self.down.is_cut = True

    def heal(self) -> None:
        self.up.heal()
        self.down.heal()

    def close(self) -> None:
        self.up.push(None)
        self.down.push(None)
