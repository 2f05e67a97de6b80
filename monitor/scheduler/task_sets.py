"""A service of the EXTERNAL deployment controller: each task set keeps its own number of tasks (ECS developer guide,
"Third-party deployment"). `Service.deployments` are its task sets; which of them is PRIMARY is the caller's word.
"""

from __future__ import annotations

import math
from dataclasses import replace

from monitor.model.service import ACTIVE, DRAINING, Deployment, Service
from monitor.model.task import RUNNING, Task
from monitor.scheduler.look import Look
from monitor.scheduler.plan import Explain


def computed_count(service: Service, task_set: Deployment) -> int:
    """computedDesiredCount: the scale's share of the service's desired count, rounded up."""
    if task_set.status == DRAINING:
        return 0
    return math.ceil(service.desired_count * task_set.scale / 100)


class TaskSetLook(Look):
    def run(self) -> None:
        self.settle()
        if self.service.status == ACTIVE:
            self.end_backoff()
            self.leave()
            for task_set in self.service.deployments:
                self._keep(task_set)
            self.stop_lost(self._missing())
            self._finish_sets()
            steady = bool(self.service.deployments) and all(d.stable_at for d in self.service.deployments)
            self.say_steady(steady)
        else:
            self.drain()
        self.finish()

    def keeps(self, deployment: Deployment) -> bool:
        return deployment.status != DRAINING

    def settle(self) -> None:
        if self.service.deployments:
            super().settle()
            return
        # The last set is gone: nothing is left that an end could count for.
        self.settle_all()

    def _mine(self, task_set: Deployment) -> list[Task]:
        return [t for t in self.census.wanted if t.deployment_id == task_set.id]

    def _missing(self) -> int:
        wanted = sum(computed_count(self.service, d) for d in self.service.deployments)
        return wanted - len(self.census.wanted) - self.started

    def _keep(self, task_set: Deployment) -> None:
        count = computed_count(self.service, task_set)
        good = [t for t in self._mine(task_set) if t.arn not in self.bad and t.arn not in self.leaving]
        self.fill(task_set, count - len(good), count)
        enough = sum(1 for t in good if t.is_healthy) >= count
        going = [t for t in self._mine(task_set) if t.arn in self.leaving]
        if enough:
            self.order_stop(going, self.scaled_in(task_set.id))
            self.stop_unhealthy([t for t in self.census.bad if t.deployment_id == task_set.id])
        if len(good) > count:
            surplus = self.by_least_loss(self.unprotected(good))[: len(good) - count]
            self.order_stop(surplus, self.scaled_in(task_set.id))

    def _finish_sets(self) -> None:
        holding = self.census.holding(self.stopped)
        kept = []
        for task_set in self.service.deployments:
            if task_set.status == DRAINING and task_set.id not in holding:
                continue
            kept.append(self._stability(task_set))
        if tuple(kept) != self.service.deployments:
            self.service = replace(self.service, deployments=tuple(kept))

    def _stability(self, task_set: Deployment) -> Deployment:
        live = [t for t in self.census.live if t.deployment_id == task_set.id]
        running = [
            t for t in live if t.last == RUNNING and t.desired == RUNNING and t.arn not in self.stopped
        ]
        is_stable = (
            len(running) == len(live) == computed_count(self.service, task_set)
            and not self.started
            and all(self.is_proven(t) for t in running)
            and not any(t.arn in self.leaving for t in live)
        )
        if is_stable and task_set.stable_at is None:
            told = f"(taskSet {task_set.id}) has reached a steady state."
            self.plan.verbs.append(Explain(self.service.arn, told, "TASKSET_STEADY_STATE"))
            return replace(task_set, stable_at=self.now)
        return task_set if is_stable else replace(task_set, stable_at=None)
