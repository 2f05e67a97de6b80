"""The exposition of an Exporter in Prometheus's text format.

Written out directly, column by column, with each container's label text kept: through prometheus_client's
families the same costs tens of times more. Tests read it back with that library's parser, sample by sample.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from operator import attrgetter

from exporters import host, names
from exporters.exporter import Exporter
from exporters.names import Metric
from exporters.sample import Interface
from exporters.tracked import Tracked

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_STATUSES = {"healthy": "HEALTHY", "unhealthy": "UNHEALTHY", "starting": "UNKNOWN"}
_sample_values = attrgetter(*names.SAMPLE_METRICS)
_network_values = attrgetter(*names.NETWORK_METRICS)
_identity_values = attrgetter(*names.IDENTITY_METRICS)
_group_values = attrgetter(*names.GROUP_METRICS)


def escape(value: str) -> str:
    """A label's value."""
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def labels(pairs: Mapping[str, str]) -> str:
    """`a="1",b="2"`, without braces."""
    return ",".join(f'{name}="{escape(value)}"' for name, value in pairs.items())


def exposition(exporter: Exporter) -> tuple[bytes, str]:
    """(body, content type) of a scrape."""
    return render(exporter), CONTENT_TYPE


def render(exporter: Exporter) -> bytes:
    """Samples are not taken here: what is shown is the newest round, whose age is shown too."""
    started = time.perf_counter()
    tracked = _distinct(exporter.tracked())
    out: list[str] = []
    _samples(out, tracked)
    _network(out, tracked)
    _identities(out, tracked)
    _groups(out, exporter)
    _own(out, exporter)
    _single(out, names.HOST_METRICS, host.facts())
    # A label that is not Unicode must not cost the whole scrape.
    body = "".join(out).encode(errors="replace")
    exporter.render_seconds = time.perf_counter() - started
    return body


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


def _age(tracked: Tracked) -> tuple[float, str]:
    return tracked.identity.started_at or 0.0, tracked.identity.id


def _container_labels(tracked: Tracked) -> str:
    i = tracked.identity
    values = (i.cluster, i.service, i.family, i.revision, i.task, i.container)
    return labels(dict(zip(names.CONTAINER_LABELS, values, strict=True)))


def _header(out: list[str], metric: Metric) -> None:
    text = metric.help.replace("\\", "\\\\").replace("\n", "\\n")
    out.append(f"# HELP {metric.name} {text}\n# TYPE {metric.name} {metric.kind}\n")


def _columns(
    out: list[str], metrics: Iterable[Metric], texts: Sequence[str], rows: Sequence[Sequence[object]]
) -> None:
    """One column of `rows` for each metric; None is left out. `texts` are the rows' labels."""
    columns = zip(*rows, strict=True) if rows else iter(() for _ in metrics)
    for metric, column in zip(metrics, columns, strict=False):
        _header(out, metric)
        name = metric.name
        out += [
            f"{name}{{{text}}} {value}\n"
            for text, value in zip(texts, column, strict=True)
            if value is not None
        ]


def _samples(out: list[str], tracked: Iterable[Tracked]) -> None:
    shown = [(t.label_text, t.sample) for t in tracked if t.sample is not None]
    rows = [_sample_values(sample) for _, sample in shown]
    _columns(out, names.SAMPLE_METRICS.values(), [text for text, _ in shown], rows)


def _network(out: list[str], tracked: Iterable[Tracked]) -> None:
    shown: list[tuple[str, Interface]] = [
        (f'{t.label_text},interface="{escape(interface.name)}"', interface)
        for t in tracked
        if t.sample is not None
        for interface in t.sample.network
    ]
    rows = [_network_values(interface) for _, interface in shown]
    _columns(out, names.NETWORK_METRICS.values(), [text for text, _ in shown], rows)


def _identities(out: list[str], tracked: Sequence[Tracked]) -> None:
    rows = [_identity_values(t.identity) for t in tracked]
    _columns(out, names.IDENTITY_METRICS.values(), [t.label_text for t in tracked], rows)
    _header(out, names.INFO)
    for t in tracked:
        i = t.identity
        extra = labels({"image": i.image, "docker_id": i.id[:12], "docker_name": i.name})
        out.append(f"{names.INFO.name}{{{t.label_text},{extra}}} 1\n")
    _header(out, names.HEALTH)
    for t in tracked:
        if t.identity.has_health_check:
            now = _STATUSES.get(t.health, "UNKNOWN")
            for status in ("HEALTHY", "UNHEALTHY", "UNKNOWN"):
                out.append(f'{names.HEALTH.name}{{{t.label_text},status="{status}"}} {int(status == now)}\n')


def _groups(out: list[str], exporter: Exporter) -> None:
    counts = exporter.counts()
    texts = [labels(dict(zip(names.GROUP_LABELS, group, strict=True))) for group, _ in counts]
    _columns(out, names.GROUP_METRICS.values(), texts, [_group_values(c) for _, c in counts])


def _own(out: list[str], exporter: Exporter) -> None:
    values = {
        "ecs_exporter_containers": float(len(exporter.tracked())),
        "ecs_exporter_unreadable_containers": float(exporter.unreadable()),
        "ecs_exporter_sample_age_seconds": exporter.age_seconds(),
        "ecs_exporter_sample_duration_seconds": exporter.sample_seconds,
        "ecs_exporter_render_duration_seconds": exporter.render_seconds,
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
