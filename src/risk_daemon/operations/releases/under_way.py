"""The rollout that is under way in a home, as the supervisor tells it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from risk_daemon.clock import SECOND_NS, Timekeeper
from risk_daemon.operations import daemon
from risk_daemon.operations.configuration.in_force import in_force
from risk_daemon.operations.home import Home

WITHIN_S: Final = 20.0
#: The stages in which nothing is under way.
OVER: Final = ("done", "aborted", "rolled back", "superseded")


def standing(at: Home) -> dict[str, Any]:
    """Return the rollout as it stands; empty where there never was one."""
    found = daemon.ask(at, daemon.SUPERVISOR, "rollout", {}, WITHIN_S)
    return found if found.get("rollout") else {}


def is_back(found: Mapping[str, Any]) -> bool:
    """Tell whether a way back has come to its end."""
    return found["stage"] in ("aborted", "rolled back", "superseded")


def now_of(at: Home, clock: Timekeeper) -> int:
    """Return the home's own time (UTC ns), which a rehearsal may have moved."""
    return clock.now_ns() + int(in_force(at).clock_offset_s * SECOND_NS)
