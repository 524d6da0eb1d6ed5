"""A person's order ends when it was said to, and is kept by whoever can keep it."""

from datetime import UTC, datetime

import pytest

from risk_daemon.errors import NotFound, UsageError
from risk_daemon.operations import orders, pending, state_file
from risk_daemon.operations.home import Home
from risk_daemon.operations.orders import Who
from risk_daemon.settings import Settings
from tests.operations import build

SECOND = 1_000_000_000
WHO = Who("tester", "trial")
#: Wednesday, 10:00 in Chicago.
NOW = int(datetime(2026, 11, 25, 16, tzinfo=UTC).timestamp()) * SECOND


def settings(home: Home) -> Settings:
    from risk_daemon.operations.configuration.in_force import in_force

    return in_force(home)


@pytest.mark.parametrize(
    ("until", "for_", "expected"),
    [
        (None, None, None),
        (None, "30s", datetime(2026, 11, 25, 16, 0, 30, tzinfo=UTC)),
        (None, "30m", datetime(2026, 11, 25, 16, 30, tzinfo=UTC)),
        (None, "2h", datetime(2026, 11, 25, 18, tzinfo=UTC)),
        (None, "1d", datetime(2026, 11, 26, 16, tzinfo=UTC)),
        ("15:00", None, datetime(2026, 11, 25, 21, tzinfo=UTC)),
        ("09:00", None, datetime(2026, 11, 26, 15, tzinfo=UTC)),
        ("2026-11-25T15:00-06:00", None, datetime(2026, 11, 25, 21, tzinfo=UTC)),
    ],
)
def test_a_lock_ends_when_it_was_said_to(
    until: str | None, for_: str | None, expected: datetime | None
) -> None:
    end = orders.end_of(NOW, until, for_)

    assert end == (int(expected.timestamp()) * SECOND if expected else None)


@pytest.mark.parametrize(
    ("until", "for_", "sentence"),
    [
        ("15:00", "30m", "give --until or --for, not both"),
        (None, "0m", "--for '0m' is not a duration"),
        (None, "half an hour", "is not a duration such as 30m"),
        ("25:00", None, "is neither HH:MM"),
        ("2026-11-25T15:00", None, "is neither HH:MM"),
        ("tomorrow", None, "is neither HH:MM"),
        ("2026-11-25T09:59-06:00", None, "has passed already"),
        ("2026-11-25T10:00-06:00", None, "has passed already"),
    ],
)
def test_an_end_that_cannot_be_meant_is_refused(
    until: str | None, for_: str | None, sentence: str
) -> None:
    with pytest.raises(UsageError, match=sentence):
        orders.end_of(NOW, until, for_)


def test_an_account_nobody_guards_takes_no_order(home: Home) -> None:
    with pytest.raises(NotFound, match="account 9 is not guarded by this home; it guards: 1, 2"):
        orders.make(settings(home), 9, "reduce-only", WHO)


def test_an_order_without_a_daemon_waits_for_the_next_start(home: Home) -> None:
    act = orders.make(settings(home), 1, "reduce-only", WHO)

    kept = orders.give(home, act, "link-alpha")

    assert kept.where == "file"
    assert pending.kept(home) == [act]
    pending.forget(home)
    assert pending.kept(home) == []


def test_a_torn_line_is_nobodys_order(home: Home) -> None:
    act = orders.make(settings(home), 1, "reduce-only", WHO)
    pending.keep(home, act)
    with (home.state / pending.FILE).open("ab") as file:
        file.write(b'{"account":2,"ac')

    assert pending.kept(home) == [act]


def test_a_running_journal_keeps_the_order_once(journal: Home) -> None:
    act = orders.make(settings(journal), 1, "flatten-lock", WHO)

    assert orders.give(journal, act).where == "journal"
    assert orders.give(journal, act).where == "journal"

    kept = state_file.story(journal, 1, 10)
    assert [entry.fact for entry in kept] == [act]
    assert build.contents(journal.state).keys().isdisjoint({pending.FILE})
