"""The torn-message law: day P&L is what trades make it, in whatever order messages come."""

import itertools

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from risk_daemon.core import account as fold
from risk_daemon.core.events import Fact, MarkChanged, TradeSeen
from risk_daemon.core.instrument import UNIT
from risk_daemon.core.instrument import parse as units
from tests.build import (
    LOGIN,
    SECOND,
    WEDNESDAY_RESET,
    WEDNESDAY_TEN,
    Stream,
    contract,
    order,
    policy,
    position,
    reading,
    trade,
)

FEE = UNIT // 2


def messages_of_a_close() -> list[Fact]:
    """What the broker sends for one losing fill."""
    return [
        order(2, -1, 2, status=2, type=2, filled=2),
        trade(2, -1, 2, "20970", pnl=-120 * UNIT, fees=FEE),
        position(0),
    ]


@given(st.data())
@settings(max_examples=60)
def test_day_pnl_takes_only_its_value_before_and_its_value_after_a_fill(
    data: st.DataObject,
) -> None:
    parts = messages_of_a_close()
    repeats = data.draw(st.lists(st.sampled_from(parts), max_size=4))
    delivery = data.draw(st.permutations([*parts, *repeats]))
    stream = Stream().open()
    stream.fill(1, 1, 2, fees=FEE)
    before, after = -FEE, -FEE - 120 * UNIT - FEE

    shown = []
    for message in delivery:
        stream.feed(message)
        shown.append(stream.account.realized_net)

    assert set(shown) <= {before, after}
    assert shown == sorted(shown, reverse=True)
    assert stream.account.realized_net == after
    assert stream.account.is_flat


def test_a_position_that_moved_without_its_trade_makes_pnl_unknown_until_a_read() -> None:
    stream = Stream().open()
    stream.fill(1, 1, 2)

    known = []
    for fact in (
        position(0),
        reading(trade(2, -1, 2, "20970", pnl=-120 * UNIT), began_at=stream.at),
    ):
        stream.feed(fact)
        known.append(stream.account.pnl_is_known)

    assert known == [False, True]
    assert stream.account.realized_net == -120 * UNIT


def test_a_trade_ahead_of_its_position_message_is_known_at_once() -> None:
    stream = Stream().open()

    stream.feed(trade(1, 1, 2))

    assert stream.account.pnl_is_known
    assert not stream.account.holding(contract("MNQ")).agreed


def test_exposure_takes_the_larger_view_and_enforcement_the_smaller() -> None:
    stream = Stream().open()
    stream.fill(1, 1, 2)
    held = stream.account.holding(contract("MNQ"))

    stream.feed(position(5))
    assert (held.exposure, held.enforceable) == (5, 2)

    stream.feed(position(1))
    assert (held.exposure, held.enforceable) == (2, 1)

    stream.feed(position(-1))
    assert held.enforceable == 0


fills = st.lists(
    st.tuples(st.sampled_from([1, -1]), st.integers(1, 5), st.integers(20_900, 21_100)),
    min_size=1,
    max_size=12,
)


@given(fills)
def test_realized_and_open_pnl_add_up_to_the_money_that_moved(
    trades: list[tuple[int, int, int]],
) -> None:
    """Whatever the order of fills: cost basis and realized P&L lose no unit."""
    from risk_daemon.core import position as held

    holding = held.Holding(contract=contract("MNQ"))
    realized = spent = 0
    for number, (side, size, price) in enumerate(trades):
        realized += held.apply(holding, trade(number, side, size, str(price)))
        spent += side * size * price * UNIT

    quantity = sum(side * size for side, size, _ in trades)
    assert holding.by_trades == quantity
    assert realized - holding.cost == -spent
    assert quantity or holding.cost == 0


@given(fills, st.data())
def test_a_void_leaves_what_would_have_been_without_the_fill(
    trades: list[tuple[int, int, int]], data: st.DataObject
) -> None:
    facts = [
        trade(number, side, size, str(price), fees=FEE)
        for number, (side, size, price) in enumerate(trades, start=1)
    ]
    gone = data.draw(st.sampled_from(facts))
    with_void, without = Stream().open(), Stream().open()

    with_void.feed(*facts, voided(gone))
    without.feed(*(fact for fact in facts if fact is not gone))

    name = contract("MNQ")
    one, other = with_void.account.holding(name), without.account.holding(name)
    assert (one.by_trades, one.cost) == (other.by_trades, other.cost)
    assert with_void.account.realized_net == without.account.realized_net


def voided(fact: TradeSeen) -> TradeSeen:
    import msgspec

    return msgspec.structs.replace(fact, voided=True)


def test_a_trade_first_shown_as_voided_counts_nothing() -> None:
    stream = Stream().open()

    stream.feed(voided(trade(1, 1, 2, fees=FEE)))

    assert stream.account.realized_net == 0
    assert stream.account.is_flat


def test_the_same_trade_twice_counts_once() -> None:
    stream = Stream().open()

    stream.feed(trade(1, 1, 2, fees=FEE), trade(1, 1, 2, fees=FEE, version=7))

    assert stream.account.holding(contract("MNQ")).by_trades == 2
    assert stream.account.realized_net == -FEE


def test_commissions_that_come_later_replace_the_fill_they_belong_to() -> None:
    stream = Stream().open()

    stream.feed(trade(1, 1, 2, fees=FEE), trade(1, 1, 2, fees=FEE, commissions=FEE))

    assert stream.account.realized_net == -2 * FEE
    assert stream.account.holding(contract("MNQ")).by_trades == 2


# --- the roll ------------------------------------------------------------------


def rolled_with_a_long() -> Stream:
    """Long 2 at 21 000, carried over Wednesday's reset at a mark of 21 010."""
    stream = Stream().open()
    stream.fill(1, 1, 2)
    stream.mark("MNQ", "21010", "21010.25")
    stream.pulse(WEDNESDAY_RESET - stream.at)
    assert stream.account.trade_date == "2026-11-19"
    return stream


def test_a_carried_position_begins_the_day_at_its_settlement_mark() -> None:
    stream = rolled_with_a_long()
    held = stream.account.holding(contract("MNQ"))
    world = stream.engine.world

    assert stream.account.realized_net == 0
    assert fold.unrealized(held, world.marks[held.contract], world.instruments[held.contract]) == 0

    stream.fill(2, -1, 2, price="21000", pnl=0, traded_at=stream.at)

    # The broker books against the entry: 0. The day lost ten points of two contracts.
    assert stream.account.realized_net == -40 * UNIT


def test_a_position_opened_anew_after_a_carried_one_counts_what_the_broker_says() -> None:
    for closing in ([(2, -1, 2, 0), (3, -1, 1, None)], [(2, -1, 3, 0)]):
        stream = rolled_with_a_long()
        for number, side, size, pnl in closing:
            gross = None if pnl is None else pnl * UNIT
            stream.fill(number, side, size, price="21010", pnl=gross)

        stream.fill(9, 1, 1, price="21000", pnl=17 * UNIT)

        assert stream.account.realized_net == 17 * UNIT


def test_a_fill_from_before_the_roll_changes_yesterday_and_what_was_carried() -> None:
    stream = rolled_with_a_long()
    held = stream.account.holding(contract("MNQ"))

    stream.feed(trade(2, 1, 1, "20990", traded_at=WEDNESDAY_RESET - SECOND, fees=FEE))

    assert stream.account.realized_net == 0
    assert held.by_trades == 3
    assert held.cost == 3 * units("21010")
    assert held.carried


def test_a_late_fill_of_a_contract_without_a_mark_keeps_its_price() -> None:
    stream = Stream().open()
    stream.pulse(WEDNESDAY_RESET - stream.at)

    stream.feed(trade(2, 1, 1, "20990", traded_at=WEDNESDAY_RESET - SECOND))

    held = stream.account.holding(contract("MNQ"))
    assert (held.by_trades, held.cost, held.carried) == (1, units("20990"), False)


def test_without_a_settlement_mark_the_cost_stays_and_someone_is_told() -> None:
    stream = Stream().open()
    stream.fill(1, 1, 2)

    outputs = stream.pulse(WEDNESDAY_RESET - stream.at)

    assert any("settlement" in getattr(output, "what", "") for output in outputs)
    assert stream.account.holding(contract("MNQ")).cost == 2 * units("21000")


def test_a_trade_of_yesterday_shown_again_after_the_roll_is_known() -> None:
    stream = rolled_with_a_long()

    stream.feed(trade(1, 1, 2, traded_at=stream.entries[-1].at))
    stream.feed(trade(1, 1, 2))

    assert stream.account.holding(contract("MNQ")).by_trades == 2


def test_two_days_later_a_trade_is_forgotten() -> None:
    stream = rolled_with_a_long()

    stream.pulse(24 * 3_600 * SECOND)

    assert stream.account.booked == {}


def test_a_void_of_a_fill_from_before_the_base_takes_its_cash_back_only() -> None:
    stream = Stream().open()
    stream.fill(1, 1, 2, fees=FEE)
    stream.feed(reading(position(3), began_at=stream.at))

    stream.feed(
        voided(trade(1, 1, 2, fees=FEE, traded_at=stream.account.booked[1].trade.traded_at))
    )

    assert stream.account.realized_net == 0
    assert stream.account.holding(contract("MNQ")).by_trades == 3


def test_a_change_of_another_fill_leaves_those_before_the_base_as_they_were() -> None:
    stream = Stream().open()
    stream.fill(1, 1, 2, fees=FEE)
    stream.feed(reading(position(3), began_at=stream.at))
    stream.feed(trade(2, 1, 1, fees=FEE), trade(2, 1, 1, fees=3 * FEE))

    assert stream.account.realized_net == -4 * FEE


# --- marks ----------------------------------------------------------------------


def test_a_settlement_is_the_last_trade_else_the_middle_else_nothing() -> None:
    name = contract("MNQ")

    assert fold.settlement(None) is None
    assert fold.settlement(MarkChanged(contract=name, bid=1, ask=3, last=7)) == 7
    assert fold.settlement(MarkChanged(contract=name, bid=1, ask=3)) == 2
    assert fold.settlement(MarkChanged(contract=name, bid=1)) is None


def test_a_long_leaves_at_the_bid_and_a_short_at_the_ask() -> None:
    mark = MarkChanged(contract=contract("MNQ"), bid=1, ask=3, last=2)

    assert fold.exit_price(mark, 1) == 1
    assert fold.exit_price(mark, -1) == 3
    assert fold.exit_price(None, 1) is None
    assert fold.exit_price(MarkChanged(contract=contract("MNQ"), last=2), 1) == 2


def test_open_pnl_of_nothing_is_nothing_and_without_a_mark_unknown() -> None:
    stream = Stream().open()
    held = stream.account.holding(contract("MNQ"))
    assert fold.unrealized(held, None, None) == 0

    stream.fill(1, 1, 1)
    assert fold.unrealized(held, None, stream.engine.world.instruments[held.contract]) is None


def test_ten_points_of_two_micros_are_forty_dollars() -> None:
    stream = Stream().open()
    stream.fill(1, 1, 2)
    stream.mark("MNQ", "20990", "20990.25")
    held, world = stream.account.holding(contract("MNQ")), stream.engine.world

    found = fold.unrealized(held, world.marks[held.contract], world.instruments[held.contract])

    assert found == -40 * UNIT


def test_permutations_of_two_fills_reach_the_same_pnl() -> None:
    parts: list[Fact] = [
        trade(1, 1, 2, "21000", fees=FEE),
        trade(2, -1, 1, "21010", pnl=20 * UNIT, fees=FEE),
        trade(3, -1, 1, "20990", pnl=-20 * UNIT, fees=FEE),
    ]
    found = set()
    for delivery in itertools.permutations(parts):
        stream = Stream().open()
        stream.feed(*delivery)
        found.add(stream.account.realized_net)

    assert found == {-3 * FEE}


def test_a_policy_is_needed_before_there_is_a_trade_day() -> None:
    stream = Stream()
    stream.feed(trade(1, 1, 1))
    assert stream.account.trade_date == ""

    fold.roll_day(stream.account, WEDNESDAY_TEN, {}, {})
    assert stream.account.trade_date == ""

    stream.feed(policy(digest="later"))
    assert stream.account.trade_date == "2026-11-18"
    assert stream.account.login == LOGIN


def test_a_days_fills_share_the_texts_that_are_the_same_in_all() -> None:
    stream = Stream().open()

    for number in (1, 2):
        seen = trade(number, 1, 1)
        stream.feed(msgspec.msgpack.decode(msgspec.msgpack.encode(seen), type=TradeSeen))

    one, other = stream.account.booked[1], stream.account.booked[2]
    assert one.trade.contract is other.trade.contract
    assert one.day is other.day
