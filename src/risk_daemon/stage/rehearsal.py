"""The day before, as `./dev proof` plays it: a copy of production's configuration goes to staging.

The production home that it is made beside stands still: its broker is the real one, and its clock
can't be set ahead of a closed market, as only a simulated home's can. What it has is real: its
configuration, the release it would run, the depot, the keys it trusts.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import psutil

from risk_daemon.clock import Clock
from risk_daemon.operations import home as homes
from risk_daemon.operations.configuration import founding
from risk_daemon.operations.configuration import loading as files
from risk_daemon.operations.configuration.founding import AccountPlan, Plan
from risk_daemon.operations.home import Home
from risk_daemon.operations.words import iso
from risk_daemon.settings import Gateway, Login
from risk_daemon.stage import brief
from risk_daemon.stage.shell import Shell, rooted
from risk_daemon.stage.upgrade import TwoReleases
from risk_daemon.stage.waiting import until

#: Five accounts of the user that the printed page names: production's own, which has one session.
GUARDED: Final = (9001, 9002, 9003, 9004, 9005)
GONE_WITHIN_S: Final = 20.0
LOOK_WITHIN_S: Final = 10.0
COMPARED: Final = ("system", "Python", "lock", "configuration")
#: By it what was started here is known from a staging daemon that this machine may have.
MARK: Final = "RISK_DAEMON_REHEARSAL"
STATUS: Final = "bin/risk-daemon-admin status --json --home /staging/"
STOP: Final = "bin/risk-daemon-admin stop --yes --reason 'the play is over' --home /staging/"
NOT_ROOTED: Final = "no mount namespace here: /prod and /staging are folders of other names"


class Rehearsal:
    """One staging deployment beside a production home; `stop` leaves nothing behind."""

    def __init__(self, folder: Path, releases: TwoReleases) -> None:
        self._production = Home(folder / "prod")
        self._staging = Home(folder / "staging")
        self._new_root = folder / "root"
        self._releases = releases
        self._prefix: tuple[str, ...] = ()

    @property
    def is_rooted(self) -> bool:
        """Whether `/prod` and `/staging` are there, for who types and for nobody else."""
        return bool(self._prefix)

    def prepare(self) -> None:
        """Make the production home, with the older release in it, and the folder of the other."""
        login = Login(name="me", user="test_trader", credentials="env", accounts=GUARDED)
        accounts = tuple(AccountPlan(number, f"NO-{number}") for number in GUARDED)
        plan = Plan("production", Gateway(), (login,), accounts)
        founding.found(self._production, plan, iso(Clock().now_ns()), "proof")
        trusted = self._releases.home / "trusted.keys"
        self._production.trusted_keys.write_bytes(trusted.read_bytes())
        words = ("release", "stage", brief.INCUMBENT, "--home", str(self._production.path))
        self._releases.run_anywhere(*words).ok()
        self._staging.path.mkdir()
        places = {"/prod": self._production.path, "/staging": self._staging.path}
        self._prefix = rooted(self._new_root, places, "/prod")

    def shell(self) -> Shell:
        """Return the shell of who types, standing in the installed home."""
        named = {
            "RISK_DAEMON_HOME": "/prod",
            "RISK_DAEMON_STAGING_HOME": "",
            MARK: str(self._staging.path),
        }
        if not self._prefix:
            named["RISK_DAEMON_HOME"] = str(self._production.path)
            named["RISK_DAEMON_STAGING_HOME"] = str(self._staging.path)
        where = named["RISK_DAEMON_HOME"]
        return Shell(where, self._releases.environment | named, self._prefix)

    def text(self, line: str) -> str:
        """Return a line as it is typed here: as it stands, where the folders are there."""
        if self._prefix:
            return line
        named = line.replace("/prod/", f"{self._production.path}/")
        return named.replace("/staging/", f"{self._staging.path}/")

    def copied(self) -> str:
        """Say how staging's configuration differs from production's; empty if not at all."""
        mine, theirs = (_contents(one.config) for one in (self._staging, self._production))
        return "" if mine == theirs != {} else "staging's configuration is not production's"

    def deployed(self, out: str) -> str:
        """Say what is not as it should be in staging; empty if all is."""
        if (kind := homes.open_home(self._staging).environment) != "staging":
            return f"it is a {kind} home"
        port = files.load(self._staging.config).settings.console_port
        if port == files.load(self._production.config).settings.console_port:
            return "it has production's port"
        # Asked from there: a daemon's sockets have the names that it knows itself.
        code, told = self.shell().type(self.text(STATUS), LOOK_WITHIN_S)
        if code:
            return f"its status ended with {code}: {told[-300:]}"
        rows = json.loads(told)["data"]["accounts"]
        there = {row["account"] for row in rows if row["enforcing"]}
        if there != set(GUARDED):
            return f"{len(there)} of {len(GUARDED)} accounts are enforced"
        others = sorted({str(row["release"]) for row in rows} - {brief.CANDIDATE})
        if others:
            return f"accounts are with {', '.join(others)}"
        lacking = [what for what in COMPARED if f"parity {what}: same" not in out]
        return f"parity is not said of {', '.join(lacking)}" if lacking else ""

    def holds(self, key: str) -> str:
        """Say which file of either home has the key; empty if none."""
        wanted = key.encode()
        for at in (self._production, self._staging):
            for path in at.path.rglob("*"):
                is_ours = path.is_file() and not path.is_relative_to(at.releases)
                if is_ours and wanted in path.read_bytes():
                    return f"{path} has the key"
        return ""

    def stop(self) -> None:
        """Stop the staging daemon and its gateway; whatever does not end is killed."""
        if self._staging.about.exists():
            self.shell().type(self.text(STOP), GONE_WITHIN_S)
        left = self._left()
        for process in left:
            process.terminate()
        for process in psutil.wait_procs(left, GONE_WITHIN_S)[1]:
            process.kill()
        until(lambda: not self._left(), GONE_WITHIN_S, "staging to be gone")

    def _left(self) -> list[psutil.Process]:
        return [one for one in psutil.process_iter() if _marked(one) == str(self._staging.path)]


def _marked(process: psutil.Process) -> str:
    """Say for which rehearsal a process was started; empty for none, or where nobody may ask."""
    try:
        return process.environ().get(MARK, "")
    except (psutil.Error, OSError):
        return ""


def _contents(folder: Path) -> Mapping[str, bytes]:
    """Return every file below a folder, without its history."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ".git" not in path.relative_to(folder).parts
    }
