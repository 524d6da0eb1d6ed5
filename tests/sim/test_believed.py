"""Which delivered quotes the referee believes: the law of one wild quote."""

from __future__ import annotations

from decimal import Decimal

import pytest

from risk_daemon.sim.believed import Believed
from risk_daemon.sim.model import Quote
from risk_daemon.sim.moment import NS_PER_MS

TICK = Decimal("0.25")


def quote(bid: str, ask: str) -> Quote:
    return Quote(Decimal(bid), Decimal(ask), Decimal(bid))


CALM = quote("100.00", "100.25")
WILD = quote("85.00", "100.25")  # the bid alone fell by sixty ticks


def calm() -> Believed:
    believed = Believed(TICK)
    believed.quoted(CALM, 0)
    return believed


def test_the_first_valid_quote_and_small_moves_are_believed() -> None:
    believed = Believed(TICK)

    assert believed.quoted(CALM, 0)
    assert not believed.quoted(CALM, 1)
    assert believed.quoted(quote("90.00", "90.25"), 2)  # forty ticks on both sides


@pytest.mark.parametrize("broken", [("0", "100.25"), ("100.00", "0"), ("100.25", "100.00")])
def test_a_one_sided_or_crossed_quote_is_none(broken: tuple[str, str]) -> None:
    believed = calm()

    assert not believed.quoted(quote(*broken), 1)
    assert believed.quote == CALM


def test_both_sides_together_may_jump_any_distance() -> None:
    believed = calm()

    assert believed.quoted(quote("50.00", "50.25"), 1)


def test_one_side_alone_is_doubted_until_it_says_so_again_fifty_milliseconds_later() -> None:
    believed = calm()

    assert not believed.quoted(WILD, 0)
    assert not believed.quoted(quote("85.25", "100.25"), 49 * NS_PER_MS)
    assert believed.quote == CALM
    assert believed.quoted(WILD, 50 * NS_PER_MS)


def test_a_trade_beyond_the_doubted_side_proves_it_and_one_before_it_does_not() -> None:
    believed = calm()
    believed.quoted(WILD, 0)

    assert not believed.printed(Decimal("85.25"))
    assert believed.printed(Decimal("85.00"))
    assert believed.quote == WILD
    assert not believed.printed(Decimal("85.00"))


def test_a_doubted_quote_counts_anyway_after_a_quarter_of_a_second() -> None:
    believed = calm()
    believed.quoted(WILD, 0)

    assert not believed.passed(249 * NS_PER_MS)
    assert believed.passed(250 * NS_PER_MS)
    assert not believed.passed(260 * NS_PER_MS)


def test_a_doubt_of_the_other_side_begins_anew() -> None:
    believed = calm()
    believed.quoted(WILD, 0)
    believed.quoted(quote("100.00", "115.25"), 10 * NS_PER_MS)

    assert not believed.passed(255 * NS_PER_MS)
    assert believed.passed(260 * NS_PER_MS)


def test_a_doubted_side_that_comes_back_was_nothing() -> None:
    believed = calm()
    believed.quoted(WILD, 0)
    believed.quoted(quote("99.75", "100.00"), 10 * NS_PER_MS)

    assert not believed.passed(400 * NS_PER_MS)
    assert believed.quote == quote("99.75", "100.00")
