"""What the exchange holds: accounts, orders, positions, trades, and the messages it sends.

The records are updated in place by `venue.py` alone; everybody else reads them or their rows.
A row is the wire's own shape (names as the gateway spells them, `Decimal` for numbers).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from risk_daemon.sim.codes import WORKING, Action, OrderType, Side, Status
from risk_daemon.sim.contracts import Contract
from risk_daemon.sim.moment import iso
from risk_daemon.sim.wire_json import CENTS, nine

Row = dict[str, object]
ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Message:
    """One user event: `kind` is account, order, position or trade.

    `order` names the order that caused it and `ends_order` is true for messages that show its
    last fill: facts the wire does not carry, kept for the referee only.
    """

    kind: str
    account: int
    action: Action
    row: Row
    order: int | None = None
    ends_order: bool = False


@dataclass(slots=True)
class Account:
    """One account; `balance` is net of costs, over all trades that are not voided."""

    id: int
    name: str
    login: str
    balance: Decimal
    can_trade: bool = True
    is_visible: bool = True
    vanished: bool = False
    last_fill_ns: int = 0

    def row(self) -> Row:
        """The account as REST and the hub tell it."""
        return {
            "id": self.id,
            "name": self.name,
            "balance": self.balance.quantize(CENTS),
            "canTrade": self.can_trade,
            "isVisible": self.is_visible,
            "simulated": True,
        }


@dataclass(slots=True)
class Order:
    """One order; `by` is trader or daemon, `is_close` marks the gateway's own closing orders."""

    id: int
    account: int
    contract: Contract
    type: OrderType
    side: Side
    size: int
    created: datetime
    created_ns: int
    status: Status = Status.PENDING
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    trail: Decimal | None = None
    tag: str | None = None
    by: str = "trader"
    is_close: bool = False
    is_held: bool = False
    filled: int = 0
    filled_value: Decimal = ZERO
    updated: datetime | None = None
    parent: int | None = None
    linked: int | None = None
    children: list[int] = field(default_factory=list)
    bracket_ticks: int | None = None
    is_oco: bool = False

    @property
    def is_working(self) -> bool:
        """Whether it is alive at the venue."""
        return self.status in WORKING

    @property
    def is_resting(self) -> bool:
        """Whether it waits for a price; a market order on its way does not rest."""
        return self.status is Status.OPEN and self.type is not OrderType.MARKET

    @property
    def rest(self) -> int:
        """Contracts not yet filled."""
        return self.size - self.filled

    @property
    def filled_price(self) -> Decimal | None:
        """The average price of what is filled."""
        return self.filled_value / self.filled if self.filled else None

    def row(self) -> Row:
        """The order as REST and the hub tell it; absent prices are null, some keys omitted."""
        row: Row = {
            "id": self.id,
            "accountId": self.account,
            "contractId": self.contract.id,
            "symbolId": self.contract.symbol_id,
            "creationTimestamp": iso(self.created),
            "updateTimestamp": iso(self.updated) if self.updated else None,
            "status": int(self.status),
            "type": int(self.type),
            "side": int(self.side),
            "size": self.size,
            "limitPrice": nine(self.limit_price) if self.limit_price is not None else None,
            "stopPrice": nine(self.stop_price) if self.stop_price is not None else None,
            "fillVolume": self.filled,
            "filledPrice": nine(self.filled_price) if self.filled_price is not None else None,
            "customTag": self.tag,
        }
        if self.parent is not None:
            row |= {"parentOrderId": self.parent, "trailDistance": self.bracket_ticks}
        if self.linked is not None:
            row["linkedOrderId"] = self.linked
        return row


@dataclass(slots=True)
class Position:
    """One netted position; `q` is signed, `average` unrounded. It exists only while q is not 0."""

    id: int
    account: int
    contract: Contract
    opened: datetime
    q: int
    average: Decimal

    def row(self) -> Row:
        """The position as REST and the hub tell it: the size has no sign, the type has."""
        return {
            "id": self.id,
            "accountId": self.account,
            "contractId": self.contract.id,
            "contractDisplayName": self.contract.display_name,
            "creationTimestamp": iso(self.opened),
            "type": 0 if self.q == 0 else 1 if self.q > 0 else 2,
            "size": abs(self.q),
            "averagePrice": nine(self.average),
        }


@dataclass(slots=True)
class Trade:
    """One half-turn; `gross` is None when it opened or added."""

    id: int
    account: int
    contract: Contract
    at: datetime
    price: Decimal
    gross: Decimal | None
    fees: Decimal
    commissions: Decimal
    side: Side
    size: int
    order: int
    voided: bool = False

    @property
    def net(self) -> Decimal:
        """What the half-turn did to the balance."""
        return (self.gross or ZERO) - self.fees - self.commissions

    def row(self) -> Row:
        """The trade as REST and the hub tell it."""
        return {
            "id": self.id,
            "accountId": self.account,
            "contractId": self.contract.id,
            "creationTimestamp": iso(self.at),
            "price": nine(self.price),
            "profitAndLoss": nine(self.gross) if self.gross is not None else None,
            "fees": self.fees,
            "commissions": self.commissions,
            "side": int(self.side),
            "size": self.size,
            "voided": self.voided,
            "orderId": self.order,
        }


@dataclass(frozen=True, slots=True)
class Ticket:
    """A wish to place an order, before anybody checked it."""

    contract: str
    side: Side
    size: int
    type: OrderType = OrderType.MARKET
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    trail: Decimal | None = None
    tag: str | None = None
    stop_loss_ticks: int | None = None
    stop_loss_type: OrderType = OrderType.STOP
    take_profit_ticks: int | None = None
    take_profit_type: OrderType = OrderType.LIMIT
    by: str = "trader"


@dataclass(frozen=True, slots=True)
class Answer:
    """What the exchange says to a request: code 0 is success, `order` the order it made."""

    code: int
    order: int | None = None
    text: str | None = None


@dataclass(frozen=True, slots=True)
class Quote:
    """The market of one contract."""

    bid: Decimal
    ask: Decimal
    last: Decimal

    @property
    def is_valid(self) -> bool:
        """Two-sided, positive and not crossed."""
        return ZERO < self.bid < self.ask
