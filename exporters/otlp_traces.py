"""Where spans go, as the OTEL_* variables want it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING

from exporters import otlp_settings

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter

    from exporters.otlp_spans import CountedSpans

log = logging.getLogger("moorwatch.otlp")


DEFAULT_QUEUE, DEFAULT_BATCH = 2048, 512  # the specification's
# Spans leave in many small batches: a slow collector takes some of them, and its losses are said once all the same.
CALM = 20


def span_processor(environ: Mapping[str, str]) -> CountedSpans | None:
    """None: traces are not asked for, or cannot be had (which is logged: it must cost nothing else)."""
    protocol = otlp_settings.protocol(environ, "traces")
    if protocol is None:
        return None
    try:
        from exporters.otlp_spans import CountedSpans

        if protocol == "grpc":
            from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as Grpc

            inner: SpanExporter = Grpc()
        else:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as Http

            inner = Http()
        losses = otlp_settings.Losses("spans", otlp_settings.hear_out(), CALM)
        queue = otlp_settings.count(environ, "OTEL_BSP_MAX_QUEUE_SIZE", DEFAULT_QUEUE)
        batch = otlp_settings.count(environ, "OTEL_BSP_MAX_EXPORT_BATCH_SIZE", DEFAULT_BATCH)
        processor = CountedSpans(inner, losses, queue, min(queue, batch))
    except ImportError as error:
        log.error("OTLP traces by %s are off: %s; pip install 'moorwatch[otlp-grpc]'", protocol, error)
        return None
    except (ValueError, RuntimeError) as error:  # a variable that the SDK cannot read
        log.error("OTLP traces are off: %s", error)
        return None
    log.info("OTLP traces by %s", protocol)
    return processor
