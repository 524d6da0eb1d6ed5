"""The exchange: takes orders, fills them against the market, and says what happened.

Pure: time and randomness are passed in. Everything said is a `Message` in `drain()`, in the order
the live gateway was seen to use: order, trade, position, account. Nothing here knows of sockets.

A reader must believe two things. A close is *accepted* at once and *filled* later by an order of
its own whose size is fixed at acceptance; and it touches no other order, so stops and targets of a
closed position stay alive. Both are the live gateway's ways, and both are traps on purpose.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from decimal import Decimal
from heapq import heappop, heappush
from random import Random

from risk_daemon.sim import intake
from risk_daemon.sim.booking import Costs, HalfTurn, half_turns
from risk_daemon.sim.codes import OK, Action, CancelCode, OrderType, Side, Status
from risk_daemon.sim.contracts import CATALOGUE
from risk_daemon.sim.model import (
    ZERO,
    Account,
    Answer,
    Message,
    Order,
    Position,
    Quote,
    Ticket,
    Trade,
)
from risk_daemon.sim.moment import Moment
from risk_daemon.sim.profile import Profile, draw_ns
from risk_daemon.sim.resting import (
    Trigger,
    bracket_legs,
    price_leg,
    trigger_price,
)

PIECES_FROM = 3  # smaller orders always fill at once
_FIRST_ORDER = 3_345_169_271  # live order ids are past 32 bits; ours must be too
_FIRST_TRADE = 2_101_112_000
_FIRST_POSITION = 612_400


class Venue:
    """All accounts, orders, positions and trades of the simulated exchange."""

    def __init__(
        self,
        accounts: Iterable[Account],
        costs: Costs,
        rng: Random,
        profile: Profile,
        *,
        auto_oco: bool = True,
    ) -> None:
        self.accounts = {account.id: account for account in accounts}
        self.orders: dict[int, Order] = {}
        self.working: dict[int, Order] = {}
        self.positions: dict[tuple[int, str], Position] = {}
        self.trades: list[Trade] = []
        self.quotes: dict[str, Quote] = {}
        self.profile = profile
        self.auto_oco = auto_oco
        self.holds: dict[int, int] = {}
        self.reject_closes: dict[int, int] = {}
        self.stop_races: dict[int, int] = {}
        self.piece_by_piece: dict[int, float] = {}
        self._costs = costs
        self._rng = rng
        self._due: list[tuple[int, int, int, int]] = []
        self._out: list[Message] = []
        self._last_id = {"order": _FIRST_ORDER, "trade": _FIRST_TRADE, "position": _FIRST_POSITION}
        self._events = 0

    # What others read.

    def drain(self) -> list[Message]:
        """The messages since the last call, oldest first."""
        out, self._out = self._out, []
        return out

    def next_due_ns(self) -> int | None:
        """When the next fill is due, or None."""
        return self._due[0][0] if self._due else None

    def quantity(self, account: int, contract: str) -> int:
        """The signed position; 0 when there is none."""
        position = self.positions.get((account, contract))
        return position.q if position else 0

    def working_of(self, account: int) -> list[Order]:
        """Orders alive on an account, oldest first."""
        return [order for order in self.working.values() if order.account == account]

    # What others ask for.

    def place(self, account: int, ticket: Ticket, now: Moment) -> Answer:
        """Take an order; a market order fills later, a resting one when the market comes."""
        refused = intake.refusal_of(ticket, self.accounts.get(account), auto_oco=self.auto_oco)
        if refused is not None:
            self._say_rejected(account, ticket, now)
            return refused
        order = self._new_order(account, ticket, now)
        legs = self._add_legs(order, ticket, now)
        for new in (order, *legs):
            self._say_order(new, Action.CREATE)
        if order.type is OrderType.MARKET:
            self._schedule(order, now)
        else:
            self._change(order, Status.OPEN, now)
            if self._trigger(order) is not None:
                self._schedule(order, now)
        return Answer(OK, order.id)

    def cancel(self, account: int, order_id: int, now: Moment) -> Answer:
        """End a resting order; its suspended bracket legs end with it."""
        if account not in self.accounts:
            return Answer(CancelCode.ACCOUNT_NOT_FOUND)
        order = self.working.get(order_id)
        if order is None or order.account != account:
            return Answer(CancelCode.ORDER_NOT_FOUND)
        if order.type is OrderType.MARKET:
            return Answer(CancelCode.PENDING)
        if order.is_resting and self._takes_one(self.stop_races, account):
            self._fill(order, order.rest, self._resting_price(order), now)
            return Answer(CancelCode.ORDER_NOT_FOUND)
        self._end(order, Status.CANCELLED, now)
        return Answer(OK, order_id)

    def modify(
        self,
        account: int,
        order_id: int,
        now: Moment,
        size: int | None = None,
        prices: Mapping[str, Decimal] | None = None,
    ) -> Answer:
        """Change size or prices of a resting order; `prices` has limit_price and stop_price."""
        if account not in self.accounts:
            return Answer(CancelCode.ACCOUNT_NOT_FOUND)
        order = self.working.get(order_id)
        if order is None or order.account != account:
            return Answer(CancelCode.ORDER_NOT_FOUND)
        wanted = dict(prices or {})
        on_grid = all(order.contract.is_on_grid(price) for price in wanted.values())
        if not on_grid or (size is not None and size <= order.filled):
            return Answer(CancelCode.REJECTED)
        order.size = order.size if size is None else size
        order.limit_price = wanted.get("limit_price", order.limit_price)
        order.stop_price = wanted.get("stop_price", order.stop_price)
        self._change(order, order.status, now)
        return Answer(OK, order_id)

    def close(self, account: int, contract: str, now: Moment) -> Answer:
        """Accept a close of the whole position, sized now, filled later."""
        q = self.quantity(account, contract)
        refused = intake.close_refusal(self.accounts.get(account), contract, q)
        return refused or self._accept_close(account, contract, q, abs(q), now)

    def partial_close(self, account: int, contract: str, size: int, now: Moment) -> Answer:
        """Accept a close of `size` contracts, filled later."""
        q = self.quantity(account, contract)
        found = self.accounts.get(account)
        refused = intake.partial_close_refusal(found, contract, q, size)
        return refused or self._accept_close(account, contract, q, size, now)

    def quote(self, contract: str, quote: Quote, now: Moment) -> None:
        """The market moved: resting orders whose price is reached fill, oldest first."""
        if not quote.is_valid:
            return  # A broken quote reaches the hubs, but nothing trades on it.
        self.quotes[contract] = quote
        resting = [o for o in self.working.values() if o.contract.id == contract and o.is_resting]
        for order in resting:
            if order.is_resting and (hit := self._trigger(order)) is not None:
                self._fill(order, order.rest, hit.price, now)

    def step(self, now: Moment) -> None:
        """Fill what is due."""
        while self._due and self._due[0][0] <= now.ns:
            _, _, order_id, size = heappop(self._due)
            order = self.orders[order_id]
            if not order.is_working:
                continue
            if order.is_close and self._takes_one(self.reject_closes, order.account):
                self._end(order, Status.REJECTED, now)
                continue
            self._fill(order, min(size, order.rest), self._market_price(order), now)

    def release(self, account: int, now: Moment) -> int:
        """Let held closes of an account fill; how many there were."""
        self.holds.pop(account, None)
        held = [order for order in self.working_of(account) if order.is_held]
        for order in held:
            order.is_held = False
            self._schedule(order, now)
        return len(held)

    def adjust_balance(self, account: int, delta: Decimal) -> None:
        """A payout or a correction: the balance moves without a trade."""
        self.accounts[account].balance += delta
        self._say_account(account)

    def set_can_trade(self, account: int, value: bool) -> None:
        """The platform allows or forbids trading."""
        self.accounts[account].can_trade = value
        self._say_account(account)

    def set_visible(self, account: int, value: bool) -> None:
        """The platform shows or hides an account."""
        self.accounts[account].is_visible = value
        self._say_account(account)

    def open_account(self, account: Account) -> None:
        """A new account: its login hears of it."""
        self.accounts[account.id] = account
        self._out.append(Message("account", account.id, Action.CREATE, account.row()))

    def void(self, account: int, trade_id: int | None, now: Moment) -> int | None:
        """Bust a trade (the last one by default): its cash and its quantity are taken back."""
        for trade in reversed(self.trades):
            wanted = trade_id is None or trade.id == trade_id
            if trade.account == account and wanted and not trade.voided:
                self._void(trade, now)
                return trade.id
        return None

    # How it is done.

    def _takes_one(self, counters: dict[int, int], account: int) -> bool:
        left = counters.get(account, 0)
        if left:
            counters[account] = left - 1
        return left > 0

    def _next_id(self, kind: str) -> int:
        self._last_id[kind] += self._rng.randint(1, 7)
        return self._last_id[kind]

    def _new_order(self, account: int, ticket: Ticket, now: Moment) -> Order:
        quote = self.quotes.get(ticket.contract)
        order = intake.order_from(ticket, self._next_id("order"), account, quote, now)
        self.orders[order.id] = self.working[order.id] = order
        return order

    def _add_legs(self, entry: Order, ticket: Ticket, now: Moment) -> list[Order]:
        legs: list[Order] = []
        for wish, ticks in bracket_legs(ticket, entry.contract):
            leg = self._new_order(entry.account, wish, now)
            leg.status, leg.parent, leg.bracket_ticks = Status.SUSPENDED, entry.id, ticks
            leg.is_oco = self.auto_oco
            entry.children.append(leg.id)
            legs.append(leg)
        if len(legs) == 2:
            legs[1].linked = legs[0].id
        return legs

    def _accept_close(self, account: int, contract: str, q: int, size: int, now: Moment) -> Answer:
        side = Side.SELL if q > 0 else Side.BUY
        order = self._new_order(account, Ticket(contract, side, size, by="daemon"), now)
        order.is_close = True
        self._say_order(order, Action.CREATE)
        if self._takes_one(self.holds, account):
            order.is_held = True
        else:
            self._schedule(order, now)
        return Answer(OK, order.id)

    def _schedule(self, order: Order, now: Moment) -> None:
        due = now.ns + draw_ns(self._rng, self.profile.fill_ms)
        forced_ms = self.piece_by_piece.get(order.account)
        gap_ms = self.profile.piece_ms if forced_ms is None else (forced_ms, forced_ms)
        for size in self._pieces(order):
            self._events += 1
            heappush(self._due, (due, self._events, order.id, size))
            due += draw_ns(self._rng, gap_ms)

    def _pieces(self, order: Order) -> list[int]:
        rest = order.rest
        if order.account in self.piece_by_piece:
            return [1] * rest
        if rest < PIECES_FROM or self._rng.random() >= self.profile.pieces:
            return [rest]
        first = self._rng.randint(1, rest - 1)
        return [first, rest - first]

    def _trigger(self, order: Order) -> Trigger | None:
        quote = self.quotes.get(order.contract.id)
        return trigger_price(order, quote) if quote else None

    def _market_price(self, order: Order) -> Decimal:
        hit = self._trigger(order)
        if hit is not None:
            return hit.price
        quote = self.quotes.get(order.contract.id)
        if quote is None:
            return order.contract.start_price
        if order.type is OrderType.LIMIT and order.limit_price is not None:
            return order.limit_price
        return quote.ask if order.side is Side.BUY else quote.bid

    @staticmethod
    def _resting_price(order: Order) -> Decimal:
        price = order.stop_price if order.limit_price is None else order.limit_price
        return order.contract.start_price if price is None else price

    def _change(self, order: Order, status: Status, now: Moment) -> None:
        order.status, order.updated = status, now.at
        if not order.is_working:
            self.working.pop(order.id, None)
        self._say_order(order, Action.UPDATE)

    def _end(self, order: Order, status: Status, now: Moment) -> None:
        self._change(order, status, now)
        for child in order.children:
            if child in self.working and self.working[child].status is Status.SUSPENDED:
                self._end(self.working[child], Status.CANCELLED, now)

    def _fill(self, order: Order, size: int, price: Decimal, now: Moment) -> None:
        order.filled += size
        order.filled_value += price * size
        self.accounts[order.account].last_fill_ns = now.ns
        self._change(order, Status.FILLED if order.rest == 0 else Status.OPEN, now)
        position = self.positions.get((order.account, order.contract.id))
        held = (position.q, position.average) if position else (0, ZERO)
        for turn in half_turns(order.contract, *held, order.side.sign * size, price):
            self._book(order, turn, price, now)
        if order.rest == 0:
            self._wake_legs(order, now)
            self._cancel_twin(order, now)

    def _book(self, order: Order, turn: HalfTurn, price: Decimal, now: Moment) -> None:
        fees, commissions = self._costs.of(order.contract, turn.size)
        trade = Trade(
            id=self._next_id("trade"),
            account=order.account,
            contract=order.contract,
            at=now.at,
            price=price,
            gross=turn.gross,
            fees=fees,
            commissions=commissions,
            side=order.side,
            size=turn.size,
            order=order.id,
        )
        self.trades.append(trade)
        self._pay(order.account, trade.net)
        ends = order.rest == 0
        self._out.append(
            Message("trade", order.account, Action.CREATE, trade.row(), order.id, ends)
        )
        self._set_position(order, turn, now)
        self._say_account(order.account)

    def _pay(self, account: int, net: Decimal) -> None:
        self.accounts[account].balance += net

    def _set_position(self, order: Order, turn: HalfTurn, now: Moment) -> None:
        key = (order.account, order.contract.id)
        position = self.positions.get(key)
        action = Action.UPDATE
        if position is None:
            position = Position(
                self._next_id("position"), order.account, order.contract, now.at, 0, ZERO
            )
            self.positions[key] = position
            action = Action.CREATE
        position.q, position.average = turn.q_after, turn.average_after
        if position.q == 0:
            del self.positions[key]
            action = Action.DELETE
        ends = order.rest == 0
        self._out.append(Message("position", order.account, action, position.row(), order.id, ends))

    def _wake_legs(self, entry: Order, now: Moment) -> None:
        for child in entry.children:
            leg = self.working.get(child)
            if leg is not None and leg.status is Status.SUSPENDED:
                price_leg(leg, entry)
                self._change(leg, Status.OPEN, now)

    def _cancel_twin(self, filled: Order, now: Moment) -> None:
        if filled.parent is None or not filled.is_oco:
            return
        for twin in self.orders[filled.parent].children:
            if twin != filled.id and twin in self.working:
                self._end(self.working[twin], Status.CANCELLED, now)

    def _void(self, trade: Trade, now: Moment) -> None:
        trade.voided = True
        self._pay(trade.account, -trade.net)
        self._out.append(Message("trade", trade.account, Action.UPDATE, trade.row(), trade.order))
        key = (trade.account, trade.contract.id)
        q = self.quantity(*key) - trade.side.sign * trade.size
        average = self.positions[key].average if key in self.positions else trade.price
        order = replace(self.orders[trade.order], filled=0)
        self._set_position(order, HalfTurn(trade.size, None, q, average), now)
        self._say_account(trade.account)

    def _say_order(self, order: Order, action: Action) -> None:
        ends = not order.is_working
        self._out.append(Message("order", order.account, action, order.row(), order.id, ends))

    def _say_account(self, account: int) -> None:
        self._out.append(Message("account", account, Action.UPDATE, self.accounts[account].row()))

    def _say_rejected(self, account: int, ticket: Ticket, now: Moment) -> None:
        # The stream shows status 5 without a reason; only the REST answer has it.
        if account not in self.accounts or ticket.contract not in CATALOGUE or ticket.size < 1:
            return
        order = self._new_order(account, ticket, now)
        order.status = Status.REJECTED
        del self.working[order.id]
        self._say_order(order, Action.CREATE)
