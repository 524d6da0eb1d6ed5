"""Every wait of the fence, to the nanosecond: nothing before it, then its effect, and a wake."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from risk_daemon.broker import fence
from risk_daemon.broker.budget import REST, SHARES, VERIFICATION
from risk_daemon.broker.fence import EpochRaised, Resumed, StreamBroken, Ticked
from risk_daemon.broker.gate import Output, Read
from risk_daemon.broker.port import (
    COST,
    FULL,
    PENDING,
    POSITIONS,
    RECENT,
    REFUSED,
    THROTTLED,
    UNKNOWN,
    Outcome,
    Request,
)
from risk_daemon.core.events import Goal, Intended
from tests.broker.test_fence import (
    Door,
    closing_order,
    doubtful,
    ends,
    filled,
    reads,
    refusals,
    sent,
)
from tests.build import ACCOUNT, MS, SECOND, contract, order, position

MNQ, ES = contract("MNQ"), contract("ES")


def at(door: Door, instant: int) -> list[Output]:
    """Let the door look at its clock at exactly this instant."""
    return door.put(Ticked(), after=instant - door.now)


def happens_at(door: Door, instant: int, what: Callable[[list[Output]], object]) -> None:
    """Nothing of the kind a nanosecond before; then it happens, and the door asked to be woken."""
    assert not what(at(door, instant - 1))
    assert fence.wake_at(door.gate) == instant
    assert what(at(door, instant))


def whys(outputs: list[Output]) -> list[tuple[str, str]]:
    return [(output.depth, output.why) for output in outputs if isinstance(output, Read)]


def unsettled(outputs: list[Output]) -> bool:
    return (RECENT, "a close is not settled") in whys(outputs)


def closing(outcome: str = "") -> tuple[Door, Request]:
    """A door with a close under way, and its answer where there is one."""
    door = Door().holding(2)
    (request,) = sent(door.decide("close"))
    if outcome:
        door.answer(request, Outcome(outcome=outcome))
    return door, request


# --- goals that wait -----------------------------------------------------------


def test_views_that_differ_about_zero_are_waited_for_half_a_second() -> None:
    door = doubtful()
    asked_at = door.now + MS

    assert whys(door.decide("close")) == [(FULL, "views of a position differ")]

    assert sent(at(door, asked_at + 500 * MS - 1)) == []
    assert [one.act for one in sent(at(door, asked_at + 500 * MS))] == ["close"]


def test_a_goal_before_the_first_read_is_looked_at_each_quarter_of_a_second() -> None:
    door = Door()
    door.decide("close")
    first = door.now + 250 * MS

    assert fence.wake_at(door.gate) == first
    at(door, first)
    assert fence.wake_at(door.gate) == first + 250 * MS


def test_and_given_up_after_half_a_minute() -> None:
    for early, why in ((1, []), (0, ["gave up waiting: the account has not been read"])):
        door = Door()
        door.decide("close")
        assert refusals(at(door, door.now + 30 * SECOND - early)) == why


def test_looking_at_it_again_and_again_makes_that_no_later() -> None:
    door = Door()
    door.decide("close")
    until = door.now + 30 * SECOND

    while door.now < until - 250 * MS:
        assert refusals(at(door, fence.wake_at(door.gate))) == []
    assert refusals(at(door, until)) == ["gave up waiting: the account has not been read"]


@pytest.mark.parametrize("act", ["close", "cancel"])
def test_what_was_throttled_leaves_again_after_half_a_second(act: str) -> None:
    door = Door().holding(2)
    door.arrive(order(11, 1, 1))
    (request,) = sent(door.decide(act, order=11))
    door.answer(request, Outcome(outcome=REFUSED, code=429, meaning=THROTTLED))

    happens_at(door, door.now + 500 * MS, sent)


def test_and_never_once_a_minute_and_a_half_has_passed() -> None:
    for early, why in ((1, []), (0, ["gave up waiting: throttled"])):
        door, request = closing()
        door.answer(request, Outcome(outcome=REFUSED, code=429, meaning=THROTTLED))
        outputs = at(door, door.now + 90 * SECOND - early)
        assert refusals(outputs) == why
        assert len(sent(outputs)) == early


def test_a_goal_whose_epoch_is_the_raised_one_goes_on_waiting() -> None:
    door = Door()
    door.decide("close", epoch=1)

    assert refusals(door.decide("close", epoch=2)) == ["epoch 2 holds the account now"]
    assert refusals(door.put(EpochRaised(ACCOUNT, 2))) == []
    assert len(sent(door.read(position(2)))) == 1


# --- a close that is not settled ---------------------------------------------------


def test_without_an_answer_it_is_looked_at_after_a_minute() -> None:
    door, _ = closing()

    happens_at(door, door.now + 60 * SECOND, unsettled)


def test_an_accepted_one_is_looked_at_each_three_quarters_of_a_second() -> None:
    door = Door().holding(2)
    (request,) = sent(door.decide("close"))
    sent_at = door.now
    door.answer(request)

    happens_at(door, sent_at + 750 * MS, unsettled)
    happens_at(door, sent_at + 1_500 * MS, unsettled)


def test_an_unknown_one_is_looked_at_soon_then_when_it_can_be_void_then_each_second() -> None:
    door = Door().holding(2)
    (request,) = sent(door.decide("close"))
    sent_at = door.now
    door.answer(request, Outcome(outcome=UNKNOWN))

    for wait in (250, 1_000, 1_250, 2_250, 3_250):
        happens_at(door, sent_at + wait * MS, unsettled)


def test_looking_for_what_another_fill_hides_takes_no_more_than_its_share_of_requests() -> None:
    """Until it is void at last: closes of other accounts of the login need the rest."""
    door = Door().holding(2)
    (request,) = sent(door.decide("close"))
    began = door.now
    door.answer(request, Outcome(outcome=UNKNOWN))
    door.arrive(position(1))
    asked = 0
    while door.now < began + 10 * SECOND:
        asked += unsettled(at(door, fence.wake_at(door.gate)))

    assert asked * COST[RECENT] < SHARES[VERIFICATION] + SHARES[REST]


def test_after_a_gap_in_the_stream_it_can_be_void_later() -> None:
    door = Door().holding(2)
    (request,) = sent(door.decide("close"))
    sent_at = door.now
    door.answer(request, Outcome(outcome=UNKNOWN))
    door.put(StreamBroken())

    for wait in (250, 1_250, 2_250, 3_000, 3_250, 4_250):
        happens_at(door, sent_at + wait * MS, unsettled)


def test_an_ended_one_whose_fill_is_not_in_every_view_is_read_each_quarter_of_a_second() -> None:
    door, request = closing()
    door.answer(request)
    door.arrive(closing_order(99, 2, status=2, filled=2))
    ended_at = door.now

    at(door, ended_at + 100 * MS)  # the views differ: another concern, with its own times
    # As deep as a read that may use enforcement's requests: the next close waits for it.
    happens_at(door, ended_at + 250 * MS, unsettled)
    assert not unsettled(at(door, ended_at + 500 * MS - 1))
    assert unsettled(at(door, ended_at + 500 * MS))


@pytest.mark.parametrize(("gap", "wait"), [(False, 1_000), (True, 3_000)])
def test_it_is_void_by_a_read_that_begins_late_enough_after_the_send(gap: bool, wait: int) -> None:  # noqa: FBT001
    for early, how in ((1, []), (0, ["void"])):
        door = Door().holding(2)
        (request,) = sent(door.decide("close"))
        sent_at = door.now
        door.answer(request, Outcome(outcome=UNKNOWN))
        if gap:
            door.put(StreamBroken())
        door.read(position(2), recent=(), after=300 * MS)
        late = sent_at + wait * MS - early - door.now
        assert ends(door.read(position(2), recent=(), after=late)) == how


def test_and_a_quarter_of_a_second_after_the_first_empty_one() -> None:
    for early, how in ((1, []), (0, ["void"])):
        door, _ = closing(UNKNOWN)
        door.read(position(2), recent=(), after=2 * SECOND)
        assert ends(door.read(position(2), recent=(), after=250 * MS - early)) == how


def test_a_read_that_begins_with_the_send_counts_and_one_from_before_does_not() -> None:
    door = Door().holding(2)
    (request,) = sent(door.decide("close"))
    sent_at = door.now
    door.answer(request, Outcome(outcome=UNKNOWN))

    door.read(position(2), recent=(), ago=door.now + MS - sent_at + 1)
    assert door.gate.of(ACCOUNT).slots[MNQ].empty_reads == []
    door.read(position(2), recent=(), ago=door.now + MS - sent_at)
    assert door.gate.of(ACCOUNT).slots[MNQ].empty_reads == [sent_at]


def test_a_read_that_begins_with_the_end_of_a_close_proves_it_and_an_earlier_one_does_not() -> None:
    door, request = closing()
    door.answer(request)
    door.arrive(closing_order(99, 2, status=2, filled=2))
    ended_at = door.now

    early = door.read(position(2), ago=door.now + MS - ended_at + 1)
    assert ends(early) == []
    assert ends(door.read(ago=door.now + MS - ended_at)) == ["filled"]


# --- a cancel that is not settled ---------------------------------------------------


def test_an_unknown_cancel_is_looked_at_each_second_and_an_unanswered_one_is_not() -> None:
    door = Door().holding(2)
    door.arrive(order(11, 1, 1), order(12, 1, 1))
    door.decide("cancel", order=12)
    (request,) = sent(door.decide("cancel", order=11))
    sent_at = door.now
    answer = Outcome(outcome=REFUSED, code=4, meaning=PENDING)
    assert whys(door.answer(request, answer)) == [(FULL, "the outcome of a cancel is unknown")]

    def looked(outputs: list[Output]) -> bool:
        return whys(outputs) == [(RECENT, "a cancel is not settled")]

    happens_at(door, sent_at + SECOND, looked)
    happens_at(door, sent_at + 2 * SECOND, looked)


def test_a_read_that_begins_with_a_cancel_settles_it_and_one_from_before_does_not() -> None:
    door = Door().holding(2)
    door.arrive(order(11, 1, 1))
    (request,) = sent(door.decide("cancel", order=11))
    sent_at = door.now
    door.answer(request, Outcome(outcome=UNKNOWN))

    before = door.read(position(2), order(11, 1, 1), ago=door.now + MS - sent_at + 1)
    assert ends(before) == []
    assert ends(door.read(position(2), order(11, 1, 1), ago=door.now + MS - sent_at)) == [
        "rejected"
    ]


# --- a run that died -----------------------------------------------------------------


def resumed(act: str, sent_ago: int = 0, **more: object) -> Door:
    """A door that took a goal over, and read its account a millisecond later."""
    door = Door()
    goal = Goal(act=act, account=ACCOUNT, contract=MNQ, locked=True, **more)  # type: ignore[arg-type]
    intended = Intended(account=ACCOUNT, epoch=1, cause_seq=1, key="old", goal=goal)
    door.put(Resumed(intended, door.now - sent_ago))
    door.read(position(2), stable=True)
    return door


@pytest.mark.parametrize(("early", "found"), [(100 * MS, 99), (100 * MS + 1, 0)])
def test_the_brokers_clock_may_be_a_tenth_of_a_second_behind(early: int, found: int) -> None:
    door = resumed("close")
    sent_at = door.gate.of(ACCOUNT).slots[MNQ].sent_at

    door.arrive(msgspec.structs.replace(closing_order(99, 2), created=sent_at - early))

    assert door.gate.of(ACCOUNT).slots[MNQ].order == found


def test_its_requests_are_looked_for_from_the_instant_they_were_taken_over() -> None:
    door = resumed("close", sent_ago=10 * SECOND)
    taken_at = door.now - MS

    happens_at(door, taken_at + 250 * MS, unsettled)
    happens_at(door, taken_at + 1_250 * MS, unsettled)


def test_a_read_that_begins_as_they_are_taken_over_counts_and_one_from_before_does_not() -> None:
    door = resumed("close", sent_ago=10 * SECOND)
    slot, taken_at = door.gate.of(ACCOUNT).slots[MNQ], door.now - MS

    door.read(position(2), recent=(), ago=door.now + MS - taken_at + 1)
    assert slot.empty_reads == []
    door.read(position(2), recent=(), ago=door.now + MS - taken_at)
    assert slot.empty_reads == [taken_at]


def test_a_cancel_of_an_earlier_run_waits_for_no_time_that_is_yet_to_come() -> None:
    door = Door()
    intended = Intended(
        account=ACCOUNT,
        epoch=1,
        cause_seq=1,
        key="old",
        goal=Goal(act="cancel", account=ACCOUNT, contract=MNQ, order=11, locked=True),
    )

    door.put(Resumed(intended, door.now + 60 * SECOND))

    assert door.gate.of(ACCOUNT).cancels[11].sent_at == door.now


def test_a_close_of_an_earlier_run_is_void_in_its_time_though_the_clock_was_ahead() -> None:
    door = Door()
    goal = Goal(act="close", account=ACCOUNT, contract=MNQ, locked=True)
    old = Intended(account=ACCOUNT, epoch=1, cause_seq=1, key="old", goal=goal)
    door.put(Resumed(old, door.now + 60 * SECOND))

    first = door.read(position(2), recent=())
    door.now += 3 * SECOND

    assert (ends(first), ends(door.read(position(2), recent=()))) == ([], ["void"])


def test_what_it_reduced_may_be_any_order_of_the_closing_side_even_the_first_one_seen() -> None:
    door = resumed("reduce", allowed=1)

    door.arrive(closing_order(98, 2, side=1), closing_order(99, 3))

    assert door.gate.of(ACCOUNT).slots[MNQ].order == 99


def test_the_end_of_a_close_is_verified_by_the_cheap_read() -> None:
    door, request = closing()
    door.answer(request)

    assert whys(door.arrive(*filled())) == [(POSITIONS, "verify after a close")]
    assert reads(at(door, door.now + 10 * SECOND)) == []


@pytest.mark.parametrize("sent_ago", [0, 2 * SECOND, 60 * SECOND])
def test_what_it_closed_is_void_only_three_seconds_after_it_was_taken_over(sent_ago: int) -> None:
    """How long ago it was sent only the clock of the run that died could tell.

    That clock may have stood still while the host slept, or have been set since.
    """
    for early, how in ((1, []), (0, ["void"])):
        door = resumed("close", sent_ago=sent_ago)
        taken_at = door.now - MS
        door.read(position(2), recent=(), after=SECOND)
        late = taken_at + 3 * SECOND - early - door.now
        assert ends(door.read(position(2), recent=(), after=late)) == how
