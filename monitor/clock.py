"""The only place that reads time and chance from the system.

Everything else is handed a Clock and Ids, so that tests move time by hand and a simulation can be replayed
from its seed.
"""

from __future__ import annotations

import random
import secrets
import time
import uuid
from typing import Protocol


class Clock(Protocol):
    def now(self) -> float:
        """Seconds since the epoch."""
        ...


class Ids(Protocol):
    def hex(self) -> str:
        """32 lowercase hex characters: task and container instance ids."""
        ...

    def digits(self) -> str:
        """19 decimal digits: deployment ids."""
        ...

    def uuid(self) -> str: ...


class SystemClock:
    def now(self) -> float:
        return time.time()


class SystemIds:
    def hex(self) -> str:
        return secrets.token_hex(16)

    def digits(self) -> str:
        return str(10**18 + secrets.randbelow(9 * 10**18))

    def uuid(self) -> str:
        return str(uuid.uuid4())


class FixedClock:
    """A clock that stands still until it is moved."""

    def __init__(self, at: float = 1_800_000_000.0) -> None:
        self.at = at

    def now(self) -> float:
        return self.at

    def advance(self, seconds: float) -> None:
        self.at += seconds


class SeededIds:
    """Ids that a seed repeats."""

    def __init__(self, seed: int = 0) -> None:
        self._random = random.Random(seed)

    def hex(self) -> str:
        return f"{self._random.getrandbits(128):032x}"

    def digits(self) -> str:
        return str(self._random.randrange(10**18, 10**19))

    def uuid(self) -> str:
        return str(uuid.UUID(int=self._random.getrandbits(128), version=4))
