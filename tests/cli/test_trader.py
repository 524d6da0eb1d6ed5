"""`risk-daemon status | why | lock`: what a trader reads and may do, as processes."""

import os
import re
import subprocess
import sys

import pytest

from risk_daemon.operations.home import Home
from tests.cli.conftest import Admin, Gateway, Said
from tests.cli.test_with_a_daemon import buy, eventually, positions
from tests.operations import build

posix = pytest.mark.skipif(sys.platform == "win32", reason="pseudo terminals and modes are POSIX")
COMMANDS = ["status", "why", "lock"]
TRADER = [sys.executable, "-m", "risk_daemon.programs.trader"]


def trader(home: Home, code: int, *words: str) -> Said:
    """Run a trader's command without a terminal; it must end with this exit code."""
    done = subprocess.run(
        [*TRADER, *words],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "RISK_DAEMON_HOME": str(home.path)},
        timeout=90,
    )
    said = Said(done.returncode, done.stdout, done.stderr)
    assert said.code == code, f"{words}: exit {said.code}\n{said.out}\n{said.err}"
    return said


# --- help ------------------------------------------------------------------------


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_explains_itself_with_examples(nobody: Admin, command: str) -> None:
    said = trader(nobody.home, 0, command, "--help")

    assert f"Examples:\n    risk-daemon {command}" in said.out
    assert ("--dry-run" in said.out) == (command == "lock")
    assert "--json" in said.out


def test_the_help_lists_a_traders_commands_and_no_other(nobody: Admin) -> None:
    said = trader(nobody.home, 0, "--help")

    assert re.findall(r"^  ([a-z-]+) {2,}\S", said.out.split("Commands:")[1], re.MULTILINE) == (
        COMMANDS
    )
    assert "risk-daemon-admin" not in said.out


def test_the_daemons_own_programs_are_still_found_by_their_names(nobody: Admin) -> None:
    assert "usage: risk-daemon PROGRAM" in trader(nobody.home, 0, "programs").out
    assert "risk-daemon simgate" in trader(nobody.home, 0, "simgate", "run", "--help").out
    assert "risk-daemon adopt" in trader(nobody.home, 0, "adopt", "--help").out


# --- nobody runs it ---------------------------------------------------------------


def test_without_a_daemon_a_trader_reads_that_nobody_protects_him(admin: Admin) -> None:
    said = trader(admin.home, 1, "status")

    assert said.out.startswith("NOT PROTECTED: the daemon does not run")
    assert "1 ONE: you may trade\n" in said.out
    assert trader(admin.home, 8, "why", "ONE").out.startswith("NOT PROTECTED: the daemon does")


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        ("lock 1 --for 30m", 2, "There is no terminal to ask on: add --yes."),
        ("lock 9 --for 30m --yes", 5, "there is no account '9' here; there are: ONE, TWO."),
        ("lock --for 30m --yes", 2, "say which account: 1, 2."),
        ("lock 1 --for soon --yes", 2, "is not a duration such as 30m"),
        ("lock 1 --until yesterday --yes", 2, "is neither HH:MM (Chicago) nor an ISO time"),
        ("lock 1 --until 15:00 --for 1h --yes", 2, "give --until or --for, not both."),
        ("unlock 1", 4, "a lock ends by itself or by an admin, never by its trader"),
        ("why", 2, "say which account: 1, 2."),
        ("lock 1 --dry-run", 0, "nothing was done"),
    ],
)
def test_what_is_refused_or_only_tried_changes_nothing(
    admin: Admin, words: str, code: int, sentence: str
) -> None:
    before = build.contents(admin.home.path)

    said = trader(admin.home, code, *words.split())

    assert sentence in said.err
    assert build.contents(admin.home.path) == before


def test_a_lock_that_nobody_can_take_is_written_down_for_the_next_start(admin: Admin) -> None:
    said = trader(admin.home, 8, "lock", "ONE", "--for", "2h", "--yes")

    assert re.match(r"1 ONE: locked, may only get smaller, until .* Chicago.*, in 2 h\n", said.out)
    assert "`risk-daemon-admin start` will adopt it" in said.err
    assert '"act":"reduce-only"' in (admin.home.state / "pending-acts.jsonl").read_text()


@posix
def test_a_home_that_is_another_users_is_said_to_be_so(admin: Admin) -> None:
    assert sys.platform != "win32"
    admin.home.path.chmod(0o000)
    # Who may do anything becomes somebody else; everybody else is kept out by the mode alone.
    code = (
        "import os; from pathlib import Path; from risk_daemon.operations import home\n"
        "from risk_daemon.operations.accounts import trading\n"
        "if os.geteuid() == 0: os.setgid(65534); os.setuid(65534)\n"
        f"trading.status(home.Home(Path({str(admin.home.path)!r})))"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    admin.home.path.chmod(0o700)

    assert "Denied: you may not look into" in done.stderr


# --- with a daemon ----------------------------------------------------------------


def test_a_trader_of_a_running_daemon_reads_that_he_is_protected_and_may_trade(
    daemon: Admin,
) -> None:
    said = trader(daemon.home, 0, "status")

    assert said.out.startswith("protected: 3 of 3 accounts\n")
    assert "101 NORTH-1: you may trade; flat; day P&L 0.00\n" in said.out
    assert "101 NORTH-1: you may trade\n" in trader(daemon.home, 0, "why", "NORTH-1").out


def test_a_trader_locks_himself_in_plain_words_and_can_t_make_it_shorter(daemon: Admin) -> None:
    said = trader(daemon.home, 0, "lock", "NORTH-1", "--for", "2h", "--reason", "tilt", "--yes")

    assert re.match(r"101 NORTH-1: locked, may only get smaller, until .*Chicago.*in 2 h", said.out)
    assert said.err == "next: risk-daemon why 101\n"
    eventually(lambda: "tilt" in trader(daemon.home, 0, "why", "101").out, "it is explained")
    why = trader(daemon.home, 0, "why", "101").out
    assert "101 NORTH-1: you may only make your position smaller" in why
    assert re.search(r"why: {4}.* ordered reduce-only: the trader's own wish: tilt", why)
    assert re.search(r"until: {2}\w{3} [\d:]{8} Chicago.*, in (2 h|119 min)", why)
    assert "before its end only an admin can end it" in why
    assert "risk-daemon why 101" in trader(daemon.home, 0, "status").err

    shorter = trader(daemon.home, 3, "lock", "101", "--for", "30m", "--yes")
    assert "is locked already, and longer than that: until " in shorter.err
    trader(daemon.home, 0, "lock", "101", "--for", "3h", "--yes")
    eventually(lambda: daemon("why", "101").out.count("locked (") == 2, "both stand")
    trader(daemon.home, 4, "unlock", "101")
    daemon.told(0, "lockout", "clear", "--account", "101", "--reason", "the test is over")
    eventually(lambda: "you may trade" in trader(daemon.home, 0, "why", "101").out, "it is over")


def test_a_lock_until_the_end_of_the_day_is_there_once_however_often_it_is_asked_for(
    daemon: Admin,
) -> None:
    first = trader(daemon.home, 0, "lock", "SOUTH-1", "--yes", "--json").data()
    eventually(lambda: daemon("status").out.count("reduce-only (") == 1, "the lock is there")

    again = trader(daemon.home, 0, "lock", "SOUTH-1", "--until", "end of day", "--yes")

    assert again.out.startswith("201 SOUTH-1: locked already until ")
    assert first["until"].endswith(("T22:00:00.000+00:00", "T23:00:00.000+00:00"))
    assert daemon("status").out.count("reduce-only (") == 1
    week = trader(daemon.home, 0, "lock", "201", "--until", "end-of-week", "--dry-run", "--json")
    assert week.data()["until"] >= first["until"]
    daemon.told(0, "lockout", "clear", "--account", "201", "--reason", "the test is over")


def test_a_trader_can_be_closed_and_out_by_his_own_order(daemon: Admin, gateway: Gateway) -> None:
    buy(gateway, 102, 2)
    eventually(lambda: "long 2 MNQ" in trader(daemon.home, 0, "status").out, "it is seen")
    gateway.wish("/announce", {"account": 102, "act": "flatten-lock", "by": "tester"})

    trader(daemon.home, 0, "lock", "NORTH-2", "--for", "1h", "--flat", "--yes")

    eventually(lambda: positions(gateway)[102] == 0, "it is closed")
    means = "102 NORTH-2: you can't trade: everything was closed"
    eventually(lambda: means in trader(daemon.home, 0, "why", "102").out, "it is explained")
    gateway.wish("/announce", {"account": 102, "act": "unlock", "by": "tester"})
    daemon.told(0, "lockout", "clear", "--account", "102", "--reason", "the test is over")


@posix
@pytest.mark.parametrize(("answer", "code"), [("n", 1), ("y", 0)])
def test_on_a_terminal_a_lock_is_asked_about_with_what_it_means(
    daemon: Admin, answer: str, code: int
) -> None:
    if sys.platform == "win32":
        return
    ours, theirs = os.openpty()
    running = subprocess.Popen(
        [*TRADER, "lock", "SOUTH-1", "--for", "45m", "--reason", "asked"],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "RISK_DAEMON_HOME": str(daemon.home.path)},
    )
    os.close(theirs)
    said = b""
    while b"[y/N]" not in said:
        said += os.read(ours, 4096)
    os.write(ours, f"{answer}\n".encode())

    assert running.wait(30) == code
    os.close(ours)
    question = " ".join(said.decode().split())
    assert "201 SOUTH-1 is locked: it may only get smaller until " in question
    assert "Nobody but an admin ends that before. Lock it?" in question
    eventually(lambda: ("asked" in daemon("why", "201").out) == (code == 0), "as answered")
    if code == 0:
        daemon.told(0, "lockout", "clear", "--account", "201", "--reason", "the test is over")


def test_a_daemon_that_was_switched_off_is_not_called_protection(daemon: Admin) -> None:
    daemon.told(0, "stop", "--reason", "lunch")

    said = trader(daemon.home, 1, "status")

    assert re.match(r"NOT PROTECTED: an admin switched protection off: lunch \(", said.out)
    daemon.told(0, "start", "--timeout", "40")
