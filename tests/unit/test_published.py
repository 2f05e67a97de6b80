"""ECS's formulas, by its documentation's examples."""

from __future__ import annotations

from monitor.agent.host_use import HostUse
from monitor.model.metric import MetricKey, StatisticSet
from monitor.rules.published import ClusterUse, ContainerUse, ServiceCounts, TaskUse, of_ecs, of_insights
from monitor.rules.published_enhanced import InstanceUse, of_enhanced, of_instances

CLUSTER = ClusterUse("shop", 4096.0, 8192.0, 1024.0, 2048.0, instances=2, tasks=3, services=1)
TASKS = [
    TaskUse("shop", "web", "web", 128.0, 64.0, 256.0, 128.0, 10.0, 5.0, 100.0, 0.0),
    TaskUse("shop", "web", "web", 384.0, 192.0, 256.0, 128.0, 30.0, 5.0, 0.0, 0.0),
    TaskUse("shop", "", "batch", 512.0, 768.0, 0.0, 1792.0),
]


def found(published: list[tuple[MetricKey, str, StatisticSet]]) -> dict[tuple[str, ...], StatisticSet]:
    return {(k.name, *(v for _, v in k.dimensions)): s for k, _, s in published}


def test_a_service_s_use_is_of_what_its_tasks_reserve() -> None:
    cpu = found(of_ecs(CLUSTER, TASKS))["CPUUtilization", "shop", "web"]
    assert (cpu.total / cpu.sample_count, cpu.minimum, cpu.maximum, cpu.sample_count) == (100, 50, 150, 2)


def test_a_cluster_s_use_is_of_all_that_is_registered() -> None:
    values = {k: s.total for k, s in found(of_ecs(CLUSTER, TASKS)).items() if len(k) == 2}
    assert values == {
        ("CPUReservation", "shop"): 25.0,
        ("CPUUtilization", "shop"): 25.0,
        ("MemoryReservation", "shop"): 25.0,
        ("MemoryUtilization", "shop"): 12.5,
    }


def test_a_task_of_no_service_counts_in_its_cluster_only() -> None:
    assert {k[2] for k in found(of_ecs(CLUSTER, TASKS)) if len(k) == 3} == {"web"}


def test_a_cluster_without_instances_says_nothing_of_its_own() -> None:
    empty = ClusterUse("shop", 0.0, 0.0, 0.0, 0.0, 0, 0, 0)
    assert of_ecs(empty, []) == []


def test_insights_are_by_cluster_service_and_family_and_missing_where_nothing_runs() -> None:
    counts = [ServiceCounts("shop", "web", 3, 2, 1, 1, 0), ServiceCounts("shop", "idle", 0, 0, 0, 1, 0)]
    values = found(of_insights(CLUSTER, counts, TASKS))
    assert values["RunningTaskCount", "shop", "web"].total == 2
    assert values["RunningTaskCount", "shop", "idle"].total == 0
    assert values["CpuUtilized", "shop"].total == 1024
    assert values["CpuUtilized", "shop", "batch"].total == 512
    assert values["MemoryUtilized", "shop", "web"].sample_count == 2
    assert ("CpuUtilized", "shop", "idle") not in values
    assert values["NetworkRxBytes", "shop"].total == 40  # of the tasks that have a network of their own
    assert ("NetworkRxBytes", "shop", "batch") not in values
    assert values["ContainerInstanceCount", "shop"].total == 2


def enhanced() -> dict[tuple[str, ...], StatisticSet]:
    app = ContainerUse("app", 64.0, 32.0, 128.0, 64.0, received=7.0, restarts=2.0, unhealthy=1.0)
    task = TaskUse("shop", "web", "web", 64.0, 32.0, 256.0, 128.0, read=5.0, id="t1", containers=(app,))
    return found(of_enhanced("shop", [task]))


def test_enhanced_insights_are_by_task_and_by_container() -> None:
    values = enhanced()
    assert values["TaskCpuUtilization", "shop", "web"].total == 25
    assert values["TaskMemoryUtilization", "shop", "web", "t1"].total == 25
    assert values["CpuUtilized", "shop", "web", "t1"].total == 64
    assert values["StorageReadBytes", "shop", "web", "t1"].total == 5
    assert values["ContainerCpuUtilization", "shop"].total == 50
    assert values["ContainerMemoryReserved", "shop", "app", "web"].total == 64
    assert values["RestartCount", "shop", "app", "web", "t1"].total == 2
    assert values["UnHealthyContainerHealthStatus", "shop"].total == 1
    assert ("ContainerNetworkTxBytes", "shop") not in values
    assert ("EBSFilesystemUtilized", "shop") not in values


def test_a_task_of_no_service_has_its_family_s_dimensions_alone() -> None:
    batch = TaskUse(
        "shop", "", "batch", 1.0, 1.0, 2.0, 2.0, id="t2", containers=(ContainerUse("c", 1, 1, 0, 0),)
    )
    keys = [k for k, _, _ in of_enhanced("shop", [batch])]
    assert {name for k in keys for name, _ in k.dimensions} == {
        "ClusterName",
        "TaskDefinitionFamily",
        "TaskId",
        "ContainerName",
    }
    assert not [k for k in keys if k.name == "ContainerCpuUtilization"], "nothing is reserved"


def test_instances_are_told_one_by_one_and_together() -> None:
    full = InstanceUse("shop", "i1", "host1", 2048.0, 512.0, 1000.0, 250.0, 3, 1024.0, 100.0, 40.0, 9.0)
    bare = InstanceUse("shop", "i2", "host2", 2048.0, 0.0, 1000.0, 0.0, 0)
    values = found(of_instances("shop", [full, bare]))
    assert values["instance_cpu_utilization", "shop", "i1", "host1"].total == 50
    assert values["instance_cpu_reserved_capacity", "shop"].total == 25
    assert values["instance_cpu_reserved_capacity", "shop"].sample_count == 2
    assert values["instance_memory_utilization", "shop"].total == 10
    assert values["instance_number_of_running_tasks", "shop", "i2", "host2"].total == 0
    assert values["instance_filesystem_utilization", "shop"].sample_count == 1
    assert ("instance_cpu_utilization", "shop", "i2", "host2") not in values, "its agent does not tell it"


def test_the_machine_s_use_is_what_its_counters_grew_by() -> None:
    use = HostUse()

    def facts(busy: float, idle: float, received: float) -> list[tuple[str, dict[str, str], float]]:
        return [
            ("ecs_host_cpu_seconds_total", {"mode": "user"}, busy),
            ("ecs_host_cpu_seconds_total", {"mode": "idle"}, idle),
            ("ecs_host_network_receive_bytes_total", {"interface": "eth0"}, received),
            ("ecs_host_memory_total_bytes", {}, 100.0),
            ("ecs_host_memory_available_bytes", {}, 75.0),
            ("ecs_host_disk_size_bytes", {}, 10.0),
            ("ecs_host_disk_available_bytes", {}, 4.0),
        ]

    assert use.told(facts(10, 100, 1000), 1000.0) == {"memoryBytes": 25.0, "filesystemPercent": 60.0}
    told = use.told(facts(15, 115, 3000), 1020.0)
    assert (told["cpuPercent"], told["networkBytesPerSecond"]) == (25.0, 100.0)
    assert "networkBytesPerSecond" not in use.told(facts(16, 116, 0), 1040.0), "an interface went"
