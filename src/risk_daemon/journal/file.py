"""The state file, as its only writer sees it.

WAL, never mmap. A commit with a promise in it is flushed before it returns
(`synchronous=FULL`); one of facts only is not, and may be lost by a power cut,
never out of order: there is one log, so whatever is flushed implies all
before it.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

import msgspec

from risk_daemon.core.events import RolloutStored
from risk_daemon.errors import OperatorError
from risk_daemon.journal import durable, lock_file, snapshot
from risk_daemon.journal.batch import Batch
from risk_daemon.journal.lock_file import LockFile
from risk_daemon.journal.reader import Reader
from risk_daemon.journal.reserve import Reserve
from risk_daemon.journal.schema import APPLICATION_ID, IS_RARE, SCHEMA, is_newer, migrate
from risk_daemon.journal.sqlite import UNREADABLE, connect, require, sqlite3
from risk_daemon.wire.control import Lease
from risk_daemon.wire.record import Record, decode

VERIFIED_AT_START: Final = 20_000

#: SQLite's result code for a full disk (or a file that has reached its limit).
_FULL: Final = 13

_PRAGMAS: Final = (
    "mmap_size = 0",
    "journal_mode = WAL",
    "synchronous = FULL",
    "fullfsync = ON",
    "checkpoint_fullfsync = ON",
    "wal_autocheckpoint = 0",
    "journal_size_limit = 67108864",
    "cache_size = -1024",
)
_ROW: Final = "(?, ?, ?, ?, ?, ?, ?)"
# One statement for many rows: each step gives up the interpreter's lock, and
# a busy loop thread is in no hurry to give it back.
_CHUNKS: Final = (128, 32, 8, 1)
# Columns are named: a newer release may have added one of its own.
_COLUMNS: Final = "seq, at, version, kind, account, payload, crc"
_INSERTS: Final = {
    size: f"INSERT INTO record ({_COLUMNS}) VALUES {', '.join([_ROW] * size)}"  # noqa: S608
    for size in _CHUNKS
}
_SET_LEASE: Final = """
    INSERT INTO lease (account, holder, release, epoch, incarnation, granted_seq)
    VALUES (?, ?, ?, ?, ?, ?)
    ON CONFLICT (account) DO UPDATE SET
        holder = excluded.holder, release = excluded.release, epoch = excluded.epoch,
        incarnation = excluded.incarnation, granted_seq = excluded.granted_seq
    WHERE epoch = excluded.epoch - 1
"""


#: Before the first one.
NO_ROLLOUT: Final = RolloutStored(rollout="", revision=0, latch="", body=b"")


class Head(msgspec.Struct, frozen=True):
    """Where the file ends, and what its tables hold."""

    seq: int
    at: int
    crc: int
    incarnation: int
    leases: dict[int, Lease]
    policies: set[int]
    rollout: RolloutStored = NO_ROLLOUT


class Copied(msgspec.Struct, frozen=True):
    """What a copy of the file holds."""

    seq: int
    at: int
    crc: int
    incarnation: int
    bytes: int


class WriteFailed(Exception):
    """A batch could not be stored. `certain`: nothing of it is in the file.

    `is_full`: for want of room, and for no other reason.
    """

    def __init__(self, why: str, certain: bool, *, is_full: bool = False) -> None:
        super().__init__(why)
        self.certain = certain
        self.is_full = is_full


class JournalFile:
    """The writing connection. Opened by one thread, then owned by the writer's."""

    def __init__(
        self, path: Path, created_at: int, verified_at_start: int = VERIFIED_AT_START
    ) -> None:
        """Open or create the file. Raises OperatorError if it can't be trusted."""
        require(sqlite3.sqlite_version_info)
        self.path = path
        self._is_flushed = True
        self.reserve = Reserve(path.parent)
        self._locks = LockFile(path.parent)
        if not path.exists() or not path.stat().st_size:
            _assert_not_lost(path)
        create_private(path)
        try:
            is_judged = self._judge(verified_at_start)
            self._connection = open_writing(path)
            self._inode = path.stat().st_ino
            self._take(created_at, 0 if is_judged else verified_at_start)
        except UNREADABLE as error:
            raise OperatorError(
                f"the state file {path} can't be read: {error}; {lock_file.MEND}"
            ) from error
        except OSError as error:
            raise OperatorError(f"the lock file can't be written: {error}") from error

    def _judge(self, count: int) -> bool:
        """Judge a file of this schema before it is opened for writing; False for any other.

        One that a newer release has only expanded is of this schema too.

        Whoever closes the last writing connection folds the log into the file, sound or not.
        """
        uri = f"{self.path.absolute().as_uri()}?mode=ro"
        with closing(connect(uri, uri=True)) as connection:
            (application,) = connection.execute("PRAGMA application_id").fetchone()
            (number,) = connection.execute("PRAGMA user_version").fetchone()
            if not number:
                _assert_not_lost(self.path)
            if application != APPLICATION_ID or number < SCHEMA or is_newer(connection):
                return False
            head = _read_head(connection)
        with closing(Reader(self.path)) as reader:
            _verify(self.path, reader, head, count)
            self._locks.check(reader, head)
        return True

    def _take(self, created_at: int, count: int) -> None:
        """Bring the file to this release's schema, and the lock file to the file."""
        try:
            migrate(self._connection)
            self._connection.execute(
                "INSERT OR IGNORE INTO meta (one, incarnation, created) VALUES (1, ?, ?)",
                (int.from_bytes(os.urandom(6)), created_at),
            )
            self.head = _read_head(self._connection)
            with closing(Reader(self.path)) as reader:
                _verify(self.path, reader, self.head, count)
                self._locks.open(reader, self.head)
        except BaseException:
            self._connection.close()
            raise

    def store(self, batch: Batch) -> bool:
        """Store a batch as one transaction; tells whether the reserve had to be given up for it.

        Raises WriteFailed; never try again after it. Only where there was no room, and nothing of
        the batch is in the file, it is tried once more, with the reserve's room
        (docs/adr/0027-a-full-disk-is-no-failed-one.md).
        """
        gave_up = False
        try:
            self._commit(batch)
        except WriteFailed as failed:
            gave_up = failed.is_full and self.reserve.give_up()
            if not gave_up:
                raise
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            self._commit(batch)
        return self._keep_locks(batch) or gave_up

    def _commit(self, batch: Batch) -> None:
        run = self._connection.execute
        try:
            if batch.has_promise != self._is_flushed:
                run(f"PRAGMA synchronous = {'FULL' if batch.has_promise else 'NORMAL'}")
                self._is_flushed = batch.has_promise
            run("BEGIN IMMEDIATE")
            self._write(batch)
        except sqlite3.Error as error:
            is_full = error.sqlite_errorcode == _FULL
            raise WriteFailed(_why(error), certain=True, is_full=is_full) from error
        try:
            run("COMMIT")
        except sqlite3.Error as error:
            # A log without room for the commit holds none; after an I/O error it may.
            is_full = error.sqlite_errorcode == _FULL
            raise WriteFailed(_why(error), is_full, is_full=is_full) from error

    def _keep_locks(self, batch: Batch) -> bool:
        """Have the lock file say what the batch says; tells whether the reserve was needed."""
        try:
            self._locks.stored(batch)
        except OSError as error:
            if error.errno != errno.ENOSPC or not self.reserve.give_up():
                raise _locks_failed(error) from error
        else:
            return False
        try:
            self._locks.write_again()
        except OSError as error:
            raise _locks_failed(error) from error
        return True

    def copy(self, folder: Path) -> Copied:
        """Copy the file as it is, in one step, and the lock file beside it. Raises OperatorError.

        From the writing connection: nothing is written meanwhile, so it never begins anew.
        """
        target = folder / self.path.name
        try:
            create_private(target)
            with closing(connect(str(target))) as copy:
                self._connection.backup(copy)
            durable.flush(target)
            self._locks.copy(folder)
        except (sqlite3.Error, OSError) as error:
            raise OperatorError(f"the state file can't be copied to {folder}: {error}") from error
        head = _read_head(self._connection)
        size = target.stat().st_size
        return Copied(head.seq, head.at, head.crc, head.incarnation, size)

    @property
    def is_in_place(self) -> bool:
        """Whether the file that is written is still the one that has its name."""
        try:
            return self.path.stat().st_ino == self._inode
        except FileNotFoundError:
            return False

    def log(self) -> tuple[int, int]:
        """Return how many pages the log has, and how many of them are not in the file yet."""
        _, pages, folded = self._connection.execute("PRAGMA wal_checkpoint(NOOP)").fetchone()
        return pages, pages - folded

    def fold(self) -> None:
        """Fold the log into the file, between commits. Raises WriteFailed."""
        _fold(self._connection)

    def close(self) -> None:
        """Drop what was not committed, fold the log into the file if it has room, and close it."""
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")
        try:
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except sqlite3.Error as error:
            if error.sqlite_errorcode != _FULL:
                raise
        finally:
            self._connection.close()

    def _write(self, batch: Batch) -> None:
        run = self._connection
        self._check_fence(batch)
        insert(run, batch.records)
        if batch.once:
            run.executemany("INSERT INTO once (name, seq) VALUES (?, ?)", batch.once)
        for lease in batch.leases:
            changed = run.execute(_SET_LEASE, msgspec.structs.astuple(lease)).rowcount
            assert changed == 1, f"epoch {lease.epoch} does not follow the file's"
        run.executemany(
            "INSERT OR REPLACE INTO policy (account, seq) VALUES (?, ?)", batch.policies
        )
        snapshot.put(run, batch.snapshots)

    def _check_fence(self, batch: Batch) -> None:
        """No intent is stored under an epoch that is neither the file's nor granted with it."""
        granted = {(lease.account, lease.epoch) for lease in batch.leases}
        for account, epoch in set(batch.intents) - granted:
            row = self._connection.execute(
                "SELECT epoch FROM lease WHERE account = ?", (account,)
            ).fetchone()
            assert row == (epoch,), f"intent of epoch {epoch}, the file has {row}"


def _read_head(connection: sqlite3.Connection) -> Head:
    run = connection.execute
    last = run("SELECT seq, at, crc FROM record ORDER BY seq DESC LIMIT 1").fetchone()
    leases = (
        Lease(*row)
        for row in run(
            "SELECT account, holder, release, epoch, incarnation, granted_seq FROM lease"
        )
    )
    seq, at, crc = last or (0, 0, 0)
    (incarnation,) = run("SELECT incarnation FROM meta").fetchone() or (0,)
    return Head(
        seq=seq,
        at=at,
        crc=crc,
        incarnation=incarnation,
        leases={lease.account: lease for lease in leases},
        policies={row[0] for row in run("SELECT account FROM policy")},
        rollout=_read_rollout(connection),
    )


def _read_rollout(connection: sqlite3.Connection) -> RolloutStored:
    """Return the newest row; the index of rare kinds finds it."""
    found = connection.execute(
        f"SELECT {_COLUMNS} FROM record WHERE kind = 'rollout-stored' AND {IS_RARE}"  # noqa: S608
        " ORDER BY seq DESC LIMIT 1"
    ).fetchone()
    fact = decode(Record(*found)).fact if found else NO_ROLLOUT
    assert isinstance(fact, RolloutStored)
    return fact


def _verify(path: Path, reader: Reader, head: Head, count: int) -> None:
    """Check the end of the chain, and that nothing is cut off behind it."""
    first = reader.beginning(head.seq - count + 1)
    broken = reader.check(first.seq + 1, count, first.crc).broken_at
    known = reader.known_seq()
    if broken:
        raise OperatorError(
            f"record {broken} of {path} does not follow the one before it: "
            f"the file was damaged or altered; {lock_file.MEND}"
        )
    if known > head.seq:
        raise OperatorError(
            f"{path} ends at record {head.seq}, but knows of record {known}: "
            f"its end was cut off; {lock_file.MEND}"
        )


class Folder:
    """A second connection that only folds the log into the file, while the first one writes.

    Safe from SQLite 3.51.3 on (`journal.sqlite`).
    """

    def __init__(self, path: Path) -> None:
        self._connection = open_writing(path)

    def fold(self) -> None:
        """Fold what the log holds now. Raises WriteFailed."""
        _fold(self._connection)

    def close(self) -> None:
        """Close the connection; the writer's is still open, so the log stays."""
        self._connection.close()


def _fold(connection: sqlite3.Connection) -> None:
    try:
        connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    except sqlite3.Error as error:
        if error.sqlite_errorcode == _FULL:
            return  # everything is still in the log; the next record is refused if that has no room
        raise WriteFailed(_why(error), certain=False) from error


def _locks_failed(error: OSError) -> WriteFailed:
    return WriteFailed(f"the lock file can't be written: {error}", certain=False)


def _assert_not_lost(path: Path) -> None:
    """A file that was there is not begun anew: its locks would be forgotten."""
    kept = lock_file.read(path.parent)
    if kept is not None:
        raise OperatorError(
            f"the state file {path} is gone, but its lock file is here: {lock_file.MEND}"
        )


def create_private(path: Path) -> None:
    """The log and the shared memory file take their mode from the file's."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))


def open_writing(path: Path) -> sqlite3.Connection:
    connection = connect(str(path), timeout=1.0, check_same_thread=False)
    try:
        for pragma in _PRAGMAS:
            connection.execute(f"PRAGMA {pragma}").fetchall()
    except BaseException:
        connection.close()
        raise
    return connection


def insert(connection: sqlite3.Connection, records: Sequence[Record]) -> None:
    start = 0
    for size in _CHUNKS:
        while len(records) - start >= size:
            connection.execute(_INSERTS[size], _flat(records[start : start + size]))
            start += size


def _flat(records: Iterable[Record]) -> list[object]:
    values: list[object] = []
    for r in records:
        values += (r.seq, r.at, r.version, r.kind, r.account, r.payload, r.crc)
    return values


def _why(error: sqlite3.Error) -> str:
    return f"the state file can't be written: {error} ({error.sqlite_errorname})"
