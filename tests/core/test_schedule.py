"""Windows of the week in Chicago: half-open, across midnight, and across both clock changes."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from risk_daemon.core.schedule import DAYS, Window, is_active, next_change, next_start
from risk_daemon.core.session import SECOND, next_week, wall_instants, week

CHICAGO = ZoneInfo("America/Chicago")
WEEKDAYS = frozenset(range(5))
MORNING = (Window(WEEKDAYS, 8 * 3600 + 1800, 15 * 3600),)
NIGHT = (Window(frozenset({4}), 22 * 3600, 2 * 3600),)
GAP, FOLD = dt.date(2027, 3, 14), dt.date(2026, 11, 1)


def at(text: str, fold: int = 0) -> int:
    """The UTC ns of a wall time in Chicago."""
    moment = dt.datetime.fromisoformat(text).replace(tzinfo=CHICAGO, fold=fold)
    return int(moment.timestamp() * 1_000_000) * 1_000


@pytest.mark.parametrize(
    ("windows", "moment", "active"),
    [
        (MORNING, "2026-11-18T08:29:59.999999", False),
        (MORNING, "2026-11-18T08:30:00", True),
        (MORNING, "2026-11-18T14:59:59.999999", True),
        (MORNING, "2026-11-18T15:00:00", False),
        (MORNING, "2026-11-21T10:00:00", False),
        (NIGHT, "2026-11-20T21:59:59", False),
        (NIGHT, "2026-11-20T22:00:00", True),
        (NIGHT, "2026-11-21T01:59:59", True),
        (NIGHT, "2026-11-21T02:00:00", False),
        ((), "2026-11-21T02:00:00", True),
    ],
)
def test_a_window_holds_its_beginning_and_not_its_end(
    windows: tuple[Window, ...], moment: str, active: bool
) -> None:
    assert is_active(windows, at(moment)) is active


def test_the_next_change_is_an_end_or_a_beginning_and_over_the_weekend_monday() -> None:
    assert next_change(MORNING, at("2026-11-18T10:00:00")) == at("2026-11-18T15:00:00")
    assert next_change(MORNING, at("2026-11-18T15:00:00")) == at("2026-11-19T08:30:00")
    assert next_change(MORNING, at("2026-11-20T15:00:00")) == at("2026-11-23T08:30:00")
    assert next_start(MORNING, at("2026-11-18T08:30:00")) == at("2026-11-19T08:30:00")
    assert next_start(NIGHT, at("2026-11-20T22:00:00")) == at("2026-11-27T22:00:00")
    assert (next_change((), at("2026-11-18T10:00:00")), next_start((), 0)) == (0, 0)


def test_an_hour_left_out_is_its_first_instant_and_one_that_comes_twice_is_both() -> None:
    begins = at("2027-03-14T03:00:00")
    assert wall_instants(GAP, 2 * 3600 + 1800) == (begins, begins)
    assert wall_instants(FOLD, 3600 + 1800) == (
        at("2026-11-01T01:30:00"),
        at("2026-11-01T01:30:00", fold=1),
    )


@given(
    st.dates(dt.date(2026, 1, 1), dt.date(2028, 12, 31)),
    st.integers(0, 86_399),
)
def test_a_wall_time_is_what_the_zone_says_it_is(date: dt.date, second: int) -> None:
    local = dt.datetime.combine(date, dt.time()) + dt.timedelta(seconds=second)
    shown = [local.replace(tzinfo=CHICAGO, fold=fold).astimezone(dt.UTC) for fold in (0, 1)]
    exists = shown[0].astimezone(CHICAGO).replace(tzinfo=None) == local

    first, last = wall_instants(date, second)
    if exists:
        assert [first, last] == [int(one.timestamp()) * SECOND for one in shown]
    else:
        assert first == last == at(f"{date}T03:00:00")


@given(
    st.frozensets(st.integers(0, 6), min_size=1),
    st.integers(0, 86_399),
    st.integers(0, 86_399),
    st.integers(at("2026-10-25T00:00:00"), at("2026-11-08T00:00:00")),
)
def test_between_two_changes_nothing_changes(
    days: frozenset[int], begins: int, ends: int, now: int
) -> None:
    windows = (Window(days, begins, ends),)
    change = next_change(windows, now)

    assert change > now
    assert is_active(windows, now) is is_active(windows, (now + change) // 2)
    assert is_active(windows, now) is is_active(windows, change - 1)


def test_the_next_week_begins_at_the_first_session_of_another_monday() -> None:
    wednesday = at("2026-11-18T10:00:00")

    assert next_week("cme_equity", wednesday) == at("2026-11-22T17:00:00")
    assert week("cme_equity", next_week("cme_equity", wednesday)) == "2026-11-23"
    assert next_week("cme_equity", at("2099-01-01T00:00:00")) == 0
    assert len(DAYS) == 7
