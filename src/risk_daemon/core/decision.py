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

from risk_daemon.core.instrument import show
from risk_daemon.core.session import show_chicago

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
    """A lock a rule asks for. `until` in ns UTC; None means until an admin ends it.

    `scope` says which roots it covers (`core.lockout.covers`), "" for the whole
    account; `name` is given only where a record from elsewhere must find it.
    """

    mode: str
    until: int | None
    scope: str = ""
    name: str = ""


class Remedy(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What must become true: the least a rule accepts.

    `flatten` means zero everywhere; `allowed` caps |quantity| per contract;
    `cancel` is "", "increasing" or "all", of the orders in the contracts named
    `within`, or of all orders; `cancel_orders` names single orders.
    """

    flatten: bool = False
    allowed: tuple[tuple[str, int], ...] = ()
    cancel: str = ""
    within: tuple[str, ...] = ()
    cancel_orders: tuple[int, ...] = ()
    lock: LockWish | None = None


#: For `Clear.places`: figures that are instants in ns UTC.
CLOCK: Final = -1

#: What a rule wants to know again at its next check: figures by name, replaced as a whole.
Memory = dict[str, int]


class Breach(msgspec.Struct, frozen=True, kw_only=True, tag="breach"):
    """A limit is broken. `part` tells apart findings of one rule that latch separately."""

    observed: str
    limit: str
    text: str
    remedy: Remedy
    part: str = ""
    memory: Memory | None = None
    wake_at: int = 0


class Nearing(msgspec.Struct, frozen=True, gc=False):
    """A share of the limit, in units of 1e-9, that is used, and what people are told of it."""

    share: int
    text: str


class Clear(msgspec.Struct, frozen=True, kw_only=True, tag="clear"):
    """The rule's condition is false, on figures that are known.

    `figure` against `bound`, in units, written with `places` decimals or as `CLOCK`
    times: put into words only when somebody looks, for most findings are clear.
    `used` is the share of the limit in units of 1e-9, rounded down, and `whole` the money it
    is a share of where prices move it; `nearing` tells people, once for each share and day.
    `look` asks for one read of the account before the rule goes on; the words say what for.
    `is_passing`: time alone may change what is remembered, before `wake_at` too.
    """

    figure: int | None = None
    bound: int | None = None
    places: int = 2
    memory: Memory | None = None
    wake_at: int = 0
    look: str = ""
    used: int | None = None
    whole: int = 0
    nearing: Nearing | None = None
    is_passing: bool = False

    @property
    def observed(self) -> str:
        """The figure in words."""
        return self._words(self.figure)

    @property
    def limit(self) -> str:
        """The bound in words."""
        return self._words(self.bound)

    def _words(self, figure: int | None) -> str:
        if figure is None:
            return ""
        return show_chicago(figure) if self.places == CLOCK else show(figure, self.places)


class Undecided(msgspec.Struct, frozen=True, kw_only=True, tag="undecided", gc=False):
    """The rule cannot tell: something is missing. Never the same as clear."""

    why: str


class Several(msgspec.Struct, frozen=True, kw_only=True, tag="several"):
    """Breaches of one rule that latch and end separately, each with a `part` of its own."""

    breaches: tuple[Breach, ...]
    memory: Memory | None = None
    wake_at: int = 0


Finding = Breach | Clear | Undecided | Several


class Quiet(msgspec.Struct, frozen=True, gc=False):
    """Prices a held contract could leave at without changing a rule's finding; None is no end."""

    low: int | None = None
    high: int | None = None


#: What a rule answers that looks at no price, and one that must be asked at every price.
ANY_PRICE: Final[dict[str, Quiet]] = {}
NO_PRICE: Final = None


class Target(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The merged demand on an account. `allowed` lacks a contract that is unconstrained.

    `increasing_in` and `all_in` name contracts whose orders are cancelled where
    the demand is not on the whole account.
    """

    flatten: bool = False
    allowed: tuple[tuple[str, int], ...] = ()
    cancel_increasing: bool = False
    cancel_all: bool = False
    increasing_in: tuple[str, ...] = ()
    all_in: tuple[str, ...] = ()
    cancel_orders: tuple[int, ...] = ()

    def allowance(self, contract: str) -> int | None:
        """Return the largest |quantity| allowed in a contract, None for any."""
        if self.flatten:
            return 0
        for name, size in self.allowed:
            if name == contract:
                return size
        return None

    def stops_growth_in(self, contract: str) -> bool:
        """Tell whether orders that could raise the position of a contract must go."""
        return self.cancel_increasing or contract in self.increasing_in

    def clears(self, contract: str) -> bool:
        """Tell whether every order of a contract must go once it is flat."""
        return self.cancel_all or contract in self.all_in


NOTHING: Final = Target()


def target_of(remedy: Remedy) -> Target:
    """Translate one remedy; its lock is demanded through `lock_target` once it stands."""
    stops = bool(remedy.cancel or remedy.flatten or remedy.allowed)
    clears = remedy.cancel == "all"
    within = tuple(sorted(remedy.within))
    return Target(
        flatten=remedy.flatten,
        allowed=tuple(sorted(remedy.allowed)),
        cancel_increasing=stops and not within,
        cancel_all=clears and not within,
        increasing_in=within if stops else (),
        all_in=within if clears else (),
        cancel_orders=tuple(sorted(set(remedy.cancel_orders))),
    )


def lock_target(mode: str, allowance: dict[str, int], contracts: Iterable[str]) -> Target:
    """Translate a lock on the account; `allowance` holds what reduce-only still allows."""
    if mode == NO_NEW_ENTRY:
        return Target(cancel_increasing=True)
    if mode == REDUCE_ONLY:
        caps = tuple(sorted((name, allowance.get(name, 0)) for name in contracts))
        return Target(allowed=caps, cancel_increasing=True)
    return Target(flatten=True, cancel_increasing=True, cancel_all=True)


def scoped_lock_target(mode: str, allowance: dict[str, int], contracts: Iterable[str]) -> Target:
    """Translate a lock on some contracts only: the others stay as they are."""
    names = tuple(sorted(contracts))
    if mode == NO_NEW_ENTRY:
        return Target(increasing_in=names)
    if mode == REDUCE_ONLY:
        caps = tuple((name, allowance.get(name, 0)) for name in names)
        return Target(allowed=caps, increasing_in=names)
    return Target(allowed=tuple((name, 0) for name in names), increasing_in=names, all_in=names)


def merge(targets: Iterable[Target]) -> Target:
    """Join targets: order, grouping and repetition make no difference."""
    flatten = increasing = everything = False
    caps: dict[str, int] = {}
    growing: set[str] = set()
    cleared: set[str] = set()
    orders: set[int] = set()
    for target in targets:
        flatten = flatten or target.flatten
        increasing = increasing or target.cancel_increasing
        everything = everything or target.cancel_all
        growing.update(target.increasing_in)
        cleared.update(target.all_in)
        orders.update(target.cancel_orders)
        for name, size in target.allowed:
            caps[name] = min(size, caps.get(name, size))
    return Target(
        flatten=flatten,
        allowed=tuple(sorted(caps.items())),
        cancel_increasing=increasing,
        cancel_all=everything,
        increasing_in=tuple(sorted(growing)),
        all_in=tuple(sorted(cleared)),
        cancel_orders=tuple(sorted(orders)),
    )
