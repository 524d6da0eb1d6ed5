"""Homes that have lived: a real journal wrote settings, policies, locks and leases into them."""

import shutil
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from risk_daemon.core.events import LockEnded, LockPlaced, OperatorActed
from risk_daemon.journal import lock_file
from risk_daemon.journal.anew import standing_in
from risk_daemon.journal.sqlite import sqlite3
from risk_daemon.operations import daemon
from risk_daemon.operations.home import Home
from risk_daemon.operations.state_file import FILE
from risk_daemon.operations.which_release import release
from risk_daemon.wire.client import JournalClient
from risk_daemon.wire.control import Grant, LeasesGranted
from tests.operations import build
from tests.operations.conftest import wait_for

FAR = 2_000_000_000_000_000_000
ENDED = "unarmed:max-contracts"


def lock(account: int, name: str, until: int | None = FAR, mode: str = "full") -> LockPlaced:
    return LockPlaced(
        account=account,
        lock=name,
        rule="daily-realized-loss",
        mode=mode,
        began_at=7,
        until=until,
        reason="the day's loss",
    )


#: What stands in the end; `ENDED` stood and is over.
LOCKS = (lock(1, "day:2"), lock(1, "end", None), lock(2, "day:3", mode="reduce-only"))


def begin(home: Home) -> "subprocess.Popen[bytes]":
    """Start a journal, adopt the configuration."""
    words = [sys.executable, "-m", "risk_daemon.programs.journal", "--home", str(home.path)]
    running = subprocess.Popen(words)
    wait_for(home.run / "journal.ready", running)
    adopt = [sys.executable, "-m", "risk_daemon.programs.adopt", "--home", str(home.path)]
    subprocess.run(adopt, check=True, capture_output=True)
    return running


def place(home: Home, *locks: LockPlaced) -> None:
    """Lock as a worker would."""
    for one in locks:
        daemon.append(home, one, f"{one.account}:{one.lock}:{one.began_at}")


def lease(home: Home, account: int, epoch: int = 0) -> None:
    """Grant a lease: with it a replay says again what stands."""

    async def act(journal: JournalClient) -> LeasesGranted:
        return await journal.grant([Grant(account, epoch, "worker-1", release())])

    assert not daemon.with_journal(home, act).refused


def live(home: Home) -> None:
    """Lock, unlock, lease."""
    place(home, lock(1, ENDED))
    lease(home, 1)
    act = OperatorActed(account=1, act="confirm", by="ann", reason="x", act_id="c")
    daemon.append(home, act, f"act:{act.act_id}")
    daemon.append(home, LockEnded(account=1, lock=ENDED, why="confirmed by ann: x"))
    place(home, *LOCKS)
    for account, epoch in ((1, 1), (2, 0)):
        lease(home, account, epoch)


def made(path: Path, *, killed: bool) -> Home:
    """A home that has lived, and whose journal was stopped or killed."""
    home = build.home(path)
    running = begin(home)
    live(home)
    if killed:
        running.kill()
    else:
        running.terminate()
    running.wait(20)
    (home.run / "journal.ready").unlink(missing_ok=True)
    return home


def copied(home: Home, path: Path) -> Home:
    """A home of its own with the same content."""
    shutil.copytree(home.path, path, ignore=shutil.ignore_patterns("*.sock", "*.addr"))
    return Home(path)


def standing(home: Home) -> list[LockPlaced]:
    """Every lock that stands, by the state file."""
    found = standing_in(home.state / FILE)
    return [one for account in sorted(found.locks) for one in found.of(account)]


def kept(home: Home) -> list[LockPlaced]:
    """Every lock that stands, by the lock file."""
    slot = lock_file.read(home.state)
    assert slot is not None
    assert slot.is_whole
    return [one for row in slot.rows for one in row.locks]


def lacks(home: Home) -> list[LockPlaced]:
    """Which of the locks are gone, milder or shorter than they were."""
    return [one for one in LOCKS if not any(_holds(other, one) for other in standing(home))]


def _holds(other: LockPlaced, one: LockPlaced) -> bool:
    same = (other.account, other.mode, other.scope) == (one.account, one.mode, one.scope)
    longer = other.until is None or (one.until is not None and other.until >= one.until)
    return same and longer and one.lock in other.lock


def epochs(home: Home) -> dict[int, int]:
    """The epoch of each account, by the state file."""
    with closing(sqlite3.connect(home.state / FILE)) as connection:
        return dict(connection.execute("SELECT account, epoch FROM lease ORDER BY account"))


def incarnation(home: Home) -> int:
    """Which state file it is."""
    with closing(sqlite3.connect(home.state / FILE)) as connection:
        (found,) = connection.execute("SELECT incarnation FROM meta").fetchone()
        return int(found)
