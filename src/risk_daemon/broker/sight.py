"""What the link has seen arrive: every fact moves one of the three views of its contract."""

from __future__ import annotations

from typing import Final

import msgspec

from risk_daemon.broker.gate import SECOND, AccountGate, Gate, Seen, View, is_working
from risk_daemon.broker.port import Reading
from risk_daemon.core.account import CANCELLED, HIDDEN_STATES
from risk_daemon.core.events import Fact, OrderChanged, PositionChanged, TradeSeen

SEEN_MAX: Final = 4_096
#: How long a contract that was traded last is watched although nothing of it is left.
WATCHED_AFTER: Final = 60 * SECOND


def version_of(gate: Gate, account: int, contract: str) -> int:
    """Return the position version of a contract: the count of its arrivals so far."""
    return gate.of(account).view(contract).version


def count(gate: Gate, account: AccountGate, contract: str) -> None:
    """Count an arrival: the position version of its contract moves."""
    view = account.view(contract)
    view.version = max(view.version, gate.version_base) + 1
    account.arrivals += 1


def note_flat(view: View) -> None:
    """Remember the version at which a contract was last flat."""
    if view.quantity == 0:
        view.flat_version = view.version


def see_order(account: AccountGate, fact: OrderChanged, *, counts: bool) -> None:
    """Take an order; one first shown by a read has fills that the read's position contains."""
    account.newest = max(account.newest, fact.created)
    seen = account.orders.get(fact.order)
    filled_before = 0
    if seen is None:
        number = account.traded.pop(fact.order, 0) or _next_sight(account)
        seen = account.orders[fact.order] = Seen(order=fact, number=number)
        _prune(account)
    else:
        if not is_working(seen.order) or fact.filled < seen.order.filled:
            return
        filled_before = seen.order.filled
        seen.order = fact
    if counts:
        view = account.view(fact.contract)
        view.by_orders += fact.side * (fact.filled - filled_before)
        note_flat(view)


def _next_sight(account: AccountGate) -> int:
    account.sights += 1
    return account.sights


def _prune(account: AccountGate) -> None:
    if len(account.orders) <= SEEN_MAX:
        return
    ended = [n for n, seen in account.orders.items() if not is_working(seen.order)]
    if ended:
        del account.orders[min(ended, key=lambda number: account.orders[number].number)]


def see_trade(account: AccountGate, fact: TradeSeen) -> None:
    """Take a fill once; a void takes its quantity back."""
    if fact.order not in account.orders and fact.order not in account.traded:
        account.traded[fact.order] = _next_sight(account)
        if len(account.traded) > SEEN_MAX:
            del account.traded[next(iter(account.traded))]
    known = account.trades.get(fact.trade)
    account.trades[fact.trade] = fact
    signed = fact.side * fact.size
    net = (fact.pnl or 0) - fact.fees - fact.commissions
    view = account.view(fact.contract)
    if known is None and not fact.voided:
        view.by_trades += signed
        account.cash += net
    elif known is not None and fact.voided and not known.voided:
        view.by_trades -= signed
        account.cash -= net
    if len(account.trades) > SEEN_MAX:
        del account.trades[min(account.trades)]
    note_flat(view)


def take_rows(gate: Gate, account: AccountGate, reading: Reading) -> None:
    """Re-base all three views on a read during which nothing arrived."""
    shown = {row.contract: row.quantity for row in reading.rows.positions}
    for contract in sorted(set(shown) | set(account.views)):
        view = account.view(contract)
        quantity = shown.get(contract, 0)
        if (view.by_trades, view.by_orders, view.by_position) != (quantity,) * 3:
            view.version = max(view.version, gate.version_base) + 1
        view.by_trades = view.by_orders = view.by_position = quantity
        note_flat(view)
    working = {order.order for order in reading.rows.orders}
    for number, seen in account.orders.items():
        gone = number not in working and is_working(seen.order)
        if gone and seen.order.status not in HIDDEN_STATES:
            seen.order = msgspec.structs.replace(seen.order, status=CANCELLED)


def watched(gate: Gate, now: int) -> set[str]:
    """Return the contracts whose prices matter: held, worked in, or just traded."""
    found: set[str] = set()
    for account in gate.accounts.values():
        found |= {name for name, view in account.views.items() if not view.is_flat}
        found |= {seen.order.contract for seen in account.orders.values() if is_working(seen.order)}
        found |= set(account.slots)
        if account.last_traded and now - account.last_traded_at < WATCHED_AFTER:
            found.add(account.last_traded)
    return found


def calls_for_watching(fact: Fact) -> bool:
    """Tell whether a fact alone makes its contract one to watch."""
    match fact:
        case OrderChanged():
            return is_working(fact)
        case PositionChanged():
            return fact.quantity != 0
        case TradeSeen():
            return True
        case _:
            return False
