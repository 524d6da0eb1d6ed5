"""An account that another release holds: what its holder says of it, kept beside our own view.

Our own decisions about it go nowhere. Where they differ from the holder's, our world would keep
what the holder has closed, and one difference would become hundreds; so what the holder's records
say is kept, and taken over at a re-seed (`core.reseed`). Nothing of this is kept, and no record
of one's own is heard, for an account that one's own release holds.
"""

from __future__ import annotations

from typing import Final

from risk_daemon.core.account import Account, Shadow
from risk_daemon.core.events import (
    BreachFound,
    DecisionCompared,
    Fact,
    LockEnded,
    LockPlaced,
    ShadowReseeded,
)

#: Of the shadow alone: nothing to whoever holds the account.
KINDS: Final = (DecisionCompared, ShadowReseeded)
#: What is heard of a holder.
HEARD: Final = (BreachFound, LockPlaced, LockEnded, *KINDS)
#: What two releases have not decided alike.
DIFFERS: Final = ("looser", "stricter", "declared")
ENFORCE: Final = "enforce"


def leased(account: Account, own: str) -> None:
    """Begin to keep the holder's word when another release gets the account; end with our own.

    What was overruled until now is ours to decide again: it acts in this very step.
    """
    if not own or account.release in ("", own):
        for name in account.shadow.overruled if account.shadow is not None else ():
            if name in account.incidents:
                account.incidents[name].is_open = False
        account.shadow = None
    elif account.shadow is None:
        account.shadow = Shadow(
            locks={name: lock.placed for name, lock in account.locks.items()},
            found={name: incident.seq for name, incident in account.incidents.items()},
            trips=dict(account.trips),
        )


def hear(account: Account, shadow: Shadow, fact: Fact, own: str) -> None:
    """Take one record of the holder, or of our own about it."""
    match fact:
        case BreachFound():
            _found(account, shadow, fact)
        case LockPlaced():
            _placed(account, shadow, fact)
        case LockEnded():
            shadow.locks.pop(fact.lock, None)
            if fact.lock in shadow.forced:
                shadow.forced.remove(fact.lock)
                account.locks.pop(fact.lock, None)
        case DecisionCompared(release=release) if release == own and fact.verdict in DIFFERS:
            shadow.astray = shadow.astray or fact.seq
        case _:
            pass


def _found(account: Account, shadow: Shadow, fact: BreachFound) -> None:
    part, seq = part_of(fact.incident, fact.account, fact.rule)
    shadow.found[part] = seq
    if fact.mode == ENFORCE:
        shadow.trips[fact.rule] = shadow.trips.get(fact.rule, 0) + 1
    if part in shadow.overruled:
        # The holder sees it too, later than we did: now it is one finding of both.
        lift(account, part)
        account.incidents[part].seq = seq
        shadow.astray = shadow.astray or seq


def _placed(account: Account, shadow: Shadow, fact: LockPlaced) -> None:
    shadow.locks[fact.lock] = fact
    lift(account, fact.lock)
    part, seq = part_of(fact.incident, fact.account, fact.rule)
    incident = account.incidents.get(part)
    if incident is not None and incident.seq == seq:
        incident.lock = fact.lock


def force(shadow: Shadow, lock: str) -> None:
    """A lock of the holder's stands here that was not decided here."""
    if lock not in shadow.forced:
        shadow.forced.append(lock)


def is_overruled(account: Account, name: str) -> bool:
    """Tell whether a finding (`rule|part`), or a lock of one, is held back here."""
    return account.shadow is not None and name in account.shadow.overruled


def lift(account: Account, name: str) -> None:
    """What was held back is not any more: its condition is false, or the holder shares it."""
    if is_overruled(account, name):
        assert account.shadow is not None
        account.shadow.overruled.remove(name)


def part_of(incident: str, account: int, rule: str) -> tuple[str, int]:
    """Take an incident's name apart: the finding's `rule|part`, and the record it was found at.

    A name of another shape is of no incident: seq 0.
    """
    head, _, seq = incident.rpartition(":")
    whole = f"{account}:{rule}"
    if not seq.isdecimal() or not (head == whole or head.startswith(f"{whole}:")):
        return f"{rule}|", 0
    return f"{rule}|{head[len(whole) + 1 :]}", int(seq)
