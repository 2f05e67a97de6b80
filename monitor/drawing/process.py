"""A process for each picture: matplotlib costs this one neither memory nor its turn at the interpreter."""

from __future__ import annotations

import asyncio
import os
import sys
from weakref import WeakKeyDictionary

import msgspec

from monitor.drawing.chart import Chart

AT_ONCE, MOST_WAITING, PATIENCE_SECONDS = 2, 20, 30.0
_ENVIRONMENT = ("PATH", "HOME", "PYTHONPATH", "XDG_CACHE_HOME", "MPLCONFIGDIR", "LANG")


class DrawingError(Exception):
    """There is no picture; the message says why."""


class TooMany(DrawingError):
    """More pictures are waiting than is allowed."""


class _Desk:
    def __init__(self) -> None:
        self.turns = asyncio.Semaphore(AT_ONCE)
        self.waiting = 0


_desks: WeakKeyDictionary[asyncio.AbstractEventLoop, _Desk] = WeakKeyDictionary()


async def draw(chart: Chart) -> bytes:
    """The PNG. Raises DrawingError, TooMany."""
    desk = _desks.setdefault(asyncio.get_running_loop(), _Desk())
    if desk.waiting >= MOST_WAITING:
        raise TooMany(f"{MOST_WAITING} pictures are waiting already")
    desk.waiting += 1
    try:
        async with desk.turns:
            return await _drawn(msgspec.json.encode(chart))
    finally:
        desk.waiting -= 1


async def _drawn(chart: bytes) -> bytes:
    environment = {k: v for k, v in os.environ.items() if k in _ENVIRONMENT}
    # Threads of linear algebra would each reserve address space, of which the process is given little.
    environment |= {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    try:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "monitor.drawing",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=environment,
        )
    except OSError as error:
        raise DrawingError(f"cannot start a process to draw in: {error}") from error
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            out, errors = await process.communicate(chart)
    except TimeoutError as error:
        raise DrawingError(f"a picture took more than {PATIENCE_SECONDS:.0f} s") from error
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        last = errors.decode("utf-8", "replace").strip().rsplit("\n", 1)[-1]
        raise DrawingError(f"the drawing process ended with {process.returncode}: {last[:300]}")
    return out
