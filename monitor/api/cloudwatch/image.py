"""GetMetricWidgetImage: a picture of metrics, as PNG (CloudWatch API reference)."""

from __future__ import annotations

from typing import Any

from monitor.api.cloudwatch.asked import SERVICE, bad_value, store_of, validation
from monitor.api.cloudwatch.data import MOST_DATAPOINTS
from monitor.api.operation import Context, Outcome, Params, awaited, operation
from monitor.drawing.chart import Chart, Line
from monitor.drawing.process import DrawingError, TooMany, draw
from monitor.model.errors import ClientFault, ServerFault
from monitor.rules.widget_image import BadWidget, Widget, parse
from monitor.series.query import Asked, BadQuery, Query
from monitor.series.query import answer as results_of


@operation(SERVICE, "GetMetricWidgetImage")
def get_metric_widget_image(ctx: Context, params: Params) -> Outcome:
    store = store_of(ctx)
    form = params.get("OutputFormat") or "png"
    if form != "png":
        raise bad_value(f"The value {form[:64]} for parameter OutputFormat is invalid: it is png.")
    try:
        widget = parse(params["MetricWidget"], ctx.now)
    except BadWidget as error:
        raise validation(f"The MetricWidget is invalid: {error}") from error
    frame = widget.frame
    asked = Asked(ctx.scope, frame.start, frame.end, ctx.now, widget.timezone)
    span = frame.end - frame.start
    count = sum(span / row.period for row in widget.rows if row.period and row.is_visible)
    if count > MOST_DATAPOINTS:
        raise validation(
            f"The MetricWidget asks for up to {int(count)} datapoints, more than {MOST_DATAPOINTS}: make the period "
            "longer or the time shorter."
        )
    queries = _queries(widget)

    async def work() -> dict[str, Any]:
        try:
            found = await results_of(store, queries, asked)
        except BadQuery as error:
            raise validation(error.text) from error
        rows = {row.id: row for row in widget.rows}
        given: set[str] = set()
        lines = []
        for result in found:
            row = rows[result.id]
            # An expression may give many series: one color is the first one's.
            color = "" if row.id in given else row.color
            given.add(row.id)
            lines.append(Line(result.label, result.points, result.unit, color, row.axis))
        try:
            return {"MetricWidgetImage": await draw(Chart(frame, tuple(lines)))}
        except TooMany as error:
            raise ClientFault("ThrottlingException", "Rate exceeded", 400) from error
        except DrawingError as error:
            raise ServerFault("InternalServiceError", str(error)) from error

    return awaited(work)


def _queries(widget: Widget) -> list[Query]:
    return [
        Query(
            row.id,
            row.period,
            row.key,
            row.statistic,
            expression=row.expression,
            label=row.label,
            is_returned=row.is_visible,
        )
        for row in widget.rows
    ]
