"""An old backup and the end of the calendar: told to the owners by mail, and to nobody else."""

from __future__ import annotations

import contextlib
import email
import email.policy
import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from risk_daemon.operations import daemon as running
from risk_daemon.operations.backup.backup_file import MANIFEST
from risk_daemon.operations.backup.scheduled import HOUR_NS
from risk_daemon.operations.home import Home
from risk_daemon.stage.crowd import Crowd
from risk_daemon.stage.daemon import Daemon
from risk_daemon.stage.gateway import Gateway
from risk_daemon.stage.opening import open_all
from risk_daemon.stage.waiting import until
from tests.listening import Hook, Mail
from tests.untraced import leave_children_untraced

leave_children_untraced()
CROWD = Crowd(1, 1)
#: As many weeks on it is a Wednesday again, 46 days before the table of trading days ends.
WEEKS_ON = 104
DAYS_LEFT = 46
CHANNELS = """\
channels:
  - name: owners
    kind: email
    audiences: [admins]
    least: info
    server: 127.0.0.1:{port}
    tls: none
    sender: risk@example.org
    to: [admin@example.org]
  - name: others
    kind: discord
    audiences: [traders, management]
    least: info
    address: file:credentials/others.url
thresholds: {{{told}}}
"""
#: As quick as a test is; what a machine could cause by itself is past no limit.
QUIET: dict[str, float] = {
    "calm_s": 1,
    "memory_mb": 1_000_000,
    "latency_ms": 600_000,
    "error_percent": 100,
    "blind_s": 3_000,
    "disconnected_s": 3_000,
    "disconnects": 1_000,
    "stale_s": 3_000,
    "disk_free_gb": 0,
}


class Scene:
    """A daemon of one account, mail for its owners, and a chat for everybody else."""

    def __init__(self, folder: Path, gateway: Gateway, daemon: Daemon) -> None:
        self.folder, self.gateway, self.daemon = folder, gateway, daemon
        self.mail, self.others, self.sent = Mail(), Hook(), 0
        (daemon.home / "credentials" / "others.url").write_text(self.others.url)

    def configure(self, **limits: float) -> None:
        """Have these limits in force."""
        told = ", ".join(f"{key}: {value}" for key, value in {**QUIET, **limits}.items())
        text = CHANNELS.format(port=self.mail.port, told=told)
        (self.daemon.home / "config" / "alerts.yaml").write_text(text)

    def lines(self, start: str) -> list[str]:
        """What the owners got that begins so, a line each."""
        return [
            line for one in list(self.mail.got) for line in _lines(one) if line.startswith(start)
        ]

    def gets(self, start: str) -> str:
        """Wait until the owners got a line that begins so."""
        until(lambda: bool(self.lines(start)), 30, f"mail of {start!r}")
        return self.lines(start)[-1]

    def is_told_once(self, start: str) -> None:
        """See that it was raised once, and told to nobody else."""
        self.catches_up()
        assert len(self.lines(start)) == 1
        assert self.others.got == []

    def is_told_never(self, start: str) -> None:
        """See that it was not raised."""
        self.catches_up()
        assert self.lines(start) == []

    def catches_up(self) -> None:
        """Let the daemon look at itself twice more, and have what it raised until then arrive."""
        begin = self.seconds()
        until(lambda: self.seconds() >= begin + 3, 20, "three pulses")
        self.sent += 1
        self.daemon.run("alert", "send", f"({self.sent}) was looked at", "--to", "admins").ok()
        self.gets(f"URGENT ({self.sent}) was looked at")

    def seconds(self) -> int:
        """Whole seconds of the journal's time, by its own pulse."""
        pulses = running.tail(Home(self.daemon.home), 1, ("pulse",))
        return pulses[-1].at // 1_000_000_000

    def looks_again(self) -> None:
        """Have disk, backups and calendar looked at now: they are once a minute."""
        self.daemon.kill("console")

    def moves_on(self, seconds: float) -> None:
        """Stop, let this much time pass at both ends of the wire, and start."""
        self.daemon.run("stop", "--yes", "--reason", "the days pass").ok()
        settings = self.daemon.home / "config" / "daemon.yaml"
        text = settings.read_text()
        found = re.search(r"offset_s: (\S+)", text)
        assert found
        offset_s = float(found[1]) + seconds
        settings.write_text(text.replace(found[0], f"offset_s: {offset_s}"))
        port = int(self.gateway.url.rpartition(":")[2])
        self.gateway.stop()
        self.gateway = Gateway(
            self.folder, config=self.gateway.config, seed=5, offset_s=offset_s, port=port
        )
        self.daemon.start()

    def close(self) -> None:
        self.mail.close()
        self.others.close()
        self.gateway.stop()


def _lines(raw: str) -> list[str]:
    found = email.message_from_string(raw, policy=email.policy.default).get_body()
    assert found is not None
    text: str = found.get_content()
    return text.splitlines()


def make_older(file: Path, hours: int) -> None:
    """Have a backup say that it was made so much earlier."""
    with zipfile.ZipFile(file) as bundle:
        parts = {name: bundle.read(name) for name in bundle.namelist()}
    told = json.loads(parts[MANIFEST])
    told["made_at"] -= hours * HOUR_NS
    with zipfile.ZipFile(file, "w") as bundle:
        for name, content in parts.items():
            bundle.writestr(name, json.dumps(told) if name == MANIFEST else content)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with contextlib.ExitStack() as stack:
        folder = tmp_path_factory.mktemp("causes")
        gateway, daemon = open_all(stack, "causes", CROWD, 5, folder)
        daemon.start()
        found = Scene(folder, gateway, daemon)
        stack.callback(found.close)
        found.configure()
        until((daemon.home / "state" / "channel-owners.json").is_file, 20, "the channel")
        yield found


def test_an_old_backup_is_told_once_and_when_there_is_a_new_one(scene: Scene) -> None:
    scene.daemon.run("backup", "create").ok()
    (file,) = (scene.daemon.home / "backups").glob("backup-*.zip")
    make_older(file, hours=72)
    scene.daemon.run("backup", "verify", str(file)).ok()

    scene.looks_again()
    assert "the newest verified backup is 72 h old, more" in scene.gets("WARN backup age: ")
    scene.looks_again()
    scene.is_told_once("WARN backup age: ")

    scene.daemon.run("backup", "create").ok()
    scene.looks_again()
    assert "over: the newest verified backup is" in scene.gets("INFO backup age: ")
    scene.is_told_once("INFO backup age: ")


def test_a_calendar_that_ends_is_told_once_and_a_home_with_time_of_its_own_has_no_old_backup(
    scene: Scene,
) -> None:
    scene.looks_again()
    scene.is_told_never("WARN calendar: ")

    scene.moves_on(WEEKS_ON * 7 * 86_400)

    ends = f"the calendar of trading days ends in {DAYS_LEFT} days"
    assert ends in scene.gets("WARN calendar: ")
    scene.looks_again()
    scene.is_told_once("WARN calendar: ")
    scene.is_told_once("WARN backup age: ")

    scene.configure(calendar_days=DAYS_LEFT)
    assert f"over: {ends}" in scene.gets("INFO calendar: ")
    scene.is_told_once("INFO calendar: ")
