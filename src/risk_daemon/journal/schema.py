"""The state file's tables, and how an older file becomes a newer one.

`MIGRATIONS[n]` takes a file of schema n to n + 1, each in one transaction, each
only expanding: two releases that overlap must both read the result
(docs/formats/journal.md). The number lives in the header (`user_version`), so
that a reader knows it before it knows any table.
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

#: Kinds without an entry in the index `rare`; the query must repeat its condition.
FREQUENT: Final = frozenset({"mark-changed", "pulse", "hash-taken"})
IS_RARE: Final = "kind NOT IN ('mark-changed', 'pulse', 'hash-taken')"


def migrate(connection: sqlite3.Connection) -> None:
    """Bring the file to this release's schema. Raises OperatorError if it is not ours."""
    number: int = connection.execute("PRAGMA user_version").fetchone()[0]
    if number > SCHEMA:
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
        connection.execute(f"PRAGMA user_version = {reached}")
        connection.execute("COMMIT")
