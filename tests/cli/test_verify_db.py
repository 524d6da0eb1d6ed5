"""`verify-db`: a whole file passes, running or not; every kind of damage is named."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from risk_daemon.core.events import AlarmRaised
from risk_daemon.journal.sqlite import sqlite3
from risk_daemon.operations import daemon as asked
from risk_daemon.operations.state_file import FILE
from risk_daemon.wire.client import JournalClient
from risk_daemon.wire.control import Grant, LeasesGranted
from risk_daemon.wire.record import encode
from tests.cli.conftest import Admin
from tests.operations import build
from tests.operations.conftest import process

ALARM = AlarmRaised(account=0, level="info", what="trial", text="one of many", source="test")


def kept(admin: Admin) -> dict[str, bytes]:
    """What the journal keeps; a reader leaves SQLite's own two companions beside it."""
    files = build.contents(admin.home.path)
    return {name: text for name, text in files.items() if not name.endswith(("-wal", "-shm"))}


@pytest.fixture
def written(admin: Admin) -> Admin:
    """A home whose journal ran, kept some records and was stopped."""
    with process("journal", admin.home, "journal.ready"):
        for _ in range(5):
            asked.append(admin.home, ALARM)
    return admin


@pytest.fixture
def running(admin: Admin) -> Iterator[Admin]:
    """A home whose journal runs and has kept some records."""
    with process("journal", admin.home, "journal.ready"):
        for _ in range(5):
            asked.append(admin.home, ALARM)
        yield admin


def test_a_whole_file_passes_and_is_not_touched(written: Admin) -> None:
    before = kept(written)

    said = written.told(0, "verify-db")

    assert "version: schema 1, records of format 1\n" in said.out
    assert "structure: every page and index is sound\n" in said.out
    assert "records, seq 1 to " in said.out
    assert "tables: leases and policies are what their records say\n" in said.out
    assert said.err == "next: risk-daemon-admin verify-state\n"
    assert kept(written) == before


def test_a_file_in_use_passes_and_goes_on_growing(running: Admin) -> None:
    data = running.told(0, "verify-db", "--json").data()

    assert data["ok"] is True
    assert (data["broken_at"], data["structure"], data["tables"]) == (0, [], [])
    assert data["records"] == data["last_seq"] >= 5
    assert asked.append(running.home, ALARM) > data["last_seq"]


def test_a_missing_file_is_said_to_be_missing(admin: Admin) -> None:
    before = kept(admin)

    said = admin.told(5, "verify-db")

    assert f"there is no state file {admin.home.state / FILE}" in said.err
    assert "`risk-daemon-admin start` makes one" in said.err
    assert kept(admin) == before


# --- damage -------------------------------------------------------------------------


def alter_a_payload(path: Path) -> None:
    content, payload = path.read_bytes(), encode(ALARM)
    assert payload in content
    path.write_bytes(content.replace(payload, payload.replace(b"one of many", b"one of menu"), 1))


def alter_the_header(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[0] ^= 0xFF
    path.write_bytes(content)


def alter_an_index(path: Path) -> None:
    content = path.read_bytes()
    place = content.rindex(b"alarm-raised")
    assert content.count(b"alarm-raised") > 5
    path.write_bytes(content[:place] + b"alarm-raisec" + content[place + 12 :])


def by_sql(sentence: str) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        connection = sqlite3.connect(path)
        connection.execute(sentence)
        connection.commit()
        connection.close()

    return change


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (alter_a_payload, "chain: BROKEN at record "),
        (alter_the_header, "can't be read: file is not a database"),
        (alter_an_index, "DAMAGED: "),
        (by_sql("DELETE FROM record WHERE seq = 3"), "chain: BROKEN at record 3: lost"),
        (
            by_sql("INSERT INTO lease VALUES (1, 'w', 'v1', 7, 1, 999)"),
            "tables: DISAGREE: the lease of account 1 is not record 999",
        ),
        (
            by_sql("INSERT INTO policy VALUES (1, 2)"),
            "tables: DISAGREE: the policy of account 1 is not record 2",
        ),
        (
            by_sql("INSERT INTO once VALUES ('intended/x', 900)"),
            "tables: DISAGREE: intended/x is not record 900",
        ),
        (by_sql("DELETE FROM meta"), "the file has no incarnation"),
        (by_sql("PRAGMA user_version = 9"), "has schema 9, this release knows 1"),
        (by_sql("PRAGMA application_id = 4"), "its header names another program"),
        (by_sql("UPDATE record SET version = 3 WHERE seq = 2"), "READS ONLY up to 1"),
    ],
)
def test_damage_is_named_and_left_as_it_is(
    written: Admin, damage: Callable[[Path], None], sentence: str
) -> None:
    damage(written.home.state / FILE)
    before = kept(written)

    said = written.told(1, "verify-db")

    assert sentence in said.out
    assert "`restore --rebuild` keeps what can be read" in said.err
    assert "next: risk-daemon-admin doctor" in said.err
    assert kept(written) == before


def test_a_damaged_file_stops_no_emergency_and_is_told_by_status(written: Admin) -> None:
    alter_the_header(written.home.state / FILE)

    flatten = written.told(0, "emergency", "flatten-all", "--dry-run")
    lockout = written.told(0, "emergency", "lockout", "--account", "TWO", "--dry-run")
    status = written.told(1, "status")

    assert "2: would be flattened and locked" in flatten.out
    assert "2 TWO: would be flattened and locked" in lockout.out
    assert "can't be read: file is not a database. `risk-daemon-admin verify-db`" in status.err


@pytest.mark.parametrize("command", ["stop --yes", "emergency shutdown"])
def test_where_nothing_runs_and_the_file_is_damaged_a_stop_says_both(
    written: Admin, command: str
) -> None:
    alter_the_header(written.home.state / FILE)

    said = written.told(1, *command.split(), "--reason", "it is corrupted")

    assert "no process answers: nothing protects the accounts; the state file " in said.out
    assert "can't be read: file is not a database" in said.out
    assert "next: risk-daemon-admin start" in said.err


def test_a_lease_that_says_other_than_its_record_is_named(written: Admin) -> None:
    async def act(journal: JournalClient) -> LeasesGranted:
        return await journal.grant([Grant(1, 0, "w1", "v1")])

    with process("journal", written.home, "journal.ready"):
        (lease,) = asked.with_journal(written.home, act).leases
    by_sql("UPDATE lease SET holder = 'w2'")(written.home.state / FILE)

    said = written.told(1, "verify-db")

    assert f"the lease of account 1 differs from record {lease.granted_seq}" in said.out
