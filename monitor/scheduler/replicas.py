"""One REPLICA service: count what runs, replace what failed, move to the newest definition.

Order of a look: count the ended tasks, decide who is wanted, start what is missing (warm standbys first),
stop what is too many, keep the standbys, and say when the service is steady. It works on values and adds
verbs to the plan; the service itself is put once, at the end, and only when it changed.
"""

from __future__ import annotations

from dataclasses import replace

from monitor.model.event import Reason
from monitor.model.service import ACTIVE, COMPLETED, IN_PROGRESS, Deployment, Service
from monitor.model.task import (
    INFRASTRUCTURE_HEALTH,
    RUNNING,
    SERVICE_SCHEDULER_INITIATED,
    STOPPED,
    TASK_FAILED_TO_START,
    UNHEALTHY,
    Task,
)
from monitor.scheduler import backoff
from monitor.scheduler.placement import Placer, Refusal
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
from monitor.scheduler.snapshot import Snapshot

STEADY_AGAIN_SECONDS = 6 * 3600.0
COMPLAIN_AGAIN_SECONDS = 6 * 3600.0
IMPAIRED = "is unable to consistently start tasks successfully."
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
        self.unplaced = ""  # why a task could not be placed in this look
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
        for task in self.wanted:
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
        good = [t for t in self.wanted if t.deployment_id == primary.id and t not in self.bad]
        missing = self.service.desired_count - len(good)
        if missing <= 0:
            if primary.owed:
                self._put_primary(replace(primary, owed=()))
            return
        # Lost tasks do not hold a place: nobody can say whether they run.
        alive = len(self.live) - len(self.lost)
        upper = max(upper_bound(self.service.desired_count, self.service.maximum_percent), 1)
        count = startable(missing, upper, alive)
        if primary.retry_at > self.now:
            self.plan.look_again(primary.retry_at)
            return
        count -= self._promote(count)
        self._place(count)

    def _next_owed(self) -> str:
        primary = self.service.primary
        if not primary.owed:
            return ""
        self._put_primary(replace(primary, owed=primary.owed[1:]))
        return primary.owed[0]

    def _promote(self, count: int) -> int:
        primary, promoted = self.service.primary, 0
        for task in list(self.standbys):
            if promoted == count:
                break
            instance = self.snapshot.state.instances.get(task.instance_arn)
            usable = instance is not None and instance.takes_tasks and task.last != STOPPED
            if task.deployment_id != primary.id or not usable:
                continue
            self.plan.verbs.append(PromoteTask(task.arn, self._next_owed()))
            self.standbys.remove(task)
            promoted += 1
        self.started += promoted
        return promoted

    def _place(self, count: int) -> None:
        definition = self.snapshot.state.definitions[self.service.primary.definition_arn]
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
            starts.append(Start(spot.arn, self._next_owed()))
        if starts:
            self.started += len(starts)
            self.plan.verbs.append(
                StartTasks(self.service.arn, self.service.primary.id, definition.arn, tuple(starts))
            )
        if refusal is not None:
            self.plan.refusals.append((self.service.arn, refusal.reason))
            self._complain(refusal.sentence())
        elif count:
            self.service = replace(self.service, complaint="")

    def _complain(self, message: str) -> None:
        """Say a problem once, and again only when it changed or six hours have passed (as ECS does)."""
        again = self.service.complaint_at + COMPLAIN_AGAIN_SECONDS
        if message == self.service.complaint and self.now < again:
            return
        self.plan.verbs.append(Explain(self.service.arn, message))
        self.service = replace(self.service, complaint=message, complaint_at=self.now)

    # -- stopping -----------------------------------------------------------------------------------

    def _stop_surplus(self) -> None:
        service, primary = self.service, self.service.primary
        # Of the newest deployment only proven tasks may let older ones go.
        healthy = [
            t
            for t in self.wanted
            if t not in self.bad and (self._is_proven(t) if t.deployment_id == primary.id else t.is_healthy)
        ]
        lower = lower_bound(service.desired_count, service.minimum_healthy_percent)
        spare = stoppable(len(healthy), lower)
        old = [t for t in self.wanted if t.deployment_id != primary.id]
        new = [t for t in self.wanted if t.deployment_id == primary.id]
        scaled_in = Reason(
            SERVICE_SCHEDULER_INITIATED, f"Scaling activity initiated by (deployment {primary.id})"
        )
        surplus = [t for t in self._by_least_loss(old) if t not in self.bad]
        good_new = [t for t in new if t not in self.bad]
        surplus += self._by_least_loss(good_new)[: max(0, len(good_new) - service.desired_count)]
        chosen: list[Task] = []
        for task in surplus:
            if task in healthy:
                if spare <= 0:
                    continue
                spare -= 1
            chosen.append(task)
        self._order_stop(chosen, scaled_in)
        self._stop_bad(len(healthy) - sum(1 for t in chosen if t in healthy))
        self._stop_lost()

    def _stop_bad(self, healthy: int) -> None:
        """Unhealthy tasks go once their replacements are healthy, or at once when there is no room to start
        the replacements first."""
        if not self.bad:
            return
        desired = self.service.desired_count
        upper = upper_bound(desired, self.service.maximum_percent)
        has_room = upper > len(self.live) - len(self.lost)
        replacements_under_way = self.started or any(
            not t.is_healthy and t not in self.bad for t in self.wanted
        )
        must_make_room = not has_room and not replacements_under_way
        reason = Reason(SERVICE_SCHEDULER_INITIATED, "Task failed container health checks")
        if healthy >= desired:
            self._order_stop(self.bad, reason)
        elif must_make_room:
            self._order_stop(self.bad[:1], reason)

    def _stop_lost(self) -> None:
        """A lost task is given up only for a replacement, or when it is not needed: with nowhere else to run
        it may well be running still."""
        if not self.lost:
            return
        needed = max(0, self.service.desired_count - len(self.wanted) - self.started)
        reason = Reason(
            INFRASTRUCTURE_HEALTH,
            "The container agent of the task's container instance was lost; task replaced.",
        )
        ordered = sorted(self.lost, key=lambda t: (t.created_at, t.arn))
        self._order_stop(ordered[needed:], reason)

    def _by_least_loss(self, tasks: list[Task]) -> list[Task]:
        """Not yet running first, then from the instance with most tasks of the service, newest first."""
        load: dict[str, int] = {}
        for task in self.wanted:
            load[task.instance_arn] = load.get(task.instance_arn, 0) + 1
        ordered: list[Task] = []
        left = sorted(tasks, key=lambda t: (-t.created_at, t.arn))
        while left:
            pick = min(left, key=lambda t: (t.is_healthy, -load[t.instance_arn]))
            load[pick.instance_arn] -= 1
            left.remove(pick)
            ordered.append(pick)
        return ordered

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
        mine = [t for t in self.standbys if t.deployment_id == primary.id]
        surplus = [t for t in self.standbys if t.deployment_id != primary.id] + mine[wish:]
        self._order_stop(surplus, Reason(SERVICE_SCHEDULER_INITIATED, "Warm standby is not needed."))
        running = sum(1 for t in self.wanted if t.deployment_id == primary.id and t.last == RUNNING)
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
        primary = self.service.primary
        mine = [t for t in self.wanted if t.deployment_id == primary.id]
        only_mine = len(mine) == len(self.live) and not self.lost
        return (
            only_mine
            and len(mine) == self.service.desired_count
            and all(self._is_proven(t) for t in mine)
            and not self.started
            and not self.stopped
        )

    def _finish_deployments(self) -> None:
        primary = self.service.primary
        holding = {t.deployment_id for t in self.live} | {t.deployment_id for t in self.standbys}
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
        primary = self.service.primary
        reason = Reason(
            SERVICE_SCHEDULER_INITIATED, f"Scaling activity initiated by (deployment {primary.id})"
        )
        self._order_stop([*self.wanted, *self.standbys], reason)
        self._order_stop(self.lost, reason)
        remaining = [t for t in self.live if t.last != STOPPED and not self._is_lost(t)]
        if not remaining and not self.standbys:
            self.service = replace(
                self.service, status="INACTIVE", deployments=(primary,), inactive_at=self.now
            )
