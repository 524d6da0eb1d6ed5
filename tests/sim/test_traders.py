"""Traders: their habits, and the human limits all of them keep."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from random import Random

import pytest

from risk_daemon.programs.simgate import DEMO
from risk_daemon.sim.codes import OrderType, Side, Status
from risk_daemon.sim.config import STYLES, read
from risk_daemon.sim.contracts import BY_ROOT
from risk_daemon.sim.model import Order, Quote, Ticket
from risk_daemon.sim.moment import NS_PER_S
from risk_daemon.sim.standing import RULES
from risk_daemon.sim.traders import (
    LOSER_GREED_S,
    Act,
    Bracketer,
    Calm,
    Careless,
    Dreamer,
    Holder,
    Loser,
    Oversizer,
    Trader,
    View,
    trader,
)
from tests.sim.toy_guard import START, live

MNQ = BY_ROOT["MNQ"]
QUOTES = {
    contract.id: Quote(
        contract.start_price, contract.start_price + contract.tick_size, contract.start_price
    )
    for contract in BY_ROOT.values()
}
READY = View(
    now_s=100.0,
    limit=5,
    quantities={},
    averages={},
    orders=(),
    quotes=QUOTES,
    quiet_s=60.0,
    is_busy=False,
    is_locked=False,
    left_s=None,
    auto_oco=True,
)


def awake(person: Trader, view: View = READY) -> Trader:
    """Past the first look around, so that the next call may act."""
    person.act(replace(view, now_s=0.0))
    return person


def many(make: type[Trader], view: View, seeds: int = 60) -> list[list[Act]]:
    """What sixty such people do in the same situation."""
    return [awake(make(Random(seed), MNQ)).act(view) for seed in range(seeds)]


def tickets(acts: list[list[Act]]) -> list[Ticket]:
    return [act for some in acts for act in some if isinstance(act, Ticket)]


def holding(q: int, **more: object) -> View:
    view = replace(READY, quantities={MNQ.id: q}, averages={MNQ.id: MNQ.start_price})
    return replace(view, **more)  # type: ignore[arg-type]


def resting(number: int, side: Side, size: int, parent: int | None = None) -> Order:
    order = Order(number, 1, MNQ, OrderType.LIMIT, side, size, START.at, START.ns)
    order.status, order.parent = Status.OPEN, parent
    return order


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize(
    "change",
    [{"is_busy": True}, {"quiet_s": 1.4}, {"left_s": 3.9}, {"now_s": 0.4}],
    ids=["own order on its way", "something just happened", "the end is near", "just arrived"],
)
def test_nobody_acts_before_a_person_could(style: str, change: dict[str, object]) -> None:
    assert awake(trader(style, 7, 1)).act(replace(READY, **change)) == []  # type: ignore[arg-type]


def test_a_trader_without_a_style_is_nobody() -> None:
    with pytest.raises(NotImplementedError):
        awake(Trader(Random(1), MNQ)).act(READY)


def test_the_same_seed_is_the_same_person() -> None:
    first, again = (awake(trader("oversizer", 7, 1)).act(READY) for _ in range(2))

    assert first == again


def test_oversizers_break_the_limit_reduce_and_add_inside() -> None:
    orders = tickets(many(Oversizer, holding(3)))
    sizes = {order.size * order.side.sign for order in orders}

    assert {order.type for order in orders} == {OrderType.MARKET}
    assert {3, 4, 5} <= sizes  # beyond the room of 2
    assert min(sizes) < 0
    assert {1, 2} & sizes


def test_an_oversizer_adds_to_a_short_by_selling() -> None:
    assert {t.side for t in tickets(many(Oversizer, holding(-5))) if t.size > 4} <= {Side.BUY}
    assert Side.SELL in {t.side for t in tickets(many(Oversizer, holding(-3)))}


def test_losers_open_in_several_markets_close_what_loses_and_keep_what_wins() -> None:
    opened = tickets(many(Loser, READY))
    assert {BY_ROOT[root].id for root in ("ES", "CL", "GC")} == {t.contract for t in opened}

    losing = holding(2, averages={MNQ.id: MNQ.start_price + 50})
    assert {(t.side, t.size) for t in tickets(many(Loser, replace(losing, limit=3)))} == {
        (Side.SELL, 2)
    }
    short = holding(-2, averages={MNQ.id: MNQ.start_price - 50})
    assert {(t.side, t.size) for t in tickets(many(Loser, replace(short, limit=3)))} == {
        (Side.BUY, 2)
    }

    winning = holding(4, averages={MNQ.id: MNQ.start_price - 50}, now_s=LOSER_GREED_S - 1)
    assert tickets(many(Loser, winning)) == []


def test_a_loser_opens_another_market_before_he_closes_his_last() -> None:
    losing = holding(2, averages={MNQ.id: MNQ.start_price + 50})
    opened = tickets(many(Loser, losing))
    both = replace(
        losing,
        quantities=losing.quantities | {BY_ROOT["CL"].id: 2},
        averages=losing.averages | {BY_ROOT["CL"].id: Decimal(1)},
    )

    assert MNQ.id not in {ticket.contract for ticket in opened}
    assert {ticket.contract for ticket in tickets(many(Loser, both))} == {MNQ.id}


def test_a_loser_whose_markets_all_win_waits_and_then_adds_beyond_his_limit() -> None:
    roots = ("ES", "CL", "GC")
    view = replace(
        READY,
        limit=6,
        quantities={BY_ROOT[root].id: -2 for root in roots},
        averages={BY_ROOT[root].id: BY_ROOT[root].start_price * 2 for root in roots},
    )

    assert tickets(many(Loser, replace(view, now_s=LOSER_GREED_S - 1))) == []
    assert {(t.side, t.size) for t in tickets(many(Loser, view))} == {(Side.SELL, 2)}


@pytest.mark.parametrize(("style", "times"), [("loser", 3), ("calm", 1), ("oversizer", 1)])
def test_who_is_locked_comes_back_a_few_times_and_then_stays_away(style: str, times: int) -> None:
    person, view, came = awake(trader(style, 7, 1)), replace(READY, is_locked=True), 0
    for second in range(100, 200, 5):
        came += len(person.act(replace(view, now_s=float(second))))

    assert came == times


def test_who_is_locked_waits_four_seconds_and_until_he_is_flat() -> None:
    person = awake(trader("loser", 7, 1))

    assert person.act(replace(READY, is_locked=True, quiet_s=4.0)) == []
    assert person.act(holding(1, is_locked=True)) == []


def test_some_come_back_with_a_resting_order() -> None:
    kinds = {t.type for t in tickets(many(Loser, replace(READY, is_locked=True)))}

    assert kinds == {OrderType.LIMIT, OrderType.MARKET}


def test_bracketers_enter_with_signed_brackets_and_tidy_up_first() -> None:
    view = replace(READY, orders=(resting(1, Side.BUY, 1), resting(2, Side.SELL, 1, parent=9)))
    acts = many(Bracketer, view)

    assert all(some[:2] == [1, 2] for some in acts)
    for ticket in tickets(acts):
        assert (ticket.stop_loss_ticks or 0) * ticket.side.sign < 0
        assert (ticket.take_profit_ticks or 0) * ticket.side.sign > 0


def test_without_auto_oco_a_bracketer_enters_bare() -> None:
    orders = tickets(many(Bracketer, replace(READY, auto_oco=False)))

    assert {order.stop_loss_ticks for order in orders} == {None}


@pytest.mark.parametrize("q", [2, -2])
def test_bracketers_lay_out_too_much_take_back_or_leave(q: int) -> None:
    side = Side.BUY if q > 0 else Side.SELL
    acts = many(Bracketer, holding(q, orders=(resting(1, side, 1), resting(2, side.opposite, 2))))
    laid = [some for some in acts if some and isinstance(some[0], Ticket) and some[0].limit_price]

    assert [2] in acts
    assert any(some and isinstance(some[-1], int) and len(some) == 3 for some in acts)
    sums = {sum(t.size for t in tickets([some])) for some in laid}
    assert min(sums) + 3 > 5


def test_a_bracketer_at_his_limit_still_adds_one() -> None:
    acts = many(Bracketer, holding(5, limit=4))

    assert 1 in {len(tickets([some])) for some in acts}


def test_calm_people_stay_inside_and_make_one_late_mistake() -> None:
    person = awake(Calm(Random(1), MNQ))
    first = person.act(replace(READY, now_s=10.0))
    second = person.act(holding(1, now_s=20.0))
    mistake = person.act(replace(READY, now_s=60.0))
    after = person.act(replace(READY, now_s=80.0))

    assert [t.size for t in tickets([first, after])] <= [2, 2]
    assert [t.side for t in tickets([second])] == [Side.SELL]
    assert [t.size for t in tickets([mistake])] == [6]


@pytest.mark.parametrize(("style", "high", "low"), [(Holder, 1, -1), (Dreamer, -1, 1)])
def test_holders_enter_on_one_side_of_the_start_and_never_close(
    style: type[Trader], high: int, low: int
) -> None:
    above = QUOTES | {MNQ.id: Quote(Decimal(29000), Decimal("29000.25"), Decimal(29000))}
    below = QUOTES | {MNQ.id: Quote(Decimal(28000), Decimal("28000.25"), Decimal(28000))}

    assert {t.side.sign for t in tickets(many(style, replace(READY, quotes=above)))} == {high}
    assert {t.side.sign for t in tickets(many(style, replace(READY, quotes=below)))} == {low}
    assert tickets(many(style, holding(3))) == []


def test_careless_people_enter_with_and_without_a_far_stop_and_tidy_up_first() -> None:
    view = replace(READY, orders=(resting(1, Side.BUY, 1),))
    acts = many(Careless, view)
    entries = tickets(acts)

    assert all(some[0] == 1 for some in acts)
    assert {entry.stop_loss_ticks is None for entry in entries} == {True, False}
    assert all(
        abs(entry.stop_loss_ticks or 200) >= 160 and entry.take_profit_ticks is None
        for entry in entries
    )


def a_stop(number: int) -> Order:
    order = resting(number, Side.SELL, 1, parent=9)
    order.type = OrderType.STOP
    return order


def test_careless_people_add_without_a_stop_take_one_away_or_leave_in_time() -> None:
    later = replace(holding(1, orders=(a_stop(5),)), now_s=110.0)
    did: set[str] = set()
    for seed in range(40):
        person = awake(Careless(Random(seed), MNQ))
        person.act(READY)
        acts = person.act(later)
        did.add(" ".join("cancel" if isinstance(act, int) else act.side.name for act in acts))
        # Whoever left something uncovered waits for what comes.
        if acts and "cancel" in str(did) and isinstance(acts[0], int):
            assert person.act(replace(later, now_s=113.0)) == []

    assert did == {"", "BUY", "cancel", "SELL cancel"}


@pytest.mark.parametrize("seed", [7, 11])
def test_a_guarded_minute_of_the_demo_is_full_of_breaches_and_ends_well(seed: int) -> None:
    config = replace(read(DEMO), seed=seed)
    kills = {20.0: 9000000101, 35.0: 9000000103, 40.0: 9000000302}
    world, _ = live(config, 60, kills=kills)
    verdict = world.referee.verdict()

    assert verdict.problems == []
    assert verdict.ok
    assert 40 <= verdict.breaches <= 110
    assert all(row["breaches"] >= 1 for row in verdict.by_account.values())
    assert set(verdict.by_rule) == set(RULES)
    assert all(row["breaches"] >= 2 for row in verdict.by_rule.values())


def test_an_unguarded_demo_is_condemned() -> None:
    world, _ = live(read(DEMO), 30, guarded=False)

    assert not world.referee.verdict().ok
    assert world.referee.verdict().answered == 0


def test_traders_keep_their_distance_from_breaches_fills_and_foreign_closes() -> None:
    world, _ = live(read(DEMO), 40)
    orders = [o for o in world.venue.orders.values() if o.by == "trader" and o.parent is None]
    for account, case in world.referee.cases.items():
        placed = [o.created_ns for o in orders if o.account == account]
        closed = [
            o.created_ns for o in world.venue.orders.values() if o.is_close and o.account == account
        ]
        assert all(p < c or p - c >= 1.5 * NS_PER_S for p in placed for c in closed)
        for breach in case.breaches:
            end = breach.ended_ns or 0
            assert not [p for p in placed if breach.started_ns < p < end + 1.49 * NS_PER_S]
    last = max(order.created_ns for order in orders)
    assert last <= START.after(36).ns


def test_a_position_of_another_contract_counts_towards_the_size() -> None:
    assert holding(2, quantities={MNQ.id: 2, BY_ROOT["ES"].id: -3}).gross == 5
    assert Decimal(0) == sum(holding(0).averages.values()) - MNQ.start_price
