"""What must not start says so in one sentence, and leaves nothing half-started."""

import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from risk_daemon.operations.home import Home
from risk_daemon.stage.gateway import Gateway as Simulated
from tests.cli.conftest import REFEREE, Admin
from tests.cli.old_sqlite import old_sqlite
from tests.operations import build
from tests.operations.conftest import process

DAEMON = "daemon.yaml"
POLICY = "policy.yaml"


def edit(admin: Admin, name: str, old: str, new: str) -> None:
    path = admin.home.config / name
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def refused(admin: Admin, code: int, *words: str) -> str:
    """Run a command that must be refused; what it says, after nothing has changed or started."""
    before = build.contents(admin.home.path)

    said = admin.told(code, *(words or ("start",)))

    assert said.out == ""
    assert build.contents(admin.home.path) == before
    assert not running(admin.home)
    return said.err


def running(home: Home) -> list[str]:
    """Processes that were started for a home."""
    return [
        " ".join(words)
        for one in psutil.process_iter(["cmdline"])
        if str(home.path) in (words := one.info["cmdline"] or [])
    ]


SECOND_LOGIN = """\
  - name: beta
    user: other
    credentials: "file:credentials/beta.key"
    accounts: [{}]
"""


@pytest.mark.parametrize(
    ("name", "old", "new", "sentence"),
    [
        (
            POLICY,
            "rules:\n",
            "rules:\n  max-contracts-per-instrument: {mode: enforce, limits: {XYZ: 2}}\n",
            r"config/policy.yaml:\d+: rules.max-contracts-per-instrument.limits.XYZ is 2; "
            r"allowed: a limit of a root such as ES, MNQ or CL\.",
        ),
        (
            DAEMON,
            "accounts: [1, 2]",
            "accounts: [1, 2, 2]",
            r"config/daemon.yaml:\d+: logins\[0\].accounts\[2\] is 2; allowed: an account no login"
            r" has yet \(alpha has it\)",
        ),
        (
            DAEMON,
            "accounts: [1, 2]\n",
            "accounts: [1, 2]\n" + SECOND_LOGIN.format("2"),
            r"config/daemon.yaml:\d+: logins\[1\].accounts\[0\] is 2; allowed: an account no login"
            r" has yet \(alpha has it\)",
        ),
        (
            DAEMON,
            "http://127.0.0.1:9",
            "http://example.com:9",
            r"gateway.api_url is .http://example.com:9.; allowed: in demo, http at 127.0.0.1",
        ),
    ],
)
def test_a_configuration_that_cannot_be_meant_is_named_with_its_place(
    admin: Admin, name: str, old: str, new: str, sentence: str
) -> None:
    edit(admin, name, old, new)

    assert re.search(sentence, refused(admin, 2))


def test_an_sqlite_that_can_corrupt_its_file_starts_nothing(admin: Admin, tmp_path: Path) -> None:
    aged = Admin(admin.home, old_sqlite(tmp_path))

    said = refused(aged, 3)

    assert re.search(r"SQLite 3\.\S+ can corrupt WAL files; 3\.51\.3 or newer is needed", said)
    assert "to mend it: reinstall this release" in said


def test_a_port_that_is_taken_refuses_the_first_start(admin: Admin) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        edit(admin, DAEMON, "port: 0", f"port: {port}")

        said = refused(admin, 3)

    assert f"port {port} of 127.0.0.1 can't be taken: another program has it" in said
    assert "set console.port in config/daemon.yaml" in said


def test_a_port_that_is_taken_does_not_keep_a_later_start_from_protecting(admin: Admin) -> None:
    with process("journal", admin.home, "journal.ready"):
        pass
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        edit(admin, DAEMON, "port: 0", f"port: {port}")

        said = admin.told(0, "start", "--dry-run")

    assert f"port {port} of 127.0.0.1 can't be taken: another program has it" in said.err
    assert "1: would be guarded" in said.out


def test_a_state_folder_that_is_none_starts_nothing(admin: Admin) -> None:
    shutil.rmtree(admin.home.state)
    admin.home.state.touch()

    said = refused(admin, 3)

    assert f"{admin.home.state} can't be written: Not a directory" in said


def write_nothing() -> None:
    """What a full or dead disk does to a process, done to this one."""
    if sys.platform != "win32":
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


@pytest.mark.skipif(sys.platform == "win32", reason="limits of a process are POSIX")
def test_a_disk_that_takes_nothing_starts_nothing(admin: Admin) -> None:
    before = build.contents(admin.home.path)

    done = subprocess.run(
        [sys.executable, "-m", "risk_daemon.programs.admin", "start", "--home", admin.home.path],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=write_nothing,
    )

    assert done.returncode == 3
    assert f"{admin.home.state} can't be written: " in done.stderr
    assert build.contents(admin.home.path) == before
    assert not running(admin.home)


def test_a_home_where_none_can_be_is_not_begun(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    nowhere = Admin(Home(tmp_path / "file" / "home"), {})
    words = ["--environment", "demo", "--gateway", build.GATEWAY, "--login", "alpha:me:env:1"]

    said = nowhere.told(2, "init", *words)

    assert "can't be made: Not a directory. Choose another place with --home" in said.err


# --- the clock -----------------------------------------------------------------------


@pytest.fixture
def ahead(tmp_path: Path) -> Iterator[Simulated]:
    """A gateway whose clock is five minutes ahead of this machine's."""
    config = tmp_path / "referee.yaml"
    config.write_text(REFEREE)
    gateway = Simulated(tmp_path, config=config, offset_s=300.0)
    try:
        yield gateway
    finally:
        gateway.stop()


def test_a_clock_that_is_minutes_off_refuses_the_first_start(
    ahead: Simulated, tmp_path: Path
) -> None:
    admin = Admin(build.home(tmp_path / "home", ahead.url), {})

    said = refused(admin, 3)

    assert "clock: 5 min behind the gateway's: locks would end" in said
    assert "to mend it: set this machine's clock" in said
    rows: list[dict[str, Any]] = admin.told(1, "doctor", "--json").data()["checks"]
    assert [row["check"] for row in rows if row["state"] == "fail"] == ["clock"]


# --- edits by command -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "sentences"),
    [
        (
            ["1", "max-contracts-per-instrument", "mode=enforce", "limits={XYZ: 2}"],
            ["max-contracts-per-instrument.limits.XYZ is 2; allowed: a limit of a root such as ES"],
        ),
        (
            ["1", "daily-realized-loss", "buffer=10"],
            ["limit is missing; allowed: an amount", "in the same command: mode=... limit=..."],
        ),
        (["all", "max-contracts", "limt=3"], ["limt is not a key here", "Did you mean 'limit'?"]),
        (["1", "max-contracts", "limit=-3"], ["limit is -3; allowed: contracts, 0 or more"]),
    ],
)
def test_an_edit_that_would_not_be_valid_says_what_it_lacks_and_names_no_line(
    admin: Admin, words: list[str], sentences: list[str]
) -> None:
    said = refused(admin, 2, "config", "set-rule", *words)

    assert said.startswith("risk-daemon-admin: nothing was changed, as the configuration would")
    assert all(sentence in said for sentence in sentences)
    assert not re.search(r"\.yaml:\d", said)


def test_an_edit_of_files_that_are_wrong_already_points_at_the_line_to_mend(admin: Admin) -> None:
    edit(admin, POLICY, "limit: 5", "limit: five")

    said = refused(admin, 2, "config", "set-rule", "1", "max-contracts", "limit=3")

    assert re.search(r"config/policy.yaml:\d+: rules.max-contracts.limit is .five.", said)


def test_an_account_without_a_file_of_its_own_gets_one_by_its_first_rule(admin: Admin) -> None:
    (admin.home.config / "accounts" / "2.yaml").unlink()

    admin.told(0, "config", "set-rule", "2", "max-contracts", "limit=3")

    assert "2: login alpha" in admin.told(0, "accounts", "list").out
    assert "limit=3" in admin.told(0, "config", "show").out
