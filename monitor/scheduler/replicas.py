"""A REPLICA service: count what runs, replace what failed, move to the newest definition.

Order of a look: count the ended tasks, judge the deployment, decide who is wanted, start what is missing (warm
standbys first), stop what is too many, keep the standbys, finish the deployment, balance zones, and say when the
service is steady.
"""

from __future__ import annotations

from dataclasses import replace

from monitor.model.event import Reason
from monitor.model.service import ACTIVE, FAILED, IN_PROGRESS, Deployment
from monitor.model.task import RUNNING, SERVICE_SCHEDULER_INITIATED, Task
from monitor.scheduler import rebalance, rollout, stages
from monitor.scheduler.look import LEFT, Look
from monitor.scheduler.placement import Refusal
from monitor.scheduler.plan import Explain, Start
from monitor.scheduler.rolling import lower_bound, stoppable, upper_bound

BLOCKED = (
    "was unable to stop or start tasks during a deployment because of the service deployment configuration. Update "
    "the minimumHealthyPercent or maximumPercent value and try again."
)
PROTECTED = (
    "was unable to reach steady state because task set ({id}) was unable to scale in. Reason: The number of protected "
    "tasks are more than the desired count of tasks"
)


class ReplicaLook(Look):
    def run(self) -> None:
        if self.service.status == ACTIVE:
            self.settle()
            self.count_unhealthy()
            self.end_backoff()
            rebalance.forget_moved(self)
            self._judge()
            stages.advance(self)
            self.leave()
            self._start()
            self._stop_surplus()
            kept = self._drop_standbys()
            self._finish_deployments()
            rebalance.balance(self)
            self._add_standbys(kept)
            self.say_steady(self.is_settled() and len(self.service.deployments) == 1)
        else:
            self.settle()
            self.drain()
        self.finish()

    # -- judging ------------------------------------------------------------------------------------

    def keeps(self, deployment: Deployment) -> bool:
        blue = stages.blue(self.service)
        return super().keeps(deployment) or (blue is not None and deployment.id == blue.id)

    def _judge(self) -> None:
        """Fail the newest deployment, and roll back, when the circuit breaker, an alarm or a user says so."""
        why = rollout.verdict(self.snapshot.state, self.service)
        if why is not None:
            self.fail(why)

    # -- starting -----------------------------------------------------------------------------------

    def good(self, deployment: Deployment) -> list[Task]:
        """Its tasks that fill a place for good."""
        return [
            t
            for t in self.census.wanted
            if t.deployment_id == deployment.id and t.arn not in self.bad and t.arn not in self.leaving
        ]

    def _start(self) -> None:
        service, desired = self.service, self.service.desired_count
        primary = service.primary
        if primary.rollout_state == FAILED:
            return
        blue = stages.blue(service)
        if blue is not None:
            self.fill(blue, desired - len(self.good(blue)), desired)
            if stages.may_scale_up(primary):
                self.fill(primary, desired - len(self.good(primary)), desired)
            return
        missing = desired - len(self.good(primary))
        upper = max(upper_bound(desired, service.maximum_percent), 1)
        room = upper - len(self.census.live)
        if missing <= 0 and self.service.complaint and not self._is_stuck_protected():
            self.service = replace(self.service, complaint="")
        self.fill(primary, missing, room)
        if missing > 0 and room <= 0 and primary.retry_at <= self.now:
            self._say_blocked()

    def _say_blocked(self) -> None:
        """Tell when the percentages allow neither a start nor a stop, and nothing under way will change that."""
        census = self.census
        lower = lower_bound(self.service.desired_count, self.service.minimum_healthy_percent)
        waits = census.stopping or census.bad or not all(t.is_healthy for t in census.wanted)
        if not waits and len(census.wanted) <= lower:
            self.complain(BLOCKED)

    # -- stopping -----------------------------------------------------------------------------------

    def _stop_surplus(self) -> None:
        service, desired = self.service, self.service.desired_count
        wanted = [t for t in self.census.wanted if t.arn not in self.bad and t.arn not in self.stopped]
        blue = stages.blue(service)
        kept = {service.primary.id} | ({blue.id} if blue is not None else set())
        # Of the newest deployment only proven tasks may let older ones go.
        healthy = {t.arn for t in wanted if (self.is_proven(t) if self.is_primary(t) else t.is_healthy)}
        lower = lower_bound(desired, service.minimum_healthy_percent)
        if service.primary.rollout_state == FAILED:
            lower = desired  # nothing is started any more: what runs stays
        # Rebalancing never costs a task, whatever minimumHealthyPercent would allow.
        is_replaced = len(healthy - {service.moving}) >= desired
        leaving = [t for t in wanted if t.arn in self.leaving and (is_replaced or t.arn != service.moving)]
        old = [t for t in wanted if t.deployment_id not in kept and t.arn not in self.leaving]
        surplus = [*leaving, *self.by_least_loss(self.unprotected(old))]
        for deployment_id in kept:
            new = [t for t in wanted if t.deployment_id == deployment_id and t.arn not in self.leaving]
            if len(new) > desired:
                surplus += self.by_least_loss(self._free_to_scale_in(new))[: len(new) - desired]
        running = sum(1 for t in wanted if t.is_healthy)
        chosen = _affordable(surplus, healthy, stoppable(len(healthy), lower), stoppable(running, lower))
        self.order_stop([t for t in chosen if t.arn not in self.leaving], self.scaled_in())
        self._move(chosen)
        self._stop_bad(len(healthy) - sum(1 for t in chosen if t.arn in healthy))
        self.stop_lost(desired - len(self.census.wanted) - self.started)

    def _free_to_scale_in(self, tasks: list[Task]) -> list[Task]:
        free = self.unprotected(tasks)
        if len(tasks) - len(free) > self.service.desired_count:
            self.complain(PROTECTED.format(id=self.service.primary.id))
        return free

    def _is_stuck_protected(self) -> bool:
        protected = sum(1 for t in self.good(self.service.primary) if t.is_protected(self.now))
        return protected > self.service.desired_count

    def _move(self, chosen: list[Task]) -> None:
        """Stop those that were replaced elsewhere: their instance is DRAINING, or their zone holds too many."""
        moving = self.service.moving
        self.order_stop([t for t in chosen if t.arn in self.leaving and t.arn != moving], LEFT)
        self.order_stop([t for t in chosen if t.arn == moving], rebalance.MOVED)
        if moving in self.stopped:
            rebalance.moved(self)

    def _stop_bad(self, healthy: int) -> None:
        """Unhealthy tasks go once their replacements are healthy; one of them at once when there is no room to start
        the replacements first."""
        bad, desired = self.census.bad, self.service.desired_count
        if not bad:
            return
        upper = upper_bound(desired, self.service.maximum_percent)
        has_room = upper > len(self.census.live) and not self.is_full
        if self.service.primary.rollout_state == FAILED:
            return  # nothing would take its place
        replacements_under_way = self.started or any(
            not t.is_healthy and t.arn not in self.bad for t in self.census.wanted
        )
        if healthy >= desired:
            self.stop_unhealthy(bad)
        elif not has_room and not replacements_under_way and not self.census.stopping and not self.stopped:
            self.stop_unhealthy(bad[:1])

    # -- warm standby -------------------------------------------------------------------------------

    def _standbys_wanted(self) -> int:
        """Tasks created ahead, not started, so that a replacement only has to be started."""
        primary = self.service.primary
        hopeless = primary.backoff_step or primary.rollout_state == FAILED
        return 0 if hopeless or not self.service.desired_count else self.service.warm_standby

    def _drop_standbys(self) -> int:
        """Stop those that are of no use any more. Returns how many stay."""
        instances, wish = self.snapshot.state.instances, self._standbys_wanted()
        usable = [
            t for t in self.standbys if self.is_primary(t) and instances[t.instance_arn].status == ACTIVE
        ]
        surplus = [t for t in self.standbys if t not in usable] + usable[wish:] + self.census.lost_standbys
        self.order_stop(surplus, Reason(SERVICE_SCHEDULER_INITIATED, "Warm standby is not needed."))
        return len(usable[:wish])

    def _add_standbys(self, kept: int) -> None:
        primary = self.service.primary
        running = sum(1 for t in self.census.wanted if self.is_primary(t) and t.last == RUNNING)
        if running < self.service.desired_count:
            return
        starts: list[Start] = []
        for _ in range(self._standbys_wanted() - kept):
            spot = self.placer.place(self.service.cluster_arn, self.group, self.definition_of(primary).needs)
            if isinstance(spot, Refusal):
                break
            starts.append(Start(spot.arn))
        if starts:
            self.add_start(primary, starts, standby=True)

    # -- deployments and steady state ---------------------------------------------------------------

    def is_settled(self) -> bool:
        """As many tasks as wanted, all of the newest deployment, proven, none to move, nothing under way."""
        census = self.census
        mine = [t for t in census.wanted if self.is_primary(t)]
        return (
            len(mine) == len(census.live) == self.service.desired_count
            and all(t.arn in self.stopped for t in census.lost)
            and all(self.is_proven(t) for t in mine)
            and not self.started
            and not self.census.leaving
            and not self.service.moving
            and self.stopped.isdisjoint(t.arn for t in mine)
        )

    def _finish_deployments(self) -> None:
        primary, holding = self.service.primary, self.census.holding(self.stopped)
        blue = stages.blue(self.service)
        kept = tuple(d for d in self.service.deployments[1:] if d.id in holding or d == blue)
        if kept != self.service.deployments[1:]:
            self.service = replace(self.service, deployments=(primary, *kept))
        if primary.rollout_state != IN_PROGRESS or kept or not self.is_settled():
            return
        if stages.is_staged(primary) or self._is_baking():
            return
        self.service = rollout.complete(self.service, self.now)
        message = f"(deployment {primary.id}) deployment completed."
        self.plan.verbs.append(Explain(self.service.arn, message, "SERVICE_DEPLOYMENT_COMPLETED"))

    def _is_baking(self) -> bool:
        """All tasks run; the alarms are still watched for a while."""
        primary = self.service.primary
        seconds = rollout.bake_seconds(self.snapshot.state, self.service)
        if not seconds:
            return False
        if primary.baking_since is None:
            self.put(replace(primary, baking_since=self.now))
            self.plan.look_again(self.now + seconds)
            return True
        ends = primary.baking_since + seconds
        if ends > self.now:
            self.plan.look_again(ends)
        return ends > self.now


def _affordable(surplus: list[Task], proven: set[str], spare: int, running_spare: int) -> list[Task]:
    """Those that may go: any that does not run as it should, and of the others as many as are to spare, counted both
    over those that are proven and over all that run."""
    chosen: list[Task] = []
    for task in surplus:
        is_proven = task.arn in proven
        if (is_proven and spare <= 0) or (task.is_healthy and running_spare <= 0):
            continue
        spare -= is_proven
        running_spare -= task.is_healthy
        chosen.append(task)
    return chosen
