"""`db rollback`: the state file need not go back, and the command says why."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from risk_daemon import schemas
from risk_daemon.operations.state_file import FILE
from risk_daemon.operations.which_release import release
from tests.cli.conftest import Admin


def test_a_home_that_never_ran_has_no_file(admin: Admin) -> None:
    said = admin.told(5, "db", "rollback", "--to-version", "5")

    assert "there is no state file" in said.err


@pytest.mark.parametrize("number", ["0", "-3"])
def test_a_schema_is_a_number_from_one(admin: Admin, number: str) -> None:
    said = admin.told(2, "db", "rollback", "--to-version", number)

    assert f"--to-version {number}: a schema is a whole number from 1" in said.err


def test_with_the_daemon_running_each_release_in_use_is_named_and_nothing_is_changed(
    daemon: Admin,
) -> None:
    said = daemon.told(0, "db", "rollback", "--to-version", "5", "--reason", "as printed")

    least, newest = schemas.STATE_FILE
    assert said.out == (
        f"not needed: the state file has schema {newest}, which is no newer than 5\n"
        f"{release()}: reads schema {least} to {newest}: uses the file as it is\n"
    )
    assert "next: risk-daemon-admin verify-db" in said.err


def test_a_file_that_was_only_expanded_stays_and_one_that_was_not_is_refused(
    daemon: Admin,
) -> None:
    daemon.told(0, "stop", "--yes")
    shaped(daemon, schema=4, oldest=1)
    before = (daemon.home.state / FILE).read_bytes()

    expanded = daemon.told(0, "db", "rollback", "--to-version", "3")

    assert expanded.out.startswith(
        "not needed: the state file has schema 4, only expanded: releases of schema 1 and later"
    )
    assert "uses the file as it is" in expanded.out
    assert (daemon.home.state / FILE).read_bytes() == before

    shaped(daemon, schema=4, oldest=2)
    before = (daemon.home.state / FILE).read_bytes()

    too_old = daemon.told(3, "db", "rollback", "--to-version", "1")

    assert "releases of schema 1 can't use it: the oldest that can know 2" in too_old.err
    assert (daemon.home.state / FILE).read_bytes() == before


@pytest.mark.parametrize("number", ["2", "3", "4", "99"])
def test_a_file_that_is_too_new_for_the_release_here_is_refused_whatever_is_asked_for(
    daemon: Admin, number: str
) -> None:
    daemon.told(0, "stop", "--yes")
    shaped(daemon, schema=4, oldest=2)
    before = (daemon.home.state / FILE).read_bytes()

    refused = daemon.told(3, "db", "rollback", "--to-version", number)

    assert f"{release()} reads schema 1 to 1, and the state file has schema 4" in refused.err
    assert "the oldest that can use it know 2. Nothing was changed." in refused.err
    assert refused.out == ""
    assert (daemon.home.state / FILE).read_bytes() == before


def shaped(admin: Admin, schema: int, oldest: int) -> None:
    """Have the file be as a release to come leaves it."""
    with closing(sqlite3.connect(admin.home.state / FILE)) as opened, opened:
        opened.execute(
            "CREATE TABLE IF NOT EXISTS shape (one INTEGER PRIMARY KEY, oldest INTEGER NOT NULL)"
        )
        opened.execute("INSERT OR REPLACE INTO shape VALUES (1, ?)", (oldest,))
        opened.execute(f"PRAGMA user_version = {schema:d}")
