"""The seeded market."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from itertools import pairwise

from risk_daemon.sim.contracts import BY_ROOT
from risk_daemon.sim.market import Market
from risk_daemon.sim.model import Quote
from risk_daemon.sim.moment import NS_PER_MS, NS_PER_S

MNQ = BY_ROOT["MNQ"]


def walk(market: Market, seconds: float) -> list[Quote]:
    """Every MNQ quote of so many seconds."""
    quotes = []
    for now_ns in range(0, int(seconds * NS_PER_S), 10 * NS_PER_MS):
        quotes += [tick.quote for tick in market.step(now_ns) if tick.contract is MNQ]
    return quotes


def test_the_same_seed_makes_the_same_market_and_another_does_not() -> None:
    assert walk(Market(7), 20) == walk(Market(7), 20)
    assert walk(Market(7), 20) != walk(Market(8), 20)


def test_quotes_are_two_sided_on_the_grid_and_come_four_to_ten_times_a_second() -> None:
    quotes = walk(Market(7), 60)

    assert all(quote.is_valid and MNQ.is_on_grid(quote.bid) for quote in quotes)
    assert all(quote.bid <= quote.last <= quote.ask for quote in quotes)
    assert 4 * 60 <= len(quotes) <= 10 * 60


def test_the_market_jumps_at_times() -> None:
    quotes = walk(Market(7), 600)
    moves = [abs(b.bid - a.bid) / MNQ.tick_size for a, b in pairwise(quotes)]

    assert max(moves) >= 8
    assert sorted(moves)[len(moves) // 2] <= 3


def test_a_walk_turns_back_before_its_price_comes_near_zero() -> None:
    penny = replace(MNQ, start_price=Decimal("100.25"))
    market = Market(7, [penny])
    bids = [tick.quote.bid for n in range(5000) for tick in market.step(n * NS_PER_S)]

    assert min(bids) >= Decimal(100)


def test_it_opens_with_a_quote_for_every_contract() -> None:
    assert {tick.contract.root for tick in Market(7).open()} == set(BY_ROOT)


def test_a_frozen_market_says_nothing_and_goes_on_from_where_it_was_put() -> None:
    market = Market(7)
    market.open()
    market.is_moving = False
    assert (market.step(NS_PER_S), market.next_due_ns()) == ([], None)

    tick = market.set(MNQ.id, Quote(Decimal(100_000), Decimal("100000.25"), Decimal(100_000)))
    market.is_moving = True

    assert tick.volume == 1
    assert market.next_due_ns() is not None
    assert abs(walk(market, 1)[0].bid - 100_000) < 20


def test_a_contract_swings_from_one_side_of_its_start_to_the_other_where_that_is_wished() -> None:
    m2k = BY_ROOT["M2K"]
    market = Market(7, [m2k], swings=["M2K"])
    bids = [
        (tick.quote.bid - m2k.start_price) / m2k.tick_size
        for now_ns in range(0, 60 * NS_PER_S, 10 * NS_PER_MS)
        for tick in market.step(now_ns)
    ]
    moves = [abs(after - before) for before, after in pairwise(bids)]
    sides = [bid > 0 for bid in bids if abs(bid) > 30]

    assert 6 <= sum(after != before for before, after in pairwise(sides)) <= 14
    assert max(moves) >= 80  # one jump
    assert any(8 <= move <= 40 for move in moves)  # and slides


def test_nothing_swings_unless_it_is_wished() -> None:
    m2k = BY_ROOT["M2K"]
    market = Market(7, [m2k])
    bids = [
        tick.quote.bid
        for now_ns in range(0, 20 * NS_PER_S, 10 * NS_PER_MS)
        for tick in market.step(now_ns)
    ]

    assert max(abs(b - a) / m2k.tick_size for a, b in pairwise(bids)) <= 31
