"""One contract's position, and what its fills realized.

Two sources, kept apart (a fill's messages arrive torn, in any order, twice):
*trades* carry quantity, cost and P&L; *position messages* carry quantity only
and never touch P&L. Where they differ, exposure takes the larger |quantity|
and enforcement the smaller: to act on the larger could close too much.

Rules for editors: P&L moves in `apply` and nowhere else; a position message
that moves away from the trades means that a trade is missing, the other way
round it is merely ahead.
"""

from __future__ import annotations

import msgspec

from risk_daemon.core.events import TradeSeen
from risk_daemon.core.instrument import divide


class Holding(msgspec.Struct, kw_only=True, omit_defaults=True):
    """State of one contract in one account. `cost` is price times signed quantity.

    `cost` is the day's (a carried position begins the day at the settlement
    mark), `entry` what the position was entered at: equity is measured on it.
    """

    contract: str
    by_trades: int = 0
    by_position: int = 0
    cost: int = 0
    entry: int = 0
    epoch: int = 0
    opened_at: int = 0
    last_increase: int = 0
    carried: bool = False
    carry_mark: int = 0
    lacks_trade: bool = False
    differs_since: int = 0
    version: int = 0
    base_quantity: int = 0
    base_cost: int = 0
    base_entry: int = 0
    base_carried: bool = False
    trades: list[int] = msgspec.field(default_factory=list)

    @property
    def agreed(self) -> bool:
        """Trades and position messages show the same quantity."""
        return self.by_trades == self.by_position

    @property
    def exposure(self) -> int:
        """Signed quantity that limits are held against: the larger of the two views."""
        if abs(self.by_trades) >= abs(self.by_position):
            return self.by_trades
        return self.by_position

    @property
    def enforceable(self) -> int:
        """Signed quantity that may be acted on: the smaller, zero if they point apart."""
        views = (self.by_trades, self.by_position)
        return max(min(views), 0) + min(max(views), 0)

    @property
    def is_flat(self) -> bool:
        """Both views show nothing."""
        return self.by_trades == 0 and self.by_position == 0


def apply(holding: Holding, trade: TradeSeen, entered: int = 0) -> int:
    """Fold one fill into quantity and cost; return what it realized, as price times contracts.

    `entered` is the price for `entry` where it is not the one for `cost`.
    """
    paid = entered or trade.price
    quantity, delta = holding.by_trades, trade.side * trade.size
    holding.by_trades = quantity + delta
    if quantity == 0:
        holding.opened_at = trade.traded_at
    if quantity * delta >= 0:
        holding.cost += trade.price * delta
        holding.entry += paid * delta
        return 0
    closing = min(abs(quantity), trade.size)
    removed = divide(holding.cost * closing, abs(quantity))
    realized = trade.price * (closing if quantity > 0 else -closing) - removed
    holding.cost -= removed
    holding.entry -= divide(holding.entry * closing, abs(quantity))
    if quantity * holding.by_trades <= 0:
        _begin_epoch(holding, trade, paid)
    return realized


def _begin_epoch(holding: Holding, trade: TradeSeen, paid: int) -> None:
    holding.epoch += 1
    holding.carried = False
    holding.cost = trade.price * holding.by_trades
    holding.entry = paid * holding.by_trades
    holding.opened_at = trade.traded_at


def rebase(holding: Holding, quantity: int, average: int) -> None:
    """Take a read's word for the position; what was folded before is behind us."""
    if holding.by_trades != quantity:
        if holding.by_trades * quantity <= 0:
            holding.epoch += 1
            holding.carried = False
        holding.by_trades = quantity
        holding.cost = holding.entry = average * quantity
    holding.by_position = quantity
    settle(holding)
    set_base(holding)


def set_base(holding: Holding) -> None:
    """Forget the single fills; a void of one of them is then settled by a read."""
    holding.base_quantity = holding.by_trades
    holding.base_cost = holding.cost
    holding.base_entry = holding.entry
    holding.base_carried = holding.carried
    holding.trades = []


def carry(holding: Holding, mark: int) -> None:
    """Re-base the cost to the settlement mark at the start of a trade day."""
    holding.cost = mark * holding.by_trades
    holding.carried = holding.by_trades != 0
    holding.carry_mark = mark
    set_base(holding)


def apply_late(holding: Holding, trade: TradeSeen) -> None:
    """Fold a fill dated before the roll: it changes what was carried, at the carry mark.

    The difference between its price and the mark belongs to the day before.
    """
    if not holding.carry_mark:
        apply(holding, trade)
        return
    at_mark = msgspec.structs.replace(trade, price=holding.carry_mark)
    apply(holding, at_mark, entered=trade.price)
    holding.carried = holding.by_trades != 0


def settle(holding: Holding) -> None:
    """Both views agree again."""
    holding.lacks_trade = False
    holding.differs_since = 0


def note_difference(holding: Holding, at: int, *, trade_missing: bool) -> None:
    """Both views differ; the first moment counts, and a missing trade stays missing."""
    holding.lacks_trade = holding.lacks_trade or trade_missing
    holding.differs_since = holding.differs_since or at
