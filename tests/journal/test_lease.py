"""The lease machine: whatever is asked, in whatever order, an epoch has one holder for ever."""

from hypothesis import given
from hypothesis import strategies as st

from risk_daemon.journal.lease import (
    GRANTS_MAX,
    RESTORE_GAP,
    after_restore,
    epoch_of,
    grant,
    may_intend,
)
from risk_daemon.wire.control import Grant, Lease

grants = st.builds(
    Grant,
    account=st.integers(0, 3),
    expected_epoch=st.integers(0, 4),
    holder=st.sampled_from(["", "worker-a", "worker-b", "worker-c"]),
    release=st.sampled_from(["v1", "v2"]),
)


class History:
    """Every lease there ever was."""

    def __init__(self) -> None:
        self.held: dict[int, Lease] = {}
        self.holders: dict[tuple[int, int], str] = {}
        self.last_seq = 0

    def ask(self, asked: list[Grant]) -> tuple[Lease, ...] | str:
        granted = grant(self.held, asked, 77, self.last_seq + 1)
        if isinstance(granted, tuple):
            self.take(granted)
        return granted

    def take(self, leases: tuple[Lease, ...]) -> None:
        for lease in leases:
            assert lease.epoch > epoch_of(self.held, lease.account)
            assert (lease.account, lease.epoch) not in self.holders
            self.held[lease.account] = lease
            self.holders[lease.account, lease.epoch] = lease.holder
            self.last_seq = max(self.last_seq, lease.granted_seq)


@given(st.lists(st.lists(grants, max_size=4), max_size=30), st.integers(0, 29))
def test_epochs_only_grow_and_have_one_holder_also_across_a_restore(
    story: list[list[Grant]], restored_after: int
) -> None:
    history = History()
    for step, asked in enumerate(story):
        before = dict(history.held)
        granted = history.ask(asked)
        if isinstance(granted, str):
            assert history.held == before
        else:
            assert [lease.account for lease in granted] == [one.account for one in asked]
            seqs = [lease.granted_seq for lease in granted]
            assert seqs == list(range(seqs[0], seqs[0] + len(seqs)))
        if step == restored_after:
            history.take(after_restore(history.held.values(), 78))


@given(st.lists(grants, min_size=1, max_size=4), st.lists(grants, min_size=1, max_size=4))
def test_of_two_who_expect_the_same_epoch_one_at_most_is_granted(
    first: list[Grant], second: list[Grant]
) -> None:
    history = History()
    shared = {one.account for one in first} & {one.account for one in second}
    both = [isinstance(history.ask(asked), tuple) for asked in (first, second)]

    expected = {(one.account, one.expected_epoch) for one in first}
    if shared and expected & {(one.account, one.expected_epoch) for one in second}:
        assert not all(both)


@given(st.lists(grants, max_size=20), st.integers(0, 3), st.integers(0, 5))
def test_only_the_present_epoch_of_a_held_lease_may_intend(
    story: list[Grant], account: int, epoch: int
) -> None:
    history = History()
    for one in story:
        history.ask([one])
    lease = history.held.get(account)
    allowed = not may_intend(history.held, account, epoch)

    assert allowed == (lease is not None and lease.epoch == epoch and bool(lease.holder))


def test_a_restored_lease_is_held_by_nobody_and_far_ahead() -> None:
    history = History()
    history.ask([Grant(7, 0, "worker-a", "v1")])
    (restored,) = after_restore(history.held.values(), 78)

    assert (restored.holder, restored.epoch, restored.incarnation) == ("", 1 + RESTORE_GAP, 78)


def test_more_accounts_than_fit_into_an_answer_are_refused_together() -> None:
    asked = [Grant(number, 0, "worker-a", "v1") for number in range(1, GRANTS_MAX + 2)]

    assert grant({}, asked, 77, 1) == f"{GRANTS_MAX + 1} accounts at once, at most {GRANTS_MAX}"
    assert len(grant({}, asked[:-1], 77, 1)) == GRANTS_MAX


def test_nobody_may_intend_under_an_epoch_that_nobody_holds() -> None:
    (lease,) = after_restore([Lease(1, "worker-a", "v1", 3, 77, 9)], 78)

    why = may_intend({1: lease}, 1, lease.epoch)

    assert why == f"account 1: nobody holds epoch {lease.epoch}"
    assert may_intend({}, 1, 1) == "account 1 has no lease"
    assert may_intend({1: lease}, 1, 3) == f"account 1: its epoch is {lease.epoch}, not 3"
