"""The link under every fault: its view is the truth, one close at a time, no order of its own."""

from __future__ import annotations

from typing import Any

import pytest

from risk_daemon.broker.looks import BALANCE, VIEWS, WHY
from risk_daemon.core.events import (
    AccountMissing,
    AccountSeen,
    AlarmRaised,
    FeedChanged,
    GoalRefused,
    MarkChanged,
    Reconciled,
    RequestAnswered,
    RequestSent,
)
from tests.link.at_work import CHANGING, CLOSING, MNQ, AtWork
from tests.link.conftest import Play

# --- answers -----------------------------------------------------------------


@pytest.mark.parametrize("kind", ["lost_answer", "error_after_accept"])
def test_a_close_whose_answer_is_lost_is_found_and_not_repeated(play: Play, kind: str) -> None:
    async def story(work: AtWork) -> None:
        await work.trade(3)
        await work.holds(3)
        await work.fault(kind, times=1)
        goal = await work.want()
        assert await work.has_ended(goal) == "filled"
        answers = [one.outcome for one in work.stream.of(RequestAnswered)]
        assert answers == ["unknown"]
        await work.agrees_with_the_truth()
        assert len(await work.requests(*CLOSING)) == 1
        await work.behaved()

    play(story)


@pytest.mark.parametrize("kind", ["lost_request", "error_before_accept"])
def test_a_close_that_never_arrived_is_void_and_may_be_asked_for_again(
    play: Play, kind: str
) -> None:
    async def story(work: AtWork) -> None:
        await work.trade(3)
        await work.holds(3)
        await work.fault(kind, times=1)
        first = await work.want()
        beside = await work.want()
        assert await work.has_ended(first) == "void"
        refused = [one.key for one in work.stream.of(GoalRefused)]
        assert refused == [beside.key]
        again = await work.want()
        assert await work.has_ended(again) == "filled"
        await work.agrees_with_the_truth()
        assert len(await work.requests(*CLOSING)) == 2
        await work.behaved()

    play(story)


@pytest.mark.parametrize("retry_after", [False, True])
def test_a_close_that_is_answered_429_leaves_again_by_itself(
    play: Play,
    retry_after: bool,  # noqa: FBT001
) -> None:
    async def story(work: AtWork) -> None:
        await work.trade(3)
        await work.holds(3)
        await work.fault("rate_limit", seconds=1.2, retry_after=retry_after)
        goal = await work.want()
        assert await work.has_ended(goal) == "filled"
        outcomes = [one.outcome for one in work.stream.of(RequestAnswered)]
        assert outcomes[-1] == "accepted"
        assert set(outcomes[:-1]) == {"refused"}
        assert work.stream.of(GoalRefused) == []
        await work.agrees_with_the_truth()

    play(story)


def test_a_close_that_hangs_is_waited_for(play: Play) -> None:
    async def story(work: AtWork) -> None:
        await work.trade(3)
        await work.holds(3)
        await work.fault("rest_freeze", seconds=1.5)
        goal = await work.want()
        beside = await work.want()
        assert await work.has_ended(goal) == "filled"
        assert [one.key for one in work.stream.of(GoalRefused)] == [beside.key]
        await work.agrees_with_the_truth()
        assert len(await work.requests(*CLOSING)) == 1
        await work.behaved()

    play(story)


def test_a_fill_that_overtakes_the_answer_ends_the_close_only_with_it(play: Play) -> None:
    async def story(work: AtWork) -> None:
        await work.trade(3)
        await work.holds(3)
        await work.fault("slow_answers", seconds=3.0, ms=700)
        goal = await work.want()
        assert await work.has_ended(goal) == "filled"
        await work.agrees_with_the_truth()
        assert len(await work.requests(*CLOSING)) == 1
        await work.behaved()

    play(story)


def test_a_gateway_that_answers_nothing_but_errors_is_closed_through_when_it_comes_back(
    play: Play,
) -> None:
    async def story(work: AtWork) -> None:
        await work.trade(3)
        await work.holds(3)
        await work.fault("rest_error", seconds=1.5)
        goal = await work.want()
        assert await work.has_ended(goal) == "void"
        again = await work.want()
        assert await work.has_ended(again) == "filled"
        await work.agrees_with_the_truth()
        await work.behaved()

    play(story)


def test_a_close_that_ends_rejected_frees_its_contract(play: Play) -> None:
    async def story(work: AtWork) -> None:
        await work.trade(3)
        await work.holds(3)
        await work.fault("reject_closes", account=work.account, times=1)
        goal = await work.want()
        assert await work.has_ended(goal) == "rejected"
        again = await work.want()
        assert await work.has_ended(again) == "filled"
        await work.agrees_with_the_truth()
        await work.behaved()

    play(story)


@pytest.mark.parametrize("kind", ["lost_answer", "lost_request"])
def test_a_cancel_of_unknown_outcome_is_settled_by_what_the_order_shows(
    play: Play, kind: str
) -> None:
    async def story(work: AtWork) -> None:
        order = await work.rest(2, "100.00")
        await work.until(lambda: order in work.view()[1], "the order to be seen")
        await work.fault(kind, times=1)
        goal = await work.want("cancel", order=order)
        assert await work.has_ended(goal) == ("ended" if kind == "lost_answer" else "rejected")
        await work.agrees_with_the_truth()
        assert (order in work.view()[1]) is (kind == "lost_request")

    play(story)


# --- events ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "more"),
    [
        ("duplicates", {}),
        ("reorder", {}),
        ("withhold_trades", {"deliver": "late"}),
        ("withhold_trades", {"deliver": "never"}),
        ("withhold_positions", {"deliver": "late"}),
        ("withhold_positions", {"deliver": "never"}),
        ("split_records", {}),
        ("merged_records", {}),
        ("bare_payloads", {}),
    ],
)
def test_whatever_becomes_of_the_messages_the_view_ends_as_the_truth(
    play: Play, kind: str, more: dict[str, Any]
) -> None:
    async def story(work: AtWork) -> None:
        await work.trade(1)
        await work.holds(1)
        await work.fault(kind, seconds=1.0, **more)
        order = await work.rest(2, "100.00")
        await work.trade(3)
        await work.trade(-2)
        goal = await work.want()
        # A read between two reordered messages shows the order gone before its fill is told.
        assert await work.has_ended(goal) in ("filled", "ended")
        await work.trade(-2)
        await work.agrees_with_the_truth()
        assert work.view() == ({MNQ: -2}, {order})
        last = await work.want()
        assert await work.has_ended(last) == "filled"
        await work.agrees_with_the_truth()
        assert len(await work.requests(*CLOSING)) == 2
        await work.behaved()

    play(story)


@pytest.mark.parametrize("kind", ["withhold_trades", "withhold_positions"])
def test_a_message_that_never_comes_is_missed_and_the_truth_is_read_at_once(
    play: Play, kind: str
) -> None:
    async def story(work: AtWork) -> None:
        await work.is_left_alone()
        await work.trade(1)
        await work.holds(1)
        await work.fault(kind, seconds=1.0, deliver="never")
        before = work.stream.last_seq
        await work.trade(2)
        await work.holds(3)
        await work.until(
            lambda: WHY[VIEWS] in {one.why for one in work.stream.of(Reconciled, before)},
            "a read because of it",
        )
        await work.agrees_with_the_truth()

    play(story)


def test_money_that_comes_without_a_trade_has_the_trades_read(play: Play) -> None:
    async def story(work: AtWork) -> None:
        await work.is_left_alone()
        await work.until(lambda: work.account in work.link.intake.standing, "the account's row")
        before = work.stream.last_seq
        await work.tell("/balance", account=work.account, delta="-1500.00")
        await work.until(
            lambda: any(
                one.account == work.account and one.stable and one.why == WHY[BALANCE]
                for one in work.stream.of(Reconciled, before)
            ),
            "a read because of it",
        )
        assert work.link.gate.of(work.account).concerns == {}

    play(story)


def test_a_trade_that_is_taken_back_takes_its_quantity_with_it(play: Play) -> None:
    async def story(work: AtWork) -> None:
        await work.trade(3)
        await work.trade(2)
        await work.holds(5)
        await work.fault("void_trade", account=work.account)
        await work.holds(3)
        await work.agrees_with_the_truth()
        goal = await work.want()
        assert await work.has_ended(goal) == "filled"
        await work.agrees_with_the_truth()

    play(story)


def test_bad_quotes_reach_the_stream_as_no_price_or_not_at_all(play: Play) -> None:
    async def story(work: AtWork) -> None:
        await work.trade(1)
        await work.until(lambda: work.stream.of(MarkChanged), "a quote")
        await work.fault("bad_quotes", seconds=0.5, contract="MNQ")
        before = len(work.stream.of(MarkChanged))
        await work.until(lambda: len(work.stream.of(MarkChanged)) > before + 5, "more quotes")
        prices = [p for m in work.stream.of(MarkChanged) for p in (m.bid, m.ask, m.last)]
        assert all(price is None or price > 0 for price in prices)
        await work.agrees_with_the_truth()
        assert work.feed == "trusted"

    play(story)


# --- accounts ----------------------------------------------------------------


def test_an_account_that_may_not_trade_is_told_and_still_closed(play: Play) -> None:
    async def story(work: AtWork) -> None:
        await work.trade(2)
        await work.holds(2)
        await work.fault("can_trade", account=work.account, seconds=1.0)

        def may_trade() -> list[bool]:
            rows = work.stream.of(AccountSeen)
            return [row.can_trade for row in rows if row.account == work.account]

        await work.until(lambda: False in may_trade(), "a word of it")
        goal = await work.want()
        assert await work.has_ended(goal) == "filled"
        await work.until(lambda: may_trade()[-1], "the account to trade again")
        await work.agrees_with_the_truth()

    play(story)


def test_an_account_that_is_not_shown_any_more_is_told_and_still_guarded(play: Play) -> None:
    async def story(work: AtWork) -> None:
        await work.trade(2)
        await work.holds(2)
        before = work.stream.last_seq
        await work.fault("account_vanish", account=work.account, seconds=2.0)
        await work.fault("hub_close")
        await work.until(
            lambda: any(
                alarm.what == "account missing" and alarm.account == work.account
                for alarm in work.stream.of(AlarmRaised, before)
            ),
            "an alarm",
        )
        missing = AccountMissing(account=work.account, login=work.login)
        assert work.stream.of(AccountMissing, before) == [missing]
        await work.until(
            lambda: (
                work.stream.of(FeedChanged, before)
                and work.stream.of(FeedChanged, before)[-1].state == "trusted"
            ),
            "the feed to be trusted",
        )
        goal = await work.want()
        assert await work.has_ended(goal) == "filled"
        await work.agrees_with_the_truth()

    play(story)


# --- the fence's own ----------------------------------------------------------


def test_only_closes_and_cancels_ever_leave(play: Play) -> None:
    async def story(work: AtWork) -> None:
        await work.trade(4)
        await work.holds(4)
        reduced = await work.want("reduce", allowed=1)
        assert await work.has_ended(reduced) == "filled"
        await work.holds(1)
        order = await work.rest(-3, "30000.00")
        await work.until(lambda: order in work.view()[1], "the order to be seen")
        smaller = await work.want("resize", order=order, allowed=1)
        assert await work.has_ended(smaller) == "ended"
        gone = await work.want("cancel", order=order, closing=True)
        assert await work.has_ended(gone) == "ended"
        closed = await work.want()
        assert await work.has_ended(closed) == "filled"
        await work.agrees_with_the_truth()
        sent = [one.act for one in work.stream.of(RequestSent)]
        assert sent == ["partial", "modify", "cancel", "close"]
        arrived = [row["path"] for row in await work.requests(*CHANGING)]
        assert arrived == [
            "/Position/partialCloseContract",
            "/Order/modify",
            "/Order/cancel",
            "/Position/closeContract",
        ]
        await work.behaved()

    play(story)
