"""Blue/green deployments without a load balancer: a second full set of tasks beside the first, a pause where one is
asked for, a bake time, then the first set goes (ECS developer guide, "Blue/green deployment stages").

There is no traffic to shift: both sets are reachable at their own addresses meanwhile. The stages of traffic shifts
are passed through, so that pause hooks placed there still hold.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from monitor.model.service import BLUE_GREEN, IN_PROGRESS, Deployment, PauseHook, Service
from monitor.scheduler.rollout import Verdict

if TYPE_CHECKING:
    from monitor.scheduler.replicas import ReplicaLook

PRE_SCALE_UP, SCALE_UP, BAKE_TIME, CLEAN_UP = "PRE_SCALE_UP", "SCALE_UP", "BAKE_TIME", "CLEAN_UP"
STAGES = (
    "RECONCILE_SERVICE",
    PRE_SCALE_UP,
    SCALE_UP,
    "POST_SCALE_UP",
    "TEST_TRAFFIC_SHIFT",
    "POST_TEST_TRAFFIC_SHIFT",
    "PRE_PRODUCTION_TRAFFIC_SHIFT",
    "PRODUCTION_TRAFFIC_SHIFT",
    "POST_PRODUCTION_TRAFFIC_SHIFT",
    BAKE_TIME,
    CLEAN_UP,
)
NO_HOOKS = (SCALE_UP, BAKE_TIME, CLEAN_UP)
HOOK_TIMED_OUT = Verdict(
    "ECS deployment failed: a lifecycle hook timed out.",
    "a lifecycle hook timed out",
    "ECS lifecycle hook",
    True,
)


def is_staged(deployment: Deployment) -> bool:
    """Whether its stages are still to be gone through."""
    return deployment.stage not in ("", CLEAN_UP)


def may_scale_up(deployment: Deployment) -> bool:
    return deployment.stage not in ("RECONCILE_SERVICE", PRE_SCALE_UP)


def blue(service: Service) -> Deployment | None:
    """The completed deployment that is kept whole while the new one is made ready."""
    if service.rollout != BLUE_GREEN or not is_staged(service.primary) or service.completed is None:
        return None
    return next((d for d in service.deployments[1:] if d.id == service.completed.id), None)


def advance(look: ReplicaLook) -> None:
    """Go on through as many stages as are done."""
    primary = look.service.primary
    if look.service.rollout != BLUE_GREEN or primary.rollout_state != IN_PROGRESS or not primary.stage:
        return
    if is_staged(primary) and blue(look.service) is None:
        look.put(replace(primary, stage=""))  # there is nothing worth keeping: a plain rollout does
        return
    while is_staged(primary) and _is_done(look, primary):
        following = STAGES[STAGES.index(primary.stage) + 1]
        primary = replace(primary, stage=following, stage_since=look.now, hook_id="")
        look.put(primary)


def _is_done(look: ReplicaLook, primary: Deployment) -> bool:
    hook = _hook(look.service, primary)
    if hook is not None and not _is_past(look, primary, hook):
        return False
    if primary.stage == SCALE_UP:
        proven = sum(1 for t in look.good(primary) if look.is_proven(t))
        return proven >= look.service.desired_count
    if primary.stage == BAKE_TIME:
        ends = primary.stage_since + (look.service.bake_minutes or 0) * 60.0
        if ends > look.now:
            look.plan.look_again(ends)
        return ends <= look.now
    return True


def _hook(service: Service, primary: Deployment) -> PauseHook | None:
    if primary.stage in primary.hooks_passed:
        return None
    return next((h for h in service.hooks if primary.stage in h.stages), None)


def _is_past(look: ReplicaLook, primary: Deployment, hook: PauseHook) -> bool:
    """Whether the hook's time is over and it goes on by itself; until then it waits for a person."""
    hook_id = f"{primary.id.rsplit('/', 1)[-1]}-{primary.stage}"
    if primary.hook_id != hook_id:
        look.put(replace(primary, hook_id=hook_id))
    ends = primary.stage_since + hook.timeout_minutes * 60.0
    if ends > look.now:
        look.plan.look_again(ends)
        return False
    if hook.action == "CONTINUE":
        return True
    look.fail(HOOK_TIMED_OUT)
    return False
