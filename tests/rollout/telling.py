"""Samples as a test wants them: what matters is said, the rest is fine."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from risk_daemon.rollout.judge import judge
from risk_daemon.rollout.tally import Cohort, Judging, Member, Tally, begin, fold
from risk_daemon.rollout.thresholds import MB, MINUTE, SECOND, Thresholds
from risk_daemon.rollout.verdict import Verdict
from risk_daemon.wire.sample import (
    Connected,
    Decided,
    Failure,
    Fired,
    Latencies,
    Memory,
    Reached,
    Sample,
    decode,
    encode,
)

BEGIN = 1_790_000_000 * SECOND
END = BEGIN + 24 * 60 * MINUTE
NEW, OLD = "v1.3.0", "v1.2.0"
CANARY, SECOND_ONE, OTHER = 7, 8, 9


def phase(
    *cohorts: Cohort, shadowed: tuple[int, ...] = (), since: int = 0, **limits: Any
) -> Judging:
    """Return a phase of a day: accounts 7, 8, 9 ... in these cohorts, by default one canary."""
    return Judging(
        release=NEW,
        fallback=OLD,
        begin=BEGIN,
        end=END,
        members=tuple(
            Member(CANARY + place, cohort, since)
            for place, cohort in enumerate(cohorts or ("first",))
        ),
        shadowed=shadowed,
        thresholds=Thresholds(**limits),
    )


def minute(
    number: int,
    facts: int = 20,
    marks: int = 0,
    attempts: int = 0,
    *,
    account: int = CANARY,
    release: str = NEW,
    told: int = 0,
    failing: Sequence[int] = (),
    name: str = "KeyError fill.py:40",
    seq: int | None = None,
) -> Decided:
    """Return what is told of one minute, and which of its facts failed (by their number)."""
    start = BEGIN + number * MINUTE
    first = number * 1_000 if seq is None else seq
    return Decided(
        account=account,
        release=release,
        begin=start,
        end=start + MINUTE,
        decided=(facts, marks, attempts),
        failed=(len(failing), 0, 0),
        failures=tuple(
            Failure("fact", name, start + nth * (MINUTE // facts), first + nth, nth)
            for nth in failing
        ),
        told=told,
    )


def minutes(count: int, facts: int = 20, marks: int = 20, **more: Any) -> list[Sample]:
    """Return what is told of the first minutes: nothing failed."""
    return [minute(number, facts, marks, **more) for number in range(count)]


def fired(
    how: str = "agreeing", count: int = 64, rule: str = "max-contracts", **more: Any
) -> Fired:
    """Return a rule's firing, generated unless it is said where it comes from."""
    known = {"account": CANARY, "release": NEW, "at": BEGIN, "source": "generated"} | more
    return msgspec.convert(known | {"how": how, "count": count, "rule": rule}, Fired)


def goal(at: int = BEGIN, flaw: str = "", account: int = CANARY, release: str = NEW) -> Reached:
    """Return a goal's end."""
    shown = {"account": account, "release": release, "at": at, "goal": "flatten", "flaw": flaw}
    return msgspec.convert(shown, Reached)


def bucket(
    at: int = BEGIN,
    ours: int = 100,
    theirs: int = 100,
    took: int = 0,
    account: int = CANARY,
    release: str = NEW,
) -> Latencies:
    """Return a bucket in which all latencies of each are alike."""
    return Latencies(
        account=account,
        release=release,
        at=at,
        ours=(ours,) * 10,
        theirs=(theirs,) * 10,
        end_to_end=(took,) * 10 if took else (),
    )


def connected(
    is_connected: bool, at: int = BEGIN, account: int = CANARY, release: str = NEW
) -> Sample:
    """Return what is told of an account's feed."""
    return Connected(account=account, release=release, at=at, is_connected=is_connected)


def holding(
    at_minute: int, megabytes: int, process: str = "worker-1", release: str = NEW
) -> Memory:
    """Return what a process holds."""
    at = BEGIN + at_minute * MINUTE
    return Memory(process=process, release=release, at=at, held_bytes=megabytes * MB)


def folded(judging: Judging, samples: Iterable[Sample]) -> Tally:
    """Fold samples as they are read from their records."""
    tally = begin(judging)
    for sample in samples:
        tally = fold(tally, decode(encode(sample)))
    return tally


def verdicts(judging: Judging, samples: Sequence[Sample], now_minute: int) -> dict[str, Verdict]:
    """Judge at the end of a minute."""
    tally = folded(judging, samples)
    return {one.gate: one for one in judge(tally, BEGIN + now_minute * MINUTE)}


def verdict(gate: str, judging: Judging, samples: Sequence[Sample], now_minute: int) -> Verdict:
    """Judge one gate."""
    return verdicts(judging, samples, now_minute)[gate]


def all_is_well(count: int = 60) -> list[Sample]:
    """Return samples by which every gate passes after `count` minutes of at least 40."""
    samples: list[Sample] = [connected(True), *(goal(at=BEGIN + nth) for nth in range(3))]
    samples += [bucket(at=BEGIN + nth) for nth in range(20)]
    samples += [minute(0, 20, 20, told=24)]
    samples += [minute(number, 20, 20) for number in range(1, count)]
    samples += [fired()]
    return samples
