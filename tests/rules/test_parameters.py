"""Parameters: what cannot be meant is refused, with the key, the value and what is allowed."""

from __future__ import annotations

from typing import Any

import pytest

from risk_daemon.core.instrument import UNIT, show
from risk_daemon.core.instrument import parse as units
from risk_daemon.rules import CATALOG, ParameterError, parse
from risk_daemon.rules.daily_combined_loss import DailyCombinedLoss
from risk_daemon.rules.daily_realized_loss import DailyRealizedLoss
from risk_daemon.rules.end_of_day_flatten import EndOfDayFlatten
from risk_daemon.rules.max_contracts import MaxContracts
from risk_daemon.rules.no_stop_loss_grace import NoStopLossGrace
from risk_daemon.rules.parameters import SECOND
from risk_daemon.rules.trailing_max_drawdown import TrailingMaxDrawdown


def test_defaults_are_those_of_the_rules_page() -> None:
    assert parse("max-contracts", {"limit": 5}) == MaxContracts(
        limit=5 * UNIT,
        basis="gross",
        unit="contracts",
        include_working="cancel",
        action="reduce",
        reduce_order="lifo",
    )
    assert parse("daily-realized-loss", {"limit": "500.00"}) == DailyRealizedLoss(
        limit=500 * UNIT, buffer=0, pnl_basis="net"
    )
    assert parse("kill-switch", {}).priority == 0
    assert parse("daily-combined-loss", {"limit": "500"}) == DailyCombinedLoss(limit=500 * UNIT)
    assert parse("trailing-max-drawdown", {"drawdown": "3000", "start": "50000"}) == (
        TrailingMaxDrawdown(
            drawdown=3000 * UNIT,
            start=50_000 * UNIT,
            lock_at=50_000 * UNIT,
            trail="eod",
            buffer=150 * UNIT,
        )
    )
    small = parse("trailing-max-drawdown", {"drawdown": "1000", "start": "50000"})
    assert isinstance(small, TrailingMaxDrawdown)
    assert small.buffer == 100 * UNIT
    assert parse("no-stop-loss-grace", {}) == NoStopLossGrace(
        grace=30 * SECOND, replace_grace=10 * SECOND
    )
    assert parse("end-of-day-flatten", {}) == EndOfDayFlatten(
        flatten=15 * 3600 + 8 * 60, entries_lead=180 * SECOND, product_lead=600 * SECOND
    )
    assert parse("end-of-day-flatten", {"flatten": "15:08:30"}) == EndOfDayFlatten(
        flatten=15 * 3600 + 8 * 60 + 30, entries_lead=180 * SECOND, product_lead=600 * SECOND
    )


@pytest.mark.parametrize(
    ("rule", "params", "path"),
    [
        ("max-contracts", {}, "limit"),
        ("max-contracts", {"limit": -1}, "limit"),
        ("max-contracts", {"limit": True}, "limit"),
        ("max-contracts", {"limit": 2.5}, "limit"),
        ("max-contracts", {"limit": "many"}, "limit"),
        ("max-contracts", {"limit": 5, "basis": "grosss"}, "basis"),
        ("max-contracts", {"limit": 5, "lock": "15m"}, "lock"),
        ("max-contracts", {"limit": 5, "lock": {"trips": 0, "lock": "15m"}}, "lock.trips"),
        ("max-contracts", {"limit": 5, "lock": {"trips": True, "lock": "15m"}}, "lock.trips"),
        ("max-contracts", {"limit": 5, "lock": {"trips": 1, "lock": "0m"}}, "lock.lock"),
        ("max-contracts", {"limit": 5, "lock": {"trips": 1, "lock": "soon"}}, "lock.lock"),
        ("daily-realized-loss", {"limit": "0"}, "limit"),
        ("daily-realized-loss", {"limit": 500.5}, "limit"),
        ("daily-realized-loss", {"limit": "500", "buffer": "500"}, "buffer"),
        ("daily-realized-loss", {"limit": "500", "reset": "midnight"}, "reset"),
        ("daily-combined-loss", {"limit": "0"}, "limit"),
        ("daily-combined-loss", {"limit": "500", "buffer": "500"}, "buffer"),
        ("daily-combined-loss", {"limit": "500", "staged": "0.7"}, "staged"),
        ("daily-combined-loss", {"limit": "500", "staged": ["0.7"]}, "staged"),
        ("daily-combined-loss", {"limit": "500", "staged": [{"at": "0.7"}]}, "staged.0.at"),
        (
            "daily-combined-loss",
            {"limit": "500", "staged": [{"at": "1", "do": "reduce-only"}]},
            "staged.0.at",
        ),
        (
            "daily-combined-loss",
            {"limit": "500", "staged": [{"at": "0", "do": "reduce-only"}]},
            "staged.0.at",
        ),
        (
            "daily-combined-loss",
            {"limit": "500", "staged": [{"at": "1", "do": "dance"}]},
            "staged.0.do",
        ),
        ("trailing-max-drawdown", {"start": "50000"}, "drawdown"),
        ("trailing-max-drawdown", {"drawdown": "2000"}, "start"),
        ("trailing-max-drawdown", {"drawdown": "1", "start": "1", "trail": "daily"}, "trail"),
        ("end-of-day-flatten", {"flatten": "24:00"}, "flatten"),
        ("end-of-day-flatten", {"flatten": 908}, "flatten"),
        ("end-of-day-flatten", {"entries_lead": "3"}, "entries_lead"),
        ("no-stop-loss-grace", {"accept_stop_limit": "yes"}, "accept_stop_limit"),
        ("no-stop-loss-grace", {"action": "protect"}, "action"),
        ("no-stop-loss-grace", {"max_distance": -1}, "max_distance"),
        ("max-contracts-per-instrument", {}, "limits"),
        ("max-contracts-per-instrument", {"limits": {}}, "limits"),
        ("max-contracts-per-instrument", {"limits": {"MNQ": -1}}, "limits.MNQ"),
        ("max-contracts-per-instrument", {"limits": {"MNQ": True}}, "limits.MNQ"),
        ("max-contracts-per-instrument", {"limits": {"MNQQ": 1}}, "limits.MNQQ"),
        ("max-contracts-per-instrument", {"limits": {"%": 1}}, "limits.%"),
        ("max-contracts-per-instrument", {"limits": {"ES": 1}, "unlisted": "few"}, "unlisted"),
    ],
)
def test_a_wrong_value_is_refused_with_its_path(
    rule: str, params: dict[str, Any], path: str
) -> None:
    with pytest.raises(ParameterError) as caught:
        parse(rule, params)

    assert caught.value.path == path
    assert "allowed" in str(caught.value)


def test_an_unknown_key_is_an_error_that_names_the_nearest() -> None:
    with pytest.raises(ParameterError, match="did you mean 'limit'"):
        parse("max-contracts", {"limt": 5})
    with pytest.raises(ParameterError) as caught:
        parse("kill-switch", {"colour": "red"})
    assert "did you mean" not in str(caught.value)
    with pytest.raises(ParameterError) as caught:
        parse("max-contracts", {"limit": 5, "lock": {"trip": 1}})
    assert caught.value.path == "trip"


@pytest.mark.parametrize("span", ["30s", "15m", "2h", "1d"])
def test_durations_are_read_in_the_usual_units(span: str) -> None:
    found = parse("max-contracts", {"limit": 5, "lock": {"trips": 1, "lock": span}})

    assert isinstance(found, MaxContracts)
    seconds = {"s": 1, "m": 60, "h": 3600, "d": 86_400}[span[-1]] * int(span[:-1])
    assert found.lock_for == seconds * 1_000_000_000


def test_the_catalogue_names_each_rule_by_itself() -> None:
    assert {name: kind.name for name, kind in CATALOG.items()} == {
        name: name
        for name in (
            "kill-switch",
            "trailing-max-drawdown",
            "daily-combined-loss",
            "daily-realized-loss",
            "end-of-day-flatten",
            "max-contracts",
            "max-contracts-per-instrument",
            "no-stop-loss-grace",
        )
    }
    assert all(kind.summary for kind in CATALOG.values())


@pytest.mark.parametrize(
    ("rule", "required"),
    [
        ("max-contracts", {"limit": 5}),
        ("daily-realized-loss", {"limit": "500"}),
        ("kill-switch", {}),
        ("daily-combined-loss", {"limit": "500"}),
        ("end-of-day-flatten", {}),
        ("no-stop-loss-grace", {}),
        ("max-contracts-per-instrument", {"limits": {"ES": 1}}),
    ],
)
def test_a_default_said_aloud_changes_nothing(rule: str, required: dict[str, Any]) -> None:
    kind = CATALOG[rule]

    assert parse(rule, {**kind.defaults, **required}) == parse(rule, required)
    assert kind.defaults.keys() | required.keys() == kind.parameters.keys()


@pytest.mark.parametrize("rule", sorted(CATALOG))
def test_what_a_rule_says_of_its_parameters_is_about_its_own(rule: str) -> None:
    kind = CATALOG[rule]

    assert kind.defaults.keys() <= kind.parameters.keys()
    assert kind.tighter.keys() <= kind.parameters.keys()
    assert all(
        way in ("lower", "higher") or isinstance(way, tuple) for way in kind.tighter.values()
    )


LEAST, MOST = "0.000000001", "0.999999999"


@pytest.mark.parametrize("shares", [[LEAST], [MOST], [LEAST, MOST], ["0.2", "0.5", MOST]])
def test_shares_lie_between_nothing_and_the_whole(shares: list[str]) -> None:
    assert parse("daily-realized-loss", {"limit": "500", "warn_at": shares}) is not None


@pytest.mark.parametrize(
    "shares",
    [["0"], ["1"], ["0", "0.5"], ["0.2", "1"], ["0.2", "0.5", "1"], ["0.5", "0.5"], ["0.5", "0.2"]],
)
def test_and_rise(shares: list[str]) -> None:
    with pytest.raises(ParameterError, match="warn_at"):
        parse("daily-realized-loss", {"limit": "500", "warn_at": shares})


@pytest.mark.parametrize(
    ("text", "seconds"), [("1s", 1), ("2m", 120), ("3h", 10_800), ("4d", 345_600), ("15m", 900)]
)
def test_a_duration_is_read_to_the_second(text: str, seconds: int) -> None:
    found = parse("no-stop-loss-grace", {"grace": text})

    assert isinstance(found, NoStopLossGrace)
    assert found.grace == seconds * SECOND == seconds * 1_000_000_000


@pytest.mark.parametrize(
    ("text", "second"),
    [("00:00", 0), ("23:59:59", 86_399), ("15:08", 54_480), ("15:08:01", 54_481)],
)
def test_a_wall_time_is_read_to_the_second(text: str, second: int) -> None:
    found = parse("end-of-day-flatten", {"flatten": text})

    assert isinstance(found, EndOfDayFlatten)
    assert found.flatten == second


@pytest.mark.parametrize(
    ("drawdown", "buffer"), [("1999.99", 100), ("2000", 100), ("2000.20", "100.01"), ("4000", 200)]
)
def test_the_usual_buffer_is_a_hundred_or_a_twentieth(drawdown: str, buffer: object) -> None:
    found = parse("trailing-max-drawdown", {"drawdown": drawdown, "start": "50000"})

    assert isinstance(found, TrailingMaxDrawdown)
    assert found.buffer == units(str(buffer))


@pytest.mark.parametrize(
    ("rule", "key", "least"),
    [
        ("daily-realized-loss", "limit", "0.000000001"),
        ("daily-combined-loss", "limit", "0.000000001"),
        ("max-contracts", "limit", "0"),
    ],
)
def test_a_limit_may_be_as_small_as_the_smallest_unit(rule: str, key: str, least: str) -> None:
    assert parse(rule, {key: least}) is not None
    below = units(least) - 1
    with pytest.raises(ParameterError, match=key):
        parse(rule, {key: show(below)})
