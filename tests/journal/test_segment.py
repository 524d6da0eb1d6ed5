"""The segment for the time the journal is away: on the disk before anything acts on it."""

from pathlib import Path

import pytest

from risk_daemon.core.events import (
    AlarmRaised,
    Fact,
    Goal,
    Intended,
    LeaseGranted,
    LockPlaced,
    OperatorActed,
)
from risk_daemon.journal.segment import BYTES, Segment, kept, once, path_of

ACT = OperatorActed(account=1, act="flatten-lock", by="anna", reason="r", act_id="a1")
INTENT = Intended(
    account=1, epoch=2, cause_seq=3, key="1:kill-switch:3:close", goal=Goal(act="close", account=1)
)
LOCK = LockPlaced(
    account=1, lock="l", rule="r", mode="full", began_at=5, until=None, reason="because"
)
TORN = b'{"format": 1, "kind": "inte' + b"x" * 2_000


def lease(epoch: int) -> LeaseGranted:
    return LeaseGranted(account=1, holder="w", release="v1", epoch=epoch, incarnation=0)


@pytest.fixture
def segment(tmp_path: Path) -> Segment:
    return Segment(tmp_path / "emergency.jsonl")


@pytest.mark.parametrize("has_room", [True, False])
def test_what_was_written_is_read_back_in_order(segment: Segment, *, has_room: bool) -> None:
    if has_room:
        segment.take_room()
    for fact in (ACT, INTENT, LOCK, lease(3)):
        segment.write(fact)

    assert Segment(segment.path).read() == [ACT, INTENT, LOCK, lease(3)]
    assert Segment(segment.path).damaged() == 0


def test_without_a_file_there_is_nothing(segment: Segment) -> None:
    segment.clear()

    assert segment.read() == []


def test_its_room_is_taken_once_and_changes_nothing_in_it(segment: Segment) -> None:
    segment.write(ACT)

    segment.take_room()
    segment.take_room()

    assert segment.path.stat().st_size == BYTES
    assert segment.read() == [ACT]


def test_a_torn_last_line_was_not_acted_on_and_is_written_over(segment: Segment) -> None:
    segment.take_room()
    segment.write(ACT)
    whole = segment.path.read_bytes().rstrip(b"\0")
    segment.path.write_bytes(whole + TORN)

    again = Segment(segment.path)
    assert (again.read(), again.damaged()) == ([ACT], 0)
    again.write(INTENT)
    again.write(LOCK)

    found = Segment(segment.path)
    assert (found.read(), found.damaged()) == ([ACT, INTENT, LOCK], 0)


@pytest.mark.parametrize("at", [12, 30, 60, -6])
def test_a_damaged_line_is_counted_and_the_others_are_read(segment: Segment, at: int) -> None:
    segment.write(ACT)
    raw = bytearray(segment.path.read_bytes())
    raw[at] ^= 1
    segment.path.write_bytes(raw)
    segment = Segment(segment.path)
    segment.write(INTENT)

    assert (segment.read(), segment.damaged()) == ([INTENT], 1)


def test_lines_of_an_older_release_have_no_checksum_and_are_read(segment: Segment) -> None:
    segment.write(ACT)
    old = segment.path.read_text().rpartition(', "crc"')[0] + "}\n"
    segment.path.write_text(old)

    assert Segment(segment.path).read() == [ACT]


def test_cleared_it_is_empty_and_keeps_its_room(segment: Segment) -> None:
    segment.take_room()
    segment.write(ACT)
    segment.clear()
    segment.clear()

    assert segment.read() == []
    assert segment.path.stat().st_size == BYTES
    segment.write(INTENT)
    assert Segment(segment.path).read() == [INTENT]


@pytest.mark.parametrize(
    ("fact", "name"),
    [
        (ACT, "a1"),
        (INTENT, "1:kill-switch:3:close"),
        (LOCK, "1:l:5"),
        (AlarmRaised(account=1, level="warn", what="w", text="t"), ""),
    ],
)
def test_each_fact_is_folded_in_once_under_its_name(fact: Fact, name: str) -> None:
    assert once(fact) == name


def test_what_all_logins_kept_is_locks_first_then_each_accounts_epochs_rising(
    tmp_path: Path,
) -> None:
    for fact in (lease(3), ACT, lease(2)):
        Segment(path_of(tmp_path, "south")).write(fact)
    Segment(path_of(tmp_path, "west")).write(LOCK)

    assert list(kept(tmp_path)) == [LOCK, lease(2), lease(3)]


def test_goals_are_told_with_the_instants_they_were_written_at(segment: Segment) -> None:
    segment.write(LOCK, 6)
    segment.write(INTENT, 7)

    assert Segment(segment.path).goals() == [(7, INTENT)]
    assert Segment(segment.path).read() == [LOCK, INTENT]


def test_a_line_of_an_older_release_does_not_say_when(segment: Segment) -> None:
    segment.write(INTENT, 7)
    for instant in (b"", b', "at": null', b', "at": "x"'):
        line = segment.path.read_bytes().replace(b', "at": 7', instant)
        older = Segment(segment.path.with_name("older"))
        older.path.write_bytes(line)

        assert older.goals() == [(0, INTENT)]


def test_a_damaged_line_is_no_goal(segment: Segment) -> None:
    segment.write(INTENT, 7)
    segment.path.write_bytes(segment.path.read_bytes()[:40] + b"\n")

    assert (segment.goals(), segment.damaged()) == ([], 1)
