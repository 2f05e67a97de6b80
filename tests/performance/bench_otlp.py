"""What OTLP costs: a round of metrics, beside the same through the SDK's own data classes, and a request's span.

    python -m tests.performance.bench_otlp [--containers 10000]

No daemon and no collector is needed: requests are made, and thrown away. Trust the ratio.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import time
from collections.abc import Callable, Sequence

from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.sdk.metrics import export as sdk
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from exporters.exporter import Exporter
from exporters.otlp_encode import Encoder, container_attributes
from exporters.otlp_settings import Losses
from exporters.otlp_spans import CountedSpans
from exporters.render import render
from exporters.sample import ECS, ContainerIdentity, Interface, Sample
from exporters.tracked import Reader
from monitor.clock import SystemClock
from monitor.spans import Spans
from monitor.tracing import OFF, Tracing

POINTS = 36  # so many a container, as in a real round
SAMPLED_FOR_THE_SDK = 500


def identity(number: int) -> ContainerIdentity:
    task = f"arn:aws:ecs:us-east-1:000000000001:task/default/{number:032x}"
    labels = {
        f"{ECS}cluster": "default",
        f"{ECS}task-arn": task,
        f"{ECS}container-name": "app",
        f"{ECS}task-definition-family": "web",
        f"{ECS}task-definition-version": "1",
        "moorwatch.service": f"web-{number % 100}",
    }
    return ContainerIdentity(
        f"{number:064x}", f"ecs-web-1-app-{number:x}", "shop/web:1", 7, labels, started_at=9.5
    )


class _Still:
    def __init__(self, container_id: str) -> None:
        interface = Interface("eth0", *range(8))
        numbers = {name: number + 0.5 for number, name in enumerate(Sample._fields[2:-1])}
        self._sample = Sample(50.0, container_id, **{**numbers, "network": (interface,)})  # type: ignore[arg-type]

    quota_cores = 0.0

    def read(self, at: float) -> Sample:
        return self._sample

    def close(self) -> None:
        return None


def exporter_of(containers: int) -> Exporter:
    def open_reader(found: ContainerIdentity, _: bool) -> Reader:
        return _Still(found.id)

    exporter = Exporter(open_reader=open_reader)
    for number in range(containers):
        exporter.track(identity(number))
    exporter.sample_all()
    return exporter


def by_the_sdk(containers: int) -> int:
    """The same number of points through the SDK's data classes and encoder; bytes."""
    scope = InstrumentationScope("bench")
    found = []
    for number in range(containers):
        metrics = [
            sdk.Metric(
                f"ecs.container.number_{i}",
                "A description of usual length.",
                "s",
                sdk.Sum([sdk.NumberDataPoint({}, 1, 2, 1.5)], sdk.AggregationTemporality.CUMULATIVE, True),
            )
            for i in range(POINTS)
        ]
        about = Resource(container_attributes(identity(number)))
        found.append(sdk.ResourceMetrics(about, [sdk.ScopeMetrics(scope, metrics, "")], ""))
    return len(encode_metrics(sdk.MetricsData(found)).SerializeToString())


def cpu_seconds(work: Callable[[], object], times: int = 5) -> float:
    """CPU seconds of one call: the best of some, so that a neighbour's burst does not count."""
    found = []
    for _ in range(times):
        started = time.process_time()
        work()
        found.append(time.process_time() - started)
    return min(found)


class _Nowhere(SpanExporter):
    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        return None


def request_seconds(tracing: Tracing, times: int) -> float:
    started = time.perf_counter()
    for _ in range(times):
        with tracing.request({"host": "127.0.0.1"}) as span:
            span.parsed("ecs", "DescribeTasks", "b7f6e0a4-0000-4000-8000-000000000000")
            span.answered(200)
    return (time.perf_counter() - started) / times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--containers", type=int, default=10_000)
    count = parser.parse_args().containers
    print(f"{platform.machine()}, {os.cpu_count()} CPUs, Python {platform.python_version()}")
    exporter = exporter_of(count)
    encoder = Encoder(exporter, {"service.name": "bench"}, {})
    bodies = list(encoder.bodies())
    ours = cpu_seconds(lambda: list(encoder.bodies()))
    points = sum(b.points for b in bodies)
    print(
        f"{count} containers, {points} points, {sum(len(b.data) for b in bodies) / 1e6:.1f} MB in {len(bodies)}"
    )
    print(f"  a round as OTLP       {ours:7.2f} s  {ours / points * 1e6:6.2f} µs a point")
    text = cpu_seconds(lambda: render(exporter))
    print(f"  the same as text      {text:7.2f} s")
    theirs = cpu_seconds(lambda: by_the_sdk(SAMPLED_FOR_THE_SDK)) / SAMPLED_FOR_THE_SDK
    print(
        f"  by SDK data classes   {theirs * count:7.2f} s  ×{theirs * count / ours:.0f} (of {SAMPLED_FOR_THE_SDK})"
    )
    tracing = Spans(CountedSpans(_Nowhere(), Losses("spans"), 2048, 512), SystemClock())
    print(f"a request's span        {request_seconds(tracing, 1000) * 1e6:7.1f} µs")
    print(f"  when off              {request_seconds(OFF, 1000) * 1e6:7.1f} µs")
    tracing.close()
    print(f"memory at most {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


if __name__ == "__main__":
    main()
