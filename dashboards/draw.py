"""Draw a board as Grafana would: its JSON, a Prometheus, a picture, and what became of each panel.

    states = draw(board, "http://127.0.0.1:9090", Path("fleet.png"), TimeRange.last(3600))

A test layer: Grafana's own component library (@grafana/ui, @grafana/data) in headless Chromium, not Grafana. See
docs/drawing.md for what that proves.
"""

from __future__ import annotations

import base64
import json
import time
import urllib.parse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from dashboards.drawing.build import DrawingBroken, DrawingUnavailable, build
from dashboards.drawing.chromium import Tab, open_tab
from dashboards.drawing.site import PROMETHEUS, serve

__all__ = ["DrawingBroken", "DrawingUnavailable", "PanelState", "TimeRange", "draw"]

WIDTH = 1600
_FIRST_HEIGHT = 1000
_MOST_HEIGHT = 16_000  # beyond it a picture has no meaning

# The page's own promise; where its script cannot even start, the words for that.
_DONE = """new Promise((resolve) => {
  const look = () => {
    if (window.__done) resolve(window.__done);
    else if (document.readyState === 'complete') resolve('the script of the page does not start');
    else setTimeout(look, 10);
  };
  look();
})"""

_STATES = """JSON.stringify({
  panels: [...document.querySelectorAll('[data-panel-id]')].map((node) => ({
    ...node.dataset,
    links: [...new Set([...node.querySelectorAll('a[href]')].map((link) => link.getAttribute('href')))],
  })),
  body: {...document.body.dataset},
})"""


@dataclass(frozen=True)
class TimeRange:
    """From and to, in seconds since 1970."""

    start: float
    end: float

    @classmethod
    def last(cls, seconds: float) -> TimeRange:
        """The last `seconds` until now."""
        now = time.time()
        return cls(now - seconds, now)


@dataclass(frozen=True)
class PanelState:
    """What the page's DOM says of one panel."""

    panel_id: int
    title: str
    type: str
    state: Literal["ok", "nodata", "error"]
    message: str
    """For "error" each failed query in Prometheus's words, or why the drawing failed; for "nodata" why none."""
    series: int
    """Series that hold a value; for a table its rows."""
    drawn_as: Literal["library", "likeness", "nothing"]
    """By Grafana's component; by our marks on its axes, where the panel is in Grafana's application; not at all."""
    links: tuple[str, ...] = ()
    """Where the values of a table lead, each once, with variables and macros filled in."""


def draw(
    board: Mapping[str, Any],
    prometheus_url: str,
    out_png: Path,
    time_range: TimeRange,
    variables: Mapping[str, str | Sequence[str]] | None = None,
    *,
    width: int = WIDTH,
    scrape_interval_seconds: float = 15.0,
    theme: Literal["dark", "light"] = "dark",
    timeout_seconds: float = 120.0,
) -> list[PanelState]:
    """Draw a classic board (schemaVersion 42) into a PNG, `width` pixels wide and as high as the board is.

    `variables` go before what the board proposes; a value "$__all" is All; query variables that are not given take
    their options from Prometheus, as in Grafana. Collapsed rows are drawn open. Gives the panels in the board's order.

    Raises:
        DrawingUnavailable: this machine cannot draw, with the reason: skip the test.
        DrawingBroken: the page fails as a whole, also on an annotation's query or on a variable's.
    """
    page = build()
    job = {
        "board": board,
        "prometheus": PROMETHEUS.lstrip("/"),
        "from": round(time_range.start * 1000),
        "to": round(time_range.end * 1000),
        "variables": {
            name: value if isinstance(value, str) else list(value)
            for name, value in (variables or {}).items()
        },
        "scrapeIntervalSeconds": scrape_interval_seconds,
        "theme": theme,
        "timeZone": "utc",
    }
    with (
        serve(page, json.dumps(job).encode(), prometheus_url) as address,
        open_tab(width, _FIRST_HEIGHT, timeout_seconds) as tab,
    ):
        tab.call("Page.enable")
        tab.call("Page.navigate", url=address)
        found = _settled(tab, width)
        shot = tab.call("Page.captureScreenshot", format="png")
    out_png.write_bytes(base64.b64decode(shot["data"]))
    return [_state(panel) for panel in found["panels"]]


def _settled(tab: Tab, width: int) -> dict[str, Any]:
    """Wait until the page stands, in a window that shows all of it; give what its DOM says."""
    failure = tab.evaluate(_DONE)
    if failure:
        raise DrawingBroken(str(failure))
    # What is below the window's edge the browser does not paint (tables say content-visibility: auto).
    tab.resize(width, min(int(tab.evaluate("document.body.dataset.height")), _MOST_HEIGHT))
    tab.evaluate("window.__settled()")
    found: dict[str, Any] = json.loads(tab.evaluate(_STATES))
    if found["body"]["errors"]:
        raise DrawingBroken(f"the page throws: {found['body']['errors']}")
    annotations = json.loads(found["body"]["annotationErrors"])
    if annotations:
        raise DrawingBroken(f"annotations fail: {'; '.join(annotations)}")
    return found


def _state(panel: Mapping[str, Any]) -> PanelState:
    unfilled = [link for link in panel["links"] if "${" in urllib.parse.unquote(link)]
    if unfilled:
        panel = {**panel, "state": "error", "message": f"a link is not filled in: {unfilled[0]}"}
    return PanelState(
        panel_id=int(panel["panelId"]),
        title=panel["title"],
        type=panel["type"],
        state=panel["state"],
        message=panel["message"],
        series=int(panel["series"]),
        drawn_as=panel["drawnAs"],
        links=tuple(panel["links"]),
    )
