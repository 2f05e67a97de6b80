"""Alarms told to Alertmanager (its API v2), as Prometheus tells its alerts: again and again while they last.

Level-triggered: nothing is kept. What is told ends by itself three minutes after it was told last, so neither a restart
nor a lost request leaves an alert behind; one that is over is told so at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging

from monitor.clock import Clock
from monitor.control.channels import Failed, Http
from monitor.model.alarm import ALARM, Alarm
from monitor.model.state import State
from monitor.rules.notice import alertmanager_alert

log = logging.getLogger("moorwatch.alertmanager")

AGAIN_SECONDS, LASTS_SECONDS, AT_ONCE = 60.0, 180.0, 500


class Alertmanager:
    def __init__(self, state: State, url: str, http: Http, clock: Clock) -> None:
        self._state, self._http, self._clock = state, http, clock
        self._url = f"{url.rstrip('/')}/api/v2/alerts"
        self._told: dict[str, Alarm] = {}
        self._news = asyncio.Event()
        state.listen(Alarm, self._changed)

    def _changed(self, before: Alarm | None, alarm: Alarm) -> None:
        if before is None or before.state != alarm.state or before.actions_enabled != alarm.actions_enabled:
            self._news.set()

    async def run(self) -> None:
        while True:
            self._news.clear()
            try:
                await self.tell()
            except Failed as failed:
                log.warning("url=%s: %s; again in a minute", self._url, failed.problem)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), timeout=AGAIN_SECONDS)

    async def tell(self) -> None:
        """Raises Failed."""
        now = self._clock.now()
        firing = {a.arn: a for a in self._state.alarms.values() if a.state == ALARM and a.actions_enabled}
        over = [a for arn, a in self._told.items() if arn not in firing]
        alerts = [alertmanager_alert(a, now + LASTS_SECONDS) for a in firing.values()]
        alerts += [alertmanager_alert(a, now) for a in over]
        for first in range(0, len(alerts), AT_ONCE):
            body = json.dumps(alerts[first : first + AT_ONCE], ensure_ascii=False)
            headers = {"content-type": "application/json"}
            await self._http.send("POST", self._url, body.encode("utf-8", "replace"), headers)
        self._told = firing
