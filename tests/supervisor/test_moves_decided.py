"""Moves, decided: every account ends somewhere, with one holder, whatever fails on the way."""

from __future__ import annotations

from typing import Any, Final

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from risk_daemon.supervisor.promotion import (
    QUIESCE_NS,
    REAP_NS,
    STORE_NS,
    TOGETHER,
    AskLeases,
    BeatMissed,
    Compare,
    Drain,
    DrainFailed,
    DrainStored,
    EndDrain,
    Grant,
    GrantFailed,
    HeirSilent,
    Kept,
    Kill,
    LatchShut,
    Lease,
    LeasesSeen,
    MoveAsked,
    Moved,
    MoveEnded,
    Output,
    Passed,
    Shown,
    State,
    WorkerFound,
    WorkerGone,
    WorkerReady,
    step,
)

OLD, NEW = "v1", "v2"


class Play:
    """A supervisor with one worker of each release; accounts 1 and 2 are the old one's."""

    def __init__(self, *accounts: int) -> None:
        self.accounts = accounts or (1, 2)
        self.state = State(accounts=self.accounts)
        self.leases = {number: Lease(number, "old", 1, OLD) for number in self.accounts}
        self.outputs: list[Output] = []
        self.give(WorkerReady("old", OLD))
        self.give(self.seen())
        self.give(WorkerReady("new", NEW))

    def give(self, given: Any) -> tuple[Output, ...]:
        self.state, outputs = step(self.state, given)
        self.outputs += outputs
        return outputs

    def seen(self) -> LeasesSeen:
        return LeasesSeen(tuple(self.leases[number] for number in sorted(self.leases)))

    def granted(self, grant: Grant) -> tuple[Output, ...]:
        """The journal does what is asked."""
        for account, epoch in grant.accounts:
            release = NEW if grant.holder.startswith("new") else OLD
            self.leases[account] = Lease(account, grant.holder, epoch + 1, release)
        return self.give(self.seen())

    def ask(self, *accounts: int, release: str = NEW) -> tuple[Output, ...]:
        return self.give(MoveAsked(1, accounts or self.accounts, release, 1_000))

    def drained(self) -> None:
        self.ask()
        self.give(DrainStored(2_000))


def test_the_holder_is_drained_first() -> None:
    assert Play().ask() == (Drain("old", NEW, ((1, 1), (2, 1))),)


def test_what_is_drained_is_compared_and_what_is_alike_is_granted() -> None:
    play = Play()
    play.ask()

    assert play.give(DrainStored(2_000)) == (Compare("old", "new", (1, 2)),)
    assert play.give(Shown((1, 2), ())) == (Grant("new", ((1, 1), (2, 1))),)


def test_the_move_ends_when_the_journal_has_given_the_leases() -> None:
    play = Play()
    play.drained()
    (grant,) = play.give(Shown((1, 2), ()))
    assert isinstance(grant, Grant)

    assert play.granted(grant) == (
        Moved(1, 1, "new", 2),
        Moved(1, 2, "new", 2),
        MoveEnded(1),
    )
    assert play.state.move is None


def test_what_is_unlike_stays_and_its_holder_goes_on() -> None:
    play = Play()
    play.drained()

    outputs = play.give(Shown((1,), ((2, "locks differ"),)))

    assert outputs == (
        Kept(1, 2, "locks differ"),
        EndDrain("old", NEW, ((2, 1),)),
        Grant("new", ((1, 1),)),
    )
    assert play.granted(Grant("new", ((1, 1),)))[-1] == MoveEnded(1)


def test_where_all_is_unlike_nothing_is_granted() -> None:
    play = Play()
    play.drained()

    outputs = play.give(Shown((), ((1, "a"), (2, "b"))))

    assert [type(one) for one in outputs] == [Kept, Kept, EndDrain, MoveEnded]


def test_many_accounts_go_in_groups_so_that_none_waits_for_all() -> None:
    play = Play(*range(1, TOGETHER + 3))
    (drain,) = play.ask()
    assert isinstance(drain, Drain)
    assert len(drain.accounts) == TOGETHER

    play.give(DrainStored(2_000))
    (grant,) = play.give(Shown(tuple(account for account, _ in drain.accounts), ()))
    assert isinstance(grant, Grant)
    second = play.granted(grant)[-1]

    assert isinstance(second, Drain)
    assert [account for account, _ in second.accounts] == [TOGETHER + 1, TOGETHER + 2]


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        (MoveAsked(7, (9,), NEW, 0), "account 9 is not guarded here"),
        (MoveAsked(7, (1,), "v3", 0), "no worker of v3 is ready"),
    ],
)
def test_what_can_not_be_done_is_said_of_every_account(asked: MoveAsked, why: str) -> None:
    play = Play()

    assert play.give(asked) == (Kept(7, asked.accounts[0], why), MoveEnded(7))
    assert play.state.move is None


def test_a_second_move_is_refused_while_one_is_under_way() -> None:
    play = Play()
    play.ask()

    outputs = play.give(MoveAsked(2, (1,), NEW, 0))

    assert outputs == (
        Kept(2, 1, "another move is under way; ask again when it has ended"),
        MoveEnded(2),
    )
    assert play.state.move is not None


def test_accounts_that_are_there_already_are_moved_at_once() -> None:
    play = Play()

    assert play.ask(release=OLD) == (Moved(1, 1, "old", 1), Moved(1, 2, "old", 1), MoveEnded(1))


@pytest.mark.parametrize("given", [DrainFailed("disk full"), HeirSilent("disk full")])
def test_a_move_that_fails_leaves_every_account_with_who_has_it(given: Any) -> None:
    play = Play()
    play.drained()

    assert play.give(given) == (
        EndDrain("old", NEW, ((1, 1), (2, 1))),
        Kept(1, 1, "disk full"),
        Kept(1, 2, "disk full"),
        MoveEnded(1),
    )


def test_a_holder_that_shows_nothing_in_time_is_killed() -> None:
    play = Play()
    play.drained()
    assert play.give(Passed(2_000 + QUIESCE_NS - 1)) == ()

    assert play.give(Passed(2_000 + QUIESCE_NS)) == (Kill("old"),)
    assert play.give(Passed(2_001 + QUIESCE_NS)) == ()  # once
    assert play.give(Shown((1, 2), ())) == ()  # too late


def test_the_time_in_which_nobody_looked_for_the_answer_does_not_count_against_the_holder() -> None:
    play = Play()
    play.drained()
    away = 10 * QUIESCE_NS

    assert play.give(Passed(2_000 + away, away)) == ()
    assert play.give(Passed(2_000 + away + QUIESCE_NS - 1)) == ()
    assert play.give(Passed(2_000 + away + QUIESCE_NS)) == (Kill("old"),)


def test_who_alone_guards_what_is_to_stay_is_left_in_peace() -> None:
    play = Play(1, 2, 3)
    play.ask(1, 2)
    play.give(DrainStored(2_000))

    outputs = play.give(Passed(2_000 + QUIESCE_NS))

    why = "old did not show its accounts in time, and alone guards all the others"
    assert outputs == (
        EndDrain("old", NEW, ((1, 1), (2, 1))),
        Kept(1, 1, why),
        Kept(1, 2, why),
        MoveEnded(1),
    )
    assert play.give(Passed(3_000 + QUIESCE_NS)) == ()


def test_on_a_way_back_nobody_is_spared() -> None:
    play = Play(1, 2, 3)
    play.give(MoveAsked(1, (1, 2), NEW, 1_000, is_back=True))
    play.give(DrainStored(2_000))

    assert play.give(Passed(2_000 + QUIESCE_NS)) == (Kill("old"),)


def test_a_killed_holder_that_is_back_before_the_journal_is_drained_anew() -> None:
    play = Play()
    play.drained()
    play.give(Passed(2_000 + QUIESCE_NS))
    play.give(GrantFailed())  # the journal went away meanwhile
    assert play.give(WorkerGone("old")) == (AskLeases(),)
    play.give(GrantFailed())

    assert play.give(WorkerReady("old", OLD)) == (
        EndDrain("old", NEW, ((1, 1), (2, 1))),
        AskLeases(),
    )
    assert play.give(play.seen()) == (Drain("old", NEW, ((1, 1), (2, 1))),)


def test_until_it_is_reaped_its_accounts_are_nobody_elses() -> None:
    play = Play()
    play.give(WorkerReady("old-too", OLD))
    play.drained()
    play.give(Passed(2_000 + QUIESCE_NS))

    assert play.give(WorkerReady("other", NEW)) == ()
    assert play.give(WorkerReady("old", OLD)) == ()  # its last heartbeat, read late
    assert play.give(play.seen()) == ()

    assert play.give(WorkerGone("old")) == (Grant("new", ((1, 1), (2, 1))),)


def test_who_is_never_reaped_is_waited_for_a_second_and_no_longer() -> None:
    play = Play()
    play.give(BeatMissed("old"))
    assert play.give(Passed(5_000)) == ()
    assert play.give(Passed(5_000 + REAP_NS - 1)) == ()

    assert play.give(Passed(5_000 + REAP_NS)) == (Grant("new", ((1, 1), (2, 1))),)
    assert play.state.dying == ()


def test_and_its_accounts_go_to_the_release_they_were_moved_to() -> None:
    play = Play(1, 2, 3)
    play.give(WorkerReady("old-too", OLD))
    play.ask(1, 2)
    play.give(DrainStored(2_000))
    play.give(Passed(2_000 + QUIESCE_NS))

    (first,) = play.give(WorkerGone("old"))
    assert first == Grant("new", ((1, 1), (2, 1)))
    outputs = play.granted(Grant("new", ((1, 1), (2, 1))))

    assert outputs == (Grant("old-too", ((3, 1),)),)
    assert [type(one) for one in play.granted(Grant("old-too", ((3, 1),)))] == [
        Moved,
        Moved,
        MoveEnded,
    ]


def test_a_move_of_a_rollout_names_its_latch_with_every_lease_that_it_asks_for() -> None:
    play = Play()
    play.give(MoveAsked(1, (1, 2), NEW, 1_000, "r1/p10"))
    play.give(DrainStored(2_000))

    assert play.give(Shown((1, 2), ())) == (Grant("new", ((1, 1), (2, 1)), "r1/p10"),)


def test_when_the_rollout_has_gone_on_its_move_ends_and_every_account_stays() -> None:
    play = Play()
    play.give(MoveAsked(1, (1, 2), NEW, 1_000, "r1/p10"))
    play.give(DrainStored(2_000))
    play.give(Shown((1, 2), ()))
    why = "the rollout has gone on without it"

    assert play.give(LatchShut()) == (
        EndDrain("old", NEW, ((1, 1), (2, 1))),
        Kept(1, 1, why),
        Kept(1, 2, why),
        MoveEnded(1),
        AskLeases(),
    )
    assert play.give(play.seen()) == ()


def test_between_two_groups_a_latch_that_shuts_ends_what_is_left() -> None:
    play = Play()
    assert play.give(LatchShut()) == (AskLeases(),)  # of a move that has ended
    play.give(MoveAsked(1, (1,), NEW, 1_000, "r1/p10"))  # waits for the leases
    outputs = play.give(LatchShut())

    assert [type(one) for one in outputs] == [Kept, MoveEnded, AskLeases]


def test_what_a_shut_move_made_free_goes_to_its_own_release_again() -> None:
    play = Play(1, 2, 3)
    play.give(WorkerReady("old-too", OLD))
    play.give(MoveAsked(1, (1, 2), NEW, 1_000, "r1/p10"))
    play.give(DrainStored(2_000))
    play.give(Passed(2_000 + QUIESCE_NS))

    assert play.give(WorkerGone("old")) == (Grant("new", ((1, 1), (2, 1)), "r1/p10"),)
    play.give(LatchShut())
    (first,) = play.give(play.seen())
    assert first == Grant("old-too", ((1, 1), (2, 1), (3, 1)))


def test_a_fail_over_beside_a_move_names_no_latch() -> None:
    play = Play(1, 2, 3)
    play.give(WorkerReady("old-too", OLD))
    play.give(MoveAsked(1, (1, 2), NEW, 1_000, "r1/p10"))
    play.give(DrainStored(2_000))
    play.give(Passed(2_000 + QUIESCE_NS))
    play.give(WorkerGone("old"))

    assert play.granted(Grant("new", ((1, 1), (2, 1)))) == (Grant("old-too", ((3, 1),)),)


def test_a_drain_that_is_not_stored_in_time_is_given_up() -> None:
    play = Play()
    play.ask()
    assert play.give(Passed(1_000 + STORE_NS - 1)) == ()

    outputs = play.give(Passed(1_000 + STORE_NS))

    assert [type(one) for one in outputs] == [EndDrain, Kept, Kept, MoveEnded]


def test_a_lease_that_the_journal_refuses_ends_the_move() -> None:
    play = Play()
    play.drained()
    play.give(Shown((1, 2), ()))
    assert play.give(GrantFailed()) == (AskLeases(),)

    outputs = play.give(play.seen())

    assert [type(one) for one in outputs] == [EndDrain, Kept, Kept, MoveEnded]
    assert isinstance(outputs[1], Kept)
    assert "refused the lease" in outputs[1].why


def test_when_the_holder_dies_the_group_begins_anew_with_its_heir() -> None:
    play = Play()
    play.give(WorkerReady("old-too", OLD))
    play.drained()

    outputs = play.give(WorkerGone("old"))

    assert outputs == (
        EndDrain("old", NEW, ((1, 1), (2, 1))),
        Grant("old-too", ((1, 1), (2, 1))),
    )
    assert play.granted(Grant("old-too", ((1, 1), (2, 1)))) == (
        Drain("old-too", NEW, ((1, 2), (2, 2))),
    )
    # Begun by an answer, not by a person: its time runs from the next look at the clock.
    assert play.give(Passed(9_000)) == ()
    assert play.give(Passed(9_000 + STORE_NS))[-1] == MoveEnded(1)


def test_when_the_last_heir_dies_the_accounts_stay() -> None:
    play = Play()
    play.drained()

    outputs = play.give(WorkerGone("new"))

    assert outputs == (
        EndDrain("old", NEW, ((1, 1), (2, 1))),
        Kept(1, 1, "no worker of v2 is ready any more"),
        Kept(1, 2, "no worker of v2 is ready any more"),
        MoveEnded(1),
    )


def test_a_silent_holder_is_killed_by_its_missed_beats_too() -> None:
    play = Play()
    play.drained()

    assert play.give(BeatMissed("old")) == (
        EndDrain("old", NEW, ((1, 1), (2, 1))),
        Kill("old"),
    )


def test_a_fail_over_that_comes_between_is_answered_first() -> None:
    play = Play(1, 2, 3)
    play.leases[3] = Lease(3, "other", 1, OLD)
    play.give(WorkerReady("other", OLD))
    play.give(play.seen())
    play.ask(1, 2)
    play.give(DrainStored(2_000))
    assert play.give(WorkerGone("other"))[-1] == Grant("old", ((3, 1),))

    assert play.give(Shown((1, 2), ())) == (EndDrain("old", NEW, ((1, 1), (2, 1))),)

    assert play.granted(Grant("old", ((3, 1),)))[-1] == Drain("old", NEW, ((1, 1), (2, 1)))


def test_what_concerns_no_group_changes_nothing() -> None:
    play = Play()

    for given in (DrainStored(1), Shown((1,), ()), HeirSilent("x"), Passed(1)):
        assert play.give(given) == ()


def test_after_a_grant_the_clock_kills_nobody() -> None:
    play = Play()
    play.drained()
    play.give(Shown((1, 2), ()))

    assert play.give(Passed(2_000 + 10 * QUIESCE_NS)) == ()


def test_an_account_whose_holder_is_still_to_be_heard_waits_for_it() -> None:
    play = Play()
    play.leases[1] = Lease(1, "quiet", 1, OLD)
    play.give(WorkerFound("quiet"))
    play.give(play.seen())

    assert play.ask(1) == ()
    assert play.give(WorkerReady("quiet", OLD)) == (Drain("quiet", NEW, ((1, 1),)),)


NAMES: Final = {"old-1": OLD, "old-2": OLD, "new-1": NEW, "new-2": NEW}


class Moves(RuleBasedStateMachine):
    """Workers come, die and freeze, the journal refuses and forgets; moves are asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.state = State(accounts=(1, 2, 3))
        self.leases: dict[int, Lease] = {}
        self.grants: list[Grant] = []
        self.asks = 0
        self.dying: set[str] = set()
        self.number = 0
        self.open: dict[int, set[int]] = {}
        self.wanted: dict[int, str] = {}
        self.now = 1_000

    def give(self, given: Any) -> None:
        self.state, outputs = step(self.state, given)
        for output in outputs:
            match output:
                case Grant():
                    assert not self.grants, "one grant at a time"
                    assert output.holder in self.state.ready
                    self.grants.append(output)
                case AskLeases():
                    self.asks += 1
                case Kill(name=name):
                    self.dying.add(name)
                case Moved(number=number, account=account):
                    assert self.leases[account].release == self.wanted[number]
                    self.open[number].remove(account)
                case Kept(number=number, account=account):
                    self.open[number].remove(account)
                case MoveEnded(number=number):
                    assert not self.open.pop(number), "an account of a move was forgotten"
                case _:
                    pass

    @rule(name=st.sampled_from(sorted(NAMES)))
    def ready(self, name: str) -> None:
        if name not in self.dying:
            self.give(WorkerReady(name, NAMES[name]))

    @rule(name=st.sampled_from(sorted(NAMES)))
    def dies(self, name: str) -> None:
        self.dying.discard(name)
        self.give(WorkerGone(name))

    @rule(name=st.sampled_from(sorted(NAMES)))
    def freezes(self, name: str) -> None:
        if name in self.state.ready:
            self.give(BeatMissed(name))

    @precondition(lambda self: self.grants)
    @rule(how=st.sampled_from(["done", "done", "refused", "lost", "shut"]))
    def journal_answers(self, how: str) -> None:
        grant = self.grants.pop()
        if grant.latch and how == "shut":
            self.give(LatchShut())
            return
        if how != "refused" and all(
            epoch == (self.leases[n].epoch if n in self.leases else 0)
            for n, epoch in grant.accounts
        ):
            for account, epoch in grant.accounts:
                release = NAMES[grant.holder]
                self.leases[account] = Lease(account, grant.holder, epoch + 1, release)
            if how == "done":
                self.give(self.seen())
                return
        self.give(GrantFailed())

    @precondition(lambda self: self.asks)
    @rule()
    def leases_told(self) -> None:
        self.asks -= 1
        if not self.grants:
            self.give(self.seen())

    def seen(self) -> LeasesSeen:
        return LeasesSeen(tuple(self.leases[n] for n in sorted(self.leases)))

    @rule(
        accounts=st.lists(st.sampled_from([1, 2, 3]), min_size=1, unique=True),
        release=st.sampled_from([OLD, NEW]),
        latch=st.sampled_from(["", "r1/p10"]),
    )
    def ask(self, accounts: list[int], release: str, latch: str) -> None:
        self.number += 1
        self.open[self.number] = set(accounts)
        self.wanted[self.number] = release
        self.give(MoveAsked(self.number, tuple(accounts), release, self.now, latch))

    def has_group(self) -> bool:
        return self.state.move is not None and self.state.move.group is not None

    @precondition(has_group)
    @rule(what=st.sampled_from(["stored", "stored", "failed", "silent"]))
    def drain_answered(self, what: str) -> None:
        given = {
            "stored": DrainStored(self.now),
            "failed": DrainFailed("refused"),
            "silent": HeirSilent("silent"),
        }
        self.give(given[what])

    @precondition(has_group)
    @rule(data=st.data())
    def shown(self, data: st.DataObject) -> None:
        group = self.state.move.group  # type: ignore[union-attr]
        assert group is not None
        if not group.is_stored:
            return
        mine = [account for account, _ in group.accounts]
        unlike = data.draw(st.lists(st.sampled_from(mine), unique=True)) if mine else []
        alike = tuple(n for n in mine if n not in unlike)
        self.give(Shown(alike, tuple((n, "differs") for n in sorted(unlike))))

    @rule(span=st.integers(1, 400_000_000))
    def time_passes(self, span: int) -> None:
        self.now += span
        self.give(Passed(self.now))

    @invariant()
    def a_move_is_open_as_long_as_accounts_of_it_are(self) -> None:
        assert set(self.open) == ({self.state.move.number} if self.state.move else set())

    def teardown(self) -> None:
        """When all goes well again, every move ends and every account is held by a ready one."""
        for name in sorted(self.dying):
            self.dies(name)
        for name in sorted(NAMES):
            self.ready(name)
        for _ in range(60):
            if self.grants:
                self.journal_answers("done")
            elif self.asks:
                self.leases_told()
            elif self.has_group():
                group = self.state.move.group  # type: ignore[union-attr]
                assert group is not None
                if not group.is_stored:
                    self.give(DrainStored(self.now))
                elif not group.is_granted and not group.killed:
                    self.give(Shown(tuple(n for n, _ in group.accounts), ()))
                else:
                    for name in sorted(self.dying):
                        self.dies(name)
                        self.ready(name)
            self.time_passes(1)
        assert self.open == {}
        assert {lease.holder for lease in self.leases.values()} <= set(self.state.ready)
        assert set(self.leases) == {1, 2, 3}


TestMoves = Moves.TestCase
TestMoves.settings = settings(max_examples=300, stateful_step_count=40, deadline=None)
