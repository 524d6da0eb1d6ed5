"""The exposure clock: how much of the market a phase has seen, rather than how long it has waited.

A day begun at Friday's close sees no market. So a phase counts minutes of open market, records
decided and situations witnessed beside the time that passed, and that only while somebody was
there to count: what a dead controller did not see adds nothing, and no move of a clock adds any.
"""

from __future__ import annotations

import bisect
from typing import Final

import msgspec

from risk_daemon.rollout.plan import Dwell

MINUTE: Final = 60_000_000_000
HOUR: Final = 60 * MINUTE
#: A market that opens again within this was on its daily break; after more it was a weekend.
BREAK_NS: Final = 2 * HOUR

OPEN: Final = "session open"
CLOSE: Final = "session close"
RESET: Final = "daily reset"
BREAK: Final = "maintenance break"
RECONNECT: Final = "reconnect"
RESTART: Final = "restart with equal state"
#: All that a phase can ask for; the last two are reported, the others follow from the calendar.
SITUATIONS: Final = (OPEN, CLOSE, RESET, BREAK, RECONNECT, RESTART)


class Span(msgspec.Struct, frozen=True):
    """Open market from `begin` to `end` (UTC ns, half-open), counted for a trade date."""

    begin: int
    end: int
    trade_date: str


class Exposure(msgspec.Struct, frozen=True, kw_only=True):
    """What a phase has seen so far.

    `lived_ns` passed while the controller lived, `open_ns` of it in an open market; `events` are
    records the candidate decided; `seen` are situations, in the order in which they were witnessed.
    `closed_at` is the last close witnessed (UTC ns), `closed_date` its trade date.
    """

    lived_ns: int = 0
    open_ns: int = 0
    events: int = 0
    seen: tuple[str, ...] = ()
    closed_at: int = 0
    closed_date: str = ""


class Clock(msgspec.Struct, frozen=True, kw_only=True):
    """Where counting stands: the last steady time (ns; none after a restart), and the calendar's.

    `reached` is the latest UTC ns that was ever counted up to: nothing before it counts again.
    `watched` is all the time (ns) the controller has lived, whatever the rollout was doing.
    """

    steady: int | None = None
    reached: int = 0
    watched: int = 0


def count(
    exposure: Exposure, clock: Clock, spans: tuple[Span, ...], at: int, steady: int, counts: bool
) -> tuple[Exposure, Clock]:
    """Add what passed up to `at` (UTC ns) and `steady` (ns of this boot).

    Never more is added than the steady clock allows, nor for an instant that was counted before.
    With `counts` false (the clock is in doubt, a freeze that is not representative) nothing is
    added at all. `spans` are in order and cover the time since the last count.
    """
    elapsed = max(0, steady - clock.steady) if clock.steady is not None else 0
    begin = max(clock.reached, at - elapsed)
    after = Clock(steady=steady, reached=max(clock.reached, at), watched=clock.watched + elapsed)
    if not counts:
        return exposure, after
    exposure = msgspec.structs.replace(exposure, lived_ns=exposure.lived_ns + elapsed)
    for span in spans[_first(spans, begin) :]:
        if span.begin > at:
            break
        exposure = _through(exposure, span, begin, at)
    return exposure, after


def _first(spans: tuple[Span, ...], at: int) -> int:
    """Return the index of the first span that ends after an instant."""
    return bisect.bisect_right(spans, at, key=lambda span: span.end)


def _through(exposure: Exposure, span: Span, begin: int, at: int) -> Exposure:
    """Add what lies of one span in (begin, at]."""
    seen, closed_at, closed_date = exposure.seen, exposure.closed_at, exposure.closed_date
    if begin < span.begin <= at:
        seen = (*seen, OPEN)
        if closed_at and span.begin - closed_at <= BREAK_NS:
            seen = (*seen, BREAK)
        if closed_date and closed_date != span.trade_date:
            seen = (*seen, RESET)
    if begin < span.end <= at:
        seen, closed_at, closed_date = (*seen, CLOSE), span.end, span.trade_date
    return msgspec.structs.replace(
        exposure,
        open_ns=exposure.open_ns + max(0, min(at, span.end) - max(begin, span.begin)),
        seen=tuple(dict.fromkeys(seen)),
        closed_at=closed_at,
        closed_date=closed_date,
    )


def witness(exposure: Exposure, situation: str) -> Exposure:
    """Add a situation that somebody saw."""
    seen = tuple(dict.fromkeys((*exposure.seen, situation)))
    return msgspec.structs.replace(exposure, seen=seen)


def lacking(exposure: Exposure, dwell: Dwell, minute_ns: int = MINUTE) -> tuple[str, ...]:
    """Say what a phase has still to see, one sentence each; nothing when it has seen all.

    `minute_ns` is what a minute lasts: less in a rehearsal.
    """
    found = []
    if exposure.lived_ns < dwell.wall_ns:
        left = -(-(dwell.wall_ns - exposure.lived_ns) // minute_ns)
        found.append(f"{left // 60} h {left % 60} min more of watching")
    if exposure.open_ns < dwell.open_minutes * minute_ns:
        left = -(-(dwell.open_minutes * minute_ns - exposure.open_ns) // minute_ns)
        found.append(f"{left} min more of open market")
    if exposure.events < dwell.events:
        found.append(f"{dwell.events - exposure.events} more records decided")
    return tuple(found)


def unseen(exposure: Exposure, situations: tuple[str, ...]) -> tuple[str, ...]:
    """Return the situations that a phase has still to witness."""
    return tuple(name for name in situations if name not in exposure.seen)


def expected_end(
    begin: int,
    dwell: Dwell,
    situations: tuple[str, ...],
    spans: tuple[Span, ...],
    events_per_day: int,
) -> int | None:
    """Return when a phase begun at `begin` (UTC ns) has seen all that the calendar can tell.

    `events_per_day` are records per 24 h of open market. Situations that are reported (reconnect,
    restart) can't be foreseen and are left out. None: the spans end before, or nothing happens.
    """
    if dwell.events and not events_per_day:
        return None
    of_events = -(-dwell.events * 24 * HOUR // events_per_day) if dwell.events else 0
    ends = [begin + dwell.wall_ns]
    of_market = _after_open(begin, max(dwell.open_minutes * MINUTE, of_events), spans)
    ends.append(of_market if of_market is not None else -1)
    of_calendar = [name for name in situations if name not in (RECONNECT, RESTART)]
    ends += [_witnessed(begin, name, spans) for name in of_calendar]
    return max(ends) if -1 not in ends else None


def begun_for(at: int, wanted: int, spans: tuple[Span, ...]) -> int:
    """Return the instant from which so much open market (ns) had passed at `at` (UTC ns).

    If the spans tell of less, the beginning of the first; without any, so much time before.
    """
    before = [span for span in spans if span.begin < at]
    for span in reversed(before):
        end = min(at, span.end)
        if end - span.begin >= wanted:
            return end - wanted
        wanted -= end - span.begin
    return before[0].begin if before else at - wanted


def _after_open(begin: int, wanted: int, spans: tuple[Span, ...]) -> int | None:
    """Return the instant at which so much open market (ns) has passed since `begin`."""
    if not wanted:
        return begin
    for span in spans[_first(spans, begin) :]:
        start = max(begin, span.begin)
        if span.end - start >= wanted:
            return start + wanted
        wanted -= span.end - start
    return None


def _witnessed(begin: int, name: str, spans: tuple[Span, ...]) -> int:
    """Return when a situation is first witnessed after `begin`; -1 when no span shows it."""
    seen = Exposure()
    for span in spans[_first(spans, begin) :]:
        for at in (span.begin, span.end):
            seen = _through(seen, span, begin, at)
            if name in seen.seen:
                return at
    return -1
