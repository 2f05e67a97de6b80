"""Metric: one row of the tables of names, and the label sets that rows share."""

from __future__ import annotations

from dataclasses import dataclass

CONTAINER_LABELS = ("cluster", "service", "family", "revision", "task", "container")
GROUP_LABELS = ("cluster", "service", "container")
SERVICE_LABELS = ("cluster", "service")
INSTANCE_LABELS = ("cluster", "container_instance")
UNITS = ("seconds", "bytes", "cores", "ratio")


@dataclass(frozen=True, slots=True)
class Metric:
    """`source`: the process whose /metrics has it: exporter (and agent), agent, control."""

    name: str
    kind: str  # counter | gauge | histogram
    help: str
    labels: tuple[str, ...] = ()
    source: str = "exporter"

    @property
    def unit(self) -> str:
        """The base unit, which Prometheus wants in the name: "seconds", "bytes", … or "" for a plain number."""
        words = self.name.removesuffix("_total").split("_")
        return words[-1] if words[-1] in UNITS else ""

    @property
    def family(self) -> str:
        """The name of its family in OpenMetrics, where only a counter's samples end in _total."""
        return self.name.removesuffix("_total") if self.kind == "counter" else self.name


def table(*metrics: Metric) -> dict[str, Metric]:
    """By name."""
    return {m.name: m for m in metrics}
