"""A whole daemon with traders trading: its state backed up, damaged, lost and restored.

In order: each test goes on with the daemon that the one before left.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from risk_daemon.errors import OperatorError
from risk_daemon.operations import daemon as asked
from risk_daemon.operations import state_file
from risk_daemon.operations.home import Home
from risk_daemon.stage.daemon import Daemon
from risk_daemon.stage.gateway import Gateway
from risk_daemon.stage.waiting import until
from risk_daemon.wire.record import decode
from tests.operations.lived import standing

REFEREE = """\
seed: 11
traders: true
logins:
  - user: north
    api_key: a-long-north-key
    accounts:
      - {id: 101, name: NORTH-1, style: oversizer}
      - {id: 102, name: NORTH-2, style: calm}
limits:
  default: {max_contracts: 3, daily_realized_loss: "500.00"}
"""
LOCKED = 102
PERSONS = "kill-switch"


class Scene:
    """A gateway whose traders trade, and the daemon that guards them."""

    def __init__(self, folder: Path) -> None:
        config = folder / "referee.yaml"
        config.write_text(REFEREE)
        self.gateway = Gateway(folder, config=config)
        self.daemon = Daemon(folder / "home")
        self.home = Home(self.daemon.home)
        self.daemon.found(self.gateway)
        self.daemon.start()
        self.backup = Path()

    def close(self) -> None:
        self.daemon.stop()
        self.gateway.stop()

    @property
    def state(self) -> Path:
        return self.home.state / state_file.FILE

    def last_seq(self) -> int:
        return int(asked.journal_status(self.home)["last_seq"])

    def goes_on(self) -> None:
        """The stream advances, and breaches are still answered."""
        seq = self.last_seq()
        answered = len(self.gateway.get("/requests?after=0")["requests"])
        until(lambda: self.last_seq() > seq + 200, 30, "records")
        until(
            lambda: len(self.gateway.get("/requests?after=0")["requests"]) > answered,
            40,
            "a breach of the oversizer, and its answer",
        )

    def is_locked(self) -> bool:
        """A person's lock stands, by the state file."""
        return any(PERSONS in one.lock and one.account == LOCKED for one in standing(self.home))

    def epochs(self) -> set[int]:
        rows: list[dict[str, Any]] = asked.status(self.home)["accounts"]
        return {row["epoch"] for row in rows}

    def alarms(self) -> list[str]:
        found = [decode(one).fact for one in asked.tail(self.home, 200, ("alarm-raised",))]
        return [getattr(fact, "text", "") for fact in found]

    def ruin(self) -> None:
        """Overwrite the beginning of every page of the file, and of its log."""
        for path in (self.state, self.state.with_name(f"{state_file.FILE}-wal")):
            if not path.exists():
                continue
            with path.open("r+b") as file:
                for place in range(0, path.stat().st_size, 4_096):
                    file.seek(place)
                    file.write(b"\xff" * 64)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    found = Scene(tmp_path_factory.mktemp("lost"))
    yield found
    found.close()


def test_a_backup_beside_traders_is_verified(scene: Scene) -> None:
    scene.goes_on()
    lock = ("lockout", "set", "--account", str(LOCKED), "--mode", "reduce-only", "--reason", "x")

    data = scene.daemon.run("backup", "create", "--json").ok().data["data"]
    scene.daemon.run(*lock).ok()
    until(scene.is_locked, 10, "the person's lock")

    assert data["verified"] is True
    assert data["decisions"] > 0
    scene.backup = Path(data["file"])


def test_a_daemon_whose_state_was_ruined_starts_protected_and_no_lock_is_lost(
    scene: Scene,
) -> None:
    scene.daemon.kill_all()
    until(lambda: not scene.daemon.processes(), 10, "everything to be gone")
    scene.ruin()

    scene.daemon.start()

    assert scene.is_locked()
    assert min(scene.epochs()) > 1_000_000
    assert any("the state was restored by supervisor" in text for text in scene.alarms())
    scene.goes_on()


def test_a_state_that_is_ruined_under_a_running_daemon_is_rebuilt_by_itself(scene: Scene) -> None:
    before = min(scene.epochs())
    scene.ruin()
    scene.daemon.kill("journal")

    until(lambda: _is_up(scene) and min(scene.epochs()) > before + 900_000, 40, "a new journal")
    scene.daemon.wait_healthy()

    assert scene.is_locked()
    scene.goes_on()


def test_an_older_backup_brings_no_lock_to_an_end(scene: Scene) -> None:
    refused = scene.daemon.run("restore", "--backup-file", str(scene.backup))
    assert refused.code == 3
    assert "Run `risk-daemon-admin stop` first" in refused.err
    before = min(scene.epochs())
    scene.daemon.run("stop", "--yes").ok()

    scene.daemon.run("restore", "--backup-file", str(scene.backup)).ok()
    assert scene.is_locked()
    scene.daemon.run("verify-state").ok()
    scene.daemon.start()

    assert scene.is_locked()
    assert min(scene.epochs()) > 1_000_000
    assert before > 1_000_000
    scene.goes_on()
    scene.daemon.run("verify-state").ok()
    scene.daemon.run("backup", "create").ok()


def _is_up(scene: Scene) -> bool:
    try:
        scene.last_seq()
    except OperatorError:
        return False
    return True
