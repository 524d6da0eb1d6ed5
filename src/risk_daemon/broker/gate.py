"""Shapes of the fence: its state, what it is told, what it says; and the small makers of them.

|quantity| of a contract has three views: trades, order fills, position messages.
What is acted on is the smallest of them.
"""

from __future__ import annotations

from typing import Final

import msgspec

from risk_daemon.broker.port import Outcome, Reading, Request
from risk_daemon.core.account import ENDED_STATES, is_closing, remaining
from risk_daemon.core.events import (
    Fact,
    GoalRefused,
    Intended,
    OrderChanged,
    RequestSettled,
    TradeSeen,
)

MS: Final = 1_000_000
SECOND: Final = 1_000 * MS
HELD_MAX: Final = 256


# --- state -------------------------------------------------------------------


class View(msgspec.Struct, kw_only=True):
    """One contract as the link saw it arrive."""

    by_trades: int = 0
    by_orders: int = 0
    by_position: int = 0
    version: int = 0
    flat_version: int = 0

    @property
    def quantity(self) -> int:
        """Signed quantity that may be acted on: the smallest view, zero if signs differ."""
        views = (self.by_trades, self.by_orders, self.by_position)
        return max(min(views), 0) + min(max(views), 0)

    @property
    def largest(self) -> int:
        """The most contracts that any view shows."""
        return max(abs(self.by_trades), abs(self.by_orders), abs(self.by_position))

    @property
    def agrees(self) -> bool:
        """Every view shows the same."""
        return self.by_trades == self.by_orders == self.by_position

    @property
    def is_flat(self) -> bool:
        """Every view shows nothing."""
        return self.by_trades == self.by_orders == self.by_position == 0


class Seen(msgspec.Struct, kw_only=True):
    """One order as last shown, and its place in the order of first sight."""

    order: OrderChanged
    number: int


class Slot(msgspec.Struct, kw_only=True):
    """The one closing request of a contract, from sending to its end.

    `sent_at` is by the clock of whoever sent it, and is compared with the broker's times alone;
    `since` by ours: from there on its end is waited for.
    """

    request: Request
    intended: Intended
    sent_at: int
    since: int
    side: int
    size: int
    seen_before: int
    gapless: bool = True
    outcome: str = ""
    order: int = 0
    filled: int = 0
    ended_at: int = 0
    how: str = ""
    empty_reads: list[int] = msgspec.field(default_factory=list)
    asked_read_at: int = 0


class CancelSlot(msgspec.Struct, kw_only=True):
    """One unanswered cancel or resize of an order."""

    request: Request
    intended: Intended
    sent_at: int
    outcome: str = ""
    asked_read_at: int = 0


class Held(msgspec.Struct, kw_only=True):
    """A goal that has provably not left, and when to look at it again."""

    intended: Intended
    not_before: int
    deadline: int
    why: str


class Concern(msgspec.Struct, kw_only=True):
    """Figures that do not fit together: how often they were looked at, and when next.

    `holds_up`: a reduction did not leave because of them.
    """

    due: int
    looks: int = 0
    holds_up: bool = False


class AccountGate(msgspec.Struct, kw_only=True):
    """One account at the door.

    `cash` is what all known fills brought, net; `explained` the balance without it, as it
    was when every trade had been read. `traded` has the place in the order of first sight of
    orders that only their trades have shown. `newest` is when the broker made the youngest order
    that was seen here, by its clock.
    """

    account: int
    epoch: int = 0
    was_read: bool = False
    views: dict[str, View] = msgspec.field(default_factory=dict)
    orders: dict[int, Seen] = msgspec.field(default_factory=dict)
    trades: dict[int, TradeSeen] = msgspec.field(default_factory=dict)
    traded: dict[int, int] = msgspec.field(default_factory=dict)
    slots: dict[str, Slot] = msgspec.field(default_factory=dict)
    cancels: dict[int, CancelSlot] = msgspec.field(default_factory=dict)
    held: list[Held] = msgspec.field(default_factory=list)
    concerns: dict[str, Concern] = msgspec.field(default_factory=dict)
    balance: int | None = None
    cash: int = 0
    explained: int = 0
    last_traded: str = ""
    last_traded_at: int = 0
    arrivals: int = 0
    sights: int = 0
    newest: int = 0

    @property
    def unexplained(self) -> int:
        """Return by how much the balance moved beyond what known fills brought."""
        return 0 if self.balance is None else self.balance - self.cash - self.explained

    def view(self, contract: str) -> View:
        """Return the contract's view, new and flat if nothing of it arrived yet."""
        found = self.views.get(contract)
        if found is None:
            found = self.views[contract] = View()
        return found


class Gate(msgspec.Struct, kw_only=True):
    """All accounts of one login. `session` names this link's run in request ids."""

    session: str
    version_base: int = 0
    sent: int = 0
    accounts: dict[int, AccountGate] = msgspec.field(default_factory=dict)

    def of(self, account: int) -> AccountGate:
        """Return the account's gate."""
        found = self.accounts.get(account)
        if found is None:
            found = self.accounts[account] = AccountGate(account=account)
        return found


# --- inputs ------------------------------------------------------------------


class Arrived(msgspec.Struct, frozen=True, gc=False):
    """A broker fact, in the order it came in."""

    fact: Fact


class Decided(msgspec.Struct, frozen=True, gc=False):
    """A durable goal of the worker, or a person's."""

    intended: Intended
    by_person: bool = False


class Answered(msgspec.Struct, frozen=True, gc=False):
    """The outcome of one request."""

    request: Request
    outcome: Outcome


class ReadDone(msgspec.Struct, frozen=True, gc=False):
    """A successful read; a failed one is no input, for it says nothing."""

    reading: Reading


class StreamBroken(msgspec.Struct, frozen=True, gc=False):
    """The user stream had a gap: what was sent before it may have passed unseen."""


class EpochRaised(msgspec.Struct, frozen=True, gc=False):
    """A lease was granted; lower epochs never leave again."""

    account: int
    epoch: int


class Resumed(msgspec.Struct, frozen=True, gc=False):
    """A goal of an earlier run without an end: it may have left, and its answer be lost."""

    intended: Intended
    sent_at: int


class Ticked(msgspec.Struct, frozen=True, gc=False):
    """Time passed."""


Input = Arrived | Decided | Answered | ReadDone | StreamBroken | EpochRaised | Resumed | Ticked


# --- outputs -----------------------------------------------------------------


class Send(msgspec.Struct, frozen=True, gc=False):
    """Let this request out, once."""

    request: Request


class Report(msgspec.Struct, frozen=True, gc=False):
    """Append this fact to the stream."""

    fact: Fact


class Read(msgspec.Struct, frozen=True, gc=False):
    """Read the account, as deep as said."""

    account: int
    depth: str
    why: str


Output = Send | Report | Read


# --- makers ------------------------------------------------------------------


def is_working(order: OrderChanged) -> bool:
    """Tell whether an order may still fill."""
    return order.status not in ENDED_STATES


def protects(order: OrderChanged, quantity: int) -> bool:
    """Tell whether an order can only reduce a position of this size."""
    return is_closing(order, quantity) and remaining(order) <= abs(quantity)


def refuse(intended: Intended, why: str) -> Report:
    """Say that nothing leaves for a goal, and why."""
    goal = intended.goal
    return Report(
        GoalRefused(
            account=intended.account,
            key=intended.key,
            contract=goal.contract,
            order=goal.order,
            why=why,
        )
    )


def hold(
    account: AccountGate, intended: Intended, not_before: int, deadline: int, why: str
) -> list[Output]:
    """Keep a goal that has provably not left; the same goal waits once."""
    if any(held.intended.key == intended.key for held in account.held):
        return []
    if len(account.held) >= HELD_MAX:
        return [refuse(intended, "too many goals are waiting")]
    account.held.append(Held(intended=intended, not_before=not_before, deadline=deadline, why=why))
    return []


def settled(request: Request, how: str, filled: int) -> Report:
    """Say how a request ended."""
    return Report(
        RequestSettled(
            account=request.account,
            key=request.key,
            request=request.request,
            act=request.act,
            contract=request.contract,
            order=request.order,
            how=how,
            filled=filled,
        )
    )
