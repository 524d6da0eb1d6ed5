"""Write `core/calendar_table.py` from pandas-market-calendars.

Run by hand, once a year, in an environment of its own (the library brings
pandas, which the daemon never needs):

    pip install pandas-market-calendars==5.5.0
    python scripts/generate_calendar.py > src/risk_daemon/core/calendar_table.py

The table keeps only what departs from the usual week (17:00 to 16:00 Chicago,
Sunday to Friday), so that a person can read it beside the exchange's notice.
Products that open later are kept for the end of their day only.
"""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

import pandas_market_calendars as calendars

FIRST, LAST = dt.date(2026, 1, 1), dt.date(2028, 12, 31)
CHICAGO = ZoneInfo("America/Chicago")
GROUPS = {
    "cme_equity": "CME_Equity",
    "cme_energy": "CMEGlobex_CL",
    "cme_metals": "CMEGlobex_GC",
    "cme_fx": "CMEGlobex_FX",
    "cme_crypto": "CME Globex Cryptocurrencies",
    "cme_rates": "CBOT_Bond",
    "cme_grains": "CBOT_Agriculture",
    "cme_livestock": "CMEGlobex_Livestock",
}
#: Groups that do not trade from 17:00 on, with their usual close; no account follows them.
DAY_ENDS_ONLY = {"cme_grains": 13 * 60 + 20, "cme_livestock": 13 * 60 + 5}
USUAL_OPEN, USUAL_CLOSE = 17 * 60, 16 * 60


def days() -> list[dt.date]:
    count = (LAST - FIRST).days + 1
    return [FIRST + dt.timedelta(n) for n in range(count)]


def weekdays() -> list[dt.date]:
    return [day for day in days() if day.weekday() < 5]


def minutes(moment) -> int:
    local = moment.tz_convert(CHICAGO)
    return local.hour * 60 + local.minute


def group_rows(group: str, name: str) -> tuple[list[str], dict[str, int]]:
    """Return dates without a session, and closes that are not the usual, in minutes of the day."""
    schedule = calendars.get_calendar(name).schedule(FIRST, LAST)
    have = {stamp.date(): row for stamp, row in schedule.iterrows()}
    closed = [str(day) for day in weekdays() if day not in have]
    early = {}
    for day, row in have.items():
        opened = row["market_open"].tz_convert(CHICAGO)
        if group not in DAY_ENDS_ONLY:
            assert opened.hour * 60 + opened.minute == USUAL_OPEN, (name, day, opened)
            assert opened.date() == day - dt.timedelta(1), (name, day, opened)
        close = minutes(row["market_close"])
        if close != DAY_ENDS_ONLY.get(group, USUAL_CLOSE):
            early[str(day)] = close
    return closed, early


def shifts() -> list[tuple[int, int]]:
    """Return (first second UTC, Chicago's offset in seconds from then on)."""
    found, last = [], None
    moment = dt.datetime(2025, 12, 1, tzinfo=dt.UTC)
    while moment.year < 2030:
        offset = int(moment.astimezone(CHICAGO).utcoffset().total_seconds())
        if offset != last:
            found.append((int(moment.timestamp()), offset))
            last = offset
        moment += dt.timedelta(hours=1)
    return found


def main() -> None:
    trade_dates = set(calendars.get_calendar("CME_TradeDate").schedule(FIRST, LAST).index.date)
    equity = set(calendars.get_calendar("CME_Equity").schedule(FIRST, LAST).index.date)
    merged = sorted(str(day) for day in equity - trade_dates)
    print('"""Exchange calendar, written by `scripts/generate_calendar.py`; edit that, not this.')
    print()
    print("Source: pandas-market-calendars 5.5.0, CME calendars by product. A session opens at")
    print("17:00 Chicago the evening before its date and closes at 16:00 unless listed here.")
    print('"""')
    print()
    print("from typing import Final")
    print()
    print(f'FIRST_DATE: Final = "{FIRST}"')
    print(f'LAST_DATE: Final = "{LAST}"')
    print()
    print("#: (seconds since 1970 UTC, Chicago's offset from then on)")
    print("SHIFTS: Final = (")
    for start, offset in shifts():
        print(f"    ({start}, {offset}),")
    print(")")
    print()
    print("#: Holiday sessions: they belong to the next date's trade date.")
    print("MERGED: Final = (")
    for day in merged:
        print(f'    "{day}",')
    print(")")
    print()
    print("#: Products kept for the end of their day only, with their usual close in minutes.")
    print("DAY_ENDS_ONLY: Final[dict[str, int]] = {")
    for group, close in DAY_ENDS_ONLY.items():
        print(f'    "{group}": {close},')
    print("}")
    for constant, which in (("CLOSED", 0), ("CLOSES", 1)):
        note = ("weekdays without a session", "closes, in minutes of the Chicago day")[which]
        kind = "dict[str, tuple[str, ...]]" if which == 0 else "dict[str, dict[str, int]]"
        print()
        print(f"#: Per product group: {note}.")
        print(f"{constant}: Final[{kind}] = {{")
        for group, name in GROUPS.items():
            rows = group_rows(group, name)[which]
            if isinstance(rows, list):
                inner = "".join(f'        "{day}",\n' for day in rows)
                print(f'    "{group}": (\n{inner}    ),')
            else:
                inner = "".join(f'        "{day}": {at},\n' for day, at in rows.items())
                print(f'    "{group}": {{\n{inner}    }},')
        print("}")


main()
