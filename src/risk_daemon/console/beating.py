"""The dead man's heartbeat: an outside service is called while every account is guarded, only then.

Who stops hearing it tells people. So it is silent when the host is gone, when the daemon is, when
this console is, and when anything is not guarded: whatever is not known counts as that.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from risk_daemon.clock import SECOND_NS, Timekeeper
from risk_daemon.console import view
from risk_daemon.console.seen import Seen
from risk_daemon.errors import OperatorError
from risk_daemon.operations.alerts import heartbeat
from risk_daemon.operations.alerts.alert_settings import Heartbeat
from risk_daemon.operations.alerts.channel_file import settings
from risk_daemon.operations.home import Home

LOOK_EVERY_S: Final = 1.0

_log = logging.getLogger("heartbeat")


class Heartbeats:
    """Calls as often as `config/alerts.yaml` says now; one that failed is tried every second."""

    def __init__(self, home: Home, seen: Seen, clock: Timekeeper) -> None:
        self._home, self._seen, self._clock = home, seen, clock
        self._plan: Heartbeat | None = None
        self._due_at = 0

    async def run(self) -> None:
        """Beat until cancelled."""
        standing = heartbeat.standing(self._home)
        while True:
            self._adopt()
            if self._plan is not None and self._clock.steady_ns() >= self._due_at:
                standing = await self._beat(self._plan, standing)
            await asyncio.sleep(LOOK_EVERY_S)

    def _adopt(self) -> None:
        try:
            self._plan = settings(self._home).heartbeat
        except OperatorError:
            return  # it goes on as it was; who reads the channels says what is wrong

    async def _beat(self, plan: Heartbeat, before: heartbeat.Standing) -> heartbeat.Standing:
        code, body = view.health(self._seen, self._clock.steady_ns())
        withheld = "" if code == 200 else str(body["why"])
        after = await asyncio.to_thread(
            heartbeat.beat, self._home, plan.address, withheld, before, self._clock.now_ns()
        )
        if after.heard_at != before.heard_at:
            self._due_at = self._clock.steady_ns() + int(plan.every_s * SECOND_NS)
        if (after.failed, after.withheld) != (before.failed, before.withheld):
            _log.warning("changed", extra={"failed": after.failed, "withheld": after.withheld})
        if after != before:
            try:
                await asyncio.to_thread(heartbeat.write, self._home, after)
            except OSError as error:
                _log.warning("not written", extra={"why": str(error)})
        return after
