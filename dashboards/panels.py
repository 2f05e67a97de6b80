"""Panels of Grafana boards, as the foundation SDK builds them: one look for all boards.

Each panel has a title, a description that says what to make of it, a unit, and queries on the board's data source.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from grafana_foundation_sdk.builders import bargauge, common, prometheus, stat, table, timeseries
from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.models import common as common_models
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models.common import (
    BigValueColorMode,
    BigValueGraphMode,
    GraphDrawStyle,
    LegendDisplayMode,
    LegendPlacement,
    LineInterpolation,
    SortOrder,
    StackingMode,
    TooltipDisplayMode,
    VisibilityMode,
)
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from dashboards.queries import Query

SOURCE = models.DataSourceRef(type_val="prometheus", uid="${datasource}")
GREEN, YELLOW, RED, BLUE = "green", "yellow", "red", "blue"
Steps = Sequence[tuple[float | None, str]]
GOOD: Steps = ((None, GREEN),)
NONE_IS_GOOD: Steps = ((None, GREEN), (1, RED))
SOME_IS_GOOD: Steps = ((None, RED), (1, GREEN))
RATIO: Steps = ((None, GREEN), (0.8, YELLOW), (0.95, RED))
COLUMNS = 24
Panel = Any  # each builder of the SDK is a class of its own


def _targets(queries: Sequence[Query]) -> list[Any]:
    found = []
    for number, query in enumerate(queries):
        target = prometheus.Dataquery().expr(query.expr).ref_id(chr(ord("A") + number)).datasource(SOURCE)
        if query.is_table:
            target = target.instant().format(PromQueryFormat.TABLE)
        else:
            target = target.range().legend_format(query.legend or "__auto")
        found.append(target)
    return found


def _thresholds(steps: Steps) -> Any:
    return (
        build.ThresholdsConfig()
        .mode(models.ThresholdsMode.ABSOLUTE)
        .steps([models.Threshold(value=value, color=color) for value, color in steps])
    )


def _finish(
    panel: Panel, title: str, text: str, unit: str, queries: Sequence[Query], wide: int, high: int
) -> Panel:
    return (
        panel.title(title)
        .description(text)
        .unit(unit)
        .datasource(SOURCE)
        .targets(_targets(queries))
        .span(wide)
        .height(high)
    )


def lines(
    title: str,
    text: str,
    unit: str,
    *queries: Query,
    wide: int = 12,
    stacked: bool = False,
    bars: bool = False,
    most: float | None = None,
    limits: Steps = (),
    dashed: Sequence[str] = (),
) -> Panel:
    """Over time. `dashed`: regular expressions of legends that are limits, drawn as thin dashed lines."""
    panel = (
        timeseries.Panel()
        .line_width(1)
        .fill_opacity(60 if stacked or bars else 10)
        .line_interpolation(LineInterpolation.LINEAR)
        .draw_style(GraphDrawStyle.BARS if bars else GraphDrawStyle.LINE)
        .show_points(VisibilityMode.NEVER)
        .min(0)
        .legend(
            common.VizLegendOptions()
            .display_mode(LegendDisplayMode.TABLE)
            .placement(LegendPlacement.BOTTOM)
            .show_legend(True)
            .calcs(["lastNotNull", "max"])
            .sort_by("Max")
            .sort_desc(True)
        )
        .tooltip(common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI).sort(SortOrder.DESCENDING))
    )
    if bars:  # windows of rate would overlap at a finer step, and show one event several times
        panel = panel.interval("1m")
    if stacked:
        panel = panel.stacking(common.StackingConfig().mode(StackingMode.NORMAL))
    if most is not None:
        panel = panel.max(most)
    if limits:
        panel = panel.thresholds(_thresholds(limits)).thresholds_style(
            common.GraphThresholdsStyleConfig().mode(common_models.GraphThresholdsStyleMode.DASHED)
        )
    for name in dashed:
        panel = panel.override_by_regexp(
            name,
            [
                models.DynamicConfigValue(id_val="custom.lineStyle", value={"fill": "dash", "dash": [8, 6]}),
                models.DynamicConfigValue(id_val="custom.fillOpacity", value=0),
                models.DynamicConfigValue(id_val="custom.stacking", value={"mode": "none", "group": "A"}),
            ],
        )
    return _finish(panel, title, text, unit, queries, wide, 8)


def number(
    title: str,
    text: str,
    unit: str,
    query: Query,
    steps: Steps = GOOD,
    wide: int = 3,
    none: str | None = None,
    decimals: int | None = None,
) -> Panel:
    """One figure with its course behind it."""
    panel = (
        stat.Panel()
        .color_mode(BigValueColorMode.VALUE)
        .graph_mode(BigValueGraphMode.AREA)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .thresholds(_thresholds(steps))
    )
    if none is not None:
        panel = panel.no_value(none)
    if decimals is not None:
        panel = panel.decimals(decimals)
    return _finish(panel, title, text, unit, (query,), wide, 4)


def bars(
    title: str, text: str, unit: str, *queries: Query, wide: int = 12, most: float | None = None
) -> Panel:
    """The present values side by side."""
    panel = (
        bargauge.Panel()
        .orientation(common_models.VizOrientation.HORIZONTAL)
        .display_mode(common_models.BarGaugeDisplayMode.BASIC)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .thresholds(_thresholds(RATIO))
        .min(0)
    )
    if most is not None:
        panel = panel.max(most)
    return _finish(panel, title, text, unit, queries, wide, 8)


def rows(
    title: str,
    text: str,
    *queries: Query,
    columns: Mapping[str, str],
    units: Mapping[str, str] | None = None,
    links: Mapping[str, str] | None = None,
    widths: Mapping[str, int] | None = None,
    sort: str = "",
    wide: int = 24,
    high: int = 9,
    unit: str = "none",
) -> Panel:
    """A table: queries joined by their labels. `columns`: field → heading, in order; others are hidden. `units` and
    `links`: heading → unit, URL."""
    panel = (
        table.Panel()
        .show_header(True)
        .min_width(70)
        .decimals(0)
        .with_transformation(models.DataTransformerConfig(id_val="merge", options={}))
        .with_transformation(
            models.DataTransformerConfig(
                id_val="organize",
                options={
                    "indexByName": {field: at for at, field in enumerate(columns)},
                    "renameByName": dict(columns),
                    "includeByName": dict.fromkeys(columns, True),
                },
            )
        )
    )
    for heading, of in (units or {}).items():
        panel = panel.override_by_name(heading, [models.DynamicConfigValue(id_val="unit", value=of)])
    for heading, pixels in (widths or {}).items():
        panel = panel.override_by_name(
            heading, [models.DynamicConfigValue(id_val="custom.width", value=pixels)]
        )
    for heading, url in (links or {}).items():
        link = [{"title": f"Open {heading.lower()}", "url": url}]
        panel = panel.override_by_name(heading, [models.DynamicConfigValue(id_val="links", value=link)])
    if sort:
        panel = panel.sort_by([common.TableSortByFieldState().display_name(sort).desc(True)])
    return _finish(panel, title, text, unit, queries, wide, high)
