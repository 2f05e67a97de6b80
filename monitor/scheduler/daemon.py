"""A DAEMON service: one task on each instance that takes tasks and meets the constraints (ECS developer guide,
"Daemon scheduling strategy").

maximumPercent is 100, so an instance's old task is stopped before its new one is started, and at most
desired - ceil(desired * minimumHealthyPercent / 100) are missing at once.
"""

from __future__ import annotations

from dataclasses import replace

from monitor.model.cluster import ContainerInstance
from monitor.model.service import ACTIVE, FAILED, IN_PROGRESS
from monitor.model.task import RUNNING, Task
from monitor.scheduler import rollout
from monitor.scheduler.look import LEFT, Look
from monitor.scheduler.placement import AGENT, Refusal
from monitor.scheduler.plan import Explain, Start
from monitor.scheduler.rolling import lower_bound, stoppable

# What an instance lacks for the moment; anything else means that the daemon does not belong there.
_PASSING = ("RESOURCE:", AGENT)


class DaemonLook(Look):
    def run(self) -> None:
        self.settle()
        if self.service.status == ACTIVE:
            self.count_unhealthy()
            self.end_backoff()
            why = rollout.verdict(self.snapshot.state, self.service)
            if why is not None:
                self.fail(why)
            self._cover()
            self._finish_deployments()
            self.say_steady(self._is_settled() and len(self.service.deployments) == 1)
        else:
            self.drain()
        self.finish()

    # -- covering the instances ---------------------------------------------------------------------

    def _cover(self) -> None:
        self.leave_last()
        on: dict[str, list[Task]] = {}
        for task in self.census.wanted:
            on.setdefault(task.instance_arn, []).append(task)
        holding = {t.instance_arn for t in self.census.live} | {t.instance_arn for t in self.census.lost}
        bare = [i for i in self._instances() if i.arn not in holding]
        targets = self._place_on(bare)
        covered = {arn for arn, tasks in on.items() if self._is_target(arn)}
        self._set_desired(len(covered) + targets + len(self._emptied(covered)))
        self._stop_old(on)

    def _instances(self) -> list[ContainerInstance]:
        return [i for i in self.snapshot.state.capacity_of(self.service.cluster_arn) if i.takes_tasks]

    def _is_target(self, instance_arn: str) -> bool:
        instance = self.snapshot.state.instances.get(instance_arn)
        return instance is not None and instance.status == "ACTIVE" and not instance.is_lost(self.now)

    def _emptied(self, covered: set[str]) -> set[str]:
        """Instances whose daemon task is ending: they will be given a new one."""
        ending = {t.instance_arn for t in self.census.stopping}
        return {arn for arn in ending - covered if self._is_target(arn)}

    def _place_on(self, bare: list[ContainerInstance]) -> int:
        """Start a task on each instance that has none. Returns on how many there should be one."""
        primary = self.service.primary
        waits = primary.retry_at > self.now or primary.rollout_state == FAILED
        if waits and primary.rollout_state != FAILED:
            self.plan.look_again(primary.retry_at)
        starts: list[Start] = []
        belongs = 0
        refusal: Refusal | None = None
        owed = list(primary.owed)
        for instance in bare:
            spot = self.place(primary, only=(instance.arn,))
            if isinstance(spot, Refusal):
                if spot.reason.startswith(_PASSING):
                    belongs, refusal = belongs + 1, spot
                continue
            belongs += 1
            if not waits:
                mine = next((a for a in owed if self._was_on(a, instance.arn)), "")
                owed = [a for a in owed if a != mine]
                starts.append(Start(spot, mine))
        if starts:
            self.started += len(starts)
            self.add_start(primary, starts)
        if refusal is not None:
            self.refused(refusal)
        elif self.service.complaint and not waits:
            self.service = replace(self.service, complaint="")
        kept = tuple(a for a in owed if waits or refusal is not None)
        if kept != primary.owed:
            self.put(replace(self.service.primary, owed=kept))
        return belongs

    def _was_on(self, task_arn: str, instance_arn: str) -> bool:
        task = self.snapshot.state.tasks.get(task_arn)
        return task is not None and task.instance_arn == instance_arn

    def _set_desired(self, desired: int) -> None:
        if desired != self.service.desired_count:
            self.service = replace(self.service, desired_count=desired)

    # -- stopping -----------------------------------------------------------------------------------

    def leave_last(self) -> None:
        """On a DRAINING instance daemons go when nothing else of a service runs there any more."""
        state = self.snapshot.state
        alone = []
        for task in self.census.leaving:
            others = (
                t for t in state.live_tasks_on(task.instance_arn) if t.arn != task.arn and t.service_arn
            )
            if not any(not self._is_daemon(t) for t in others):
                alone.append(task)
        self.order_stop(alone, LEFT)

    def _is_daemon(self, task: Task) -> bool:
        service = self.snapshot.state.services.get(task.service_arn)
        return service is not None and service.scheduling == "DAEMON"

    def _stop_old(self, on: dict[str, list[Task]]) -> None:
        desired, primary = self.service.desired_count, self.service.primary
        wanted = [t for t in self.census.wanted if t.arn not in self.stopped]
        healthy = [t for t in wanted if t.arn not in self.bad and t.is_healthy]
        spare = stoppable(len(healthy), lower_bound(desired, self.service.minimum_healthy_percent))
        second = [t for tasks in on.values() for t in sorted(tasks, key=_age)[1:]]
        old = [t for t in wanted if t.deployment_id != primary.id and t not in second]
        if primary.rollout_state == FAILED:
            old = []
        surplus = []
        for task in sorted(self.unprotected([*second, *old]), key=_age):
            counts = task.is_healthy and task.arn not in self.bad and task not in second
            if counts and spare <= 0:
                continue
            spare -= counts
            surplus.append(task)
        self.order_stop(surplus, self.scaled_in())
        if primary.rollout_state != FAILED:
            self.stop_unhealthy([t for t in self.census.bad if t.arn not in self.stopped])

    # -- deployments and steady state ---------------------------------------------------------------

    def _is_settled(self) -> bool:
        census = self.census
        mine = [t for t in census.wanted if self.is_primary(t)]
        return (
            len(mine) == len(census.live) == self.service.desired_count
            and all(self.is_proven(t) for t in mine)
            and not self.started
            and not self.stopped
            and not census.leaving
        )

    def _finish_deployments(self) -> None:
        primary, holding = self.service.primary, self.census.holding(self.stopped)
        kept = tuple(d for d in self.service.deployments[1:] if d.id in holding)
        if kept != self.service.deployments[1:]:
            self.service = replace(self.service, deployments=(self.service.primary, *kept))
        if primary.rollout_state == IN_PROGRESS and not kept and self._is_settled():
            self.service = rollout.complete(self.service, self.now)
            message = f"(deployment {primary.id}) deployment completed."
            self.plan.verbs.append(Explain(self.service.arn, message, "SERVICE_DEPLOYMENT_COMPLETED"))


def _age(task: Task) -> tuple[bool, float, str]:
    """The first started is the last stopped: those that run before those that do not, oldest first."""
    return task.last != RUNNING, task.created_at, task.arn
