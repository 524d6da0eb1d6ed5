"""Reading the state file, beside its writer and without ever waiting for it.

Every call is one short read transaction, so that no reader keeps the writer's
log from being folded into the file. Nothing here can write.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from risk_daemon.errors import NotFound
from risk_daemon.journal import snapshot
from risk_daemon.journal.schema import FREQUENT, IS_RARE
from risk_daemon.journal.sqlite import connect
from risk_daemon.wire.control import Snapshot
from risk_daemon.wire.record import Record, holds

#: A look ends when the payloads it has found are this large.
PIECE_BYTES: Final = 1 << 20

_COLUMNS: Final = "seq, at, version, kind, account, payload, crc"
# Everything put together below is a name of ours or a mark; values are always bound.
_BETWEEN: Final = f"SELECT {_COLUMNS} FROM record WHERE seq >= ? AND seq <= ?"  # noqa: S608
_LAST: Final = f"SELECT {_COLUMNS} FROM record ORDER BY seq DESC LIMIT 1"  # noqa: S608
_ALL: Final = f"{_BETWEEN} ORDER BY seq LIMIT ?"
_CRC: Final = "SELECT crc FROM record WHERE seq = ?"
_KNOWN: Final = (
    "SELECT max((SELECT ifnull(max(granted_seq), 0) FROM lease),"
    " (SELECT ifnull(max(seq), 0) FROM policy))"
)
# A step per kind along the index, however many records each has.
_RARE_KINDS: Final = f"""
    WITH RECURSIVE found (kind) AS (
        SELECT (SELECT min(kind) FROM record WHERE {IS_RARE})
        UNION ALL
        SELECT (
            SELECT min(record.kind) FROM record WHERE record.kind > found.kind AND record.{IS_RARE}
        )
        FROM found WHERE found.kind IS NOT NULL
    )
    SELECT kind FROM found WHERE kind IS NOT NULL
"""  # noqa: S608


class Found(msgspec.Struct, frozen=True):
    """Records in order, the seq at which the next look begins, and whether it may find more."""

    records: list[Record]
    next_seq: int
    is_all: bool


class Anchor(msgspec.Struct, frozen=True):
    """A record whose crc is taken as given: the chain is followed from the next one on."""

    seq: int
    crc: int


class Check(msgspec.Struct, frozen=True):
    """What a look along the chain found. `broken_at` 0: it holds up to `last_seq`."""

    checked: int
    last_seq: int
    crc: int
    broken_at: int = 0


class Reader:
    """A read-only connection. Used by one thread at a time."""

    def __init__(self, path: Path) -> None:
        """Open the file. Raises NotFound if there is none."""
        if not path.is_file():
            raise NotFound(f"there is no state file {path}")
        self._connection = connect(
            f"{path.absolute().as_uri()}?mode=ro",
            uri=True,
            timeout=1.0,
            check_same_thread=False,
        )
        try:
            self._connection.execute("PRAGMA mmap_size = 0")
            self._connection.execute("PRAGMA cache_size = -512")
        except BaseException:
            self._connection.close()
            raise

    def last(self) -> Record | None:
        """Return the newest record."""
        row = self._connection.execute(_LAST).fetchone()
        return Record(*row) if row else None

    def first_seq(self) -> int:
        """Return the oldest seq that is kept, 0 if there is none."""
        seq: int | None = self._connection.execute("SELECT min(seq) FROM record").fetchone()[0]
        return seq or 0

    def crc_at(self, seq: int) -> int | None:
        """Return a record's crc; 0 for the beginning of all, None if it is not there."""
        if seq == 0:
            return 0
        row = self._connection.execute(_CRC, (seq,)).fetchone()
        return row[0] if row else None

    def beginning(self, from_seq: int) -> Anchor:
        """Return what the chain is followed from, to check `from_seq` and all after it.

        Of a file whose beginning was archived, the oldest record itself is the anchor.
        """
        first = self.first_seq()
        before = max(from_seq, first, 1) - 1
        crc = self.crc_at(before)
        return Anchor(before, crc) if crc is not None else Anchor(first, self.crc_at(first) or 0)

    def once(self, name: str) -> int | None:
        """Return the seq under which something was stored once."""
        row = self._connection.execute("SELECT seq FROM once WHERE name = ?", (name,)).fetchone()
        return row[0] if row else None

    def rare_kinds(self) -> list[str]:
        """Return every kind that the file holds, but those that are never looked for."""
        return [row[0] for row in self._connection.execute(_RARE_KINDS)]

    def records(self, from_seq: int, upto: int, kinds: Sequence[str], limit: int) -> Found:
        """Return at most `limit` records, or a mebibyte, of these kinds (all if empty)."""
        if kinds:
            rows = self._connection.execute(_some(kinds), (from_seq, upto, *kinds, limit))
        else:
            rows = self._connection.execute(_ALL, (from_seq, upto, limit))
        records: list[Record] = []
        size = 0
        for row in rows:
            records.append(record := Record(*row))
            size += len(record.payload)
            if size >= PIECE_BYTES:
                rows.close()
                return Found(records, record.seq + 1, False)
        if len(records) < limit:
            return Found(records, upto + 1, True)
        return Found(records, records[-1].seq + 1, False)

    def seq_back(self, count: int, kinds: Sequence[str]) -> int:
        """Return the seq of the record `count` from the end, of these kinds (all if empty)."""
        where, values = ("", ()) if not kinds else (f" WHERE {_among(kinds)}", tuple(kinds))
        row = self._connection.execute(
            f"SELECT min(seq) FROM ("  # noqa: S608
            f"SELECT seq FROM record{where} ORDER BY seq DESC LIMIT ?)",
            (*values, count),
        ).fetchone()
        return row[0] or 1

    def seq_since(self, at: int) -> int:
        """Return the first seq whose time is not before `at`; beyond the last if none is."""
        last = self.last()
        low, high = self.first_seq(), (last.seq if last else 0) + 1
        while low < high:
            middle = (low + high) // 2
            row = self._connection.execute(
                "SELECT at FROM record WHERE seq = ?", (middle,)
            ).fetchone()
            if row and row[0] < at:
                low = middle + 1
            else:
                high = middle
        return low

    def counts(self, from_seq: int, kinds: Sequence[str]) -> dict[int, int]:
        """Count the records of these kinds of each account from a seq on."""
        asked = (
            "SELECT account, count(*) FROM record "  # noqa: S608
            f"WHERE seq >= ? AND account > 0 AND {_among(kinds)} GROUP BY account"
        )
        return dict(self._connection.execute(asked, (from_seq, *kinds)).fetchall())

    def known_seq(self) -> int:
        """Return the newest record that the other tables know of."""
        row = self._connection.execute(_KNOWN).fetchone()
        return int(row[0])

    def names(self, from_seq: int, upto: int) -> list[tuple[str, int]]:
        """Return the names under which records of a range are stored once."""
        asked = "SELECT name, seq FROM once WHERE seq >= ? AND seq <= ?"
        return [(row[0], row[1]) for row in self._connection.execute(asked, (from_seq, upto))]

    def snapshots(self, release: str, schema: int, after: int, limit: int) -> list[Snapshot]:
        """Return the newest snapshot of each account above `after`."""
        return snapshot.newest(self._connection, release, schema, after, limit)

    def check(self, from_seq: int, limit: int, before: int) -> Check:
        """Follow the chain over `limit` records from one whose predecessor's crc is `before`."""
        rows = self._connection.execute(_ALL, (from_seq, 1 << 62, limit))
        seq, crc, checked = from_seq - 1, before, 0
        for row in rows:
            record = Record(*row)
            if record.seq != seq + 1 or not holds(crc, record):
                return Check(checked, seq, crc, broken_at=seq + 1)
            seq, crc, checked = record.seq, record.crc, checked + 1
        return Check(checked, seq, crc)

    def quick_check(self) -> str:
        """Let SQLite look at the file's structure; "ok" if it is sound."""
        rows = self._connection.execute("PRAGMA quick_check(5)").fetchall()
        return "; ".join(row[0] for row in rows)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def _some(kinds: Sequence[str]) -> str:
    return f"{_BETWEEN} AND {_among(kinds)} ORDER BY seq LIMIT ?"


def _among(kinds: Sequence[str]) -> str:
    marks = ", ".join("?" * len(kinds))
    # The index on rare kinds is used only by a query that repeats its condition.
    rare = "" if FREQUENT.intersection(kinds) else f" AND {IS_RARE}"
    return f"kind IN ({marks}){rare}"
