"""What RegisterTaskDefinition takes and what it fills in; each refusal names the member and says what to do."""

from __future__ import annotations

from typing import Any

import pytest

from monitor.agent.session import CAPABILITIES, RESERVED_PORTS
from monitor.api.ecs.definition_rules import normalise, parts
from monitor.model.errors import AwsError

APP: dict[str, Any] = {"name": "app", "image": "i", "memory": 64}
SIDE: dict[str, Any] = {"name": "side", "image": "i", "memory": 64, "essential": False}
FARGATE: dict[str, Any] = {
    "networkMode": "awsvpc",
    "requiresCompatibilities": ["FARGATE"],
    "cpu": "256",
    "memory": "512",
}


def made(*containers: dict[str, Any], **members: Any) -> dict[str, Any]:
    return normalise({"family": "f", "containerDefinitions": list(containers) or [APP], **members})


def refused(*containers: dict[str, Any], **members: Any) -> str:
    with pytest.raises(AwsError) as error:
        made(*containers, **members)
    assert error.value.code == "ClientException"
    return error.value.message


def attributes(document: dict[str, Any]) -> dict[str, str]:
    return {a["name"]: a.get("value", "") for a in document["requiresAttributes"]}


# -- network modes and compatibilities ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({}, ["EC2", "EXTERNAL"]),
        ({"networkMode": "host"}, ["EC2", "EXTERNAL"]),
        ({"networkMode": "awsvpc"}, ["EC2"]),
        ({"networkMode": "awsvpc", "cpu": "256", "memory": "512"}, ["EC2", "FARGATE"]),
        (FARGATE, ["EC2", "FARGATE"]),
    ],
)
def test_compatibilities_are_derived(members: dict[str, Any], expected: list[str]) -> None:
    assert made(**members)["compatibilities"] == expected


def test_awsvpc_ports() -> None:
    document = made({**APP, "portMappings": [{"containerPort": 80}]}, networkMode="awsvpc")
    assert document["containerDefinitions"][0]["portMappings"][0]["hostPort"] == 80
    assert parts(document)[1].ports == frozenset()  # each task has an address of its own
    ports = [{"containerPort": 80, "hostPort": 8080}]
    assert "must match (8080, 80)" in refused({**APP, "portMappings": ports}, networkMode="awsvpc")


@pytest.mark.parametrize("member", [{"hostname": "h"}, {"disableNetworking": True}])
def test_what_a_shared_network_rules_out(member: dict[str, Any]) -> None:
    assert "not supported with the network mode awsvpc" in refused({**APP, **member}, networkMode="awsvpc")


def test_external_has_no_awsvpc() -> None:
    told = refused(networkMode="awsvpc", requiresCompatibilities=["EXTERNAL"])
    assert "use bridge, host or none" in told
    assert "should be one of [EC2, FARGATE, EXTERNAL]" in refused(
        requiresCompatibilities=["MANAGED_INSTANCES"]
    )


# -- Fargate -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cpu", "memory", "fits"),
    [
        ("256", "512", True),
        ("256", "2048", True),
        (".25 vCPU", "0.5GB", True),
        ("256", "3072", False),
        ("512", "512", False),
        ("512", "4096", True),
        ("1024", "8192", True),
        ("2048", "3072", False),
        ("4096", "30720", True),
        ("8192", "17408", False),
        ("8192", "20480", True),
        ("16384", "122880", True),
        ("16384", "36864", False),
        ("32768", "61440", True),
        ("32768", "249856", True),
        ("300", "512", False),
    ],
)
def test_fargate_sizes(cpu: str, memory: str, fits: bool) -> None:
    members = {**FARGATE, "cpu": cpu, "memory": memory}
    if fits:
        assert "FARGATE" in made(**members)["compatibilities"]
    else:
        assert refused(**members) == "No Fargate configuration exists for given values."


@pytest.mark.parametrize(
    ("members", "part"),
    [
        ({"networkMode": "bridge"}, "Fargate only supports network mode 'awsvpc'."),
        ({"cpu": None}, "Fargate requires that 'cpu' be defined at the task level."),
        ({"memory": None}, "Fargate requires that 'memory' be defined at the task level."),
        ({"pidMode": "host"}, "do not support pidMode 'host'. The supported value for pidMode is 'task'."),
        ({"ipcMode": "task"}, "do not support ipcMode"),
        (
            {"placementConstraints": [{"type": "memberOf", "expression": "attribute:a == b"}]},
            "placementConstraints",
        ),
        ({"volumes": [{"name": "v", "host": {"sourcePath": "/srv"}}]}, "host sourcePath"),
        ({"volumes": [{"name": "v", "dockerVolumeConfiguration": {}}]}, None),
        (
            {"volumes": [{"name": "v", "dockerVolumeConfiguration": {"scope": "task"}}]},
            "dockerVolumeConfiguration",
        ),
    ],
)
def test_what_fargate_asks_of_a_task(members: dict[str, Any], part: str | None) -> None:
    if part is None:
        assert made(**{**FARGATE, **members})["compatibilities"] == ["EC2", "FARGATE"]
    else:
        assert part in refused(**{**FARGATE, **members})


@pytest.mark.parametrize(
    "member",
    [
        {"privileged": True},
        {"dnsServers": ["192.0.2.1"]},
        {"linuxParameters": {"devices": [{"hostPath": "/dev/null"}]}},
        {"linuxParameters": {"capabilities": {"add": ["NET_ADMIN"]}}},
        {"linuxParameters": {"maxSwap": 0}},
        {"logConfiguration": {"logDriver": "json-file"}},
        {"stopTimeout": 121},
    ],
)
def test_what_fargate_asks_of_a_container(member: dict[str, Any]) -> None:
    assert "Fargate" in refused({**APP, **member}, **FARGATE)
    assert "FARGATE" not in made({**APP, **member}, networkMode="awsvpc")["compatibilities"]


# -- containers --------------------------------------------------------------------------------------------


def test_a_restart_policy_gets_its_period() -> None:
    policy = {"enabled": True, "ignoredExitCodes": [0]}
    (container,) = made({**APP, "restartPolicy": policy})["containerDefinitions"]
    assert container["restartPolicy"] == {**policy, "restartAttemptPeriod": 300}


@pytest.mark.parametrize(
    ("policy", "part"),
    [
        ({"enabled": True, "restartAttemptPeriod": 59}, "between 60 and 1800"),
        ({"enabled": True, "restartAttemptPeriod": 1801}, "between 60 and 1800"),
        ({"enabled": True, "ignoredExitCodes": list(range(51))}, "at most 50"),
        ({"enabled": False, "restartAttemptPeriod": 60}, "not enabled"),
    ],
)
def test_a_restart_policy_that_cannot_be(policy: dict[str, Any], part: str) -> None:
    assert part in refused({**APP, "restartPolicy": policy})


def test_a_port_range_takes_no_fixed_port() -> None:
    document = made({**APP, "portMappings": [{"containerPortRange": "8000-8010"}]})
    mapping = {"containerPortRange": "8000-8010", "protocol": "tcp"}
    assert document["containerDefinitions"][0]["portMappings"] == [mapping]
    assert parts(document)[1].ports == frozenset()


@pytest.mark.parametrize(
    ("ports", "members", "part"),
    [
        ([{"containerPortRange": "8010-8000"}], {}, "write it like 8000-8010"),
        ([{"containerPortRange": "0-70000"}], {}, "write it like 8000-8010"),
        ([{"containerPortRange": "80-90", "hostPort": 80}], {}, "beside it"),
        ([{"containerPortRange": "80-90"}, {"containerPort": 85}], {}, "overlap"),
        ([{"containerPortRange": "80-90"}, {"containerPortRange": "90-99"}], {}, "overlap"),
        ([{"containerPortRange": "80-90"}], {"networkMode": "host"}, "bridge and awsvpc"),
        ([{"containerPortRange": f"{n}-{n}"} for n in range(1, 102)], {}, "at most 100"),
        ([{"containerPort": 80}], {"networkMode": "none"}, "network mode none"),
        ([{"containerPort": 80, "name": "Web!"}], {}, "port name"),
    ],
)
def test_ports_that_cannot_be(ports: list[dict[str, Any]], members: dict[str, Any], part: str) -> None:
    assert part in refused({**APP, "portMappings": ports}, **members)


def test_ranges_of_different_protocols_and_repeated_ports_are_apart() -> None:
    ports = [
        {"containerPortRange": "80-90"},
        {"containerPort": 85, "protocol": "udp"},
        {"containerPort": 99},
        {"containerPort": 99, "hostPort": 8099},
    ]
    assert len(made({**APP, "portMappings": ports})["containerDefinitions"][0]["portMappings"]) == 4


def test_cycles_by_whatever_way() -> None:
    first = {**APP, "dependsOn": [{"containerName": "side", "condition": "START"}]}
    for way in ({"volumesFrom": [{"sourceContainer": "app"}]}, {"links": ["app:a"]}):
        assert "form a cycle: app, side" in refused(first, {**SIDE, **way})


@pytest.mark.parametrize("member", [{"links": ["x:y"]}, {"volumesFrom": [{"sourceContainer": "x"}]}])
def test_others_that_are_not_there(member: dict[str, Any]) -> None:
    assert "'x', which is not another container here" in refused({**APP, **member})


@pytest.mark.parametrize(
    ("member", "part"),
    [
        ({"ulimits": [{"name": "nofile", "softLimit": 2, "hardLimit": 1}]}, "softLimit is above"),
        ({"linuxParameters": {"swappiness": 60}}, "swappiness needs maxSwap"),
        ({"linuxParameters": {"maxSwap": -1}}, "cannot be negative"),
        ({"linuxParameters": {"capabilities": {"add": ["net-admin"]}}}, "like NET_ADMIN"),
        ({"linuxParameters": {"tmpfs": [{"containerPath": "run", "size": 1}]}}, "absolute containerPath"),
        ({"systemControls": [{"namespace": "vm.swappiness", "value": "1"}]}, "set it on the machine"),
        ({"systemControls": [{"namespace": "net.a"}]}, "needs a value"),
        ({"secrets": [{"name": "a", "valueFrom": "b"}]}, "pass the value in environment"),
        ({"environmentFiles": [{"type": "s3", "value": "a.env"}]}, "use environment"),
        ({"resourceRequirements": [{"type": "GPU", "value": "1"}]}, "linuxParameters devices"),
        ({"logConfiguration": {"logDriver": "splunk"}}, "use one of awslogs, json-file"),
        ({"logConfiguration": {"logDriver": "awslogs"}}, "requires options: awslogs-group, awslogs-region"),
        (
            {
                "logConfiguration": {
                    "logDriver": "awslogs",
                    "options": {"awslogs-group": "g", "awslogs-region": "r", "awslogs-endpoint": "x"},
                }
            },
            "disallows options: awslogs-endpoint",
        ),
        ({"logConfiguration": {"logDriver": "gelf", "secretOptions": [{"name": "a"}]}}, "in options"),
    ],
)
def test_containers_that_cannot_be(member: dict[str, Any], part: str) -> None:
    assert part in refused({**APP, **member})


def test_kernel_settings_of_the_machine_are_not_a_container_s() -> None:
    def control(name: str) -> dict[str, Any]:
        return {**APP, "systemControls": [{"namespace": name, "value": "1"}]}

    assert "networkMode host" in refused(control("net.core.somaxconn"), networkMode="host")
    assert "ipcMode host" in refused(control("kernel.shmmax"), ipcMode="host")
    assert made(control("net.core.somaxconn"))["containerDefinitions"][0]["systemControls"]


# -- the task ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("members", "part"),
    [
        ({"ephemeralStorage": {"sizeInGiB": 30}}, "leave it out"),
        ({"proxyConfiguration": {"containerName": "a"}}, "App Mesh"),
        ({"runtimePlatform": {"operatingSystemFamily": "WINDOWS_SERVER_2022_CORE"}}, "use LINUX"),
        (
            {"volumes": [{"name": "v", "efsVolumeConfiguration": {"fileSystemId": "fs"}}]},
            "use host or a Docker",
        ),
        ({"volumes": [{"name": "v", "configuredAtLaunch": True}]}, "configuredAtLaunch"),
        ({"volumes": [{"name": "v"}, {"name": "v"}]}, "unique"),
        ({"volumes": [{"name": "v", "host": {"sourcePath": "srv"}}]}, "absolute path"),
        ({"volumes": [{"name": "v", "dockerVolumeConfiguration": {"autoprovision": True}}]}, "scope shared"),
        (
            {
                "volumes": [
                    {"name": "v", "host": {"sourcePath": "/a"}, "dockerVolumeConfiguration": {"driver": "x"}}
                ]
            },
            "not both",
        ),
        ({"placementConstraints": [{"type": "distinctInstance"}]}, "should be one of"),
        ({"placementConstraints": [{"type": "memberOf"}]}, "expression"),
        ({"placementConstraints": [{"type": "memberOf", "expression": "a"}] * 11}, "at most 10"),
    ],
)
def test_tasks_that_cannot_be(members: dict[str, Any], part: str) -> None:
    assert part in refused(**members)


def test_placement_constraints_are_kept() -> None:
    constraint = {"type": "memberOf", "expression": "attribute:ecs.os-type == linux"}
    assert made(placementConstraints=[constraint])["placementConstraints"] == [constraint]


def test_required_attributes_are_what_our_agent_registers() -> None:
    plain = attributes(made())
    assert plain == {}
    rich = {
        **APP,
        "privileged": True,
        "restartPolicy": {"enabled": True},
        "healthCheck": {"command": ["CMD", "true"]},
        "logConfiguration": {"logDriver": "gelf"},
        "portMappings": [{"containerPortRange": "1-2"}],
        "dependsOn": [{"containerName": "side", "condition": "START"}],
    }
    volumes = [{"name": "v", "dockerVolumeConfiguration": {"scope": "task"}}]
    members: dict[str, Any] = {
        "networkMode": "awsvpc",
        "pidMode": "task",
        "cpu": "256",
        "volumes": volumes,
        "runtimePlatform": {"cpuArchitecture": "ARM64"},
    }
    found = attributes(made(rich, SIDE, **members))
    assert {n.rsplit(".", 1)[-1] for n in found} == {
        "gelf",
        "privileged-container",
        "container-health-check",
        "container-ordering",
        "container-port-range",
        "container-restart-policy",
        "local",
        "pid-ipc-namespace-sharing",
        "task-cpu-mem-limit",
        "task-eni",
        "cpu-architecture",
    }
    assert found["ecs.cpu-architecture"] == "arm64"
    registered = {*CAPABILITIES, "ecs.cpu-architecture"}
    assert set(found) <= registered


def test_the_agent_keeps_its_own_ports() -> None:
    assert {"22", "2375", "2376", "51678", "51679", "51680"} <= set(RESERVED_PORTS)
