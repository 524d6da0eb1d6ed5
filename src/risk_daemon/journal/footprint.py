"""What a release's statements touch in a state file, and whether a file, or a change, fits that.

A line per thing touched, as SQLite's own authorizer names it: `read TABLE COLUMN`,
`update TABLE COLUMN`, `insert TABLE COLUMN`, `delete TABLE`. `footprint.txt` beside this file is
that of this release: so it is in its wheel, and a newer release, or a person, can tell without
running it what it needs (docs/formats/journal.md).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

from risk_daemon.core.events import LeaseGranted, Probed
from risk_daemon.journal.batch import Batch
from risk_daemon.journal.file import JournalFile
from risk_daemon.journal.inspection import Inspection
from risk_daemon.journal.reader import Reader
from risk_daemon.journal.sequencer import Sequencer
from risk_daemon.journal.shapes import shapes
from risk_daemon.journal.sqlite import connect, sqlite3, watched
from risk_daemon.wire.control import Lease, Snapshot
from risk_daemon.wire.record import new_record

NAME: Final = "footprint.txt"
OWN: Final = Path(__file__).with_name(NAME)
#: Codes of SQLite's authorizer (sqlite.org/c3ref/c_alter_table.html).
_DELETE, _READ, _UPDATE = 9, 20, 23
_INSERT: Final = re.compile(
    r"INSERT\s+(?:OR\s+\w+\s+)?INTO\s+(\w+)\s*(?:\(([\w\s,]*)\))?", re.IGNORECASE
)
#: What no release's statements mean by themselves.
_ITS_OWN: Final = ("sqlite_", "shape")
_ALL: Final = "*"

type Lines = frozenset[str]


# --- writing it down ------------------------------------------------------------------


def recorded(folder: Path) -> Lines:
    """Do once all that this release does to a state file, and write down what is touched."""
    found: set[str] = set()

    def authorize(action: int, table: str | None, column: str | None, *_: object) -> int:
        if action == _DELETE:
            found.add(f"delete {table}")
        elif action in (_READ, _UPDATE) and column:
            found.add(f"{'read' if action == _READ else 'update'} {table} {column}")
        return sqlite3.SQLITE_OK

    def watch(connection: sqlite3.Connection) -> None:
        connection.set_authorizer(authorize)
        connection.set_trace_callback(lambda text: found.update(_inserted(text)))

    path = folder / "journal.db"
    JournalFile(path, 1).close()  # what making the tables touches is not its use
    with watched(watch):
        _use(path)
    return frozenset(line for line in found if not line.split()[1].startswith(_ITS_OWN))


def _inserted(text: str) -> list[str]:
    """Return what a statement inserts into; without a list of columns it is all of them."""
    found = _INSERT.search(text)
    if found is None:
        return []
    columns = (found[2] or _ALL).split(",")
    return [f"insert {found[1]} {column.strip()}" for column in columns]


def _use(path: Path) -> None:
    """Write and read every table in every way there is."""
    with closing(JournalFile(path, 2)) as file:
        for batch in _batches():
            file.store(batch)
        file.copy(path.parent / "copy")
    with closing(Reader(path)) as reader:
        reader.last()
        reader.first_seq()
        reader.crc_at(1)
        reader.beginning(2)
        reader.once("probed/one")
        reader.rare_kinds()
        reader.records(1, 9, (), 9)
        reader.records(1, 9, ("probed",), 9)
        reader.seq_back(1, ())
        reader.seq_since(1)
        reader.known_seq()
        reader.names(1, 9)
        reader.snapshots("", 1, -1, 9)
        reader.check(1, 9, 0)
    with closing(Inspection(path)) as inspection:
        inspection.schema()
        inspection.formats()
        inspection.structure()
        inspection.disagreements()
    shapes(path)


def _batches() -> list[Batch]:
    """One batch that grants a lease, and one under it."""
    head, made = Sequencer(), []
    for number in (1, 2):
        batch = Batch(number)
        batch.has_promise = True
        lease = LeaseGranted(account=1, holder="worker", release="v1", epoch=number, incarnation=1)
        batch.records = [head.admit(new_record(fact), number) for fact in (lease, Probed())]
        seq = batch.records[0].seq
        batch.once = [(f"probed/{number}", seq)]
        batch.policies = [(1, seq)]
        batch.leases = [Lease(1, "worker", "v1", number, 1, seq)]
        batch.snapshots = [Snapshot(1, "v1", 1, seq, "digest", b"")]
        made.append(batch)
    last = Batch(3)
    last.records, last.intents = [head.admit(new_record(Probed()), 3)], [(1, 2)]
    return [*made, last]


def read(text: str) -> Lines:
    """Read a footprint's text; comments and empty lines are nobody's."""
    lines = (line.strip() for line in text.splitlines())
    return frozenset(line for line in lines if line and not line.startswith("#"))


def written(lines: Lines) -> str:
    """Write a footprint, the same text for the same lines."""
    return "\n".join(sorted(lines)) + "\n"


# --- whether a file fits it -------------------------------------------------------------


class Tables:
    """The tables of a file: columns with what an insert must give, and what else guards them."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        names = [
            str(row[0])
            for row in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")
        ]
        self.columns: dict[str, dict[str, tuple[str, bool]]] = {
            name: {
                str(column): (str(kind).upper(), bool(not_null) and default is None and not key)
                for _, column, kind, not_null, default, key in connection.execute(
                    f"PRAGMA table_info({name})"
                )
            }
            for name in names
        }
        rows = connection.execute("SELECT type, tbl_name, name, ifnull(sql, '') FROM sqlite_schema")
        self.guards = {
            (str(table), f"{kind} {name}")
            for kind, table, name, sql in rows
            if kind == "trigger" or (kind == "index" and "UNIQUE" in str(sql).upper())
        }
        #: How many conditions each table's own text has.
        self.checks = {
            str(table): str(sql).upper().count("CHECK") + str(sql).upper().count("UNIQUE")
            for kind, table, _, sql in connection.execute(
                "SELECT type, tbl_name, name, ifnull(sql, '') FROM sqlite_schema"
            )
            if kind == "table"
        }


def objections(footprint: Lines, before: Tables, after: Tables) -> list[str]:
    """Say why a release with this footprint can't go on after a change; empty if it can."""
    said = _lacks(footprint, after)
    for table, columns in sorted(after.columns.items()):
        known = before.columns.get(table)
        if known is None or not _mentions(footprint, table):
            continue
        said += [
            f"{table}.{column} is {columns[column][0]} and was {kind}"
            for column, (kind, _) in sorted(known.items())
            if column in columns and columns[column][0] != kind
        ]
        if _writes(footprint, table) and after.checks[table] > before.checks[table]:
            said.append(f"{table} has a condition more, and the release writes to it")
    for table, guard in sorted(after.guards - before.guards):
        if _writes(footprint, table):
            said.append(f"{table} has a new {guard}, and the release writes to it")
    return said


def unfit(footprint: Lines, connection: sqlite3.Connection) -> list[str]:
    """Say what a release needs of a file as it is and does not find; empty if it finds all."""
    return _lacks(footprint, Tables(connection))


def effect(steps: Sequence[str], *, on: Iterable[str]) -> tuple[Tables, Tables]:
    """Return the tables before and after a migration's steps, tried on an empty file."""
    with closing(connect(":memory:")) as scratch:
        for step in on:
            scratch.execute(step)
        before = Tables(scratch)
        for step in steps:
            scratch.execute(step)
        return before, Tables(scratch)


def _lacks(footprint: Lines, tables: Tables) -> list[str]:
    said, gone = [], set()
    for line in sorted(footprint):
        verb, table, *rest = line.split()
        columns = tables.columns.get(table)
        if columns is None:
            if table not in gone:
                gone.add(table)
                said.append(f"there is no table {table}")
        elif rest == [_ALL]:
            said.append(f"the release inserts into {table} without naming columns")
        elif rest and rest[0] not in columns and not _is_rowid(verb, rest[0]):
            said.append(f"there is no column {table}.{rest[0]}, which the release {verb}s")
    for table, columns in sorted(tables.columns.items()):
        given = {line.split()[2] for line in footprint if line.startswith(f"insert {table} ")}
        said += [
            f"{table}.{column} must be given, and the release does not know it"
            for column, (_, is_demanded) in sorted(columns.items())
            if given and _ALL not in given and is_demanded and column not in given
        ]
    return said


def _is_rowid(verb: str, column: str) -> bool:
    return verb == "read" and column == "ROWID"


def _mentions(footprint: Lines, table: str) -> bool:
    return any(line.split()[1] == table for line in footprint)


def _writes(footprint: Lines, table: str) -> bool:
    return any(line.split()[1] == table and not line.startswith("read ") for line in footprint)
