"""boto3's application-autoscaling client against the real control plane."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.conformance.test_ecs_api import CONTAINER, Control, start, stop

RESOURCE = {
    "ServiceNamespace": "ecs",
    "ResourceId": "service/default/web",
    "ScalableDimension": "ecs:service:DesiredCount",
}
CPU = {
    "PredefinedMetricSpecification": {"PredefinedMetricType": "ECSServiceAverageCPUUtilization"},
    "TargetValue": 60.0,
}


@pytest.fixture(scope="module")
def control(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Control]:
    running = start(tmp_path_factory.mktemp("scaling"))
    yield running
    stop(running)


@pytest.fixture(scope="module")
def scaling(control: Control) -> Iterator[Any]:
    ecs = control.client()
    ecs.register_task_definition(family="web", containerDefinitions=[CONTAINER])
    ecs.create_service(serviceName="web", taskDefinition="web", desiredCount=0)
    ecs.close()
    client = control.client("application-autoscaling")
    yield client
    client.close()


def test_a_target_its_policies_and_actions(control: Control, scaling: Any) -> None:
    made = scaling.register_scalable_target(**RESOURCE, MinCapacity=2, MaxCapacity=5, Tags={"team": "a"})
    arn = made["ScalableTargetARN"]
    assert scaling.list_tags_for_resource(ResourceARN=arn)["Tags"] == {"team": "a"}
    ecs = control.client()
    assert ecs.describe_services(services=["web"])["services"][0]["desiredCount"] == 2
    ecs.close()
    (target,) = scaling.describe_scalable_targets(ServiceNamespace="ecs")["ScalableTargets"]
    assert (target["MinCapacity"], target["MaxCapacity"]) == (2, 5)
    put = scaling.put_scaling_policy(
        **RESOURCE,
        PolicyName="cpu",
        PolicyType="TargetTrackingScaling",
        TargetTrackingScalingPolicyConfiguration=CPU,
    )
    assert len(put["Alarms"]) == 2
    pages = scaling.get_paginator("describe_scaling_policies").paginate(ServiceNamespace="ecs")
    (policy,) = [p for page in pages for p in page["ScalingPolicies"]]
    assert policy["TargetTrackingScalingPolicyConfiguration"]["TargetValue"] == 60.0
    scaling.put_scheduled_action(
        **RESOURCE,
        ScheduledActionName="night",
        Schedule="cron(0 22 * * ? *)",
        ScalableTargetAction={"MinCapacity": 0, "MaxCapacity": 1},
    )
    (action,) = scaling.describe_scheduled_actions(ServiceNamespace="ecs")["ScheduledActions"]
    assert action["ScalableTargetAction"] == {"MinCapacity": 0, "MaxCapacity": 1}
    assert scaling.describe_scaling_activities(ServiceNamespace="ecs")["ScalingActivities"] == []
    scaling.deregister_scalable_target(**RESOURCE)
    assert scaling.describe_scalable_targets(ServiceNamespace="ecs")["ScalableTargets"] == []


def test_errors_have_the_services_own_codes(control: Control, scaling: Any) -> None:
    unknown = {**RESOURCE, "ResourceId": "service/default/no"}
    with pytest.raises(ClientError) as raised:
        scaling.register_scalable_target(**unknown, MinCapacity=1, MaxCapacity=2)
    assert raised.value.response["Error"]["Code"] == "ValidationException"
    with pytest.raises(ClientError) as raised:
        scaling.delete_scaling_policy(**RESOURCE, PolicyName="none")
    assert raised.value.response["Error"]["Code"] == "ObjectNotFoundException"
    with pytest.raises(ClientError) as raised:
        scaling.describe_scaling_policies(ServiceNamespace="ecs", NextToken="not one of ours")
    assert raised.value.response["Error"]["Code"] in ("ValidationException", "InvalidNextTokenException")
    status, answer = control.post(b"{}", "AnyScaleFrontendService.NoSuch")
    assert (status, answer["__type"]) == (400, "UnknownOperationException")
