"""An account that exists at no broker: its facts, and a stream that feeds them to an engine.

For the scripts of the rules, and for tests. Pure: time is that of the stream.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from risk_daemon.core.account import Account
from risk_daemon.core.engine import Engine
from risk_daemon.core.events import (
    ContractSeen,
    Entry,
    Fact,
    FeedChanged,
    Intended,
    LeaseGranted,
    MarkChanged,
    OrderChanged,
    PolicyAdopted,
    PositionChanged,
    Pulse,
    Reconciled,
    RequestAnswered,
    RequestSent,
    RequestSettled,
    RuleSetting,
    TradeSeen,
)
from risk_daemon.core.instrument import UNIT
from risk_daemon.core.instrument import parse as units
from risk_daemon.core.world import Parser
from risk_daemon.rules import CATALOG

ACCOUNT = 9_000_000_101
LOGIN = "north"
MS = 1_000_000
SECOND = 1_000 * MS
#: Wednesday 18 November 2026, 10:00:00 in Chicago.
WEDNESDAY_TEN = 1_795_017_600 * SECOND
#: The session reset that follows it, 17:00 in Chicago.
WEDNESDAY_RESET = WEDNESDAY_TEN + 7 * 3_600 * SECOND

#: root -> (tick size, tick value)
GRIDS = {
    "ES": ("0.25", "12.50"),
    "MES": ("0.25", "1.25"),
    "NQ": ("0.25", "5.00"),
    "MNQ": ("0.25", "0.50"),
    "CL": ("0.01", "10.00"),
    "ZN": ("0.015625", "15.625"),
    "ZC": ("0.25", "12.50"),
}


def contract(root: str, month: str = "Z26") -> str:
    """Return the id of a root's contract."""
    return f"CON.F.US.{root}.{month}"


def contract_seen(root: str, month: str = "Z26") -> ContractSeen:
    """Show a contract with its grid."""
    size, value = GRIDS[root]
    return ContractSeen(
        contract=contract(root, month), root=root, tick_size=units(size), tick_value=units(value)
    )


def rule(name: str, mode: str = "enforce", **params: object) -> RuleSetting:
    """Set a rule, with its parameters as configuration has them."""
    return RuleSetting(rule=name, mode=mode, params=params)


def policy(*rules: RuleSetting, digest: str = "d1", **more: Any) -> PolicyAdopted:
    """Adopt rules for the account."""
    found: dict[str, Any] = {"calendar": "cme_equity", "day_roll": "cme_trade_date"}
    return PolicyAdopted(
        account=ACCOUNT, login=LOGIN, name="NORTH-1", rules=rules, digest=digest, **found | more
    )


def trade(number: int, side: int, size: int, price: str | int = "21000", **more: Any) -> TradeSeen:
    """Show a trade of the account; `side` is 1 or -1, the price in decimal text."""
    found: dict[str, Any] = {
        "order": number,
        "contract": contract("MNQ"),
        "traded_at": WEDNESDAY_TEN,
        "price": units(str(price)),
    }
    return TradeSeen(account=ACCOUNT, trade=number, side=side, size=size, **found | more)


def position(
    quantity: int, root: str = "MNQ", average: str = "21000", **more: Any
) -> PositionChanged:
    """Show what the account holds of a root."""
    return PositionChanged(
        account=ACCOUNT,
        contract=contract(root),
        quantity=quantity,
        average=units(average) if quantity else 0,
        **more,
    )


def order(number: int, side: int, size: int, root: str = "MNQ", **more: Any) -> OrderChanged:
    """Show an order of the account."""
    found: dict[str, Any] = {"status": 1, "type": 1, "created": WEDNESDAY_TEN}
    return OrderChanged(
        account=ACCOUNT,
        order=number,
        contract=contract(root),
        side=side,
        size=size,
        **found | more,
    )


def reading(
    *rows: Fact, stable: bool = True, began_at: int = WEDNESDAY_TEN, **more: Any
) -> Reconciled:
    """Read the account from the broker, whole."""
    found: dict[str, Any] = {"balance": 50_000 * UNIT, "can_trade": True}
    return Reconciled(
        account=ACCOUNT,
        positions=tuple(row for row in rows if isinstance(row, PositionChanged)),
        orders=tuple(row for row in rows if isinstance(row, OrderChanged)),
        trades=tuple(row for row in rows if isinstance(row, TradeSeen)),
        began_at=began_at,
        stable=stable,
        **found | more,
    )


class Stream:
    """Feeds facts to an engine, one millisecond apart, and keeps what came out."""

    def __init__(self, catalog: Mapping[str, Parser] = CATALOG) -> None:
        self.engine = Engine(catalog)
        self.seq = 0
        self.at = WEDNESDAY_TEN
        self.entries: list[Entry] = []
        self.outputs: list[Fact] = []

    @property
    def account(self) -> Account:
        """The account as the engine has it."""
        return self.engine.world.accounts[ACCOUNT]

    def feed(self, *facts: Fact, after: int = MS) -> list[Fact]:
        """Append facts; return what they made necessary."""
        found: list[Fact] = []
        for fact in facts:
            self.seq += 1
            self.at += after
            entry = Entry(self.seq, self.at, getattr(fact, "account", 0), fact)
            self.entries.append(entry)
            found += self.engine.step(entry)
        self.outputs += found
        return found

    def pulse(self, after: int = SECOND) -> list[Fact]:
        """Let time pass; every wish to be woken on the way is served at its instant."""
        until, found = self.at + after, []
        while (wake := self.engine.wake_at()) and wake < until:
            found += self.feed(Pulse(), after=max(wake - self.at, 0))
        return found + self.feed(Pulse(), after=until - self.at)

    def open(self, *rules: RuleSetting, roots: tuple[str, ...] = tuple(GRIDS)) -> Stream:
        """Begin as a guarded account does: contracts, policy, trusted feed, lease, first read."""
        self.feed(*(contract_seen(root) for root in roots))
        self.feed(policy(*rules))
        self.feed(FeedChanged(login=LOGIN, state="trusted"), lease(1), reading())
        self.outputs.clear()
        return self

    def fill(self, number: int, side: int, size: int, root: str = "MNQ", **more: Any) -> list[Fact]:
        """Deliver a fill as the broker does: the trade, then the position it led to."""
        held = self.account.holding(contract(root))
        after = held.by_position + side * size
        more.setdefault("traded_at", self.at)
        found = self.feed(trade(number, side, size, contract=contract(root), **more))
        return found + self.feed(position(after, root))

    def mark(self, root: str, bid: str, ask: str) -> list[Fact]:
        """Deliver a quote."""
        return self.feed(
            MarkChanged(contract=contract(root), bid=units(bid), ask=units(ask), last=units(bid))
        )

    def send(self, intended: Intended, request: str = "r1") -> list[Fact]:
        """Tell that a goal's request has left."""
        goal = intended.goal
        return self.feed(
            RequestSent(
                account=ACCOUNT,
                key=intended.key,
                request=request,
                act=goal.act,
                contract=goal.contract,
                order=goal.order,
                size=0,
                epoch=intended.epoch,
            ),
            RequestAnswered(account=ACCOUNT, key=intended.key, request=request, outcome="accepted"),
        )

    def settle(self, intended: Intended, how: str = "filled", request: str = "r1") -> list[Fact]:
        """Tell how a goal's request ended."""
        goal = intended.goal
        return self.feed(
            RequestSettled(
                account=ACCOUNT,
                key=intended.key,
                request=request,
                act=goal.act,
                contract=goal.contract,
                order=goal.order,
                how=how,
            )
        )


def lease(epoch: int, holder: str = "worker-1") -> LeaseGranted:
    """Grant the account to a worker."""
    return LeaseGranted(account=ACCOUNT, holder=holder, release="v1", epoch=epoch, incarnation=1)
