"""What the control plane tells a tracer; this one listens to nothing.

Callers have no `if`: they tell always. `monitor/spans.py` makes spans of it, and is imported only when the standard
OTEL_* variables ask for traces. Nothing here may block the event loop or raise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext

from monitor.model.state import Change, State
from monitor.scheduler.plan import Plan


class RequestSpan:
    """One API request, while it is answered."""

    def parsed(self, service: str, operation: str, request_id: str) -> None:
        """Which call it is. `service` is the signing name, as in "ecs"."""

    def caused(self, changes: Sequence[Change]) -> None:
        """These changes were made for it: tasks that come of them belong to its trace."""

    def answered(self, status: int, error: str = "") -> None:
        """`status` is HTTP's, `error` AWS's code."""


class Tracing:
    def request(self, headers: Mapping[str, str]) -> AbstractContextManager[RequestSpan]:  # noqa: ARG002
        """A request arrived; `headers` (names in lower case) may name its caller's span."""
        return nullcontext(_UNHEARD)

    def watch(self, state: State) -> None:
        """Follow each task of `state` from its creation to where it runs."""

    def cycle(self, plan: Plan, changes: Sequence[Change], began: float, ended: float) -> None:
        """The scheduler looked, and did something. Times are seconds since the epoch."""

    def close(self) -> None:
        """Send what is left, for at most some seconds. Blocks: not for the event loop."""


_UNHEARD = RequestSpan()
OFF = Tracing()
