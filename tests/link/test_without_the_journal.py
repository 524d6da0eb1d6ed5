"""The journal away: a close under a lock leaves from the emergency file, and comes into it once."""

from __future__ import annotations

import msgspec
import psutil

from risk_daemon.core.events import (
    FeedChanged,
    Intended,
    LeaseGranted,
    LockPlaced,
    OperatorActed,
    RequestSettled,
)
from risk_daemon.link.admin import ops
from risk_daemon.link.unsaid import WAITING_MAX
from risk_daemon.programs import service
from risk_daemon.wire.client import ask
from risk_daemon.wire.control import Answer
from risk_daemon.wire.transport import Hello, serve
from tests.link.at_work import CHANGING, CLOSING, AtWork
from tests.link.conftest import Play


async def hand_over(work: AtWork, intended: Intended) -> Answer:
    """Hand a goal to the link itself, as a worker does whose journal does not answer."""
    raw = msgspec.msgpack.encode(intended)
    return await ask(work.home.run_dir, f"link-{work.login}", "goal", {"intended": raw})


async def listen(work: AtWork) -> None:
    name = f"link-{work.login}"
    hello = Hello("link", name)
    work.servers.append(
        await serve(work.home.run_dir, name, service.attend(ops(work.link)), hello=hello)
    )


def test_a_close_under_a_lock_leaves_without_the_journal_and_is_folded_in_once(play: Play) -> None:
    async def story(work: AtWork) -> None:
        await listen(work)
        await work.trade(2)
        await work.holds(2)
        goal = work.goal()
        work.home.kill()
        await work.until(lambda: not work.link.journal.is_open, "the loss of the journal")

        taken = await hand_over(work, goal)
        again = await hand_over(work, goal)
        assert (taken.ok, again.ok) == (True, True)
        assert work.link.emergency.read() == [goal]
        await work.holds(0)
        assert len(await work.requests(*CLOSING)) == 1

        await work.journal_is_back()
        assert await work.has_ended(goal) == "filled"
        await work.until(lambda: not work.link.emergency.read(), "the file to be folded in")
        assert (await work.want()).key != goal.key
        assert [one for one in work.stream.of(Intended) if one.key == goal.key] == [goal]
        assert len(await work.requests(*CHANGING)) == 1
        assert work.stream.truncated == []
        await work.agrees_with_the_truth()

    play(story)


def test_without_the_journal_nothing_leaves_that_is_not_safe_at_any_age(play: Play) -> None:
    async def story(work: AtWork) -> None:
        await listen(work)
        await work.trade(2)
        await work.holds(2)
        for goal, why in (
            (work.goal("reduce", allowed=1), "only closes and cancels under a lock leave"),
            (work.goal(locked=False), "only closes and cancels under a lock leave"),
            (work.goal(account=1), "account 1 is not of login"),
        ):
            answer = await hand_over(work, goal)
            assert not answer.ok
            assert why in answer.error
        garbage = await ask(work.home.run_dir, f"link-{work.login}", "goal", {"intended": b"x"})
        assert "no goal can be read" in garbage.error
        assert work.link.emergency.read() == []
        assert await work.requests(*CHANGING) == []

    play(story)


def test_the_locks_behind_a_goal_are_kept_before_it_leaves_and_come_in_once(play: Play) -> None:
    async def story(work: AtWork) -> None:
        await listen(work)
        await work.trade(2)
        await work.holds(2)
        goal, lock = work.goal(), lock_of(work)
        work.home.kill()
        await work.until(lambda: not work.link.journal.is_open, "the loss of the journal")
        name = f"link-{work.login}"
        args = {"intended": msgspec.msgpack.encode(goal), "locks": [msgspec.msgpack.encode(lock)]}

        assert (await ask(work.home.run_dir, name, "goal", args)).ok
        for _ in range(2):
            kept = {"kind": "lock-placed", "fact": msgspec.msgpack.encode(lock)}
            assert (await ask(work.home.run_dir, name, "keep", kept)).ok

        assert work.link.emergency.read() == [lock, goal]
        await work.holds(0)
        await work.journal_is_back()
        await work.until(lambda: not work.link.emergency.read(), "the segment to be folded in")
        await work.until(lambda: work.stream.of(LockPlaced), "the lock in the stream")
        assert work.stream.of(LockPlaced) == [lock]

    play(story)


def test_a_lease_is_kept_without_the_journal_only_and_fences_the_one_before(play: Play) -> None:
    async def story(work: AtWork) -> None:
        await listen(work)
        await work.trade(2)
        await work.holds(2)
        old = work.goal()
        name, lease = f"link-{work.login}", lease_of(work, 2)

        assert "the journal is there" in (await keep(work, lease)).error
        work.home.kill()
        await work.until(lambda: not work.link.journal.is_open, "the loss of the journal")
        assert "its epoch is 1, not 2" in (await keep(work, lease_of(work, 3))).error
        assert "is not of login" in (await keep(work, lease_of(work, 2, account=1))).error
        nothing = await ask(work.home.run_dir, name, "keep", {"kind": "pulse", "fact": b"x"})
        assert "nothing to be kept can be read" in nothing.error
        assert work.link.emergency.read() == []

        assert (await keep(work, lease)).ok
        assert (await hand_over(work, old)).ok  # taken, and refused by the fence
        assert await work.requests(*CLOSING) == []

        await work.journal_is_back()
        await work.until(lambda: not work.link.emergency.read(), "the segment to be folded in")
        await work.until(
            lambda: any(one.epoch == 2 for one in work.stream.of(LeaseGranted)), "the lease"
        )

    play(story)


def lock_of(work: AtWork) -> LockPlaced:
    return LockPlaced(
        account=work.account,
        lock="l",
        rule="kill-switch",
        mode="full",
        began_at=5,
        until=None,
        reason="because",
    )


def lease_of(work: AtWork, epoch: int, account: int = 0) -> LeaseGranted:
    return LeaseGranted(
        account=account or work.account,
        holder="worker-2",
        release="v1",
        epoch=epoch,
        incarnation=0,
    )


async def keep(work: AtWork, lease: LeaseGranted) -> Answer:
    args = {"kind": "lease-granted", "fact": msgspec.msgpack.encode(lease)}
    return await ask(work.home.run_dir, f"link-{work.login}", "keep", args)


def test_a_goal_of_an_older_lease_is_closed_and_leaves_the_file(play: Play) -> None:
    async def story(work: AtWork) -> None:
        await listen(work)
        await work.trade(2)
        await work.holds(2)
        goal = work.goal()
        work.home.kill()
        await work.until(lambda: not work.link.journal.is_open, "the loss of the journal")
        assert (await hand_over(work, goal)).ok
        await work.holds(0)
        work.start_journal()
        await work.lease(2)
        await work.journal_is_back(start=False)
        await work.until(lambda: not work.link.emergency.read(), "the file to be folded in")
        await work.until(
            lambda: any(one.key == goal.key for one in work.stream.of(RequestSettled)),
            "the end of the request",
        )
        await work.agrees_with_the_truth()

    play(story)


def test_a_persons_act_is_kept_until_the_journal_has_it(play: Play) -> None:
    async def story(work: AtWork) -> None:
        await listen(work)
        act = OperatorActed(
            account=work.account, act="flatten-lock", by="ann", reason="r", act_id="a1"
        )
        work.home.kill()
        await work.until(lambda: not work.link.journal.is_open, "the loss of the journal")
        name = f"link-{work.login}"
        answer = await ask(work.home.run_dir, name, "act", msgspec.to_builtins(act))
        assert answer.data == {"stored": "emergency file"}
        await work.journal_is_back()
        await work.until(lambda: work.stream.of(OperatorActed), "the act in the journal")
        await work.until(lambda: not work.link.emergency.read(), "the file to be folded in")
        assert work.stream.of(OperatorActed) == [act]

    play(story)


def test_a_persons_act_is_answered_only_when_it_is_stored_somewhere(play: Play) -> None:
    async def story(work: AtWork) -> None:
        act = OperatorActed(
            account=work.account, act="flatten-lock", by="ann", reason="r", act_id="a2"
        )
        assert work.home.process is not None
        frozen = psutil.Process(work.home.process.pid)
        frozen.suspend()
        stored = await ops(work.link)["act"](msgspec.to_builtins(act))
        kept = work.link.emergency.read()
        frozen.resume()
        assert stored == {"stored": "emergency file"}
        assert len(kept) == 1
        await work.until(lambda: work.stream.of(OperatorActed), "the act in the journal")
        again = await ops(work.link)["act"](msgspec.to_builtins(act))
        assert again == {"stored": "journal"}
        assert work.stream.of(OperatorActed) == [act]

    play(story)


def test_what_happened_meanwhile_is_said_when_the_journal_is_back(play: Play) -> None:
    async def story(work: AtWork) -> None:
        work.home.kill()
        await work.until(lambda: not work.link.journal.is_open, "the loss of the journal")
        await work.trade(3)
        await work.holds(3)
        began = work.clock.now_ns()
        await work.journal_is_back()
        await work.was_read(began)
        assert work.stream.truncated == []
        await work.until(lambda: work.link.outlet.waiting == 0, "everything to be said")
        goal = await work.want()
        assert await work.has_ended(goal) == "filled"
        await work.agrees_with_the_truth()

    play(story)


def test_more_than_can_wait_is_a_gap_that_is_told_and_read(play: Play) -> None:
    async def story(work: AtWork) -> None:
        await work.trade(3)
        await work.holds(3)
        work.home.kill()
        await work.until(lambda: not work.link.journal.is_open, "the loss of the journal")
        for number in range(WAITING_MAX + 1):
            work.link.alarm(0, "info", "flood", str(number))
        assert work.link.session.state == "suspect"
        began, before = work.clock.now_ns(), work.stream.last_seq
        await work.journal_is_back()
        await work.was_read(began)
        await work.until(
            lambda: any("dropped" in one.why for one in work.stream.of(FeedChanged, before)),
            "a word of the gap",
        )
        await work.until(lambda: work.feed == "trusted", "the feed to be trusted")
        await work.agrees_with_the_truth()

    play(story)
