"""`backup create` and `restore` killed at any moment: the next command works, nothing is halved."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from risk_daemon.clock import Clock
from risk_daemon.operations.backup import backups
from risk_daemon.operations.backup.backup_list import FOLDER
from risk_daemon.operations.home import Home
from risk_daemon.operations.state_file import FILE
from tests.cli.conftest import Admin
from tests.operations import lived
from tests.untraced import untraced_children

DEADLINE_S = 60.0


def killed(admin: Admin, seen: Callable[[], object], *words: str) -> bool:
    """Start a command and kill it as soon as something is seen; False if it ended before."""
    with untraced_children():
        running = subprocess.Popen(
            [sys.executable, "-m", "risk_daemon.programs.admin", *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "RISK_DAEMON_HOME": str(admin.home.path)},
        )
    deadline = time.monotonic() + DEADLINE_S
    while running.poll() is None and not seen():
        assert time.monotonic() < deadline
    running.kill()
    return running.wait(20) != 0


def found(folder: Path, pattern: str) -> Callable[[], object]:
    return lambda: any(folder.glob(pattern))


@pytest.fixture(scope="module")
def alive(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A home that has lived and has a backup."""
    home = lived.made(tmp_path_factory.mktemp("alive") / "home", killed=True)
    backups.create(home, Clock())
    return home


@pytest.fixture
def stopped(alive: Home, tmp_path: Path) -> Admin:
    return Admin(lived.copied(alive, tmp_path / "home"), {})


def assert_whole(admin: Admin) -> None:
    """The journal starts, and every lock stands."""
    journal = lived.begin(admin.home)
    journal.terminate()
    assert journal.wait(20) == 0
    assert lived.lacks(admin.home) == []
    assert lived.kept(admin.home) == lived.standing(admin.home)


@pytest.mark.parametrize("pattern", [".*.new", ".*.zip.new", ".scratch-*", ".scratch-*/state/*"])
def test_a_killed_backup_leaves_nothing_that_counts(stopped: Admin, pattern: str) -> None:
    folder = stopped.home.path / FOLDER
    before = {path.name for path in folder.glob("backup-*.zip.verified")}

    assert killed(stopped, found(folder, pattern), "backup", "create")

    assert {path.name for path in folder.glob("backup-*.zip.verified")} == before
    data = stopped.told(0, "backup", "create", "--json").data()
    assert data["verified"] is True
    assert {path.name for path in folder.glob(".*")} == set()
    assert_whole(stopped)


@pytest.mark.parametrize(
    "pattern",
    [
        "restoring",
        "restoring/state/journal.db",
        "restoring/plan.json",
        "set-aside/*",
        "set-aside/*/state/journal.db",
    ],
)
@pytest.mark.parametrize("way", ["journal", "restore"])
def test_a_killed_restore_was_done_or_was_not(stopped: Admin, pattern: str, way: str) -> None:
    (file,) = (stopped.home.path / FOLDER).glob("backup-*.zip")
    words = ("restore", "--backup-file", str(file))

    killed(stopped, found(stopped.home.path, pattern), *words)

    if way == "restore":
        stopped.told(0, *words)
        assert (stopped.home.state / FILE).is_file()
    assert_whole(stopped)
    assert not (stopped.home.path / "restoring" / "plan.json").exists()
    if (stopped.home.path / "set-aside").exists():
        assert min(lived.epochs(stopped.home).values()) > 1_000_000
