"""PURE: what a release is judged by, as it is stored: samples, one record of the stream each.

Whoever runs or watches a release tells what it saw in small, bounded samples; nothing else enters
a verdict, so that anybody can work a verdict out again from the stream. Instants are UTC ns,
latencies µs, memory bytes. Shapes and bounds: docs/formats/samples.md.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from risk_daemon.errors import Malformed

#: The format of what is written; readers refuse a higher one.
FORMAT: Final = 1
#: What a record is to who decides on it: a fact of the broker, a price, an attempt to enforce.
CLASSES: Final = ("fact", "mark", "enforcement")
Class = Literal["fact", "mark", "enforcement"]
#: So many failures are listed in one sample; all are counted.
FAILURES_MAX: Final = 64
#: Pairs in one bucket of latencies.
PAIRS: Final = (10, 20)
#: Shortest and longest time that one `Decided` tells of; a quiet account uses the longest.
SPAN_NS: Final = (10_000_000_000, 60_000_000_000)

How = Literal["agreeing", "looser", "stricter", "declared"]
Source = Literal["live", "recorded", "generated"]
Flaw = Literal["", "residue", "orphan", "duplicate", "late"]
Damage = Literal[
    "crash",
    "state-diverged",
    "chain-broken",
    "reconcile-failed",
    "lease-violated",
    "breach-unanswered",
    "rule-test-failed",
    "security",
]


class Failure(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One record that a release failed on.

    `fingerprint` is the same for the same fault (where it was raised, and what); `seq` is the
    record's, `nth` its place, from 0, among the records of its class in this sample.
    """

    kind: Class
    fingerprint: str
    at: int
    seq: int
    nth: int


class Decided(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag="decided"):
    """How many records a release decided for an account in [begin, end), and how many failed.

    Counts are in the order of `CLASSES`. The spans of an account follow each other without a gap:
    a missing one is noticed. `told` is the number of other samples (`Latencies`, live `Fired`,
    `Reached`, `Connected`) of this account and release in the span; they are stored before it.
    """

    account: int
    release: str
    begin: int
    end: int
    decided: tuple[int, int, int]
    failed: tuple[int, int, int] = (0, 0, 0)
    failures: tuple[Failure, ...] = ()
    told: int = 0


class Latencies(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag="latencies"):
    """One bucket: as many latencies of a release as of the one it is compared with, in µs.

    Both were measured at the same time, best on the same records; `end_to_end` are the release's
    own from the journal to the answer, for the absolute limits.
    """

    account: int
    release: str
    at: int
    ours: tuple[int, ...]
    theirs: tuple[int, ...]
    end_to_end: tuple[int, ...] = ()


class Fired(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag="fired"):
    """A rule fired in the release, in what it is compared with, or in both; `count` times alike.

    `name` is that of the declared difference. `source` says where the records came from.
    """

    account: int
    release: str
    at: int
    rule: str
    how: How
    name: str = ""
    source: Source = "live"
    count: int = 1


class Reached(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag="reached"):
    """A goal came to its end: proven as wanted, or with a flaw."""

    account: int
    release: str
    at: int
    goal: str
    flaw: Flaw = ""


class Connected(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag="connected"):
    """An account's feed came, went, or (once at the beginning) is as it is."""

    account: int
    release: str
    at: int
    is_connected: bool


class Memory(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag="memory"):
    """What a process of a release holds, proportional set size; once a minute."""

    process: str
    release: str
    at: int
    held_bytes: int


class Damaged(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag="damaged"):
    """Something of which one is too many. `account` 0: of the whole daemon."""

    account: int
    release: str
    at: int
    what: Damage
    detail: str


Sample = Decided | Latencies | Fired | Reached | Connected | Memory | Damaged


class Stored(msgspec.Struct, frozen=True, gc=False):
    """The payload of a record that carries a sample."""

    format: int
    sample: Sample


_encoder = msgspec.msgpack.Encoder(order="deterministic")
_decoder = msgspec.msgpack.Decoder(Stored)


def encode(sample: Sample) -> bytes:
    """Write a sample's payload; equal samples give equal bytes."""
    return _encoder.encode(Stored(FORMAT, sample))


def decode(payload: bytes) -> Sample:
    """Read a payload. Raises Malformed if it is not of this shape, or says the impossible."""
    try:
        stored = _decoder.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Malformed(f"this is no sample: {error}") from error
    if stored.format != FORMAT:
        raise Malformed(
            f"a sample of format {stored.format}; this release reads {FORMAT}: use a newer one"
        )
    why = impossible(stored.sample)
    if why:
        raise Malformed(f"this is no sample: {why}")
    return stored.sample


def name_of(payload: bytes) -> str:
    """Name a sample within its release and account: the same one told twice has the same name."""
    sample = decode(payload)
    match sample:
        case Decided():
            return f"decided:{sample.begin}"
        case Reached():
            return f"reached:{sample.goal}"
        case Fired():
            return f"fired:{sample.rule}:{sample.at}"
        case _:
            return f"{type(sample).__name__.lower()}:{sample.at}"


def impossible(sample: Sample) -> str:
    """Say why nobody can have seen this; empty if somebody can."""
    match sample:
        case Decided():
            return _span_impossible(sample) or _failures_impossible(sample)
        case Latencies():
            return _bucket_impossible(sample)
        case Fired():
            return "" if sample.count > 0 else f"a rule that fired {sample.count} times"
        case Memory():
            return "" if sample.held_bytes >= 0 else f"{sample.held_bytes} bytes of memory"
        case _:
            return ""


def _span_impossible(sample: Decided) -> str:
    if not sample.begin < sample.end:
        return f"a span from {sample.begin} to {sample.end}"
    if sample.told < 0 or min(sample.decided) < 0:
        return f"{sample.told} other samples, {sample.decided} records"
    return ""


def _failures_impossible(sample: Decided) -> str:
    if len(sample.failures) > FAILURES_MAX:
        return f"{len(sample.failures)} failures listed, at most {FAILURES_MAX}"
    for place, kind in enumerate(CLASSES):
        listed = sum(failure.kind == kind for failure in sample.failures)
        if not listed <= sample.failed[place] <= sample.decided[place]:
            return (
                f"{listed} failures listed, {sample.failed[place]} counted,"
                f" {sample.decided[place]} records of class {kind}"
            )
    for failure in sample.failures:
        if not sample.begin <= failure.at < sample.end:
            return f"a failure at {failure.at}, outside of {sample.begin} to {sample.end}"
        if not 0 <= failure.nth < sample.decided[CLASSES.index(failure.kind)]:
            return f"a failure of record {failure.nth} of {sample.decided}"
    return ""


def _bucket_impossible(sample: Latencies) -> str:
    fewest, most = PAIRS
    if len(sample.ours) != len(sample.theirs) or not fewest <= len(sample.ours) <= most:
        return (
            f"a bucket of {len(sample.ours)} and {len(sample.theirs)} latencies,"
            f" as many of both and {fewest} to {most}"
        )
    if min(*sample.ours, *sample.theirs, *sample.end_to_end) < 0:
        return "a latency below zero"
    return ""
