"""A real SQLite that is too old: the standard library's, where the program looks for its own."""

import sqlite3
from pathlib import Path

import pytest

from risk_daemon.journal.sqlite import OLDEST


def old_sqlite(folder: Path) -> dict[str, str]:
    """An environment in which a process finds the standard library's SQLite as its own."""
    if sqlite3.sqlite_version_info >= OLDEST:
        pytest.skip(f"this machine's own SQLite {sqlite3.sqlite_version} is new enough")
    package = folder / "aged" / "pysqlite3"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "dbapi2.py").write_text("from sqlite3.dbapi2 import *\n")
    return {"PYTHONPATH": str(package.parent)}
