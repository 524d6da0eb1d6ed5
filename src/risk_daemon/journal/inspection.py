"""A full look at the state file: its version, its structure, and whether its tables agree.

Read-only, beside the writer or alone. Every question is a short read of its
own, so that the log can be folded meanwhile; what may grow between two
questions is asked in the order in which growth can't look like damage.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from risk_daemon.core.events import LeaseGranted, PolicyAdopted
from risk_daemon.errors import Malformed, NotFound, OperatorError
from risk_daemon.journal.schema import APPLICATION_ID, SCHEMA, is_newer
from risk_daemon.journal.sqlite import UNREADABLE, connect
from risk_daemon.wire.record import FORMAT_VERSION, Record, decode

#: Lines of damage that are told of one file.
TOLD_MAX: Final = 10

_RECORD: Final = "SELECT seq, at, version, kind, account, payload, crc FROM record WHERE seq = ?"
_LEASES: Final = "SELECT account, holder, release, epoch, incarnation, granted_seq FROM lease"
_DANGLING: Final = """
    SELECT name, seq FROM once WHERE seq >= (SELECT min(seq) FROM record)
    AND seq NOT IN (SELECT seq FROM record) LIMIT 10
"""


class Inspection:
    """One read-only connection. Raises OperatorError where SQLite itself gives up."""

    def __init__(self, path: Path) -> None:
        """Open the file. Raises NotFound if there is none."""
        if not path.is_file():
            raise NotFound(f"there is no state file {path}")
        self._path = path
        uri = f"{path.absolute().as_uri()}?mode=ro"
        self._connection = connect(uri, uri=True, timeout=1.0)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def schema(self) -> int:
        """Return the file's schema. Raises OperatorError for one that is not ours, or too new."""
        (application,) = self._ask("PRAGMA application_id")[0]
        (number,) = self._ask("PRAGMA user_version")[0]
        if application != APPLICATION_ID:
            raise OperatorError(f"{self._path} is not a journal: its header names another program.")
        if is_newer(self._connection):
            raise OperatorError(
                f"{self._path} has schema {number}, this release knows {SCHEMA}: "
                "use the command of the release that wrote it."
            )
        return int(number)

    def formats(self) -> list[int]:
        """Return the format versions its records have."""
        return [int(row[0]) for row in self._ask("SELECT DISTINCT version FROM record ORDER BY 1")]

    def structure(self) -> list[str]:
        """Let SQLite look at every page and index; empty if all is sound."""
        rows = self._ask(f"PRAGMA integrity_check({TOLD_MAX})")
        said = [line for row in rows for line in str(row[0]).splitlines()]
        return [] if said == ["ok"] else said[:TOLD_MAX]

    def disagreements(self) -> list[str]:
        """Compare the tables that are kept beside the records with the records."""
        found = [wrong for row in self._ask(_LEASES) if (wrong := self._lease(row))]
        for account, seq in self._ask("SELECT account, seq FROM policy"):
            fact = self._fact(seq)
            if not isinstance(fact, PolicyAdopted) or fact.account != account:
                found.append(f"the policy of account {account} is not record {seq}")
        found += [f"{name} is not record {seq}" for name, seq in self._ask(_DANGLING)]
        if self._ask("SELECT count(*) FROM meta") != [(1,)]:
            found.append("the file has no incarnation of its own")
        return found[:TOLD_MAX]

    def unknown_formats(self) -> list[int]:
        """Return the format versions of records that this release can't read."""
        return [version for version in self.formats() if not 0 < version <= FORMAT_VERSION]

    def _lease(self, row: tuple[int, str, str, int, int, int]) -> str:
        account, holder, release, epoch, incarnation, seq = row
        fact = self._fact(seq)
        granted = (account, holder, release, epoch, incarnation)
        if not isinstance(fact, LeaseGranted):
            return f"the lease of account {account} is not record {seq}"
        told = (fact.account, fact.holder, fact.release, fact.epoch, fact.incarnation)
        return (
            "" if granted == told else f"the lease of account {account} differs from record {seq}"
        )

    def _fact(self, seq: int) -> object:
        """Return the fact of a record; None where it is not there or can't be read."""
        rows = self._ask(_RECORD, seq)
        try:
            return decode(Record(*rows[0])).fact if rows else None
        except Malformed:
            return None

    def _ask(self, question: str, *values: object) -> list[tuple]:  # type: ignore[type-arg]
        try:
            return self._connection.execute(question, values).fetchall()
        except UNREADABLE as error:
            raise OperatorError(f"{self._path} can't be read: {error}.") from None
