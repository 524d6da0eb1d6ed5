"""The broker of the simulation: orders, fills, positions, and the ways in which it answers badly.

Its books are the truth that everything is judged by. It sizes a close when it takes it, as the
real one does; what it says on the streams may come twice, late or never.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import msgspec

from risk_daemon.broker.port import (
    ACCEPTED,
    FLAT,
    GONE,
    POSITIONS,
    RECENT,
    REFUSED,
    THROTTLED,
    UNKNOWN,
    Outcome,
    Request,
    Rows,
)
from risk_daemon.core.account import (
    CANCELLED,
    FILLED,
    MARKET,
    PENDING,
    REJECTED,
    STOP,
    WORKING,
    remaining,
)
from risk_daemon.core.events import (
    AccountSeen,
    Fact,
    MarkChanged,
    OrderChanged,
    PositionChanged,
    TradeSeen,
)
from risk_daemon.core.instrument import UNIT
from risk_daemon.proving.chance import Offer
from risk_daemon.proving.clockwork import BEGIN, MS, SECOND

if TYPE_CHECKING:
    from risk_daemon.proving.world import World

CONTRACTS: Final = {"CON.F.US.EP.Z26": ("EP", UNIT // 4, 12 * UNIT + UNIT // 2)}
CONTRACT: Final = "CON.F.US.EP.Z26"
TICK: Final = UNIT // 4
TICK_VALUE: Final = 12 * UNIT + UNIT // 2
FEE: Final = 2 * UNIT
START: Final = 50_000 * UNIT
#: A pending order may be invisible to reads for so long. A request that got no answer is taken, and
#: what it became is on an open stream, within less than a second: what a void is judged by.
#: Source: docs/brokers/projectx.md, the second read of a void.
HIDDEN_MAX: Final = 2_500 * MS
LATE_MAX: Final = 900 * MS

ON_STREAM: Final = Offer(
    0.05,
    (
        ("doubled", 0, 0),
        ("late", 50 * MS, LATE_MAX),
        ("late", 50 * MS, LATE_MAX),
        ("lost", 0, 0),
    ),
)
ON_REQUEST: Final = Offer(
    0.25,
    (
        ("answer-lost", 0, 0),
        ("request-lost", 0, 0),
        *(("request-late", 10 * MS, LATE_MAX),) * 3,
        ("throttled", 0, 0),
        ("rejected", 0, 0),
        *(("hangs", 200 * MS, HIDDEN_MAX),) * 3,
        ("partial", 5 * MS, 600 * MS),
        ("other-fill", -2, 3),
    ),
)
ON_READ: Final = Offer(
    0.06, (("read-failed", 0, 0), ("read-torn", 10 * MS, 200 * MS), ("read-slow", 50 * MS, SECOND))
)


class Book(msgspec.Struct, kw_only=True):
    """One account's truth."""

    account: int
    login: str
    positions: dict[str, int] = msgspec.field(default_factory=dict)
    costs: dict[str, int] = msgspec.field(default_factory=dict)
    orders: dict[int, OrderChanged] = msgspec.field(default_factory=dict)
    trades: list[TradeSeen] = msgspec.field(default_factory=list)
    balance: int = START
    can_trade: bool = True
    moved_at: int = -10 * SECOND
    #: By side: when a market order of another was last placed or filled.
    others_market_at: dict[int, int] = msgspec.field(default_factory=dict)
    others_moved_at: int = -10 * SECOND


class Exchange:
    """All accounts, one price per contract, a stream per login."""

    def __init__(self, world: World, accounts: dict[int, str]) -> None:
        self.world = world
        self.books = {n: Book(account=n, login=login) for n, login in accounts.items()}
        self.price = dict.fromkeys(CONTRACTS, 4_000 * UNIT)
        self.streams: dict[str, tuple[Any, int, int]] = {}
        self.ours: dict[int, Request] = {}
        self.sized: dict[int, int] = {}
        self._hidden: dict[int, int] = {}
        self._numbers = 0
        self._streams = 0
        self.is_down = False
        self._rests = 0
        self.quiet_until = 0
        #: The last that was shown of a price is not what it is.
        self.is_misquoted = False

    # --- streams ----------------------------------------------------------------

    def open(self, login: str, link: Any) -> int:
        """Open the stream of a login; whoever had it before hears nothing more."""
        self._streams += 1
        self.streams[login] = (link, link.life, self._streams)
        return self._streams

    def drop(self, login: str) -> bool:
        """Break the stream of a login; tells whether there was one."""
        found = self.streams.pop(login, None)
        if found is None:
            return False
        link, life, stream = found
        if link.life != life or not link.is_alive:
            return False
        self.world.clockwork.after(MS, link.take_if, life, link.on_broken, stream)
        return True

    def _say(self, login: str, fact: Fact) -> None:
        found = self.streams.get(login)
        if found is None:
            return
        world = self.world
        fault = world.chance.at(ON_STREAM)
        if fault is not None and fault.kind == "lost" and self._is_only_said(fact):
            fault = None
        wait = 0
        if fault is not None:
            world.fault(f"message-{fault.kind}", "broker", type(fact).__name__)
            if fault.kind == "lost":
                return
            wait = fault.amount
            if fault.kind == "doubled":
                self._pass_on(found, fact, 0)
        self._pass_on(found, fact, wait)

    def _is_only_said(self, fact: Fact) -> bool:
        """Tell whether an open stream alone shows an order: then it is relied on (`LATE_MAX`)."""
        now = self.world.clockwork.now
        return isinstance(fact, OrderChanged) and self._hidden.get(fact.order, 0) > now

    def come_to_rest(self) -> None:
        """Time passed of which this world has none: nothing hangs or is on its way any more."""
        self._rests += 1
        for book in self.books.values():
            for number in [n for n in book.orders if n in self.ours]:
                self._hung(book, number)

    def _pass_on(self, found: tuple[Any, int, int], fact: Fact, wait: int) -> None:
        link, life, stream = found
        wait += self.world.wait("stream", found, MS, 6 * MS) if not wait else 0
        self.world.clockwork.after(wait, self._arrive, link, life, stream, fact)

    def _arrive(self, link: Any, life: int, stream: int, fact: Fact) -> None:
        now = self.streams.get(link.login.name)
        if now is not None and now[2] == stream:
            link.take_if(life, link.on_fact, fact)

    def quote(self, contract: str) -> None:
        """Show the price on every open stream."""
        if self.world.clockwork.now < self.quiet_until:
            if self.streams and not self.is_misquoted:
                self.is_misquoted = True
                self.world.fault("quotes-stopped", "broker", contract)
            return
        self.is_misquoted = False
        price = self.price[contract]
        self._show(MarkChanged(contract=contract, bid=price - TICK, ask=price, last=price))

    def _show(self, mark: MarkChanged) -> None:
        for login in sorted(self.streams):
            self._pass_on(self.streams[login], mark, 0)

    def misquote(self, contract: str, *, bid: int = 0, ask: int = 0, is_empty: bool = False) -> str:
        """Show a quote that is so far off, or has no price; tells what, "" where nobody listens."""
        if not self.streams:
            return ""
        self.is_misquoted = True
        price = self.price[contract]
        bad = MarkChanged(contract=contract, bid=price - TICK + bid, ask=price + ask, last=price)
        if is_empty:
            bad = MarkChanged(contract=contract, bid=None, ask=None, last=None)
        self._show(bad)
        return f"{bad.bid} {bad.ask}"

    # --- prices -------------------------------------------------------------------

    def move(self, contract: str, ticks: int) -> None:
        """Move the price; resting orders that it reaches fill."""
        self.price[contract] += ticks * TICK
        price = self.price[contract]
        for number in sorted(self.books):
            book = self.books[number]
            for order in [o for o in book.orders.values() if o.contract == contract]:
                if order.status == WORKING and order.type != MARKET and _is_reached(order, price):
                    self._fill(book, order.order, remaining(order))
        self.quote(contract)

    # --- orders ---------------------------------------------------------------------

    def place(self, account: int, contract: str, side: int, size: int, **more: Any) -> int:
        """Take an order of a trader, or the one that a request of ours becomes."""
        book = self.books[account]
        self._numbers += 1
        number = self._numbers
        kind = more.pop("type", MARKET)
        status = WORKING if kind != MARKET else PENDING
        order = OrderChanged(
            account=account,
            order=number,
            contract=contract,
            status=status,
            type=kind,
            side=side,
            size=size,
            created=BEGIN + self.world.clockwork.now,
            **more,
        )
        book.orders[number] = order
        self._say(book.login, order)
        self._note_others(book, order)
        if kind == MARKET:
            self.world.clockwork.after(self.world.draw(MS, 15 * MS), self._execute, number, account)
        return number

    def _execute(self, number: int, account: int) -> None:
        book = self.books[account]
        order = book.orders[number]
        if order.status == PENDING:
            self._fill(book, number, remaining(order))

    def _fill(self, book: Book, number: int, size: int) -> None:
        order = book.orders[number]
        before = book.positions.get(order.contract, 0)
        after = before + order.side * size
        filled = order.filled + size
        status = FILLED if filled == order.size else order.status
        price = self.price[order.contract]
        order = msgspec.structs.replace(order, filled=filled, status=status, filled_price=price)
        book.orders[number] = order
        pnl = self._book(book, order.contract, before, order.side * size, price)
        self._numbers += 1
        trade = TradeSeen(
            account=book.account,
            trade=self._numbers,
            order=number,
            contract=order.contract,
            side=order.side,
            size=size,
            price=price,
            traded_at=BEGIN + self.world.clockwork.now,
            pnl=pnl,
            fees=FEE * size,
        )
        book.trades.append(trade)
        book.balance += (pnl or 0) - trade.fees
        book.moved_at = self.world.clockwork.now
        if number not in self.ours:
            book.others_moved_at = self.world.clockwork.now
        self._note_others(book, order)
        self.world.judge.filled(self, book, order, before, after)
        for fact in (order, trade, self._position(book, order.contract), self.row(book)):
            self._say(book.login, fact)

    def _note_others(self, book: Book, order: OrderChanged) -> None:
        if order.type == MARKET and order.order not in self.ours:
            book.others_market_at[order.side] = self.world.clockwork.now

    def _book(self, book: Book, contract: str, before: int, signed: int, price: int) -> int | None:
        """Move position and cost; return the gross P&L of what was closed."""
        after = before + signed
        book.positions[contract] = after
        cost = book.costs.get(contract, 0)
        closed = min(abs(before), abs(signed)) if before * signed < 0 else 0
        share = cost * closed // abs(before) if before else 0
        sign = 1 if before > 0 else -1
        pnl = (sign * (price * closed - share) // TICK) * TICK_VALUE if closed else None
        book.costs[contract] = cost - share + price * (abs(signed) - closed)
        return pnl

    def _position(self, book: Book, contract: str) -> PositionChanged:
        quantity = book.positions.get(contract, 0)
        average = book.costs.get(contract, 0) // abs(quantity) if quantity else 0
        return PositionChanged(
            account=book.account, contract=contract, quantity=quantity, average=average
        )

    def row(self, book: Book) -> AccountSeen:
        """Return the account as the list shows it."""
        return AccountSeen(
            account=book.account,
            login=book.login,
            name=f"N-{book.account}",
            balance=book.balance,
            can_trade=book.can_trade,
        )

    def cancel(self, account: int, number: int, status: int = CANCELLED) -> bool:
        """End an order; tells whether it was working."""
        book = self.books[account]
        order = book.orders.get(number)
        if order is None or order.status not in (WORKING, PENDING):
            return False
        book.orders[number] = msgspec.structs.replace(order, status=status)
        self._say(book.login, book.orders[number])
        return True

    # --- requests ----------------------------------------------------------------------

    def request(self, request: Request, answer: Callable[[Outcome], None]) -> None:
        """Take a request of a link, after its way here; the answer goes its way back."""
        fault = self.world.chance.at(ON_REQUEST)
        kind = fault.kind if fault else ""
        if kind == "hangs" and request.act in ("cancel", "modify"):
            kind = ""
        if kind == "other-fill" and not (fault and fault.amount):
            kind = ""
        if fault and kind:
            self.world.fault(kind, "broker", f"{request.act} {request.request}")
        amount = fault.amount if fault else 0
        if self.is_down:
            answer(Outcome(outcome=UNKNOWN, text="maintenance"))
        elif kind == "throttled":
            answer(Outcome(outcome=REFUSED, code=429, meaning=THROTTLED))
        elif kind == "request-lost":
            self.world.clockwork.after(SECOND, answer, Outcome(outcome=UNKNOWN, text="no answer"))
        elif kind == "request-late":
            self.world.clockwork.after(amount, self._take_late, request, self._rests)
            answer(Outcome(outcome=UNKNOWN, text="reset"))
        elif kind == "answer-lost":
            self._take(request, "", 0)
            answer(Outcome(outcome=UNKNOWN, text="reset"))
        else:
            answer(self._take(request, kind, amount))

    def _take_late(self, request: Request, rests: int) -> None:
        if rests == self._rests:
            self._take(request, "", 0)

    def _take(self, request: Request, kind: str, amount: int) -> Outcome:
        book = self.books[request.account]
        if request.act == "cancel":
            done = self.cancel(request.account, request.order)
            return Outcome(outcome=ACCEPTED) if done else Outcome(outcome=REFUSED, meaning=GONE)
        if request.act == "modify":
            return self._modify(book, request)
        if kind == "other-fill":
            self.place(request.account, request.contract, 1 if amount > 0 else -1, abs(amount))
        quantity = book.positions.get(request.contract, 0)
        if not quantity:
            return Outcome(outcome=REFUSED, code=2, meaning=FLAT)
        size = abs(quantity) if request.act == "close" else request.size
        if size > abs(quantity):
            return Outcome(outcome=REFUSED, code=3, text="size exceeds the position")
        return self._close(book, request, size, kind, amount)

    def _close(self, book: Book, request: Request, size: int, kind: str, amount: int) -> Outcome:
        quantity = book.positions[request.contract]
        number = self._numbers + 1
        self.ours[number], self.sized[number] = request, quantity
        self.world.judge.accepted(self, book, request)
        if kind == "hangs":
            self._hidden[number] = self.world.clockwork.now + amount
        self.place(book.account, request.contract, -1 if quantity > 0 else 1, size)
        order = book.orders[number]
        if kind == "rejected":
            self.cancel(book.account, number, REJECTED)
        elif kind == "hangs":
            # It fills when it is seen: taken out of the ordinary way, and put into a longer one.
            book.orders[number] = msgspec.structs.replace(order, status=WORKING)
            self.world.clockwork.after(amount, self._hung, book, number)
        elif kind == "partial" and size > 1:
            book.orders[number] = msgspec.structs.replace(order, status=WORKING)
            self._fill(book, number, 1)
            self.world.clockwork.after(amount, self._hung, book, number)
        return Outcome(outcome=ACCEPTED)

    def _hung(self, book: Book, number: int) -> None:
        order = book.orders[number]
        if order.status == WORKING:
            self._fill(book, number, remaining(order))

    def _modify(self, book: Book, request: Request) -> Outcome:
        order = book.orders.get(request.order)
        if order is None or order.status != WORKING:
            return Outcome(outcome=REFUSED, meaning=GONE)
        book.orders[order.order] = msgspec.structs.replace(order, size=request.size)
        self._say(book.login, book.orders[order.order])
        return Outcome(outcome=ACCEPTED)

    # --- reads ------------------------------------------------------------------------------

    def rows(self, account: int, depth: str, earlier: Rows | None = None) -> Rows:
        """Show an account; `earlier` is where the positions of a torn read come from."""
        book = self.books[account]
        positions = tuple(
            self._position(book, name) for name in sorted(book.positions) if book.positions[name]
        )
        if earlier is not None:
            positions = earlier.positions
        if depth == POSITIONS:
            return Rows(positions=positions)
        now = self.world.clockwork.now
        shown = [order for n, order in book.orders.items() if self._hidden.get(n, 0) <= now]
        working = tuple(o for o in shown if o.status == WORKING)
        recent = tuple(shown) if depth == RECENT else None
        return Rows(
            positions=positions, orders=working, trades=tuple(book.trades[-40:]), recent=recent
        )


def _is_reached(order: OrderChanged, price: int) -> bool:
    if order.type == STOP:
        return (price - (order.stop_price or 0)) * order.side >= 0
    return ((order.limit_price or 0) - price) * order.side >= 0
