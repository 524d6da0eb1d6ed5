"""What one book implies about the judged rules, at one moment.

Pure arithmetic of this room's own: it shares no line with the rules it judges, so that a shared
mistake can't hide. Source: the project's rule catalogue, one entry per rule named below.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

from risk_daemon.sim.contracts import root_of
from risk_daemon.sim.ledger import Book, OrderFact
from risk_daemon.sim.scenario import Limits

MAX_CONTRACTS = "max-contracts"
REALIZED_LOSS = "daily-realized-loss"
KILL_SWITCH = "kill-switch"
PER_INSTRUMENT = "max-contracts-per-instrument"
COMBINED_LOSS = "daily-combined-loss"
DRAWDOWN = "trailing-max-drawdown"
STOP_GRACE = "no-stop-loss-grace"
DAY_END = "end-of-day-flatten"
RULES = (
    MAX_CONTRACTS,
    PER_INSTRUMENT,
    REALIZED_LOSS,
    COMBINED_LOSS,
    DRAWDOWN,
    STOP_GRACE,
    DAY_END,
    KILL_SWITCH,
)
#: They ask for a reduction to a limit, and lock nothing.
SIZE_RULES = (MAX_CONTRACTS, PER_INSTRUMENT)


@dataclass(frozen=True, slots=True)
class Standing:
    """Gross exposure, the worst the resting orders could make of it, and what follows.

    `crowded` are the held contracts of roots over their own limit, `worst_roots` the roots that
    the resting orders could bring there.
    """

    gross: int
    worst: int
    exposed: frozenset[str]
    increasing: frozenset[int]
    is_over: bool
    is_worst_over: bool
    has_lost: bool
    crowded: frozenset[str]
    worst_roots: frozenset[str]


@dataclass(frozen=True, slots=True)
class Need:
    """What a rule still asks for: contracts to close or reduce, and whether to cancel."""

    close: frozenset[str] = frozenset()
    cancel: bool = False

    def __bool__(self) -> bool:
        """Whether anything is left to do."""
        return bool(self.close) or self.cancel


NOTHING = Need()


def flattened(now: Standing) -> Need:
    """What a full lock asks for."""
    return Need(now.exposed, bool(now.increasing))


def is_increasing(order: OrderFact, q: int) -> bool:
    """Whether this order, filled at position q, would raise |q| or turn its sign."""
    return q * order.sign >= 0 or order.rest > abs(q)


def worst_case(orders: list[OrderFact], q: int) -> int:
    """The most |q| can become when all resting orders of one side fill; an OCO pair counts once."""
    most = abs(q)
    for sign in (1, -1):
        singles = sum(o.rest for o in orders if o.sign == sign and o.parent is None)
        pairs: dict[int, int] = {}
        for order in orders:
            if order.sign == sign and order.parent is not None:
                pairs[order.parent] = max(order.rest, pairs.get(order.parent, 0))
        most = max(most, abs(q + sign * (singles + sum(pairs.values()))))
    return most


def standing(book: Book, limits: Limits, day: date, view: Callable[[str], int]) -> Standing:
    """The standing of one account; `view` says which of the two quantities to believe."""
    quantities = {contract: view(contract) for contract in book.contracts()}
    resting = book.resting()
    touched = set(quantities) | {order.contract for order in resting}
    gross = sum(map(abs, quantities.values()))
    worst = 0
    held_by_root: Counter[str | None] = Counter()
    worst_by_root: Counter[str | None] = Counter()
    for contract in touched:
        mine = [order for order in resting if order.contract == contract]
        here = worst_case(mine, quantities.get(contract, 0))
        worst += here
        held_by_root[root_of(contract)] += abs(quantities.get(contract, 0))
        worst_by_root[root_of(contract)] += here
    caps = limits.max_contracts_per_instrument
    over = {root for root, cap in caps.items() if held_by_root[root] > cap}
    return Standing(
        gross=gross,
        worst=worst,
        exposed=frozenset(c for c, q in quantities.items() if q),
        increasing=frozenset(
            o.id for o in resting if is_increasing(o, quantities.get(o.contract, 0))
        ),
        is_over=gross > limits.max_contracts,
        is_worst_over=worst > limits.max_contracts,
        has_lost=book.realized(day) <= -limits.daily_realized_loss,
        crowded=frozenset(c for c, q in quantities.items() if q and root_of(c) in over),
        worst_roots=frozenset(root for root, cap in caps.items() if worst_by_root[root] > cap),
    )


def need(rule: str, now: Standing, *, is_locked: bool) -> Need:
    """What a rule asks for; `is_locked` is its lock or its operator act."""
    if rule == MAX_CONTRACTS:
        return Need(now.exposed if now.is_over else frozenset(), now.is_worst_over)
    if rule == PER_INSTRUMENT:
        return Need(now.crowded, bool(now.worst_roots))
    return flattened(now) if is_locked else NOTHING
