"""The lock file: whatever is damaged, no lock that stood is lost, none is shorter."""

import zlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from risk_daemon.core.events import Fact, LockEnded, LockPlaced
from risk_daemon.errors import Malformed
from risk_daemon.wire.locks import (
    Row,
    Slot,
    Standing,
    decode_slot,
    encode_slot,
    highest,
    missing,
    precaution,
    together,
)
from risk_daemon.wire.record import NewRecord, Record, new_record


def lock(
    name: str = "day:4",
    account: int = 7,
    mode: str = "full",
    until: int | None = 900,
    **more: str,
) -> LockPlaced:
    found = {"rule": "daily-realized-loss", "reason": "x"} | more
    return LockPlaced(account=account, lock=name, mode=mode, began_at=4, until=until, **found)


def row(*locks: LockPlaced, account: int = 7, **marks: int) -> Row:
    return Row(account=account, locks=locks, marks={"drawdown": marks} if marks else {})


rows = st.lists(
    st.builds(
        row,
        st.builds(
            lock, st.text(max_size=5), until=st.none() | st.integers(0, 99), reason=st.text()
        ),
        account=st.integers(0, 5),
        settled=st.integers(-9, 9),
    ),
    max_size=4,
    unique_by=lambda one: one.account,
).map(tuple)
slots = st.builds(
    Slot,
    number=st.integers(0, 1 << 60),
    incarnation=st.integers(0, 1 << 48),
    seq=st.integers(0, 1 << 60),
    crc=st.integers(0, (1 << 32) - 1),
    epoch=st.integers(0, 1 << 60),
    rows=rows,
)


def record(seq: int, fact: Fact) -> Record:
    new = new_record(fact)
    return Record(seq, seq, new.version, new.kind, new.account, new.payload, seq + 1_000)


def standing(*facts: Fact) -> Standing:
    found = Standing()
    for seq, fact in enumerate(facts, start=1):
        found.take(record(seq, fact))
    return found


# --- one slot ---------------------------------------------------------------------------


@given(slots)
def test_a_slot_comes_back_as_it_went(slot: Slot) -> None:
    assert decode_slot(encode_slot(slot)) == slot


@given(slots, st.data())
def test_damage_is_never_taken_for_the_whole(slot: Slot, data: st.DataObject) -> None:
    raw = bytearray(encode_slot(slot))
    place = data.draw(st.integers(0, len(raw) - 1))
    if data.draw(st.booleans()):
        raw[place] ^= 1 << data.draw(st.integers(0, 7))
    else:
        del raw[place:]

    found = decode_slot(bytes(raw))

    if found is not None:
        assert not found.is_whole or found == slot
        assert all(one in slot.rows for one in found.rows)


def test_a_line_that_holds_is_kept_when_others_do_not() -> None:
    slot = Slot(number=3, incarnation=9, seq=5, crc=6, rows=(row(lock()), row(account=8, s=1)))
    head, first, second = encode_slot(slot).splitlines(keepends=True)
    bad = b"0" * 8 + b" {}\n"

    assert decode_slot(bad + first) == Slot(rows=(row(lock()),), is_whole=False)
    assert decode_slot(first + second) == Slot(rows=slot.rows, is_whole=False)
    assert decode_slot(head + bad + second) == msgspec.structs.replace(
        slot, rows=(row(account=8, s=1),), is_whole=False
    )
    assert decode_slot(head + first + second[:-1]) is not None
    assert decode_slot(bad) is None
    assert decode_slot(b"") is None


def test_a_newer_format_is_left_alone() -> None:
    newer = encode_slot(Slot()).partition(b" ")[2].replace(b'"format":1', b'"format":2').strip()
    with pytest.raises(Malformed, match="has format 2, this release knows 1"):
        decode_slot(b"%08x %b\n" % (zlib.crc32(newer), newer))


# --- both slots --------------------------------------------------------------------------


def numbered(number: int, *rows: Row, is_whole: bool = True) -> Slot:
    return Slot(number=number, incarnation=9, seq=number, crc=1, rows=rows, is_whole=is_whole)


def test_of_two_whole_slots_that_follow_each_other_the_newer_counts() -> None:
    older, newer = numbered(4, row(lock("a"))), numbered(5, row(lock("b")))

    assert together([older, newer]) == together([newer, older]) == newer


@pytest.mark.parametrize(
    "pair",
    [
        (numbered(4, row(lock("a"))), numbered(6, row(lock("b")))),
        (numbered(4, row(lock("a"))), numbered(5, row(lock("b")), is_whole=False)),
        (numbered(4, row(lock("a")), is_whole=False), numbered(5, row(lock("b")))),
        (numbered(5, row(lock("a"))), numbered(5, row(lock("b")))),
    ],
)
def test_where_something_may_be_missing_all_that_either_says_counts(
    pair: tuple[Slot, Slot],
) -> None:
    found = together(pair)

    assert found is not None
    assert (found.seq, found.is_whole) == (pair[1].seq, False)
    assert found.rows == (row(lock("a"), lock("b")),)


def test_one_slot_alone_is_not_the_whole_and_none_is_nothing() -> None:
    alone = numbered(4, row(lock(), s=1))

    assert together([None, alone]) == msgspec.structs.replace(alone, is_whole=False)
    assert together([None, None]) is None


def test_what_both_say_is_said_once_and_each_mark_is_the_higher_one() -> None:
    found = together(
        [numbered(2, row(lock(), s=1, t=5), row(account=3)), numbered(8, row(lock(), s=4, t=2))]
    )

    assert found is not None
    assert found.rows == (row(account=3), row(lock(), s=4, t=5))
    assert highest({"a": {"x": 1}}, {"b": {"y": -2}}) == {"a": {"x": 1}, "b": {"y": -2}}


# --- by the records ------------------------------------------------------------------------


def test_what_stands_is_what_was_placed_and_not_ended() -> None:
    ended = LockEnded(account=7, lock="a", why="over")
    found = standing(lock("a"), lock("b"), ended, lock("a", account=8))

    assert found.rows({9: {"r": {"s": 1}}, 8: {}}) == (
        row(lock("b")),
        row(lock("a", account=8), account=8),
        Row(account=9, marks={"r": {"s": 1}}),
    )
    assert found.names == {(7, "a"), (7, "b"), (8, "a")}
    assert (found.seq, found.crc) == (4, 1_004)
    assert standing(lock("a"), ended).rows({}) == ()


def test_a_record_of_another_kind_changes_nothing() -> None:
    found = Standing()

    assert not found.take(Record(1, 1, 1, "pulse", 0, b"\x80", 5))
    assert (found.seq, found.crc) == (0, 0)


@pytest.mark.parametrize(("kind", "payload"), [("lock-x", b"\x80"), ("lock-placed", b"?")])
def test_what_cannot_be_read_counts_as_the_strictest_lock(kind: str, payload: bytes) -> None:
    new = NewRecord(kind, 7, payload)
    found = Standing()

    assert found.take(Record(5, 6, new.version, kind, 7, payload, 1))

    (placed,) = found.of(7)
    assert (placed.lock, placed.mode, placed.until) == ("unknown:5", kind, None)


def test_an_end_of_a_lock_that_never_stood_is_no_harm() -> None:
    assert standing(LockEnded(account=7, lock="a", why="")).rows({}) == ()


def test_what_a_slot_says_can_be_gone_on_from() -> None:
    slot = Slot(seq=5, crc=6, rows=(row(lock("a")), row(account=8, s=1)))
    found = Standing.of_slot(slot)

    assert (found.seq, found.crc, found.names) == (5, 6, {(7, "a")})
    assert found.of(7) == (lock("a"),)


# --- after the loss --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "held",
    [
        lock(),
        lock(until=None),
        lock(until=901),
        lock(mode="of a newer release"),
    ],
)
def test_what_the_database_knows_as_strict_and_as_long_needs_nothing(held: LockPlaced) -> None:
    assert missing(standing(held), [row(lock())], 50) == []


@pytest.mark.parametrize(
    "held",
    [
        lock(until=899),
        lock(mode="reduce-only"),
        lock(scope="roots:ES"),
        lock("other"),
        lock(account=8),
    ],
)
def test_what_it_knows_milder_or_shorter_or_not_at_all_is_placed_again(held: LockPlaced) -> None:
    expected = msgspec.structs.replace(lock(), lock="restored:50:day:4")

    assert missing(standing(held), [row(lock())], 50) == [expected]


def test_a_lock_without_an_end_is_longer_than_any() -> None:
    (found,) = missing(standing(lock(until=10**18)), [row(lock(until=None))], 50)

    assert found.until is None


def test_a_lock_that_was_restored_before_is_named_by_the_last_time() -> None:
    (found,) = missing(Standing(), [row(lock("restored:3:day:4"))], 50)

    assert found.lock == "restored:50:day:4"


@pytest.mark.parametrize(
    "own",
    [
        lock("platform", rule="platform"),
        lock("unknown-feed", rule="unknown"),
        lock("unarmed:x", scope="configuration"),
    ],
)
def test_a_lock_with_a_condition_of_its_own_keeps_its_name_or_becomes_a_persons(
    own: LockPlaced,
) -> None:
    ended = LockEnded(account=7, lock=own.lock, why="over")

    assert missing(Standing(), [row(own)], 50) == [own]
    (renamed,) = missing(standing(own, ended), [row(own)], 50)
    assert (renamed.lock, renamed.rule, renamed.scope) == (
        f"restored:50:{own.lock}",
        "kill-switch",
        "",
    )
    assert renamed.reason == f"{own.rule}: x"
    assert (renamed.mode, renamed.until) == (own.mode, own.until)


def test_an_account_of_which_nobody_knows_opens_nothing_and_closes_nothing() -> None:
    found = precaution(7, 5, 900, 50)

    assert (found.mode, found.rule, found.until) == ("reduce-only", "kill-switch", 900)
    assert (found.account, found.began_at, found.lock) == (7, 5, "restored:50:unknown")
