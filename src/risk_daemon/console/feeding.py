"""Sends the live stream to whoever looks: server-sent events, made once for all of them.

What a part is and whether it changed is decided in `live`. Nobody looks: nothing is made. A tab
that does not read is let go, and comes back by itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from itertools import takewhile
from typing import Any, Final

import msgspec

from risk_daemon.clock import Timekeeper
from risk_daemon.console import live
from risk_daemon.console.live import Place
from risk_daemon.console.seen import Seen
from risk_daemon.operations.alerts.outbox import Alarm

#: Views come four times a second; more often a person sees nothing.
TICK_S: Final = 0.25
#: Messages that a tab may be behind: some seconds.
BEHIND_MAX: Final = 100
TABS_MAX: Final = 32
_MS: Final = 1_000_000

_encode = msgspec.json.encode


class Feed:
    """The live stream of one console."""

    def __init__(self, seen: Seen, clock: Timekeeper, boot: str) -> None:
        self._seen, self._clock, self._boot = seen, clock, boot
        self._tabs: set[asyncio.Queue[bytes | None]] = set()
        self._stamps: live.Stamps = {}
        self._parts: dict[str, bytes] = {}
        self._event_seq = 0
        self._alarm: Alarm | None = None

    @property
    def tabs(self) -> int:
        """How many look."""
        return len(self._tabs)

    async def run(self) -> None:
        """Send what changes for as long as it runs."""
        while True:
            await asyncio.sleep(TICK_S)
            if self._tabs:
                self.tick()

    async def follow(self, there: Place | None) -> AsyncIterator[bytes]:
        """Yield the whole state, with what was missed since a place, then what changes."""
        queue: asyncio.Queue[bytes | None] = asyncio.Queue(BEHIND_MAX)
        if not self._tabs:  # nobody looked: what came meanwhile is in the whole state
            self._refresh()
            self._fresh_events()
            self._fresh_alarms()
        # No await between the whole state and the first change.
        whole = self._whole(there)
        self._tabs.add(queue)
        try:
            yield whole
            while (message := await queue.get()) is not None:
                yield message
        finally:
            self._tabs.discard(queue)

    # --- messages ---

    def _here(self) -> Place:
        return Place(self._boot, self._seen.last_seq, self._clock.now_ns() // _MS)

    def _refresh(self) -> tuple[list[str], list[str]]:
        """Make anew what changed; return the names of that, and of what is gone."""
        now = self._clock.steady_ns()
        stamps = live.stamps(self._seen, now)
        gone = [name for name in self._stamps if name not in stamps]
        changed = [name for name, one in stamps.items() if self._stamps.get(name) != one]
        for name in changed:
            self._parts[name] = _encode(live.part(self._seen, name, now))
        for name in gone:
            del self._parts[name]
        self._stamps = stamps
        return changed, gone

    def _whole(self, there: Place | None) -> bytes:
        here = self._here()
        more = {
            "events": [live.event(one) for one in list(self._seen.events)[-live.LATEST :]],
            "alarms": live.alarms(self._seen)[-live.LATEST :],
            "missed": live.missed(self._seen, there, here),
        }
        return self._message("whole", here, list(self._parts), more)

    def tick(self) -> None:
        """Send what changed since the last time."""
        changed, gone = self._refresh()
        more: dict[str, Any] = {"gone": gone} if gone else {}
        events, alarms = self._fresh_events(), self._fresh_alarms()
        if events:
            more["events"] = events
        if alarms:
            more["alarms"] = alarms
        if not (changed or more):
            return
        message = self._message("change", self._here(), changed, more)
        for queue in list(self._tabs):
            if queue.full():
                self._tabs.discard(queue)  # it comes back, and is told what it missed
                queue.get_nowait()
                queue.put_nowait(None)
            else:
                queue.put_nowait(message)

    def _fresh_events(self) -> list[dict[str, Any]]:
        fresh = [one for one in self._seen.events if one.seq > self._event_seq]
        if self._seen.events:
            self._event_seq = self._seen.events[-1].seq
        return [live.event(one) for one in fresh[-live.LATEST :]]

    def _fresh_alarms(self) -> list[dict[str, Any]]:
        """Those that came since; one that the journal could not keep has no place, and counts."""
        newest = self._seen.alarms[-1] if self._seen.alarms else None
        if newest is self._alarm:
            return []
        known, self._alarm = self._alarm, newest
        fresh = takewhile(lambda one: one is not known, reversed(self._seen.alarms))
        return live.shown_alarms(list(fresh)[::-1])[-live.LATEST :]

    def _message(self, kind: str, here: Place, names: list[str], more: dict[str, Any]) -> bytes:
        parts = b",".join(_encode(name) + b":" + self._parts[name] for name in names)
        rest = b"".join(b"," + _encode(name) + b":" + _encode(one) for name, one in more.items())
        body = b'{"at":%d,"parts":{%s}%s}' % (here.at, parts, rest)
        return b"id: %s\nevent: %s\ndata: %s\n\n" % (str(here).encode(), kind.encode(), body)
