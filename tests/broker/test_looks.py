"""Looking because figures do not fit: views that differ, a balance that nothing explains."""

from __future__ import annotations

import pytest

from risk_daemon.broker import fence
from risk_daemon.broker.budget import REST, SHARES, WINDOW
from risk_daemon.broker.fence import Ticked
from risk_daemon.broker.gate import Output, Read
from risk_daemon.broker.looks import AGAIN_AFTER, BALANCE, GRACE, LATER, VIEWS, WHY
from risk_daemon.broker.port import COST, FULL, RECENT
from risk_daemon.broker.sight import WATCHED_AFTER
from risk_daemon.core.events import AccountSeen, Fact, Pulse
from risk_daemon.core.instrument import CENT, UNIT
from tests.broker.test_fence import Door, filled, refusals, sent
from tests.build import ACCOUNT, LOGIN, MS, SECOND, contract, order, position, trade

MNQ, ES = contract("MNQ"), contract("ES")


def balance(dollars: int) -> AccountSeen:
    return AccountSeen(
        account=ACCOUNT, login=LOGIN, name="A", balance=dollars * UNIT, can_trade=True
    )


def whys(outputs: list[Output]) -> list[str]:
    return [output.why for output in outputs if isinstance(output, Read)]


def turn(door: Door, after: int) -> list[str]:
    return whys(door.put(Ticked(), after=after))


# --- views ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "part",
    [
        trade(1, 1, 2, order=9),
        position(2),
        order(9, 1, 2, type=2, status=2, filled=2),
    ],
)
def test_one_message_of_a_fill_alone_is_looked_at_at_once_and_again(part: Fact) -> None:
    door = Door().holding(0)
    door.arrive(part)

    assert turn(door, GRACE[VIEWS] - 1) == []
    assert turn(door, 1) == [WHY[VIEWS]]
    assert turn(door, AGAIN_AFTER - 1) == []
    assert turn(door, 1) == [WHY[VIEWS]]
    assert turn(door, LATER - 1) == []
    assert turn(door, 1) == [WHY[VIEWS]]
    assert fence.wake_at(door.gate) == door.now + LATER


def test_a_fill_whose_messages_all_came_is_not_looked_at() -> None:
    door = Door().holding(2)
    door.arrive(*filled())

    assert fence.wake_at(door.gate) == 0
    assert turn(door, 10 * LATER) == []


def test_a_stable_read_settles_the_difference_and_an_unstable_one_does_not() -> None:
    door = Door().holding(0)
    door.arrive(position(2))

    door.read(position(2), stable=False)
    assert turn(door, GRACE[VIEWS]) == [WHY[VIEWS]]
    door.read(position(2))
    assert turn(door, 10 * LATER) == []


def test_a_fill_that_is_taken_back_is_looked_at() -> None:
    door = Door().holding(0)
    fill = trade(1, 1, 2, order=9)
    door.arrive(order(9, 1, 2, type=2, status=2, filled=2), fill, position(2))
    assert turn(door, LATER) == []

    door.arrive(trade(1, 1, 2, order=9, voided=True))

    assert turn(door, GRACE[VIEWS]) == [WHY[VIEWS]]


# --- views that keep a reduction from leaving --------------------------------------


def depths(outputs: list[Output]) -> list[str]:
    return [output.depth for output in outputs if isinstance(output, Read)]


def looked(door: Door, after: int) -> list[str]:
    return depths(door.put(Ticked(), after=after))


def unsure(quantity: int = 4) -> Door:
    """Positions show some contracts; the fill's other messages were lost."""
    door = Door().holding(0)
    door.arrive(position(quantity))
    return door


@pytest.mark.parametrize(("quantity", "depth"), [(3, FULL), (4, RECENT), (-3, FULL), (-4, RECENT)])
def test_what_a_reduction_waits_for_is_read_as_deep_as_enforcements_requests_may_pay(
    quantity: int, depth: str
) -> None:
    door = unsure(quantity)

    outputs = door.decide("reduce", allowed=3)

    assert refusals(outputs) == ["holds 0, nothing is left to reduce"]
    assert depths(outputs) == [], "the fill's messages may still be on their way"
    assert looked(door, GRACE[VIEWS] - MS) == [depth]
    assert looked(door, AGAIN_AFTER) == [depth]


def test_whichever_message_of_the_fill_came() -> None:
    for part in (trade(1, 1, 4, order=9), order(9, 1, 4, type=2, status=2, filled=4)):
        door = Door().holding(0)
        door.arrive(part)
        door.decide("reduce", allowed=3)

        assert looked(door, GRACE[VIEWS]) == [RECENT]


def test_a_reduction_that_comes_when_the_looks_were_in_vain_is_soon_read_for_once_more() -> None:
    door = unsure()
    assert looked(door, GRACE[VIEWS]) == [FULL]
    assert looked(door, AGAIN_AFTER) == [FULL]

    door.decide("reduce", allowed=3)
    door.decide("reduce", allowed=3, locked=False)  # a millisecond later, and no later for it

    assert looked(door, GRACE[VIEWS] - 2 * MS) == []
    assert fence.wake_at(door.gate) == door.now + MS
    assert looked(door, MS) == [RECENT]
    assert looked(door, LATER - 1) == []
    assert looked(door, 1) == [RECENT]


def test_a_fill_whose_messages_come_after_the_reduction_is_not_read_for() -> None:
    door = Door().holding(2)
    door.arrive(*filled()[:1])
    door.decide("reduce", allowed=1)
    door.arrive(*filled()[1:])

    assert fence.wake_at(door.gate) == 0


def test_once_views_agree_the_next_difference_is_a_common_one() -> None:
    door = unsure()
    door.decide("reduce", allowed=3)
    door.read(position(4))
    door.arrive(position(5))

    assert looked(door, GRACE[VIEWS]) == [FULL]


def test_a_reduction_that_is_asked_for_again_and_again_leaves_requests_for_other_accounts() -> None:
    door = unsure()
    until = door.now + WINDOW
    asked = 0
    while door.now < until:
        door.decide("reduce", allowed=3)
        asked += len(looked(door, 100 * MS))

    assert asked > 2
    assert asked * COST[RECENT] < SHARES[REST]


@pytest.mark.parametrize(
    ("seen", "wanted", "depth"),
    [
        ((position(4),), MNQ, RECENT),
        ((trade(1, 1, 4, order=9),), MNQ, RECENT),
        (filled(), MNQ, FULL),
        ((position(4),), ES, FULL),
        ((position(4),), "", FULL),
    ],
)
def test_a_look_at_views_that_differ_may_be_paid_as_what_waits_for_it(
    seen: tuple[Fact, ...], wanted: str, depth: str
) -> None:
    """No reduction is asked for where one view shows nothing: only such a read brings it about."""
    door = Door().holding(2)
    door.arrive(*seen)

    assert depths(door.decide("look", contract=wanted)) == [depth]


# --- balance --------------------------------------------------------------------


def test_money_that_no_fill_brought_is_looked_at_and_explained_by_a_read() -> None:
    door = Door().holding(0)
    door.arrive(balance(50_000))
    assert turn(door, LATER) == [], "the first balance explains itself"

    door.arrive(balance(49_000))

    assert turn(door, GRACE[BALANCE] - 1) == []
    assert turn(door, 1) == [WHY[BALANCE]]
    assert turn(door, AGAIN_AFTER) == [WHY[BALANCE]]
    door.read()
    assert turn(door, 10 * LATER) == []


def test_money_that_a_fill_brought_is_not_whichever_is_told_first() -> None:
    net = {"pnl": 100 * UNIT, "fees": 2 * UNIT, "commissions": UNIT}
    for facts in (
        (trade(1, 1, 2, order=9, **net), balance(50_097)),
        (balance(50_097), trade(1, 1, 2, order=9, **net)),
    ):
        door = Door().holding(0)
        door.arrive(balance(50_000))
        door.arrive(*facts, order(9, 1, 2, type=2, status=2, filled=2), position(2))

        assert turn(door, LATER) == []


@pytest.mark.parametrize(("fees", "looked"), [(CENT, []), (CENT + 1, [WHY[BALANCE]])])
def test_a_cent_is_how_the_broker_rounds_and_more_is_looked_at(
    fees: int, looked: list[str]
) -> None:
    door = Door().holding(0)
    door.arrive(balance(50_000), trade(1, 1, 2, order=9, fees=fees))
    door.arrive(balance(50_000), order(9, 1, 2, type=2, status=2, filled=2), position(2))

    assert turn(door, GRACE[BALANCE]) == looked


def test_the_first_balance_explains_itself_whatever_was_traded_before_it() -> None:
    door = Door().holding(0)
    door.arrive(trade(1, 1, 2, order=9, fees=UNIT), position(2))
    door.arrive(order(9, 1, 2, type=2, status=2, filled=2))

    door.arrive(balance(50_000))

    assert door.gate.of(ACCOUNT).unexplained == 0
    assert turn(door, LATER) == []


def test_a_read_explains_a_balance_with_the_fills_that_moved_it() -> None:
    door = Door().holding(0)
    fill = trade(1, 1, 2, order=9, fees=UNIT)
    door.arrive(balance(50_000), fill, order(9, 1, 2, type=2, status=2, filled=2), position(2))
    door.arrive(balance(40_000))

    door.read(position(2))

    assert door.gate.of(ACCOUNT).unexplained == 0
    assert turn(door, 10 * LATER) == []


def test_money_that_goes_back_with_its_fill_is_explained() -> None:
    door = Door().holding(0)
    fill = trade(1, 1, 2, order=9, fees=UNIT)
    gone = trade(1, 1, 2, order=9, fees=UNIT, voided=True)
    door.arrive(balance(50_000), fill, balance(49_999), gone, balance(50_000))
    door.read()

    assert turn(door, LATER) == []
    assert door.gate.of(ACCOUNT).cash == 0


# --- what is watched -------------------------------------------------------------


def test_prices_are_watched_of_what_is_held_worked_in_closed_or_just_traded() -> None:
    door = Door()
    assert fence.watched(door.gate, door.now) == set()

    door.holding(2)
    assert fence.watched(door.gate, door.now) == {MNQ}

    door.arrive(order(5, 1, 1, "ES"))
    assert fence.watched(door.gate, door.now) == {MNQ, ES}
    door.arrive(order(5, 1, 1, "ES", status=3))
    assert fence.watched(door.gate, door.now) == {MNQ}

    (request,) = sent(door.decide("close"))
    door.arrive(*filled(), position(0))
    assert fence.watched(door.gate, door.now) == {MNQ}, "its close is not settled"
    door.answer(request)
    traded = door.gate.of(ACCOUNT).last_traded_at
    assert fence.watched(door.gate, traded + WATCHED_AFTER - 1) == {MNQ}
    assert fence.watched(door.gate, traded + WATCHED_AFTER) == set()


@pytest.mark.parametrize(
    ("fact", "calls"),
    [
        (order(1, 1, 1, status=1), True),
        (order(1, 1, 1, status=2), False),
        (position(-1), True),
        (position(0), False),
        (trade(1, 1, 1), True),
        (Pulse(), False),
    ],
)
def test_a_fact_that_shows_something_alive_calls_for_watching(fact: Fact, *, calls: bool) -> None:
    assert fence.calls_for_watching(fact) is calls


def test_what_concerns_no_account_moves_nothing() -> None:
    door = Door().holding(2)

    assert door.arrive(Pulse()) == []
    assert fence.wake_at(door.gate) == 0


def test_looks_wait_no_longer_than_the_fence_says() -> None:
    door = Door().holding(0)
    door.arrive(position(2))

    assert fence.wake_at(door.gate) == door.now + GRACE[VIEWS]


def test_the_waits_are_a_tenth_a_quarter_and_ten_seconds_and_a_minute() -> None:
    assert GRACE == {VIEWS: 100 * MS, BALANCE: 250 * MS}
    assert (AGAIN_AFTER, LATER, WATCHED_AFTER) == (250 * MS, 10 * SECOND, 60 * SECOND)
