"""Before an order exists: what the exchange refuses, with which code, and what it makes.

Every check answers None when nothing is wrong. Texts are the live gateway's where known.
"""

from __future__ import annotations

from decimal import Decimal

from risk_daemon.sim.codes import CloseCode, OrderType, PartialCloseCode, PlaceCode, Side
from risk_daemon.sim.contracts import CATALOGUE, Contract
from risk_daemon.sim.model import Account, Answer, Order, Quote, Ticket
from risk_daemon.sim.moment import Moment

BRACKET_TICKS_MIN = 4
_PLACEABLE = frozenset(OrderType) - {OrderType.STOP_LIMIT}
_NEEDS_STOP_PRICE = frozenset({OrderType.STOP})


def _rejected(text: str) -> Answer:
    return Answer(PlaceCode.ORDER_REJECTED, text=text)


def refusal_of(ticket: Ticket, account: Account | None, *, auto_oco: bool) -> Answer | None:
    """Why this ticket is not taken, or None."""
    if account is None:
        return Answer(PlaceCode.ACCOUNT_NOT_FOUND)
    contract = CATALOGUE.get(ticket.contract)
    if contract is None:
        return Answer(PlaceCode.CONTRACT_NOT_FOUND)
    if not account.can_trade:
        return Answer(PlaceCode.ACCOUNT_VIOLATION, text="Account is not allowed to trade.")
    return _bad_numbers(ticket, contract) or _bad_brackets(ticket, auto_oco=auto_oco)


def _bad_numbers(ticket: Ticket, contract: Contract) -> Answer | None:
    if ticket.size < 1:
        return _rejected("Invalid size")
    if ticket.type not in _PLACEABLE:
        return _rejected("Invalid order type")
    if ticket.type is OrderType.LIMIT and not _good_price(contract, ticket.limit_price):
        return _rejected("Invalid limit price")
    if ticket.type in _NEEDS_STOP_PRICE and not _good_price(contract, ticket.stop_price):
        return _rejected("Invalid stop price")
    if ticket.type is OrderType.TRAILING_STOP and not _good_price(contract, ticket.trail):
        return _rejected("Invalid trail price")
    return None


def _good_price(contract: Contract, price: Decimal | None) -> bool:
    return price is not None and price > 0 and contract.is_on_grid(price)


def _bad_brackets(ticket: Ticket, *, auto_oco: bool) -> Answer | None:
    if ticket.stop_loss_ticks is None and ticket.take_profit_ticks is None:
        return None
    if not auto_oco:
        return _rejected(
            "Brackets cannot be used with Position Brackets. You must enable Auto OCO Brackets."
        )
    return _bad_stop_loss(ticket) or _bad_take_profit(ticket)


def _bad_stop_loss(ticket: Ticket) -> Answer | None:
    ticks = ticket.stop_loss_ticks
    if ticks is None:
        return None
    if ticket.stop_loss_type not in (OrderType.STOP, OrderType.TRAILING_STOP):
        return _rejected(f"Invalid stop loss type ({ticket.stop_loss_type.name.title()})")
    if ticks * ticket.side.sign >= 0:
        rule = (
            "less than zero when longing"
            if ticket.side is Side.BUY
            else ("greater than zero when going short")
        )
        return _rejected(f"Invalid stop loss ticks ({ticks}). Ticks should be {rule}.")
    return _too_near("stop loss", ticks)


def _bad_take_profit(ticket: Ticket) -> Answer | None:
    ticks = ticket.take_profit_ticks
    if ticks is None:
        return None
    if ticket.take_profit_type is not OrderType.LIMIT:
        return _rejected(f"Invalid take profit type ({ticket.take_profit_type.name.title()})")
    if ticks * ticket.side.sign <= 0:
        rule = (
            "greater than zero when longing"
            if ticket.side is Side.BUY
            else ("less than zero when going short")
        )
        return _rejected(f"Invalid take profit ticks ({ticks}). Ticks should be {rule}.")
    return _too_near("take profit", ticks)


def _too_near(leg: str, ticks: int) -> Answer | None:
    if abs(ticks) >= BRACKET_TICKS_MIN:
        return None
    return _rejected(
        f"Invalid {leg} ticks ({ticks}). Ticks should be at least {BRACKET_TICKS_MIN} ticks."
    )


def close_refusal(account: Account | None, contract: str, q: int) -> Answer | None:
    """Why a close of the whole position is not taken, or None."""
    if account is None:
        return Answer(CloseCode.ACCOUNT_NOT_FOUND)
    if contract not in CATALOGUE:
        return Answer(CloseCode.CONTRACT_NOT_FOUND)
    if q == 0:
        return Answer(CloseCode.POSITION_NOT_FOUND)
    return None


def partial_close_refusal(
    account: Account | None, contract: str, q: int, size: int
) -> Answer | None:
    """Why a close of `size` contracts is not taken, or None; codes part ways at 5."""
    refused = close_refusal(account, contract, q)
    if refused is not None:
        return Answer(PartialCloseCode(refused.code))
    if not 1 <= size <= abs(q):
        return Answer(PartialCloseCode.INVALID_CLOSE_SIZE)
    return None


def order_from(
    ticket: Ticket, number: int, account: int, quote: Quote | None, now: Moment
) -> Order:
    """The order that a ticket becomes."""
    limit, stop = _starting_prices(ticket, quote)
    return Order(
        id=number,
        account=account,
        contract=CATALOGUE[ticket.contract],
        type=ticket.type,
        side=ticket.side,
        size=ticket.size,
        created=now.at,
        created_ns=now.ns,
        limit_price=limit,
        stop_price=stop,
        trail=ticket.trail,
        tag=ticket.tag,
        by=ticket.by,
    )


def _starting_prices(ticket: Ticket, quote: Quote | None) -> tuple[Decimal | None, Decimal | None]:
    """(limit, stop) of a new order: joining orders and trailing stops take theirs from the market.

    Whether a request's trail price is an anchor or a distance is not known of the live gateway;
    here it is a distance.
    """
    limit, stop = ticket.limit_price, ticket.stop_price
    if quote is None:
        return limit, stop
    if ticket.type is OrderType.JOIN_BID:
        limit = quote.bid
    if ticket.type is OrderType.JOIN_ASK:
        limit = quote.ask
    if ticket.type is OrderType.TRAILING_STOP and ticket.trail:
        stop = quote.last + ticket.trail * ticket.side.sign
    return limit, stop
