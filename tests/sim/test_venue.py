"""The exchange by itself, in virtual time, without sockets."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from risk_daemon.sim.booking import Costs, half_turns
from risk_daemon.sim.codes import OrderType, Side, Status
from risk_daemon.sim.contracts import BY_ROOT, CATALOGUE, find, search
from risk_daemon.sim.model import Account, Message, Quote, Ticket
from risk_daemon.sim.moment import NS_PER_MS, Moment
from risk_daemon.sim.profile import CALM, DEMO, Profile
from risk_daemon.sim.venue import Venue

ONE, TWO = 9000000101, 9000000102
MNQ, ES = BY_ROOT["MNQ"].id, BY_ROOT["ES"].id
NOW = Moment(10**9, datetime(2026, 11, 18, 16, 0, tzinfo=UTC))
COSTS = {"default": (Decimal("0.37"), Decimal("0.25")), "ES": (Decimal("1.40"), Decimal("0.50"))}


def quote(bid: str, ask: str, last: str | None = None) -> Quote:
    return Quote(Decimal(bid), Decimal(ask), Decimal(last or bid))


def make(profile: Profile = CALM, *, auto_oco: bool = True, seed: int = 1) -> Venue:
    accounts = [Account(number, "A", "north", Decimal(50000)) for number in (ONE, TWO)]
    venue = Venue(accounts, Costs(COSTS), Random(seed), profile, auto_oco=auto_oco)
    venue.quote(MNQ, quote("20000", "20000.25"), NOW)
    venue.quote(ES, quote("6000", "6000.25"), NOW)
    return venue


@pytest.fixture
def venue() -> Venue:
    return make()


def trade(venue: Venue, signed: int, contract: str = MNQ, **more: object) -> int:
    """A market order, filled."""
    side = Side.BUY if signed > 0 else Side.SELL
    ticket = Ticket(contract, side, abs(signed), **more)  # type: ignore[arg-type]
    answer = venue.place(ONE, ticket, NOW)
    venue.step(NOW)
    assert answer.order is not None, answer
    return answer.order


def rest(venue: Venue, signed: int, kind: OrderType, price: str, **more: object) -> int:
    side = Side.BUY if signed > 0 else Side.SELL
    named = "limit_price" if kind is OrderType.LIMIT else "stop_price"
    ticket = Ticket(MNQ, side, abs(signed), kind, **{named: Decimal(price)}, **more)  # type: ignore[arg-type]
    answer = venue.place(ONE, ticket, NOW)
    assert answer.order is not None, answer
    return answer.order


def told(messages: list[Message]) -> list[tuple[str, int, object]]:
    """Kind, action and the state each message tells."""
    names = {"order": "status", "trade": "profitAndLoss", "position": "size", "account": "balance"}
    return [(m.kind, int(m.action), m.row[names[m.kind]]) for m in messages]


def test_a_market_order_buys_at_the_ask_and_costs_its_fees(venue: Venue) -> None:
    trade(venue, 2)
    messages = venue.drain()

    assert told(messages) == [
        ("order", 0, 6),
        ("order", 1, 2),
        ("trade", 0, None),
        ("position", 0, 2),
        ("account", 1, Decimal("49998.76")),
    ]
    assert messages[2].row["price"] == Decimal("20000.25")


def test_closing_books_gross_profit_and_subtracts_costs_from_the_balance(venue: Venue) -> None:
    trade(venue, 2)
    venue.drain()
    venue.quote(MNQ, quote("20010.25", "20010.50"), NOW)
    trade(venue, -2)

    assert told(venue.drain())[2:] == [
        ("trade", 0, Decimal("40.00")),
        ("position", 2, 0),
        ("account", 1, Decimal("50037.52")),
    ]
    assert venue.accounts[ONE].realized == Decimal("37.52")


def test_adding_averages_the_price_without_rounding(venue: Venue) -> None:
    trade(venue, 2, ES)
    venue.quote(ES, quote("6001.25", "6001.50"), NOW)
    trade(venue, 1, ES)
    position = venue.positions[ONE, ES]

    assert position.average == (Decimal("6000.25") * 2 + Decimal("6001.50")) / 3
    assert position.row()["averagePrice"] == Decimal("6000.666666667")


def test_a_fill_that_crosses_zero_is_two_half_turns(venue: Venue) -> None:
    trade(venue, 2)
    venue.drain()
    trade(venue, -5)
    messages = venue.drain()

    assert [m.row["size"] for m in messages if m.kind == "trade"] == [2, 3]
    assert [m.row["profitAndLoss"] is None for m in messages if m.kind == "trade"] == [False, True]
    assert [(m.row["type"], m.row["size"]) for m in messages if m.kind == "position"] == [
        (0, 0),
        (2, 3),
    ]
    assert venue.quantity(ONE, MNQ) == -3


def test_products_have_their_own_costs(venue: Venue) -> None:
    trade(venue, 2, ES)
    row = next(m.row for m in venue.drain() if m.kind == "trade")

    assert (row["fees"], row["commissions"]) == (Decimal("2.80"), Decimal("1.00"))


@pytest.mark.parametrize(
    ("signed", "kind", "price", "reaches", "pays"),
    [
        (1, OrderType.LIMIT, "19990", ("19989.75", "19990"), "19990"),
        (-1, OrderType.LIMIT, "20010", ("20010", "20010.25"), "20010"),
        (1, OrderType.STOP, "20010", ("20010", "20010.25"), "20010.25"),
        (-1, OrderType.STOP, "19990", ("19989", "19989.25"), "19989"),
    ],
)
def test_resting_orders_wait_for_their_price(
    venue: Venue, signed: int, kind: OrderType, price: str, reaches: tuple[str, str], pays: str
) -> None:
    order = rest(venue, signed, kind, price)
    venue.quote(MNQ, quote("20001", "20001.25"), NOW)
    assert venue.orders[order].status is Status.OPEN

    venue.quote(MNQ, quote(*reaches), NOW)

    assert venue.orders[order].status is Status.FILLED
    assert venue.orders[order].filled_price == Decimal(pays)


def test_a_limit_order_through_the_market_fills_at_its_limit_or_better_never_worse(
    venue: Venue,
) -> None:
    order = rest(venue, 1, OrderType.LIMIT, "20001")
    venue.quote(MNQ, quote("20005", "20005.25"), NOW)
    venue.step(NOW)

    assert venue.orders[order].filled_price == Decimal(20001)


def test_an_order_through_the_market_fills_after_its_delay_at_what_the_market_then_gives() -> None:
    venue = make(DEMO)
    limit = rest(venue, 1, OrderType.LIMIT, "20001")
    stop = rest(venue, -1, OrderType.STOP, "20001")
    venue.step(NOW.after(1))

    assert venue.orders[limit].filled_price == Decimal(20001)
    assert venue.orders[stop].filled_price == Decimal(20000)


def test_a_trailing_stop_follows_and_never_turns_back(venue: Venue) -> None:
    ticket = Ticket(MNQ, Side.SELL, 1, OrderType.TRAILING_STOP, trail=Decimal(10))
    short = Ticket(MNQ, Side.BUY, 1, OrderType.TRAILING_STOP, trail=Decimal(10))
    below = venue.orders[venue.place(ONE, ticket, NOW).order or 0]
    above = venue.orders[venue.place(ONE, short, NOW).order or 0]
    for bid in ("20004", "20001"):
        last = Decimal(bid)
        venue.quote(MNQ, Quote(last, last + Decimal("0.25"), last), NOW)

    assert (below.stop_price, above.stop_price) == (Decimal(19994), Decimal(20010))

    venue.quote(MNQ, quote("19994", "19994.25"), NOW)

    assert below.status is Status.FILLED
    assert above.stop_price == Decimal(20004)


def test_joining_orders_take_their_price_from_the_market(venue: Venue) -> None:
    bid = venue.place(ONE, Ticket(MNQ, Side.BUY, 1, OrderType.JOIN_BID), NOW).order
    ask = venue.place(ONE, Ticket(MNQ, Side.SELL, 1, OrderType.JOIN_ASK), NOW).order

    assert venue.orders[bid or 0].limit_price == Decimal(20000)
    assert venue.orders[ask or 0].limit_price == Decimal("20000.25")


@pytest.mark.parametrize(
    ("ticket", "code", "words"),
    [
        (Ticket("CON.F.US.XYZ.Z26", Side.BUY, 1), 8, None),
        (Ticket(MNQ, Side.BUY, 0), 2, "Invalid size"),
        (Ticket(MNQ, Side.BUY, 1, OrderType.STOP_LIMIT), 2, "Invalid order type"),
        (Ticket(MNQ, Side.BUY, 1, OrderType.LIMIT), 2, "Invalid limit price"),
        (
            Ticket(MNQ, Side.BUY, 1, OrderType.LIMIT, limit_price=Decimal("20000.10")),
            2,
            "Invalid limit price",
        ),
        (
            Ticket(MNQ, Side.BUY, 1, OrderType.STOP, stop_price=Decimal(-1)),
            2,
            "Invalid stop price",
        ),
        (Ticket(MNQ, Side.BUY, 1, OrderType.TRAILING_STOP), 2, "Invalid trail price"),
        (
            Ticket(MNQ, Side.BUY, 1, stop_loss_ticks=40),
            2,
            "Invalid stop loss ticks (40). Ticks should be less than zero when longing.",
        ),
        (Ticket(MNQ, Side.SELL, 1, stop_loss_ticks=-40), 2, "greater than zero"),
        (Ticket(MNQ, Side.BUY, 1, take_profit_ticks=-30), 2, "greater than zero"),
        (
            Ticket(MNQ, Side.SELL, 1, take_profit_ticks=30),
            2,
            "Invalid take profit ticks (30). Ticks should be less than zero when going short.",
        ),
        (Ticket(MNQ, Side.BUY, 1, take_profit_ticks=2), 2, "at least 4 ticks"),
        (
            Ticket(MNQ, Side.BUY, 1, stop_loss_ticks=-40, stop_loss_type=OrderType.LIMIT),
            2,
            "Invalid stop loss type (Limit)",
        ),
        (
            Ticket(MNQ, Side.BUY, 1, take_profit_ticks=40, take_profit_type=OrderType.STOP),
            2,
            "Invalid take profit type (Stop)",
        ),
    ],
)
def test_what_is_wrong_with_an_order_is_told_by_code_and_text(
    venue: Venue, ticket: Ticket, code: int, words: str | None
) -> None:
    answer = venue.place(ONE, ticket, NOW)

    assert (answer.code, answer.order) == (code, None)
    assert (words or "") in (answer.text or "")
    assert venue.working == {}


def test_a_refused_order_shows_in_the_stream_as_rejected_without_a_reason(venue: Venue) -> None:
    venue.place(ONE, Ticket(MNQ, Side.BUY, 1, OrderType.LIMIT), NOW)

    assert told(venue.drain()) == [("order", 0, 5)]


def test_nobody_elses_account_exists(venue: Venue) -> None:
    order = rest(venue, 1, OrderType.LIMIT, "19000")

    assert venue.place(5, Ticket(MNQ, Side.BUY, 1), NOW).code == 1
    assert venue.cancel(5, order, NOW).code == 1
    assert venue.cancel(TWO, order, NOW).code == 2
    assert venue.modify(5, order, NOW).code == 1
    assert venue.modify(TWO, order, NOW).code == 2
    assert venue.close(5, MNQ, NOW).code == 1
    assert venue.partial_close(5, MNQ, 1, NOW).code == 1


def test_a_market_order_on_its_way_can_not_be_cancelled() -> None:
    venue = make(DEMO)
    order = venue.place(ONE, Ticket(MNQ, Side.BUY, 1), NOW).order

    assert venue.cancel(ONE, order or 0, NOW).code == 4


def test_modifying_checks_grid_and_size(venue: Venue) -> None:
    order = rest(venue, 2, OrderType.LIMIT, "19000")

    assert venue.modify(ONE, order, NOW, prices={"limit_price": Decimal("19000.1")}).code == 3
    assert venue.modify(ONE, order, NOW, size=0).code == 3
    assert venue.modify(ONE, order, NOW, 3, {"stop_price": Decimal(18000)}).code == 0
    assert (venue.orders[order].size, venue.orders[order].stop_price) == (3, Decimal(18000))


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
