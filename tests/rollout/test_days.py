"""Days through the judging, a few of those that `./dev bench judging` plays by the thousand."""

import random
import statistics

import pytest

from risk_daemon.rollout.thresholds import MINUTE
from tests.rollout import days

#: In the middle of a block, after a morning of nothing but now and then an error.
LATE = 8_500


@pytest.mark.parametrize("outage", ["same", "own"])
@pytest.mark.parametrize("seed", [1, 2])
def test_a_good_release_is_never_aborted_by_bursts_and_an_outage_of_both(
    outage: str, seed: int
) -> None:
    seen = days.play(days.healthy(random.Random(seed), outage=outage))

    assert seen.failed_at == 0
    assert seen.last.says in ("hold", "inconclusive")


@pytest.mark.parametrize("seed", [1, 2])
def test_a_good_release_on_a_calm_day_is_proven_so(seed: int) -> None:
    seen = days.play(days.healthy(random.Random(seed), bursts=0, outage=""))

    assert (seen.failed_at, seen.said["hold"]) == (0, 0)
    assert "fact records" in dict(seen.last.counts)


def test_errors_of_one_and_a_half_percent_are_seen_within_500_records() -> None:
    found = [
        days.play(days.broken(random.Random(seed), 0.015), fine_from=0).failed_at
        for seed in range(1, 22)
    ]

    assert all(found)
    assert statistics.median(found) <= 500


def test_those_that_begin_late_are_seen_within_700() -> None:
    found = [
        days.play(days.broken(random.Random(seed), 0.015, LATE), fine_from=LATE).failed_at - LATE
        for seed in range(1, 12)
    ]

    assert all(one > 0 for one in found)
    assert statistics.median(found) <= 700


def test_a_release_half_as_slow_again_is_seen_within_700_pairs_and_a_fifth_slower_never() -> None:
    slow = [days.slow_at(days.latencies(random.Random(n), 1.5, 4_000)) for n in range(1, 10)]
    fair = [days.slow_at(days.latencies(random.Random(n), 1.2, 4_000)) for n in range(1, 3)]

    assert all(slow)
    assert statistics.median(slow) <= 700
    assert fair == [0, 0]


def test_a_record_of_the_day_comes_every_three_seconds() -> None:
    assert days.at(20) - days.at(0) == MINUTE
