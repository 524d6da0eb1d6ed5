"""What somebody at the control port does to the exchange, without a whole program around it."""

from __future__ import annotations

from decimal import Decimal

from risk_daemon.sim.codes import CancelCode, OrderType
from risk_daemon.sim.model import Account
from risk_daemon.sim.referee import Referee
from risk_daemon.sim.scenario import Limits
from tests.sim.bench import ACCOUNT, Bench
from tests.sim.floor import MNQ, NOW, ONE, make, rest, told, trade


def test_a_stop_that_fills_while_it_is_cancelled_is_not_found_and_held() -> None:
    venue = make()
    trade(venue, 2)
    order = rest(venue, -2, OrderType.STOP, "19990.00")
    venue.drain()
    venue.stop_races[ONE] = 1

    answer = venue.cancel(ONE, order, NOW)

    assert answer.code == CancelCode.ORDER_NOT_FOUND
    assert venue.quantity(ONE, MNQ) == 0
    assert next(m.row for m in venue.drain() if m.kind == "trade")["price"] == Decimal("19990.00")
    again = rest(venue, -1, OrderType.STOP, "19990.00")
    assert venue.cancel(ONE, again, NOW).order == again  # it races once


def test_an_order_in_pieces_fills_contract_by_contract() -> None:
    venue = make()
    venue.piece_by_piece[ONE] = 0.0

    trade(venue, 3)

    assert [m.row["size"] for m in venue.drain() if m.kind == "trade"] == [1, 1, 1]


def test_a_hidden_account_says_so_and_comes_back() -> None:
    venue = make()

    venue.set_visible(ONE, value=False)
    venue.set_visible(ONE, value=True)

    assert [m.row["isVisible"] for m in venue.drain()] == [False, True]


def test_a_new_account_is_told_as_created() -> None:
    venue = make()
    new = Account(ONE + 50, "B", "north", Decimal(100))

    venue.open_account(new)

    assert told(venue.drain()) == [("account", 0, Decimal(100))]
    assert venue.accounts[new.id] is new


def test_an_account_that_came_later_is_judged_like_the_others() -> None:
    bench = Bench()
    limits = Limits(1, Decimal(100), {})
    empty = Referee({}, {}, answer_within_ms=1000, seed=1)
    empty.board.quotes = bench.market
    empty.admit(ACCOUNT, "north", limits)
    bench.referee = empty

    bench.fill(2)

    assert empty.verdict().breaches == 1
