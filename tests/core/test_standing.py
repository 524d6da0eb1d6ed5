"""Rules left out: the engine that always asks everybody is the oracle, and decides the same.

A rule says which aspects of an account it reads. One that forgets an aspect is left out when it
matters, and then some story tells it apart from the oracle: that is shown for each aspect of each.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Mapping
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from risk_daemon.core.account import LIMIT, MARKET, STOP, STOP_LIMIT, TRAILING_STOP, Account
from risk_daemon.core.decision import Finding, Quiet
from risk_daemon.core.engine import Engine
from risk_daemon.core.events import (
    AccountSeen,
    Entry,
    Fact,
    FeedChanged,
    MarkChanged,
    OrderChanged,
    PrintSeen,
    Pulse,
    RuleSetting,
)
from risk_daemon.core.instrument import CENT, UNIT
from risk_daemon.core.instrument import parse as units
from risk_daemon.core.world import Aspect, Parser, Rule, World, state_hash
from risk_daemon.rules import CATALOG
from tests.build import (
    ACCOUNT,
    LOGIN,
    MS,
    SECOND,
    Stream,
    contract,
    contract_seen,
    lease,
    order,
    policy,
    position,
    reading,
    rule,
    trade,
)

ROOTS = {"MNQ": 21_000, "ES": 6_000}
WEEK = [{"days": ["wed", "thu"], "from": "10:01", "to": "10:06"}]
#: Each rule by itself, in a mode that locks nothing, so that a story goes on after a breach.
ALONE: dict[str, tuple[RuleSetting, ...]] = {
    "kill-switch": (rule("kill-switch"),),
    "end-of-day-flatten": (rule("end-of-day-flatten", "alert", flatten="10:09"),),
    "daily-realized-loss": (rule("daily-realized-loss", "alert", limit="120"),),
    "daily-combined-loss": (rule("daily-combined-loss", "alert", limit="150", warn_at=["0.4"]),),
    "trailing-max-drawdown": (
        rule(
            "trailing-max-drawdown",
            "alert",
            drawdown="600",
            start="50000",
            lock_at="60000",
            trail="intraday-realized",
            buffer="10",
        ),
    ),
    "max-contracts": (rule("max-contracts", "alert", limit=4),),
    "max-contracts-per-instrument": (
        rule("max-contracts-per-instrument", "alert", limits={"MNQ": 3, "ES": 2}),
    ),
    "no-stop-loss-grace": (rule("no-stop-loss-grace", "alert", grace="2s", replace_grace="1s"),),
}
TOGETHER = tuple(one for rules in ALONE.values() for one in rules)
OTHERS: dict[str, tuple[RuleSetting, ...]] = {
    "together": TOGETHER,
    "enforced": tuple(
        RuleSetting(rule=one.rule, mode="enforce", params=one.params) for one in TOGETHER
    ),
    "on equity": (
        rule(
            "trailing-max-drawdown",
            "alert",
            drawdown="400",
            start="50000",
            trail="intraday-equity",
            buffer="5",
            warn_at=["0.3", "0.6"],
        ),
        rule("max-contracts", "alert", limit=2, basis="net", unit="mini-equivalents"),
        rule("no-stop-loss-grace", "alert", grace="2s", accept_stop_limit=True, max_distance=30),
    ),
    "in windows": (
        rule("daily-combined-loss", "shadow", limit="60", warn_at=["0.5"], schedule=WEEK),
        rule("max-contracts", "alert", limit=2, include_working="count", schedule=WEEK),
        rule("no-stop-loss-grace", "alert", grace="2s", schedule=WEEK),
    ),
}
LOOSE = (
    rule("daily-combined-loss", limit="20000"),
    rule("daily-realized-loss", limit="20000"),
    rule("end-of-day-flatten"),
    rule("kill-switch"),
    rule("max-contracts", limit=9),
    rule("max-contracts-per-instrument", limits={"MNQ": 9, "ES": 9}),
    rule("no-stop-loss-grace"),
    rule("trailing-max-drawdown", drawdown="20000", start="50000"),
)
SETS = ALONE | OTHERS | {"loose": LOOSE}


class Story:
    """What may happen to an account that trades, by chance; mostly nothing that any rule minds."""

    def __init__(self, seed: int, rules: tuple[RuleSetting, ...]) -> None:
        self.chance = Random(seed)
        self.number = 100
        self.stream = Stream().open(*rules)
        for root in ROOTS:
            self.tell(self.quote(root, 0))

    def tell(self, *facts: Fact) -> None:
        for fact in facts:
            self.stream.feed(fact, after=self.chance.choice([MS, 20 * MS, 300 * MS, SECOND]))

    def next_number(self) -> int:
        self.number += 1
        return self.number

    def quote(self, root: str, ticks: int) -> MarkChanged:
        price = ROOTS[root] * UNIT + ticks * UNIT // 4
        return MarkChanged(contract=contract(root), bid=price, ask=price + UNIT // 4)

    def happen(self) -> None:
        root = self.chance.choice(["MNQ", "MNQ", "MNQ", "ES"])
        usual = [self.rest, self.rest, self.stop, self.stop, self.fill, self.fill, self.wander]
        seldom = [self.end, self.end, self.see, self.see, self.print, self.wait, self.rare]
        self.chance.choice(usual + seldom)(root)

    def rest(self, root: str) -> None:
        number, side = self.next_number(), self.chance.choice([1, -1])
        linked = self.chance.choice([None, None, number - 1])
        kind = self.chance.choice([LIMIT, LIMIT, LIMIT, MARKET])
        size = self.chance.choice([1, 1, 1, 2])
        self.tell(order(number, side, size, root, type=kind, linked=linked, limit_price=UNIT))

    def stop(self, root: str) -> None:
        kind = self.chance.choice([STOP, STOP, STOP_LIMIT, TRAILING_STOP])
        held = self.stream.account.holding(contract(root)).by_trades
        side = -1 if held > 0 else 1
        price = ROOTS[root] * UNIT + side * self.chance.randrange(2, 40) * UNIT // 4
        size = max(abs(held) + self.chance.choice([0, 0, 0, -1, 1]), 1)
        self.tell(order(self.next_number(), side, size, root, type=kind, stop_price=price))

    def end(self, root: str) -> None:
        del root
        orders = self.stream.account.orders
        if not orders:
            return
        one = orders[self.chance.choice(sorted(orders))]
        changes = {"status": 3} if self.chance.random() < 0.7 else {"size": one.size + 1}
        changed = {name: getattr(one, name) for name in OrderChanged.__struct_fields__} | changes
        self.tell(OrderChanged(**changed))

    def fill(self, root: str) -> None:
        held = self.stream.account.holding(contract(root))
        side = self.chance.choice([1, -1])
        if abs(held.by_trades) > 1:
            side = -1 if held.by_trades > 0 else 1
        size, after = self.chance.choice([1, 1, 2]), held.by_trades
        pnl = self.chance.randrange(-60, 80) * UNIT if after * side < 0 else None
        fees = self.chance.choice([0, units("0.37"), units("0.375")])
        price = str(ROOTS[root] + self.chance.randrange(-8, 8) / 4)
        done = trade(
            self.next_number(),
            side,
            size,
            price,
            contract=contract(root),
            pnl=pnl,
            fees=fees,
            traded_at=self.stream.at,
        )
        self.tell(done)
        if self.chance.random() < 0.2:
            self.wander(root)
        self.tell(position(after + side * size, root))
        if self.chance.random() < 0.05:
            self.tell(done)

    def wander(self, root: str) -> None:
        self.tell(self.quote(root, self.chance.randrange(-30, 30)))

    def print(self, root: str) -> None:
        jump = 60 * self.chance.choice([1, -1])
        wild = self.quote(root, jump)
        assert wild.bid is not None
        assert wild.ask is not None
        self.tell(MarkChanged(contract=wild.contract, bid=wild.bid, ask=wild.bid + 90 * UNIT))
        self.tell(
            PrintSeen(contract=wild.contract, price=wild.bid - 10 * UNIT), self.quote(root, 0)
        )

    def see(self, root: str) -> None:
        del root
        ledger = self.stream.account.ledger or 0
        rounding = self.chance.choice([0, 0, 0, CENT, -CENT, CENT // 2, 30 * UNIT])
        self.tell(
            AccountSeen(
                account=ACCOUNT,
                login=LOGIN,
                name="NORTH-1",
                balance=ledger + rounding,
                can_trade=self.chance.random() < 0.98,
            )
        )

    def wait(self, root: str) -> None:
        del root
        self.stream.pulse(self.chance.choice([SECOND, 5 * SECOND, 40 * SECOND]))

    def rare(self, root: str) -> None:
        held = {name: one.by_trades for name, one in self.stream.account.holdings.items()}
        rows = [position(held.get(contract(root), 0), root) for root in ROOTS]
        live = list(self.stream.account.orders.values())
        balance = self.stream.account.ledger or 0
        facts: list[Fact] = [
            reading(*rows, *live, balance=balance, began_at=self.stream.at),
            contract_seen(root),
            FeedChanged(login=LOGIN, state=self.chance.choice(["suspect", "trusted", "trusted"])),
            FeedChanged(login=LOGIN, state="trusted"),
            position(held.get(contract(root), 0) + 1, root),
            MarkChanged(contract=contract(root)),
            lease(2),
            Pulse(),
        ]
        self.tell(self.chance.choice(facts))


@functools.lru_cache(maxsize=4_000)
def told(seed: int, name: str) -> tuple[Entry, ...]:
    """Return the records of a story."""
    story = Story(seed, SETS[name])
    for _ in range(40):
        story.happen()
    return tuple(story.stream.entries)


def differs(entries: tuple[Entry, ...], catalog: Mapping[str, Parser] = CATALOG) -> str:
    """Say at which record an engine is first told apart from the oracle; empty if it never is."""
    engine, oracle = Engine(catalog), Engine(CATALOG, asks_always=True)
    for entry in entries:
        mine, other = engine.step(entry), oracle.step(entry)
        if mine != other:
            return f"seq {entry.seq}, {entry.fact}: {mine} and not {other}"
        accounts = (engine.world.accounts.get(ACCOUNT), oracle.world.accounts.get(ACCOUNT))
        hashes = [state_hash(one) for one in accounts if one is not None]
        if len(set(hashes)) > 1 or engine.wake_at() != oracle.wake_at():
            return f"seq {entry.seq}, {entry.fact}: {accounts[0]} and not {accounts[1]}"
    return ""


@given(st.integers(0, 10**9), st.sampled_from(sorted(SETS)))
@settings(max_examples=150)
def test_whom_a_record_does_not_concern_would_have_found_the_same(seed: int, name: str) -> None:
    assert differs(told(seed, name)) == ""


# --- what a rule says it reads -----------------------------------------------------


class Around:
    """A rule that counts how often it is asked, and may not say all that it reads."""

    def __init__(self, inner: Rule, hides: frozenset[Aspect], asked: Counter[str]) -> None:
        self.inner, self.asked = inner, asked
        self.name, self.priority = inner.name, inner.priority
        self.reads = inner.reads - hides

    def check(self, world: World, account: Account) -> Finding:
        self.asked[self.name] += 1
        return self.inner.check(world, account)

    def quiet(self, world: World, account: Account) -> Mapping[str, Quiet] | None:
        return self.inner.quiet(world, account)


Parsers = Mapping[str, Parser]


def around(asked: Counter[str], name: str = "", hides: frozenset[Aspect] = frozenset()) -> Parsers:
    """Return the catalog with counting rules, one of which hides what it reads."""

    def parser(kind: str) -> Parser:
        hidden = hides if kind == name else frozenset()
        return lambda params: Around(CATALOG[kind](params), hidden, asked)

    return {kind: parser(kind) for kind in CATALOG}


READ = [
    (name, aspect)
    for name, (setting,) in ALONE.items()
    for aspect in sorted(CATALOG[name](setting.params).reads)
]


@pytest.mark.parametrize(("name", "aspect"), READ)
def test_a_rule_that_forgets_an_aspect_is_found_out(name: str, aspect: Aspect) -> None:
    deaf = around(Counter(), name, frozenset({aspect}))

    assert any(differs(told(seed, name), deaf) for seed in range(300))


def test_each_aspect_is_read_by_some_rule() -> None:
    assert {aspect for _, aspect in READ} == set(Aspect)


# --- who is asked -------------------------------------------------------------------


def calm() -> tuple[Stream, Counter[str]]:
    """An account that holds two contracts behind a stop, all rules clear; who is asked from now."""
    asked: Counter[str] = Counter()
    stream = Stream(around(asked))
    stream.open(*LOOSE)
    stream.mark("MNQ", "21000", "21000.25")
    stream.fill(1, 1, 2)
    stream.feed(order(2, -1, 2, type=STOP, stop_price=units("20000")))
    asked.clear()
    return stream, asked


SIZES = {"max-contracts", "max-contracts-per-instrument"}
MONEY = {"daily-combined-loss", "daily-realized-loss", "trailing-max-drawdown"}
EVERYBODY = set(CATALOG)


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ([order(3, 1, 1, limit_price=UNIT)], SIZES),
        ([order(2, -1, 1, type=STOP, stop_price=UNIT)], {*SIZES, "no-stop-loss-grace"}),
        ([order(2, -1, 2, type=LIMIT)], {*SIZES, "no-stop-loss-grace"}),
        ([trade(3, 1, 1)], {*MONEY, *SIZES, "no-stop-loss-grace"}),
        ([position(2)], set()),
        ([MarkChanged(contract=contract("MNQ"), bid=UNIT, ask=2 * UNIT)], EVERYBODY),
        ([order(3, 1, 1, "ES")], EVERYBODY),
        ([Pulse()], set()),
        ([reading(position(2))], EVERYBODY),
        ([contract_seen("MNQ"), position(2)], EVERYBODY),
        ([MarkChanged(contract=contract("MNQ")), position(2)], EVERYBODY),
        ([policy(digest="none"), position(2)], set()),
    ],
    ids=[
        "an order that is no stop",
        "a stop",
        "what was a stop",
        "a fill",
        "what is known already",
        "a fall that breaks limits",
        "another contract",
        "time in which nothing is due",
        "a read",
        "a grid",
        "no price any more",
        "rules that are none",
    ],
)
def test_a_record_is_shown_to_those_that_read_what_it_changes(
    facts: list[Fact], expected: set[str]
) -> None:
    stream, asked = calm()

    stream.feed(*facts)

    assert set(asked) == expected


def test_the_fill_of_a_close_moves_money_and_the_position_after_it_sizes() -> None:
    stream, asked = calm()
    stream.feed(trade(3, -1, 1, pnl=0))
    assert set(asked) == MONEY

    asked.clear()
    stream.feed(position(1))

    assert set(asked) == {*SIZES, "no-stop-loss-grace"}


def test_everybody_is_asked_at_the_instant_one_of_them_waits_for() -> None:
    stream, asked = calm()
    until = stream.account.wake_at - stream.at

    stream.feed(position(2), after=until - 1)
    assert set(asked) == set()
    stream.feed(position(2), after=1)
    assert set(asked) == EVERYBODY


def test_while_something_is_open_everybody_is_asked() -> None:
    stream, asked = calm()
    stream.feed(trade(3, 1, 8), position(10))  # one too many
    asked.clear()

    stream.feed(position(10))

    assert set(asked) == EVERYBODY


def test_what_waits_for_a_read_is_asked_again_when_the_exchange_closes() -> None:
    """The read is remembered as asked for; past the close it is not, whatever comes first."""
    stream = Stream().open(rule("no-stop-loss-grace", grace="30s"))
    close_in = (5 * 3_600 + 59 * 60 + 30) * SECOND  # half a minute before 16:00
    stream.feed(Pulse(), after=close_in - 400 * MS)
    stream.mark("MNQ", "21000", "21000.25")
    stream.fill(1, 1, 1)
    stream.pulse(30 * SECOND)
    seen = AccountSeen(
        account=ACCOUNT, login=LOGIN, name="NORTH-1", balance=50_000 * UNIT, can_trade=True
    )
    stream.feed(seen, seen, after=300 * MS)

    assert differs(tuple(stream.entries)) == ""


def test_a_quote_that_changes_no_decision_of_a_stirred_account_asks_nobody() -> None:
    stream, asked = calm()
    stream.mark("MNQ", "21000.25", "21000.50")
    stream.feed(order(3, 1, 1, limit_price=UNIT))
    asked.clear()

    stream.mark("MNQ", "21000", "21000.25")

    assert set(asked) == set()
