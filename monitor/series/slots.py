"""Which milliseconds of a step a series has used: each write of a point takes the next ones.

Kept of the steps that were written last; asked of the back-end for all others, so that a new process, and a point that
comes late, go on where the last write ended.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence

from monitor.series import labels, points
from monitor.series.base import SeriesError
from monitor.series.promql import Backend

KEPT_STEPS = 3000
FIRST = 1  # 0 is left free: whether a window's first moment belongs to it differs between back-ends
_HOUR = 3600

Step = tuple[int, int]  # its length and its beginning, seconds


class Slots:
    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._next: OrderedDict[Step, dict[str, int]] = OrderedDict()

    async def learn(self, fresh: Sequence[points.Fresh]) -> None:
        """Ask for the steps that are not known. Raises SeriesError."""
        wanted: dict[Step, set[Step]] = {}
        for one in fresh:
            step = (one.step, one.at)
            if step in self._next:
                self._next.move_to_end(step)
                continue
            hour = (one.step, one.at - one.at % _HOUR)
            wanted.setdefault(hour, set()).add(step)
        for steps in wanted.values():
            await self._ask(steps)
        while len(self._next) > max(KEPT_STEPS, len({(f.step, f.at) for f in fresh})):
            self._next.popitem(last=False)

    async def _ask(self, steps: set[Step]) -> None:
        """The steps lie in one hour. Everything there is learned, as another series may come to the same step."""
        length = min(steps)[0]
        first, last = min(at for _, at in steps), max(at for _, at in steps) + length
        every = labels.NAME + f'{{stat=~"{labels.COUNT}|{labels.VALUE}",step="{length}"}}'
        lines = await self._backend.raw(every, first * 1000, last * 1000 - 1)
        found: dict[Step, dict[str, int]] = {step: {} for step in steps}
        for line in lines:
            for seconds, _ in line.values:
                at = round(seconds * 1000)
                step = (length, at // 1000 - at // 1000 % length)
                if step in found:
                    used = found[step]
                    name = line.metric.get("id", "")
                    used[name] = max(used.get(name, FIRST), at - step[1] * 1000 + 1)
        self._next.update(found)

    def given(self, fresh: Iterable[points.Fresh]) -> Iterator[tuple[points.Fresh, int]]:
        """Each with its first slot. Values that find no room are left out. Raises SeriesError when there is none."""
        for one in fresh:
            used, most = self._next[one.step, one.at], one.step * 1000
            slot = used.get(one.encoded.id, FIRST)
            if slot >= most:
                raise SeriesError(f"a point was written {slot} times: write it less often, more at once")
            taken = one if slot + one.slots <= most // 2 or one.slots == 1 else one.without_values()
            used[one.encoded.id] = slot + taken.slots
            yield taken, slot
