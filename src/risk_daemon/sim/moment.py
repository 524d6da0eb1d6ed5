"""Time as the simulated exchange knows it: passed in, never asked for.

A moment has two faces. `ns` is the host's monotonic clock and is only ever subtracted; `at` is the
exchange's own time (real time plus the configured shift) and is only ever printed or put on a day.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from datetime import time as clock_time
from functools import lru_cache
from zoneinfo import ZoneInfo

CHICAGO = ZoneInfo("America/Chicago")
RESET = clock_time(17, 0)
NS_PER_MS = 1_000_000
NS_PER_S = 1_000_000_000
_SATURDAY, _SUNDAY = 5, 6
_SESSION_START_DAYS = frozenset({6, 0, 1, 2, 3})  # Sunday to Thursday evenings


@dataclass(frozen=True, slots=True)
class Moment:
    """One instant: monotonic nanoseconds and exchange time (aware, UTC)."""

    ns: int
    at: datetime

    def after(self, seconds: float) -> Moment:
        """The moment so many seconds later."""
        return Moment(self.ns + int(seconds * NS_PER_S), self.at + timedelta(seconds=seconds))


def iso(at: datetime) -> str:
    """The wire's way of writing a time: microseconds and +00:00."""
    return at.astimezone(UTC).isoformat(timespec="microseconds")


def parse_iso(text: str) -> datetime:
    """A time as clients send it; without a zone it is UTC."""
    at = datetime.fromisoformat(text)
    return at if at.tzinfo else at.replace(tzinfo=UTC)


# Every account is judged at the same moment, and each asks several times.
@lru_cache(maxsize=64)
def trade_date(at: datetime) -> date:
    """The trade date a moment belongs to; 17:00 Chicago sharp is already the next one."""
    local = at.astimezone(CHICAGO)
    day = local.date()
    if local.time() >= RESET:
        day += timedelta(days=1)
    if day.weekday() == _SATURDAY:
        return day + timedelta(days=2)
    if day.weekday() == _SUNDAY:
        return day + timedelta(days=1)
    return day


@lru_cache(maxsize=64)
def next_reset(at: datetime) -> datetime:
    """The next session start whose trade date differs from the running one (UTC)."""
    running = trade_date(at)
    day = at.astimezone(CHICAGO).date()
    while True:
        # Built from the wall time of that date, so that a change of clocks moves it as it should.
        start = datetime.combine(day, RESET, CHICAGO).astimezone(UTC)
        if start > at and day.weekday() in _SESSION_START_DAYS and trade_date(start) != running:
            return start
        day += timedelta(days=1)
