"""`python -m monitor control | agent`: one process of Moorwatch, configured by the environment.

Anything else is the `moorwatch` command. The processes are imported only when asked for, so that the agent
never loads the control plane, nor the other way round.
"""

from __future__ import annotations

import os
import sys

from monitor import config
from monitor.clock import Clock
from monitor.credentials import CredentialsError
from monitor.tracing import OFF, Tracing

USAGE_EXIT = 2


def main() -> int:
    name = sys.argv[1] if len(sys.argv) == 2 else ""
    if name not in ("control", "agent"):
        from monitor.cli.main import run_command

        return run_command(sys.argv[1:])
    try:
        settings = config.load(os.environ)
        if name == "control":
            from monitor.control import server

            return server.run(settings, _tracing)
        from monitor.agent import main as agent

        return agent.run(settings)
    except (config.ConfigError, CredentialsError) as error:
        print(f"moorwatch {name}: {error}", file=sys.stderr)
        return USAGE_EXIT


def _tracing(clock: Clock) -> Tracing:
    """As the OTEL_* variables want it; opentelemetry is imported only when they ask for traces."""
    from exporters.otlp_traces import span_processor

    processor = span_processor(os.environ)
    if processor is None:
        return OFF
    from monitor.spans import Spans

    return Spans(processor, clock)


if __name__ == "__main__":
    sys.exit(main())
