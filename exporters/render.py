"""The exposition of an Exporter in Prometheus's text format.

Written out directly with label strings kept per container: through prometheus_client's families the same costs
some 16 µs a sample. Tests read it back with that library's parser, sample by sample.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from exporters import host, names
from exporters.exporter import Exporter, Tracked
from exporters.names import Metric

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_STATUSES = {"healthy": "HEALTHY", "unhealthy": "UNHEALTHY", "starting": "UNKNOWN"}


def escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def labels(pairs: Mapping[str, str]) -> str:
    """`a="1",b="2"`, without braces."""
    return ",".join(f'{name}="{escape(value)}"' for name, value in pairs.items())


def _header(out: list[str], metric: Metric) -> None:
    out.append(f"# HELP {metric.name} {escape(metric.help)}\n# TYPE {metric.name} {metric.kind}\n")


def _container_labels(tracked: Tracked) -> str:
    i = tracked.identity
    values = (i.cluster, i.service, i.family, i.revision, i.task, i.container)
    return labels(dict(zip(names.CONTAINER_LABELS, values, strict=True)))


def render(exporter: Exporter) -> bytes:
    """Samples are not taken here: what is shown is the newest round, whose age is shown too."""
    tracked = [(t, _container_labels(t)) for t in exporter.tracked()]
    out: list[str] = []
    _samples(out, tracked)
    _network(out, tracked)
    _identities(out, tracked)
    _groups(out, exporter)
    _own(out, exporter)
    _single(out, names.HOST_METRICS, host.facts())
    return "".join(out).encode()


def _samples(out: list[str], tracked: Iterable[tuple[Tracked, str]]) -> None:
    shown = [(t.sample, text) for t, text in tracked if t.sample is not None]
    for field, metric in names.SAMPLE_METRICS.items():
        _header(out, metric)
        name = metric.name
        for sample, text in shown:
            value = getattr(sample, field)
            if value is not None:
                out.append(f"{name}{{{text}}} {value}\n")


def _network(out: list[str], tracked: Iterable[tuple[Tracked, str]]) -> None:
    shown = [
        (interface, f'{text},interface="{escape(interface.name)}"')
        for t, text in tracked
        if t.sample is not None
        for interface in t.sample.network
    ]
    for field, metric in names.NETWORK_METRICS.items():
        _header(out, metric)
        name = metric.name
        out.extend(f"{name}{{{text}}} {getattr(interface, field)}\n" for interface, text in shown)


def _identities(out: list[str], tracked: list[tuple[Tracked, str]]) -> None:
    for field, metric in names.IDENTITY_METRICS.items():
        _header(out, metric)
        for t, text in tracked:
            value = getattr(t.identity, field)
            if value is not None:
                out.append(f"{metric.name}{{{text}}} {value}\n")
    _header(out, names.INFO)
    for t, text in tracked:
        i = t.identity
        extra = labels({"image": i.image, "docker_id": i.id[:12], "docker_name": i.name})
        out.append(f"{names.INFO.name}{{{text},{extra}}} 1\n")
    _header(out, names.HEALTH)
    for t, text in tracked:
        if t.identity.has_health_check:
            now = _STATUSES.get(t.health, "UNKNOWN")
            for status in ("HEALTHY", "UNHEALTHY", "UNKNOWN"):
                out.append(f'{names.HEALTH.name}{{{text},status="{status}"}} {int(status == now)}\n')


def _groups(out: list[str], exporter: Exporter) -> None:
    shown = [
        (counts, labels(dict(zip(names.GROUP_LABELS, group, strict=True))))
        for group, counts in sorted(exporter.counts.items())
    ]
    for field, metric in names.GROUP_METRICS.items():
        _header(out, metric)
        out.extend(f"{metric.name}{{{text}}} {getattr(counts, field)}\n" for counts, text in shown)


def _own(out: list[str], exporter: Exporter) -> None:
    values = {
        "ecs_exporter_containers": float(len(exporter.tracked())),
        "ecs_exporter_sample_age_seconds": exporter.age_seconds(),
        "ecs_exporter_sample_duration_seconds": exporter.sample_seconds,
        "ecs_exporter_read_errors_total": float(exporter.read_errors),
        "ecs_exporter_docker_events_total": float(exporter.events),
        "ecs_exporter_docker_event_lag_seconds": exporter.event_lag_seconds,
        "ecs_agent_docker_up": 1.0 if exporter.docker_up else 0.0,
    }
    _single(out, names.EXPORTER_METRICS, values)


def _single(out: list[str], metrics: Mapping[str, Metric], values: Mapping[str, float]) -> None:
    for name, metric in metrics.items():
        _header(out, metric)
        out.append(f"{name} {values[name]}\n")
