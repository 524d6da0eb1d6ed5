"""Positions without a living protective stop, and how long they have been so.

A stop protects when it is alive at the exchange, on the closing side and on the loss side of the
market. Several add up and cover what has waited longest first; what is newly uncovered begins a
grace of its own, a shorter one where a stop was taken away.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from risk_daemon.sim.court import Court
from risk_daemon.sim.ledger import Book, OrderFact
from risk_daemon.sim.model import Quote
from risk_daemon.sim.moment import NS_PER_S, Moment
from risk_daemon.sim.scenario import StopGrace
from risk_daemon.sim.standing import NOTHING, STOP_GRACE, Need, Standing
from risk_daemon.sim.watch import Scene, Watch

#: So long before a grace ends every tick counts; longer than a trader's order takes to fill.
LOOKS_BEFORE_NS = NS_PER_S


@dataclass(slots=True)
class _Lot:
    """Contracts that are uncovered together, until when that is tolerated."""

    due_ns: int
    size: int


@dataclass(slots=True)
class _Held:
    """One contract's position as it was at the last look."""

    sign: int
    size: int
    covered: int
    lots: list[_Lot] = field(default_factory=list)


def covered_by(stops: list[OrderFact], q: int, quote: Quote | None) -> int:
    """How many contracts these stops protect at this market; without a market, all they are for."""
    return sum(order.rest for order in stops if _protects(order, q, quote))


def _protects(order: OrderFact, q: int, quote: Quote | None) -> bool:
    if order.price is None or quote is None:
        return True
    return order.price < quote.bid if q > 0 else order.price > quote.ask


class Graces:
    """One ledger's uncovered contracts."""

    def __init__(self, limit: StopGrace) -> None:
        self._limit = limit
        self._held: dict[str, _Held] = {}
        self._is_judged = True

    def look(
        self, book: Book, prices: Callable[[str], Quote | None], now_ns: int, *, needs_price: bool
    ) -> None:
        """Take what is held and what protects it; a stop that can't be judged changes nothing."""
        self._is_judged = True
        for contract in book.contracts():
            q = book.small(contract)
            if q == 0:
                self._held.pop(contract, None)
                continue
            stops = [
                order
                for order in book.orders.values()
                if order.contract == contract and order.is_stop and order.is_live
                if order.sign * q < 0
            ]
            quote = prices(contract)
            if stops and quote is None and needs_price:
                self._is_judged = False
                continue
            self._take(contract, q, covered_by(stops, q, quote), now_ns)

    def overdue(self, now_ns: int) -> frozenset[str]:
        """The contracts of which something was uncovered for too long, if that can be judged."""
        if not self._is_judged:
            return frozenset()
        return frozenset(name for name in self._held if self.due_ns(name) <= now_ns)

    def due_ns(self, contract: str) -> int:
        """When the oldest grace of a contract ends."""
        held = self._held.get(contract)
        far = 2**63
        return min((lot.due_ns for lot in held.lots), default=far) if held else far

    def is_due_within(self, now_ns: int, span_ns: int) -> bool:
        """Whether a grace ends soon."""
        return any(0 <= self.due_ns(name) - now_ns <= span_ns for name in self._held)

    def is_due(self, at_ns: int) -> bool:
        """Whether a grace is over by then."""
        return any(self.due_ns(name) <= at_ns for name in self._held)

    def _take(self, contract: str, q: int, covered: int, now_ns: int) -> None:
        size, sign = abs(q), 1 if q > 0 else -1
        before = self._held.get(contract)
        if before is None or before.sign != sign:
            before = _Held(sign, 0, 0)
        lots, bare = before.lots, max(size - covered, 0)
        known = sum(lot.size for lot in lots)
        if bare > known:
            was_taken_away = size <= before.size
            limit = self._limit
            grace_s = limit.replace_grace_s if was_taken_away else limit.grace_s
            lots.append(_Lot(now_ns + grace_s * NS_PER_S, bare - known))
            lots.sort(key=lambda lot: lot.due_ns)
        else:
            _shorten(lots, known - bare)
        self._held[contract] = _Held(sign, size, covered, lots)


def _shorten(lots: list[_Lot], by: int) -> None:
    """A stop, or a reduction, takes what has waited longest."""
    while by > 0 and lots:
        taken = min(by, lots[0].size)
        lots[0].size -= taken
        by -= taken
        if not lots[0].size:
            lots.pop(0)


class StopWatch(Watch):
    """One account's positions without stops: each is closed whole when its grace is over."""

    rule = STOP_GRACE
    locks = False

    def __init__(self, limit: StopGrace, account: int, court: Court) -> None:
        self._account, self._court = account, court
        self._true, self._seen = Graces(limit), Graces(limit)
        self._overdue: dict[bool, frozenset[str]] = {True: frozenset(), False: frozenset()}
        self._now_ns = 0

    def look(self, scene: Scene) -> None:
        """Follow both ledgers."""
        now_ns = self._now_ns = scene.now.ns
        self._true.look(scene.truth, self._court.market, now_ns, needs_price=False)
        self._seen.look(scene.delivered, self._believed, now_ns, needs_price=True)
        self._overdue = {
            True: self._true.overdue(now_ns),
            False: self._seen.overdue(now_ns),
        }

    def need(self, standing: Standing, *, true: bool) -> Need:
        """Close what was uncovered for too long."""
        overdue = self._overdue[true]
        return Need(overdue & standing.exposed) if overdue else NOTHING

    def text(self) -> str:
        """Which positions."""
        return f"no protective stop for all of {', '.join(sorted(self._overdue[True]))}"

    def waits(self, now: Moment) -> bool:
        """A grace ends by time alone."""
        return self._true.is_due(now.ns + LOOKS_BEFORE_NS) or self._seen.is_due(
            now.ns + LOOKS_BEFORE_NS
        )

    def due_within(self, seconds: float) -> bool:
        """Whether a grace is about to end."""
        return self._true.is_due_within(self._now_ns, int(seconds * NS_PER_S))

    def due_ns(self) -> int | None:
        """When the first of the graces that are over ended."""
        return min((self._true.due_ns(name) for name in self._overdue[True]), default=None)

    def _believed(self, contract: str) -> Quote | None:
        return self._court.believed(self._account, contract)
