"""What somebody who saw these messages knows about one account: the referee's bookkeeping.

There are two books per account, filled by different hands: *truth* with everything the exchange
did, *delivered* with what left on a subscribed socket or stood in a REST answer. Both read the
wire's own rows, so that nothing the wire does not carry can slip into a judgement.

Messages of one fill arrive torn, so a position is known twice: by position messages and by the sum
of trades. `small` and `large` are the lesser and the greater of the two, by magnitude.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal

from risk_daemon.sim.codes import OrderType, Side, Status
from risk_daemon.sim.moment import parse_iso, trade_date

Row = Mapping[str, object]
_ENDED = frozenset({2, 3, 4, 5})
_STOPS = frozenset({OrderType.STOP, OrderType.TRAILING_STOP})
_LIVE = frozenset({Status.OPEN, Status.PENDING, Status.PENDING_CANCELLATION})


def whole(row: Row, key: str) -> int:
    """A whole number of a row."""
    value = row[key]
    assert isinstance(value, int)
    return value


def amount(row: Row, key: str) -> Decimal:
    """An amount of a row; null and absent are zero."""
    value = row.get(key)
    return value if isinstance(value, Decimal) else Decimal(str(value or 0))


@dataclass(frozen=True, slots=True)
class TradeFact:
    """One half-turn: signed size, price, net of costs, and the trade date it belongs to."""

    contract: str
    signed: int
    price: Decimal
    costs: Decimal
    net: Decimal
    day: date
    voided: bool


@dataclass(frozen=True, slots=True)
class OrderFact:
    """One order that is alive; `rests` means it waits for a price in the market.

    `is_stop` and `is_live` tell whether it can protect: a bracket's child that waits for its
    parent is not live. A trailing stop may have no price.
    """

    id: int
    contract: str
    sign: int
    rest: int
    rests: bool
    parent: int | None
    price: Decimal | None
    is_stop: bool = False
    is_live: bool = False


def _trade(row: Row) -> TradeFact:
    sign = Side(whole(row, "side")).sign
    costs = amount(row, "fees") + amount(row, "commissions")
    return TradeFact(
        contract=str(row["contractId"]),
        signed=sign * whole(row, "size"),
        price=amount(row, "price"),
        costs=costs,
        net=amount(row, "profitAndLoss") - costs,
        day=trade_date(parse_iso(str(row["creationTimestamp"]))),
        voided=bool(row["voided"]),
    )


def _order(row: Row) -> OrderFact:
    parent = row.get("parentOrderId")
    price = row.get("limitPrice") or row.get("stopPrice")
    is_open = whole(row, "status") == Status.OPEN
    return OrderFact(
        id=whole(row, "id"),
        contract=str(row["contractId"]),
        sign=Side(whole(row, "side")).sign,
        rest=whole(row, "size") - whole(row, "fillVolume"),
        rests=is_open and whole(row, "type") != OrderType.MARKET,
        parent=parent if isinstance(parent, int) else None,
        price=price if isinstance(price, Decimal) else None,
        is_stop=whole(row, "type") in _STOPS,
        is_live=whole(row, "status") in _LIVE,
    )


def signed_size(row: Row) -> int:
    """The signed quantity of a position row: the size has no sign, the type has."""
    return whole(row, "size") * {1: 1, 2: -1}.get(whole(row, "type"), 0)


@dataclass(slots=True)
class Book:
    """One account in one ledger. Everything here is idempotent: messages may come twice."""

    trades: dict[int, TradeFact] = field(default_factory=dict)
    positions: dict[str, int] = field(default_factory=dict)
    traded: dict[str, int] = field(default_factory=dict)
    orders: dict[int, OrderFact] = field(default_factory=dict)
    ended: set[int] = field(default_factory=set)

    def apply(self, kind: str, row: Row) -> None:
        """Take one user event."""
        if kind == "trade":
            self._take_trade(row)
        elif kind == "position":
            self.positions[str(row["contractId"])] = signed_size(row)
        elif kind == "order":
            self._take_order(row)

    def read(self, kind: str, rows: Iterable[Row]) -> None:
        """Take a REST answer: open positions and open orders replace, trades add."""
        if kind == "position":
            self.positions = {str(row["contractId"]): signed_size(row) for row in rows}
        elif kind == "order":
            hidden = {n: order for n, order in self.orders.items() if not order.rests}
            self.orders = hidden
            for row in rows:
                self._take_order(row)
        elif kind == "trade":
            for row in rows:
                self._take_trade(row)

    def contracts(self) -> set[str]:
        """Every contract that either view has heard of."""
        return set(self.positions) | set(self.traded)

    def small(self, contract: str) -> int:
        """The lesser of the two views; 0 when they contradict each other in sign."""
        a, b = self.positions.get(contract, 0), self.traded.get(contract, 0)
        if a * b <= 0:
            return 0
        return min(a, b, key=abs)

    def large(self, contract: str) -> int:
        """The greater of the two views."""
        return max(self.positions.get(contract, 0), self.traded.get(contract, 0), key=abs)

    def realized(self, day: date) -> Decimal:
        """Net of the trade date, over trades that are not voided."""
        return sum(
            (t.net for t in self.trades.values() if t.day == day and not t.voided), Decimal(0)
        )

    def resting(self, contract: str | None = None) -> list[OrderFact]:
        """Orders that wait in the market, on one contract or on all."""
        return [
            order
            for order in self.orders.values()
            if order.rests and contract in (None, order.contract)
        ]

    def _take_trade(self, row: Row) -> None:
        number, new = whole(row, "id"), _trade(row)
        old = self.trades.get(number)
        if old is not None and old.voided:
            return  # a late copy of the first message must not bring a busted trade back
        self.trades[number] = new
        before = 0 if old is None else old.signed
        after = 0 if new.voided else new.signed
        if after != before:
            self.traded[new.contract] = self.traded.get(new.contract, 0) + after - before

    def _take_order(self, row: Row) -> None:
        number = whole(row, "id")
        if whole(row, "status") in _ENDED:
            self.ended.add(number)
            self.orders.pop(number, None)
        elif number not in self.ended:
            new, old = _order(row), self.orders.get(number)
            if old is None or new.rests or not old.rests:
                self.orders[number] = new
