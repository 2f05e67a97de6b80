"""ECS's formulas, by its documentation's examples."""

from __future__ import annotations

from monitor.model.metric import MetricKey, StatisticSet
from monitor.rules.published import ClusterUse, ServiceCounts, TaskUse, of_ecs, of_insights

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
