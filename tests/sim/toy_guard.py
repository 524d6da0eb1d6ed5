"""A whole run in virtual time: the world, and a small honest daemon that guards it.

The guard is as simple as a right one can be. It believes only what is delivered to it, sizes on
the lesser of the two views, and keeps one close in flight per account and contract.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from heapq import heappop, heappush

from risk_daemon.sim.breach import Sent
from risk_daemon.sim.faults import FaultWish
from risk_daemon.sim.ledger import Book, whole
from risk_daemon.sim.model import Message
from risk_daemon.sim.moment import NS_PER_MS, NS_PER_S, Moment
from risk_daemon.sim.scenario import SimConfig
from risk_daemon.sim.standing import is_increasing, worst_case
from risk_daemon.sim.world import World

START = Moment(10 * NS_PER_S, datetime(2026, 11, 18, 16, 0, tzinfo=UTC))
REACTION_MS = 2.0


@dataclass
class Watched:
    """What the guard knows of one account."""

    book: Book = field(default_factory=Book)
    grown: list[str] = field(default_factory=list)
    flying: dict[str, int] = field(default_factory=dict)
    filled: dict[int, int] = field(default_factory=dict)
    traded: dict[int, dict[int, int]] = field(default_factory=dict)
    cancelled: set[int] = field(default_factory=set)
    is_locked: bool = False
    due: bool = False


class ToyGuard:
    """Guards every account of a world."""

    def __init__(self, world: World, *, reaction_ms: float = REACTION_MS) -> None:
        self.world = world
        self.accounts = {account: Watched() for account in world.logins}
        self.reaction_ns = int(reaction_ms * NS_PER_MS)
        self.agenda: list[tuple[int, int]] = []
        self.requests = 0

    def kill(self, account: int, now: Moment) -> None:
        """An operator's act reaches the guard."""
        self.accounts[account].is_locked = True
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
        mine, limit = self.accounts[account], self.world.config.limits[account].max_contracts
        quantities = {c: mine.book.small(c) for c in mine.book.contracts()}
        gross = sum(map(abs, quantities.values()))
        resting = mine.book.resting()
        contracts = set(quantities) | {order.contract for order in resting}
        worst = sum(
            worst_case([o for o in resting if o.contract == c], quantities.get(c, 0))
            for c in contracts
        )
        if mine.is_locked or worst > limit:
            for order in resting:
                if is_increasing(order, quantities.get(order.contract, 0)):
                    self._cancel(account, order.id, now)
        if mine.is_locked:
            for contract, q in quantities.items():
                if q and contract not in mine.flying:
                    self._close(account, contract, None, now)
            return
        excess = gross - limit
        for contract in reversed(mine.grown):
            if excess > 0 and contract not in mine.flying and quantities[contract]:
                size = min(excess, abs(quantities[contract]))
                self._close(account, contract, size, now)
            excess -= abs(quantities.get(contract, 0))

    def _cancel(self, account: int, order: int, now: Moment) -> None:
        if order in self.accounts[account].cancelled:
            return
        self.accounts[account].cancelled.add(order)
        self.requests += 1
        sent = Sent(self.requests, "cancel", account, order=order)
        self.world.request(sent, now, lambda: self.world.venue.cancel(account, order, now))

    def _close(self, account: int, contract: str, size: int | None, now: Moment) -> None:
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
        for _, message in world.step(now).messages:
            if guarded:
                world.referee.delivered(message, now)
                guard.hear(message, now)
        guard.act(now)
        dues = [world.next_due_ns(), *(due for due, _ in guard.agenda[:1])]
        now = now.after((max(min(dues), now.ns + 1000) - now.ns) / NS_PER_S)
    return world, guard
