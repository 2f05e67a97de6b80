"""The exposition of an Exporter in Prometheus's text format or in OpenMetrics.

Written out directly, column by column, with each container's label text kept: through prometheus_client's
families the same costs tens of times more. Tests read it back with that library's parsers, sample by sample.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from operator import attrgetter

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.process_collector import ProcessCollector

from exporters import host, names
from exporters.exporter import Exporter
from exporters.form import Answer, Form, pack
from exporters.metric import CONTAINER_LABELS, GROUP_LABELS, Metric
from exporters.sample import Group, Interface
from exporters.tracked import Counts, Tracked
from exporters.usage import usage

SERIES_A_CONTAINER = 80  # about, with two interfaces
STATUSES = {"healthy": "HEALTHY", "unhealthy": "UNHEALTHY", "starting": "UNKNOWN"}
_sample_values = attrgetter(*names.SAMPLE_METRICS)
_network_values = attrgetter(*names.NETWORK_METRICS)
_identity_values = attrgetter(*names.IDENTITY_METRICS)
_rare_values = attrgetter(*names.RARE_METRICS)
_group_values = attrgetter(*names.GROUP_METRICS)


def escape(value: str) -> str:
    """A label's value."""
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def labels(pairs: Mapping[str, str]) -> str:
    """`a="1",b="2"`, without braces."""
    return ",".join(f'{name}="{escape(value)}"' for name, value in pairs.items())


def exposition(exporter: Exporter, form: Form, rest: bytes) -> Answer:
    """A scrape's answer: the exporter's families, and `rest`, which `written` made, after them."""
    return pack(render(exporter, form) + rest, form)


def written(registry: CollectorRegistry, form: Form) -> bytes:
    """The families of a registry, with OpenMetrics's end mark in that form."""
    write: Callable[[CollectorRegistry], bytes]
    write = generate_openmetrics if form.is_openmetrics else generate_latest
    return write(registry)


def own_registry() -> CollectorRegistry:
    """What this process itself costs: process_cpu_seconds_total, process_resident_memory_bytes …"""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    return registry


def render(exporter: Exporter, form: Form | None = None) -> bytes:
    """The exporter's families alone, in OpenMetrics without its end mark.

    Samples are not taken here: what is shown is the newest round, whose age is shown too.
    """
    started = time.perf_counter()
    out = _Writer((form or Form()).is_openmetrics)
    tracked = _within(exporter, _distinct(exporter.tracked()))
    _samples(out, tracked)
    _network(out, tracked)
    _usages(out, tracked)
    _identities(out, tracked)
    _rare(out, tracked)
    _infos(out, tracked, exporter)
    _groups(out, exporter.counts())
    _facts(out, names.EXPORTER_METRICS, [(name, {}, value) for name, value in own_values(exporter).items()])
    _facts(out, names.HOST_METRICS, host.facts(exporter.data_root, exporter.proc))
    # A label that is not Unicode must not cost the whole scrape.
    body = "".join(out.lines).encode(errors="replace")
    exporter.render_seconds = time.perf_counter() - started
    return body


@cache
def _header(metric: Metric, is_openmetrics: bool) -> str:
    text = metric.help.replace("\\", "\\\\").replace("\n", "\\n")
    name = metric.family if is_openmetrics else metric.name
    unit = f"# UNIT {name} {metric.unit}\n" if is_openmetrics and metric.unit else ""
    return f"# HELP {name} {text}\n# TYPE {name} {metric.kind}\n{unit}"


class _Writer:
    def __init__(self, is_openmetrics: bool) -> None:
        self.is_openmetrics = is_openmetrics
        self.lines: list[str] = []

    def header(self, metric: Metric) -> None:
        self.lines.append(_header(metric, self.is_openmetrics))

    def columns(
        self, metrics: Iterable[Metric], texts: Sequence[str], rows: Sequence[Sequence[object]]
    ) -> None:
        """One column of `rows` for each metric; None is left out. `texts` are the rows' labels."""
        columns = zip(*rows, strict=True) if rows else iter(() for _ in metrics)
        for metric, column in zip(metrics, columns, strict=False):
            self.column(metric, texts, column)

    def column(self, metric: Metric, texts: Sequence[str], column: Sequence[object]) -> None:
        self.header(metric)
        name = metric.name
        self.lines += [
            f"{name}{{{text}}} {value}\n"
            for text, value in zip(texts, column, strict=True)
            if value is not None
        ]


def _distinct(tracked: Iterable[Tracked]) -> list[Tracked]:
    """One container for each set of labels, the newest: one pair alike would spoil the exposition for all."""
    found: dict[str, Tracked] = {}
    for t in tracked:
        if not t.label_text:
            t.label_text = _container_labels(t)
        other = found.get(t.label_text)
        if other is None or _age(t) > _age(other):
            found[t.label_text] = t
    return list(found.values())


def _within(exporter: Exporter, tracked: list[Tracked]) -> list[Tracked]:
    """Those that fit the limit of series: who came first stays."""
    most = max(1, exporter.shown.series // SERIES_A_CONTAINER)
    if len(tracked) > most:
        exporter.dropped_series += (len(tracked) - most) * SERIES_A_CONTAINER
    return tracked[:most]


def _age(tracked: Tracked) -> tuple[float, str]:
    return tracked.identity.started_at or 0.0, tracked.identity.id


def _container_labels(tracked: Tracked) -> str:
    i = tracked.identity
    values = (i.cluster, i.service, i.family, i.revision, i.task, i.container)
    return labels(dict(zip(CONTAINER_LABELS, values, strict=True)))


def _samples(out: _Writer, tracked: Iterable[Tracked]) -> None:
    shown = [(t.label_text, t.sample) for t in tracked if t.sample is not None]
    rows = [_sample_values(sample) for _, sample in shown]
    out.columns(names.SAMPLE_METRICS.values(), [text for text, _ in shown], rows)


def _network(out: _Writer, tracked: Iterable[Tracked]) -> None:
    shown: list[tuple[str, Interface]] = [
        (f'{t.label_text},interface="{escape(interface.name)}"', interface)
        for t in tracked
        if t.sample is not None
        for interface in t.sample.network
    ]
    rows = [_network_values(interface) for _, interface in shown]
    out.columns(names.NETWORK_METRICS.values(), [text for text, _ in shown], rows)


def _usages(out: _Writer, tracked: Iterable[Tracked]) -> None:
    found = [(t.label_text, usage(t.identity, t.window)) for t in tracked]
    shown = [(text, of) for text, of in found if of is not None]
    out.columns(names.USAGE_METRICS.values(), [text for text, _ in shown], [of for _, of in shown])


def _identities(out: _Writer, tracked: Sequence[Tracked]) -> None:
    rows = [_identity_values(t.identity) for t in tracked]
    out.columns(names.IDENTITY_METRICS.values(), [t.label_text for t in tracked], rows)


def _rare(out: _Writer, tracked: Iterable[Tracked]) -> None:
    shown = [(t.label_text, t.rare) for t in tracked if t.rare is not None]
    rows = [_rare_values(rare) for _, rare in shown]
    out.columns(names.RARE_METRICS.values(), [text for text, _ in shown], rows)
    out.header(names.SOCKETS)
    for text, rare in shown:
        out.lines += [
            f'{names.SOCKETS.name}{{{text},protocol="{s.protocol}",state="{s.state}"}} {s.number}\n'
            for s in rare.sockets
        ]


def _infos(out: _Writer, tracked: Sequence[Tracked], exporter: Exporter) -> None:
    out.header(names.INFO)
    for t in tracked:
        i = t.identity
        facts = {"image": i.image, "docker_id": i.id[:12], "docker_name": i.name}
        extra = labels({**facts, **exporter.shown.of(i.labels)})
        out.lines.append(f"{names.INFO.name}{{{t.label_text},{extra}}} 1\n")
    out.header(names.HEALTH)
    for t in tracked:
        if t.identity.has_health_check:
            now = STATUSES.get(t.health, "UNKNOWN")
            out.lines += [
                f'{names.HEALTH.name}{{{t.label_text},status="{status}"}} {int(status == now)}\n'
                for status in ("HEALTHY", "UNHEALTHY", "UNKNOWN")
            ]


def _groups(out: _Writer, counts: Sequence[tuple[Group, Counts]]) -> None:
    texts = [labels(dict(zip(GROUP_LABELS, group, strict=True))) for group, _ in counts]
    rows = [_group_values(c) for _, c in counts]
    columns = zip(*rows, strict=True) if rows else iter(() for _ in names.GROUP_METRICS)
    for metric, column in zip(names.GROUP_METRICS.values(), columns, strict=False):
        out.column(metric, texts, column)
        if out.is_openmetrics:  # since when it counts: only these need it, a container's have its start time
            out.lines += [
                f"{metric.family}_created{{{text}}} {c.since}\n"
                for text, (_, c) in zip(texts, counts, strict=True)
            ]
    out.header(names.EXITS_BY_CODE)
    for text, (_, c) in zip(texts, counts, strict=True):
        out.lines += [
            f'{names.EXITS_BY_CODE.name}{{{text},exit_code="{code}"}} {count}\n'
            for code, count in sorted(c.by_code.items())
        ]
    out.column(names.LAST_EXIT_CODE, texts, [c.last_exit_code for _, c in counts])


def own_values(exporter: Exporter) -> dict[str, float]:
    """EXPORTER_METRICS' values, by name."""
    return {
        "ecs_exporter_containers": float(len(exporter.tracked())),
        "ecs_exporter_unreadable_containers": float(exporter.unreadable()),
        "ecs_exporter_sample_age_seconds": exporter.age_seconds(),
        "ecs_exporter_sample_duration_seconds": exporter.sample_seconds,
        "ecs_exporter_render_duration_seconds": exporter.render_seconds,
        "ecs_exporter_read_errors_total": float(exporter.read_errors),
        "ecs_exporter_docker_events_total": float(exporter.events),
        "ecs_exporter_docker_event_lag_seconds": exporter.event_lag_seconds,
        "ecs_exporter_docker_event_gaps_total": float(exporter.event_gaps),
        "ecs_exporter_dropped_series_total": float(exporter.dropped_series),
        "ecs_exporter_fallback_containers": float(exporter.stats.count() if exporter.stats else 0),
        "ecs_agent_docker_up": 1.0 if exporter.docker_up else 0.0,
    }


def _facts(out: _Writer, metrics: Mapping[str, Metric], facts: Iterable[host.Fact]) -> None:
    found: dict[str, list[str]] = {}
    for name, pairs, value in facts:
        text = f"{{{labels(pairs)}}}" if pairs else ""
        found.setdefault(name, []).append(f"{name}{text} {value}\n")
    for name, metric in metrics.items():
        out.header(metric)
        out.lines += found.get(name, ())
