"""Is what we believe true: against the broker, and against our own journal."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from typing import Any, Final

from risk_daemon.errors import NotFound, OperatorError, TimedOut
from risk_daemon.operations import daemon, home
from risk_daemon.operations.configuration.in_force import in_force
from risk_daemon.operations.home import Home
from risk_daemon.operations.outcome import DONE, FAILED, UNREACHABLE, Outcome
from risk_daemon.operations.state_file import FILE
from risk_daemon.operations.words import count

RECONCILE_WITHIN_S: Final = 28.0
VERIFY_WITHIN_S: Final = 28.0
#: A megabyte is some 8,000 records, of which a busy machine folds 4,000 a second.
VERIFY_S_PER_MB: Final = 2.0
MB: Final = 1_000_000


def reconcile(at: Home) -> Outcome:
    """Read every account's truth from the broker, repair our view (never the broker's)."""
    home.read(at)
    settings = in_force(at)
    links = [daemon.link_name(login.name) for login in settings.logins]
    answers = daemon.ask_each(at, links, "reconcile", {}, RECONCILE_WITHIN_S)
    lines: list[str] = []
    rows: list[dict[str, Any]] = []
    silent = 0
    for login in settings.logins:
        answer = answers[daemon.link_name(login.name)]
        if isinstance(answer, OperatorError):
            silent += 1
            lines += [f"{account}: NOT READ: {answer.sentence}" for account in login.accounts]
            rows += [{"account": n, "consistent": False, "repaired": False} for n in login.accounts]
        else:
            rows += answer.get("accounts", [])
            lines += [_reconciled_line(row) for row in answer.get("accounts", [])]
    good = all(row.get("consistent") or row.get("repaired") for row in rows)
    complete = {row["account"] for row in rows} >= set(settings.accounts())
    code = DONE if good and complete else UNREACHABLE if silent == len(links) else FAILED
    return Outcome(
        tuple(lines), code, {"accounts": rows}, next_command="risk-daemon-admin verify-state"
    )


def _reconciled_line(row: Mapping[str, Any]) -> str:
    differences = "; ".join(map(str, row.get("differences", ())))
    if row.get("consistent"):
        return f"{row['account']}: consistent"
    state = "repaired" if row.get("repaired") else "NOT REPAIRED"
    return f"{row['account']}: {state}: {differences or 'no detail'}"


def verify(at: Home) -> Outcome:
    """Rebuild the state from the journal in a process of its own; compare it with the holder's."""
    home.read(at)
    if not (at.state / FILE).is_file():
        raise NotFound(f"there is no state file in {at.state}: this home has never run.")
    found = rebuilt(at, patience_s((at.state / FILE).stat().st_size))
    rows = found["accounts"]
    lines = [
        f"{row['account']}: {'equal' if row.get('equal') else 'DIFFERS'}, "
        f"{count(row.get('locks', 0), 'lock')}, {count(row.get('intents', 0), 'intent')}"
        for row in rows
    ]
    live = bool(found.get("live"))
    notes = [] if live else ["no worker answers: the file was checked by itself"]
    if others := int(found.get("decided_elsewhere", 0)):
        notes.append(f"{count(others, 'decision')} of other releases: this one decides otherwise")
    equal = bool(rows) and bool(found.get("ok"))
    below = tuple(str(text) for text in found.get("differences", ()))
    return Outcome(
        tuple(lines) or ("no account is in the journal",),
        DONE if equal else FAILED,
        found,
        tuple(notes),
        "" if equal else "risk-daemon-admin status --show-events",
        below=below,
    )


def patience_s(size: int) -> float:
    """Return how long the rebuilding of a state file of so many bytes is waited for."""
    return VERIFY_WITHIN_S + VERIFY_S_PER_MB * (size // MB)


def rebuilt(at: Home, within_s: float) -> dict[str, Any]:
    """Rebuild a home's state in a process of its own; what came of it. Raises OperatorError."""
    words = [
        sys.executable,
        "-m",
        "risk_daemon.programs.worker",
        "--verify",
        "--home",
        str(at.path),
    ]
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=within_s, check=False)
    except subprocess.TimeoutExpired:
        raise TimedOut(
            f"rebuilding the state took longer than {within_s:g} s; it is safe to repeat."
        ) from None
    try:
        found: dict[str, Any] = json.loads(done.stdout)
        assert isinstance(found["accounts"], list)
    except (ValueError, KeyError, TypeError):
        said = done.stderr.strip().splitlines()[-1:] or ["no answer"]
        raise OperatorError(f"the state could not be rebuilt: {said[0]}") from None
    return found
