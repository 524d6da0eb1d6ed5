"""When the market is open, as a rollout counts it: by the exchange's own calendar."""

from __future__ import annotations

from typing import Final

from risk_daemon.core import session
from risk_daemon.rollout.exposure import Span

_DAY_NS: Final = 86_400_000_000_000
#: How far back and ahead it is told.
_BEFORE_NS, _AFTER_NS = 10 * _DAY_NS, 2 * _DAY_NS


def open_market(now: int) -> tuple[Span, ...]:
    """Return the open market around an instant (UTC ns), by the exchange's own calendar."""
    calendar = session.CALENDARS[0]
    return tuple(
        Span(one.start, one.close, one.trade_date)
        for one in session.sessions(calendar)
        if one.close > now - _BEFORE_NS and one.start < now + _AFTER_NS
    )
