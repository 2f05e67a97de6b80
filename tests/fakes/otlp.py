"""An OTLP receiver in the test's own process: HTTP and gRPC, decoding what arrives by opentelemetry-proto."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2 as metrics_pb
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as trace_pb


@dataclass(frozen=True)
class Point:
    """`resource` and `attributes` as plain values; times in nanoseconds."""

    metric: str
    unit: str
    kind: str  # sum | gauge
    is_monotonic: bool
    resource: Mapping[str, Any]
    attributes: Mapping[str, Any]
    value: float
    start: int
    at: int


@dataclass(frozen=True)
class SeenSpan:
    name: str
    trace_id: str
    span_id: str
    parent_id: str
    links: tuple[tuple[str, str], ...]  # (trace id, span id)
    attributes: Mapping[str, Any]
    resource: Mapping[str, Any]
    begin: int
    end: int
    status: int
    events: tuple[str, ...]


@dataclass
class Received:
    points: list[Point] = field(default_factory=list)
    spans: list[SeenSpan] = field(default_factory=list)
    headers: list[Mapping[str, str]] = field(default_factory=list)
    requests: int = 0
    endpoint: str = ""

    def named(self, name: str) -> list[SeenSpan]:
        return [s for s in list(self.spans) if s.name == name]

    def take_metrics(self, request: Any) -> None:
        self.requests += 1
        for resource_metrics in request.resource_metrics:
            resource = plain(resource_metrics.resource.attributes)
            for scope in resource_metrics.scope_metrics:
                for metric in scope.metrics:
                    kind = metric.WhichOneof("data")
                    data = getattr(metric, kind)
                    if kind == "sum":
                        assert data.aggregation_temporality == 2, "cumulative"
                    for p in data.data_points:
                        value = getattr(p, p.WhichOneof("value"))
                        self.points.append(
                            Point(
                                metric.name,
                                metric.unit,
                                kind,
                                kind == "sum" and data.is_monotonic,
                                resource,
                                plain(p.attributes),
                                value,
                                p.start_time_unix_nano,
                                p.time_unix_nano,
                            )
                        )

    def take_spans(self, request: Any) -> None:
        self.requests += 1
        for resource_spans in request.resource_spans:
            resource = plain(resource_spans.resource.attributes)
            for scope in resource_spans.scope_spans:
                for s in scope.spans:
                    self.spans.append(
                        SeenSpan(
                            s.name,
                            s.trace_id.hex(),
                            s.span_id.hex(),
                            s.parent_span_id.hex(),
                            tuple((link.trace_id.hex(), link.span_id.hex()) for link in s.links),
                            plain(s.attributes),
                            resource,
                            s.start_time_unix_nano,
                            s.end_time_unix_nano,
                            s.status.code,
                            tuple(e.name for e in s.events),
                        )
                    )


def plain(attributes: Any) -> dict[str, Any]:
    return {a.key: _value(a.value) for a in attributes}


def _value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(v) for v in value.array_value.values]
    return getattr(value, kind)


@contextmanager
def http_receiver(port: int = 0) -> Iterator[Received]:
    received = Received()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            received.headers.append({k.lower(): v for k, v in self.headers.items()})
            assert self.headers["content-type"] == "application/x-protobuf"
            if self.path == "/v1/metrics":
                received.take_metrics(metrics_pb.ExportMetricsServiceRequest.FromString(body))
            elif self.path == "/v1/traces":
                received.take_spans(trace_pb.ExportTraceServiceRequest.FromString(body))
            known = self.path in ("/v1/metrics", "/v1/traces")
            self.send_response(200 if known else 404)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            return None

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    received.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield received
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def grpc_receiver() -> Iterator[Received]:
    import grpc
    from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2_grpc as metrics_grpc
    from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc as trace_grpc

    received = Received()

    class Metrics(metrics_grpc.MetricsServiceServicer):  # type: ignore[misc]
        def Export(self, request: Any, context: Any) -> Any:  # noqa: N802
            received.headers.append(dict(context.invocation_metadata()))
            received.take_metrics(request)
            return metrics_pb.ExportMetricsServiceResponse()

    class Traces(trace_grpc.TraceServiceServicer):  # type: ignore[misc]
        def Export(self, request: Any, context: Any) -> Any:  # noqa: N802
            received.headers.append(dict(context.invocation_metadata()))
            received.take_spans(request)
            return trace_pb.ExportTraceServiceResponse()

    server = grpc.server(ThreadPoolExecutor(4))
    metrics_grpc.add_MetricsServiceServicer_to_server(Metrics(), server)
    trace_grpc.add_TraceServiceServicer_to_server(Traces(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    received.endpoint = f"http://127.0.0.1:{port}"
    try:
        yield received
    finally:
        server.stop(0).wait()
