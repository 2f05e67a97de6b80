"""Board: a Grafana dashboard of rows of panels, with the variables, annotations and links that all boards share."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard as models

from dashboards.panels import COLUMNS, SOURCE, Panel
from dashboards.queries import FAILED, SERVICE, Query

TAG = "moorwatch"
TITLES = {
    "moorwatch-fleet": "Fleet",
    "moorwatch-service": "Service",
    "moorwatch-task": "Task and container",
    "moorwatch-instances": "Instances and capacity",
    "moorwatch-deployments": "Deployments",
    "moorwatch-failures": "Failures",
    "moorwatch-control": "Control plane and agents",
}
# Variable → the query that lists its values.
VARIABLES = {
    "cluster": "label_values(ecs_cluster_container_instances, cluster)",
    "service": 'label_values(ecs_service_desired_tasks{cluster=~"$cluster"}, service)',
    "task": 'label_values(ecs_container_info{cluster=~"$cluster", service=~"$service"}, task)',
    "container": (
        'label_values(ecs_container_info{cluster=~"$cluster", service=~"$service", task=~"$task"}, container)'
    ),
    "container_instance": (
        'label_values(ecs_container_instance_agent_connected{cluster=~"$cluster"}, container_instance)'
    ),
    "job": "label_values(ecs_exporter_containers, job)",
    "instance": 'label_values(ecs_exporter_containers{job=~"$job"}, instance)',
}


@dataclass(frozen=True)
class Row:
    title: str
    panels: Sequence[Panel]


@dataclass(frozen=True)
class Board:
    """`variables`: of VARIABLES, in order. `single`: those of which one value is chosen, not several."""

    uid: str
    text: str
    variables: Sequence[str]
    rows: Sequence[Row]
    single: Sequence[str] = ()
    has_annotations: bool = True

    @property
    def title(self) -> str:
        return f"Moorwatch / {TITLES[self.uid]}"


def url(uid: str, **values: str) -> str:
    """A link to a board that keeps time range and data source; `values`: variable → value, as Grafana writes them."""
    given = "".join(f"&var-{name}={value}" for name, value in values.items())
    return f"/d/{uid}?${{__url_time_range}}&var-datasource=${{datasource}}{given}"


def _variable(name: str, is_single: bool) -> Any:
    query = VARIABLES[name]
    Query(query)  # names only what exists
    made = (
        build.QueryVariable(name)
        .label(name.replace("_", " ").capitalize())
        .datasource(SOURCE)
        .query(query)
        .definition(query)
        .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(models.VariableSort.ALPHABETICAL_ASC)
    )
    if is_single:
        return made.multi(False).include_all(False)
    everything = models.VariableOption(text="All", value="$__all", selected=True)
    return made.multi(True).include_all(True).all_value(".*").current(everything)


# What marks every board that has a service to show: name, PromQL, color, text.
ANNOTATIONS = (
    (
        "Deployments",
        f'sum by (cluster, service) (ecs_service_deployments{{{SERVICE}, rollout_state="IN_PROGRESS"}}) > 0',
        "blue",
        "{{service}}: a deployment is under way",
    ),
    (
        "OOM kills",
        f"sum by (service, container) (increase(ecs_container_oom_kills_total{{{SERVICE}}}[1m])) > 0",
        "red",
        "{{service}}/{{container}} was killed for want of memory",
    ),
    (
        "Failed tasks",
        f"sum by (service, reason) (increase(ecs_task_stop_reasons_total{{{SERVICE}, {FAILED}}}[1m])) > 0",
        "orange",
        "{{service}}: a task stopped ({{reason}})",
    ),
)


def _annotation(name: str, expr: str, color: str, text: str) -> Any:
    Query(expr)
    return (
        build.AnnotationQuery()
        .name(name)
        .datasource(SOURCE)
        .enable(True)
        .icon_color(color)
        .expr(expr)
        .step("60s")
        .title_format(text)
        .tag_keys("cluster,service")
    )


def dashboard(board: Board) -> Any:
    """The SDK's dashboard. Panels are laid out from left to right in rows of 24 columns."""
    made = (
        build.Dashboard(board.title)
        .uid(board.uid)
        .description(board.text)
        .tags([TAG])
        .readonly()
        .time("now-1h", "now")
        .refresh("30s")
        .timezone("browser")
        .tooltip(models.DashboardCursorSync.CROSSHAIR)
        .with_variable(build.DatasourceVariable("datasource").label("Data source").type("prometheus"))
        .link(
            build.DashboardLink("Moorwatch boards")
            .type(models.DashboardLinkType.DASHBOARDS)
            .tags([TAG])
            .as_dropdown(True)
            .include_vars(True)
            .keep_time(True)
        )
    )
    for name in board.variables:
        made = made.with_variable(_variable(name, name in board.single))
    if board.has_annotations:
        for annotation in ANNOTATIONS:
            made = made.annotation(_annotation(*annotation))
    number, top = 1, 0
    for row in board.rows:
        made = made.with_row(
            build.Row(row.title).grid_pos(models.GridPos(x=0, y=top, w=COLUMNS, h=1)).id(number)
        )
        number, top = number + 1, top + 1
        left = height = 0
        for panel in row.panels:
            size = panel.build().grid_pos
            wide, high = size.w, size.h
            if left + wide > COLUMNS:
                left, top, height = 0, top + height, 0
            made = made.with_panel(panel.id(number).grid_pos(models.GridPos(x=left, y=top, w=wide, h=high)))
            number, left, height = number + 1, left + wide, max(height, high)
        top += height
    return made.build()


def to_json(board: Board) -> str:
    """The board as Grafana's classic JSON, sorted and with a line break at its end."""
    text = json.dumps(dashboard(board), cls=JSONEncoder, sort_keys=True)
    return json.dumps(json.loads(text), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def files(boards: Sequence[Board]) -> Mapping[str, str]:
    """File name → content."""
    return {f"{board.uid}.json": to_json(board) for board in boards}
