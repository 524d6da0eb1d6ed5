"""A host on which the documents are followed: a broker, a daemon, two releases, and a shell.

What is typed is typed by `sh`, from a checkout, with the programs of the home on its PATH. Every
document gets a host of its own, in which its blocks are typed one after the other; the two releases
are made once.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from risk_daemon.clock import Clock
from risk_daemon.depot.staging import python_of
from risk_daemon.errors import OperatorError
from risk_daemon.operations.alerts.channels import AUDIENCES
from risk_daemon.operations.configuration import founding, passwords
from risk_daemon.operations.configuration.founding import AccountPlan, Plan
from risk_daemon.operations.home import Home
from risk_daemon.settings import Gateway as Gateways
from risk_daemon.settings import Login
from risk_daemon.stage.crowd import hold
from risk_daemon.stage.daemon import Daemon
from risk_daemon.stage.gateway import Gateway, wednesday_offset_s
from risk_daemon.stage.proof import tag
from risk_daemon.stage.waiting import until
from tests.depot import build
from tests.documents.blocks import ROOT
from tests.listening import Hook
from tests.operations import build as homes

INCUMBENT, CANDIDATE = "v1.2.0", "v1.3.0"
#: One commit by two names: to go back to, and to roll out. What is in force then allows more.
COMMIT, TIGHTER = "abc123", "tighter"
#: A line that takes longer hangs.
WITHIN_S: Final = 180.0
#: What nobody reads about: the host's own daemon, before the first line is typed.
START_WITHIN_S: Final = 120.0
#: What goes on until somebody ends it is looked at for so long.
LOOKED_AT_S: Final = 2.0
GUARDED: Final = {1001: "test_trader_1", 1002: "NORTH-2", 1004: "NORTH-4", 1005: "NORTH-5"}
LIMIT: Final = 2
#: Who is at the broker: `alpha` is guarded but for 1003, the others have accounts of their own.
LOGINS: Final = """\
seed: 5
profile: calm
traders: false
logins:
  - {{user: alpha, api_key: a-key-of-alpha, accounts: [{guarded}{more}]}}
limits:
  default: {{max_contracts: 2, daily_realized_loss: "200000.00"}}
"""
OTHERS: Final = """\
  - {user: MY_USER, api_key: a-key-of-mine, accounts: [{id: 1234567, name: MINE}]}
  - {user: test_trader, api_key: your_staging_key, accounts: [{id: 7001, name: STAGING-1}]}
"""
#: As in production, but that nobody waits for days and no evidence of a whole test run is asked.
PLAN: Final = """\
minute: 5ms
gates: []
phases:
  - {name: shadow, wall: 1s, gates: [decisions], situations: [], events: 0, open_minutes: 0}
  - {name: canary, wall: 100ms, risk_cap: 100, &seen}
  - {name: 10, wall: 100ms, risk_cap: 100, &seen}
  - {name: 50, wall: 100ms, risk_cap: 100, &seen}
  - {name: 100, wall: 100ms, &seen}
  - {name: soak, wall: 100ms, &seen}
""".replace("&seen", "gates: [], situations: [], events: 0, open_minutes: 0")


@dataclass(frozen=True)
class Made:
    """Two releases and the key they are signed with."""

    folder: Path

    @property
    def key(self) -> Path:
        return self.folder / "release.key"

    @property
    def trusted(self) -> str:
        return self.key.with_name(f"{self.key.name}.pub").read_text()

    def file(self, version: str) -> Path:
        return self.folder / f"{version}.tar"


def make_releases(folder: Path) -> Made:
    """Make both as `release build` does; the packages of others are those of this environment."""
    made = Made(folder)
    admin: list[str | Path] = [sys.executable, "-m", "risk_daemon.programs.admin", "release"]
    subprocess.run([*admin, "keygen", "--out", made.key], check=True, capture_output=True)
    for version in (INCUMBENT, CANDIDATE):
        checkout = build.program(folder / version, version[1:])
        words: list[str | Path] = [
            "--from",
            checkout,
            "--key",
            made.key,
            "--out",
            made.file(version),
        ]
        subprocess.run([*admin, "build", *words], check=True, capture_output=True)
    return made


@dataclass(frozen=True)
class Typed:
    """What became of a line."""

    line: str
    code: int
    said: str


@dataclass
class Host:
    """One machine: where things are, and what a person has put into the shell's environment."""

    folder: Path
    made: Made
    environment: dict[str, str] = field(default_factory=dict)
    #: What a person reads somewhere and types elsewhere.
    remembered: dict[str, str] = field(default_factory=dict)

    # --- making it ---

    def open(self, stack: contextlib.ExitStack) -> None:
        """Open the broker, and have a home with both releases run the older one."""
        guarded = ", ".join(f"{{id: {one}, name: {name}}}" for one, name in GUARDED.items())
        known = self.folder / "known.yaml"
        known.write_text(LOGINS.format(guarded=guarded, more=""))
        config = self.folder / "broker.yaml"
        whole = LOGINS.format(guarded=guarded, more=", {id: 1003, name: NORTH-3}")
        config.write_text(whole.replace("limits:\n", f"{OTHERS}limits:\n"))
        offset_s = wednesday_offset_s(Clock())
        self.gateway = Gateway(self.folder, config=config, seed=5, offset_s=offset_s)
        stack.callback(self.gateway.stop)
        self._config, self._stack, self.outside = config, stack, ""
        self.hook = Hook()
        stack.callback(self.hook.close)
        self.checkout = self.folder / "checkout"
        self.daemon = Daemon(self.folder / "home")
        self.daemon.environment |= self._of_the_host()
        self._found(known, offset_s)
        stack.callback(self.end)
        self.daemon.run("start", "--timeout", f"{START_WITHIN_S:g}", within_s=WITHIN_S).ok()
        self.daemon.wait_healthy(WITHIN_S)
        hold(self.gateway, GUARDED, 1)

    def _found(self, known: Path, offset_s: float) -> None:
        home = self.daemon.home
        self.daemon.init(known, self.gateway.url)
        self.daemon.settle(offset_s)
        (home / "trusted.keys").write_text(self.made.trusted)
        self._configure(home)
        for version in (INCUMBENT, CANDIDATE):
            self.daemon.run("release", "add", str(self.made.file(version))).ok()
        self.daemon.run("release", "stage", INCUMBENT).ok()
        self.daemon.python = str(python_of(home / "releases" / INCUMBENT))

    def _configure(self, home: Path) -> None:
        (home / "config" / "rollout.yaml").write_text(PLAN)
        secret = home / "credentials" / "hook.url"
        secret.write_text(f"{self.hook.url}\n")
        secret.chmod(0o600)
        (home / "config" / "alerts.yaml").write_text(
            "channels:\n"
            + "".join(
                f"  - {{name: {who}, kind: discord, audiences: [{who}], "
                "address: file:credentials/hook.url}\n"
                for who in AUDIENCES
            )
        )
        passwords.set_password(Home(home), "anna", "correct horse battery")
        self.daemon.run("config", "set-rule", "all", "daily-realized-loss", "limit=150000").ok()
        for name in (COMMIT, TIGHTER):
            tag(home / "config", name)
        self.daemon.run("config", "set-rule", "all", "max-contracts", f"limit={LIMIT + 1}").ok()

    def _of_the_host(self) -> dict[str, str]:
        return {
            "HOME": str(self.folder / "person"),
            "RISK_DAEMON_HOME": str(self.daemon.home),
            "RISK_DAEMON_DEPOT": str(self.folder / "depot"),
            "RISK_DAEMON_STAGING_HOME": str(self.folder / "staging"),
            "RISK_DAEMON_RELEASE_KEY": str(self.made.key),
        }

    @property
    def port(self) -> int:
        """Where the console of the host's daemon listens now; 0 while it does not."""
        try:
            return int(json.loads((self.daemon.home / "run" / "console.json").read_text())["port"])
        except FileNotFoundError:
            return 0

    # --- what a document finds there, on demand ---

    def stands_in_checkout(self, version: str = CANDIDATE) -> None:
        """Let the shell stand in a checkout that may be written into."""
        if not self.checkout.exists():
            build.program(self.checkout, version[1:])
            shutil.copytree(ROOT / "scripts", self.checkout / "scripts")

    def has_production(self) -> None:
        """Let there be a production home that nobody runs, with its configuration."""
        login = Login(name="me", user="trader", credentials="env", accounts=tuple(GUARDED))
        accounts = tuple(AccountPlan(number, name) for number, name in GUARDED.items())
        plan = Plan("production", Gateways(), (login,), accounts, console_port=0)
        founding.found(Home(self.folder / "prod"), plan, homes.CREATED, "tester")
        # Whoever has a key of their own here is trusted as who made the releases.
        own = [one.read_text() for one in (self.folder / "person").glob("keys/*.pub")]
        trusted = "".join([self.made.trusted, *own])
        (self.folder / "prod" / "trusted.keys").write_text(trusted)
        self.has_test_broker()

    def has_test_broker(self) -> None:
        """Let there be a broker with this day's clock, as homes have it that are begun here."""
        if self.outside:
            return
        folder = self.folder / "outside"
        folder.mkdir()
        outside = Gateway(folder, config=self._config, seed=5)
        self._stack.callback(outside.stop)
        self.outside = outside.url

    def has_key(self, user: str, key: str) -> None:
        """Let the broker have another key of a user."""
        self.gateway.post("/key", login=user, api_key=key)

    # --- typing ---

    def type(
        self,
        line: str,
        text: str,
        *,
        keys: str = "",
        is_secret: bool = False,
        goes_on: bool = False,
    ) -> Typed:
        """Type `text`, which is `line` with this host's own names; `keys` is what is answered.

        `goes_on`: it does until somebody ends it, who looks at it for a moment.
        """
        if text.startswith("export "):
            name, _, value = text.removeprefix("export ").partition("=")
            self.environment[name] = value
            return Typed(line, 0, "")
        if sys.platform == "win32":
            raise OperatorError("documents are typed into sh")
        terminal, ours = os.openpty()
        shell = subprocess.Popen(
            ["sh", "-c", text],
            cwd=self.checkout if self.checkout.exists() else self._installed(),
            env=self.daemon.environment | self._path() | self.environment,
            stdin=ours,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        os.close(ours)
        try:
            if is_secret:
                _hidden(shell, terminal)
            os.write(terminal, keys.encode())
            said = _until_it_ends(shell, LOOKED_AT_S if goes_on else WITHIN_S)
        finally:
            os.close(terminal)
        return Typed(line, 0 if goes_on and shell.returncode < 0 else shell.returncode, said)

    def _installed(self) -> Path:
        """Where a person stands who has the scripts, and no checkout."""
        folder = self.folder / "installed"
        if not folder.exists():
            shutil.copytree(ROOT / "scripts", folder / "scripts")
        return folder

    def _path(self) -> dict[str, str]:
        folders = [self.daemon.home / "bin", Path(sys.executable).parent, os.environ["PATH"]]
        return {"PATH": os.pathsep.join(map(str, folders))}

    # --- ending it ---

    def end(self) -> None:
        """Stop what runs in any of its homes."""
        self.daemon.stop()
        for home in (self.folder / "staging", self.folder / "practice", self.folder / "mine"):
            if home.is_dir():
                Daemon(home).stop()
                _end_staging_gateway(home)


def _hidden(shell: subprocess.Popen[str], terminal: int) -> None:
    """Wait until nothing is shown of what is typed: what came before that is dropped."""
    if sys.platform == "win32":
        raise OperatorError("documents are typed into sh")
    import termios

    def is_hidden() -> bool:
        return shell.poll() is not None or not termios.tcgetattr(terminal)[3] & termios.ECHO

    until(is_hidden, WITHIN_S, "the question for a secret", every_s=0.05)


def _until_it_ends(shell: subprocess.Popen[str], within_s: float) -> str:
    """Return what it said; what does not end by itself is ended as by Ctrl-C."""
    if sys.platform == "win32":
        raise OperatorError("documents are typed into sh")
    try:
        return shell.communicate(timeout=within_s)[0]
    except subprocess.TimeoutExpired:
        os.killpg(shell.pid, signal.SIGINT)
    try:
        return shell.communicate(timeout=10)[0]
    except subprocess.TimeoutExpired:
        os.killpg(shell.pid, signal.SIGKILL)
        return shell.communicate()[0]


def _end_staging_gateway(home: Path) -> None:
    import psutil

    from risk_daemon.operations.staging import staging_gateway

    found = staging_gateway.running(Home(home))
    if found is not None:
        psutil.Process(found.pid).kill()


def held(host: Host) -> dict[int, int]:
    """What each account holds, by the broker's own books."""
    rows: list[dict[str, Any]] = host.gateway.get("/truth")["accounts"]
    return {row["account"]: sum(p["q"] for p in row["positions"]) for row in rows}


__all__ = ["Host", "Made", "Typed", "held", "make_releases", "until"]
