"""The fence: what may leave, how much of it, and when a request has ended."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from risk_daemon.broker import fence
from risk_daemon.broker.fence import (
    Answered,
    Arrived,
    Decided,
    EpochRaised,
    Gate,
    Input,
    Output,
    Read,
    ReadDone,
    Report,
    Resumed,
    Send,
    StreamBroken,
    Ticked,
)
from risk_daemon.broker.gate import HELD_MAX
from risk_daemon.broker.port import (
    ACCEPTED,
    BARRED,
    FLAT,
    FULL,
    GONE,
    PENDING,
    POSITIONS,
    RECENT,
    REFUSED,
    THROTTLED,
    UNAUTHORIZED,
    UNKNOWN,
    Outcome,
    Reading,
    Request,
)
from risk_daemon.broker.sight import SEEN_MAX
from risk_daemon.core.events import (
    AccountSeen,
    Fact,
    Goal,
    GoalRefused,
    Intended,
    OrderChanged,
    RequestSettled,
)
from tests.build import (
    ACCOUNT,
    LOGIN,
    MS,
    SECOND,
    WEDNESDAY_TEN,
    contract,
    order,
    position,
    reading,
    trade,
)

MNQ = contract("MNQ")
ACCEPT = Outcome(outcome=ACCEPTED)


class Door:
    """A gate, a clock that tests move, and everything that came out."""

    def __init__(self) -> None:
        self.gate = Gate(session="s", version_base=1_000)
        self.now = WEDNESDAY_TEN
        self.keys = 0

    def put(self, given: Input, after: int = MS) -> list[Output]:
        self.now += after
        return fence.step(self.gate, given, self.now)

    def arrive(self, *facts: Fact) -> list[Output]:
        return [output for fact in facts for output in self.put(Arrived(fact))]

    def read(
        self,
        *rows: Fact,
        stable: bool = True,
        cheap: bool = False,
        after: int = MS,
        recent: tuple[OrderChanged, ...] | None = None,
        ago: int = 0,
    ) -> list[Output]:
        """A read that ends now and began `ago` earlier."""
        self.now += after
        found = reading(*rows, stable=stable, only_positions=cheap)
        return self.put(
            ReadDone(
                Reading(
                    account=ACCOUNT,
                    began_at=self.now - ago,
                    ended_at=self.now,
                    rows=found,
                    recent=recent,
                )
            ),
            after=0,
        )

    def holding(self, quantity: int) -> Door:
        """A door whose account was read and holds some contracts."""
        self.read(*([position(quantity)] if quantity else []))
        return self

    def decide(
        self, act: str, *, by_person: bool = False, epoch: int = 1, **more: object
    ) -> list[Output]:
        self.keys += 1
        found: dict[str, object] = {"contract": MNQ, "locked": True}
        goal = Goal(act=act, account=ACCOUNT, **(found | more))  # type: ignore[arg-type]
        intended = Intended(
            account=ACCOUNT, epoch=epoch, cause_seq=1, key=f"k{self.keys}", goal=goal
        )
        return self.put(Decided(intended, by_person))

    def answer(self, request: Request, outcome: Outcome = ACCEPT) -> list[Output]:
        return self.put(Answered(request, outcome))

    def view(self) -> fence.View:
        return self.gate.of(ACCOUNT).view(MNQ)


def sent(outputs: list[Output]) -> list[Request]:
    return [output.request for output in outputs if isinstance(output, Send)]


def refusals(outputs: list[Output]) -> list[str]:
    return [
        output.fact.why
        for output in outputs
        if isinstance(output, Report) and isinstance(output.fact, GoalRefused)
    ]


def ends(outputs: list[Output]) -> list[str]:
    return [
        output.fact.how
        for output in outputs
        if isinstance(output, Report) and isinstance(output.fact, RequestSettled)
    ]


def reads(outputs: list[Output]) -> list[str]:
    return [output.depth for output in outputs if isinstance(output, Read)]


def closing_order(number: int = 99, size: int = 2, side: int = -1, **more: object) -> OrderChanged:
    return order(number, side, size, type=2, **more)  # type: ignore[arg-type]


def filled(number: int = 99, size: int = 2) -> list[Fact]:
    """A close of a long as the broker shows it: order, trade, position."""
    return [
        closing_order(number, size, status=2, filled=size),
        trade(number, -1, size, order=number),
        position(0),
    ]


# --- what never leaves ---------------------------------------------------------


def test_an_older_epoch_never_leaves() -> None:
    door = Door().holding(2)
    door.put(EpochRaised(ACCOUNT, 5))

    assert sent(door.decide("close", epoch=4)) == []
    assert len(sent(door.decide("close", epoch=5))) == 1


def test_an_epoch_never_falls() -> None:
    door = Door().holding(2)
    door.put(EpochRaised(ACCOUNT, 5))
    door.put(EpochRaised(ACCOUNT, 3))

    assert "epoch 4 is older than 5" in refusals(door.decide("close", epoch=4))[0]


def test_a_persons_order_needs_no_epoch() -> None:
    door = Door().holding(2)
    door.put(EpochRaised(ACCOUNT, 5))

    assert len(sent(door.decide("close", epoch=0, by_person=True))) == 1


def test_a_goal_tells_of_its_epoch_too_where_it_came_before_the_lease_was_heard_of() -> None:
    """A holder whose journal does not answer brings its goal itself, ahead of the stream."""
    door = Door().holding(2)
    door.put(EpochRaised(ACCOUNT, 1))
    door.decide("close", epoch=2)

    assert "epoch 1 is older than 2" in refusals(door.decide("close", epoch=1))[0]


def test_what_waited_under_an_older_epoch_is_refused_at_the_first_goal_of_a_newer_one() -> None:
    door = Door()
    door.put(EpochRaised(ACCOUNT, 1))
    door.decide("close", epoch=1)

    assert "epoch 2 holds the account now" in refusals(door.decide("close", epoch=2))[0]


def test_a_goal_of_an_earlier_run_tells_of_its_epoch() -> None:
    door = Door().holding(2)
    goal = Goal(act="close", account=ACCOUNT, contract=MNQ, locked=True)
    door.put(Resumed(Intended(account=ACCOUNT, epoch=3, cause_seq=1, key="k", goal=goal), door.now))

    assert "epoch 2 is older than 3" in refusals(door.decide("close", epoch=2))[0]


def test_a_persons_order_tells_of_no_epoch() -> None:
    door = Door().holding(2)
    door.decide("cancel", order=11, epoch=9, by_person=True)

    assert len(sent(door.decide("close", epoch=1))) == 1


def test_goals_of_an_older_epoch_that_waited_are_refused_when_it_is_raised() -> None:
    door = Door()
    door.decide("close", epoch=1)

    assert "holds the account now" in refusals(door.put(EpochRaised(ACCOUNT, 2)))[0]
    assert sent(door.read(position(2))) == []


def test_one_close_per_contract_is_under_way() -> None:
    door = Door().holding(2)

    assert len(sent(door.decide("close"))) == 1
    assert "under way" in refusals(door.decide("close"))[0]


def test_nothing_is_closed_when_flat() -> None:
    assert "nothing is left" in refusals(Door().holding(0).decide("close"))[0]


def test_a_reduction_is_sized_by_what_is_live() -> None:
    door = Door().holding(8)

    (request,) = sent(door.decide("reduce", allowed=5))

    assert (request.act, request.size) == ("partial", 3)


def test_and_not_sent_when_the_limit_is_met() -> None:
    assert "nothing is left" in refusals(Door().holding(5).decide("reduce", allowed=5))[0]


def test_the_exact_attempt_closes_by_size() -> None:
    (request,) = sent(Door().holding(-3).decide("close", exact=True))

    assert (request.act, request.size) == ("partial", 3)


def test_the_smallest_of_three_views_sizes() -> None:
    door = Door().holding(8)
    door.arrive(closing_order(50, 2, status=2, filled=2))

    (request,) = sent(door.decide("reduce", allowed=5))

    assert request.size == 1


def test_views_of_different_sign_size_nothing() -> None:
    door = Door().holding(2)
    door.arrive(position(-1))

    assert "nothing is left" in refusals(door.decide("reduce", allowed=1))[0]


def test_a_reduction_from_several_contracts_is_refused_when_another_moved() -> None:
    door = Door().holding(8)
    version = fence.version_of(door.gate, ACCOUNT, contract("ES"))
    door.arrive(position(1, "ES"))

    why = refusals(door.decide("reduce", allowed=5, versions=((contract("ES"), version),)))

    assert "moved since" in why[0]
    now = fence.version_of(door.gate, ACCOUNT, contract("ES"))
    assert len(sent(door.decide("reduce", allowed=5, versions=((contract("ES"), now),)))) == 1


def test_a_close_without_a_lock_dies_with_its_position() -> None:
    door = Door().holding(2)
    version = door.view().version
    door.arrive(position(0), trade(1, -1, 2), closing_order(1, status=2, filled=2))
    door.arrive(position(3), trade(2, 1, 3), order(2, 1, 3, type=2, status=2, filled=3))

    assert "has ended" in refusals(door.decide("close", locked=False, version=version))[0]
    assert len(sent(door.decide("close", locked=False, version=door.view().version))) == 1


def test_an_act_of_a_newer_release_is_refused() -> None:
    assert "does not know" in refusals(Door().holding(2).decide("hedge"))[0]


# --- cancels and resizes -----------------------------------------------------------


def test_an_order_that_could_raise_the_position_is_cancelled() -> None:
    door = Door().holding(2)
    door.arrive(order(11, 1, 1))

    (request,) = sent(door.decide("cancel", order=11))

    assert (request.act, request.order) == ("cancel", 11)


def test_protection_is_cancelled_only_beside_a_close_or_when_flat() -> None:
    door = Door().holding(2)
    door.arrive(order(11, -1, 2, type=4), order(12, -1, 2, type=4))

    assert "protects" in refusals(door.decide("cancel", order=11))[0]
    assert len(sent(door.decide("cancel", order=11, closing=True))) == 1
    door.arrive(position(0), trade(1, -1, 2), closing_order(1, status=2, filled=2))
    assert len(sent(door.decide("cancel", order=12))) == 1


def test_an_order_is_asked_for_once_until_it_has_an_answer() -> None:
    door = Door().holding(4)
    door.arrive(order(11, 1, 1), order(12, -1, 4))
    door.decide("cancel", order=11)
    door.decide("resize", order=12, allowed=2)

    assert "unanswered" in refusals(door.decide("cancel", order=11))[0]
    assert "unanswered" in refusals(door.decide("resize", order=12, allowed=1))[0]


@pytest.mark.parametrize("act", ["cancel", "resize"])
def test_an_order_that_is_not_working_is_left_alone(act: str) -> None:
    door = Door().holding(2)
    door.arrive(order(11, 1, 1, status=3))

    assert "not working" in refusals(door.decide(act, order=11, allowed=1))[0]
    assert "not working" in refusals(door.decide(act, order=12, allowed=1))[0]


def test_a_resize_only_makes_smaller_and_counts_what_is_filled() -> None:
    door = Door().holding(4)
    door.arrive(order(11, -1, 5, filled=1))

    (request,) = sent(door.decide("resize", order=11, allowed=2))
    assert (request.act, request.size) == ("modify", 3)

    door.arrive(order(12, -1, 2))
    assert "smaller" in refusals(door.decide("resize", order=12, allowed=2))[0]
    assert "smaller" in refusals(door.decide("resize", order=12, allowed=0))[0]


@pytest.mark.parametrize(
    ("outcome", "how"),
    [
        (ACCEPT, "ended"),
        (Outcome(outcome=REFUSED, code=2, meaning=GONE), "gone"),
        (Outcome(outcome=REFUSED, code=6, meaning=BARRED), "rejected"),
    ],
)
def test_an_answered_cancel_has_ended(outcome: Outcome, how: str) -> None:
    door = Door().holding(2)
    door.arrive(order(11, 1, 1))
    (request,) = sent(door.decide("cancel", order=11))

    assert ends(door.answer(request, outcome)) == [how]
    assert ends(door.answer(request, outcome)) == []


@pytest.mark.parametrize("shown", [True, False])
def test_an_unknown_cancel_is_settled_by_a_read(shown: bool) -> None:
    door = Door().holding(2)
    door.arrive(order(11, 1, 1))
    (request,) = sent(door.decide("cancel", order=11))

    assert reads(door.answer(request, Outcome(outcome=UNKNOWN))) == [FULL]
    assert ends(door.read(position(2), order(11, 1, 1), ago=SECOND)) == []
    rows = [position(2)] + ([order(11, 1, 1)] if shown else [])
    assert ends(door.read(*rows)) == ["rejected" if shown else "ended"]


def test_a_read_begun_before_a_cancel_left_says_nothing_of_it() -> None:
    door = Door().holding(2)
    door.arrive(order(11, 1, 1), order(12, 1, 1))
    (request,) = sent(door.decide("cancel", order=11))

    assert ends(door.read(position(2), order(11, 1, 1))) == []
    door.answer(request, Outcome(outcome=REFUSED, code=4, meaning=PENDING))
    assert reads(door.put(Ticked(), after=SECOND)) == [RECENT]


def test_the_order_itself_may_show_that_an_unknown_cancel_ended() -> None:
    door = Door().holding(2)
    door.arrive(order(11, 1, 1))
    (request,) = sent(door.decide("cancel", order=11))
    door.answer(request, Outcome(outcome=UNKNOWN))

    assert ends(door.arrive(order(11, 1, 1, status=3))) == ["ended"]


def test_a_throttled_cancel_leaves_again() -> None:
    door = Door().holding(2)
    door.arrive(order(11, 1, 1))
    (request,) = sent(door.decide("cancel", order=11))

    assert ends(door.answer(request, Outcome(outcome=REFUSED, code=429, meaning=THROTTLED))) == []
    assert sent(door.put(Ticked(), after=400 * MS)) == []
    (again,) = sent(door.put(Ticked(), after=200 * MS))
    assert again.request != request.request


# --- how a close ends ------------------------------------------------------------------


def test_accepted_is_not_done_filled_and_contained_is() -> None:
    door = Door().holding(2)
    (request,) = sent(door.decide("close"))

    assert ends(door.answer(request)) == []
    order_, trade_, position_ = filled()
    assert ends(door.arrive(order_)) == []
    assert ends(door.arrive(trade_)) == []
    outputs = door.arrive(position_)

    assert ends(outputs) == ["filled"]
    assert reads(outputs) == [POSITIONS]


def test_the_fill_may_be_shown_before_the_answer() -> None:
    door = Door().holding(2)
    (request,) = sent(door.decide("close"))

    assert ends(door.arrive(*filled())) == []
    assert "under way" in refusals(door.decide("close"))[0]
    assert ends(door.answer(request)) == ["filled"]
    assert ends(door.answer(request)) == []


def test_a_refusal_of_what_was_filled_all_the_same_is_believed_less_than_the_fill() -> None:
    door = Door().holding(2)
    (request,) = sent(door.decide("close"))
    door.arrive(*filled())

    assert ends(door.answer(request, Outcome(outcome=REFUSED, code=5))) == ["filled"]


def test_an_order_that_was_known_before_is_not_ours() -> None:
    door = Door().holding(2)
    door.arrive(closing_order(50, 2, status=6))
    door.decide("close")

    assert ends(door.arrive(closing_order(50, 2, status=2, filled=2))) == []
    assert door.gate.of(ACCOUNT).slots[MNQ].order == 0


def test_neither_is_one_of_another_contract_side_type_or_size() -> None:
    door = Door().holding(4)
    door.decide("reduce", allowed=2)

    door.arrive(
        order(50, -1, 2, "ES", type=2),
        order(51, 1, 2, type=2),
        order(52, -1, 2, type=1),
        order(53, -1, 3, type=2),
    )

    assert door.gate.of(ACCOUNT).slots[MNQ].order == 0


def test_a_whole_close_may_have_another_size_when_a_fill_came_between() -> None:
    door = Door().holding(2)
    door.decide("close")

    door.arrive(closing_order(50, 3))

    assert door.gate.of(ACCOUNT).slots[MNQ].order == 50


@pytest.mark.parametrize(("status", "how"), [(3, "ended"), (5, "rejected")])
def test_a_close_that_ends_unfilled_frees_the_slot(status: int, how: str) -> None:
    door = Door().holding(2)
    (request,) = sent(door.decide("close"))
    door.answer(request)

    assert ends(door.arrive(closing_order(50, 2, status=status))) == [how]
    assert len(sent(door.decide("close"))) == 1


def test_a_fill_whose_trade_never_came_is_settled_by_a_read() -> None:
    door = Door().holding(2)
    (request,) = sent(door.decide("close"))
    door.answer(request)
    door.arrive(closing_order(99, 2, status=2, filled=2), position(0))

    assert reads(door.put(Ticked(), after=90 * MS)) == []
    assert reads(door.put(Ticked(), after=20 * MS)) == [FULL], "the views differ"
    assert reads(door.put(Ticked(), after=130 * MS)) == []
    assert reads(door.put(Ticked(), after=20 * MS)) == [RECENT], "the close is not settled"
    assert ends(door.read(stable=False)) == []
    assert ends(door.read()) == ["filled"]


@pytest.mark.parametrize("code", [2])
def test_flat_is_believed_after_a_read(code: int) -> None:
    door = Door().holding(2)
    (request,) = sent(door.decide("close"))

    outputs = door.answer(request, Outcome(outcome=REFUSED, code=code, meaning=FLAT))

    assert ends(outputs) == ["flat"]
    assert reads(outputs) == [FULL]


def test_a_rejected_close_is_over_and_looked_at() -> None:
    door = Door().holding(2)
    (request,) = sent(door.decide("close"))

    outputs = door.answer(request, Outcome(outcome=REFUSED, code=5))

    assert (ends(outputs), reads(outputs)) == (["rejected"], [FULL])


@pytest.mark.parametrize("meaning", [THROTTLED, UNAUTHORIZED])
def test_what_the_broker_did_not_look_at_leaves_again_sized_anew(meaning: str) -> None:
    door = Door().holding(8)
    (request,) = sent(door.decide("reduce", allowed=5))
    assert ends(door.answer(request, Outcome(outcome=REFUSED, code=429, meaning=meaning))) == []
    door.arrive(closing_order(50, 1, status=2, filled=1), trade(50, -1, 1), position(7))

    assert sent(door.put(Ticked(), after=400 * MS)) == []
    (again,) = sent(door.put(Ticked(), after=200 * MS))

    assert (again.size, again.key) == (2, request.key)


def test_but_not_for_ever() -> None:
    door = Door().holding(8)
    (request,) = sent(door.decide("reduce", allowed=5))
    door.answer(request, Outcome(outcome=REFUSED, code=429, meaning=THROTTLED))

    assert "gave up" in refusals(door.put(Ticked(), after=91 * SECOND))[0]


# --- unknown outcomes ------------------------------------------------------------------


def unknown(quantity: int = 2) -> tuple[Door, Request]:
    door = Door().holding(quantity)
    (request,) = sent(door.decide("close"))
    door.answer(request, Outcome(outcome=UNKNOWN))
    return door, request


def test_an_unknown_close_is_looked_for_and_found() -> None:
    door, _ = unknown()

    assert reads(door.put(Ticked(), after=300 * MS)) == [RECENT]
    found = closing_order(99, 2, status=2, filled=2)
    outputs = door.read(position(0), trade(99, -1, 2, order=99), recent=(found,))

    assert ends(outputs) == [] or ends(outputs) == ["filled"]
    assert ends([*outputs, *door.read()]) == ["filled"]


def test_two_empty_reads_make_it_void_the_second_a_second_after_the_send() -> None:
    door, request = unknown()

    assert ends(door.read(position(2), recent=(), after=300 * MS)) == []
    assert ends(door.read(position(2), recent=(), after=300 * MS)) == []
    assert ends(door.read(position(2), recent=(), after=500 * MS)) == ["void"]
    (again,) = sent(door.decide("close"))
    assert again.request != request.request


def test_two_reads_at_once_are_one() -> None:
    door, _ = unknown()

    assert ends(door.read(position(2), recent=(), after=SECOND)) == []
    assert ends(door.read(position(2), recent=(), after=100 * MS)) == []
    assert ends(door.read(position(2), recent=(), after=200 * MS)) == ["void"]


def test_a_gap_in_the_stream_makes_it_wait_three_seconds() -> None:
    door, _ = unknown()
    door.put(StreamBroken())

    door.read(position(2), recent=(), after=300 * MS)
    assert ends(door.read(position(2), recent=(), after=2 * SECOND)) == []
    assert ends(door.read(position(2), recent=(), after=SECOND)) == ["void"]


def test_a_position_that_changed_keeps_it_open() -> None:
    door, _ = unknown()
    door.read(position(1), recent=(), after=300 * MS)

    assert ends(door.read(position(1), recent=(), after=SECOND)) == []
    assert ends(door.read(recent=(), after=SECOND)) == ["void"]


def test_a_position_that_others_changed_keeps_it_open_for_ten_seconds_at_most() -> None:
    door, _ = unknown()
    door.read(position(1), recent=(), after=300 * MS)
    left = door.gate.of(ACCOUNT).slots[MNQ].sent_at + 10 * SECOND - door.now

    assert ends(door.read(position(1), recent=(), after=left - 1)) == []
    assert ends(door.read(position(1), recent=(), after=1)) == ["void"]


def test_a_read_without_orders_or_from_before_the_send_says_nothing() -> None:
    door, _ = unknown()

    door.read(position(2), after=SECOND)
    door.read(position(2), recent=(), ago=5 * SECOND)

    assert door.gate.of(ACCOUNT).slots[MNQ].empty_reads == []


def test_looks_go_on_while_nothing_is_found() -> None:
    door, _ = unknown()
    looks = 0
    for _ in range(40):
        looks += len(reads(door.put(Ticked(), after=100 * MS)))

    assert looks >= 3


def test_an_accepted_close_that_hangs_is_looked_at() -> None:
    door = Door().holding(2)
    (request,) = sent(door.decide("close"))
    door.answer(request)

    assert reads(door.put(Ticked(), after=700 * MS)) == []
    assert reads(door.put(Ticked(), after=100 * MS)) == [RECENT]


def test_pending_is_in_flight() -> None:
    door = Door().holding(2)
    (request,) = sent(door.decide("close"))
    door.answer(request, Outcome(outcome=REFUSED, code=6, meaning=PENDING))

    assert "under way" in refusals(door.decide("close"))[0]


def test_no_look_before_there_is_an_answer() -> None:
    door = Door().holding(2)
    door.decide("close")

    assert reads(door.put(Ticked(), after=5 * SECOND)) == []
    assert fence.wake_at(door.gate) > door.now


# --- doubt about zero -----------------------------------------------------------------


def doubtful() -> Door:
    """Trades and orders say flat, the position message says two."""
    door = Door().holding(2)
    door.arrive(closing_order(50, 2, status=2, filled=2), trade(50, -1, 2))
    return door


def test_when_views_differ_about_zero_a_read_is_waited_for() -> None:
    door = doubtful()

    outputs = door.decide("close")

    assert (sent(outputs), reads(outputs)) == ([], [FULL])
    assert "nothing is left" in refusals(door.read())[0]


def test_but_half_a_second_at_most_then_the_broker_decides() -> None:
    door = doubtful()
    door.decide("close")

    assert sent(door.put(Ticked(), after=400 * MS)) == []
    (request,) = sent(door.put(Ticked(), after=200 * MS))

    assert request.act == "close"


def test_views_that_agree_again_end_the_wait() -> None:
    door = doubtful()
    door.decide("close")
    door.arrive(position(1, "ES"))

    assert "nothing is left" in refusals(door.arrive(position(0)))[0]


def test_the_same_goal_waits_once() -> None:
    door = doubtful()
    door.decide("close")
    door.keys -= 1

    door.decide("close")

    assert len(door.gate.of(ACCOUNT).held) == 1


# --- before the first read --------------------------------------------------------------


def test_goals_wait_for_the_first_read() -> None:
    door = Door()

    assert sent(door.decide("close")) == []
    assert sent(door.put(Ticked(), after=300 * MS)) == []
    assert len(sent(door.read(position(2)))) == 1


def test_and_are_refused_when_none_comes() -> None:
    door = Door()
    door.decide("close")

    why = refusals(door.put(Ticked(), after=31 * SECOND))

    assert "has not been read" in why[0]


def test_no_more_than_a_bound_of_goals_waits() -> None:
    door = Door()
    why = [text for _ in range(300) for text in refusals(door.decide("close"))]

    assert len(why) == 300 - HELD_MAX


def test_a_look_is_a_read() -> None:
    assert reads(Door().decide("look", reason="ladder")) == [FULL]
    assert reads(Door().decide("look")) == [FULL]


# --- reads --------------------------------------------------------------------------------


def test_a_cheap_read_that_agrees_settles_and_one_that_differs_asks_for_a_full_one() -> None:
    door = Door().holding(2)

    assert door.read(position(2), cheap=True) == []
    assert reads(door.read(position(3), cheap=True)) == [FULL]
    assert reads(door.read(position(2), position(1, "ES"), cheap=True)) == [FULL]
    assert door.read(position(3), cheap=True, stable=False) == []


def test_orders_a_full_read_does_not_show_are_gone_but_those_only_the_stream_shows_stay() -> None:
    door = Door().holding(0)
    door.arrive(order(11, 1, 1), order(12, 1, 1, status=8), order(13, 1, 1, status=3))
    door.arrive(order(14, 1, 1, status=6))

    door.read()

    found = {n: s.order.status for n, s in door.gate.of(ACCOUNT).orders.items()}
    assert found == {11: 3, 12: 8, 13: 3, 14: 6}


def test_a_first_sight_by_a_read_counts_no_fill_twice() -> None:
    door = Door().holding(2)

    door.read(position(2), recent=(order(60, 1, 2, type=2, status=2, filled=2),), stable=False)

    assert door.view().by_orders == 2


def test_versions_move_when_a_read_mends_a_view_and_only_then() -> None:
    door = Door().holding(2)
    before = door.view().version

    door.read(position(2))
    assert door.view().version == before

    door.read(position(3))
    assert door.view().version > before


def test_a_void_takes_its_quantity_back_and_an_echo_counts_once() -> None:
    door = Door().holding(0)
    fill = trade(1, 1, 2)
    gone = msgspec.structs.replace(fill, voided=True)

    door.arrive(fill, fill)
    assert door.view().by_trades == 2
    door.arrive(gone, gone)
    assert door.view().by_trades == 0
    door.arrive(msgspec.structs.replace(gone, trade=2))
    assert door.view().by_trades == 0


def test_an_older_state_of_an_order_is_not_taken() -> None:
    door = Door().holding(0)
    door.arrive(
        order(11, 1, 3, filled=2), order(11, 1, 3, filled=1), order(11, 1, 3, filled=2, status=3)
    )
    door.arrive(order(11, 1, 3, filled=3))

    assert door.view().by_orders == 2


def test_other_facts_pass() -> None:
    row = AccountSeen(account=ACCOUNT, login=LOGIN, name="N", balance=1, can_trade=True)

    assert Door().arrive(row) == []


def test_ended_orders_and_old_trades_are_forgotten_within_a_bound() -> None:
    door = Door().holding(0)
    for number in range(1, 4_200):
        door.arrive(order(number, 1, 1, status=3), trade(number, 1, 1, voided=True))

    account = door.gate.of(ACCOUNT)
    assert len(account.orders) == SEEN_MAX
    assert len(account.trades) == SEEN_MAX


def test_working_orders_are_never_forgotten() -> None:
    door = Door().holding(0)
    for number in range(1, 4_200):
        door.arrive(order(number, 1, 1))

    assert len(door.gate.of(ACCOUNT).orders) == 4_199


def test_an_order_whose_trade_was_known_before_the_send_is_not_taken_for_ours() -> None:
    """A read shows it late: it ended while the streams were down. Ours may still be hidden."""
    old = order(6, side=-1, size=1, type=2, status=2, filled=1)
    door = Door()
    door.read(position(4), trade(60, -1, 1, order=6))
    (request,) = sent(door.decide("reduce", allowed=3))
    door.answer(request)

    assert ends(door.read(position(4), recent=(old,), after=300 * MS)) == []
    assert sent(door.decide("reduce", allowed=3)) == []


def test_one_whose_trade_comes_after_the_send_and_before_itself_is() -> None:
    door = Door().holding(4)
    (request,) = sent(door.decide("reduce", allowed=3))
    door.answer(request)

    door.arrive(trade(60, -1, 1, order=6), position(3))
    found = door.arrive(order(6, side=-1, size=1, type=2, status=2, filled=1))

    assert ends(found) == ["filled"]


def test_only_so_many_orders_are_remembered_by_their_trades_alone() -> None:
    door = Door().holding(0)
    for number in range(1, SEEN_MAX + 2):
        door.arrive(trade(number, 1, 1, order=number))

    kept = door.gate.of(ACCOUNT).traded
    assert (len(kept), min(kept)) == (SEEN_MAX, 2)


# --- after a crash ------------------------------------------------------------------------


def resumed(act: str, **more: object) -> tuple[Door, list[Output]]:
    door = Door()
    found: dict[str, object] = {"contract": MNQ, "locked": True}
    goal = Goal(act=act, account=ACCOUNT, **(found | more))  # type: ignore[arg-type]
    intended = Intended(account=ACCOUNT, epoch=1, cause_seq=1, key="old", goal=goal)
    return door, door.put(Resumed(intended, door.now))


def test_a_goal_of_a_run_that_died_counts_as_sent_with_unknown_outcome() -> None:
    door, outputs = resumed("close")

    assert reads(outputs) == [RECENT]
    assert fence.unsettled(door.gate) == 1
    born = msgspec.structs.replace(closing_order(99, 2, status=2, filled=2), created=door.now)
    door.read(trade(99, -1, 2, order=99), recent=(born,), stable=False)
    assert ends(door.read(recent=(born,))) == ["filled"]


def test_an_order_from_before_it_is_not_taken_for_it() -> None:
    door, _ = resumed("reduce", allowed=1)
    old = msgspec.structs.replace(closing_order(98, 2), created=door.now - SECOND)

    door.read(position(2), old, recent=(old,))

    assert door.gate.of(ACCOUNT).slots[MNQ].order == 0


@pytest.mark.parametrize(
    ("number_side_type_status", "end"),
    [
        ((98, -1, 2, 1), []),
        ((98, -1, 2, 6), []),
        ((98, 1, 2, 1), ["void"]),
        ((98, -1, 1, 1), ["void"]),
        ((98, -1, 2, 3), ["void"]),
    ],
)
def test_while_a_market_order_that_closes_works_nothing_of_a_run_that_died_is_void(
    number_side_type_status: tuple[int, int, int, int], end: list[str]
) -> None:
    """Its time says that it is older; so says the time of ours by a clock that was ahead."""
    number, side, type_, status = number_side_type_status
    door, _ = resumed("close")
    old = msgspec.structs.replace(
        order(number, side, 2, type=type_, status=status), created=door.now - SECOND
    )
    working = (old,) if status in (1, 6) else ()

    assert ends(door.read(position(2), *working, recent=(old,), after=SECOND)) == []
    assert ends(door.read(position(2), *working, recent=(old,), after=3 * SECOND)) == end


def test_a_partial_close_that_met_a_flipped_position_is_not_void_while_its_order_works() -> None:
    """It stands on the other side than was meant, so it is not found; beside it none may leave."""
    door = Door().holding(4)
    (request,) = sent(door.decide("reduce", allowed=3, locked=False))
    door.answer(request)
    hangs = order(99, 1, 1, type=2, status=6)

    for _ in range(3):
        assert ends(door.read(position(-4), hangs, recent=(hangs,), after=SECOND)) == []
    assert sent(door.decide("reduce", allowed=3, locked=False)) == []

    done = order(99, 1, 1, type=2, status=2, filled=1)
    assert ends(door.read(position(-3), recent=(done,), after=11 * SECOND)) == ["void"]


def test_one_of_another_contract_or_an_account_that_is_flat_keeps_nothing_from_being_void() -> None:
    other = order(98, -1, 2, type=2, status=1, root="ES")
    for held, works in (((position(2),), other), ((), order(98, -1, 2, type=2, status=1))):
        door, _ = resumed("close")
        old = msgspec.structs.replace(works, created=door.now - SECOND)
        door.read(*held, old, recent=(old,), after=SECOND)

        assert ends(door.read(*held, old, recent=(old,), after=3 * SECOND)) == ["void"]


def test_a_cancel_of_a_run_that_died_is_settled_by_a_read() -> None:
    door, outputs = resumed("cancel", order=11)

    assert reads(outputs) == [RECENT]
    assert ends(door.read()) == ["ended"]


def test_a_look_of_a_run_that_died_is_over() -> None:
    assert resumed("look")[1] == []


# --- for ever ---------------------------------------------------------------------------------


inputs = st.lists(
    st.one_of(
        st.builds(
            lambda n, s, f: Arrived(order(n, s, 4, type=2, status=2 if f == 4 else 1, filled=f)),
            st.integers(1, 6),
            st.sampled_from([1, -1]),
            st.integers(0, 4),
        ),
        st.builds(
            lambda n, s, z: Arrived(trade(n, s, z)),
            st.integers(1, 6),
            st.sampled_from([1, -1]),
            st.integers(1, 4),
        ),
        st.integers(-5, 5).map(lambda q: Arrived(position(q))),
        st.builds(
            lambda key, act, allowed, number: Decided(
                Intended(
                    account=ACCOUNT,
                    epoch=1,
                    cause_seq=1,
                    key=f"k{key}",
                    goal=Goal(
                        act=act,
                        account=ACCOUNT,
                        contract=MNQ,
                        allowed=allowed,
                        order=number,
                        locked=True,
                    ),
                )
            ),
            st.integers(1, 50),
            st.sampled_from(["close", "reduce", "cancel", "resize"]),
            st.integers(0, 3),
            st.integers(1, 6),
        ),
        st.just(Ticked()),
        st.just(StreamBroken()),
    ),
    max_size=40,
)


@given(
    inputs,
    st.lists(st.sampled_from([ACCEPTED, UNKNOWN, "flat", "throttled"]), min_size=50, max_size=50),
)
@settings(max_examples=150)
def test_whatever_comes_nothing_leaves_that_could_raise_or_flip(
    found: list[Input], outcomes: list[str]
) -> None:
    door = Door().holding(3)
    fates = iter(outcomes)
    for given_ in found:
        view = msgspec.structs.replace(door.view())
        pending = set(door.gate.of(ACCOUNT).slots)
        for request in sent(door.put(given_, after=50 * MS)):
            assert request.act in ("close", "partial", "cancel", "modify")
            if request.act == "partial":
                least = min(
                    abs(v)
                    for v in (door.view().by_trades, door.view().by_orders, door.view().by_position)
                )
                assert 0 < request.size <= least
            if request.act in ("close", "partial"):
                assert request.contract not in pending or isinstance(given_, Arrived | Ticked)
            word = next(fates, ACCEPTED)
            outcome = {
                "flat": Outcome(outcome=REFUSED, code=2, meaning=FLAT),
                "throttled": Outcome(outcome=REFUSED, code=429, meaning=THROTTLED),
            }.get(word, Outcome(outcome=word))
            door.answer(request, outcome)
        del view


def left(act: str, key: str, sent_at: int, **more: object) -> Resumed:
    found: dict[str, object] = {"contract": MNQ, "locked": True}
    goal = Goal(act=act, account=ACCOUNT, **(found | more))  # type: ignore[arg-type]
    return Resumed(Intended(account=ACCOUNT, epoch=1, cause_seq=1, key=key, goal=goal), sent_at)


@pytest.mark.parametrize("act", ["close", "cancel"])
@pytest.mark.parametrize(("ago", "over"), [(2, "first"), (0, "second")])
def test_of_two_goals_for_the_same_the_one_that_left_last_is_in_doubt_and_the_other_is_over(
    act: str, ago: int, over: str
) -> None:
    door = Door()
    door.now += 10 * SECOND
    door.put(left(act, "first", door.now - ago * SECOND, order=11))

    outputs = door.put(left(act, "second", door.now - SECOND, order=11))

    assert [
        one.fact.key
        for one in outputs
        if isinstance(one, Report) and isinstance(one.fact, GoalRefused)
    ] == [over]
    assert fence.unsettled(door.gate) == 1


def test_what_left_here_is_under_way_whatever_a_run_before_had_let_out() -> None:
    door = Door().holding(2)
    (request,) = sent(door.decide("close"))

    outputs = door.put(left("close", "old", door.now))

    assert refusals(outputs) == ["another request for the same left after it"]
    assert door.gate.of(ACCOUNT).slots[MNQ].request == request


# --- the time that is noted -------------------------------------------------------------


def test_what_leaves_is_noted_with_its_time() -> None:
    assert fence.leaves_at(Door().gate, ACCOUNT, WEDNESDAY_TEN) == WEDNESDAY_TEN


def test_by_a_clock_that_is_behind_no_order_seen_before_is_taken_for_what_left() -> None:
    """The sender died; its clock had been set back by a minute before it noted the goal."""
    sender = Door().holding(2)
    old = closing_order(88, 1, status=2, filled=1, created=sender.now)
    sender.arrive(old)
    noted_at = fence.leaves_at(sender.gate, ACCOUNT, sender.now - 60 * SECOND)
    heir = Door()
    heir.now = sender.now - 59 * SECOND
    heir.put(left("close", "k", noted_at))

    before = heir.read(position(2), recent=(old,))
    ours = closing_order(99, 2, status=2, filled=2, created=sender.now + 200 * MS)
    after = heir.read(recent=(old, ours))

    assert (ends(before), ends(after)) == ([], ["filled"])
