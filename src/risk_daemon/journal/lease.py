"""PURE: the lease machine. One holder per account, told apart by an epoch that only grows.

Rules for editors:
  * an epoch has one holder for ever: no path may write a lease without a new epoch;
  * a grant is all or nothing, over every account it names;
  * only who knows the present epoch may set the next one (compare and set).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from risk_daemon.wire.control import Grant, Lease

#: So that the answer fits into a frame.
GRANTS_MAX: Final = 1_000
#: Added to every epoch by a restore: the lost tail may have granted as many at most.
RESTORE_GAP: Final = 1_000_000


def grant(
    held: Mapping[int, Lease], grants: Sequence[Grant], incarnation: int, first_seq: int
) -> tuple[Lease, ...] | str:
    """Return the leases that replace the held ones, or why none is granted.

    The records of the new leases follow each other from `first_seq` on.
    """
    if not grants:
        return "no account was named"
    if len(grants) > GRANTS_MAX:
        return f"{len(grants)} accounts at once, at most {GRANTS_MAX}"
    if len({one.account for one in grants}) < len(grants):
        return "an account was named twice"
    for one in grants:
        present = epoch_of(held, one.account)
        if one.account <= 0:
            return f"{one.account} is no account"
        if one.expected_epoch != present:
            return f"account {one.account}: its epoch is {present}, expected {one.expected_epoch}"
    return tuple(
        Lease(
            account=one.account,
            holder=one.holder,
            release=one.release,
            epoch=one.expected_epoch + 1,
            incarnation=incarnation,
            granted_seq=seq,
        )
        for seq, one in enumerate(grants, start=first_seq)
    )


def shut(named: str, present: str) -> str:
    """Tell why a lease that names a rollout's latch is not granted; empty if it may be."""
    if named in ("", present):
        return ""
    return f"the rollout has gone on: its latch is {present!r}, not {named!r}"


def raised(
    held: Mapping[int, Lease], accounts: Iterable[int], incarnation: int, first_seq: int
) -> tuple[Lease, ...]:
    """Return the leases of these accounts with the next epoch, held by whom they were.

    An account that nobody ever held gets its first epoch, held by nobody: whoever believed it at 0
    is wrong now. The records of the new leases follow each other from `first_seq` on.
    """
    new = []
    for seq, account in enumerate(sorted(set(accounts)), start=first_seq):
        old = held.get(account) or Lease(account, "", "", 0, incarnation, 0)
        new.append(
            msgspec.structs.replace(
                old, epoch=old.epoch + 1, incarnation=incarnation, granted_seq=seq
            )
        )
    return tuple(new)


def may_intend(held: Mapping[int, Lease], account: int, epoch: int) -> str:
    """Tell why an intent of this epoch is refused; empty if it is not."""
    lease = held.get(account)
    if lease is None:
        return f"account {account} has no lease"
    if epoch != lease.epoch:
        return f"account {account}: its epoch is {lease.epoch}, not {epoch}"
    if not lease.holder:
        return f"account {account}: nobody holds epoch {epoch}"
    return ""


def epoch_of(held: Mapping[int, Lease], account: int) -> int:
    """Return an account's present epoch, 0 if it never had a lease."""
    lease = held.get(account)
    return lease.epoch if lease is not None else 0


def after_restore(leases: Iterable[Lease], incarnation: int) -> tuple[Lease, ...]:
    """Return the leases of a restored file: held by nobody, far above any lost epoch."""
    return tuple(
        msgspec.structs.replace(
            lease, holder="", epoch=lease.epoch + RESTORE_GAP, incarnation=incarnation
        )
        for lease in leases
    )
