"""The exchange by itself: orders, fills, prices, refusals."""

from __future__ import annotations

from decimal import Decimal

import pytest

from risk_daemon.sim.codes import OrderType, Side, Status
from risk_daemon.sim.model import Quote, Ticket
from risk_daemon.sim.profile import DEMO
from risk_daemon.sim.venue import Venue
from tests.sim.floor import ES, MNQ, NOW, ONE, TWO, make, quote, rest, told, trade


@pytest.fixture
def venue() -> Venue:
    return make()


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
