"""What a person asks of a link: is it connected, is it right, close everything."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from risk_daemon.broker import budget as rationing
from risk_daemon.core.events import FeedChanged, OperatorActed, RequestSent
from risk_daemon.errors import UsageError
from risk_daemon.link.admin import ops
from tests.link.at_work import CLOSING, MNQ, AtWork
from tests.link.conftest import Play


async def ask(work: AtWork, op: str, **args: Any) -> dict[str, Any]:
    return await ops(work.link)[op](args)


def test_the_connection_is_probed_now(play: Play) -> None:
    async def story(work: AtWork) -> None:
        good = await ask(work, "connection")
        assert good["ok"]
        assert (good["user_hub"]["connected"], good["market_hub"]["connected"]) == (True, True)
        await work.fault("rest_error", seconds=0.5)
        bad = await ask(work, "connection")
        assert not bad["ok"]
        assert bad["error"]
        status = await ask(work, "status")
        assert (status["state"], status["journal"], status["unsettled"]) == ("trusted", True, 0)

    play(story)


def test_a_link_tells_of_the_epochs_of_its_own_accounts_only(play: Play) -> None:
    async def story(work: AtWork) -> None:
        await work.lease(1, 77)  # an account of another login
        await work.end_link()
        before = work.stream.last_seq

        await work.run_link()

        def states() -> list[str]:
            return [one.state for one in work.stream.of(FeedChanged, before)]

        await work.until(lambda: "trusted" in states(), "the next link to be trusted")
        told = (await ask(work, "tasks"))["epochs"]
        assert {account for account, _ in told} == set(work.accounts)

    play(story)


def test_a_difference_is_named_and_mended(play: Play) -> None:
    async def story(work: AtWork) -> None:
        await work.trade(2)
        await work.holds(2)
        consistent = await ask(work, "reconcile")
        assert all(row["consistent"] for row in consistent["accounts"])
        work.link.reconcile_every_s = 60.0
        await work.fault("withhold_positions", seconds=5.0, deliver="never")
        await work.trade(1)
        view = work.link.gate.of(work.account).view(MNQ)
        await work.until(lambda: view.by_trades == 3, "the trade")
        row = (await ask(work, "reconcile"))["accounts"][0]
        if not row["consistent"]:
            assert row["differences"] == [f"{MNQ}: we had 2, the broker shows 3"]
        await work.holds(3)

    play(story)


def test_everything_is_closed_and_proven_by_a_read(play: Play) -> None:
    async def story(work: AtWork) -> None:
        await work.trade(3)
        await work.trade(-2, account=work.accounts[1])
        stop = await work.rest(-3, "100.00", kind="stop")
        more = await work.rest(2, "101.00")
        await work.until(lambda: {stop, more} <= work.view()[1], "the orders to be seen")
        await work.holds(3)
        done = await ask(work, "flatten", by="ann", reason="a test", act_id="a1")
        assert [row["flat"] and row["proven"] for row in done["accounts"]] == [True, True]
        truth = await work.truth()
        assert list(truth.values()) == [({}, set()), ({}, set())]
        assert len(await work.requests(*CLOSING)) == 2
        await work.until(lambda: len(work.stream.of(OperatorActed)) == 2, "both acts")
        acts = {(one.act, one.by, one.reason) for one in work.stream.of(OperatorActed)}
        assert acts == {("flatten-lock", "ann", "a test")}
        await work.behaved()

    play(story)


def test_closing_by_hand_beside_the_worker_closes_once(play: Play) -> None:
    async def story(work: AtWork) -> None:
        await work.trade(3)
        await work.holds(3)
        await work.tell("/profile", fill_ms=[150, 200])
        goal = await work.want()
        done = await ask(work, "flatten", account=work.account, by="ann", reason="a test")
        await work.tell("/profile", name="calm")
        assert done["accounts"][0]["flat"]
        # Either may be first: then the worker's goal is settled, or refused beside the hand's.
        await work.until(lambda: work.ends(goal) or work.refusals(goal), "the goal to be answered")
        assert set(work.ends(goal)) <= {"filled", "ended"}
        assert len(await work.requests(*CLOSING)) == 1
        await work.behaved()

    play(story)


def test_a_goal_of_the_worker_behind_the_hand_is_refused_and_the_hand_closes(play: Play) -> None:
    async def story(work: AtWork) -> None:
        await work.trade(3)
        await work.holds(3)
        await work.tell("/profile", fill_ms=[1500, 1600])
        by_hand = asyncio.create_task(
            ask(work, "flatten", account=work.account, by="ann", reason="a test")
        )
        await work.until(lambda: work.stream.of(RequestSent), "the hand's request")
        goal = await work.want()
        await work.until(lambda: work.refusals(goal), "the worker's goal to be refused")
        await work.tell("/profile", name="calm")
        assert (await by_hand)["accounts"][0]["flat"]
        assert work.ends(goal) == []
        assert len(await work.requests(*CLOSING)) == 1
        await work.behaved()

    play(story)


def test_what_is_seen_is_closed_although_nothing_can_be_read(play: Play) -> None:
    async def story(work: AtWork) -> None:
        await work.trade(3)
        await work.holds(3)
        budget, now = work.link.budget, work.clock.now_ns()
        room = rationing.LIMIT - sum(rationing.used(budget, name) for name in rationing.SHARES)
        budget.answered += [(now, rationing.REST)] * (room - 1)
        flattening = asyncio.create_task(
            ask(work, "flatten", account=work.account, by="ann", reason="a test")
        )
        await work.holds(0)
        budget.answered.clear()
        assert (await flattening)["accounts"][0]["proven"]

    play(story)


def test_what_cannot_be_read_is_not_called_flat(play: Play) -> None:
    async def story(work: AtWork) -> None:
        await work.fault("rest_error", seconds=3.0)
        left = await work.link.hands.flatten(work.account, "ann", "a test", 0.1)
        assert left == ["the account could not be read"]
        with pytest.raises(UsageError, match="account 1 is not of login"):
            await ask(work, "flatten", account=1)
        with pytest.raises(UsageError, match="no act can be read"):
            await ask(work, "act", act="flatten-lock")

    play(story)
