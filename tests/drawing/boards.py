"""Two boards made with Grafana's SDK: one with a panel of each type, one whose panels fail in known ways.

Their queries are about the Prometheus that scrapes itself.
"""

from __future__ import annotations

import json
from typing import Any

from grafana_foundation_sdk.builders import (
    barchart,
    bargauge,
    common,
    dashboard,
    gauge,
    heatmap,
    histogram,
    piechart,
    prometheus,
    stat,
    statetimeline,
    table,
    text,
    timeseries,
)
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common as common_models
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models import piechart as piechart_models
from grafana_foundation_sdk.models import prometheus as prometheus_models

JOB = 'job="$job"'
RATE = f"sum by (handler) (rate(prometheus_http_requests_total{{{JOB}}}[$__rate_interval]))"
BUCKETS = (
    f"sum by (le) (increase(prometheus_http_request_duration_seconds_bucket{{{JOB}}}[$__rate_interval]))"
)


def query(expr: str, legend: str = "__auto", ref_id: str = "A") -> prometheus.Dataquery:
    return prometheus.Dataquery().expr(expr).legend_format(legend).ref_id(ref_id).range()


def instant(expr: str, legend: str = "__auto", ref_id: str = "A") -> prometheus.Dataquery:
    return prometheus.Dataquery().expr(expr).legend_format(legend).ref_id(ref_id).instant()


def as_table(expr: str, ref_id: str) -> prometheus.Dataquery:
    return instant(expr, ref_id=ref_id).format(prometheus_models.PromQueryFormat.TABLE)


def thresholds(*steps: tuple[float | None, str]) -> dashboard.ThresholdsConfig:
    made = [models.Threshold(value=value, color=color) for value, color in steps]
    return dashboard.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(made)


UP_DOWN: list[Any] = [
    models.ValueMap(
        options={
            "0": models.ValueMappingResult(text="down", color="red", index=0),
            "1": models.ValueMappingResult(text="up", color="green", index=1),
        }
    )
]


def to_json(board: dashboard.Dashboard) -> dict[str, Any]:
    made: dict[str, Any] = json.loads(JSONEncoder(sort_keys=True).encode(board.build()))
    return made


def with_variables(board: dashboard.Dashboard) -> dashboard.Dashboard:
    source = models.DataSourceRef(type_val="prometheus", uid="$datasource")
    return (
        board.with_variable(
            dashboard.DatasourceVariable("datasource").type("prometheus").label("Data source")
        )
        .with_variable(
            dashboard.QueryVariable("job").label("Job").datasource(source).query("label_values(up, job)")
        )
        .with_variable(
            dashboard.QueryVariable("handler")
            .label("Handler")
            .datasource(source)
            .query('label_values(prometheus_http_requests_total{job="$job"}, handler)')
            .multi(True)
            .include_all(True)
        )
    )


def every_panel() -> dict[str, Any]:
    """A panel of each type that `draw` knows, with rows, variables, overrides, transformations and annotations."""
    board = with_variables(dashboard.Dashboard("Every panel").uid("every-panel").time("now-5m", "now"))
    board.annotation(
        dashboard.AnnotationQuery()
        .name("Four seconds in twenty")
        .icon_color("orange")
        .expr("vector(time()) % 20 < bool 4")
    )
    board.with_row(dashboard.Row("Values"))
    board.with_panel(
        stat.Panel()
        .title("Up")
        .height(4)
        .span(4)
        .mappings(UP_DOWN)
        .color_mode(common_models.BigValueColorMode.BACKGROUND)
        .with_target(instant(f"up{{{JOB}}}"))
    )
    board.with_panel(
        stat.Panel()
        .title("Series in memory")
        .description("What the head block holds.")
        .height(4)
        .span(5)
        .unit("short")
        .thresholds(thresholds((None, "blue"), (100, "green"), (1e6, "red")))
        .graph_mode(common_models.BigValueGraphMode.AREA)
        .with_target(query(f"prometheus_tsdb_head_series{{{JOB}}}"))
    )
    board.with_panel(
        gauge.Panel()
        .title("Files open")
        .height(4)
        .span(5)
        .unit("percentunit")
        .min(0)
        .max(1)
        .thresholds(thresholds((None, "green"), (0.7, "yellow"), (0.9, "red")))
        .with_target(instant(f"process_open_fds{{{JOB}}} / 200"))
    )
    board.with_panel(
        bargauge.Panel()
        .title("Memory")
        .height(4)
        .span(10)
        .unit("bytes")
        .orientation(common_models.VizOrientation.HORIZONTAL)
        .thresholds(thresholds((None, "green"), (8e7, "yellow"), (2e8, "red")))
        .with_target(instant(f"process_resident_memory_bytes{{{JOB}}}", "resident"))
        .with_target(instant(f"go_memstats_heap_inuse_bytes{{{JOB}}}", "heap in use", "B"))
        .with_target(instant(f"go_memstats_stack_inuse_bytes{{{JOB}}}", "stacks", "C"))
    )
    board.with_row(dashboard.Row("Time"))
    board.with_panel(
        timeseries.Panel()
        .title("Requests of $job")
        .description("Each handler's rate.")
        .height(8)
        .span(12)
        .unit("reqps")
        .fill_opacity(10)
        .legend(
            common.VizLegendOptions()
            .display_mode(common_models.LegendDisplayMode.TABLE)
            .placement(common_models.LegendPlacement.RIGHT)
            .show_legend(True)
            .calcs(["mean", "max"])
        )
        .override_by_name("/metrics", [models.DynamicConfigValue(id_val="custom.lineWidth", value=3)])
        .with_target(query(f"topk(5, {RATE})", "{{handler}}"))
    )
    board.with_panel(
        timeseries.Panel()
        .title("Memory against a limit")
        .height(8)
        .span(12)
        .unit("bytes")
        .min(0)
        .fill_opacity(30)
        .stacking(common.StackingConfig().mode(common_models.StackingMode.NORMAL))
        .thresholds(thresholds((None, "transparent"), (1e8, "red")))
        .thresholds_style(
            common.GraphThresholdsStyleConfig().mode(common_models.GraphThresholdsStyleMode.DASHED)
        )
        .with_target(query(f"go_memstats_heap_inuse_bytes{{{JOB}}}", "heap in use"))
        .with_target(query(f"go_memstats_heap_idle_bytes{{{JOB}}}", "heap idle", "B"))
    )
    board.with_panel(
        statetimeline.Panel()
        .title("State")
        .height(6)
        .span(12)
        .mappings(UP_DOWN)
        .with_target(query(f"up{{{JOB}}}", "{{instance}}"))
        .with_target(query(f"prometheus_config_last_reload_successful{{{JOB}}}", "configuration", "B"))
    )
    board.with_panel(
        heatmap.Panel()
        .title("Request duration")
        .height(6)
        .span(12)
        .with_target(query(BUCKETS, "{{le}}").format(prometheus_models.PromQueryFormat.HEATMAP))
    )
    board.with_row(
        dashboard.Row("Lists")
        .collapsed(True)
        .with_panel(
            table.Panel()
            .title("Handlers")
            .height(8)
            .span(12)
            .with_target(as_table(f"sum by (handler) (prometheus_http_requests_total{{{JOB}}})", "A"))
            .with_target(
                as_table(f"sum by (handler) (prometheus_http_response_size_bytes_sum{{{JOB}}})", "B")
            )
            .with_transformation(models.DataTransformerConfig(id_val="merge", options={}))
            .with_transformation(
                models.DataTransformerConfig(
                    id_val="organize",
                    options={
                        "excludeByName": {"Time": True},
                        "renameByName": {"handler": "Handler", "Value #A": "Requests", "Value #B": "Sent"},
                    },
                )
            )
            .with_transformation(
                models.DataTransformerConfig(
                    id_val="sortBy", options={"sort": [{"field": "Requests", "desc": True}]}
                )
            )
            .override_by_name("Sent", [models.DynamicConfigValue(id_val="unit", value="bytes")])
            .override_by_name(
                "Requests",
                [
                    models.DynamicConfigValue(
                        id_val="custom.cellOptions", value={"type": "gauge", "mode": "basic"}
                    )
                ],
            )
        )
        .with_panel(
            barchart.Panel()
            .title("Requests by code")
            .height(8)
            .span(6)
            .with_target(as_table(f"sum by (code) (prometheus_http_requests_total{{{JOB}}})", "A"))
        )
        .with_panel(
            piechart.Panel()
            .title("Requests by handler")
            .height(8)
            .span(6)
            .pie_type(piechart_models.PieChartType.DONUT)
            .with_target(
                instant(
                    f'sum by (handler) (prometheus_http_requests_total{{{JOB},handler=~"$handler"}}) > 0',
                    "{{handler}}",
                )
            )
        )
        .with_panel(
            histogram.Panel()
            .title("Goroutines, how often how many")
            .height(6)
            .span(12)
            .with_target(query(f"go_goroutines{{{JOB}}}", "goroutines"))
        )
        .with_panel(
            text.Panel()
            .title("Words")
            .height(6)
            .span(12)
            .content("## Of *$job*\n\n- drawn by\n- the library")
        )
    )
    made = to_json(board)
    made["annotations"]["list"][-1]["step"] = "1s"  # the SDK has no word for it
    return made


def fine_points() -> dict[str, Any]:
    """What boards make use of now and then: repeats, macros, links, own time ranges, legends, many values at once."""
    board = with_variables(dashboard.Dashboard("Fine points").uid("fine-points"))
    handlers = f'sum by (handler) (prometheus_http_requests_total{{{JOB},handler=~"$handler"}})'
    legend = common.VizLegendOptions().show_legend(True).display_mode(common_models.LegendDisplayMode.LIST)
    board.with_panel(
        stat.Panel()
        .title("Asked: $handler")
        .height(4)
        .span(24)
        .repeat("handler")
        .repeat_direction("h")
        .max_per_row(3)
        .with_target(query(handlers))
    )
    board.with_panel(
        timeseries.Panel()
        .title("Named by macro")
        .height(7)
        .span(12)
        .display_name("to ${__field.labels.handler}")
        .legend(legend.placement(common_models.LegendPlacement.BOTTOM))
        .draw_style(common_models.GraphDrawStyle.BARS)
        .fill_opacity(60)
        .unit("reqps")
        .with_target(query(RATE))
    )
    board.with_panel(
        timeseries.Panel()
        .title("Last ten seconds")
        .time_from("10s")
        .height(7)
        .span(12)
        .unit("percentunit")
        .min(0)
        .max(1)
        .thresholds(thresholds((None, "green"), (0.2, "red")))
        .thresholds_style(
            common.GraphThresholdsStyleConfig().mode(common_models.GraphThresholdsStyleMode.LINE_AND_AREA)
        )
        .with_target(query(f"rate(process_cpu_seconds_total{{{JOB}}}[$__rate_interval])", "of a core"))
    )
    board.with_panel(
        gauge.Panel()
        .title("Several dials")
        .height(6)
        .span(12)
        .unit("bytes")
        .max(1e8)
        .with_target(instant(f"process_resident_memory_bytes{{{JOB}}}", "resident"))
        .with_target(instant(f"go_memstats_heap_inuse_bytes{{{JOB}}}", "heap", "B"))
    )
    board.with_panel(
        barchart.Panel()
        .title("Lying bars")
        .height(6)
        .span(12)
        .orientation(common_models.VizOrientation.HORIZONTAL)
        .legend(legend.placement(common_models.LegendPlacement.RIGHT))
        .with_target(as_table(handlers, "A"))
    )
    board.with_panel(
        table.Panel()
        .title("Linked and coloured")
        .height(6)
        .span(24)
        .data_links(
            [
                dashboard.DashboardLink("To ${__data.fields.handler}")
                .type(models.DashboardLinkType.LINK)
                .url(
                    "/d/fine-points?${job:queryparam}&var-handler=${__data.fields.handler}&${__url_time_range}"
                )
            ]
        )
        .override_by_name(
            "Value",
            [
                models.DynamicConfigValue(id_val="custom.cellOptions", value={"type": "color-background"}),
                models.DynamicConfigValue(id_val="decimals", value=1),
            ],
        )
        .thresholds(thresholds((None, "blue"), (10, "orange")))
        .with_target(as_table(handlers, "A"))
    )
    return to_json(board)


def troubled() -> dict[str, Any]:
    """Panels that fail, are empty, or fail in part; the titles say how."""
    board = with_variables(dashboard.Dashboard("Troubled").uid("troubled"))
    for title, expr in (
        ("bad query", "sum(up"),
        ("wrong at run time", "up + on (job) group_left prometheus_http_requests_total"),
        ("no such series", "no_such_series"),
        ("not a number", "0 * up / 0"),
        ("unknown variable", 'up{job="$nobody"}'),
        ("fine", 'up{job="$job"}'),
    ):
        board.with_panel(timeseries.Panel().title(title).height(6).span(6).with_target(query(expr)))
    board.with_panel(
        table.Panel().title("empty table").height(6).span(6).with_target(as_table("no_such_series", "A"))
    )
    board.with_panel(
        stat.Panel()
        .title("half right")
        .height(6)
        .span(6)
        .with_target(instant("up"))
        .with_target(instant("rate(up)", ref_id="B"))
    )
    nothing = instant("no_such_series")
    board.with_panel(stat.Panel().title("no stat").height(6).span(6).no_value("none").with_target(nothing))
    return to_json(board)
