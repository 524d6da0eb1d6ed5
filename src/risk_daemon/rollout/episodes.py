"""PURE: a burst of failures is one thing that went wrong, not many.

The engine's promise holds for what is no more likely after a hit than before, and failures come
in bursts. So what is counted are episodes. They are counted in two ways, never across a block:

* `separate`: an episode goes on while failures follow each other closely. A burst is one, however
  it is strewn; this counts *against* a release.
* `covering`: an episode reaches as far as closeness from its first failure allows, and no
  further. More failures never make fewer of these, and never fewer than of the others, whichever
  failures are left out there; this counts where something is to be *passed*.

So another failure can make one burst of two and an abort doubtful, but never a pass of it.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from risk_daemon.rollout.thresholds import Thresholds


class Seen(msgspec.Struct, frozen=True, order=True, gc=False):
    """A failure at its place: when, at which record, as which of its class in account and block."""

    at: int
    seq: int
    place: int
    fingerprint: str


def separate(failures: Iterable[Seen], limits: Thresholds) -> list[Seen]:
    """Return the first failure of each episode of one account, class and block."""
    first: dict[str, Seen] = {}
    last: dict[str, Seen] = {}
    begun = []
    for one in sorted(failures):
        name = one.fingerprint
        if name not in first or not (
            _is_near(last[name], one, limits) and _is_within(first[name], one, limits)
        ):
            first[name] = one
            begun.append(one)
        last[name] = one
    return begun


def covering(failures: Iterable[Seen], limits: Thresholds) -> int:
    """Return how many episodes cover the failures of one account, class and block."""
    first: dict[str, Seen] = {}
    count = 0
    for one in sorted(failures):
        begun = first.get(one.fingerprint)
        if begun is None or not (_is_near(begun, one, limits) and _is_within(begun, one, limits)):
            first[one.fingerprint] = one
            count += 1
    return count


def unlisted(count: int, limits: Thresholds) -> int:
    """Return the fewest episodes that failures make of which only the number is known."""
    return -(-count // limits.episode_records)


def _is_near(before: Seen, after: Seen, limits: Thresholds) -> bool:
    return (
        after.place - before.place <= limits.near_records or after.at - before.at <= limits.near_ns
    )


def _is_within(first: Seen, after: Seen, limits: Thresholds) -> bool:
    return after.place - first.place < limits.episode_records
