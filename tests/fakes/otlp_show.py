"""`python -m tests.fakes.otlp_show`: a collector that prints. For a look at what is sent where no other is at hand."""

from __future__ import annotations

import sys
import textwrap
import time
from datetime import UTC, datetime

from tests.fakes.otlp import Received, SeenSpan, http_receiver

SHOWN = (
    "http.response.status_code",
    "aws.request_id",
    "moorwatch.plan",
    "aws.ecs.task.id",
    "container.image.name",
    "error.type",
)


def tree(received: Received, trace_id: str) -> list[str]:
    """The spans of a trace, each below its parent: duration, offset, what matters of its attributes."""
    spans = sorted((s for s in received.spans if s.trace_id == trace_id), key=lambda s: (s.begin, -s.end))
    known = {s.span_id for s in spans}
    first = spans[0].begin
    out = [f"trace {trace_id}  {datetime.fromtimestamp(first / 1e9, UTC):%H:%M:%S}"]

    def show(span: SeenSpan, depth: int) -> None:
        told = " ".join(f"{k}={span.attributes[k]}" for k in SHOWN if k in span.attributes)
        name = "  " * depth + span.name
        failed = " ERROR" if span.status == 2 else ""
        times = f"{(span.begin - first) / 1e6:9.1f} {(span.end - span.begin) / 1e6:9.1f} ms"
        out.append(f"{name:<28}{times}{failed}  {told}".rstrip())
        for child in spans:
            if child.parent_id == span.span_id:
                show(child, depth + 1)

    for span in spans:
        if span.parent_id not in known:
            show(span, 1)
    return out


def main() -> int:
    with http_receiver(port=4318) as received:
        print(f"OTEL_EXPORTER_OTLP_ENDPOINT={received.endpoint}", flush=True)
        shown: set[str] = set()
        containers: set[str] = set()
        while True:
            for span in received.named("task start"):
                if span.span_id not in shown:
                    shown |= {s.span_id for s in received.spans if s.trace_id == span.trace_id}
                    print("\n".join(tree(received, span.trace_id)), flush=True)
            for point in list(received.points):
                name = str(point.resource.get("container.name", ""))
                if name and name not in containers:
                    containers.add(name)
                    mine = [p for p in received.points if p.resource.get("container.name") == name]
                    told = ", ".join(sorted({p.metric for p in mine}))
                    print(f"container {name}: {len(mine)} data points", flush=True)
                    print(
                        "\n".join(textwrap.wrap(told, 110, initial_indent="    ", subsequent_indent="    "))
                    )
                    for key, value in point.resource.items():
                        print(f"    {key} = {value}", flush=True)
            received.points.clear()
            time.sleep(1)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(0)
