"""Fail-over: an account may be without a holder, never with two."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from risk_daemon.supervisor.promotion import (
    PATIENCE_NS,
    AskLeases,
    BeatMissed,
    Grant,
    GrantFailed,
    Kill,
    Lease,
    LeasesSeen,
    Output,
    Poisoned,
    State,
    WorkerFound,
    WorkerGone,
    WorkerReady,
    disagreements,
    doors,
    step,
    unguardable,
)

BEGINNING = State(accounts=(1, 2))


def play(*inputs: object, state: State = BEGINNING) -> tuple[State, list[Output]]:
    outputs: list[Output] = []
    for given in inputs:
        state, found = step(state, given)  # type: ignore[arg-type]
        outputs += found
    return state, outputs


def held(holder: str, epoch: int = 1) -> LeasesSeen:
    return LeasesSeen((Lease(1, holder, epoch), Lease(2, holder, epoch)))


def test_who_holds_what_is_asked_before_anything_is_granted() -> None:
    _, outputs = play(WorkerReady("worker-1"))

    assert outputs == [AskLeases()]


def test_the_first_worker_that_is_ready_gets_every_account() -> None:
    _, outputs = play(WorkerReady("worker-2"), LeasesSeen(()))

    assert outputs[-1] == Grant("worker-2", ((1, 0), (2, 0)))


def test_a_holder_that_lives_keeps_its_accounts() -> None:
    _, outputs = play(WorkerReady("worker-2"), held("worker-2"), WorkerReady("worker-1"))

    assert outputs == [AskLeases()]


def test_the_same_worker_ready_twice_is_ready_once() -> None:
    state, _ = play(WorkerReady("worker-1"), WorkerReady("worker-1"))

    assert state.ready == ("worker-1",)


def test_a_dead_holders_accounts_go_to_the_warm_one_at_the_epoch_they_have() -> None:
    _, outputs = play(
        WorkerReady("worker-1"),
        held("worker-1", 3),
        WorkerReady("worker-2"),
        WorkerGone("worker-1"),
    )

    assert outputs[-1] == Grant("worker-2", ((1, 3), (2, 3)))


BOTH = (WorkerReady("worker-1"), held("worker-1", 3), WorkerReady("worker-2"))


def test_an_account_its_holder_cannot_fold_goes_to_who_can_and_the_others_stay() -> None:
    state, outputs = play(*BOTH, Poisoned("worker-1", 2))

    assert outputs[-1] == Grant("worker-2", ((2, 3),))
    assert unguardable(state) == ()


def test_an_account_nobody_can_fold_is_given_to_nobody() -> None:
    state, outputs = play(*BOTH, Poisoned("worker-2", 2), Poisoned("worker-1", 2))
    assert outputs == [AskLeases()]
    assert unguardable(state) == (2,)

    state, outputs = play(WorkerGone("worker-1"), state=state)
    assert outputs == [Grant("worker-2", ((1, 3),))]

    assert unguardable(play(WorkerGone("worker-2"), state=state)[0]) == ()


def test_a_worker_that_was_started_anew_may_be_given_what_it_can_fold_now() -> None:
    state, _ = play(*BOTH, Poisoned("worker-2", 2), Poisoned("worker-1", 2))

    state, outputs = play(WorkerGone("worker-2"), WorkerReady("worker-2"), state=state)

    assert (outputs, unguardable(state)) == ([Grant("worker-2", ((2, 3),))], ())


def test_a_silent_holder_is_killed_before_anybody_is_promoted() -> None:
    state, outputs = play(WorkerReady("worker-1"), held("worker-1"), WorkerReady("worker-2"))
    state, silent = step(state, BeatMissed("worker-1"))
    state, gone = step(state, WorkerGone("worker-1"))

    assert silent == (Kill("worker-1"),)
    assert gone == (Grant("worker-2", ((1, 1), (2, 1))),)
    del outputs


def test_a_silent_holder_that_nobody_could_replace_is_waited_for() -> None:
    state, _ = play(WorkerReady("worker-1"), held("worker-1"))
    state, missed = step(state, BeatMissed("worker-1", PATIENCE_NS - 1))
    state, back = step(state, WorkerReady("worker-1"))

    assert (missed, back) == ((), ())
    assert state.ready == ("worker-1",)


def test_and_is_killed_as_soon_as_another_is_warm() -> None:
    state, _ = play(WorkerReady("worker-1"), held("worker-1"), BeatMissed("worker-1"))
    state, warm = step(state, WorkerReady("worker-2"))
    _, missed = step(state, BeatMissed("worker-1", 1))

    assert (warm, missed) == ((), (Kill("worker-1"),))


def test_patience_with_who_has_no_heir_ends() -> None:
    state, _ = play(WorkerReady("worker-1"), held("worker-1"))

    assert step(state, BeatMissed("worker-1", PATIENCE_NS))[1] == (Kill("worker-1"),)


def test_a_silent_standby_is_no_heir_and_not_killed_at_once() -> None:
    state, _ = play(WorkerReady("worker-1"), held("worker-1"), WorkerReady("worker-2"))
    state, missed = step(state, BeatMissed("worker-2"))
    _, gone = step(state, WorkerGone("worker-1"))

    assert (missed, gone) == ((), ())


def test_when_all_are_silent_nobody_is_killed() -> None:
    state, _ = play(WorkerReady("worker-1"), held("worker-1"), WorkerReady("worker-2"))
    state, one = step(state, BeatMissed("worker-2"))
    _, other = step(state, BeatMissed("worker-1"))

    assert (one, other) == ((), ())


def test_with_nobody_ready_nobody_is_promoted() -> None:
    _, outputs = play(WorkerReady("worker-1"), held("worker-1"), WorkerGone("worker-1"))

    assert outputs == [AskLeases()]


def test_one_grant_is_under_way_at_a_time() -> None:
    _, outputs = play(WorkerReady("worker-1"), LeasesSeen(()), WorkerReady("worker-2"))

    assert sum(isinstance(output, Grant) for output in outputs) == 1


def test_after_a_failed_grant_what_is_true_is_asked_first() -> None:
    state, outputs = play(WorkerReady("worker-1"), LeasesSeen(()), GrantFailed())
    assert outputs[-1] == AskLeases()

    _, again = step(state, LeasesSeen(()))
    assert again == (Grant("worker-1", ((1, 0), (2, 0))),)


def test_a_worker_that_became_ready_meanwhile_does_not_hurry_the_question() -> None:
    state, _ = play(WorkerReady("worker-1"), LeasesSeen(()), GrantFailed())

    _, outputs = step(state, WorkerReady("worker-2"))

    assert outputs == (AskLeases(),)


def test_a_free_account_goes_to_who_holds_the_most() -> None:
    state = State(
        accounts=(1, 2, 3),
        ready=("worker-1", "worker-2"),
        leases_known=True,
    )

    _, outputs = step(
        state, LeasesSeen((Lease(1, "worker-2", 1), Lease(2, "worker-2", 1), Lease(3, "gone", 4)))
    )

    assert outputs == (Grant("worker-2", ((3, 4),)),)


def test_what_a_worker_says_is_compared_with_the_leases() -> None:
    state, _ = play(held("worker-1", 3))

    assert disagreements(state, "worker-1", [(1, 3), (2, 3)]) == []
    assert disagreements(state, "worker-2", [(1, 2)]) == []
    assert len(disagreements(state, "worker-2", [(1, 3), (7, 1)])) == 2


def test_before_any_lease_was_seen_nobody_is_said_to_enforce_against_one() -> None:
    assert disagreements(State(accounts=(1,)), "worker-1", [(1, 3)]) == []
    known = State(accounts=(1,), leases_known=True)
    assert len(disagreements(known, "worker-1", [(1, 3)])) == 1


class Failover(RuleBasedStateMachine):
    """Workers come, fall silent and die; a journal that answers, refuses, or is away."""

    def __init__(self) -> None:
        super().__init__()
        self.state = BEGINNING
        self.leases: dict[int, Lease] = {}
        self.asked: list[Output] = []
        self.alive: set[str] = set()
        self.silent: set[str] = set()

    def feed(self, given: object) -> None:
        self.state, outputs = step(self.state, given)  # type: ignore[arg-type]
        for output in outputs:
            if isinstance(output, Kill):
                self.alive.discard(output.name)
                self.silent.discard(output.name)
                self.feed(WorkerGone(output.name))
            else:
                self.check(output)
                self.asked.append(output)

    def check(self, output: Output) -> None:
        """Nobody is granted what another one holds who was alive when it was decided."""
        if isinstance(output, Grant):
            for account, _ in output.accounts:
                lease = self.leases.get(account)
                others = (self.alive | self.silent) - {output.holder}
                assert lease is None or lease.holder not in others

    @rule(name=st.sampled_from(["worker-1", "worker-2"]))
    def a_worker_becomes_ready(self, name: str) -> None:
        self.alive.add(name)
        self.silent.discard(name)
        self.feed(WorkerReady(name))

    @rule(name=st.sampled_from(["worker-1", "worker-2"]), silent=st.booleans())
    def a_worker_ends(self, name: str, silent: bool) -> None:
        if name not in self.alive:
            return
        self.alive.discard(name)
        if silent:
            self.silent.add(name)
            self.feed(BeatMissed(name))
        else:
            self.feed(WorkerGone(name))

    @rule(beyond_ns=st.sampled_from([1, PATIENCE_NS]))
    def a_silence_goes_on(self, beyond_ns: int) -> None:
        for name in sorted(self.silent):
            self.feed(BeatMissed(name, beyond_ns))

    @precondition(lambda self: self.asked)
    @rule(answers=st.booleans())
    def the_journal_answers(self, answers: bool) -> None:
        output = self.asked.pop(0)
        if not answers:
            self.feed(GrantFailed())
            return
        if isinstance(output, Grant):
            fresh = all(
                self.leases.get(account, Lease(account, "", 0)).epoch == epoch
                for account, epoch in output.accounts
            )
            if not fresh:
                self.feed(GrantFailed())
                return
            for account, epoch in output.accounts:
                self.leases[account] = Lease(account, output.holder, epoch + 1)
        self.feed(LeasesSeen(tuple(self.leases[n] for n in sorted(self.leases))))

    def teardown(self) -> None:
        """Liveness: with a worker ready and a journal that answers, every account is held."""
        if not self.alive:
            return
        for _ in range(20):
            self.a_silence_goes_on(1)
            while self.asked:
                self.the_journal_answers(answers=True)
        assert {lease.holder for lease in self.leases.values()} <= self.alive
        assert set(self.leases) == {1, 2}


TestFailover = Failover.TestCase
TestFailover.settings = settings(max_examples=60, stateful_step_count=25)


def test_a_new_supervisor_leaves_accounts_with_a_holder_it_found_alive() -> None:
    _, outputs = play(
        WorkerFound("worker-1"), WorkerFound("worker-2"), WorkerReady("worker-2"), held("worker-1")
    )

    assert outputs == [AskLeases()]


def test_a_holder_found_alive_that_is_never_heard_is_killed_and_its_accounts_go_on() -> None:
    found = (WorkerFound("worker-1"), WorkerReady("worker-2"), held("worker-1", epoch=3))

    _, outputs = play(*found, BeatMissed("worker-1"), WorkerGone("worker-1"))

    assert outputs == [AskLeases(), Kill("worker-1"), Grant("worker-2", ((1, 3), (2, 3)))]


def test_a_holder_found_alive_that_dies_before_it_is_heard_is_succeeded() -> None:
    found = (WorkerFound("worker-1"), WorkerReady("worker-2"), held("worker-1"))

    _, outputs = play(*found, WorkerGone("worker-1"))

    assert outputs[-1] == Grant("worker-2", ((1, 1), (2, 1)))


def test_a_links_door_that_is_behind_the_lease_is_told() -> None:
    state = State(accounts=(1, 2), leases=(Lease(1, "worker-1", 3), Lease(2, "worker-1", 4)))

    assert doors(state, "link-a", [(1, 3), (2, 5), (7, 1)]) == []
    assert doors(state, "link-a", [(1, 2)]) == [(1, "link-a is at epoch 2, the lease at 3")]
