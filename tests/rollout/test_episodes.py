"""A burst is one episode; more failures never make fewer of those that count for a pass."""

from hypothesis import given
from hypothesis import strategies as st

from risk_daemon.rollout.episodes import Seen, covering, separate, unlisted
from risk_daemon.rollout.thresholds import SECOND, Thresholds

LIMITS = Thresholds(near_records=5, near_ns=10 * SECOND, episode_records=40)


def at(place: int, seconds: float | None = None, name: str = "a") -> Seen:
    """A failure of this record; a minute between records unless said otherwise."""
    when = place * 60 if seconds is None else seconds
    return Seen(int(when * SECOND), place, place, name)


def test_failures_within_five_records_of_each_other_are_one_episode() -> None:
    assert separate([at(0), at(5), at(10)], LIMITS) == [at(0)]
    assert separate([at(0), at(6)], LIMITS) == [at(0), at(6)]


def test_failures_within_ten_seconds_of_each_other_are_one_episode() -> None:
    assert separate([at(0, 0), at(30, 10)], LIMITS) == [at(0, 0)]
    assert separate([at(0, 0), at(30, 10.1)], LIMITS) == [at(0, 0), at(30, 10.1)]


def test_an_episode_has_an_end_however_dense_the_failures_are() -> None:
    begun = separate([at(place) for place in range(100)], LIMITS)

    assert [one.place for one in begun] == [0, 40, 80]


def test_other_faults_are_other_episodes() -> None:
    assert len(separate([at(0), at(1, name="b"), at(2)], LIMITS)) == 2
    assert covering([at(0), at(1, name="b"), at(2)], LIMITS) == 2


def test_covering_reaches_from_the_first_failure_only() -> None:
    assert covering([at(0), at(5), at(10)], LIMITS) == 2
    assert covering([at(0), at(5)], LIMITS) == 1
    assert covering([at(0, 0), at(30, 10)], LIMITS) == 1
    assert covering([at(place, 0) for place in range(41)], LIMITS) == 2


def test_failures_that_are_only_counted_are_the_fewest_episodes_they_can_be() -> None:
    assert [unlisted(count, LIMITS) for count in (0, 1, 40, 41)] == [0, 1, 1, 2]


#: Records one after the other, at any pace; which of them failed, and with what.
paces = st.lists(st.integers(0, 15), min_size=1, max_size=120)
strewn = paces.flatmap(
    lambda gaps: st.tuples(
        st.just(gaps),
        st.lists(st.tuples(st.integers(0, len(gaps) - 1), st.sampled_from("ab")), max_size=60),
    )
)


def failures(gaps: list[int], failed: list[tuple[int, str]]) -> set[Seen]:
    seconds = [sum(gaps[:place]) for place in range(len(gaps))]
    return {at(place, seconds[place], name) for place, name in failed}


@given(strewn, st.integers(0, 60))
def test_whichever_failures_are_left_out_covering_counts_no_fewer_than_either_does_there(
    drawn: tuple[list[int], list[tuple[int, str]]], kept: int
) -> None:
    whole = failures(*drawn)
    part = set(sorted(whole)[::2]) | set(sorted(whole)[:kept])

    assert covering(whole, LIMITS) >= covering(part, LIMITS) >= len(separate(part, LIMITS))
