"""The lock file: always as new as the state file, and a witness against one that lost something."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from risk_daemon.core.events import Fact, LockEnded, LockPlaced
from risk_daemon.errors import OperatorError
from risk_daemon.journal import lock_file
from risk_daemon.journal.batch import Batch
from risk_daemon.journal.file import JournalFile, WriteFailed
from risk_daemon.journal.lock_file import SLOTS
from risk_daemon.journal.sequencer import Sequencer
from risk_daemon.wire.control import Lease, Snapshot
from risk_daemon.wire.locks import Row, Slot
from risk_daemon.wire.record import new_record
from tests.journal.homes import mark


def placed(name: str, account: int = 7) -> LockPlaced:
    return LockPlaced(
        account=account, lock=name, rule="r", mode="full", began_at=1, until=None, reason="x"
    )


def ended(name: str) -> LockEnded:
    return LockEnded(account=7, lock=name, why="over")


class Kept:
    """A state file, and what is stored in it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.file = JournalFile(path, 5)

    def store(
        self,
        *facts: Fact,
        snapshots: tuple[Snapshot, ...] = (),
        leases: tuple[Lease, ...] = (),
    ) -> None:
        head = self.file.head
        sequencer = Sequencer(head.seq, head.at, head.crc)
        batch = Batch(1)
        batch.records = [sequencer.admit(mark(), 1)]
        batch.records += [sequencer.admit(new_record(fact), 1) for fact in facts]
        batch.snapshots, batch.leases = list(snapshots), list(leases)
        self.file.store(batch)
        self.reopen()

    def reopen(self) -> None:
        self.file.close()
        self.file = JournalFile(self.path, 5)

    @property
    def slot(self) -> Slot:
        found = lock_file.read(self.path.parent)
        assert found is not None
        return found

    @property
    def locks(self) -> list[str]:
        return [lock.lock for row in self.slot.rows for lock in row.locks]


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    return Kept(tmp_path / "state" / "journal.db")


def slots(kept: Kept) -> list[bytes]:
    return [(kept.path.parent / name).read_bytes() for name in SLOTS]


def test_a_new_state_file_has_a_whole_lock_file_of_its_own(kept: Kept) -> None:
    assert kept.slot == Slot(number=2, incarnation=kept.file.head.incarnation)
    assert (kept.path.parent / SLOTS[0]).stat().st_mode & 0o777 == 0o600


def test_each_record_about_a_lock_is_kept_before_anybody_is_answered(kept: Kept) -> None:
    kept.store(placed("a"), placed("b"))
    assert kept.locks == ["a", "b"]
    kept.store(ended("a"))

    assert kept.locks == ["b"]
    assert kept.slot.is_whole
    assert (kept.slot.number, kept.slot.seq, kept.slot.crc) == (4, 5, kept.file.head.crc)


def test_what_says_nothing_of_locks_writes_nothing(kept: Kept) -> None:
    before = slots(kept)
    kept.store()

    assert slots(kept) == before


def snapshot(body: bytes, release: str = "v1") -> Snapshot:
    return Snapshot(7, release, 3, 1, "", body)


def settled(at: int) -> bytes:
    """A state with a high-water mark."""
    return msgspec.msgpack.encode({"account": 7, "memory": {lock_file.HIGH_WATER: {"settled": at}}})


def test_high_water_marks_are_taken_from_snapshots_and_stay(kept: Kept) -> None:
    state = {"account": 7, "memory": {"other": {"x": 1}, lock_file.HIGH_WATER: {"settled": 5}}}
    kept.store(snapshots=(snapshot(msgspec.msgpack.encode(state)),))
    before = slots(kept)
    kept.store(snapshots=(snapshot(b"\xc1"), snapshot(msgspec.msgpack.encode({"memory": {}}))))

    assert slots(kept) == before
    assert kept.slot.rows == (Row(account=7, marks={lock_file.HIGH_WATER: {"settled": 5}}),)


def test_high_water_marks_are_those_of_the_release_that_holds_the_account(kept: Kept) -> None:
    kept.store(leases=(Lease(7, "worker-1@v1", "v1", 1, kept.file.head.incarnation, 1),))
    kept.store(
        snapshots=(snapshot(settled(9), "v2"), snapshot(settled(5)), snapshot(settled(8), "v2"))
    )
    assert kept.slot.rows == (Row(account=7, marks={lock_file.HIGH_WATER: {"settled": 5}}),)

    kept.store(leases=(Lease(7, "worker-1@v2", "v2", 2, kept.file.head.incarnation, 2),))
    kept.store(snapshots=(snapshot(settled(6)), snapshot(settled(9), "v2")))

    assert kept.slot.rows == (Row(account=7, marks={lock_file.HIGH_WATER: {"settled": 9}}),)


def test_a_slot_that_can_not_be_written_ends_the_journal(kept: Kept) -> None:
    for name in SLOTS:
        (kept.path.parent / name).unlink()
        (kept.path.parent / name).mkdir()

    with pytest.raises(WriteFailed, match="the lock file can't be written"):
        kept.store(placed("a"))


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.unlink(),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(path.read_bytes()[:-9]),
        lambda path: path.write_bytes(path.read_bytes().replace(b"reason", b"reasom")),
    ],
)
@pytest.mark.parametrize("hit", [SLOTS, SLOTS[:1], SLOTS[1:]])
def test_a_damaged_lock_file_is_written_anew_from_a_sound_state_file(
    kept: Kept, damage: Callable[[Path], None], hit: tuple[str, ...]
) -> None:
    kept.store(placed("a"))
    for name in hit:
        damage(kept.path.parent / name)

    kept.reopen()

    assert kept.locks == ["a"]
    assert kept.slot.is_whole


def test_a_newer_format_is_not_overwritten(kept: Kept) -> None:
    (kept.path.parent / SLOTS[0]).write_bytes(b'843390fa {"format":2}\n')
    kept.file.close()
    before = slots(kept)

    try:
        with pytest.raises(OperatorError, match="has format 2, this release knows 1"):
            JournalFile(kept.path, 5)
    finally:
        assert slots(kept) == before


# --- a state file that has lost something -----------------------------------------------------


def set_aside(kept: Kept) -> bytes:
    kept.reopen()
    return kept.path.read_bytes()


def put_back(kept: Kept, content: bytes) -> None:
    kept.file.close()
    kept.path.write_bytes(content)


def refused(kept: Kept, sentence: str) -> None:
    before = slots(kept)
    with pytest.raises(OperatorError, match=sentence) as said:
        JournalFile(kept.path, 5)
    assert "restore --rebuild" in said.value.sentence
    assert slots(kept) == before


def test_an_older_copy_is_noticed_by_a_lock_it_does_not_know(kept: Kept) -> None:
    older = set_aside(kept)
    kept.store(placed("a"))
    put_back(kept, older)

    refused(kept, "ends at record 0 and epoch 0, but the lock file knows of record 2 and")


def test_an_older_copy_that_grew_is_noticed_too(kept: Kept) -> None:
    older = set_aside(kept)
    kept.store(placed("a"))
    newer = slots(kept)
    put_back(kept, older)
    for name in SLOTS:
        (kept.path.parent / name).unlink()
    kept.file = JournalFile(kept.path, 5)
    kept.store(placed("b", 8))
    kept.file.close()
    for name, content in zip(SLOTS, newer, strict=True):
        (kept.path.parent / name).write_bytes(content)

    refused(kept, "record 2 of the state file is not the one that the lock file knows")


def test_another_file_is_noticed(kept: Kept, tmp_path: Path) -> None:
    other = Kept(tmp_path / "other" / "journal.db")
    put_back(kept, set_aside(other))

    refused(kept, "belongs to another state file")


@pytest.mark.parametrize("lose", [lambda path: path.unlink(), lambda path: path.write_bytes(b"")])
def test_a_state_file_that_is_gone_is_not_begun_anew(
    kept: Kept, lose: Callable[[Path], None]
) -> None:
    kept.file.close()
    lose(kept.path)

    refused(kept, "is gone, but its lock file is here")
    assert not kept.path.exists() or not kept.path.stat().st_size


def test_a_lock_that_sqlite_does_not_find_any_more_is_missed(kept: Kept) -> None:
    kept.store(placed("a"))
    kept.file.close()
    content = kept.path.read_bytes()
    at = content.index(b"lock-placed")  # the index lies behind the table
    at = content.rindex(b"lock-placed") if content.count(b"lock-placed") > 1 else at
    kept.path.write_bytes(content[:at] + b"lick-placed" + content[at + 11 :])

    with pytest.raises(OperatorError):
        JournalFile(kept.path, 5)
