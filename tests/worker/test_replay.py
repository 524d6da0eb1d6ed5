"""Replay: the same decisions and hashes, and one altered record is noticed."""

from __future__ import annotations

import msgspec
import pytest

from risk_daemon.core.events import (
    BreachFound,
    Entry,
    Fact,
    HashTaken,
    Intended,
    LeaseGranted,
    LockPlaced,
    Pulse,
    TradeSeen,
)
from risk_daemon.core.instrument import UNIT
from risk_daemon.core.world import state_hash
from risk_daemon.rules import CATALOG
from risk_daemon.wire.record import Record, chain, decode, encode, new_record
from risk_daemon.worker.replay import Replayed, replay
from tests.build import ACCOUNT, Stream, rule

SECOND = 10**9


def recorded(release: str = "v1") -> list[Record]:
    """A stream as the journal would hold it: facts, what was decided, a hash at the end."""
    stream = Stream().open(
        rule("kill-switch"),
        rule("daily-realized-loss", limit="500"),
        rule("max-contracts", limit=2),
    )
    facts: list[tuple[Fact, int]] = [(entry.fact, entry.at) for entry in stream.entries]
    again = Stream()
    found: list[tuple[Fact, int]] = []
    seq = 0

    def put(fact: Fact, at: int) -> list[Fact]:
        nonlocal seq
        seq += 1
        found.append((fact, at))
        return again.engine.step(Entry(seq, at, getattr(fact, "account", 0), fact))

    stream.fill(1, 1, 3, traded_at=stream.at)
    stream.fill(2, -1, 1, pnl=-500 * UNIT, traded_at=stream.at)
    facts = [(entry.fact, entry.at) for entry in stream.entries]
    for fact, at in facts:
        is_lease = isinstance(fact, LeaseGranted)
        given = msgspec.structs.replace(fact, release=release) if is_lease else fact
        for output in put(given, at):
            put(output, at)
    account = again.account
    put(
        HashTaken(
            account=ACCOUNT,
            release=release,
            holder="worker-1",
            seq=seq,
            count=account.records,
            digest=state_hash(account),
        ),
        facts[-1][1],
    )
    return chained(found)


def chained(facts: list[tuple[Fact, int]]) -> list[Record]:
    records, crc = [], 0
    for seq, (fact, at) in enumerate(facts, start=1):
        new = new_record(fact)
        crc = chain(crc, seq, at, new)
        records.append(Record(seq, at, new.version, new.kind, new.account, new.payload, crc))
    return records


def played(records: list[Record]) -> Replayed:
    return replay(records, CATALOG)


def test_a_replay_agrees_with_what_was() -> None:
    found = played(recorded())

    assert found.differences == []
    assert found.hashes == 1
    assert found.recorded > 3


def test_and_decides_the_same_without_the_intents() -> None:
    records = [record for record in recorded() if record.kind != "intended"]

    found = played(records)

    assert found.differences == []
    assert found.decisions > found.recorded


def test_a_pulse_between_a_hash_and_its_place_in_the_stream_is_no_difference() -> None:
    """A pulse changes the state (a look is due) and is not counted among the account's records."""
    *before, taken = [(decode(record).fact, record.at) for record in recorded()]
    late = before[-1][1] + 10 * SECOND

    found = played(chained([*before, (Pulse(), late), (Pulse(), 2 * late), (taken[0], 2 * late)]))

    assert found.differences == []
    assert found.hashes == 1


def held_by(release: str) -> list[Record]:
    """The same stream, its account held by a release when all of it was decided."""
    found = recorded(release)
    assert sum(record.kind == "breach-found" for record in found) > 1
    return found


def with_a_breach_of_its_own(records: list[Record]) -> list[Record]:
    """The stream of a release that found a breach where this code finds none."""
    found = [(decode(record).fact, record.at) for record in records]
    odd = BreachFound(
        account=ACCOUNT,
        rule="odd-rule",
        mode="alert",
        incident="odd",
        observed="1",
        limit="1",
        text="one is too many",
    )
    return chained([*found, (odd, found[-1][1])])


def test_what_another_release_decided_is_told_apart_and_is_no_fault() -> None:
    found = replay(with_a_breach_of_its_own(held_by("v2")), CATALOG, "v1")

    assert found.differences == []
    (only,) = found.elsewhere
    assert "BreachFound" in only
    assert f"account {ACCOUNT}, decided by v2 and not by v1: odd-rule, one is too many" in only


def test_what_the_same_release_decided_and_does_not_decide_now_is_a_fault() -> None:
    for release in ("v2", ""):
        found = replay(with_a_breach_of_its_own(held_by("v2")), CATALOG, release)

        assert (len(found.differences), found.elsewhere) == (1, []), release


def test_hashes_of_another_release_are_not_compared() -> None:
    assert replay(held_by("v2"), CATALOG, "v1").hashes == 0
    assert replay(held_by("v2"), CATALOG, "v2").hashes == 1


def altered(records: list[Record], number: int, fact: Fact) -> list[Record]:
    changed = list(records)
    changed[number] = msgspec.structs.replace(records[number], payload=encode(fact))
    return changed


@pytest.mark.parametrize("with_chain", [True, False])
def test_one_altered_fill_makes_it_fail(with_chain: bool) -> None:
    records = recorded()
    number = next(n for n, r in enumerate(records) if r.kind == "trade-seen")
    fact = msgspec.msgpack.decode(records[number].payload, type=TradeSeen)
    changed = altered(records, number, msgspec.structs.replace(fact, fees=1))
    if not with_chain:
        changed = [msgspec.structs.replace(record, seq=2 * record.seq) for record in changed]

    found = played(changed)

    assert found.differences
    assert any("chain" in text for text in found.differences) is with_chain


@pytest.mark.parametrize("kind", [Intended, LockPlaced])
def test_a_recorded_decision_that_is_not_decided_now_is_a_difference(kind: type[Fact]) -> None:
    records = recorded()
    name = {Intended: "intended", LockPlaced: "lock-placed"}[kind]
    number = next(n for n, r in enumerate(records) if r.kind == name)
    fact = msgspec.msgpack.decode(records[number].payload, type=kind)
    if isinstance(fact, Intended):
        forged: Fact = msgspec.structs.replace(fact, key=fact.key + "x")
    else:
        assert isinstance(fact, LockPlaced)
        forged = msgspec.structs.replace(fact, until=1)

    found = played(altered(records, number, forged))

    assert any("not decided now" in text for text in found.differences)
