"""The engine against exact arithmetic, and its tables against those worked out elsewhere."""

import itertools
import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from risk_daemon.rollout.eprocess import (
    AT_ONCE,
    Bets,
    bound_ppm,
    clean_needed,
    latest,
    once,
    rarer,
    summed,
    too_often,
    worth,
)


def exactly(bets: Bets) -> list[tuple[Fraction, Fraction, Fraction]]:
    """The same bets in exact numbers: share, factor of a hit, factor of a miss."""
    return [
        (Fraction(share), Fraction(math.exp(hit)), Fraction(math.exp(miss)))
        for share, hit, miss in bets.sides
    ]


Ways = tuple[tuple[int, int], ...]


def chance_of_crossing(bets: Bets, alpha: float, lengths: list[int]) -> Fraction:
    """P(ever worth 1/alpha) where each observation is a hit with p0, over blocks of these lengths.

    By dynamic programming over observations and hits, in exact numbers: per way of hits in the
    blocks before, the probability of getting there without having crossed.
    """
    p0, sides = Fraction(bets.p0), exactly(bets)
    blocks = len(lengths)
    first = Fraction(AT_ONCE) if blocks > 1 else Fraction(1)
    each = (1 - first) / (blocks - 1) if blocks > 1 else Fraction(0)
    alive: dict[Ways, Fraction] = {(): Fraction(1)}
    crossed = Fraction(0)

    def value(ways: Ways) -> Fraction:
        total = each * (blocks - len(ways))
        for begun in range(len(ways)):
            stake = first if begun == 0 else each
            observed = sum(one for one, _ in ways[begun:])
            hits = sum(two for _, two in ways[begun:])
            total += stake * sum(
                share * hit**hits * miss ** (observed - hits) for share, hit, miss in sides
            )
        return total

    for length in lengths:
        here: dict[Ways, Fraction] = {(*ways, (0, 0)): chance for ways, chance in alive.items()}
        for _ in range(length):
            after: dict[Ways, Fraction] = {}
            for ways, chance in here.items():
                observed, hits = ways[-1]
                for is_hit, p in ((1, p0), (0, 1 - p0)):
                    reached = (*ways[:-1], (observed + 1, hits + is_hit))
                    if value(reached) >= 1 / Fraction(alpha):
                        crossed += chance * p
                    else:
                        after[reached] = after.get(reached, Fraction(0)) + chance * p
            here = after
        alive = here
    return crossed


def played(bets: Bets, alpha: float, lengths: list[int]) -> float:
    """The same by playing every sequence there is through the engine."""
    total = sum(lengths)
    block_of = [block for block, length in enumerate(lengths) for _ in range(length)]
    crossed = []
    for sequence in itertools.product((0, 1), repeat=total):
        seen: dict[int, tuple[int, int]] = {}
        for block, hit in zip(block_of, sequence, strict=True):
            observed, hits = seen.get(block, (0, 0))
            seen[block] = (observed + 1, hits + hit)
            if worth(bets, seen, len(lengths)) >= 1 / alpha:
                k = sum(sequence)
                crossed.append(bets.p0**k * (1 - bets.p0) ** (total - k))
                break
    return math.fsum(crossed)


@pytest.mark.parametrize("lengths", [[10], [4, 3, 3], [5, 1, 4]])
@pytest.mark.parametrize(("p0", "alpha"), [(0.05, 0.05), (0.2, 0.1), (0.5, 0.05)])
def test_the_chance_of_ever_crossing_is_what_exact_enumeration_says_and_below_alpha(
    p0: float, alpha: float, lengths: list[int]
) -> None:
    bets = too_often(p0, highest=0.97, count=5)

    exact = chance_of_crossing(bets, alpha, lengths)

    assert 0 < exact <= alpha
    assert abs(played(bets, alpha, lengths) - float(exact)) < 1e-9


def test_the_table_that_an_operator_can_check_by_hand() -> None:
    table = [latest(too_often(0.001), 0.001, hits) for hits in range(1, 11)]

    assert table == [0, 9, 63, 180, 356, 584, 856, 1163, 1504, 1878]


@pytest.mark.parametrize("hits", [2, 5, 10])
def test_one_record_later_the_same_hit_refutes_nothing(hits: int) -> None:
    bets, n = too_often(0.001), latest(too_often(0.001), 0.001, hits)

    assert once(bets, n, hits) >= 1000 > once(bets, n + 1, hits)


def test_how_many_clean_records_prove_a_rate() -> None:
    assert [clean_needed(0.01, 0.05, hits) for hits in range(4)] == [327, 640, 912, 1148]
    assert clean_needed(0.001, 0.05) == 3275
    assert once(rarer(0.01), 327, 0) >= 20 > once(rarer(0.01), 326, 0)


def test_a_bound_is_the_rate_that_is_just_proven() -> None:
    assert bound_ppm(326, 0, 0.05) > 10_000 >= bound_ppm(327, 0, 0.05) > 9_900
    assert bound_ppm(0, 0, 0.05) == 1_000_000


def test_what_is_wrong_late_is_seen_though_much_was_right_before() -> None:
    bets = too_often(0.001)
    before = dict.fromkeys(range(80), (300, 0))

    assert worth(bets, before | {80: (200, 8)}, 96) > 3000
    assert worth(bets, {0: (24_200, 8)}, 1) < 1


def test_blocks_without_observations_change_nothing() -> None:
    bets = too_often(0.001)

    assert worth(bets, {}, 96) == pytest.approx(1.0)
    assert worth(bets, {3: (100, 2), 50: (0, 0)}, 96) == pytest.approx(
        worth(bets, {3: (100, 2)}, 96)
    )


def test_what_is_beyond_doubt_does_not_overflow() -> None:
    assert worth(too_often(0.001), {0: (1_000, 1_000), 1: (1_000, 1_000)}, 2) > 1e100


def test_sums() -> None:
    assert summed([(3, 1), (4, 0)]) == (7, 1)


counts = st.tuples(st.integers(0, 400), st.integers(0, 400)).map(lambda two: (sum(two), two[1]))


@given(st.dictionaries(st.integers(0, 9), counts, max_size=6), st.integers(0, 9))
def test_a_hit_more_never_makes_it_worth_less_and_a_miss_never_more(
    seen: dict[int, tuple[int, int]], block: int
) -> None:
    bets = too_often(0.001)
    observed, hits = seen.get(block, (0, 0))
    now = worth(bets, seen, 10)

    assert worth(bets, seen | {block: (observed + 1, hits + 1)}, 10) >= now * (1 - 1e-12)
    assert worth(bets, seen | {block: (observed + 1, hits)}, 10) <= now * (1 + 1e-12)
