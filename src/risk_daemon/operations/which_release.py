"""Which release this command is of, and which one runs. Kept light: `--version` has 0.4 s."""

from __future__ import annotations

from importlib.metadata import version as installed_version
from typing import Final

from risk_daemon.errors import OperatorError
from risk_daemon.operations import daemon
from risk_daemon.operations.home import Home
from risk_daemon.operations.outcome import Outcome
from risk_daemon.operations.words import count

WITHIN_S: Final = 0.25


def release() -> str:
    """The release this command belongs to."""
    return f"v{installed_version('risk-daemon')}"


def version(at: Home) -> Outcome:
    """The running release; one line per release with its accounts where there are several."""
    mine = release()
    try:
        status = daemon.ask(at, daemon.SUPERVISOR, "status", within_s=WITHIN_S)
    except OperatorError:
        data = {"release": mine, "running": None}
        return Outcome((mine,), data=data, notes=("daemon not running",))
    running = {str(row.get("release") or mine) for row in status.get("processes", [])}
    if len(running) <= 1:
        only = next(iter(running), mine)
        note = () if only == mine else (f"this command is of {mine}",)
        return Outcome((only,), data={"release": only, "running": [only]}, notes=note)
    held: dict[str, list[int]] = {name: [] for name in sorted(running)}
    for row in status.get("accounts", []):
        held.setdefault(str(row.get("release")), []).append(row["account"])
    lines = tuple(f"{name}: {count(len(rows), 'account')}" for name, rows in held.items())
    return Outcome(lines, data={"release": mine, "running": held})
