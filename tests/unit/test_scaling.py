"""Auto scaling: the rules by the guide's own examples, and the loop over a whole world."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from monitor.clock import SeededIds
from monitor.control.recent import Recent, service_dimensions
from monitor.control.scaling import Scaling
from monitor.model.arn import Scope
from monitor.model.errors import AwsError
from monitor.model.metric import MetricKey
from monitor.model.state import Change, Put, State
from monitor.rules import schedule
from monitor.rules.scaling import Wish, adjusted, check_steps, cooled, largest, rounded, step_to, track
from monitor.rules.statistics import of_values
from monitor.series.base import Datum, Series
from tests.scenarios.world import START, World

NS = {
    "ServiceNamespace": "ecs",
    "ResourceId": "service/default/web",
    "ScalableDimension": "ecs:service:DesiredCount",
}
CPU = {
    "PredefinedMetricSpecification": {"PredefinedMetricType": "ECSServiceAverageCPUUtilization"},
    "TargetValue": 50.0,
}
STEPS = [
    {"MetricIntervalLowerBound": 0, "MetricIntervalUpperBound": 10, "ScalingAdjustment": 0},
    {"MetricIntervalLowerBound": 10, "MetricIntervalUpperBound": 20, "ScalingAdjustment": 10},
    {"MetricIntervalLowerBound": 20, "ScalingAdjustment": 30},
]
PERCENT = {"AdjustmentType": "PercentChangeInCapacity", "StepAdjustments": STEPS}


# -- rules -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "whole"), [(12.7, 12), (0.67, 1), (-0.58, -1), (-6.67, -6), (0, 0), (3.3, 3), (1.0, 1)]
)
def test_percents_are_rounded_as_documented(change: float, whole: int) -> None:
    assert rounded(change) == whole


def test_the_guides_example_of_steps() -> None:
    check_steps(PERCENT)
    assert step_to(PERCENT, 10, 59, 50) == 10
    assert step_to(PERCENT, 10, 60, 50) == 11
    assert step_to(PERCENT, 11, 70, 50) == 14
    assert step_to(PERCENT, 10, 40, 50) == 10, "no step is for values below the threshold"
    assert adjusted({"AdjustmentType": "ExactCapacity"}, 4, 7) == 7
    assert adjusted({"AdjustmentType": "ChangeInCapacity"}, 4, -1) == 3
    least = {"AdjustmentType": "PercentChangeInCapacity", "MinAdjustmentMagnitude": 2}
    assert adjusted(least, 4, 25) == 6
    below = {
        "AdjustmentType": "ChangeInCapacity",
        "StepAdjustments": [
            {"MetricIntervalLowerBound": -10, "MetricIntervalUpperBound": 0, "ScalingAdjustment": -1},
            {"MetricIntervalUpperBound": -10, "ScalingAdjustment": -2},
        ],
    }
    check_steps(below)
    assert [step_to(below, 5, v, 50) for v in (45, 40, 39)] == [4, 3, 3]


@pytest.mark.parametrize(
    "steps",
    [
        [],
        [{"MetricIntervalLowerBound": 0, "MetricIntervalUpperBound": 10, "ScalingAdjustment": 1}],
        [{"MetricIntervalLowerBound": -5, "ScalingAdjustment": 1}],
        [{"MetricIntervalLowerBound": 5, "MetricIntervalUpperBound": 5, "ScalingAdjustment": 1}],
        [
            {"MetricIntervalLowerBound": 0, "MetricIntervalUpperBound": 10, "ScalingAdjustment": 1},
            {"MetricIntervalLowerBound": 11, "ScalingAdjustment": 1},
        ],
        [{"ScalingAdjustment": 1}, {"MetricIntervalLowerBound": 0, "ScalingAdjustment": 1}],
    ],
)
def test_steps_with_gaps_or_wrong_ends_are_refused(steps: list[dict[str, Any]]) -> None:
    with pytest.raises(AwsError) as raised:
        check_steps({"AdjustmentType": "ChangeInCapacity", "StepAdjustments": steps})
    assert raised.value.code == "ValidationException"


def test_target_tracking_goes_out_in_proportion_and_in_gradually() -> None:
    assert track(CPU, [100.0] * 3, 4).capacity == 8
    assert track(CPU, [51.0] * 3, 4).capacity == 5
    assert track(CPU, [100.0, None, 100.0], 4).capacity is None, "a hole is no breach"
    assert track(CPU, [None] * 15, 4) == Wish(high="INSUFFICIENT_DATA", low="INSUFFICIENT_DATA")
    assert track(CPU, [10.0] * 14, 4).capacity is None
    assert track(CPU, [10.0] * 14 + [20.0], 10).capacity == 4, "the peak decides how far"
    assert track(CPU, [46.0] * 15, 10).capacity is None, "above ninety percent of the target"
    assert track({**CPU, "DisableScaleIn": True}, [1.0] * 15, 10).capacity is None
    assert track(CPU, [0.0] * 15, 3).capacity == 0


def test_out_if_any_in_only_if_all_and_the_largest_wins() -> None:
    assert largest([Wish(6), Wish(8), Wish(2)], 5, 3) == Wish(8)
    assert largest([Wish(2), Wish(4)], 5, 2) == Wish(4)
    assert largest([Wish(2)], 5, 2) is None
    assert largest([], 5, 0) is None


def test_cooldowns() -> None:
    out = {"at": 100.0, "kind": "out", "to": 6}
    config = {"ScaleOutCooldown": 60, "ScaleInCooldown": 120}
    assert cooled({}, config, 7, 5, 100.0) == 7
    assert cooled(out, config, 6, 5, 130.0) is None
    assert cooled(out, config, 9, 6, 130.0) == 9, "a larger one goes on"
    assert cooled(out, config, 7, 6, 161.0) == 7
    assert cooled(out, config, 4, 6, 200.0) is None
    assert cooled(out, config, 4, 6, 221.0) == 4
    assert cooled({"at": 100.0, "kind": "in", "to": 3}, config, 7, 3, 101.0) == 7, "outwards at once"


@pytest.mark.parametrize(
    ("text", "due", "not_due"),
    [
        ("at(2026-11-23T08:30:00)", "2026-11-23T08:30", "2026-11-23T08:31"),
        ("rate(5 minutes)", "2026-11-23T00:10", "2026-11-23T00:11"),
        ("rate(1 hour)", "2026-11-23T03:00", "2026-11-23T03:30"),
        ("cron(0 10 * * ? *)", "2026-11-23T10:00", "2026-11-23T10:01"),
        ("cron(*/15 8-10 ? * MON-FRI *)", "2026-11-23T09:45", "2026-11-22T09:45"),
        ("cron(0 0 L * ? *)", "2026-11-30T00:00", "2026-11-29T00:00"),
        ("cron(0 0 15W * ? *)", "2026-11-16T00:00", "2026-11-15T00:00"),
        ("cron(0 0 ? * 2#1 2026)", "2026-11-02T00:00", "2026-11-09T00:00"),
        ("cron(0 0 ? NOV 6L *)", "2026-11-27T00:00", "2026-11-20T00:00"),
        ("cron(30 0 12 1 1,6 ? *)", "2027-06-01T12:00", "2027-07-01T12:00"),
    ],
)
def test_schedules(text: str, due: str, not_due: str) -> None:
    parsed, started = schedule.parse(text), datetime.fromisoformat("2026-11-23T00:00")
    assert parsed.is_due(datetime.fromisoformat(due), started)
    assert not parsed.is_due(datetime.fromisoformat(not_due), started)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "often",
        "at(tomorrow)",
        "rate(0 minutes)",
        "rate(5 weeks)",
        "cron(0 10 * * * *)",
        "cron(0 10 ? * ? *)",
        "cron(60 * * * ? *)",
        "cron(0 0 32 * ? *)",
        "cron(a * * * ? *)",
        "cron(0 0)",
        "cron(5-1 * * * ? *)",
    ],
)
def test_wrong_schedules(text: str) -> None:
    with pytest.raises(AwsError) as raised:
        schedule.parse(text)
    assert raised.value.code == "ValidationException"


# -- the loop ----------------------------------------------------------------------------------------------


class _Store:
    """A store of the world's: durable at once."""

    def __init__(self, world: World) -> None:
        self._world = world

    @property
    def state(self) -> State:
        return self._world.state

    def commit(self, changes: Sequence[Change]) -> None:
        self._world.commit(changes)


class _Clock:
    def __init__(self, world: World) -> None:
        self._world = world

    def now(self) -> float:
        return self._world.now


class Fleet:
    """A service with a scalable target, metric values by hand, and the loop."""

    def __init__(self) -> None:
        self.world = World()
        self.world.join("one", cpu=65536, memory=65536)
        self.world.define()
        self.world.serve(desired=2)
        self.world.settle()
        self.world.advance(11)
        self.recent = Recent(self.world.state)
        self.loop = Scaling(_Store(self.world), self.recent, _Clock(self.world), SeededIds(9))  # type: ignore[arg-type]
        self.call("RegisterScalableTarget", MinCapacity=1, MaxCapacity=10)

    def call(self, operation: str, **params: Any) -> dict[str, Any]:
        return self.world.call(operation, api="application-autoscaling", **{**NS, **params})

    def tracked(self, **more: Any) -> dict[str, Any]:
        return self.call(
            "PutScalingPolicy",
            PolicyName="cpu",
            PolicyType="TargetTrackingScaling",
            TargetTrackingScalingPolicyConfiguration={**CPU, **more},
        )

    def minutes(self, value: float | None, count: int, metric: str = "CPUUtilization") -> None:
        """So many minutes with the value; the loop looks at the end of each."""
        arn = self.world.service().arn
        for _ in range(count):
            if value is not None:
                self.recent.put("AWS/ECS", metric, service_dimensions(arn), self.world.now, value)
            self.world.now += 60.0
            self.loop.look()
            self.world.settle()

    @property
    def desired(self) -> int:
        return self.world.service().desired_count


@pytest.fixture
def fleet() -> Fleet:
    return Fleet()


def test_a_busy_service_grows_and_a_quiet_one_shrinks(fleet: Fleet) -> None:
    made = fleet.tracked()
    high, low = (a["AlarmName"] for a in made["Alarms"])
    assert high.startswith("TargetTracking-service/default/web-AlarmHigh-")
    fleet.minutes(100.0, 2)
    assert fleet.desired == 2
    fleet.minutes(100.0, 1)
    assert fleet.desired == 4
    assert len(fleet.world.service().deployments) == 1, "a change of the count is no deployment"
    assert {a.name: a.state for a in fleet.world.state.alarms.values()} == {high: "ALARM", low: "OK"}
    (activity,) = fleet.call("DescribeScalingActivities")["ScalingActivities"]
    assert activity["Description"] == "Setting desired count to 4."
    assert activity["Cause"] == f"monitor alarm {high} in state ALARM triggered policy cpu"
    assert activity["StatusCode"] == "Successful"
    assert "(service web) updated desired count to 4." in fleet.world.said()
    fleet.minutes(100.0, 1)
    assert fleet.desired == 8, "a larger wish does not wait for the cooldown"
    fleet.minutes(20.0, 14)
    assert fleet.desired == 8
    fleet.minutes(20.0, 3)
    assert fleet.desired == 4
    fleet.minutes(None, 30)
    assert fleet.desired == 4, "no data, no change"
    assert {a.state for a in fleet.world.state.alarms.values()} == {"INSUFFICIENT_DATA"}


def test_it_stays_between_minimum_and_maximum_and_suspended_when_told(fleet: Fleet) -> None:
    fleet.tracked()
    fleet.minutes(900.0, 3)
    assert fleet.desired == 10
    fleet.call("RegisterScalableTarget", MaxCapacity=6)
    assert fleet.desired == 6, "an update brings the count into the range"
    fleet.call("RegisterScalableTarget", SuspendedState={"DynamicScalingInSuspended": True})
    fleet.minutes(0.0, 20)
    assert fleet.desired == 6
    fleet.call("RegisterScalableTarget", SuspendedState={"DynamicScalingInSuspended": False})
    fleet.minutes(0.0, 2)
    assert fleet.desired == 1


def test_scale_in_waits_for_a_deployment(fleet: Fleet) -> None:
    fleet.tracked()
    fleet.minutes(0.0, 14)
    service = fleet.world.service()
    under_way = replace(service.primary, rollout_state="IN_PROGRESS")
    fleet.world.commit([Put(replace(service, deployments=(under_way,), bake_minutes=60))])
    fleet.minutes(0.0, 3)
    assert fleet.desired == 2


def test_steps_act_on_an_alarm_that_names_the_policy(fleet: Fleet) -> None:
    steps = {
        "AdjustmentType": "ChangeInCapacity",
        "Cooldown": 120,
        "StepAdjustments": [{"MetricIntervalLowerBound": 0, "ScalingAdjustment": 2}],
    }
    arn = fleet.call("PutScalingPolicy", PolicyName="step", StepScalingPolicyConfiguration=steps)["PolicyARN"]
    alarm = {"alarmName": "queue", "actions": [arn], "value": 12, "threshold": 10}
    fleet.world.call("PutAlarmState", api="moorwatch", state="ALARM", **alarm)
    fleet.minutes(None, 1)
    assert fleet.desired == 4
    fleet.minutes(None, 1)
    assert fleet.desired == 6, "a step beyond what the cooldown holds goes on"
    fleet.world.call("PutAlarmState", api="moorwatch", state="OK", **alarm)
    fleet.minutes(None, 5)
    assert fleet.desired == 6


def test_a_custom_metric(fleet: Fleet) -> None:
    spec = {"MetricName": "Jobs", "Namespace": "App", "Dimensions": [{"Name": "Queue", "Value": "q"}]}
    config = {"TargetValue": 10.0, "CustomizedMetricSpecification": spec}
    fleet.call(
        "PutScalingPolicy",
        PolicyName="jobs",
        PolicyType="TargetTrackingScaling",
        TargetTrackingScalingPolicyConfiguration=config,
    )
    for _ in range(3):
        fleet.recent.observe(
            [put("Jobs", "q", fleet.world.now, 20.0, 30.0), put("Jobs", "other", 0.0, 900.0)]
        )
        fleet.minutes(None, 1)
    assert fleet.desired == 5
    assert fleet.recent.minutes("App", "Jobs", {"Queue": "other"}, 60.0, 1) == [None], "nobody asks for it"


def put(metric: str, queue: str, at: float, *values: float) -> Datum:
    """What PutMetricData hands on."""
    key = MetricKey.of("App", metric, [("Queue", queue)])
    return Datum(Series(Scope("0", "r"), key), at, of_values(values))


def test_a_scheduled_action_moves_the_range_once(fleet: Fleet) -> None:
    fleet.world.now = START + 20.0  # 2027-01-15 08:00:20 UTC
    fleet.call(
        "PutScheduledAction",
        ScheduledActionName="morning",
        Schedule="cron(2 9 * * ? *)",
        Timezone="Europe/Berlin",
        ScalableTargetAction={"MinCapacity": 5, "MaxCapacity": 8},
    )
    fleet.minutes(None, 1)
    assert fleet.desired == 2
    fleet.minutes(None, 1)
    assert fleet.desired == 5
    (target,) = fleet.call("DescribeScalableTargets", ResourceId=None)["ScalableTargets"]
    assert (target["MinCapacity"], target["MaxCapacity"]) == (5, 8)
    fleet.world.call("UpdateService", service="web", desiredCount=6)
    fleet.minutes(None, 3)
    assert fleet.desired == 6, "it fires once, and the count may move within the range"


def test_what_goes_with_a_target(fleet: Fleet) -> None:
    fleet.tracked()
    fleet.call(
        "PutScheduledAction",
        ScheduledActionName="a",
        Schedule="rate(1 day)",
        ScalableTargetAction={"MinCapacity": 1},
    )
    assert [p["PolicyName"] for p in fleet.call("DescribeScalingPolicies")["ScalingPolicies"]] == ["cpu"]
    assert len(fleet.call("DescribeScheduledActions")["ScheduledActions"]) == 1
    fleet.call("DeregisterScalableTarget")
    state = fleet.world.state
    left = [state.scalable_targets, state.scaling_policies, state.scheduled_actions, state.alarms]
    assert not any(left)


def test_a_deleted_service_takes_its_target_with_it(fleet: Fleet) -> None:
    fleet.tracked()
    fleet.world.call("DeleteService", service="web", force=True)
    fleet.loop.look()
    assert not fleet.world.state.scalable_targets


@pytest.mark.parametrize(
    ("operation", "params", "code"),
    [
        ("RegisterScalableTarget", {"ResourceId": "service/default/none"}, "ValidationException"),
        ("RegisterScalableTarget", {"ServiceNamespace": "dynamodb"}, "ValidationException"),
        ("RegisterScalableTarget", {"MinCapacity": 9, "MaxCapacity": 3}, "ValidationException"),
        ("DeregisterScalableTarget", {"ResourceId": "service/default/none"}, "ObjectNotFoundException"),
        ("PutScalingPolicy", {"PolicyName": "x", "PolicyType": "PredictiveScaling"}, "ValidationException"),
        (
            "PutScalingPolicy",
            {"PolicyName": "x", "PolicyType": "TargetTrackingScaling"},
            "ValidationException",
        ),
        ("DeleteScalingPolicy", {"PolicyName": "none"}, "ObjectNotFoundException"),
        ("DeleteScheduledAction", {"ScheduledActionName": "none"}, "ObjectNotFoundException"),
        ("PutScheduledAction", {"ScheduledActionName": "x", "Schedule": "often"}, "ValidationException"),
        ("TagResource", {"ResourceARN": "arn:none", "Tags": {}}, "ResourceNotFoundException"),
        ("GetPredictiveScalingForecast", {}, "ValidationException"),
    ],
)
def test_wrong_requests(fleet: Fleet, operation: str, params: Mapping[str, Any], code: str) -> None:
    with pytest.raises(AwsError) as raised:
        fleet.call(operation, **params)
    assert raised.value.code == code


# -- what agents tell --------------------------------------------------------------------------------------


def test_utilisation_is_used_over_reserved_averaged_over_tasks() -> None:
    world = World()
    one = world.join("one", cpu=1024, memory=1024)
    world.define()  # 256 units, 128 MiB
    world.serve(desired=2)
    world.settle()
    recent = Recent(world.state)
    first, second = world.live()

    def told(arn: str, cpu: float, memory: float) -> dict[str, Any]:
        stats = {
            "cpuStatsSet": {"sum": cpu * 2, "sampleCount": 2},
            "memoryStatsSet": {"sum": memory, "sampleCount": 1},
        }
        return {"taskArn": arn, "containerMetrics": [{"containerName": "main", **stats}]}

    message = {"taskMetrics": [told(first.arn, 12.5, 64), told(second.arn, 37.5, 128)]}
    recent.telemetry(one.arn, message, world.now)
    recent.telemetry(one.arn, {"taskMetrics": [told("nobody", 90, 1)]}, world.now)
    dimensions = service_dimensions(world.service().arn)
    after = world.now + 60
    assert recent.minutes("AWS/ECS", "CPUUtilization", dimensions, after, 2) == [None, 100.0]
    assert recent.minutes("AWS/ECS", "MemoryUtilization", dimensions, after, 1) == [75.0]
    recent.forget([])
    assert recent.minutes("AWS/ECS", "MemoryUtilization", dimensions, after, 1) == [None]
