"""`dashboard`: a password comes from stdin where no terminal is, and is never shown."""

import os
import subprocess
import sys

from risk_daemon.operations.configuration import passwords
from tests.cli.conftest import Admin

PASSWORD = "correct horse battery"


def typed(admin: Admin, text: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a command with something on stdin."""
    return subprocess.run(
        [sys.executable, "-m", "risk_daemon.programs.admin", *words],
        input=text,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "RISK_DAEMON_HOME": str(admin.home.path)},
    )


def test_a_password_is_read_from_the_first_line_and_lets_in(admin: Admin) -> None:
    words = ("dashboard", "password", "--user", "anna")
    done = typed(admin, f"{PASSWORD}\nsomething else\n", *words)

    assert (done.returncode, done.stdout) == (0, "anna: the password of the page is set\n")
    assert PASSWORD not in done.stdout + done.stderr
    assert passwords.is_right(passwords.people(admin.home), "anna", PASSWORD)


def test_without_one_nothing_is_set_and_the_bounds_are_said(admin: Admin) -> None:
    said = admin.told(2, "dashboard", "password", "--user", "anna")
    assert "the password has 0 characters; 12 to 200 are allowed" in said.err


def test_who_is_removed_is_named_and_a_stranger_is_not_found(admin: Admin) -> None:
    passwords.set_password(admin.home, "anna", PASSWORD)

    said = admin.told(0, "dashboard", "remove", "--user", "anna", "--json")
    assert said.data() == {"user": "anna", "people": []}
    again = admin.told(5, "dashboard", "remove", "--user", "anna")
    assert "'anna' has no password of the page; who has: nobody" in again.err
