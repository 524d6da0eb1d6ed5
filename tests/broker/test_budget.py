"""The budget: closes never wait behind polls, and the broker's limit is never passed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from risk_daemon.broker import budget as rationing
from risk_daemon.broker.budget import (
    BACK_OFF,
    CLOSES_FIRST,
    ENFORCEMENT,
    KEPT_PER_RELEASE,
    LIMIT,
    REST,
    SECOND,
    SHARES,
    VERIFICATION,
    WINDOW,
    Budget,
    answer,
    charge,
    free_at,
    give_back,
    left,
    take,
    used,
    wait,
)


def spend(budget: Budget, share: str, count: int, now: int = 0) -> int:
    """Take one by one; return how many were let out, each answered at once."""
    taken = 0
    while taken < count and take(budget, share, now):
        answer(budget, share, now)
        taken += 1
    return taken


def test_each_class_has_its_share() -> None:
    for share in (VERIFICATION, REST):
        assert spend(Budget(), share, 300) == SHARES[share]


def test_what_nobody_waits_for_flows_to_enforcement() -> None:
    assert spend(Budget(), ENFORCEMENT, 300) == LIMIT


def test_but_not_what_somebody_waits_for() -> None:
    budget = Budget()
    wait(budget, VERIFICATION, 7)

    assert spend(budget, ENFORCEMENT, 300) == LIMIT - 7

    wait(budget, VERIFICATION, -7)
    assert spend(budget, ENFORCEMENT, 300) == 7


def test_polls_never_use_what_enforcement_may_need() -> None:
    budget = Budget()
    spend(budget, REST, 300)
    spend(budget, VERIFICATION, 300)

    assert spend(budget, ENFORCEMENT, 300) == SHARES[ENFORCEMENT]


def test_a_read_leaves_whole_or_not_at_all() -> None:
    budget = Budget()
    spend(budget, VERIFICATION, SHARES[VERIFICATION] - 2)

    assert not take(budget, VERIFICATION, 0, 3)
    assert used(budget, VERIFICATION) == SHARES[VERIFICATION] - 2
    assert take(budget, VERIFICATION, 0, 2)


def test_a_request_stays_until_a_minute_after_its_answer() -> None:
    budget = Budget()
    for _ in range(SHARES[REST]):
        assert take(budget, REST, 0)
    answer(budget, REST, 5 * SECOND, SHARES[REST])

    assert not take(budget, REST, WINDOW + 5 * SECOND - 1)
    assert take(budget, REST, WINDOW + 5 * SECOND)


def test_after_a_429_nobody_asks_for_half_a_second() -> None:
    budget = Budget()
    assert take(budget, ENFORCEMENT, 0)
    answer(budget, ENFORCEMENT, 0, throttled=True)

    assert not take(budget, ENFORCEMENT, BACK_OFF - 1)
    assert free_at(budget, 0) == BACK_OFF
    assert take(budget, ENFORCEMENT, BACK_OFF)


def test_when_to_ask_again_is_when_the_oldest_leaves_the_window() -> None:
    budget = Budget()
    assert free_at(budget, 0) == WINDOW

    spend(budget, REST, 300, now=3 * SECOND)
    assert free_at(budget, 4 * SECOND) == 3 * SECOND + WINDOW


def test_what_did_not_leave_is_given_back() -> None:
    budget = Budget()
    assert take(budget, ENFORCEMENT, 0)

    give_back(budget, ENFORCEMENT)

    assert used(budget, ENFORCEMENT) == 0


steps = st.lists(
    st.tuples(
        st.sampled_from(list(SHARES)),
        st.integers(1, 4),
        st.integers(0, 3 * SECOND),
        st.integers(0, 2 * SECOND),
    ),
    max_size=300,
)


@given(steps)
def test_no_minute_ever_sees_more_than_the_limit(found: list[tuple[str, int, int, int]]) -> None:
    """Counted as the broker might: by when the request left, or by when it was answered."""
    budget, now = Budget(), 0
    left: list[int] = []
    for share, count, pause, flight in found:
        now += pause
        if take(budget, share, now, count):
            left += [now] * count
            now += flight
            answer(budget, share, now, count)

    for moment in left:
        assert sum(1 for other in left if moment <= other < moment + WINDOW) <= LIMIT


def test_the_shares_make_the_limit() -> None:
    assert sum(SHARES.values()) == rationing.LIMIT


def test_after_a_429_closes_ask_first_and_the_others_a_moment_later() -> None:
    budget = Budget()
    assert take(budget, ENFORCEMENT, 0)
    answer(budget, ENFORCEMENT, 0, throttled=True)

    for share in (VERIFICATION, REST):
        assert not take(budget, share, BACK_OFF + CLOSES_FIRST - 1)
        assert take(budget, share, BACK_OFF + CLOSES_FIRST)
    assert not take(budget, ENFORCEMENT, BACK_OFF - 1)
    assert take(budget, ENFORCEMENT, BACK_OFF)


def test_what_a_login_cannot_do_without_leaves_at_once_and_is_counted() -> None:
    budget = Budget()
    spend(budget, REST, SHARES[REST])
    assert left(budget, REST, 0) == 0

    charge(budget, REST, 2)

    assert used(budget, REST) == SHARES[REST] + 2
    assert left(budget, REST, 0) == 0, "never less than nothing"
    answer(budget, REST, 0, 2)
    assert left(budget, REST, WINDOW) == SHARES[REST]


# --- the broker's own figures ----------------------------------------------------


def test_the_figures_are_those_of_the_gateway() -> None:
    assert WINDOW == 60_000_000_000
    assert (LIMIT, SHARES) == (200, {ENFORCEMENT: 120, VERIFICATION: 40, REST: 40})
    assert BACK_OFF == CLOSES_FIRST == 500_000_000


def test_what_somebody_waits_for_is_kept_up_to_what_is_open_of_the_share() -> None:
    budget = Budget()
    spend(budget, VERIFICATION, 35)
    wait(budget, VERIFICATION, 7)

    assert spend(budget, ENFORCEMENT, 300) == LIMIT - 35 - 5, "only 5 are open"

    wait(budget, VERIFICATION, -7)
    assert spend(budget, ENFORCEMENT, 300) == 5


def test_a_share_that_is_used_beyond_itself_keeps_nothing() -> None:
    budget = Budget()
    charge(budget, REST, SHARES[REST] + 10)
    wait(budget, REST, 1)

    assert spend(budget, ENFORCEMENT, 300) == LIMIT - SHARES[REST] - 10


def test_the_whole_may_never_be_passed_whatever_a_share_has_left() -> None:
    budget = Budget()
    charge(budget, ENFORCEMENT, LIMIT - 3)

    assert take(budget, REST, 0, 4) is False
    assert take(budget, REST, 0, 3) is True
    assert take(budget, VERIFICATION, BACK_OFF) is False


def test_a_budget_that_says_no_says_it_as_a_no() -> None:
    budget = Budget(blocked_until=1)

    assert take(budget, REST, 0) is False


def test_nobody_asks_again_sooner_than_in_a_hundredth_of_a_second() -> None:
    budget = Budget()
    answer(budget, REST, 0)
    answer(budget, REST, 2 * SECOND)

    assert free_at(budget, SECOND) == WINDOW, "the oldest, not the newest"
    assert free_at(budget, WINDOW - 1) == WINDOW - 1 + SECOND // 100


def test_one_request_is_charged_where_no_number_is_said() -> None:
    budget = Budget()

    charge(budget, REST)

    assert used(budget, REST) == 1


def test_the_numbers_are_the_brokers_and_the_shares_add_up_to_them() -> None:
    assert (WINDOW, LIMIT) == (60_000_000_000, 200)
    assert SHARES == {ENFORCEMENT: 120, VERIFICATION: 40, REST: 40}
    assert (BACK_OFF, CLOSES_FIRST) == (500_000_000, 500_000_000)


def test_after_a_refusal_closes_ask_half_a_second_later_and_the_others_after_them() -> None:
    budget = Budget()
    answer(budget, ENFORCEMENT, 0, 0, throttled=True)

    assert not take(budget, ENFORCEMENT, 500_000_000 - 1)
    assert take(budget, ENFORCEMENT, 500_000_000)
    assert not take(budget, REST, 1_000_000_000 - 1)
    assert take(budget, REST, 1_000_000_000)


def test_a_later_refusal_counts_and_an_earlier_one_shortens_nothing() -> None:
    budget = Budget()
    for now in (7 * SECOND, 3 * SECOND):
        answer(budget, REST, now, 0, throttled=True)

    assert budget.blocked_until == 7 * SECOND + 500_000_000


def test_asking_again_makes_sense_when_the_oldest_leaves_and_a_hundredth_later_at_the_least() -> (
    None
):
    budget = Budget()
    spend(budget, REST, 1)

    assert free_at(budget, 0) == WINDOW
    assert free_at(budget, WINDOW - 1) == WINDOW - 1 + 10_000_000
    assert free_at(budget, WINDOW) == 2 * WINDOW, "nothing is in the window"


def test_what_is_left_of_a_share_is_never_less_than_nothing() -> None:
    budget = Budget()
    charge(budget, REST, 39)
    assert left(budget, REST, 0) == 1
    charge(budget, REST, 2)
    assert left(budget, REST, 0) == 0
    assert left(budget, VERIFICATION, 0) == 40


@pytest.mark.parametrize(
    ("verification", "rest", "kept"),
    [(10, 38, 5 + 2), (10, 0, 5 + 5), (41, 0, 0 + 5), (41, 40, 0), (38, 38, 2 + 2)],
)
def test_enforcement_leaves_to_who_waits_only_what_is_open_of_its_share(
    verification: int, rest: int, kept: int
) -> None:
    budget = Budget()
    charge(budget, VERIFICATION, verification)
    charge(budget, REST, rest)
    wait(budget, VERIFICATION, 5)
    wait(budget, REST, 5)

    # Its own share of 120 it may always use.
    may = max(200 - verification - rest - kept, min(120, 200 - verification - rest))
    assert spend(budget, ENFORCEMENT, 300) == may


# --- two releases --------------------------------------------------------------------


def two() -> Budget:
    return Budget(releases=("v1", "v2"))


def spend_of(budget: Budget, release: str, count: int, now: int = 0) -> int:
    taken = 0
    while taken < count and take(budget, ENFORCEMENT, now, release=release):
        answer(budget, ENFORCEMENT, now)
        taken += 1
    return taken


def test_of_two_releases_each_has_ten_requests_that_the_other_cannot_use() -> None:
    budget = two()

    assert spend_of(budget, "v1", 300) == LIMIT - KEPT_PER_RELEASE
    assert spend_of(budget, "v2", 300) == KEPT_PER_RELEASE
    assert spend_of(budget, "v1", 1) == 0


def test_what_a_release_has_used_of_its_ten_is_kept_no_more() -> None:
    budget = two()
    spend_of(budget, "v2", 4)

    assert spend_of(budget, "v1", 300) == LIMIT - 4 - (KEPT_PER_RELEASE - 4)


def test_within_enforcements_own_share_they_are_kept_too() -> None:
    budget = two()
    wait(budget, VERIFICATION, 40)
    wait(budget, REST, 40)

    assert spend_of(budget, "v1", 300) == SHARES[ENFORCEMENT] - KEPT_PER_RELEASE
    assert spend_of(budget, "v2", 300) == KEPT_PER_RELEASE


def test_one_release_alone_and_people_use_it_all() -> None:
    assert spend_of(Budget(releases=("v1",)), "v1", 300) == LIMIT
    assert spend(two(), ENFORCEMENT, 300) == LIMIT


def test_what_did_not_leave_and_what_left_the_window_is_not_counted() -> None:
    budget = two()
    assert take(budget, ENFORCEMENT, 0, release="v2")
    assert take(budget, ENFORCEMENT, 0, release="v1")
    assert take(budget, ENFORCEMENT, 0)
    give_back(budget, ENFORCEMENT, "v2")
    give_back(budget, ENFORCEMENT)
    assert (budget.taken, used(budget, ENFORCEMENT)) == ([(0, "v1")], 1)
    give_back(budget, ENFORCEMENT, "v1")
    assert (budget.taken, used(budget, ENFORCEMENT)) == ([], 0)

    spend_of(budget, "v2", KEPT_PER_RELEASE)
    assert spend_of(budget, "v1", 300, WINDOW) == LIMIT - KEPT_PER_RELEASE
