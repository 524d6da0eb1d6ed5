"""A whole run in virtual time: the world, and a small honest daemon that guards it.

The guard is as simple as a right one can be. It believes only what is delivered to it, sizes on
the lesser of the two views, and keeps one close in flight per account and contract. Its arithmetic
of prices and times is the referee's: here the traders are on trial, not the sums.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from heapq import heappop, heappush

from risk_daemon.sim.allowance import Allowance
from risk_daemon.sim.breach import Sent
from risk_daemon.sim.contracts import root_of
from risk_daemon.sim.day_end import ends_of
from risk_daemon.sim.faults import FaultWish
from risk_daemon.sim.ledger import Book, whole
from risk_daemon.sim.model import Message, Quote
from risk_daemon.sim.moment import NS_PER_MS, NS_PER_S, Moment, trade_date
from risk_daemon.sim.purse import purse_of
from risk_daemon.sim.scenario import Limits, SimConfig
from risk_daemon.sim.standing import is_increasing, worst_case
from risk_daemon.sim.uncovered import Graces
from risk_daemon.sim.world import World

START = Moment(10 * NS_PER_S, datetime(2026, 11, 18, 16, 0, tzinfo=UTC))
REACTION_MS = 2.0
LOOK_EVERY_NS = 10 * NS_PER_MS


@dataclass
class Watched:
    """What the guard knows of one account."""

    book: Book = field(default_factory=Book)
    grown: list[str] = field(default_factory=list)
    flying: dict[str, int] = field(default_factory=dict)
    filled: dict[int, int] = field(default_factory=dict)
    traded: dict[int, dict[int, int]] = field(default_factory=dict)
    cancelled: set[int] = field(default_factory=set)
    closed: set[str] = field(default_factory=set)
    is_locked: bool = False
    due: bool = False
    high: Decimal = Decimal(0)
    graces: Graces | None = None
    allowance: Allowance = field(default_factory=Allowance)


class ToyGuard:
    """Guards every account of a world."""

    def __init__(self, world: World, *, reaction_ms: float = REACTION_MS) -> None:
        self.world = world
        self.accounts = {account: Watched() for account in world.logins}
        for account, mine in self.accounts.items():
            limit = world.config.limits[account].no_stop_loss_grace
            mine.graces = Graces(limit) if limit else None
        self.prices: dict[str, Quote] = {}
        self.reaction_ns = int(reaction_ms * NS_PER_MS)
        self.agenda: list[tuple[int, int]] = []
        self.requests = 0
        self.looks_ns = 0

    def kill(self, account: int, now: Moment) -> None:
        """An operator's act reaches the guard."""
        self.accounts[account].is_locked = True
        self._plan(account, now)

    def price(self, contract: str, quote: Quote, now: Moment) -> None:
        """A quote arrived."""
        self.prices[contract] = quote
        for account, mine in self.accounts.items():
            if mine.book.traded.get(contract):
                self._weigh(account, mine, now)

    def pass_time(self, now: Moment) -> None:
        """Time passed: graces and days may have ended."""
        if now.ns < self.looks_ns:
            return
        self.looks_ns = now.ns + LOOK_EVERY_NS
        for account, mine in self.accounts.items():
            if mine.graces is not None:
                mine.graces.look(mine.book, self.prices.get, now.ns, needs_price=False)
            if self._overdue(mine, now) or self._day(account, mine, now) != "open":
                self._plan(account, now)

    @staticmethod
    def _overdue(mine: Watched, now: Moment) -> frozenset[str]:
        return mine.graces.overdue(now.ns) if mine.graces else frozenset()

    def _day(self, account: int, mine: Watched, now: Moment) -> str:
        limit = self.world.config.limits[account].end_of_day_flatten
        if limit is None:
            return "open"
        ends = ends_of(limit, now.at)
        mine.allowance.look(mine.book, mine.book.small, has_begun=now.at >= ends.entries)
        if now.at < ends.entries:
            return "open"
        return "reductions" if now.at < ends.flatten else "over"

    def _weigh(self, account: int, mine: Watched, now: Moment) -> None:
        limits = self.world.config.limits[account]
        purse = purse_of(mine.book, trade_date(now.at), {}, Decimal(0))
        worth = purse.worth(self.prices.get)
        if worth is None or not purse.is_known:
            return
        combined, drawdown = limits.daily_combined_loss, limits.trailing_max_drawdown
        if combined and purse.day + worth - purse.leaving <= combined.buffer - combined.limit:
            mine.is_locked = True
        if drawdown:
            equity = drawdown.start + purse.all + worth
            mine.high = max(mine.high, drawdown.start)
            if drawdown.trail == "intraday-equity":
                mine.high = max(mine.high, equity)
            floor = min(drawdown.lock_at, mine.high - drawdown.drawdown)
            mine.is_locked = mine.is_locked or equity <= floor + drawdown.buffer
        if mine.is_locked:
            self._plan(account, now)

    def hear(self, message: Message, now: Moment) -> None:
        """A message arrived."""
        mine = self.accounts[message.account]
        contract = str(message.row.get("contractId"))
        before = abs(mine.book.small(contract))
        mine.book.apply(message.kind, message.row)
        if abs(mine.book.small(contract)) > before:
            mine.grown = [c for c in mine.grown if c != contract] + [contract]
        self._settle(mine, message)
        limits = self.world.config.limits[message.account]
        lost = sum((t.net for t in mine.book.trades.values() if not t.voided), Decimal(0))
        mine.is_locked = mine.is_locked or lost <= -limits.daily_realized_loss
        self._weigh(message.account, mine, now)
        self._plan(message.account, now)

    def _settle(self, mine: Watched, message: Message) -> None:
        if message.kind == "order" and message.row["status"] in (2, 3, 5):
            mine.filled[whole(message.row, "id")] = whole(message.row, "fillVolume")
        if message.kind == "trade":
            order = whole(message.row, "orderId")
            pieces = mine.traded.setdefault(order, {})
            pieces[whole(message.row, "id")] = whole(message.row, "size")
        for contract, order in list(mine.flying.items()):
            seen = sum(mine.traded.get(order, {}).values())
            if order in mine.filled and seen >= mine.filled[order]:
                del mine.flying[contract]

    def _plan(self, account: int, now: Moment) -> None:
        if not self.accounts[account].due:
            self.accounts[account].due = True
            heappush(self.agenda, (now.ns + self.reaction_ns, account))

    def act(self, now: Moment) -> None:
        """Send what is due."""
        while self.agenda and self.agenda[0][0] <= now.ns:
            _, account = heappop(self.agenda)
            self.accounts[account].due = False
            self._guard(account, now)

    def _guard(self, account: int, now: Moment) -> None:
        mine, limits = self.accounts[account], self.world.config.limits[account]
        quantities = {c: mine.book.small(c) for c in mine.book.contracts()}
        day = self._day(account, mine, now)
        is_flat_wanted = mine.is_locked or day == "over"
        if is_flat_wanted or day == "reductions" or self._could_exceed(mine, limits, quantities):
            for order in mine.book.resting():
                if is_increasing(order, quantities.get(order.contract, 0)):
                    self._cancel(account, order.id, now)
        self._sweep(account, mine, quantities, now)
        overdue = self._overdue(mine, now)
        for contract, q in quantities.items():
            if q and (is_flat_wanted or contract in overdue):
                self._close(account, contract, None, now)
        if is_flat_wanted:
            return
        for contract in mine.allowance.over(quantities, mine.book.small):
            least = mine.allowance.least(contract)
            self._close(account, contract, abs(quantities[contract]) - least, now)
        roots = limits.max_contracts_per_instrument
        for root, cap in roots.items():
            held = {c: q for c, q in quantities.items() if root_of(c) == root}
            self._reduce(account, mine, held, cap, now)
        self._reduce(account, mine, quantities, limits.max_contracts, now)

    def _sweep(self, account: int, mine: Watched, quantities: dict[str, int], now: Moment) -> None:
        """Cancel what a position that the guard closed left behind."""
        ended = {c for c in mine.closed if not quantities.get(c) and c not in mine.flying}
        for order in mine.book.resting():
            if order.contract in ended:
                self._cancel(account, order.id, now)
        mine.closed -= ended

    @staticmethod
    def _could_exceed(mine: Watched, limits: Limits, quantities: dict[str, int]) -> bool:
        resting = mine.book.resting()
        worst = {
            c: worst_case([o for o in resting if o.contract == c], quantities.get(c, 0))
            for c in {*quantities, *(order.contract for order in resting)}
        }
        by_root = limits.max_contracts_per_instrument.items()
        return sum(worst.values()) > limits.max_contracts or any(
            sum(size for c, size in worst.items() if root_of(c) == root) > cap
            for root, cap in by_root
        )

    def _reduce(
        self, account: int, mine: Watched, held: dict[str, int], cap: int, now: Moment
    ) -> None:
        excess = sum(map(abs, held.values())) - cap
        for contract in reversed(mine.grown):
            size = abs(held.get(contract, 0))
            if excess > 0 and size:
                self._close(account, contract, min(excess, size), now)
            excess -= size

    def _cancel(self, account: int, order: int, now: Moment) -> None:
        if order in self.accounts[account].cancelled:
            return
        self.accounts[account].cancelled.add(order)
        self.requests += 1
        sent = Sent(self.requests, "cancel", account, order=order)
        self.world.request(sent, now, lambda: self.world.venue.cancel(account, order, now))

    def _close(self, account: int, contract: str, size: int | None, now: Moment) -> None:
        if contract in self.accounts[account].flying:
            return
        self.requests += 1
        what = "close" if size is None else "partial_close"
        sent = Sent(self.requests, what, account, contract, size=size)
        venue = self.world.venue
        answer = self.world.request(
            sent,
            now,
            lambda: (
                venue.close(account, contract, now)
                if size is None
                else venue.partial_close(account, contract, size, now)
            ),
        )
        if answer.code == 0 and answer.order is not None:
            self.accounts[account].flying[contract] = answer.order
            if size is None:
                self.accounts[account].closed.add(contract)


def live(
    config: SimConfig,
    seconds: float,
    *,
    kills: dict[float, int] | None = None,
    faults: dict[float, FaultWish] | None = None,
    guarded: bool = True,
) -> tuple[World, ToyGuard]:
    """Run a scenario for so many virtual seconds, and let it settle for six more."""
    world = World(config, START)
    guard = ToyGuard(world)
    world.whole = dict.fromkeys(world.whole, True)
    world.switch_traders(on=config.traders, now=START, end_in_s=seconds)
    now, end = START, START.after(seconds + 6)
    acts = sorted((kills or {}).items())
    strikes = sorted((faults or {}).items(), key=lambda strike: strike[0])
    while now.ns < end.ns:
        if (
            acts
            and now.ns >= START.after(acts[0][0]).ns
            and world.announce(acts[0][1], "flatten-lock", "a test", now)
        ):
            _, account = acts.pop(0)
            if guarded:
                guard.kill(account, now)
        while strikes and now.ns >= START.after(strikes[0][0]).ns:
            world.start_fault(strikes.pop(0)[1], now)
        out = world.step(now)
        for _, message in out.messages:
            if guarded:
                world.referee.delivered(message, now)
                guard.hear(message, now)
        for tick in out.ticks:
            for login in world.whole:
                world.referee.quoted(login, tick.contract.id, tick.quote, now)
            if guarded:
                guard.price(tick.contract.id, tick.quote, now)
        if guarded:
            guard.pass_time(now)
        guard.act(now)
        dues = [world.next_due_ns(), *(due for due, _ in guard.agenda[:1])]
        now = now.after((max(min(dues), now.ns + 1000) - now.ns) / NS_PER_S)
    return world, guard
