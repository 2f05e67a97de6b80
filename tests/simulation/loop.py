"""An asyncio loop on virtual time: when nothing is ready, time jumps to the next timer. Nothing ever waits."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any


class _Jump(selectors.SelectSelector):
    """No file is ever ready; waiting moves the loop's time."""

    def __init__(self) -> None:
        super().__init__()
        self.move: Callable[[float], None] = lambda _: None

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise RuntimeError("the simulation waits for something that nothing will bring about")
        if timeout > 0:
            self.move(timeout)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        jump = _Jump()
        super().__init__(jump)
        self._virtual = 0.0
        jump.move = self._move

    def _move(self, seconds: float) -> None:
        self._virtual += seconds

    def time(self) -> float:
        return self._virtual


def run(main: Coroutine[Any, Any, Any]) -> Any:
    """The result of `main`, on a loop of its own."""
    loop = VirtualLoop()
    try:
        return loop.run_until_complete(main)
    finally:
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        loop.close()
