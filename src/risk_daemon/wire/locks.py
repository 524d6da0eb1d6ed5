"""PURE: the lock file, which survives the state file: what no broker can be asked for.

One line per account: the locks that stand, and its high-water marks. Each line
carries its own checksum, and the whole is written to two slots in turn, so that
a power cut or a bad sector costs one slot at most (docs/formats/locks.md).

Rules for editors:
  * a slot is believed as a whole or line by line, never more than its checksums say;
  * joining slots, or a slot with a database, only adds: no lock is lost or shortened.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from risk_daemon.core.events import LockEnded, LockPlaced
from risk_daemon.core.lockout import strictness
from risk_daemon.errors import Malformed
from risk_daemon.wire.record import Record, decode

FORMAT: Final = 1
#: A lock that ends by a condition of its own keeps its name: that condition finds it by it.
OWN_CONDITION: Final = ("platform", "unknown")
CONFIGURATION: Final = "configuration"
#: Whose locks a person may end.
PERSONS: Final = "kill-switch"
_RESTORED: Final = "restored:"

#: High-water marks of an account: figures by rule and name, in units of 1e-9.
type Marks = dict[str, dict[str, int]]


class Row(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is kept of one account."""

    account: int
    locks: tuple[LockPlaced, ...] = ()
    marks: Marks = msgspec.field(default_factory=dict)


class Slot(msgspec.Struct, frozen=True, kw_only=True):
    """One writing of the file. `seq` and `crc` are those of the newest record about a lock.

    `epoch`: the highest of any account at that time.
    `is_whole`: every line that was written is here.
    """

    number: int = 0
    incarnation: int = 0
    seq: int = 0
    crc: int = 0
    epoch: int = 0
    rows: tuple[Row, ...] = ()
    is_whole: bool = True


class _Head(msgspec.Struct, frozen=True, kw_only=True):
    format: int
    number: int
    incarnation: int
    seq: int
    crc: int
    epoch: int
    lines: int


# --- writing and reading one slot ---------------------------------------------------


def encode_slot(slot: Slot) -> bytes:
    """Write a slot: a head, then a line per account."""
    head = _Head(
        format=FORMAT,
        number=slot.number,
        incarnation=slot.incarnation,
        seq=slot.seq,
        crc=slot.crc,
        epoch=slot.epoch,
        lines=len(slot.rows),
    )
    return b"".join(map(_line, (head, *slot.rows)))


def _line(content: msgspec.Struct) -> bytes:
    raw = msgspec.json.encode(content, order="deterministic")
    return b"%08x %b\n" % (zlib.crc32(raw), raw)


def decode_slot(raw: bytes) -> Slot | None:
    """Read a slot as far as its checksums hold; None where no line does.

    Raises Malformed for a file of a newer format: nothing of it may be overwritten.
    """
    lines = [_checked(line) for line in raw.splitlines(keepends=True)]
    good = [line for line in lines if line is not None]
    if not good:
        return None
    head = _head(lines[0])
    rows = tuple(row for line in good if (row := _row(line)) is not None)
    if head is None:
        return Slot(rows=rows, is_whole=False)
    return Slot(
        number=head.number,
        incarnation=head.incarnation,
        seq=head.seq,
        crc=head.crc,
        epoch=head.epoch,
        rows=rows,
        is_whole=len(rows) == head.lines == len(lines) - 1,
    )


def _checked(line: bytes) -> bytes | None:
    """Return the content of a line whose checksum holds."""
    told, _, content = line.partition(b" ")
    raw = content.removesuffix(b"\n")
    return raw if raw != content and told == b"%08x" % zlib.crc32(raw) else None


def _head(raw: bytes | None) -> _Head | None:
    if raw is None:
        return None
    told: dict[str, Any] = msgspec.json.decode(raw)
    if "format" not in told:
        return None
    if told["format"] != FORMAT:
        raise Malformed(f"the lock file has format {told['format']}, this release knows {FORMAT}")
    return msgspec.convert(told, _Head)


def _row(raw: bytes) -> Row | None:
    try:
        return msgspec.json.decode(raw, type=Row)
    except msgspec.ValidationError:
        return None  # the head


# --- both slots -----------------------------------------------------------------------


def together(slots: Iterable[Slot | None]) -> Slot | None:
    """Read both slots as one: the newer where nothing is missing, else all that either says.

    Nothing is missing where both are whole and follow each other. None: no line is left.
    """
    found = sorted((slot for slot in slots if slot is not None), key=lambda slot: slot.number)
    if not found:
        return None
    newest = found[-1]
    if len(found) > 1 and all(slot.is_whole for slot in found) and _follow(found):
        return newest
    rows = joined(*(slot.rows for slot in found))
    return msgspec.structs.replace(newest, rows=rows, is_whole=False)


def joined(*witnesses: Iterable[Row]) -> tuple[Row, ...]:
    """Join what several witnesses say of the accounts: all locks, of each mark the higher one."""
    found: dict[int, Row] = {}
    for rows in witnesses:
        for row in rows:
            found[row.account] = _join(found.get(row.account), row)
    return tuple(found[account] for account in sorted(found))


def _follow(found: list[Slot]) -> bool:
    return found[-1].number - found[0].number == 1


def _join(before: Row | None, row: Row) -> Row:
    if before is None:
        return row
    locks = (*before.locks, *(lock for lock in row.locks if lock not in before.locks))
    return Row(account=row.account, locks=locks, marks=highest(before.marks, row.marks))


def highest(one: Mapping[str, Mapping[str, int]], other: Mapping[str, Mapping[str, int]]) -> Marks:
    """Join high-water marks: each figure the higher one."""
    found: Marks = {rule: dict(figures) for rule, figures in one.items()}
    for rule, figures in other.items():
        mine = found.setdefault(rule, {})
        for name, figure in figures.items():
            mine[name] = max(figure, mine.get(name, figure))
    return found


# --- what stands by the records ---------------------------------------------------------


class Standing:
    """The locks that stand, by the records about them; and every name that ever stood."""

    def __init__(self) -> None:
        self.locks: dict[int, dict[str, LockPlaced]] = {}
        self.names: set[tuple[int, str]] = set()
        self.seq = 0
        self.crc = 0

    @classmethod
    def of_slot(cls, slot: Slot) -> Standing:
        """Begin with what a slot says."""
        found = cls()
        found.seq, found.crc = slot.seq, slot.crc
        for row in slot.rows:
            found.locks[row.account] = {lock.lock: lock for lock in row.locks}
            found.names |= {(row.account, lock.lock) for lock in row.locks}
        return found

    def take(self, record: Record) -> bool:
        """Let a record have its word; tells whether it was about a lock.

        What cannot be read, or is of a kind this release does not know, counts as
        the strictest lock, as in `core.engine`.
        """
        if "lock" not in record.kind:
            return False
        self.seq, self.crc = record.seq, record.crc
        try:
            fact: object = decode(record).fact
        except Malformed:
            fact = None
        if isinstance(fact, LockEnded):
            self.locks.get(record.account, {}).pop(fact.lock, None)
            return True
        placed = fact if isinstance(fact, LockPlaced) else _unknown(record)
        self.locks.setdefault(record.account, {})[placed.lock] = placed
        self.names.add((record.account, placed.lock))
        return True

    def rows(self, marks: Mapping[int, Marks]) -> tuple[Row, ...]:
        """Return the rows to keep: of every account with a lock or a mark."""
        accounts = {*marks, *(account for account, locks in self.locks.items() if locks)}
        return tuple(
            Row(account=account, locks=self.of(account), marks=marks.get(account, {}))
            for account in sorted(accounts)
        )

    def of(self, account: int) -> tuple[LockPlaced, ...]:
        """Return the locks of an account, by name."""
        return tuple(lock for _, lock in sorted(self.locks.get(account, {}).items()))


def _unknown(record: Record) -> LockPlaced:
    return LockPlaced(
        account=record.account,
        lock=f"unknown:{record.seq}",
        rule=record.kind,
        mode=record.kind,
        began_at=record.at,
        until=None,
        reason=f"record {record.seq} of kind {record.kind} cannot be read",
    )


# --- after the database was lost ----------------------------------------------------------


def missing(standing: Standing, rows: Iterable[Row], seq: int) -> list[LockPlaced]:
    """Return the locks to place so that none of these rows is lost or shorter; `seq` names them.

    One that the database knows as it is needs nothing. A name that was used before
    would be taken for an echo, so that lock gets a new one, and a person may end it.
    """
    return [
        _renamed(standing, lock, seq)
        for row in rows
        for lock in row.locks
        if not _stands(standing.locks.get(row.account, {}).get(lock.lock), lock)
    ]


def _stands(held: LockPlaced | None, lock: LockPlaced) -> bool:
    return (
        held is not None
        and held.scope == lock.scope
        and strictness(held.mode) >= strictness(lock.mode)
        and (held.until is None or (lock.until is not None and held.until >= lock.until))
    )


def _renamed(standing: Standing, lock: LockPlaced, seq: int) -> LockPlaced:
    by_condition = lock.rule in OWN_CONDITION or lock.scope == CONFIGURATION
    is_new = (lock.account, lock.lock) not in standing.names
    if by_condition and is_new:
        return lock
    replace = msgspec.structs.replace
    was = lock.lock.split(":", 2)[2] if lock.lock.startswith(_RESTORED) else lock.lock
    name = f"{_RESTORED}{seq}:{was}"
    if not by_condition:
        return replace(lock, lock=name)
    return replace(lock, lock=name, rule=PERSONS, scope="", reason=f"{lock.rule}: {lock.reason}")


def precaution(account: int, at: int, until: int | None, seq: int) -> LockPlaced:
    """Return the lock of an account of which nobody knows what stood on it.

    It opens nothing and closes nothing: unknown is never "passed", and no reason to flatten.
    """
    return LockPlaced(
        account=account,
        lock=f"{_RESTORED}{seq}:unknown",
        rule=PERSONS,
        mode="reduce-only",
        began_at=at,
        until=until,
        reason=(
            "the state was lost and what was locked is not known; "
            "until the next session, or `lockout clear`"
        ),
    )
