"""Time in the stream: a pulse every second, one whenever somebody wished to be woken.

Pulses leave at their own time however many records there are, so that whoever
misses them knows that the journal is gone or frozen. A wall clock that leaves
the time in force, or comes back to it, is an alarm in the stream.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from risk_daemon.clock import SECOND_NS, TRUSTED_NS, Absence, Timekeeper
from risk_daemon.core.events import AlarmRaised, Fact

PULSE_S: Final = 1.0

_log = logging.getLogger("journal")


def utc(at: int) -> str:
    """Write a time for people: ISO 8601, to the second."""
    return datetime.fromtimestamp(at // SECOND_NS, UTC).isoformat()


class Pulses:
    """Calls `pulse` when one is due, and `emit` with alarms about the clock."""

    def __init__(
        self, clock: Timekeeper, pulse: Callable[[], None], emit: Callable[[Fact], None]
    ) -> None:
        self._clock = clock
        self._pulse = pulse
        self._emit = emit
        self._wishes: dict[object, int] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._diverged = False
        self._absence = Absence()

    async def run(self) -> None:
        """Pulse once a second, for ever."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            due = max(due + PULSE_S, loop.time())
            await asyncio.sleep(due - loop.time())
            self._watch_clock()
            self._pulse()

    def wish(self, who: object, at: int) -> None:
        """Pulse at `at`; the earliest wish of each counts until it is fulfilled."""
        if at < self._wishes.get(who, at + 1):
            self._wishes[who] = at
            self._set_timer()

    def forget(self, who: object) -> None:
        """They are gone."""
        self._wishes.pop(who, None)

    def _watch_sleep(self, wall: int) -> None:
        """Tell that nothing ran for a while; the links read everything anew by themselves."""
        absent = self._absence.look(wall, self._clock.steady_ns())
        if absent is None:
            return
        since, until = (utc(at) for at in absent)
        text = f"was asleep, or its clock was set, from {since} to {until}"
        _log.warning("asleep", extra={"since": since, "until": until})
        self._emit(
            AlarmRaised(account=0, level="urgent", what="asleep", text=text, source="journal")
        )

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._wishes:
            delay_s = max(min(self._wishes.values()) - self._clock.now_ns(), 0) / SECOND_NS
            self._timer = asyncio.get_running_loop().call_later(delay_s, self._fulfil)

    def _fulfil(self) -> None:
        """Pulse once for every wish that is due; a timer may fire a hair early."""
        now = self._clock.now_ns()
        due = [who for who, at in self._wishes.items() if at <= now]
        for who in due:
            del self._wishes[who]
        if due:
            self._pulse()
        self._set_timer()

    def _watch_clock(self) -> None:
        divergence = self._clock.divergence_ns()
        self._watch_sleep(self._clock.now_ns() + divergence)
        diverged = abs(divergence) > TRUSTED_NS
        if diverged == self._diverged:
            return
        self._diverged = diverged
        ahead_s = round(divergence / SECOND_NS, 1)
        if diverged:
            alarm = AlarmRaised(
                account=0,
                level="urgent",
                what="clock-diverged",
                text=f"the wall clock is {ahead_s} s ahead of the time in force",
                source="journal",
            )
        else:
            alarm = AlarmRaised(
                account=0,
                level="info",
                what="clock-agrees",
                text="the wall clock agrees with the time in force again",
                source="journal",
            )
        _log.warning(alarm.what, extra={"ahead_s": ahead_s})
        self._emit(alarm)
