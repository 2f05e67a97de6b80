"""The SDK's batch processor, with its losses counted. Imported only when traces are sent.

A span is lost when the queue is full (the collector is slow) or when the collector does not take its batch.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from exporters.otlp_settings import Losses


class CountedSpans(BatchSpanProcessor):
    """`queue_size`: spans that may wait. `give_up` ends an export that hangs, `shutdown` sends what is left."""

    def __init__(self, exporter: SpanExporter, losses: Losses, queue_size: int, batch_size: int) -> None:
        self.losses = losses
        self._exporter = _Counted(exporter, losses, self._left)
        self._most, self._waiting = queue_size, 0
        self._counting = threading.Lock()
        super().__init__(self._exporter, max_queue_size=queue_size, max_export_batch_size=batch_size)

    def on_end(self, span: ReadableSpan) -> None:
        if span.context is None or not span.context.trace_flags.sampled:
            return
        with self._counting:
            is_full = self._waiting >= self._most
            self._waiting += 0 if is_full else 1
        if is_full:
            # The SDK would drop the oldest, and count none.
            self.losses.failed(1)
        else:
            super().on_end(span)

    def _left(self, count: int) -> None:
        with self._counting:
            self._waiting -= count

    def give_up(self) -> None:
        self._exporter.shutdown()


class _Counted(SpanExporter):
    def __init__(self, inner: SpanExporter, losses: Losses, left: Callable[[int], None]) -> None:
        self._inner, self._losses, self._left = inner, losses, left
        self._is_shut = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self._left(len(spans))
        result = self._inner.export(spans)
        if result is SpanExportResult.SUCCESS:
            self._losses.went_well()
        else:
            self._losses.failed(len(spans))
        return result

    def shutdown(self) -> None:
        if not self._is_shut:
            self._is_shut = True
            self._inner.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._inner.force_flush(timeout_millis)
