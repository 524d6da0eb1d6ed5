"""From target to goals: one close at a time, nothing repeated blindly, people told in time."""

import pytest

from risk_daemon.core import executor
from risk_daemon.core.events import (
    AccountSeen,
    AlarmRaised,
    GoalRefused,
    Intended,
    OperatorActed,
    RequestAnswered,
    RequestSent,
    RequestSettled,
)
from risk_daemon.core.instrument import UNIT
from tests.build import (
    ACCOUNT,
    LOGIN,
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
    reading,
    rule,
    trade,
)

MNQ = contract("MNQ")


def flatten(act_id: str = "a1") -> OperatorActed:
    return OperatorActed(
        account=ACCOUNT, act="flatten-lock", by="anna", reason="because", act_id=act_id
    )


def killing() -> Stream:
    """A guarded account with a kill switch, holding two contracts."""
    stream = Stream().open(rule("kill-switch"))
    stream.fill(1, 1, 2)
    stream.outputs.clear()
    return stream


def refused(intended: Intended, why: str = "not now") -> GoalRefused:
    goal = intended.goal
    return GoalRefused(
        account=ACCOUNT, key=intended.key, contract=goal.contract, order=goal.order, why=why
    )


def test_one_close_is_under_way_at_a_time() -> None:
    stream = killing()

    (close,) = intents(stream.feed(flatten()))
    stream.send(close)
    stream.pulse(2 * SECOND)

    assert close.goal.act == "close"
    assert close.goal.locked
    assert intents(stream.outputs) == [close]


def test_a_goal_is_named_by_account_rule_cause_and_leg() -> None:
    (close,) = intents(killing().feed(flatten()))

    assert close.key == f"{ACCOUNT}:kill-switch:{close.cause_seq}:close-{MNQ}"


def test_what_could_fill_beside_the_close_is_cancelled_first_and_waited_for() -> None:
    stream = killing()
    stream.mark("MNQ", "21000", "21000.25")
    stream.feed(
        order(11, 1, 1, limit_price=20_000 * UNIT),
        order(12, -1, 2, type=4, stop_price=20_999 * UNIT),
        order(13, -1, 2, type=4, stop_price=20_000 * UNIT),
    )

    first = goals(stream.feed(flatten()))

    assert [(goal.act, goal.order, goal.closing) for goal in first] == [
        ("cancel", 11, False),
        ("cancel", 12, True),
    ]
    assert goals(stream.pulse(249 * MS)) == []
    assert [goal.act for goal in goals(stream.pulse(2 * MS))] == ["close"]


def test_protection_that_would_flip_goes_with_the_close() -> None:
    stream = killing()
    stream.mark("MNQ", "21000", "21000.25")
    stream.feed(order(12, -1, 3, type=4, stop_price=20_000 * UNIT))

    assert [(g.act, g.order, g.closing) for g in goals(stream.feed(flatten()))] == [
        ("cancel", 12, True)
    ]


def test_acknowledged_cancels_let_the_close_go_at_once() -> None:
    stream = killing()
    stream.feed(order(11, 1, 1, limit_price=20_000 * UNIT))
    (cancel,) = intents(stream.feed(flatten()))

    stream.send(cancel)
    (close,) = intents(stream.settle(cancel, "ended"))

    assert close.goal.act == "close"


def test_far_protection_stays_until_the_position_is_flat() -> None:
    stream = killing()
    stream.mark("MNQ", "21000", "21000.25")
    stream.feed(order(13, -1, 2, type=4, stop_price=20_000 * UNIT))

    (close,) = intents(stream.feed(flatten()))
    stream.send(close)
    assert close.goal.act == "close"

    after = stream.fill(9, -1, 2)
    assert [(g.act, g.order) for g in goals(after)] == [("cancel", 13)]


def test_market_orders_on_their_way_are_neither_cancelled_nor_taken_for_resting() -> None:
    stream = killing()
    stream.feed(order(11, 1, 1, type=2))

    assert [goal.act for goal in goals(stream.feed(flatten()))] == ["close"]


def test_a_market_order_that_closes_already_is_waited_for_a_second_at_most() -> None:
    stream = killing()
    stream.feed(order(11, -1, 2, type=2, created=stream.at))

    assert intents(stream.feed(flatten())) == []
    assert intents(stream.pulse(990 * MS)) == []
    assert [i.goal.act for i in intents(stream.pulse(20 * MS))] == ["close"]


def test_a_refused_goal_is_thought_of_again_on_newer_facts() -> None:
    stream = killing()
    (close,) = intents(stream.feed(flatten()))

    assert intents(stream.feed(refused(close))) == []
    (again,) = intents(stream.feed(position(2)))

    assert again.key != close.key


def test_or_a_tenth_of_a_second_later() -> None:
    stream = killing()
    (close,) = intents(stream.feed(flatten()))
    stream.feed(refused(close))

    assert intents(stream.pulse(98 * MS)) == []
    assert len(intents(stream.pulse(5 * MS))) == 1


def test_a_refusal_of_an_older_goal_frees_nothing() -> None:
    stream = killing()
    (close,) = intents(stream.feed(flatten()))

    stream.feed(
        GoalRefused(account=ACCOUNT, key="other", contract=MNQ, order=0, why="no"),
        RequestSent(
            account=ACCOUNT,
            key="other",
            request="x",
            act="close",
            contract=MNQ,
            order=0,
            size=0,
            epoch=1,
        ),
        RequestSettled(
            account=ACCOUNT,
            key="other",
            request="x",
            act="close",
            contract=MNQ,
            order=0,
            how="void",
        ),
        RequestAnswered(account=ACCOUNT, key="other", request="x", outcome="accepted"),
    )

    assert stream.account.slots[MNQ].key == close.key
    assert stream.account.slots[MNQ].request == ""


def test_the_end_of_a_request_counts_though_its_sending_was_never_stored() -> None:
    stream = killing()
    (close,) = intents(stream.feed(flatten()))

    (again,) = intents(stream.settle(close, "void"))

    assert again.key != close.key


def test_the_end_of_a_goal_counts_after_the_late_words_of_a_link_that_died() -> None:
    """Its last batch may be stored after its successor took the goal over."""
    stream = killing()
    (close,) = intents(stream.feed(flatten()))
    stream.send(close, "north.2-1")
    stream.send(close, "north.1-4")

    (again,) = intents(stream.settle(close, "void", "north.2-1"))

    assert again.key != close.key


def test_a_void_request_is_followed_by_a_new_goal_at_once() -> None:
    stream = killing()
    (close,) = intents(stream.feed(flatten()))
    stream.send(close)

    (again,) = intents(stream.settle(close, "void"))

    assert again.goal.act == "close"
    assert again.key != close.key


def test_a_rejected_close_waits_two_seconds() -> None:
    stream = killing()
    (close,) = intents(stream.feed(flatten()))
    stream.send(close)

    assert intents(stream.settle(close, "rejected")) == []
    assert intents(stream.pulse(1_990 * MS)) == []
    assert len(intents(stream.pulse(20 * MS))) == 1


def test_the_third_attempt_is_a_partial_close_of_the_exact_size() -> None:
    stream = killing()
    (close,) = intents(stream.feed(flatten()))
    exact = []
    for attempt in range(3):
        exact.append(close.goal.exact)
        stream.send(close, f"r{attempt}")
        found = intents(stream.settle(close, "void", f"r{attempt}"))
        close = found[0]

    assert exact == [False, False, True]


def test_a_goal_that_never_left_is_decided_anew() -> None:
    stream = killing()
    stream.feed(order(11, 1, 1, limit_price=20_000 * UNIT))
    stream.feed(flatten())

    later = intents(stream.pulse(1_600 * MS))

    assert sorted({i.goal.act for i in later}) == ["cancel", "close"]


def test_the_ladder_looks_while_the_position_stays() -> None:
    stream = killing()
    (close,) = intents(stream.feed(flatten()))
    stream.send(close)

    stream.pulse(2_300 * MS)

    looks = [i.key for i in of_kind(stream.outputs, Intended) if i.goal.act == "look"]
    assert [key.rpartition(":")[2] for key in looks] == [f"look-{n}-{MNQ}" for n in (1, 2, 3)]


def test_people_hear_after_three_seconds_and_are_paged_after_ten() -> None:
    stream = killing()
    (close,) = intents(stream.feed(flatten()))
    stream.send(close)

    levels = {}
    for seconds in (2, 2, 7):
        for alarm in of_kind(stream.pulse(seconds * SECOND), AlarmRaised):
            levels[alarm.level] = alarm.text

    assert list(levels) == ["urgent", "page"]
    assert "still at 2" in levels["page"]


def test_the_plan_ends_when_a_read_proves_it_and_the_sweeps_are_done() -> None:
    stream = killing()
    (close,) = intents(stream.feed(flatten()))
    stream.send(close)
    stream.fill(9, -1, 2)
    stream.settle(close)
    assert MNQ in stream.account.plans

    stream.pulse(6 * SECOND)
    assert MNQ in stream.account.plans

    stream.feed(reading(began_at=stream.at))
    stream.pulse(SECOND)
    assert MNQ not in stream.account.plans


def test_orphans_of_the_closed_position_are_swept_also_when_they_come_late() -> None:
    """A bracket child that wakes after the close could open a new position."""
    stream = Stream().open(rule("max-contracts", limit=0))
    stream.fill(1, 1, 2)
    (close,) = intents(stream.outputs)
    stream.send(close)
    born = stream.at
    stream.fill(9, -1, 2)
    stream.settle(close)
    stream.pulse(500 * MS)

    stray = order(12, -1, 2, created=born, type=4, stop_price=20_000 * UNIT)
    swept = goals(stream.feed(stray)) + goals(stream.pulse(5 * SECOND))

    assert {(goal.act, goal.order) for goal in swept if goal.act == "cancel"} == {("cancel", 12)}


def test_an_order_of_a_new_position_is_no_orphan() -> None:
    stream = Stream().open(rule("max-contracts", limit=1))
    stream.fill(1, 1, 2)
    (close,) = intents(stream.outputs)
    stream.send(close)
    stream.fill(9, -1, 1)
    stream.settle(close)
    stream.feed(reading(position(1), began_at=stream.at))

    outputs = stream.feed(order(12, -1, 1, created=stream.at, limit_price=22_000 * UNIT))

    assert goals(outputs) == []
    stream.pulse(3 * SECOND)
    assert stream.account.plans == {}


def test_a_position_that_came_out_on_the_other_side_is_closed_once_more() -> None:
    stream = killing()
    (close,) = intents(stream.feed(flatten()))
    stream.send(close)
    stream.feed(trade(9, -1, 3), position(-1))

    (again,) = intents(stream.settle(close))

    assert again.goal.act == "close"
    assert stream.account.plans[MNQ].residues


def test_two_residues_within_ten_seconds_stop_the_automatic_and_page() -> None:
    stream = killing()
    (close,) = intents(stream.feed(flatten()))
    stream.send(close)
    stream.feed(trade(9, -1, 3), position(-1))
    (again,) = intents(stream.settle(close))
    stream.send(again, "r2")

    outputs = stream.feed(trade(10, 1, 2), position(1))
    outputs += stream.settle(again, request="r2")

    assert intents(outputs) == []
    assert [a.level for a in of_kind(outputs, AlarmRaised)] == ["page"]


def test_a_resized_order_may_be_resized_again_once_its_new_size_is_shown() -> None:
    stream = Stream().open(rule("kill-switch"))
    stream.fill(1, 1, 4)
    stream.feed(order(11, -1, 4, type=4, stop_price=20_000 * UNIT))
    act = OperatorActed(
        account=ACCOUNT, act="reduce-only", by="anna", reason="because", act_id="a1"
    )
    stream.feed(act)
    stream.outputs.clear()

    stream.feed(trade(2, -1, 2), position(2))
    stream.feed(trade(3, 1, 1), position(3))

    (resize,) = [i for i in intents(stream.outputs) if i.goal.act == "resize"]
    assert (resize.goal.order, resize.goal.allowed) == (11, 2)
    stream.feed(order(11, -1, 2, type=4, stop_price=20_000 * UNIT, updated=stream.at))
    assert 11 not in stream.account.asked


def test_a_rejected_cancel_is_asked_for_again_after_a_while() -> None:
    stream = killing()
    stream.feed(order(11, 1, 1, limit_price=20_000 * UNIT))
    (cancel,) = intents(stream.feed(flatten()))
    stream.send(cancel)

    assert [i.goal.act for i in intents(stream.settle(cancel, "rejected"))] == []
    later = intents(stream.pulse(1_400 * MS))

    assert [i.goal.order for i in later if i.goal.act == "cancel"] == [11]


def test_a_refused_cancel_too() -> None:
    stream = killing()
    stream.feed(order(11, 1, 1, limit_price=20_000 * UNIT))
    (cancel,) = intents(stream.feed(flatten()))

    assert [i for i in intents(stream.feed(refused(cancel))) if i.goal.order] == []
    later = intents(stream.pulse(1_400 * MS))

    assert [i.goal.order for i in later if i.goal.act == "cancel"] == [11]


@pytest.mark.parametrize("how", ["rejected", "refused"])
def test_a_cancel_that_came_to_nothing_is_asked_for_again_after_the_late_words_of_a_dead_link(
    how: str,
) -> None:
    """What a link said last may be stored after its successor said how it ended."""
    stream = killing()
    stream.feed(order(11, 1, 1, limit_price=20_000 * UNIT))
    (cancel,) = intents(stream.feed(flatten()))
    stream.send(cancel, "north.2-1")
    if how == "refused":
        stream.feed(refused(cancel))
    else:
        stream.settle(cancel, how, "north.2-1")
    stream.send(cancel, "north.1-4")

    later = intents(stream.pulse(1_600 * MS))

    (again,) = [i for i in later if i.goal.act == "cancel"]
    assert again.goal.order == 11
    assert again.key != cancel.key


def test_a_new_holder_does_not_ask_again_for_a_cancel_that_came_to_nothing() -> None:
    """Its goal has an end, so nothing leaves for it any more; it is decided anew in its time."""
    stream = killing()
    stream.feed(order(11, 1, 1, limit_price=20_000 * UNIT))
    (cancel,) = intents(stream.feed(flatten()))
    stream.send(cancel)
    stream.settle(cancel, "rejected")

    asked = stream.feed(lease(2, "worker-2"))
    later = intents(stream.pulse(1_600 * MS))

    assert [i for i in intents(asked) if i.key == cancel.key] == []
    assert [i.goal.order for i in later if i.goal.act == "cancel"] == [11]


def test_a_new_holder_asks_for_what_is_decided_and_not_known_to_have_left() -> None:
    stream = killing()
    stream.feed(order(11, 1, 1, limit_price=20_000 * UNIT))
    first = intents(stream.feed(flatten()))
    stream.pulse(300 * MS)
    (close,) = [i for i in intents(stream.outputs) if i.goal.act == "close"]
    stream.send(close)

    again = intents(stream.feed(lease(2, "worker-2")))

    assert [(i.key, i.epoch) for i in again] == [(first[0].key, 2)]


def test_open_demands_change_nothing() -> None:
    stream = killing()
    stream.feed(flatten())
    before = stream.engine.open_demands(stream.account)

    assert stream.engine.open_demands(stream.account) == before
    assert [type(fact).__name__ for fact in before] == ["LockPlaced", "Intended"]


def test_the_platforms_own_liquidation_comes_first() -> None:
    stream = killing()
    stream.mark("MNQ", "21000", "21000.25")

    outputs = stream.feed(
        AccountSeen(account=ACCOUNT, login=LOGIN, name="N", balance=1, can_trade=False)
    )
    assert intents(outputs) == []
    assert [lock.placed.mode for lock in stream.account.locks.values()] == ["full"]

    looked = stream.pulse(600 * MS)
    assert [goal.act for goal in goals(looked)] == ["look"]

    closed = intents(stream.pulse(500 * MS))
    assert [i.goal.act for i in closed] == ["close"]


def test_a_tick_is_measured_where_there_is_a_mark_and_a_price() -> None:
    """An order without a price, or a contract without a mark, counts as touching the market."""
    stream = killing()
    stream.feed(order(12, -1, 2, type=4, stop_price=20_000 * UNIT))

    assert [(g.act, g.order) for g in goals(stream.feed(flatten()))] == [("cancel", 12)]


def test_suspended_children_of_a_working_parent_go_with_it() -> None:
    stream = killing()
    stream.feed(
        order(11, 1, 1, limit_price=20_000 * UNIT),
        order(12, -1, 1, status=8, parent=11),
        order(13, -1, 1, status=8),
    )

    first = goals(stream.feed(flatten()))

    assert [(goal.act, goal.order) for goal in first] == [("cancel", 11)]


def test_a_stop_told_of_between_the_messages_of_its_entry_is_cancelled_with_the_close() -> None:
    stream = Stream().open(rule("kill-switch"))
    stream.feed(flatten())
    stream.outputs.clear()

    torn = goals(stream.feed(trade(1, 1, 2), order(12, -1, 2, stop_price=19_990 * UNIT)))
    whole = goals(stream.feed(position(2)))

    assert torn == []
    assert [(goal.act, goal.order, goal.closing) for goal in whole] == [("cancel", 12, True)]


def test_the_wakes_name_every_instant_the_executor_waits_for() -> None:
    stream = killing()
    stream.feed(order(11, 1, 1, limit_price=20_000 * UNIT))
    stream.feed(flatten())

    found = executor.wakes(stream.account)

    assert stream.at + executor.CANCEL_WAIT in found
    assert stream.account.wake_at == stream.at + executor.CANCEL_WAIT
