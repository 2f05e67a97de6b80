"""Look: what every scheduling strategy does with one service: count ends, start, stop, say why.

It works on values and adds verbs to the plan; the service itself is put once, at the end, and only when it changed.
Subclasses decide how many tasks of which deployment there should be.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Collection, Sequence
from dataclasses import replace

from monitor.model.capacity import FARGATE, Strategy
from monitor.model.event import Reason
from monitor.model.service import EXTERNAL, IN_PROGRESS, Deployment, Service
from monitor.model.task import (
    INFRASTRUCTURE_HEALTH,
    RUNNING,
    SERVICE_SCHEDULER_INITIATED,
    TASK_FAILED_TO_START,
    Task,
)
from monitor.model.task_definition import TaskDefinition
from monitor.scheduler import backoff, rollout
from monitor.scheduler.capacity import next_provider
from monitor.scheduler.census import take
from monitor.scheduler.placement import DEFAULT_STRATEGY, Placer, Refusal, is_distinct
from monitor.scheduler.plan import (
    Explain,
    MarkFaulted,
    Plan,
    PromoteTask,
    Record,
    SettleTask,
    Start,
    StartTasks,
    StopTasks,
    UpdateService,
)
from monitor.scheduler.scale_in import by_least_loss
from monitor.scheduler.snapshot import Snapshot

STEADY_AGAIN_SECONDS = 6 * 3600.0
COMPLAIN_AGAIN_SECONDS = 6 * 3600.0
COMPLAIN_ANEW_SECONDS = 30.0
IMPAIRED = "is unable to consistently start tasks successfully."
OWED_KEPT = 50


class Look:
    def __init__(
        self, snapshot: Snapshot, plan: Plan, placer: Placer, service: Service, ended: list[Task]
    ) -> None:
        self.snapshot, self.plan, self.placer = snapshot, plan, placer
        self.now = snapshot.now
        self.before = self.service = service
        self.ended = ended
        self.census = take(snapshot, service, plan)
        self.bad = self.census.bad_arns
        self.leaving = self.census.leaving_arns
        self.standbys = list(self.census.standbys)
        self.is_full = False  # no instance had room for a task in this look
        self.started = 0
        self.stopped: set[str] = set()
        self.failed: Deployment | None = None  # given up in this look
        self.group = f"service:{service.name}"

    def finish(self) -> None:
        """Keep the records of the deployments, and put the service if it changed."""
        for record in rollout.records(self.snapshot, self.before, self.service, self.failed):
            self.plan.verbs.append(Record(record))
        if self.service != self.before:
            self.plan.verbs.append(UpdateService(self.service))

    # -- values -------------------------------------------------------------------------------------

    def deployment(self, deployment_id: str) -> Deployment | None:
        return next((d for d in self.service.deployments if d.id == deployment_id), None)

    def put(self, deployment: Deployment) -> None:
        """Replace the deployment of the same id."""
        kept = tuple(deployment if d.id == deployment.id else d for d in self.service.deployments)
        if kept != self.service.deployments:
            self.service = replace(self.service, deployments=kept)

    def is_primary(self, task: Task) -> bool:
        return task.deployment_id == self.service.primary.id

    def is_proven(self, task: Task) -> bool:
        """Healthy, and without a health check also RUNNING long enough to show that it stays."""
        if not task.is_healthy:
            return False
        proven_at = (task.started_at or self.now) + self.snapshot.healthy_after_seconds
        if task.has_health_check or proven_at <= self.now:
            return True
        self.plan.look_again(proven_at)
        return False

    def definition_of(self, deployment: Deployment) -> TaskDefinition:
        return self.snapshot.state.definitions[deployment.definition_arn]

    def strategy_of(self, deployment: Deployment) -> Strategy:
        return deployment.strategy if self.service.controller == EXTERNAL else self.service.strategy

    def fail(self, why: rollout.Verdict) -> None:
        """Give the newest deployment up; go back to the last completed one when that is asked for and there is one."""
        failed = rollout.fail(self.service, why, self.now)
        self.failed = failed.primary
        message = f"(deployment {failed.primary.id}) deployment failed: {why.told}."
        self.plan.verbs.append(Explain(self.service.arn, message, "SERVICE_DEPLOYMENT_FAILED"))
        back = rollout.roll_back(self.service, why, self.now) if why.rollback else None
        self.service = back or failed
        if back is not None:
            told = f"rolling back to deployment {back.primary.id}."
            self.plan.verbs.append(Explain(self.service.arn, told, "SERVICE_DEPLOYMENT_IN_PROGRESS"))

    # -- counting ends ------------------------------------------------------------------------------

    def home_of(self, task: Task) -> Deployment:
        """The deployment that answers for the task's place: its own while that is kept, else the newest."""
        own = self.deployment(task.deployment_id)
        return own if own is not None and self.keeps(own) else self.service.primary

    def keeps(self, deployment: Deployment) -> bool:
        """Whether places of this deployment are filled again: a rolling one takes over those of older ones."""
        return deployment.id == self.service.primary.id

    def settle(self) -> None:
        """Count each ended task once: a failure lengthens the back-off, any end leaves a place to fill."""
        for task in sorted(self.ended, key=lambda t: (t.stopping_at or 0.0, t.arn)):
            self.plan.verbs.append(SettleTask(task.arn))
            own = self.deployment(task.deployment_id)
            if task.standby:
                # One that cannot be made would be tried for ever: it ends the wish for standbys like a failed start.
                if own is not None and task.stop_code == TASK_FAILED_TO_START:
                    self.put(backoff.count(own, task, self.now))
                continue
            if own is not None and self._counts(own):
                self._count_failure(own, task)
            home = self.deployment(self.home_of(task).id)
            if home is not None and task.stop_code != SERVICE_SCHEDULER_INITIATED:
                self.put(replace(home, owed=(*home.owed, task.arn)[-OWED_KEPT:]))

    def settle_all(self) -> None:
        """Count nothing: what ended was nobody's."""
        self.plan.verbs.extend(SettleTask(t.arn) for t in self.ended)

    def count_unhealthy(self) -> None:
        """A task that fails its health checks while its deployment is under way counts against it, once (the circuit
        breaker's second stage)."""
        for task in self.census.bad:
            own = self.deployment(task.deployment_id)
            if task.faulted or own is None or not self._counts(own) or own.rollout_state != IN_PROGRESS:
                continue
            self.plan.verbs.append(MarkFaulted(task.arn))
            self.put(backoff.add_failure(own, self.now))

    def _counts(self, deployment: Deployment) -> bool:
        """Whether failures of its tasks matter: an older one is on its way out."""
        return deployment.id == self.service.primary.id or self.service.controller == EXTERNAL

    def _count_failure(self, deployment: Deployment, task: Task) -> None:
        if task.faulted or not backoff.is_failure(task, self.snapshot.healthy_after_seconds):
            return
        counted = backoff.count(deployment, task, self.now)
        if counted.backoff_step > backoff.FREE_ROUNDS >= deployment.backoff_step:
            self.plan.verbs.append(Explain(self.service.arn, IMPAIRED, "SERVICE_TASK_START_IMPAIRED"))
        self.put(counted)

    def end_backoff(self) -> None:
        """A task started in this round that outlives the threshold ends the back-off."""
        for deployment in self.service.deployments:
            if deployment.backoff_step or deployment.failed_tasks:
                self._end_backoff_of(deployment)

    def _end_backoff_of(self, deployment: Deployment) -> None:
        for task in self.census.wanted:
            mine = task.deployment_id == deployment.id and task.created_at >= deployment.step_at
            if not mine or task.last != RUNNING or task.arn in self.bad:
                continue
            if task.has_health_check and not task.is_healthy:
                continue
            proven_at = (task.started_at or self.now) + self.snapshot.healthy_after_seconds
            if proven_at <= self.now:
                reset = self.service.circuit_breaker.reset_on_healthy_task
                failures = 0 if reset else deployment.breaker_failures
                self.put(replace(backoff.clear(deployment, self.now), breaker_failures=failures))
                return
            self.plan.look_again(proven_at)

    # -- starting -----------------------------------------------------------------------------------

    def fill(self, deployment: Deployment, missing: int, room: int) -> None:
        """Start what the deployment lacks, as far as there is room for it."""
        if missing <= 0:
            if deployment.owed:
                self.put(replace(deployment, owed=()))
            return
        if deployment.retry_at > self.now:
            self.plan.look_again(deployment.retry_at)
            return
        count, started = max(0, min(missing, room)), self.started
        empty_places = deque(self.empty_places(deployment))
        self._promote(deployment, count, empty_places)
        self._place(deployment, count - (self.started - started), empty_places)
        owed = tuple(p for p in empty_places if p in deployment.owed)
        if self.started - started == missing:
            owed, self.service = (), replace(self.service, complaint="")
        current = self.deployment(deployment.id)
        if current is not None:
            self.put(replace(current, owed=owed))

    def empty_places(self, deployment: Deployment) -> list[str]:
        """Tasks to be replaced, in order: those that ended, the lost, the unhealthy that have no replacement yet."""
        taken = {t.replaces for t in self.census.wanted}
        lost = sorted(self.census.lost, key=lambda t: (-t.created_at, t.arn))
        waiting = [*lost, *self.census.bad, *self.census.leaving]
        return [*deployment.owed, *(t.arn for t in waiting if t.arn not in taken)]

    def _promote(self, deployment: Deployment, count: int, empty_places: deque[str]) -> None:
        promoted = 0
        for task in list(self.standbys):
            if promoted == count:
                break
            if task.deployment_id != deployment.id or not self._may_start(task):
                continue
            self.plan.verbs.append(PromoteTask(task.arn, _next(empty_places)))
            self.standbys.remove(task)
            promoted += 1
        self.started += promoted

    def _may_start(self, standby: Task) -> bool:
        instance = self.snapshot.state.instances.get(standby.instance_arn)
        if instance is None or not instance.takes_tasks:
            return False
        if not is_distinct(self.service.placement_constraints):
            return True
        return self.placer.take_distinct(standby.instance_arn, standby.group, self.service.cluster_arn)

    def place(
        self, deployment: Deployment, provider: str = "", only: Collection[str] | None = None
    ) -> str | Refusal:
        """An instance for one more task of the deployment, its resources taken; or why there is none."""
        definition = self.definition_of(deployment)
        spot = self.placer.place(
            self.service.cluster_arn,
            self.group,
            definition.needs,
            (*self.service.placement_constraints, *(definition.document.get("placementConstraints") or ())),
            self.service.placement_strategy,
            provider=provider,
            only=only,
            requires=required(definition),
        )
        return spot if isinstance(spot, Refusal) else spot.arn

    def _place(self, deployment: Deployment, count: int, empty_places: deque[str]) -> None:
        strategy = self.strategy_of(deployment)
        launch_type = deployment.launch_type or self.service.launch_type
        fixed = FARGATE if launch_type == FARGATE and not strategy else ""
        providers = Counter(t.capacity_provider for t in self.census.wanted) if strategy else Counter[str]()
        starts: list[Start] = []
        refusal: Refusal | None = None
        while len(starts) < count:
            provider = next_provider(strategy, providers) if strategy else fixed
            spot = self.place(deployment, provider)
            if isinstance(spot, Refusal):
                refusal = spot
                break
            providers[provider] += 1
            starts.append(Start(spot, _next(empty_places), provider if strategy else ""))
        if starts:
            self.started += len(starts)
            self.add_start(deployment, starts)
        if refusal is not None:
            self.refused(refusal)
        elif count:
            self.service = replace(self.service, complaint="")

    def add_start(self, deployment: Deployment, starts: Sequence[Start], standby: bool = False) -> None:
        launch_type = deployment.launch_type or self.service.launch_type
        self.plan.verbs.append(
            StartTasks(
                self.service.arn,
                deployment.id,
                deployment.definition_arn,
                tuple(starts),
                standby,
                launch_type,
            )
        )

    def refused(self, refusal: Refusal) -> None:
        self.is_full = refusal.is_for_want_of_room
        if self.is_full and self.census.stopping:
            return  # an ending task of ours still holds what is needed: it will be free in a moment
        self.plan.refusals.append((self.service.arn, refusal.reason))
        self.complain(refusal.sentence(), "SERVICE_TASK_PLACEMENT_FAILURE")

    def complain(self, message: str, name: str = "") -> None:
        """Say a problem once; again when six hours have passed (as ECS does), and another one in its place after a
        short while only: which instance comes closest changes with every task around."""
        told, at = self.service.complaint, self.service.complaint_at
        if told and told != message and self.now < at + COMPLAIN_ANEW_SECONDS:
            self.plan.look_again(at + COMPLAIN_ANEW_SECONDS)
            return
        if told == message and self.now < at + COMPLAIN_AGAIN_SECONDS:
            return
        self.plan.verbs.append(Explain(self.service.arn, message, name))
        self.service = replace(self.service, complaint=message, complaint_at=self.now)

    # -- stopping -----------------------------------------------------------------------------------

    def order_stop(self, tasks: Sequence[Task], reason: Reason) -> None:
        fresh = [t.arn for t in tasks if t.desired == RUNNING and t.arn not in self.stopped]
        if fresh:
            self.stopped.update(fresh)
            self.plan.verbs.append(StopTasks(self.service.arn, tuple(fresh), reason))

    def scaled_in(self, deployment_id: str = "") -> Reason:
        text = f"Scaling activity initiated by (deployment {deployment_id or self.service.primary.id})"
        return Reason(SERVICE_SCHEDULER_INITIATED, text)

    def by_least_loss(self, tasks: Sequence[Task]) -> list[Task]:
        """In the order in which they are best stopped."""
        strategy = self.service.placement_strategy or DEFAULT_STRATEGY
        return by_least_loss(tasks, self.census.wanted, self.snapshot.state, strategy)

    def unprotected(self, tasks: Sequence[Task]) -> list[Task]:
        """Those that scaling in or a deployment may stop; a look is asked for when a protection ends."""
        free = []
        for task in tasks:
            if task.is_protected(self.now):
                self.plan.look_again(task.protected_until or self.now)
            else:
                free.append(task)
        return free

    def stop_unhealthy(self, tasks: Sequence[Task]) -> None:
        self.order_stop(tasks, Reason(SERVICE_SCHEDULER_INITIATED, "Task failed container health checks"))

    def stop_lost(self, needed: int) -> None:
        """A lost task is given up only for a replacement, or when it is not `needed`: with nowhere else to run
        it may well be running still."""
        reason = Reason(
            INFRASTRUCTURE_HEALTH,
            "The container agent of the task's container instance was lost; task replaced.",
        )
        ordered = sorted(self.census.lost, key=lambda t: (t.created_at, t.arn))
        self.order_stop(ordered[max(0, needed) :], reason)

    def leave(self) -> None:
        """What has not begun to run on a DRAINING instance is stopped at once (ECS developer guide, "Draining")."""
        waiting = [t for t in self.census.leaving if t.last != RUNNING and t.arn != self.service.moving]
        self.order_stop(waiting, LEFT)

    def drain(self) -> None:
        """DRAINING: stop everything, then INACTIVE."""
        census = self.census
        standbys = [*self.standbys, *census.lost_standbys]
        self.order_stop([*census.wanted, *census.lost, *standbys], self.scaled_in())
        if not census.live:
            self.service = replace(
                self.service,
                status="INACTIVE",
                deployments=self.service.deployments[:1],
                inactive_at=self.now,
            )

    # -- steady state -------------------------------------------------------------------------------

    def say_steady(self, is_steady: bool) -> None:
        if not is_steady:
            if self.service.steady_at is not None:
                self.service = replace(self.service, steady_at=None)
            return
        last = self.service.steady_at
        if last is None or self.now - last >= STEADY_AGAIN_SECONDS:
            self.plan.verbs.append(
                Explain(self.service.arn, "has reached a steady state.", "SERVICE_STEADY_STATE")
            )
            self.service = replace(self.service, steady_at=self.now)


LEFT = Reason(SERVICE_SCHEDULER_INITIATED, "Task moved off its container instance, which is DRAINING.")


def required(definition: TaskDefinition) -> tuple[str, ...]:
    """Attribute names that the definition needs on its instance."""
    return tuple(a["name"] for a in definition.document.get("requiresAttributes") or ())


def _next(empty_places: deque[str]) -> str:
    return empty_places.popleft() if empty_places else ""
