"""Every wait of the executor, to the nanosecond: nothing before it, then its effect, and a wake."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from risk_daemon.core.events import (
    AccountSeen,
    AlarmRaised,
    Fact,
    FeedChanged,
    GoalRefused,
    Intended,
    LockEnded,
    LockPlaced,
    OperatorActed,
    Pulse,
)
from risk_daemon.core.instrument import UNIT
from tests.build import (
    ACCOUNT,
    LOGIN,
    MS,
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

MNQ, ES = contract("MNQ"), contract("ES")
FAR = 20_000 * UNIT


def flatten(act: str = "flatten-lock") -> OperatorActed:
    return OperatorActed(account=ACCOUNT, act=act, by="anna", reason="because", act_id="a1")


def killing(held: int = 2) -> Stream:
    stream = Stream().open(rule("kill-switch"))
    stream.mark("MNQ", "21000", "21000.25")
    stream.fill(1, 1 if held > 0 else -1, abs(held))
    stream.outputs.clear()
    return stream


def at(stream: Stream, instant: int) -> list[Fact]:
    """Let exactly so much time pass, in one step."""
    return stream.feed(Pulse(), after=instant - stream.at)


def acts(outputs: list[Fact]) -> list[str]:
    return [goal.act for goal in goals(outputs)]


def happens_at(stream: Stream, instant: int, what: Callable[[list[Fact]], bool]) -> None:
    """Nothing of the kind a nanosecond before; then it happens, and the engine asks to be woken."""
    assert not what(at(stream, instant - 1))
    assert stream.account.wake_at == instant
    assert what(at(stream, instant))


def closes(outputs: list[Fact]) -> bool:
    return "close" in acts(outputs)


def refused(intended: Intended) -> GoalRefused:
    goal = intended.goal
    return GoalRefused(
        account=ACCOUNT, key=intended.key, contract=goal.contract, order=goal.order, why="not now"
    )


def test_a_close_waits_a_quarter_of_a_second_for_its_cancels() -> None:
    stream = killing()
    stream.feed(order(11, 1, 1, limit_price=FAR))
    assert acts(stream.feed(flatten())) == ["cancel"]

    happens_at(stream, stream.at + 250 * MS, closes)


def test_an_order_of_another_contract_is_not_waited_for() -> None:
    stream = killing()
    stream.feed(order(11, 1, 1, "ES", limit_price=FAR))

    assert acts(stream.feed(flatten())) == ["cancel", "close"]


def test_a_refused_close_is_thought_of_again_after_a_tenth_of_a_second() -> None:
    stream = killing()
    (close,) = intents(stream.feed(flatten()))
    stream.feed(refused(close))

    happens_at(stream, stream.at + 100 * MS, closes)


def test_a_rejected_close_waits_two_seconds() -> None:
    stream = killing()
    (close,) = intents(stream.feed(flatten()))
    asked_at = stream.at
    stream.send(close)
    stream.settle(close, "rejected")
    rejected_at = stream.at
    for wait in (750 * MS, 1_250 * MS):
        at(stream, asked_at + wait)

    happens_at(stream, rejected_at + 2_000 * MS, closes)


@pytest.mark.parametrize("what", ["close", "cancel"])
def test_a_goal_that_has_not_left_is_decided_anew_after_a_second_and_a_quarter(what: str) -> None:
    stream = killing()
    if what == "cancel":
        stream.feed(order(11, 1, 1, limit_price=FAR))
    first = stream.feed(flatten())
    asked_at = stream.at
    assert what in acts(first)
    if what == "cancel":
        at(stream, asked_at + 250 * MS)
    at(stream, asked_at + 750 * MS)

    happens_at(stream, asked_at + 1_250 * MS, lambda found: what in acts(found))


def test_a_second_attempt_that_has_not_left_has_its_own_second_and_a_quarter() -> None:
    stream = killing()
    (close,) = intents(stream.feed(flatten()))
    began_at = stream.at
    stream.feed(refused(close))
    (again,) = intents(at(stream, stream.at + 100 * MS))
    asked_at = stream.at
    for wait in (750, 1_250):
        at(stream, began_at + wait * MS)

    happens_at(stream, asked_at + 1_250 * MS, closes)
    assert again.key != intents(stream.outputs)[-1].key


def test_a_rejected_cancel_is_decided_anew_as_long_after_its_rejection() -> None:
    stream = killing()
    stream.feed(order(11, 1, 1, limit_price=FAR))
    cancel = intents(stream.feed(flatten()))[0]
    stream.send(cancel)
    stream.settle(cancel, "rejected")
    rejected_at = stream.at
    (close,) = intents(at(stream, rejected_at + 250 * MS))
    stream.send(close, "r2")

    found = at(stream, rejected_at + 1_250 * MS - 1)
    assert "cancel" not in acts(found)
    assert "cancel" in acts(at(stream, rejected_at + 1_250 * MS))


def test_the_ladder_looks_at_three_instants_and_tells_people_at_two() -> None:
    stream = killing()
    (close,) = intents(stream.feed(flatten()))
    began_at = stream.at
    stream.send(close)

    def looks(found: list[Fact]) -> bool:
        return acts(found) == ["look"]

    for wait in (750, 1_250, 2_250):
        happens_at(stream, began_at + wait * MS, looks)
    for wait, level in ((3_000, "urgent"), (10_000, "page")):
        happens_at(
            stream,
            began_at + wait * MS,
            lambda found, level=level: [a.level for a in of_kind(found, AlarmRaised)] == [level],  # type: ignore[misc]
        )
    page = of_kind(stream.outputs, AlarmRaised)[-1]
    assert page.text == f"{MNQ} is still at 2 10000 ms after it had to be reduced (kill-switch)"


def test_looks_that_are_due_together_are_one_look() -> None:
    stream = killing()
    (close,) = intents(stream.feed(flatten()))
    began_at = stream.at
    stream.send(close)

    found = at(stream, began_at + 2_250 * MS)

    assert [one.key.rpartition(":")[2] for one in of_kind(found, Intended)] == [f"look-3-{MNQ}"]


def closed(stream: Stream) -> int:
    """Let a close be filled and settled, and prove it by a read; return when it was reached."""
    (close,) = intents(stream.feed(flatten()))
    stream.send(close)
    stream.fill(9, -1, 2)
    reached_at = stream.at
    stream.settle(close)
    stream.feed(reading(began_at=reached_at))
    return reached_at


def test_a_plan_that_is_proven_ends_after_its_last_sweep_and_not_before() -> None:
    stream = killing()
    reached_at = closed(stream)
    assert stream.account.plans[MNQ].sweeps == 1

    at(stream, reached_at + 1_000 * MS - 1)
    assert stream.account.plans[MNQ].sweeps == 1
    at(stream, reached_at + 1_000 * MS)
    assert stream.account.plans[MNQ].sweeps == 2
    at(stream, reached_at + 5_000 * MS - 1)
    assert MNQ in stream.account.plans
    at(stream, reached_at + 5_000 * MS)
    assert MNQ not in stream.account.plans


def test_a_reduction_that_is_proven_ends_after_two_stable_seconds() -> None:
    stream = Stream().open(rule("max-contracts", limit=1))
    stream.fill(1, 1, 2)
    (reduce,) = intents(stream.outputs)
    stream.send(reduce)
    stream.fill(9, -1, 1)
    reached_at = stream.at
    stream.settle(reduce)
    stream.feed(reading(position(1), began_at=reached_at))

    at(stream, reached_at + 2_000 * MS - 1)
    assert MNQ in stream.account.plans
    at(stream, reached_at + 2_000 * MS)
    assert MNQ not in stream.account.plans


def test_a_read_that_began_before_the_end_proves_nothing() -> None:
    stream = killing()
    (close,) = intents(stream.feed(flatten()))
    stream.send(close)
    stream.fill(9, -1, 2)
    reached_at = stream.at
    stream.settle(close)

    stream.feed(reading(began_at=reached_at - 1))
    assert not stream.account.plans[MNQ].verified
    stream.feed(reading(began_at=reached_at))
    assert stream.account.plans[MNQ].verified


def test_beside_a_liquidating_platform_it_looks_after_half_a_second_and_closes_after_one() -> None:
    stream = killing()
    stream.feed(AccountSeen(account=ACCOUNT, login=LOGIN, name="N", balance=1, can_trade=False))
    stopped_at = stream.at

    happens_at(stream, stopped_at + 500 * MS, lambda found: acts(found) == ["look"])
    at(stream, stopped_at + 750 * MS)
    happens_at(stream, stopped_at + 1_000 * MS, closes)


def test_a_market_order_that_closes_already_is_waited_for_a_second_from_its_birth() -> None:
    stream = killing()
    born = stream.at - 400 * MS
    stream.feed(order(11, -1, 2, type=2, created=born))
    assert acts(stream.feed(flatten())) == []

    happens_at(stream, born + 1_000 * MS, closes)


@pytest.mark.parametrize(
    ("side", "root"), [(1, "MNQ"), (-1, "ES")], ids=["adds", "of another contract"]
)
def test_another_market_order_is_not_waited_for(side: int, root: str) -> None:
    stream = killing()
    stream.feed(order(11, side, 2, root, type=2, created=stream.at))

    assert acts(stream.feed(flatten())) == ["close"]


def test_what_rests_eight_ticks_away_goes_with_the_close_and_nine_ticks_away_stays() -> None:
    for price, expected in (("20998", ["cancel"]), ("20997.75", ["close"])):
        stream = killing()
        stop = int(float(price) * UNIT)
        stream.feed(order(12, -1, 2, type=4, stop_price=stop))

        assert acts(stream.feed(flatten())) == expected


def test_the_nearer_side_of_the_market_counts() -> None:
    stream = killing()
    stream.mark("MNQ", "21000", "21003")
    stream.mark("MNQ", "21000", "21003")
    stream.feed(order(12, -1, 2, limit_price=21_005 * UNIT))

    assert acts(stream.feed(flatten())) == ["cancel"]


def test_the_nearest_is_cancelled_first() -> None:
    stream = killing()
    stream.feed(
        order(11, 1, 1, limit_price=20_000 * UNIT),
        order(12, 1, 1, limit_price=20_900 * UNIT),
        order(13, 1, 1, limit_price=20_500 * UNIT),
    )

    assert [goal.order for goal in goals(stream.feed(flatten()))] == [12, 13, 11]


def test_what_has_no_price_is_as_near_as_what_touches_the_market() -> None:
    stream = killing()
    stream.feed(
        order(11, 1, 1, limit_price=21_000 * UNIT),
        order(12, 1, 1, type=5),
        order(13, 1, 1, limit_price=21_000 * UNIT - UNIT // 4),
    )

    assert [goal.order for goal in goals(stream.feed(flatten()))] == [11, 12, 13]


def flipped(stream: Stream, number: int, held: int) -> list[Fact]:
    """A fill of somebody else races with our close: the position comes out on the other side."""
    slot = stream.account.slots[MNQ]
    close = next(one for one in intents(stream.outputs) if one.key == slot.key)
    stream.send(close, f"r{number}")
    before = stream.account.holding(MNQ).exposure
    side = 1 if held > before else -1
    found = stream.feed(trade(number, side, abs(held - before)), position(held))
    return found + stream.settle(close, request=f"r{number}")


@pytest.mark.parametrize(("later", "level"), [(10_000 * MS, "urgent"), (10_000 * MS - 1, "page")])
def test_two_residues_page_when_the_second_comes_within_ten_seconds(later: int, level: str) -> None:
    stream = killing()
    stream.feed(flatten())
    slot = stream.account.slots[MNQ]
    close = next(one for one in intents(stream.outputs) if one.key == slot.key)
    stream.send(close, "r9")
    stream.feed(trade(9, -1, 3))
    stream.feed(position(-1))
    first_at = stream.account.plans[MNQ].residues[0]
    (again,) = intents(stream.settle(close, request="r9"))
    stream.send(again, "r10")
    stream.feed(trade(10, 1, 2), after=first_at + later - MS - stream.at)
    found = stream.feed(position(1))

    assert [a.level for a in of_kind(found, AlarmRaised) if a.what == "residue"] == [level]
    assert stream.at == first_at + later


def test_what_comes_out_on_the_other_side_is_said_with_its_size() -> None:
    stream = killing()
    stream.feed(flatten())

    (told,) = [a for a in of_kind(flipped(stream, 9, -1), AlarmRaised) if a.what == "residue"]

    assert told.text == f"{MNQ} came out at -1 after a close raced with another fill"


def test_a_fill_beyond_zero_that_is_the_next_thing_to_arrive_is_a_residue() -> None:
    stream = killing()
    stream.feed(flatten())

    found = stream.feed(trade(9, -1, 3), position(-1))

    assert [a.what for a in of_kind(found, AlarmRaised)] == ["residue"]


def test_what_grew_on_its_own_side_is_no_residue() -> None:
    stream = killing()
    stream.feed(flatten())

    assert [a.what for a in of_kind(flipped(stream, 9, 5), AlarmRaised)] == []
    assert stream.account.plans[MNQ].residues == []


@pytest.mark.parametrize(("later", "expected"), [(0, ["cancel"]), (1, [])])
def test_an_order_born_after_the_end_is_no_orphan_and_one_born_at_it_is(
    later: int, expected: list[str]
) -> None:
    stream = Stream().open(rule("max-contracts", limit=1, action="flatten-contract"))
    stream.fill(1, 1, 2)
    (close,) = intents(stream.outputs)
    stream.send(close)
    stream.fill(9, -1, 2)
    reached_at = stream.at
    stream.settle(close)

    found = stream.feed(order(12, -1, 1, created=reached_at + later, limit_price=FAR))

    assert acts(found) == expected


def test_a_limit_over_several_names_the_others_as_they_stood() -> None:
    stream = Stream().open(rule("max-contracts", limit=3))
    stream.feed(trade(1, 1, 2, "6000", contract=ES), position(2, "ES", "6000", version=7))
    stream.feed(trade(2, 1, 2), position(2, version=9))

    (reduce,) = goals(stream.outputs)

    assert (reduce.act, reduce.contract, reduce.allowed) == ("reduce", MNQ, 1)
    assert reduce.versions == ((ES, 7),)
    assert reduce.version == 9


def test_orders_that_arrived_since_count_for_how_the_others_stood() -> None:
    """The link counts them too: it refuses what was decided on less than it has seen."""
    stream = Stream().open(rule("max-contracts", limit=3))
    stream.feed(trade(1, 1, 2, "6000", contract=ES), position(2, "ES", "6000", version=7))
    stream.feed(order(11, -1, 2, "ES", type=4, stop_price=FAR, version=8))
    stream.feed(trade(2, 1, 2), position(2, version=9))

    (reduce,) = goals(stream.outputs)

    assert reduce.versions == ((ES, 8),)


def test_a_new_holder_gives_what_has_not_left_its_whole_time_again() -> None:
    stream = killing()
    stream.feed(flatten())
    at(stream, stream.at + 200 * MS)
    stream.feed(lease(2, "worker-2"))
    leased_at = stream.at

    assert stream.account.slots[MNQ].since == leased_at


def test_a_contract_that_is_flat_again_is_not_named_among_the_others() -> None:
    stream = Stream().open(rule("max-contracts", limit=1))
    stream.feed(trade(1, 1, 1, "6000", contract=ES), position(1, "ES", "6000", version=7))
    stream.feed(trade(2, -1, 1, "6000", contract=ES), position(0, "ES", version=8))
    stream.feed(trade(3, 1, 2), position(2, version=9))

    (reduce,) = goals(stream.outputs)

    assert reduce.versions == ()


def test_a_reduction_that_becomes_a_close_sweeps_what_it_leaves() -> None:
    stream = Stream().open(rule("kill-switch"), rule("max-contracts", limit=1))
    stream.fill(1, 1, 2)
    assert not stream.account.plans[MNQ].to_zero

    stream.feed(flatten())

    assert stream.account.plans[MNQ].to_zero


def test_a_goal_under_a_lock_of_its_root_is_locked_and_one_of_another_root_is_not() -> None:
    stream = Stream().open(rule("end-of-day-flatten"), roots=("MNQ", "ZC"))
    stream.feed(trade(1, 1, 1, "500", contract=contract("ZC")), position(1, "ZC", "500"))
    stream.fill(2, 1, 1)
    assert goals(stream.outputs) == []

    found = goals(at(stream, stream.at + 4 * 3_600 * 1_000 * MS))

    assert [(goal.act, goal.contract, goal.locked) for goal in found] == [
        ("close", contract("ZC"), True)
    ]


# --- what is unknown, and what the platform did -----------------------------------


def test_what_is_unknown_is_told_after_half_a_second_and_binds_after_fifteen() -> None:
    stream = killing()
    stream.feed(FeedChanged(login=LOGIN, state="blind"))
    blind_at = stream.at

    happens_at(
        stream,
        blind_at + 500 * MS,
        lambda found: [a.what for a in of_kind(found, AlarmRaised)] == ["unknown"],
    )
    happens_at(
        stream,
        blind_at + 15_000 * MS,
        lambda found: [lock.mode for lock in of_kind(found, LockPlaced)] == ["reduce-only"],
    )


def test_a_platform_that_lets_trade_again_is_believed_after_half_a_minute() -> None:
    stream = killing()
    seen = AccountSeen(account=ACCOUNT, login=LOGIN, name="N", balance=1, can_trade=False)
    stream.feed(seen)
    (close,) = intents(at(stream, stream.at + 1_000 * MS))
    stream.send(close)
    stream.fill(9, -1, 2)
    stream.settle(close)
    stream.feed(reading(began_at=stream.at, can_trade=False))
    at(stream, stream.at + 60_000 * MS)
    stream.feed(msgspec.structs.replace(seen, balance=50_000 * UNIT, can_trade=True))
    again_at = stream.at

    happens_at(
        stream,
        again_at + 30_000 * MS,
        lambda found: [e.lock for e in of_kind(found, LockEnded)] == ["platform"],
    )
