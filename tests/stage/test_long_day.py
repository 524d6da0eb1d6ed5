"""What grows is told from what is only filled once, and a day that was not busy is none."""

from typing import Any

import pytest

from risk_daemon.stage.long_day import LIMIT, SMALL, Growth, Sample, growths, in_words, judge, plan

HOUR = 3_600.0
FLAT = {"own_mb": 50.0, "descriptors": 20.0, "tasks": 9.0}


def day(figure: str, at: dict[float, float], hours: float = 2.0) -> list[Sample]:
    """A sample a minute; `at` says from which share of the run a figure has which value."""
    found = []
    for minute in range(int(hours * 60) + 1):
        share = minute / (hours * 60)
        value = next(value for begins, value in sorted(at.items(), reverse=True) if share >= begins)
        found.append(Sample(minute * 60.0, {"link": FLAT | {figure: value}}))
    return found


def verdict(breaches: int = 12) -> dict[str, Any]:
    row = {"breaches": breaches, "answered": breaches}
    return {"ok": True, "problems": [], "by_account": {"1": row}, "breaches": 12} | {
        "answered": 12,
        "late": 0,
    }


def leaks(samples: list[Sample]) -> list[Growth]:
    return [one for one in growths(samples) if one.is_leak]


@pytest.mark.parametrize("figure", ["own_mb", "descriptors", "tasks"])
def test_what_was_filled_in_the_first_quarter_is_no_leak(figure: str) -> None:
    assert leaks(day(figure, {0.0: 1.0, 0.24: 50.0})) == []


@pytest.mark.parametrize(
    ("figure", "most", "too_much"),
    [("own_mb", 52.5, 52.6), ("descriptors", 23.0, 24.0), ("tasks", 12.0, 13.0)],
)
def test_what_grows_after_it_is_a_leak(figure: str, most: float, too_much: float) -> None:
    before = FLAT[figure]

    assert leaks(day(figure, {0.0: before, 0.5: most})) == []
    (found,) = leaks(day(figure, {0.0: before, 0.5: too_much}))
    assert (found.process, found.figure, found.early, found.late) == (
        "link",
        figure,
        before,
        too_much,
    )


def test_a_busy_day_without_growth_is_ok_and_says_so() -> None:
    told = judge(verdict(), day("tasks", {0.0: 9.0}), 2 * HOUR, rate=50.0)

    assert told["ok"]
    assert in_words(told)[-1] == "verdict: nothing grew"


@pytest.mark.parametrize(
    ("breaches", "rate", "samples", "problem"),
    [
        (11, 50.0, day("tasks", {0.0: 9.0}), "account 1 had 11 breaches"),
        (12, 49.0, day("tasks", {0.0: 9.0}), "49 events/s"),
        (12, 50.0, day("tasks", {0.0: 9.0, 0.6: 99.0}), "link: tasks grew from 9 to 99"),
        (12, 50.0, [], "nothing was compared"),
    ],
)
def test_a_day_that_was_not_busy_or_that_grew_is_not_ok(
    breaches: int, rate: float, samples: list[Sample], problem: str
) -> None:
    told = judge(verdict(breaches), samples, 2 * HOUR, rate)

    assert not told["ok"]
    assert problem in "\n".join(told["problems"])
    assert in_words(told)[-1] == "verdict: NOT ok"


def test_each_account_breaks_its_limit_once_in_ten_minutes_and_none_while_it_trades() -> None:
    orders = plan(list(range(10)), 2 * HOUR)
    breaches = [one for one in orders if one.size == LIMIT + 1]
    small = [one for one in orders if one.root == SMALL and one.side == "buy"]

    assert [sum(one.account == account for one in breaches) for account in range(10)] == [12] * 10
    for breach in breaches:
        near = [one for one in small if abs(one.at_s - breach.at_s) < 30]
        assert breach.account not in {one.account for one in near}
