"""What a service manager is told of the daemon, judged by systemd itself where it is there."""

import configparser
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from risk_daemon.operations.running import service_unit
from risk_daemon.operations.running.service_unit import Service

#: systemd's own measure of what a service may do, 0 to 100: a unit without any of it has 96.
EXPOSED_MAX = 25


def service(home: str = "/var/lib/risk-daemon") -> Service:
    return Service("risk-daemon", home, "production", "risk", (sys.executable, "-m", "x"))


def parsed(text: str) -> configparser.ConfigParser:
    found = configparser.ConfigParser(
        strict=True, interpolation=None, delimiters=("=",), comment_prefixes=("#",)
    )
    found.optionxform = str  # type: ignore[assignment,method-assign]
    found.read_string(text)
    return found


def test_the_unit_says_what_is_watched_and_when_it_is_started_again() -> None:
    unit = parsed(service_unit.service_unit(service()))

    assert unit["Service"]["Type"] == "notify"
    assert unit["Service"]["NotifyAccess"] == "all"
    assert unit["Service"]["WatchdogSec"] == "10"
    assert unit["Service"]["Restart"] == "always"
    assert unit["Service"]["KillMode"] == "process"
    assert unit["Unit"]["StartLimitBurst"] == "4"
    assert unit["Unit"]["OnFailure"] == "risk-daemon-gave-up.service"
    assert unit["Service"]["ExecCondition"].endswith(
        "service may-start --home /var/lib/risk-daemon"
    )
    assert unit["Service"]["ExecStart"].endswith("service run --home /var/lib/risk-daemon")
    assert unit["Service"]["ReadWritePaths"] == "/var/lib/risk-daemon"
    assert unit["Install"]["WantedBy"] == "multi-user.target"


def test_the_one_that_calls_people_is_as_locked_in_and_is_started_by_nobody_else() -> None:
    unit = parsed(service_unit.calling_unit(service()))

    assert unit["Service"]["Type"] == "oneshot"
    assert unit["Service"]["ExecStart"].endswith("service gave-up --home /var/lib/risk-daemon")
    assert unit["Service"]["CapabilityBoundingSet"] == ""
    assert "Install" not in unit


def test_a_path_keeps_its_spaces_percents_and_dollars() -> None:
    unit = parsed(service_unit.service_unit(service('/srv/my "risk" 50%$x\\y')))

    written = '"/srv/my \\"risk\\" 50%%$x\\\\y"'
    assert unit["Service"]["ReadWritePaths"] == written
    assert unit["Service"]["ExecStart"].endswith(f"--home {written.replace('$', '$$')}")


@pytest.mark.parametrize("home", ["/var/lib/risk-daemon", "/srv/my risk/50%"])
def test_systemd_takes_the_units_as_they_are(tmp_path: Path, home: str) -> None:
    one = service(home)
    texts = {
        one.unit: service_unit.service_unit(one),
        one.caller: service_unit.calling_unit(one),
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
        assert {"Unit", "Service"} <= set(parsed(text).sections())
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        return  # what can be said without it was said above

    names = [str(tmp_path / name) for name in texts]
    done = subprocess.run(
        [analyze, "verify", "--man=no", *names], capture_output=True, text=True, check=False
    )

    assert (done.returncode, [one for one in done.stderr.splitlines() if "risk-daemon" in one]) == (
        0,
        [],
    )


def test_systemd_counts_it_among_the_services_that_may_do_little(tmp_path: Path) -> None:
    one = service()
    path = tmp_path / one.unit
    path.write_text(service_unit.service_unit(one))
    assert "ProtectSystem=strict" in path.read_text()
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        return

    done = subprocess.run(
        [analyze, "security", "--offline=true", f"--threshold={EXPOSED_MAX}", "--no-pager", path],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr


def test_only_a_persons_start_ends_what_was_switched_off_on_purpose() -> None:
    assert service_unit.may_start(is_off=False, is_wanted=False)
    assert not service_unit.may_start(is_off=True, is_wanted=False)
    assert service_unit.may_start(is_off=True, is_wanted=True)


def test_what_systemctl_shows_is_read_line_by_line() -> None:
    said = "ActiveState=active\nnot a pair\nResult=\nDescription=a=b\n"

    assert service_unit.states(said) == {
        "ActiveState": "active",
        "Result": "",
        "Description": "a=b",
    }


def test_windows_is_told_the_same_in_nssms_words() -> None:
    python = "C:\\Program Files\\Python312\\python.exe"
    one = Service("risk-daemon", "C:\\ProgramData\\risk", "production", "x", (python, "-m", "x"))

    said = service_unit.nssm_commands(one)

    assert said[0] == (
        f'nssm install risk-daemon "{python}" -m x service run --home C:\\ProgramData\\risk'
    )
    assert "nssm set risk-daemon AppKillProcessTree 0" in said
    assert "nssm set risk-daemon AppExit Default Suicide" in said
    assert "nssm set risk-daemon AppExit 0 Exit" in said
    assert said[-2] == (
        "sc.exe failure risk-daemon reset= 600 actions= restart/1000/restart/1000/restart/1000/"
        f'run/1000 command= "\\"{python}\\" -m x service gave-up --home C:\\ProgramData\\risk"'
    )
    assert said[-1] == "nssm start risk-daemon"
    assert service_unit.nssm_removal(one) == (
        "nssm stop risk-daemon",
        "nssm remove risk-daemon confirm",
    )
