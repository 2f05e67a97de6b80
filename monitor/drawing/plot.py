"""A chart as PNG, by matplotlib's object interface: nothing of pyplot, so nothing global."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Sequence
from datetime import timedelta, timezone
from itertools import cycle
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MaxNLocator

from monitor.drawing.chart import Chart, Line
from monitor.rules.widget_image import Annotation, Axis

DPI = 100
PALETTE = (
    *("#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd", "#8c564b", "#e377c2", "#7f7f7f", "#bcbd22"),
    *("#17becf", "#aec7e8", "#ffbb78", "#98df8a", "#ff9896", "#c5b0d5", "#c49c94", "#f7b6d2", "#c7c7c7"),
)
INK, FAINT, GRID = "#16191f", "#545b64", "#e1e4e8"
SMALL = (160, 110)  # pixels: below it there is no room for words
DAY = 86_400.0
_TINY = 1e-3


def png_of(chart: Chart) -> bytes:
    """Exactly frame.width × frame.height pixels."""
    frame = chart.frame
    figure = Figure(figsize=(frame.width / DPI, frame.height / DPI), dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)  # the figure keeps it
    lines = [_colored(line, color) for line, color in zip(chart.lines, cycle(PALETTE), strict=False)]
    has_words = frame.width >= SMALL[0] and frame.height >= SMALL[1]
    if has_words:
        figure.set_layout_engine("constrained", w_pad=0.08, h_pad=0.06)
        if frame.title:
            room = max(10, frame.width // 8)
            figure.suptitle(
                _plain(_cut(frame.title, room)), x=0.012, ha="left", fontsize=11, fontweight="bold", color=INK
            )
    views: dict[str, Callable[[Figure, Chart, list[Line], bool], None]] = {
        "timeSeries": _time_series,
        "singleValue": _single_value,
        "bar": _bars,
        "pie": _pie,
    }
    views[frame.view](figure, chart, lines, has_words)
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=DPI, facecolor="white")
    return out.getvalue()


def _colored(line: Line, color: str) -> Line:
    return Line(line.label, line.points, line.unit, line.color or color, line.axis)


def number(value: float) -> str:
    """Short: 1.25k, 3.4M, 0.02."""
    if value == 0:
        return "0"
    if abs(value) < _TINY or abs(value) >= 1e15:
        return f"{value:.3g}"
    for size, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.4g}{letter}"
    return f"{value:.4g}"


def _plain(text: str) -> str:
    """A dollar sign would begin a formula."""
    return "".join(c if c.isprintable() else " " for c in text).replace("$", r"\$")


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


# -- lines over time -------------------------------------------------------------------------------------------


def _time_series(figure: Figure, chart: Chart, lines: list[Line], has_words: bool) -> None:
    frame = chart.frame
    left = figure.add_subplot() if has_words else figure.add_axes((0, 0, 1, 1))
    axes = {"left": left}
    if any(line.axis == "right" for line in lines) or any(a.axis == "right" for a in frame.horizontal):
        axes["right"] = left.twinx()
    for side, ax in axes.items():
        mine = [line for line in lines if line.axis == side]
        if frame.is_stacked:
            _stacked(ax, mine)
        else:
            for line in mine:
                _line(ax, line)
        ax.set_xlim(frame.start / DAY, frame.end / DAY)
        _scale(ax, mine, frame.left if side == "left" else frame.right, frame, has_words)
    for annotation in frame.horizontal:
        _horizontal(axes[annotation.axis], annotation)
    for annotation in frame.vertical:
        _vertical(left, annotation)
    _times(left, frame.ahead, frame.width)
    for ax in axes.values():
        for side in ("top", "right", "left"):
            ax.spines[side].set_visible(False)
        ax.spines["bottom"].set_color(GRID)
        ax.tick_params(length=0, labelsize=8, colors=FAINT)
        if not has_words:
            ax.set_axis_off()
    left.grid(axis="y", color=GRID, linewidth=0.8)
    left.set_axisbelow(True)
    if not any(line.points for line in lines) and has_words:
        left.text(0.5, 0.5, "No data available", transform=left.transAxes, ha="center", color=FAINT)
    if has_words:
        _legend(figure, chart, lines)


def _line(ax: Axes, line: Line) -> None:
    times, values = [at / DAY for at, _ in line.points], [value for _, value in line.points]
    is_alone = len(values) == 1
    ax.plot(times, values, color=line.color, linewidth=1.5, marker="o" if is_alone else "", markersize=4)


def _stacked(ax: Axes, lines: Sequence[Line]) -> None:
    times = sorted({at for line in lines for at, _ in line.points})
    if not times:
        return
    known = [dict(line.points) for line in lines]
    ax.stackplot(
        [at / DAY for at in times],
        [[points.get(at, 0.0) for at in times] for points in known],
        colors=[line.color for line in lines],
        alpha=0.75,
        linewidth=0,
    )


def _scale(ax: Axes, lines: Sequence[Line], axis: Axis, frame: Any, has_words: bool) -> None:
    values = [value for line in lines for _, value in line.points]
    marks = [a for a in frame.horizontal if frame.left is axis or a.axis == "right"]
    values += [v for a in marks for v in (a.value, a.until) if v is not None]
    low, high = ax.get_ylim()
    if not frame.is_stacked and values:
        low, high = min(values), max(values)
        room = (high - low) * 0.08 or abs(high) * 0.1 or 1.0
        low, high = (min(low - room, low) if low < 0 else max(0.0, low - room)), high + room
    elif not values:
        low, high = 0.0, 1.0
    low = low if axis.low is None else axis.low
    high = high if axis.high is None else axis.high
    ax.set_ylim(low, high if high > low else low + 1.0)
    ax.yaxis.set_major_locator(MaxNLocator(nbins=max(2, min(6, frame.height // 60))))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: number(value)))
    units = list(dict.fromkeys(line.unit for line in lines if line.unit and line.unit != "None"))
    told = axis.label or ("" if not axis.shows_units else ", ".join(units))
    if told and has_words:
        ax.set_ylabel(_plain(_cut(told, max(8, frame.height // 8))), fontsize=8, color=FAINT)


def _times(ax: Axes, ahead: int, width: int) -> None:
    zone = timezone(timedelta(seconds=ahead))
    locator = AutoDateLocator(tz=zone, minticks=3, maxticks=max(3, width // 90))
    formatter = ConciseDateFormatter(locator, tz=zone)
    ax.xaxis.set_major_locator(locator)
    ax.xaxis.set_major_formatter(formatter)
    ax.xaxis.get_offset_text().set(size=8, color=FAINT)


def _horizontal(ax: Axes, mark: Annotation) -> None:
    color = mark.color or "#d13212"
    ax.axhline(mark.value, color=color, linewidth=1.2)
    bottom, top = ax.get_ylim()
    _words_across(ax, mark.value, mark.label, color)
    if mark.until is not None:
        ax.axhline(mark.until, color=color, linewidth=1.2)
        ax.axhspan(mark.value, mark.until, color=color, alpha=0.15, linewidth=0)
        _words_across(ax, mark.until, mark.until_label, color)
    elif mark.fill:
        edge = top if mark.fill == "above" else bottom
        ax.axhspan(mark.value, edge, color=color, alpha=0.15, linewidth=0)
    ax.set_ylim(bottom, top)


def _words_across(ax: Axes, value: float, label: str, color: str) -> None:
    if label:
        ax.annotate(
            _plain(_cut(label, 60)),
            (0.005, value),
            xycoords=("axes fraction", "data"),
            xytext=(0, 2),
            textcoords="offset points",
            fontsize=7.5,
            color=color,
            annotation_clip=True,
        )


def _vertical(ax: Axes, mark: Annotation) -> None:
    color = mark.color or "#8c4fff"
    begin, end = ax.get_xlim()
    ax.axvline(mark.value / DAY, color=color, linewidth=1.2)
    if mark.until is not None:
        ax.axvline(mark.until / DAY, color=color, linewidth=1.2)
        ax.axvspan(mark.value / DAY, mark.until / DAY, color=color, alpha=0.12, linewidth=0)
    elif mark.fill:
        ax.axvspan(
            mark.value / DAY, begin if mark.fill == "before" else end, color=color, alpha=0.12, linewidth=0
        )
    for at, label in ((mark.value, mark.label), (mark.until, mark.until_label)):
        if label and at is not None and begin <= at / DAY <= end:
            ax.annotate(
                _plain(_cut(label, 40)),
                (at / DAY, 0.98),
                xycoords=("data", "axes fraction"),
                xytext=(3, 0),
                textcoords="offset points",
                fontsize=7.5,
                color=color,
                va="top",
                annotation_clip=True,
            )
    ax.set_xlim(begin, end)


def _legend(figure: Figure, chart: Chart, lines: Sequence[Line]) -> None:
    frame = chart.frame
    if frame.legend == "hidden" or not lines:
        return
    is_right = frame.legend == "right"
    room = max(8, frame.width // (18 if is_right else 8))
    longest = max(len(_cut(line.label, room)) for line in lines)
    columns = 1 if is_right else max(1, min(len(lines), frame.width // (7 * longest + 40)))
    most = max(1, (frame.height - 60) // 17) if is_right else columns * max(1, frame.height // 60)
    shown = lines if len(lines) <= most else lines[: max(1, most - 1)]
    handles: list[Any] = [
        Patch(color=line.color) if frame.is_stacked else Line2D([], [], color=line.color, linewidth=3)
        for line in shown
    ]
    labels = [_plain(_cut(line.label, room)) for line in shown]
    if len(shown) < len(lines):
        handles.append(Line2D([], [], linewidth=0))
        labels.append(f"+{len(lines) - len(shown)} more")
    figure.legend(
        handles,
        labels,
        loc="outside right center" if is_right else "outside lower left",
        ncols=columns,
        fontsize=8,
        frameon=False,
        labelcolor=INK,
        handlelength=1.0,
        columnspacing=1.2,
    )


# -- the newest values -----------------------------------------------------------------------------------------


def _newest(lines: Sequence[Line]) -> list[tuple[Line, float]]:
    return [(line, line.points[-1][1]) for line in lines if line.points]


def _empty(figure: Figure) -> None:
    figure.text(0.5, 0.5, "No data available", ha="center", va="center", color=FAINT)


def _single_value(figure: Figure, chart: Chart, lines: list[Line], has_words: bool) -> None:
    """As many columns as fit, each: its color, the number, its unit, its label."""
    frame = chart.frame
    if not lines:
        _empty(figure)
        return
    figure.set_layout_engine("none")
    columns = max(1, min(len(lines), round(math.sqrt(len(lines) * frame.width / frame.height / 1.5))))
    rows = math.ceil(len(lines) / columns)
    top = 1.0 - (28 / frame.height if has_words and frame.title else 0.0)
    wide, tall = frame.width / columns, frame.height * top / rows
    for n, line in enumerate(lines):
        x, y = (n % columns + 0.5) / columns, top * (1 - (n // columns + 0.5) / rows)
        text = number(line.points[-1][1]) if line.points else "--"
        unit = {"Percent": "%", "Count": "", "None": "", "": ""}.get(line.unit, f" {line.unit}")
        size = max(5.0, min(34.0, tall * 0.28, 1.1 * wide / max(4, len(text + unit))))
        if has_words:
            figure.text(
                x, y + 4 / frame.height, _plain(text + unit), ha="center", va="bottom", size=size, color=INK
            )
            label = _plain(_cut(line.label, max(4, int(wide / 7))))
            figure.text(x, y - 2 / frame.height, label, ha="center", va="top", size=8.5, color=line.color)
        else:
            figure.text(x, y, _plain(text), ha="center", va="center", size=size, color=line.color)


def _bars(figure: Figure, chart: Chart, lines: list[Line], has_words: bool) -> None:
    found = _newest(lines)
    ax = figure.add_subplot() if has_words else figure.add_axes((0, 0, 1, 1))
    ax.barh(
        range(len(found)), [value for _, value in found], color=[line.color for line, _ in found], height=0.7
    )
    ax.invert_yaxis()
    most = max(8, chart.frame.width // 24)
    ax.set_yticks(range(len(found)), [_plain(_cut(line.label, most)) for line, _ in found])
    for n, (_, value) in enumerate(found):
        ax.annotate(
            number(value),
            (value, n),
            xytext=(3, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
            color=INK,
        )
    ax.margins(x=0.12)
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: number(value)))
    for side in ("top", "right", "bottom"):
        ax.spines[side].set_visible(False)
    ax.spines["left"].set_color(GRID)
    ax.grid(axis="x", color=GRID, linewidth=0.8)
    ax.set_axisbelow(True)
    ax.tick_params(length=0, labelsize=8, colors=FAINT)
    if not has_words:
        ax.set_axis_off()
    elif not found:
        _empty(figure)


def _pie(figure: Figure, chart: Chart, lines: list[Line], has_words: bool) -> None:
    found = [(line, value) for line, value in _newest(lines) if value > 0]
    if not found:
        _empty(figure)
        return
    ax = figure.add_subplot() if has_words else figure.add_axes((0, 0, 1, 1))
    whole = math.fsum(value for _, value in found)
    ax.pie(
        [value / whole for _, value in found],
        colors=[line.color for line, _ in found],
        startangle=90,
        counterclock=False,
        autopct=(lambda share: f"{share:.0f}%" if share >= 4 else "") if has_words else None,
        pctdistance=0.78,
        wedgeprops={"width": 0.45, "edgecolor": "white"},
        textprops={"fontsize": 8, "color": "white"},
    )
    if has_words:
        told = [
            Line(f"{line.label} · {number(value)}", line.points, line.unit, line.color)
            for line, value in found
        ]
        _legend(figure, chart, told)
