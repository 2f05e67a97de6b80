"""Settings, attributes, capacity providers, clusters, instance states, deletions and protection through the API."""

from __future__ import annotations

from typing import Any

import pytest

from monitor.model.errors import AwsError
from tests.scenarios.world import World


@pytest.fixture
def world() -> World:
    world = World()
    world.join("one")
    world.define()
    return world


def refused(world: World, code: str, operation: str, **params: Any) -> str:
    with pytest.raises(AwsError) as raised:
        world.call(operation, **params)
    assert raised.value.code == code
    return raised.value.message


# -- account settings --------------------------------------------------------------------------------------


def test_settings_have_defaults_an_account_value_and_a_principals_own(world: World) -> None:
    def value(**params: Any) -> str:
        found = world.call("ListAccountSettings", name="containerInsights", effectiveSettings=True, **params)
        return str(found["settings"][0]["value"])

    assert value() == "disabled"
    world.call("PutAccountSettingDefault", name="containerInsights", value="enabled")
    assert value() == "enabled"
    put = world.call("PutAccountSetting", name="containerInsights", value="enhanced")["setting"]
    assert put["principalArn"].endswith(":root")
    assert value() == "enhanced"
    assert value(principalArn="arn:aws:iam::000000000001:user/else") == "enabled"
    made = world.call("CreateCluster", clusterName="fresh")["cluster"]
    assert made["settings"] == [{"name": "containerInsights", "value": "enhanced"}]
    assert world.call("DeleteAccountSetting", name="containerInsights")["setting"]["value"] == "enabled"
    assert value() == "enabled"
    assert world.call("ListAccountSettings")["settings"] == []


def test_settings_page_by_ten(world: World) -> None:
    first = world.call("ListAccountSettings", effectiveSettings=True)
    assert len(first["settings"]) == 10
    second = world.call("ListAccountSettings", effectiveSettings=True, nextToken=first["nextToken"])
    assert len(second["settings"]) == 1
    assert "nextToken" not in second


def test_wrong_settings(world: World) -> None:
    wrong = {"name": "containerInsights", "value": "yes"}
    assert "enhanced" in refused(world, "InvalidParameterException", "PutAccountSetting", **wrong)
    refused(
        world, "InvalidParameterException", "PutAccountSettingDefault", name="guardDutyActivate", value="on"
    )
    refused(world, "InvalidParameterException", "ListAccountSettings", value="enabled")


# -- attributes --------------------------------------------------------------------------------------------


def test_attributes_are_put_listed_and_taken_away(world: World) -> None:
    arn = world.instance("one").arn
    put = [{"name": "disk", "value": "ssd", "targetType": "container-instance", "targetId": arn}]
    assert world.call("PutAttributes", attributes=put)["attributes"] == put
    found = world.call("ListAttributes", targetType="container-instance", attributeName="disk")
    assert found["attributes"] == put
    every = world.call("ListAttributes", targetType="container-instance", maxResults=100)["attributes"]
    assert len(every) == len(world.instance("one").attributes) > 1
    listed = world.call("ListContainerInstances", filter="attribute:disk == ssd")
    assert listed["containerInstanceArns"] == [arn]
    assert (
        world.call("ListContainerInstances", filter="attribute:disk == tape")["containerInstanceArns"] == []
    )
    gone = [{"name": "disk", "value": "tape", "targetId": arn}]
    assert world.call("DeleteAttributes", attributes=gone)["attributes"] == []
    assert world.call("DeleteAttributes", attributes=[{"name": "disk", "targetId": arn}])["attributes"] == put
    assert "disk" not in world.instance("one").attributes


@pytest.mark.parametrize(
    ("attribute", "code"),
    [
        ({"name": "ecs.os-type", "targetId": "one"}, "InvalidParameterException"),
        ({"name": "a b", "targetId": "one"}, "InvalidParameterException"),
        ({"name": "a", "value": " b", "targetId": "one"}, "InvalidParameterException"),
        ({"name": "a", "targetId": "two"}, "TargetNotFoundException"),
        ({"name": "a"}, "InvalidParameterException"),
        ({"name": "a", "targetId": "one", "targetType": "cluster"}, "InvalidParameterException"),
    ],
)
def test_wrong_attributes(world: World, attribute: dict[str, str], code: str) -> None:
    refused(world, code, "PutAttributes", attributes=[attribute])


def test_an_instance_has_ten_custom_attributes_at_most(world: World) -> None:
    world.call("PutAttributes", attributes=[{"name": f"a{n}", "targetId": "one"} for n in range(10)])
    more = [{"name": "more", "targetId": "one"}]
    refused(world, "AttributeLimitExceededException", "PutAttributes", attributes=more)


# -- capacity providers ------------------------------------------------------------------------------------

GROUP = {"autoScalingGroupArn": "arn:aws:autoscaling:us-east-1:1:autoScalingGroup:x:autoScalingGroupName/x"}


def test_capacity_providers_from_birth_to_death(world: World) -> None:
    tags = [{"key": "team", "value": "a"}]
    made = world.call("CreateCapacityProvider", name="own", autoScalingGroupProvider=GROUP, tags=tags)
    provider = made["capacityProvider"]
    assert provider["autoScalingGroupProvider"]["managedScaling"]["targetCapacity"] == 100
    assert world.call("ListTagsForResource", resourceArn=provider["capacityProviderArn"])["tags"] == tags
    world.call(
        "PutClusterCapacityProviders",
        cluster="default",
        capacityProviders=["own", "FARGATE"],
        defaultCapacityProviderStrategy=[{"capacityProvider": "own", "weight": 1}],
    )
    assert "associated" in refused(world, "ClientException", "DeleteCapacityProvider", capacityProvider="own")
    world.call(
        "PutAttributes",
        attributes=[{"name": "moorwatch.capacity-provider", "value": "own", "targetId": "one"}],
    )
    world.serve(desired=2)
    world.settle()
    assert {(t.capacity_provider, t.launch_type) for t in world.live()} == {("own", "")}
    described = world.call("DescribeServices", services=["web"])["services"][0]
    assert described["capacityProviderStrategy"] == [{"capacityProvider": "own", "weight": 1, "base": 0}]
    assert "launchType" not in described
    shown = world.call("DescribeContainerInstances", containerInstances=["one"])["containerInstances"][0]
    assert shown["capacityProviderName"] == "own"
    without = {"cluster": "default", "capacityProviders": ["FARGATE"], "defaultCapacityProviderStrategy": []}
    refused(world, "ResourceInUseException", "PutClusterCapacityProviders", **without)
    world.call("DeleteService", service="web", force=True)
    world.settle()
    world.call("PutClusterCapacityProviders", **without)
    assert (
        world.call("DeleteCapacityProvider", capacityProvider="own")["capacityProvider"]["status"]
        == "INACTIVE"
    )
    names = [p["name"] for p in world.call("DescribeCapacityProviders")["capacityProviders"]]
    assert names == ["FARGATE", "FARGATE_SPOT"]
    failures = world.call("DescribeCapacityProviders", capacityProviders=["no"])["failures"]
    assert failures == [{"arn": "no", "reason": "MISSING"}]


def test_wrong_capacity_providers(world: World) -> None:
    scaled = {**GROUP, "managedScaling": {"status": "ENABLED"}}
    refused(world, "ClientException", "CreateCapacityProvider", name="own", autoScalingGroupProvider=scaled)
    refused(
        world,
        "InvalidParameterException",
        "CreateCapacityProvider",
        name="ecs-x",
        autoScalingGroupProvider=GROUP,
    )
    refused(
        world,
        "UnsupportedFeatureException",
        "CreateCapacityProvider",
        name="x",
        managedInstancesProvider={"a": 1},
    )
    refused(world, "InvalidParameterException", "DeleteCapacityProvider", capacityProvider="FARGATE")
    strategy = [{"capacityProvider": "FARGATE", "weight": 1}]
    both = {"taskDefinition": "web", "launchType": "EC2", "capacityProviderStrategy": strategy}
    assert "not both" in refused(world, "InvalidParameterException", "RunTask", **both)
    alone = {"taskDefinition": "web", "capacityProviderStrategy": strategy}
    assert "not associated" in refused(world, "InvalidParameterException", "RunTask", **alone)


def test_fargate_goes_where_it_is_marked_or_nowhere(world: World) -> None:
    answer = world.call("RunTask", taskDefinition="web", launchType="FARGATE")
    assert answer["failures"][0]["reason"] == "EMPTY CAPACITY PROVIDER"
    world.call(
        "PutAttributes",
        attributes=[{"name": "moorwatch.capacity-provider", "value": "FARGATE", "targetId": "one"}],
    )
    (task,) = world.call("RunTask", taskDefinition="web", launchType="FARGATE")["tasks"]
    assert task["launchType"] == "FARGATE"
    statistics = world.call("DescribeClusters", include=["STATISTICS"])["clusters"][0]["statistics"]
    assert {"name": "pendingFargateTasksCount", "value": "1"} in statistics


# -- clusters and instances --------------------------------------------------------------------------------


def test_a_cluster_is_changed(world: World) -> None:
    on = [{"name": "containerInsights", "value": "enabled"}]
    assert world.call("UpdateClusterSettings", cluster="default", settings=on)["cluster"]["settings"] == on
    logging = {"executeCommandConfiguration": {"logging": "NONE"}}
    found = world.call("UpdateCluster", cluster="default", configuration=logging)["cluster"]
    assert (found["configuration"], found["settings"]) == (logging, on)
    bad = [{"name": "containerInsights", "value": "maybe"}]
    refused(world, "InvalidParameterException", "UpdateCluster", cluster="default", settings=bad)
    refused(world, "ClusterNotFoundException", "UpdateCluster", cluster="none")


def test_instances_drain_and_come_back(world: World) -> None:
    both = {"containerInstances": ["one", "two"], "status": "DRAINING"}
    answer = world.call("UpdateContainerInstancesState", **both)
    assert [i["status"] for i in answer["containerInstances"]] == ["DRAINING"]
    assert [f["reason"] for f in answer["failures"]] == ["MISSING"]
    assert len(world.call("ListContainerInstances", status="DRAINING")["containerInstanceArns"]) == 1
    world.call("UpdateContainerInstancesState", containerInstances=["one"], status="ACTIVE")
    assert world.instance("one").takes_tasks
    wrong = {"containerInstances": ["one"], "status": "DEREGISTERING"}
    refused(world, "InvalidParameterException", "UpdateContainerInstancesState", **wrong)


# -- task definitions --------------------------------------------------------------------------------------


def test_a_task_definition_is_deleted_once_nothing_uses_it(world: World) -> None:
    world.serve(desired=1)
    world.settle()
    answer = world.call("DeleteTaskDefinitions", taskDefinitions=["web:1", "web:9"])
    assert [f["reason"][:9] for f in answer["failures"]] == ["The speci", "MISSING"]
    world.call("DeregisterTaskDefinition", taskDefinition="web:1")
    (gone,) = world.call("DeleteTaskDefinitions", taskDefinitions=["web:1"])["taskDefinitions"]
    assert gone["status"] == "DELETE_IN_PROGRESS"
    assert gone["deleteRequestedAt"] == world.now
    world.look()
    listed = world.call("ListTaskDefinitions", status="DELETE_IN_PROGRESS")["taskDefinitionArns"]
    assert len(listed) == 1, "a service still uses it"
    world.call("DeleteService", service="web", force=True)
    world.settle()
    world.advance(7200)
    refused(world, "ClientException", "DescribeTaskDefinition", taskDefinition="web:1")
    assert world.call("ListTaskDefinitionFamilies")["families"] == []
    assert world.define().endswith(":2"), "a revision is never used again"
    refused(world, "InvalidParameterException", "DeleteTaskDefinitions", taskDefinitions=[])


# -- protection --------------------------------------------------------------------------------------------


def test_protection_is_for_service_tasks(world: World) -> None:
    world.serve(desired=1)
    world.settle()
    (task,) = world.live()
    alone = world.call("RunTask", taskDefinition="web")["tasks"][0]["taskArn"]
    asked = {"cluster": "default", "tasks": [task.arn, alone, "0" * 32], "protectionEnabled": True}
    answer = world.call("UpdateTaskProtection", **asked)
    assert answer["protectedTasks"] == [
        {"taskArn": task.arn, "protectionEnabled": True, "expirationDate": world.now + 7200}
    ]
    assert [f["reason"] for f in answer["failures"]] == ["TASK_NOT_VALID", "MISSING"]
    world.call("UpdateService", service="web", desiredCount=0)
    world.settle()
    assert len(world.live()) == 1
    world.call("UpdateTaskProtection", **{**asked, "tasks": [task.arn], "protectionEnabled": False})
    found = world.call("GetTaskProtection", cluster="default", tasks=[task.arn])["protectedTasks"]
    assert found == [{"taskArn": task.arn, "protectionEnabled": False}]
    world.settle()
    assert world.live() == []
    wrong = {**asked, "expiresInMinutes": 2881}
    refused(world, "InvalidParameterException", "UpdateTaskProtection", **wrong)


# -- definitions -------------------------------------------------------------------------------------------


def test_a_definitions_own_constraint_and_restart_policy(world: World) -> None:
    def register(policy: dict[str, Any], expression: str = "attribute:disk == ssd") -> dict[str, Any]:
        return world.call(
            "RegisterTaskDefinition",
            family="kept",
            containerDefinitions=[{"name": "main", "image": "x", "memory": 16, "restartPolicy": policy}],
            placementConstraints=[{"type": "memberOf", "expression": expression}],
        )

    made = register({"enabled": True})["taskDefinition"]
    assert made["containerDefinitions"][0]["restartPolicy"] == {
        "enabled": True,
        "restartAttemptPeriod": 300,
        "ignoredExitCodes": [],
    }
    failure = world.call("RunTask", taskDefinition="kept")["failures"][0]
    assert failure["reason"] == "MemberOf placement constraint unsatisfied"
    world.call("PutAttributes", attributes=[{"name": "disk", "value": "ssd", "targetId": "one"}])
    assert len(world.call("RunTask", taskDefinition="kept")["tasks"]) == 1
    with pytest.raises(AwsError, match="between 60 and 1800"):
        register({"enabled": True, "restartAttemptPeriod": 5})
    with pytest.raises(AwsError, match="the subject should be one of"):
        register({"enabled": True}, "disk == ssd")
