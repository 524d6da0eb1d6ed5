"""Windows of the week, in Chicago wall time, in which something holds. Half-open, as all intervals.

A window that ends at or before the time it begins at ends on the next day; the
day it is of is the one it begins on. A time inside the spring gap means the
first instant after it; one that comes twice in autumn begins a window the first
time and ends it the second time: what protects is on for longer, never less.
"""

from __future__ import annotations

import datetime as dt
import functools
from typing import Final

import msgspec

from risk_daemon.core import session

DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAY_S: Final = 86_400
_AHEAD_DAYS: Final = 9


class Window(msgspec.Struct, frozen=True):
    """Weekdays (0 is Monday), and seconds after midnight at which it begins and ends."""

    days: frozenset[int]
    begins: int
    ends: int


def is_active(windows: tuple[Window, ...], at: int) -> bool:
    """Tell whether an instant lies in a window; without any, always."""
    return not windows or any(begin <= at < end for begin, end in _near(windows, at))


def next_change(windows: tuple[Window, ...], at: int) -> int:
    """Return the first instant after `at` at which a window begins or ends; 0 without any."""
    if not windows:
        return 0
    found = [instant for span in _near(windows, at) for instant in span if instant > at]
    return min(found, default=0)


def next_start(windows: tuple[Window, ...], at: int) -> int:
    """Return the first instant after `at` at which a window begins; 0 without any."""
    return min((begin for begin, _ in _near(windows, at) if begin > at), default=0)


def _near(windows: tuple[Window, ...], at: int) -> tuple[tuple[int, int], ...]:
    return _spans(windows, at // session.SECOND // _DAY_S)


@functools.lru_cache(maxsize=64)
def _spans(windows: tuple[Window, ...], utc_day: int) -> tuple[tuple[int, int], ...]:
    """Return the windows about a day, from two days before it to more than a week after it."""
    first = dt.date(1970, 1, 1) + dt.timedelta(utc_day - 2)
    dates = [first + dt.timedelta(number) for number in range(_AHEAD_DAYS + 2)]
    return tuple(
        _span(window, date) for window in windows for date in dates if date.weekday() in window.days
    )


def _span(window: Window, date: dt.date) -> tuple[int, int]:
    last = date if window.ends > window.begins else date + dt.timedelta(1)
    begin = session.wall_instants(date, window.begins)[0]
    return begin, session.wall_instants(last, window.ends)[1]
