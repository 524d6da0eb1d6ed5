"""What the journal's statements touch, and which changes of the file a release survives."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from risk_daemon.journal import footprint
from risk_daemon.journal.file import JournalFile
from risk_daemon.journal.footprint import effect, objections, read, recorded, unfit, written
from risk_daemon.journal.schema import MIGRATIONS, OLDEST
from risk_daemon.journal.sqlite import connect

OWN = read(footprint.OWN.read_text())


def test_the_footprint_of_this_release_is_what_its_statements_touch(tmp_path: Path) -> None:
    (tmp_path / "copy").mkdir()
    found = recorded(tmp_path)

    assert found == OWN, (
        f"write it anew: {footprint.OWN.name} is to be\n{written(found)}"
        "and see that an older release still fits"
    )


def test_no_statement_inserts_without_naming_its_columns() -> None:
    assert not [line for line in OWN if "*" in line]
    assert "insert record payload" in OWN
    assert "delete snapshot" in OWN


def said(*steps: str) -> list[str]:
    before, after = effect(steps, on=[step for steps in MIGRATIONS for step in steps])
    return objections(OWN, before, after)


@pytest.mark.parametrize(
    "step",
    [
        "ALTER TABLE record ADD COLUMN origin TEXT",
        "ALTER TABLE lease ADD COLUMN why TEXT NOT NULL DEFAULT ''",
        "CREATE TABLE more (one INTEGER PRIMARY KEY, two TEXT NOT NULL) STRICT",
        "CREATE INDEX newest ON record (at)",
        "CREATE VIEW held AS SELECT account FROM lease",
    ],
)
def test_what_only_adds_is_survived(step: str) -> None:
    assert said(step) == []


@pytest.mark.parametrize(
    ("steps", "why"),
    [
        (["ALTER TABLE lease DROP COLUMN holder"], "there is no column lease.holder"),
        (["ALTER TABLE lease RENAME COLUMN holder TO owner"], "there is no column lease.holder"),
        (["ALTER TABLE policy RENAME TO policies"], "there is no table policy"),
        (["DROP TABLE once"], "there is no table once"),
        (["CREATE UNIQUE INDEX one ON record (at)"], "record has a new index one"),
        (
            ["CREATE TRIGGER no BEFORE DELETE ON snapshot BEGIN SELECT RAISE(FAIL, 'no'); END"],
            "snapshot has a new trigger no",
        ),
        (
            [
                "DROP TABLE policy",
                "CREATE TABLE policy (account INTEGER PRIMARY KEY, seq TEXT NOT NULL) STRICT",
            ],
            "policy.seq is TEXT and was INTEGER",
        ),
        (
            [
                "DROP TABLE policy",
                "CREATE TABLE policy (account INTEGER PRIMARY KEY, seq INTEGER, at TEXT NOT NULL)",
            ],
            "policy.at must be given",
        ),
        (
            [
                "DROP TABLE policy",
                "CREATE TABLE policy (account INTEGER PRIMARY KEY, seq INTEGER CHECK (seq > 9))",
            ],
            "policy has a condition more",
        ),
    ],
)
def test_what_the_release_would_stumble_over_is_named(steps: list[str], why: str) -> None:
    found = said(*steps)

    assert any(why in one for one in found), found


def test_a_release_that_names_no_columns_fits_no_file(tmp_path: Path) -> None:
    JournalFile(tmp_path / "journal.db", 1).close()

    with closing(connect(str(tmp_path / "journal.db"))) as file:
        assert unfit(OWN, file) == []
        assert unfit(frozenset({"insert record *"}), file) == [
            "the release inserts into record without naming columns"
        ]
        assert unfit(frozenset({"read dreams at", "delete dreams"}), file) == [
            "there is no table dreams"
        ]


def test_every_migration_that_says_so_leaves_older_releases_their_file() -> None:
    """Beyond `OLDEST` each migration must miss the footprint of this release, at the least."""
    for number in range(OLDEST, len(MIGRATIONS)):
        before, after = effect(
            MIGRATIONS[number], on=[step for steps in MIGRATIONS[:number] for step in steps]
        )
        assert objections(OWN, before, after) == []
