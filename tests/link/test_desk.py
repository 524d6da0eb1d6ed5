"""The desk and the reads: who leaves first when the budget is short, and what is read how deep."""

from __future__ import annotations

from risk_daemon.broker import budget as rationing
from risk_daemon.broker.port import COST, FULL, POSITIONS, RECENT
from risk_daemon.core.events import GoalRefused, Reconciled, RequestSent
from tests.link.at_work import CHANGING, AtWork
from tests.link.conftest import Play

READS = ("/Position/searchOpen", "/Order/searchOpen", "/Trade/search", "/Order/search")


def leave(work: AtWork, left: int) -> None:
    """Leave so many requests of the window, as if polls had used up the rest."""
    budget, now = work.link.budget, work.clock.now_ns()
    fill = rationing.LIMIT - left - sum(rationing.used(budget, name) for name in rationing.SHARES)
    budget.answered += [(now, rationing.ENFORCEMENT)] * fill


def free(work: AtWork) -> None:
    """Let the window pass, as a minute would."""
    work.link.budget.answered.clear()
    work.link.desk.pump()


# --- the desk ----------------------------------------------------------------


def test_closes_leave_before_cancels_when_the_budget_is_short(play: Play) -> None:
    async def story(work: AtWork) -> None:
        await work.trade(2)
        await work.holds(2)
        orders = [await work.rest(3, price) for price in ("100.00", "101.00")]
        await work.until(lambda: set(orders) <= work.view()[1], "the orders to be seen")
        leave(work, 0)
        cancels = [await work.want("cancel", order=order) for order in orders]
        close = await work.want()
        await work.until(lambda: work.link.desk.waiting == 3, "three goals to wait")
        leave(work, 0)
        assert work.stream.of(RequestSent) == []
        free(work)
        for goal in (close, *cancels):
            await work.has_ended(goal)
        sent = [one.key for one in work.stream.of(RequestSent)]
        assert sent == [close.key, *(cancel.key for cancel in cancels)]
        await work.agrees_with_the_truth()

    play(story)


def test_a_goal_is_taken_once_however_often_it_comes(play: Play) -> None:
    async def story(work: AtWork) -> None:
        await work.trade(2)
        await work.holds(2)
        goal = await work.want()
        assert work.link.hands.take_directly(goal) == ""
        await work.has_ended(goal)
        work.link.desk.take(goal)
        after = await work.want()
        await work.until(
            lambda: any(one.key == after.key for one in work.stream.of(GoalRefused)), "a refusal"
        )
        assert [one.key for one in work.stream.of(RequestSent)] == [goal.key]
        assert len(await work.requests(*CHANGING)) == 1

    play(story)


def test_a_goal_that_lets_nothing_out_costs_nothing(play: Play) -> None:
    async def story(work: AtWork) -> None:
        before = rationing.used(work.link.budget, rationing.ENFORCEMENT)
        goal = await work.want()
        await work.until(lambda: work.stream.of(GoalRefused), "a refusal")
        assert work.stream.of(GoalRefused)[0].key == goal.key
        assert rationing.used(work.link.budget, rationing.ENFORCEMENT) == before

    play(story)


# --- reads -------------------------------------------------------------------


def test_a_read_that_was_overtaken_is_said_to_be_and_repeated(play: Play) -> None:
    async def story(work: AtWork) -> None:
        await work.trade(1)
        await work.agrees_with_the_truth()
        before = work.stream.last_seq
        await work.fault("slow_answers", seconds=0.8, ms=400)
        work.link.reader.want(work.account, why="a test")
        await work.trade(1)

        def stable() -> list[bool]:
            reads = work.stream.of(Reconciled, before)
            return [one.stable for one in reads if one.why == "a test"]

        await work.until(lambda: True in stable(), "a stable read")
        assert stable()[0] is False
        await work.agrees_with_the_truth()

    play(story)


def test_of_several_wishes_for_one_account_the_deepest_is_served_once(play: Play) -> None:
    async def story(work: AtWork) -> None:
        await work.agrees_with_the_truth()
        before = len(await work.requests("/Order/search"))
        for depth in (POSITIONS, RECENT, FULL):
            work.link.reader.want(work.account, depth, why="a test")

        def reads() -> list[Reconciled]:
            return [one for one in work.stream.of(Reconciled) if one.why == "a test"]

        await work.until(reads, "the read")
        assert len(await work.requests("/Order/search")) == before + 1
        began = work.clock.now_ns()
        work.link.reader.want(work.accounts[1], why="another")
        await work.until(
            lambda: work.link.reader.last_read_at[work.accounts[1]] >= began, "another read"
        )
        assert len(reads()) == 1

    play(story)


def test_a_read_leaves_whole_or_waits_while_a_cheaper_one_passes(play: Play) -> None:
    async def story(work: AtWork) -> None:
        await work.agrees_with_the_truth()
        dear, cheap = work.accounts
        leave(work, COST[FULL] - 1)
        work.link.reader.want(dear, FULL, why="dear")
        work.link.reader.want(cheap, POSITIONS, why="cheap")

        def read() -> list[str]:
            return [one.why for one in work.stream.of(Reconciled) if one.why in ("dear", "cheap")]

        await work.until(lambda: "cheap" in read(), "the cheap read")
        assert read() == ["cheap"]
        asked = {row["account"] for row in (await work.requests(*READS))[-1:]}
        assert asked == {cheap}
        free(work)
        await work.until(lambda: "dear" in read(), "the dear read")

    play(story)


def test_polling_never_uses_what_verification_has(play: Play) -> None:
    async def story(work: AtWork) -> None:
        await work.agrees_with_the_truth()
        budget, now = work.link.budget, work.clock.now_ns()
        rest = rationing.SHARES[rationing.REST] - rationing.used(budget, rationing.REST)
        budget.answered += [(now, rationing.REST)] * rest
        work.link.reader.want(work.accounts[1], why="polling", urgent=False)
        work.link.reader.want(work.account, why="urgent")

        def read() -> set[str]:
            return {one.why for one in work.stream.of(Reconciled)}

        await work.until(lambda: "urgent" in read(), "the urgent read")
        assert "polling" not in read()

    play(story)


def test_a_read_that_fails_is_repeated(play: Play) -> None:
    async def story(work: AtWork) -> None:
        await work.fault("rest_error", seconds=0.4)
        began = work.clock.now_ns()
        work.link.reader.want(work.account, why="a test")
        await work.was_read(began)

    play(story)


def test_a_release_that_used_up_its_share_leaves_the_other_its_ten(play: Play) -> None:
    async def story(work: AtWork) -> None:
        await work.trade(2)
        await work.holds(2)
        # A second release holds another account of the login, and has not asked for anything.
        work.link.budget.releases = ("v1", "v2")
        leave(work, rationing.KEPT_PER_RELEASE)
        goal = await work.want()
        await work.until(lambda: work.link.desk.waiting == 1, "the goal to wait")
        assert work.stream.of(RequestSent) == []

        by_hand = work.goal()
        work.link.desk.take(by_hand, by_person=True)
        await work.has_ended(by_hand)
        assert [one.key for one in work.stream.of(RequestSent)] == [by_hand.key]
        assert work.link.desk.waiting == 1
        free(work)
        await work.until(lambda: work.link.desk.waiting == 0, "the goal to have its turn")
        await work.until(
            lambda: goal.key in [one.key for one in work.stream.of(GoalRefused)],
            "its end: nothing was left to close",
        )

    play(story)
