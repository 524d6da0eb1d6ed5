"""PURE: is a thing hit too often? One engine for errors, slow buckets, differences and shares.

Observations are hits and misses. The claim to be refuted is "whatever happened so far, the next
one is a hit with probability p0 at most". A bet on a higher probability p multiplies what it owns
by p/p0 at a hit and by (1-p)/(1-p0) at a miss: under the claim it can't be expected to grow. The
mean of many such bets, some of them begun later, can't either, so it is *ever* worth 1/alpha with
probability alpha at most, however often somebody looks (Ville's inequality). No two observations
need be independent of each other.

All that is kept is two integers per block of time, so a refold is exact, the order within a block
does not matter, and a person can work it out again.

Source: Ville 1939; mixtures over bets and over their beginnings: Howard, Ramdas, McAuliffe and
Sekhon, "Time-uniform, nonparametric, nonasymptotic confidence sequences", 2021.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Final

import msgspec

#: This share is bet at once, the rest in equal parts block by block: what is wrong from the
#: beginning is seen soon, and what begins later still in time.
AT_ONCE: Final = 1 / 2
#: Above it nothing depends on the figure; `exp` would overflow at 709.
_EXPONENT_MAX: Final = 600.0
_OBSERVATIONS_MAX: Final = 10**8

#: Observations and hits per block, by the block's number.
Blocks = Mapping[int, tuple[int, int]]


class Bets(msgspec.Struct, frozen=True):
    """What is bet against "hit with probability p0 at most" (or "at least").

    `sides` holds per alternative its share of what is owned, and the logarithms of what a hit and
    a miss multiply it by. The shares sum up to one.
    """

    p0: float
    sides: tuple[tuple[float, float, float], ...]


def _odds(log_odds: float) -> float:
    """Return the probability of these log-odds."""
    return 1 / (1 + math.exp(-log_odds))


def _spaced(p0: float, low: float, high: float, count: int, decay: float) -> Bets:
    """Bet on `count` alternatives between two log-odds, each with `decay` of the share before."""
    total = math.fsum(decay**i for i in range(count))
    step = (high - low) / (count - 1)
    sides = []
    for i in range(count):
        p = _odds(low + i * step)
        sides.append(
            (decay**i / total, math.log(p / p0), math.log1p(-p) - math.log1p(-p0)),
        )
    return Bets(p0, tuple(sides))


def too_often(p0: float, highest: float = 0.6, count: int = 12, decay: float = 0.8) -> Bets:
    """Bet that hits are more frequent than `p0`, from 1.5 times its odds up to `highest`."""
    base = math.log(p0 / (1 - p0))
    return _spaced(p0, base + math.log(1.5), math.log(highest / (1 - highest)), count, decay)


def rarer(p0: float) -> Bets:
    """Bet that hits are rarer than `p0`: on eight alternatives, down to a fiftieth of its odds."""
    base = math.log(p0 / (1 - p0))
    return _spaced(p0, base - math.log(50), base - math.log(1.3), 8, 0.75)


def worth(bets: Bets, seen: Blocks, blocks: int = 1) -> float:
    """Return what the bets are worth; they began at 1. Infinite when beyond any doubt.

    `seen` may leave out blocks in which nothing was observed; numbers run from 0 to `blocks` - 1.
    """
    first = 1.0 if blocks == 1 else AT_ONCE
    each = 0.0 if blocks == 1 else (1 - AT_ONCE) / (blocks - 1)
    numbers = sorted(seen)
    kinds = set(seen.values())
    total = 0.0
    for share, hit, miss in bets.sides:
        # Most blocks are alike, and `exp` is what costs.
        factors = {
            kind: math.exp(min(kind[1] * hit + (kind[0] - kind[1]) * miss, _EXPONENT_MAX))
            for kind in kinds
        }
        owned, begun = first, 0
        for number in numbers:
            owned = (owned + each * (number - begun)) * factors[seen[number]]
            begun = number
        total += share * (owned + each * (blocks - 1 - begun))
    return total


def once(bets: Bets, observed: int, hits: int) -> float:
    """Return what the bets are worth if all were made at the beginning."""
    return worth(bets, {0: (observed, hits)})


def summed(seen: Iterable[tuple[int, int]]) -> tuple[int, int]:
    """Add up observations and hits of several blocks."""
    observed = hits = 0
    for more, hit in seen:
        observed, hits = observed + more, hits + hit
    return observed, hits


def latest(bets: Bets, alpha: float, hits: int) -> int:
    """Return N: the `hits`-th hit refutes the claim if it comes within N observations; 0: never.

    `alpha` already holds the share that is bet at once, so this is the latest: bets of later
    blocks only add to it.
    """
    if once(bets, hits, hits) < 1 / alpha:
        return 0
    low, high = hits, _OBSERVATIONS_MAX
    while high - low > 1:
        middle = (low + high) // 2
        if once(bets, middle, hits) >= 1 / alpha:
            low = middle
        else:
            high = middle
    return low


@lru_cache(4096)
def clean_needed(bound: float, alpha: float, hits: int = 0) -> int:
    """Return how many observations prove "rarer than `bound`" when `hits` of them are hits."""
    bets = rarer(bound)
    low, high = hits, _OBSERVATIONS_MAX
    while high - low > 1:
        middle = (low + high) // 2
        if once(bets, middle, hits) >= 1 / alpha:
            high = middle
        else:
            low = middle
    return high


@lru_cache(4096)
def _rarer_ppm(ppm: int) -> Bets:
    return rarer(ppm / 1e6)


def bound_ppm(observed: int, hits: int, alpha: float) -> int:
    """Return the rate, in parts per million, that the hits are proven to stay below.

    1,000,000 means that nothing is proven.
    """
    low, high = 0, 1_000_000
    while high - low > 1:
        middle = (low + high) // 2
        if once(_rarer_ppm(middle), observed, hits) >= 1 / alpha:
            high = middle
        else:
            low = middle
    return high
