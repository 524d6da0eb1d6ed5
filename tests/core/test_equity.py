"""Equity: the balance as our fills make it, and what the broker says of it beside."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from risk_daemon.core import account as fold
from risk_daemon.core.events import AccountSeen, AlarmRaised, Fact
from risk_daemon.core.instrument import UNIT, divide, show
from risk_daemon.core.instrument import parse as units
from tests.build import (
    ACCOUNT,
    LOGIN,
    SECOND,
    WEDNESDAY_RESET,
    WEDNESDAY_TEN,
    Stream,
    contract,
    goals,
    of_kind,
    position,
    reading,
    rule,
    trade,
)

FEE = UNIT // 2


def balance(amount: str) -> AccountSeen:
    return AccountSeen(
        account=ACCOUNT, login=LOGIN, name="NORTH-1", balance=units(amount), can_trade=True
    )


def equity_of_ledger(stream: Stream) -> int:
    """The balance as our fills make it, whatever is held."""
    assert stream.account.ledger is not None
    return stream.account.ledger


def equity(stream: Stream) -> int | None:
    world = stream.engine.world
    return fold.equity(stream.account, world.marks, world.instruments)


def holding_two() -> Stream:
    """Two micros long at 21,000, the market at 20,970: 120.00 down."""
    stream = Stream().open(rule("kill-switch"))
    stream.fill(1, 1, 2)
    stream.mark("MNQ", "20970", "20970")
    return stream


def messages_of_a_close() -> list[Fact]:
    return [
        trade(2, -1, 2, "20970", pnl=-120 * UNIT, fees=FEE),
        position(0),
        balance("49879.50"),
    ]


@given(st.data())
@settings(max_examples=60)
def test_equity_takes_only_its_value_before_and_its_value_after_a_fill(data: st.DataObject) -> None:
    parts = messages_of_a_close()
    delivery = data.draw(
        st.lists(st.sampled_from(parts), max_size=6).map(lambda more: [*more, *parts])
    )
    delivery = data.draw(st.permutations(delivery))
    stream = holding_two()
    seen = {equity(stream)}
    for message in delivery:
        stream.feed(message)
        seen.add(equity(stream))

    assert seen == {units("49880"), units("49879.50")}
    assert stream.account.differs_since == 0


def test_a_balance_that_moved_without_a_trade_is_unknown_after_a_second_and_read_once() -> None:
    stream = Stream().open(rule("kill-switch"))
    stream.feed(balance("49000"))

    assert goals(stream.pulse(SECOND - 2)) == []
    (look,) = goals(stream.pulse(2))
    assert look.act == "look"
    assert "balance" in stream.account.doubts
    assert equity(stream) == 50_000 * UNIT
    assert goals(stream.pulse()) == []


def test_a_trade_found_by_the_read_explains_it() -> None:
    stream = Stream().open(rule("kill-switch"))
    stream.feed(balance("49879.50"))
    stream.pulse()
    missed = trade(5, -1, 1, "20970", pnl=-120 * UNIT, fees=FEE)
    stream.feed(reading(missed, began_at=stream.at, balance=units("49879.50")))

    assert stream.account.differs_since == 0
    assert equity(stream) == units("49879.50")
    assert stream.account.realized_net == units("-120.50")


def test_none_after_a_successful_read_is_an_adjustment_and_no_loss() -> None:
    stream = Stream().open(rule("kill-switch"))
    stream.feed(balance("49000"))
    stream.pulse()
    found = stream.feed(reading(began_at=stream.at, balance=units("49000")))

    assert "adjustment" in of_kind(found, AlarmRaised)[0].text
    assert equity(stream) == 49_000 * UNIT
    assert stream.account.realized_net == 0
    assert "balance" not in stream.account.doubts


@pytest.mark.parametrize(("shown", "differs"), [("49999.99", False), ("49999.989999999", True)])
def test_a_cent_is_how_the_broker_rounds_and_no_difference(shown: str, differs: bool) -> None:
    stream = Stream().open(rule("kill-switch"))
    stream.feed(balance(shown))
    stream.pulse()

    assert bool(stream.account.differs_since) is differs
    assert ("balance" in stream.account.doubts) is differs


def test_fractions_of_cents_against_an_average_price_are_no_payout() -> None:
    """Three contracts at two prices have an average with no end; the broker shows cents."""
    stream = Stream().open(rule("kill-switch"))
    exact = 50_000 * UNIT
    for number in range(1, 41):
        pnl = -4 * UNIT // 3
        stream.feed(trade(number, 1 if number % 2 else -1, 1, pnl=pnl, fees=0))
        exact += pnl
        cents = divide(exact, UNIT // 100) * (UNIT // 100)
        stream.feed(balance(show(cents)))
        assert stream.account.differs_since == 0

    assert equity_of_ledger(stream) == exact


def test_fills_that_the_broker_rounds_one_by_one_never_add_up_to_a_payout() -> None:
    stream = Stream().open(rule("kill-switch"))
    shown = 50_000 * UNIT
    for number in range(1, 41):
        pnl = -4 * UNIT // 3
        stream.feed(trade(number, 1 if number % 2 else -1, 1, pnl=pnl, fees=0))
        shown += divide(pnl, UNIT // 100) * (UNIT // 100)
        stream.feed(balance(show(shown)))
        assert stream.account.differs_since == 0

    assert abs(equity_of_ledger(stream) - shown) <= UNIT // 200


def test_a_read_within_the_second_adjusts_nothing_yet() -> None:
    stream = Stream().open(rule("kill-switch"))
    stream.feed(reading(began_at=stream.at, balance=units("49000")))
    assert equity(stream) == 50_000 * UNIT

    first = stream.account.differs_since
    stream.feed(reading(began_at=first + SECOND - 1, balance=units("49000")))
    assert equity(stream) == 50_000 * UNIT

    stream.feed(reading(began_at=first + SECOND, balance=units("49000")))
    assert equity(stream) == 49_000 * UNIT


def test_an_unstable_read_only_notes_that_the_balance_differs() -> None:
    stream = Stream().open(rule("kill-switch"))
    stream.feed(reading(stable=False, balance=units("49000")))

    assert stream.account.differs_since == stream.at
    assert equity(stream) == 50_000 * UNIT


def test_before_the_first_read_there_is_no_equity() -> None:
    stream = Stream()
    stream.feed(trade(1, 1, 1, fees=FEE))

    assert equity(stream) is None


def test_without_a_mark_or_contract_data_there_is_none_either() -> None:
    stream = Stream().open(rule("kill-switch"))
    stream.fill(1, 1, 1)
    assert equity(stream) is None

    stream.mark("MNQ", "21000", "21000")
    assert equity(stream) == 50_000 * UNIT


def test_a_carried_position_keeps_its_entry_for_equity() -> None:
    stream = holding_two()
    stream.pulse(WEDNESDAY_RESET - stream.at)
    world = stream.engine.world

    assert fold.open_pnl(stream.account, world.marks, world.instruments) == 0
    assert equity(stream) == 49_880 * UNIT
    assert stream.account.closing == 50_000 * UNIT


def test_a_fill_from_before_the_reset_still_moves_the_balance_at_the_close() -> None:
    stream = holding_two()
    stream.pulse(WEDNESDAY_RESET - stream.at)
    late = trade(2, -1, 1, "20970", pnl=-60 * UNIT, traded_at=WEDNESDAY_TEN + SECOND)
    stream.feed(late, position(1))

    assert stream.account.closing == 49_940 * UNIT
    assert equity(stream) == 49_880 * UNIT


def test_half_of_a_position_leaves_half_of_its_entry_and_a_flip_begins_anew() -> None:
    stream = holding_two()
    stream.feed(trade(2, -1, 1, "20970", pnl=-60 * UNIT), position(1))
    assert equity(stream) == 49_880 * UNIT

    stream.feed(trade(3, -1, 3, "20970", pnl=-60 * UNIT), position(-2))
    held = stream.account.holding(contract("MNQ"))
    assert held.entry == -2 * 20_970 * UNIT
    assert equity(stream) == 49_880 * UNIT


def test_leaving_costs_what_the_latest_fill_cost_in_whatever_order_fills_arrive() -> None:
    fills = [
        trade(1, 1, 2, fees=FEE, traded_at=WEDNESDAY_TEN),
        trade(2, 1, 1, fees=FEE, commissions=FEE, traded_at=WEDNESDAY_TEN + SECOND),
    ]
    for delivery in itertools.permutations(fills):
        shuffled = Stream().open(rule("kill-switch"))
        shuffled.feed(*delivery)
        assert shuffled.account.exit_fees["MNQ"].per_contract == UNIT

    stream = Stream().open(rule("kill-switch"))
    stream.feed(*fills)
    stream.feed(trade(2, 1, 1, fees=FEE, voided=True, traded_at=WEDNESDAY_TEN + SECOND))
    assert "MNQ" not in stream.account.exit_fees
    stream.feed(trade(1, 1, 2, fees=FEE, voided=True, traded_at=WEDNESDAY_TEN))
    assert "MNQ" not in stream.account.exit_fees
