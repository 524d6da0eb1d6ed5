"""Samples as records: what is written is read, what nobody can have seen is refused."""

import msgspec
import pytest

from risk_daemon.errors import Malformed
from risk_daemon.wire import sample
from risk_daemon.wire.sample import (
    FAILURES_MAX,
    Damaged,
    Failure,
    Sample,
    Stored,
    decode,
    encode,
)
from tests.rollout.telling import (
    BEGIN,
    CANARY,
    NEW,
    bucket,
    connected,
    fired,
    goal,
    holding,
    minute,
)

EVERY: list[Sample] = [
    minute(3, failing=(1, 5), told=2),
    bucket(took=90),
    fired("looser", 1),
    goal(flaw="late"),
    connected(False),
    holding(5, 300),
    Damaged(account=CANARY, release=NEW, at=BEGIN, what="crash", detail="exit code -9"),
]


@pytest.mark.parametrize("one", EVERY, ids=lambda one: type(one).__name__)
def test_what_is_written_is_read_again(one: Sample) -> None:
    assert decode(encode(one)) == one
    assert encode(decode(encode(one))) == encode(one)


def test_a_full_sample_is_small() -> None:
    whole = minute(3, facts=FAILURES_MAX, failing=range(FAILURES_MAX), name="x" * 60)

    assert len(encode(whole)) < 8_000


WRONG: dict[str, Sample] = {
    "a span from": msgspec.structs.replace(minute(0), end=BEGIN),
    "other samples": msgspec.structs.replace(minute(0), told=-1),
    "records": msgspec.structs.replace(minute(0), decided=(20, -1, 0)),
    "65 failures listed": minute(0, facts=65, failing=range(65)),
    "2 failures listed, 1 counted": msgspec.structs.replace(
        minute(0, failing=(1, 5)), failed=(1, 0, 0)
    ),
    "21 counted, 20 records of class fact": msgspec.structs.replace(minute(0), failed=(21, 0, 0)),
    "a failure at": msgspec.structs.replace(
        minute(0), failed=(1, 0, 0), failures=(Failure("fact", "x", BEGIN - 1, 1, 0),)
    ),
    "a failure of record 20": msgspec.structs.replace(
        minute(0), failed=(1, 0, 0), failures=(Failure("fact", "x", BEGIN, 1, 20),)
    ),
    "a bucket of 10 and 9": msgspec.structs.replace(bucket(), theirs=(1,) * 9),
    "a bucket of 9 and 9": msgspec.structs.replace(bucket(), ours=(1,) * 9, theirs=(1,) * 9),
    "a bucket of 21 and 21": msgspec.structs.replace(bucket(), ours=(1,) * 21, theirs=(1,) * 21),
    "below zero": bucket(ours=-1),
    "fired 0 times": fired(count=0),
    "-1000000 bytes": holding(0, -1),
}


@pytest.mark.parametrize("words", WRONG)
def test_what_nobody_can_have_seen_is_refused_with_what_is_wrong(words: str) -> None:
    with pytest.raises(Malformed, match=words):
        decode(encode(WRONG[words]))


def test_a_failure_of_the_last_record_at_the_beginning_of_a_span_is_possible() -> None:
    last = msgspec.structs.replace(
        minute(0), failed=(1, 0, 0), failures=(Failure("fact", "x", BEGIN, 1, 19),)
    )

    assert decode(encode(last)) == last


@pytest.mark.parametrize("payload", [b"", b"\xff", b"\x93\x01\x02\x03", encode(minute(0))[:-1]])
def test_other_bytes_are_refused(payload: bytes) -> None:
    with pytest.raises(Malformed, match="no sample"):
        decode(payload)


def test_a_later_format_is_refused_with_what_this_release_reads() -> None:
    with pytest.raises(Malformed, match="format 2; this release reads 1"):
        decode(msgspec.msgpack.encode(Stored(2, minute(0))))


def test_a_sample_told_twice_has_the_same_name_and_two_samples_have_two() -> None:
    fired = sample.Fired(account=1, release="v2", at=5, rule="max-contracts", how="agreeing")
    told: list[Sample] = [
        sample.Decided(account=1, release="v2", begin=5, end=6, decided=(0, 0, 0)),
        sample.Reached(account=1, release="v2", at=5, goal="MNQ:3"),
        fired,
        msgspec.structs.replace(fired, rule="kill-switch"),
        sample.Connected(account=1, release="v2", at=5, is_connected=True),
        sample.Connected(account=1, release="v2", at=6, is_connected=True),
    ]
    names = [sample.name_of(sample.encode(one)) for one in told]

    assert names == [
        "decided:5",
        "reached:MNQ:3",
        "fired:max-contracts:5",
        "fired:kill-switch:5",
        "connected:5",
        "connected:6",
    ]
    assert names == [sample.name_of(sample.encode(one)) for one in told]
