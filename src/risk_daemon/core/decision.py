"""What rules find, and how findings become one target.

A rule returns a finding and nothing else: it sends no order and sets no lock.
All remedies and all locks of an account are merged into one target by a
lattice join (allowed size: least; cancels: union; locks: strictest), so the
order of rules cannot matter and two rules cannot undo each other.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

ENFORCE: Final = "enforce"
SHADOW: Final = "shadow"
ALERT: Final = "alert"
MODES: Final = (ENFORCE, SHADOW, ALERT)

FULL: Final = "full"
REDUCE_ONLY: Final = "reduce-only"
NO_NEW_ENTRY: Final = "no-new-entry"
#: Strictest first. The unknown mode of a newer release counts as the strictest.
LOCK_MODES: Final = (FULL, REDUCE_ONLY, NO_NEW_ENTRY)


class LockWish(msgspec.Struct, frozen=True, gc=False):
    """A lock a rule asks for. `until` in ns UTC; None means until an admin ends it."""

    mode: str
    until: int | None


class Remedy(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What must become true: the least a rule accepts.

    `flatten` means zero everywhere; `allowed` caps |quantity| per contract;
    `cancel` is "", "increasing" or "all"; `cancel_orders` names single orders.
    """

    flatten: bool = False
    allowed: tuple[tuple[str, int], ...] = ()
    cancel: str = ""
    cancel_orders: tuple[int, ...] = ()
    lock: LockWish | None = None


class Breach(msgspec.Struct, frozen=True, kw_only=True, tag="breach", gc=False):
    """A limit is broken. `part` tells apart findings of one rule that latch separately."""

    observed: str
    limit: str
    text: str
    remedy: Remedy
    part: str = ""


class Clear(msgspec.Struct, frozen=True, kw_only=True, tag="clear", gc=False):
    """The rule's condition is false, on figures that are known."""

    observed: str = ""
    limit: str = ""


class Undecided(msgspec.Struct, frozen=True, kw_only=True, tag="undecided", gc=False):
    """The rule cannot tell: something is missing. Never the same as clear."""

    why: str


Finding = Breach | Clear | Undecided


class Target(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The merged demand on an account. `allowed` lacks a contract that is unconstrained."""

    flatten: bool = False
    allowed: tuple[tuple[str, int], ...] = ()
    cancel_increasing: bool = False
    cancel_all: bool = False
    cancel_orders: tuple[int, ...] = ()

    def allowance(self, contract: str) -> int | None:
        """Return the largest |quantity| allowed in a contract, None for any."""
        if self.flatten:
            return 0
        for name, size in self.allowed:
            if name == contract:
                return size
        return None


NOTHING: Final = Target()


def target_of(remedy: Remedy) -> Target:
    """Translate one remedy; its lock is demanded through `lock_target` once it stands."""
    return Target(
        flatten=remedy.flatten,
        allowed=tuple(sorted(remedy.allowed)),
        cancel_increasing=bool(remedy.cancel or remedy.flatten or remedy.allowed),
        cancel_all=remedy.cancel == "all",
        cancel_orders=tuple(sorted(set(remedy.cancel_orders))),
    )


def lock_target(mode: str, allowance: dict[str, int], contracts: Iterable[str]) -> Target:
    """Translate one lock in force; `allowance` holds what reduce-only still allows."""
    if mode == NO_NEW_ENTRY:
        return Target(cancel_increasing=True)
    if mode == REDUCE_ONLY:
        caps = tuple(sorted((name, allowance.get(name, 0)) for name in contracts))
        return Target(allowed=caps, cancel_increasing=True)
    return Target(flatten=True, cancel_increasing=True, cancel_all=True)


def merge(targets: Iterable[Target]) -> Target:
    """Join targets: order, grouping and repetition make no difference."""
    flatten = increasing = everything = False
    caps: dict[str, int] = {}
    orders: set[int] = set()
    for target in targets:
        flatten = flatten or target.flatten
        increasing = increasing or target.cancel_increasing
        everything = everything or target.cancel_all
        orders.update(target.cancel_orders)
        for name, size in target.allowed:
            caps[name] = min(size, caps.get(name, size))
    return Target(
        flatten=flatten,
        allowed=tuple(sorted(caps.items())),
        cancel_increasing=increasing,
        cancel_all=everything,
        cancel_orders=tuple(sorted(orders)),
    )
