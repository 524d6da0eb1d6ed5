"""PURE: is a release slower? Buckets of latencies of both, measured at the same time.

One bucket is one observation, so a pause of the collector is one, not ten. Its median sees what
slows all, its maximum what slows a few. No quantile is estimated, so there is no error in one.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec


class Compared(msgspec.Struct, frozen=True):
    """What one bucket shows: the median, the worst above what is tolerated; much slower or not."""

    is_median_slower: bool
    is_worst_slower: bool
    is_much_slower: bool


def twice_the_median(values: Sequence[int]) -> int:
    """Return the median times two: an integer also between two values."""
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] + ordered[-middle - 1]


def compare(
    ours: Sequence[int], theirs: Sequence[int], tolerated_percent: int, slower_percent: int
) -> Compared:
    """Compare a bucket: ours is slower if above that percentage of theirs, never if just at it."""
    median, other = 100 * twice_the_median(ours), twice_the_median(theirs)
    return Compared(
        is_median_slower=median > tolerated_percent * other,
        is_worst_slower=100 * max(ours) > tolerated_percent * max(theirs),
        is_much_slower=median > slower_percent * other,
    )
