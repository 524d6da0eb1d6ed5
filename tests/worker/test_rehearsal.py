"""`test-rule`: trips on a generated breach, not on a near miss, and shows what it would ask for."""

from __future__ import annotations

from typing import Any

import pytest

from risk_daemon.core.events import PositionChanged, TradeSeen
from risk_daemon.core.world import state_hash
from risk_daemon.rules import CATALOG
from risk_daemon.rules.rehearsal import Moment
from risk_daemon.worker.rehearsal import rehearse
from tests.build import ACCOUNT, SECOND, WEDNESDAY_TEN, Stream, rule

FOLLOWING = {"drawdown": "2500", "start": "50000", "buffer": "100", "lock_at": "60000"}
STAGED = [{"at": "0.7", "do": "reduce-only"}, {"at": "1", "do": "flatten-lock"}]

NIGHTS = [{"days": ["mon", "tue", "wed", "thu"], "from": "20:00", "to": "02:00"}]


@pytest.mark.parametrize(
    ("name", "params", "request_"),
    [
        ("max-contracts", {"limit": 5}, "reduce"),
        ("max-contracts", {"limit": 0}, "close"),
        ("max-contracts", {"limit": 5, "unit": "mini-equivalents"}, "reduce"),
        ("daily-realized-loss", {"limit": "500"}, "close"),
        ("daily-realized-loss", {"limit": "500", "buffer": "100", "pnl_basis": "gross"}, "close"),
        ("kill-switch", {}, "close"),
        ("daily-combined-loss", {"limit": "1000"}, "close"),
        ("daily-combined-loss", {"limit": "1000", "buffer": "100", "est_exit_fees": "2"}, "close"),
        ("daily-combined-loss", {"limit": "9000000"}, "close"),
        ("daily-combined-loss", {"limit": "1000", "staged": STAGED}, "close"),
        ("trailing-max-drawdown", {"drawdown": "2000", "start": "50000"}, "close"),
        ("trailing-max-drawdown", {**FOLLOWING, "trail": "intraday-equity"}, "close"),
        ("trailing-max-drawdown", {**FOLLOWING, "trail": "static"}, "close"),
        ("trailing-max-drawdown", {**FOLLOWING, "floor_override": "0"}, "close"),
        ("no-stop-loss-grace", {}, "close"),
        ("no-stop-loss-grace", {"action": "close-uncovered"}, "close"),
        ("end-of-day-flatten", {}, "close"),
        ("max-contracts-per-instrument", {"limits": {"MNQ": 5}}, "reduce"),
        ("max-contracts-per-instrument", {"limits": {"CL": 0}}, "close"),
        ("max-contracts", {"limit": 5, "schedule": NIGHTS}, "reduce"),
        ("daily-combined-loss", {"limit": "1000", "schedule": NIGHTS, "lockout": "none"}, "close"),
        ("daily-realized-loss", {"limit": "500", "reason_text": "why"}, "close"),
    ],
)
@pytest.mark.parametrize("roots", [("ES", "MNQ"), ()])
def test_each_rule_passes_with_its_real_limits(
    name: str, params: dict[str, Any], request_: str, roots: tuple[str, ...]
) -> None:
    stream = Stream().open(rule(name, **params), roots=roots)

    found = rehearse(stream.engine, ACCOUNT, name)

    assert found.result == "pass"
    assert found.request.startswith(request_)
    assert "clear" in found.trips[0]


@pytest.mark.parametrize("mode", ["alert", "shadow"])
def test_a_rule_that_only_tells_has_to_trip_and_asks_for_nothing(mode: str) -> None:
    stream = Stream().open(rule("max-contracts", mode, limit=5))

    found = rehearse(stream.engine, ACCOUNT, "max-contracts")

    assert (found.result, found.request) == ("pass", f"none: its mode is {mode}")
    assert "holds 6 contracts" in found.trips[1]


COSTLY = {"limit": "1000", "buffer": "100", "est_exit_fees": "2"}
OVER = {"limit": "1000", "staged": STAGED}


@pytest.mark.parametrize(
    ("name", "params", "roots", "near", "breach"),
    [
        ("max-contracts", {"limit": 5}, ("ES",), "5 against 5", "holds 6 contracts (gross)"),
        (
            "max-contracts",
            {"limit": 5, "unit": "mini-equivalents"},
            (),
            "5 against 5",
            "holds 5.1 mini-equivalents (gross)",
        ),
        ("max-contracts", {"limit": 0}, (), "0 against 0", "holds 1 contracts (gross)"),
        (
            "max-contracts-per-instrument",
            {"limits": {"MNQ": 5}},
            ("ES", "MNQ"),
            "5 against 5",
            "MNQ: holds 6 contracts (gross)",
        ),
        (
            "daily-realized-loss",
            {"limit": "500", "buffer": "100"},
            ("ES",),
            "-399.999999999 against -500.00",
            "realized -400.00 today (net)",
        ),
        ("daily-combined-loss", {"limit": "1000"}, ("ES",), "-987.50 against", "day P&L -1000.00"),
        ("daily-combined-loss", {"limit": "1000"}, (), "-999.50 against", "day P&L -1000.00"),
        ("daily-combined-loss", COSTLY, ("ES",), "-887.50 against", "day P&L -900.00"),
        ("daily-combined-loss", COSTLY, (), "-897.50 against", "day P&L -900.00"),
        ("daily-combined-loss", OVER, ("ES",), "-687.50 against", "day P&L -1000.00"),
        (
            "daily-combined-loss",
            {"limit": "9000000"},
            ("ES",),
            "-8999825.00 against",
            "day P&L -9000062.50",
        ),
        (
            "daily-combined-loss",
            {"limit": "1000000"},
            (),
            "-999982.50 against",
            "day P&L -1000008.00",
        ),
        (
            "trailing-max-drawdown",
            {"drawdown": "2000", "start": "50000"},
            ("ES",),
            "52200.00 against 48000.00",
            "equity 48000.00, the drawdown's floor is 48000.00",
        ),
        (
            "trailing-max-drawdown",
            {**FOLLOWING, "trail": "intraday-equity"},
            (),
            "52700.00 against 50200.00",
            "equity 47500.00, the drawdown's floor is 50200.00",
        ),
        (
            "trailing-max-drawdown",
            {**FOLLOWING, "floor_override": "0"},
            ("ES",),
            "50000.00 against 0.00",
            "equity 0.00, the drawdown's floor is 0.00",
        ),
        (
            "no-stop-loss-grace",
            {},
            ("ES",),
            "1 against 0",
            "CON.F.US.ES.Z26: 1 of 1 had no protective stop",
        ),
        (
            "end-of-day-flatten",
            {},
            ("ES",),
            "Wed 18 Nov 15:04:59 Chicago against Wed 18 Nov 15:08:00 Chicago",
            "the day ended at Wed 18 Nov 15:08:00 Chicago",
        ),
        ("kill-switch", {}, ("ES",), " against ", "test-rule ordered flatten-lock: rehearsal"),
    ],
)
def test_a_near_miss_is_the_nearest_there_is_and_the_breach_the_first(
    name: str, params: dict[str, Any], roots: tuple[str, ...], near: str, breach: str
) -> None:
    stream = Stream().open(rule(name, **params), roots=roots)

    found = rehearse(stream.engine, ACCOUNT, name)

    assert found.trips[0].startswith(f"near miss: {near}")
    assert found.trips[1].startswith(f"breach: {breach}")


@pytest.mark.parametrize(
    ("name", "params", "near", "breach"),
    [
        ("no-stop-loss-grace", {"grace": "5s"}, 5 * SECOND - 1, 6 * SECOND),
        ("end-of-day-flatten", {}, 18_300 * SECOND - 1, 18_480 * SECOND),
    ],
)
def test_a_clock_that_breaks_a_rule_is_set_to_its_last_and_its_first_instant(
    name: str, params: dict[str, Any], near: int, breach: int
) -> None:
    stream = Stream().open(rule(name, **params))
    world = stream.engine.world
    world.at = WEDNESDAY_TEN

    found = CATALOG[name].rehearsal(CATALOG[name](params), world, stream.account)

    ends = [max(one.at for one in facts if isinstance(one, Moment)) for facts in found]
    assert ends == [WEDNESDAY_TEN + near, WEDNESDAY_TEN + breach]


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("max-contracts", {"limit": 5}),
        ("max-contracts-per-instrument", {"limits": {"MNQ": 5}}),
        ("daily-realized-loss", {"limit": "500"}),
        ("daily-combined-loss", {"limit": "1000"}),
        ("trailing-max-drawdown", {"drawdown": "2000", "start": "50000"}),
        ("no-stop-loss-grace", {}),
        ("end-of-day-flatten", {}),
        ("kill-switch", {}),
    ],
)
def test_what_a_rehearsal_fills_is_what_it_shows_as_held(name: str, params: dict[str, Any]) -> None:
    stream = Stream().open(rule(name, **params))

    for facts in CATALOG[name].rehearsal(
        CATALOG[name](params), stream.engine.world, stream.account
    ):
        filled = sum(one.side * one.size for one in facts if isinstance(one, TradeSeen))
        shown = [one.quantity for one in facts if isinstance(one, PositionChanged)]
        assert shown[-1] == filled != 0


def test_it_leaves_the_account_as_it_was() -> None:
    stream = Stream().open(rule("max-contracts", limit=1))
    stream.fill(1, 1, 2)
    before = state_hash(stream.account)

    assert rehearse(stream.engine, ACCOUNT, "max-contracts").result == "pass"

    assert state_hash(stream.account) == before


def test_a_rule_the_account_does_not_have_is_not_configured() -> None:
    stream = Stream().open(rule("kill-switch"))

    assert rehearse(stream.engine, ACCOUNT, "max-contracts").result == "not configured"
