"""What one book implies about the three judged rules, at one moment.

Pure arithmetic of this room's own: it shares no line with the rules it judges, so that a shared
mistake can't hide. Source: the project's rule catalogue, `max-contracts` and `daily-realized-loss`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

from risk_daemon.sim.ledger import Book, OrderFact
from risk_daemon.sim.scenario import Limits

MAX_CONTRACTS = "max-contracts"
REALIZED_LOSS = "daily-realized-loss"
KILL_SWITCH = "kill-switch"
RULES = (MAX_CONTRACTS, REALIZED_LOSS, KILL_SWITCH)


@dataclass(frozen=True, slots=True)
class Standing:
    """Gross exposure, the worst the resting orders could make of it, and what follows."""

    gross: int
    worst: int
    exposed: frozenset[str]
    increasing: frozenset[int]
    is_over: bool
    is_worst_over: bool
    has_lost: bool


@dataclass(frozen=True, slots=True)
class Need:
    """What a rule still asks for: contracts to close or reduce, and whether to cancel."""

    close: frozenset[str] = frozenset()
    cancel: bool = False

    def __bool__(self) -> bool:
        """Whether anything is left to do."""
        return bool(self.close) or self.cancel


NOTHING = Need()


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
    for contract in touched:
        mine = [order for order in resting if order.contract == contract]
        worst += worst_case(mine, quantities.get(contract, 0))
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
    )


def need(rule: str, now: Standing, *, is_locked: bool) -> Need:
    """What a rule asks for; `is_locked` is its lock or its operator act."""
    if rule == MAX_CONTRACTS:
        return Need(now.exposed if now.is_over else frozenset(), now.is_worst_over)
    if is_locked:
        return Need(now.exposed, bool(now.increasing))
    return NOTHING
