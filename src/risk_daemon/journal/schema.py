"""The state file's tables, and how an older file becomes a newer one.

`MIGRATIONS[n]` takes a file of schema n to n + 1, each in one transaction, each
only expanding: two releases that overlap must both read the result
(docs/formats/journal.md). The number lives in the header (`user_version`), so
that a reader knows it before it knows any table. From schema 2 on the file also says which
releases may still use it (`oldest`), so that a release can go on with a file that a newer
one has only expanded.
"""

from __future__ import annotations

from typing import Final

from risk_daemon.errors import OperatorError
from risk_daemon.journal.sqlite import sqlite3

#: "RDj1" in the header: this file is a risk daemon's journal.
APPLICATION_ID: Final = 0x52446A31

_FIRST: Final = (
    """CREATE TABLE record (
        seq INTEGER PRIMARY KEY,
        at INTEGER NOT NULL,
        version INTEGER NOT NULL,
        kind TEXT NOT NULL,
        account INTEGER NOT NULL,
        payload BLOB NOT NULL,
        crc INTEGER NOT NULL
    ) STRICT""",
    # Rare kinds are looked for by themselves (leases, intents, locks); the
    # frequent ones are never, and must not pay for it.
    """CREATE INDEX rare ON record (kind, seq)
        WHERE kind NOT IN ('mark-changed', 'pulse', 'hash-taken')""",
    """CREATE TABLE once (
        name TEXT PRIMARY KEY,
        seq INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID""",
    """CREATE TABLE lease (
        account INTEGER PRIMARY KEY,
        holder TEXT NOT NULL,
        release TEXT NOT NULL,
        epoch INTEGER NOT NULL,
        incarnation INTEGER NOT NULL,
        granted_seq INTEGER NOT NULL
    ) STRICT""",
    """CREATE TABLE policy (
        account INTEGER PRIMARY KEY,
        seq INTEGER NOT NULL
    ) STRICT""",
    """CREATE TABLE snapshot (
        account INTEGER NOT NULL,
        release TEXT NOT NULL,
        schema INTEGER NOT NULL,
        seq INTEGER NOT NULL,
        digest TEXT NOT NULL,
        body BLOB NOT NULL,
        PRIMARY KEY (account, release, seq)
    ) STRICT""",
    """CREATE TABLE meta (
        one INTEGER PRIMARY KEY CHECK (one = 1),
        incarnation INTEGER NOT NULL,
        created INTEGER NOT NULL
    ) STRICT""",
    f"PRAGMA application_id = {APPLICATION_ID}",
)

MIGRATIONS: Final[tuple[tuple[str, ...], ...]] = (_FIRST,)
SCHEMA: Final = len(MIGRATIONS)
#: The oldest schema whose releases still read and write a file of this one; a release that
#: only expands leaves it as it is.
OLDEST: Final = 1

_SHAPE: Final = """CREATE TABLE IF NOT EXISTS shape (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    oldest INTEGER NOT NULL
) STRICT"""

#: Kinds without an entry in the index `rare`; the query must repeat its condition.
FREQUENT: Final = frozenset({"mark-changed", "pulse", "hash-taken"})
IS_RARE: Final = "kind NOT IN ('mark-changed', 'pulse', 'hash-taken')"


def oldest(connection: sqlite3.Connection) -> int:
    """Return the oldest schema whose releases may use the file: its own, if it does not say."""
    number: int = connection.execute("PRAGMA user_version").fetchone()[0]
    says = connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'shape'").fetchone()
    row = connection.execute("SELECT oldest FROM shape").fetchone() if says else None
    return int(row[0]) if row else number


def is_newer(connection: sqlite3.Connection) -> bool:
    """Tell whether a newer release made the file one that this release must not touch."""
    number: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return number > SCHEMA and oldest(connection) > SCHEMA


def migrate(connection: sqlite3.Connection) -> None:
    """Bring the file to this release's schema. Raises OperatorError if it is not ours.

    A file that a newer release has only expanded stays as it is.
    """
    number: int = connection.execute("PRAGMA user_version").fetchone()[0]
    if is_newer(connection):
        raise OperatorError(
            f"the state file has schema {number}, this release knows {SCHEMA}: "
            "start the release that wrote it, or restore a backup"
        )
    application: int = connection.execute("PRAGMA application_id").fetchone()[0]
    tables: int = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
    if application != APPLICATION_ID and (number or tables):
        raise OperatorError("the state file is some other program's database: move it away")
    for reached, steps in enumerate(MIGRATIONS[number:], start=number + 1):
        connection.execute("BEGIN IMMEDIATE")
        for step in steps:
            connection.execute(step)
        if reached > 1:
            connection.execute(_SHAPE)
            connection.execute(
                "INSERT OR REPLACE INTO shape (one, oldest) VALUES (1, ?)", (OLDEST,)
            )
        connection.execute(f"PRAGMA user_version = {reached}")
        connection.execute("COMMIT")
