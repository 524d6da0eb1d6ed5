"""The re-seed of a shadow: the account as if this release had decided what its holder did.

Teacher forcing: after one difference each further one would be its consequence. Facts of the
broker are the same for both; what is put right is what follows from decisions: locks, latches,
goals, counts of the day. What the holder does not share and is still so in our eyes is held back
until its condition was false once, else it would be found anew at once.
"""

from __future__ import annotations

from typing import Final

from risk_daemon.core.account import Account, Incident, Shadow
from risk_daemon.core.incident import held_now, stand
from risk_daemon.core.lockout import Lock
from risk_daemon.core.shadow import force, part_of

#: A lock that a newer release placed and this one cannot name: no record of ours tells of its end.
NAMELESS: Final = "unknown:"
UNARMED: Final = "unarmed:"


def apart(account: Account, shadow: Shadow) -> set[str]:
    """Return the locks that only one of us has."""
    mine = {name for name in account.locks if not name.startswith(NAMELESS)}
    return mine ^ set(shadow.locks)


def reseed(account: Account, shadow: Shadow, seq: int, at: int) -> None:
    """Put right what differs from the holder; decides nothing."""
    shadow.turns += 1
    shadow.astray = 0
    for name in sorted(shadow.locks):
        if (shadow.locks[name].until or at + 1) <= at and name not in account.locks:
            del shadow.locks[name]  # over, and the holder's word for it was lost
    for name in sorted(apart(account, shadow) & set(account.locks)):
        _drop(account, shadow, name)
    for name in sorted(shadow.locks):
        _take_over(account, shadow, name, seq)
    for part in sorted(account.incidents):
        incident = account.incidents[part]
        is_shared = shadow.found.get(part, 0) >= incident.seq
        if incident.is_open and not is_shared and part not in shadow.overruled:
            shadow.overruled.append(part)
    _forget_unsent(account)
    account.trips = dict(shadow.trips)
    ends = [lock.placed.until for lock in account.locks.values() if lock.placed.until]
    account.wake_at = min((due for due in (account.wake_at, *ends) if due), default=0)


def _drop(account: Account, shadow: Shadow, name: str) -> None:
    """Let go of a lock that the holder never placed, or has ended."""
    del account.locks[name]
    account.lock_names.pop(name, None)  # a later one of this name is news again
    if name.startswith(UNARMED) and name not in shadow.overruled:
        shadow.overruled.append(name)
    for incident in account.incidents.values():
        if incident.lock == name:
            incident.lock = ""


def _take_over(account: Account, shadow: Shadow, name: str, seq: int) -> None:
    """Have a lock of the holder stand here as it placed it, and count its finding as found."""
    placed = shadow.locks[name]
    mine = account.locks.get(placed.lock)
    if mine is None:
        stand(account, placed, seq, held_now(account))
        force(shadow, placed.lock)
    elif mine.placed != placed:
        account.locks[placed.lock] = Lock(
            placed=placed, allowance=mine.allowance, is_unmeasured=mine.is_unmeasured
        )
        force(shadow, placed.lock)
    part, found = part_of(placed.incident, placed.account, placed.rule)
    before = account.incidents.get(part)
    if found and (before is None or not before.is_open or before.seq < found):
        account.incidents[part] = Incident(
            number=before.number + 1 if before else 1,
            is_open=True,
            since=placed.began_at,
            seq=found,
            lock=placed.lock,
            text=placed.reason,
        )


def _forget_unsent(account: Account) -> None:
    """Goals that no link was told of are ours alone; what still must be is decided anew."""
    for contract in sorted(account.slots):
        if not account.slots[contract].request:
            del account.slots[contract]
    for order in sorted(account.asked):
        if not account.asked[order].request:
            del account.asked[order]
    for contract in sorted(account.plans):
        if not account.plans[contract].reached_at and contract not in account.slots:
            del account.plans[contract]
