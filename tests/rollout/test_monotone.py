"""What is missing never helps, and neither does what is wrong: invariants of every gate.

Fail is the worst and stays; a pass needs everything that was told.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from risk_daemon.rollout.judge import judge
from risk_daemon.rollout.tally import Cohort, Judging
from risk_daemon.rollout.thresholds import MINUTE, Declared
from risk_daemon.wire.sample import Decided, Failure, Sample
from tests.rollout.telling import (
    BEGIN,
    CANARY,
    NEW,
    OLD,
    SECOND_ONE,
    bucket,
    connected,
    fired,
    folded,
    goal,
    minute,
    phase,
)

#: Few minutes in several blocks, and proofs so cheap that every verdict is near.
MINUTES = 8
CHEAP: dict[str, Any] = {
    "blocks": 720,
    "bad_ppm": 8_000,
    "fine_ppm": 1_000,
    "alpha_ppm": 100_000,
    "wrong_pass_ppm": 300_000,
    "patience_ns": 0,
    "firings": 3,
}


def says(judging: Judging, samples: Sequence[Sample]) -> dict[str, str]:
    """Return what each gate says at the end of the last minute."""
    found = judge(folded(judging, samples), BEGIN + MINUTES * MINUTE)
    return {one.gate: one.says for one in found}


def others(chance: random.Random, account: int, number: int) -> list[Sample]:
    """Draw what else was told in a minute of an account."""
    at = BEGIN + number * MINUTE
    kinds: list[Sample] = [
        goal(at=at, account=account),
        goal(at=at, account=account, flaw="late" if chance.random() < 0.1 else ""),
        bucket(at=at, account=account),
        bucket(at=at, account=account, ours=chance.choice((100, 130, 200))),
        fired(source="live", at=at, account=account, count=1),
        fired("declared", source="live", at=at, account=account, count=1, name="x"),
        connected(True, at=at, account=account),
    ]
    return chance.sample(kinds, chance.randrange(4))


def story(chance: random.Random) -> list[Sample]:
    """Draw what was told of two accounts of the release, and of the other on the same records."""
    told: list[Sample] = []
    rate = chance.choice((0.0, 0.002, 0.005, 0.05))
    for number in range(MINUTES):
        for account in (CANARY, SECOND_ONE):
            for release in (NEW, OLD):
                more = others(chance, account, number) if release == NEW else []
                told += more
                told.append(
                    minute(
                        number,
                        20,
                        20,
                        account=account,
                        release=release,
                        told=len(more),
                        failing=[nth for nth in range(20) if chance.random() < rate],
                        name=chance.choice("ab"),
                        seq=number * 20,
                    )
                )
    return told


def judging_of(chance: random.Random) -> Judging:
    """Draw what is judged: two cohorts or one, with more or less asked for."""
    proven = chance.choice([("fact",), ("fact", "mark")])
    declared = chance.choice([(), (Declared("x", "max-contracts", 400_000),)])
    second: Cohort = chance.choice(["first", "new"])
    return phase("first", second, **CHEAP, proven=proven, declared=declared)


def improved(before: dict[str, str], after: dict[str, str], *was: str) -> list[str]:
    """Name the gates that pass now and said one of these before."""
    return [gate for gate in before if before[gate] in was and after[gate] == "pass"]


seeds = st.integers(0, 10**9).map(random.Random)


@given(seeds)
def test_removing_samples_never_makes_a_pass_of_what_is_inconclusive(
    chance: random.Random,
) -> None:
    judging, told = judging_of(chance), story(chance)
    gone = set(chance.sample(range(len(told)), chance.randint(1, 6)))
    left = [one for place, one in enumerate(told) if place not in gone]

    assert improved(says(judging, told), says(judging, left), "inconclusive") == []


@given(seeds)
def test_removing_the_newest_samples_never_makes_a_pass_either(chance: random.Random) -> None:
    judging, told = judging_of(chance), story(chance)
    left = told[: chance.randrange(len(told))]

    assert improved(says(judging, told), says(judging, left), "inconclusive") == []


def with_error(sample: Decided, nth: int, name: str) -> Decided:
    """Return the sample with one record more that failed."""
    at = sample.begin + nth * (MINUTE // 20)
    seq = (sample.begin - BEGIN) // MINUTE * 20 + nth
    failures = sorted((*sample.failures, Failure("fact", name, at, seq, nth)), key=lambda f: f.at)
    return msgspec.structs.replace(sample, failed=(len(failures), 0, 0), failures=tuple(failures))


@given(seeds)
def test_another_error_never_makes_a_pass_of_anything(chance: random.Random) -> None:
    judging, told = judging_of(chance), story(chance)
    place = chance.choice(
        [at for at, one in enumerate(told) if isinstance(one, Decided) and one.release == NEW]
    )
    sample = told[place]
    assert isinstance(sample, Decided)
    free = set(range(20)) - {one.nth for one in sample.failures}
    worse = list(told)
    if free:
        worse[place] = with_error(sample, chance.choice(sorted(free)), chance.choice("ab"))
    before, after = says(judging, told), says(judging, worse)

    assert improved(before, after, "fail", "hold", "inconclusive", "unmeasurable") == []


def test_an_error_that_joins_two_bursts_into_one_is_no_way_out_of_a_fail() -> None:
    limits = {"alpha_ppm": 100_000, "fine_ppm": 10_000, "near_ns": 0, "proven": ()}
    apart = [minute(0, facts=20, failing=(0, 6, 12, 18))]
    joined = [minute(0, facts=20, failing=(0, 3, 6, 9, 12, 15, 18))]

    assert says_errors(limits, apart) == "fail"
    assert says_errors(limits, joined) == "inconclusive"


def test_an_error_that_joins_two_bursts_into_one_makes_no_proof_of_too_few() -> None:
    clean = [minute(n) for n in range(1, 40)]

    for failing in ((0, 8), (0, 4, 8)):
        told = [minute(0, failing=failing), *clean]
        assert says_errors({"proven": ("fact",)}, told, 40) == "inconclusive"


def says_errors(limits: dict[str, Any], told: list[Decided], now_minute: int = 1) -> str:
    found = judge(folded(phase(**limits), told), BEGIN + now_minute * MINUTE)
    return {one.gate: one.says for one in found}["errors"]


def test_time_that_passes_passes_nothing() -> None:
    judging = phase("first", "new", "incumbent")
    told: list[Sample] = [
        minute(n, 1, 1, account=account) for n in range(60) for account in (CANARY, SECOND_ONE)
    ]
    tally = folded(judging, told)
    open_gates = {one.gate for one in judge(tally, BEGIN + 60 * MINUTE) if one.says != "pass"}

    for days in (0, 1, 5, 400):
        later = judge(tally, BEGIN + (60 + days * 1440) * MINUTE)
        assert open_gates <= {one.gate for one in later if one.says != "pass"}
