"""`make soak SEED=n HOURS=h`: simulate for longer, from a seed on; and play a scenario that was printed.

python -m tests.simulation --seed 7 --hours 200
python -m tests.simulation --replay FILE
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
from pathlib import Path

from tests.simulation.actions import Action, draw, failure_of, shrink

HOURS_A_SEED = 12.0


def shown(actions: list[Action], seed: int, found: str) -> str:
    """A scenario for a person to read and for --replay to play."""
    lines = [f"# seed {seed}: {found}"]
    return "\n".join([*lines, *(f"{at:.3f} {name} {number}" for at, name, number in actions)])


def read(text: str) -> tuple[int, list[Action]]:
    first, *rest = text.splitlines()
    seed = int(first.split(":", 1)[0].rsplit(" ", 1)[1])
    rows = (line.split() for line in rest if line.strip() and not line.startswith("#"))
    return seed, [(float(at), name, int(number)) for at, name, number in rows]


def minimal(seed: int, hours: float) -> str:
    """The shortest scenario of the seed that still fails, and how."""
    actions = shrink(draw(seed, hours), seed)
    return shown(actions, seed, failure_of(actions, seed))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--hours", type=float, default=120.0)
    parser.add_argument("--replay", type=Path)
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    if options.replay is not None:
        seed, actions = read(options.replay.read_text())
        found = failure_of(actions, seed)
        print(found or "nothing fails")
        return bool(found)
    began, done, seed = time.monotonic(), 0.0, options.seed
    while done < options.hours:
        if failure_of(draw(seed, HOURS_A_SEED), seed):
            print(f"\nseed {seed} fails; looking for the shortest scenario", file=sys.stderr)
            print(minimal(seed, HOURS_A_SEED))
            return 1
        seed, done = seed + 1, done + HOURS_A_SEED
        rate = done / (time.monotonic() - began)
        print(
            f"\r{done:.0f} simulated hours, {rate:.1f} a second, seed {seed}",
            end="",
            file=sys.stderr,
            flush=True,
        )
    print(f"\n{done:.0f} simulated hours, nothing failed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
