"""What people ask of the control port: values taken out of a JSON body, or a sentence why not."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

from risk_daemon.sim import contracts
from risk_daemon.sim.codes import OrderType, Side
from risk_daemon.sim.faults import FaultRefused, FaultWish
from risk_daemon.sim.model import Ticket
from risk_daemon.sim.profile import ProfileRefused

Wish = dict[str, object]
_ORDER_TYPES = {"market": OrderType.MARKET, "limit": OrderType.LIMIT, "stop": OrderType.STOP}


class WishRefused(ValueError):
    """The wish is not one that can be granted; the message says why."""


# What a wish may be refused with; each says in one sentence why.
REFUSALS = (WishRefused, FaultRefused, ProfileRefused)
_FAULT_FIELDS = frozenset({"kind", "login", "account", "seconds", "times"})


def number_of(wish: Wish, key: str, default: float) -> float:
    """A number of at least 0."""
    value = wish.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal) or value < 0:
        raise WishRefused(f"{key} is {value!r}; allowed is a number of at least 0")
    return float(value)


def flag_of(wish: Wish, key: str) -> bool:
    """True or false, and it must be there."""
    value = wish.get(key)
    if not isinstance(value, bool):
        raise WishRefused(f"{key} is {value!r}; allowed are true, false")
    return value


def decimal_of(wish: Wish, key: str) -> Decimal:
    """An exact number, and it must be there."""
    try:
        value = Decimal(str(wish.get(key)))
    except InvalidOperation:
        value = Decimal("NaN")
    if not value.is_finite():
        raise WishRefused(f"{key} is {wish.get(key)!r}; allowed is a number")
    return value


def ticket_of(wish: Wish) -> Ticket:
    """The order a wish asks for."""
    contract = contracts.find(str(wish.get("contract")))
    if contract is None:
        raise WishRefused(
            f"contract is {wish.get('contract')!r}; allowed are "
            f"{', '.join(contracts.BY_ROOT)} or their ids"
        )
    side, kind = wish.get("side"), wish.get("type", "market")
    if side not in ("buy", "sell"):
        raise WishRefused(f"side is {side!r}; allowed are buy, sell")
    if kind not in _ORDER_TYPES:
        raise WishRefused(f"type is {kind!r}; allowed are {', '.join(_ORDER_TYPES)}")
    price = decimal_of(wish, "price") if kind != "market" else None
    stop, take = wish.get("stop_loss_ticks"), wish.get("take_profit_ticks")
    tag = wish.get("tag")
    return Ticket(
        contract.id,
        Side.BUY if side == "buy" else Side.SELL,
        int(number_of(wish, "size", 1)),
        _ORDER_TYPES[str(kind)],
        limit_price=price if kind == "limit" else None,
        stop_price=price if kind == "stop" else None,
        stop_loss_ticks=stop if isinstance(stop, int) else None,
        take_profit_ticks=take if isinstance(take, int) else None,
        tag=tag if isinstance(tag, str) else None,
    )


def fault_of(wish: Wish, login: str | None, account: int | None) -> FaultWish:
    """The fault a wish asks for, of a login and an account that exist."""
    options: dict[str, object] = {
        key: float(value) if isinstance(value, Decimal) else value
        for key, value in wish.items()
        if key not in _FAULT_FIELDS
    }
    return FaultWish(
        str(wish.get("kind")),
        login,
        account,
        number_of(wish, "seconds", 0),
        int(number_of(wish, "times", 1)),
        options,
    )
