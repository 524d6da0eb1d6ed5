"""`service install | uninstall | status`: under a service manager, and out of its hands again.

systemd itself can't run here. Who stands in for it is a program that does what the units say: it
asks the condition, starts what is to be started, and tells what it knows of it.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from risk_daemon.operations.configuration import founding
from risk_daemon.operations.home import Home
from risk_daemon.operations.running import service
from tests.cli.conftest import Admin, Gateway, wait_until_gone
from tests.cli.test_with_a_daemon import buy, eventually, positions, sell
from tests.operations import build

STANDS_IN = f"""\
#!{sys.executable}
import os, pathlib, shlex, subprocess, sys

units = pathlib.Path(os.environ["UNITS"])
verb, name = sys.argv[1], [word for word in sys.argv[2:] if word[0] != "-"]
with (units / "asked").open("a") as asked:
    asked.write(" ".join([verb, *name]) + "\\n")
if verb == "start":
    said = dict(
        line.split("=", 1) for line in (units / name[0]).read_text().splitlines() if "=" in line
    )
    if subprocess.run(shlex.split(said["ExecCondition"]), stdout=subprocess.DEVNULL).returncode:
        sys.exit(0)
    out = (units / "out").open("a")
    child = subprocess.Popen(
        shlex.split(said["ExecStart"]), stdout=out, stderr=out, start_new_session=True
    )
    (units / "pid").write_text(str(child.pid))
elif verb == "show":
    pid = (units / "pid").read_text() if (units / "pid").exists() else "0"
    stat = pathlib.Path("/proc", pid, "stat")
    lives = stat.exists() and stat.read_text().split(") ")[1][0] != "Z"
    print("ActiveState=" + ("active" if lives else "inactive"))
    print("SubState=" + ("running" if lives else "dead"))
    print("UnitFileState=enabled", "MainPID=" + pid, "NRestarts=0", "Result=success", sep="\\n")
"""


def units_of(folder: Path) -> dict[str, str]:
    """Make a folder for units, and a `systemctl` that knows it; the environment of both."""
    units, bin_ = folder / "units", folder / "bin"
    units.mkdir(parents=True)
    bin_.mkdir()
    (bin_ / "systemctl").write_text(STANDS_IN)
    (bin_ / "systemctl").chmod(0o755)
    return {"PATH": f"{bin_}{os.pathsep}{os.environ['PATH']}", "UNITS": str(units)}


def asked(admin: Admin) -> list[str]:
    return (Path(admin.env["UNITS"]) / "asked").read_text().splitlines()


# --- nobody runs it ---------------------------------------------------------------


@pytest.fixture
def managed(tmp_path_factory: pytest.TempPathFactory) -> Admin:
    """A home that nobody runs, on a machine with a service manager; its path is a short one."""
    folder = tmp_path_factory.mktemp("m")
    return Admin(build.home(folder / "home"), units_of(folder))


def test_a_dry_run_shows_the_units_and_writes_none(managed: Admin) -> None:
    before = build.contents(managed.home.path)

    said = managed.told(0, "service", "install", "--dry-run")

    assert "--- /etc/systemd/system/risk-daemon-demo.service ---\n" in said.out
    assert "\nType=notify\n" in said.out
    assert "--- /etc/systemd/system/risk-daemon-demo-gave-up.service ---\n" in said.out
    assert said.err == "nothing was done\n"
    assert build.contents(managed.home.path) == before


def test_an_install_writes_both_units_and_has_the_first_started_at_boot(managed: Admin) -> None:
    units = managed.env["UNITS"]

    said = managed.told(0, "service", "install", "--units", units, "--name", "guard")

    assert f"{units}/guard.service: written\n" in said.out
    assert "guard.service: enabled: started at boot, unless it was switched off" in said.out
    assert asked(managed) == ["daemon-reload", "enable guard.service"]
    command = f"{sys.executable} -m risk_daemon.programs.admin service run --home"
    assert f"ExecStart={command} {managed.home.path}\n" in Path(units, "guard.service").read_text()
    status = managed.told(1, "service", "status")
    assert status.out.startswith("guard.service: inactive (dead), process 0, 0 restarts, at boot:")


def test_a_unit_that_somebody_changed_is_said_to_be_so(managed: Admin) -> None:
    units = managed.env["UNITS"]
    managed.told(0, "service", "install", "--units", units)
    with Path(units, "risk-daemon-demo.service").open("a") as unit:
        unit.write("# by hand\n")

    said = managed.told(1, "service", "status")

    assert "risk-daemon-demo.service is not what this release would write\n" in said.out
    assert said.err == "next: risk-daemon-admin service install\n"


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        ("service install --units /nowhere/at/all", 3, "/nowhere/at/all can't be written into"),
        ("service install --name ../x", 2, "allowed are letters, digits, - and _"),
        ("service uninstall --yes", 5, "has no service; nothing was done"),
        ("service status", 5, "nobody starts the daemon at boot"),
    ],
)
def test_what_can_t_be_is_refused_and_nothing_is_changed(
    managed: Admin, words: str, code: int, sentence: str
) -> None:
    before = build.contents(managed.home.path)

    said = managed.told(code, *words.split())

    assert sentence in said.err
    assert build.contents(managed.home.path) == before


def test_without_systemd_it_says_how_one_starts_anyway(managed: Admin, tmp_path: Path) -> None:
    admin = Admin(managed.home, {"PATH": str(tmp_path)})

    said = admin.told(3, "service", "install")

    assert "there is no systemctl on this machine; nothing was done" in said.err


def test_a_home_whose_path_is_too_long_for_its_sockets_is_refused(tmp_path: Path) -> None:
    admin = Admin(build.home(tmp_path / ("a" * 80)), units_of(tmp_path))

    assert "is too long for sockets" in admin.told(3, "service", "install").err


def test_on_windows_the_commands_are_shown_and_none_is_run(managed: Admin) -> None:
    said = managed.told(0, "service", "install", "--with", "nssm")

    assert said.out.startswith("nssm install risk-daemon-demo ")
    assert "nothing was done: type these into an elevated prompt" in said.err
    gone = managed.told(0, "service", "uninstall", "--with", "nssm")
    assert gone.out.endswith("nssm remove risk-daemon-demo confirm\n")


def test_a_systemd_that_does_not_start_it_leaves_nobody_unprotected(
    managed: Admin,
) -> None:
    managed.told(0, "service", "install", "--units", managed.env["UNITS"])
    bin_ = Path(managed.env["PATH"].split(os.pathsep)[0], "systemctl")
    bin_.write_text("#!/bin/sh\necho 'Access denied' >&2\nexit 4\n")

    said = managed("start", "--timeout", "0.5")

    assert "was not started (Access denied); nobody restarts this supervisor" in said.err
    assert "supervisor started (process " in said.err
    # Stopped only when all are there: who is asked to stop before has nothing to stop yet.
    eventually(lambda: _processes(managed, "running") >= {"console", "link-alpha"}, "it runs", 40)
    managed.told(0, "stop", "--yes")
    wait_until_gone(managed.home)


def _processes(admin: Admin, state: str) -> set[str]:
    rows = admin("status", "--json").data().get("processes", [])
    return {row["name"] for row in rows if row["state"] == state}


def test_when_it_gives_up_people_are_told_at_once_and_the_journal_later(managed: Admin) -> None:
    managed.home.logs.joinpath("supervisor.log").write_text('{"event": "died"}\n')

    said = managed.told(1, "service", "gave-up")

    assert "three restarts failed, nobody restarts it; last words of supervisor: " in said.out
    assert "no channel reached anybody" in said.out
    kept = (managed.home.state / "pending-messages.jsonl").read_text()
    assert json.loads(kept)["alarm"]["level"] == "page"


# --- with a daemon ----------------------------------------------------------------


@pytest.fixture(scope="module")
def served(gateway: Gateway, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Admin]:
    """A home under the service manager, not started yet."""
    folder = tmp_path_factory.mktemp("served")
    home = Home(folder / "home")
    founding.found(
        home, founding.plan_from_referee(gateway.config, gateway.url), build.CREATED, "tester"
    )
    admin = Admin(home, units_of(folder))
    try:
        admin.told(0, "service", "install", "--units", admin.env["UNITS"])
        yield admin
    finally:
        admin("stop", "--yes")
        wait_until_gone(home)


def test_a_start_goes_through_systemd(served: Admin) -> None:
    said = served.told(0, "start", "--timeout", "40")

    assert "risk-daemon-demo.service is started by the service manager" in said.err
    assert "every account is guarded: 3 accounts" in said.out
    status = served.told(0, "service", "status", "--json").data()
    supervisor = int((served.home.run / "daemon.lock").read_text()[1:].split()[0])
    assert status["systemd"]["MainPID"] == str(supervisor)
    assert not (served.home.run / service.WANTED).exists()


def test_what_was_switched_off_on_purpose_is_started_by_a_person_only(served: Admin) -> None:
    served.told(0, "emergency", "shutdown", "--reason", "manual intervention")
    wait_until_gone(served.home)

    told = served.told(3, "service", "may-start")
    subprocess.run(["systemctl", "start", "risk-daemon-demo.service"], env=served.env, check=True)
    status = served.told(1, "service", "status")

    assert "switched off on purpose: manual intervention (" in told.out
    assert "it is not started before `start`" in status.out
    assert not list(served.home.run.glob("*.addr"))
    served.told(0, "start", "--timeout", "40")
    beside = served.told(3, "service", "may-start")
    assert "the daemon runs already, beside the service manager" in beside.out


def test_the_end_of_the_supervisor_takes_nobody_with_it(served: Admin) -> None:
    rows = served.told(0, "status", "--json").data()["processes"]
    supervisor = int((served.home.run / "daemon.lock").read_text()[1:].split()[0])
    psutil.Process(supervisor).kill()
    eventually(lambda: "inactive" in served("service", "status").out, "it is seen")

    assert all(psutil.pid_exists(row["pid"]) for row in rows)
    subprocess.run(["systemctl", "start", "risk-daemon-demo.service"], env=served.env, check=True)
    eventually(lambda: served("status").code == 0, "it is watched again", 40)
    again = served.told(0, "status", "--json").data()["processes"]
    assert [row["pid"] for row in again] == [row["pid"] for row in rows]


def test_an_uninstall_warns_of_what_is_open_and_names_what_stays(
    served: Admin, gateway: Gateway
) -> None:
    buy(gateway, 101, 2)
    eventually(lambda: "+2 MNQ" in served("status").out, "it is seen")
    tried = served.told(0, "service", "uninstall", "--dry-run")
    assert "risk-daemon-demo.service: would be stopped and removed" in tried.out
    asks = served.told(2, "service", "uninstall")
    assert re.search(r"OPEN: 101 NORTH-1: \+2 CON\S+\. Nothing protects it then\.", asks.err)

    said = served.told(0, "service", "uninstall", "--reason", "moving", "--yes")

    assert said.out.startswith("protection is off: moving (")
    assert "risk-daemon-demo.service: removed\n" in said.out
    assert "OPEN, and nobody will protect it: 101 NORTH-1: +2 CON" in said.out
    assert f"stays: {served.home.config} (the configuration and its history)" in said.out
    assert not list(Path(served.env["UNITS"]).glob("*.service"))
    assert positions(gateway)[101] == 2
    assert "moving" in served.told(1, "status").out
    sell(gateway, 101, 2)


# --- by root, for somebody else ------------------------------------------------------


def test_what_root_writes_into_another_users_home_is_that_users(managed: Admin) -> None:
    """Where the tests are not root's there is nothing to give back, and nothing is."""
    if sys.platform == "win32":
        return
    is_root = os.geteuid() == 0
    other = 65534 if is_root else os.geteuid()
    if is_root:
        for path in (managed.home.path, *managed.home.path.rglob("*")):
            os.chown(path, other, other)

    managed.told(0, "service", "install", "--units", managed.env["UNITS"])

    written = [managed.home.path / service.FILE, *managed.home.config.rglob("*")]
    assert {path.stat().st_uid for path in written} == {other}
    unit = Path(managed.env["UNITS"], "risk-daemon-demo.service").read_text()
    assert f"\nUser={managed.home.path.owner()}\n" in unit
    Path(managed.env["PATH"].split(os.pathsep)[0], "systemctl").write_text("#!/bin/sh\nexit 4\n")
    if is_root:
        said = managed.told(3, "start", "--timeout", "0.5")
        assert "a daemon of root's own would lock the owner of" in said.err
        assert not list(managed.home.run.glob("*.addr"))
