"""Which tasks to stop first when there are too many (ECS developer guide, "Scaling in")."""

from __future__ import annotations

import heapq
from collections import Counter, deque
from collections.abc import Iterable, Sequence

from monitor.model.task import Task


def by_least_loss(tasks: Sequence[Task], wanted: Iterable[Task]) -> list[Task]:
    """`tasks` in the order to stop them: those not healthy first, then from the instance with most tasks of the
    service (`wanted` is all of them), the newest first."""
    load = Counter(t.instance_arn for t in wanted)
    ordered: list[Task] = []
    newest_first = sorted(tasks, key=lambda t: (-t.created_at, t.arn))
    for is_healthy in (False, True):
        queues: dict[str, deque[Task]] = {}
        for task in newest_first:
            if task.is_healthy is is_healthy:
                queues.setdefault(task.instance_arn, deque()).append(task)
        # Only the load of the instance just picked changes, so what is in the heap stays true.
        heap = [_entry(queue, load) for queue in queues.values()]
        heapq.heapify(heap)
        while heap:
            queue = queues[heapq.heappop(heap)[-1]]
            task = queue.popleft()
            ordered.append(task)
            load[task.instance_arn] -= 1
            if queue:
                heapq.heappush(heap, _entry(queue, load))
    return ordered


def _entry(queue: deque[Task], load: Counter[str]) -> tuple[int, float, str, str]:
    head = queue[0]
    return -load[head.instance_arn], -head.created_at, head.arn, head.instance_arn
