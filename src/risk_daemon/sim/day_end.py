"""The end of the day: first only reductions, then flat, until the next session starts.

F is the account's wall time in Chicago, or so long before the products' close at 16:00 if that is
earlier; the exchange simulated here has no holidays and no early closes. Around an instant nobody
is accused: the daemon's clock is not this one, and what fills then is seen on either side of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from datetime import time as clock_time

from risk_daemon.sim.allowance import Reductions
from risk_daemon.sim.moment import CHICAGO, Moment, iso, trade_date
from risk_daemon.sim.scenario import DayEnd
from risk_daemon.sim.standing import DAY_END, NOTHING, Need, Standing, flattened
from risk_daemon.sim.watch import Scene, Watch

PRODUCTS_CLOSE = clock_time(16, 0)
#: So far may the daemon's clock be from the exchange's.
CLOCKS_DIFFER = timedelta(milliseconds=50)
#: A fill so near the beginning belongs to either side of it.
AROUND = timedelta(milliseconds=250)
#: So long before entries stop, and after the end, every tick counts.
LOOKS_AROUND = timedelta(seconds=2)


@dataclass(frozen=True, slots=True)
class Ends:
    """When the running day ends: no more entries, and flat."""

    entries: datetime
    flatten: datetime


def ends_of(limit: DayEnd, at: datetime) -> Ends:
    """The end of the day that a moment belongs to."""
    day = trade_date(at)
    close = datetime.combine(day, PRODUCTS_CLOSE, CHICAGO).astimezone(at.tzinfo)
    wanted = datetime.combine(day, limit.flatten, CHICAGO).astimezone(at.tzinfo)
    flatten = min(wanted, close - timedelta(seconds=limit.product_lead_s))
    return Ends(flatten - timedelta(seconds=limit.entries_lead_s), flatten)


class DayEndWatch(Watch):
    """One account's end of the day."""

    rule = DAY_END

    def __init__(self, limit: DayEnd) -> None:
        self._limit = limit
        self._now: Moment | None = None
        self._ends: Ends | None = None
        self._reductions = Reductions()
        self._over: dict[bool, frozenset[str]] = {True: frozenset(), False: frozenset()}
        self._perhaps: frozenset[str] = frozenset()
        self._had_ended = False
        self._due_ns: int | None = None

    def look(self, scene: Scene) -> None:
        """Compare the time, and what is held, with the end of the running day."""
        now, at = scene.now, scene.now.at
        ends = self._ends = ends_of(self._limit, at)
        self._now = now
        self._due_ns = None
        if self._is_over(at) and not self._had_ended:
            late_by = int((at - ends.flatten) / timedelta(microseconds=1)) * 1000
            self._due_ns = now.ns - late_by
        self._had_ended = self._is_over(at)
        self._reductions.look(
            scene.truth,
            scene.delivered,
            surely=at >= ends.entries + AROUND,
            perhaps=at >= ends.entries - AROUND,
        )
        self._over[True] = self._reductions.over(scene.truth, true=True)
        self._over[False] = self._reductions.over(scene.delivered, true=False)
        self._perhaps = self._reductions.perhaps_over(scene.truth, scene.delivered)

    def need(self, standing: Standing, *, true: bool) -> Need:
        """Before the end what grew since entries stopped, after it everything."""
        if self._ends is None or self._now is None:
            return NOTHING
        if self._is_over(self._now.at):
            return flattened(standing)
        if self._now.at < self._ends.entries + AROUND:
            return NOTHING
        return Need(self._over[true], bool(standing.increasing))

    def wide_need(self, standing: Standing) -> Need:
        """The same a moment earlier, and as either ledger may have it."""
        if self._ends is None or self._now is None:
            return NOTHING
        if self._now.at < self._ends.entries - CLOCKS_DIFFER:
            return NOTHING
        return Need(self._perhaps, bool(standing.increasing))

    def text(self) -> str:
        """When the day ends."""
        return f"the day ends at {iso(self._ends.flatten)}" if self._ends else ""

    @property
    def is_locked(self) -> bool:
        """Whether the day is over."""
        return self._now is not None and self._is_over(self._now.at)

    @property
    def is_doubtful(self) -> bool:
        """By the daemon's clock the day may be over."""
        return self._now is not None and self._is_over(self._now.at + CLOCKS_DIFFER)

    def waits(self, now: Moment) -> bool:
        """It is the clock that ends a day: entries stop, a moment later it is over."""
        ends = self._ends
        return ends is None or ends.entries - LOOKS_AROUND <= now.at <= ends.flatten + LOOKS_AROUND

    def due_within(self, seconds: float) -> bool:
        """Whether the day is about to end."""
        if self._ends is None or self._now is None:
            return False
        return timedelta(0) <= self._ends.flatten - self._now.at <= timedelta(seconds=seconds)

    def due_ns(self) -> int | None:
        """When the day ended, if that was since the last look."""
        return self._due_ns

    def _is_over(self, at: datetime) -> bool:
        return self._ends is not None and at >= self._ends.flatten
