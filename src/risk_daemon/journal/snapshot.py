"""Snapshots in the state file: the newest two per account and release."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from risk_daemon.journal.sqlite import sqlite3
from risk_daemon.wire.control import Snapshot

KEPT: Final = 2

_PUT: Final = """
    INSERT OR REPLACE INTO snapshot (account, release, schema, seq, digest, body)
    VALUES (?, ?, ?, ?, ?, ?)
"""
_PRUNE: Final = """
    DELETE FROM snapshot WHERE account = ? AND release = ? AND seq NOT IN (
        SELECT seq FROM snapshot WHERE account = ? AND release = ? ORDER BY seq DESC LIMIT ?
    )
"""
_NEWEST: Final = """
    SELECT account, release, schema, max(seq), digest, body FROM snapshot
    WHERE schema = ? AND (? = '' OR release = ?) AND account > ?
    GROUP BY account ORDER BY account LIMIT ?
"""


def put(connection: sqlite3.Connection, snapshots: Sequence[Snapshot]) -> None:
    """Keep these, and drop what is older than the newest two."""
    for one in snapshots:
        row = (one.account, one.release, one.schema, one.seq, one.digest, one.body)
        connection.execute(_PUT, row)
        connection.execute(_PRUNE, (one.account, one.release, one.account, one.release, KEPT))


def newest(
    connection: sqlite3.Connection, release: str, schema: int, after: int, limit: int
) -> list[Snapshot]:
    """Return the newest snapshot of each account above `after`; any release if empty."""
    rows = connection.execute(_NEWEST, (schema, release, release, after, limit))
    return [Snapshot(*row) for row in rows]
