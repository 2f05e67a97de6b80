"""One REPLICA service: count what runs, replace what failed, move to the newest definition.

Order of a look: count the ended tasks, decide who is wanted, start what is missing (warm standbys first),
stop what is too many, keep the standbys, and say when the service is steady. It works on values and adds
verbs to the plan; the service itself is put once, at the end, and only when it changed.
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace

from monitor.model.event import Reason
from monitor.model.service import ACTIVE, COMPLETED, IN_PROGRESS, Deployment, Service
from monitor.model.task import (
    INFRASTRUCTURE_HEALTH,
    RUNNING,
    SERVICE_SCHEDULER_INITIATED,
    TASK_FAILED_TO_START,
    Task,
)
from monitor.scheduler import backoff
from monitor.scheduler.census import take
from monitor.scheduler.placement import Placer, Refusal, is_distinct
from monitor.scheduler.plan import (
    Explain,
    Plan,
    PromoteTask,
    SettleTask,
    Start,
    StartTasks,
    StopTasks,
    UpdateService,
)
from monitor.scheduler.rolling import lower_bound, startable, stoppable, upper_bound
from monitor.scheduler.scale_in import by_least_loss
from monitor.scheduler.snapshot import Snapshot

STEADY_AGAIN_SECONDS = 6 * 3600.0
COMPLAIN_AGAIN_SECONDS = 6 * 3600.0
COMPLAIN_ANEW_SECONDS = 30.0
IMPAIRED = "is unable to consistently start tasks successfully."
BLOCKED = (
    "was unable to stop or start tasks during a deployment because of the service deployment configuration. Update "
    "the minimumHealthyPercent or maximumPercent value and try again."
)
OWED_KEPT = 50


class ServiceLook:
    def __init__(
        self, snapshot: Snapshot, plan: Plan, placer: Placer, service: Service, ended: list[Task]
    ) -> None:
        self.snapshot, self.plan, self.placer = snapshot, plan, placer
        self.now = snapshot.now
        self.before = self.service = service
        self.ended = ended
        self.census = take(snapshot, service, plan)
        self.bad = self.census.bad_arns
        self.standbys = list(self.census.standbys)
        self.is_full = False  # no instance had room for a task in this look
        self.started = 0
        self.stopped: set[str] = set()

    def run(self) -> None:
        self._settle()
        if self.service.status == ACTIVE:
            self._end_backoff()
            self._start()
            self._stop_surplus()
            self._keep_standbys()
            self._finish_deployments()
            self._say_steady()
        else:
            self._drain()
        if self.service != self.before:
            self.plan.verbs.append(UpdateService(self.service))

    # -- looking ------------------------------------------------------------------------------------

    def _is_proven(self, task: Task) -> bool:
        """Healthy, and without a health check also RUNNING long enough to show that it stays."""
        if not task.is_healthy:
            return False
        proven_at = (task.started_at or self.now) + self.snapshot.healthy_after_seconds
        if task.has_health_check or proven_at <= self.now:
            return True
        self.plan.look_again(proven_at)
        return False

    def _is_primary(self, task: Task) -> bool:
        return task.deployment_id == self.service.primary.id

    def _put_primary(self, deployment: Deployment) -> None:
        self.service = replace(self.service, deployments=(deployment, *self.service.deployments[1:]))

    # -- counting ends ------------------------------------------------------------------------------

    def _settle(self) -> None:
        """Count each ended task once: a failure lengthens the back-off, any end leaves a place to fill."""
        for task in sorted(self.ended, key=lambda t: (t.stopping_at or 0.0, t.arn)):
            self.plan.verbs.append(SettleTask(task.arn))
            primary = self.service.primary
            if task.standby:
                # One that cannot be made would be tried for ever: it ends the wish for standbys like a failed start.
                if task.deployment_id == primary.id and task.stop_code == TASK_FAILED_TO_START:
                    self._put_primary(backoff.count(primary, task, self.now))
                continue
            if task.deployment_id == primary.id and backoff.is_failure(
                task, self.snapshot.healthy_after_seconds
            ):
                counted = backoff.count(primary, task, self.now)
                if counted.backoff_step > backoff.FREE_ROUNDS >= primary.backoff_step:
                    self.plan.verbs.append(Explain(self.service.arn, IMPAIRED))
                primary = counted
            if task.stop_code != SERVICE_SCHEDULER_INITIATED:
                primary = replace(primary, owed=(*primary.owed, task.arn)[-OWED_KEPT:])
            self._put_primary(primary)

    def _end_backoff(self) -> None:
        """A task started in this round that outlives the threshold ends the back-off."""
        primary = self.service.primary
        if not primary.backoff_step and not primary.failed_tasks:
            return
        for task in self.census.wanted:
            if task.deployment_id != primary.id or task.last != RUNNING or task.created_at < primary.step_at:
                continue
            proven_at = (task.started_at or self.now) + self.snapshot.healthy_after_seconds
            if proven_at <= self.now:
                self._put_primary(backoff.clear(primary, self.now))
                return
            self.plan.look_again(proven_at)

    # -- starting -----------------------------------------------------------------------------------

    def _start(self) -> None:
        primary = self.service.primary
        good = [t for t in self.census.wanted if self._is_primary(t) and t.arn not in self.bad]
        missing = self.service.desired_count - len(good)
        if missing <= 0:
            if primary.owed:
                self._put_primary(replace(primary, owed=()))
            self.service = replace(self.service, complaint="")
            return
        if primary.retry_at > self.now:
            self.plan.look_again(primary.retry_at)
            return
        upper = max(upper_bound(self.service.desired_count, self.service.maximum_percent), 1)
        count = startable(missing, upper, len(self.census.live))
        empty_places = deque(self._empty_places())
        self._promote(count, empty_places)
        self._place(count - self.started, empty_places)
        owed = tuple(p for p in empty_places if p in primary.owed)
        if self.started == missing:
            owed, self.service = (), replace(self.service, complaint="")
        self._put_primary(replace(self.service.primary, owed=owed))
        if not count:
            self._say_blocked()

    def _empty_places(self) -> list[str]:
        """Tasks to be replaced, in order: those that ended, the lost, the unhealthy that have no replacement yet."""
        taken = {t.replaces for t in self.census.wanted}
        lost = sorted(self.census.lost, key=lambda t: (-t.created_at, t.arn))
        return [*self.service.primary.owed, *(t.arn for t in [*lost, *self.census.bad] if t.arn not in taken)]

    def _promote(self, count: int, empty_places: deque[str]) -> None:
        for task in list(self.standbys):
            if self.started == count:
                break
            if not self._is_primary(task) or not self._may_start(task):
                continue
            self.plan.verbs.append(PromoteTask(task.arn, _next(empty_places)))
            self.standbys.remove(task)
            self.started += 1

    def _may_start(self, standby: Task) -> bool:
        instance = self.snapshot.state.instances.get(standby.instance_arn)
        if instance is None or not instance.takes_tasks:
            return False
        if not is_distinct(self.service.placement_constraints):
            return True
        return self.placer.take_distinct(standby.instance_arn, standby.group)

    def _place(self, count: int, empty_places: deque[str]) -> None:
        primary = self.service.primary
        definition = self.snapshot.state.definitions[primary.definition_arn]
        starts: list[Start] = []
        refusal: Refusal | None = None
        while len(starts) < count:
            spot = self.placer.place(
                self.service.cluster_arn,
                f"service:{self.service.name}",
                definition.needs,
                self.service.placement_constraints,
                self.service.placement_strategy,
            )
            if isinstance(spot, Refusal):
                refusal = spot
                break
            starts.append(Start(spot.arn, _next(empty_places)))
        if starts:
            self.started += len(starts)
            self.plan.verbs.append(StartTasks(self.service.arn, primary.id, definition.arn, tuple(starts)))
        if refusal is not None:
            self._refused(refusal)
        elif count:
            self.service = replace(self.service, complaint="")

    def _refused(self, refusal: Refusal) -> None:
        self.is_full = refusal.is_for_want_of_room
        if self.is_full and self.census.stopping:
            return  # an ending task of ours still holds what is needed: it will be free in a moment
        self.plan.refusals.append((self.service.arn, refusal.reason))
        self._complain(refusal.sentence())

    def _say_blocked(self) -> None:
        """Tell when the percentages allow neither a start nor a stop, and nothing under way will change that."""
        census = self.census
        lower = lower_bound(self.service.desired_count, self.service.minimum_healthy_percent)
        waits = census.stopping or census.bad or not all(t.is_healthy for t in census.wanted)
        if not waits and len(census.wanted) <= lower:
            self._complain(BLOCKED)

    def _complain(self, message: str) -> None:
        """Say a problem once; again when six hours have passed (as ECS does), and another one in its place after a
        short while only: which instance comes closest changes with every task around."""
        told, at = self.service.complaint, self.service.complaint_at
        if told and told != message and self.now < at + COMPLAIN_ANEW_SECONDS:
            self.plan.look_again(at + COMPLAIN_ANEW_SECONDS)
            return
        if told == message and self.now < at + COMPLAIN_AGAIN_SECONDS:
            return
        self.plan.verbs.append(Explain(self.service.arn, message))
        self.service = replace(self.service, complaint=message, complaint_at=self.now)

    # -- stopping -----------------------------------------------------------------------------------

    def _stop_surplus(self) -> None:
        service = self.service
        wanted = [t for t in self.census.wanted if t.arn not in self.bad]
        # Of the newest deployment only proven tasks may let older ones go.
        healthy = {t.arn for t in wanted if (self._is_proven(t) if self._is_primary(t) else t.is_healthy)}
        lower = lower_bound(service.desired_count, service.minimum_healthy_percent)
        spare = stoppable(len(healthy), lower)
        old = [t for t in wanted if not self._is_primary(t)]
        new = [t for t in wanted if self._is_primary(t)]
        surplus = by_least_loss(old, self.census.wanted)
        if len(new) > service.desired_count:
            surplus += by_least_loss(new, self.census.wanted)[: len(new) - service.desired_count]
        chosen: list[Task] = []
        for task in surplus:
            if task.arn in healthy:
                if spare <= 0:
                    continue
                spare -= 1
            chosen.append(task)
        self._order_stop(chosen, self._scaled_in())
        self._stop_bad(len(healthy) - sum(1 for t in chosen if t.arn in healthy))
        self._stop_lost()

    def _scaled_in(self) -> Reason:
        text = f"Scaling activity initiated by (deployment {self.service.primary.id})"
        return Reason(SERVICE_SCHEDULER_INITIATED, text)

    def _stop_bad(self, healthy: int) -> None:
        """Unhealthy tasks go once their replacements are healthy; one of them at once when there is no room to start
        the replacements first."""
        bad, desired = self.census.bad, self.service.desired_count
        if not bad:
            return
        reason = Reason(SERVICE_SCHEDULER_INITIATED, "Task failed container health checks")
        upper = upper_bound(desired, self.service.maximum_percent)
        has_room = upper > len(self.census.live) and not self.is_full
        replacements_under_way = self.started or any(
            not t.is_healthy and t.arn not in self.bad for t in self.census.wanted
        )
        if healthy >= desired:
            self._order_stop(bad, reason)
        elif not has_room and not replacements_under_way and not self.census.stopping and not self.stopped:
            self._order_stop(bad[:1], reason)

    def _stop_lost(self) -> None:
        """A lost task is given up only for a replacement, or when it is not needed: with nowhere else to run
        it may well be running still."""
        needed = max(0, self.service.desired_count - len(self.census.wanted) - self.started)
        reason = Reason(
            INFRASTRUCTURE_HEALTH,
            "The container agent of the task's container instance was lost; task replaced.",
        )
        ordered = sorted(self.census.lost, key=lambda t: (t.created_at, t.arn))
        self._order_stop(ordered[needed:], reason)

    def _order_stop(self, tasks: list[Task], reason: Reason) -> None:
        fresh = [t.arn for t in tasks if t.desired == RUNNING and t.arn not in self.stopped]
        if fresh:
            self.stopped.update(fresh)
            self.plan.verbs.append(StopTasks(self.service.arn, tuple(fresh), reason))

    # -- warm standby -------------------------------------------------------------------------------

    def _keep_standbys(self) -> None:
        """Tasks created ahead, not started, so that a replacement only has to be started."""
        primary, wish = self.service.primary, self.service.warm_standby
        if not self.service.desired_count or primary.backoff_step:
            wish = 0
        mine = [t for t in self.standbys if self._is_primary(t)]
        surplus = [t for t in self.standbys if not self._is_primary(t)] + mine[wish:]
        surplus += self.census.lost_standbys
        self._order_stop(surplus, Reason(SERVICE_SCHEDULER_INITIATED, "Warm standby is not needed."))
        running = sum(1 for t in self.census.wanted if self._is_primary(t) and t.last == RUNNING)
        if len(mine) >= wish or running < self.service.desired_count:
            return
        definition = self.snapshot.state.definitions[primary.definition_arn]
        starts: list[Start] = []
        for _ in range(wish - len(mine)):
            spot = self.placer.place(
                self.service.cluster_arn, f"service:{self.service.name}", definition.needs
            )
            if isinstance(spot, Refusal):
                break
            starts.append(Start(spot.arn))
        if starts:
            self.plan.verbs.append(
                StartTasks(self.service.arn, primary.id, definition.arn, tuple(starts), standby=True)
            )

    # -- deployments and steady state ---------------------------------------------------------------

    def _is_settled(self) -> bool:
        census = self.census
        mine = [t for t in census.wanted if self._is_primary(t)]
        return (
            len(mine) == len(census.live) == self.service.desired_count
            and all(t.arn in self.stopped for t in census.lost)
            and all(self._is_proven(t) for t in mine)
            and not self.started
            and self.stopped.isdisjoint(t.arn for t in mine)
        )

    def _finish_deployments(self) -> None:
        primary, holding = self.service.primary, self.census.holding(self.stopped)
        kept = tuple(d for d in self.service.deployments[1:] if d.id in holding)
        if kept != self.service.deployments[1:]:
            self.service = replace(self.service, deployments=(primary, *kept))
        if self._is_settled() and not kept and primary.rollout_state == IN_PROGRESS:
            self._put_primary(
                replace(
                    primary,
                    rollout_state=COMPLETED,
                    rollout_reason=f"ECS deployment {primary.id} completed.",
                    updated_at=self.now,
                )
            )
            self.plan.verbs.append(
                Explain(self.service.arn, f"(deployment {primary.id}) deployment completed.")
            )

    def _say_steady(self) -> None:
        if not self._is_settled() or len(self.service.deployments) > 1:
            if self.service.steady_at is not None:
                self.service = replace(self.service, steady_at=None)
            return
        last = self.service.steady_at
        if last is None or self.now - last >= STEADY_AGAIN_SECONDS:
            self.plan.verbs.append(Explain(self.service.arn, "has reached a steady state."))
            self.service = replace(self.service, steady_at=self.now)

    def _drain(self) -> None:
        """DRAINING: stop everything, then INACTIVE."""
        census = self.census
        standbys = [*self.standbys, *census.lost_standbys]
        self._order_stop([*census.wanted, *census.lost, *standbys], self._scaled_in())
        if not census.live:
            self.service = replace(
                self.service, status="INACTIVE", deployments=(self.service.primary,), inactive_at=self.now
            )


def _next(empty_places: deque[str]) -> str:
    return empty_places.popleft() if empty_places else ""
