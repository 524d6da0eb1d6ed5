"""Quotes left out: the engine that asks at every quote is the oracle, and decides the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from risk_daemon.core.decision import Quiet
from risk_daemon.core.engine import Engine
from risk_daemon.core.events import (
    Entry,
    Fact,
    FeedChanged,
    MarkChanged,
    OrderChanged,
    RuleSetting,
)
from risk_daemon.core.instrument import UNIT
from risk_daemon.core.instrument import parse as units
from risk_daemon.core.quiet import WIDEST, Span, by_money, narrower, together
from risk_daemon.core.world import World, state_hash
from risk_daemon.rules import CATALOG
from tests.build import ACCOUNT, LOGIN, MS, Stream, contract, order, policy, position, rule, trade

COMBINED = rule(
    "daily-combined-loss",
    limit="300",
    est_exit_fees="0.62",
    staged=[{"at": "0.5", "do": "reduce-only"}, {"at": "1", "do": "flatten-lock"}],
)


def drawdown(trail: str) -> RuleSetting:
    return rule(
        "trailing-max-drawdown",
        drawdown="500",
        start="50000",
        lock_at="60000",
        trail=trail,
        buffer="10",
    )


NAKED = rule("no-stop-loss-grace", grace="2s", replace_grace="1s")
FAR = rule("no-stop-loss-grace", grace="2s", max_distance=20)
BOTH = {"MNQ": 21_000, "ES": 6_000}


def mark(root: str, ticks: int, spread: int) -> MarkChanged:
    price = BOTH[root] * UNIT + ticks * UNIT // 4
    return MarkChanged(contract=contract(root), bid=price, ask=price + spread * UNIT // 4)


def fills(root: str, number: int, signed: int, ticks: int) -> list[Fact]:
    price = str(BOTH[root] + ticks / 4)
    side = 1 if signed > 0 else -1
    return [trade(number, side, abs(signed), price, contract=contract(root), pnl=None)]


def stop(number: int, side: int, ticks: int, status: int) -> OrderChanged:
    price = units(str(21_000 + ticks / 4))
    return order(number, side, 2, type=4, stop_price=price, status=status)


moves = st.builds(mark, st.sampled_from(["MNQ", "ES"]), st.integers(-40, 40), st.integers(0, 2))
small = st.builds(mark, st.sampled_from(["MNQ", "ES"]), st.integers(-13, 13), st.integers(0, 1))
steps = st.one_of(
    moves,
    moves,
    moves,
    st.builds(mark, st.just("MNQ"), st.integers(-4, 4), st.just(1)),
    st.tuples(st.sampled_from(["MNQ", "ES"]), st.sampled_from([-2, -1, 1, 2]), st.integers(-9, 9)),
    st.builds(
        stop,
        st.integers(1, 3),
        st.sampled_from([1, -1]),
        st.integers(-40, 40),
        st.sampled_from([1, 1, 3]),
    ),
)


def story(found: list[Any]) -> list[Fact]:
    """Turn drawn steps into facts: each fill is followed by the position it led to."""
    facts: list[Fact] = [mark("MNQ", 0, 1), mark("ES", 0, 1)]
    facts += [*fills("MNQ", 99, 1, 0), position(1), *fills("ES", 98, -1, 0), position(-1, "ES")]
    held = {"MNQ": 1, "ES": -1}
    for number, step in enumerate(found):
        if isinstance(step, tuple):
            root, signed, ticks = step
            held[root] += signed
            facts += fills(root, 100 + number, signed, ticks)
            facts.append(position(held[root], root))
        else:
            facts.append(step)
    return facts


def decides_as_the_oracle(stream: Stream) -> None:
    oracle = Engine(CATALOG, asks_always=True)
    outputs = [output for entry in stream.entries for output in oracle.step(entry)]

    assert outputs[-len(stream.outputs) :] == stream.outputs or not stream.outputs
    assert state_hash(oracle.world.accounts[ACCOUNT]) == state_hash(stream.account)


RULES = [
    (COMBINED,),
    (rule("daily-combined-loss", mode="alert", limit="150"),),
    (drawdown("intraday-equity"),),
    (drawdown("eod"),),
    (NAKED,),
    (FAR,),
    (COMBINED, drawdown("intraday-equity"), NAKED),
    (
        COMBINED,
        rule("max-contracts-per-instrument", limits={"MNQ": 40, "ES": 40}),
        rule("end-of-day-flatten", entries_lead="2m"),
        rule("kill-switch"),
    ),
]


@given(st.lists(steps, min_size=10, max_size=60), st.sampled_from(RULES))
@settings(max_examples=100)
def test_what_is_left_out_changes_no_decision_and_no_state(
    found: list[Any], rules: tuple[RuleSetting, ...]
) -> None:
    stream = Stream().open(*rules)
    for fact in story(found):
        stream.feed(fact, after=20 * MS)
    stream.pulse()

    decides_as_the_oracle(stream)


@given(
    st.lists(small, min_size=20, max_size=80) | st.lists(moves, min_size=20, max_size=80),
    st.sampled_from(RULES),
)
@settings(max_examples=100)
def test_a_market_that_only_wanders_is_judged_as_by_the_oracle(
    found: list[MarkChanged], rules: tuple[RuleSetting, ...]
) -> None:
    stream = Stream().open(*rules)
    stream.feed(mark("MNQ", 0, 1), mark("ES", 0, 1))
    stream.feed(*fills("MNQ", 1, 20, 0), position(20), *fills("ES", 2, -1, 0), position(-1, "ES"))
    stream.feed(stop(1, -1, -10, 1), stop(2, -1, -30, 1))
    for quote in found:
        stream.feed(quote, after=20 * MS)

    decides_as_the_oracle(stream)


class Counting:
    """A rule that counts how often it is asked."""

    name, priority, asked = "counting", 50, 0

    def __init__(self, params: Mapping[str, object]) -> None:
        self.inner = CATALOG["daily-combined-loss"](params)
        self.reads = self.inner.reads

    def check(self, world: World, account: Any) -> Any:
        Counting.asked += 1
        return self.inner.check(world, account)

    def quiet(self, world: World, account: Any) -> Mapping[str, Quiet] | None:
        if account.realized_net < 0:
            raise KeyError("no figure")
        return self.inner.quiet(world, account)


def counting() -> Stream:
    stream = Stream({**CATALOG, "counting": Counting})
    stream.open(rule("counting", limit="1000"))
    stream.mark("MNQ", "21000", "21000.25")
    stream.fill(1, 1, 1)
    Counting.asked = 0
    return stream


def test_quotes_that_cannot_change_anything_ask_nobody() -> None:
    stream = counting()
    for ticks in range(1, 40):
        stream.feed(mark("MNQ", -ticks, 1))

    assert Counting.asked == 0
    stream.mark("MNQ", "20500", "20500.25")
    assert Counting.asked > 0


def test_a_rule_that_cannot_say_is_asked_at_every_quote() -> None:
    stream = counting()
    stream.feed(trade(9, 1, 1, fees=UNIT), position(2))
    Counting.asked = 0
    for ticks in range(1, 5):
        stream.feed(mark("MNQ", -ticks, 1))

    assert Counting.asked == 4


@pytest.mark.parametrize(
    "unsettled",
    [
        trade(9, 1, 1),
        FeedChanged(login=LOGIN, state="blind"),
        policy(rule("counting", limit="100"), digest="tighter"),
    ],
    ids=["views that differ", "a doubt", "a limit that holds back"],
)
def test_while_something_is_unsettled_every_quote_asks(unsettled: Fact) -> None:
    stream = counting()
    stream.mark("MNQ", "20900", "20900.25")
    stream.feed(unsettled)
    Counting.asked = 0
    for ticks in range(1, 5):
        stream.feed(mark("MNQ", -ticks - 400, 1))

    assert Counting.asked == 4


def test_no_price_is_quiet_for_who_holds_a_contract_without_one() -> None:
    stream = Stream().open(COMBINED)
    stream.fill(1, 1, 1)

    assert by_money(stream.engine.world, stream.account, UNIT, UNIT) is None
    stream.mark("MNQ", "21000", "21000.25")
    assert by_money(stream.engine.world, stream.account, UNIT, UNIT) is not None


@pytest.mark.parametrize(
    ("held", "low", "high"), [(1, -50, 20), (-1, -20, 50), (2, -25, 10)], ids=["long", "short", "2"]
)
@pytest.mark.parametrize("beside", [False, True], ids=["alone", "beside another contract"])
def test_a_room_is_so_far_down_and_up_shared_by_what_is_held_and_a_unit_short(
    held: int, low: int, high: int, *, beside: bool
) -> None:
    stream = Stream().open(rule("kill-switch"))
    stream.mark("MNQ", "21000", "21000")
    stream.mark("ES", "6000", "6000")
    stream.fill(1, 1 if held > 0 else -1, abs(held))
    if beside:
        stream.fill(2, 1, 1, "ES")
    loss, gain = (200 * UNIT, 80 * UNIT) if beside else (100 * UNIT, 40 * UNIT)

    found = by_money(stream.engine.world, stream.account, loss, gain)

    # MNQ is 2.00 a point: 100 of loss are 50 points of one contract.
    assert found is not None
    price = 21_000 * UNIT
    assert found[contract("MNQ")] == Quiet(price + low * UNIT + 1, price + high * UNIT - 1)
    only_up = by_money(stream.engine.world, stream.account, None, gain)
    assert only_up is not None
    assert (only_up[contract("MNQ")].low is None) == (held > 0)


def test_no_room_is_no_distance() -> None:
    stream = Stream().open(rule("kill-switch"))
    stream.mark("MNQ", "21000", "21000")
    stream.fill(1, 1, 1)

    price = 21_000 * UNIT
    for room in (0, 1, -UNIT):
        found = by_money(stream.engine.world, stream.account, room, room)
        assert found == {contract("MNQ"): Quiet(price, price)}


def test_an_order_that_adds_says_nothing_of_the_prices_a_stop_is_good_at() -> None:
    stream = Stream().open(NAKED)
    stream.mark("MNQ", "21000", "21000.25")
    stream.fill(1, 1, 1)
    stream.feed(stop(1, -1, -10, 1), stop(2, 1, -30, 1))
    stream.feed(order(3, -1, 1, limit_price=units("21010")))

    quiet = stream.engine.rules_of(stream.account)[0][1].quiet(stream.engine.world, stream.account)

    assert quiet == {contract("MNQ"): Quiet(low=units("20997.5") + 1)}


def test_what_is_due_is_done_at_the_next_quote_however_quiet() -> None:
    stream = Stream().open(NAKED)
    stream.mark("MNQ", "21000", "21000.25")
    stream.fill(1, 1, 1)
    held_at = stream.at
    # At these quotes nothing is due yet, so that what is quiet has been reckoned before it is.
    assert stream.feed(mark("MNQ", -1, 1), mark("MNQ", -2, 1)) == []

    found = stream.feed(mark("MNQ", -3, 1), after=held_at + 3_000 * MS - stream.at)

    assert found != []


@pytest.mark.parametrize(
    ("one", "other", "both"),
    [
        (Quiet(1, 9), Quiet(2, None), Quiet(2, 9)),
        (Quiet(None, 9), Quiet(None, 5), Quiet(None, 5)),
        (WIDEST, WIDEST, WIDEST),
    ],
)
def test_what_is_quiet_for_two_is_within_both(one: Quiet, other: Quiet, both: Quiet) -> None:
    assert narrower(one, other) == narrower(other, one) == both
    assert together([{"A": one}, {"A": other}]) == {"A": both}
    assert together([{"A": one}, None]) is None


def test_a_span_holds_its_ends_and_nothing_one_sided() -> None:
    span = Span(bid=Quiet(10, 20), ask=Quiet(None, 30))

    assert span.holds(MarkChanged(contract="C", bid=10, ask=30))
    assert span.holds(MarkChanged(contract="C", bid=20, ask=30))
    assert not span.holds(MarkChanged(contract="C", bid=9, ask=30))
    assert not span.holds(MarkChanged(contract="C", bid=21, ask=30))
    assert not span.holds(MarkChanged(contract="C", bid=10, ask=31))
    assert not span.holds(MarkChanged(contract="C", bid=10))


def test_an_entry_of_a_quote_concerns_whoever_holds_it() -> None:
    stream = counting()
    entry = Entry(stream.seq + 1, stream.at, 0, mark("ES", 5, 1))

    assert stream.engine.step(entry) == []
    assert stream.engine.holders(contract("ES")) == set()
    assert stream.engine.holders(contract("MNQ")) == {ACCOUNT}
