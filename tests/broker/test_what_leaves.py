"""What the fence lets out and says, field by field; and how a contract's three views add up."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from risk_daemon.broker import fence, gate
from risk_daemon.broker.fence import EpochRaised, Read, Report, Resumed, Send, Ticked
from risk_daemon.broker.gate import View, protects
from risk_daemon.broker.port import (
    ACCEPTED,
    BARRED,
    FLAT,
    FULL,
    GONE,
    RECENT,
    REFUSED,
    UNKNOWN,
    Outcome,
    Request,
)
from risk_daemon.core.events import (
    Goal,
    GoalRefused,
    Intended,
    RequestAnswered,
    RequestSent,
    RequestSettled,
)
from tests.broker.test_fence import (
    Door,
    closing_order,
    ends,
    filled,
    refusals,
    sent,
)
from tests.build import ACCOUNT, MS, SECOND, contract, loud_defaults, order, position, trade

ENDED = "the position it was decided for has ended"
MNQ, ES = contract("MNQ"), contract("ES")


def test_a_new_account_at_the_door_holds_nothing_and_has_seen_nothing() -> None:
    assert loud_defaults(gate) == {"Slot.gapless": True}


# --- requests -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("act", "more", "leaves", "number", "size"),
    [
        ("close", {}, "close", 0, 0),
        ("close", {"exact": True}, "partial", 0, 3),
        ("reduce", {"allowed": 1}, "partial", 0, 2),
        ("cancel", {"order": 11}, "cancel", 11, 0),
        ("resize", {"order": 11, "allowed": 1}, "modify", 11, 1),
    ],
)
def test_a_goal_leaves_as_one_request_and_is_reported_first(
    act: str, more: dict[str, Any], leaves: str, number: int, size: int
) -> None:
    door = Door().holding(3)
    door.arrive(order(11, 1, 2))

    request = Request(
        request="s-1",
        key="k1",
        account=ACCOUNT,
        act=leaves,
        contract=MNQ,
        order=number,
        size=size,
    )
    report = RequestSent(
        account=ACCOUNT,
        key="k1",
        request="s-1",
        act=leaves,
        contract=MNQ,
        order=number,
        size=size,
        epoch=7,
        highest=7,
    )
    door.put(EpochRaised(ACCOUNT, 5))
    assert door.decide(act, epoch=7, **more) == [Report(report), Send(request)]


def test_requests_are_numbered_in_the_order_they_leave() -> None:
    door = Door().holding(2)
    door.arrive(order(11, 1, 1), order(12, 1, 1))

    names = [sent(door.decide("cancel", order=number))[0].request for number in (11, 12)]

    assert names == ["s-1", "s-2"]
    assert fence.unsettled(door.gate) == 2


def test_a_refusal_names_the_goal_and_says_why() -> None:
    door = Door().holding(2)

    assert door.decide("cancel", order=11) == [
        Report(
            GoalRefused(
                account=ACCOUNT, key="k1", contract=MNQ, order=11, why="the order is not working"
            )
        )
    ]


@pytest.mark.parametrize(
    ("act", "more", "why"),
    [
        ("reduce", {"allowed": 2}, "holds 2, nothing is left to reduce"),
        ("hedge", {}, "this release does not know the act 'hedge'"),
        ("close", {"versions": ((ES, 1), (MNQ, 0))}, f"{ES}, {MNQ} moved since the decision"),
        ("cancel", {"order": 12}, "the order protects a position that is not being closed"),
        ("resize", {"order": 11, "allowed": 2}, "a resize only makes an order smaller"),
        ("resize", {"order": 11, "allowed": -1}, "a resize only makes an order smaller"),
    ],
)
def test_what_does_not_leave_is_said_in_words(act: str, more: dict[str, Any], why: str) -> None:
    door = Door().holding(2)
    door.arrive(order(11, 1, 2), order(12, -1, 2, type=4))

    assert refusals(door.decide(act, **more)) == [why]


@pytest.mark.parametrize(("reason", "why"), [("the ladder", "the ladder"), ("", "asked")])
def test_a_look_says_why(reason: str, why: str) -> None:
    assert Door().decide("look", reason=reason) == [Read(ACCOUNT, FULL, why)]


def test_a_resize_to_one_leaves() -> None:
    door = Door().holding(3)
    door.arrive(order(11, -1, 3))

    assert [one.size for one in sent(door.decide("resize", order=11, allowed=1))] == [1]


# --- answers --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("outcome", "text"),
    [
        (Outcome(outcome=REFUSED, code=5, meaning=BARRED, text="Rejected"), "Rejected"),
        (Outcome(outcome=REFUSED, code=5, meaning=BARRED), BARRED),
    ],
)
def test_an_answer_is_reported_with_its_code_and_words(outcome: Outcome, text: str) -> None:
    door = Door().holding(2)
    (request,) = sent(door.decide("close"))

    assert door.answer(request, outcome) == [
        Report(
            RequestAnswered(
                account=ACCOUNT, key="k1", request="s-1", outcome=REFUSED, code=5, text=text
            )
        ),
        Report(
            RequestSettled(
                account=ACCOUNT,
                key="k1",
                request="s-1",
                act="close",
                contract=MNQ,
                order=0,
                how="rejected",
            )
        ),
        Read(ACCOUNT, FULL, "a close was rejected"),
    ]


def test_a_settled_close_says_how_much_of_it_was_filled() -> None:
    door = Door().holding(2)
    (request,) = sent(door.decide("close"))
    door.answer(request)

    (report, *_) = door.arrive(*filled())

    assert report == Report(
        RequestSettled(
            account=ACCOUNT,
            key="k1",
            request="s-1",
            act="close",
            contract=MNQ,
            order=0,
            how="filled",
            filled=2,
        )
    )


@pytest.mark.parametrize(
    ("meaning", "how", "why"), [(GONE, "gone", ["an order is gone"]), (BARRED, "rejected", [])]
)
def test_only_an_order_that_is_gone_is_looked_for(meaning: str, how: str, why: list[str]) -> None:
    door = Door().holding(2)
    door.arrive(order(11, 1, 1))
    (request,) = sent(door.decide("cancel", order=11))

    outputs = door.answer(request, Outcome(outcome=REFUSED, code=2, meaning=meaning))

    assert [
        one.fact.filled
        for one in outputs
        if isinstance(one, Report) and isinstance(one.fact, RequestSettled)
    ] == [0]
    assert ends(outputs) == [how]
    assert [one.why for one in outputs if isinstance(one, Read)] == why


def test_the_answer_of_another_request_settles_nothing() -> None:
    door = Door().holding(2)
    door.arrive(order(11, 1, 1))
    for act in ("close", "cancel"):
        (request,) = sent(door.decide(act, order=11))
        other = msgspec.structs.replace(request, request="r-1")
        assert ends(door.answer(other, Outcome(outcome=REFUSED, code=2, meaning=FLAT))) == []
    assert fence.unsettled(door.gate) == 2


# --- whose order it is ------------------------------------------------------------


@pytest.mark.parametrize("held", [1, -1, 2, -2])
def test_a_close_becomes_an_order_of_the_other_side(held: int) -> None:
    door = Door().holding(held)
    door.decide("close")
    same, other = (1, -1) if held > 0 else (-1, 1)

    door.arrive(closing_order(50, 2, side=same), closing_order(51, 2, side=other))

    assert door.gate.of(ACCOUNT).slots[MNQ].order == 51


@pytest.mark.parametrize("held", [2, -2])
def test_where_the_views_differ_about_zero_the_position_message_says_the_side(held: int) -> None:
    door = Door().holding(held)
    side = -1 if held > 0 else 1
    door.arrive(closing_order(50, 2, side=side, status=2, filled=2), trade(50, side, 2))
    door.decide("close")
    (request,) = sent(door.put(Ticked(), after=500 * MS))

    door.arrive(closing_order(60, 2, side=-side), closing_order(61, 2, side=side))

    slot = door.gate.of(ACCOUNT).slots[MNQ]
    assert (request.act, slot.order, slot.size) == ("close", 61, 2)


def test_of_several_orders_the_first_of_its_size_is_ours_else_the_first() -> None:
    door = Door().holding(2)
    door.decide("close")
    door.read(
        position(2), recent=tuple(closing_order(n, size) for n, size in ((70, 3), (61, 2), (62, 2)))
    )
    assert door.gate.of(ACCOUNT).slots[MNQ].order == 61

    door = Door().holding(2)
    door.decide("close")
    door.read(position(2), recent=tuple(closing_order(n, 3) for n in (70, 61)))
    assert door.gate.of(ACCOUNT).slots[MNQ].order == 70


def test_a_close_is_settled_by_the_trades_of_its_own_order() -> None:
    door = Door().holding(2)
    (request,) = sent(door.decide("close"))
    door.answer(request)
    door.arrive(closing_order(99, 2, status=2, filled=2), position(0))

    assert ends(door.arrive(trade(7, -1, 2, order=98))) == [], "somebody else's"
    door = Door().holding(2)
    (request,) = sent(door.decide("close"))
    door.answer(request)
    door.arrive(closing_order(99, 2, status=2, filled=2), position(0))
    assert ends(door.arrive(trade(7, -1, 1, order=99))) == [], "half of it"
    assert ends(door.arrive(trade(8, -1, 1, order=99))) == ["filled"]


# --- a run that died ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("act", "leaves", "number"),
    [("close", "close", 0), ("reduce", "partial", 0), ("cancel", "cancel", 11)],
)
def test_what_a_run_that_died_had_sent_is_reported_as_sent_without_a_size(
    act: str, leaves: str, number: int
) -> None:
    door = Door()
    goal = Goal(act=act, account=ACCOUNT, contract=MNQ, order=number, allowed=1, locked=True)
    intended = Intended(account=ACCOUNT, epoch=3, cause_seq=1, key="old", goal=goal)

    assert door.put(Resumed(intended, door.now)) == [
        Report(
            RequestSent(
                account=ACCOUNT,
                key="old",
                request="s-1",
                act=leaves,
                contract=MNQ,
                order=number,
                size=0,
                epoch=3,
            )
        ),
        Read(ACCOUNT, RECENT, "a request of an earlier run is not settled"),
    ]


# --- reads --------------------------------------------------------------------------


def test_a_cheap_read_that_differs_in_one_of_several_contracts_is_not_enough() -> None:
    door = Door()
    door.read(position(2), position(1, "ES"))

    assert door.read(position(2), position(1, "ES"), cheap=True) == []
    assert door.read(position(2), position(2, "ES"), cheap=True) == [
        Read(ACCOUNT, FULL, "a verifying read differs")
    ]


def test_a_cheap_read_shows_nothing_of_what_is_flat() -> None:
    door = Door().holding(0)
    door.arrive(position(0))

    assert door.read(cheap=True) == []
    assert door.read(position(1), cheap=True) != []


def test_what_a_goal_was_decided_for_ended_only_if_it_was_flat_since() -> None:
    door = Door().holding(0)
    version = door.view().version

    for later, why in ((0, "holds 0, nothing is left to reduce"), (1, ENDED)):
        assert refusals(door.decide("close", locked=False, version=version - later)) == [why]


def test_a_hidden_order_that_a_read_does_not_show_goes_on_and_a_shown_one_ends_with_it() -> None:
    door = Door().holding(2)
    door.arrive(order(11, 1, 1, status=6), order(12, 1, 1))

    door.read(position(2))

    assert sent(door.decide("cancel", order=11)) != []
    assert refusals(door.decide("cancel", order=12)) == ["the order is not working"]


# --- versions and memory ---------------------------------------------------------------


def test_each_arrival_moves_the_version_of_its_contract_by_one_from_the_base() -> None:
    door = Door()
    assert fence.version_of(door.gate, ACCOUNT, MNQ) == 0

    versions = []
    for fact in (position(2), trade(1, 1, 2), order(1, 1, 2), position(1, "ES")):
        door.arrive(fact)
        versions.append(fence.version_of(door.gate, ACCOUNT, MNQ))

    assert versions == [1_001, 1_002, 1_003, 1_003]
    assert door.gate.of(ACCOUNT).arrivals == 4
    door.read(position(1), position(1, "ES"))
    assert fence.version_of(door.gate, ACCOUNT, MNQ) == 1_004
    assert fence.version_of(door.gate, ACCOUNT, ES) == 1_002


def test_the_oldest_ended_orders_and_the_oldest_trades_are_forgotten() -> None:
    door = Door().holding(0)
    door.arrive(order(9_999, 1, 1))
    for number in range(4_098, 0, -1):
        door.arrive(
            order(number, 1, 1, status=3), trade(5_000 - number, 1, 1, order=20_000, voided=True)
        )

    account = door.gate.of(ACCOUNT)
    assert set(account.orders) == {9_999, *range(1, 4_096)}
    assert set(account.trades) == set(range(904, 5_000))


def test_two_hundred_and_fifty_six_goals_wait_and_the_next_is_refused() -> None:
    door = Door()
    why = [text for _ in range(258) for text in refusals(door.decide("close"))]

    assert why == ["too many goals are waiting"] * 2


# --- three views --------------------------------------------------------------------------

quantities = st.integers(-4, 4)


@given(quantities, quantities, quantities)
def test_a_contract_is_acted_on_by_the_smallest_of_three_views_that_point_one_way(
    trades: int, orders: int, shown: int
) -> None:
    view = View(by_trades=trades, by_orders=orders, by_position=shown)
    views = [trades, orders, shown]
    one_way = all(q > 0 for q in views) or all(q < 0 for q in views)

    assert abs(view.quantity) == (min(abs(q) for q in views) if one_way else 0)
    assert view.quantity in {0, *views}
    assert view.agrees == (len(set(views)) == 1)
    assert view.is_flat == (not any(views))


@pytest.mark.parametrize(
    ("side", "size", "filled", "held", "does"),
    [
        (-1, 2, 0, 2, True),
        (-1, 3, 0, 2, False),
        (-1, 3, 1, 2, True),
        (1, 2, 0, 2, False),
        (1, 2, 0, -2, True),
        (-1, 2, 0, -2, False),
        (-1, 2, 2, 0, False),
        (1, 2, 2, 0, False),
    ],
)
def test_an_order_protects_when_it_can_only_reduce(
    side: int, size: int, filled: int, held: int, *, does: bool
) -> None:
    assert protects(order(11, side, size, filled=filled), held) is does


def test_an_unknown_answer_after_the_fill_settles_the_close() -> None:
    door = Door().holding(2)
    (request,) = sent(door.decide("close"))
    door.arrive(*filled())

    assert ends(door.answer(request, Outcome(outcome=UNKNOWN))) == ["filled"]


@pytest.mark.parametrize("how", ["accepted", "shown", "read", "read working"])
def test_whatever_ends_a_cancel_nothing_of_it_was_filled(how: str) -> None:
    door = Door().holding(2)
    door.arrive(order(11, 1, 3, filled=1), order(12, 1, 1))
    (request,) = sent(door.decide("cancel", order=11))
    sent(door.decide("cancel", order=12))
    door.answer(request, Outcome(outcome=ACCEPTED if how == "accepted" else UNKNOWN))
    door.now += SECOND

    outputs = {
        "accepted": lambda: door.answer(request),
        "shown": lambda: door.arrive(order(11, 1, 3, filled=1, status=3)),
        "read": lambda: door.read(position(2)),
        "read working": lambda: door.read(position(2), order(11, 1, 3, filled=1)),
    }[how]()

    expected = RequestSettled(
        account=ACCOUNT,
        key="k1",
        request="s-1",
        act="cancel",
        contract=MNQ,
        order=11,
        how="rejected" if how == "read working" else "ended",
        filled=0,
    )
    settled = [] if how == "accepted" else [expected]
    assert [
        one.fact
        for one in outputs
        if isinstance(one, Report) and isinstance(one.fact, RequestSettled)
    ] == settled
    assert fence.unsettled(door.gate) == 1, "the other one has no answer yet"


def test_an_accepted_cancel_has_ended_with_its_answer() -> None:
    door = Door().holding(2)
    door.arrive(order(11, 1, 3))
    (request,) = sent(door.decide("cancel", order=11))

    (_, settled) = door.answer(request)

    assert isinstance(settled, Report)
    assert isinstance(settled.fact, RequestSettled)
    assert (settled.fact.how, settled.fact.filled) == ("ended", 0)


def test_a_fill_brings_its_profit_less_its_costs_and_an_opening_one_only_costs() -> None:
    door = Door().holding(0)
    account = door.gate.of(ACCOUNT)

    door.arrive(trade(1, 1, 2, fees=3, commissions=4))
    assert account.cash == -7
    door.arrive(trade(2, -1, 2, pnl=100, fees=3, commissions=4))
    assert account.cash == 86
    door.arrive(trade(2, -1, 2, pnl=100, fees=3, commissions=4, voided=True))
    assert account.cash == -7
    assert account.unexplained == 0, "no balance was shown yet"


def test_a_contract_is_flat_at_the_version_that_last_showed_it_so() -> None:
    door = Door().holding(0)
    door.arrive(trade(1, 1, 2), order(1, 1, 2, type=2, status=2, filled=2), position(2))
    flat_until = door.view().flat_version

    assert (flat_until, door.view().version) == (1_002, 1_003)
    door.arrive(position(0))
    assert door.view().flat_version == 1_004
    door.read(position(2))
    assert door.view().flat_version == 1_004


def test_an_order_first_shown_by_a_read_has_filled_before_it_and_later_fills_count() -> None:
    door = Door().holding(2)
    door.read(position(2), order(60, 1, 3, filled=1), recent=())
    assert door.view().by_orders == 2

    door.arrive(order(60, 1, 3, filled=3, status=2))
    assert door.view().by_orders == 4


def test_what_a_read_shows_replaces_all_three_views() -> None:
    door = Door().holding(2)
    door.arrive(position(5), trade(1, -1, 9))

    door.read(position(-3), position(1, "ES"))

    view, other = door.view(), door.gate.of(ACCOUNT).view(ES)
    assert (view.by_trades, view.by_orders, view.by_position) == (-3, -3, -3)
    assert (other.by_trades, other.by_orders, other.by_position) == (1, 1, 1)
