"""Locks: a set of records, of which the strictest in force counts.

A longer, milder lock never stretches a stricter one, and nothing here makes a
lock shorter: each ends on its own time, or by a person. A lock whose close is
unfinished outlives its end until the account is flat.
"""

from __future__ import annotations

import msgspec

from risk_daemon.core.decision import FULL, LOCK_MODES
from risk_daemon.core.events import LockPlaced


class Lock(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One lock in force, and what reduce-only still allows per contract.

    `is_unmeasured`: it was placed elsewhere, and what was held then is not known. Until
    the next stable read it lets nothing grow and closes nothing.
    """

    placed: LockPlaced
    allowance: dict[str, int] = msgspec.field(default_factory=dict)
    is_unmeasured: bool = False


def strictness(mode: str) -> int:
    """Rank a mode, strictest highest; a mode this release does not know is the strictest."""
    if mode not in LOCK_MODES:
        return len(LOCK_MODES) + 1
    return len(LOCK_MODES) - LOCK_MODES.index(mode)


def strictest(locks: dict[str, Lock]) -> str:
    """Return the mode in force, "" when none is."""
    modes = sorted((strictness(lock.placed.mode), lock.placed.mode) for lock in locks.values())
    return modes[-1][1] if modes else ""


def closes_everything(lock: Lock) -> bool:
    """Tell whether the lock demands a flat account."""
    return strictness(lock.placed.mode) >= strictness(FULL)


def covers(lock: Lock, root: str) -> bool:
    """Tell whether a lock is on a root.

    Scopes: `roots:ZC,ZW` names roots, `except:ZC,ZW` all others, anything else is
    the whole account (a newer release's scope is read as the widest one). A
    contract whose root is not known is "" here: no list names it.
    """
    kind, _, names = lock.placed.scope.partition(":")
    if kind == "roots":
        return root in names.split(",")
    return kind != "except" or root not in names.split(",")


def is_scoped(lock: Lock) -> bool:
    """Tell whether a lock leaves some roots alone."""
    return lock.placed.scope.partition(":")[0] in ("roots", "except")


def is_over(lock: Lock, at: int, *, is_flat: bool) -> bool:
    """Tell whether a timed lock has ended: past its time, and its close finished."""
    until = lock.placed.until
    if until is None or at < until:
        return False
    return is_flat or not closes_everything(lock)


def tighten(lock: Lock, exposures: dict[str, int]) -> None:
    """Lower what reduce-only allows to the least |quantity| seen since the lock began."""
    for contract in sorted(lock.allowance):
        held = abs(exposures.get(contract, 0))
        lock.allowance[contract] = min(lock.allowance[contract], held)
