"""What the executor asks for, of what size: closes, cancels, resizes, what goes beside them."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from risk_daemon.core.decision import Target
from risk_daemon.core.events import (
    AlarmRaised,
    Goal,
    Intended,
    LockPlaced,
    OperatorActed,
)
from risk_daemon.core.instrument import UNIT
from tests.build import (
    ACCOUNT,
    MS,
    SECOND,
    Stream,
    contract,
    goals,
    intents,
    lease,
    of_kind,
    order,
    position,
    rule,
    trade,
)
from tests.core.test_executor_instants import at, flatten, killing, refused

MNQ, ES = contract("MNQ"), contract("ES")
FAR = 20_000 * UNIT


def sizes(found: list[Goal]) -> list[tuple[str, int, int]]:
    return [(goal.act, goal.order, goal.allowed) for goal in found]


def reducing(allowed: int, held: int) -> Stream:
    """An account under a reduce-only order of a person, given while it held `allowed`."""
    stream = Stream().open(rule("kill-switch"))
    stream.mark("MNQ", "21000", "21000.25")
    stream.fill(1, 1, held)
    stream.feed(
        OperatorActed(account=ACCOUNT, act="reduce-only", by="anna", reason="x", act_id="a")
    )
    if allowed < held:
        stream.fill(2, -1, held - allowed)
    stream.outputs.clear()
    return stream


@pytest.mark.parametrize(
    ("side", "size", "asked"),
    [
        (1, 1, [("cancel", 11, 0)]),
        (-1, 2, []),
        (-1, 3, [("resize", 11, 2)]),
    ],
)
def test_under_reduce_only_what_adds_is_cancelled_and_what_would_flip_is_made_smaller(
    side: int, size: int, asked: list[tuple[str, int, int]]
) -> None:
    stream = reducing(2, 2)

    outputs = stream.feed(order(11, side, size, type=4, stop_price=FAR))

    assert sizes(goals(outputs)) == asked


def test_what_would_flip_is_cancelled_where_nothing_may_be_held() -> None:
    stream = killing()

    assert stream.feed(order(11, -1, 3, type=4, stop_price=FAR)) == []
    assert sizes(goals(stream.feed(flatten()))) == [("cancel", 11, 0)]


@pytest.mark.parametrize(
    ("status", "parent", "cancelled"),
    [(8, 12, [12]), (8, 13, [11, 12]), (8, None, [11, 12]), (1, 12, [11, 12])],
)
def test_a_suspended_child_goes_with_its_parent_and_without_one_by_itself(
    status: int, parent: int | None, cancelled: list[int]
) -> None:
    stream = reducing(2, 2)
    stream.feed(order(12, 1, 1, limit_price=FAR))

    stream.feed(order(11, 1, 1, status=status, parent=parent, limit_price=FAR))

    assert sorted(goal.order for goal in goals(stream.outputs)) == cancelled


def test_the_refusal_of_another_goal_for_an_order_changes_nothing() -> None:
    stream = reducing(2, 2)
    stream.feed(order(11, 1, 1, limit_price=FAR))
    (cancel,) = intents(stream.outputs)
    asked_at = stream.at

    stream.feed(refused(msgspec.structs.replace(cancel, key="another")))
    assert stream.account.asked[11].since == asked_at
    stream.feed(refused(cancel))
    assert stream.account.asked[11].since == stream.at


@pytest.mark.parametrize(("size", "asked"), [(1, []), (2, [("resize", 11, 1)])])
def test_beside_a_reduction_protection_is_made_as_large_as_what_is_left(
    size: int, asked: list[tuple[str, int, int]]
) -> None:
    stream = Stream().open(rule("max-contracts", limit=1))
    stream.mark("MNQ", "21000", "21000.25")
    stream.feed(trade(1, 1, 3), order(11, -1, size, type=4, stop_price=FAR))
    stream.outputs.clear()

    assert sizes(goals(stream.feed(position(3)))) == [*asked, ("reduce", 0, 1)]


@pytest.mark.parametrize(
    ("held", "more"), [(2, {}), (3, {"filled": 1}), (2, {"status": 8}), (2, {"type": 2})]
)
def test_protection_of_the_whole_position_is_left_alone(held: int, more: dict[str, Any]) -> None:
    stream = reducing(2, 2)

    outputs = stream.feed(order(11, -1, held, stop_price=FAR, **more))

    assert goals(outputs) == []


def test_only_the_third_attempt_closes_by_its_exact_size() -> None:
    stream = killing()
    stream.feed(flatten())
    exact = []
    for number in range(4):
        (close,) = intents(stream.outputs)
        exact.append(close.goal.exact)
        stream.outputs.clear()
        stream.send(close, f"r{number}")
        stream.settle(close, "void", f"r{number}")
        stream.pulse(MS)

    assert exact == [False, False, True, False]


def test_news_hurry_a_refused_close_and_no_rejected_one() -> None:
    stream = killing()
    (close,) = intents(stream.feed(flatten()))
    stream.send(close)
    stream.settle(close, "rejected")
    rejected_at = stream.at
    assert stream.account.plans[MNQ].retry_at == rejected_at + 2_000 * MS

    assert goals(stream.feed(position(2), order(12, 1, 1, "ES", limit_price=FAR))) != []
    assert stream.account.plans[MNQ].retry_at == rejected_at + 2_000 * MS


def test_views_that_point_apart_are_no_residue_and_close_nothing() -> None:
    stream = killing()
    (close,) = intents(stream.feed(flatten()))
    stream.send(close)
    stream.outputs.clear()

    stream.feed(trade(9, -1, 2))

    assert stream.account.holding(MNQ).enforceable == 0
    assert of_kind(stream.outputs, AlarmRaised) == []
    assert MNQ in stream.account.plans


def test_a_close_is_a_goal_that_says_what_for_and_of_which_state() -> None:
    stream = killing()
    stream.feed(position(2, version=7))
    outputs = stream.feed(flatten())

    (close,) = intents(outputs)

    reason = stream.account.reasons[-1]
    assert close == Intended(
        account=ACCOUNT,
        epoch=1,
        cause_seq=stream.seq,
        key=f"{ACCOUNT}:kill-switch:{stream.seq}:close-{MNQ}",
        goal=Goal(
            act="close",
            account=ACCOUNT,
            contract=MNQ,
            locked=True,
            version=7,
            rule="kill-switch",
            reason=reason,
        ),
    )
    assert reason.endswith("kill-switch (enforce): anna ordered flatten-lock: because")


def test_a_cancel_beside_a_close_says_so_and_one_by_itself_does_not() -> None:
    stream = killing()
    stream.feed(order(11, -1, 2, limit_price=21_000 * UNIT), order(12, 1, 1, limit_price=FAR))

    found = goals(stream.feed(flatten()))

    assert [(goal.act, goal.order, goal.closing, goal.locked) for goal in found] == [
        ("cancel", 12, False, True),
        ("cancel", 11, True, True),
    ]


def test_what_has_not_left_is_asked_for_again_word_by_word_and_what_has_left_is_not() -> None:
    stream = killing()
    stream.feed(order(12, 1, 1, limit_price=FAR))
    stream.feed(flatten())
    (cancel,) = intents(stream.outputs)
    (placed,) = of_kind(stream.outputs, LockPlaced)

    assert stream.engine.open_demands(stream.account) == [placed, cancel]
    taken_over = stream.feed(lease(2, "worker-2"))
    (again,) = intents(taken_over)
    assert (again.key, again.cause_seq, again.goal) == (cancel.key, cancel.cause_seq, cancel.goal)
    assert again.epoch == 2

    stream.send(cancel)
    assert stream.engine.open_demands(stream.account) == [placed]


def test_what_the_account_holds_elsewhere_is_closed_in_the_order_of_its_names() -> None:
    stream = killing()
    stream.fill(5, -1, 1, "ES", price="6000")

    found = goals(stream.feed(flatten()))

    assert [(goal.act, goal.contract) for goal in found] == [("close", ES), ("close", MNQ)]


def test_a_close_under_way_is_not_asked_for_twice_while_its_answer_is_out() -> None:
    stream = killing()
    (close,) = intents(stream.feed(flatten()))
    stream.send(close)

    stream.pulse(30 * SECOND)

    assert intents(stream.outputs) == [close]


def test_an_answer_is_kept_with_the_close_it_belongs_to() -> None:
    stream = killing()
    (close,) = intents(stream.feed(flatten()))
    stream.send(close)

    assert stream.account.slots[MNQ].outcome == "accepted"
    assert stream.account.slots[MNQ].request == "r1"


@pytest.mark.parametrize(("flat_for", "swept"), [(0, 1), (1_000, 2), (5_000, 3)])
def test_three_sweeps_follow_the_end_of_a_position(flat_for: int, swept: int) -> None:
    stream = killing()
    (close,) = intents(stream.feed(flatten()))
    stream.send(close)
    stream.fill(9, -1, 2)
    reached_at = stream.at
    if flat_for:
        at(stream, reached_at + flat_for * MS)

    assert stream.account.plans[MNQ].sweeps == swept


@pytest.mark.parametrize(
    ("target", "allowance", "stops", "clears"),
    [
        (Target(), None, False, False),
        (Target(flatten=True), 0, False, False),
        (Target(allowed=((ES, 1), (MNQ, 3))), 3, False, False),
        (Target(flatten=True, allowed=((MNQ, 3),)), 0, False, False),
        (Target(cancel_increasing=True), None, True, False),
        (Target(increasing_in=(ES,)), None, False, False),
        (Target(increasing_in=(MNQ,)), None, True, False),
        (Target(cancel_all=True), None, False, True),
        (Target(all_in=(MNQ,)), None, False, True),
        (Target(all_in=(ES,)), None, False, False),
    ],
)
def test_a_target_says_of_each_contract_what_it_allows(
    target: Target, allowance: int | None, *, stops: bool, clears: bool
) -> None:
    assert target.allowance(MNQ) == allowance
    assert target.stops_growth_in(MNQ) is stops
    assert target.clears(MNQ) is clears
