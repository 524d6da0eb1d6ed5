"""The exchange by itself: brackets, closes, pieces, voids, and sums that must agree."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from risk_daemon.sim.booking import half_turns
from risk_daemon.sim.codes import OrderType, Side, Status
from risk_daemon.sim.contracts import BY_ROOT, CATALOGUE, find, search
from risk_daemon.sim.model import Quote, Ticket
from risk_daemon.sim.moment import NS_PER_MS
from risk_daemon.sim.profile import DEMO, Profile
from risk_daemon.sim.venue import Venue
from tests.sim.floor import ES, MNQ, NOW, ONE, TWO, make, quote, rest, told, trade


@pytest.fixture
def venue() -> Venue:
    return make()


def test_a_bracket_is_three_orders_and_its_legs_wake_with_the_fill(venue: Venue) -> None:
    entry = trade(venue, 2, tag="mine", stop_loss_ticks=-40, take_profit_ticks=60)
    first = [m.row for m in venue.drain()][:3]
    stop, take = (venue.orders[child] for child in venue.orders[entry].children)

    assert [row["status"] for row in first] == [6, 8, 8]
    assert [row["customTag"] for row in first] == ["mine", "mine-SL", "mine-TP"]
    assert first[2]["linkedOrderId"] == stop.id
    assert (stop.status, stop.stop_price, stop.size) == (Status.OPEN, Decimal("19990.25"), 2)
    assert (take.status, take.limit_price) == (Status.OPEN, Decimal("20015.25"))

    venue.quote(MNQ, quote("20016", "20016.25"), NOW)

    assert (take.status, stop.status) == (Status.FILLED, Status.CANCELLED)
    assert venue.quantity(ONE, MNQ) == 0


def test_a_cancelled_entry_takes_its_sleeping_legs_along(venue: Venue) -> None:
    entry = rest(venue, 1, OrderType.LIMIT, "19000", stop_loss_ticks=-40, take_profit_ticks=40)
    venue.cancel(ONE, entry, NOW)

    assert {order.status for order in venue.orders.values()} == {Status.CANCELLED}


def test_a_leg_that_is_gone_already_is_not_ended_again(venue: Venue) -> None:
    entry = rest(venue, 1, OrderType.LIMIT, "19000", stop_loss_ticks=-40, take_profit_ticks=40)
    venue.cancel(ONE, venue.orders[entry].children[0], NOW)
    venue.drain()
    venue.cancel(ONE, entry, NOW)

    assert told(venue.drain()) == [("order", 1, 3), ("order", 1, 3)]


def test_one_leg_is_enough_and_may_be_cancelled_before_the_fill(venue: Venue) -> None:
    entry = rest(venue, 1, OrderType.LIMIT, "19000", stop_loss_ticks=-40,
                 stop_loss_type=OrderType.TRAILING_STOP)  # fmt: skip
    (leg,) = venue.orders[entry].children
    assert venue.orders[leg].trail == Decimal(10)

    venue.cancel(ONE, leg, NOW)
    venue.quote(MNQ, quote("18999", "18999.25"), NOW)

    assert venue.orders[leg].status is Status.CANCELLED
    assert venue.orders[entry].status is Status.FILLED


def test_a_twin_that_is_gone_already_stays_gone(venue: Venue) -> None:
    entry = trade(venue, 1, stop_loss_ticks=-40, take_profit_ticks=40)
    stop, take = venue.orders[entry].children
    venue.cancel(ONE, take, NOW)
    venue.quote(MNQ, quote("19000", "19000.25"), NOW)

    assert venue.orders[stop].status is Status.FILLED


def test_position_brackets_refuse_brackets_on_orders() -> None:
    venue = make(auto_oco=False)
    answer = venue.place(ONE, Ticket(MNQ, Side.BUY, 1, stop_loss_ticks=-40), NOW)

    assert answer.code == 2
    assert answer.text == (
        "Brackets cannot be used with Position Brackets. You must enable Auto OCO Brackets."
    )


def test_a_close_has_its_own_order_and_leaves_stops_behind(venue: Venue) -> None:
    entry = trade(venue, 3)
    stop = rest(venue, -3, OrderType.STOP, "19000")
    answer = venue.close(ONE, MNQ, NOW)
    venue.step(NOW)

    assert answer.order not in (None, entry, stop)
    assert venue.quantity(ONE, MNQ) == 0
    assert [order.id for order in venue.working_of(ONE)] == [stop]

    venue.quote(MNQ, quote("18999", "18999.25"), NOW)

    assert venue.quantity(ONE, MNQ) == -3  # the orphan opened a naked position


def test_the_size_of_a_whole_close_is_fixed_when_it_is_accepted() -> None:
    venue = make(DEMO)
    venue.place(ONE, Ticket(MNQ, Side.BUY, 1), NOW)
    venue.step(NOW.after(1))
    venue.close(ONE, MNQ, NOW.after(1))
    venue.place(ONE, Ticket(MNQ, Side.BUY, 2), NOW.after(1))
    venue.step(NOW.after(2))

    assert venue.quantity(ONE, MNQ) == 2


def test_a_short_is_closed_by_a_buy_and_a_part_of_it_by_a_smaller_one(venue: Venue) -> None:
    trade(venue, -3)
    venue.partial_close(ONE, MNQ, 2, NOW)
    venue.step(NOW)
    assert venue.quantity(ONE, MNQ) == -1
    assert venue.partial_close(ONE, MNQ, 2, NOW).code == 5

    venue.close(ONE, MNQ, NOW)
    venue.step(NOW)

    assert venue.quantity(ONE, MNQ) == 0
    assert (venue.close(ONE, MNQ, NOW).code, venue.close(ONE, "x", NOW).code) == (2, 3)


def test_held_closes_wait_for_their_release(venue: Venue) -> None:
    trade(venue, 3)
    venue.holds[ONE] = 1
    venue.close(ONE, MNQ, NOW)
    venue.step(NOW.after(60))
    assert venue.quantity(ONE, MNQ) == 3

    assert venue.release(ONE, NOW) == 1
    venue.step(NOW)

    assert venue.quantity(ONE, MNQ) == 0
    assert venue.release(TWO, NOW) == 0


def test_a_close_can_be_rejected_after_it_was_accepted(venue: Venue) -> None:
    trade(venue, 3)
    venue.reject_closes[ONE] = 1
    first, second = venue.close(ONE, MNQ, NOW).order, venue.close(ONE, MNQ, NOW).order
    venue.step(NOW)

    assert venue.orders[first or 0].status is Status.REJECTED
    assert venue.orders[second or 0].status is Status.FILLED


def test_big_orders_may_fill_in_pieces_and_small_ones_never_do() -> None:
    venue = make(Profile("pieces", (0, 0), (5, 5), (10, 10), (0, 0), duplicates=0, pieces=1))
    big = venue.place(ONE, Ticket(MNQ, Side.BUY, 5), NOW).order
    venue.place(ONE, Ticket(ES, Side.BUY, 2), NOW)
    assert venue.next_due_ns() == NOW.ns + 5 * NS_PER_MS

    venue.step(NOW.after(0.005))

    assert venue.quantity(ONE, ES) == 2
    assert 0 < venue.quantity(ONE, MNQ) < 5
    assert venue.orders[big or 0].status is Status.OPEN

    venue.step(NOW.after(0.015))

    assert venue.quantity(ONE, MNQ) == 5
    assert venue.next_due_ns() is None


def test_what_a_quote_filled_is_not_filled_again_when_its_time_comes() -> None:
    venue = make(DEMO)
    order = rest(venue, 1, OrderType.LIMIT, "20001")
    venue.quote(MNQ, quote("20000.25", "20000.50"), NOW)
    venue.step(NOW.after(1))

    assert venue.orders[order].filled == 1
    assert venue.quantity(ONE, MNQ) == 1


def test_a_broken_quote_changes_nothing(venue: Venue) -> None:
    rest(venue, 1, OrderType.LIMIT, "19000")
    for broken in (quote("0", "5"), quote("10", "9"), quote("5", "0")):
        venue.quote(MNQ, broken, NOW)

    assert venue.quotes[MNQ] == quote("20000", "20000.25")
    assert venue.positions == {}


def test_without_any_quote_a_market_order_pays_the_contract_s_first_price() -> None:
    venue = make()
    nq = BY_ROOT["NQ"]
    trade(venue, 1, nq.id)
    venue.place(ONE, Ticket(nq.id, Side.BUY, 1, OrderType.JOIN_BID), NOW)

    assert venue.positions[ONE, nq.id].average == nq.start_price


def test_a_void_takes_back_quantity_and_cash_of_a_closing_trade_too(venue: Venue) -> None:
    trade(venue, 2)
    trade(venue, -1)
    closing = venue.trades[-1]
    venue.drain()

    assert venue.void(ONE, closing.id, NOW) == closing.id
    assert venue.quantity(ONE, MNQ) == 2
    assert told(venue.drain())[0][:2] == ("trade", 1)

    trade(venue, -2)

    assert venue.void(ONE, None, NOW) == venue.trades[-1].id
    assert venue.quantity(ONE, MNQ) == 2
    assert venue.void(TWO, None, NOW) is None
    assert venue.void(ONE, closing.id, NOW) is None


def test_balances_and_the_right_to_trade_are_told(venue: Venue) -> None:
    venue.adjust_balance(ONE, Decimal(-100))
    venue.set_can_trade(ONE, False)

    assert venue.place(ONE, Ticket(MNQ, Side.BUY, 1), NOW).code == 4
    assert told(venue.drain())[:2] == [
        ("account", 1, Decimal("49900.00")),
        ("account", 1, Decimal("49900.00")),
    ]


@given(st.lists(st.tuples(st.integers(-6, 6).filter(bool), st.integers(-40, 40)), max_size=30))
def test_balance_position_and_trades_always_agree(steps: list[tuple[int, int]]) -> None:
    venue = make(DEMO)
    now = NOW
    for signed, ticks in steps:
        bid = Decimal(20000) + ticks * Decimal("0.25")
        venue.quote(MNQ, Quote(bid, bid + Decimal("0.25"), bid), now)
        side = Side.BUY if signed > 0 else Side.SELL
        venue.place(ONE, Ticket(MNQ, side, abs(signed)), now)
        now = now.after(1)
        venue.step(now)

    assert venue.quantity(ONE, MNQ) == sum(t.side.sign * t.size for t in venue.trades)
    assert venue.quantity(ONE, MNQ) == sum(signed for signed, _ in steps)
    assert venue.accounts[ONE].balance - 50000 == sum(t.net for t in venue.trades)


@given(st.integers(-9, 9), st.integers(-9, 9).filter(bool), st.integers(1, 80000))
def test_half_turns_add_up_to_the_fill(q: int, signed: int, ticks: int) -> None:
    price = ticks * Decimal("0.25")
    turns = half_turns(BY_ROOT["MNQ"], q, Decimal(20000), signed, price)

    assert sum(turn.size for turn in turns) == abs(signed)
    assert turns[-1].q_after == q + signed


def test_contracts_are_found_by_every_name_people_use() -> None:
    for words in ("MNQ", "MNQZ6", "MNQZ26", MNQ):
        assert find(words) is CATALOGUE[MNQ]
    assert find("MN") is None
    assert [contract.root for contract in search("crude")] == ["CL", "MCL"]
