"""The SDK's OTLP exporter over HTTP, given requests that are serialized already.

`_client` is no public name of the SDK's: pyproject.toml holds it to the minor version this is true of.
"""

from __future__ import annotations

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter


class HttpSender(OTLPMetricExporter):
    def send(self, data: bytes, points: int) -> bool:
        """False when the collector did not take it in OTEL_EXPORTER_OTLP_METRICS_TIMEOUT; the SDK logs why."""
        return not self._shutdown and points >= 0 and self._client.export(data).success
