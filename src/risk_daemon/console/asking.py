"""What a person may ask for on the page, and when it is refused before anything is done. Pure.

Everything asked for shows the state it was asked in: who has not looked for a while must not act
on what is no more. Where money moves it is typed out, so that no slip of a hand does it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Final

import msgspec

#: The page's word for it, and what the controller of rollouts is asked.
VERBS: Final = {
    "start": "start",
    "approve": "approve",
    "promote": "promote",
    "complete": "complete",
    "hold": "stop",
    "resume": "resume",
    "abort": "abort",
}
ROLLBACK: Final = "rollback"
FLATTEN: Final = "flatten-all"
ACTIONS: Final = (*VERBS, ROLLBACK, FLATTEN)
#: What has to be typed, where something has to be.
TYPED: Final = {FLATTEN: "flatten all"}
REASON_MAX: Final = 500
#: Gates say something every few seconds before the start: that alone makes nothing another state.
_NOT_BEGUN: Final = ("draft", "gated")
_BEFORE: Final = "before"
#: What has to be said beside the reason.
NAMED: Final = {"approve": "phase", "promote": "phase", ROLLBACK: "release"}


class Asked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the page asks for. `seen` is the state it showed; `typed` what a person typed."""

    action: str
    reason: str
    seen: str
    typed: str = ""
    phase: str = ""
    release: str = ""


def objection(asked: Asked) -> str:
    """Say what is wrong with the asking itself; empty if nothing is."""
    if asked.action not in ACTIONS:
        return f"{asked.action!r} can't be asked for here; what can: {', '.join(ACTIONS)}."
    reason = asked.reason.strip()
    if not reason or len(reason) > REASON_MAX:
        return f"a reason is needed, of at most {REASON_MAX} characters; it is kept and shown."
    wanted = TYPED.get(asked.action, "")
    if asked.typed.strip().lower() != wanted and wanted:
        return f"type {wanted!r} to have it done; it says {asked.typed!r}, nothing was done."
    named = NAMED.get(asked.action)
    if named is not None and not getattr(asked, named):
        return f"{asked.action} needs a {named}; nothing was done."
    return ""


def is_as_seen(action: str, seen: str, now: str) -> bool:
    """Tell whether the state is the one that was shown, as far as it matters for this.

    A way back, or a stop, is about a rollout and its stage, whatever holds came and went.
    """
    if action in ("abort", "hold", ROLLBACK):
        return seen.partition(".")[0] == now.partition(".")[0]
    return seen == now


def rollout_key(rollout: Mapping[str, Any]) -> str:
    """Which rollout at which stage, and what holds it; changes when that does."""
    if not rollout:
        return "none"
    holds = _digest(*(f"{one['key']}" for one in rollout["holds"]))
    stage = _BEFORE if rollout["stage"] in _NOT_BEGUN else rollout["stage"]
    return f"{_digest(rollout['rollout'], stage)}.{holds}"


def accounts_key(status: Mapping[str, Any]) -> str:
    """Which accounts there are, and whether they are guarded at all."""
    numbers = sorted(str(row["account"]) for row in status.get("accounts", []))
    return _digest("off" if status.get("disabled") else "on", *numbers)


def _digest(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
