"""Which records are marks on a graph: phase changes, alerts, rollbacks. Pure."""

from __future__ import annotations

from typing import Final

from risk_daemon.console.figures import Mark
from risk_daemon.core.events import (
    AlarmRaised,
    Entry,
    ProtectionDisabled,
    ProtectionEnabled,
    RolloutNoted,
)

PHASE: Final = "phase"
ALERT: Final = "alert"
ROLLBACK: Final = "rollback"
#: What the audit of a rollout calls a way back.
_BACK: Final = ("aborting", "aborted", "rolling back", "rolled back", "superseded")
_PHASES: Final = ("started", "resumed")
_LOUD: Final = ("urgent", "page")
_MS: Final = 1_000_000


def mark(entry: Entry) -> Mark | None:
    """Return the mark a record makes; most make none."""
    match entry.fact:
        case RolloutNoted(what=what, reason=reason) if what in _BACK:
            return _mark(entry, ROLLBACK, f"{what}: {reason}" if reason else what)
        case RolloutNoted(what="held", reason=reason):
            return _mark(entry, ALERT, f"rollout held: {reason}")
        case RolloutNoted(what=what) if what in _PHASES or what.startswith("entered "):
            return _mark(entry, PHASE, what)
        case AlarmRaised(level=level, text=text) as alarm if level in _LOUD:
            # What a rollout tells its audiences, its audit has told already.
            return None if alarm.what == "rollout" and alarm.audience else _mark(entry, ALERT, text)
        case ProtectionDisabled(by=by):
            return _mark(entry, ALERT, f"protection switched off by {by}")
        case ProtectionEnabled():
            return _mark(entry, PHASE, "protection switched on")
        case _:
            return None


def _mark(entry: Entry, kind: str, text: str) -> Mark:
    return Mark(entry.at // _MS, kind, text)
