"""What a drawing process is handed."""

from __future__ import annotations

from dataclasses import dataclass

from monitor.rules.widget_image import Frame


@dataclass(frozen=True, slots=True)
class Line:
    """`points`: (seconds since the epoch, value), ascending. `color`: "" for the next of the palette."""

    label: str
    points: tuple[tuple[float, float], ...]
    unit: str = ""
    color: str = ""
    axis: str = "left"


@dataclass(frozen=True, slots=True)
class Chart:
    frame: Frame
    lines: tuple[Line, ...]
