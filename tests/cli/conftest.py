"""The command line as people run it: a process, its words, its exit code."""

import atexit
import functools
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from risk_daemon.operations.configuration import founding
from risk_daemon.operations.home import Home
from tests.operations import build
from tests.operations.conftest import wait_for
from tests.untraced import is_traced, untraced, untraced_children

REFEREE = """\
seed: 11
traders: false
logins:
  - user: north
    api_key: a-long-north-key
    accounts: [{id: 101, name: NORTH-1}, {id: 102, name: NORTH-2}]
  - user: south
    api_key: a-long-south-key
    accounts: [{id: 201, name: SOUTH-1}]
limits:
  default: {max_contracts: 5, daily_realized_loss: "500.00"}
"""


WITHIN_S = 90.0

#: Commands whose first runs have been real starts of the program start warm (docs/adr/0034).
WARM: Callable[[], Any] | None = None
if sys.platform == "linux":
    from tests.warm import Warm

    @functools.cache
    def _warm() -> Warm:
        folder = tempfile.TemporaryDirectory(prefix="warm-")
        warm = Warm(Path(folder.name), untraced(os.environ))
        atexit.register(folder.cleanup)
        atexit.register(warm.close)
        return warm

    WARM = _warm


@dataclass(frozen=True)
class Said:
    """What a command came to."""

    code: int
    out: str
    err: str

    def data(self) -> dict[str, Any]:
        """The `data` of a --json answer."""
        found: dict[str, Any] = json.loads(self.out)["data"]
        return found


@dataclass(frozen=True)
class Admin:
    """risk-daemon-admin on one home."""

    home: Home
    env: Mapping[str, str]

    def __call__(self, *words: str) -> Said:
        """Run a command; its stdin is no terminal."""
        own = {**os.environ, **self.env, "RISK_DAEMON_HOME": str(self.home.path)}
        if is_traced(words) or WARM is None or "PYTHONPATH" in self.env:
            done = subprocess.run(
                [sys.executable, "-m", "risk_daemon.programs.admin", *words],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
                env=own,
                timeout=WITHIN_S,
            )
        else:
            done = WARM().run(words, untraced(own), WITHIN_S)
        return Said(done.returncode, done.stdout, done.stderr)

    def told(self, code: int, *words: str) -> Said:
        """Run a command that must end with this exit code."""
        said = self(*words)
        assert said.code == code, f"{words}: exit {said.code}\n{said.out}\n{said.err}"
        return said


@pytest.fixture
def nobody(tmp_path: Path) -> Admin:
    """A place where no home is."""
    return Admin(Home(tmp_path / "none"), {})


@pytest.fixture
def admin(tmp_path: Path) -> Admin:
    """A home that nobody runs, whose gateway nobody runs either."""
    return Admin(build.home(tmp_path / "home"), {})


@dataclass(frozen=True)
class Gateway:
    """A running simulated gateway."""

    url: str
    config: Path
    control: str

    def wish(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Ask the control port for something."""
        request = urllib.request.Request(
            self.control + path, json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request) as answer:
            found: dict[str, Any] = json.loads(answer.read())
        return found

    def ask(self, path: str) -> dict[str, Any]:
        """Ask the control port a question."""
        with urllib.request.urlopen(self.control + path) as answer:
            found: dict[str, Any] = json.loads(answer.read())
        return found


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway without traders: what is open is what a test opened."""
    folder = tmp_path_factory.mktemp("gateway")
    config = folder / "referee.yaml"
    config.write_text(REFEREE.replace("profile: quiet\n", ""))
    ready = folder / "ready.json"
    words = ["run", "--config", str(config), "--ready-file", str(ready)]
    # The market of a whole module's gateway, traced line by line, would take half a core from
    # everything else; what it does is measured in tests/sim.
    with untraced_children():
        running = subprocess.Popen(
            [sys.executable, "-m", "risk_daemon.programs.simgate", *words],
            stdout=subprocess.DEVNULL,
        )
    try:
        wait_for(ready, running)
        ports = json.loads(ready.read_text())
        base = "http://127.0.0.1"
        yield Gateway(f"{base}:{ports['port']}", config, f"{base}:{ports['control_port']}")
    finally:
        running.terminate()
        running.wait(20)


@pytest.fixture(scope="module")
def daemon(gateway: Gateway, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Admin]:
    """The whole daemon, started by its own command and stopped by it."""
    home = Home(tmp_path_factory.mktemp("daemon") / "home")
    founding.found(
        home, founding.plan_from_referee(gateway.config, gateway.url), build.CREATED, "tester"
    )
    admin = Admin(home, {})
    try:
        admin.told(0, "start", "--timeout", "40")
        yield admin
    finally:
        admin("stop", "--yes")
        wait_until_gone(home)


def wait_until_gone(home: Home) -> None:
    """Nothing of a home may outlive its tests."""
    deadline = time.monotonic() + 20
    while list(home.run.glob("*.addr")) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not list(home.run.glob("*.addr"))
