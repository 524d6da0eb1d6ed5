"""What a shell is told when somebody presses TAB: live names of accounts, names of rules."""

import os
import subprocess
import sys

import pytest

from tests.cli.conftest import Admin

PROGRAMS = {"risk-daemon": "trader", "risk-daemon-admin": "admin"}


def completed(admin: Admin, line: str) -> list[str]:
    """Press TAB at the end of a line, as bash does it."""
    words = line.split(" ")
    name = f"_{words[0].upper().replace('-', '_')}_COMPLETE"
    done = subprocess.run(
        [sys.executable, "-m", f"risk_daemon.programs.{PROGRAMS[words[0]]}"],
        capture_output=True,
        text=True,
        check=False,
        env={
            **os.environ,
            "RISK_DAEMON_HOME": str(admin.home.path),
            name: "complete_bash",
            "COMP_WORDS": line,
            "COMP_CWORD": str(len(words) - 1),
        },
    )
    assert done.stderr == ""
    return done.stdout.split()


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("risk-daemon ", ["lock", "status", "why"]),
        ("risk-daemon why ", ["1", "2", "ONE", "TWO"]),
        ("risk-daemon lock T", ["TWO"]),
        ("risk-daemon-admin why O", ["ONE"]),
        ("risk-daemon-admin lockout set --account ", ["1", "2", "ONE", "TWO"]),
        ("risk-daemon-admin emergency lockout --account TW", ["TWO"]),
        ("risk-daemon-admin override disable ONE max-c", None),
        ("risk-daemon-admin flag clear max-contracts --account 1", ["1"]),
    ],
)
def test_tab_offers_what_there_is(admin: Admin, line: str, found: list[str] | None) -> None:
    wanted = found or ["max-contracts", "max-contracts-per-instrument"]

    assert sorted(completed(admin, line)) == wanted


def test_where_there_is_no_home_it_offers_nothing_and_says_nothing(nobody: Admin) -> None:
    assert completed(nobody, "risk-daemon why ") == []
