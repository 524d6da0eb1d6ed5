"""Which releases a state file speaks of, and of what shape it is: for releases that don't know it.

Only what every schema has had since the first is asked for, so that an older
command can still tell that a newer file is not for it.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from risk_daemon.errors import NotFound, OperatorError
from risk_daemon.journal.schema import APPLICATION_ID, oldest
from risk_daemon.journal.sqlite import connect, sqlite3

_HOLD: Final = "SELECT release, account FROM lease WHERE holder <> '' ORDER BY release, account"
#: Whoever folded an account last wrote its newest snapshot; of one that is held, anybody may have.
_FOLDED: Final = """
    SELECT DISTINCT release FROM snapshot AS one
    WHERE seq = (SELECT max(seq) FROM snapshot WHERE account = one.account)
    AND account NOT IN (SELECT account FROM lease WHERE holder <> '')
"""
_FORMAT: Final = "SELECT version FROM record ORDER BY seq DESC LIMIT 1"


@dataclass(frozen=True, slots=True)
class Shapes:
    """What a state file is. `format` is of its newest record, 0 if it has none.

    `oldest` is the oldest schema whose releases may use the file as it is.
    """

    schema: int
    oldest: int
    format: int
    #: Accounts by the release whose worker holds them.
    held: dict[str, list[int]]
    #: Releases that wrote the newest snapshot of an account that nobody holds.
    folded: frozenset[str]


def shapes(path: Path) -> Shapes:
    """Read it beside its writer. Raises NotFound for no file, OperatorError for one not ours."""
    if not path.is_file():
        raise NotFound(f"there is no state file {path}")
    uri = f"{path.absolute().as_uri()}?mode=ro"
    try:
        with closing(connect(uri, uri=True, timeout=1.0)) as file:
            (application,) = file.execute("PRAGMA application_id").fetchone()
            (schema,) = file.execute("PRAGMA user_version").fetchone()
            if application != APPLICATION_ID:
                raise OperatorError(f"{path} is not a journal: its header names another program.")
            least = oldest(file)
            newest = file.execute(_FORMAT).fetchone()
            held: dict[str, list[int]] = {}
            for release, account in file.execute(_HOLD):
                held.setdefault(release, []).append(account)
            folded = frozenset(row[0] for row in file.execute(_FOLDED))
    except sqlite3.DatabaseError as error:
        raise OperatorError(
            f"the state file {path} can't be read: {error}. "
            "`risk-daemon-admin verify-db` says more."
        ) from None
    return Shapes(int(schema), least, int(newest[0]) if newest else 0, held, folded)
