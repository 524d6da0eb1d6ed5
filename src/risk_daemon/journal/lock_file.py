"""The lock file's two slots on the disk, and the state file measured by it.

The journal writes a slot in the same breath as it stores a record about a lock:
after the commit, before anybody is answered. So a state file that ends before
what the lock file knows has lost something, whatever SQLite thinks of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Protocol

import msgspec

from risk_daemon.errors import Malformed, OperatorError
from risk_daemon.journal import durable
from risk_daemon.journal.batch import Batch
from risk_daemon.journal.reader import Reader
from risk_daemon.wire.control import Lease, Snapshot
from risk_daemon.wire.locks import (
    Marks,
    Row,
    Slot,
    Standing,
    decode_slot,
    encode_slot,
    highest,
    together,
)

SLOTS: Final = ("locks-0.txt", "locks-1.txt")
#: The rule whose memory no reader of the broker could rebuild.
HIGH_WATER: Final = "trailing-max-drawdown"
MEND: Final = "run `risk-daemon-admin restore --rebuild`, which keeps every lock"
_PAGE: Final = 1_000


class _Memory(msgspec.Struct):
    """The one part of a snapshot that is looked at here; of any release's."""

    memory: Marks = msgspec.field(default_factory=dict)


def read(folder: Path) -> Slot | None:
    """Read both slots as one; None where nothing is left of either. Raises OperatorError."""
    return together(_slot(folder / name) for name in SLOTS)


def _slot(path: Path) -> Slot | None:
    try:
        return decode_slot(path.read_bytes())
    except FileNotFoundError:
        return None
    except Malformed as newer:
        raise OperatorError(
            f"{path}: {newer}. Use the command of the release that wrote it."
        ) from None


def write(folder: Path, slot: Slot) -> None:
    """Write one slot, the one that its number names. Raises OSError."""
    durable.write(folder / SLOTS[slot.number % 2], encode_slot(slot))


def write_both(folder: Path, slot: Slot) -> None:
    """Write the next two numbers with the same content: from here on nothing is missing."""
    for number in (slot.number + 1, slot.number + 2):
        write(folder, msgspec.structs.replace(slot, number=number))


def standing_of(reader: Reader, upto: int, kept: Slot | None = None) -> Standing:
    """Fold every record about a lock, up to a seq.

    Where the beginning of the records was archived, what stood then is known from `kept`.
    """
    found, seq = Standing(), 1
    if kept is not None and reader.first_seq() > 1:
        found = Standing.of_slot(kept)
        seq = kept.seq + 1
    kinds = [kind for kind in reader.rare_kinds() if "lock" in kind]
    while kinds and seq <= upto:
        page = reader.records(seq, upto, kinds, _PAGE)
        for record in page.records:
            found.take(record)
        seq = page.next_seq
    return found


def keep_marks(folder: Path, marks: Mapping[int, Marks]) -> None:
    """Add high-water marks to a whole lock file. Raises OSError."""
    slot = read(folder)
    assert slot is not None
    if not slot.is_whole:
        raise OperatorError(f"the lock file in {folder} is damaged")
    rows = {row.account: row for row in slot.rows}
    for account, found in marks.items():
        row = rows.get(account, Row(account=account))
        rows[account] = msgspec.structs.replace(row, marks=highest(row.marks, found))
    kept = tuple(rows[account] for account in sorted(rows))
    write_both(folder, msgspec.structs.replace(slot, rows=kept))


class Head(Protocol):
    """Where a state file ends (`journal.file.Head`)."""

    @property
    def seq(self) -> int:
        """Its newest record."""
        ...

    @property
    def incarnation(self) -> int:
        """Which file it is."""
        ...

    @property
    def leases(self) -> Mapping[int, Lease]:
        """Who holds which account."""
        ...


class LockFile:
    """The lock file beside a state file that is open for writing."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._standing = Standing()
        self._marks: dict[int, Marks] = {}
        self._slot = Slot()
        self._epoch = 0
        #: The release that holds an account, or did last.
        self._holding: dict[int, str] = {}

    def check(self, reader: Reader, head: Head) -> None:
        """Raises OperatorError where the state file has lost something that the lock file knows."""
        kept = read(self._folder)
        if kept is not None:
            _compare(kept, reader, head)

    def open(self, reader: Reader, head: Head) -> None:
        """Take what stands from the state file, and make the lock file say the same.

        Raises OperatorError where the state file has lost something that the lock
        file knows; changes nothing then.
        """
        kept = read(self._folder)
        self._standing = standing_of(reader, head.seq, kept)
        self._epoch = _highest(head)
        self._holding = {account: lease.release for account, lease in head.leases.items()}
        if kept is not None:
            _compare(kept, reader, head)
            self._marks = {row.account: row.marks for row in kept.rows if row.marks}
        number = kept.number if kept is not None else 0
        self._slot = self._made(number, head.incarnation)
        if kept is None or not kept.is_whole or kept != self._slot:
            write_both(self._folder, self._slot)
            self._slot = msgspec.structs.replace(self._slot, number=number + 2)

    def stored(self, batch: Batch) -> None:
        """Keep what a batch says of locks and high-water marks. Raises OSError.

        Epochs are only noted on the way: a restore leaves far more room than they can use.
        """
        about_locks = [record for record in batch.records if self._standing.take(record)]
        self._epoch = max([self._epoch, *(lease.epoch for lease in batch.leases)])
        self._holding.update((lease.account, lease.release) for lease in batch.leases)
        if self._take_marks(batch.snapshots) or about_locks:
            self._slot = self._made(self._slot.number + 1, self._slot.incarnation)
            write(self._folder, self._slot)

    def write_again(self) -> None:
        """Write the present slot, whole, after there was no room for it. Raises OSError."""
        write(self._folder, self._slot)

    def copy(self, folder: Path) -> None:
        """Write what stands into another folder. Raises OSError."""
        write_both(folder, msgspec.structs.replace(self._slot, number=0))

    def _made(self, number: int, incarnation: int) -> Slot:
        standing = self._standing
        return Slot(
            number=number,
            incarnation=incarnation,
            seq=standing.seq,
            crc=standing.crc,
            epoch=self._epoch,
            rows=standing.rows(self._marks),
        )

    def _take_marks(self, snapshots: Sequence[Snapshot]) -> bool:
        """Take the high-water marks out of snapshots; tells whether any is new.

        Only whoever holds an account is believed: another release may see it otherwise.
        """
        before = dict(self._marks)
        for one in snapshots:
            is_holders = self._holding.get(one.account, one.release) == one.release
            marks = _marks_of(one) if is_holders else {}
            if marks:
                self._marks[one.account] = marks
        return self._marks != before


def _marks_of(snapshot: Snapshot) -> Marks:
    """A body that is no state of an account has none."""
    try:
        memory = msgspec.msgpack.decode(snapshot.body, type=_Memory).memory
    except msgspec.DecodeError:
        return {}
    return {HIGH_WATER: memory[HIGH_WATER]} if HIGH_WATER in memory else {}


def _highest(head: Head) -> int:
    """The highest epoch of any account."""
    return max((lease.epoch for lease in head.leases.values()), default=0)


def _compare(kept: Slot, reader: Reader, head: Head) -> None:
    """Refuse a state file that lacks what the lock file knows."""
    if not kept.incarnation:
        return  # its head is gone: it cannot be compared, and is written anew
    if kept.incarnation != head.incarnation:
        raise OperatorError(
            "the lock file belongs to another state file than this one (an old copy was put "
            f"here, or a new one was begun): {MEND}"
        )
    epoch = _highest(head)
    if kept.seq > head.seq or kept.epoch > epoch:
        raise OperatorError(
            f"the state file ends at record {head.seq} and epoch {epoch}, but the lock file knows "
            f"of record {kept.seq} and epoch {kept.epoch}: its end was lost; {MEND}"
        )
    if reader.crc_at(kept.seq) != kept.crc:
        raise OperatorError(
            f"record {kept.seq} of the state file is not the one that the lock file knows: {MEND}"
        )
    if kept.is_whole and _locks(kept) != _locks_of(standing_of(reader, kept.seq, kept)):
        raise OperatorError(
            f"the state file and the lock file differ in what was locked at record {kept.seq}: "
            f"{MEND}"
        )


type _Locks = Mapping[int, tuple[object, ...]]


def _locks(slot: Slot) -> _Locks:
    return {row.account: row.locks for row in slot.rows if row.locks}


def _locks_of(standing: Standing) -> _Locks:
    return {account: standing.of(account) for account, locks in standing.locks.items() if locks}
