"""A state file that goes on where another one ended: after a restore, or from what was salvaged.

It is made beside the one in use, in a folder of its own. What is written into it
at last makes it a file of its own: a new incarnation, every lease held by nobody
under an epoch no lost record can have used, every feed blind until its link says
otherwise, and the locks and high-water marks that it lacked. Locks come before
leases: with each lease a replay says anew what stands, and so agrees.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

import msgspec

from risk_daemon.core.events import (
    AlarmRaised,
    Fact,
    FeedChanged,
    HighWaterKept,
    Intended,
    LeaseGranted,
    LockPlaced,
    OperatorActed,
    PolicyAdopted,
)
from risk_daemon.errors import OperatorError
from risk_daemon.journal import lock_file
from risk_daemon.journal.file import JournalFile, create_private, insert, open_writing
from risk_daemon.journal.lease import after_restore
from risk_daemon.journal.reader import Reader
from risk_daemon.journal.salvage import Salvage
from risk_daemon.journal.schema import migrate
from risk_daemon.journal.sequencer import Sequencer
from risk_daemon.journal.sqlite import require, sqlite3
from risk_daemon.wire.control import Lease
from risk_daemon.wire.locks import Marks, Row, Standing, missing, precaution
from risk_daemon.wire.record import Record, decode, new_record

_PIECE: Final = 1_000
_PUT_LEASE: Final = """
    INSERT OR REPLACE INTO lease (account, holder, release, epoch, incarnation, granted_seq)
    VALUES (?, ?, ?, ?, ?, ?)
"""


class Known(msgspec.Struct, frozen=True):
    """What is known from outside of what stood: rows, and whether they are all there is.

    `epoch`: no account had a higher one. `ends`: when each account's next session
    begins, where that is known.
    """

    rows: tuple[Row, ...]
    is_complete: bool
    epoch: int
    ends: Mapping[int, int]


class Made(msgspec.Struct, frozen=True):
    """What the new file is."""

    last_seq: int
    salvaged: int
    incarnation: int
    placed: tuple[LockPlaced, ...]
    locks: int


class Anew:
    """A state file being made at `path`; one that is there already is gone on from."""

    def __init__(self, path: Path, now: int) -> None:
        require(sqlite3.sqlite_version_info)
        self._path = path
        self._now = now
        create_private(path)
        self._connection = open_writing(path)
        migrate(self._connection)
        self._salvaged = 0
        with closing(Reader(path)) as reader:
            last = reader.last()
            self.standing = lock_file.standing_of(reader, last.seq if last else 0)
        self._head = Sequencer(last.seq, last.at, last.crc) if last else Sequencer()
        self._leases = self._read_leases()
        self.policies = self._read_policies()

    @property
    def last_seq(self) -> int:
        """The newest record's seq."""
        return self._head.seq

    def take(self, salvage: Salvage) -> None:
        """Add what can be salvaged behind what is here."""
        before = self._head.seq
        piece: list[Record] = []
        for record in salvage.records(before, self._head.crc):
            piece.append(record)
            if len(piece) == _PIECE:
                self._add(piece)
                piece = []
        self._add(piece)
        names = salvage.names(before + 1, self._head.seq)
        self._transact(lambda: self._name(names.items()))
        self._salvaged = self._head.seq - before

    def _add(self, records: Sequence[Record]) -> None:
        if not records:
            return
        last = records[-1]
        self._head = Sequencer(last.seq, last.at, last.crc)
        self._transact(lambda: self._write(records))

    def finish(self, known: Known, why: str) -> Made:
        """Make it a file of its own. Raises OperatorError where it does not hold in the end."""
        incarnation = int.from_bytes(os.urandom(6))
        seq = self._head.seq
        marks = _marks(known.rows)
        placed = missing(self.standing, known.rows, seq)
        if not known.is_complete:
            placed += self._precautions(known, seq)
        facts: list[Fact] = [
            FeedChanged(login=login, state="blind", why="the state was restored")
            for login in sorted({policy.login for policy in self.policies.values()})
        ]
        facts += placed
        facts += [
            HighWaterKept(account=account, rule=rule, marks=figures)
            for account, rules in sorted(marks.items())
            for rule, figures in sorted(rules.items())
        ]
        accounts = {*self.policies, *(lock.account for lock in placed)}
        facts += map(_granted, self._new_leases(accounts, known.epoch, incarnation))
        facts.append(
            AlarmRaised(account=0, level="page", what="state restored", text=why, source="restore")
        )
        records = [self._head.admit(new_record(fact), self._now) for fact in facts]
        self._transact(lambda: self._found(records, incarnation))
        self._close()
        locks = self._verify(marks, self._salvaged + len(records))
        return Made(self._head.seq, self._salvaged, incarnation, tuple(placed), locks)

    def _precautions(self, known: Known, seq: int) -> list[LockPlaced]:
        accounts = {*self.policies, *known.ends, *(row.account for row in known.rows)}
        return [
            precaution(account, self._now, known.ends.get(account), seq)
            for account in sorted(accounts)
        ]

    def _new_leases(self, accounts: set[int], epoch: int, incarnation: int) -> list[Lease]:
        """One for each account: nobody's, and far above whatever epoch was ever held."""
        never = Lease(0, "", "", 0, incarnation, 0)
        replace = msgspec.structs.replace
        held = [
            replace(lease, account=account, epoch=max(lease.epoch, epoch))
            for account in sorted(accounts | self._leases.keys())
            for lease in [self._leases.get(account, never)]
        ]
        return list(after_restore(held, incarnation))

    # --- the tables ---------------------------------------------------------------

    def _transact(self, write: Callable[[], None]) -> None:
        self._connection.execute("BEGIN IMMEDIATE")
        write()
        self._connection.execute("COMMIT")

    def _found(self, records: Sequence[Record], incarnation: int) -> None:
        run = self._connection.execute
        run("DELETE FROM meta")
        run(
            "INSERT INTO meta (one, incarnation, created) VALUES (1, ?, ?)",
            (incarnation, self._now),
        )
        self._write(records)

    def _write(self, records: Sequence[Record]) -> None:
        """Store records, and what the other tables must say after them."""
        insert(self._connection, records)
        for record in records:
            self.standing.take(record)
            fact = decode(record).fact
            self._name([(name, record.seq)] if (name := _once(fact)) else [])
            if isinstance(fact, LeaseGranted):
                lease = Lease(
                    fact.account,
                    fact.holder,
                    fact.release,
                    fact.epoch,
                    fact.incarnation,
                    record.seq,
                )
                self._leases[lease.account] = lease
                self._connection.execute(_PUT_LEASE, msgspec.structs.astuple(lease))
            elif isinstance(fact, PolicyAdopted):
                self.policies[fact.account] = fact
                self._connection.execute(
                    "INSERT OR REPLACE INTO policy (account, seq) VALUES (?, ?)",
                    (fact.account, record.seq),
                )

    def _name(self, names: Iterable[tuple[str, int]]) -> None:
        self._connection.executemany("INSERT OR IGNORE INTO once (name, seq) VALUES (?, ?)", names)

    def _read_leases(self) -> dict[int, Lease]:
        rows = self._connection.execute(
            "SELECT account, holder, release, epoch, incarnation, granted_seq FROM lease"
        )
        return {row[0]: Lease(*row) for row in rows}

    def _read_policies(self) -> dict[int, PolicyAdopted]:
        rows = self._connection.execute(
            "SELECT record.seq, at, version, kind, record.account, payload, crc"
            " FROM record JOIN policy USING (seq)"
        )
        facts = [decode(Record(*row)).fact for row in rows]
        return {fact.account: fact for fact in facts if isinstance(fact, PolicyAdopted)}

    def _close(self) -> None:
        """One file, nothing beside it: it is about to be moved."""
        self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._connection.close()

    def _verify(self, marks: Mapping[int, Marks], added: int) -> int:
        """Open it as the journal will, with a lock file of its own; return how many locks stand.

        What was added is followed record by record; what was there before has been.
        """
        for name in lock_file.SLOTS:
            self._path.with_name(name).unlink(missing_ok=True)
        try:
            JournalFile(self._path, self._now, verified_at_start=added + _PIECE).close()
        except AssertionError as error:
            raise OperatorError(f"the new state file does not hold: {error}") from error
        lock_file.keep_marks(self._path.parent, marks)
        return sum(len(locks) for locks in self.standing.locks.values())


def _granted(lease: Lease) -> LeaseGranted:
    return LeaseGranted(
        account=lease.account,
        holder=lease.holder,
        release=lease.release,
        epoch=lease.epoch,
        incarnation=lease.incarnation,
    )


def _marks(rows: Iterable[Row]) -> dict[int, Marks]:
    return {row.account: row.marks for row in rows if row.marks}


def _once(fact: Fact) -> str:
    """Return the name under which a fact would have been stored once."""
    match fact:
        case LockPlaced():
            return f"lock-placed/{fact.account}:{fact.lock}:{fact.began_at}"
        case Intended():
            return f"intended/{fact.key}"
        case OperatorActed():
            return f"operator-acted/act:{fact.act_id}"
        case _:
            return ""


def standing_in(path: Path) -> Standing:
    """Return what stands in a state file that can be read. Raises sqlite3.Error, NotFound."""
    with closing(Reader(path)) as reader:
        last = reader.last()
        return lock_file.standing_of(reader, last.seq if last else 0)
