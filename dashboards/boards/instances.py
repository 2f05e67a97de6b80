"""Instances and capacity: what machines there are, what is reserved and used, and what still fits."""

from __future__ import annotations

from dashboards.board import Board, Row
from dashboards.panels import NONE_IS_GOOD, SOME_IS_GOOD, bars, lines, number, rows
from dashboards.queries import HOST, INSTANCE, Query, rate, table

_RESERVED_CPU = f"1 - ecs_container_instance_remaining_cpu{{{INSTANCE}}} / ecs_container_instance_registered_cpu{{{INSTANCE}}}"
_RESERVED_MEMORY = (
    f"1 - ecs_container_instance_remaining_memory_bytes{{{INSTANCE}}}"
    f" / ecs_container_instance_registered_memory_bytes{{{INSTANCE}}}"
)
BOARD = Board(
    uid="moorwatch-instances",
    text="Container instances: reserved, used and free, the machine underneath, and the largest task that still fits.",
    variables=("cluster", "container_instance", "job", "instance"),
    has_annotations=False,
    rows=(
        Row(
            "Capacity",
            (
                number(
                    "Connected agents",
                    "Container instances whose agent is connected.",
                    "short",
                    Query(f"sum(ecs_container_instance_agent_connected{{{INSTANCE}}})"),
                    SOME_IS_GOOD,
                    wide=4,
                ),
                number(
                    "Disconnected agents",
                    "Container instances whose agent is silent.",
                    "short",
                    Query(f"count(ecs_container_instance_agent_connected{{{INSTANCE}}} == 0)"),
                    NONE_IS_GOOD,
                    wide=4,
                    none="0",
                ),
                number(
                    "Largest task by CPU",
                    "CPU units free on the instance with most of them: a task that reserves more has no place.",
                    "none",
                    Query(f"max(ecs_container_instance_remaining_cpu{{{INSTANCE}}})"),
                    wide=4,
                ),
                number(
                    "Largest task by memory",
                    "Memory free on the instance with most of it: a task that reserves more has no place.",
                    "bytes",
                    Query(f"max(ecs_container_instance_remaining_memory_bytes{{{INSTANCE}}})"),
                    wide=4,
                ),
                number(
                    "Running tasks",
                    "RUNNING tasks on these instances.",
                    "short",
                    Query(f"sum(ecs_container_instance_running_tasks{{{INSTANCE}}})"),
                    wide=4,
                ),
                number(
                    "Pending tasks",
                    "Tasks on these instances that are not yet RUNNING.",
                    "short",
                    Query(f"sum(ecs_container_instance_pending_tasks{{{INSTANCE}}})"),
                    wide=4,
                ),
                bars(
                    "CPU reserved",
                    "CPU units reserved by tasks, of those registered.",
                    "percentunit",
                    Query(_RESERVED_CPU, "{{container_instance}}"),
                    most=1,
                ),
                bars(
                    "Memory reserved",
                    "Memory reserved by tasks, of that registered.",
                    "percentunit",
                    Query(_RESERVED_MEMORY, "{{container_instance}}"),
                    most=1,
                ),
                lines(
                    "CPU reserved over time",
                    "CPU units reserved by tasks, of those registered.",
                    "percentunit",
                    Query(_RESERVED_CPU, "{{container_instance}}"),
                    most=1,
                ),
                lines(
                    "Memory reserved over time",
                    "Memory reserved by tasks, of that registered.",
                    "percentunit",
                    Query(_RESERVED_MEMORY, "{{container_instance}}"),
                    most=1,
                ),
                rows(
                    "Container instances",
                    "Each instance: its state, zone, tasks and what is free.",
                    table(
                        f"sum by (cluster, container_instance, status, availability_zone)"
                        f" (ecs_container_instance_info{{{INSTANCE}}})"
                    ),
                    table(
                        f"sum by (cluster, container_instance) (ecs_container_instance_agent_connected{{{INSTANCE}}})"
                    ),
                    table(
                        f"sum by (cluster, container_instance) (ecs_container_instance_running_tasks{{{INSTANCE}}})"
                    ),
                    table(
                        f"sum by (cluster, container_instance) (ecs_container_instance_remaining_cpu{{{INSTANCE}}})"
                    ),
                    table(
                        f"sum by (cluster, container_instance) (ecs_container_instance_remaining_memory_bytes{{{INSTANCE}}})"
                    ),
                    columns={
                        "cluster": "Cluster",
                        "container_instance": "Container instance",
                        "status": "Status",
                        "availability_zone": "Zone",
                        "Value #B": "Connected",
                        "Value #C": "Tasks",
                        "Value #D": "CPU free",
                        "Value #E": "Memory free",
                    },
                    units={"Memory free": "bytes"},
                    widths={"Container instance": 290},
                ),
            ),
        ),
        Row(
            "Machines",
            (
                lines(
                    "CPU by mode",
                    "Cores busy, by mode; iowait is time in which a core waited for a disk.",
                    "none",
                    Query(
                        f'sum by (mode) (rate(ecs_host_cpu_seconds_total{{{HOST}, mode!="idle"}}[$__rate_interval]))',
                        "{{mode}}",
                    ),
                    stacked=True,
                ),
                lines(
                    "Memory",
                    "Memory in use on the machine, and all of it (dashed).",
                    "bytes",
                    Query(
                        f"ecs_host_memory_total_bytes{{{HOST}}} - ecs_host_memory_available_bytes{{{HOST}}}",
                        "{{instance}} used",
                    ),
                    Query(f"ecs_host_memory_total_bytes{{{HOST}}}", "{{instance}} all"),
                    dashed=(".* all",),
                ),
                lines(
                    "Disk of Docker's data",
                    "Space and inodes taken of the file system that holds images and containers.",
                    "percentunit",
                    Query(
                        f"1 - ecs_host_disk_available_bytes{{{HOST}}} / ecs_host_disk_size_bytes{{{HOST}}}",
                        "{{instance}} space",
                    ),
                    Query(
                        f"1 - ecs_host_disk_inodes_free{{{HOST}}} / (ecs_host_disk_inodes{{{HOST}}} > 0)",
                        "{{instance}} inodes",
                    ),
                    most=1,
                ),
                lines(
                    "Load",
                    "Processes that run or wait for a disk, over one and fifteen minutes; dashed: processors.",
                    "short",
                    Query(f"ecs_host_load1{{{HOST}}}", "{{instance}} 1 min"),
                    Query(f"ecs_host_load15{{{HOST}}}", "{{instance}} 15 min"),
                    Query(f"ecs_host_cpus{{{HOST}}}", "{{instance}} processors"),
                    dashed=(".* processors",),
                ),
                lines(
                    "Network of the machine",
                    "Bytes per second on its own interfaces; those of containers are not counted again.",
                    "Bps",
                    Query(
                        rate("ecs_host_network_receive_bytes_total", HOST, "instance"),
                        "{{instance}} received",
                    ),
                    Query(
                        rate("ecs_host_network_transmit_bytes_total", HOST, "instance"),
                        "{{instance}} transmitted",
                    ),
                ),
                lines(
                    "Pressure on the machine",
                    "Part of the time in which some process waited for the resource.",
                    "percentunit",
                    Query(
                        f"sum by (instance, resource) (rate(ecs_host_pressure_waiting_seconds_total{{{HOST}}}[$__rate_interval]))",
                        "{{instance}} {{resource}}",
                    ),
                ),
            ),
        ),
    ),
)
