"""Trade dates and resets, from calendar data: never "+24 hours".

A session opens at 17:00 Chicago and belongs to the trade date the calendar
gives it; a holiday session belongs to the next business day's, so that one
loss budget covers both. A **reset** is the first session start whose trade
date differs from the running one. With `day_roll: clock` every session start
is a reset. The instant 17:00:00.000 belongs to the new day.

Beyond the last date of the table days count as usual ones (a limit that never
resets, or resets daily by guess, beats no limit) and `is_known` says so.

Source: CME trade dates by pandas-market-calendars, `calendar_table`.
"""

from __future__ import annotations

import bisect
import datetime as dt
import functools
from typing import Final

import msgspec

from risk_daemon.core import calendar_table as table

SECOND: Final = 1_000_000_000
#: Calendars an account may follow; the others of the table only say when a product's day ends.
CALENDARS: Final = tuple(sorted(set(table.CLOSED) - set(table.DAY_ENDS_ONLY)))
DAY_ROLLS: Final = ("cme_trade_date", "clock")

_DAY: Final = dt.timedelta(1)
_EPOCH: Final = dt.date(1970, 1, 1)
_OPEN_MINUTE: Final = 17 * 60
_CLOSE_MINUTE: Final = 16 * 60
_USUAL_DAYS_AFTER: Final = 400


class Session(msgspec.Struct, frozen=True, gc=False):
    """One session: start and close in ns since 1970 UTC, and the trade date it counts for."""

    start: int
    close: int
    trade_date: str


def chicago_offset(second: int) -> int:
    """Return Chicago's offset from UTC, in seconds, at a UTC second."""
    index = bisect.bisect_right(table.SHIFTS, (second, 0)) - 1
    return table.SHIFTS[max(index, 0)][1]


def chicago_instant(date: dt.date, minute: int) -> int:
    """Return the UTC ns of a Chicago wall time that is never inside a clock change."""
    local = (date - _EPOCH).days * 86_400 + minute * 60
    # Clocks change on a Sunday at 07:00 or 08:00 UTC; no session starts or closes between
    # midnight and eight of a Sunday, so the wall time itself, read as UTC, tells the offset.
    return (local - chicago_offset(local)) * SECOND


def wall_instants(date: dt.date, second: int) -> tuple[int, int]:
    """Return the first and the last UTC ns at which clocks in Chicago show a time of a date.

    They differ where the hour comes twice; inside the hour that is left out
    both are the first instant after it.
    """
    local = (date - _EPOCH).days * 86_400 + second
    before, after = chicago_offset(local - 86_400), chicago_offset(local + 86_400)
    shown = [
        local - offset for offset in (before, after) if chicago_offset(local - offset) == offset
    ]
    if not shown:
        index = bisect.bisect_right(table.SHIFTS, (local - before, 0)) - 1
        shown = [table.SHIFTS[index][0]]
    return min(shown) * SECOND, max(shown) * SECOND


def _dates() -> list[dt.date]:
    first = dt.date.fromisoformat(table.FIRST_DATE)
    last = dt.date.fromisoformat(table.LAST_DATE)
    count = (last - first).days + 1 + _USUAL_DAYS_AFTER
    return [day for n in range(count) if (day := first + n * _DAY).weekday() < 5]


@functools.cache
def sessions(calendar: str) -> tuple[Session, ...]:
    """Return all sessions of a calendar in order; KeyError for a name it does not have."""
    closed, closes = table.CLOSED[calendar], table.CLOSES[calendar]
    usual = table.DAY_ENDS_ONLY.get(calendar, _CLOSE_MINUTE)
    merged = set(table.MERGED)
    dates = [day for day in _dates() if str(day) not in closed]
    found: list[Session] = []
    trade_date = ""
    for day in reversed(dates):
        if not trade_date or str(day) not in merged:
            trade_date = str(day)
        start = chicago_instant(day - _DAY, _OPEN_MINUTE)
        close = chicago_instant(day, closes.get(str(day), usual))
        found.append(Session(start, close, trade_date))
    found.reverse()
    return tuple(found)


@functools.cache
def _starts(calendar: str) -> list[int]:
    return [session.start for session in sessions(calendar)]


def session_at(calendar: str, at: int) -> Session:
    """Return the session that started last, also in the break and the weekend after it."""
    index = bisect.bisect_right(_starts(calendar), at) - 1
    return sessions(calendar)[max(index, 0)]


def next_start(calendar: str, at: int) -> int:
    """Return the start of the first session after an instant; 0 past the end of every table."""
    index = bisect.bisect_right(_starts(calendar), at)
    rows = sessions(calendar)
    return rows[index].start if index < len(rows) else 0


def closing_date(session: Session) -> dt.date:
    """Return the Chicago date on which a session closes."""
    second = session.close // SECOND
    return _EPOCH + dt.timedelta(seconds=second + chicago_offset(second))


def is_open(calendar: str, at: int) -> bool:
    """Tell whether the exchange trades at this instant."""
    session = session_at(calendar, at)
    return session.start <= at < session.close


def is_known(calendar: str, at: int) -> bool:
    """Tell whether the table covers this instant, or usual days are assumed."""
    return table.FIRST_DATE <= session_at(calendar, at).trade_date <= table.LAST_DATE


def trade_date(calendar: str, day_roll: str, at: int) -> str:
    """Return the trade date an instant counts for.

    With `day_roll` "clock" every session is a day of its own, named by its
    date in Chicago rather than by the business day it settles on.
    """
    session = session_at(calendar, at)
    if day_roll == "clock":
        day = _EPOCH + dt.timedelta(seconds=session.start // SECOND)
        return str(day + _DAY)
    return session.trade_date


def next_reset(calendar: str, day_roll: str, at: int) -> int:
    """Return the first session start after `at` that begins another trade date."""
    running = trade_date(calendar, day_roll, at)
    index = bisect.bisect_right(_starts(calendar), at)
    for session in sessions(calendar)[index:]:
        if trade_date(calendar, day_roll, session.start) != running:
            return session.start
    # Past the end of every table: a day from now, so that it is looked at again.
    return at + 86_400 * SECOND


def day_start(calendar: str, day_roll: str, at: int) -> int:
    """Return the start of the first session of the trade date that `at` lies in."""
    running = trade_date(calendar, day_roll, at)
    index = max(bisect.bisect_right(_starts(calendar), at) - 1, 0)
    rows = sessions(calendar)
    while index and trade_date(calendar, day_roll, rows[index - 1].start) == running:
        index -= 1
    return rows[index].start


def week(calendar: str, at: int) -> str:
    """Return the Monday of the week that the instant's trade date lies in."""
    day = dt.date.fromisoformat(session_at(calendar, at).trade_date)
    return str(day - day.weekday() * _DAY)


def next_week(calendar: str, at: int) -> int:
    """Return the first session start after `at` that lies in another week; 0 past every table."""
    running = week(calendar, at)
    index = bisect.bisect_right(_starts(calendar), at)
    for session in sessions(calendar)[index:]:
        if week(calendar, session.start) != running:
            return session.start
    return 0


def show_utc(at: int) -> str:
    """Write an instant as ISO-8601 UTC, to the millisecond."""
    second, rest = divmod(at, SECOND)
    moment = dt.datetime(1970, 1, 1) + dt.timedelta(seconds=second)  # noqa: DTZ001
    return f"{moment.isoformat()}.{rest // 1_000_000:03d}Z"


def show_chicago(at: int) -> str:
    """Write an instant as people at the exchange read it."""
    second = at // SECOND
    moment = dt.datetime(1970, 1, 1) + dt.timedelta(seconds=second + chicago_offset(second))  # noqa: DTZ001
    return f"{moment:%a %d %b %H:%M:%S} Chicago"
