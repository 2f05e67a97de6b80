"""One picture: a Chart as JSON in, a PNG out."""

from __future__ import annotations

import resource
import sys

import msgspec

from monitor.drawing.chart import Chart

MEMORY_BYTES, CPU_SECONDS = 2 * 1024**3, 30


def main() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    from monitor.drawing.plot import png_of  # after the limits: it loads matplotlib

    chart = msgspec.json.decode(sys.stdin.buffer.read(), type=Chart)
    sys.stdout.buffer.write(png_of(chart))


if __name__ == "__main__":
    main()
