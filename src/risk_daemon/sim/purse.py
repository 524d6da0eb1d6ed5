"""What a book is worth in money: cash that went in and out, and what leaving would bring.

No average price takes part: buying costs its price, selling brings it, and what is held is worth
what it could leave at. So nothing is ever divided, and the figures are exact.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from risk_daemon.sim.contracts import CATALOGUE, root_of
from risk_daemon.sim.ledger import Book
from risk_daemon.sim.model import ZERO, Quote

Prices = Callable[[str], Quote | None]
#: (quantity, settlement price) per contract, as held over the last reset.
Carried = Mapping[str, Decimal]


@dataclass(frozen=True, slots=True)
class Purse:
    """One book at one instant. `day` and `all` are cash in dollars, net of costs.

    `day` includes buying back what was carried over the reset at its settlement price.
    `leaving` is what closing everything would cost. Not `is_known`: a fill's trade is missing.
    """

    is_known: bool
    held: Mapping[str, int]
    day: Decimal
    all: Decimal
    leaving: Decimal

    def worth(self, prices: Prices) -> Decimal | None:
        """What is held, at the side it could leave at; None without a price."""
        total = ZERO
        for contract, q in self.held.items():
            quote = prices(contract)
            if quote is None or contract not in CATALOGUE:
                return None
            price = quote.bid if q > 0 else quote.ask
            total += CATALOGUE[contract].money(price, q)
        return total


def purse_of(book: Book, day: date, carried: Carried, est_exit_fees: Decimal) -> Purse:
    """The purse of a book; `carried` are the settlement prices of the last reset."""
    all_cash = day_cash = ZERO
    before: dict[str, int] = {}
    latest: dict[str | None, tuple[int, Decimal]] = {}
    for number, trade in book.trades.items():
        contract = CATALOGUE.get(trade.contract)
        if trade.voided or contract is None:
            continue
        cash = -contract.money(trade.price, trade.signed) - trade.costs
        all_cash += cash
        if trade.day == day:
            day_cash += cash
        else:
            before[trade.contract] = before.get(trade.contract, 0) + trade.signed
        if trade.signed:
            each = trade.costs / abs(trade.signed)
            latest[contract.root] = max(latest.get(contract.root, (0, ZERO)), (number, each))
    is_known = all(book.traded.get(c, 0) == book.positions.get(c, 0) for c in book.contracts())
    for name, q in before.items():
        if q and name in carried:
            day_cash -= CATALOGUE[name].money(carried[name], q)
        elif q:
            is_known = False
    held = {name: q for name, q in book.traded.items() if q}
    leaving = sum(
        (abs(q) * latest.get(root_of(name), (0, est_exit_fees))[1] for name, q in held.items()),
        ZERO,
    )
    return Purse(is_known, held, day_cash, all_cash, leaving)
