"""The SDK's OTLP exporter over gRPC, given requests that are serialized already.

`_translate_data` and `_count_data` are where the SDK's own exporters differ, not public names: pyproject.toml holds the
SDK to the minor version this is true of.
"""

from __future__ import annotations

from typing import Any

from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.sdk.metrics.export import MetricExportResult

from exporters.otlp_encode import Body


class GrpcSender(OTLPMetricExporter):
    def send(self, data: bytes, points: int) -> bool:
        """False when the collector did not take it in OTEL_EXPORTER_OTLP_METRICS_TIMEOUT; the SDK logs why."""
        body: Any = Body(data, points)
        return bool(self._export(body) is MetricExportResult.SUCCESS)

    def _translate_data(self, data: Any) -> ExportMetricsServiceRequest:
        request: ExportMetricsServiceRequest = ExportMetricsServiceRequest.FromString(data.data)
        return request

    def _count_data(self, data: Any) -> int:
        return int(data.points)
