"""A bucket of latencies against another one."""

import pytest

from risk_daemon.rollout.buckets import Compared, compare, twice_the_median


@pytest.mark.parametrize(
    ("values", "twice"), [((3, 1, 2), 4), ((4, 1, 2, 3), 5), ((7,), 14), ((1, 9), 10)]
)
def test_the_median_times_two_is_whole(values: tuple[int, ...], twice: int) -> None:
    assert twice_the_median(values) == twice


def seen(ours: tuple[int, ...], theirs: tuple[int, ...]) -> Compared:
    return compare(ours, theirs, tolerated_percent=120, slower_percent=150)


@pytest.mark.parametrize(
    ("ours", "expected"),
    [
        (100, Compared(False, False, False)),
        (120, Compared(False, False, False)),
        (121, Compared(True, True, False)),
        (150, Compared(True, True, False)),
        (151, Compared(True, True, True)),
    ],
)
def test_slower_is_above_what_is_tolerated_never_at_it(ours: int, expected: Compared) -> None:
    assert seen((ours,) * 10, (100,) * 10) == expected


def test_a_few_slow_ones_are_seen_by_the_worst_and_not_by_the_median() -> None:
    found = seen((100,) * 9 + (600,), (100,) * 10)

    assert found == Compared(is_median_slower=False, is_worst_slower=True, is_much_slower=False)
