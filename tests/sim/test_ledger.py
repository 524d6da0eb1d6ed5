"""One book: idempotent, torn, voided, read."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from risk_daemon.sim.ledger import Book, OrderFact, Row, amount, signed_size
from risk_daemon.sim.moment import iso, next_reset, parse_iso, trade_date
from risk_daemon.sim.scenario import Limits
from risk_daemon.sim.standing import MAX_CONTRACTS, REALIZED_LOSS, need, standing, worst_case

MNQ = "CON.F.US.MNQ.Z26"
AT = datetime(2026, 11, 18, 16, 0, tzinfo=UTC)
DAY = trade_date(AT)


def trade(number: int, signed: int, gross: str | None = None, **more: object) -> Row:
    row: dict[str, object] = {
        "id": number, "contractId": MNQ, "creationTimestamp": iso(AT), "price": Decimal(1),
        "profitAndLoss": None if gross is None else Decimal(gross), "fees": Decimal("0.37"),
        "commissions": Decimal("0.25"), "side": 0 if signed > 0 else 1, "size": abs(signed),
        "voided": False, "orderId": 1,
    }  # fmt: skip
    return row | more


def position(q: int) -> Row:
    kind = 0 if q == 0 else 1 if q > 0 else 2
    return {"contractId": MNQ, "type": kind, "size": abs(q)}


def order(number: int, signed: int, status: int = 1, **more: object) -> Row:
    row: dict[str, object] = {
        "id": number, "contractId": MNQ, "status": status, "type": 1,
        "side": 0 if signed > 0 else 1, "size": abs(signed), "fillVolume": 0,
        "limitPrice": Decimal(5), "stopPrice": None,
    }  # fmt: skip
    return row | more


def test_a_trade_told_twice_counts_once_and_costs_count_without_a_profit() -> None:
    book = Book()
    book.apply("trade", trade(1, 2))
    book.apply("trade", trade(1, 2))

    assert book.traded == {MNQ: 2}
    assert book.realized(DAY) == Decimal("-0.62")


def test_a_void_removes_cash_and_quantity_and_a_late_copy_does_not_bring_it_back() -> None:
    book = Book()
    book.apply("trade", trade(1, 2))
    book.apply("trade", trade(1, 2, voided=True))
    book.apply("trade", trade(1, 2))

    assert (book.traded[MNQ], book.realized(DAY)) == (0, Decimal(0))


def test_a_trade_first_seen_voided_counts_nothing() -> None:
    book = Book()
    book.apply("trade", trade(1, 2, voided=True))

    assert book.traded == {}
    assert book.realized(DAY) == 0


def test_only_the_day_s_trades_count() -> None:
    book = Book()
    book.apply("trade", trade(1, -1, "-100", creationTimestamp="2026-11-17T22:59:59+00:00"))
    book.apply("trade", trade(2, -1, "-50", creationTimestamp="2026-11-17T23:00:00+00:00"))

    assert book.realized(DAY) == Decimal("-50.62")


@pytest.mark.parametrize(
    ("by_position", "by_trades", "small", "large"),
    [(3, 2, 2, 3), (-3, -2, -2, -3), (3, 0, 0, 3), (3, -2, 0, 3), (0, 2, 0, 2)],
)
def test_small_and_large_are_the_two_views(
    by_position: int, by_trades: int, small: int, large: int
) -> None:
    book = Book()
    book.apply("position", position(by_position))
    if by_trades:
        book.apply("trade", trade(1, by_trades))

    assert (book.small(MNQ), book.large(MNQ)) == (small, large)


def test_an_order_that_ended_never_comes_back_and_a_late_pending_does_not_unrest_it() -> None:
    book = Book()
    book.apply("order", order(1, 2))
    book.apply("order", order(1, 2, status=6))
    assert [o.id for o in book.resting()] == [1]
    book.apply("order", order(1, 2, status=3))
    book.apply("order", order(1, 2))

    assert book.orders == {}


def test_reads_replace_positions_and_open_orders_and_add_trades() -> None:
    book = Book()
    book.apply("position", position(3))
    book.apply("order", order(1, 1))
    book.apply("order", order(2, 1, status=8))
    book.read("position", [])
    book.read("order", [order(3, -1)])
    book.read("trade", [trade(1, 2), trade(2, 1)])
    book.read("account", [])

    assert book.positions == {}
    assert set(book.orders) == {2, 3}
    assert book.traded == {MNQ: 3}


def test_account_messages_hold_nothing_that_is_judged() -> None:
    book = Book()
    book.apply("account", {"id": 1, "balance": Decimal(1)})

    assert book == Book()


def test_numbers_that_are_absent_or_not_yet_decimal_are_read_all_the_same() -> None:
    assert amount({}, "fees") == 0
    assert amount({"fees": 0.25}, "fees") == Decimal("0.25")
    assert signed_size({"type": 0, "size": 0}) == 0


def fact(signed: int, parent: int | None = None) -> OrderFact:
    return OrderFact(1, MNQ, 1 if signed > 0 else -1, abs(signed), True, parent, None)


@pytest.mark.parametrize(
    ("q", "orders", "worst"),
    [
        (2, [fact(3), fact(1)], 6),
        (2, [fact(-2)], 2),
        (2, [fact(-2, 7), fact(-2, 7)], 2),
        (2, [fact(-5)], 3),
        (2, [fact(-2, 7), fact(-2, 8)], 2),
        (0, [fact(1), fact(-4)], 4),
        (-3, [], 3),
    ],
)
def test_the_worst_case_counts_an_oco_pair_once(
    q: int, orders: list[OrderFact], worst: int
) -> None:
    assert worst_case(orders, q) == worst


@given(st.integers(-9, 9), st.lists(st.integers(-5, 5).filter(bool), max_size=6))
def test_no_set_of_fills_makes_more_than_the_worst_case(q: int, sizes: list[int]) -> None:
    worst = worst_case([fact(size) for size in sizes], q)
    reachable = {q}
    for size in sizes:
        reachable |= {at + size for at in reachable}

    assert max(map(abs, reachable)) == worst


def test_nothing_is_needed_without_lock_or_excess() -> None:
    book = Book()
    book.apply("trade", trade(1, 2))
    book.apply("position", position(2))
    now = standing(book, Limits(2, Decimal(400)), DAY, book.small)

    assert not need(MAX_CONTRACTS, now, is_locked=False)
    assert not need(REALIZED_LOSS, now, is_locked=False)
    assert need(REALIZED_LOSS, now, is_locked=True).close == {MNQ}


@pytest.mark.parametrize(
    ("at", "day", "reset"),
    [
        ("2026-11-18T22:59:59.999999", "2026-11-18", "2026-11-18T23:00:00"),
        ("2026-11-18T23:00:00", "2026-11-19", "2026-11-19T23:00:00"),
        ("2026-11-20T20:00:00", "2026-11-20", "2026-11-22T23:00:00"),  # Friday: until Sunday
        ("2026-11-21T02:00:00", "2026-11-23", "2026-11-23T23:00:00"),  # a Friday evening
        ("2026-11-22T12:00:00", "2026-11-23", "2026-11-23T23:00:00"),
        ("2026-03-06T20:00:00", "2026-03-06", "2026-03-08T22:00:00"),  # clocks change: 50 hours
        ("2026-10-30T20:00:00", "2026-10-30", "2026-11-01T23:00:00"),
    ],
)
def test_trade_dates_and_resets_follow_chicago(at: str, day: str, reset: str) -> None:
    moment = parse_iso(at)

    assert trade_date(moment).isoformat() == day
    assert iso(next_reset(moment)).startswith(reset)
