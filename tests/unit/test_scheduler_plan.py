"""Plans: their sentence, their events, and what reconcile does beside the services."""

from __future__ import annotations

from dataclasses import replace

import pytest

from monitor.model.resources import Resources
from monitor.model.state import Put, State
from monitor.model.task import Task
from monitor.scheduler.placement import DEFAULT_STRATEGY
from monitor.scheduler.plan import Plan, SettleTask
from monitor.scheduler.reconcile import reconcile
from monitor.scheduler.scale_in import by_least_loss
from monitor.scheduler.snapshot import Snapshot
from tests.scenarios.world import World


@pytest.fixture
def world() -> World:
    world = World()
    world.join("one")
    world.join("two")
    world.define("web")
    return world


def test_a_plan_in_one_line(world: World) -> None:
    assert Plan().sentence() == "nothing to do"
    world.call("CreateService", serviceName="web", taskDefinition="web", desiredCount=3)
    assert world.look().sentence() == "StartTasks=3 Record=1"
    world.settle()
    world.call("UpdateService", service="web", desiredCount=0)
    assert world.look().sentence().startswith("StopTasks=3")


def test_the_earliest_look_is_kept() -> None:
    plan = Plan([SettleTask("t")])
    for at in (30.0, 10.0, 20.0):
        plan.look_again(at)
    assert plan.next_at == 10.0


def test_tags_of_a_service_s_tasks(world: World) -> None:
    tags = [{"key": "team", "value": "blue"}]
    world.serve(desired=1, tags=tags, propagateTags="SERVICE", enableECSManagedTags=True)
    (task,) = world.live()
    assert task.tags == {"aws:ecs:clusterName": "default", "aws:ecs:serviceName": "web", "team": "blue"}
    assert task.started_by == task.deployment_id == world.service().primary.id
    world.call(
        "RegisterTaskDefinition",
        family="tagged",
        tags=[{"key": "from", "value": "definition"}],
        containerDefinitions=[{"name": "a", "image": "i", "memory": 8, "essential": True}],
    )
    world.serve("tagged", desired=1, taskDefinition="tagged", propagateTags="TASK_DEFINITION")
    assert world.live("tagged")[0].tags == {"from": "definition"}


def test_a_standalone_task_is_settled_and_not_replaced(world: World) -> None:
    world.call("RunTask", taskDefinition="web")
    (task,) = world.state.tasks.values()
    world.ended(task, 0)
    assert [type(v).__name__ for v in world.look().verbs] == ["SettleTask"]
    assert len(world.state.tasks) == 1


def test_old_records_are_forgotten_oldest_first(world: World) -> None:
    for _ in range(3):
        world.call("RunTask", taskDefinition="web")
        task = list(world.state.tasks.values())[-1]
        world.now += 10
        world.ended(task, 0)
        world.look()
    first = next(iter(world.state.tasks))
    month = 30 * 86400.0
    assert reconcile(Snapshot(world.state, world.now)).verbs == []
    plan = reconcile(Snapshot(world.state, world.now - 20 + month))
    assert [v.entity.arn for v in plan.verbs] == [first]  # type: ignore[union-attr]
    world.now += month
    world.look()
    assert not world.state.tasks
    assert not world.state.stopped


def test_inactive_things_are_forgotten_after_an_hour(world: World) -> None:
    world.serve(desired=0)
    world.call("DeleteService", service="web")
    world.call("CreateCluster", clusterName="gone")
    world.call("DeleteCluster", cluster="gone")
    world.call("DeregisterContainerInstance", containerInstance="two")
    world.look()
    assert world.service().status == "INACTIVE"
    world.advance(3599)
    assert len(world.state.services) == 1
    world.advance(1)
    assert (len(world.state.services), len(world.state.clusters), len(world.state.instances)) == (0, 1, 1)


def test_a_lost_instance_is_looked_at_in_time(world: World) -> None:
    world.disconnect("one", 60)
    assert world.look().next_at == world.now + 60
    world.now += 60
    assert world.look().next_at is None


def test_tasks_of_an_instance_that_is_gone_count_as_lost(world: World) -> None:
    world.serve(desired=1)
    world.settle()
    (task,) = world.live()
    elsewhere = replace(task, instance_arn=task.instance_arn.replace("one", "nowhere"))
    world.commit([Put(elsewhere)])
    world.look()
    assert world.state.tasks[task.arn].stop_code == "InfrastructureHealth"


def test_a_complaint_is_said_once_and_again_after_six_hours(world: World) -> None:
    world.serve(desired=40)
    placed = len(world.live())
    complaints = [m for m in world.said() if "unable to place" in m]
    assert (placed, len(complaints)) == (32, 1)
    world.settle()
    world.advance(6 * 3600 - 1)
    assert len([m for m in world.said() if "unable to place" in m]) == 1
    world.advance(2)
    assert len([m for m in world.said() if "unable to place" in m]) == 2
    assert reconcile(world.snapshot()).refusals == [(world.service().arn, "RESOURCE:CPU")]


def test_another_complaint_waits_a_little(world: World) -> None:
    world.define("wide", cpu=5000)
    world.serve("wide", desired=1, taskDefinition="wide")
    assert "insufficient CPU" in world.said("wide")[-1]
    for name in ("one", "two"):
        world.disconnect(name, 1e6)
    plan = world.look()
    assert plan.next_at == world.now + 30
    assert "insufficient CPU" in world.said("wide")[-1]
    world.advance(31)
    assert 'encountered error "AGENT"' in world.said("wide")[-1]
    world.call("UpdateService", service="wide", desiredCount=0)
    world.look()
    assert world.service("wide").complaint == ""


def test_steady_again_after_six_hours(world: World) -> None:
    world.serve(desired=1)
    world.settle()
    world.advance(11)
    for _ in range(3):
        world.advance(6 * 3600.0 + 1)
    assert len([m for m in world.said() if "steady state" in m]) == 4


def test_a_failing_standby_ends_the_wish_for_standbys(world: World) -> None:
    world.serve(desired=1, standbys=1)
    world.settle()
    (standby,) = world.standbys()
    world.ended(standby, reason="CannotCreateContainerError: no")
    world.look()
    assert world.service().primary.backoff_step == 1
    assert world.standbys() == []
    assert len(world.live()) == 1


def test_a_lost_standby_is_made_anew_elsewhere(world: World) -> None:
    world.serve(desired=1, standbys=1)
    world.settle()
    (standby,) = world.standbys()
    where = standby.instance_arn.rsplit("/", 1)[1]
    world.disconnect(where, 0)
    world.settle()
    (fresh,) = world.standbys()
    assert fresh.instance_arn != standby.instance_arn
    assert world.state.tasks[standby.arn].desired == "STOPPED"


def test_a_standby_is_not_promoted_where_no_agent_listens(world: World) -> None:
    world.serve(desired=1, standbys=1)
    world.settle()
    (standby,), (task,) = world.standbys(), world.live()
    assert standby.instance_arn != task.instance_arn
    world.disconnect(standby.instance_arn.rsplit("/", 1)[1], 600)
    world.crashed(task)
    world.look()
    assert world.state.tasks[standby.arn].standby
    fresh = next(t for t in world.live() if t.desired == "RUNNING")
    assert fresh.instance_arn == task.instance_arn
    assert fresh.replaces == task.arn


def test_what_to_stop_first(world: World) -> None:
    def task(name: str, instance: str, age: float, last: str = "RUNNING") -> Task:
        at = world.now - age
        return Task(name, "c", "d", instance, at, (), Resources(), "g", last=last)

    young, old = task("young", "x", 1), task("old", "x", 9)
    older, pending = task("older", "x", 10), task("pending", "y", 5, "PENDING")
    alone = task("alone", "y", 2)
    tasks = [old, young, alone, pending, older]
    # y has two until its pending task goes, then one; x has three, two, and then as many as y.
    assert [t.arn for t in by_least_loss(tasks, tasks, State(), DEFAULT_STRATEGY)] == [
        "pending",
        "young",
        "old",
        "alone",
        "older",
    ]
    assert [t.arn for t in by_least_loss([alone, older], tasks, State(), DEFAULT_STRATEGY)] == [
        "older",
        "alone",
    ]
    assert by_least_loss([], tasks, State(), DEFAULT_STRATEGY) == []


def test_every_service_of_an_account_is_looked_at(world: World) -> None:
    for name in ("a", "b", "c"):
        world.serve(name, desired=1, taskDefinition="web")
    assert sum(len(world.live(n)) for n in "abc") == 3
