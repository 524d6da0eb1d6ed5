"""Trade dates and resets: computed for the date, never added."""

import datetime as dt
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from risk_daemon.core import session
from risk_daemon.core.session import SECOND

CHICAGO = ZoneInfo("America/Chicago")
HOUR = 3_600 * SECOND


def chicago(text: str) -> int:
    return int(dt.datetime.fromisoformat(text).replace(tzinfo=CHICAGO).timestamp()) * SECOND


@pytest.mark.parametrize(
    ("moment", "date"),
    [
        ("2026-11-18T16:59:59", "2026-11-18"),
        ("2026-11-18T17:00:00", "2026-11-19"),
        ("2026-11-20T15:00:00", "2026-11-20"),
        ("2026-11-20T18:00:00", "2026-11-20"),
        ("2026-11-22T16:59:59", "2026-11-20"),
        ("2026-11-22T17:00:00", "2026-11-23"),
        ("2026-11-26T09:00:00", "2026-11-27"),
        ("2026-11-27T09:00:00", "2026-11-27"),
    ],
)
def test_five_in_the_afternoon_in_chicago_begins_the_next_trade_date(
    moment: str, date: str
) -> None:
    assert session.trade_date("cme_equity", "cme_trade_date", chicago(moment)) == date


def test_a_holiday_session_has_no_loss_budget_of_its_own() -> None:
    wednesday = chicago("2026-11-25T18:00:00")

    assert session.next_reset("cme_equity", "cme_trade_date", wednesday) == chicago(
        "2026-11-29T17:00:00"
    )
    assert session.next_reset("cme_equity", "clock", wednesday) == chicago("2026-11-26T17:00:00")
    assert session.trade_date("cme_equity", "clock", wednesday) == "2026-11-26"


@pytest.mark.parametrize(
    ("friday", "hours"),
    [("2026-11-20T14:00:00", 51), ("2026-03-06T14:00:00", 50), ("2026-10-30T14:00:00", 52)],
)
def test_a_friday_lock_ends_on_sunday_whatever_the_clocks_do(friday: str, hours: int) -> None:
    at = chicago(friday)

    assert session.next_reset("cme_equity", "cme_trade_date", at) - at == hours * HOUR


@given(st.datetimes(dt.datetime(2026, 1, 5), dt.datetime(2028, 12, 28)))  # noqa: DTZ001
def test_chicago_times_agree_with_the_zone_files(moment: dt.datetime) -> None:
    at = int(moment.replace(tzinfo=dt.UTC).timestamp())
    offset = moment.replace(tzinfo=dt.UTC).astimezone(CHICAGO).utcoffset()

    assert offset is not None
    assert session.chicago_offset(at) == int(offset.total_seconds())


@given(st.sampled_from(session.CALENDARS), st.sampled_from(session.DAY_ROLLS), st.data())
def test_every_reset_begins_another_trade_date_and_none_is_skipped(
    calendar: str, day_roll: str, data: st.DataObject
) -> None:
    first, last = chicago("2026-01-05T00:00:00"), chicago("2028-12-28T00:00:00")
    at = data.draw(st.integers(first, last))

    reset = session.next_reset(calendar, day_roll, at)

    assert reset > at
    assert session.trade_date(calendar, day_roll, reset) != session.trade_date(
        calendar, day_roll, at
    )
    assert session.trade_date(calendar, day_roll, reset - 1) == session.trade_date(
        calendar, day_roll, at
    )
    assert session.day_start(calendar, day_roll, reset) == reset
    assert session.day_start(calendar, day_roll, at) <= at


@pytest.mark.parametrize(
    ("moment", "is_open"),
    [
        ("2026-11-18T15:59:59", True),
        ("2026-11-18T16:00:00", False),
        ("2026-11-18T17:00:00", True),
        ("2026-11-21T12:00:00", False),
        ("2026-11-26T11:59:59", True),
        ("2026-11-26T12:00:00", False),
    ],
)
def test_the_exchange_is_open_from_five_to_four_and_shorter_on_holidays(
    moment: str, is_open: bool
) -> None:
    assert session.is_open("cme_equity", chicago(moment)) is is_open


def test_the_day_after_a_holiday_began_with_the_holidays_session() -> None:
    friday = chicago("2026-11-27T09:00:00")

    assert session.day_start("cme_equity", "cme_trade_date", friday) == chicago(
        "2026-11-25T17:00:00"
    )
    assert session.day_start("cme_equity", "clock", friday) == chicago("2026-11-26T17:00:00")


def test_past_the_table_days_are_usual_and_said_to_be_unknown() -> None:
    later = chicago("2029-06-13T12:00:00")

    assert session.is_known("cme_equity", chicago("2028-06-14T12:00:00"))
    assert not session.is_known("cme_equity", later)
    assert session.trade_date("cme_equity", "cme_trade_date", later) == "2029-06-13"
    assert session.next_reset("cme_equity", "cme_trade_date", later) == chicago(
        "2029-06-13T17:00:00"
    )


def test_past_everything_a_day_is_still_a_day() -> None:
    later = chicago("2035-06-13T12:00:00")

    assert session.next_reset("cme_equity", "cme_trade_date", later) == later + 24 * HOUR


def test_before_everything_the_first_session_counts() -> None:
    assert session.trade_date("cme_equity", "cme_trade_date", 0) == "2026-01-02"
    assert session.day_start("cme_equity", "cme_trade_date", 0) == chicago("2026-01-01T17:00:00")
    assert session.chicago_offset(0) == -21_600


def test_a_week_is_named_by_its_monday() -> None:
    assert session.week("cme_equity", chicago("2026-11-22T18:00:00")) == "2026-11-23"
    assert session.week("cme_equity", chicago("2026-11-20T12:00:00")) == "2026-11-16"


def test_times_are_written_for_people_in_both_places() -> None:
    at = chicago("2026-11-18T10:00:00") + 123_000_000

    assert session.show_utc(at) == "2026-11-18T16:00:00.123Z"
    assert session.show_chicago(at) == "Wed 18 Nov 10:00:00 Chicago"


def test_a_session_holds_the_instant_it_begins_at_and_not_the_one_it_closes_at() -> None:
    opens, closes = chicago("2026-11-18T17:00:00"), chicago("2026-11-19T16:00:00")

    assert session.session_at("cme_equity", opens).start == opens
    assert session.session_at("cme_equity", opens - 1).start == chicago("2026-11-17T17:00:00")
    assert [session.is_open("cme_equity", at) for at in (opens - 1, opens, closes - 1, closes)] == [
        False,
        True,
        True,
        False,
    ]
    assert session.next_start("cme_equity", opens - 1) == opens
    assert session.next_start("cme_equity", opens) == chicago("2026-11-19T17:00:00")


def test_the_table_is_known_to_its_last_date_and_no_further() -> None:
    last = chicago("2028-12-31T17:00:00")

    assert session.is_known("cme_equity", last - 1)
    assert not session.is_known("cme_equity", last)
    assert session.is_known("cme_equity", 0)


def test_past_the_table_four_hundred_days_are_usual_ones_but_for_the_weekends() -> None:
    last = session.sessions("cme_equity")[-1]

    assert last.trade_date == "2030-02-04"
    assert last.start == chicago("2030-02-03T17:00:00")
    assert session.next_start("cme_equity", last.start - 1) == last.start
    assert session.next_start("cme_equity", last.start) == 0
    assert session.next_week("cme_equity", last.start - 1) == last.start
    assert session.next_week("cme_equity", last.start) == 0
    usual = [one.trade_date for one in session.sessions("cme_equity") if one.trade_date > "2029"]
    assert len(usual) == len(set(usual)) == 286


@pytest.mark.parametrize(
    ("moment", "date"),
    [("2026-11-26T11:00:00", "2026-11-26"), ("2026-11-24T15:59:59", "2026-11-24")],
)
def test_a_session_closes_on_the_date_it_is_of(moment: str, date: str) -> None:
    running = session.session_at("cme_equity", chicago(moment))

    assert str(session.closing_date(running)) == date


def test_clocks_change_in_chicago_with_the_second_the_table_says() -> None:
    spring = int(dt.datetime(2027, 3, 14, 8, tzinfo=dt.UTC).timestamp())

    assert [session.chicago_offset(at) for at in (spring - 1, spring)] == [-21_600, -18_000]
    assert session.show_chicago((spring - 1) * SECOND) == "Sun 14 Mar 01:59:59 Chicago"
    assert session.show_chicago(spring * SECOND) == "Sun 14 Mar 03:00:00 Chicago"


def test_with_the_clock_every_session_is_a_day_of_its_own_and_begins_with_itself() -> None:
    for moment in ("2026-11-26T17:00:00", "2026-11-27T09:00:00"):
        at = chicago(moment)
        assert session.trade_date("cme_equity", "clock", at) == "2026-11-27"
        assert session.day_start("cme_equity", "clock", at) == chicago("2026-11-26T17:00:00")
