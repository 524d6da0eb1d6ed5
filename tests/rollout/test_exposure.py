"""The exposure clock: what was seen of the market, and nothing else."""

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from risk_daemon.rollout import exposure
from risk_daemon.rollout.exposure import (
    BREAK,
    CLOSE,
    HOUR,
    MINUTE,
    OPEN,
    RECONNECT,
    RESET,
    RESTART,
    Clock,
    Exposure,
    Span,
    begun_for,
    count,
    expected_end,
    lacking,
    unseen,
    witness,
)
from risk_daemon.rollout.plan import Dwell

DAY = 24 * HOUR
CALENDAR = (OPEN, CLOSE, RESET, BREAK)


def utc(text: str) -> int:
    """An instant of December 2026, as "04 20:00"."""
    moment = dt.datetime.fromisoformat(f"2026-12-{text.replace(' ', 'T')}:00+00:00")
    return int(moment.timestamp()) * 1_000_000_000


def market(first: int, days: int) -> tuple[Span, ...]:
    """Sessions of 23 h that close at 22:00 UTC from Monday to Friday (Chicago's winter)."""
    spans = []
    for day in range(first, first + days):
        date = dt.date(2026, 12, day)
        if date.weekday() < 5:
            close = utc(f"{day:02} 22:00")
            spans.append(Span(close - 23 * HOUR, close, str(date)))
    return tuple(spans)


SPANS = market(2, 20)
FRIDAY = utc("04 20:00")

#: By hand: 240 hours from a Friday afternoon, open minutes per day.
BY_DAY = [120, 0, 1260, 1380, 1380, 1380, 1380, 120, 0, 1260]

#: By hand: phase, market minutes wanted, hours wanted; then hours lived and market minutes seen.
BY_PHASE = [
    ("canary", 1320, 24, 75, 1500),
    ("10", 2640, 48, 48, 2760),
    ("50", 2640, 48, 48, 2760),
    ("soak", 6600, 168, 69, 1260),
]


def test_over_240_hours_each_day_has_the_market_it_had_and_a_weekend_has_none() -> None:
    clock = Clock()
    found = []
    for day in range(10):
        seen = Exposure()
        for minute in range(0, 24 * 60 + 1, 5):
            passed = day * DAY + minute * MINUTE
            seen, clock = count(seen, clock, SPANS, FRIDAY + passed, passed, True)
        found.append(seen.open_ns // MINUTE)

    assert found == BY_DAY


@pytest.mark.parametrize("every", [1, 7])
def test_over_240_hours_each_phase_lasts_until_it_has_seen_enough(every: int) -> None:
    clock, seen, found = Clock(), Exposure(), []
    phases = iter(BY_PHASE)
    name, minutes, hours, *_ = next(phases)
    for passed in range(0, 240 * HOUR + 1, every * MINUTE):
        seen, clock = count(seen, clock, SPANS, FRIDAY + passed, passed, True)
        dwell = Dwell(wall_ns=hours * HOUR, open_minutes=minutes, events=0, longest_ns=0)
        if not lacking(seen, dwell) and not unseen(seen, CALENDAR):
            found.append((name, minutes, hours, seen.lived_ns / HOUR, seen.open_ns / MINUTE))
            seen = Exposure()
            name, minutes, hours, *_ = next(phases)
    found.append((name, minutes, hours, seen.lived_ns / HOUR, seen.open_ns / MINUTE))

    for mine, wanted in zip(found, BY_PHASE, strict=True):
        assert mine[:3] == wanted[:3]
        assert abs(mine[3] - wanted[3]) * 60 <= 4 * every
        assert abs(mine[4] - wanted[4]) <= 4 * every
    if every == 1:
        assert found == BY_PHASE


def test_a_day_begun_on_a_friday_afternoon_is_foreseen_to_end_on_monday() -> None:
    dwell = Dwell(wall_ns=DAY, open_minutes=1380, events=0, longest_ns=0)

    assert expected_end(FRIDAY, dwell, (), SPANS, 0) == utc("07 20:00")
    assert expected_end(FRIDAY, dwell, CALENDAR, SPANS, 0) == utc("07 23:00")


def test_a_day_begun_on_a_tuesday_is_a_day() -> None:
    dwell = Dwell(wall_ns=DAY, open_minutes=1380, events=0, longest_ns=0)

    assert expected_end(utc("08 15:00"), dwell, CALENDAR, SPANS, 0) == utc("09 15:00")


def test_records_come_while_the_market_is_open() -> None:
    dwell = Dwell(wall_ns=0, open_minutes=0, events=100, longest_ns=0)
    monday = utc("07 21:00")

    assert expected_end(monday, dwell, (), SPANS, 2400) == utc("07 22:00")
    assert expected_end(monday, dwell, (), SPANS, 1200) == utc("08 00:00")
    assert expected_end(monday, dwell, (), SPANS, 0) is None


def test_what_the_calendar_does_not_reach_is_not_foreseen() -> None:
    dwell = Dwell(wall_ns=0, open_minutes=1380 * 5, events=0, longest_ns=0)
    last = SPANS[-1].end - HOUR

    assert expected_end(last, dwell, (), SPANS, 0) is None
    assert (
        expected_end(
            last, Dwell(wall_ns=0, open_minutes=0, events=0, longest_ns=0), (OPEN,), SPANS, 0
        )
        is None
    )


@pytest.mark.parametrize("name", [RECONNECT, RESTART])
def test_what_no_calendar_tells_is_not_foreseen(name: str) -> None:
    dwell = Dwell(wall_ns=HOUR, open_minutes=0, events=0, longest_ns=0)

    assert expected_end(FRIDAY, dwell, (name,), SPANS, 0) == FRIDAY + HOUR


# --- clocks ---


def minutes(*steps: tuple[int, int], counts: bool = True) -> Exposure:
    """Count at (calendar minute, steady minute) after a Tuesday noon."""
    seen, clock, noon = Exposure(), Clock(), utc("08 12:00")
    for at, steady in steps:
        seen, clock = count(seen, clock, SPANS, noon + at * MINUTE, steady * MINUTE, counts)
    return seen


def test_the_first_look_counts_nothing() -> None:
    assert minutes((0, 50)) == Exposure()


def test_a_clock_that_jumps_ahead_adds_only_what_really_passed() -> None:
    seen = minutes((0, 0), (500, 1))

    assert (seen.lived_ns, seen.open_ns) == (MINUTE, MINUTE)


def test_a_clock_that_is_set_back_has_no_minute_of_the_market_twice() -> None:
    seen = minutes((0, 0), (30, 30), (10, 40), (25, 55), (35, 65))

    assert (seen.lived_ns, seen.open_ns) == (65 * MINUTE, 35 * MINUTE)


def test_a_steady_clock_that_begins_anew_adds_nothing() -> None:
    seen = minutes((0, 100), (5, 105), (10, 3), (12, 5))

    assert seen.lived_ns == 7 * MINUTE


def test_what_does_not_count_is_not_made_up_for() -> None:
    assert minutes((0, 0), (30, 30), counts=False) == Exposure()


@given(st.lists(st.tuples(st.integers(-300, 6000), st.integers(-50, 300)), min_size=1, max_size=30))
def test_no_move_of_a_clock_shortens_a_dwell(moves: list[tuple[int, int]]) -> None:
    seen, clock = Exposure(), Clock()
    at, steady, really = FRIDAY, 0, 0
    seen, clock = count(seen, clock, SPANS, at, steady, True)
    for of_calendar, of_boot in moves:
        at += of_calendar * MINUTE
        steady += of_boot * MINUTE
        really += max(0, of_boot) * MINUTE
        before = seen
        seen, clock = count(seen, clock, SPANS, at, steady, True)
        assert seen.lived_ns - before.lived_ns <= max(0, of_boot) * MINUTE
    assert seen.open_ns <= seen.lived_ns <= really
    assert seen.open_ns <= sum(
        max(0, min(span.end, clock.reached) - max(span.begin, FRIDAY - really)) for span in SPANS
    )


# --- situations ---


def seen_between(begin: str, end: str, *before: str) -> tuple[str, ...]:
    at, found, clock = utc(begin), Exposure(seen=before), Clock()
    found, clock = count(found, clock, SPANS, at, 0, True)
    passed = utc(end) - at
    found, clock = count(found, clock, SPANS, at + passed, passed, True)
    return found.seen


@pytest.mark.parametrize(
    ("begin", "end", "seen"),
    [
        ("07 21:59", "07 22:00", (CLOSE,)),
        ("07 22:00", "07 22:30", ()),
        ("07 22:30", "07 23:00", (OPEN,)),
        ("07 23:00", "07 23:30", ()),
        ("07 21:00", "07 23:30", (CLOSE, OPEN, BREAK, RESET)),
        ("04 21:00", "06 23:30", (CLOSE, OPEN, RESET)),
    ],
)
def test_a_situation_is_witnessed_when_its_instant_was_lived_through(
    begin: str, end: str, seen: tuple[str, ...]
) -> None:
    assert seen_between(begin, end) == seen


def test_a_session_that_goes_on_with_the_same_trade_date_is_no_reset() -> None:
    holiday = (Span(0, HOUR, "a"), Span(2 * HOUR, 3 * HOUR, "a"), Span(5 * HOUR + 1, 6 * HOUR, "b"))
    seen, clock = count(Exposure(), Clock(), holiday, 0, 0, True)
    seen, clock = count(seen, clock, holiday, 2 * HOUR, 2 * HOUR, True)
    assert seen.seen == (CLOSE, OPEN, BREAK)

    seen, clock = count(seen, clock, holiday, 6 * HOUR, 6 * HOUR, True)

    assert seen.seen == (CLOSE, OPEN, BREAK, RESET)


def test_a_break_is_at_most_two_hours_long() -> None:
    for gap, is_break in ((2 * HOUR, True), (2 * HOUR + 1, False)):
        spans = (Span(0, HOUR, "a"), Span(HOUR + gap, HOUR + gap + 1, "b"))
        seen, clock = count(Exposure(), Clock(), spans, 0, 0, True)
        seen, _ = count(seen, clock, spans, HOUR + gap, HOUR + gap, True)
        assert (BREAK in seen.seen) is is_break


def test_who_witnesses_twice_has_witnessed() -> None:
    seen = witness(witness(Exposure(), RECONNECT), RECONNECT)

    assert seen.seen == (RECONNECT,)
    assert unseen(seen, (RECONNECT, RESTART)) == (RESTART,)


def test_what_is_lacking_is_told_and_what_is_just_enough_is_not() -> None:
    dwell = Dwell(wall_ns=2 * HOUR, open_minutes=60, events=10, longest_ns=0)
    almost = Exposure(lived_ns=2 * HOUR - 1, open_ns=60 * MINUTE - 1, events=9)

    assert lacking(almost, dwell) == (
        "0 h 1 min more of watching",
        "1 min more of open market",
        "1 more records decided",
    )
    assert lacking(Exposure(lived_ns=2 * HOUR, open_ns=HOUR, events=10), dwell) == ()
    assert lacking(Exposure(), dwell)[0] == "2 h 0 min more of watching"


def test_in_a_rehearsal_a_minute_is_shorter() -> None:
    dwell = Dwell(wall_ns=0, open_minutes=60, events=0, longest_ns=0)

    assert lacking(Exposure(open_ns=60_000), dwell, 1000) == ()
    assert lacking(Exposure(open_ns=59_000), dwell, 1000) == ("1 min more of open market",)


def test_the_situations_a_plan_may_name_are_six() -> None:
    assert set(exposure.SITUATIONS) == {*CALENDAR, RECONNECT, RESTART}


@pytest.mark.parametrize(
    ("at", "hours", "begin"),
    [
        ("09 20:00", 21, "08 23:00"),  # of the session alone
        ("09 20:00", 24, "08 19:00"),  # over the daily break
        ("09 22:30", 23, "08 23:00"),  # in the break: the whole session
        ("06 12:00", 24, "03 21:00"),  # a Sunday: Friday's session, and an hour of Thursday's
        ("06 23:30", 1, "04 21:30"),  # half an hour of Monday's session, and half of Friday's
        ("02 12:00", 24, "01 23:00"),  # there is no more: the beginning of the first
    ],
)
def test_so_much_open_market_began_so_long_ago(at: str, hours: int, begin: str) -> None:
    assert begun_for(utc(at), hours * HOUR, SPANS) == utc(begin)


def test_without_a_calendar_all_time_is_open_market() -> None:
    assert begun_for(FRIDAY, DAY, ()) == FRIDAY - DAY
    assert begun_for(SPANS[0].begin, DAY, SPANS) == SPANS[0].begin - DAY


@given(
    at=st.integers(SPANS[1].begin + 1, SPANS[-1].end + 3 * DAY),
    wanted=st.integers(1, 23 * HOUR),
)
def test_since_then_just_so_much_open_market_has_passed(at: int, wanted: int) -> None:
    begin = begun_for(at, wanted, SPANS)
    clock = Clock(steady=0, reached=begin)

    seen, _ = count(Exposure(), clock, SPANS, at, at - begin, counts=True)

    assert seen.open_ns == wanted
    assert any(span.begin <= begin < span.end for span in SPANS)
