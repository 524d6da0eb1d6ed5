"""A whole daemon whose processes freeze, die and come twice: each account has one enforcer."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from risk_daemon.core.events import LeaseGranted
from risk_daemon.operations import daemon as asked
from risk_daemon.operations.home import Home
from risk_daemon.stage.daemon import Daemon
from risk_daemon.stage.gateway import Gateway
from risk_daemon.stage.waiting import until
from risk_daemon.wire.record import decode

REFEREE = """\
seed: 11
traders: false
profile: calm
logins:
  - user: north
    api_key: a-long-north-key
    accounts: [{id: 101, name: NORTH-1}]
limits:
  default: {max_contracts: 2, daily_realized_loss: "500.00"}
"""
ACCOUNT = 101


class Scene:
    """A gateway, a daemon, and what a test wants to know of them."""

    referee = REFEREE

    def __init__(self, folder: Path) -> None:
        config = folder / "referee.yaml"
        config.write_text(self.referee)
        self.gateway = Gateway(folder, config=config)
        self.daemon = self.made(folder)
        self.daemon.found(self.gateway)
        self.prepare()
        self.daemon.start()

    def made(self, folder: Path) -> Daemon:
        """The daemon, not founded yet."""
        return Daemon(folder / "home")

    def prepare(self) -> None:
        """What is to be done to the home before it is started."""

    def close(self) -> None:
        self.daemon.stop()
        self.gateway.stop()

    def lease(self) -> tuple[str, int]:
        """Who holds the account, at which epoch, by the supervisor."""
        row: dict[str, Any] = asked.status(Home(self.daemon.home))["accounts"][0]
        return row["holder"], row["epoch"]

    def pids(self) -> dict[str, int]:
        return {name: process.pid for name, process in self.daemon.processes().items()}

    def buy(self, size: int) -> None:
        self.gateway.post(
            "/order", account=ACCOUNT, contract="MNQ", side="buy", size=size, type="market"
        )

    def held(self) -> int:
        (row,) = self.gateway.get("/truth")["accounts"]
        return sum(position["q"] for position in row["positions"])

    def breach_is_answered(self) -> None:
        """Buy above the limit of two; the daemon brings it back."""
        before = len(self.gateway.get("/requests?after=0")["requests"])
        self.buy(4)
        until(lambda: self.held() > 0, 5, "the order to fill")
        until(lambda: self.held() == 2, 15, "the position to be reduced to its limit")
        self.gateway.post(
            "/order", account=ACCOUNT, contract="MNQ", side="sell", size=2, type="market"
        )
        until(lambda: self.held() == 0, 5, "the trader to close the rest")
        assert len(self.gateway.get("/requests?after=0")["requests"]) > before


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    found = Scene(tmp_path_factory.mktemp("failover"))
    try:
        yield found
    finally:
        found.close()


def test_a_frozen_worker_is_killed_and_the_warm_one_enforces(scene: Scene) -> None:
    holder, epoch = scene.lease()
    frozen = scene.daemon.processes()[holder]

    frozen.suspend()
    until(lambda: scene.lease()[1] > epoch, 10, "the epoch to be raised")

    heir, raised = scene.lease()
    assert (heir != holder, raised) == (True, epoch + 1)
    until(lambda: not frozen.is_running(), 5, "the frozen one to be reaped")
    scene.breach_is_answered()
    alarms = asked.tail(Home(scene.daemon.home), 20, ("alarm-raised",))
    assert any(b"missed its heartbeats" in alarm.payload for alarm in alarms)


def test_a_killed_standby_changes_no_lease_and_comes_back(scene: Scene) -> None:
    until(lambda: len(scene.pids()) == 6, 10, "the standby to be back")
    holder, epoch = scene.lease()
    standby = next(n for n in scene.pids() if n.startswith("worker-") and n != holder)

    pid = scene.daemon.kill(standby)
    until(lambda: scene.pids().get(standby, pid) != pid, 10, "the standby to be started again")

    assert scene.lease() == (holder, epoch)


@pytest.mark.parametrize("name", ["journal", "link-north"])
def test_a_frozen_journal_or_link_is_killed_and_another_takes_its_place(
    scene: Scene, name: str
) -> None:
    frozen = scene.daemon.processes()[name]

    frozen.suspend()
    until(lambda: not frozen.is_running(), 10, "the frozen one to be killed")
    scene.daemon.wait_healthy()

    scene.breach_is_answered()
    alarms = asked.tail(Home(scene.daemon.home), 20, ("alarm-raised",))
    assert any(f"{name} does not answer any more".encode() in one.payload for one in alarms)


@pytest.mark.skipif(sys.platform == "win32", reason="a lock that is waited for is POSIX")
def test_without_a_journal_an_account_fails_over_and_the_journal_takes_the_lease_in(
    scene: Scene,
) -> None:
    until(lambda: len(scene.pids()) == 6, 10, "the standby to be back")
    holder, epoch = scene.lease()
    with no_journal(scene):
        scene.daemon.kill(holder)
        until(lambda: scene.lease()[1] > epoch, 10, "the epoch to be raised")
        heir, raised = scene.lease()
        assert (heir != holder, raised) == (True, epoch + 1)
        until(lambda: enforces(scene), 5, "the heir to enforce")

    scene.daemon.wait_healthy()
    assert scene.lease() == (heir, raised)
    scene.breach_is_answered()
    grants = [
        decode(one).fact for one in asked.tail(Home(scene.daemon.home), 1, ("lease-granted",))
    ]
    assert [(one.holder, one.epoch) for one in grants if isinstance(one, LeaseGranted)] == [
        (heir, raised)
    ]


@contextmanager
def no_journal(scene: Scene) -> Iterator[None]:
    """Kill the journal and let no other one begin: its lock is taken before the next one looks."""
    if sys.platform == "win32":
        raise NotImplementedError
    else:
        import fcntl

        with (scene.daemon.home / "state" / "journal.lock").open("rb+") as lock:
            waiting = threading.Thread(target=fcntl.flock, args=(lock, fcntl.LOCK_EX))
            waiting.start()
            scene.daemon.kill("journal")
            waiting.join(10)
            try:
                yield
            finally:
                fcntl.flock(lock, fcntl.LOCK_UN)


def enforces(scene: Scene) -> bool:
    (row,) = asked.status(Home(scene.daemon.home))["accounts"]
    return bool(row["enforcing"])


def test_a_second_supervisor_is_refused_and_nothing_changes(scene: Scene) -> None:
    before = scene.pids()

    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "risk_daemon.programs.supervisor",
            "--home",
            str(scene.daemon.home),
        ],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 3
    assert "a daemon runs on the home" in done.stderr
    assert scene.pids() == before


def test_without_its_supervisor_the_daemon_enforces_and_a_new_one_finds_it(scene: Scene) -> None:
    before = scene.pids()
    scene.daemon.kill("supervisor")

    scene.breach_is_answered()
    scene.daemon.start()

    after = scene.pids()
    assert after.pop("supervisor") != before.pop("supervisor")
    assert after == before
