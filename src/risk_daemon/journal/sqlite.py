"""The one SQLite library of this program: pysqlite3, under the standard library's types.

Versions 3.7.0 to 3.51.2 can lose committed pages when two connections
checkpoint one WAL file at once (sqlite.org/wal.html, the WAL-reset bug), and
two libraries in one process break each other's file locks. So nothing else may
import an SQLite module, and a library that is too old is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from risk_daemon.errors import OperatorError

if TYPE_CHECKING:
    import sqlite3
else:
    from pysqlite3 import dbapi2 as sqlite3

__all__ = ["OLDEST", "UNREADABLE", "connect", "require", "sqlite3", "watched"]

OLDEST: Final = (3, 51, 3)
#: What reading a damaged file may raise: names and texts in it need not even be UTF-8.
UNREADABLE: Final = (sqlite3.Error, UnicodeDecodeError, OverflowError)

#: Who sees each new connection: only who writes down what statements touch (`journal.footprint`).
_watches: list[Callable[[sqlite3.Connection], None]] = []


def connect(
    database: str, *, uri: bool = False, timeout: float = 5.0, check_same_thread: bool = True
) -> sqlite3.Connection:
    """Open a database without implicit transactions."""
    connection = sqlite3.connect(
        database,
        uri=uri,
        isolation_level=None,
        timeout=timeout,
        check_same_thread=check_same_thread,
    )
    for watch in _watches:
        watch(connection)
    return connection


@contextmanager
def watched(watch: Callable[[sqlite3.Connection], None]) -> Iterator[None]:
    """Show each connection that is opened meanwhile to `watch`."""
    _watches.append(watch)
    try:
        yield
    finally:
        _watches.remove(watch)


def require(version: tuple[int, ...]) -> None:
    """Refuse an SQLite that can corrupt WAL files. Raises OperatorError."""
    if version < OLDEST:
        found, oldest = (".".join(map(str, v)) for v in (version, OLDEST))
        raise OperatorError(
            f"SQLite {found} can corrupt WAL files; {oldest} or newer is needed: "
            "install this release's own pysqlite3"
        )
