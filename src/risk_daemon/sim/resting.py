"""When a waiting order fills, and which legs a bracket makes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from risk_daemon.sim.codes import OrderType, Side
from risk_daemon.sim.contracts import Contract
from risk_daemon.sim.model import Order, Quote, Ticket

_LIMITS = frozenset({OrderType.LIMIT, OrderType.JOIN_BID, OrderType.JOIN_ASK})
_STOPS = frozenset({OrderType.STOP, OrderType.TRAILING_STOP})


@dataclass(frozen=True, slots=True)
class Trigger:
    """The market reached an order; `price` is what it pays."""

    price: Decimal


def trigger_price(order: Order, quote: Quote) -> Trigger | None:
    """What a resting order would pay at this market, or None while the market is away.

    A trailing stop is moved along here: its price follows the last trade and never turns back.
    """
    is_buy = order.side is Side.BUY
    market = quote.ask if is_buy else quote.bid
    if order.type in _LIMITS and order.limit_price is not None:
        reached = market <= order.limit_price if is_buy else market >= order.limit_price
        return Trigger(order.limit_price) if reached else None
    if order.type in _STOPS and order.stop_price is not None:
        _trail(order, quote)
        reached = market >= order.stop_price if is_buy else market <= order.stop_price
        return Trigger(market) if reached else None
    return None


def _trail(order: Order, quote: Quote) -> None:
    if order.type is not OrderType.TRAILING_STOP or not order.trail or order.stop_price is None:
        return
    if order.side is Side.SELL:
        order.stop_price = max(order.stop_price, quote.last - order.trail)
    else:
        order.stop_price = min(order.stop_price, quote.last + order.trail)


def bracket_legs(ticket: Ticket, contract: Contract) -> Iterator[tuple[Ticket, int]]:
    """The tickets of the stop loss and the take profit, each with its signed ticks from entry."""
    side = ticket.side.opposite
    tag = ticket.tag or ""
    if ticket.stop_loss_ticks is not None:
        trail = None
        if ticket.stop_loss_type is OrderType.TRAILING_STOP:
            trail = abs(ticket.stop_loss_ticks) * contract.tick_size
        yield (
            Ticket(
                ticket.contract,
                side,
                ticket.size,
                ticket.stop_loss_type,
                trail=trail,
                tag=f"{tag}-SL",
                by=ticket.by,
            ),
            ticket.stop_loss_ticks,
        )
    if ticket.take_profit_ticks is not None:
        take = Ticket(
            ticket.contract, side, ticket.size, OrderType.LIMIT, tag=f"{tag}-TP", by=ticket.by
        )
        yield take, ticket.take_profit_ticks


def price_leg(leg: Order, entry: Order) -> None:
    """Give a suspended leg its price and size, now that its entry is filled."""
    assert entry.filled_price is not None
    assert leg.bracket_ticks is not None
    tick = leg.contract.tick_size
    price = (entry.filled_price / tick).quantize(Decimal(1)) * tick + leg.bracket_ticks * tick
    if leg.type is OrderType.LIMIT:
        leg.limit_price = price
    else:
        leg.stop_price = price
    leg.size = entry.filled
