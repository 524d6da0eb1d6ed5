"""The rules' own numbers: what they weigh, who names an incident first, what they remember."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from risk_daemon.core.decision import NO_PRICE, Breach, Clear, Finding, Quiet, Several
from risk_daemon.core.events import LockPlaced, Pulse
from risk_daemon.core.instrument import UNIT
from risk_daemon.rules import CATALOG, parse
from risk_daemon.rules.weights import family_of, mini_weight
from tests.build import (
    MS,
    SECOND,
    WEDNESDAY_TEN,
    Stream,
    contract,
    goals,
    of_kind,
    order,
    position,
    rule,
    trade,
)

MNQ, ES = contract("MNQ"), contract("ES")
GIVEN: Mapping[str, dict[str, Any]] = {
    "max-contracts": {"limit": 5},
    "max-contracts-per-instrument": {"limits": {"MNQ": 5}},
    "daily-realized-loss": {"limit": "500"},
    "daily-combined-loss": {"limit": "1000"},
    "trailing-max-drawdown": {"drawdown": "2000", "start": "50000"},
}


def check(stream: Stream, name: str) -> Finding:
    (found,) = [one for _, one in stream.engine.rules_of(stream.account) if one.name == name]
    return found.check(stream.engine.world, stream.account)


def quiet(stream: Stream, name: str) -> Mapping[str, Quiet] | None:
    (found,) = [one for _, one in stream.engine.rules_of(stream.account) if one.name == name]
    return found.quiet(stream.engine.world, stream.account)


def test_the_smallest_number_names_an_incident_and_a_person_stands_above_all() -> None:
    assert {name: parse(name, GIVEN.get(name, {})).priority for name in CATALOG} == {
        "kill-switch": 0,
        "trailing-max-drawdown": 10,
        "daily-combined-loss": 20,
        "daily-realized-loss": 20,
        "end-of-day-flatten": 30,
        "max-contracts": 40,
        "max-contracts-per-instrument": 40,
        "no-stop-loss-grace": 50,
    }


def test_rules_that_look_at_no_price_are_quiet_at_every_price() -> None:
    for name in (
        "kill-switch",
        "daily-realized-loss",
        "end-of-day-flatten",
        "max-contracts",
        "max-contracts-per-instrument",
    ):
        stream = Stream().open(rule(name, **GIVEN.get(name, {})))
        assert quiet(stream, name) == {}


# --- weights --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("micro", "full", "make_one"),
    [
        ("MES", "ES", 10),
        ("MNQ", "NQ", 10),
        ("M2K", "RTY", 10),
        ("MYM", "YM", 10),
        ("MCL", "CL", 10),
        ("QM", "CL", 2),
        ("MNG", "NG", 10),
        ("QG", "NG", 4),
        ("MGC", "GC", 10),
        ("SIL", "SI", 5),
        ("MHG", "HG", 10),
        ("M6E", "6E", 10),
        ("E7", "6E", 2),
        ("M6B", "6B", 10),
        ("M6A", "6A", 10),
        ("MBT", "BTC", 50),
        ("MET", "ETH", 500),
    ],
)
def test_a_micro_is_the_part_of_its_full_contract_that_the_page_says(
    micro: str, full: str, make_one: int
) -> None:
    assert mini_weight(micro) * make_one == mini_weight(full) == UNIT
    assert family_of(micro) == family_of(full) == full


# --- sizes ------------------------------------------------------------------------------


def test_a_size_is_found_with_the_share_of_its_limit() -> None:
    stream = Stream().open(rule("max-contracts", limit=4))
    stream.fill(1, 1, 3)

    assert check(stream, "max-contracts") == Clear(
        figure=3 * UNIT, bound=4 * UNIT, places=0, used=3 * UNIT // 4
    )


def test_of_several_roots_the_one_nearest_to_its_limit_is_shown() -> None:
    stream = Stream().open(
        rule("max-contracts-per-instrument", limits={"ES": 4, "MNQ": 4, "CL": 9})
    )
    stream.fill(1, 1, 1, "ES")
    stream.fill(2, 1, 3)
    stream.fill(3, 1, 5, "CL")

    found = check(stream, "max-contracts-per-instrument")

    assert isinstance(found, Clear)
    assert (found.figure, found.bound) == (3 * UNIT, 4 * UNIT)


@pytest.mark.parametrize("unlisted", [{}, {"unlisted": "unlimited"}, {"unlisted": 9}])
def test_a_root_that_is_not_listed_has_the_limit_of_the_others_or_none(
    unlisted: dict[str, Any],
) -> None:
    stream = Stream().open(rule("max-contracts-per-instrument", limits={"ES": 4}, **unlisted))
    stream.fill(1, 1, 9)

    found = check(stream, "max-contracts-per-instrument")

    bound = 9 * UNIT if unlisted.get("unlisted") == 9 else None
    assert isinstance(found, Clear)
    assert found.bound == bound


@pytest.mark.parametrize(
    ("reduce_order", "limit", "caps"),
    [
        ("lifo", 5, ((ES, 0),)),
        ("lifo", 4, ((ES, 0), (MNQ, 4))),
        ("largest", 4, ((MNQ, 2),)),
        ("worst-pnl", 6, ((ES, 1),)),
        ("worst-pnl", 3, ((ES, 0), (MNQ, 3))),
    ],
)
def test_the_excess_is_taken_off_in_the_order_that_is_asked_for(
    reduce_order: str, limit: int, caps: tuple[tuple[str, int], ...]
) -> None:
    stream = Stream().open(rule("kill-switch"))
    stream.mark("MNQ", "21000", "21000.25")
    stream.mark("ES", "5990", "5990.25")
    stream.fill(1, 1, 5)
    stream.fill(2, 1, 2, "ES", price="6000")
    sized = parse("max-contracts", {"limit": limit, "reduce_order": reduce_order})

    found = sized.check(stream.engine.world, stream.account)

    assert isinstance(found, Breach)
    assert found.remedy.allowed == caps


@pytest.mark.parametrize("trips", [1, 2, 3])
def test_a_lock_comes_with_the_trip_that_is_asked_for_and_lasts_as_long(trips: int) -> None:
    stream = Stream().open(rule("max-contracts", limit=1, lock={"trips": trips, "lock": "15m"}))
    for trip in range(1, trips + 1):
        outputs = stream.fill(2 * trip, 1, 2)
        assert len(of_kind(outputs, LockPlaced)) == (trip == trips)
        if trip < trips:
            stream.fill(2 * trip + 1, -1, 2)

    (lock,) = of_kind(stream.outputs, LockPlaced)
    assert (lock.mode, lock.until) == ("reduce-only", lock.began_at + 900 * SECOND)


@pytest.mark.parametrize("trips", [1, 2])
def test_a_missing_stop_locks_with_the_trip_that_is_asked_for(trips: int) -> None:
    stream = Stream().open(
        rule("no-stop-loss-grace", grace="2s", lock={"trips": trips, "lock": "15m"})
    )
    stream.fill(1, 1, 1)

    outputs = stream.pulse(4 * SECOND)

    assert [goal.act for goal in goals(outputs) if goal.act != "look"] == ["close"]
    assert len(of_kind(outputs, LockPlaced)) == (trips == 1)


# --- losses ------------------------------------------------------------------------------


def test_a_realized_loss_is_found_with_the_share_of_its_limit_and_a_profit_with_less() -> None:
    stream = Stream().open(rule("daily-realized-loss", limit="400"))
    stream.feed(trade(1, -1, 1, pnl=-100 * UNIT), position(-1))
    assert check(stream, "daily-realized-loss") == Clear(
        figure=-100 * UNIT, bound=-400 * UNIT, used=UNIT // 4
    )

    stream.feed(trade(2, -1, 1, pnl=200 * UNIT), position(-2))
    assert check(stream, "daily-realized-loss") == Clear(
        figure=100 * UNIT, bound=-400 * UNIT, used=-UNIT // 4
    )


def test_an_open_loss_counts_with_what_leaving_costs_and_prices_move_all_of_its_limit() -> None:
    stream = Stream().open(rule("daily-combined-loss", limit="1000", est_exit_fees="5"))
    stream.mark("MNQ", "20900", "20900.25")
    stream.mark("ES", "6000", "6000.25")
    stream.feed(position(1, "ES"))
    stream.fill(1, 1, 2, fees=6 * UNIT)

    stream.feed(position(0, "ES"))

    # 400 open, 6 for the way in, and 3 for each of two contracts on the way out, as it cost last.
    assert check(stream, "daily-combined-loss") == Clear(
        figure=-412 * UNIT, bound=-1000 * UNIT, used=412 * UNIT // 1000, whole=1000 * UNIT
    )


def test_equity_is_found_with_the_share_of_the_drawdown_that_is_gone() -> None:
    stream = Stream().open(rule("trailing-max-drawdown", drawdown="2000", start="50000"))
    stream.feed(trade(1, 1, 1, pnl=-500 * UNIT), position(0), trade(2, -1, 1, pnl=0))

    found = check(stream, "trailing-max-drawdown")

    assert isinstance(found, Clear)
    assert (found.figure, found.bound) == (49_500 * UNIT, 48_000 * UNIT)
    assert (found.used, found.whole) == (UNIT // 4, 2000 * UNIT)


@pytest.mark.parametrize(
    ("params", "first"),
    [
        ({}, 1000),
        ({"buffer": "100"}, 900),
        ({"staged": [{"at": "0.5", "do": "reduce-only"}, {"at": "1", "do": "flatten-lock"}]}, 500),
    ],
    ids=["the limit", "the buffer before it", "the first stage"],
)
def test_prices_are_quiet_down_to_what_comes_first_with_what_leaving_costs(
    params: dict[str, Any], first: int
) -> None:
    stream = Stream().open(rule("daily-combined-loss", limit="1000", **params))
    stream.mark("MNQ", "21000", "21000")
    stream.fill(1, 1, 1, fees=6 * UNIT)

    # 6 for the way in and 6 for the way out are gone; a point is 2.00.
    points = (first - 12) // 2
    assert quiet(stream, "daily-combined-loss") == {
        MNQ: Quiet(low=(21_000 - points) * UNIT + 1, high=None)
    }


@pytest.mark.parametrize(
    ("params", "bound"),
    [
        ({"buffer": "0"}, 48_400),
        ({"buffer": "600"}, 48_600),
        ({"buffer": "0", "floor_override": "49000"}, 49_400),
    ],
    ids=["a fifth above the floor", "the buffer above it", "above a floor that was set"],
)
def test_prices_are_quiet_while_equity_stays_above_where_a_drawdown_acts(
    params: dict[str, Any], bound: int
) -> None:
    stream = Stream().open(rule("trailing-max-drawdown", drawdown="2000", start="50000", **params))
    stream.mark("MNQ", "21000", "21000")
    stream.fill(1, 1, 1)

    points = (50_000 - bound) // 2
    assert quiet(stream, "trailing-max-drawdown") == {
        MNQ: Quiet(low=(21_000 - points) * UNIT + 1, high=None)
    }


def test_and_up_to_the_high_water_mark_where_the_floor_follows_equity() -> None:
    following = {"trail": "intraday-equity", "lock_at": "60000", "buffer": "0"}
    stream = Stream().open(
        rule("trailing-max-drawdown", drawdown="2000", start="50000", **following)
    )
    stream.mark("MNQ", "21000", "21000")
    stream.fill(1, 1, 1)
    stream.mark("MNQ", "21100", "21100")
    stream.mark("MNQ", "21050", "21050")

    # Equity was 50,200 and is 50,100: the floor is 48,200, and the rule acts at 48,600.
    assert quiet(stream, "trailing-max-drawdown") == {
        MNQ: Quiet(low=20_300 * UNIT + 1, high=21_100 * UNIT - 1)
    }


def test_the_stage_and_the_floor_of_a_drawdown_are_findings_of_their_own() -> None:
    found = []
    for price in ("20200", "20000"):
        stream = Stream().open(
            rule("trailing-max-drawdown", drawdown="2000", start="50000", buffer="0")
        )
        stream.mark("MNQ", price, price)
        stream.fill(1, 1, 1)
        finding = check(stream, "trailing-max-drawdown")
        assert isinstance(finding, Breach)
        remedy = finding.remedy
        assert remedy.lock is not None
        found.append((finding.part, remedy.lock.mode, remedy.flatten, remedy.cancel))

    assert found == [
        ("stage", "reduce-only", False, "increasing"),
        ("", "full", True, "all"),
    ]


# --- stops ----------------------------------------------------------------------------------


def test_a_rule_that_waits_for_nothing_asks_for_no_instant() -> None:
    for name in CATALOG:
        stream = Stream().open(rule(name, **GIVEN.get(name, {})))
        found = check(stream, name)
        assert isinstance(found, Clear)
        assert found.wake_at == 0 or name == "end-of-day-flatten"


def test_what_has_no_stop_is_counted_and_its_deadline_waited_for() -> None:
    stream = Stream().open(rule("no-stop-loss-grace", grace="2s"))
    stream.mark("MNQ", "21000", "21000.25")
    stream.fill(1, 1, 3)
    began = stream.at - MS

    found = check(stream, "no-stop-loss-grace")

    assert isinstance(found, Clear)
    assert (found.observed, found.limit) == ("3", "0")
    assert found.wake_at == began + 2 * SECOND
    assert stream.account.memory["no-stop-loss-grace"] == {
        f"{MNQ} epoch": 0,
        f"{MNQ} covered": 0,
        f"{MNQ} size": 3,
        f"{MNQ} due {began + 2 * SECOND}": 3,
    }


@pytest.mark.parametrize(
    ("held", "stop", "low", "high"),
    [
        (2, -8, 1, None),
        (2, 8, None, 0),
        (-2, 8, None, -1),
        (-2, -8, 0, None),
        (2, 0, None, 0),
        (-2, 0, 0, None),
    ],
)
def test_a_stop_is_good_on_its_side_of_the_market_to_the_last_unit(
    held: int, stop: int, low: int | None, high: int | None
) -> None:
    stream = Stream().open(rule("no-stop-loss-grace", grace="2s"))
    stream.mark("MNQ", "21000", "21000")
    stream.fill(1, 1 if held > 0 else -1, 2)
    price = 21_000 * UNIT + stop * UNIT
    stream.feed(order(11, -1 if held > 0 else 1, 2, type=4, stop_price=price))

    found = quiet(stream, "no-stop-loss-grace")

    assert found == {
        MNQ: Quiet(None if low is None else price + low, None if high is None else price + high)
    }


def test_a_stop_that_may_also_be_too_far_off_is_judged_at_every_price() -> None:
    stream = Stream().open(rule("no-stop-loss-grace", grace="2s", max_distance=40))
    stream.mark("MNQ", "21000", "21000")
    stream.fill(1, 1, 2)
    stream.feed(order(11, -1, 2, type=4, stop_price=20_995 * UNIT))

    assert isinstance(check(stream, "no-stop-loss-grace"), Clear)
    assert quiet(stream, "no-stop-loss-grace") is NO_PRICE


def test_when_a_grace_ends_the_account_is_read_and_a_second_later_it_is_closed() -> None:
    stream = Stream().open(rule("no-stop-loss-grace", grace="2s"))
    stream.mark("MNQ", "21000", "21000.25")
    stream.fill(1, 1, 3)
    ends_at = stream.account.wake_at

    assert goals(stream.feed(Pulse(), after=ends_at - stream.at - 1)) == []
    assert [goal.act for goal in goals(stream.feed(Pulse(), after=1))] == ["look"]
    assert stream.account.wake_at == ends_at + SECOND
    assert goals(stream.feed(Pulse(), after=SECOND - 1)) == []
    assert [goal.act for goal in goals(stream.feed(Pulse(), after=1))] == ["close"]


def test_past_every_table_the_day_has_ended_and_no_instant_is_waited_for() -> None:
    stream = Stream().open(rule("end-of-day-flatten"))
    stream.engine.world.at = 2 * WEDNESDAY_TEN

    found = check(stream, "end-of-day-flatten")

    assert isinstance(found, Several)
    assert found.wake_at == 0
    assert [one.remedy.lock and one.remedy.lock.until for one in found.breaches] == [None]


# --- shares that are told --------------------------------------------------------------


def test_prices_are_quiet_up_to_the_next_share_less_what_rounding_may_hide() -> None:
    stream = Stream().open(rule("daily-combined-loss", limit="1000", warn_at=["0.5", "0.8"]))
    stream.mark("MNQ", "21000", "21000")
    stream.fill(1, 1, 1)
    # 500 of loss are 250 points. The share is rounded down by at most a unit of 1e-9, which is
    # 1000 units of money here, and the money of a contract by one more: 1001 units, 501 in price.
    assert quiet(stream, "daily-combined-loss") == {MNQ: Quiet(low=20_750 * UNIT + 501)}

    stream.mark("MNQ", "20750", "20750")
    assert stream.account.warned == {"daily-combined-loss": UNIT // 2}
    assert quiet(stream, "daily-combined-loss") == {MNQ: Quiet(low=20_600 * UNIT + 501)}

    stream.mark("MNQ", "20600", "20600")
    # Beyond the last share only the limit is ahead.
    assert quiet(stream, "daily-combined-loss") == {MNQ: Quiet(low=20_500 * UNIT + 1)}


def test_a_price_at_which_a_share_has_yet_to_be_told_is_not_quiet() -> None:
    stream = Stream().open(rule("daily-combined-loss", limit="1000", warn_at=["0.5"]))
    stream.mark("MNQ", "20750", "20750")
    stream.fill(1, 1, 1)
    assert stream.account.warned == {"daily-combined-loss": UNIT // 2}

    stream.account.warned = {}
    assert quiet(stream, "daily-combined-loss") is None


def test_a_share_of_a_size_is_told_at_no_price() -> None:
    stream = Stream().open(rule("max-contracts", limit=5, warn_at=["0.8"]))
    stream.mark("MNQ", "21000", "21000")
    stream.fill(1, 1, 1)

    assert quiet(stream, "max-contracts") == {}


@pytest.mark.parametrize(("trips", "locked"), [(1, [1, 2]), (2, [2]), (3, [])])
def test_a_repeat_begins_with_the_trip_that_is_named(trips: int, locked: list[int]) -> None:
    repeat = {"trips": trips, "lockout": "1s", "mode": "reduce-only"}
    stream = Stream().open(rule("max-contracts", limit=1, on_repeat=repeat))
    found = []
    for trip in (1, 2):
        if of_kind(stream.fill(2 * trip, 1, 2), LockPlaced):
            found.append(trip)
        stream.fill(2 * trip + 1, -1, 2)
        stream.pulse(5 * SECOND)

    assert found == locked


@pytest.mark.parametrize(
    ("include", "text", "doomed"),
    [
        ("count", "working orders could reach 5, the limit is 4", ()),
        ("cancel", "working orders could reach 5, the limit is 4: newest cancelled", (12,)),
    ],
)
def test_orders_that_could_reach_too_far_are_told_of_in_whole_contracts(
    include: str, text: str, doomed: tuple[int, ...]
) -> None:
    stream = Stream().open(rule("kill-switch"))
    stream.fill(1, 1, 2)
    stream.feed(order(11, 1, 2), order(12, 1, 1))
    sized = parse("max-contracts", {"limit": 4, "include_working": include})

    found = sized.check(stream.engine.world, stream.account)

    assert isinstance(found, Breach)
    assert (found.text, found.observed, found.limit) == (text, "5", "4")
    assert found.remedy.cancel_orders == doomed
    assert found.part == "working"
