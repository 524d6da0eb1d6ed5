"""The keys every rule may be given: warnings, the lock's end, repeats, windows, a reason."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from risk_daemon.core.decision import ANY_PRICE, Clear
from risk_daemon.core.engine import Engine
from risk_daemon.core.events import AlarmRaised, BreachFound, Fact, LockPlaced, Pulse
from risk_daemon.core.instrument import UNIT
from risk_daemon.rules import CATALOG, ParameterError, parse
from tests.build import (
    MS,
    SECOND,
    Stream,
    goals,
    of_kind,
    position,
    rule,
    trade,
)

MINUTE = 60 * SECOND
COMBINED, REALIZED = "daily-combined-loss", "daily-realized-loss"


def chicago(text: str) -> int:
    moment = dt.datetime.fromisoformat(text).replace(tzinfo=ZoneInfo("America/Chicago"))
    return int(moment.timestamp()) * SECOND


def warnings(outputs: list[Fact]) -> list[str]:
    return [one.text for one in of_kind(outputs, AlarmRaised) if one.what.endswith("is near")]


def placed(outputs: list[Fact]) -> list[tuple[str, int | None]]:
    return [(one.mode, one.until) for one in of_kind(outputs, LockPlaced)]


def lose(stream: Stream, number: int, dollars: int) -> list[Fact]:
    """Realize a loss: nothing is held before or after."""
    stream.fill(number, 1, 1)
    price = str(21_000 - dollars / 2)
    fact = trade(number + 1, -1, 1, price, pnl=-dollars * UNIT, traded_at=stream.at)
    return stream.feed(fact, position(0))


def until(stream: Stream, instant: int) -> list[Fact]:
    return stream.feed(Pulse(), after=instant - stream.at)


def excess(stream: Stream, number: int) -> list[Fact]:
    """Hold six, where five are allowed, then none again: one trip."""
    outputs = stream.fill(number, 1, 6)
    stream.feed(trade(number + 1, -1, 6, pnl=0, traded_at=stream.at), position(0))
    return outputs


# --- warn_at ---------------------------------------------------------------------


def test_a_share_of_a_realized_limit_is_told_at_it_and_once_a_day() -> None:
    stream = Stream().open(rule(REALIZED, limit="1000", warn_at=["0.5", "0.8"]))

    assert warnings(lose(stream, 1, 499)) == []
    (told,) = warnings(lose(stream, 3, 1))
    assert told == "50 % of the limit of daily-realized-loss is used: -500.00 against -1000.00"
    assert warnings(lose(stream, 5, 299)) == []
    assert [text[:4] for text in warnings(lose(stream, 7, 1))] == ["80 %"]
    assert warnings(lose(stream, 9, 1)) == []


def test_a_share_passed_over_is_not_told_after_a_greater_one_and_all_anew_the_next_day() -> None:
    stream = Stream().open(rule(REALIZED, limit="1000", warn_at=["0.5", "0.8"]))

    assert [text[:4] for text in warnings(lose(stream, 1, 900))] == ["80 %"]
    assert stream.account.warned == {REALIZED: 8 * UNIT // 10}
    until(stream, stream.account.next_reset)
    assert stream.account.warned == {}
    assert [text[:4] for text in warnings(lose(stream, 3, 500))] == ["50 %"]


@pytest.mark.parametrize(
    ("setting", "held", "told"),
    [
        (rule("max-contracts", limit=5, warn_at=["0.8"]), 3, ""),
        (rule("max-contracts", limit=5, warn_at=["0.8"]), 4, "80 %"),
        (rule("max-contracts-per-instrument", limits={"MNQ": 5}, warn_at=["0.8"]), 3, ""),
        (rule("max-contracts-per-instrument", limits={"MNQ": 5}, warn_at=["0.8"]), 4, "80 %"),
        (rule("max-contracts", limit=0, warn_at=["0.8"]), 0, ""),
    ],
)
def test_a_share_of_a_size_is_told_too(setting: object, held: int, told: str) -> None:
    stream = Stream().open(setting)  # type: ignore[arg-type]
    outputs = stream.fill(1, 1, held) if held else stream.pulse()

    assert "".join(warnings(outputs))[:4] == told


@pytest.mark.parametrize(("mode", "count"), [("enforce", 1), ("alert", 1), ("shadow", 0)])
def test_a_rule_that_decides_in_shadow_warns_nobody(mode: str, count: int) -> None:
    stream = Stream().open(rule(REALIZED, mode, limit="1000", warn_at=["0.5"]))

    assert len(warnings(lose(stream, 1, 500))) == count


def test_a_quote_that_uses_a_share_is_told_at_that_quote() -> None:
    stream = Stream().open(rule(COMBINED, limit="1000", warn_at=["0.5"]))
    stream.mark("MNQ", "21000", "21000.25")
    stream.fill(1, 1, 10)

    assert warnings(stream.mark("MNQ", "20975.25", "20975.50")) == []
    assert warnings(stream.mark("MNQ", "20975", "20975.25")) == [
        "50 % of the limit of daily-combined-loss is used: -500.00 against -1000.00"
    ]


DRAWDOWN = {
    "drawdown": "1000",
    "start": "50000",
    "lock_at": "60000",
    "trail": "intraday-equity",
    "buffer": "0",
}


@given(
    st.lists(st.integers(-60, 60), min_size=10, max_size=60),
    st.sampled_from(
        [
            (rule(COMBINED, limit="1000", warn_at=["0.1", "0.25", "0.5", "0.8"]),),
            (rule("trailing-max-drawdown", warn_at=["0.3", "0.7"], **DRAWDOWN),),
            (
                rule(COMBINED, limit="1000", warn_at=["0.3"]),
                rule("trailing-max-drawdown", warn_at=["0.2"], **DRAWDOWN),
            ),
        ]
    ),
)
@settings(max_examples=60)
def test_no_warning_is_lost_by_the_quotes_that_are_left_out(
    moves: list[int], rules: tuple[object, ...]
) -> None:
    stream = Stream().open(*rules)  # type: ignore[arg-type]
    stream.mark("MNQ", "21000", "21000.25")
    stream.fill(1, 1, 7)
    for ticks in moves:
        bid = 21_000 + ticks / 4
        stream.mark("MNQ", str(bid), str(bid + 0.25))

    oracle = Engine(CATALOG, asks_always=True)
    found = [output for entry in stream.entries for output in oracle.step(entry)]
    assert warnings(found) == warnings(stream.outputs)


# --- lockout ---------------------------------------------------------------------


def test_the_lock_ends_when_it_is_asked_to() -> None:
    def lock_of(**more: str) -> list[tuple[str, int | None]]:
        stream = Stream().open(rule(REALIZED, limit="1000", **more))
        outputs = lose(stream, 1, 1_000)
        return [(mode, end and end - stream.at) for mode, end in placed(outputs)]

    reset = Stream().open(rule(REALIZED, limit="1000"))
    left = reset.account.next_reset
    assert [mode for mode, _ in lock_of()] == ["full"]
    assert lock_of() == lock_of(lockout="next-reset")
    assert lock_of(lockout="15m") == [("full", 15 * MINUTE - MS)]
    assert lock_of(lockout="admin") == [("full", None)]
    assert lock_of(lockout="none") == []
    assert left == chicago("2026-11-18T17:00:00")


def test_a_lock_of_the_week_ends_on_sunday_and_one_of_the_window_at_the_next_window() -> None:
    week = Stream().open(rule(REALIZED, limit="1000", lockout="next-week"))
    assert placed(lose(week, 1, 1_000)) == [("full", chicago("2026-11-22T17:00:00"))]

    windows = [{"days": ["wed", "thu"], "from": "08:30", "to": "15:00"}]
    window = Stream().open(rule(REALIZED, limit="1000", lockout="next-window", schedule=windows))
    assert placed(lose(window, 1, 1_000)) == [("full", chicago("2026-11-19T08:30:00"))]


def test_a_lock_without_an_end_of_its_own_still_closes_what_comes() -> None:
    stream = Stream().open(rule(REALIZED, limit="1000", lockout="none"))
    lose(stream, 1, 1_000)

    assert [goal.act for goal in goals(stream.fill(9, 1, 1))] == ["close"]


# --- on_repeat -------------------------------------------------------------------


def test_the_third_trip_of_a_day_locks_and_the_first_of_the_next_does_not() -> None:
    repeat = {"trips": 3, "lockout": "15m"}
    stream = Stream().open(rule("max-contracts", limit=5, on_repeat=repeat))

    assert [placed(excess(stream, number)) for number in (1, 3)] == [[], []]
    ((mode, end),) = placed(excess(stream, 5))
    assert (mode, end) == ("reduce-only", stream.at - 3 * MS + 15 * MINUTE)
    until(stream, stream.account.next_reset)
    assert placed(excess(stream, 7)) == []


def test_a_repeat_is_as_strict_and_as_long_as_the_stricter_and_longer_of_both() -> None:
    def second_lock(**repeat: object) -> tuple[str, int | None]:
        stream = Stream().open(
            rule(REALIZED, limit="100", lockout="1m", on_repeat={"trips": 2, **repeat})
        )
        lose(stream, 1, 100)
        outputs = until(stream, stream.at + 2 * MINUTE)
        ((mode, end),) = placed(outputs)
        return mode, end and end - stream.at

    assert second_lock(lockout="15m", mode="no-new-entry") == ("full", 15 * MINUTE)
    assert second_lock(lockout="30s", mode="full") == ("full", MINUTE)
    assert second_lock(lockout="admin") == ("full", None)


# --- schedule --------------------------------------------------------------------

MORNING = [{"days": ["mon", "tue", "wed", "thu", "fri"], "from": "08:30", "to": "10:05"}]


def test_a_rule_finds_nothing_outside_its_windows_and_is_asked_when_one_begins() -> None:
    stream = Stream().open(rule("max-contracts", limit=5, schedule=MORNING))
    assert goals(excess(stream, 1)) != []

    until(stream, chicago("2026-11-18T10:05:00"))
    assert goals(stream.fill(3, 1, 6)) == []
    assert stream.account.wake_at == chicago("2026-11-18T17:00:00")
    until(stream, chicago("2026-11-19T08:30:00") - 1)
    assert stream.account.wake_at == chicago("2026-11-19T08:30:00")
    found = until(stream, chicago("2026-11-19T08:30:00"))
    assert [one.rule for one in of_kind(found, BreachFound)] == ["max-contracts"]


def test_a_lock_outlives_the_window_it_was_placed_in() -> None:
    stream = Stream().open(rule(REALIZED, limit="1000", schedule=MORNING))
    lose(stream, 1, 1_000)
    until(stream, chicago("2026-11-18T10:05:00"))

    assert list(stream.account.locks) != []
    assert [goal.act for goal in goals(stream.fill(9, 1, 1))] == ["close"]


def test_outside_its_windows_every_price_is_quiet() -> None:
    stream = Stream().open(rule(COMBINED, limit="1000", schedule=MORNING))
    until(stream, chicago("2026-11-18T10:05:00"))
    ((_, found),) = stream.engine.rules_of(stream.account)

    assert found.quiet(stream.engine.world, stream.account) is ANY_PRICE
    finding = found.check(stream.engine.world, stream.account)
    assert finding == Clear(wake_at=chicago("2026-11-19T08:30:00"))


# --- reason_text, reading --------------------------------------------------------


def test_the_reason_is_told_with_every_finding() -> None:
    stream = Stream().open(
        rule(REALIZED, limit="1000", reason_text="Call the desk", warn_at=["0.5"])
    )
    (near,) = warnings(lose(stream, 1, 500))
    found = lose(stream, 3, 500)

    assert near.endswith(". Call the desk")
    assert [one.text.endswith(". Call the desk") for one in of_kind(found, BreachFound)] == [True]
    assert [one.reason.endswith(". Call the desk") for one in of_kind(found, LockPlaced)] == [True]


def test_each_of_several_findings_has_the_reason() -> None:
    stream = Stream().open(
        rule(
            "max-contracts-per-instrument", limits={"MNQ": 1, "ES": 1}, reason_text="Call the desk"
        )
    )
    stream.fill(1, 1, 2, "ES", price="6000")
    stream.fill(2, 1, 2)

    found = of_kind(stream.outputs, BreachFound)
    assert [one.text.endswith(". Call the desk") for one in found] == [True, True]


def test_a_size_that_is_warned_of_has_no_say_in_prices() -> None:
    stream = Stream().open(rule("max-contracts", limit=5, warn_at=["0.8"]))
    stream.mark("MNQ", "21000", "21000.25")
    stream.fill(1, 1, 1)
    ((_, found),) = stream.engine.rules_of(stream.account)

    assert found.quiet(stream.engine.world, stream.account) == {}
    stream.fill(2, 1, 4)
    assert found.quiet(stream.engine.world, stream.account) == {}


@pytest.mark.parametrize(
    ("name", "params", "path"),
    [
        (REALIZED, {"limit": "1", "warn_at": ["0.8", "0.5"]}, "warn_at"),
        (REALIZED, {"limit": "1", "warn_at": ["0.5", "0.5"]}, "warn_at"),
        (REALIZED, {"limit": "1", "warn_at": ["0"]}, "warn_at"),
        (REALIZED, {"limit": "1", "warn_at": ["1"]}, "warn_at"),
        (REALIZED, {"limit": "1", "warn_at": [0.5]}, "warn_at"),
        (REALIZED, {"limit": "1", "warn_at": ["half"]}, "warn_at"),
        (REALIZED, {"limit": "1", "warn_at": []}, "warn_at"),
        (REALIZED, {"limit": "1", "lockout": "tomorrow"}, "lockout"),
        (REALIZED, {"limit": "1", "lockout": "next-window"}, "lockout"),
        (REALIZED, {"limit": "1", "on_repeat": {"trips": 0, "lockout": "1m"}}, "on_repeat.trips"),
        (REALIZED, {"limit": "1", "on_repeat": {"trips": 1}}, "on_repeat.lockout"),
        (
            REALIZED,
            {"limit": "1", "on_repeat": {"trips": 1, "lockout": "none"}},
            "on_repeat.lockout",
        ),
        (
            REALIZED,
            {"limit": "1", "on_repeat": {"trips": 1, "lockout": "1m", "mode": "half"}},
            "on_repeat.mode",
        ),
        (REALIZED, {"limit": "1", "schedule": []}, "schedule"),
        (REALIZED, {"limit": "1", "schedule": [{"days": ["mon"]}]}, "schedule.0.from"),
        (
            REALIZED,
            {"limit": "1", "schedule": [{"days": ["mo"], "from": "08:00", "to": "09:00"}]},
            "schedule.0.days",
        ),
        (
            REALIZED,
            {"limit": "1", "schedule": [{"days": ["mon", "mon"], "from": "08:00", "to": "09:00"}]},
            "schedule.0.days",
        ),
        (
            REALIZED,
            {"limit": "1", "schedule": [{"days": ["mon"], "from": "08:00", "to": "08:00"}]},
            "schedule.0.to",
        ),
        (REALIZED, {"limit": "1", "reason_text": "two\nlines"}, "reason_text"),
        (REALIZED, {"limit": "1", "reason_text": " "}, "reason_text"),
        ("end-of-day-flatten", {"lockout": "15m"}, "lockout"),
        ("kill-switch", {"reason_text": "no"}, "reason_text"),
        ("max-contracts", {"limit": 5, "lockout": "15m"}, "lockout"),
    ],
)
def test_what_cannot_be_meant_is_named(name: str, params: dict[str, object], path: str) -> None:
    with pytest.raises(ParameterError) as error:
        parse(name, params)

    assert error.value.path == path


def test_a_rule_without_common_keys_is_as_it_was() -> None:
    assert type(parse(REALIZED, {"limit": "1"})).__name__ == "DailyRealizedLoss"
    assert parse(REALIZED, {"limit": "1", "reason_text": "why"}).priority == 20
