"""Seeded days of a release and of the one it is compared with, told as samples, and judged.

Everything goes the way it does in production: a sample is written as the payload of a record, read
again, folded, and the verdicts come from `judge`. One account, one class of records; the release
is looked at after each sample that tells of a failure: only then can a verdict of fail begin.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from risk_daemon.rollout.judge import judge, latency_worth
from risk_daemon.rollout.tally import Judging, Member, Tally, begin, fold
from risk_daemon.rollout.thresholds import MINUTE, SECOND, Thresholds
from risk_daemon.rollout.verdict import Verdict
from risk_daemon.wire.sample import Decided, Failure, Latencies, decode, encode

ACCOUNT = 7
#: A Wednesday, as good as any.
BEGIN = 1_790_000_000 * SECOND
HOURS = 24
PER_MINUTE = 20
RECORDS = HOURS * 60 * PER_MINUTE
#: Records that one sample tells of: a minute's, or three seconds' more or less than ten.
COARSE, FINE = 20, 4


def judging(hours: int = HOURS, thresholds: Thresholds | None = None) -> Judging:
    """Return what is judged: one account, from `BEGIN` on."""
    return Judging(
        release="v1.3.0",
        fallback="v1.2.0",
        begin=BEGIN,
        end=BEGIN + hours * 60 * MINUTE,
        members=(Member(ACCOUNT, "first"),),
        thresholds=thresholds or Thresholds(),
    )


@dataclass
class Day:
    """On which records each of both fails: their numbers, and what with."""

    ours: dict[int, str] = field(default_factory=dict)
    theirs: dict[int, str] = field(default_factory=dict)


def at(record: int) -> int:
    """Return when a record of the day comes."""
    return BEGIN + record * MINUTE // PER_MINUTE


def seldom(chance: random.Random, rate: float, first: int, last: int) -> Iterator[int]:
    """Yield the records from `first` to before `last` that fail, each with this probability."""
    number = first - 1
    while True:
        number += 1 + int(math.log(1 - chance.random()) / math.log1p(-rate))
        if number >= last:
            return
        yield number


def broken(chance: random.Random, rate: float, onset: int = 0, before: float = 0.0005) -> Day:
    """Return a day on which the release fails at `rate` from `onset` on."""
    day = Day()
    if onset:
        day.ours.update(dict.fromkeys(seldom(chance, before, 0, onset), "KeyError fill.py:40"))
    day.ours.update(dict.fromkeys(seldom(chance, rate, onset, RECORDS), "KeyError fill.py:88"))
    day.theirs.update(dict.fromkeys(seldom(chance, 0.0005, 0, RECORDS), "KeyError fill.py:40"))
    return day


def healthy(
    chance: random.Random, rate: float = 0.0005, bursts: float = 0.0005, outage: str = "same"
) -> Day:
    """Return a day of two good releases.

    Each fails at `rate` by itself; in bursts of eight records in a row on average, at `bursts`
    all in all; and during an outage of 30 minutes in which a fifth of the records is bad: on the
    "same" for both, or for each on its "own".
    """
    day = Day()
    for failing in (day.ours, day.theirs):
        failing.update(dict.fromkeys(seldom(chance, rate, 0, RECORDS), "KeyError fill.py:40"))
        if bursts:
            for first in seldom(chance, bursts / 8, 0, RECORDS):
                length = 1 + int(math.log(1 - chance.random()) / math.log(7 / 8))
                for number in range(first, min(first + length, RECORDS)):
                    failing[number] = "Timeout link.py:12"
    if outage:
        start = chance.randrange(RECORDS - 600)
        for number in range(start, start + 600):
            bad = chance.random() < 0.2
            for failing in (day.ours, day.theirs):
                if (
                    chance.random() < 0.95
                    if outage == "same" and bad
                    else (outage == "own" and chance.random() < 0.2)
                ):
                    failing[number] = "Malformed feed.py:7"
    return day


def told(
    release: str, failing: dict[int, str], first: int, last: int, account: int = ACCOUNT
) -> Decided:
    """Return what is told of the records from `first` to before `last`."""
    return Decided(
        account=account,
        release=release,
        begin=at(first),
        end=at(last),
        decided=(last - first, 0, 0),
        failed=(sum(number in failing for number in range(first, last)), 0, 0),
        failures=tuple(
            Failure("fact", failing[number], at(number), number + 1, number - first)
            for number in range(first, last)
            if number in failing
        ),
    )


def errors_of(verdicts: Sequence[Verdict]) -> Verdict:
    """Return the verdict on the error rate."""
    return next(one for one in verdicts if one.gate == "errors")


@dataclass
class Seen:
    """How a day went: records until it failed (0: it didn't), what else was said, the end."""

    failed_at: int
    said: Counter[str]
    tally: Tally
    last: Verdict


def play(day: Day, fine_from: int = RECORDS, until: int = RECORDS) -> Seen:
    """Judge a day, record by record of the stream; from `fine_from` on in small samples."""
    tally = begin(judging())
    said: Counter[str] = Counter()
    first = 0
    verdict = errors_of(judge(tally, BEGIN))
    while first < until:
        last = min(first + (COARSE if first < fine_from else FINE), until)
        ours, theirs = (
            told("v1.3.0", day.ours, first, last),
            told("v1.2.0", day.theirs, first, last),
        )
        for sample in (ours, theirs):
            tally = fold(tally, decode(encode(sample)))
        if ours.failures:
            verdict = errors_of(judge(tally, at(last)))
            said[verdict.says] += 1
            if verdict.says == "fail":
                return Seen(last, said, tally, verdict)
        first = last
    return Seen(0, said, tally, errors_of(judge(tally, at(until))))


def latencies(
    chance: random.Random, factor: float, pairs: int, onset: int = 0
) -> Iterator[Latencies]:
    """Yield buckets of ten: a market with its moods, and each release's own noise around it."""
    mood = 0.0
    ours: list[int] = []
    theirs: list[int] = []
    for number in range(pairs):
        mood = 0.98 * mood + chance.gauss(0, 0.08)
        event = mood + chance.gauss(0, 0.4) + math.log(20_000)
        slow = factor if number >= onset else 1.0
        ours.append(int(slow * math.exp(event + chance.gauss(0, 0.45))))
        theirs.append(int(math.exp(event + chance.gauss(0, 0.45))))
        if len(ours) == 10:
            yield Latencies(
                account=ACCOUNT,
                release="v1.3.0",
                at=at(number),
                ours=tuple(ours),
                theirs=tuple(theirs),
                end_to_end=tuple(ours),
            )
            ours, theirs = [], []


def slow_at(samples: Iterator[Latencies], hours: int = 12) -> int:
    """Return after how many pairs the release is said to be too slow; 0: never."""
    tally = begin(judging(hours))
    threshold = 1e6 / tally.limits.alpha_ppm
    seen = hits = 0
    for sample in samples:
        tally = fold(tally, decode(encode(sample)))
        seen += len(sample.ours)
        before, hits = hits, sum(one[1] + one[2] for one in tally.buckets.values())
        if hits > before and latency_worth(tally) >= threshold:
            verdicts = {one.gate: one.says for one in judge(tally, sample.at)}
            assert verdicts["latency"] == "fail"
            return seen
    return 0
