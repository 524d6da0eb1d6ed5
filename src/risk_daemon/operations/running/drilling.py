"""`drill`: a disaster played for real, never where production is chosen.

The play is a program of its own (`programs.drill`): it makes a home at a simulated gateway, and
needs what no command of a person may load.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from typing import Any, Final

from risk_daemon.depot import making
from risk_daemon.errors import NotFound, OperatorError, Refused, UsageError
from risk_daemon.operations import home
from risk_daemon.operations.home import Home
from risk_daemon.operations.outcome import DONE, FAILED, Outcome

NAMES: Final = ("crash", "disconnect", "config", "database", "disk", "rollback", "restore")
ALL: Final = "all"
MB_MAX: Final = 5_000


def run(at: Home, name: str, size_mb: int, *, is_beside: bool) -> Outcome:
    """Play a drill, or all, in a home of its own. `is_beside`: also beside production."""
    if name not in (*NAMES, ALL):
        known = ", ".join((*NAMES, ALL))
        raise UsageError(f"there is no drill {name!r}; there are {known}.")
    if not 0 <= size_mb <= MB_MAX:
        raise UsageError(f"--mb is {size_mb}; allowed is 0 to {MB_MAX}.")
    if not is_beside:
        _refuse_production(at)
    words = [sys.executable, "-m", "risk_daemon.programs.drill", name, "--json"]
    done = subprocess.run(
        [*words, "--mb", str(size_mb)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        env=making.environment(),
        text=True,
        check=False,
    )
    return outcome(done.returncode, done.stdout)


def _refuse_production(at: Home) -> None:
    try:
        environment = home.read(at).environment
    except NotFound:
        return
    if environment == "production":
        raise Refused(
            f"{at.path} is a production home, and a drill kills, fills and overwrites: nothing was "
            "done. Name a staging home with --home, or add --scratch for a home of its own at a "
            "simulated gateway, which takes both cores of this machine for minutes."
        )


def outcome(code: int, out: str) -> Outcome:
    """Say what the last line of a play comes to. Raises OperatorError where there is none."""
    try:
        told: dict[str, Any] = json.loads(out.strip().splitlines()[-1])
        lines = tuple(_in_words(row) for row in told["drills"])
    except (IndexError, ValueError, KeyError, TypeError):
        raise OperatorError(f"the drill ended with {code} and said nothing.") from None
    return Outcome(lines, DONE if told["ok"] and code == DONE else FAILED, told)


def _in_words(row: Mapping[str, Any]) -> str:
    if not row["ok"]:
        return f"{row['name']}: NOT ok: {row['problem']}"
    return (
        f"{row['name']}: breach answered after {row['seconds']:g} s of {row['budget_s']:g};"
        f" by hand {row['by_hand_s']:g} s of {row['by_hand_budget_s']:g}"
    )
