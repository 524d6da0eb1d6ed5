"""Believable marks: a quote that jumps waits for a witness, and never for ever."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from risk_daemon.core import marks
from risk_daemon.core.events import MarkChanged
from risk_daemon.core.instrument import UNIT, Instrument
from risk_daemon.core.marks import BELIEVE_AFTER, JUMP_TICKS, SECOND_QUOTE, Market

GRID = Instrument("C", "MNQ", UNIT // 4, UNIT // 2)
TICK = GRID.tick_size
HERE = 21_000 * UNIT
REACH = JUMP_TICKS * TICK


def quote(bid: int | None, ask: int | None) -> MarkChanged:
    return MarkChanged(contract="C", bid=bid, ask=ask)


def market() -> Market:
    found = Market()
    assert marks.take_quote(found, quote(HERE, HERE + TICK), GRID, 0)
    return found


def test_wild_is_forty_ticks_again_is_50_ms_and_long_is_250_ms() -> None:
    assert (JUMP_TICKS, SECOND_QUOTE, BELIEVE_AFTER) == (40, 50_000_000, 250_000_000)


@pytest.mark.parametrize(
    ("bid", "ask"),
    [(None, HERE), (HERE, None), (0, HERE), (HERE, 0), (HERE + TICK, HERE)],
)
def test_one_sided_zero_and_crossed_quotes_are_no_marks(bid: int | None, ask: int | None) -> None:
    found = market()

    assert not marks.take_quote(found, quote(bid, ask), GRID, 1)
    assert found.valid == quote(HERE, HERE + TICK)
    assert found.suspect is None


def test_a_locked_market_is_a_mark() -> None:
    assert marks.take_quote(Market(), quote(HERE, HERE), GRID, 0)


def test_a_jump_within_reach_counts_at_once_and_one_tick_further_waits() -> None:
    assert marks.take_quote(market(), quote(HERE - REACH, HERE + TICK), GRID, 1)
    assert not marks.take_quote(market(), quote(HERE - REACH - TICK, HERE + TICK), GRID, 1)
    assert marks.take_quote(market(), quote(HERE, HERE + TICK + REACH), GRID, 1)
    assert not marks.take_quote(market(), quote(HERE, HERE + 2 * TICK + REACH), GRID, 1)


def test_without_the_contracts_grid_nothing_can_be_measured_so_it_counts() -> None:
    assert marks.take_quote(market(), quote(HERE // 2, HERE // 2), None, 1)


def test_a_quote_that_says_nothing_new_changes_nothing() -> None:
    assert not marks.take_quote(market(), quote(HERE, HERE + TICK), GRID, 1)


def test_both_sides_together_are_believed_and_both_sides_apart_are_not() -> None:
    assert marks.take_quote(market(), quote(HERE // 2, HERE // 2 + TICK), GRID, 1)
    assert not marks.take_quote(market(), quote(HERE // 2, HERE * 2), GRID, 1)


def test_the_other_side_following_proves_the_first() -> None:
    found = market()
    assert not marks.take_quote(found, quote(HERE // 2, HERE + TICK), GRID, 1)

    assert marks.take_quote(found, quote(HERE // 2, HERE // 2 + TICK), GRID, 2)


@pytest.mark.parametrize("after", [SECOND_QUOTE - 1, SECOND_QUOTE])
@pytest.mark.parametrize("side", ["bid", "ask"])
def test_the_same_side_again_counts_50_ms_later_and_not_before(after: int, side: str) -> None:
    found = market()
    wild = {
        "bid": quote(HERE - 2 * REACH, HERE + TICK),
        "ask": quote(HERE, HERE + TICK + 2 * REACH),
    }[side]
    assert not marks.take_quote(found, wild, GRID, 10)

    assert marks.take_quote(found, wild, GRID, 10 + after) is (after == SECOND_QUOTE)


def test_another_side_or_way_begins_anew() -> None:
    found = market()
    marks.take_quote(found, quote(HERE - 2 * REACH, HERE + TICK), GRID, 0)

    assert not marks.take_quote(found, quote(HERE, HERE + 3 * REACH), GRID, SECOND_QUOTE)
    assert found.suspect is not None
    assert found.suspect.since == SECOND_QUOTE


@pytest.mark.parametrize(
    ("price", "proves"),
    [(HERE - 2 * REACH + TICK, False), (HERE - 2 * REACH, True), (HERE - 3 * REACH, True)],
)
def test_a_print_at_or_beyond_the_side_that_jumped_proves_it(price: int, proves: bool) -> None:
    found = market()
    wild = quote(HERE - 2 * REACH, HERE + TICK)
    marks.take_quote(found, wild, GRID, 1)

    assert marks.take_print(found, price) is proves
    assert (found.valid == wild) is proves


def test_a_print_above_proves_an_ask_that_jumped_up() -> None:
    found = market()
    marks.take_quote(found, quote(HERE, HERE + 2 * REACH), GRID, 1)

    assert not marks.take_print(found, HERE + 2 * REACH - TICK)
    assert marks.take_print(found, HERE + 2 * REACH)


def test_without_a_suspect_a_print_and_time_prove_nothing() -> None:
    found = market()

    assert not marks.take_print(found, HERE)
    assert not marks.due(found, BELIEVE_AFTER)
    assert marks.wake_at(found) == 0


def test_what_nobody_contradicts_counts_after_250_ms_with_its_latest_quote() -> None:
    found = market()
    marks.take_quote(found, quote(HERE - 2 * REACH, HERE + TICK), GRID, 5)
    latest = quote(HERE - 3 * REACH, HERE + TICK)
    marks.take_quote(found, latest, GRID, 6)

    assert marks.wake_at(found) == 5 + BELIEVE_AFTER
    assert not marks.due(found, 5 + BELIEVE_AFTER - 1)
    assert marks.due(found, 5 + BELIEVE_AFTER)
    assert found.valid == latest


prices = st.integers(HERE - 3 * REACH, HERE + 3 * REACH)


@given(st.lists(st.tuples(prices, prices, st.integers(0, BELIEVE_AFTER)), max_size=30))
def test_the_valid_mark_is_always_a_quote_that_was_shown_and_sound(
    shown: list[tuple[int, int, int]],
) -> None:
    found, at, seen = market(), 0, {(HERE, HERE + TICK)}
    for bid, ask, later in shown:
        at += later
        seen.add((bid, ask))
        marks.due(found, at)
        marks.take_quote(found, quote(bid, ask), GRID, at)
        assert found.valid is not None
        assert (found.valid.bid, found.valid.ask) in seen
        assert found.valid.bid is not None
        assert found.valid.ask is not None
        assert found.valid.bid <= found.valid.ask
    if found.suspect is not None:
        assert marks.due(found, at + BELIEVE_AFTER)
