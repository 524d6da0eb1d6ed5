"""The gap of a hand-over, from the records of it."""

from __future__ import annotations

from risk_daemon.core.events import DrainAsked, Entry, Fact, LeaseGranted, LeaseTaken
from risk_daemon.operations.releases.gaps import Handed, handed, heard, in_words, summed

MS = 1_000_000
HEIR = "worker-1@v2"


def drain(account: int, release: str = "v2", for_ms: int = 1_000) -> DrainAsked:
    return DrainAsked(
        account=account, holder="worker-1@v1", epoch=3, release=release, for_ms=for_ms
    )


def lease(account: int, release: str = "v2") -> LeaseGranted:
    return LeaseGranted(account=account, holder=HEIR, release=release, epoch=4, incarnation=1)


def word(account: int, holder: str = HEIR) -> LeaseTaken:
    return LeaseTaken(account=account, release="v2", holder=holder, epoch=4)


def stream(*facts: tuple[int, Fact]) -> list[Entry]:
    return [
        Entry(seq, ms * MS, getattr(fact, "account", 0), fact)
        for seq, (ms, fact) in enumerate(facts, start=1)
    ]


def test_a_move_begins_at_its_drain_and_ends_at_the_heirs_word() -> None:
    told = stream(
        (10, drain(7)), (12, lease(7)), (15, word(8)), (16, word(7, "other")), (19, word(7))
    )

    (one,) = handed(told, "v2")

    assert one == Handed(account=7, holder=HEIR, asked_at=10 * MS, seq=2)
    assert heard(told[2:], one) == 19 * MS
    assert heard(told[2:4], one) is None


def test_a_fail_over_a_move_elsewhere_and_a_drain_that_was_ended_are_no_moves_to_it() -> None:
    for told in (
        stream((12, lease(7))),
        stream((10, drain(7, "v3")), (12, lease(7, "v3"))),
        stream((10, drain(7)), (11, drain(7, for_ms=0)), (12, lease(7))),
        stream((10, drain(7)), (11, drain(7, "v3")), (12, lease(7))),
        stream((10, drain(7)), (5_011, lease(7))),
        stream((10, drain(7)), (12, lease(8))),
    ):
        assert handed(told, "v2") == []


def test_a_drain_counts_for_the_next_lease_only_and_up_to_five_seconds() -> None:
    told = stream((10, drain(7)), (5_010, lease(7)), (5_011, lease(7)))

    assert [one.seq for one in handed(told, "v2")] == [2]


def test_gaps_are_summed_by_nearest_rank() -> None:
    found = summed([float(n) for n in range(1, 101)], 2)

    assert (found.n, found.p50, found.p99, found.max) == (102, 50.0, 99.0, 100.0)
    assert in_words(found) == (
        "100 handed over: median 50.0 ms, p99 99.0 ms, worst 100.0 ms;"
        " 2 more without a word of the heir"
    )


def test_nothing_and_nobody_heard_are_said() -> None:
    assert in_words(summed([], 0)) == "no account was handed to it in this home yet"
    assert in_words(summed([], 2)) == "2 handed over, and no word of an heir is in the journal"
