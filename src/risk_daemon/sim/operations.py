"""What each REST operation does: from the body of a request to the body of the answer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from risk_daemon.sim import contracts, rows
from risk_daemon.sim.breach import Sent
from risk_daemon.sim.codes import OK, BarsCode, OrderType, SearchCode, Side, Status
from risk_daemon.sim.model import Answer, Order, Row, Ticket
from risk_daemon.sim.moment import Moment, parse_iso

if TYPE_CHECKING:
    from risk_daemon.sim.gate import Gate, Logged

Body = Mapping[str, object]
Answered = dict[str, object]
_HIDDEN = frozenset({Status.PENDING, Status.SUSPENDED, Status.PENDING_CANCELLATION})
_LONG_AGO = datetime.min.replace(tzinfo=UTC)
_FAR_AHEAD = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Call:
    """One authorised call with all it needs."""

    gate: Gate
    login: str
    body: Body
    entry: Logged
    now: Moment
    known: bool

    def account(self) -> int:
        """The account it is about, or 0 when it is not one of this login."""
        number = self.body.get("accountId")
        own = isinstance(number, int) and self.gate.world.logins.get(number) == self.login
        return number if own and isinstance(number, int) else 0


@dataclass(frozen=True, slots=True)
class Operation:
    """One door: `what` is the referee's word for it, empty for reads."""

    run: Callable[[Call], Answered]
    what: str = ""
    budget: str = "all"

    @property
    def changes(self) -> bool:
        """Whether it changes something at the venue."""
        return bool(self.what)

    def do(
        self, gate: Gate, login: str, body: Body, entry: Logged, now: Moment, known: bool
    ) -> Answered:
        """Carry it out."""
        answer = self.run(Call(gate, login, body, entry, now, known))
        code = answer.get("errorCode")
        entry.code = code if isinstance(code, int) else None
        return answer


def note(entry: Logged, body: Body) -> None:
    """Write into the log of requests what the body is about."""
    account, contract = body.get("accountId"), body.get("contractId")
    size, order = body.get("size"), body.get("orderId")
    entry.account = account if isinstance(account, int) else None
    entry.contract = contract if isinstance(contract, str) else None
    entry.size = size if isinstance(size, int) else None
    entry.order = order if isinstance(order, int) else None


def sent_of(what: str, entry: Logged) -> Sent | None:
    """A request as the referee knows it, or None for a read."""
    if not what or entry.account is None:
        return None
    return Sent(entry.n, what, entry.account, entry.contract, entry.order, entry.size)


def _envelope(code: int = OK, text: str | None = None, **more: object) -> Answered:
    return {"success": code == OK, "errorCode": int(code), "errorMessage": text, **more}


def _change(call: Call, what: str, do: Callable[[int], Answer]) -> Answer:
    """Carry out a change; an account of somebody else does not exist for this login."""
    account = call.account()
    if not account:
        return do(0)
    sent = sent_of(what, call.entry)
    assert sent is not None
    return call.gate.world.request(sent, call.now, lambda: do(account), known=call.known)


def _price(body: Body, key: str) -> Decimal | None:
    value = body.get(key)
    return None if value is None else Decimal(str(value))


def _bracket(body: Body, key: str, otherwise: OrderType) -> tuple[int | None, OrderType]:
    value = body.get(key)
    if not isinstance(value, Mapping):
        return None, otherwise
    return int(str(value["ticks"])), OrderType(int(str(value.get("type", otherwise))))


def _place(call: Call) -> Answered:
    body = call.body
    stop, stop_type = _bracket(body, "stopLossBracket", OrderType.STOP)
    take, take_type = _bracket(body, "takeProfitBracket", OrderType.LIMIT)
    tag = body.get("customTag")
    ticket = Ticket(
        contract=str(body["contractId"]),
        side=Side(int(str(body["side"]))),
        size=int(str(body["size"])),
        type=OrderType(int(str(body["type"]))),
        limit_price=_price(body, "limitPrice"),
        stop_price=_price(body, "stopPrice"),
        trail=_price(body, "trailPrice"),
        tag=tag if isinstance(tag, str) else None,
        stop_loss_ticks=stop,
        stop_loss_type=stop_type,
        take_profit_ticks=take,
        take_profit_type=take_type,
        by="daemon",
    )
    world = call.gate.world
    answer = _change(call, "place", lambda account: world.venue.place(account, ticket, call.now))
    return _envelope(answer.code, answer.text, orderId=answer.order)


def _modify(call: Call) -> Answered:
    body, venue = call.body, call.gate.world.venue
    named = {"limit_price": "limitPrice", "stop_price": "stopPrice"}
    prices = {ours: price for ours, key in named.items() if (price := _price(body, key))}
    size = body.get("size")
    wanted = size if isinstance(size, int) else None
    order = int(str(body["orderId"]))
    answer = _change(
        call, "modify", lambda account: venue.modify(account, order, call.now, wanted, prices)
    )
    return _envelope(answer.code, answer.text)


def _cancel(call: Call) -> Answered:
    order, venue = int(str(call.body["orderId"])), call.gate.world.venue
    answer = _change(call, "cancel", lambda account: venue.cancel(account, order, call.now))
    return _envelope(answer.code, answer.text)


def _close(call: Call) -> Answered:
    contract, venue = str(call.body["contractId"]), call.gate.world.venue
    answer = _change(call, "close", lambda account: venue.close(account, contract, call.now))
    return _envelope(answer.code, answer.text)


def _partial_close(call: Call) -> Answered:
    contract, size = str(call.body["contractId"]), int(str(call.body["size"]))
    venue = call.gate.world.venue
    answer = _change(
        call,
        "partial_close",
        lambda account: venue.partial_close(account, contract, size, call.now),
    )
    return _envelope(answer.code, answer.text)


def _accounts(call: Call) -> Answered:
    only_active = bool(call.body.get("onlyActiveAccounts"))
    found = [
        account.row()
        for account in call.gate.world.venue.accounts.values()
        if account.login == call.login
        and not account.vanished
        and (account.can_trade or not only_active)
    ]
    return _envelope(accounts=found)


def _not_mine(name: str) -> Answered:
    return _envelope(SearchCode.ACCOUNT_NOT_FOUND, **{name: None})


def _tell(call: Call, kind: str, account: int, found: Iterable[Row]) -> None:
    """The referee learns what the answer holds, stamped when it is written."""
    call.gate.world.referee.read(kind, account, found, call.gate.now())


def _positions(call: Call) -> Answered:
    account = call.account()
    if not account:
        return _not_mine("positions")
    venue = call.gate.world.venue
    found = [p.row() for p in venue.positions.values() if p.account == account]
    _tell(call, "position", account, found)
    return _envelope(positions=found)


def _open_orders(call: Call) -> Answered:
    account = call.account()
    if not account:
        return _not_mine("orders")
    working = call.gate.world.venue.working_of(account)
    found = [order.row() for order in working if order.status not in _HIDDEN]
    _tell(call, "order", account, found)
    return _envelope(orders=found)


def _window(body: Body) -> tuple[datetime, datetime]:
    start, end = body.get("startTimestamp"), body.get("endTimestamp")
    return (
        parse_iso(str(start)) if start else _LONG_AGO,
        parse_iso(str(end)) if end else _FAR_AHEAD,
    )


def _orders_between(call: Call, account: int, start: datetime, end: datetime) -> list[Order]:
    return [
        order
        for order in call.gate.world.venue.orders.values()
        if order.account == account
        and order.status not in _HIDDEN
        and start <= order.created <= end
    ]


def _orders(call: Call) -> Answered:
    account = call.account()
    if not account:
        return _not_mine("orders")
    found = _orders_between(call, account, *_window(call.body))
    return _envelope(orders=[order.row() for order in reversed(found)])


def _order(call: Call) -> Answered:
    order = call.gate.world.venue.orders.get(int(str(call.body["orderId"])))
    if order is None or order.account != call.account() or order.status in _HIDDEN:
        return _envelope(1, order=None)
    return _envelope(order=order.row())


def _order_query(call: Call) -> Answered:
    wish = call.body.get("filter")
    wish = wish if isinstance(wish, Mapping) else {}
    inner = Call(call.gate, call.login, wish, call.entry, call.now, call.known)
    account = inner.account()
    if not account:
        return _not_mine("orders")
    statuses, contract = wish.get("statuses"), wish.get("contractId")
    found = [
        order
        for order in _orders_between(call, account, _LONG_AGO, _FAR_AHEAD)
        if (not isinstance(statuses, list) or order.status in statuses)
        and contract in (None, order.contract.id)
    ]
    if call.body.get("sortDirection") == 1:
        found.reverse()
    skip, most = call.body.get("pageOffset") or 0, call.body.get("pageSize") or 100
    page = found[int(str(skip)) : int(str(skip)) + int(str(most))]
    return _envelope(orders=[order.row() for order in page], totalCount=len(found))


def _trades(call: Call) -> Answered:
    account = call.account()
    if not account:
        return _not_mine("trades")
    start, end = _window(call.body)
    found = [
        trade.row()
        for trade in reversed(call.gate.world.venue.trades)
        if trade.account == account and start <= trade.at <= end
    ]
    _tell(call, "trade", account, found)
    return _envelope(trades=found)


def _contract_search(call: Call) -> Answered:
    found = contracts.search(str(call.body.get("searchText", "")))
    return _envelope(contracts=[contract.row() for contract in found])


def _contract(call: Call) -> Answered:
    found = contracts.CATALOGUE.get(str(call.body.get("contractId")))
    if found is None:
        return _envelope(1, contract=None)
    return _envelope(contract=found.row())


def _contracts(_call: Call) -> Answered:
    return _envelope(contracts=[contract.row() for contract in contracts.CATALOGUE.values()])


def _bars(call: Call) -> Answered:
    body = call.body
    contract = contracts.CATALOGUE.get(str(body.get("contractId")))
    if contract is None:
        return _envelope(BarsCode.CONTRACT_NOT_FOUND, bars=None)
    unit, number = int(str(body.get("unit", 0))), int(str(body.get("unitNumber", 0)))
    limit = int(str(body.get("limit", 0)))
    if not 1 <= unit <= 6:
        return _envelope(BarsCode.UNIT_INVALID, bars=None)
    if number < 1:
        return _envelope(BarsCode.UNIT_NUMBER_INVALID, bars=None)
    if not 1 <= limit <= rows.BARS_MAX:
        return _envelope(BarsCode.LIMIT_INVALID, bars=None)
    quote = call.gate.world.venue.quotes[contract.id]
    return _envelope(bars=rows.bars(contract, quote, call.now.at, unit, number, limit))


TABLE: dict[str, Operation] = {
    "/Account/search": Operation(_accounts),
    "/Contract/search": Operation(_contract_search),
    "/Contract/searchById": Operation(_contract),
    "/Contract/available": Operation(_contracts),
    "/History/retrieveBars": Operation(_bars, budget="bars"),
    "/Order/place": Operation(_place, "place"),
    "/Order/modify": Operation(_modify, "modify"),
    "/Order/cancel": Operation(_cancel, "cancel"),
    "/Order/searchOpen": Operation(_open_orders),
    "/Order/search": Operation(_orders),
    "/Order/searchById": Operation(_order),
    "/Order/v2/query": Operation(_order_query),
    "/Position/searchOpen": Operation(_positions),
    "/Position/closeContract": Operation(_close, "close"),
    "/Position/partialCloseContract": Operation(_partial_close, "partial_close"),
    "/Trade/search": Operation(_trades),
}
