"""`credentials rotate`: a new key is proven before the old one goes, and nobody is blind for it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from risk_daemon.operations import state_file
from risk_daemon.operations.home import Home
from tests.cli.conftest import Admin, Gateway, Said
from tests.cli.test_confirm import alarms
from tests.cli.test_with_a_daemon import eventually
from tests.operations import build

OLD, NEW = "a-long-north-key", "a-newer-north-key"
posix = pytest.mark.skipif(sys.platform == "win32", reason="pseudo terminals and modes are POSIX")


def rotate(admin: Admin, key: str, *words: str, **variables: str) -> Said:
    """Run the command with a key on its stdin."""
    done = subprocess.run(
        [sys.executable, "-m", "risk_daemon.programs.admin", "credentials", "rotate", *words],
        input=key,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "RISK_DAEMON_HOME": str(admin.home.path), **variables},
        timeout=90,
    )
    return Said(done.returncode, done.stdout, done.stderr)


def file_of(admin: Admin, login: str = "north") -> Path:
    return admin.home.path / "credentials" / f"{login}.key"


# --- nobody runs it ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "words", "code", "sentence"),
    [
        ("", (), 2, "no new key was given; nothing was changed"),
        ("two words", (), 2, "what was given is no key: one word on one line"),
        ("x" * 5_000, (), 2, "what was given is no key"),
        ("a-key-of-a-demo\n", (), 3, "alpha: that is the key it has; nothing was changed"),
        ("new-key", ("alhpa",), 5, "Did you mean 'alpha'?"),
        ("", ("--from-env", "NOT_SET"), 2, "no new key was given"),
        ("", ("--dry-run",), 0, "nothing was done"),
        ("new-key", (), 4, "alpha: the new key is not proven: login alpha could not log in"),
    ],
)
def test_what_is_no_key_or_is_not_proven_changes_nothing(
    admin: Admin, key: str, words: tuple[str, ...], code: int, sentence: str
) -> None:
    before = build.contents(admin.home.path)

    said = rotate(admin, key, *words)

    assert said.code == code, said
    assert sentence in said.err
    assert not key.strip() or key.strip() not in said.out + said.err
    assert build.contents(admin.home.path) == before


def test_a_key_of_the_environment_can_t_be_replaced_and_it_says_by_whom(admin: Admin) -> None:
    path = admin.home.config / "daemon.yaml"
    path.write_text(path.read_text().replace('"file:credentials/alpha.key"', "env"))

    said = rotate(admin, "new-key")

    assert said.code == 3
    assert "which belongs to whoever started the daemon; nothing was changed" in said.err


# --- with a gateway ------------------------------------------------------------------


@pytest.fixture
def rotated(gateway: Gateway) -> Iterator[None]:
    """The broker takes the new key only, until the test is over."""
    gateway.wish("/key", {"login": "north", "api_key": NEW})
    yield
    gateway.wish("/key", {"login": "north", "api_key": OLD})


def home_of(gateway: Gateway, folder: Path, accounts: str = "101,102") -> Admin:
    admin = Admin(Home(folder / "home"), {})
    key = folder / "home" / "credentials" / "north.key"
    key.parent.mkdir(parents=True, mode=0o700)
    key.write_text(f"{OLD}\n")
    key.chmod(0o600)
    login = f"north:north:file:credentials/north.key:{accounts}"
    words = ["--environment", "demo", "--gateway", gateway.url, "--login", login]
    admin.told(0, "init", *words)
    return admin


def test_without_a_link_the_command_proves_it_itself(gateway: Gateway, tmp_path: Path) -> None:
    admin = home_of(gateway, tmp_path)
    file_of(admin).with_name("north.key.bak").write_text(f"{OLD}\n")
    refused = rotate(admin, NEW)
    assert (refused.code, file_of(admin).read_text()) == (4, f"{OLD}\n")
    gateway.wish("/key", {"login": "north", "api_key": NEW})

    said = rotate(admin, "", "north", "--from-env", "PROJECT_X_NEW_KEY", PROJECT_X_NEW_KEY=NEW)
    gateway.wish("/key", {"login": "north", "api_key": OLD})

    assert said.code == 0, said
    assert "user north logs in with the new key (by a session of its own; its link does" in said.out
    assert "sees 101 NORTH-1, 102 NORTH-2\n" in said.out
    assert "north.key.bak: STILL HOLDS THE OLD KEY: remove it\n" in said.out
    assert "the old key logs in until you revoke it at the broker: do that now" in said.out
    assert NEW not in said.out + said.err
    assert file_of(admin).read_text() == f"{NEW}\n"
    assert sorted(path.name for path in file_of(admin).parent.iterdir()) == [
        "north.key",
        "north.key.bak",
    ]
    if sys.platform != "win32":
        assert file_of(admin).stat().st_mode & 0o777 == 0o600


@pytest.mark.usefixtures("rotated")
def test_a_key_that_does_not_see_every_account_is_not_taken(
    gateway: Gateway, tmp_path: Path
) -> None:
    gateway.wish("/key", {"login": "north", "api_key": OLD})
    admin = home_of(gateway, tmp_path, "101,999")
    gateway.wish("/key", {"login": "north", "api_key": NEW})

    said = rotate(admin, NEW)

    assert said.code == 4
    assert "it logs in, but does not see 999. The old one stays where it is" in said.err
    assert file_of(admin).read_text() == f"{OLD}\n"


# --- with a daemon ----------------------------------------------------------------


def pid_of(daemon: Admin, name: str) -> int:
    rows = daemon("status", "--json").data()["processes"]
    return int(next(row["pid"] or 0 for row in rows if row["name"] == name))


def feeds(daemon: Admin) -> int:
    """How often a feed was said to be another."""
    return len(state_file.latest(daemon.home, ("feed-changed",), 500))


def test_a_running_link_refuses_a_key_that_does_not_log_in_and_guards_on(daemon: Admin) -> None:
    before, pid, said_before = (
        build.contents(file_of(daemon).parent),
        pid_of(daemon, "link-north"),
        (feeds(daemon)),
    )

    said = rotate(daemon, "not-the-key", "north")

    assert said.code == 4
    assert "north: the new key is not proven: it does not log in: " in said.err
    assert build.contents(file_of(daemon).parent) == before
    assert (pid_of(daemon, "link-north"), feeds(daemon)) == (pid, said_before)
    assert daemon.told(0, "health").code == 0


@pytest.mark.usefixtures("rotated")
def test_a_running_link_takes_the_new_key_without_a_gap_and_starts_with_it_again(
    daemon: Admin, gateway: Gateway
) -> None:
    pid, said_before = pid_of(daemon, "link-north"), feeds(daemon)
    assert rotate(daemon, NEW).code == 2  # whose?

    said = rotate(daemon, f"{NEW}\n", "north", "--reason", "each quarter")

    assert said.code == 0, said
    assert "(its link goes by it from now on, without a gap), sees 101 NORTH-1, 102" in said.out
    assert file_of(daemon).read_text() == f"{NEW}\n"
    assert (pid_of(daemon, "link-north"), feeds(daemon)) == (pid, said_before)
    assert daemon.told(0, "health").code == 0
    assert any("key of login north was replaced by" in text for text in alarms(daemon))
    assert NEW not in "".join(path.read_text() for path in daemon.home.logs.glob("*.log"))
    gateway.wish("/fault", {"kind": "token_revoked", "login": "north"})
    eventually(lambda: feeds(daemon) > said_before, "its session ends")
    eventually(lambda: daemon("health").code == 0, "it logs in again by itself", 40)
    assert pid_of(daemon, "link-north") == pid
    psutil.Process(pid).kill()
    eventually(lambda: pid_of(daemon, "link-north") not in (0, pid), "it is started again")
    eventually(lambda: daemon("health").code == 0, "it logs in with the new key", 40)


@posix
def test_on_a_terminal_it_asks_and_does_not_show_what_is_typed(daemon: Admin) -> None:
    if sys.platform == "win32":
        return
    ours, theirs = os.openpty()
    running = subprocess.Popen(
        [sys.executable, "-m", "risk_daemon.programs.admin", "credentials", "rotate", "south"],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        env={**os.environ, "RISK_DAEMON_HOME": str(daemon.home.path)},
    )
    os.close(theirs)
    said = b""
    # What is typed before it has switched the echo off, which the blank after it says, is lost.
    while b"New API key: " not in said:
        said += os.read(ours, 4096)
    os.write(ours, b"typed-and-wrong\n")
    while b"not proven" not in said:
        said += os.read(ours, 4096)

    assert running.wait(30) == 4
    os.close(ours)
    assert b"typed-and-wrong" not in said
